//! Claims and releases the parts of an endpoint in the store: record, addresses, MAC, ports, name.

use crate::decide::address::Cursor;
use crate::error::{Error, unknown_owner};
use crate::fault::Fault;
use crate::port_claims::claims;
use crate::session::Session;
use std::io::ErrorKind;
use std::net::IpAddr;
use zubi_model::{
    Endpoint, EndpointAddress, EndpointId, EndpointKey, Mac, Network, NetworkName, PublishedPort, Reservation,
};
use zubi_plan::{Neighbours, Taken};
use zubi_store::{HostLock, LeaseOwner, LeasesLock, PortClaim, PortsLock, Reserved, StoreError};

/// What is claimed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claimed<'a> {
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) cursors: &'a [Cursor],
    /// The pair that the endpoint takes over.
    pub(crate) taken: Option<&'a Taken>,
}

/// Claims again what a recorded endpoint had. Fails if another endpoint has some of it.
pub(crate) fn claim_again(
    session: &mut Session,
    host: &HostLock,
    network: &Network,
    endpoint: &Endpoint,
) -> Result<(), Error> {
    let leases = session.store().lock_leases(host, &network.name)?;
    let ports = if endpoint.ports.is_empty() { None } else { Some(session.store().lock_ports(host)?) };
    claim(session, &leases, network, Claimed { endpoint, cursors: &[], taken: None }, ports.as_ref())
}

/// Writes the record, then claims the leases and ports in it. If one of them is taken, everything is released again.
/// The caller holds the lock of the leases, and the lock of the ports if there are any.
pub(crate) fn claim(
    session: &mut Session,
    leases: &LeasesLock,
    network: &Network,
    claimed: Claimed<'_>,
    ports: Option<&PortsLock>,
) -> Result<(), Error> {
    let Claimed { endpoint, cursors, taken } = claimed;
    let own = LeaseOwner::Endpoint(endpoint.key());
    let claimed = (|| {
        session.store().begin_attach(endpoint, taken)?;
        for a in &endpoint.addresses {
            let address = a.address.addr();
            if let zubi_store::Claim::Taken { owner } = session.store().claim(leases, address, &own)?
                && !is_reserved_for(session, endpoint, &owner)?
            {
                let owner = lease_owner_name(session, &owner)?;
                return Err(Error::AddressTaken { network: network.name.clone(), address, owner });
            }
        }
        for mac in endpoint.claimed_macs() {
            if let zubi_store::Claim::Taken { owner } = session.store().claim_mac(leases, mac, &own)?
                && !is_reserved_for(session, endpoint, &owner)?
            {
                let owner = lease_owner_name(session, &owner)?;
                return Err(Error::MacTaken { network: network.name.clone(), mac, owner });
            }
        }
        if let Some(held) = ports {
            claim_ports(session, endpoint, &endpoint.ports, held)?;
        }
        for Cursor { set, address } in cursors {
            session.store().set_cursor(leases, *set, *address)?;
        }
        session.store().write_name(endpoint)?;
        Ok(())
    })();
    claimed.map_err(|e: Error| e.after_undo(Fault::muted(|| release_held(session, endpoint, ports))))
}

/// Whether a lease belongs to the endpoint's reservation. It stays the reservation's: when the endpoint is detached, it
/// is reserved as before. The caller holds the lock of the leases.
fn is_reserved_for(session: &Session, endpoint: &Endpoint, owner: &LeaseOwner) -> Result<bool, Error> {
    if !matches!(owner, LeaseOwner::Reservation(_)) || !owner.is_of(endpoint) {
        return Ok(false);
    }
    match reservation_user(session, endpoint)? {
        Some(user) => Err(reservation_in_use(user)),
        None => Ok(true),
    }
}

/// Another sandbox is attached by the reservation.
pub(crate) fn reservation_in_use(user: Endpoint) -> Error {
    Error::ReservationInUse { network: user.network, id: user.id, sandbox: user.sandbox.spelled }
}

/// Another endpoint with the same number: it uses the same reservation.
pub(crate) fn reservation_user(session: &Session, endpoint: &Endpoint) -> Result<Option<Endpoint>, Error> {
    let all = endpoints_with(session, &endpoint.network, &endpoint.id)?;
    Ok(all.into_iter().find(|other| other.key() != endpoint.key()))
}

/// The endpoint that is attached by a reservation, or half attached.
pub(crate) fn user_of(session: &Session, network: &NetworkName, id: &EndpointId) -> Result<Option<Endpoint>, Error> {
    let reservation = session.store().reservation(network, &id.reservation_owner())?;
    if let Some(spelled) = reservation.and_then(|reservation| reservation.kept_for) {
        // The name of the one that it is kept for leads to it, without a look at all endpoints of the network.
        let Some(cookie) = session.store().cookie_of_name(network, &spelled)? else { return Ok(None) };
        let key = EndpointKey { cookie, network: network.clone() };
        let found = match session.store().endpoint(&key)? {
            Some(attached) => Some(attached),
            None => session.store().pending_endpoint(&key)?,
        };
        return Ok(found.filter(|endpoint| endpoint.id == *id));
    }
    Ok(endpoints_with(session, network, id)?.into_iter().next())
}

fn endpoints_with(session: &Session, network: &NetworkName, id: &EndpointId) -> Result<Vec<Endpoint>, Error> {
    let mut all = session.store().endpoints_on(network)?;
    all.extend(session.store().pending()?.into_iter().filter_map(Result::ok).map(|pending| pending.endpoint));
    all.retain(|endpoint| endpoint.network == *network && endpoint.id == *id);
    Ok(all)
}

/// Reserves what was decided under the same lock.
pub(crate) fn reserve_all(
    session: &Session,
    leases: &LeasesLock,
    reservation: &Reservation,
    cursors: &[Cursor],
) -> Result<(), Error> {
    let network = &reservation.network;
    for Cursor { set, address } in cursors {
        session.store().set_cursor(leases, *set, *address)?;
    }
    match session.store().reserve(leases, reservation)? {
        Reserved::Done => Ok(()),
        Reserved::AddressTaken { address, owner } => {
            let owner = lease_owner_name(session, &owner)?;
            Err(Error::AddressTaken { network: network.clone(), address, owner })
        }
        Reserved::MacTaken { mac, owner } => {
            let owner = lease_owner_name(session, &owner)?;
            Err(Error::MacTaken { network: network.clone(), mac, owner })
        }
    }
}

/// Releases everything that an endpoint has in the store, its record last.
pub(crate) fn release(session: &mut Session, host: &HostLock, endpoint: &Endpoint) -> Result<(), Error> {
    let ports = if endpoint.ports.is_empty() { None } else { Some(session.store().lock_ports(host)?) };
    release_held(session, endpoint, ports.as_ref())
}

fn release_held(session: &mut Session, endpoint: &Endpoint, ports: Option<&PortsLock>) -> Result<(), Error> {
    let own = LeaseOwner::Endpoint(endpoint.key());
    if let Some(held) = ports {
        release_ports(session, endpoint, &endpoint.ports, held)?;
    }
    for a in &endpoint.addresses {
        leave_stale(session, &endpoint.network, a.address.addr())?;
        session.store().release(&endpoint.network, a.address.addr(), &own)?;
    }
    for mac in endpoint.claimed_macs() {
        session.store().release_mac(&endpoint.network, mac, &own)?;
    }
    session.store().remove_name(endpoint)?;
    session.store().finish_detach(&endpoint.key())?;
    Ok(())
}

/// Marks an address whose MAC is not the one made from it. Neighbours have learned that MAC, so the next endpoint with
/// this address must announce its own. Removes the mark after such an announcement.
pub(crate) fn remember_mac(session: &mut Session, endpoint: &Endpoint, neighbours: Neighbours) -> Result<(), Error> {
    let Some(first) = endpoint.addresses.first().map(|a| a.address.addr()) else { return Ok(()) };
    if !has_own_mac(endpoint) {
        session.store().mark_other_mac(&endpoint.network, first)?;
    } else if neighbours == Neighbours::MayBeWrong {
        session.store().unmark_other_mac(&endpoint.network, first)?;
    }
    Ok(())
}

/// Marks an address as stale: its next endpoint must not inherit the connections. If the disk is full, they are deleted
/// now.
pub(crate) fn leave_stale(session: &mut Session, network: &NetworkName, address: IpAddr) -> Result<(), Error> {
    match session.store().mark_stale(network, address) {
        Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::StorageFull => {
            let failed = || Error::kernel(format!("connections of {address}"));
            let flows = session.kernel.flows_of(&[address]).map_err(failed())?;
            session.kernel.forget(&flows).map_err(failed())
        }
        marked => Ok(marked?),
    }
}

/// How messages name the owner of a lease.
pub(crate) fn lease_owner_name(session: &Session, owner: &LeaseOwner) -> Result<String, Error> {
    match owner {
        LeaseOwner::Endpoint(key) => owner_name(session, key),
        LeaseOwner::Reservation(owner) => {
            let mut all = session.store().all_reservations_lossy().0.into_iter();
            let kept_for = all.find(|one| one.owner == *owner).and_then(|one| one.kept_for);
            Ok(kept_for
                .map_or_else(|| owner.clone(), |sandbox| format!("{sandbox}, which is stopped and may come back")))
        }
    }
}

/// How messages name an endpoint: by its sandbox.
pub(crate) fn owner_name(session: &Session, key: &EndpointKey) -> Result<String, Error> {
    let endpoint = match session.store().endpoint(key)? {
        Some(endpoint) => Some(endpoint),
        None => session.store().pending_endpoint(key)?,
    };
    Ok(endpoint.map_or_else(|| unknown_owner(key), |e| e.sandbox.spelled))
}

/// Whether the endpoint has the MAC by which neighbours know its first address: the one that is made from it, or that of
/// the card, which all endpoints of a network of ipvlans have, and an endpoint that is the card itself.
pub(crate) fn has_own_mac(endpoint: &Endpoint) -> bool {
    let is_made_from = |a: &EndpointAddress| endpoint.mac == Mac::from_address(a.address.addr());
    let is_of_card = endpoint.device.ipvlan().is_some() || endpoint.device.moved().is_some();
    is_of_card || endpoint.addresses.first().is_some_and(is_made_from)
}

pub(crate) fn is_recorded(session: &Session, claim: &PortClaim) -> bool {
    let publishes = |record: Result<Option<Endpoint>, StoreError>| match record {
        Ok(endpoint) => endpoint.is_some_and(|e| claims(&e, &e.ports).contains(claim)),
        // A record that cannot be read may have the claim.
        Err(_) => true,
    };
    publishes(session.store().endpoint(&claim.owner)) || publishes(session.store().pending_endpoint(&claim.owner))
}

pub(crate) fn claim_ports(
    session: &mut Session,
    endpoint: &Endpoint,
    ports: &[PublishedPort],
    held: &PortsLock,
) -> Result<(), Error> {
    for claim in claims(endpoint, ports) {
        session.store().claim_ports(held, &claim)?;
    }
    Ok(())
}

pub(crate) fn release_ports(
    session: &mut Session,
    endpoint: &Endpoint,
    ports: &[PublishedPort],
    held: &PortsLock,
) -> Result<(), Error> {
    for claim in claims(endpoint, ports) {
        session.store().release_ports(held, &claim)?;
    }
    Ok(())
}
