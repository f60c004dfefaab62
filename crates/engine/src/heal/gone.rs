//! Endpoints and links whose sandbox is gone. A sandbox that cannot be examined does not count as gone.

use crate::error::Error;
use crate::look::clock::nanoseconds;
use crate::look::device::{device, leads_to_the_ended, waits_here};
use crate::look::link_ends::is_gone_link;
use crate::look::sandbox::way_in;
use crate::problem::describe;
use crate::report::Act;
use crate::session::Session;
use crate::undo::endpoint::{release_sandbox, remove_endpoint};
use crate::undo::link::{Locks, release_sandboxes, remove_link, try_lock_others};
use std::time::Duration;
use zubi_model::{DirectLink, Endpoint, EndpointKey, NetworkName};
use zubi_plan::Place;
use zubi_store::{HostLock, LeaseOwner};

/// A device that nobody has moved into its sandbox for so long has no sandbox: Docker takes a second.
const LONGEST_WAY: Duration = Duration::from_secs(120);

/// Whether an endpoint's device or its sandbox still exists.
pub(crate) fn is_alive(session: &mut Session, endpoint: &Endpoint) -> Result<bool, Error> {
    Ok(!is_gone(session, endpoint)?)
}

/// Whether an endpoint's sandbox is gone, and its device or the other end of that.
pub(crate) fn is_gone(session: &mut Session, endpoint: &Endpoint) -> Result<bool, Error> {
    if endpoint.handed_over.is_some() && waits_here(session, endpoint)? {
        return Ok(nanoseconds()?.saturating_sub(endpoint.attached_at) > LONGEST_WAY.as_nanos() as u64);
    }
    if let Some(found) = device(session, endpoint, None)?
        && (endpoint.host_device().is_none() || !leads_to_the_ended(session, &Place::Host, &found)?)
    {
        return Ok(false);
    }
    // An error on the way into the sandbox does not prove that it is gone.
    Ok(matches!(way_in(session, endpoint, None), Ok(None)))
}

pub(crate) fn all_gone(session: &mut Session, endpoints: &[Endpoint]) -> Result<bool, Error> {
    for endpoint in endpoints {
        if !is_gone(session, endpoint)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes the owner of a lease if its sandbox is gone, or the lease if its owner has no record. Returns whether the
/// lease is free now, or would be after a real run.
pub(crate) fn free_if_gone(session: &mut Session, host: &HostLock, key: &EndpointKey, act: Act) -> Result<bool, Error> {
    let Some(lock) = session.store().try_lock_sandbox(host, key.cookie)? else { return Ok(false) };
    let _leases = if act == Act::Apply { Some(session.store().lock_leases(host, &key.network)?) } else { None };
    let dead = match session.store().endpoint(key)? {
        Some(endpoint) if !is_gone(session, &endpoint)? => return Ok(false),
        Some(endpoint) => Some(endpoint),
        None => session.store().pending_endpoint(key)?,
    };
    match dead {
        _ if act == Act::Show => {}
        Some(endpoint) => remove_endpoint(session, host, &endpoint, None)?,
        None => drop(forget_orphans(session, &key.network, key)?),
    }
    release_sandbox(session, lock)?;
    Ok(true)
}

/// Releases the leases and MACs of an owner without a record.
pub(crate) fn forget_orphans(
    session: &mut Session,
    network: &NetworkName,
    key: &EndpointKey,
) -> Result<Vec<String>, Error> {
    let own = LeaseOwner::Endpoint(key.clone());
    let mut removed = Vec::new();
    for (address, owner) in session.store().leases_lossy(network).0 {
        if owner == own {
            session.store().release(network, address, &own)?;
            removed.push(format!("lease {address} on network {network}"));
        }
    }
    for (mac, owner) in session.store().macs_lossy(network).0 {
        if owner == own {
            session.store().release_mac(network, mac, &own)?;
        }
    }
    Ok(removed)
}

/// Removes endpoints whose sandbox is gone, of one network or of all.
pub(crate) fn remove_gone(
    session: &mut Session,
    host: &HostLock,
    network: Option<&NetworkName>,
) -> Result<Vec<String>, Error> {
    let mut done = Vec::new();
    let doing = session.begin();
    let all = session.store().all_endpoints_lossy().0;
    let number_of_all = all.len();
    for (number, endpoint) in all.into_iter().enumerate() {
        doing.step(|| format!("looking for sandboxes that are gone, {number} of {number_of_all} endpoints"));
        if network.is_some_and(|n| *n != endpoint.network) {
            continue;
        }
        if !is_gone(session, &endpoint)? {
            continue;
        }
        let cookie = endpoint.sandbox.cookie;
        let Some(lock) = session.store().try_lock_sandbox(host, cookie)? else { continue };
        // Read the record again under the lock: it may have been replaced or removed.
        match session.store().endpoint(&endpoint.key())? {
            Some(endpoint) if is_gone(session, &endpoint)? => {
                remove_endpoint(session, host, &endpoint, None)?;
                done.push(format!("{} (sandbox is gone)", describe(&endpoint)));
            }
            Some(_) => continue,
            None => {}
        }
        release_sandbox(session, lock)?;
    }
    Ok(done)
}

/// Removes a link if one of its sandboxes is gone. Returns whether it is gone now, or would be after a real run.
pub(crate) fn free_link_if_gone(
    session: &mut Session,
    host: &HostLock,
    link: &DirectLink,
    held: &Locks,
    act: Act,
) -> Result<bool, Error> {
    let Some(_locks) = try_lock_others(session, host, link, held)? else { return Ok(false) };
    let is_gone = is_gone_link(session, link)?;
    if is_gone && act == Act::Apply {
        remove_link(session, link)?;
    }
    Ok(is_gone)
}

/// Removes links whose sandbox is gone.
pub(crate) fn remove_gone_links(session: &mut Session, host: &HostLock) -> Result<Vec<String>, Error> {
    let mut done = Vec::new();
    for link in session.store().links_lossy().0 {
        let Some(locks) = try_lock_others(session, host, &link, &Locks::new())? else { continue };
        let Some(link) = session.store().link(&link.id)? else { continue };
        if is_gone_link(session, &link)? {
            remove_link(session, &link)?;
            release_sandboxes(session, locks)?;
            done.push(format!("link {link} (sandbox is gone)"));
        }
    }
    Ok(done)
}
