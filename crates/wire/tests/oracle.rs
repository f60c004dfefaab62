//! Route netlink against an independent codec: what we write it must read as we meant it, and the reverse.

use ipnet::IpNet;
use netlink_packet_core::{DefaultNla, NetlinkMessage, NetlinkPayload, Nla};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{
    InfoBridge, InfoBridgePort, InfoData, InfoIpVlan, InfoKind, InfoMacVlan, InfoPortData, InfoPortKind, InfoVeth,
    InfoVlan, IpVlanMode, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkProtoInfoBridge, MacVlanMode,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteProtocol as TheirProtocol, RouteScope,
    RouteType, RouteVia,
};
use netlink_packet_route::rule::{RuleAction as TheirAction, RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use proptest::prelude::*;
use std::fmt::Debug;
use std::net::IpAddr;
use zubi_model::{
    Broadcasts, CardMode, Family, IfIndex, IfName, IpvlanMode, LinkGroup, Mac, MacvlanMode, Mtu, NsRef, PolicyRule,
    RouteKind, RouteOptions, RuleAction,
};
use zubi_wire::route::{
    Address, AddressSeen, AdminState, BridgePort, Certainty, Destination, ForwardingEntry, Link, LinkChange, LinkKind,
    LinkMove, LinkRef, LinkSeen, Neighbour, NeighbourSeen, OnCard, Peer, PortSeen, Route, RouteProtocol, RouteSeen,
    Rule, RuleSeen, Switch, Uniqueness, delete_group, delete_link, dump_links, get_link,
};
use zubi_wire::{Batch, Message, Messages, flag};

const MAKE: u16 = flag::REQUEST | flag::ACK | flag::CREATE | flag::EXCL;
const CHANGE: u16 = flag::REQUEST | flag::ACK;

fn read(fill: impl FnOnce(&mut Batch)) -> (u16, RouteNetlinkMessage) {
    let mut batch = Batch::new();
    fill(&mut batch);
    let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(batch.bytes()).unwrap();
    let NetlinkPayload::InnerMessage(inner) = message.payload else { panic!("{:?}", message.payload) };
    (message.header.flags, inner)
}

macro_rules! read_as {
    ($variant:ident, $flags:expr, $fill:expr) => {
        match read($fill) {
            (flags, RouteNetlinkMessage::$variant(message)) => {
                assert_eq!(flags, $flags);
                message
            }
            other => panic!("{other:?}"),
        }
    };
}

/// The kernel does not care for the order of attributes.
fn same<T: PartialEq + Debug>(left: &[T], right: &[T]) {
    assert_eq!(left.len(), right.len(), "{left:#?} {right:#?}");
    for item in left {
        assert!(right.contains(item), "{item:?} is not in {right:#?}");
    }
}

fn seen<T>(message: RouteNetlinkMessage, parse: impl Fn(&Message<'_>) -> Option<T>) -> Option<T> {
    let mut message = NetlinkMessage::from(message);
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    parse(&Messages::new(&bytes).next().unwrap())
}

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

fn mac() -> Mac {
    "02:42:0a:01:00:02".parse().unwrap()
}

fn family_of(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn neighbour_address(address: IpAddr) -> NeighbourAddress {
    match address {
        IpAddr::V4(a) => NeighbourAddress::Inet(a),
        IpAddr::V6(a) => NeighbourAddress::Inet6(a),
    }
}

fn any_net() -> impl Strategy<Value = IpNet> {
    (any::<IpAddr>(), 0u8..=128).prop_map(|(a, len)| IpNet::new_assert(a, if a.is_ipv4() { len % 33 } else { len }))
}

fn any_name() -> impl Strategy<Value = IfName> {
    "[a-z0-9][a-zA-Z0-9_.-]{0,14}".prop_filter_map("a word of the sysctl tree", |text| text.parse().ok())
}

fn any_mac() -> impl Strategy<Value = Mac> {
    any::<[u8; 6]>().prop_map(Mac::from_random)
}

fn any_switch() -> impl Strategy<Value = Switch> {
    any::<bool>().prop_map(switch)
}

fn switch(on: bool) -> Switch {
    if on { Switch::On } else { Switch::Off }
}

fn any_options() -> impl Strategy<Value = RouteOptions> {
    let kind = prop_oneof![
        4 => Just(RouteKind::Unicast),
        1 => Just(RouteKind::Blackhole),
        1 => Just(RouteKind::Unreachable),
        1 => Just(RouteKind::Prohibit),
    ];
    // Around 255 the table leaves the header.
    let table = prop_oneof![1u32..300, 1u32..];
    let number = || any::<Option<u32>>();
    (kind, number(), proptest::option::of(table), any::<Option<u8>>(), number(), number()).prop_map(
        |(kind, metric, table, scope, mtu, advmss)| RouteOptions {
            kind,
            metric,
            table,
            scope,
            mtu,
            advmss,
            ..RouteOptions::default()
        },
    )
}

fn bridge() -> Link {
    Link { name: name("zb-blue"), kind: LinkKind::Bridge, mac: mac(), mtu: None, group: LinkGroup::OURS, master: None }
}

#[test]
fn a_bridge_is_read_as_a_bridge() {
    let link = bridge();
    let message = read_as!(NewLink, MAKE | flag::ECHO, |b| link.encode(b, None, None));
    assert_eq!(message.header, LinkMessage::default().header);
    same(
        &message.attributes,
        &[
            LinkAttribute::IfName("zb-blue".into()),
            LinkAttribute::Address(mac().bytes().to_vec()),
            LinkAttribute::Group(LinkGroup::OURS.0),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Bridge),
                LinkInfo::Data(InfoData::Bridge(vec![InfoBridge::MulticastSnooping(false)])),
            ]),
        ],
    );
}

#[test]
fn a_macvlan_is_made_on_its_parent_and_born_elsewhere() {
    let modes = [
        (MacvlanMode::Bridge, MacVlanMode::Bridge),
        (MacvlanMode::Private, MacVlanMode::Private),
        (MacvlanMode::Vepa, MacVlanMode::Vepa),
        (MacvlanMode::Passthru, MacVlanMode::Passthrough),
    ];
    for (mode, theirs) in modes {
        let netns = Some(NsRef::Path("/proc/7/ns/net".into()));
        let broadcasts = Broadcasts { queue_length: Some(500), cutoff: Some(-1) };
        let kind = LinkKind::OnCard(OnCard {
            parent: name("lan0"),
            mode: CardMode::Macvlan(mode),
            netns,
            broadcasts,
            key: mac(),
        });
        let link = Link { name: name("eth0"), kind, group: LinkGroup::DEFAULT, ..bridge() };
        let words = link.to_string();
        assert!(words.starts_with("link add zv02420a010002 link lan0 address "), "{words}");
        assert!(words.ends_with(&format!(" type macvlan mode {mode} bcqueuelen 500 bclim -1")), "{words}");
        // No echo: it would go to the other namespace.
        let message = read_as!(NewLink, MAKE, |b| link.encode(b, Some(IfIndex(3)), Some(9)));
        same(
            &message.attributes,
            &[
                LinkAttribute::IfName("eth0".into()),
                LinkAttribute::Address(mac().bytes().to_vec()),
                LinkAttribute::Group(0),
                LinkAttribute::Link(3),
                LinkAttribute::NetNsFd(9),
                LinkAttribute::LinkInfo(vec![
                    LinkInfo::Kind(InfoKind::MacVlan),
                    LinkInfo::Data(InfoData::MacVlan(vec![
                        InfoMacVlan::Mode(theirs),
                        InfoMacVlan::BcQueueLen(500),
                        InfoMacVlan::BcCutoff(-1),
                    ])),
                ]),
            ],
        );
    }
}

#[test]
fn an_ipvlan_has_a_mode_and_no_mac_of_its_own() {
    let modes =
        [(IpvlanMode::L2, IpVlanMode::L2), (IpvlanMode::L3, IpVlanMode::L3), (IpvlanMode::L3s, IpVlanMode::L3S)];
    for (mode, theirs) in modes {
        let netns = Some(NsRef::Path("/proc/7/ns/net".into()));
        let (mode, broadcasts) = (CardMode::Ipvlan(mode), Broadcasts::default());
        let kind = LinkKind::OnCard(OnCard { parent: name("lan0"), mode, netns, broadcasts, key: mac() });
        let link = Link { name: name("eth0"), kind, group: LinkGroup::DEFAULT, ..bridge() };
        let words = link.to_string();
        assert!(words.starts_with("link add zv02420a010002 link lan0 group "), "{words}");
        assert!(words.ends_with(&format!(" type ipvlan mode {mode}")), "{words}");
        let message = read_as!(NewLink, MAKE, |b| link.encode(b, Some(IfIndex(3)), Some(9)));
        same(
            &message.attributes,
            &[
                LinkAttribute::IfName("eth0".into()),
                LinkAttribute::Group(0),
                LinkAttribute::Link(3),
                LinkAttribute::NetNsFd(9),
                LinkAttribute::LinkInfo(vec![
                    LinkInfo::Kind(InfoKind::IpVlan),
                    LinkInfo::Data(InfoData::IpVlan(vec![InfoIpVlan::Mode(theirs)])),
                ]),
            ],
        );
    }
}

#[test]
fn a_device_for_a_vlan_is_born_elsewhere_with_the_macs_of_its_card() {
    let netns = Some(NsRef::Path("/proc/7/ns/net".into()));
    let (mode, broadcasts) = (CardMode::Vlan("10".parse().unwrap()), Broadcasts::default());
    let kind = LinkKind::OnCard(OnCard { parent: name("lan0"), mode, netns, broadcasts, key: mac() });
    let link = Link { name: name("eth0"), kind, group: LinkGroup::DEFAULT, ..bridge() };
    let words = link.to_string();
    assert!(words.ends_with(" netns /proc/7/ns/net type vlan id 10"), "{words}");
    let message = read_as!(NewLink, MAKE, |b| link.encode(b, Some(IfIndex(3)), Some(9)));
    same(
        &message.attributes,
        &[
            LinkAttribute::IfName("eth0".into()),
            LinkAttribute::Address(mac().bytes().to_vec()),
            LinkAttribute::Group(0),
            LinkAttribute::Link(3),
            LinkAttribute::NetNsFd(9),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Vlan),
                LinkInfo::Data(InfoData::Vlan(vec![InfoVlan::Id(10)])),
            ]),
        ],
    );
}

#[test]
fn deletions_and_questions_name_one_link() {
    let by_name = [LinkAttribute::IfName("zv1".into())];
    let message = read_as!(DelLink, CHANGE, |b| delete_link(b, LinkRef::Name("zv1")));
    assert_eq!((message.header.index, &message.attributes[..]), (0, &by_name[..]));
    let message = read_as!(DelLink, CHANGE, |b| delete_link(b, LinkRef::Index(IfIndex(7))));
    assert_eq!((message.header.index, message.attributes), (7, vec![]));
    let message = read_as!(DelLink, CHANGE, |b| delete_group(b, LinkGroup::DOOMED));
    assert_eq!((message.header.index, message.attributes), (0, vec![LinkAttribute::Group(LinkGroup::DOOMED.0)]));
    let message = read_as!(GetLink, flag::REQUEST, |b| get_link(b, LinkRef::Name("zv1")));
    assert!(message.attributes.contains(&by_name[0]));
    let message = read_as!(GetLink, flag::REQUEST | flag::DUMP, |b| dump_links(b, Some(IfIndex(3))));
    assert!(message.attributes.contains(&LinkAttribute::Controller(3)));
}

#[test]
fn a_change_without_state_leaves_the_state() {
    let change = LinkChange::rename(name("zv1"), name("zv2"));
    let message = read_as!(NewLink, CHANGE, |b| change.encode(b, LinkRef::Index(IfIndex(7)), None));
    assert_eq!(message.header.index, 7);
    assert_eq!(message.header.change_mask, LinkFlags::empty());
    assert_eq!(message.attributes, [LinkAttribute::IfName("zv2".into())]);
}

#[test]
fn a_link_that_moves_gets_its_new_name_in_the_same_message() {
    let to = Destination::Sandbox(NsRef::Path("/proc/7/ns/net".into()));
    let moved = LinkMove { name: name("eth1"), to, rename: name("net0") };
    let message = read_as!(NewLink, CHANGE, |b| moved.encode(b, IfIndex(7), 9));
    assert_eq!((message.header.index, message.header.change_mask), (7, LinkFlags::empty()));
    assert_eq!(message.attributes, [LinkAttribute::NetNsFd(9), LinkAttribute::IfName("net0".into())]);
}

#[test]
fn a_release_is_master_zero() {
    let change = LinkChange {
        release: true,
        group: Some(LinkGroup::DOOMED),
        ..LinkChange::state(name("zv1"), AdminState::Down)
    };
    let message = read_as!(NewLink, CHANGE, |b| change.encode(b, LinkRef::Name("zv1"), None));
    assert_eq!((message.header.flags, message.header.change_mask), (LinkFlags::empty(), LinkFlags::Up));
    same(
        &message.attributes,
        &[LinkAttribute::IfName("zv1".into()), LinkAttribute::Controller(0), LinkAttribute::Group(LinkGroup::DOOMED.0)],
    );
}

#[test]
fn port_settings_are_bridge_protocol_information() {
    let port = BridgePort {
        isolated: Some(Switch::On),
        hairpin: Some(Switch::Off),
        locked: Some(Switch::On),
        ..BridgePort::new(name("zv1"))
    };
    let message = read_as!(SetLink, CHANGE, |b| port.encode(b, IfIndex(7)));
    assert_eq!((message.header.interface_family, message.header.index), (AddressFamily::Bridge, 7));
    let [LinkAttribute::ProtoInfoBridge(settings)] = &message.attributes[..] else { panic!("{message:?}") };
    let settings: Vec<_> = settings
        .iter()
        .map(|s| {
            let mut value = vec![0; s.value_len()];
            s.emit_value(&mut value);
            assert!(matches!(s, LinkProtoInfoBridge::Other(_)));
            (s.kind(), value)
        })
        .collect();
    assert_eq!(settings, [(33, vec![1]), (4, vec![0]), (39, vec![1])]);
}

#[test]
fn a_prohibition_looks_in_no_table() {
    let to = Some("10.1.0.0/24".parse().unwrap());
    let rule = Rule(PolicyRule { to, ..PolicyRule::new(Family::V4, 9, RuleAction::Prohibit) });
    let message = read_as!(NewRule, MAKE, |b| rule.encode(b));
    assert_eq!((message.header.action, message.header.table), (TheirAction::Prohibit, 0));
    let seen = seen(RouteNetlinkMessage::NewRule(message), RuleSeen::parse).unwrap();
    assert_eq!(seen.table, None);
}

#[test]
fn a_route_by_a_gateway_of_the_other_family_is_seen_with_it() {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.kind = RouteType::Unicast;
    let gateway = "fe80::1".parse().unwrap();
    message.attributes = vec![RouteAttribute::Via(RouteVia::Inet6(gateway)), RouteAttribute::Oif(3)];
    let seen = seen(RouteNetlinkMessage::NewRoute(message), RouteSeen::parse).unwrap();
    assert_eq!(seen.via, Some(IpAddr::V6(gateway)));
}

#[test]
fn clones_and_other_kinds_of_route_are_not_seen() {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.kind = RouteType::Unicast;
    message.header.flags = RouteFlags::Cloned;
    assert_eq!(seen(RouteNetlinkMessage::NewRoute(message.clone()), RouteSeen::parse), None);
    message.header.flags = RouteFlags::empty();
    message.header.kind = RouteType::Multicast;
    assert_eq!(seen(RouteNetlinkMessage::NewRoute(message.clone()), RouteSeen::parse), None);
    for kind in [RouteType::Local, RouteType::BlackHole, RouteType::Unreachable, RouteType::Prohibit] {
        message.header.kind = kind;
        assert!(seen(RouteNetlinkMessage::NewRoute(message.clone()), RouteSeen::parse).is_some());
    }
}

proptest! {
    #[test]
    fn a_veth_and_its_peer_are_read_as_meant(
        (own, other) in (any_name(), any_name()), (left, right) in (any_mac(), any_mac()),
        bytes in 68u32..=65535, has_mtu: bool, group: u32, master in 1u32.., fd in 0u32..=0x7fff_ffff,
    ) {
        let mtu = has_mtu.then(|| Mtu::try_from(bytes).unwrap());
        let peer = Peer { name: other.clone(), mac: right, netns: NsRef::Path("/proc/1/ns/net".into()) };
        let link = Link {
            name: own.clone(), kind: LinkKind::Veth(peer), mac: left, mtu, group: LinkGroup(group), master: Some(name("br")),
        };
        let message = read_as!(NewLink, MAKE | flag::ECHO, |b| link.encode(b, Some(IfIndex(master)), Some(fd)));
        let common = |name: &IfName, mac: Mac| {
            let mut all = vec![
                LinkAttribute::IfName(name.to_string()),
                LinkAttribute::Address(mac.bytes().to_vec()),
                LinkAttribute::NumTxQueues(1),
                LinkAttribute::NumRxQueues(1),
            ];
            all.extend(mtu.map(|m| LinkAttribute::Mtu(m.bytes())));
            all
        };
        let mut attributes = message.attributes.clone();
        let at = attributes.iter().position(|a| matches!(a, LinkAttribute::LinkInfo(_))).unwrap();
        let LinkAttribute::LinkInfo(info) = attributes.remove(at) else { unreachable!() };
        let mut expected = common(&own, left);
        expected.extend([LinkAttribute::Group(group), LinkAttribute::Controller(master)]);
        same(&attributes, &expected);
        let [LinkInfo::Kind(InfoKind::Veth), LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer)))] = &info[..] else {
            panic!("{info:?}")
        };
        let mut expected = common(&other, right);
        expected.push(LinkAttribute::NetNsFd(fd.cast_signed()));
        same(&peer.attributes, &expected);
    }

    #[test]
    fn a_link_of_theirs_is_seen_by_us(
        text in any_name(), mac in any_mac(), mtu: u32, group: u32, index in 1u32.., master in 1u32..,
        peer in 1u32.., [up, carrier, promisc, allmulticast] in any::<[bool; 4]>(), tx_queue: u32,
        [isolated, hairpin, locked] in any::<[bool; 3]>(),
    ) {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags.set(LinkFlags::Up, up);
        message.header.flags.set(LinkFlags::Running, carrier);
        message.header.flags.set(LinkFlags::Promisc, promisc);
        message.header.flags.set(LinkFlags::Allmulti, allmulticast);
        message.attributes = vec![
            LinkAttribute::IfName(text.to_string()),
            LinkAttribute::Mtu(mtu),
            LinkAttribute::TxQueueLen(tx_queue),
            LinkAttribute::Group(group),
            LinkAttribute::Controller(master),
            LinkAttribute::Link(peer),
            LinkAttribute::LinkNetNsId(0),
            LinkAttribute::Address(mac.bytes().to_vec()),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Veth),
                LinkInfo::PortKind(InfoPortKind::Bridge),
                LinkInfo::PortData(InfoPortData::BridgePort(vec![
                    InfoBridgePort::Isolated(isolated), InfoBridgePort::HairpinMode(hairpin),
                    InfoBridgePort::Locked(locked),
                ])),
            ]),
        ];
        prop_assert_eq!(seen(RouteNetlinkMessage::NewLink(message), LinkSeen::parse).unwrap(), LinkSeen {
            index: IfIndex(index),
            name: text.to_string(),
            mac: Some(mac),
            mtu,
            state: if up { AdminState::Up } else { AdminState::Down },
            carrier,
            promisc: switch(promisc),
            allmulticast: switch(allmulticast),
            tx_queue,
            group: LinkGroup(group),
            alias: None,
            master: Some(IfIndex(master)),
            kind: Some("veth".into()),
            peer: Some(IfIndex(peer)),
            peer_netns: Some(zubi_wire::route::NetnsId(0)),
            bridge: None,
            vlan: None,
            addr_gen_mode: None,
            settings: zubi_wire::route::DeviceSettings::default(),
            port: Some(PortSeen { isolated: switch(isolated), hairpin: switch(hairpin), locked: switch(locked), learning: Switch::On, flood: Switch::On }),
        });
    }

    #[test]
    fn a_change_of_what_a_link_takes_is_read_as_meant(
        up in proptest::option::of(any::<bool>()), promisc in proptest::option::of(any_switch()),
        allmulticast in proptest::option::of(any_switch()), tx_queue: Option<u32>, index in 1u32..,
    ) {
        let state = up.map(|up| if up { AdminState::Up } else { AdminState::Down });
        let change = LinkChange { state, promisc, allmulticast, tx_queue, ..LinkChange::none(name("zb-blue")) };
        let message = read_as!(NewLink, CHANGE, |b| change.encode(b, LinkRef::Index(IfIndex(index)), None));
        let (mut flags, mut mask) = (LinkFlags::empty(), LinkFlags::empty());
        let wished = [
            (LinkFlags::Up, up.map(switch)), (LinkFlags::Promisc, promisc), (LinkFlags::Allmulti, allmulticast),
        ];
        for (flag, wish) in wished {
            flags.set(flag, wish == Some(Switch::On));
            mask.set(flag, wish.is_some());
        }
        prop_assert_eq!((message.header.index, message.header.flags, message.header.change_mask), (index, flags, mask));
        same(&message.attributes, &tx_queue.map(LinkAttribute::TxQueueLen).into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn an_address_is_read_and_seen_as_meant(net in any_net(), index in 1u32.., unrelated: u32) {
        let address = Address::new(net, name("zb-blue"));
        let made = read_as!(NewAddress, MAKE, |b| address.encode(b, IfIndex(index)));
        let deleted = read_as!(DelAddress, CHANGE, |b| address.encode_delete(b, IfIndex(index)));
        prop_assert_eq!(&made, &deleted);
        prop_assert_eq!(made.header.family, family_of(net.addr()));
        prop_assert_eq!((made.header.prefix_len, made.header.index), (net.prefix_len(), index));
        let mut expected = vec![AddressAttribute::Local(net.addr()), AddressAttribute::Address(net.addr())];
        if net.addr().is_ipv6() {
            expected.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        same(&made.attributes, &expected);

        let mut message = AddressMessage::default();
        message.header = made.header;
        // For IPv6 the kernel reports IFA_ADDRESS alone.
        message.attributes = vec![AddressAttribute::RoutePriority(unrelated), AddressAttribute::Address(net.addr())];
        let seen = seen(RouteNetlinkMessage::NewAddress(message), AddressSeen::parse).unwrap();
        prop_assert_eq!(seen, AddressSeen { address: net, device: IfIndex(index), uniqueness: Uniqueness::Known });
    }

    #[test]
    fn a_route_is_read_and_seen_as_meant(
        to in any_net(), gateway: IpAddr, on_link: bool, index in 1u32.., options in any_options(),
    ) {
        let to = to.trunc();
        let via = (!on_link && gateway.is_ipv4() == to.addr().is_ipv4()).then_some(gateway);
        let route = Route { to, via, device: name("eth0"), options };
        let made = read_as!(NewRoute, MAKE, |b| route.encode(b, IfIndex(index)));
        prop_assert_eq!(&made, &read_as!(DelRoute, CHANGE, |b| route.encode_delete(b, IfIndex(index))));
        prop_assert_eq!(made.header.address_family, family_of(to.addr()));
        prop_assert_eq!(made.header.destination_prefix_length, to.prefix_len());
        let table = options.table.unwrap_or(254);
        let leads_on = options.kind == RouteKind::Unicast;
        let kind = match options.kind {
            RouteKind::Unicast => RouteType::Unicast,
            RouteKind::Blackhole => RouteType::BlackHole,
            RouteKind::Unreachable => RouteType::Unreachable,
            RouteKind::Prohibit => RouteType::Prohibit,
        };
        prop_assert_eq!((u32::from(made.header.table), made.header.kind), (if table < 256 { table } else { 0 }, kind));
        prop_assert_eq!(made.header.protocol, TheirProtocol::Other(RouteProtocol::OURS.0));
        let link_scope = leads_on && via.is_none() && to.addr().is_ipv4();
        let fitting = if link_scope { RouteScope::Link } else { RouteScope::Universe };
        prop_assert_eq!(made.header.scope, options.scope.map_or(fitting, RouteScope::from));
        let mut expected = Vec::new();
        expected.extend(leads_on.then_some(RouteAttribute::Oif(index)));
        expected.extend(via.map(|v| RouteAttribute::Gateway(RouteAddress::from(v))));
        if to.prefix_len() > 0 {
            expected.push(RouteAttribute::Destination(RouteAddress::from(to.addr())));
        }
        expected.extend(options.metric.map(RouteAttribute::Priority));
        expected.extend((table > 255).then_some(RouteAttribute::Table(table)));
        let sizes: Vec<_> = [options.mtu.map(RouteMetric::Mtu), options.advmss.map(RouteMetric::Advmss)]
            .into_iter().flatten().collect();
        expected.extend((!sizes.is_empty()).then_some(RouteAttribute::Metrics(sizes)));
        same(&made.attributes, &expected);

        let mut message = made;
        // The kernel always reports the table this way, too.
        message.attributes.retain(|a| !matches!(a, RouteAttribute::Table(_)));
        message.attributes.push(RouteAttribute::Table(table));
        let seen = seen(RouteNetlinkMessage::NewRoute(message), RouteSeen::parse).unwrap();
        prop_assert!(route.is(&seen, IfIndex(index)));
        prop_assert_eq!(route.is(&seen, IfIndex(index.wrapping_add(1))), !leads_on);
        let other_table = RouteSeen { table: table.wrapping_add(1), ..seen };
        prop_assert!(!route.is(&other_table, IfIndex(index)));
        let other_metric = RouteSeen { metric: seen.metric.wrapping_add(1), ..seen };
        prop_assert_eq!(route.is(&other_metric, IfIndex(index)), options.metric.is_none());
        prop_assert_eq!((seen.metric, seen.protocol), (options.metric.unwrap_or(0), RouteProtocol::OURS));
        prop_assert_eq!(seen.table, table);
    }

    #[test]
    fn a_rule_is_read_and_seen_as_meant(to in any_net(), priority: u32, table in 1u32.., device in any_name(), any_device: bool) {
        let from_device = (!any_device).then_some(device);
        let whole = PolicyRule::new(Family::of(to.addr()), priority, RuleAction::Lookup(table));
        let rule = Rule(PolicyRule { to: Some(to), from_device: from_device.clone(), ..whole });
        let made = read_as!(NewRule, MAKE, |b| rule.encode(b));
        prop_assert_eq!(&made, &read_as!(DelRule, CHANGE, |b| rule.encode_delete(b)));
        prop_assert_eq!((made.header.family, made.header.dst_len), (family_of(to.addr()), to.prefix_len()));
        prop_assert_eq!(made.header.action, TheirAction::ToTable);
        let from_device = from_device.map(|d| d.to_string());
        let mut expected =
            vec![RuleAttribute::Destination(to.addr()), RuleAttribute::Priority(priority), RuleAttribute::Table(table)];
        expected.extend(from_device.clone().map(RuleAttribute::Iifname));
        same(&made.attributes, &expected);
        let mut message = RuleMessage::default();
        message.header = made.header;
        message.attributes = made.attributes.into_iter().rev().collect();
        let seen = seen(RouteNetlinkMessage::NewRule(message), RuleSeen::parse).unwrap();
        prop_assert_eq!(seen, RuleSeen { priority, to: Some(to), from_device, table: Some(table) });
    }

    #[test]
    fn a_neighbour_is_read_and_seen_as_meant(address: IpAddr, mac in any_mac(), index in 1u32..) {
        let neighbour = Neighbour { address, mac, device: name("eth0"), certainty: Certainty::Permanent };
        let flags = CHANGE | flag::CREATE | flag::REPLACE;
        let made = read_as!(NewNeighbour, flags, |b| neighbour.encode(b, IfIndex(index)));
        prop_assert_eq!((made.header.family, made.header.ifindex), (family_of(address), index));
        prop_assert_eq!(made.header.state, NeighbourState::Permanent);
        let to = NeighbourAttribute::Destination(neighbour_address(address));
        same(&made.attributes, &[to.clone(), NeighbourAttribute::LinkLayerAddress(mac.bytes().to_vec())]);
        let deleted = read_as!(DelNeighbour, CHANGE, |b| neighbour.encode_delete(b, IfIndex(index)));
        prop_assert_eq!((deleted.header.family, deleted.header.ifindex), (family_of(address), index));
        prop_assert_eq!(deleted.attributes, vec![to]);
        let seen = seen(RouteNetlinkMessage::NewNeighbour(made), NeighbourSeen::parse).unwrap();
        let expected = NeighbourSeen { address: Some(address), mac: Some(mac), device: IfIndex(index), state: 0x80, master: None, vlan: None };
        prop_assert_eq!(seen, expected);
    }

    #[test]
    fn a_forwarding_entry_is_read_and_seen_as_meant(mac in any_mac(), index in 1u32..) {
        let entry = ForwardingEntry { mac, port: name("zv1") };
        let made = read_as!(NewNeighbour, MAKE, |b| entry.encode(b, IfIndex(index)));
        prop_assert_eq!(&made, &read_as!(DelNeighbour, CHANGE, |b| entry.encode_delete(b, IfIndex(index))));
        prop_assert_eq!((made.header.family, made.header.ifindex), (AddressFamily::Bridge, index));
        prop_assert_eq!((made.header.state, made.header.flags), (NeighbourState::Noarp, NeighbourFlags::Controller));
        same(&made.attributes, &[NeighbourAttribute::LinkLayerAddress(mac.bytes().to_vec())]);
        let mut message = NeighbourMessage::default();
        message.header = made.header;
        message.attributes = vec![NeighbourAttribute::Other(DefaultNla::new(99, vec![1; 3])), made.attributes[0].clone()];
        let seen = seen(RouteNetlinkMessage::NewNeighbour(message), NeighbourSeen::parse).unwrap();
        prop_assert_eq!(seen, NeighbourSeen { address: None, mac: Some(mac), device: IfIndex(index), state: 0x40, master: None, vlan: None });
    }
}
