//! Every plan as the text it prints: what `--explain` and `--verbose` show.

use std::path::PathBuf;
use zubi_model::{
    AddressOptions, BridgeMode, BridgeNetwork, Datapath, DefaultRoute, Device, DirectLink, Driver, Egress, Endpoint,
    EndpointAddress, EndpointId, Family, Hairpin, HeldAddress, Holdings, Icc, IfIndex, Ingress, LinkEnd, LinkGroup,
    LinkId, LinkPlace, Mac, NetnsCookie, Network, NetworkId, NsRef, OvsNetwork, Pool, PoolSpec, PortSource, PortVlans,
    Promiscuity, RouterAdvertisements, SandboxIdentity, Scope, Traits, VlanId,
};
use zubi_plan::driver::{
    HostFacts, InUse, Last, Reached, Remains, attach, change, detach, down, give_back, network_elements, publish,
    take_from_host, take_over, unpublish, up, up_with,
};
use zubi_plan::forwarding::Ipv6Forwarding;
use zubi_plan::loopback::BridgeNetfilter;
use zubi_plan::{Instance, Neighbours, Plan, Presence, Surroundings, Taken, TakenNow, link, sandbox};
use zubi_wire::route::{AddrGenMode, AdminState, DeviceSettings, LinkSeen, NetnsId, PortSeen, Switch};

const V4: &str = "10.55.66.0/24";
const V6: &str = "fd00:55::/64";

fn pool(subnet: &str) -> Pool {
    let subnet = subnet.parse().unwrap();
    PoolSpec { subnet, gateway: None, range: None, exclude: Vec::new() }.decide().unwrap()
}

fn network(name: &str, subnets: &[&str]) -> Network {
    Network {
        name: name.parse().unwrap(),
        id: NetworkId::from_random([0x5a; 32]),
        created: 0,
        driver: Driver::Bridge(BridgeNetwork::new(
            format!("zb-{name}").parse().unwrap(),
            Mac::from_random([2, 0, 0, 0, 0, 1]),
        )),
        mtu: None,
        pools: subnets.iter().map(|s| pool(s)).collect(),
        scope: Scope::Routed,
        egress: Egress::Masquerade,
        ipam: zubi_model::Ipam::Pools,
        router_advertisements: zubi_model::RouterAdvertisements::Ignored,
        naming: zubi_model::Naming::default(),
        labels: std::collections::BTreeMap::new(),
    }
}

/// The network with its bridge changed.
fn with_bridge(network: Network, change: impl FnOnce(&mut BridgeNetwork)) -> Network {
    let Driver::Bridge(mut bridge) = network.driver else { unreachable!("a bridge") };
    change(&mut bridge);
    Network { driver: Driver::Bridge(bridge), ..network }
}

fn endpoint(network: &Network, reached_by: NsRef, ifname: &str) -> Endpoint {
    let address = |p: &Pool| {
        let host = match p.subnet.net().network() {
            std::net::IpAddr::V4(a) => std::net::IpAddr::V4((u32::from(a) + 2).into()),
            std::net::IpAddr::V6(a) => std::net::IpAddr::V6((u128::from(a) + 2).into()),
        };
        EndpointAddress {
            address: format!("{host}/{}", p.subnet.net().prefix_len()).parse().unwrap(),
            gateway: p.gateway,
        }
    };
    let addresses: Vec<EndpointAddress> = network.pools.iter().map(address).collect();
    Endpoint {
        id: EndpointId::from_random([0x5b; 32]),
        network: network.name.clone(),
        network_id: network.id.clone(),
        sandbox: SandboxIdentity { cookie: NetnsCookie(7), spelled: "c1".into(), reached_by },
        ifname: ifname.parse().unwrap(),
        mac: Mac::from_address(addresses[0].address.addr()),
        next_mac: None,
        handed_over: None,
        dhcp: None,
        device: Device::pair("zv0102030405".parse().unwrap(), network.device().clone()),
        addresses,
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

fn named() -> NsRef {
    NsRef::Named("c1".parse().unwrap())
}

/// An empty sandbox: nothing is up, nobody gives a default route.
fn instance() -> Instance {
    Instance { run: "/run/zubi".into(), boot: "8a4d8a0e".into(), namespace: NetnsCookie(1) }
}

fn empty(default_in: &[Family]) -> Surroundings {
    Surroundings {
        instance: instance(),
        loopback: AdminState::Down,
        default_in: default_in.to_vec(),
        displaced: Vec::new(),
        stale: Vec::new(),
        of_host: Vec::new(),
        neighbours: Neighbours::MayBeWrong,
        lifetime: zubi_model::Lifetime::default(),
        taken: None,
    }
}

/// The plan behind the scenes of a network, of which the table is the same every time.
fn without_layout(plan: Plan) -> Plan {
    plan.ops.into_iter().filter(|op| !op.why.starts_with("firewall:")).collect()
}

fn made(network: &Network) -> Plan {
    without_layout(up(network, &Ipv6Forwarding::Force))
}

#[test]
fn the_first_network_makes_the_firewall() {
    insta::assert_snapshot!(up(&network("blue", &[V4]), &Ipv6Forwarding::Force));
}

#[test]
fn an_ipv6_network() {
    insta::assert_snapshot!(made(&network("blue", &[V6])));
}

#[test]
fn a_dual_stack_network() {
    insta::assert_snapshot!(made(&network("blue", &[V4, V6])));
}

#[test]
fn ipv6_forwarding_without_force_forwarding_asks_for_router_advertisements_again() {
    let ipv6 = Ipv6Forwarding::Classic { learning: vec!["eth0".parse().unwrap(), "wlan0".parse().unwrap()] };
    insta::assert_snapshot!(without_layout(up(&network("blue", &[V6]), &ipv6)));
}

#[test]
fn an_internal_network() {
    insta::assert_snapshot!(made(&Network { scope: Scope::Internal, ..network("blue", &[V4, V6]) }));
}

#[test]
fn a_network_whose_endpoints_are_isolated() {
    insta::assert_snapshot!(made(&with_bridge(network("blue", &[V4]), |bridge| bridge.icc = Icc::Isolated)));
}

#[test]
fn a_network_that_keeps_source_addresses() {
    insta::assert_snapshot!(made(&Network { egress: Egress::Plain, ..network("blue", &[V4, V6]) }));
}

#[test]
fn a_network_with_small_packets() {
    insta::assert_snapshot!(made(&Network { mtu: Some(1400.try_into().unwrap()), ..network("blue", &[V4]) }));
}

#[test]
fn the_last_network_takes_the_firewall_along() {
    insta::assert_snapshot!(down(&network("blue", &[V4, V6]), Last::Yes));
}

#[test]
fn another_network_leaves_the_firewall() {
    insta::assert_snapshot!(down(&network("blue", &[V4, V6]), Last::No));
}

#[test]
fn connect_a_named_sandbox() {
    let network = network("blue", &[V4]);
    insta::assert_snapshot!(attach(&network, &endpoint(&network, named(), "eth0"), &empty(&[Family::V4])));
}

#[test]
fn connect_a_sandbox_known_by_path_to_a_dual_stack_network() {
    let network = network("blue", &[V4, V6]);
    let reached_by = NsRef::Path("/proc/4711/ns/net".into());
    let endpoint = endpoint(&network, reached_by, "eth0");
    insta::assert_snapshot!(attach(&network, &endpoint, &empty(&[Family::V4, Family::V6])));
}

#[test]
fn hand_a_device_over_to_the_program_that_runs_the_sandbox() {
    let network = network("blue", &["10.55.66.0/24", "fd00:55::/64"]);
    let waiting = Some("zh0102030405".parse().unwrap());
    let endpoint = Endpoint { handed_over: waiting, ..endpoint(&network, named(), "zh0102030405") };
    insta::assert_snapshot!(attach(&network, &endpoint, &empty(&[])));
    let wanted = zubi_plan::driver::wanted(&network, &endpoint, &empty(&[]));
    assert!(wanted.iter().all(|op| op.place == zubi_plan::Place::Host));
}

#[test]
fn connect_to_a_second_network_leaves_the_default_route_where_it_is() {
    let network = network("green", &[V4]);
    let around = Surroundings {
        instance: instance(),
        loopback: AdminState::Up,
        default_in: Vec::new(),
        displaced: Vec::new(),
        stale: Vec::new(),
        of_host: Vec::new(),
        neighbours: Neighbours::MayBeWrong,
        lifetime: zubi_model::Lifetime::default(),
        taken: None,
    };
    insta::assert_snapshot!(attach(&network, &endpoint(&network, named(), "eth1"), &around));
}

/// One end of a pair made by hand, up.
fn hand_made(name: &str, index: u32, peer: u32) -> LinkSeen {
    LinkSeen {
        index: IfIndex(index),
        name: name.into(),
        mac: Some(Mac::from_random([2, 0, 0, 0, 0, index.try_into().unwrap()])),
        mtu: 1500,
        state: AdminState::Up,
        carrier: true,
        promisc: Switch::Off,
        allmulticast: Switch::Off,
        tx_queue: 1000,
        group: LinkGroup::DEFAULT,
        alias: None,
        master: None,
        kind: Some("veth".into()),
        peer: Some(IfIndex(peer)),
        peer_netns: Some(NetnsId(0)),
        bridge: None,
        vlan: None,
        addr_gen_mode: Some(AddrGenMode::Eui64),
        settings: DeviceSettings::default(),
        port: None,
    }
}

fn taken() -> Taken {
    Taken {
        host: "veth1_p".parse().unwrap(),
        outer: hand_made("veth1_p", 5, 6),
        bridge: None,
        ifname: "veth1".parse().unwrap(),
        inner: hand_made("veth1", 6, 5),
        addresses: vec!["10.55.66.2/24".parse().unwrap()],
    }
}

#[test]
fn connect_by_a_pair_made_by_hand() {
    let network = network("blue", &[V4, V6]);
    let around = Surroundings { taken: Some(taken()), ..empty(&[Family::V4, Family::V6]) };
    insta::assert_snapshot!(attach(&network, &endpoint(&network, named(), "veth1"), &around));
}

#[test]
fn connect_by_a_port_made_by_hand_under_another_name() {
    let network = network("blue", &[V4]);
    let port = PortSeen {
        isolated: Switch::On,
        hairpin: Switch::Off,
        locked: Switch::Off,
        learning: Switch::On,
        flood: Switch::On,
    };
    let mut taken = taken();
    taken.bridge = Some("zb-blue".parse().unwrap());
    taken.outer = LinkSeen { mtu: 1400, state: AdminState::Down, port: Some(port), ..taken.outer };
    let around = Surroundings { taken: Some(taken), ..empty(&[Family::V4]) };
    insta::assert_snapshot!(attach(&network, &endpoint(&network, named(), "eth0"), &around));
}

#[test]
fn give_back_a_pair_that_was_taken_over_in_part() {
    let network = network("blue", &[V4, V6]);
    let endpoint = endpoint(&network, named(), "eth0");
    let outer = LinkSeen {
        name: "zv0102030405".into(),
        mac: Some(endpoint.host_mac()),
        group: LinkGroup::OURS,
        master: Some(IfIndex(2)),
        addr_gen_mode: Some(AddrGenMode::None),
        ..taken().outer
    };
    let inner = LinkSeen { name: "eth0".into(), mac: Some(endpoint.mac), ..taken().inner };
    let now = TakenNow { outer: Some(outer), inner: Some((named(), inner)) };
    insta::assert_snapshot!(give_back(&endpoint, &taken(), &now));
}

#[test]
fn connect_with_static_routes() {
    let network = network("blue", &[V4, V6]);
    let routes = ["10.9.0.0/16,10.55.66.8", "10.10.0.0/16", "fd00:9::/48,fd00:55::8"];
    let routes = routes.map(|r| r.parse().unwrap()).to_vec();
    let endpoint = Endpoint { routes, ..endpoint(&network, named(), "eth0") };
    insta::assert_snapshot!(attach(&network, &endpoint, &empty(&[Family::V4, Family::V6])));
}

#[test]
fn connect_to_a_network_of_isolated_endpoints_with_small_packets() {
    let network = Network { mtu: Some(1400.try_into().unwrap()), ..network("blue", &[V4]) };
    let network = with_bridge(network, |bridge| bridge.icc = Icc::Isolated);
    insta::assert_snapshot!(attach(&network, &endpoint(&network, named(), "eth0"), &empty(&[Family::V4])));
}

fn blue() -> Network {
    network("blue", &[V4, V6])
}

/// One of each form there is.
fn published() -> Endpoint {
    let ports = [
        r#"{"host":"*","host_ports":"8080","target":"80","protocol":"tcp"}"#,
        r#"{"host":"127.0.0.1","host_ports":"9000-9010","target":"9000-9010","protocol":"udp"}"#,
        r#"{"host":"[2001:db8::1]","host_ports":"53","target":"5353","protocol":"udp"}"#,
        r#"{"host":"*","host_ports":"7000-7002","target":"700-702","protocol":"sctp"}"#,
    ];
    let ports = ports.map(|text| serde_json::from_str(text).unwrap()).to_vec();
    Endpoint { ports, ..endpoint(&network("blue", &[V4, V6]), named(), "eth0") }
}

#[test]
fn connect_with_published_ports() {
    let network = network("blue", &[V4, V6]);
    insta::assert_snapshot!(attach(&network, &published(), &empty(&[Family::V4, Family::V6])));
}

#[test]
fn publish_the_first_ports() {
    let endpoint = published();
    insta::assert_snapshot!(publish(&endpoint, &[], &endpoint.ports));
}

#[test]
fn publish_one_more() {
    let endpoint = published();
    insta::assert_snapshot!(publish(&endpoint, &endpoint.ports[1..], &endpoint.ports[..1]));
}

#[test]
fn take_one_port_back() {
    let endpoint = published();
    insta::assert_snapshot!(unpublish(Some(&blue()), &endpoint, &endpoint.ports[..1], &endpoint.ports[1..3]));
}

#[test]
fn take_the_last_ports_back() {
    let endpoint = published();
    insta::assert_snapshot!(unpublish(Some(&blue()), &endpoint, &[], &endpoint.ports));
}

#[test]
fn an_address_that_somebody_had_before_inherits_no_connections() {
    let network = network("blue", &[V4]);
    let endpoint = endpoint(&network, named(), "eth0");
    let around = Surroundings { stale: vec![endpoint.addresses[0].address.addr()], ..empty(&[]) };
    insta::assert_snapshot!(attach(&network, &endpoint, &around));
}

#[test]
fn disconnect_a_named_sandbox() {
    let endpoint = endpoint(&network("blue", &[V4]), named(), "eth0");
    let remains = Remains {
        host_end: Presence::Ours,
        inside: Some(named()),
        inner_end: Presence::Ours,
        doomed_end: Presence::Gone,
        successors: Vec::new(),
        restored: Vec::new(),
    };
    insta::assert_snapshot!(detach(&endpoint, &remains));
}

#[test]
fn disconnect_moves_the_default_route_to_the_next_network() {
    let first = endpoint(&network("blue", &[V4, V6]), named(), "eth0");
    let next = endpoint(&network("green", &["10.55.67.0/24", "fd00:67::/64"]), named(), "eth1");
    let successors = vec![(next, vec![Family::V4, Family::V6])];
    let remains = Remains {
        host_end: Presence::Ours,
        inside: Some(named()),
        inner_end: Presence::Ours,
        doomed_end: Presence::Gone,
        successors,
        restored: Vec::new(),
    };
    insta::assert_snapshot!(detach(&first, &remains));
}

#[test]
fn disconnect_when_the_namespace_is_gone() {
    let endpoint = endpoint(&network("blue", &[V4, V6]), named(), "eth0");
    let remains = Remains {
        host_end: Presence::Gone,
        inside: None,
        inner_end: Presence::Gone,
        doomed_end: Presence::Gone,
        successors: Vec::new(),
        restored: Vec::new(),
    };
    insta::assert_snapshot!(detach(&endpoint, &remains));
}

#[test]
fn disconnect_when_somebody_deleted_the_device() {
    let first = endpoint(&network("blue", &[V4]), named(), "eth0");
    let next = endpoint(&network("green", &["10.55.67.0/24"]), named(), "eth1");
    let successors = vec![(next, vec![Family::V4])];
    let remains = Remains {
        host_end: Presence::Gone,
        inside: Some(named()),
        inner_end: Presence::Gone,
        doomed_end: Presence::Gone,
        successors,
        restored: Vec::new(),
    };
    insta::assert_snapshot!(detach(&first, &remains));
}

#[test]
fn disconnect_when_the_inside_cannot_be_reached() {
    let endpoint = endpoint(&network("blue", &[V4]), named(), "eth0");
    let remains = Remains {
        host_end: Presence::Ours,
        inside: None,
        inner_end: Presence::Gone,
        doomed_end: Presence::Gone,
        successors: Vec::new(),
        restored: Vec::new(),
    };
    insta::assert_snapshot!(detach(&endpoint, &remains));
}

#[test]
fn make_a_sandbox() {
    insta::assert_snapshot!(sandbox::add(&"c1".parse().unwrap()));
}

#[test]
fn give_a_namespace_a_name() {
    insta::assert_snapshot!(sandbox::attach(&"web".parse().unwrap(), PathBuf::from("/proc/4711/ns/net")));
}

#[test]
fn remove_a_sandbox() {
    insta::assert_snapshot!(sandbox::remove(&"c1".parse().unwrap(), Some(NetnsCookie(7))));
}

fn end(spelled: &str, address: &str, ifname: &str) -> LinkEnd {
    let name = || NsRef::Named(spelled.parse().unwrap());
    let place = match spelled {
        "host" => LinkPlace::Host,
        _ => {
            LinkPlace::Sandbox(SandboxIdentity { cookie: NetnsCookie(7), spelled: spelled.into(), reached_by: name() })
        }
    };
    let addresses: Vec<_> = address.split(' ').filter(|a| !a.is_empty()).map(|a| a.parse().unwrap()).collect();
    LinkEnd { place, ifname: ifname.parse().unwrap(), mac: Mac::from_random([2, 0, 0, 0, 0, 9]), addresses }
}

fn direct(ends: [LinkEnd; 2], mtu: Option<u32>) -> DirectLink {
    let mtu = mtu.map(|m| m.try_into().unwrap());
    DirectLink { id: LinkId::from_random([0x5a; 5]), ends, mtu, made_at: 1 }
}

#[test]
fn link_two_sandboxes() {
    let ends = [end("c1", "10.0.0.1/24 fd00::1/64", "veth-a"), end("c2", "10.0.0.2/24 fd00::2/64", "veth-b")];
    insta::assert_snapshot!(link::make(&direct(ends, Some(1400)), &[named()]));
}

#[test]
fn link_a_sandbox_to_the_host_where_the_pair_is_made() {
    let ends = [end("c1", "10.0.0.1/24", "veth-a"), end("host", "", "veth-b")];
    insta::assert_snapshot!(link::make(&direct(ends, None), &[]));
}

/// A network with two endpoints: one is whole, of the other only the host end is left.
fn in_use(network: &Network) -> InUse {
    let reached = |host_device: &str, inside: Option<NsRef>| Reached {
        endpoint: Endpoint {
            device: Device::pair(host_device.parse().unwrap(), network.device().clone()),
            ..endpoint(network, named(), "eth0")
        },
        host_end: Presence::Ours,
        port: Presence::Ours,
        inside,
    };
    InUse {
        device: Presence::Ours,
        endpoints: vec![reached("zv1", Some(named())), reached("zv2", None)],
        ipv6: Ipv6Forwarding::Force,
    }
}

#[test]
fn a_network_gets_smaller_packets_isolation_and_no_masquerading() {
    let old = network("blue", &[V4, V6]);
    let mtu = Some(1400.try_into().unwrap());
    let new = Network { mtu, egress: Egress::Plain, ..old.clone() };
    let new = with_bridge(new, |bridge| bridge.icc = Icc::Isolated);
    insta::assert_snapshot!(change(&old, &new, &in_use(&old)));
}

#[test]
fn a_network_gets_larger_packets_and_endpoints_that_reach_each_other() {
    let new = network("blue", &[V4, V6]);
    let old = Network { mtu: Some(1400.try_into().unwrap()), ..new.clone() };
    let old = with_bridge(old, |bridge| bridge.icc = Icc::Isolated);
    insta::assert_snapshot!(change(&old, &new, &in_use(&old)));
}

#[test]
fn a_network_gets_packets_large_enough_for_ipv6_that_it_does_not_have() {
    let new = network("blue", &[V4]);
    let old = Network { mtu: Some(1000.try_into().unwrap()), ..new.clone() };
    insta::assert_snapshot!(change(&old, &new, &in_use(&old)));
}

#[test]
fn a_network_that_everybody_reaches() {
    insta::assert_snapshot!(made(&with_bridge(network("blue", &[V4, V6]), |bridge| bridge.ingress = Ingress::Open)));
}

#[test]
fn a_network_that_everybody_reaches_but_others_like_it() {
    let network = Network { egress: Egress::Plain, ..network("blue", &[V4, V6]) };
    let network = with_bridge(network, |bridge| bridge.ingress = Ingress::Apart);
    insta::assert_snapshot!(made(&network));
}

#[test]
fn of_a_network_that_is_somebody_elses_the_firewall_knows_nothing() {
    let network = with_bridge(network("blue", &[V4, V6]), |bridge| bridge.mode = BridgeMode::Unmanaged);
    assert!(network_elements(&network).is_empty());
    assert_eq!(up(&network, &Ipv6Forwarding::Force).to_string(), "");
    assert_eq!(down(&network, Last::No).to_string(), "");
}

#[test]
fn a_network_on_a_bridge_of_somebody_else() {
    let mtu = Some(1400.try_into().unwrap());
    let network = Network { mtu, ..network("blue", &[V4, V6]) };
    let network = with_bridge(network, |bridge| bridge.mode = BridgeMode::Adopted);
    insta::assert_snapshot!(made(&network));
}

#[test]
fn a_network_that_is_published_only_from_now_on() {
    let old = with_bridge(network("blue", &[V4, V6]), |bridge| bridge.ingress = Ingress::Apart);
    insta::assert_snapshot!(change(&old, &network("blue", &[V4, V6]), &in_use(&old)));
}

/// Smaller packets, a subnet more, and a bridge that listens to everything.
fn grown(old: &Network) -> Network {
    let mtu = Some(1400.try_into().unwrap());
    let grown = Network { mtu, pools: network("blue", &[V4, V6]).pools, ..old.clone() };
    with_bridge(grown, |bridge| bridge.promiscuity = Promiscuity::On)
}

#[test]
fn a_network_grows() {
    let old = network("blue", &[V4]);
    insta::assert_snapshot!(change(&old, &grown(&old), &in_use(&old)));
}

#[test]
fn a_network_on_a_bridge_of_somebody_else_grows() {
    let old = with_bridge(network("blue", &[V4]), |bridge| bridge.mode = BridgeMode::Adopted);
    insta::assert_snapshot!(change(&old, &grown(&old), &in_use(&old)));
}

#[test]
fn a_network_that_is_somebody_elses_grows() {
    let old = with_bridge(network("blue", &[V4]), |bridge| bridge.mode = BridgeMode::Unmanaged);
    insta::assert_snapshot!(change(&old, &grown(&old), &in_use(&old)));
}

fn seen_by(port_source: PortSource) -> Endpoint {
    let endpoint = published();
    Endpoint { traits: Traits { port_source, ..endpoint.traits }, ports: endpoint.ports[..1].to_vec(), ..endpoint }
}

#[test]
fn publish_ports_that_leave_every_source_as_it_is() {
    let endpoint = seen_by(PortSource::Untouched);
    insta::assert_snapshot!(publish(&endpoint, &[], &endpoint.ports));
}

#[test]
fn publish_ports_that_show_the_host_alone() {
    let endpoint = seen_by(PortSource::Masqueraded);
    insta::assert_snapshot!(publish(&endpoint, &[], &endpoint.ports));
}

#[test]
fn take_the_last_ports_back_where_the_host_alone_was_shown_and_hairpins_stay() {
    let endpoint = seen_by(PortSource::Masqueraded);
    let always = with_bridge(blue(), |bridge| bridge.hairpin = Hairpin::Always);
    insta::assert_snapshot!(unpublish(Some(&always), &endpoint, &[], &endpoint.ports));
}

/// An endpoint on a bridge of Open vSwitch.
fn on_ovs(vlans: PortVlans, datapath: Datapath) -> (Network, Endpoint) {
    let part = OvsNetwork { bridge: "br0".parse().unwrap(), vlans, datapath };
    let mut blue = network("blue", &[V4]);
    blue.pools[0].gateway = None;
    blue.egress = Egress::Plain;
    blue.driver = Driver::Ovs(part);
    let mut endpoint = endpoint(&blue, named(), "eth0");
    endpoint.device = blue.device_of_endpoint("zv0102030405".parse().unwrap(), endpoint.mac);
    (blue, endpoint)
}

#[test]
fn connect_to_a_vlan_of_open_vswitch() {
    let (network, endpoint) = on_ovs(PortVlans::Access(VlanId::try_from(10).unwrap()), Datapath::Kernel);
    insta::assert_snapshot!(attach(&network, &endpoint, &empty(&[])));
}

#[test]
fn connect_to_open_vswitch_in_user_space() {
    let (network, endpoint) = on_ovs(PortVlans::All, Datapath::Userspace);
    insta::assert_snapshot!(attach(&network, &endpoint, &empty(&[])));
}

#[test]
fn disconnect_from_open_vswitch() {
    let (_, endpoint) = on_ovs(PortVlans::All, Datapath::Kernel);
    let remains = Remains {
        host_end: Presence::Ours,
        inside: Some(named()),
        inner_end: Presence::Ours,
        doomed_end: Presence::Gone,
        successors: Vec::new(),
        restored: Vec::new(),
    };
    insta::assert_snapshot!(detach(&endpoint, &remains));
}

/// A network with the card eth0.
fn on_card() -> Network {
    with_bridge(network("lan", &["192.168.1.0/24"]), |bridge| bridge.parent = Some("eth0".parse().unwrap()))
}

#[test]
fn a_bridge_takes_over_a_card_with_a_vlan_for_the_endpoints() {
    let ten = with_bridge(on_card(), |bridge| bridge.vlan = VlanId::try_from(10).ok());
    let held = Holdings {
        addresses: vec![HeldAddress { address: "192.168.1.5/24".parse().unwrap(), options: AddressOptions::default() }],
        ..Holdings::default()
    };
    let taken = take_over(&ten, &held, "/run/zubi".as_ref()).unwrap();
    insta::assert_snapshot!(without_layout(taken));
}

#[test]
fn connect_in_a_vlan_of_the_lan() {
    let ten = with_bridge(on_card(), |bridge| bridge.vlan = VlanId::try_from(10).ok());
    insta::assert_snapshot!(attach(&ten, &endpoint(&ten, named(), "eth0"), &empty(&[Family::V4])));
}

#[test]
fn connect_where_a_router_advertises() {
    let lan = Network { router_advertisements: RouterAdvertisements::Taken, ..on_card() };
    let mut endpoint = endpoint(&lan, named(), "eth0");
    endpoint.traits.router_advertisements = RouterAdvertisements::Taken;
    insta::assert_snapshot!(attach(&lan, &endpoint, &empty(&[Family::V4, Family::V6])));
}

#[test]
fn a_bridge_that_the_host_made_at_boot() {
    let host = HostFacts { ipv6: Ipv6Forwarding::Force, netfilter: BridgeNetfilter::Off, run: "/run/zubi".into() };
    let mut plan = up_with(&on_card(), &host, []);
    take_from_host(&mut plan, &on_card());
    insta::assert_snapshot!(without_layout(plan));
}
