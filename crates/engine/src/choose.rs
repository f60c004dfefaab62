//! Choosing what an endpoint is: device, addresses, MAC, default route. Wished for or found, over what the kernel and the
//! records say.

use crate::chance::{random, random_name};
use crate::engine::{Act, Engine};
use crate::error::Error;
use crate::occupied::TABLE_MAIN;
use crate::publish::check_port;
use crate::resolve::Resolved;
use ipnet::IpNet;
use std::net::IpAddr;
use zubi_ipam::{check_fixed, next_of_pools};
use zubi_kernel::{Survey, sys};
use zubi_model::{
    Addressing, BridgeMode, Endpoint, EndpointAddress, EndpointKey, Family, IfName, Invalid, Mac, MacWish, Network,
    NsRef, Pool, SandboxIdentity, Wishes,
};
use zubi_plan::endpoint::{Surroundings, default_families, may_default};
use zubi_plan::firewall::endpoint_element;
use zubi_plan::{Neighbours, Place};
use zubi_wire::nft::Element;
use zubi_wire::route::{AdminState, RouteProtocol};

/// The kernel gives a bridge 1023 ports (`BR_MAX_PORTS` of net/bridge/br_private.h). A broadcast is copied to each, and
/// the copies wait in the backlog of one processor, which holds a thousand (`net.core.netdev_max_backlog`): beyond that
/// many ports the answer to an ARP request is dropped, and the gateway is not found.
const MOST_PORTS: usize = 1000;

impl Engine {
    /// Chooses everything that is not wished, over what the kernel and the records say, and claims it.
    pub(crate) fn decide_endpoint(
        &mut self,
        network: &Network,
        sandbox: &Resolved,
        wishes: &Wishes,
        act: Act,
    ) -> Result<(Endpoint, Surroundings), Error> {
        self.room_on(network, act)?;
        let siblings: Vec<Endpoint> =
            self.store.endpoints_of(sandbox.cookie)?.into_iter().filter(|e| e.network != network.name).collect();
        let (ifname, loopback) = self.choose_device(sandbox, &siblings, wishes)?;
        let mut gateways: Vec<IpAddr> = Vec::new();
        gateways.extend(siblings.iter().flat_map(|s| s.addresses.iter().filter_map(|a| a.gateway)));
        // Only where it could give one is it worth asking who does.
        let mut families = families_of(network, &wishes.addressing);
        families.retain(|family| may_default(network, wishes.default_route).allows(*family));
        let taken = self.foreign_defaults(&sandbox.reached_by, &families, &gateways)?;
        let key = EndpointKey { cookie: sandbox.cookie, network: network.name.clone() };
        self.free_dead_ports(network, &key, &wishes.ports, act)?;
        let endpoint = {
            // What is chosen is claimed before anybody else can choose it.
            let (_leases, ports) = match act {
                Act::Apply => {
                    let leases = self.hold_leases(&network.name)?;
                    let ports = if wishes.ports.is_empty() { None } else { Some(self.hold_ports()?) };
                    (Some(leases), ports)
                }
                Act::Show => (None, None),
            };
            let endpoint = self.compose(network, sandbox, ifname, wishes, act)?;
            if act == Act::Apply {
                self.claim(network, &endpoint, ports.as_deref())?;
            }
            endpoint
        };
        let default_in = default_families(&endpoint, &siblings, &taken);
        let mut stale = Vec::new();
        for a in &endpoint.addresses {
            let address = a.address.addr();
            stale.extend(self.store.is_stale(&network.name, address)?.then_some(address));
        }
        let neighbours = self.neighbours(&endpoint)?;
        Ok((endpoint, Surroundings { loopback, default_in, stale, neighbours }))
    }

    /// With a MAC that is made from its one address, it has that address's MAC of before, unless somebody had another.
    fn neighbours(&self, endpoint: &Endpoint) -> Result<Neighbours, Error> {
        if endpoint.addresses.is_empty() {
            return Ok(Neighbours::AreRight);
        }
        if let [only] = endpoint.addresses.as_slice() {
            let address = only.address.addr();
            if has_own_mac(endpoint) && !self.store.had_other_mac(&endpoint.network, address)? {
                return Ok(Neighbours::AreRight);
            }
        }
        Ok(Neighbours::MayBeWrong)
    }

    /// A full bridge is told before the first effect. (Ports that somebody else made of it are not counted: then the
    /// kernel says it.)
    fn room_on(&mut self, network: &Network, act: Act) -> Result<(), Error> {
        if !self.store.may_have(MOST_PORTS)? || self.store.count_macs(&network.name)? < MOST_PORTS {
            return Ok(());
        }
        if act == Act::Apply {
            self.bury_dead(Some(&network.name))?;
            if self.store.count_macs(&network.name)? < MOST_PORTS {
                return Ok(());
            }
        }
        Err(Error::BridgeFull { network: network.name.clone(), bridge: network.bridge.clone(), most: MOST_PORTS })
    }

    /// An endpoint with its addresses and MAC chosen.
    fn compose(
        &mut self,
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
        self.choose_addresses(network, &mut endpoint, wishes, act)?;
        self.choose_mac(network, &mut endpoint, wishes.mac, act)?;
        endpoint.ports = self.choose_ports(network, &endpoint, &wishes.ports, act)?;
        Ok(endpoint)
    }

    /// An endpoint of a sandbox that does not exist yet, for showing only.
    pub(crate) fn endpoint_for_show(
        &mut self,
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
        self.compose(network, &sandbox, ifname, wishes, Act::Show)
    }

    /// The name of the inner end: `eth0`, or the next that neither the records nor the sandbox have. Also tells
    /// whether the sandbox's loopback is up.
    fn choose_device(
        &mut self,
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
                self.kernel.links_named(&place, &["lo", name.as_str()]).map_err(failed())?.into_iter()
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
        &mut self,
        network: &Network,
        endpoint: &mut Endpoint,
        wishes: &Wishes,
        act: Act,
    ) -> Result<(), Error> {
        let mut avoided: Vec<IpAddr> = Vec::new();
        loop {
            endpoint.addresses.clear();
            self.choose_free_addresses(network, endpoint, wishes, &avoided, act)?;
            // In a dry run the elements of the dead are still there.
            if act == Act::Show {
                return Ok(());
            }
            let Some(used) = self.used_without_record(network, endpoint)? else { return Ok(()) };
            let is_wished = wishes.addresses.contains(&used) || matches!(wishes.addressing, Addressing::Given(_));
            if is_wished || avoided.contains(&used) {
                let owner = "a device that no record names (zubi check tells which)".into();
                return Err(Error::AddressTaken { network: network.name.clone(), address: used, owner });
            }
            avoided.push(used);
        }
    }

    fn choose_free_addresses(
        &mut self,
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
                    self.free_if_dead(network, a.address.addr(), endpoint, act)?;
                    endpoint.addresses.push(*a);
                }
                Vec::new()
            }
            Addressing::Sets(sets) => sets.clone(),
            // One of each family, of whichever of its subnets has one; all that are asked for.
            Addressing::Network => families.into_iter().filter(|pools| !pools.is_empty()).collect(),
        };
        let mut asked: Vec<IpAddr> = wishes.addresses.clone();
        self.cursors.clear();
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
                self.free_if_dead(network, address, endpoint, act)?;
            }
            if found.is_empty() {
                let mut taken: Vec<IpAddr> = endpoint.addresses.iter().map(|a| a.address.addr()).collect();
                taken.extend(avoided);
                let (at, address) = self.next_free(network, set, earlier, &taken, act)?;
                found.push((&set[at], address));
            }
            for (pool, address) in found {
                self.cursors.push((Family::of(address), earlier, address));
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
        &mut self,
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
            let cursor = self.store.cursor(&network.name, family, number)?;
            let mut trouble = None;
            let store = &self.store;
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
                    self.bury_dead(Some(&network.name))?;
                    buried = true;
                }
                Err(error) => return Err(Error::Exhausted { network: network.name.clone(), error }),
            }
        }
    }

    fn used_without_record(&mut self, network: &Network, endpoint: &Endpoint) -> Result<Option<IpAddr>, Error> {
        let addresses: Vec<IpAddr> = endpoint.addresses.iter().map(|a| a.address.addr()).collect();
        if addresses.is_empty() || network.bridge_mode == BridgeMode::Unmanaged {
            return Ok(None);
        }
        let elements: Vec<Element> =
            addresses.iter().map(|address| endpoint_element(&network.bridge, *address)).collect();
        let there = self.kernel.have_elements(&elements).map_err(Error::kernel("firewall"))?;
        Ok(addresses.into_iter().zip(there).find(|(_, there)| *there).map(|(address, _)| address))
    }

    /// A fixed address that a dead sandbox still holds is freed.
    fn free_if_dead(&mut self, network: &Network, address: IpAddr, endpoint: &Endpoint, act: Act) -> Result<(), Error> {
        let Some(owner) = self.store.lease_owner(&network.name, address)? else { return Ok(()) };
        if owner == endpoint.key() || self.bury_if_dead(&owner, act)? {
            return Ok(());
        }
        let owner = self.owner_name(&owner)?;
        Err(Error::AddressTaken { network: network.name.clone(), address, owner })
    }

    fn choose_mac(&mut self, network: &Network, endpoint: &mut Endpoint, wish: MacWish, act: Act) -> Result<(), Error> {
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
        match self.store.mac_owner(&network.name, wished)? {
            Some(owner) if owner != endpoint.key() && !self.bury_if_dead(&owner, act)? => {
                if wish == MacWish::FromAddress {
                    // Somebody asked for exactly this one: the random one stays.
                    return Ok(());
                }
                let owner = self.owner_name(&owner)?;
                Err(Error::MacTaken { network: network.name.clone(), mac: wished, owner })
            }
            _ => {
                endpoint.mac = wished;
                Ok(())
            }
        }
    }

    /// Those of the families in which the sandbox has a default route that leads to none of these gateways and is not
    /// ours. Any metric counts: one of ours beside it would win, or be refused.
    pub(crate) fn foreign_defaults(
        &mut self,
        sandbox: &NsRef,
        families: &[Family],
        gateways: &[IpAddr],
    ) -> Result<Vec<Family>, Error> {
        self.foreign_defaults_in(&mut Survey::narrow(), sandbox, families, gateways)
    }

    /// The same, with what a survey has read.
    pub(crate) fn foreign_defaults_in(
        &mut self,
        survey: &mut Survey,
        sandbox: &NsRef,
        families: &[Family],
        gateways: &[IpAddr],
    ) -> Result<Vec<Family>, Error> {
        let place = Place::Sandbox(sandbox.clone());
        let mut taken = Vec::new();
        for family in families.iter().copied() {
            let failed = Error::kernel("routes of the sandbox");
            let routes = self.kernel.surveyed_routes(survey, &place, family).map_err(failed)?;
            // The last metric is that of the kernel's own "unreachable default".
            let foreign = routes.iter().any(|r| {
                r.to.prefix_len() == 0
                    && r.table == TABLE_MAIN
                    && r.metric != u32::MAX
                    && r.protocol != RouteProtocol::OURS
                    && !r.via.is_some_and(|v| gateways.contains(&v))
            });
            if foreign {
                taken.push(family);
            }
        }
        Ok(taken)
    }

    /// The families in which an endpoint gives its sandbox the default route now; by `way` the sandbox is looked at.
    pub(crate) fn gives_default_in(
        &mut self,
        survey: &mut Survey,
        endpoint: &Endpoint,
        siblings: &[Endpoint],
        way: Option<&NsRef>,
    ) -> Result<Vec<Family>, Error> {
        let given = default_families(endpoint, siblings, &[]);
        let Some(way) = way.filter(|_| !given.is_empty()) else { return Ok(given) };
        let all = siblings.iter().chain([endpoint]).flat_map(|e| &e.addresses);
        let gateways: Vec<IpAddr> = all.filter_map(|a| a.gateway).collect();
        let foreign = self.foreign_defaults_in(survey, way, &given, &gateways)?;
        Ok(default_families(endpoint, siblings, &foreign))
    }
}

/// Whether its MAC is the one that is made from its first address.
pub(crate) fn has_own_mac(endpoint: &Endpoint) -> bool {
    endpoint.addresses.first().is_some_and(|a| endpoint.mac == Mac::from_address(a.address.addr()))
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
