//! How many kernel requests a command makes, and that the number does not grow with what else exists.

use super::strace::{Effect, Process, Target, Trace, trace};
use std::fmt::Write as _;
use zubi_lab::{Capability, Host, Outside, need};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

/// Whether the test can run; records a skip if not.
fn traceable(test: &str) -> bool {
    need(&[Capability::Strace], test)
}

fn host() -> (Host, Outside) {
    let outside = Outside::new();
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.0.0/16 --subnet fd00:55::/64");
    (host, outside)
}

/// Sandboxes `c1` to `cN` on the network.
fn populate(host: &Host, numbers: std::ops::RangeInclusive<u32>) {
    for number in numbers {
        host.container(&format!("c{number}"), "blue");
    }
}

/// The first use of each folder makes it.
fn warm_up(host: &Host) {
    host.container("probe", "blue");
    host.zubi("disconnect blue probe").ok();
    host.zubi("sandbox rm probe").ok();
    host.settle();
}

/// Everything that could grow: each send, the number of files, and the count of each system call.
fn work(process: &Process) -> String {
    let mut sends = process.sends();
    // A command may have to ask several times whether the carrier is noticed (before Linux 6.9), and whether an IPv6
    // address has its route.
    sends.dedup_by(|a, b| a == b && (a.ends_with(": GETLINK") || a.ends_with("GETROUTE dump")));
    let mut text = format!("{}\nfiles: {}\n", sends.join("\n"), process.opened().len());
    // Output is written line by line: compare the lines, not only their number.
    for call in process.calls.iter().filter(|c| c.name == "write") {
        let line = String::from_utf8_lossy(&call.data).into_owned();
        if line.starts_with("+ ") {
            let command: String = line.chars().filter(|c| !c.is_ascii_hexdigit()).collect();
            writeln!(text, "told {}", command.trim_end()).expect("text");
        }
    }
    for (name, times) in process.calls_by_name() {
        // Memory is the allocator's business; the repeated questions above cause the calls in the second line.
        let varies = ["brk", "mmap", "munmap", "mremap"].contains(&name.as_str())
            || ["sendto", "recvfrom", "clock_nanosleep"].contains(&name.as_str());
        if !varies {
            writeln!(text, "{name}: {times}").expect("text");
        }
    }
    text
}

/// Fails the test with the lines that differ.
#[track_caller]
fn assert_same(before: &str, after: &str) {
    let only = |a: &str, b: &str| a.lines().filter(|l| !b.lines().any(|o| o == *l)).collect::<Vec<_>>().join("\n");
    assert!(before == after, "before:\n{}\nafter:\n{}\nall:\n{after}", only(before, after), only(after, before));
}

fn connect(host: &Host, name: &str) -> Trace {
    host.zubi(&format!("sandbox add {name}")).ok();
    trace(host, &format!("connect blue {name}"))
}

fn connect_and_disconnect_work_the_same_with_1_and_20_and_60_endpoints() {
    if !traceable("connect_and_disconnect_work_the_same_with_1_and_20_and_60_endpoints") {
        return;
    }
    let (host, _outside) = host();
    warm_up(&host);
    let mut seen = Vec::new();
    for (from, to) in [(1, 1), (2, 20), (21, 60)] {
        populate(&host, from..=to);
        host.settle();
        let connected = work(&connect(&host, "probe").main);
        let disconnected = work(&trace(&host, "disconnect blue probe").main);
        host.settle();
        host.zubi("sandbox rm probe").ok();
        host.settle();
        seen.push(connected + "disconnect:\n" + &disconnected);
    }
    assert_same(&seen[0], &seen[1]);
    assert_same(&seen[1], &seen[2]);
}

fn foreign_firewall_rules_make_no_work() {
    if !traceable("foreign_firewall_rules_make_no_work") {
        return;
    }
    let (host, _outside) = host();
    populate(&host, 1..=1);
    warm_up(&host);
    let both = || {
        let connected = work(&connect(&host, "probe").main);
        let disconnected = work(&trace(&host, "disconnect blue probe").main);
        host.settle();
        host.zubi("sandbox rm probe").ok();
        host.settle();
        connected + "disconnect:\n" + &disconnected
    };
    let before = both();
    foreign_rules(&host, "table ip foreign { chain c {");
    // The first command after a change reads the ruleset.
    warm_up(&host);
    assert_same(&before, &both());
}

/// A chain with 500 rules.
fn foreign_rules(host: &Host, chain: &str) {
    let rules =
        (0..500).fold(format!("{chain}\n"), |all, n| all + &format!("ip saddr 192.168.{}.{} drop\n", n / 250, n % 250));
    std::fs::write("/run/foreign", rules + "}\n}\n").expect("rules");
    host.shell("nft -f /run/foreign").ok();
}

fn connect_looks_at_a_changed_ruleset_once_and_reads_no_rules_that_do_not_matter() {
    if !traceable("connect_looks_at_a_changed_ruleset_once_and_reads_no_rules_that_do_not_matter") {
        return;
    }
    let (host, _outside) = host();
    warm_up(&host);
    let looking = |host: &Host, name: &str| -> Vec<String> {
        let all = connect(host, name).main.sends();
        // Each connect also asks for its addresses.
        all.into_iter().filter(|s| s.starts_with("nft: GET") && !s.contains("GETSETELEM")).collect()
    };
    foreign_rules(&host, "table ip foreign { chain c {");
    let ours = format!("nft: GETTABLE{}", " GETCHAIN".repeat(9));
    let tables_and_chains = ["nft: GETGEN", "nft: GETGEN", "nft: GETTABLE dump", "nft: GETCHAIN dump"];
    assert_eq!(looking(&host, "a1"), [&tables_and_chains[..], &["nft: GETGEN", &ours]].concat());
    assert_eq!(looking(&host, "a2"), ["nft: GETGEN"]);
    // Only chains in the forward and input hooks have to be read.
    foreign_rules(&host, "table ip filter { chain OUTPUT { type filter hook output priority 0;");
    foreign_rules(&host, "table ip filter { chain FORWARD { type filter hook forward priority 0;");
    assert_eq!(looking(&host, "a3"), [&tables_and_chains[..], &["nft: GETRULE dump", "nft: GETGEN", &ours]].concat());
    assert_eq!(looking(&host, "a4"), ["nft: GETGEN"]);
}

fn connect_sends_one_batch_of_elements_one_pair_and_one_inside() {
    if !traceable("connect_sends_one_batch_of_elements_one_pair_and_one_inside") {
        return;
    }
    let (host, _outside) = host();
    let connect = connect(&host, "c1");
    let changes: Vec<String> = connect.main.sends().into_iter().filter(|s| !s.contains("GET")).collect();
    assert_eq!(
        changes,
        [
            "nft: NEWSETELEM NEWSETELEM",
            "host: NEWLINK",
            "inside: NEWADDR NEWADDR NEWLINK NEWROUTE NEWROUTE",
            "host: NEWLINK NEWLINK",
            "inside: NEWLINK",
        ]
    );
}

fn connect_asks_six_questions_before_it_changes_anything() {
    if !traceable("connect_asks_six_questions_before_it_changes_anything") {
        return;
    }
    let (host, _outside) = host();
    let sends = connect(&host, "c1").main.sends();
    let questions: Vec<&str> = sends.iter().map(String::as_str).take_while(|s| s.contains("GET")).collect();
    // Whether the ruleset has changed; the bridge; loopback and the inner end's name; the provider of the default route
    // in each family; whether an endpoint without a record has the addresses.
    let expected = [
        "nft: GETGEN",
        "host: GETLINK",
        "inside: GETLINK GETLINK",
        "inside: GETROUTE dump",
        "inside: GETROUTE dump",
        "nft: GETSETELEM GETSETELEM",
    ];
    assert_eq!(questions, expected);
}

fn connect_waits_for_the_carrier_once() {
    if !traceable("connect_waits_for_the_carrier_once") {
        return;
    }
    let (host, _outside) = host();
    let mut sends = connect(&host, "c1").main.sends();
    sends.dedup();
    let plugged = sends.iter().rposition(|s| s == "host: NEWLINK").expect("plugged in");
    let waits = sends[plugged..].iter().filter(|s| *s == "inside: GETLINK").count();
    assert_eq!(waits, 1, "{sends:?}");
}

fn connect_and_disconnect_do_not_ask_for_all_links() {
    if !traceable("connect_and_disconnect_do_not_ask_for_all_links") {
        return;
    }
    let (host, _outside) = host();
    let connected = connect(&host, "c1");
    let disconnected = trace(&host, "disconnect blue c1");
    for trace in [connected, disconnected] {
        assert!(!trace.kinds().contains("GETLINK dump"), "{:?}", trace.main.sends());
    }
}

fn disconnect_leaves_the_deletion_to_a_child() {
    if !traceable("disconnect_leaves_the_deletion_to_a_child") {
        return;
    }
    let (host, _outside) = host();
    populate(&host, 1..=1);
    let trace = trace(&host, "disconnect blue c1");
    let deletes = |p: &Process| p.sends().iter().any(|s| s.contains("DELLINK"));
    assert!(!deletes(&trace.main), "{:?}", trace.main.sends());
    assert!(trace.children.iter().any(deletes), "{:?}", trace.children.iter().map(Process::sends).collect::<Vec<_>>());
}

fn the_child_that_deletes_holds_nothing_of_the_caller() {
    if !traceable("the_child_that_deletes_holds_nothing_of_the_caller") {
        return;
    }
    let (host, _outside) = host();
    populate(&host, 1..=1);
    let trace = trace(&host, "disconnect blue c1");
    let child = trace.children.first().expect("a child");
    assert!(!child.held.values().any(|t| *t == Target::Caller), "{:?}", child.held);
}

fn the_child_that_deletes_is_the_last_to_hold_the_firewalls_socket() {
    if !traceable("the_child_that_deletes_is_the_last_to_hold_the_firewalls_socket") {
        return;
    }
    let (host, _outside) = host();
    populate(&host, 1..=1);
    let trace = trace(&host, "disconnect blue c1");
    let child = trace.children.first().expect("a child");
    assert!(child.held.values().any(|t| *t == Target::Netfilter), "{:?}", child.held);
    let at = |wanted: &dyn Fn(&Effect) -> bool| trace.main.effects.iter().position(wanted);
    let fork = at(&|e| matches!(e, Effect::Fork)).expect("a fork");
    let close = at(&|e| matches!(e, Effect::Close(Target::Netfilter)));
    assert!(close.is_none_or(|close| close > fork), "closed before the fork");
}

fn disconnect_sends_one_batch_of_elements_and_one_message_that_unplugs() {
    if !traceable("disconnect_sends_one_batch_of_elements_and_one_message_that_unplugs") {
        return;
    }
    let (host, _outside) = host();
    populate(&host, 1..=1);
    let trace = trace(&host, "disconnect blue c1");
    let changes: Vec<String> = trace.main.sends().into_iter().filter(|s| !s.contains("GET")).collect();
    let destroys = ["nft: DESTROYSETELEM DESTROYSETELEM", "nft: DELSETELEM DELSETELEM"];
    assert!(destroys.contains(&changes[0].as_str()), "{changes:?}");
    assert_eq!(changes[1..], ["host: NEWLINK", "inside: NEWLINK NEWLINK"]);
}

zubi_lab::tests!(
    connect_and_disconnect_work_the_same_with_1_and_20_and_60_endpoints,
    foreign_firewall_rules_make_no_work,
    connect_sends_one_batch_of_elements_one_pair_and_one_inside,
    connect_asks_six_questions_before_it_changes_anything,
    connect_looks_at_a_changed_ruleset_once_and_reads_no_rules_that_do_not_matter,
    connect_waits_for_the_carrier_once,
    connect_and_disconnect_do_not_ask_for_all_links,
    disconnect_leaves_the_deletion_to_a_child,
    the_child_that_deletes_holds_nothing_of_the_caller,
    the_child_that_deletes_is_the_last_to_hold_the_firewalls_socket,
    disconnect_sends_one_batch_of_elements_and_one_message_that_unplugs,
);
