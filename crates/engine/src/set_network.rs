//! Changing a network that is in use.
//!
//! # How it works
//! What the network is to be is written down as being made, then the kernel is changed, and the network's own record
//! last. When a command is killed in between, whoever comes next finds both, and takes the kernel back to the record.

use crate::engine::{Act, Engine, Report};
use crate::error::Error;
use crate::fault::Fault;
use crate::network::is_bridge_of;
use ipnet::IpNet;
use zubi_kernel::Survey;
use zubi_model::{Difference, Endpoint, Network, NetworkChange, NetworkName, Pool};
use zubi_plan::change::{InUse, Reached, change};
use zubi_plan::endpoint::Presence;
use zubi_plan::{Place, Plan, What};
use zubi_store::{Mode, NetworkDraft, Unsynced};

/// How often a network is looked at anew because something of it went meanwhile.
const MOST_LOOKS: usize = 3;

/// A network as it is now, and what was otherwise.
#[derive(Debug, Clone)]
pub struct NetworkSet {
    /// The network.
    pub network: Network,
    /// Its endpoints.
    pub endpoints: Vec<Endpoint>,
    /// Empty when it was as wished already.
    pub differences: Vec<Difference>,
}

impl Engine {
    /// Changes a network, its bridge and its endpoints. What cannot be changed is refused before the first effect.
    pub fn set_network(
        &mut self,
        name: &NetworkName,
        wishes: &NetworkChange,
        act: Act,
    ) -> Result<Report<NetworkSet>, Error> {
        let mut draft = self.draft_set(name, wishes, act)?;
        let host = self.store.lock_host(Mode::Exclusive)?;
        self.recover_first(act)?;
        if act == Act::Apply {
            self.recover_networks().but(name)?;
        }
        let Some(old) = self.store.network(name)? else {
            return Err(Error::NoNetwork { name: name.clone(), known: self.known_networks() });
        };
        if let Some(by) = name.source() {
            return Err(Error::Described { name: name.clone(), by });
        }
        let new = wishes.apply(&old)?;
        if act == Act::Apply {
            self.bury_dead(Some(name))?;
        }
        let endpoints = self.store.endpoints_on(name)?;
        self.refuse_fixed(&old, &new, wishes, &endpoints)?;
        let mut plan = self.plan_change(&old, &new)?;
        if act == Act::Apply && new != old {
            // Somebody else may have changed it since.
            draft = draft.filter(|draft| *draft.network() == new);
            let mut looks = 0;
            let unsynced = loop {
                let this = match draft.take() {
                    Some(draft) => draft,
                    None => self.store.draft_network(&new)?,
                };
                match self.apply_set(&old, this, &plan) {
                    // A device that goes with its namespace just then is not there when it is looked for again.
                    Err(e) if e.device_missing() && looks < MOST_LOOKS => plan = self.plan_change(&old, &new)?,
                    outcome => break outcome?,
                }
                looks += 1;
            };
            drop(host);
            self.sync_set(&old, &new, unsynced)?;
        }
        let differences = new.differences(&old);
        Ok(Report { plan, value: NetworkSet { network: new, endpoints, differences } })
    }

    fn refuse_fixed(
        &mut self,
        old: &Network,
        new: &Network,
        wishes: &NetworkChange,
        endpoints: &[Endpoint],
    ) -> Result<(), Error> {
        let fixed = wishes.fixed(old);
        if fixed.is_none() && old.scope == new.scope {
            return Ok(());
        }
        let mut attached = Vec::new();
        for endpoint in endpoints {
            // In a dry run endpoints of dead sandboxes are still recorded; do not count them.
            if !self.is_dead(endpoint)? {
                attached.push(endpoint.sandbox.spelled.clone());
            }
        }
        let name = old.name.clone();
        match fixed {
            Some((what, has)) => Err(Error::Fixed { name, what, has, attached }),
            None if !attached.is_empty() => Err(Error::ScopeInUse { name, attached }),
            None => Ok(()),
        }
    }

    /// The record as it would be written a moment later, on the disk already: a slow disk keeps nobody else waiting, and
    /// one that takes nothing is told before the first effect. Reasons against it are told under the lock.
    fn draft_set(
        &mut self,
        name: &NetworkName,
        wishes: &NetworkChange,
        act: Act,
    ) -> Result<Option<NetworkDraft>, Error> {
        let old = if act == Act::Apply && name.source().is_none() { self.store.network(name)? } else { None };
        match old.as_ref().map(|old| wishes.apply(old)) {
            Some(Ok(new)) if old.as_ref() != Some(&new) => Ok(Some(self.store.draft_network(&new)?)),
            _ => Ok(None),
        }
    }

    /// Makes a changed record survive a power failure. Until then nobody was told that it is changed, so when that
    /// fails the change is taken back; unless somebody has changed it again.
    pub(crate) fn sync_set(&mut self, old: &Network, new: &Network, unsynced: Unsynced) -> Result<(), Error> {
        let Err(e) = self.store.sync(unsynced) else { return Ok(()) };
        Fault::muted(|| {
            let _host = self.store.lock_host(Mode::Exclusive)?;
            if self.store.network(&new.name)?.as_ref() == Some(new) { self.take_back(old, new) } else { Ok(()) }
        })?;
        Err(e.into())
    }

    /// The caller holds the host lock alone, and syncs the record when it does not any more.
    pub(crate) fn apply_set(&mut self, old: &Network, draft: NetworkDraft, plan: &Plan) -> Result<Unsynced, Error> {
        let new = draft.network().clone();
        let name = &new.name;
        let done: Result<Unsynced, Error> = (|| {
            if !plan.is_empty() {
                self.store.begin_network(&new)?;
            }
            self.apply_change(name, plan)?;
            let unsynced = self.store.publish_network(draft)?;
            self.store.end_network(name)?;
            Ok(unsynced)
        })();
        match done {
            Ok(unsynced) => Ok(unsynced),
            Err(error) => Err(error.after_undo(Fault::muted(|| self.take_back(old, &new)))),
        }
    }

    /// Takes record and kernel back to what the network was before it was changed to `new`.
    fn take_back(&mut self, old: &Network, new: &Network) -> Result<(), Error> {
        let name = &new.name;
        // When this is killed too, the way back has to be found again.
        if self.store.network(name)?.as_ref() != Some(old) {
            self.store.begin_network(new)?;
            self.store.write_network(old)?;
        }
        self.return_to(old, new)?;
        Ok(self.store.end_network(name)?)
    }

    /// Takes the kernel back to the record of a network that somebody was changing to `half`.
    pub(crate) fn return_to(&mut self, record: &Network, half: &Network) -> Result<(), Error> {
        let plan = self.plan_change(half, record)?;
        self.apply_change(&record.name, &plan)
    }

    /// The caller holds the host lock alone: a firewall that somebody flushed is put back on the way.
    fn apply_change(&mut self, name: &NetworkName, plan: &Plan) -> Result<(), Error> {
        let object = format!("network {name}");
        match self.apply(&object, plan) {
            Err(e) if e.layout_missing() => {
                let firewall = self.firewall_from_records()?;
                self.apply("firewall", &firewall)?;
                self.apply(&object, plan)
            }
            other => other,
        }
    }

    /// From one state of a network to another, on whatever of it is there.
    pub(crate) fn plan_change(&mut self, old: &Network, new: &Network) -> Result<Plan, Error> {
        let failed = || Error::kernel(format!("network {}", old.name));
        let bridge = self.kernel.link(&Place::Host, old.bridge.as_str()).map_err(failed())?;
        let bridge = bridge.filter(|seen| is_bridge_of(old, seen));
        let mut endpoints = Vec::new();
        let mut survey = Survey::whole();
        for endpoint in self.store.endpoints_on(&old.name)? {
            let host_end = self.host_end_in(&mut survey, &endpoint)?;
            let is_port = host_end.as_ref().zip(bridge.as_ref()).is_some_and(|(e, b)| e.master == Some(b.index));
            let mut inside = self.way_in(&endpoint, None)?;
            if let Some(way) = &inside
                && self.strange_inner_end(&mut survey, &endpoint, way)?.is_some()
            {
                inside = None;
            }
            endpoints.push(Reached {
                host_end: presence(host_end.is_some()),
                port: presence(is_port),
                inside,
                endpoint,
            });
        }
        let found = InUse { bridge: presence(bridge.is_some()), endpoints, ipv6: self.ipv6_forwarding()? };
        let mut plan = change(old, new, &found);
        self.close(&mut plan)?;
        let mut others = self.store.networks_lossy().0;
        others.retain(|n| n.name != old.name);
        leave_to_others(&mut plan, old, &others);
        // A network that is not up, on a host without firewall: both come with the next connect.
        if bridge.is_none() && self.kernel.firewall().map_err(failed())?.table.is_none() {
            plan.ops.retain(|op| !op.is_nft());
        }
        Ok(plan)
    }
}

/// Networks of the same bridge say the same of it: what others say too is not taken away.
pub(crate) fn leave_to_others(plan: &mut Plan, network: &Network, others: &[Network]) {
    let elements: Vec<_> = others.iter().flat_map(zubi_plan::firewall::network_elements).collect();
    let same_bridge = others.iter().filter(|n| n.bridge == network.bridge);
    let addresses: Vec<IpNet> = same_bridge.flat_map(|n| n.pools.iter().filter_map(Pool::host_address)).collect();
    plan.ops.retain(|op| match &op.what {
        What::DeleteElement(element) => !elements.contains(element),
        What::DeleteAddress(gone) => !addresses.contains(&gone.address),
        _ => true,
    });
}

fn presence(there: bool) -> Presence {
    if there { Presence::There } else { Presence::Gone }
}
