//! No bytes make a parser panic: arbitrary ones, damaged messages, and the seeds of the fuzz target.

#[path = "../fuzz/every_parser.rs"]
mod every_parser;

use ipnet::IpNet;
use proptest::prelude::*;
use proptest::sample::Index;
use std::net::IpAddr;
use zubi_model::{Family, IfIndex, LinkGroup, NsRef};
use zubi_wire::nft::{
    Chain, Direction, Element, Field, GuestRule, Hook, HookPoint, LoadKey, PortNumber, PortRange, Protocol, Rule,
    RuleSeen, Set, Shape, Table, TableFamily, Value, begin, end,
};
use zubi_wire::route::{
    Address, BridgePort, Certainty, ForwardingEntry, Link, LinkKind, Neighbour, Peer, Route, Switch,
};
use zubi_wire::{Batch, Messages};

const ZUBI: Table = Table::named(TableFamily::Inet, "zubi");

fn seeds() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/parse");
    std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
}

fn sample_rule() -> Rule {
    Rule::new(&ZUBI, "guard")
        .not_from_loopback()
        .established()
        .in_set(&[LoadKey::IifName, LoadKey::Ipv6Saddr], "endpoints6")
        .not_in_set(&[LoadKey::OifName], "bridges")
        .masquerade()
        .counted_drop()
        .comment("direct")
}

/// One message for each parser.
fn everything() -> Vec<u8> {
    let mut batch = Batch::new();
    let b = &mut batch;
    let mac = "02:42:0a:01:00:02".parse().unwrap();
    let device = || "eth0".parse().unwrap();
    let gateway: IpAddr = "fd00::1".parse().unwrap();
    let peer = Peer { name: device(), mac, netns: NsRef::Path("/proc/1/ns/net".into()) };
    let link = Link {
        name: "zv1".parse().unwrap(),
        kind: LinkKind::Veth(peer),
        mac,
        mtu: None,
        group: LinkGroup::OURS,
        master: None,
    };
    link.encode(b, Some(IfIndex(2)), Some(4));
    BridgePort { isolated: Some(Switch::On), ..BridgePort::new(device()) }.encode(b, IfIndex(3));
    Address::new("fd00::2/64".parse().unwrap(), device()).encode(b, IfIndex(3));
    Route::default_via(gateway, device()).encode(b, IfIndex(3));
    Neighbour { address: gateway, mac, device: device(), certainty: Certainty::Stale }.encode(b, IfIndex(3));
    ForwardingEntry { mac, port: device() }.encode(b, IfIndex(3));
    begin(b);
    ZUBI.encode(b);
    Set::new(&ZUBI, "home4", &[Field::IfName, Field::Ipv4], Shape::Interval).encode(b, 1);
    let map = Set::new(&ZUBI, "range4", &[Field::Proto, Field::Port], Shape::Interval);
    map.mapped_to(&[Field::Ipv4, Field::Port]).encode(b, 2);
    let hook = Hook { chain_type: "filter", point: HookPoint::Forward, priority: -1 };
    Chain::base(&ZUBI, "forward", hook).encode(b);
    Chain::regular(&ZUBI, "publish").encode(b);
    let key = vec![Value::Device(device()), Value::Prefix("10.1.0.0/24".parse().unwrap())];
    Element::new(&ZUBI, "home4", key).encode(b);
    let ports = PortRange::new(PortNumber(9000), PortNumber(9199)).unwrap();
    let to = vec![Value::Address("10.1.0.2".parse().unwrap()), Value::Port(PortNumber(80))];
    Element::new(&ZUBI, "range4", vec![Value::Protocol(Protocol::Tcp), Value::Ports(ports)]).mapped_to(to).encode(b);
    sample_rule().encode(b);
    let key = [LoadKey::L4Proto, LoadKey::DestPort];
    let guest = GuestRule {
        table: Table::named(TableFamily::Ip, "filter"),
        chain: "FORWARD".into(),
        before: Some(7),
        device: device(),
        direction: Direction::From,
        comment: "zubi: blue".into(),
    };
    guest.encode(b);
    Rule::new(&ZUBI, "publish").to_prefix("127.0.0.0/8".parse().unwrap()).jump("ports").encode(b);
    Rule::new(&ZUBI, "publish").dnat_to_address_and_port(Family::V6, &key, "range6").encode(b);
    end(b);
    batch.bytes().to_vec()
}

#[test]
fn seeds_do_not_make_it_panic() {
    let seeds = seeds();
    assert!(!seeds.is_empty());
    for seed in seeds {
        assert!(Messages::new(&seed).next().is_some(), "not a message: {seed:02x?}");
        every_parser::parse(&seed);
        for len in 0..seed.len() {
            every_parser::parse(&seed[..len]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes_do_not_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        every_parser::parse(&bytes);
    }

    #[test]
    fn damaged_messages_do_not_make_it_panic(
        damage in prop::collection::vec((any::<Index>(), any::<u8>()), 1..8),
        cut in any::<Index>(),
        whole: bool,
        which in any::<Index>(),
    ) {
        let mut all = seeds();
        all.push(everything());
        let mut bytes = which.get(&all).clone();
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if !whole {
            bytes.truncate(cut.index(bytes.len()));
        }
        every_parser::parse(&bytes);
        // Behind the common header: as a payload.
        every_parser::parse(bytes.get(16..).unwrap_or_default());
    }

    #[test]
    fn a_rule_of_any_clauses_reads_back_as_written(
        clauses in prop::collection::vec((0u8..16, any::<bool>(), any::<Index>(), any::<Index>()), 0..8),
        (address, len) in (any::<IpAddr>(), 0u8..=128),
        comment in prop::option::of("[ -~]{0,120}"),
    ) {
        let mut rule = Rule::new(&ZUBI, "forward");
        for (clause, pair, one, other) in clauses {
            let (one, other) = (*one.get(&LoadKey::ALL), *other.get(&LoadKey::ALL));
            let keys = if pair { vec![one, other] } else { vec![one] };
            let net = IpNet::new_assert(address, if address.is_ipv4() { len % 33 } else { len });
            rule = match clause {
                0 => rule.not_from_loopback(),
                1 => rule.established(),
                2 => rule.in_set(&keys, "s"),
                3 => rule.not_in_set(&keys, "s"),
                4 => rule.masquerade(),
                5 => rule.accept(),
                6 => rule.dnat_to_address(Family::V4, &keys, "m"),
                7 => rule.dnat_to_address_and_port(Family::V6, &keys, "m"),
                8 => rule.translated(),
                9 => rule.not_for_this_host(),
                10 => rule.to_prefix(net),
                11 => rule.from_prefix(net),
                12 => rule.jump("publish"),
                13 => rule.leave(),
                _ => rule.counted_drop(),
            };
        }
        rule.comment = comment;
        let mut batch = Batch::new();
        rule.encode(&mut batch);
        let seen = RuleSeen::parse(&Messages::new(batch.bytes()).next().unwrap()).unwrap();
        prop_assert_eq!(seen.rule, rule);
    }
}
