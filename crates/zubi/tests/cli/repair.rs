//! What other programs break, `check` reports and `repair` restores.

use crate::blue::{BOTH, ZUBI, blue};
use zubi_lab::{Host, Outside, Snapshot, assert_isolated, assert_reaches};

/// A change that `check` must report with these words and `repair` must revert.
fn repaired(harm: &str, found: &str) {
    let host = blue();
    let _outside = Outside::new();
    let c1 = host.container("c1", "blue");
    host.container("c2", "blue");
    host.zubi("check").ok();
    host.shell(&harm.replace("PORT", &port(&host))).ok();
    let answer = host.zubi("check").fails(1, "");
    assert!(answer.out.contains(found), "check does not say {found:?} but: {}", answer.out);
    host.zubi("repair").ok();
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
    assert_reaches("c2", "c1", &c1);
    assert_reaches("c2", "c1", "fd00:55::2");
    assert_reaches("host", "c1", &c1);
    assert_reaches("c1", "outside", Outside::V4);
    assert_reaches("c1", "outside", Outside::V6);
    host.shell("ip -n outside route add 10.55.66.0/24 via 192.0.2.1").ok();
    assert_isolated("outside", "c1", &c1);
}

/// The host end of the first endpoint.
fn port(host: &Host) -> String {
    let all = host.zubi("--json ls").ok().json();
    all[0]["host_device"].as_str().expect("name").to_owned()
}

fn a_deleted_bridge_is_found_and_repaired() {
    repaired("ip link del zb-blue", "network blue: missing: ip link add");
}

fn a_deleted_host_end_is_found_and_repaired() {
    repaired("ip link del PORT", "endpoint of c1 on network blue: missing: ip link add");
}

fn a_deleted_inner_address_is_found_and_repaired() {
    repaired("ip -n c1 addr del 10.55.66.2/24 dev eth0", "missing: ip -n c1 addr add 10.55.66.2/24");
}

fn a_deleted_inner_ipv6_address_is_found_and_repaired() {
    repaired("ip -n c1 addr del fd00:55::2/64 dev eth0", "missing: ip -n c1 addr add fd00:55::2/64");
}

fn a_deleted_gateway_address_is_found_and_repaired() {
    repaired("ip addr del 10.55.66.1/24 dev zb-blue", "network blue: missing: ip addr add 10.55.66.1/24");
}

fn a_deleted_default_route_is_found_and_repaired() {
    repaired("ip -n c1 route del default", "missing: ip -n c1 route add default via 10.55.66.1");
}

fn a_port_that_left_the_bridge_is_found_and_repaired() {
    repaired("ip link set PORT nomaster", "is not a port of zb-blue");
}

fn a_port_on_another_bridge_is_found_and_repaired() {
    repaired("ip link add br9 type bridge && ip link set PORT master br9", "is a port of another bridge than zb-blue");
}

fn a_bridge_that_is_down_is_found_and_repaired() {
    repaired("ip link set zb-blue down", "ip link set zb-blue up");
}

fn a_host_end_that_is_down_is_found_and_repaired() {
    repaired("ip link set PORT down", "up");
}

fn an_inner_end_that_is_down_is_found_and_repaired() {
    repaired("ip -n c1 link set eth0 down", "ip -n c1 link set eth0 up");
}

fn an_inner_loopback_that_is_down_is_found_and_repaired() {
    repaired("ip -n c1 link set lo down", "ip -n c1 link set lo up");
}

fn a_renamed_inner_device_is_found_and_repaired() {
    repaired(
        "ip -n c1 link set eth0 down && ip -n c1 link set eth0 name other && ip -n c1 link set other up",
        "its inner end eth0 is renamed",
    );
}

fn forwarding_switched_off_is_found_and_repaired() {
    repaired("sysctl -qw net.ipv4.ip_forward=0", "net.ipv4.ip_forward=1");
}

fn ipv6_switched_off_inside_is_found_and_repaired() {
    repaired("ip netns exec c1 sysctl -qw net.ipv6.conf.eth0.accept_ra=1", "accept_ra");
}

fn ipv6_switched_off_on_the_bridge_is_found_and_repaired() {
    repaired("sysctl -qw net.ipv6.conf.zb-blue.disable_ipv6=1", "disable_ipv6");
}

fn router_advertisements_switched_on_are_found_and_repaired() {
    repaired("ip netns exec c1 sysctl -qw net.ipv6.conf.eth0.accept_ra=2", "accept_ra");
}

fn a_flushed_ruleset_is_found_and_repaired() {
    repaired("nft flush ruleset", "firewall table inet zubi: is gone");
}

fn a_flushed_table_is_found_and_repaired() {
    repaired("nft flush table inet zubi", "firewall table inet zubi: chain guard has 0 rules");
}

fn a_deleted_rule_is_found_and_repaired() {
    repaired(
        "nft delete rule inet zubi forward handle $(nft -a list chain inet zubi forward | grep 'nothing else' | sed 's/.*handle //')",
        "firewall table inet zubi: chain forward",
    );
}

fn an_added_rule_is_found_and_repaired() {
    repaired("nft insert rule inet zubi guard accept", "firewall table inet zubi: chain guard");
}

fn a_deleted_endpoint_element_is_found_and_repaired() {
    repaired(
        "nft delete element inet zubi endpoints4 '{ \"zb-blue\" . 10.55.66.2 }'",
        "endpoint of c1 on network blue: missing",
    );
}

fn a_deleted_network_element_is_found_and_repaired() {
    repaired("nft delete element inet zubi masquerade4 '{ 10.55.66.0/24 }'", "network blue: missing");
}

fn a_deleted_chain_is_found_and_repaired() {
    repaired("nft delete chain inet zubi guard", "1 of its chains");
}

fn a_changed_mac_inside_is_found_and_repaired() {
    repaired(
        "ip -n c1 link set eth0 down && ip -n c1 link set eth0 address 02:99:99:99:99:99 && ip -n c1 link set eth0 up",
        "has MAC 02:99:99:99:99:99; wanted: 02:42:0a:37:42:02",
    );
}

fn an_isolated_port_that_was_opened_is_found_and_repaired() {
    let host = Host::new(ZUBI);
    host.network(&format!("blue {BOTH} --no-icc"));
    host.container("c1", "blue");
    let c2 = host.container("c2", "blue");
    host.shell(&format!("bridge link set dev {} isolated off", port(&host))).ok();
    assert!(host.zubi("check").fails(1, "").out.contains("isolated is off"));
    host.zubi("repair").ok();
    host.zubi("check").ok();
    assert_isolated("c1", "c2", &c2);
}

fn repair_of_what_is_right_does_nothing() {
    let host = blue();
    host.container("c1", "blue");
    let before = Snapshot::take();
    assert_eq!(host.zubi("repair").ok().out, "nothing to repair\n");
    before.assert_no_residue(&Snapshot::take());
}

fn strays_with_our_mark_are_found_and_collected() {
    let host = blue();
    host.container("c1", "blue");
    let group = host.shell(&format!("ip -o link show {} | sed 's/.*group \\([^ ]*\\).*/\\1/'", port(&host))).ok().out;
    host.shell(&format!("ip link add zvstray type bridge && ip link set zvstray group {}", group.trim())).ok();
    assert!(host.zubi("check").fails(1, "").out.contains("zvstray"));
    assert!(host.zubi("gc").ok().out.contains("zvstray"));
    host.zubi("check").ok();
    host.shell("ip link show zvstray").fails(1, "");
}

fn a_removed_network_takes_the_last_table_with_it() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.network("green --subnet 10.77.88.0/24");
    host.zubi("network rm blue").ok();
    host.shell("nft list table inet zubi").ok();
    host.zubi("network rm green").ok();
    host.shell("nft list table inet zubi").fails(1, "");
}

fn a_network_in_use_is_not_removed() {
    let host = blue();
    host.container("c1", "blue");
    let before = Snapshot::take();
    host.zubi("network rm blue").fails(4, "network blue: 1 endpoint is still attached: c1");
    before.assert_no_residue(&Snapshot::take());
}

fn prune_removes_networks_without_endpoints_only() {
    let host = blue();
    host.network("green --subnet 10.77.88.0/24");
    host.container("c1", "blue");
    assert_eq!(host.zubi("network prune").ok().out, "green: removed\n");
    assert_reaches("host", "c1", "10.55.66.2");
}

fn a_changed_mtu_is_found_and_repaired() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24 --mtu 1400");
    host.container("c1", "blue");
    let port = port(&host);
    for device in ["zb-blue", &port] {
        host.shell(&format!("ip link set {device} mtu 1300")).ok();
        assert!(host.zubi("check").fails(1, "").out.contains("MTU is 1300"));
        host.zubi("repair").ok();
        host.zubi("check").ok();
        host.shell(&format!("ip link show {device} | grep -q 'mtu 1400'")).ok();
    }
}

zubi_lab::tests!(
    a_changed_mtu_is_found_and_repaired,
    a_deleted_bridge_is_found_and_repaired,
    a_deleted_host_end_is_found_and_repaired,
    a_deleted_inner_address_is_found_and_repaired,
    a_deleted_inner_ipv6_address_is_found_and_repaired,
    a_deleted_gateway_address_is_found_and_repaired,
    a_deleted_default_route_is_found_and_repaired,
    a_port_that_left_the_bridge_is_found_and_repaired,
    a_port_on_another_bridge_is_found_and_repaired,
    a_bridge_that_is_down_is_found_and_repaired,
    a_host_end_that_is_down_is_found_and_repaired,
    an_inner_end_that_is_down_is_found_and_repaired,
    an_inner_loopback_that_is_down_is_found_and_repaired,
    a_renamed_inner_device_is_found_and_repaired,
    forwarding_switched_off_is_found_and_repaired,
    ipv6_switched_off_inside_is_found_and_repaired,
    ipv6_switched_off_on_the_bridge_is_found_and_repaired,
    router_advertisements_switched_on_are_found_and_repaired,
    a_flushed_ruleset_is_found_and_repaired,
    a_flushed_table_is_found_and_repaired,
    a_deleted_rule_is_found_and_repaired,
    an_added_rule_is_found_and_repaired,
    a_deleted_endpoint_element_is_found_and_repaired,
    a_deleted_network_element_is_found_and_repaired,
    a_deleted_chain_is_found_and_repaired,
    a_changed_mac_inside_is_found_and_repaired,
    an_isolated_port_that_was_opened_is_found_and_repaired,
    repair_of_what_is_right_does_nothing,
    strays_with_our_mark_are_found_and_collected,
    a_removed_network_takes_the_last_table_with_it,
    a_network_in_use_is_not_removed,
    prune_removes_networks_without_endpoints_only,
);
