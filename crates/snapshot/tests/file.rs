//! A snapshot is saved and loaded without loss.

#[allow(dead_code, reason = "each test uses some of the values")]
mod values;

use values::*;
use zubi_model::{Family, IfIndex, NsRef};
use zubi_plan::{Place, firewall};
use zubi_snapshot::{FiltersSeen, FirewallSeen, ForeignTables, GuestRuleSeen, Namespace, Snapshot, Unreadable};
use zubi_wire::nft::{
    ChainSeen, CmpOp, Element, Expr, Generation, LoadKey, Reg, Rule, RuleSeen, SetSeen, Table, TableFamily, TableSeen,
    Value, Verdict,
};
use zubi_wire::route::{FilterSeen, FilterSide, Instruction, LinkSeen, NeighbourSeen, RuleSeen as RoutingRule};

fn in_ip(name: &str) -> Table {
    Table::new(TableFamily::Ip, name)
}

fn rule(table: &str, chain: &str) -> RuleSeen {
    let exprs = vec![
        Expr::Load { key: LoadKey::IifName, to: Reg(0) },
        Expr::Cmp { from: Reg(0), op: CmpOp::Neq, value: b"lo\0".to_vec() },
        Expr::Other { name: "limit".into() },
        Expr::Verdict(Verdict::Jump("other".into())),
    ];
    let rule = Rule { exprs, ..Rule::new(&in_ip(table), chain).comment("a \"comment\"") };
    RuleSeen { rule, handle: 7 }
}

fn table(name: &str) -> TableSeen {
    TableSeen { table: in_ip(name), objects: 2, owner: Some(4711), dormant: false }
}

fn chain(table: &str, name: &str) -> ChainSeen {
    let (table, name) = (in_ip(table), name.into());
    ChainSeen { table, name, hook: Some((2, -5)), policy: Some(0), uses: 3 }
}

/// Something of everything.
fn full() -> Snapshot {
    let mut snapshot = whole();
    // The loopback device has no real MAC, and a forwarding table has group addresses.
    snapshot.set_link(&Place::Host, "lo", Some(seen("lo", IfIndex(1), [0; 6])));
    snapshot.set_link(&Place::Host, "absent", None);
    let host = &Place::Host;
    snapshot.set_addresses_of(host, BRIDGE, vec![address(BRIDGE, "10.1.0.1/24"), address(BRIDGE, "fd00::1/64")]);
    snapshot.set_routes(host, Family::V6, vec![default_route("10.1.0.1", BRIDGE)]);
    let rule_seen = RoutingRule { priority: 5, to: None, from_device: Some("zb-blue".into()), table: Some(254) };
    snapshot.set_rules(host, Family::V4, vec![rule_seen]);
    let entry = NeighbourSeen {
        address: Some("fe80::1".parse().unwrap()),
        mac: Some(mac([0x33, 0x33, 0, 0, 0, 1])),
        device: BRIDGE,
        state: 2,
        master: Some(BRIDGE),
        vlan: None,
    };
    snapshot.set_neighbours(host, vec![entry.clone(), NeighbourSeen { mac: None, ..entry.clone() }]);
    snapshot.set_forwarding(host, vec![entry]);
    let instruction = Instruction { code: 6, on_true: 1, on_false: 2, operand: u32::MAX };
    let filter = FilterSeen {
        side: FilterSide::Ingress,
        preference: 1,
        handle: 2,
        kind: "bpf".into(),
        program: vec![instruction],
        direct_action: true,
    };
    let filters = FiltersSeen { has_hooks: true, filters: vec![filter] };
    snapshot.set_bridge_filters(host, [("zb-blue".to_owned(), filters)]);
    snapshot.set_setting(host, "net/ipv4/ip_forward", Some("1".into()));
    snapshot.set_setting(host, "net/ipv6/conf/all/force_forwarding", None);
    snapshot.set_named(&"c1".parse().unwrap(), true);
    let set = SetSeen { table: in_ip("zubi"), name: "bridges".into(), flags: 8, key_len: 16, data_len: 0 };
    snapshot.set_firewall(FirewallSeen {
        table: Some(table("zubi")),
        chains: vec![chain("zubi", "forward")],
        sets: vec![set],
        rules: vec![rule("zubi", "forward")],
    });
    let prefix = Element::new(&firewall::TABLE, "subnets4", vec![Value::Prefix("10.1.0.0/24".parse().unwrap())]);
    snapshot.set_elements("subnets4", prefix.raw());
    let device = Element::new(&firewall::TABLE, "bridges", vec![Value::Device(name("zb-blue"))]);
    snapshot.set_some_elements("bridges", std::slice::from_ref(&device), device.raw());
    snapshot.set_guest_rules(vec![GuestRuleSeen { rule: rule("filter", "FORWARD"), owner: None }], Generation(8));
    let foreign = ForeignTables {
        tables: vec![TableSeen { owner: None, ..table("filter") }],
        chains: vec![chain("filter", "FORWARD")],
        rules: vec![rule("filter", "FORWARD")],
    };
    snapshot.set_foreign_tables(foreign, Generation(8));
    snapshot.set_namespace(&Place::Sandbox(NsRef::Path("/proc/1/ns/net".into())), Namespace::Gone);
    let denied = Namespace::Unknown("open /x: Permission denied".into());
    snapshot.set_namespace(&Place::Sandbox(NsRef::Path("/x".into())), denied);
    snapshot
}

#[test]
fn a_snapshot_reads_back_as_it_was_saved() {
    let text = full().to_json().unwrap();
    assert_eq!(Snapshot::from_json(&text).unwrap(), full());
    assert_eq!(Snapshot::from_json(&Snapshot::new().to_json().unwrap()).unwrap(), Snapshot::new());
}

#[test]
fn the_same_snapshot_is_the_same_text_and_another_is_not() {
    assert_eq!(full().to_json().unwrap(), full().to_json().unwrap());
    let mut other = full();
    other.set_link(&Place::Host, "zv1", Some(LinkSeen { mtu: 900, ..host_end() }));
    assert_ne!(full().to_json().unwrap(), other.to_json().unwrap());
}

#[test]
fn what_was_read_and_what_was_not_survive_saving() {
    let loaded = Snapshot::from_json(&full().to_json().unwrap()).unwrap();
    assert_eq!(loaded.link(&Place::Host, "absent"), Ok(None));
    assert!(loaded.addresses(&Place::Host).is_err());
    assert_eq!(loaded.addresses_of(&Place::Host, BRIDGE).unwrap().len(), 2);
    assert!(loaded.elements("bridges").is_err() && loaded.elements("subnets4").is_ok());
    assert_eq!(loaded.setting(&Place::Host, "net/ipv6/conf/all/force_forwarding"), Ok(None));
    assert!(loaded.setting(&Place::Host, "net/ipv6/conf/all/forwarding").is_err());
    assert!(loaded.has_forwarding(&Place::Host, mac([0x33, 0x33, 0, 0, 0, 1]), BRIDGE).unwrap());
}

#[test]
fn other_programs_barriers_are_judged_from_a_saved_snapshot() {
    let loaded = Snapshot::from_json(&full().to_json().unwrap()).unwrap();
    let barriers = loaded.foreign_tables().unwrap().judged().barriers();
    assert_eq!(barriers.len(), 1);
    assert_eq!(loaded.generation(), Some(Generation(8)));
}

#[test]
fn another_version_and_other_texts_are_refused() {
    let text = full().to_json().unwrap();
    let later = text.replacen("\"version\":2", "\"version\":3", 1);
    assert!(matches!(Snapshot::from_json(&later), Err(Unreadable::Version(3))));
    for other in ["", "{}", "[]", "{\"version\":2}", &text[..text.len() / 2]] {
        assert!(matches!(Snapshot::from_json(other), Err(Unreadable::Json(_))), "{other}");
    }
}
