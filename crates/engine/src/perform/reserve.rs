//! Addresses for devices that another program makes: zubi only keeps them from being given to anything else.

use crate::decide::address::{AddressAsk, Membership, next_free, of_sets};
use crate::decide::book::Records;
use crate::decide::obstacle::{Obstacle, Owners, Taken};
use crate::decide::wishes::check_wishes;
use crate::error::Error;
use crate::heal::gone::remove_gone;
use crate::heal::leftovers::recover_first;
use crate::look::clock::nanoseconds;
use crate::perform::attach::require_room;
use crate::perform::settle::settle_reservation;
use crate::report::Act;
use crate::session::Session;
use crate::steps::claim::{lease_owner_name, reservation_in_use, reserve_all, user_of};
use std::net::IpAddr;
use zubi_ipam::check_fixed;
use zubi_model::{EndpointAddress, EndpointId, Invalid, NetworkName, Pool, Reservation, Wishes};
use zubi_store::LeaseOwner;

/// Whether each set of pools has a free address for an endpoint of the network.
pub(crate) fn has_room(session: &mut Session, network: &NetworkName, sets: &[Vec<Pool>]) -> Result<(), Error> {
    if let Some(error) = has_free(session, network, sets)? {
        // An attach would first remove endpoints whose sandbox is gone, so do that here too.
        let host = &session.store().lock_host()?;
        remove_gone(session, host, Some(network))?;
        return match has_free(session, network, sets)? {
            Some(_) => Err(Error::Exhausted { network: network.clone(), error }),
            None => Ok(()),
        };
    }
    Ok(())
}

fn has_free(
    session: &Session,
    network: &NetworkName,
    sets: &[Vec<Pool>],
) -> Result<Option<zubi_ipam::Exhausted>, Error> {
    for (number, set) in sets.iter().enumerate() {
        match next_free(network, set, number, &[], &Records(session.store())) {
            Ok(_) => {}
            Err(Obstacle::Exhausted(error)) => return Ok(Some(error)),
            Err(obstacle) => return Err(refusal(session, network, obstacle)?),
        }
    }
    Ok(None)
}

/// Reserves one address from each set of pools: the requested ones, or the next free ones.
pub(crate) fn reserve(
    session: &mut Session,
    network: &NetworkName,
    owner: &str,
    sets: &[Vec<Pool>],
    wanted: &[IpAddr],
) -> Result<Vec<EndpointAddress>, Error> {
    refuse_excluded(sets, wanted)?;
    let host = &session.store().lock_host()?;
    let leases = session.store().lock_leases(host, network)?;
    if let Some(earlier) = session.store().reservation(network, owner)? {
        let address = earlier.addresses.first().map(|a| a.address.addr());
        return Err(Error::Reserved { network: network.clone(), owner: owner.to_owned(), address });
    }
    let own = LeaseOwner::Reservation(owner.to_owned());
    let ask = AddressAsk { network, owner: &own, sets, membership: Membership::Range, asked: wanted, avoided: &[] };
    let chosen = match of_sets(&ask, &Records(session.store()), &Owners::default()) {
        Ok(chosen) => chosen,
        Err(obstacle) => return Err(refusal(session, network, obstacle)?),
    };
    let reservation = Reservation {
        id: None,
        owner: owner.to_owned(),
        network: network.clone(),
        addresses: chosen.addresses,
        mac: None,
        names: Vec::new(),
        kept_for: None,
        made_at: nanoseconds()?,
    };
    reserve_all(session, &leases, &reservation, &chosen.cursors)?;
    Ok(reservation.addresses)
}

/// Reserves an endpoint of a network before its sandbox exists: its number, addresses, MAC and names.
pub(crate) fn reserve_endpoint(
    session: &mut Session,
    network: &NetworkName,
    id: &EndpointId,
    wishes: &Wishes,
) -> Result<Reservation, Error> {
    let host = &session.store().lock_host()?;
    recover_first(session, host, Act::Apply)?;
    let missing = || Error::NoNetwork { name: network.clone(), known: session.known_networks() };
    let network = session.store().network(network)?.ok_or_else(missing)?;
    check_wishes(&network, wishes)?;
    require_room(session, host, &network, Act::Apply)?;
    if session.store().reservation(&network.name, &id.reservation_owner())?.is_some() {
        return Err(Error::Reserved { network: network.name, owner: id.reservation_owner(), address: None });
    }
    settle_reservation(session, host, &network, id, None, wishes)
}

/// Releases a reserved endpoint. Refuses while a sandbox is attached by it, and succeeds if there is none.
pub(crate) fn unreserve_endpoint(session: &mut Session, network: &NetworkName, id: &EndpointId) -> Result<(), Error> {
    let host = &session.store().lock_host()?;
    recover_first(session, host, Act::Apply)?;
    let leases = session.store().lock_leases(host, network)?;
    let owner = id.reservation_owner();
    if session.store().reservation(network, &owner)?.is_none() {
        return Ok(());
    }
    if let Some(user) = user_of(session, network, id)? {
        return Err(reservation_in_use(user));
    }
    Ok(session.store().unreserve(&leases, &owner)?)
}

/// Refuses a requested address that no set can give, with the reason of the last set whose subnet contains it.
fn refuse_excluded(sets: &[Vec<Pool>], wanted: &[IpAddr]) -> Result<(), Error> {
    for address in wanted {
        let mut homes = sets.iter().flatten().filter(|pool| pool.subnet.net().contains(address)).peekable();
        if homes.peek().is_none() {
            return Err(Invalid::new("address", address, "is in none of the ranges it could come from").into());
        }
        let mut reason = None;
        for pool in homes {
            match check_fixed(pool, *address) {
                Ok(()) => {
                    reason = None;
                    break;
                }
                Err(e) => reason = Some(e),
            }
        }
        if let Some(e) = reason {
            return Err(e.into());
        }
    }
    Ok(())
}

/// The error for an obstacle. A reservation removes no obstacles.
fn refusal(session: &Session, network: &NetworkName, obstacle: Obstacle) -> Result<Error, Error> {
    let network = network.clone();
    Ok(match obstacle {
        Obstacle::Failed(error) => error,
        Obstacle::Exhausted(error) => Error::Exhausted { network, error },
        Obstacle::Held { owner, .. } => Error::Busy { object: format!("network {network}: {owner}") },
        Obstacle::Taken(Taken::Address { address, owner }) => {
            Error::AddressTaken { network, address, owner: lease_owner_name(session, &owner)? }
        }
        Obstacle::Taken(taken) => Error::Busy { object: format!("network {network}: {taken:?}") },
    })
}

/// Releases the reservations of an owner. Succeeds if it has none.
pub(crate) fn unreserve(session: &mut Session, network: &NetworkName, owner: &str) -> Result<(), Error> {
    if session.store().reservation(network, owner)?.is_none() {
        return Ok(());
    }
    let host = &session.store().lock_host()?;
    let leases = session.store().lock_leases(host, network)?;
    Ok(session.store().unreserve(&leases, owner)?)
}

/// The owners of reservations on a network.
pub(crate) fn reservers(session: &Session, network: &NetworkName) -> Result<Vec<String>, Error> {
    Ok(session.store().reservations(network)?.into_iter().map(|reservation| reservation.owner).collect())
}

/// The addresses that an owner has reserved.
pub(crate) fn reserved(session: &Session, network: &NetworkName, owner: &str) -> Result<Vec<IpAddr>, Error> {
    let reservation = session.store().reservation(network, owner)?;
    Ok(reservation.into_iter().flat_map(|r| r.addresses).map(|a| a.address.addr()).collect())
}
