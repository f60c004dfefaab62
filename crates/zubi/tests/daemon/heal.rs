//! What other programs break is put right again, and what was forbidden stays forbidden.

use std::time::{Duration, Instant};
use zubi_lab::{Host, Outside, ZubiDaemon, assert_isolated, assert_reaches};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const DAEMON: &str = env!("CARGO_BIN_EXE_zubi-daemon");

/// The goal is a second; a busy machine takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

fn host() -> Host {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24 --subnet fd00:55::/64");
    host.network("back --subnet 10.77.0.0/24 --internal");
    host.container("c1", "blue");
    host.container("c2", "blue");
    host.container("b1", "back");
    host.settle();
    host
}

/// What the part tells about itself.
fn told(host: &Host) -> String {
    let status = host.zubi("--json status").ok().json();
    let mut parts = status["parts"].as_array().expect("a list").iter();
    let heal = parts.find(|part| part["part"] == "heal").expect("the part");
    heal["detail"].as_str().expect("a text").to_owned()
}

/// Waits until `check` finds nothing.
#[track_caller]
fn is_mended(host: &Host, harm: &str) {
    let since = Instant::now();
    loop {
        let check = host.zubi("check");
        if check.code == 0 {
            return;
        }
        assert!(since.elapsed() < PATIENCE, "{harm}: {}{}\n{}", check.out, check.err, ZubiDaemon::log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

const HARMS: [(&str, &str); 20] = [
    ("a flushed ruleset", "nft flush ruleset"),
    ("a deleted table", "nft delete table inet zubi"),
    ("a flushed chain", "nft flush chain inet zubi forward"),
    ("a deleted element", "nft delete element inet zubi endpoints4 '{ \"zb-blue\" . 10.55.66.2 }'"),
    ("a bridge that is down", "ip link set zb-blue down"),
    ("a bridge without its address", "ip addr del 10.55.66.1/24 dev zb-blue"),
    ("a bridge without its IPv6 address", "ip addr del fd00:55::1/64 dev zb-blue"),
    ("a deleted bridge", "ip link del zb-blue"),
    (
        "a port that left its bridge",
        "ip link set $(ip -o link show master zb-blue | head -1 | sed 's/.*: \\(zv[^@]*\\)@.*/\\1/') nomaster",
    ),
    (
        "a port that is down",
        "ip link set $(ip -o link show master zb-blue | head -1 | sed 's/.*: \\(zv[^@]*\\)@.*/\\1/') down",
    ),
    ("a deleted port", "ip link del $(ip -o link show master zb-blue | head -1 | sed 's/.*: \\(zv[^@]*\\)@.*/\\1/')"),
    ("an inner end that is down", "ip -n c1 link set eth0 down"),
    ("an inner address that is gone", "ip -n c1 addr del 10.55.66.2/24 dev eth0"),
    ("a default route that is gone", "ip -n c1 route del default"),
    ("a route that is gone", "ip route del 10.55.66.0/24 dev zb-blue"),
    ("forwarding that is off", "sysctl -qw net.ipv4.ip_forward=0"),
    ("forwarding that is off on a bridge", "sysctl -qw net.ipv4.conf.zb-blue.forwarding=0"),
    ("filters that are gone", "tc qdisc del dev zb-blue clsact"),
    ("flushed iptables", "iptables -F; iptables -t nat -F; iptables -X"),
    ("the ruleset of nftables.service", "printf 'flush ruleset\ntable inet filter {}\n' | nft -f -"),
];

fn what_others_break_is_put_right() {
    let host = host();
    let _outside = Outside::new();
    let _daemon = ZubiDaemon::start(&host, DAEMON);
    for (harm, line) in HARMS {
        host.shell(line).ok();
        is_mended(&host, harm);
        assert_reaches("c1", "c2", "10.55.66.3");
        assert_reaches("c1", "c2", "fd00:55::3");
        assert_reaches("c1", "outside", Outside::V4);
        assert_isolated("b1", "outside", Outside::V4);
    }
    assert!(told(&host).contains("repairs"));
}

fn a_setting_that_changes_without_a_word_is_put_right() {
    let host = host();
    host.zubi("port add blue c1 127.0.0.1:8080:80").ok();
    let _daemon = ZubiDaemon::start(&host, DAEMON);
    // A port that was published later is looked at as well.
    host.network("dark --subnet 10.66.0.0/24");
    host.container("d1", "dark");
    host.zubi("port add dark d1 127.0.0.1:8081:80").ok();
    for bridge in ["zb-blue", "zb-dark", "zb-blue"] {
        host.shell(&format!("sysctl -qw net.ipv4.conf.{bridge}.route_localnet=0")).ok();
        let since = Instant::now();
        host.wait_for(&format!("sysctl -n net.ipv4.conf.{bridge}.route_localnet | grep -q 1"));
        // The next look at everything comes later.
        assert!(since.elapsed() < PATIENCE, "{bridge}");
    }
    is_mended(&host, "route_localnet");
}

fn each_repair_is_told_with_its_object() {
    let host = host();
    let _daemon = ZubiDaemon::start(&host, DAEMON);
    host.shell("ip addr del 10.55.66.1/24 dev zb-blue").ok();
    ZubiDaemon::says("network blue: ip addr add 10.55.66.1/24 dev zb-blue");
    host.shell("nft flush ruleset").ok();
    ZubiDaemon::says("table inet zubi: put back");
}

fn what_is_in_order_and_what_belongs_to_others_is_left_alone() {
    let host = host();
    host.shell("nft add table inet other; nft add chain inet other c").ok();
    let _daemon = ZubiDaemon::start(&host, DAEMON);
    let repairs = || told(&host);
    host.wait_for(&format!("{ZUBI} status | grep -q '0 repairs'"));
    // Commands at work, and other programs' devices and rules.
    for name in ["x1", "x2"] {
        host.container(name, "blue");
    }
    host.shell("for i in $(seq 1 50); do ip link add f$i type veth peer name g$i; ip link del f$i; done").ok();
    host.shell("nft delete table inet other; ip addr add 10.9.9.9/32 dev lo; ip addr del 10.9.9.9/32 dev lo").ok();
    host.zubi("disconnect blue x1").ok();
    host.zubi("sandbox rm x2").ok();
    host.zubi("network rm back --force").ok();
    host.settle();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(repairs(), "0 repairs so far", "{}", ZubiDaemon::log());
    host.zubi("check").ok();
}

fn a_ruleset_that_is_flushed_again_and_again_comes_back_each_time() {
    let host = host();
    let _outside = Outside::new();
    let _daemon = ZubiDaemon::start(&host, DAEMON);
    for _ in 0..30 {
        host.shell("nft flush ruleset").ok();
        host.wait_for("nft list table inet zubi");
    }
    is_mended(&host, "thirty flushes");
    assert_reaches("c1", "outside", Outside::V4);
    assert_isolated("b1", "outside", Outside::V4);
}

zubi_lab::tests!(
    what_others_break_is_put_right,
    a_setting_that_changes_without_a_word_is_put_right,
    each_repair_is_told_with_its_object,
    what_is_in_order_and_what_belongs_to_others_is_left_alone,
    a_ruleset_that_is_flushed_again_and_again_comes_back_each_time
);
