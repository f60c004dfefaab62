//! The decision about a network: takes the user's wishes, and chooses bridge and subnets that the user left open.

use crate::decide::automatic_pool::automatic_pool;
use crate::decide::neighbourhood::Neighbourhood;
use crate::decide::{macvlan, ovs, uplink};
use crate::error::Error;
use crate::look::addresses_in_use::is_link_local;
use ipnet::IpNet;
use zubi_model::{
    Family, GatewayAt, IfName, Invalid, Mac, Network, NetworkId, NetworkSpec, Pool, PoolSpec, RouterAdvertisements,
    Subnet,
};
use zubi_plan::Place;

/// The parts of a network that come from random numbers and the clock.
#[derive(Debug, Clone)]
pub(crate) struct NetworkBirth {
    pub(crate) id: NetworkId,
    /// The MAC of its device.
    pub(crate) mac: Mac,
    /// Seconds since 1970.
    pub(crate) created: u64,
}

/// Decides a network.
pub(crate) fn network(spec: NetworkSpec, birth: &NetworkBirth, around: &Neighbourhood<'_>) -> Result<Network, Error> {
    let spec = macvlan::with_carrier(spec, around)?;
    let uplink = spec.driver.uplink();
    let carried = spec.driver.macvlan().and_then(|spec| spec.card.as_ref());
    let pools = match (spec.driver.adopted(), uplink, carried, spec.driver.ovs()) {
        (Some(device), ..) => adopted_pools(&spec, device, around)?,
        (None, Some(uplink), ..) => uplink::pools(&spec, uplink, around)?,
        (None, None, Some(card), _) => macvlan::pools(&spec, card, around)?,
        (None, None, None, Some(on)) => ovs::pools(&spec, on, around)?,
        (None, None, None, None) => pools(&spec, around)?,
    };
    let pools = without_advertised(&spec, pools)?;
    if let Some(mtu) = spec.mtu.filter(|_| pools.iter().any(|p| p.subnet.family() == Family::V6)) {
        mtu.carries_ipv6()?;
    }
    let mac = uplink.map_or(Ok(birth.mac), |uplink| uplink::mac_of_card(uplink, around))?;
    let mtu = match (spec.mtu, uplink, carried) {
        (_, _, Some(card)) => macvlan::mtu(&spec, card, around)?,
        (None, Some(uplink), None) => Some(uplink::mtu_of_card(uplink, around)?),
        (mtu, _, None) => mtu,
    };
    let driver = spec.driver.decide(&spec.name, &birth.id, mac)?;
    let network = Network {
        name: spec.name,
        id: birth.id.clone(),
        created: birth.created,
        driver,
        mtu,
        pools,
        scope: spec.scope,
        egress: spec.egress,
        ipam: spec.ipam,
        router_advertisements: spec.router_advertisements,
        naming: spec.naming,
        labels: spec.labels,
    };
    uplink::refuse_contradictions(&network)?;
    let network = ovs::settle(macvlan::settle(network, around)?, around)?;
    if network.asks_dhcp() && !network.shares_addresses() {
        let why =
            format!("is for networks with a DHCP server, and zubi itself gives the addresses of {}", network.name);
        let instead = "use --driver uplink, or --bridge NAME --adopt";
        return Err(Invalid::new("--ipam", "dhcp", why).try_instead(instead).into());
    }
    if network.router_advertisements == RouterAdvertisements::Taken && !network.shares_addresses() {
        let why = format!("is for networks with a router, and none advertises on {}", network.name);
        let instead = "use --driver uplink or macvlan, or --bridge NAME --adopt";
        return Err(Invalid::new("--ipv6", "slaac", why).try_instead(instead).into());
    }
    require_free_device(&network, around)?;
    Ok(network)
}

/// The pools of a network: no IPv6 pool where endpoints make themselves IPv6 addresses.
fn without_advertised(spec: &NetworkSpec, mut pools: Vec<Pool>) -> Result<Vec<Pool>, Error> {
    if spec.router_advertisements == RouterAdvertisements::Ignored {
        return Ok(pools);
    }
    if let Some(wish) = spec.pools.iter().find(|wish| wish.subnet.family() == Family::V6) {
        let why = "is for addresses that zubi gives, and with --ipv6=slaac the endpoints make themselves theirs";
        return Err(Invalid::new("subnet", wish.subnet, why).into());
    }
    pools.retain(|pool| pool.subnet.family() == Family::V4);
    Ok(pools)
}

fn require_free_device(network: &Network, around: &Neighbourhood<'_>) -> Result<(), Error> {
    let on_ovs = |network: &Network| network.ovs().is_some();
    if network.macvlan().is_some_and(|part| part.card().is_some()) {
        return refuse_overlaps(network, around.networks);
    }
    let device = network.device();
    let is_in_the_way = |other: &&Network| other.shares_device_with(network) && !(on_ovs(other) && on_ovs(network));
    if let Some(other) = around.networks.iter().find(is_in_the_way) {
        return Err(Invalid::new("bridge", device, format!("is the bridge of network {}", other.name)).into());
    }
    if !network.owns_device() {
        return refuse_overlaps(network, around.networks);
    }
    let object = format!("network {}", network.name);
    let Some(seen) = around.host.link(&Place::Host, device.as_str()).map_err(Error::unread(&object))? else {
        return Ok(());
    };
    let kind = seen.kind.as_deref().unwrap_or("device");
    Err(Error::Kernel {
        object,
        source: zubi_kernel::Error::Conflict {
            object: format!("bridge {device}"),
            found: format!("a {kind} that zubi did not make; choose another name with --bridge"),
        },
    })
}

/// The subnets asked for, after a check that nothing uses them, and automatic subnets for the families that have none.
fn pools(spec: &NetworkSpec, around: &Neighbourhood<'_>) -> Result<Vec<Pool>, Error> {
    let mut pools: Vec<Pool> = Vec::new();
    for wish in &spec.pools {
        let pool = wish.clone().decide()?;
        if let Some(same) = pools.iter().find(|p| p.subnet.family() == pool.subnet.family()) {
            let why = format!("is a second {} subnet beside {}", pool.subnet.family(), same.subnet);
            return Err(Invalid::new("subnet", pool.subnet, why).try_instead("give one of each family").into());
        }
        let net = pool.subnet.net();
        if let Some(other) = around.occupied.iter().find(|o| o.refuses(net)) {
            return Err(Error::Overlap { name: spec.name.clone(), subnet: net.to_string(), by: other.by.clone() });
        }
        pools.push(pool);
    }
    for family in &spec.families {
        if !pools.iter().any(|p| p.subnet.family() == *family) {
            pools.push(automatic_pool(&spec.name, *family, around.pools, around.occupied)?);
        }
    }
    pools.sort_by_key(|p| p.subnet.family());
    Ok(pools)
}

/// The subnets of a bridge as it is: those of its addresses, and others that are asked for. The host gets no address.
fn adopted_pools(spec: &NetworkSpec, device: &IfName, around: &Neighbourhood<'_>) -> Result<Vec<Pool>, Error> {
    let object = format!("network {}", spec.name);
    let seen = around.host.link(&Place::Host, device.as_str()).map_err(Error::unread(&object))?;
    let Some(seen) = seen else {
        return Err(Error::NoBridge { network: spec.name.clone(), bridge: device.clone() });
    };
    if seen.kind.as_deref() != Some("bridge") {
        let kind = seen.kind.as_deref().unwrap_or("device");
        return Err(Invalid::new("bridge", device, format!("is a {kind}")).into());
    }
    let seen = around.host.addresses_of(&Place::Host, seen.index).map_err(Error::unread(&object))?;
    let own: Vec<IpNet> = seen.iter().map(|seen| seen.address).filter(|own| !is_link_local(own.addr())).collect();
    let mut pools: Vec<Pool> = Vec::new();
    for wish in &spec.pools {
        let here = own.iter().find(|own| own.trunc() == wish.subnet.net()).map(IpNet::addr);
        let decided = wish.clone().decide()?;
        let gateway = wish.gateway.or(here);
        let gateway_at = if gateway == here { GatewayAt::Bridge } else { GatewayAt::Elsewhere };
        pools.push(Pool { gateway, gateway_at, ..decided });
    }
    if pools.is_empty() {
        for address in own {
            let subnet = Subnet::try_from(address.trunc())?;
            let decided = PoolSpec { subnet, gateway: None, range: None, exclude: Vec::new() }.decide()?;
            pools.push(Pool { gateway: Some(address.addr()), ..decided });
        }
    }
    pools.sort_by_key(|pool| pool.subnet.family());
    Ok(pools)
}

/// Refuses a subnet that overlaps one of another network. A subnet can be on one bridge only, otherwise the host could
/// not route its packets. Two networks may overlap if the host routes neither.
pub(crate) fn refuse_overlaps(network: &Network, others: &[Network]) -> Result<(), Error> {
    for other in others.iter().filter(|other| other.name != network.name) {
        for pool in &network.pools {
            if !network.concerns_host(pool) && other.pools.iter().all(|p| !other.concerns_host(p)) {
                continue;
            }
            let same = |p: &Pool| p.subnet == pool.subnet && other.shares_device_with(network);
            if let Some(theirs) = other.pools.iter().find(|p| p.subnet.overlaps(pool.subnet.net()) && !same(p)) {
                return Err(Error::Overlap {
                    name: network.name.clone(),
                    subnet: pool.subnet.to_string(),
                    by: format!("{} of network {}", theirs.subnet, other.name),
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::memory;
    use zubi_ipam::{AddressPools, Claim, Occupied};
    use zubi_model::{BridgeSpec, Driver, DriverSpec, Egress, ExistingBridge, Ingress};
    use zubi_snapshot::Snapshot;
    use zubi_wire::route::{AddressSeen, Uniqueness};

    fn birth() -> NetworkBirth {
        NetworkBirth { id: NetworkId::from_random([9; 32]), mac: "02:00:00:00:00:09".parse().unwrap(), created: 1 }
    }

    fn decide(spec: NetworkSpec, networks: &[Network], occupied: &[(&str, &str)]) -> Result<Network, Error> {
        let claim = |by: &str| if by.contains("route") { Claim::Way } else { Claim::Whole };
        let used =
            |(net, by): &(&str, &str)| Occupied { net: net.parse().unwrap(), claim: claim(by), by: (*by).into() };
        let occupied: Vec<Occupied> = occupied.iter().map(used).collect();
        let mut host = Snapshot::new();
        host.set_links(&Place::Host, vec![memory::bridge_seen("br-old")]);
        let pools = AddressPools::standard([0; 5]);
        let around = Neighbourhood { networks, occupied: &occupied, host: &host, pools: &pools };
        network(spec, &birth(), &around)
    }

    fn spec(subnet: Option<&str>) -> NetworkSpec {
        let pool =
            |text: &str| PoolSpec { subnet: text.parse().unwrap(), gateway: None, range: None, exclude: Vec::new() };
        NetworkSpec { pools: subnet.map(pool).into_iter().collect(), ..NetworkSpec::new("blue".parse().unwrap()) }
    }

    #[test]
    fn an_automatic_subnet_avoids_what_is_in_use() {
        let first = decide(spec(None), &[], &[]).unwrap().pools[0].subnet;
        let taken = [(&*first.to_string(), "a route")];
        let second = decide(spec(None), &[], &taken).unwrap().pools[0].subnet;
        assert!(!second.overlaps(first.net()));
    }

    #[test]
    fn a_subnet_that_something_uses_is_refused_and_a_default_route_uses_nothing() {
        let with = |net: &str, by: &str| decide(spec(Some("10.1.0.0/16")), &[], &[(net, by)]);
        for net in ["10.1.0.0/16", "10.1.7.0/24"] {
            assert!(with(net, "the route by tun0").unwrap_err().to_string().contains("tun0"));
        }
        assert!(with("10.0.0.0/8", "the route 10.0.0.0/8 by tun0").is_ok());
        assert!(with("10.0.0.0/8", "address 10.9.9.9/8 of eth0").unwrap_err().to_string().contains("eth0"));
        assert!(decide(spec(Some("10.1.0.0/16")), &[], &[("0.0.0.0/1", "a VPN")]).is_ok());
    }

    #[test]
    fn a_bridge_that_is_there_already_is_refused() {
        let on = |device: &str| {
            let bridge = BridgeSpec { device: Some(device.parse().unwrap()), ..BridgeSpec::default() };
            NetworkSpec { driver: DriverSpec::Bridge(bridge), ..spec(None) }
        };
        assert!(decide(on("br-old"), &[], &[]).unwrap_err().to_string().contains("a bridge that zubi did not make"));
        let green = memory::network("green", &[]);
        assert!(
            decide(on(green.device().as_str()), &[green], &[])
                .unwrap_err()
                .to_string()
                .contains("is the bridge of network green")
        );
    }

    #[test]
    fn an_adopted_bridge_stays_as_it_is() {
        let seen = memory::bridge_seen("br-old");
        let mut host = Snapshot::new();
        let device = seen.index;
        let address =
            |text: &str| AddressSeen { address: text.parse().unwrap(), device, uniqueness: Uniqueness::Known };
        host.set_addresses_of(&Place::Host, device, vec![address("10.1.0.1/16"), address("fe80::1/64")]);
        host.set_links(&Place::Host, vec![seen]);
        let adopt = |subnet: Option<&str>, gateway: Option<&str>| {
            let bridge = BridgeSpec {
                device: Some("br-old".parse().unwrap()),
                existing: ExistingBridge::Adopted,
                ..BridgeSpec::default()
            };
            let mut spec = NetworkSpec { driver: DriverSpec::Bridge(bridge), ..spec(subnet) };
            for pool in &mut spec.pools {
                pool.gateway = gateway.map(|gateway| gateway.parse().unwrap());
            }
            let pools = AddressPools::standard([0; 5]);
            // What is on the bridge itself is no obstacle.
            let occupied = [Occupied {
                net: "10.1.0.0/16".parse().unwrap(),
                claim: Claim::Way,
                by: "the route 10.1.0.0/16 by br-old".into(),
            }];
            network(spec, &birth(), &Neighbourhood { networks: &[], occupied: &occupied, host: &host, pools: &pools })
        };
        let shown = |network: &Network| {
            let pool = &network.pools[0];
            (pool.subnet.to_string(), pool.gateway.map(|gateway| gateway.to_string()), pool.host_address().is_some())
        };
        let as_it_is = adopt(None, None).unwrap();
        assert_eq!(shown(&as_it_is), ("10.1.0.0/16".into(), Some("10.1.0.1".into()), true));
        assert!(!as_it_is.owns_device() && as_it_is.pools.len() == 1 && !as_it_is.chooses_from(&as_it_is.pools[0]));
        let elsewhere = adopt(Some("10.1.0.0/16"), Some("10.1.0.254")).unwrap();
        assert_eq!(shown(&elsewhere), ("10.1.0.0/16".into(), Some("10.1.0.254".into()), false));
        let without = adopt(Some("10.9.0.0/16"), None).unwrap();
        assert_eq!(shown(&without), ("10.9.0.0/16".into(), None, false));
    }

    #[test]
    fn two_networks_share_a_subnet_on_one_bridge_or_where_the_host_routes_neither() {
        let (blue, mut green) = (memory::network("blue", &["10.1.0.0/16"]), memory::network("green", &["10.1.0.0/16"]));
        assert!(refuse_overlaps(&blue, std::slice::from_ref(&green)).is_err());
        green.driver = blue.driver.clone();
        assert!(refuse_overlaps(&blue, std::slice::from_ref(&green)).is_ok());
        let unrouted = |name: &str| {
            let mut network = memory::network(name, &["10.1.0.0/16"]);
            network.pools[0].gateway = None;
            network.egress = Egress::Plain;
            let Driver::Bridge(bridge) = &mut network.driver else { unreachable!("a bridge") };
            bridge.ingress = Ingress::Open;
            network
        };
        assert!(refuse_overlaps(&unrouted("blue"), &[unrouted("green")]).is_ok());
    }
}
