//! Operations compared with snapshots: what is the same, missing, different, or was never read.

#[allow(dead_code, reason = "each test uses some of the values")]
mod values;

use values::*;
use zubi_model::{Family, LinkGroup};
use zubi_plan::{Op, Place, Sysctl, What, firewall};
use zubi_snapshot::{
    FiltersSeen, Finding, FirewallSeen, ForeignTables, GuestRuleSeen, Namespace, Needs, NotRead, Snapshot, compare,
    done,
};
use zubi_wire::nft::{Element, Generation, RuleAt, RuleSeen, Table, TableFamily, TableSeen, Value};
use zubi_wire::route::{
    AddrGenMode, Address, AdminState, BridgePort, Filter, FilterSeen, FilterSide, ForwardingEntry, LinkChange,
    LinkSeen, NeighbourSeen, Route, Switch,
};

fn find(op: Op, snapshot: &Snapshot) -> Finding {
    compare(&[op], snapshot).unwrap().remove(0).1
}

fn differs(words: &str) -> Finding {
    Finding::Differs(words.into())
}

/// `whole` with another host end.
fn with_host_end(link: LinkSeen) -> Snapshot {
    let mut snapshot = whole();
    snapshot.set_links(&Place::Host, vec![bridge(), link]);
    snapshot
}

/// `whole` with another inner end.
fn with_inner_end(link: LinkSeen) -> Snapshot {
    let mut snapshot = whole();
    snapshot.set_links(&inside(), vec![link]);
    snapshot
}

#[test]
fn a_pair_is_known_by_its_marks_and_compared_at_both_ends() {
    let op = || host(What::AddLink(pair()));
    assert_eq!(find(op(), &whole()), Finding::Same);
    for (seen, finding) in [
        (LinkSeen { group: LinkGroup(5), ..host_end() }, "its MAC is 02:00:00:00:00:01 and its group 5"),
        (LinkSeen { kind: Some("dummy".into()), ..host_end() }, "is a device that zubi did not make"),
        (LinkSeen { mtu: 1400, ..host_end() }, "MTU is 1400"),
        (LinkSeen { master: None, ..host_end() }, "is not a port of zb-blue"),
        (LinkSeen { master: Some(PORT), ..host_end() }, "is a port of another bridge than zb-blue"),
    ] {
        assert_eq!(find(op(), &with_host_end(seen)), differs(finding));
    }
    let inner = || seen("eth0", ETH0, INNER);
    assert_eq!(find(op(), &with_inner_end(LinkSeen { mtu: 900, ..inner() })), differs("MTU of eth0 inside is 900"));
    // Another device has the name: nothing is known of the inner end.
    let other = LinkSeen { mtu: 900, ..seen("eth0", ETH0, [2; 6]) };
    assert_eq!(find(op(), &with_inner_end(other)), Finding::Same);
    let mut gone = whole();
    gone.set_namespace(&inside(), Namespace::Gone);
    assert_eq!(find(op(), &gone), Finding::Same);
    gone.set_link(&Place::Host, "zv1", None);
    assert_eq!(find(op(), &gone), Finding::Missing);
}

#[test]
fn the_first_difference_of_a_device_is_named() {
    let change = |change: LinkChange| host(What::ChangeLink(change));
    let none = || LinkChange::none(name("zv1"));
    let state = LinkChange::state(name("zv1"), AdminState::Down);
    assert_eq!(find(change(state.clone()), &whole()), differs("is up"));
    for (wanted, words) in [
        (LinkChange { promisc: Some(Switch::On), ..none() }, "promisc is off"),
        (LinkChange { allmulticast: Some(Switch::On), ..none() }, "allmulticast is off"),
        (LinkChange { tx_queue: Some(1), ..none() }, "txqueuelen is 1000"),
        (LinkChange::mac(name("zv1"), mac(INNER)), "MAC is 02:00:00:00:00:01"),
        (LinkChange::mtu(name("zv1"), 900.try_into().unwrap()), "MTU is 1500"),
        (LinkChange { alias: Some("zubi x".into()), ..none() }, "its alias does not say whose it is"),
    ] {
        assert_eq!(find(change(wanted), &whole()), differs(words));
    }
    let eui64 = with_host_end(LinkSeen { addr_gen_mode: Some(AddrGenMode::Eui64), ..host_end() });
    let addressless = LinkChange::addressless(name("zv1"));
    assert_eq!(find(change(addressless.clone()), &eui64), differs("gives itself a link-local address"));
    // A device without IPv6 gives itself none.
    assert_eq!(find(change(addressless), &whole()), Finding::Same);
    // What an alias says may be older than the record.
    let older = with_host_end(LinkSeen { alias: Some("zubi older".into()), ..host_end() });
    assert_eq!(find(change(LinkChange { alias: Some("zubi x".into()), ..none() }), &older), Finding::Same);
}

#[test]
fn a_port_is_compared_where_it_is_one() {
    let isolated = BridgePort { isolated: Some(Switch::On), ..BridgePort::new(name("zv1")) };
    let op = || host(What::ChangePort(isolated.clone()));
    assert_eq!(find(op(), &whole()), differs("isolated is off"));
    assert_eq!(find(op(), &with_host_end(LinkSeen { port: None, ..host_end() })), differs("is not a bridge port"));
    let mut without = whole();
    without.set_link(&Place::Host, "zv1", None);
    assert_eq!(find(op(), &without), differs("is not a bridge port"));
}

#[test]
fn addresses_and_routes_belong_to_their_device() {
    let add = |text: &str, device: &str| within(What::AddAddress(Address::new(text.parse().unwrap(), name(device))));
    assert_eq!(find(add("10.1.0.2/24", "eth0"), &whole()), Finding::Same);
    assert_eq!(find(add("10.1.0.2/16", "eth0"), &whole()), Finding::Missing);
    assert_eq!(find(add("10.1.0.2/24", "lo"), &whole()), Finding::Missing);
    assert_eq!(find(add("10.1.0.2/24", "eth1"), &whole()), Finding::Missing);
    let route =
        |via: &str, device: &str| within(What::AddRoute(Route::default_via(via.parse().unwrap(), name(device))));
    assert_eq!(find(route("10.1.0.1", "eth0"), &whole()), Finding::Same);
    assert_eq!(find(route("10.1.0.3", "eth0"), &whole()), Finding::Missing);
    assert_eq!(find(route("10.1.0.1", "lo"), &whole()), Finding::Missing);
}

#[test]
fn a_forwarding_entry_is_found_by_mac_and_port() {
    let entry =
        |mac| NeighbourSeen { address: None, mac: Some(mac), device: PORT, state: 0x40, master: None, vlan: None };
    let mut snapshot = whole();
    snapshot.set_forwarding(&Place::Host, vec![entry(mac(INNER))]);
    let op = |mac, port: &str| host(What::AddForwarding(ForwardingEntry { mac, port: name(port) }));
    assert_eq!(find(op(mac(INNER), "zv1"), &snapshot), Finding::Same);
    assert_eq!(find(op(mac(OUTER), "zv1"), &snapshot), Finding::Missing);
    assert_eq!(find(op(mac(INNER), "zb-blue"), &snapshot), Finding::Missing);
}

#[test]
fn a_filter_needs_its_hooks_and_its_program() {
    let filter =
        Filter { device: name("zb-blue"), side: FilterSide::Ingress, preference: 1, handle: 2, program: Vec::new() };
    let seen = FilterSeen {
        side: FilterSide::Ingress,
        preference: 1,
        handle: 2,
        kind: "bpf".into(),
        program: Vec::new(),
        direct_action: true,
    };
    let ops = || vec![host(What::AddHooks(name("zb-blue"))), host(What::AddFilter(filter.clone()))];
    for (filters, expected) in [
        (FiltersSeen::default(), [Finding::Missing, Finding::Missing]),
        (FiltersSeen { has_hooks: true, filters: vec![seen.clone()] }, [Finding::Same, Finding::Same]),
        (
            FiltersSeen { has_hooks: true, filters: vec![FilterSeen { direct_action: false, ..seen }] },
            [Finding::Same, differs("is another program")],
        ),
    ] {
        let mut snapshot = whole();
        snapshot.set_filters(&Place::Host, "zb-blue", filters);
        let found: Vec<_> = compare(&ops(), &snapshot).unwrap().into_iter().map(|(_, finding)| finding).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_setting_of_a_device_comes_with_the_device_and_another_from_its_file() {
    let mut link = serde_json::to_value(seen("eth0", ETH0, INNER)).unwrap();
    // `forwarding` of net/ipv4/conf.
    link["settings"]["ipv4"][0] = 1.into();
    let snapshot = || with_inner_end(serde_json::from_value(link.clone()).unwrap());
    let set = |key: &str, value: &str| within(What::Set(Sysctl::new(key, value)));
    assert_eq!(find(set("net/ipv4/conf/eth0/forwarding", "1"), &snapshot()), Finding::Same);
    assert_eq!(find(set("net/ipv4/conf/eth0/forwarding", "0"), &snapshot()), differs("is 1"));
    let ranges = set("net/ipv4/ping_group_range", "0 10");
    assert!(compare(std::slice::from_ref(&ranges), &snapshot()).is_err());
    for (value, finding) in
        [(Some("0\t10"), Finding::Same), (Some("1\t0"), differs("is 1\t0")), (None, Finding::Missing)]
    {
        let mut snapshot = snapshot();
        snapshot.set_setting(&inside(), "net/ipv4/ping_group_range", value.map(str::to_owned));
        assert_eq!(find(ranges.clone(), &snapshot), finding);
    }
    // A kernel without IPv6 needs none of its settings.
    let mut snapshot = snapshot();
    snapshot.set_setting(&inside(), "net/ipv6/conf/eth0/accept_ra", None);
    assert_eq!(find(set("net/ipv6/conf/eth0/accept_ra", "0"), &snapshot), Finding::NoState);
}

fn element(set: &str, key: Vec<Value>) -> Element {
    Element::new(&firewall::TABLE, set, key)
}

fn device(text: &str) -> Value {
    Value::Device(name(text))
}

#[test]
fn an_element_is_compared_by_its_key_or_among_all() {
    let (ours, other) = (element("bridges", vec![device("zb-blue")]), element("bridges", vec![device("zb-red")]));
    let add = |element: &Element| host(What::AddElement(element.clone()));
    let mut snapshot = Snapshot::new();
    snapshot.set_some_elements("bridges", &[ours.clone(), other.clone()], ours.raw());
    assert_eq!(find(add(&ours), &snapshot), Finding::Same);
    assert_eq!(find(add(&other), &snapshot), Finding::Missing);
    assert!(compare(&[add(&element("bridges", vec![device("zb-green")]))], &snapshot).is_err());
    assert!(snapshot.elements("bridges").is_err());

    // One map entry leads elsewhere than wanted.
    let to = |address: &str| ours.clone().mapped_to(vec![Value::Address(address.parse().unwrap())]);
    let mut snapshot = Snapshot::new();
    snapshot.set_some_elements("bridges", &[to("10.1.0.2")], to("10.1.0.3").raw());
    assert_eq!(find(add(&to("10.1.0.2")), &snapshot), Finding::Missing);

    // Intervals are two elements, and found only among all.
    let prefix = |net: &str| element("subnets4", vec![Value::Prefix(net.parse().unwrap())]);
    let mut snapshot = Snapshot::new();
    snapshot.set_some_elements("subnets4", &[prefix("10.1.0.0/24")], prefix("10.1.0.0/24").raw());
    assert!(compare(&[add(&prefix("10.1.0.0/24"))], &snapshot).is_err());
    snapshot.set_elements("subnets4", prefix("10.1.0.0/24").raw());
    assert_eq!(find(add(&prefix("10.1.0.0/24")), &snapshot), Finding::Same);
    assert_eq!(find(add(&prefix("10.1.0.0/25")), &snapshot), Finding::Missing);
}

/// The rule as the kernel reports it.
fn guest() -> (zubi_wire::nft::GuestRule, RuleSeen) {
    let rule = zubi_wire::nft::GuestRule {
        table: Table::named(TableFamily::Ip, "filter"),
        chain: "FORWARD".into(),
        before: None,
        device: name("zb-blue"),
        direction: zubi_wire::nft::Direction::From,
        comment: "zubi: network blue".into(),
    };
    let mut batch = zubi_wire::Batch::new();
    rule.encode(&mut batch);
    let seen = RuleSeen::parse(&zubi_wire::Messages::new(batch.bytes()).next().unwrap()).unwrap();
    (rule, RuleSeen { handle: 7, ..seen })
}

#[test]
fn the_layout_and_guest_rules_are_compared_one_by_one() {
    let layout: Vec<Op> = firewall::layout().collect();
    let mut snapshot = Snapshot::new();
    assert!(compare(&layout, &snapshot).is_err());
    snapshot.set_firewall(FirewallSeen::default());
    assert!(compare(&layout, &snapshot).unwrap().iter().all(|(_, finding)| *finding == Finding::Missing));
    let (rule, seen) = guest();
    let add = host(What::AddGuestRule(rule));
    assert!(compare(std::slice::from_ref(&add), &snapshot).is_err());
    snapshot.set_guest_rules(Vec::new(), Generation(4));
    assert_eq!(find(add.clone(), &snapshot), Finding::Missing);
    snapshot.set_guest_rules(vec![GuestRuleSeen { rule: seen, owner: None }], Generation(5));
    assert_eq!(find(add, &snapshot), Finding::Same);
    assert_eq!(snapshot.generation(), Some(Generation(5)));
    snapshot.set_foreign_tables(ForeignTables::default(), Generation(6));
    assert_eq!(snapshot.generation(), None, "read in different generations");
    snapshot.set_foreign_tables(ForeignTables::default(), Generation(5));
    assert_eq!(snapshot.generation(), Some(Generation(5)));
}

#[test]
fn a_sandbox_that_is_gone_has_nothing_and_one_that_cannot_be_opened_is_an_error() {
    let ops = [
        within(What::ChangeLink(LinkChange::state(name("eth0"), AdminState::Up))),
        within(What::ChangePort(BridgePort::new(name("eth0")))),
        within(What::AddAddress(Address::new("10.1.0.2/24".parse().unwrap(), name("eth0")))),
        within(What::AddHooks(name("eth0"))),
        // An optional setting, too.
        within(What::Set(Sysctl::ipv6_device(&name("eth0"), "accept_ra", 0))),
    ];
    let mut snapshot = Snapshot::new();
    snapshot.set_namespace(&inside(), Namespace::Gone);
    assert!(compare(&ops, &snapshot).unwrap().iter().all(|(_, finding)| *finding == Finding::Missing));
    let nothing_to_see = within(What::DeleteAddress(Address::new("10.1.0.2/24".parse().unwrap(), name("eth0"))));
    assert_eq!(find(nothing_to_see, &snapshot), Finding::NoState);
    let why = "open /run/netns/c1: Too many open files";
    snapshot.set_namespace(&inside(), Namespace::Unknown(why.into()));
    for op in ops {
        assert_eq!(compare(&[op], &snapshot).unwrap_err().to_string(), why);
    }
}

#[test]
fn what_was_not_read_is_never_taken_for_not_there() {
    let mut snapshot = Snapshot::new();
    let up =
        |place: Place| Op { place, what: What::ChangeLink(LinkChange::state(name("zv1"), AdminState::Up)), why: "" };
    let part = |error: NotRead| error.to_string();
    assert_eq!(part(compare(&[up(Place::Host)], &snapshot).unwrap_err()), "device zv1 of the host: not read");
    let sandbox = "device of sandbox /run/netns/c1: not read";
    assert_eq!(part(compare(&[up(inside())], &snapshot).unwrap_err()), sandbox);
    snapshot.set_link(&Place::Host, "zv2", None);
    assert!(compare(&[up(Place::Host)], &snapshot).is_err());
    assert!(snapshot.links(&Place::Host).is_err());
    snapshot.set_link(&Place::Host, "zv1", Some(host_end()));
    assert!(snapshot.addresses_of(&Place::Host, PORT).is_err());
    snapshot.set_addresses_of(&Place::Host, PORT, Vec::new());
    assert_eq!(snapshot.addresses_of(&Place::Host, PORT), Ok(&[][..]));
    assert!(snapshot.addresses(&Place::Host).is_err());
    assert!(snapshot.routes(&Place::Host, Family::V6).is_err());
    assert!(snapshot.firewall().is_err() && snapshot.guest_rules().is_err() && snapshot.foreign_tables().is_err());
}

#[test]
fn forgetting_a_place_makes_it_unread() {
    let mut snapshot = whole();
    snapshot.set_firewall(FirewallSeen::default());
    snapshot.forget(&inside());
    assert!(snapshot.link(&inside(), "eth0").is_err() && snapshot.namespace(&inside()).is_none());
    assert!(snapshot.link(&Place::Host, "zv1").is_ok());
    snapshot.forget(&Place::Host);
    assert!(snapshot.link(&Place::Host, "zv1").is_err() && snapshot.firewall().is_err());
}

#[test]
fn an_operation_that_removes_is_done_when_nothing_is_left() {
    let address = || Address::new("10.1.0.2/24".parse().unwrap(), name("eth0"));
    let ops = [within(What::DeleteAddress(address())), within(What::AddAddress(address()))];
    assert_eq!(done(&ops, &whole()), Ok(vec![false, true]));
    let mut snapshot = whole();
    snapshot.set_addresses(&inside(), Vec::new());
    assert_eq!(done(&ops, &snapshot), Ok(vec![true, false]));
    let (_, seen) = guest();
    let at = RuleAt { table: Table::named(TableFamily::Ip, "filter"), chain: "FORWARD".into(), handle: 7 };
    let delete = [host(What::DeleteGuestRule(at))];
    assert_eq!(Needs::after(&delete), Needs::new().guest_rules());
    snapshot.set_guest_rules(vec![GuestRuleSeen { rule: seen, owner: None }], Generation(1));
    assert_eq!(done(&delete, &snapshot), Ok(vec![false]));
    let table = || TableSeen { table: firewall::TABLE, objects: 0, owner: None, dormant: false };
    snapshot.set_firewall(FirewallSeen { table: Some(table()), ..FirewallSeen::default() });
    assert_eq!(done(&[host(What::DeleteTable(firewall::TABLE))], &snapshot), Ok(vec![false]));
}

#[test]
fn a_foreign_table_of_our_name_differs_from_ours() {
    let table = |objects| TableSeen { table: firewall::TABLE, objects, owner: None, dormant: false };
    let seen = |objects| FirewallSeen { table: Some(table(objects)), ..FirewallSeen::default() };
    assert!(seen(1).is_foreign() && !seen(0).is_foreign() && !FirewallSeen::default().is_foreign());
}
