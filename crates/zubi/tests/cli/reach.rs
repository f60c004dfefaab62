//! Which endpoints reach which. What is isolated passes once zubi's rule is gone: each test can fail.

use zubi_lab::{
    Capability, Host, Outside, Reach, Snapshot, Transport, arrives_from, assert_isolated, assert_reaches, need,
    reaches, source_seen,
};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const BOTH: &str = "--subnet 10.55.66.0/24 --subnet fd00:55::/64";
const OTHER: &str = "--subnet 10.77.88.0/24 --subnet fd00:77::/64";
/// Without the table bridges still let nothing in: their filters go as well.
const NO_TABLE: &str = "nft delete table inet zubi; \
    for bridge in $(ip -br link show type bridge | cut -d' ' -f1); do tc qdisc del dev $bridge clsact || true; done";

fn containers_of_one_network_reach_each_other_the_host_and_the_outside() {
    let host = Host::new(ZUBI);
    let _outside = Outside::new();
    let before = Snapshot::take();
    host.network(&format!("blue {BOTH}"));
    let c1 = host.container("c1", "blue");
    let c2 = host.container("c2", "blue");
    assert_reaches("c1", "c2", &c2);
    assert_reaches("c2", "c1", "fd00:55::2");
    assert_reaches("c1", "host", "10.55.66.1");
    assert_reaches("c1", "host", "fd00:55::1");
    assert_reaches("host", "c1", &c1);
    assert_reaches("c1", "outside", Outside::V4);
    assert_reaches("c1", "outside", Outside::V6);
    host.zubi("check").ok();
    host.zubi("sandbox rm c1 c2").ok();
    host.zubi("network rm blue").ok();
    host.settle();
    before.assert_no_residue(&Snapshot::take());
}

fn container_addresses_are_not_reachable_by_routing() {
    let host = Host::new(ZUBI);
    let _outside = Outside::new();
    host.network(&format!("blue {BOTH}"));
    host.shell("ip -n outside route add 10.55.66.0/24 via 192.0.2.1").ok();
    host.shell("ip -n outside route add fd00:55::/64 via 2001:db8::1").ok();
    let c1 = host.container("c1", "blue");
    assert_isolated("outside", "c1", &c1);
    assert_isolated("outside", "c1", "fd00:55::2");
    // Without the guard the attack works: the test can fail.
    host.shell(NO_TABLE).ok();
    assert_reaches("outside", "c1", &c1);
    assert_reaches("outside", "c1", "fd00:55::2");
    host.zubi("repair").ok();
    assert_isolated("outside", "c1", &c1);
    assert_isolated("outside", "c1", "fd00:55::2");
}

fn gateway_addresses_are_not_reachable_by_routing() {
    let host = Host::new(ZUBI);
    let _outside = Outside::new();
    host.network(&format!("blue {BOTH}"));
    host.shell("ip -n outside route add 10.55.66.0/24 via 192.0.2.1").ok();
    host.shell("ip -n outside route add fd00:55::/64 via 2001:db8::1").ok();
    assert_isolated("outside", "host", "10.55.66.1");
    assert_isolated("outside", "host", "fd00:55::1");
    host.shell(NO_TABLE).ok();
    assert_reaches("outside", "host", "10.55.66.1");
    assert_reaches("outside", "host", "fd00:55::1");
}

fn outside_sees_the_hosts_address_of_a_masqueraded_container() {
    let host = Host::new(ZUBI);
    let _outside = Outside::new();
    host.network(&format!("blue {BOTH}"));
    host.container("c1", "blue");
    let to = |address| Reach { from: "c1", to: "outside", address };
    assert_eq!(source_seen(&to(Outside::V4)), "192.0.2.1".parse().ok());
    assert_eq!(source_seen(&to(Outside::V6)), "2001:db8::1".parse().ok());
    // Without masquerading the outside has no way back.
    host.shell(NO_TABLE).ok();
    assert_isolated("c1", "outside", Outside::V4);
    assert_isolated("c1", "outside", Outside::V6);
}

fn outside_sees_the_own_address_of_a_container_that_is_not_masqueraded() {
    let host = Host::new(ZUBI);
    let _outside = Outside::new();
    host.network(&format!("blue {BOTH} --no-masquerade"));
    host.shell("ip -n outside route add 10.55.66.0/24 via 192.0.2.1").ok();
    host.shell("ip -n outside route add fd00:55::/64 via 2001:db8::1").ok();
    let c1 = host.container("c1", "blue");
    let to = |address| Reach { from: "c1", to: "outside", address };
    assert_eq!(source_seen(&to(Outside::V4)), c1.parse().ok());
    assert_eq!(source_seen(&to(Outside::V6)), "fd00:55::2".parse().ok());
    assert_reaches("c1", "outside", Outside::V4);
    assert_reaches("c1", "outside", Outside::V6);
}

fn outside_cannot_connect_to_a_container_that_is_not_masqueraded() {
    let host = Host::new(ZUBI);
    let _outside = Outside::new();
    host.network(&format!("blue {BOTH} --no-masquerade"));
    host.shell("ip -n outside route add 10.55.66.0/24 via 192.0.2.1").ok();
    host.shell("ip -n outside route add fd00:55::/64 via 2001:db8::1").ok();
    let c1 = host.container("c1", "blue");
    assert_isolated("outside", "c1", &c1);
    assert_isolated("outside", "c1", "fd00:55::2");
    host.shell(NO_TABLE).ok();
    assert_reaches("outside", "c1", &c1);
    assert_reaches("outside", "c1", "fd00:55::2");
}

fn two_networks(options: &str) -> Host {
    let host = Host::new(ZUBI);
    host.network(&format!("blue {BOTH} {options}"));
    host.network(&format!("green {OTHER} {options}"));
    host.container("b1", "blue");
    host.container("g1", "green");
    host
}

fn networks_do_not_reach_each_other() {
    let host = two_networks("");
    for (from, to, address) in
        [("b1", "g1", "10.77.88.2"), ("b1", "g1", "fd00:77::2"), ("g1", "b1", "10.55.66.2"), ("g1", "b1", "fd00:55::2")]
    {
        assert_isolated(from, to, address);
    }
    host.shell(NO_TABLE).ok();
    assert_reaches("b1", "g1", "10.77.88.2");
    assert_reaches("g1", "b1", "fd00:55::2");
}

fn networks_that_are_not_masqueraded_do_not_reach_each_other() {
    let host = two_networks("--no-masquerade");
    assert_isolated("b1", "g1", "10.77.88.2");
    assert_isolated("b1", "g1", "fd00:77::2");
    host.shell(NO_TABLE).ok();
    assert_reaches("b1", "g1", "10.77.88.2");
    assert_reaches("b1", "g1", "fd00:77::2");
}

fn a_container_does_not_reach_the_gateway_of_another_network() {
    let host = two_networks("");
    assert_isolated("b1", "host", "10.77.88.1");
    assert_isolated("b1", "host", "fd00:77::1");
    host.shell(NO_TABLE).ok();
    assert_reaches("b1", "host", "10.77.88.1");
    assert_reaches("b1", "host", "fd00:77::1");
}

/// A container of an internal network with a route to the outside, on a host that forwards.
fn internal(host: &Host) {
    host.network(&format!("forwarding {OTHER}"));
    host.network(&format!("inner {BOTH} --internal"));
    host.container("c1", "inner");
    host.container("c2", "inner");
    host.shell("ip -n c1 route add default via 10.55.66.1").ok();
    host.shell("ip -n c1 route add default via fd00:55::1").ok();
    host.shell("ip -n outside route add 10.55.66.0/24 via 192.0.2.1").ok();
    host.shell("ip -n outside route add fd00:55::/64 via 2001:db8::1").ok();
}

fn an_internal_network_has_no_way_out() {
    let host = Host::new(ZUBI);
    let _outside = Outside::new();
    internal(&host);
    assert_isolated("c1", "outside", Outside::V4);
    assert_isolated("c1", "outside", Outside::V6);
    host.shell(NO_TABLE).ok();
    assert_reaches("c1", "outside", Outside::V4);
    assert_reaches("c1", "outside", Outside::V6);
}

fn an_internal_network_has_no_way_in() {
    let host = Host::new(ZUBI);
    let _outside = Outside::new();
    internal(&host);
    assert_isolated("outside", "c1", "10.55.66.2");
    assert_isolated("outside", "c1", "fd00:55::2");
    host.shell(NO_TABLE).ok();
    assert_reaches("outside", "c1", "10.55.66.2");
    assert_reaches("outside", "c1", "fd00:55::2");
}

fn an_internal_network_reaches_itself_and_the_host() {
    let host = Host::new(ZUBI);
    let _outside = Outside::new();
    internal(&host);
    assert_reaches("c1", "c2", "10.55.66.3");
    assert_reaches("c1", "c2", "fd00:55::3");
    assert_reaches("c1", "host", "10.55.66.1");
    assert_reaches("c1", "host", "fd00:55::1");
    assert_reaches("host", "c1", "10.55.66.2");
    assert_reaches("host", "c1", "fd00:55::2");
}

fn isolated_pair() -> Host {
    let host = Host::new(ZUBI);
    host.network(&format!("blue {BOTH} --no-icc"));
    host.container("c1", "blue");
    host.container("c2", "blue");
    host
}

fn endpoints_without_icc_do_not_reach_each_other() {
    let host = isolated_pair();
    assert_isolated("c1", "c2", "10.55.66.3");
    assert_isolated("c1", "c2", "fd00:55::3");
    host.shell(NO_TABLE).ok();
    // The isolated ports alone keep them apart, with or without the firewall.
    assert_isolated("c1", "c2", "10.55.66.3");
    assert_isolated("c1", "c2", "fd00:55::3");
    host.shell("for p in $(ip -o link show master zb-blue | cut -d: -f2 | cut -d@ -f1); do bridge link set dev $p isolated off || exit 1; done").ok();
    // The kernel has stopped asking for neighbours that did not answer.
    host.shell("ip -n c1 neigh flush all").ok();
    assert_reaches("c1", "c2", "10.55.66.3");
    assert_reaches("c1", "c2", "fd00:55::3");
}

fn endpoints_without_icc_do_not_reach_each_other_through_the_gateway() {
    let host = isolated_pair();
    for (sandbox, peer) in [("c1", "3"), ("c2", "2")] {
        // ICMP redirects would lead back to the direct path.
        host.shell(&format!("ip netns exec {sandbox} sysctl -qw net.ipv4.conf.all.accept_redirects=0 net.ipv4.conf.eth0.accept_redirects=0 net.ipv6.conf.eth0.accept_redirects=0")).ok();
        host.shell(&format!("ip -n {sandbox} route add 10.55.66.{peer}/32 via 10.55.66.1")).ok();
        host.shell(&format!("ip -n {sandbox} route add fd00:55::{peer}/128 via fd00:55::1")).ok();
    }
    assert_isolated("c1", "c2", "10.55.66.3");
    assert_isolated("c1", "c2", "fd00:55::3");
    host.shell(NO_TABLE).ok();
    assert_reaches("c1", "c2", "10.55.66.3");
    assert_reaches("c1", "c2", "fd00:55::3");
}

fn endpoints_without_icc_reach_the_host_and_the_outside() {
    let _outside = Outside::new();
    let _host = isolated_pair();
    assert_reaches("c1", "host", "10.55.66.1");
    assert_reaches("c1", "host", "fd00:55::1");
    assert_reaches("host", "c1", "10.55.66.2");
    assert_reaches("c1", "outside", Outside::V4);
    assert_reaches("c1", "outside", Outside::V6);
}

fn nothing_leaves_from_an_address_that_was_not_given() {
    let host = Host::new(ZUBI);
    let _outside = Outside::new();
    host.network(&format!("blue {BOTH}"));
    let c1 = host.container("c1", "blue");
    let forged = [
        ("10.55.66.200", Outside::V4),
        ("203.0.113.9", Outside::V4),
        ("fd00:55::99", Outside::V6),
        ("2001:db8:9::9", Outside::V6),
    ];
    for (source, _) in forged {
        host.shell(&format!("ip -n c1 addr add {source}/{} dev lo nodad", if source.contains(':') { 128 } else { 32 }))
            .ok();
    }
    let to = |address| Reach { from: "c1", to: "outside", address };
    assert!(arrives_from(&c1, &to(Outside::V4)), "its own address leaves");
    assert!(arrives_from("fd00:55::2", &to(Outside::V6)), "its own IPv6 address leaves");
    for (source, address) in forged {
        assert!(!arrives_from(source, &to(address)), "{source} got out");
    }
    host.shell(NO_TABLE).ok();
    for (source, address) in forged {
        assert!(arrives_from(source, &to(address)), "{source} does not get out even without zubi's rules");
    }
}

fn every_network_forwards_ipv6_not_only_the_first() {
    let host = Host::new(ZUBI);
    let _outside = Outside::new();
    host.network(&format!("blue {BOTH}"));
    host.network(&format!("green {OTHER}"));
    host.container("g1", "green");
    assert_reaches("g1", "outside", Outside::V6);
}

fn the_matrix_is_the_same_when_bridges_pass_frames_to_the_firewall() {
    let test = "the_matrix_is_the_same_when_bridges_pass_frames_to_the_firewall";
    if !need(&[Capability::BridgeNetfilter], test) {
        return;
    }
    let host = Host::new(ZUBI);
    let _outside = Outside::new();
    host.network(&format!("blue {BOTH}"));
    host.network(&format!("green {OTHER}"));
    host.network("lone --subnet 10.99.0.0/24 --subnet fd00:99::/64 --no-icc");
    host.network("inner --subnet 10.88.0.0/24 --subnet fd00:88::/64 --internal");
    for (name, network) in [
        ("b1", "blue"),
        ("b2", "blue"),
        ("g1", "green"),
        ("l1", "lone"),
        ("l2", "lone"),
        ("i1", "inner"),
        ("i2", "inner"),
    ] {
        host.container(name, network);
    }
    host.shell("ip -n outside route add 10.0.0.0/8 via 192.0.2.1").ok();
    let reach = |from, to, address| Reach { from, to, address };
    let all = [
        reach("b1", "b2", "10.55.66.3"),
        reach("b1", "b2", "fd00:55::3"),
        reach("b1", "host", "10.55.66.1"),
        reach("b1", "host", "fd00:55::1"),
        reach("host", "b1", "10.55.66.2"),
        reach("b1", "outside", Outside::V4),
        reach("b1", "outside", Outside::V6),
        reach("b1", "g1", "10.77.88.2"),
        reach("b1", "g1", "fd00:77::2"),
        reach("b1", "host", "10.77.88.1"),
        reach("outside", "b1", "10.55.66.2"),
        reach("l1", "l2", "10.99.0.3"),
        reach("l1", "l2", "fd00:99::3"),
        reach("l1", "outside", Outside::V4),
        reach("i1", "i2", "10.88.0.3"),
        reach("i1", "outside", Outside::V4),
    ];
    let mut seen = Vec::new();
    for value in [0, 1] {
        host.shell(&format!(
            "sysctl -qw net.bridge.bridge-nf-call-iptables={value} net.bridge.bridge-nf-call-ip6tables={value}"
        ))
        .ok();
        seen.push(zubi_lab::matrix(&all));
    }
    assert_eq!(seen[0], seen[1]);
    let passes = "ICMP TCP UDP";
    assert_eq!(seen[1].lines().filter(|l| l.ends_with(passes)).count(), 9, "{}", seen[1]);
    assert_eq!(seen[1].lines().filter(|l| l.ends_with("- - -")).count(), 7, "{}", seen[1]);
}

fn rules(host: &Host) -> usize {
    host.shell("nft -a list ruleset").ok().out.lines().filter(|l| l.contains("# handle") && !l.contains(" {")).count()
}

fn neither_networks_nor_endpoints_add_rules() {
    let host = Host::new(ZUBI);
    host.network(&format!("blue {BOTH}"));
    host.container("c0", "blue");
    let before = rules(&host);
    assert!(before > 5, "rules are counted");
    host.network(&format!("green {OTHER} --internal"));
    host.network("red --subnet 10.99.0.0/24 --no-icc --no-masquerade");
    for n in 1..6 {
        host.container(&format!("c{n}"), "blue");
        host.container(&format!("r{n}"), "red");
    }
    assert_eq!(rules(&host), before);
}

fn zubi_has_one_table() {
    let host = two_networks("");
    let tables = host.shell("nft list tables").ok().out;
    assert_eq!(tables.trim(), "table inet zubi");
}

fn a_container_answers_connections_that_the_host_opens() {
    let host = Host::new(ZUBI);
    host.network(&format!("blue {BOTH}"));
    let c1 = host.container("c1", "blue");
    for address in [c1.as_str(), "fd00:55::2"] {
        assert!(reaches(&Reach { from: "host", to: "c1", address }, Transport::Tcp), "{address}");
    }
}

fn a_group_is_heard_by_those_who_joined_it() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.container("c1", "blue");
    let c2 = host.container("c2", "blue");
    let ask = "ip netns exec c1 ping -n -c 1 -W 1 239.1.2.3";
    host.shell("ip netns exec c2 sysctl -qw net.ipv4.icmp_echo_ignore_broadcasts=0").ok();
    host.shell(ask).fails(1, "");
    host.shell("ip -n c2 addr add 239.1.2.3/32 dev eth0 autojoin").ok();
    assert!(host.shell(ask).ok().out.contains(&format!("from {c2}")));
    // A user who switches the bridge's querier on also decides about snooping.
    host.shell("ip link set zb-blue type bridge mcast_snooping 1 mcast_querier 1").ok();
    host.zubi("check").ok();
    assert!(host.shell(ask).ok().out.contains(&format!("from {c2}")));
}

/// A frame to the container that routes has an address of the other network, and a bridge may pass it to the firewall.
fn a_container_that_routes_between_two_networks_reaches_both() {
    const FLAGS: &str = "/proc/sys/net/bridge/bridge-nf-call-ip*tables";
    let host = Host::new(ZUBI);
    host.network(&format!("left {BOTH}"));
    host.network(&format!("right {OTHER}"));
    for sandbox in ["router", "a", "b"] {
        host.zubi(&format!("sandbox add {sandbox}")).ok();
    }
    host.zubi("connect left router --ip 10.55.66.9 --ip fd00:55::9").ok();
    host.zubi("connect right router --ip 10.77.88.9 --ip fd00:77::9").ok();
    host.shell("ip netns exec router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1").ok();
    host.zubi("connect left a --ip 10.55.66.2 --ip fd00:55::2 --route 10.77.88.0/24,10.55.66.9 --route fd00:77::/64,fd00:55::9").ok();
    host.zubi("connect right b --ip 10.77.88.2 --ip fd00:77::2 --route 10.55.66.0/24,10.77.88.9 --route fd00:55::/64,fd00:77::9").ok();
    for on in ["0", "1"] {
        host.shell(&format!("for f in {FLAGS}; do [ ! -e $f ] || echo {on} > $f; done")).ok();
        for (from, to, address) in
            [("a", "b", "10.77.88.2"), ("b", "a", "10.55.66.2"), ("a", "b", "fd00:77::2"), ("b", "a", "fd00:55::2")]
        {
            assert_reaches(from, to, address);
        }
    }
    // By the host there is no way.
    host.shell("ip -n a route del 10.77.88.0/24").ok();
    assert_isolated("a", "b", "10.77.88.2");
}

zubi_lab::tests!(
    a_container_that_routes_between_two_networks_reaches_both,
    containers_of_one_network_reach_each_other_the_host_and_the_outside,
    container_addresses_are_not_reachable_by_routing,
    gateway_addresses_are_not_reachable_by_routing,
    outside_sees_the_hosts_address_of_a_masqueraded_container,
    outside_sees_the_own_address_of_a_container_that_is_not_masqueraded,
    outside_cannot_connect_to_a_container_that_is_not_masqueraded,
    networks_do_not_reach_each_other,
    networks_that_are_not_masqueraded_do_not_reach_each_other,
    a_container_does_not_reach_the_gateway_of_another_network,
    an_internal_network_has_no_way_out,
    an_internal_network_has_no_way_in,
    an_internal_network_reaches_itself_and_the_host,
    endpoints_without_icc_do_not_reach_each_other,
    endpoints_without_icc_do_not_reach_each_other_through_the_gateway,
    endpoints_without_icc_reach_the_host_and_the_outside,
    nothing_leaves_from_an_address_that_was_not_given,
    every_network_forwards_ipv6_not_only_the_first,
    the_matrix_is_the_same_when_bridges_pass_frames_to_the_firewall,
    neither_networks_nor_endpoints_add_rules,
    zubi_has_one_table,
    a_container_answers_connections_that_the_host_opens,
    a_group_is_heard_by_those_who_joined_it,
);
