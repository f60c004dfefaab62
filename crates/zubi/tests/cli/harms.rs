//! Changes by other programs next to zubi's objects: `check` names them, and `repair` or the command it names reverts
//! them.

use crate::blue::{BOTH, ZUBI, blue_with};
use zubi_lab::{Host, Outside, assert_reaches};

/// A network of both families without an MTU of its own, two containers, one with a published port.
fn blue() -> Host {
    let host = blue_with(BOTH);
    host.container("c1", "blue");
    host.zubi("sandbox add c2").ok();
    host.zubi("connect blue c2 --publish 8080:80").ok();
    host.zubi("check").ok();
    host
}

fn port_of(host: &Host, name: &str) -> String {
    let all = host.zubi("--json ls").ok().json();
    let of_name = all.as_array().expect("list").iter().find(|e| e["sandbox"] == name);
    of_name.expect("endpoint")["host_device"].as_str().expect("name").to_owned()
}

fn harmed(host: &Host, harm: &str, found: &str) {
    let harm = harm.replace("PORT1", &port_of(host, "c1")).replace("PORT2", &port_of(host, "c2"));
    host.shell(&harm).ok();
    let answer = host.zubi("check").fails(1, "");
    assert!(answer.out.contains(found), "after {harm}, check does not say {found:?} but: {}", answer.out);
}

/// A change that `repair` reverts.
fn repaired(host: &Host, harm: &str, found: &str) {
    harmed(host, harm, found);
    host.zubi("repair").ok();
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n", "after {harm}");
    assert_reaches("c2", "c1", "10.55.66.2");
    assert_reaches("c2", "c1", "fd00:55::2");
    assert_reaches("host", "c1", "10.55.66.2");
}

/// A change that `repair` leaves alone, since the object is not zubi's: the command that `check` names reverts it.
fn advised(host: &Host, harm: &str, found: &str, fix: &str) {
    harmed(host, harm, found);
    let said = host.zubi("check").fails(1, "").out;
    assert!(said.contains(fix), "after {harm}, check does not name {fix:?} but: {said}");
    host.shell(fix).ok();
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n", "after {fix}");
}

fn deleted_connected_routes_are_found_and_repaired() {
    let host = blue();
    repaired(&host, "ip route del 10.55.66.0/24", "network blue: missing: ip route add 10.55.66.0/24 dev zb-blue");
    repaired(&host, "ip -6 route del fd00:55::/64", "network blue: missing: ip -6 route add fd00:55::/64 dev zb-blue");
    repaired(&host, "ip -n c1 route del 10.55.66.0/24", "missing: ip -n c1 route add 10.55.66.0/24 dev eth0");
    repaired(&host, "ip -n c1 -6 route del fd00:55::/64", "missing: ip -n c1 -6 route add fd00:55::/64 dev eth0");
}

fn changed_port_flags_are_found_and_repaired() {
    let host = blue();
    for flag in ["isolated on", "hairpin on", "learning off", "flood off"] {
        let harm = format!("bridge link set dev PORT1 {flag}");
        repaired(&host, &harm, flag.split_once(' ').expect("two words").0);
    }
    repaired(&host, "bridge link set dev PORT2 hairpin off", "hairpin");
}

fn a_changed_mtu_of_a_network_without_a_wish_is_found_and_repaired() {
    let host = blue();
    repaired(&host, "ip link set PORT1 mtu 1300", "MTU is 1300");
    repaired(&host, "ip -n c1 link set eth0 mtu 1300", "MTU of eth0 inside is 1300");
}

fn forwarding_of_the_bridge_is_found_and_repaired() {
    let host = blue();
    repaired(&host, "sysctl -qw net.ipv4.conf.zb-blue.forwarding=0", "net.ipv4.conf.zb-blue.forwarding=1");
}

fn a_changed_mac_and_group_of_the_bridge_are_found_and_repaired() {
    let host = blue();
    repaired(&host, "ip link set zb-blue address 02:99:99:99:99:99", "zb-blue");
    repaired(&host, "ip link set zb-blue group default", "zb-blue");
}

fn a_dormant_table_is_found_and_repaired() {
    let host = blue();
    repaired(&host, "nft add table inet zubi '{ flags dormant; }'", "firewall table inet zubi");
}

fn chains_of_others_in_our_table_are_named() {
    let host = blue();
    advised(
        &host,
        "nft add chain inet zubi mine '{ type filter hook forward priority 300; policy drop; }'",
        "chain mine in it belongs to another program",
        "nft delete chain inet zubi mine",
    );
}

fn what_was_added_to_the_bridge_is_named() {
    let host = blue();
    advised(
        &host,
        "ip addr add 10.9.9.9/24 dev zb-blue",
        "zb-blue has the address 10.9.9.9/24",
        "ip addr del 10.9.9.9/24 dev zb-blue",
    );
    advised(
        &host,
        "ip link add strange type veth peer name stranger && ip link set strange master zb-blue",
        "strange is a port of zb-blue, and no endpoint's",
        "ip link set strange nomaster",
    );
}

fn other_ways_into_a_subnet_are_named() {
    let host = blue();
    let _outside = Outside::new();
    let device = host.shell("ip -o route show default | sed 's/.* dev \\([^ ]*\\).*/\\1/'").ok().out;
    let device = device.trim();
    for (add, to) in [("ip route", "10.55.66.128/25"), ("ip -6 route", "fd00:55:0:0:8000::/65")] {
        let harm = format!("{add} add {to} dev {device} table 77");
        advised(&host, &harm, "of its subnet leave by", &format!("{add} del {to} dev {device} table 77"));
    }
    // As another engine's bridge with the same subnet has it.
    let harm = format!("ip route add 10.55.66.0/24 dev {device} metric 9");
    advised(&host, &harm, "of its subnet leave by", &format!("ip route del 10.55.66.0/24 dev {device} table 254"));
}

fn an_uplink_that_passes_nothing_on_is_named() {
    let host = blue();
    let _outside = Outside::new();
    let device = host.shell("ip -o route show default | sed 's/.* dev \\([^ ]*\\).*/\\1/'").ok().out;
    let key = format!("net/ipv4/conf/{}/forwarding", device.trim());
    advised(&host, &format!("sysctl -qw {key}=0"), "passes no IPv4 packets on", &format!("sysctl -w {key}=1"));
}

fn a_published_address_that_left_the_host_is_named() {
    let host = blue();
    host.zubi("sandbox add c3").ok();
    host.shell("ip addr add 10.9.9.9/32 dev lo").ok();
    host.zubi("connect blue c3 --publish 10.9.9.9:9090:90").ok();
    host.zubi("check").ok();
    harmed(
        &host,
        "ip addr del 10.9.9.9/32 dev lo",
        "port 10.9.9.9:9090:90/tcp is published at 10.9.9.9, which is no address of this host now",
    );
    host.zubi("port rm blue c3 10.9.9.9:9090:90/tcp").ok();
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
}

fn a_foreign_table_of_our_name_is_left_as_it_is() {
    let host = Host::new(ZUBI);
    host.shell("nft add table inet zubi && nft add chain inet zubi theirs").ok();
    let before = host.shell("nft list ruleset").ok().out;
    let answer = host.zubi("network create blue --subnet 10.55.66.0/24");
    assert_ne!(answer.code, 0, "{}", answer.err);
    assert!(answer.err.contains("inet zubi"), "{}", answer.err);
    assert_eq!(host.shell("nft list ruleset").ok().out, before);
    assert_eq!(host.zubi("--json network ls").ok().json().as_array().map(Vec::len), Some(0));
}

/// Whoever plugged the uplink in moved the host's address onto the bridge.
fn a_network_is_not_removed_with_an_address_of_the_host() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.network("green");
    host.shell("ip addr add 192.0.2.7/24 dev zb-blue").ok();
    for words in ["network rm blue", "network rm green blue", "--dry-run network rm blue"] {
        host.zubi(words)
            .fails(4, "zb-blue has the address 192.0.2.7/24, which is not the network's and would go with it");
    }
    assert_eq!(host.zubi("network prune").ok().out, "green: removed\n");
    assert!(host.shell("ip addr show zb-blue").ok().out.contains("192.0.2.7/24"));
    host.shell("ip addr del 192.0.2.7/24 dev zb-blue").ok();
    host.zubi("network rm blue").ok();
}

zubi_lab::tests!(
    a_network_is_not_removed_with_an_address_of_the_host,
    deleted_connected_routes_are_found_and_repaired,
    changed_port_flags_are_found_and_repaired,
    a_changed_mtu_of_a_network_without_a_wish_is_found_and_repaired,
    forwarding_of_the_bridge_is_found_and_repaired,
    a_changed_mac_and_group_of_the_bridge_are_found_and_repaired,
    a_dormant_table_is_found_and_repaired,
    chains_of_others_in_our_table_are_named,
    what_was_added_to_the_bridge_is_named,
    other_ways_into_a_subnet_are_named,
    an_uplink_that_passes_nothing_on_is_named,
    a_published_address_that_left_the_host_is_named,
    a_foreign_table_of_our_name_is_left_as_it_is,
);
