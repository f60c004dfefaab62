//! What the wire codec prints is what it sends: the kernel and `nft` decide.
//!
//! Each test runs again in a user and network namespace of its own. There it makes the layout, and maps to other
//! destinations, once from bytes and once from text typed into `nft`. It reads both back as bytes, and the first also
//! as the text of `nft list`.

mod inside;

use inside::inside;
use std::fmt::Display;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use zubi_kernel::Netlink;
use zubi_model::Family;
use zubi_plan::firewall::{self, TABLE};
use zubi_wire::nft::{
    self, Chain, ChainSeen, Direction, Element, ElementSeen, Ending, Expr, Field, GuestRule, Hook, HookPoint, LoadKey,
    PortNumber, PortRange, Protocol, Rule, RuleSeen, Set, SetSeen, Shape, Table, TableFamily, TableSeen, Value,
    Verdict,
};
use zubi_wire::{Batch, KernelError};

const ENOENT: i32 = 2;
const EEXIST: i32 = 17;

fn in_namespaces(test: &str) -> bool {
    inside(test, &["nft", "list", "ruleset"])
}

fn sets() -> Vec<Set> {
    [firewall::sets(), maps()].concat()
}

fn maps() -> Vec<Set> {
    let map = |name: &str, shape| Set::new(&TABLE, name, &[Field::Proto, Field::Port], shape);
    vec![
        map("lead4", Shape::Exact).mapped_to(&[Field::Ipv4, Field::Port]),
        map("lead6", Shape::Exact).mapped_to(&[Field::Ipv6, Field::Port]),
        map("range4", Shape::Interval).mapped_to(&[Field::Ipv4]),
        map("range6", Shape::Interval).mapped_to(&[Field::Ipv6]),
        Set::new(&TABLE, "ports", &[Field::Port], Shape::Exact).mapped_to(&[Field::Port]),
        Set::new(&TABLE, "spans", &[Field::Port], Shape::Interval).mapped_to(&[Field::Ipv4]),
        Set::new(&TABLE, "protocols", &[Field::Proto], Shape::Exact),
    ]
}

fn chains() -> Vec<Chain> {
    [firewall::chains(), vec![lead(HookPoint::Prerouting), Chain::regular(&TABLE, "way")]].concat()
}

fn lead(point: HookPoint) -> Chain {
    let hook = Hook { chain_type: "nat", point, priority: -100 };
    Chain::base(&TABLE, "lead", hook)
}

fn rules() -> Vec<Rule> {
    [firewall::rules(), map_rules(), way_rules()].concat()
}

fn way_rules() -> Vec<Rule> {
    let way = || Rule::new(&TABLE, "way");
    let net = |text: &str| text.parse().unwrap();
    vec![
        Rule::new(&TABLE, "lead").translated().jump("way"),
        way().not_for_this_host().leave(),
        way().to_prefix(net("127.0.0.0/8")).leave(),
        way().from_prefix(net("127.0.0.0/8")).accept(),
        way().to_prefix(net("10.1.128.0/17")).leave(),
        way().from_prefix(net("0.0.0.0/0")).leave(),
        way().to_prefix(net("10.1.0.1/32")).leave(),
        way().to_prefix(net("fe80::/10")).leave(),
        way().from_prefix(net("fd00::/64")).leave(),
        way().to_prefix(net("::1/128")).counted_drop(),
    ]
}

fn map_rules() -> Vec<Rule> {
    let rule = || Rule::new(&TABLE, "lead");
    let key = [LoadKey::L4Proto, LoadKey::DestPort];
    vec![
        rule().dnat_to_address_and_port(Family::V4, &key, "lead4"),
        rule().dnat_to_address_and_port(Family::V6, &key, "lead6").comment("of the other family"),
        rule().dnat_to_address(Family::V4, &key, "range4"),
        rule().dnat_to_address(Family::V6, &key, "range6"),
        rule().in_set(&[LoadKey::L4Proto], "protocols").dnat_to_address(Family::V4, &[LoadKey::DestPort], "spans"),
    ]
}

fn port(number: u16) -> Value {
    Value::Port(PortNumber(number))
}

fn ports(first: u16, last: u16) -> Value {
    Value::Ports(PortRange::new(PortNumber(first), PortNumber(last)).unwrap())
}

fn mapped(map: &str, protocol: Protocol, from: Value, to: Vec<Value>) -> Element {
    Element::new(&TABLE, map, vec![Value::Protocol(protocol), from]).mapped_to(to)
}

fn map_elements() -> Vec<Element> {
    use Protocol::{Sctp, Tcp, Udp};
    let address = |a: &str| Value::Address(a.parse().unwrap());
    let spans = |span, to| Element::new(&TABLE, "spans", vec![span]).mapped_to(vec![address(to)]);
    let protocol = |protocol| Element::new(&TABLE, "protocols", vec![Value::Protocol(protocol)]);
    vec![
        mapped("lead4", Tcp, port(8080), vec![address("10.55.66.2"), port(80)]),
        mapped("lead4", Udp, port(8080), vec![address("10.55.66.3"), port(65535)]),
        mapped("lead6", Sctp, port(53), vec![address("fd00:1::2"), port(5353)]),
        mapped("range4", Tcp, ports(9000, 9199), vec![address("10.1.0.2")]),
        mapped("range4", Udp, ports(9000, 9000), vec![address("10.1.0.2")]),
        mapped("range6", Tcp, ports(1, 65535), vec![address("fd00:1::2")]),
        Element::new(&TABLE, "ports", vec![port(53)]).mapped_to(vec![port(5353)]),
        spans(ports(80, 80), "10.1.0.2"),
        spans(ports(9000, 9199), "10.1.0.3"),
        spans(ports(65000, 65535), "10.1.0.2"),
        protocol(Tcp),
        protocol(Sctp),
    ]
}

fn elements() -> Vec<Element> {
    [firewall_elements(), map_elements()].concat()
}

fn firewall_elements() -> Vec<Element> {
    let device = |name: &str| Value::Device(name.parse().unwrap());
    let prefix = |net: &str| Value::Prefix(net.parse().unwrap());
    let address = |a: &str| Value::Address(a.parse().unwrap());
    let element = |set: &str, key: Vec<Value>| Element::new(&TABLE, set, key);
    vec![
        element("bridges", vec![device("zb-blue")]),
        // The longest name, fifteen bytes; and a word of the nft language.
        element("bridges", vec![device("zb-abcdefghijkl")]),
        element("internal", vec![device("drop")]),
        element("icc", vec![device("zb-blue"), device("zb-blue")]),
        element("home4", vec![device("zb-blue"), prefix("10.1.0.0/24")]),
        element("home4", vec![device("zb-red"), prefix("10.2.0.0/16")]),
        element("home6", vec![device("zb-blue"), prefix("fd00:1::/64")]),
        element("subnets4", vec![prefix("10.1.0.0/24")]),
        element("subnets4", vec![prefix("10.1.1.0/24")]),
        element("subnets4", vec![prefix("10.3.0.128/25")]),
        element("subnets6", vec![prefix("fd00:1::/64")]),
        element("masquerade4", vec![prefix("10.1.0.0/24")]),
        element("masquerade4", vec![prefix("255.255.255.0/24")]),
        element("masquerade6", vec![prefix("fd00:1:0:8000::/49")]),
        element("endpoints4", vec![device("zb-blue"), address("10.1.0.2")]),
        element("endpoints6", vec![device("zb-blue"), address("fd00:1::2")]),
    ]
}

fn all_ok(answers: &[zubi_kernel::Answer]) {
    let errors: Vec<(usize, &KernelError)> = answers
        .iter()
        .enumerate()
        .filter_map(|(at, a)| a.outcome.as_ref().and_then(|o| o.as_ref().err()).map(|e| (at, e)))
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
}

fn write_as_bytes(socket: &mut Netlink) {
    let mut batch = Batch::new();
    nft::begin(&mut batch);
    TABLE.encode(&mut batch);
    for (id, set) in (1..).zip(sets()) {
        set.encode(&mut batch, id);
    }
    for c in &chains() {
        c.encode(&mut batch);
    }
    for r in &rules() {
        r.encode(&mut batch);
    }
    for e in &elements() {
        e.encode(&mut batch);
    }
    nft::end(&mut batch);
    all_ok(&socket.transact(batch).unwrap());
}

fn nft_reads(text: &str) {
    let mut child = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
}

fn write_as_text() {
    let add = |object: &dyn Display| format!("add {object}\n");
    let mut text = add(&TABLE);
    for s in &sets() {
        text += &add(s);
    }
    for c in &chains() {
        text += &add(c);
    }
    for r in &rules() {
        text += &add(r);
    }
    for e in &elements() {
        text += &add(e);
    }
    nft_reads(&text);
}

fn seen_rules(socket: &mut Netlink) -> Vec<Rule> {
    socket
        .dump("rules", &|b| RuleSeen::dump(b, &TABLE, None), |m| {
            RuleSeen::parse(m).map(|seen| seen.rule).into_iter().collect()
        })
        .unwrap()
}

/// A set made by `nft` also holds an interval end at the smallest address, which ends no interval.
fn seen_elements(socket: &mut Netlink, set: &str) -> Vec<ElementSeen> {
    let mut all = socket.dump("elements", &|b| ElementSeen::dump(b, &TABLE, set), ElementSeen::parse_all).unwrap();
    all.retain(|e: &ElementSeen| !(e.interval_end && e.key.iter().all(|b| *b == 0)));
    all.sort();
    all
}

fn raw_elements(set: &str) -> Vec<ElementSeen> {
    let mut all: Vec<_> = elements().iter().filter(|e| e.set == set).flat_map(Element::raw).collect();
    all.sort();
    all
}

fn reads_back(socket: &mut Netlink, raw: impl Fn(&str) -> Vec<ElementSeen>) {
    let seen = socket.dump("sets", &|b| SetSeen::dump(b, &TABLE), |m| SetSeen::parse(m).into_iter().collect()).unwrap();
    assert_eq!(seen.len(), sets().len());
    for set in sets() {
        assert!(seen.iter().any(|s: &SetSeen| set.is(s)), "{set} is not in {seen:#?}");
        assert_eq!(seen_elements(socket, &set.name), raw(&set.name), "{set}");
    }
    let seen: Vec<ChainSeen> = socket
        .dump("chains", &|b| ChainSeen::dump(b, TABLE.family), |m| ChainSeen::parse(m).into_iter().collect())
        .unwrap();
    assert_eq!(seen.len(), chains().len());
    for chain in chains() {
        assert!(seen.iter().any(|s| chain.is(s)), "{chain} is not in {seen:#?}");
    }
    let seen = seen_rules(socket);
    // The kernel lists them chain by chain.
    let mut wanted = rules();
    wanted.sort_by_key(|rule| chains().iter().position(|chain| chain.name == rule.chain));
    for (seen, rule) in seen.iter().zip(wanted) {
        assert_eq!(*seen, rule);
        assert_eq!(seen.to_string(), rule.to_string());
    }
    assert_eq!(seen.len(), rules().len());
    let mut batch = Batch::new();
    for chain in &chains() {
        chain.encode_get(&mut batch);
    }
    Chain::regular(&TABLE, "nowhere").encode_get(&mut batch);
    let answers = socket.transact(batch).unwrap();
    for (chain, answer) in chains().iter().zip(&answers) {
        let seen = answer.objects.iter().find_map(|o| ChainSeen::parse(&o.message())).unwrap();
        assert!(chain.is(&seen));
        let leads_here = Expr::Verdict(Verdict::Jump(chain.name.clone()));
        let users = rules().iter().filter(|r| r.chain == chain.name || r.exprs.contains(&leads_here)).count();
        assert_eq!(seen.uses as usize, users, "{chain}");
    }
    let missing = answers.last().unwrap().outcome.clone().unwrap().unwrap_err();
    assert_eq!(missing.errno, ENOENT);
    let mut batch = Batch::new();
    TABLE.encode_get(&mut batch);
    let answers = socket.transact(batch).unwrap();
    let seen = answers[0].objects.iter().find_map(|o| TableSeen::parse(&o.message())).unwrap();
    assert_eq!((seen.table, seen.objects as usize, seen.owner), (TABLE, sets().len() + chains().len(), None));
}

/// The words alone: `nft list` breaks lines where we write semicolons, and quotes other texts.
fn words(text: &str) -> String {
    text.replace(['"', ';'], " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Numeric priorities and no counts, as we print them.
fn listed() -> String {
    let done = Command::new("nft").args(["-y", "-s", "list", "table", "inet", &TABLE.name]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// The lines of `set NAME { ... }`, `map NAME { ... }` or `chain NAME { ... }`.
fn block<'a>(listing: &'a str, opening: &str) -> Vec<&'a str> {
    let inner = listing.lines().skip_while(|l| l.trim() != format!("{opening} {{"));
    let block: Vec<_> = inner.skip(1).take_while(|l| l.trim() != "}").collect();
    assert!(!block.is_empty(), "no {opening} in {listing}");
    block
}

fn within_braces(display: &str) -> String {
    words(display.split_once('{').unwrap().1.trim_end_matches('}'))
}

fn lists_set(listing: &str, set: &Set) {
    let kind = if set.data.is_empty() { "set" } else { "map" };
    let block = words(&block(listing, &format!("{kind} {}", set.name)).join(" "));
    let declared = within_braces(&set.to_string());
    assert!(block.starts_with(&declared), "{declared:?} does not begin {block:?}");
    let mut left: Vec<String> = match block.split_once("elements = {") {
        Some((_, list)) => list.trim_end_matches('}').split(',').map(words).collect(),
        None => Vec::new(),
    };
    for element in elements().iter().filter(|e| e.set == set.name) {
        let key = within_braces(&element.to_string());
        let Some(at) = left.iter().position(|l| *l == key) else { panic!("no {key:?} in {block:?}") };
        left.remove(at);
    }
    assert!(left.is_empty(), "{left:?} in {block:?} is not ours");
}

fn lists_chain(listing: &str, chain: &Chain) {
    let lines: Vec<_> =
        block(listing, &format!("chain {}", chain.name)).iter().map(|l| words(l)).filter(|l| !l.is_empty()).collect();
    let declared = usize::from(chain.hook.is_some());
    if chain.hook.is_some() {
        assert_eq!(lines[0], within_braces(&chain.to_string()));
    }
    let prefix = format!("rule inet {} {} ", TABLE.name, chain.name);
    let ours: Vec<_> = rules()
        .iter()
        .filter(|r| r.chain == chain.name)
        .map(|r| words(r.to_string().strip_prefix(&prefix).unwrap()))
        .collect();
    assert_eq!(lines[declared..], ours);
}

#[test]
fn nft_lists_what_was_sent_in_the_words_we_print() {
    if !in_namespaces("nft_lists_what_was_sent_in_the_words_we_print") {
        return;
    }
    write_as_bytes(&mut Netlink::netfilter().unwrap());
    let listing = listed();
    for s in &sets() {
        lists_set(&listing, s);
    }
    for c in &chains() {
        lists_chain(&listing, c);
    }
}

#[test]
fn what_was_sent_reads_back_equal() {
    if !in_namespaces("what_was_sent_reads_back_equal") {
        return;
    }
    let mut socket = Netlink::netfilter().unwrap();
    write_as_bytes(&mut socket);
    reads_back(&mut socket, raw_elements);
}

#[test]
fn the_printed_words_typed_into_nft_read_back_equal() {
    if !in_namespaces("the_printed_words_typed_into_nft_read_back_equal") {
        return;
    }
    let mut socket = Netlink::netfilter().unwrap();
    write_as_text();
    reads_back(&mut socket, raw_elements);
}

#[test]
fn elements_are_deleted_as_they_were_made() {
    if !in_namespaces("elements_are_deleted_as_they_were_made") {
        return;
    }
    let mut socket = Netlink::netfilter().unwrap();
    for delete in [Element::encode_delete, Element::encode_destroy] {
        write_as_bytes(&mut socket);
        let mut batch = Batch::new();
        nft::begin(&mut batch);
        for e in &elements() {
            delete(e, &mut batch);
        }
        nft::end(&mut batch);
        all_ok(&socket.transact(batch).unwrap());
        for set in sets() {
            assert_eq!(seen_elements(&mut socket, &set.name), [], "{set}");
        }
        let mut batch = Batch::new();
        nft::begin(&mut batch);
        TABLE.encode_delete(&mut batch);
        nft::end(&mut batch);
        all_ok(&socket.transact(batch).unwrap());
    }
}

#[test]
fn a_key_that_leads_elsewhere_exists_already_and_stays() {
    if !in_namespaces("a_key_that_leads_elsewhere_exists_already_and_stays") {
        return;
    }
    let mut socket = Netlink::netfilter().unwrap();
    write_as_bytes(&mut socket);
    let mut batch = Batch::new();
    nft::begin(&mut batch);
    let elsewhere = vec![Value::Address("10.55.66.9".parse().unwrap()), port(80)];
    mapped("lead4", Protocol::Tcp, port(8080), elsewhere).encode(&mut batch);
    nft::end(&mut batch);
    let answers = socket.transact(batch).unwrap();
    assert_eq!(answers[1].outcome.clone().unwrap().unwrap_err().errno, EEXIST);
    assert_eq!(seen_elements(&mut socket, "lead4"), raw_elements("lead4"));
}

#[test]
fn connections_go_where_the_maps_lead() {
    if !in_namespaces("connections_go_where_the_maps_lead") {
        return;
    }
    assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
    let listen = |address: &str| TcpListener::bind(address).unwrap();
    let cases = [
        ("127.0.0.1:8080", listen("127.0.0.1:80"), "lead4", port(8080)),
        ("[::1]:8080", listen("[::1]:80"), "lead6", port(8080)),
        ("127.0.0.1:9150", listen("127.0.0.2:9150"), "range4", ports(9000, 9199)),
        ("127.0.0.1:7", listen("127.0.0.3:7"), "range4", ports(7, 7)),
    ];
    let mut batch = Batch::new();
    nft::begin(&mut batch);
    TABLE.encode(&mut batch);
    for (id, map) in (1..).zip(maps()) {
        map.encode(&mut batch, id);
    }
    lead(HookPoint::Output).encode(&mut batch);
    for r in &map_rules() {
        r.encode(&mut batch);
    }
    for (_, listener, map, from) in &cases {
        let at = listener.local_addr().unwrap();
        let mut to = vec![Value::Address(at.ip())];
        to.extend(map.starts_with("lead").then(|| port(at.port())));
        mapped(map, Protocol::Tcp, from.clone(), to).encode(&mut batch);
    }
    nft::end(&mut batch);
    all_ok(&Netlink::netfilter().unwrap().transact(batch).unwrap());
    for (to, listener, ..) in &cases {
        let client = TcpStream::connect(to).unwrap_or_else(|e| panic!("{to}: {e}"));
        let (_, from) = listener.accept().unwrap();
        assert_eq!(from, client.local_addr().unwrap(), "{to}");
    }
    assert!(TcpStream::connect("127.0.0.1:9200").is_err(), "behind the range");
}

#[test]
fn foreign_rules_print_as_nft_would_list_them() {
    if !in_namespaces("foreign_rules_print_as_nft_would_list_them") {
        return;
    }
    let mut socket = Netlink::netfilter().unwrap();
    let typed = [
        "ct state != established,related drop",
        "ct state ! established,related drop",
        "ct state new counter",
        "ct status snat,dnat accept",
        "ct status ! dnat accept",
        "fib daddr type broadcast drop",
        "ip daddr 127.0.0.0/8 accept",
        "ip saddr != 10.0.0.0/16 accept",
        "ip6 daddr fd00::/64 accept",
        "log counter reject",
        "meta nfproto ipv4 accept",
        "meta nfproto != ipv6 accept",
        "meta nfproto ipv6 iifname \"zb-blue\" ip6 saddr fd00::1 return",
        "iifname \"zb-*\" drop",
        "oifname != \"zb-blue\" ip daddr 10.1.0.1 counter accept",
        "ip daddr != 10.1.0.1 accept",
        "ip saddr 10.1.128.0/17 accept",
        "ip6 saddr fd00:1:0:8000::/49 accept",
        "ip daddr & 255.0.255.0 == 10.0.1.0 accept",
        "meta l4proto tcp accept",
        "meta l4proto != 47 drop",
        "th dport 443 accept",
        "th dport != 443 drop",
    ];
    let mut text = format!("add {TABLE}\nadd {}\n", chains()[0]);
    text.extend(typed.iter().map(|t| format!("add rule inet {} guard {t}\n", TABLE.name)));
    nft_reads(&text);
    let prefix = format!("rule inet {} guard ", TABLE.name);
    let printed: Vec<String> =
        seen_rules(&mut socket).iter().map(|r| r.to_string().strip_prefix(&prefix).unwrap().to_owned()).collect();
    assert_eq!(printed, typed);
}

fn run(command: &[&str]) -> String {
    let done = Command::new(command[0]).args(&command[1..]).output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

const FILTER: Table = Table::named(TableFamily::Ip, "filter");

fn rules_of(socket: &mut Netlink, chain: &str) -> Vec<RuleSeen> {
    let ask = |b: &mut Batch| RuleSeen::dump(b, &FILTER, Some(chain));
    let all = socket.dump("rules", &ask, |m| RuleSeen::parse(m).into_iter().collect()).unwrap();
    assert!(all.iter().all(|r: &RuleSeen| r.rule.chain == chain && r.rule.table == FILTER));
    all
}

fn guest(direction: Direction, before: Option<u64>) -> GuestRule {
    GuestRule {
        table: FILTER,
        chain: "GUESTS".into(),
        before,
        device: "zb-blue".parse().unwrap(),
        direction,
        comment: "zubi: blue".into(),
    }
}

/// A chain of `iptables-nft` with one rule, and ours before it: one from bytes, one from the words it prints as.
fn guests(socket: &mut Netlink) {
    for words in ["-N GUESTS", "-A FORWARD -j GUESTS", "-A GUESTS -j RETURN"] {
        run(&["iptables-nft"].into_iter().chain(words.split(' ')).collect::<Vec<_>>());
    }
    let last = rules_of(socket, "GUESTS")[0].handle;
    let mut batch = Batch::new();
    nft::begin(&mut batch);
    guest(Direction::From, Some(last)).encode(&mut batch);
    nft::end(&mut batch);
    all_ok(&socket.transact(batch).unwrap());
    nft_reads(&guest(Direction::To, Some(last)).to_string());
}

const WITH_GUESTS: [&str; 3] = [
    "-A GUESTS -i zb-blue -m comment --comment \"zubi: blue\" -j ACCEPT",
    "-A GUESTS -o zb-blue -m comment --comment \"zubi: blue\" -j ACCEPT",
    "-A GUESTS -j RETURN",
];

#[test]
fn iptables_lists_a_guest_as_one_of_its_own() {
    if !inside("iptables_lists_a_guest_as_one_of_its_own", &["iptables-nft", "-S"]) {
        return;
    }
    guests(&mut Netlink::netfilter().unwrap());
    let listed = run(&["iptables-nft", "-S", "GUESTS"]);
    assert_eq!(listed.lines().skip(1).collect::<Vec<_>>(), WITH_GUESTS);
    run(&["iptables-nft", "-L", "-v", "-n"]);
    run(&["iptables-nft", "-D", "GUESTS", "-i", "zb-blue", "-m", "comment", "--comment", "zubi: blue", "-j", "ACCEPT"]);
    assert!(!run(&["iptables-nft", "-S"]).contains("-i zb-blue"));
}

#[test]
fn a_guest_is_known_and_deleted_after_iptables_restored_it() {
    if !inside("a_guest_is_known_and_deleted_after_iptables_restored_it", &["iptables-nft", "-S"]) {
        return;
    }
    let mut socket = Netlink::netfilter().unwrap();
    guests(&mut socket);
    let before = rules_of(&mut socket, "GUESTS");
    let own = [guest(Direction::From, None), guest(Direction::To, None)];
    let saved = run(&["iptables-nft-save"]);
    let mut restore = Command::new("iptables-nft-restore").stdin(Stdio::piped()).spawn().unwrap();
    restore.stdin.take().unwrap().write_all(saved.as_bytes()).unwrap();
    assert!(restore.wait().unwrap().success(), "{saved}");
    let after = rules_of(&mut socket, "GUESTS");
    assert_ne!(before, after, "they were not written anew");
    for seen in [before, after.clone()] {
        let known: Vec<bool> = seen.iter().map(|r| own.iter().any(|g| g.is(r))).collect();
        assert_eq!(known, [true, true, false]);
    }
    let mut batch = Batch::new();
    nft::begin(&mut batch);
    after[0].at().encode_delete(&mut batch);
    nft::end(&mut batch);
    all_ok(&socket.transact(batch).unwrap());
    nft_reads(&after[1].at().to_string());
    assert_eq!(rules_of(&mut socket, "GUESTS"), after[2..]);
}

#[test]
fn foreign_chains_are_seen_and_judged() {
    use Ending::{Accepts, Drops, No};
    if !inside("foreign_chains_are_seen_and_judged", &["iptables-nft", "-S"]) {
        return;
    }
    let mut socket = Netlink::netfilter().unwrap();
    for words in [
        "-P FORWARD DROP",
        "-N GUESTS",
        "-A FORWARD -p tcp --dport 80 -j DROP",
        "-A FORWARD -m addrtype --dst-type LOCAL -j DROP",
        "-A FORWARD -m comment --comment why -j GUESTS",
        "-A FORWARD -j LOG",
        "-A FORWARD -j ACCEPT",
        "-A FORWARD -j REJECT",
        "-A FORWARD -j DROP",
    ] {
        run(&["iptables-nft"].into_iter().chain(words.split(' ')).collect::<Vec<_>>());
    }
    run(&["ip6tables-nft", "-P", "FORWARD", "ACCEPT"]);
    nft_reads("add table inet zones\nadd table bridge far\nadd table ip off { flags dormant; }");
    let chains = socket.dump("chains", &ChainSeen::dump_all, |m| ChainSeen::parse(m).into_iter().collect()).unwrap();
    let forward =
        |family| chains.iter().find(|c: &&ChainSeen| c.name == "FORWARD" && c.table.family == family).unwrap().policy;
    assert_eq!((forward(TableFamily::Ip), forward(TableFamily::Ip6)), (Some(0), Some(1)));
    let tables = socket.dump("tables", &TableSeen::dump_all, |m| TableSeen::parse(m).into_iter().collect()).unwrap();
    let mut tables: Vec<_> = tables.iter().map(|t: &TableSeen| format!("{} {}", t.table, t.dormant)).collect();
    tables.sort();
    assert_eq!(
        tables,
        [
            "table bridge far false",
            "table inet zones false",
            "table ip filter false",
            "table ip off true",
            "table ip6 filter false"
        ]
    );
    let rules = rules_of(&mut socket, "FORWARD");
    let endings: Vec<_> = rules.iter().map(RuleSeen::ends).collect();
    let jump = Ending::Jumps("GUESTS".into());
    assert_eq!(endings, [No, No, jump, No, Accepts, Drops, Drops]);
    assert_eq!(rules[2].comment().as_deref(), Some("why"));
}

/// A table of bridges with one of everything, and the rules about addresses of frames that it can have.
fn bridged() -> (Table, Chain, Set, Element, [Rule; 3]) {
    let table = Table::named(TableFamily::Bridge, "zubi");
    let hook = Hook { chain_type: "filter", point: HookPoint::Forward, priority: -200 };
    let set = Set::new(&table, "endpoints4", &[Field::IfName, Field::Ipv4], Shape::Exact);
    let key = vec![Value::Device("zv1".parse().unwrap()), Value::Address("10.55.66.2".parse().unwrap())];
    let rule = || Rule::new(&table, "forward");
    let rules = [
        rule().not_in_set(&[LoadKey::IifName, LoadKey::Ipv4Saddr], "endpoints4").counted_drop(),
        rule().from_prefix("fd00:55::/64".parse().unwrap()).accept(),
        rule().to_prefix("10.55.66.2/32".parse().unwrap()).accept().comment("whole"),
    ];
    let (chain, element) = (Chain::base(&table, "forward", hook), Element::new(&table, "endpoints4", key));
    (table, chain, set, element, rules)
}

#[test]
fn a_table_of_bridges_reads_back_as_bytes_and_as_words() {
    if !in_namespaces("a_table_of_bridges_reads_back_as_bytes_and_as_words") {
        return;
    }
    let (table, chain, set, element, rules) = bridged();
    let mut socket = Netlink::netfilter().unwrap();
    let mut batch = Batch::new();
    nft::begin(&mut batch);
    TABLE.encode(&mut batch);
    table.encode(&mut batch);
    set.encode(&mut batch, 1);
    chain.encode(&mut batch);
    for rule in &rules {
        rule.encode(&mut batch);
    }
    element.encode(&mut batch);
    nft::end(&mut batch);
    all_ok(&socket.transact(batch).unwrap());
    let read = |socket: &mut Netlink| {
        let seen =
            socket.dump("chains", &|b| ChainSeen::dump(b, table.family), |m| ChainSeen::parse(m).into_iter().collect());
        assert!(matches!(&seen.unwrap()[..], [seen] if chain.is(seen)));
        let seen = socket.dump("sets", &|b| SetSeen::dump(b, &table), |m| SetSeen::parse(m).into_iter().collect());
        assert!(matches!(&seen.unwrap()[..], [seen] if set.is(seen)));
        let seen = socket.dump("elements", &|b| ElementSeen::dump(b, &table, &set.name), ElementSeen::parse_all);
        assert_eq!(seen.unwrap(), element.raw());
        let seen =
            socket.dump("rules", &|b| RuleSeen::dump(b, &table, None), |m| RuleSeen::parse(m).into_iter().collect());
        assert_eq!(seen.unwrap().into_iter().map(|seen: RuleSeen| seen.rule).collect::<Vec<_>>(), rules);
    };
    read(&mut socket);
    let objects: Vec<&dyn Display> = vec![&table, &set, &chain, &rules[0], &rules[1], &rules[2], &element];
    let typed: Vec<String> = objects.iter().map(|object| format!("add {object}")).collect();
    nft_reads(&format!("delete {table}\n{}", typed.join("\n")));
    read(&mut socket);
    // The table of the same name in another family is another table.
    let none: Vec<SetSeen> =
        socket.dump("sets", &|b| SetSeen::dump(b, &TABLE), |m| SetSeen::parse(m).into_iter().collect()).unwrap();
    assert_eq!(none, []);
}
