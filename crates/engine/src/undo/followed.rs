//! The end of following a sandbox: its record goes, and its addresses are free.

use crate::error::Error;
use crate::report::Act;
use crate::session::Session;
use crate::steps::claim::user_of;
use zubi_model::{Endpoint, EndpointId, Followed, NetworkName, SandboxRef};
use zubi_store::{ExclusiveHost, HostLock};

/// The sandbox is not followed any more. Its reservation is released by [`release`], when its endpoint is gone.
pub(crate) fn unfollow(
    session: &Session,
    host: &HostLock,
    network: &NetworkName,
    spelled: &str,
) -> Result<Option<Followed>, Error> {
    let followed = session.store().followed(network, spelled)?;
    if followed.is_some() {
        session.store().remove_followed(host, network, spelled)?;
    }
    Ok(followed)
}

/// Releases the addresses that were kept for a sandbox.
pub(crate) fn release(session: &mut Session, host: &HostLock, followed: &Followed) -> Result<(), Error> {
    let Endpoint { network, network_id, .. } = &followed.endpoint;
    unreserve(session, host, network, &Followed::id(network_id, followed.sandbox()))
}

/// Releases reservations of attaches that were killed before they wrote that their sandbox is followed.
pub(crate) fn release_abandoned(session: &mut Session, host: &ExclusiveHost, act: Act) -> Result<Vec<String>, Error> {
    let followed = session.store().all_followed_lossy().0;
    let mut done = Vec::new();
    for reservation in session.store().all_reservations_lossy().0 {
        let (Some(sandbox), Some(id)) = (&reservation.kept_for, &reservation.id) else { continue };
        let id_of = |one: &Followed| Followed::id(&one.endpoint.network_id, one.sandbox());
        if followed.iter().any(|one| id_of(one) == *id) || user_of(session, &reservation.network, id)?.is_some() {
            continue;
        }
        if act == Act::Apply {
            unreserve(session, host, &reservation.network, id)?;
        }
        done.push(format!("reservation for {sandbox} on network {} (nobody follows it)", reservation.network));
    }
    Ok(done)
}

/// Stops following the containers that were deleted: nobody starts them again. A runtime that does not answer says
/// nothing about its containers.
pub(crate) fn forget_deleted(
    session: &mut Session,
    host: &HostLock,
    network: Option<&NetworkName>,
    act: Act,
) -> Result<Vec<String>, Error> {
    let mut done = Vec::new();
    for followed in session.store().all_followed_lossy().0 {
        let of_network = &followed.endpoint.network;
        if network.is_some_and(|network| network != of_network) || !is_deleted(session, followed.sandbox()) {
            continue;
        }
        if act == Act::Apply {
            unfollow(session, host, of_network, followed.sandbox())?;
            release(session, host, &followed)?;
        }
        done.push(format!("{} on network {of_network} (the container was deleted)", followed.sandbox()));
    }
    Ok(done)
}

fn is_deleted(session: &Session, spelled: &str) -> bool {
    match spelled.parse() {
        Ok(SandboxRef::Docker(name)) => matches!(session.runtimes().docker(&name), Ok(None)),
        Ok(SandboxRef::Podman(name)) => matches!(session.runtimes().podman(&name), Ok(None)),
        _ => false,
    }
}

/// Releases a reservation, unless an endpoint has it.
pub(crate) fn unreserve(
    session: &mut Session,
    host: &HostLock,
    network: &NetworkName,
    id: &EndpointId,
) -> Result<(), Error> {
    let owner = id.reservation_owner();
    if session.store().reservation(network, &owner)?.is_none() || user_of(session, network, id)?.is_some() {
        return Ok(());
    }
    let leases = session.store().lock_leases(host, network)?;
    Ok(session.store().unreserve(&leases, &owner)?)
}
