//! Address management: subnets and addresses that Docker asks for before it tells of a network.

use crate::docker::failure::{Failure, refuse};
use crate::docker::promises::Promises;
use crate::docker::reserved::{OWNER, endpoint_of};
use ipnet::IpNet;
use std::net::IpAddr;
use zubi_docker::{AddressRequest, PoolId, PoolRequest, Purpose, reply};
use zubi_engine::Session;
use zubi_model::{Invalid, Network, NetworkName, Pool, Reservation};

/// A subnet for a network that is about to be created.
pub(super) fn request_pool(
    session: &mut Session,
    promises: &Promises,
    request: PoolRequest,
) -> Result<String, Failure> {
    let PoolRequest { family, subnet, range, network } = request;
    if let Some(name) = network {
        let (network, _) = session.network(&name)?;
        let of_family = network.pool(family).ok_or_else(|| refuse(format!("network {name} has no {family} subnet")))?;
        if subnet != Some(of_family.subnet) {
            // The engine asks for another one for ever when it gets a subnet of the host that its user did not name.
            let own = of_family.subnet;
            return Err(refuse(format!("network {name} has the {family} subnet {own}: add --subnet {own}")));
        }
        return Ok(reply::pool(&PoolId { subnet: of_family.subnet, range, network: Some(name) }));
    }
    let mut held = promises.hold();
    let subnet = match subnet {
        None => {
            let others: Vec<IpNet> = held.pools().map(|pool| pool.subnet.net()).collect();
            session.free_subnet(&nameless()?, family, &others)?
        }
        Some(subnet) => {
            for other in session.networks().0 {
                let Some(pool) = other.pools.iter().find(|pool| pool.subnet.overlaps(subnet.net())) else { continue };
                // The same subnet is asked for by who joins the network, which only CreateNetwork tells.
                if pool.subnet != subnet && !other.shares_addresses() {
                    let overlaps = format!("{subnet} overlaps {} of the zubi network {}", pool.subnet, other.name);
                    return Err(refuse(overlaps));
                }
            }
            subnet
        }
    };
    let pool = PoolId { subnet, range, network: None };
    let text = reply::pool(&pool);
    held.add(pool);
    Ok(text)
}

/// How errors name a network of which Docker has not told anything yet.
fn nameless() -> Result<NetworkName, Invalid> {
    "of-docker".parse()
}

/// An address of a subnet.
pub(super) fn request_address(session: &mut Session, request: &AddressRequest) -> Result<String, Failure> {
    let AddressRequest { pool, address, purpose } = request;
    let length = pool.subnet.net().prefix_len();
    let network = network_of(session, pool)?;
    let granted = |address| Ok(reply::address(IpNet::new_assert(address, length)));
    let Some(network) = network else {
        // The network does not exist yet: these are its gateway and its reserved addresses, which come again with it.
        return match (address, purpose) {
            (Some(address), _) => granted(*address),
            (None, Purpose::Gateway) => granted(pool.subnet.first_host()),
            (None, Purpose::Other) => Err(refuse(format!("no zubi network has the subnet {}", pool.subnet))),
        };
    };
    let own = network.pools.iter().find(|own| own.subnet == pool.subnet);
    let own = own.ok_or_else(|| refuse(format!("network {} has no subnet {}", network.name, pool.subnet)))?;
    if *purpose == Purpose::Gateway {
        return match (own.gateway, address) {
            (Some(gateway), None) => granted(gateway),
            (Some(gateway), Some(wanted)) if gateway == *wanted => granted(gateway),
            (Some(gateway), Some(wanted)) => {
                Err(refuse(format!("network {} has the gateway {gateway}, not {wanted}", network.name)))
            }
            (None, _) => Err(refuse(format!("network {} has no gateway", network.name))),
        };
    }
    // An address that the user chose may lie outside of the range.
    let range = if address.is_some() { None } else { pool.range.or(own.range) };
    let chosen = Pool { range, ..own.clone() };
    if address.is_none() && !network.chooses_from(&chosen) {
        let why =
            format!("others give addresses of {} too: say --ip, or create the network with --ip-range", own.subnet);
        return Err(refuse(why));
    }
    let owner = owner(*address)?;
    if let Some(address) = address
        && session.reserved(&network.name, &owner)?.contains(address)
    {
        // The answer to the same request was lost.
        return granted(*address);
    }
    let wanted: Vec<IpAddr> = address.iter().copied().collect();
    let given = session.reserve(&network.name, &owner, &[vec![chosen]], &wanted)?;
    let given = given.first().ok_or_else(|| refuse(format!("network {} gave no address", network.name)))?;
    granted(given.address.addr())
}

/// An owner for an address: no two requests have the same.
fn owner(address: Option<IpAddr>) -> Result<String, Failure> {
    if let Some(address) = address {
        return Ok(format!("{OWNER}{address}"));
    }
    let unique = std::fs::read_to_string("/proc/sys/kernel/random/uuid");
    Ok(format!("{OWNER}{}", unique.map_err(|e| refuse(format!("random source: {e}")))?.trim()))
}

/// An address is free again. Docker says so also of one whose endpoint it did not take back.
pub(super) fn release_address(session: &mut Session, pool: &PoolId, address: IpAddr) -> Result<String, Failure> {
    let Some(network) = network_of(session, pool)? else { return Ok(reply::done()) };
    for reservation in session.reservations(&network.name)? {
        if !has(&reservation, address) {
            continue;
        }
        match endpoint_of(&reservation) {
            Some(id) => {
                session.take_back(&network.name, id)?;
                session.unreserve_endpoint(&network.name, id)?;
            }
            None if reservation.owner.starts_with(OWNER) => session.unreserve(&network.name, &reservation.owner)?,
            None => {}
        }
    }
    Ok(reply::done())
}

/// The owners of these addresses by which Docker has them for an endpoint that it makes now.
pub(super) fn owners_of(session: &Session, network: &NetworkName, addresses: &[IpNet]) -> Result<Vec<String>, Failure> {
    let is_meant = |reservation: &Reservation| {
        reservation.id.is_none()
            && reservation.owner.starts_with(OWNER)
            && addresses.iter().any(|address| has(reservation, address.addr()))
    };
    let all = session.reservations(network)?;
    Ok(all.into_iter().filter(is_meant).map(|reservation| reservation.owner).collect())
}

fn has(reservation: &Reservation, address: IpAddr) -> bool {
    reservation.addresses.iter().any(|own| own.address.addr() == address)
}

/// The network that has a subnet: one of Docker's first, since on the LAN several can have the same.
fn network_of(session: &Session, pool: &PoolId) -> Result<Option<Network>, Failure> {
    if let Some(name) = &pool.network {
        return Ok(Some(session.network(name)?.0));
    }
    let guests = session.guest_networks();
    let mut found: Vec<Network> = session.networks().0;
    found.retain(|network| network.pools.iter().any(|own| own.subnet == pool.subnet));
    found.retain(|network| guests.iter().any(|guest| guest.network == network.name));
    Ok(found.into_iter().next())
}
