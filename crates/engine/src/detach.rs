//! Detach: from the record alone. The namespace may be gone, the caller may have lost every detail.

use crate::engine::{Act, Engine, Report};
use crate::error::Error;
use crate::fault::Fault;
use crate::publish::claims;
use crate::resolve::Resolved;
use std::io::ErrorKind;
use std::net::IpAddr;
use zubi_kernel::{Deletions, Survey};
use zubi_model::{Endpoint, EndpointKey, Family, NetnsCookie, NetworkName, NsRef, SandboxIdentity, SandboxRef};
use zubi_plan::endpoint::{Presence, Remains, default_families, detach, doomed_name};
use zubi_plan::{Place, Plan, What};
use zubi_store::{Lock, Mode, StoreError};
use zubi_wire::route::LinkSeen;

/// What a detach found.
#[derive(Debug, Clone)]
pub enum Detached {
    /// This endpoint is gone now.
    Gone(Box<Endpoint>),
    /// There was none.
    WasNotAttached,
}

impl Engine {
    /// Detaches a sandbox from a network. What is gone already is a success.
    pub fn detach(&mut self, network: &NetworkName, sandbox: &SandboxRef, act: Act) -> Result<Report<Detached>, Error> {
        let found = self.locate_endpoint(sandbox)?;
        let _host = self.store.lock_host(Mode::Shared)?;
        self.recover_first(act)?;
        let Some((key, via)) = self.find_endpoint(network, sandbox, found)? else {
            return Ok(Report { plan: Plan::new(), value: Detached::WasNotAttached });
        };
        let lock = self.store.lock_sandbox(key.cookie)?;
        let report = self.detach_locked(&key, via.as_ref(), act)?;
        self.release_sandbox(key.cookie, lock)?;
        Ok(report)
    }

    /// Releases a sandbox's lock. With its last endpoint the file goes: every container has another number, and they
    /// would add up.
    pub(crate) fn release_sandbox(&self, cookie: NetnsCookie, lock: Lock) -> Result<(), Error> {
        // A record that cannot be read is one.
        if self.store.endpoints_of(cookie).is_ok_and(|all| all.is_empty()) {
            self.store.remove_sandbox_lock(cookie, lock)?;
        }
        Ok(())
    }

    /// The caller holds the host's and the sandbox's lock.
    pub(crate) fn detach_locked(
        &mut self,
        key: &EndpointKey,
        via: Option<&NsRef>,
        act: Act,
    ) -> Result<Report<Detached>, Error> {
        // It may have gone while we waited for the lock.
        let mut leases = None;
        let endpoint = match self.store.endpoint(key)? {
            Some(endpoint) => endpoint,
            None => match self.store.pending_endpoint(key)? {
                Some(leftover) => {
                    // A command that was killed may have given an address back that is another endpoint's by now.
                    leases = Some(self.hold_leases(&key.network)?);
                    self.without_what_is_others(&leftover)?
                }
                None => return Ok(Report { plan: Plan::new(), value: Detached::WasNotAttached }),
            },
        };
        let plan = self.plan_detach(&endpoint, via)?;
        if act == Act::Apply {
            self.apply_detach(&endpoint, &plan)?;
        }
        drop(leases);
        Ok(Report { plan, value: Detached::Gone(Box::new(endpoint)) })
    }

    /// The sandbox, unless it is gone. To be asked before any lock is taken: a runtime may take seconds to answer.
    pub(crate) fn locate_endpoint(&mut self, sandbox: &SandboxRef) -> Result<Option<Resolved>, Error> {
        match self.resolve(sandbox) {
            Ok(resolved) => Ok(Some(resolved)),
            Err(e) if matches!(e.class(), crate::Class::NotFound) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// By the namespace if there is one, else by the name it had when it was attached.
    pub(crate) fn find_endpoint(
        &self,
        network: &NetworkName,
        sandbox: &SandboxRef,
        found: Option<Resolved>,
    ) -> Result<Option<(EndpointKey, Option<NsRef>)>, Error> {
        let key = |cookie| EndpointKey { cookie, network: network.clone() };
        let spelled = match found {
            Some(resolved) => {
                let key = key(resolved.cookie);
                if self.store.endpoint(&key)?.is_some() || self.store.pending_endpoint(&key)?.is_some() {
                    return Ok(Some((key, Some(resolved.reached_by))));
                }
                resolved.spelled
            }
            None => sandbox.to_string(),
        };
        let mut names = vec![spelled];
        if let SandboxRef::Name(name) = sandbox {
            names.extend(["docker", "podman", "containerd"].map(|runtime| format!("{runtime}:{name}")));
        }
        for name in names {
            if let Some(cookie) = self.store.cookie_of_name(network, &name)? {
                return Ok(Some((key(cookie), None)));
            }
        }
        Ok(None)
    }

    /// The host end, if it is there and ours.
    pub(crate) fn host_end(&mut self, endpoint: &Endpoint) -> Result<Option<LinkSeen>, Error> {
        self.host_end_in(&mut Survey::narrow(), endpoint)
    }

    /// The same, with what a survey has read.
    pub(crate) fn host_end_in(&mut self, survey: &mut Survey, endpoint: &Endpoint) -> Result<Option<LinkSeen>, Error> {
        let name = endpoint.host_device.as_str();
        let failed = Error::kernel(format!("device {name}"));
        let seen = self.kernel.surveyed_link(survey, &Place::Host, name).map_err(failed)?;
        Ok(seen.filter(|seen| is_host_end(endpoint, seen)))
    }

    /// A way into the endpoint's namespace, if it lives and is still the same. An error: nobody knows.
    pub(crate) fn way_in(&mut self, endpoint: &Endpoint, via: Option<&NsRef>) -> Result<Option<NsRef>, Error> {
        self.way_to(&endpoint.sandbox, via)
    }

    pub(crate) fn way_to(&mut self, sandbox: &SandboxIdentity, via: Option<&NsRef>) -> Result<Option<NsRef>, Error> {
        let recorded = sandbox.reached_by.clone();
        let mut unknown = None;
        for way in via.cloned().into_iter().chain([recorded]) {
            match self.kernel.open_sandbox(&way) {
                Ok(cookie) if cookie == sandbox.cookie => return Ok(Some(way)),
                Ok(_) | Err(zubi_kernel::Error::NotASandbox { .. }) => self.kernel.close_sandbox(&way),
                Err(e) => unknown = Some(e),
            }
        }
        match unknown {
            Some(source) => Err(Error::Kernel { object: format!("sandbox {}", sandbox.spelled), source }),
            None => Ok(None),
        }
    }

    pub(crate) fn plan_detach(&mut self, endpoint: &Endpoint, via: Option<&NsRef>) -> Result<Plan, Error> {
        let seen = self.host_end(endpoint)?;
        let mac = seen.as_ref().and_then(|seen| seen.mac);
        let host_end = if seen.is_some() { Presence::There } else { Presence::Gone };
        let inside = self.way_in(endpoint, via)?;
        let (mut inner_end, mut renamed_end, mut successors) = (Presence::Gone, Presence::Gone, Vec::new());
        if let Some(way) = &inside {
            let place = Place::Sandbox(way.clone());
            let object = || Error::kernel(format!("sandbox {}", endpoint.sandbox.spelled));
            let is_ours =
                |l: &LinkSeen| endpoint.macs().any(|mac| l.mac == Some(mac)) && l.kind.as_deref() == Some("veth");
            let seen = self.kernel.link(&place, endpoint.ifname.as_str()).map_err(object())?;
            if seen.as_ref().is_some_and(is_ours) {
                inner_end = Presence::There;
            } else if let Some(name) = doomed_name(endpoint)
                && self.kernel.link(&place, name.as_str()).map_err(object())?.as_ref().is_some_and(is_ours)
            {
                renamed_end = Presence::There;
            }
            successors = self.successors(endpoint, way)?;
        }
        let mut plan = detach(endpoint, &Remains { host_end, inside, inner_end, renamed_end, successors });
        for op in &mut plan.ops {
            if let What::DeleteLink(pair) = &mut op.what {
                // Somebody may have changed it; it is the one that was found.
                pair.mac = mac;
            }
        }
        Ok(plan)
    }

    /// Who gives the default route when this endpoint no longer does.
    fn successors(&mut self, endpoint: &Endpoint, way: &NsRef) -> Result<Vec<(Endpoint, Vec<Family>)>, Error> {
        let siblings = self.siblings(endpoint)?;
        if siblings.is_empty() {
            return Ok(Vec::new());
        }
        let of_both = siblings.iter().chain([endpoint]).flat_map(|e| &e.addresses);
        let gateways: Vec<IpAddr> = of_both.filter_map(|a| a.gateway).collect();
        let families: Vec<Family> = endpoint.addresses.iter().map(|a| Family::of(a.address.addr())).collect();
        // A default route that somebody else made stays.
        let foreign = self.foreign_defaults(way, &families, &gateways)?;
        let given = default_families(endpoint, &siblings, &foreign);
        let takes = |candidate: &Endpoint| {
            let others: Vec<Endpoint> = siblings.iter().filter(|e| e.network != candidate.network).cloned().collect();
            let mut families = default_families(candidate, &others, &[]);
            families.retain(|f| given.contains(f));
            (!families.is_empty()).then(|| (candidate.clone(), families))
        };
        Ok(siblings.iter().filter_map(takes).collect())
    }

    /// Marks the record, takes the kernel part down, frees the leases. What is left of a failure stays marked: gc
    /// comes back to it.
    fn apply_detach(&mut self, endpoint: &Endpoint, plan: &Plan) -> Result<(), Error> {
        self.has_attached = false;
        let key = endpoint.key();
        if self.store.endpoint(&key)?.is_some() {
            self.store.begin_detach(&key)?;
        }
        let mut deletions = Deletions::Later;
        let pair = plan.ops.iter().find_map(|op| match &op.what {
            What::DeleteLink(pair) => Some(pair),
            _ => None,
        });
        if let Some(pair) = pair {
            let mac = pair.mac.unwrap_or_else(|| endpoint.host_mac());
            match self.store.add_doomed(&endpoint.host_device, mac) {
                // Without room to write down what is to be deleted later, it is deleted now.
                Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::StorageFull => {
                    deletions = Deletions::Now;
                }
                written => written?,
            }
        }
        let object = format!("network {}: disconnect {}", endpoint.network, endpoint.sandbox.spelled);
        self.take_down(&object, plan, deletions)?;
        self.release(endpoint)
    }

    /// Takes an endpoint away whatever state it is in. The caller holds the host's and the sandbox's lock.
    pub(crate) fn bury(&mut self, endpoint: &Endpoint, via: Option<&NsRef>) -> Result<(), Error> {
        Fault::muted(|| {
            let endpoint = self.without_what_is_others(endpoint)?;
            let plan = self.plan_detach(&endpoint, via)?;
            self.apply_detach(&endpoint, &plan)
        })
    }

    /// The record comes before the claims: whoever was killed between them has named addresses and ports that others
    /// could take since. Their firewall elements have the same keys.
    fn without_what_is_others(&self, endpoint: &Endpoint) -> Result<Endpoint, Error> {
        let key = endpoint.key();
        let mut own = endpoint.clone();
        own.addresses.clear();
        for a in &endpoint.addresses {
            let owner = self.store.lease_owner(&endpoint.network, a.address.addr())?;
            own.addresses.extend(owner.is_none_or(|owner| owner == key).then_some(*a));
        }
        own.ports.clear();
        for port in &endpoint.ports {
            let mut free = true;
            for claim in claims(endpoint, &[*port]) {
                free &= self.store.ports_in_the_way(&claim)?.is_empty();
            }
            own.ports.extend(free.then_some(*port));
        }
        Ok(own)
    }
}

/// Whether a device of that name is the host end of an endpoint. Its name was chosen at random, so one of the two other
/// marks is enough: somebody may have changed the MAC or the group.
pub(crate) fn is_host_end(endpoint: &Endpoint, seen: &LinkSeen) -> bool {
    let has_mac = endpoint.macs().any(|mac| seen.mac == Some(mac.host_end()));
    seen.name == endpoint.host_device.as_str()
        && seen.kind.as_deref() == Some("veth")
        && (has_mac || seen.group.is_ours())
}
