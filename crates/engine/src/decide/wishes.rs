//! Checks of wishes that need no knowledge of the host.

use crate::error::Error;
use zubi_ipam::check_fixed;
use zubi_model::{Addressing, Family, HostAddress, Invalid, Mac, MacWish, Network, Pool, PortWish, Wishes};

/// Refuses wishes that cannot be granted in any state of the host.
pub(crate) fn check_wishes(network: &Network, wishes: &Wishes) -> Result<(), Error> {
    if let (Some(device), true) = (&wishes.taken, network.macvlan().is_some() || network.whole_device().is_some()) {
        let kind = network.driver.kind();
        let why = format!("cannot be taken over: the endpoints of network {} are {kind}s", network.name);
        return Err(Invalid::new("device", device, why).try_instead("leave --device out").into());
    }
    if let (MacWish::Given(mac), Some(_)) = (wishes.mac, network.shared_mac()) {
        return Err(no_mac_of_its_own(network, mac));
    }
    if let (Some(device), Some(part)) = (&wishes.taken, network.ovs()) {
        let why = format!("cannot be taken over: network {} is on Open vSwitch bridge {}", network.name, part.bridge);
        return Err(Invalid::new("device", device, why).try_instead("leave --device out").into());
    }
    let of_sets = match &wishes.addressing {
        Addressing::Sets(sets) => sets.concat(),
        _ => network.pools.clone(),
    };
    let mut used: Vec<&Pool> = Vec::new();
    for address in &wishes.addresses {
        let family = Family::of(*address);
        if network.asks_dhcp() && family == Family::V4 {
            let why = format!("cannot be chosen: a DHCP server gives the IPv4 addresses of network {}", network.name);
            return Err(Invalid::new("address", address, why).try_instead("have the server reserve it").into());
        }
        let mut homes = of_sets.iter().filter(|pool| pool.subnet.net().contains(address));
        let Some(pool) = homes.next().or_else(|| of_sets.iter().find(|pool| pool.subnet.family() == family)) else {
            let why = format!("is {family}, which network {} does not have", network.name);
            return Err(Invalid::new("address", address, why).into());
        };
        if used.contains(&pool) {
            return Err(Invalid::new("address", address, format!("is a second {family} address")).into());
        }
        used.push(pool);
        // An address excluded from this range may be in another range of the same subnet.
        let others = homes.filter(|pool| check_fixed(pool, *address).is_ok()).count();
        if others == 0 {
            check_fixed(pool, *address)?;
        }
    }
    for port in &wishes.ports {
        check_port(network, port)?;
    }
    // A program that describes a network may know gateways of it that zubi does not.
    if network.name.source().is_some() {
        return Ok(());
    }
    for route in &wishes.routes {
        let family = Family::of(route.to.addr());
        if network.pool(family).is_none() && !(network.asks_dhcp() && family == Family::V4) {
            let why = format!("is {family}, which network {} does not have", network.name);
            return Err(Invalid::new("route", route, why).into());
        }
        if let Some(via) = route.via
            && !network.pools.iter().any(|pool| pool.subnet.has_host(via))
        {
            let subnets: Vec<String> = network.pools_of(family).map(|pool| pool.subnet.to_string()).collect();
            let why = format!("has a next hop outside {}", subnets.join(" and "));
            return Err(Invalid::new("route", route, why).into());
        }
    }
    Ok(())
}

/// The error for a MAC that an endpoint cannot have.
pub(crate) fn no_mac_of_its_own(network: &Network, mac: Mac) -> Error {
    let (name, card) = (&network.name, network.device());
    let why = format!("cannot be given: the endpoints of network {name} are ipvlans and have the MAC of {card}");
    Invalid::new("MAC", mac, why).try_instead("leave it out, or use --driver macvlan").into()
}

/// Refuses a port that cannot be published in any state of the host.
pub(crate) fn check_port(network: &Network, wish: &PortWish) -> Result<(), Error> {
    let refuse = |why: String| Err(Invalid::new("published port", wish, why).into());
    network.publishes().or_else(refuse)?;
    match wish.host {
        HostAddress::One(address) if network.pool(Family::of(address)).is_none() && network.name.source().is_none() => {
            refuse(format!("needs {}, which network {} does not have", Family::of(address), network.name))
        }
        _ => Ok(()),
    }
}
