//! The decision about a network on an Open vSwitch bridge: whether there is one, and which addresses are left to zubi.

use crate::decide::automatic_pool::automatic_pool;
use crate::decide::neighbourhood::Neighbourhood;
use crate::error::Error;
use crate::look::addresses_in_use::is_link_local;
use ipnet::IpNet;
use zubi_model::{
    Datapath, Driver, Egress, Exclusion, GatewayAt, IfName, Invalid, Ipam, Network, NetworkSpec, OvsSpec, Pool,
    PoolSpec, PortVlans, Scope, Subnet,
};
use zubi_ovsdb::BridgeSeen;
use zubi_plan::Place;
use zubi_snapshot::OvsAnswer;

/// What forwards the frames of a bridge.
pub(crate) fn datapath(seen: &BridgeSeen) -> Datapath {
    if seen.datapath == "netdev" { Datapath::Userspace } else { Datapath::Kernel }
}

/// The bridge in Open vSwitch's database.
fn bridge<'a>(name: &IfName, around: &'a Neighbourhood<'_>) -> Result<&'a BridgeSeen, Error> {
    let object = || format!("bridge {name}");
    let seen = match around.host.ovs().map_err(Error::unread(object()))? {
        OvsAnswer::Seen(seen) => seen,
        OvsAnswer::Silent(why) => return Err(Error::OvsBridge { bridge: name.clone(), why: why.clone() }),
    };
    if let Some(bridge) = seen.bridge(name.as_str()) {
        return Ok(bridge);
    }
    let link = around.host.link(&Place::Host, name.as_str()).map_err(Error::unread(object()))?;
    if link.is_some_and(|link| link.kind.as_deref() == Some("bridge")) {
        let adopt = format!("use it with --bridge {name} --adopt, and without --driver");
        return Err(Invalid::new("bridge", name, "is a Linux bridge, and none of Open vSwitch")
            .try_instead(adopt)
            .into());
    }
    let there = seen.bridges.iter().map(|bridge| bridge.name.clone()).collect();
    Err(Error::NoOvsBridge { bridge: name.clone(), there })
}

/// The subnets. Of one that was asked for, and of one that zubi chooses, all addresses are given; of one that the bridge's
/// own port is in, those of a range.
pub(crate) fn pools(spec: &NetworkSpec, ovs: &OvsSpec, around: &Neighbourhood<'_>) -> Result<Vec<Pool>, Error> {
    bridge(&ovs.bridge, around)?;
    if let PortVlans::Trunk(_) = ovs.vlans {
        return no_pools(spec, &ovs.vlans);
    }
    let object = format!("network {}", spec.name);
    let unread = || Error::unread(&object);
    let mut own: Vec<IpNet> = Vec::new();
    if let Some(link) = around.host.link(&Place::Host, ovs.bridge.as_str()).map_err(unread())? {
        let seen = around.host.addresses_of(&Place::Host, link.index).map_err(unread())?;
        own.extend(seen.iter().map(|seen| seen.address).filter(|own| !is_link_local(own.addr())));
    }
    let mut pools = Vec::new();
    for wish in &spec.pools {
        let range = wish.range.unwrap_or(wish.subnet.net());
        pools.push(pool(PoolSpec { range: Some(range), ..wish.clone() }, &own)?);
    }
    if pools.is_empty() {
        for address in own.iter().filter(|own| own.prefix_len() < own.max_prefix_len()) {
            let subnet = Subnet::try_from(address.trunc())?;
            pools.push(pool(PoolSpec { subnet, gateway: None, range: None, exclude: Vec::new() }, &own)?);
        }
    }
    if pools.is_empty() && spec.ipam != Ipam::Dhcp {
        for family in &spec.families {
            let chosen = automatic_pool(&spec.name, *family, around.pools, around.occupied)?;
            pools.push(Pool { gateway: None, range: Some(chosen.subnet.net()), ..chosen });
        }
    }
    pools.sort_by_key(|pool| pool.subnet.family());
    Ok(pools)
}

/// Frames without a tag do not pass a trunk, so an address of the endpoint's own device would reach nobody.
fn no_pools(spec: &NetworkSpec, trunk: &PortVlans) -> Result<Vec<Pool>, Error> {
    let why =
        format!("has no use with {trunk}: frames without a tag do not pass, and VLAN devices inside have addresses");
    match (&spec.pools[..], spec.ipam) {
        ([], Ipam::Pools) => Ok(Vec::new()),
        ([wish, ..], _) => {
            Err(Invalid::new("subnet", wish.subnet, why).try_instead("leave --subnet out, or --trunk").into())
        }
        ([], Ipam::Dhcp) => Err(Invalid::new("ipam", "dhcp", why).try_instead("leave --ipam out, or --trunk").into()),
    }
}

/// A pool whose gateway, if there is one, is not the network's: the one that was asked for, or the host on the bridge's
/// own port.
fn pool(wish: PoolSpec, own: &[IpNet]) -> Result<Pool, Error> {
    let here = own.iter().map(IpNet::addr).find(|own| wish.subnet.net().contains(own));
    let gateway = wish.gateway.or(here);
    let decided = wish.decide()?;
    let mut exclude = decided.exclude;
    exclude.extend(here.map(|own| Exclusion { first: own, last: own }));
    Ok(Pool { gateway, gateway_at: GatewayAt::Elsewhere, exclude, ..decided })
}

/// The network as it can be, with what Open vSwitch knows of the bridge.
pub(crate) fn settle(mut network: Network, around: &Neighbourhood<'_>) -> Result<Network, Error> {
    let Driver::Ovs(part) = &mut network.driver else { return Ok(network) };
    if network.scope == Scope::Internal {
        let why = format!("cannot be internal: what leaves bridge {} is a matter of its other ports", part.bridge);
        return Err(Invalid::new("network", &network.name, why).try_instead("leave --internal out").into());
    }
    part.datapath = datapath(bridge(&part.bridge, around)?);
    let (bridge, vlans) = (part.bridge.clone(), part.vlans.clone());
    network.egress = Egress::Plain;
    let meets = |other: &&Network| other.ovs().is_some_and(|part| part.bridge == bridge && part.vlans.meet(&vlans));
    for other in around.networks.iter().filter(meets) {
        let overlaps = |pool: &&Pool| other.pools.iter().any(|theirs| theirs.subnet.overlaps(pool.subnet.net()));
        if let Some(pool) = network.pools.iter().find(overlaps) {
            return Err(Error::Overlap {
                name: network.name.clone(),
                subnet: pool.subnet.to_string(),
                by: format!("network {} in the same VLAN of bridge {bridge}", other.name),
            });
        }
    }
    Ok(network)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::memory;
    use crate::decide::network::{NetworkBirth, network};
    use zubi_ipam::AddressPools;
    use zubi_model::{DriverSpec, Mac, NetworkId};
    use zubi_ovsdb::Seen;
    use zubi_snapshot::Snapshot;
    use zubi_wire::route::{AddressSeen, LinkSeen, Uniqueness};

    fn spec(subnet: Option<&str>, vlan: Option<u16>) -> NetworkSpec {
        let pool =
            |text: &str| PoolSpec { subnet: text.parse().unwrap(), gateway: None, range: None, exclude: Vec::new() };
        let vlans = vlan.map_or(PortVlans::All, |vlan| PortVlans::Access(vlan.try_into().unwrap()));
        let driver = DriverSpec::Ovs(OvsSpec { bridge: "br0".parse().unwrap(), vlans });
        NetworkSpec {
            pools: subnet.map(pool).into_iter().collect(),
            driver,
            ..NetworkSpec::new("blue".parse().unwrap())
        }
    }

    /// A host with the bridge, whose own port may have an address.
    fn host(datapath: &str, address: Option<&str>) -> Snapshot {
        let mut host = Snapshot::new();
        let link = LinkSeen { kind: Some("openvswitch".into()), ..memory::bridge_seen("br0") };
        let device = link.index;
        let seen = |text: &str| AddressSeen { address: text.parse().unwrap(), device, uniqueness: Uniqueness::Known };
        host.set_addresses_of(&Place::Host, device, address.into_iter().map(seen).collect());
        host.set_links(&Place::Host, vec![link]);
        let bridges = vec![BridgeSeen { name: "br0".into(), datapath: datapath.into() }];
        host.set_ovs(OvsAnswer::Seen(Seen { bridges, ports: Vec::new() }));
        host
    }

    fn decide(spec: NetworkSpec, host: &Snapshot, networks: &[Network]) -> Result<Network, Error> {
        let birth = NetworkBirth { id: NetworkId::from_random([9; 32]), mac: Mac::from_random([9; 6]), created: 1 };
        let pools = AddressPools::standard([0; 5]);
        network(spec, &birth, &Neighbourhood { networks, occupied: &[], host, pools: &pools })
    }

    fn shown(network: &Network) -> Vec<String> {
        let words = |pool: &Pool| {
            let gateway = pool.gateway.map_or_else(|| "-".to_owned(), |gateway| gateway.to_string());
            let range = pool.range.map_or_else(|| "-".to_owned(), |range| range.to_string());
            assert!(pool.host_address().is_none());
            format!("{} {gateway} {range}", pool.subnet)
        };
        network.pools.iter().map(words).collect()
    }

    #[test]
    fn the_host_is_the_gateway_only_where_the_bridge_has_its_address() {
        let quiet = host("", None);
        let network = decide(spec(Some("10.9.0.0/24"), None), &quiet, &[]).unwrap();
        assert_eq!(shown(&network), ["10.9.0.0/24 - 10.9.0.0/24"]);
        assert_eq!(network.egress, Egress::Plain);
        let addressed = host("", Some("10.9.0.1/24"));
        let network = decide(spec(Some("10.9.0.0/24"), None), &addressed, &[]).unwrap();
        assert_eq!(shown(&network), ["10.9.0.0/24 10.9.0.1 10.9.0.0/24"]);
        // Nobody has left these addresses to zubi.
        assert_eq!(shown(&decide(spec(None, None), &addressed, &[]).unwrap()), ["10.9.0.0/24 10.9.0.1 -"]);
    }

    #[test]
    fn a_bridge_in_user_space_is_noted() {
        let datapath = |word: &str| {
            let network = decide(spec(None, None), &host(word, None), &[]).unwrap();
            network.ovs().unwrap().datapath
        };
        assert_eq!((datapath(""), datapath("netdev")), (Datapath::Kernel, Datapath::Userspace));
    }

    #[test]
    fn a_subnet_is_given_once_in_a_vlan() {
        let host = host("", None);
        let ten = decide(spec(Some("10.9.0.0/24"), Some(10)), &host, &[]).unwrap();
        let ten = Network { name: "ten".parse().unwrap(), ..ten };
        let refused = decide(spec(Some("10.9.0.0/25"), Some(10)), &host, std::slice::from_ref(&ten));
        assert!(refused.unwrap_err().to_string().contains("network ten in the same VLAN of bridge br0"));
        assert!(decide(spec(Some("10.9.0.0/25"), None), &host, std::slice::from_ref(&ten)).is_err());
        assert!(decide(spec(Some("10.9.0.0/24"), Some(20)), &host, &[ten]).is_ok());
    }

    #[test]
    fn a_trunk_has_no_addresses() {
        let host = host("", Some("10.9.0.1/24"));
        let trunk = |subnet| {
            let mut spec = spec(subnet, None);
            let vlans = PortVlans::trunk(vec![10.try_into().unwrap()]);
            spec.driver = DriverSpec::Ovs(OvsSpec { bridge: "br0".parse().unwrap(), vlans });
            decide(spec, &host, &[])
        };
        assert!(trunk(None).unwrap().pools.is_empty());
        let refused = trunk(Some("10.9.0.0/24")).unwrap_err().to_string();
        assert!(refused.contains("frames without a tag do not pass"), "{refused}");
    }

    #[test]
    fn what_is_no_bridge_of_open_vswitch_is_refused() {
        let mut host = host("", None);
        host.set_ovs(OvsAnswer::Seen(Seen::default()));
        let refused = decide(spec(None, None), &host, &[]).unwrap_err().to_string();
        assert!(refused.contains("has no bridge br0"), "{refused}");
        host.set_links(&Place::Host, vec![memory::bridge_seen("br0")]);
        let refused = decide(spec(None, None), &host, &[]).unwrap_err().to_string();
        assert!(refused.contains("is a Linux bridge") && refused.contains("--adopt"), "{refused}");
        host.set_ovs(OvsAnswer::Silent("Open vSwitch does not run".into()));
        assert!(matches!(decide(spec(None, None), &host, &[]), Err(Error::OvsBridge { .. })));
    }
}
