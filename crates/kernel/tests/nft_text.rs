//! What the wire codec prints is what it sends: the kernel and `nft` decide.
//!
//! Each test runs again in a user and network namespace of its own. There the layout is made once from bytes and once
//! from text typed into `nft`; both are read back as bytes, and the first also as the text of `nft list`.

use std::fmt::Display;
use std::io::Write;
use std::process::{Command, Stdio};
use zubi_kernel::Netlink;
use zubi_plan::firewall::{TABLE, chains, rules, sets, table};
use zubi_wire::nft::{self, Chain, ChainSeen, Element, ElementSeen, Rule, RuleSeen, Set, SetSeen, TableSeen, Value};
use zubi_wire::{Batch, KernelError};

const INSIDE: &str = "ZUBI_NFT_TEXT_INSIDE";

/// Whether this is the run inside the namespaces. Outside, that run is started and its success asserted.
fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let probe = Command::new("unshare").args(["-rn", "nft", "list", "ruleset"]).output();
    let why = match probe {
        Ok(done) if done.status.success() => None,
        Ok(done) => Some(String::from_utf8_lossy(&done.stderr).trim().replace('\n', " ")),
        Err(e) => Some(format!("unshare: {e}")),
    };
    if let Some(why) = why {
        skip(test, &why);
        return false;
    }
    let done = Command::new("unshare")
        .arg("-rn")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(done.status.success(), "{}{}", said(&done.stdout), said(&done.stderr));
    assert!(said(&done.stdout).contains("1 passed"), "{test} did not run: {}", said(&done.stdout));
    false
}

fn skip(test: &str, why: &str) {
    eprintln!("skipped: {test}: {why}");
    if let Some(path) = std::env::var_os("ZUBI_SKIPS") {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{test}: {why}").unwrap();
    }
}

fn elements() -> Vec<Element> {
    let device = |name: &str| Value::Device(name.parse().unwrap());
    let prefix = |net: &str| Value::Prefix(net.parse().unwrap());
    let address = |a: &str| Value::Address(a.parse().unwrap());
    let element = |set: &str, key: Vec<Value>| Element { table: TABLE.into(), set: set.into(), key };
    vec![
        element("bridges", vec![device("zb-blue")]),
        // Fifteen bytes, the longest; and a word of the nft language.
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
    table().encode(&mut batch);
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
    let mut text = add(&table());
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
        .dump("rules", &|b| RuleSeen::dump(b, TABLE), |m| {
            RuleSeen::parse(m).map(|seen| seen.rule).into_iter().collect()
        })
        .unwrap()
}

/// A set made by `nft` also holds the end of nothing at the smallest address; it changes no meaning.
fn seen_elements(socket: &mut Netlink, set: &str) -> Vec<ElementSeen> {
    let mut all = socket.dump("elements", &|b| ElementSeen::dump(b, TABLE, set), ElementSeen::parse_all).unwrap();
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
    let seen = socket.dump("sets", &|b| SetSeen::dump(b, TABLE), |m| SetSeen::parse(m).into_iter().collect()).unwrap();
    assert_eq!(seen.len(), sets().len());
    for set in sets() {
        assert!(seen.iter().any(|s: &SetSeen| set.is(s)), "{set} is not in {seen:#?}");
        assert_eq!(seen_elements(socket, &set.name), raw(&set.name), "{set}");
    }
    let seen: Vec<ChainSeen> =
        socket.dump("chains", &ChainSeen::dump, |m| ChainSeen::parse(m).into_iter().collect()).unwrap();
    assert_eq!(seen.len(), chains().len());
    for chain in chains() {
        assert!(seen.iter().any(|s| chain.is(s)), "{chain} is not in {seen:#?}");
    }
    let seen = seen_rules(socket);
    for (seen, rule) in seen.iter().zip(rules()) {
        assert_eq!(*seen, rule);
        assert_eq!(seen.to_string(), rule.to_string());
    }
    assert_eq!(seen.len(), rules().len());
    let mut batch = Batch::new();
    table().encode_get(&mut batch);
    let answers = socket.transact(batch).unwrap();
    let seen = answers[0].objects.iter().find_map(|o| TableSeen::parse(&o.message())).unwrap();
    assert_eq!((seen.name.as_str(), seen.objects as usize, seen.owner), (TABLE, sets().len() + chains().len(), None));
}

/// Words alone: `nft list` breaks lines where we write semicolons, and quotes are a matter of taste.
fn words(text: &str) -> String {
    text.replace(['"', ';'], " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Numeric priorities and no counts, as we print them.
fn listed() -> String {
    let done = Command::new("nft").args(["-y", "-s", "list", "table", "inet", TABLE]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// The lines of `set NAME { ... }` or `chain NAME { ... }`.
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
    let block = words(&block(listing, &format!("set {}", set.name)).join(" "));
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
    assert_eq!(lines[0], within_braces(&chain.to_string()));
    let prefix = format!("rule inet {TABLE} {} ", chain.name);
    let ours: Vec<_> = rules()
        .iter()
        .filter(|r| r.chain == chain.name)
        .map(|r| words(r.to_string().strip_prefix(&prefix).unwrap()))
        .collect();
    assert_eq!(lines[1..], ours);
}

#[test]
fn nft_lists_what_was_sent_in_the_words_we_print() {
    if !inside("nft_lists_what_was_sent_in_the_words_we_print") {
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
    if !inside("what_was_sent_reads_back_equal") {
        return;
    }
    let mut socket = Netlink::netfilter().unwrap();
    write_as_bytes(&mut socket);
    reads_back(&mut socket, raw_elements);
}

#[test]
fn the_printed_words_typed_into_nft_read_back_equal() {
    if !inside("the_printed_words_typed_into_nft_read_back_equal") {
        return;
    }
    let mut socket = Netlink::netfilter().unwrap();
    write_as_text();
    reads_back(&mut socket, raw_elements);
}

#[test]
fn elements_are_deleted_as_they_were_made() {
    if !inside("elements_are_deleted_as_they_were_made") {
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
        table().encode_delete(&mut batch);
        nft::end(&mut batch);
        all_ok(&socket.transact(batch).unwrap());
    }
}

#[test]
fn strangers_rules_print_as_nft_would_list_them() {
    if !inside("strangers_rules_print_as_nft_would_list_them") {
        return;
    }
    let mut socket = Netlink::netfilter().unwrap();
    let typed = [
        "ct state != established,related drop",
        "ct state ! established,related drop",
        "ct state new counter",
        "meta nfproto ipv4 accept",
        "meta nfproto != ipv6 accept",
        "meta nfproto ipv6 iifname \"zb-blue\" ip6 saddr fd00::1 return",
        "iifname \"zb-*\" drop",
        "oifname != \"zb-blue\" ip daddr 10.1.0.1 counter accept",
        "ip daddr != 10.1.0.1 accept",
        "ip saddr 10.1.128.0/17 accept",
        "ip6 saddr fd00:1:0:8000::/49 accept",
        "ip daddr & 255.0.255.0 == 10.0.1.0 accept",
    ];
    let mut text = format!("add {}\nadd {}\n", table(), chains()[0]);
    text.extend(typed.iter().map(|t| format!("add rule inet {TABLE} guard {t}\n")));
    nft_reads(&text);
    let prefix = format!("rule inet {TABLE} guard ");
    let printed: Vec<String> =
        seen_rules(&mut socket).iter().map(|r| r.to_string().strip_prefix(&prefix).unwrap().to_owned()).collect();
    assert_eq!(printed, typed);
}
