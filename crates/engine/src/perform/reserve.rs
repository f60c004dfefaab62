//! TODO

use crate::error::Error;
use crate::heal::gone::remove_gone;
use crate::session::Session;
use ipnet::IpNet;
use std::net::IpAddr;
use zubi_ipam::check_fixed;
use zubi_ipam::next_of_pools;
use zubi_model::Invalid;
use zubi_model::NetworkName;
use zubi_model::Pool;
use zubi_store::Mode;

/// Whether each set of pools has a free address for an endpoint of a network.
pub(crate) fn has_room(session: &mut Session, network: &NetworkName, sets: &[Vec<Pool>]) -> Result<(), Error> {
    match free_of_each(session, network, sets) {
        Err(Error::Exhausted { .. }) => {}
        other => return other,
    }
    // As whoever attaches would do.
    let _host = session.store().lock_host(Mode::Shared)?;
    remove_gone(session, Some(network))?;
    free_of_each(session, network, sets)
}

fn free_of_each(session: &Session, network: &NetworkName, sets: &[Vec<Pool>]) -> Result<(), Error> {
    for set in sets {
        let mut trouble = None;
        let mut is_taken = |address| {
            let leased = session.store().is_leased(network, address);
            let taken = leased.and_then(|leased| Ok(leased || session.store().is_reserved(network, address)?));
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

/// One address out of each set of pools, with the gateway of its pool: those that are wanted, or the next free ones.
pub(crate) fn reserve(
    session: &mut Session,
    network: &NetworkName,
    owner: &str,
    sets: &[Vec<Pool>],
    wanted: &[IpAddr],
) -> Result<Vec<(IpNet, Option<IpAddr>)>, Error> {
    let held = session.store().lock_reserved(network)?;
    if let Some(earlier) = session.store().reserved_by(network, owner)? {
        let address = earlier.first().copied();
        return Err(Error::Reserved { network: network.clone(), owner: owner.to_owned(), address });
    }
    let mut wanted = wanted.to_vec();
    let mut chosen: Vec<(IpNet, Option<IpAddr>)> = Vec::new();
    for (number, set) in sets.iter().enumerate() {
        let taken: Vec<IpAddr> = chosen.iter().map(|(net, _)| net.addr()).collect();
        let gives = |a: &IpAddr| set.iter().any(|pool| check_fixed(pool, *a).is_ok());
        let holds = |a: &IpAddr| set.iter().any(|pool| pool.subnet.net().contains(a));
        let last = number + 1 == sets.len();
        // What no set gives is refused with the reason of the last one that holds it.
        let asked = wanted.iter().position(gives).or_else(|| wanted.iter().position(holds).filter(|_| last));
        let (pool, address) = match asked {
            Some(at) => wanted_of(session, network, set, wanted.remove(at))?,
            None => next_reserved(session, network, set, number, &taken)?,
        };
        chosen.push((IpNet::new_assert(address, pool.subnet.net().prefix_len()), pool.gateway));
        session.store().set_reserved_cursor(network, number, address)?;
    }
    if let Some(address) = wanted.first() {
        return Err(Invalid::new("address", address, "is in none of the ranges it could come from").into());
    }
    let addresses: Vec<IpAddr> = chosen.iter().map(|(net, _)| net.addr()).collect();
    session.store().reserve(network, owner, &addresses, &held)?;
    Ok(chosen)
}

/// An address that is asked for; of two ranges of one subnet it comes from the one that gives it.
fn wanted_of<'a>(
    session: &Session,
    network: &NetworkName,
    set: &'a [Pool],
    address: IpAddr,
) -> Result<(&'a Pool, IpAddr), Error> {
    let mut refusal = None;
    for pool in set.iter().filter(|pool| pool.subnet.net().contains(&address)) {
        match check_fixed(pool, address) {
            Ok(()) if session.store().is_reserved(network, address)? => {
                let owner = session.store().reserver(network, address)?.unwrap_or_else(|| "somebody".into());
                return Err(Error::AddressTaken { network: network.clone(), address, owner });
            }
            Ok(()) => return Ok((pool, address)),
            Err(e) => refusal = Some(e),
        }
    }
    Err(refusal.unwrap_or_else(|| Invalid::new("address", address, "is in none of the ranges")).into())
}

fn next_reserved<'a>(
    session: &Session,
    network: &NetworkName,
    set: &'a [Pool],
    number: usize,
    taken: &[IpAddr],
) -> Result<(&'a Pool, IpAddr), Error> {
    let cursor = session.store().reserved_cursor(network, number)?;
    let mut trouble = None;
    let mut is_taken = |address: IpAddr| {
        taken.contains(&address)
            || session.store().is_reserved(network, address).unwrap_or_else(|e| {
                trouble = Some(e);
                true
            })
    };
    let next = next_of_pools(set, cursor, &mut is_taken);
    if let Some(e) = trouble {
        return Err(e.into());
    }
    let (at, address) = next.map_err(|error| Error::Exhausted { network: network.clone(), error })?;
    Ok((&set[at], address))
}

/// Gives back what somebody reserved; nothing is fine too.
pub(crate) fn unreserve(session: &mut Session, network: &NetworkName, owner: &str) -> Result<(), Error> {
    if session.store().reserved_by(network, owner)?.is_none() {
        return Ok(());
    }
    let held = session.store().lock_reserved(network)?;
    Ok(session.store().unreserve(network, owner, &held)?)
}

/// Who has reserved something.
pub(crate) fn reservers(session: &Session, network: &NetworkName) -> Result<Vec<String>, Error> {
    Ok(session.store().reservers(network)?)
}

/// What somebody has reserved.
pub(crate) fn reserved(session: &Session, network: &NetworkName, owner: &str) -> Result<Vec<IpAddr>, Error> {
    Ok(session.store().reserved_by(network, owner)?.unwrap_or_default())
}
