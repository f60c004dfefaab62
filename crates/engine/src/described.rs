//! Networks that another program describes with every call: CNI configurations, Podman.
//!
//! # How it works
//! Whoever attaches describes the network as it is to be. The first to come makes it, a later one changes it where the
//! description differs, and with its last endpoint it goes, for nobody else would take it away. That needs a bridge to be
//! deleted, for which the kernel takes its time, so it is left to the detached child of the command (see linger.rs). If
//! that is killed, the network stays, empty, for the child of the next command that attaches nothing, for `gc`, or for
//! whoever describes it next.

use crate::attach::Attached;
use crate::chance::random;
use crate::engine::{Act, Engine, Report};
use crate::error::Error;
use crate::fault::Fault;
use crate::network::is_bridge_of;
use std::time::{SystemTime, UNIX_EPOCH};
use zubi_ipam::choose_subnet;
use zubi_model::{
    BridgeMode, Description, Driver, Egress, Family, ForeignBridge, Hairpin, Icc, InUse, Ingress, Mac, Network,
    NetworkId, NetworkName, Pool, PoolSpec, Promiscuity, SandboxRef, Wishes,
};
use zubi_plan::{Op, Place, Plan};
use zubi_store::Mode;

/// How often a network that goes while it is being attached to is made again.
const TRIES: u32 = 20;

impl Engine {
    /// Attaches a sandbox to a network that is described with the call. When that fails, a network without endpoints is
    /// gone.
    pub fn attach_described(
        &mut self,
        description: &Description,
        sandbox: &SandboxRef,
        wishes: &Wishes,
    ) -> Result<Report<Attached>, Error> {
        let mut tries = 0;
        let outcome = loop {
            tries += 1;
            let done =
                self.describe(description).and_then(|()| self.attach(&description.name, sandbox, wishes, Act::Apply));
            match done {
                // Its last endpoint went in between.
                Err(Error::NoNetwork { name, .. }) if name == description.name && tries < TRIES => {}
                other => break other,
            }
        };
        if outcome.is_err() {
            // Why it failed is what the caller wants to know.
            Fault::muted(|| self.fade(&description.name)).ok();
        }
        outcome
    }

    /// Makes a network as it is described, or makes it so.
    fn describe(&mut self, description: &Description) -> Result<(), Error> {
        if let Some(network) = self.store.network(&description.name)?
            && description.onto(&network, InUse::Yes).is_ok_and(|new| new == network)
            && self.bridge_stands(&network)?
        {
            return Ok(());
        }
        let _host = self.store.lock_host(Mode::Exclusive)?;
        self.recover_first(Act::Apply)?;
        self.recover_networks().but(&description.name)?;
        let mut old = self.store.network(&description.name)?;
        if old.is_some() {
            self.bury_dead(Some(&description.name))?;
        }
        let in_use = if self.store.is_empty(&description.name)? { InUse::No } else { InUse::Yes };
        if let Some(other) = old.take_if(|old| in_use == InUse::No && old.bridge != description.bridge) {
            self.remove_network_locked(&other, Act::Apply)?;
        }
        let Some(old) = old else {
            let network = self.decide_described(description)?;
            // Whatever is missing of a network that is recorded is made by whoever attaches to it.
            return Ok(self.store.write_network(&network)?);
        };
        let mut new = description.onto(&old, in_use)?;
        new.bridge_mode = self.bridge_mode(description, Some(&old))?;
        self.refuse_overlaps(&new)?;
        if new == old {
            return Ok(());
        }
        let mut plan = self.plan_change(&old, &new)?;
        if new.bridge_mode != old.bridge_mode {
            // Another bridge has its name by now: who attaches makes of that what is missing.
            plan.ops.retain(Op::is_nft);
        }
        let draft = self.store.draft_network(&new)?;
        let unsynced = self.apply_set(&old, draft, &plan)?;
        // It does not outlive the boot, so there is nothing slow about it.
        Ok(self.store.sync(unsynced)?)
    }

    fn bridge_stands(&mut self, network: &Network) -> Result<bool, Error> {
        if network.bridge_mode == BridgeMode::Managed {
            // What is missing of it is put back by whoever attaches.
            return Ok(true);
        }
        let seen = self.kernel.link(&Place::Host, network.bridge.as_str()).map_err(Error::kernel("bridge"))?;
        Ok(seen.is_some_and(|seen| is_bridge_of(network, &seen)))
    }

    fn decide_described(&mut self, description: &Description) -> Result<Network, Error> {
        let name = &description.name;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let id = match &description.id {
            Some(id) => id.clone(),
            None => NetworkId::from_random(random()?),
        };
        let blank = Network {
            name: name.clone(),
            id,
            created: now,
            driver: Driver::Bridge,
            bridge: description.bridge.clone(),
            bridge_mac: Mac::from_random(random()?),
            mtu: None,
            pools: Vec::new(),
            scope: description.scope,
            egress: description.egress,
            icc: Icc::Allowed,
            ingress: Ingress::Open,
            bridge_mode: self.bridge_mode(description, None)?,
            hairpin: Hairpin::default(),
            promiscuity: Promiscuity::default(),
            labels: description.labels.clone(),
        };
        let mut network = description.onto(&blank, InUse::No)?;
        for family in &description.families {
            if network.pool(*family).is_some() {
                continue;
            }
            let others = self.store.networks_lossy().0;
            let occupied = self.in_the_way(&others, &[Family::V4, Family::V6])?;
            let subnet = choose_subnet(&self.pools(), *family, &occupied)
                .map_err(|error| Error::NoSubnet { name: name.clone(), error })?;
            network.pools.push(PoolSpec { subnet, gateway: None, range: None, exclude: Vec::new() }.decide()?);
        }
        self.refuse_overlaps(&network)?;
        Ok(network)
    }

    /// Whose the bridge is, or would be.
    fn bridge_mode(&mut self, description: &Description, old: Option<&Network>) -> Result<BridgeMode, Error> {
        let bridge = &description.bridge;
        let object = format!("network {}", description.name);
        let seen = self.kernel.link(&Place::Host, bridge.as_str()).map_err(Error::kernel(&object))?;
        match (seen, description.foreign_bridge) {
            (None, ForeignBridge::Adopted) => Ok(BridgeMode::Managed),
            (None, ForeignBridge::Required) => {
                Err(Error::NoBridge { network: description.name.clone(), bridge: bridge.clone() })
            }
            (Some(seen), _) if old.is_some_and(|n| n.bridge_mode == BridgeMode::Managed && is_bridge_of(n, &seen)) => {
                Ok(BridgeMode::Managed)
            }
            (Some(seen), foreign) if seen.kind.as_deref() == Some("bridge") => Ok(match foreign {
                ForeignBridge::Adopted => BridgeMode::Adopted,
                ForeignBridge::Required => BridgeMode::Unmanaged,
            }),
            (Some(seen), _) => Err(Error::Kernel {
                object,
                source: zubi_kernel::Error::Conflict {
                    object: format!("bridge {bridge}"),
                    found: format!("a {}", seen.kind.as_deref().unwrap_or("device")),
                },
            }),
        }
    }

    /// Subnets live on one bridge: a packet could not be told where to go otherwise. Where the host has no part in either,
    /// nobody has to tell.
    fn refuse_overlaps(&mut self, network: &Network) -> Result<(), Error> {
        for other in self.store.networks_lossy().0 {
            if other.name == network.name {
                continue;
            }
            for pool in &network.pools {
                if is_apart(network, pool) && other.pools.iter().all(|p| is_apart(&other, p)) {
                    continue;
                }
                let same = |p: &Pool| p.subnet == pool.subnet && other.bridge == network.bridge;
                if let Some(theirs) = other.pools.iter().find(|p| p.subnet.overlaps(pool.subnet.net()) && !same(p)) {
                    return Err(Error::Overlap {
                        name: network.name.clone(),
                        subnet: pool.subnet.to_string(),
                        by: format!("{} of network {}", theirs.subnet, other.name),
                    });
                }
            }
        }
        Ok(())
    }

    /// Takes a described network away if nobody is attached to it.
    pub(crate) fn fade(&mut self, name: &NetworkName) -> Result<(), Error> {
        let _host = self.store.lock_host(Mode::Exclusive)?;
        self.recover_networks().but(name)?;
        self.fade_locked(name)?;
        Ok(())
    }

    /// The caller holds the host lock alone. Gives whether it is gone now.
    pub(crate) fn fade_locked(&mut self, name: &NetworkName) -> Result<bool, Error> {
        if name.source().is_none() || !self.store.is_empty(name)? {
            return Ok(false);
        }
        let Some(network) = self.store.network(name)? else { return Ok(false) };
        self.recover()?;
        if !self.store.is_empty(name)? || !self.store.endpoints_on(name)?.is_empty() {
            return Ok(false);
        }
        self.remove_network_locked(&network, Act::Apply)?;
        Ok(true)
    }

    /// What taking the described networks that nobody is attached to away would do.
    pub(crate) fn plan_faded(&mut self) -> Result<Vec<(NetworkName, Plan)>, Error> {
        let mut all = Vec::new();
        for name in self.store.empty_described()? {
            if let Some(network) = self.store.network(&name)? {
                all.push((name, self.plan_down(&network)?));
            }
        }
        Ok(all)
    }
}

/// Whether a subnet concerns nobody but the endpoints on their bridge: the host neither routes nor masquerades it.
fn is_apart(network: &Network, pool: &Pool) -> bool {
    pool.host_address().is_none() && network.egress == Egress::Plain && network.ingress == Ingress::Open
}
