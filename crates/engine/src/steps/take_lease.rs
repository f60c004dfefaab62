//! Gives an endpoint what a DHCP lease says, or takes it away: records, addresses, routes.

use crate::decide::lease::fitted;
use crate::error::Error;
use crate::heal::gone::free_if_gone;
use crate::look::clock::now;
use crate::look::default_route::{gives_default_in, siblings};
use crate::look::host::addresses_on_card;
use crate::report::Act;
use crate::session::Session;
use crate::steps::apply::apply;
use crate::steps::claim::{lease_owner_name, leave_stale, remember_mac};
use ipnet::IpNet;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use zubi_model::{ByDhcp, DhcpLease, Endpoint, EndpointKey, Network, NsRef};
use zubi_plan::{Neighbours, Plan, Surroundings, driver, lease};
use zubi_snapshot::Snapshot;
use zubi_store::{Claim, HostLock, LeaseOwner};
use zubi_wire::route::AdminState;

/// Whether no other endpoint of this host has the address.
pub(crate) fn is_free(
    session: &mut Session,
    host: &HostLock,
    key: &EndpointKey,
    address: Ipv4Addr,
) -> Result<bool, Error> {
    let address = IpAddr::V4(address);
    let owner = match session.store().lease_owner(&key.network, address)? {
        None => return Ok(true),
        Some(LeaseOwner::Reservation(_)) => return Ok(false),
        Some(LeaseOwner::Endpoint(owner)) if owner == *key => return Ok(true),
        Some(LeaseOwner::Endpoint(owner)) => owner,
    };
    if free_if_gone(session, host, &owner, Act::Apply)? {
        return Ok(true);
    }
    // The server knows better than a record whose lease has ended, or that names another address by now.
    let Some(other) = session.store().endpoint(&owner)? else { return Ok(false) };
    let has = other.at(now()?).addresses.iter().any(|a| a.address.addr() == address);
    if !has {
        session.store().release(&key.network, address, &LeaseOwner::Endpoint(owner))?;
    }
    Ok(!has)
}

/// Where the record of an endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// Among those that are being attached.
    Pending,
    /// Among those that are attached.
    Attached,
}

/// Records what a lease says of an endpoint and changes the kernel. `before` is the endpoint as the kernel has it. The
/// caller holds the sandbox's lock.
///
/// The record comes first. A command that is killed behind it leaves an endpoint without its address, which `repair` or
/// the undo of the attach puts right.
pub(crate) fn take_lease(
    session: &mut Session,
    host: &HostLock,
    network: &Network,
    before: &Endpoint,
    way: &NsRef,
    dhcp: ByDhcp,
    recorded: Recorded,
) -> Result<Endpoint, Error> {
    let at = now()?;
    let dhcp = ByDhcp { lease: fitted(dhcp.lease, network), ..dhcp };
    let after = before.clone().with_lease(dhcp, at);
    match recorded {
        Recorded::Pending => session.store().update_pending(&after)?,
        Recorded::Attached => session.store().update_endpoint(&after)?,
    }
    let own = LeaseOwner::Endpoint(after.key());
    if let Some(lease) = after.lease() {
        claim_address(session, host, &after, lease, &own)?;
    }
    let moved_to =
        after.lease().map(|lease| lease.address).filter(|new| before.lease().is_none_or(|old| old.address != *new));
    let mut stale = Vec::new();
    let mut neighbours = Neighbours::AreRight;
    if let Some(address) = moved_to.map(|new| IpAddr::V4(new.addr())) {
        neighbours = Neighbours::MayBeWrong;
        stale.extend(session.store().is_stale(&network.name, address)?.then_some(address));
    }
    let had = drawn(session, network, before, way, Neighbours::AreRight, Vec::new())?;
    let plan = lease::change(&had, &drawn(session, network, &after, way, neighbours, stale.clone())?);
    if !plan.is_empty() {
        let object = format!("network {}: lease of {}", network.name, after.sandbox.spelled);
        apply(session, &object, &plan)?;
    }
    for address in stale {
        session.store().unmark_stale(&network.name, address)?;
    }
    if moved_to.is_some() {
        remember_mac(session, &after, neighbours)?;
    }
    // The kernel may have removed the address of a lease that ended; its claim is still there.
    let ended = before.dhcp.as_ref().map(|dhcp| IpNet::V4(dhcp.lease.address));
    let had: HashSet<IpNet> = before.addresses.iter().map(|a| a.address).chain(ended).collect();
    for old in had.into_iter().filter(|old| !after.addresses.iter().any(|a| a.address.addr() == old.addr())) {
        if session.store().lease_owner(&network.name, old.addr())?.as_ref() == Some(&own) {
            leave_stale(session, &network.name, old.addr())?;
            session.store().release(&network.name, old.addr(), &own)?;
        }
    }
    Ok(after)
}

fn claim_address(
    session: &mut Session,
    host: &HostLock,
    endpoint: &Endpoint,
    lease: &DhcpLease,
    own: &LeaseOwner,
) -> Result<(), Error> {
    let address = IpAddr::V4(lease.address.addr());
    let leases = session.store().lock_leases(host, &endpoint.network)?;
    match session.store().claim(&leases, address, own)? {
        Claim::Taken { owner } if owner != *own => {
            let owner = lease_owner_name(session, &owner)?;
            Err(Error::AddressTaken { network: endpoint.network.clone(), address, owner })
        }
        _ => Ok(()),
    }
}

/// The plan of an endpoint.
fn drawn(
    session: &mut Session,
    network: &Network,
    endpoint: &Endpoint,
    way: &NsRef,
    neighbours: Neighbours,
    stale: Vec<IpAddr>,
) -> Result<Plan, Error> {
    let mut endpoint = endpoint.clone();
    endpoint.sandbox.reached_by = way.clone();
    let siblings = siblings(session, &endpoint)?;
    let default_in = gives_default_in(session, &mut Snapshot::new(), &endpoint, &siblings, Some(way))?;
    let lifetime = match endpoint.lease() {
        Some(lease) => lease.left_at(now()?),
        None => zubi_model::Lifetime::default(),
    };
    let of_host = addresses_on_card(session, network)?;
    let loopback = AdminState::Up;
    let instance = session.instance();
    let displaced = Vec::new();
    let around =
        Surroundings { loopback, default_in, displaced, stale, of_host, neighbours, lifetime, taken: None, instance };
    Ok(driver::attach(network, &endpoint, &around))
}
