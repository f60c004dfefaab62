//! What has been attached on behalf of a program, found by what that program calls it: the namespace may be gone, and
//! the program knows nothing of ours.

use crate::engine::{Act, Engine};
use crate::error::Error;
use crate::fault::Fault;
use crate::problem::Problem;
use std::time::{Duration, Instant};
use zubi_ipam::next_of_pools;
use zubi_kernel::Survey;
use zubi_model::{
    BridgeMode, Endpoint, EndpointKey, Family, HostAddress, Icc, IfName, Ingress, Mac, Network, NetworkName, Pool,
    PortHolder, PortSource, PortWish, SandboxRef, Scope,
};
use zubi_plan::endpoint::unpublish;
use zubi_plan::{Op, Place, Plan, What};
use zubi_store::{Claim, Mode};
use zubi_wire::route::{LinkSeen, Uniqueness};

impl Engine {
    /// Finishes, or takes back, what commands that were killed left half done.
    pub fn finish_others(&mut self) -> Result<(), Error> {
        let _host = self.store.lock_host(Mode::Shared)?;
        self.recover_first(Act::Apply)
    }

    /// The endpoint of a sandbox that a program calls so, attached or half attached.
    pub fn endpoint_called(&self, network: &NetworkName, called: &str) -> Result<Option<Endpoint>, Error> {
        let Some(cookie) = self.store.cookie_of_name(network, called)? else { return Ok(None) };
        let key = EndpointKey { cookie, network: network.clone() };
        match self.store.endpoint(&key)? {
            Some(endpoint) => Ok(Some(endpoint)),
            None => Ok(self.store.pending_endpoint(&key)?),
        }
    }

    /// The same, on whichever network.
    pub fn endpoint_called_anywhere(&self, called: &str) -> Result<Option<Endpoint>, Error> {
        for network in self.store.networks_with_names()? {
            if let Some(endpoint) = self.endpoint_called(&network, called)? {
                return Ok(Some(endpoint));
            }
        }
        Ok(None)
    }

    /// All endpoints of sandboxes that a program calls something that begins so.
    pub fn endpoints_with_prefix(&self, prefix: &str) -> Vec<Endpoint> {
        let mut all = self.store.all_endpoints_lossy().0;
        all.retain(|e| e.sandbox.spelled.starts_with(prefix));
        all
    }

    /// The endpoints of a sandbox.
    pub fn endpoints_in(&mut self, sandbox: &SandboxRef) -> Result<Vec<Endpoint>, Error> {
        let resolved = self.resolve(sandbox)?;
        Ok(self.store.endpoints_of(resolved.cookie)?)
    }

    /// Whether an endpoint's device is there, or its sandbox.
    pub fn lives(&mut self, endpoint: &Endpoint) -> Result<bool, Error> {
        Ok(!self.is_dead(endpoint)?)
    }

    /// The MAC of a network's bridge.
    pub fn bridge_mac(&mut self, name: &NetworkName) -> Result<Mac, Error> {
        let missing = || Error::NoNetwork { name: name.clone(), known: Vec::new() };
        let network = self.store.network(name)?.ok_or_else(missing)?;
        if network.bridge_mode == BridgeMode::Managed {
            return Ok(network.bridge_mac);
        }
        let seen = self.kernel.link(&Place::Host, network.bridge.as_str()).map_err(Error::kernel("bridge"))?;
        Ok(seen.and_then(|seen| seen.mac).unwrap_or(network.bridge_mac))
    }

    /// What is wrong with one endpoint.
    pub fn check_called(&mut self, network: &NetworkName, called: &str) -> Result<Vec<Problem>, Error> {
        let _host = self.store.lock_host(Mode::Shared)?;
        let endpoint = self.endpoint_called(network, called)?;
        let (Some(endpoint), Some(network)) = (endpoint, self.store.network(network)?) else {
            let missing = Error::NotConnected { network: network.clone(), sandbox: called.to_owned() };
            return Err(missing);
        };
        let mut problems: Vec<Problem> = self.check_firewall()?.into_iter().collect();
        for a in &endpoint.addresses {
            let address = a.address.addr();
            if self.store.lease_owner(&network.name, address)?.as_ref() != Some(&endpoint.key()) {
                problems.push(Problem::unleased(&endpoint, address));
            }
        }
        let endpoints = self.store.endpoints_on(&network.name)?;
        let facts = self.host_facts()?;
        let ops = self.network_ops(&facts, &network, &endpoints)?;
        problems.extend(self.differences(&mut Survey::narrow(), &format!("network {}", network.name), &ops)?);
        problems.extend(self.check_endpoint(&network, &endpoint)?);
        Ok(problems)
    }

    /// Publishes ports that the program may hold itself; none at all when others of the sandbox's endpoints have them.
    pub fn publish_called(
        &mut self,
        network: &NetworkName,
        called: &str,
        wishes: &[PortWish],
        source: PortSource,
    ) -> Result<(), Error> {
        let held_by_caller = |endpoint: &mut Endpoint| {
            endpoint.traits.port_holder = PortHolder::Caller;
            if endpoint.ports.is_empty() {
                endpoint.traits.port_source = source;
            }
        };
        let sandbox = SandboxRef::Called(called.to_owned());
        if !wishes.is_empty() {
            return self.publish_with(network, &sandbox, wishes, Act::Apply, &held_by_caller).map(drop);
        }
        // It is only written down: they lead to the sandbox by another of its networks.
        let _host = self.store.lock_host(Mode::Shared)?;
        self.recover_first(Act::Apply)?;
        let missing = || Error::NotConnected { network: network.clone(), sandbox: called.to_owned() };
        let found = self.endpoint_called(network, called)?.ok_or_else(missing)?;
        let _sandbox = self.store.lock_sandbox(found.sandbox.cookie)?;
        let mut endpoint = self.store.endpoint(&found.key())?.ok_or_else(missing)?;
        held_by_caller(&mut endpoint);
        Ok(self.store.update_endpoint(&endpoint)?)
    }

    /// Takes all published ports of an endpoint back. What the kernel remembers of their connections is left to the
    /// detached child.
    /// Of those that are named also what a killed command has claimed and not come to publish is given back.
    pub fn unpublish_called(&mut self, network: &NetworkName, called: &str, wishes: &[PortWish]) -> Result<(), Error> {
        let _host = self.store.lock_host(Mode::Shared)?;
        self.recover_first(Act::Apply)?;
        let Some(found) = self.endpoint_called(network, called)? else { return Ok(()) };
        let _sandbox = self.store.lock_sandbox(found.sandbox.cookie)?;
        let Some(endpoint) = self.store.endpoint(&found.key())? else { return Ok(()) };
        if endpoint.ports.is_empty() {
            return self.release_claimed(&endpoint, wishes);
        }
        let hairpin = self.store.network(network)?.map(|n| n.hairpin).unwrap_or_default();
        let mut plan = unpublish(&endpoint, &[], &endpoint.ports, hairpin);
        let (later, now) = std::mem::take(&mut plan.ops).into_iter().partition(|op| matches!(op.what, What::Forget(_)));
        plan.ops = now;
        if self.host_end(&endpoint)?.is_none() {
            plan.ops.retain(Op::is_nft);
        }
        self.take_down(&format!("network {network}: unpublish for {called}"), &plan, zubi_kernel::Deletions::Now)?;
        self.forgotten = Some((network.clone(), Plan { ops: later }));
        let mut after = endpoint.clone();
        after.ports.clear();
        self.store.update_endpoint(&after)?;
        let held = self.hold_ports()?;
        self.release_ports(&endpoint, &endpoint.ports, &held)
    }

    /// Says who reaches a network that is described with every call.
    pub fn police(&mut self, name: &NetworkName, ingress: Ingress, icc: Option<Icc>) -> Result<(), Error> {
        let wanted = |old: &Network| Network { ingress, icc: icc.unwrap_or(old.icc), ..old.clone() };
        match self.store.network(name)? {
            None => return Ok(()),
            Some(old) if wanted(&old) == old => return Ok(()),
            Some(_) => {}
        }
        let host = self.store.lock_host(Mode::Exclusive)?;
        self.recover_first(Act::Apply)?;
        self.recover_networks().but(name)?;
        let Some(old) = self.store.network(name)? else { return Ok(()) };
        let new = wanted(&old);
        let plan = self.plan_change(&old, &new)?;
        if new == old {
            return Ok(());
        }
        let draft = self.store.draft_network(&new)?;
        let unsynced = self.apply_set(&old, draft, &plan)?;
        drop(host);
        self.sync_set(&old, &new, unsynced)
    }

    /// Changes something inside a sandbox, or nothing of it.
    pub fn change_inside(&mut self, sandbox: &SandboxRef, ops: Vec<What>, why: &'static str) -> Result<Plan, Error> {
        let resolved = self.resolve(sandbox)?;
        let plan: Plan = ops.into_iter().map(|what| Op::sandbox(&resolved.reached_by, what, why)).collect();
        self.apply(&format!("sandbox {}", resolved.spelled), &plan)?;
        Ok(plan)
    }

    /// What of it is not as it would be after [`Engine::change_inside`], in words.
    pub fn compare_inside(&mut self, sandbox: &SandboxRef, ops: Vec<What>) -> Result<Vec<Problem>, Error> {
        let resolved = self.resolve(sandbox)?;
        let ops: Vec<Op> = ops.into_iter().map(|what| Op::sandbox(&resolved.reached_by, what, "")).collect();
        self.differences(&mut Survey::narrow(), &format!("sandbox {}", resolved.spelled), &ops)
    }

    /// A device inside a sandbox.
    pub fn device_inside(&mut self, sandbox: &SandboxRef, ifname: &IfName) -> Result<Option<LinkSeen>, Error> {
        let resolved = self.resolve(sandbox)?;
        let place = Place::Sandbox(resolved.reached_by);
        self.kernel.link(&place, ifname.as_str()).map_err(Error::kernel(format!("sandbox {}", resolved.spelled)))
    }

    /// Waits until an endpoint's addresses can be used: those of IPv6 are looked for among the neighbours before, where
    /// that was wished.
    pub fn await_addresses(&mut self, endpoint: &Endpoint) -> Result<(), Error> {
        let object = || format!("sandbox {}", endpoint.sandbox.spelled);
        let place = Place::Sandbox(endpoint.sandbox.reached_by.clone());
        let since = Instant::now();
        loop {
            let device = self.kernel.link(&place, endpoint.ifname.as_str()).map_err(Error::kernel(object()))?;
            let all = self.kernel.addresses(&place, device.map(|d| d.index)).map_err(Error::kernel(object()))?;
            let mut own = all.iter().filter(|seen| endpoint.addresses.iter().any(|a| a.address == seen.address));
            if let Some(seen) = own.clone().find(|seen| seen.uniqueness == Uniqueness::Duplicate) {
                let address = seen.address.addr();
                let owner = "a neighbour that answers for it".into();
                return Err(Error::AddressTaken { network: endpoint.network.clone(), address, owner });
            }
            // As long as the reference waits; what comes later is the device's.
            if own.all(|seen| seen.uniqueness == Uniqueness::Known) || since.elapsed() > Duration::from_secs(5) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Gives the inner end of an endpoint another MAC.
    pub fn change_mac_called(&mut self, network: &NetworkName, called: &str, mac: Mac) -> Result<(), Error> {
        let _host = self.store.lock_host(Mode::Shared)?;
        self.recover_first(Act::Apply)?;
        let missing = || Error::NotConnected { network: network.clone(), sandbox: called.to_owned() };
        let found = self.endpoint_called(network, called)?.ok_or_else(missing)?;
        let _sandbox = self.store.lock_sandbox(found.sandbox.cookie)?;
        let endpoint = self.store.endpoint(&found.key())?.ok_or_else(missing)?;
        if endpoint.mac == mac {
            return Ok(());
        }
        if let Some(owner) = self.store.mac_owner(network, mac)?
            && owner != endpoint.key()
        {
            self.bury_if_dead(&owner, Act::Apply)?;
        }
        let _leases = self.store.lock_leases(network)?;
        if let Claim::Taken { owner } = self.store.claim_mac(network, mac, &endpoint.key())? {
            let owner = self.owner_name(&owner)?;
            return Err(Error::MacTaken { network: network.clone(), mac, owner });
        }
        let mut after = endpoint.clone();
        after.mac = mac;
        let plan = zubi_plan::endpoint::change_mac(&endpoint, &after);
        // Whoever is killed in between leaves a device with the one or the other.
        self.store.update_endpoint(&Endpoint { next_mac: Some(mac), ..endpoint.clone() })?;
        let object = format!("network {network}: MAC of {called}");
        let mut done = self.apply(&object, &plan);
        let is_changed = done.is_ok();
        if is_changed {
            done = self.store.update_endpoint(&after).map_err(Error::from);
        }
        if let Err(error) = done {
            return Err(error.after_undo(Fault::muted(|| {
                if is_changed {
                    self.apply(&object, &zubi_plan::endpoint::change_mac(&after, &endpoint))?;
                }
                self.store.update_endpoint(&endpoint)?;
                Ok(self.store.release_mac(network, mac, &endpoint.key())?)
            })));
        }
        Ok(self.store.release_mac(network, endpoint.mac, &endpoint.key())?)
    }

    /// Whether each set of pools has a free address for an endpoint of a network.
    pub fn has_room(&mut self, network: &NetworkName, sets: &[Vec<Pool>]) -> Result<(), Error> {
        match self.free_of_each(network, sets) {
            Err(Error::Exhausted { .. }) => {}
            other => return other,
        }
        // As whoever attaches would do.
        let _host = self.store.lock_host(Mode::Shared)?;
        self.bury_dead(Some(network))?;
        self.free_of_each(network, sets)
    }

    fn free_of_each(&self, network: &NetworkName, sets: &[Vec<Pool>]) -> Result<(), Error> {
        for set in sets {
            let mut trouble = None;
            let mut is_taken = |address| {
                let leased = self.store.is_leased(network, address);
                let taken = leased.and_then(|leased| Ok(leased || self.store.is_reserved(network, address)?));
                taken.unwrap_or_else(|e| {
                    trouble = Some(e);
                    true
                })
            };
            let next = next_of_pools(set, None, &mut is_taken);
            if let Some(e) = trouble {
                return Err(e.into());
            }
            next.map_err(|error| Error::Exhausted { network: network.clone(), error })?;
        }
        Ok(())
    }

    /// Publishes the ports of an endpoint that has gone by the next one of its sandbox that can have them, and that is one of
    /// `takers`.
    pub fn hand_over_ports(&mut self, from: &Endpoint, takers: &dyn Fn(&Endpoint) -> bool) -> Result<(), Error> {
        for next in self.siblings(from)? {
            let Some(network) = self.store.network(&next.network)? else { continue };
            let closed = network.scope == Scope::Internal || network.bridge_mode == BridgeMode::Unmanaged;
            if closed || next.addresses.is_empty() || !takers(&next) || !self.lives(&next)? {
                continue;
            }
            let families = next.families();
            let fits = |wish: &PortWish| match wish.host {
                HostAddress::Every => true,
                HostAddress::One(address) => families.contains(&Family::of(address)),
            };
            let ports: Vec<PortWish> = from.ports.iter().map(|port| PortWish::from(*port)).filter(fits).collect();
            if ports.is_empty() {
                continue;
            }
            return self.publish_called(&next.network, &next.sandbox.spelled, &ports, next.traits.port_source);
        }
        Ok(())
    }
}
