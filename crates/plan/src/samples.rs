//! Networks and endpoints for tests.

use crate::Instance;
use zubi_model::{
    BridgeNetwork, DefaultRoute, Device, Driver, Egress, Endpoint, EndpointAddress, EndpointId, IfIndex, LinkGroup,
    Mac, NetnsCookie, Network, NetworkId, NsRef, Pool, PoolSpec, SandboxIdentity, Scope, Traits,
};
use zubi_wire::route::{AdminState, DeviceSettings, LinkSeen, Switch};

pub(crate) fn network(name: &str, subnets: &[&str]) -> Network {
    let pool = |subnet: &&str| {
        let subnet = subnet.parse().unwrap();
        PoolSpec { subnet, gateway: None, range: None, exclude: Vec::new() }.decide().unwrap()
    };
    let device = format!("zb-{name}").parse().unwrap();
    Network {
        name: name.parse().unwrap(),
        id: NetworkId::from_random([7; 32]),
        created: 0,
        driver: Driver::Bridge(BridgeNetwork::new(device, Mac::from_random([1; 6]))),
        mtu: None,
        pools: subnets.iter().map(pool).collect(),
        scope: Scope::Routed,
        egress: Egress::Masquerade,
        ipam: zubi_model::Ipam::Pools,
        router_advertisements: zubi_model::RouterAdvertisements::Ignored,
        naming: zubi_model::Naming::default(),
        labels: std::collections::BTreeMap::default(),
    }
}

pub(crate) fn instance() -> Instance {
    Instance { run: "/run/zubi".into(), boot: "8a4d8a0e".into(), namespace: NetnsCookie(1) }
}

/// The network with its bridge changed.
pub(crate) fn with_bridge(network: Network, change: impl FnOnce(&mut BridgeNetwork)) -> Network {
    let Driver::Bridge(mut bridge) = network.driver else { unreachable!("a bridge") };
    change(&mut bridge);
    Network { driver: Driver::Bridge(bridge), ..network }
}

/// An endpoint with the second address of each pool.
pub(crate) fn endpoint(network: &Network) -> Endpoint {
    let address = |pool: &Pool| {
        let hosts = pool.subnet.net();
        let second = hosts.hosts().nth(if hosts.addr().is_ipv4() { 1 } else { 2 }).unwrap();
        let address = ipnet::IpNet::new(second, hosts.prefix_len()).unwrap();
        EndpointAddress { address, gateway: pool.gateway }
    };
    Endpoint {
        id: EndpointId::from_random([9; 32]),
        network: network.name.clone(),
        network_id: network.id.clone(),
        sandbox: SandboxIdentity {
            cookie: NetnsCookie(7),
            spelled: "c1".into(),
            reached_by: NsRef::Named("c1".parse().unwrap()),
        },
        ifname: "eth0".parse().unwrap(),
        mac: Mac::from_random([2; 6]),
        next_mac: None,
        handed_over: None,
        dhcp: None,
        device: Device::pair("zv0102030405".parse().unwrap(), network.device().clone()),
        addresses: network.pools.iter().map(address).collect(),
        routes: Vec::new(),
        default_route: DefaultRoute::Eligible,
        displaced: Vec::new(),
        aliases: Vec::new(),
        name_servers: Vec::new(),
        name_files: zubi_model::NameFiles::default(),
        ports: Vec::new(),
        traits: Traits::default(),
        attached_at: 1,
    }
}

/// A device that is up and carries no mark.
pub(crate) fn seen(name: &str, kind: &str) -> LinkSeen {
    LinkSeen {
        index: IfIndex(3),
        name: name.into(),
        mac: None,
        mtu: 1500,
        state: AdminState::Up,
        carrier: true,
        promisc: Switch::Off,
        allmulticast: Switch::Off,
        tx_queue: 1000,
        group: LinkGroup::DEFAULT,
        alias: None,
        master: None,
        kind: Some(kind.into()),
        peer: None,
        peer_netns: None,
        bridge: None,
        vlan: None,
        addr_gen_mode: None,
        settings: DeviceSettings::default(),
        port: None,
    }
}
