//! TODO

use crate::decide_port::check_port;
use crate::decide_port::choose_ports;
use crate::error::Error;
use crate::heal::gone::free_if_gone;
use crate::heal::gone::remove_gone;
use crate::heal::ports::free_ports_of_gone;
use crate::look::default_route::foreign_defaults;
use crate::look::sandbox::Resolved;
use crate::random::random;
use crate::random::random_name;
use crate::report::Act;
use crate::session::Session;
use crate::steps::claim::claim;
use crate::steps::claim::has_own_mac;
use crate::steps::claim::owner_name;
use ipnet::IpNet;
use std::net::IpAddr;
use zubi_ipam::check_fixed;
use zubi_ipam::next_of_pools;
use zubi_kernel::sys;
use zubi_model::Addressing;
use zubi_model::BridgeMode;
use zubi_model::Endpoint;
use zubi_model::EndpointAddress;
use zubi_model::EndpointKey;
use zubi_model::Family;
use zubi_model::IfName;
use zubi_model::Invalid;
use zubi_model::Mac;
use zubi_model::MacWish;
use zubi_model::Network;
use zubi_model::Pool;
use zubi_model::SandboxIdentity;
use zubi_model::Wishes;
use zubi_plan::Neighbours;
use zubi_plan::Place;
use zubi_plan::endpoint::Surroundings;
use zubi_plan::endpoint::default_families;
use zubi_plan::endpoint::may_default;
use zubi_plan::firewall::endpoint_element;
use zubi_wire::nft::Element;
use zubi_wire::route::AdminState;

/// The kernel gives a bridge 1023 ports (`BR_MAX_PORTS` of net/bridge/br_private.h). A broadcast is copied to each, and
/// the copies wait in the backlog of one processor, which holds a thousand (`net.core.netdev_max_backlog`): beyond that
/// many ports the answer to an ARP request is dropped, and the gateway is not found.
const MOST_PORTS: usize = 1000;

/// Chooses everything that is not wished, over what the kernel and the records say, and claims it.
pub(crate) fn decide_endpoint(
    session: &mut Session,
    network: &Network,
    sandbox: &Resolved,
    wishes: &Wishes,
    act: Act,
) -> Result<(Endpoint, Surroundings), Error> {
    room_on(session, network, act)?;
    let siblings: Vec<Endpoint> =
        session.store().endpoints_of(sandbox.cookie)?.into_iter().filter(|e| e.network != network.name).collect();
    let (ifname, loopback) = choose_device(session, sandbox, &siblings, wishes)?;
    let mut gateways: Vec<IpAddr> = Vec::new();
    gateways.extend(siblings.iter().flat_map(|s| s.addresses.iter().filter_map(|a| a.gateway)));
    // Only where it could give one is it worth asking who does.
    let mut families = families_of(network, &wishes.addressing);
    families.retain(|family| may_default(network, wishes.default_route).allows(*family));
    let taken = foreign_defaults(session, &sandbox.reached_by, &families, &gateways)?;
    let key = EndpointKey { cookie: sandbox.cookie, network: network.name.clone() };
    free_ports_of_gone(session, network, &key, &wishes.ports, act)?;
    let endpoint = {
        // What is chosen is claimed before anybody else can choose it.
        let (_leases, ports) = match act {
            Act::Apply => {
                let leases = session.hold_leases(&network.name)?;
                let ports = if wishes.ports.is_empty() { None } else { Some(session.hold_ports()?) };
                (Some(leases), ports)
            }
            Act::Show => (None, None),
        };
        let endpoint = compose(session, network, sandbox, ifname, wishes, act)?;
        if act == Act::Apply {
            claim(session, network, &endpoint, ports.as_deref())?;
        }
        endpoint
    };
    let default_in = default_families(&endpoint, &siblings, &taken);
    let mut stale = Vec::new();
    for a in &endpoint.addresses {
        let address = a.address.addr();
        stale.extend(session.store().is_stale(&network.name, address)?.then_some(address));
    }
    let neighbours = neighbours(session, &endpoint)?;
    Ok((endpoint, Surroundings { loopback, default_in, stale, neighbours }))
}

/// With a MAC that is made from its one address, it has that address's MAC of before, unless somebody had another.
pub(crate) fn neighbours(session: &Session, endpoint: &Endpoint) -> Result<Neighbours, Error> {
    if endpoint.addresses.is_empty() {
        return Ok(Neighbours::AreRight);
    }
    if let [only] = endpoint.addresses.as_slice() {
        let address = only.address.addr();
        if has_own_mac(endpoint) && !session.store().had_other_mac(&endpoint.network, address)? {
            return Ok(Neighbours::AreRight);
        }
    }
    Ok(Neighbours::MayBeWrong)
}

/// A full bridge is told before the first effect. (Ports that somebody else made of it are not counted: then the
/// kernel says it.)
fn room_on(session: &mut Session, network: &Network, act: Act) -> Result<(), Error> {
    if !session.store().may_have(MOST_PORTS)? || session.store().count_macs(&network.name)? < MOST_PORTS {
        return Ok(());
    }
    if act == Act::Apply {
        remove_gone(session, Some(&network.name))?;
        if session.store().count_macs(&network.name)? < MOST_PORTS {
            return Ok(());
        }
    }
    Err(Error::BridgeFull { network: network.name.clone(), bridge: network.bridge.clone(), most: MOST_PORTS })
}

/// An endpoint with its addresses and MAC chosen.
fn compose(
    session: &mut Session,
    network: &Network,
    sandbox: &Resolved,
    ifname: IfName,
    wishes: &Wishes,
    act: Act,
) -> Result<Endpoint, Error> {
    let mut endpoint = Endpoint {
        network: network.name.clone(),
        network_id: network.id.clone(),
        sandbox: SandboxIdentity {
            cookie: sandbox.cookie,
            spelled: sandbox.spelled.clone(),
            reached_by: sandbox.reached_by.clone(),
        },
        ifname,
        mac: Mac::from_random(random()?),
        next_mac: None,
        host_device: match &wishes.host_device {
            Some(name) => name.clone(),
            None => random_name::<5>("zv")?.parse()?,
        },
        bridge: network.bridge.clone(),
        addresses: Vec::new(),
        routes: wishes.routes.clone(),
        default_route: may_default(network, wishes.default_route),
        aliases: wishes.aliases.clone(),
        ports: Vec::new(),
        traits: wishes.traits,
        attached_at: sys::boot_clock().map_err(Error::system("attach", "read", "boot clock"))?,
    };
    choose_addresses(session, network, &mut endpoint, wishes, act)?;
    choose_mac(session, network, &mut endpoint, wishes.mac, act)?;
    endpoint.ports = choose_ports(session, network, &endpoint, &wishes.ports, act)?;
    Ok(endpoint)
}

/// An endpoint of a sandbox that does not exist yet, for showing only.
pub(crate) fn endpoint_for_show(
    session: &mut Session,
    network: &Network,
    name: &zubi_model::SandboxName,
    siblings: &[Endpoint],
    wishes: &Wishes,
) -> Result<Endpoint, Error> {
    check_wishes(network, wishes)?;
    let ifname = match &wishes.ifname {
        Some(name) => name.clone(),
        None => IfName::numbered("eth", siblings.len())?,
    };
    let sandbox = Resolved {
        reached_by: zubi_model::NsRef::Named(name.clone()),
        spelled: name.to_string(),
        cookie: zubi_model::NetnsCookie(0),
    };
    compose(session, network, &sandbox, ifname, wishes, Act::Show)
}

/// The name of the inner end: `eth0`, or the next that neither the records nor the sandbox have. Also tells
/// whether the sandbox's loopback is up.
fn choose_device(
    session: &mut Session,
    sandbox: &Resolved,
    siblings: &[Endpoint],
    wishes: &Wishes,
) -> Result<(IfName, AdminState), Error> {
    let place = Place::Sandbox(sandbox.reached_by.clone());
    let failed = || Error::kernel(format!("sandbox {}", sandbox.spelled));
    let used = |name: &IfName| siblings.iter().find(|s| s.ifname == *name);
    let mut loopback = AdminState::Down;
    for number in 0.. {
        let name = match &wishes.ifname {
            Some(name) => name.clone(),
            None => IfName::numbered("eth", number)?,
        };
        let by = used(&name).map(|s| format!("its end on network {}", s.network));
        let mut links = if by.is_some() && wishes.ifname.is_none() {
            continue;
        } else {
            session.kernel.links_named(&place, &["lo", name.as_str()]).map_err(failed())?.into_iter()
        };
        if let Some(Some(lo)) = links.next() {
            loopback = lo.state;
        }
        match links.next().flatten() {
            None if by.is_none() => return Ok((name, loopback)),
            _ if wishes.ifname.is_none() => {}
            seen => {
                let kind = seen.and_then(|s| s.kind);
                return Err(Error::DeviceTaken {
                    sandbox: sandbox.spelled.clone(),
                    ifname: name.to_string(),
                    by: by.or(kind),
                });
            }
        }
    }
    unreachable!("device numbers do not end before names become too long, which is an error")
}

/// The addresses, and none of them that the firewall knows as an endpoint's although it is free by the records: the
/// record of that endpoint is lost, and it lives.
fn choose_addresses(
    session: &mut Session,
    network: &Network,
    endpoint: &mut Endpoint,
    wishes: &Wishes,
    act: Act,
) -> Result<(), Error> {
    let mut avoided: Vec<IpAddr> = Vec::new();
    loop {
        endpoint.addresses.clear();
        choose_free_addresses(session, network, endpoint, wishes, &avoided, act)?;
        // In a dry run the elements of the dead are still there.
        if act == Act::Show {
            return Ok(());
        }
        let Some(used) = used_without_record(session, network, endpoint)? else { return Ok(()) };
        let is_wished = wishes.addresses.contains(&used) || matches!(wishes.addressing, Addressing::Given(_));
        if is_wished || avoided.contains(&used) {
            let owner = "a device that no record names (zubi check tells which)".into();
            return Err(Error::AddressTaken { network: network.name.clone(), address: used, owner });
        }
        avoided.push(used);
    }
}

fn choose_free_addresses(
    session: &mut Session,
    network: &Network,
    endpoint: &mut Endpoint,
    wishes: &Wishes,
    avoided: &[IpAddr],
    act: Act,
) -> Result<(), Error> {
    let families = [Family::V4, Family::V6].map(|family| network.pools_of(family).cloned().collect::<Vec<_>>());
    let sets: Vec<Vec<Pool>> = match &wishes.addressing {
        Addressing::Given(given) => {
            for a in given {
                free_address_if_gone(session, network, a.address.addr(), endpoint, act)?;
                endpoint.addresses.push(*a);
            }
            Vec::new()
        }
        Addressing::Sets(sets) => sets.clone(),
        // One of each family, of whichever of its subnets has one; all that are asked for.
        Addressing::Network => families.into_iter().filter(|pools| !pools.is_empty()).collect(),
    };
    let mut asked: Vec<IpAddr> = wishes.addresses.clone();
    session.cursors.clear();
    for (number, set) in sets.iter().enumerate() {
        let earlier = sets[..number].iter().filter(|s| family_of(s) == family_of(set)).count();
        // Of two sets in one subnet, an address is of the one that gives it.
        let fits = |address: &IpAddr| match wishes.addressing {
            Addressing::Sets(_) => set.iter().any(|pool| check_fixed(pool, *address).is_ok()),
            _ => set.iter().any(|pool| pool.subnet.net().contains(address)),
        };
        let mut found: Vec<(&Pool, IpAddr)> = Vec::new();
        while let Some(at) = asked.iter().position(fits) {
            let address = asked.remove(at);
            // Of two ranges of one subnet the one that gives it.
            let holds = |pool: &&Pool| pool.subnet.net().contains(&address);
            let gives = |pool: &&Pool| check_fixed(pool, address).is_ok();
            found.extend(set.iter().find(gives).or_else(|| set.iter().find(holds)).map(|pool| (pool, address)));
            if wishes.addressing != Addressing::Network {
                break;
            }
        }
        for (_, address) in found.iter().copied() {
            free_address_if_gone(session, network, address, endpoint, act)?;
        }
        if found.is_empty() {
            let mut taken: Vec<IpAddr> = endpoint.addresses.iter().map(|a| a.address.addr()).collect();
            taken.extend(avoided);
            let (at, address) = next_free(session, network, set, earlier, &taken, act)?;
            found.push((&set[at], address));
        }
        for (pool, address) in found {
            session.cursors.push((Family::of(address), earlier, address));
            let address = IpNet::new_assert(address, pool.subnet.net().prefix_len());
            endpoint.addresses.push(EndpointAddress { address, gateway: pool.gateway });
        }
    }
    if let Some(address) = asked.first() {
        return Err(Invalid::new("address", address, "is in none of the ranges it could come from").into());
    }
    Ok(())
}

/// The next free address of a set of pools; when all are taken, those of the dead are freed first.
fn next_free(
    session: &mut Session,
    network: &Network,
    pools: &[Pool],
    number: usize,
    taken: &[IpAddr],
    act: Act,
) -> Result<(usize, IpAddr), Error> {
    let mut buried = false;
    let Some(family) = family_of(pools) else {
        return Err(Invalid::new("set of address ranges", number, "is empty").into());
    };
    loop {
        let cursor = session.store().cursor(&network.name, family, number)?;
        let mut trouble = None;
        let store = &session.store();
        let mut is_taken = |address| {
            taken.contains(&address)
                || store.is_leased(&network.name, address).unwrap_or_else(|e| {
                    trouble = Some(e);
                    true
                })
        };
        let next = next_of_pools(pools, cursor, &mut is_taken);
        if let Some(e) = trouble {
            return Err(e.into());
        }
        match next {
            Ok(found) => return Ok(found),
            Err(_) if !buried && act == Act::Apply => {
                remove_gone(session, Some(&network.name))?;
                buried = true;
            }
            Err(error) => return Err(Error::Exhausted { network: network.name.clone(), error }),
        }
    }
}

fn used_without_record(session: &mut Session, network: &Network, endpoint: &Endpoint) -> Result<Option<IpAddr>, Error> {
    let addresses: Vec<IpAddr> = endpoint.addresses.iter().map(|a| a.address.addr()).collect();
    if addresses.is_empty() || network.bridge_mode == BridgeMode::Unmanaged {
        return Ok(None);
    }
    let elements: Vec<Element> = addresses.iter().map(|address| endpoint_element(&network.bridge, *address)).collect();
    let there = session.kernel.have_elements(&elements).map_err(Error::kernel("firewall"))?;
    Ok(addresses.into_iter().zip(there).find(|(_, there)| *there).map(|(address, _)| address))
}

/// A fixed address that a dead sandbox still holds is freed.
fn free_address_if_gone(
    session: &mut Session,
    network: &Network,
    address: IpAddr,
    endpoint: &Endpoint,
    act: Act,
) -> Result<(), Error> {
    let Some(owner) = session.store().lease_owner(&network.name, address)? else { return Ok(()) };
    if owner == endpoint.key() || free_if_gone(session, &owner, act)? {
        return Ok(());
    }
    let owner = owner_name(session, &owner)?;
    Err(Error::AddressTaken { network: network.name.clone(), address, owner })
}

fn choose_mac(
    session: &mut Session,
    network: &Network,
    endpoint: &mut Endpoint,
    wish: MacWish,
    act: Act,
) -> Result<(), Error> {
    let wished = match wish {
        MacWish::Random => return Ok(()),
        MacWish::Given(mac) => mac,
        MacWish::FromAddress => match endpoint.addresses.first() {
            Some(first) => Mac::from_address(first.address.addr()),
            None => return Ok(()),
        },
    };
    if wished == network.bridge_mac && wish != MacWish::FromAddress {
        let owner = format!("the bridge {}", network.bridge);
        return Err(Error::MacTaken { network: network.name.clone(), mac: wished, owner });
    }
    match session.store().mac_owner(&network.name, wished)? {
        Some(owner) if owner != endpoint.key() && !free_if_gone(session, &owner, act)? => {
            if wish == MacWish::FromAddress {
                // Somebody asked for exactly this one: the random one stays.
                return Ok(());
            }
            let owner = owner_name(session, &owner)?;
            Err(Error::MacTaken { network: network.name.clone(), mac: wished, owner })
        }
        _ => {
            endpoint.mac = wished;
            Ok(())
        }
    }
}

/// In which families an endpoint can have addresses.
fn families_of(network: &Network, addressing: &Addressing) -> Vec<Family> {
    let mut families: Vec<Family> = match addressing {
        Addressing::Network => network.pools.iter().map(|p| p.subnet.family()).collect(),
        Addressing::Sets(sets) => sets.iter().flatten().map(|p| p.subnet.family()).collect(),
        Addressing::Given(given) => given.iter().map(|a| Family::of(a.address.addr())).collect(),
    };
    families.sort_unstable();
    families.dedup();
    families
}

fn family_of(pools: &[Pool]) -> Option<Family> {
    pools.first().map(|pool| pool.subnet.family())
}

/// Wishes that no state of the world could grant.
pub(crate) fn check_wishes(network: &Network, wishes: &Wishes) -> Result<(), Error> {
    let of_sets = match &wishes.addressing {
        Addressing::Sets(sets) => sets.concat(),
        _ => network.pools.clone(),
    };
    let mut used: Vec<&Pool> = Vec::new();
    for address in &wishes.addresses {
        let family = Family::of(*address);
        let mut homes = of_sets.iter().filter(|pool| pool.subnet.net().contains(address));
        let Some(pool) = homes.next().or_else(|| of_sets.iter().find(|pool| pool.subnet.family() == family)) else {
            let why = format!("is {family}, which network {} does not have", network.name);
            return Err(Invalid::new("address", address, why).into());
        };
        if used.contains(&pool) {
            return Err(Invalid::new("address", address, format!("is a second {family} address")).into());
        }
        used.push(pool);
        // One that is excluded from this range may be in another one of the same subnet.
        let others = homes.filter(|pool| check_fixed(pool, *address).is_ok()).count();
        if others == 0 {
            check_fixed(pool, *address)?;
        }
    }
    for port in &wishes.ports {
        check_port(network, port)?;
    }
    // Whoever describes a network may know ways out of it that we do not.
    if network.name.source().is_some() {
        return Ok(());
    }
    for route in &wishes.routes {
        let family = Family::of(route.to.addr());
        if network.pool(family).is_none() {
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
