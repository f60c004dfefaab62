//! Attach: a sandbox gets an endpoint on a network.

use crate::choose::{check_wishes, has_own_mac};
use crate::engine::{Act, Engine, Report};
use crate::error::{Error, unknown_owner};
use crate::fault::Fault;
use crate::resolve::Resolved;
use std::io::ErrorKind;
use std::net::IpAddr;
use zubi_kernel::Survey;
use zubi_model::{DefaultRoute, Endpoint, EndpointKey, Family, MacWish, Network, NetworkName, SandboxRef, Wishes};
use zubi_plan::endpoint::attach;
use zubi_plan::{Neighbours, Plan};
use zubi_store::{PortsLock, StoreError};

/// An endpoint as it is now.
#[derive(Debug, Clone)]
pub struct Attached {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Whether it was there already.
    pub attachment: Attachment,
    /// The families in which it gives the sandbox its default route.
    pub default_in: Vec<Family>,
}

/// Whether an attach made something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachment {
    /// It did.
    New,
    /// It was there, and as wished.
    Existing,
}

impl Engine {
    /// Attaches a sandbox to a network. Attaching it again as it is gives the same answer.
    pub fn attach(
        &mut self,
        network: &NetworkName,
        sandbox: &SandboxRef,
        wishes: &Wishes,
        act: Act,
    ) -> Result<Report<Attached>, Error> {
        self.past_a_flush(|engine| engine.attach_once(network, sandbox, wishes, act))
    }

    fn attach_once(
        &mut self,
        network: &NetworkName,
        sandbox: &SandboxRef,
        wishes: &Wishes,
        act: Act,
    ) -> Result<Report<Attached>, Error> {
        // A runtime may take seconds to answer: it is asked while nobody waits for a lock of ours.
        let resolved = self.resolve(sandbox);
        let (_host, networks) = self.lock_networks(std::slice::from_ref(network), &wishes.ports, act)?;
        let Some((network, missing)) = networks.into_iter().next() else {
            return Err(Error::NoNetwork { name: network.clone(), known: self.known_networks() });
        };
        check_wishes(&network, wishes)?;
        let mut resolved = resolved?;
        if let Some(called) = &wishes.called {
            resolved.spelled.clone_from(called);
        }
        self.attach_resolved(&network, missing, &resolved, wishes, act)
    }

    /// The caller holds the host lock, alone if `groundwork`, what is missing of the network, is not empty.
    pub(crate) fn attach_resolved(
        &mut self,
        network: &Network,
        groundwork: Plan,
        sandbox: &Resolved,
        wishes: &Wishes,
        act: Act,
    ) -> Result<Report<Attached>, Error> {
        let _sandbox = self.store.lock_sandbox(sandbox.cookie)?;
        // While we waited for the lock it may have been removed.
        self.still_there(sandbox)?;
        let key = EndpointKey { cookie: sandbox.cookie, network: network.name.clone() };
        if act == Act::Apply
            && let Some(leftover) = self.store.pending_endpoint(&key)?
        {
            // Its maker is dead, or we would not hold the lock.
            let _leases = self.hold_leases(&key.network)?;
            self.bury(&leftover, Some(&sandbox.reached_by))?;
        }
        let mut wishes = wishes.clone();
        let mut lost = None;
        if let Some(existing) = self.store.endpoint(&key)? {
            if self.host_end(&existing)?.is_some() {
                let mut report = self.existing(existing, &wishes)?;
                report.plan = self.make_good(network, groundwork, &report.value.endpoint, act)?;
                return Ok(report);
            }
            // Somebody deleted the device: it is made again as it was, but for what is wished otherwise now.
            if act == Act::Apply {
                wishes = wishes.or_as_before(&existing);
                self.bury(&existing, Some(&sandbox.reached_by))?;
                lost = Some(existing);
            }
        }
        if act == Act::Apply {
            self.retire_namesake(&key, sandbox)?;
        }
        let made = self.attach_new(network, sandbox, &wishes, groundwork, act);
        match (made, lost) {
            (Err(error), Some(lost)) => Err(error.after_undo(Fault::muted(|| self.keep_record(network, &lost)))),
            (made, _) => made,
        }
    }

    /// Of an endpoint whose device somebody deleted the record stays until it is made again.
    fn keep_record(&mut self, network: &Network, lost: &Endpoint) -> Result<(), Error> {
        self.claim_again(network, lost)?;
        Ok(self.store.finish_attach(&lost.key())?)
    }

    /// Claims what an endpoint had, unless somebody else has it by now.
    pub(crate) fn claim_again(&mut self, network: &Network, endpoint: &Endpoint) -> Result<(), Error> {
        let _leases = self.hold_leases(&network.name)?;
        let ports = if endpoint.ports.is_empty() { None } else { Some(self.hold_ports()?) };
        // Nothing was chosen.
        self.cursors.clear();
        self.claim(network, endpoint, ports.as_deref())
    }

    fn attach_new(
        &mut self,
        network: &Network,
        sandbox: &Resolved,
        wishes: &Wishes,
        groundwork: Plan,
        act: Act,
    ) -> Result<Report<Attached>, Error> {
        let object = format!("network {}: connect {}", network.name, sandbox.spelled);
        if act == Act::Apply && !groundwork.is_empty() {
            self.apply(&object, &groundwork)?;
        }
        let (endpoint, around) = self.decide_endpoint(network, sandbox, wishes, act)?;
        let plan = attach(network, &endpoint, &around);
        if act == Act::Apply {
            self.apply_endpoint(&object, sandbox, &endpoint, &plan)?;
            for address in &around.stale {
                self.store.unmark_stale(&network.name, *address)?;
            }
            self.remember_mac(&endpoint, around.neighbours)?;
        }
        let mut shown = groundwork;
        shown.append(plan);
        let value = Attached { endpoint, attachment: Attachment::New, default_in: around.default_in };
        Ok(Report { plan: shown, value })
    }

    /// Applies the plan of a claimed endpoint; when it fails nothing of the endpoint stays.
    fn apply_endpoint(
        &mut self,
        object: &str,
        sandbox: &Resolved,
        endpoint: &Endpoint,
        plan: &Plan,
    ) -> Result<(), Error> {
        let done: Result<(), Error> = (|| {
            self.apply(object, plan)?;
            // We hold the namespace open: everything goes well in one that nobody can reach any more.
            self.still_there(sandbox)?;
            Ok(self.store.finish_attach(&endpoint.key())?)
        })();
        if let Err(error) = done {
            return Err(error.after_undo(Fault::muted(|| self.undo_attach(endpoint))));
        }
        self.has_attached = true;
        Ok(())
    }

    pub(crate) fn still_there(&mut self, sandbox: &Resolved) -> Result<(), Error> {
        if self.kernel.still_leads(&sandbox.reached_by) {
            return Ok(());
        }
        let hint = Some("it was removed just now".into());
        Err(Error::NoSandbox { name: sandbox.spelled.clone(), hint })
    }

    /// The kernel part has been rolled back, or was finished while the record could not be: both are taken away from
    /// the record.
    fn undo_attach(&mut self, endpoint: &Endpoint) -> Result<(), Error> {
        self.bury(endpoint, Some(&endpoint.sandbox.reached_by.clone()))
    }

    /// Puts back what is missing of an endpoint that is there, and of its network: only then it is connected.
    fn make_good(&mut self, network: &Network, groundwork: Plan, endpoint: &Endpoint, act: Act) -> Result<Plan, Error> {
        let object = format!("network {}: connect {}", network.name, endpoint.sandbox.spelled);
        if act == Act::Apply && !groundwork.is_empty() {
            self.apply(&object, &groundwork)?;
        }
        let siblings = self.siblings(endpoint)?;
        let mut plan = groundwork;
        let touched = if plan.is_empty() { Vec::new() } else { vec![network.name.clone()] };
        let ops = self.lacking_of_endpoint(&mut Survey::narrow(), network, endpoint, &siblings, &touched)?;
        let lacking: Plan = ops.into_iter().collect();
        if act == Act::Apply && !lacking.is_empty() {
            self.apply(&object, &lacking)?;
        }
        plan.append(lacking);
        Ok(plan)
    }

    /// The same endpoint again, unless something else is wished now.
    fn existing(&mut self, endpoint: Endpoint, wishes: &Wishes) -> Result<Report<Attached>, Error> {
        let differs = |what, has: String| Error::Different {
            sandbox: endpoint.sandbox.spelled.clone(),
            network: endpoint.network.clone(),
            what,
            has,
        };
        let addresses: Vec<IpAddr> = endpoint.addresses.iter().map(|a| a.address.addr()).collect();
        if wishes.addresses.iter().any(|a| !addresses.contains(a)) {
            let has: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            return Err(differs("address", has.join(", ")));
        }
        if let MacWish::Given(mac) = wishes.mac
            && mac != endpoint.mac
        {
            return Err(differs("MAC", endpoint.mac.to_string()));
        }
        if let Some(ifname) = &wishes.ifname
            && *ifname != endpoint.ifname
        {
            return Err(differs("device name", endpoint.ifname.to_string()));
        }
        if !wishes.routes.is_empty() && wishes.routes != endpoint.routes {
            return Err(differs("set of routes", list(&endpoint.routes)));
        }
        if !wishes.aliases.is_empty() && wishes.aliases != endpoint.aliases {
            return Err(differs("set of aliases", list(&endpoint.aliases)));
        }
        if wishes.default_route == DefaultRoute::Never && endpoint.default_route != DefaultRoute::Never {
            return Err(differs("wish for the default route", "none against it".into()));
        }
        let mut parts = wishes.ports.iter().flat_map(|wish| wish.parts());
        let lacks = parts.any(|wish| !endpoint.ports.iter().any(|port| wish.is_met_by(port)));
        let has_more = endpoint.ports.iter().any(|port| !wishes.ports.iter().any(|wish| wish.is_met_by(port)));
        if !wishes.ports.is_empty() && (lacks || has_more) {
            return Err(differs("set of published ports", list(&endpoint.ports)));
        }
        let siblings = self.siblings(&endpoint)?;
        let way = self.way_in(&endpoint, None)?;
        let default_in = self.gives_default_in(&mut Survey::narrow(), &endpoint, &siblings, way.as_ref())?;
        Ok(Report { plan: Plan::new(), value: Attached { endpoint, attachment: Attachment::Existing, default_in } })
    }

    /// The other endpoints of the same sandbox.
    pub fn siblings(&self, endpoint: &Endpoint) -> Result<Vec<Endpoint>, Error> {
        let mut all = self.store.endpoints_of(endpoint.sandbox.cookie)?;
        all.retain(|e| e.network != endpoint.network);
        Ok(all)
    }

    /// The same name may have led to another namespace before: the container was started again. Its old endpoint is
    /// taken away, so that its address is free.
    fn retire_namesake(&mut self, key: &EndpointKey, sandbox: &Resolved) -> Result<(), Error> {
        let Some(old) = self.store.cookie_of_name(&key.network, &sandbox.spelled)? else { return Ok(()) };
        if old == key.cookie {
            return Ok(());
        }
        // Whoever holds its lock is taking care of it.
        let Some(lock) = self.store.try_lock_sandbox(old)? else { return Ok(()) };
        let of_old = EndpointKey { cookie: old, network: key.network.clone() };
        if let Some(endpoint) = self.store.endpoint(&of_old)? {
            self.bury(&endpoint, None)?;
        }
        self.release_sandbox(old, lock)
    }

    /// Writes the record, then takes the leases and ports it names. When anything of it is taken, nothing is kept. The
    /// caller holds the lock of the leases, and of the ports if there are any.
    pub(crate) fn claim(
        &mut self,
        network: &Network,
        endpoint: &Endpoint,
        ports: Option<&PortsLock>,
    ) -> Result<(), Error> {
        let key = endpoint.key();
        let claimed = (|| {
            self.store.begin_attach(endpoint)?;
            for a in &endpoint.addresses {
                let address = a.address.addr();
                if let zubi_store::Claim::Taken { owner } = self.store.claim(&network.name, address, &key)? {
                    let owner = self.owner_name(&owner)?;
                    return Err(Error::AddressTaken { network: network.name.clone(), address, owner });
                }
            }
            if let zubi_store::Claim::Taken { owner } = self.store.claim_mac(&network.name, endpoint.mac, &key)? {
                let owner = self.owner_name(&owner)?;
                return Err(Error::MacTaken { network: network.name.clone(), mac: endpoint.mac, owner });
            }
            if let Some(held) = ports {
                self.claim_ports(endpoint, &endpoint.ports, held)?;
            }
            for (_, set, address) in std::mem::take(&mut self.cursors) {
                self.store.set_cursor(&network.name, set, address)?;
            }
            self.store.write_name(endpoint)?;
            Ok(())
        })();
        claimed.map_err(|e: Error| e.after_undo(Fault::muted(|| self.release_held(endpoint, ports))))
    }

    /// Frees what an endpoint holds in the store, its record last.
    pub(crate) fn release(&mut self, endpoint: &Endpoint) -> Result<(), Error> {
        let ports = if endpoint.ports.is_empty() { None } else { Some(self.hold_ports()?) };
        self.release_held(endpoint, ports.as_deref())
    }

    fn release_held(&mut self, endpoint: &Endpoint, ports: Option<&PortsLock>) -> Result<(), Error> {
        let key = endpoint.key();
        if let Some(held) = ports {
            self.release_ports(endpoint, &endpoint.ports, held)?;
        }
        for a in &endpoint.addresses {
            self.leave_stale(&endpoint.network, a.address.addr())?;
            self.store.release(&endpoint.network, a.address.addr(), &key)?;
        }
        for mac in endpoint.macs() {
            self.store.release_mac(&endpoint.network, mac, &key)?;
        }
        self.store.remove_name(endpoint)?;
        self.store.finish_detach(&key)?;
        Ok(())
    }

    /// Neighbours learn an address with its MAC. Where that is not the one that is made from the address, whoever has it
    /// next must tell them; when that one has told them, no more.
    fn remember_mac(&mut self, endpoint: &Endpoint, neighbours: Neighbours) -> Result<(), Error> {
        let Some(first) = endpoint.addresses.first().map(|a| a.address.addr()) else { return Ok(()) };
        if !has_own_mac(endpoint) {
            self.store.mark_other_mac(&endpoint.network, first)?;
        } else if neighbours == Neighbours::MayBeWrong {
            self.store.unmark_other_mac(&endpoint.network, first)?;
        }
        Ok(())
    }

    /// Whoever gets the address next must not inherit its connections. Without room to write that down for later, they
    /// are forgotten now.
    fn leave_stale(&mut self, network: &NetworkName, address: IpAddr) -> Result<(), Error> {
        match self.store.mark_stale(network, address) {
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::StorageFull => {
                let failed = || Error::kernel(format!("connections of {address}"));
                let flows = self.kernel.flows_of(&[address]).map_err(failed())?;
                self.kernel.forget(&flows).map_err(failed())
            }
            marked => Ok(marked?),
        }
    }

    /// What the owner of a lease is called.
    pub(crate) fn owner_name(&self, key: &EndpointKey) -> Result<String, Error> {
        let endpoint = match self.store.endpoint(key)? {
            Some(endpoint) => Some(endpoint),
            None => self.store.pending_endpoint(key)?,
        };
        Ok(endpoint.map_or_else(|| unknown_owner(key), |e| e.sandbox.spelled))
    }
}

fn list(values: &[impl ToString]) -> String {
    let words: Vec<String> = values.iter().map(ToString::to_string).collect();
    if words.is_empty() { "none".into() } else { words.join(", ") }
}
