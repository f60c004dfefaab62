//! Removes an endpoint, whatever state it is in.

use crate::error::Error;
use crate::fault::Fault;
use crate::look::default_route::heirs_of;
use crate::look::device::{device, waits_here};
use crate::look::moved::moved_now;
use crate::look::pair::taken_now;
use crate::look::sandbox::way_in;
use crate::port_claims::claims;
use crate::report::{Act, Report};
use crate::session::Session;
use crate::steps::apply::take_down;
use crate::steps::claim::{release, reservation_user};
use crate::steps::name_files;
use crate::undo::lease::release_lease;
use std::io::ErrorKind;
use zubi_kernel::Deletions;
use zubi_model::{Endpoint, EndpointKey, NsRef};
use zubi_plan::default_route::Heirs;
use zubi_plan::driver::{self, Remains};
use zubi_plan::{Place, Plan, Presence, What};
use zubi_store::{HostLock, LeaseOwner, SandboxLock, StoreError};

/// Undoes a failed attach. The kernel part was rolled back, or it was finished and the record could not be written: in
/// both cases the record says what to remove.
pub(crate) fn undo_attach(session: &mut Session, host: &HostLock, endpoint: &Endpoint) -> Result<(), Error> {
    let way = endpoint.sandbox.reached_by.clone();
    // The record of a lease comes before the claim of its address: where that failed, the record alone has the address.
    let recorded = session.store().pending_endpoint(&endpoint.key())?.filter(|recorded| recorded.dhcp.is_some());
    let mut leases = None;
    let endpoint = &match recorded {
        Some(recorded) => {
            leases = Some(session.store().lock_leases(host, &recorded.network)?);
            Endpoint { ports: endpoint.ports.clone(), ..without_claims_of_others(session, &recorded)? }
        }
        None => endpoint.clone(),
    };
    if endpoint.lease().is_some() {
        // Without the address it is another endpoint's lease by now.
        release_lease(session, endpoint, Some(&way));
    }
    session.store().resume_attach(&endpoint.key())?;
    remove_endpoint(session, host, endpoint, Some(&way))?;
    drop(leases);
    Ok(())
}

/// The outcome of a detach.
#[derive(Debug, Clone)]
pub enum Detached {
    /// This endpoint was removed.
    Gone(Box<Endpoint>),
    /// The sandbox was not there, and gets no endpoint when it comes back.
    Awaited,
    /// There was no endpoint.
    WasNotAttached,
}

/// Releases a sandbox's lock. Its file is deleted with the last endpoint: every container has another number, so the
/// files would pile up.
pub(crate) fn release_sandbox(session: &Session, lock: SandboxLock) -> Result<(), Error> {
    // A record that cannot be read counts as an endpoint.
    if session.store().endpoints_of(lock.cookie()).is_ok_and(|all| all.is_empty()) {
        session.store().remove_sandbox_lock(lock)?;
    }
    Ok(())
}

/// Detaches an endpoint. The caller holds the host's and the sandbox's lock.
pub(crate) fn detach_locked(
    session: &mut Session,
    host: &HostLock,
    key: &EndpointKey,
    via: Option<&NsRef>,
    act: Act,
) -> Result<Report<Detached>, Error> {
    // Another command may have detached the endpoint while this one waited for the lock.
    let mut leases = None;
    let endpoint = match session.store().endpoint(key)? {
        Some(endpoint) => endpoint,
        None => match session.store().pending_endpoint(key)? {
            Some(leftover) => {
                // The killed command may have released an address that another endpoint has now.
                leases = Some(session.store().lock_leases(host, &key.network)?);
                without_claims_of_others(session, &leftover)?
            }
            None => return Ok(Report { plan: Plan::new(), value: Detached::WasNotAttached }),
        },
    };
    let plan = plan_detach(session, &endpoint, via)?;
    if act == Act::Apply {
        if endpoint.dhcp.is_some() {
            let way = way_in(session, &endpoint, via)?;
            release_lease(session, &endpoint, way.as_ref());
        }
        apply_detach(session, host, &endpoint, &plan)?;
    }
    drop(leases);
    Ok(Report { plan, value: Detached::Gone(Box::new(endpoint)) })
}

/// The plan that removes the existing parts of an endpoint. A pair that it was about to take over is given back.
pub(crate) fn plan_detach(session: &mut Session, endpoint: &Endpoint, via: Option<&NsRef>) -> Result<Plan, Error> {
    if let Some(taken) = session.store().taken(&endpoint.key())? {
        let way = way_in(session, endpoint, via)?;
        let now = taken_now(session, &taken, way.as_ref())?;
        return Ok(driver::give_back(endpoint, &taken, &now));
    }
    let mut home = Plan::new();
    if let Some(moved) = endpoint.device.moved() {
        let now = moved_now(session, endpoint, moved, via)?;
        home = now.map(|now| driver::bring_home(moved, &now)).unwrap_or_default();
    }
    let found = device(session, endpoint, via)?;
    let host_end = driver::recognise_host_end(endpoint, found.as_ref());
    if endpoint.device.parent().is_some() && waits_here(session, endpoint)? {
        return Ok(driver::withdraw(endpoint));
    }
    let inside = way_in(session, endpoint, via)?;
    let mut remains = Remains {
        host_end,
        inside,
        inner_end: Presence::Gone,
        doomed_end: Presence::Gone,
        successors: Vec::new(),
        restored: Vec::new(),
    };
    if endpoint.device.parent().is_some() {
        // It is deleted whatever its name is by now.
        remains.inner_end = if found.is_some() { Presence::Ours } else { Presence::Gone };
    }
    if let Some(way) = remains.inside.clone() {
        let place = Place::Sandbox(way.clone());
        let object = || Error::kernel(format!("sandbox {}", endpoint.sandbox.spelled));
        if endpoint.device.parent().is_none() {
            let seen = session.kernel.link(&place, endpoint.ifname.as_str()).map_err(object())?;
            remains.inner_end = driver::recognise_inner_end(endpoint, seen.as_ref());
        }
        if !remains.inner_end.is_ours()
            && let Some(name) = driver::doomed_name(endpoint)
        {
            let seen = session.kernel.link(&place, name.as_str()).map_err(object())?;
            remains.doomed_end = driver::recognise_inner_end(endpoint, seen.as_ref());
        }
        Heirs { restored: remains.restored, successors: remains.successors } = heirs_of(session, endpoint, &way)?;
    }
    let mut plan = home;
    plan.append(driver::detach(endpoint, &remains));
    for op in &mut plan.ops {
        if let (What::DeleteLink(device), Some(found)) = (&mut op.what, &found) {
            // Another program may have changed the MAC, and inside the name too: name the device as it is.
            device.mac = found.mac;
            device.name = found.name.parse().unwrap_or_else(|_| device.name.clone());
        }
    }
    plan.append(name_files::of_gone(session, endpoint)?);
    Ok(plan)
}

/// Marks the record, removes the kernel part, frees the leases. The mark stays if this fails, and gc tries again.
fn apply_detach(session: &mut Session, host: &HostLock, endpoint: &Endpoint, plan: &Plan) -> Result<(), Error> {
    session.slow.attaching = false;
    let key = endpoint.key();
    if session.store().endpoint(&key)?.is_some() {
        session.store().begin_detach(&key)?;
    }
    let mut deletions = Deletions::Later;
    let deletion = plan.ops.iter().find_map(|op| match &op.what {
        What::DeleteLink(device) => Some((device, &op.place)),
        _ => None,
    });
    if matches!(deletion, Some((_, Place::Sandbox(_)))) || endpoint.device.parent().is_some() {
        // No later command would look for it there.
        deletions = Deletions::Now;
    } else if let Some((pair, _)) = deletion {
        let mac = pair.mac.unwrap_or_else(|| endpoint.host_mac());
        match session.store().add_doomed(&pair.name, mac) {
            // The disk is full: the deletion cannot be recorded for later, so it happens now.
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::StorageFull => {
                deletions = Deletions::Now;
            }
            written => written?,
        }
    }
    let object = format!("network {}: disconnect {}", endpoint.network, endpoint.sandbox.spelled);
    take_down(session, &object, plan, deletions)?;
    release(session, host, endpoint)
}

/// Removes an endpoint, whatever state it is in. The caller holds the host's and the sandbox's lock.
pub(crate) fn remove_endpoint(
    session: &mut Session,
    host: &HostLock,
    endpoint: &Endpoint,
    via: Option<&NsRef>,
) -> Result<(), Error> {
    Fault::muted(|| {
        let endpoint = without_claims_of_others(session, endpoint)?;
        let plan = plan_detach(session, &endpoint, via)?;
        apply_detach(session, host, &endpoint, &plan)
    })
}

/// The endpoint without the addresses and ports that others have. An attach writes its record before it claims: if it
/// is killed in between, the record names addresses and ports that others could take since. Their firewall elements
/// have the same keys, so they must not be deleted.
fn without_claims_of_others(session: &Session, endpoint: &Endpoint) -> Result<Endpoint, Error> {
    let mut own = endpoint.clone();
    own.addresses.clear();
    for a in &endpoint.addresses {
        let owner = session.store().lease_owner(&endpoint.network, a.address.addr())?;
        let is_own = match owner {
            None => true,
            // Asked only here: it reads every record of the network.
            Some(owner @ LeaseOwner::Reservation(_)) => {
                owner.is_of(endpoint) && reservation_user(session, endpoint)?.is_none()
            }
            Some(owner) => owner.is_of(endpoint),
        };
        own.addresses.extend(is_own.then_some(*a));
    }
    own.ports.clear();
    for port in &endpoint.ports {
        let mut free = true;
        for claim in claims(endpoint, &[*port]) {
            free &= session.store().ports_in_the_way(&claim)?.is_empty();
        }
        own.ports.extend(free.then_some(*port));
    }
    Ok(own)
}
