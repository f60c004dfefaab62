//! What published ports must not open. Each attack is shown to work once the rule against it is gone: the test can
//! fail.

use crate::blue::{BOTH, ZUBI, publish_on, publishing};
use zubi_lab::{Capability, Host, Outside, Service, assert_served, assert_unserved, need};

/// Words of the rules as `nft` lists them.
const LOOPBACK_GUARD: &str = "ip daddr 127.0.0.0/8";
const PASSING: &str = "fib daddr type != local";

/// Deletes the rules with these words, as another program would.
#[track_caller]
fn without_rule(host: &Host, words: &str) {
    let listed = host.shell("nft -a list table inet zubi").ok().out;
    let (mut chain, mut deleted) = ("", 0);
    for line in listed.lines() {
        if let Some(rest) = line.trim().strip_prefix("chain ") {
            chain = rest.split(' ').next().expect("a name");
        }
        if line.contains(words) {
            let handle = line.rsplit(' ').next().expect("a handle");
            host.shell(&format!("nft delete rule inet zubi {chain} handle {handle}")).ok();
            deleted += 1;
        }
    }
    assert!(deleted > 0, "no rule says {words:?}");
}

/// Makes a place send packets for 127.0.0.1 to the host, by this gateway address.
fn sends_loopback_to(host: &Host, place: &str, gateway: &str, source: &str) {
    for line in [
        "ip -n PLACE route del local 127.0.0.1 dev lo table local",
        "ip -n PLACE route del local 127.0.0.0/8 dev lo table local",
        "ip -n PLACE addr del 127.0.0.1/8 dev lo",
    ] {
        // Deleting the first rule may delete the others with it.
        host.shell(&line.replace("PLACE", place));
    }
    host.shell(&format!("ip netns exec {place} sysctl -qw net.ipv4.conf.all.route_localnet=1")).ok();
    host.shell(&format!("ip -n {place} route add 127.0.0.1/32 via {gateway} src {source}")).ok();
}

fn a_neighbour_of_the_host_does_not_reach_a_port_published_on_loopback() {
    let (host, _outside) = publishing("127.0.0.1:8080:80 127.0.0.1:8080:80/udp");
    let _service = Service::start("c1", 80);
    sends_loopback_to(&host, "outside", "192.0.2.1", Outside::V4);
    assert_served("host", "127.0.0.1:8080", "c1", "10.55.66.1");
    assert_unserved("outside", "127.0.0.1:8080");
    without_rule(&host, LOOPBACK_GUARD);
    assert_served("outside", "127.0.0.1:8080", "c1", Outside::V4);
    host.zubi("check").fails(1, "");
    host.zubi("repair").ok();
    assert_unserved("outside", "127.0.0.1:8080");
    assert_served("host", "127.0.0.1:8080", "c1", "10.55.66.1");
}

fn a_container_does_not_reach_a_service_on_the_loopback_of_the_host() {
    loopback_of_the_host_is_closed(0);
}

fn a_container_does_not_reach_the_loopback_of_the_host_when_bridges_pass_frames_to_the_firewall() {
    let test = "a_container_does_not_reach_the_loopback_of_the_host_when_bridges_pass_frames_to_the_firewall";
    if need(&[Capability::BridgeNetfilter], test) {
        loopback_of_the_host_is_closed(1);
    }
}

fn loopback_of_the_host_is_closed(bridge_netfilter: u8) {
    let (host, _outside) = (Host::new(ZUBI), Outside::new());
    // Without the module there is no such setting, and frames do not pass the firewall.
    host.shell(&format!("sysctl -qw net.bridge.bridge-nf-call-iptables={bridge_netfilter}"));
    publish_on(&host, BOTH, "127.0.0.1:8080:80 127.0.0.1:8080:80/udp");
    let _service = Service::start_at("host", "127.0.0.1".parse().expect("address"), 9999);
    sends_loopback_to(&host, "c2", "10.55.66.1", "10.55.66.3");
    // Tests the firewall's guard alone; `loopback` tests the filter.
    host.shell("tc filter del dev zb-blue ingress").ok();
    host.shell("test $(sysctl -n net.ipv4.conf.zb-blue.route_localnet) = 1").ok();
    assert_served("host", "127.0.0.1:9999", "host", "127.0.0.1");
    assert_unserved("c2", "127.0.0.1:9999");
    assert_unserved("c2", "127.0.0.1:8080");
    without_rule(&host, LOOPBACK_GUARD);
    assert_served("c2", "127.0.0.1:9999", "host", "10.55.66.3");
    // The next connect restores the firewall.
    host.container("c3", "blue");
    assert_unserved("c2", "127.0.0.1:9999");
}

fn without_a_port_on_loopback_the_kernel_s_own_guard_stays() {
    let (host, _outside) = publishing("192.0.2.1:8080:80 192.0.2.1:8080:80/udp [::]:8081:81 [::]:8081:81/udp");
    host.shell("test $(sysctl -n net.ipv4.conf.zb-blue.route_localnet) = 0").ok();
    let _service = Service::start_at("host", "127.0.0.1".parse().expect("address"), 9999);
    sends_loopback_to(&host, "c2", "10.55.66.1", "10.55.66.3");
    without_rule(&host, LOOPBACK_GUARD);
    assert_unserved("c2", "127.0.0.1:9999");
    host.shell("test $(sysctl -n net.ipv4.conf.uplink.route_localnet) = 0").ok();
    host.shell("test $(sysctl -n net.ipv4.conf.all.route_localnet) = 0").ok();
}

/// A further machine behind this host: 198.51.100.2 and 2001:db8:1::2, with routes to and from the outside.
fn far(host: &Host) {
    for line in [
        "ip netns add far",
        "ip link add lan type veth peer name eth0 netns far",
        "ip addr add 198.51.100.1/24 dev lan",
        "ip addr add 2001:db8:1::1/64 dev lan nodad",
        "ip link set lan up",
        "ip -n far addr add 198.51.100.2/24 dev eth0",
        "ip -n far addr add 2001:db8:1::2/64 dev eth0 nodad",
        "ip -n far link set lo up",
        "ip -n far link set eth0 up",
        "ip -n far route add default via 198.51.100.1",
        "ip -n far route add default via 2001:db8:1::1",
        "ip -n outside route add 198.51.100.0/24 via 192.0.2.1",
        "ip -n outside route add 2001:db8:1::/64 via 2001:db8::1",
        "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
    ] {
        host.shell(line).ok();
    }
    host.wait_for("ping -c1 -W1 198.51.100.2 && ping -c1 -W1 2001:db8:1::2");
}

fn traffic_to_another_machine_s_port_of_that_number_is_never_taken() {
    let (host, _outside) = (Host::new(ZUBI), Outside::new());
    // The host is a router already, and zubi leaves it one.
    far(&host);
    publish_on(
        &host,
        BOTH,
        "8080:80 8080:80/udp 9000-9009:9000-9009 9000-9009:9000-9009/udp 7000-7001:70-71 7000-7001:70-71/udp",
    );
    let own: Vec<Service> = [80, 9005, 71].map(|port| Service::start("c1", port)).into();
    let ports = [8080, 9005, 7001];
    let elsewhere: Vec<Service> =
        ports.iter().flat_map(|port| ["outside", "far"].map(|place| Service::start(place, *port))).collect();
    let passes = || {
        for port in ports {
            assert_served("outside", &format!("198.51.100.2:{port}"), "far", Outside::V4);
            assert_served("far", &format!("192.0.2.2:{port}"), "outside", "198.51.100.2");
            assert_served("outside", &format!("[2001:db8:1::2]:{port}"), "far", Outside::V6);
            assert_served("c2", &format!("192.0.2.2:{port}"), "outside", "192.0.2.1");
            assert_served("c2", &format!("[2001:db8::2]:{port}"), "outside", "2001:db8::1");
            assert_served("c1", &format!("192.0.2.2:{port}"), "outside", "192.0.2.1");
            assert_served("host", &format!("192.0.2.2:{port}"), "outside", "192.0.2.1");
            assert_served("host", &format!("[2001:db8::2]:{port}"), "outside", "2001:db8::1");
        }
    };
    passes();
    for port in ports {
        assert_served("far", &format!("198.51.100.1:{port}"), "c1", "198.51.100.2");
    }
    without_rule(&host, PASSING);
    assert_served("outside", "198.51.100.2:8080", "c1", Outside::V4);
    assert_served("host", "192.0.2.2:7001", "c1", "192.0.2.1");
    host.zubi("repair").ok();
    passes();
    drop((own, elsewhere));
}

fn a_neighbour_s_own_port_of_that_number_is_not_taken() {
    let (host, _outside) = publishing("8080:80 8080:80/udp");
    host.container("c3", "blue");
    let _services = [Service::start("c1", 80), Service::start("c2", 8080)];
    assert_served("c3", "10.55.66.3:8080", "c2", "10.55.66.4");
    assert_served("c3", "[fd00:55::3]:8080", "c2", "fd00:55::4");
    assert_served("host", "10.55.66.3:8080", "c2", "10.55.66.1");
}

fn the_gateway_of_another_network_publishes_nothing_for_strangers() {
    let (host, _outside) = publishing("8080:80 8080:80/udp");
    host.network("green --subnet 10.77.88.0/24");
    host.container("g1", "green");
    let _service = Service::start("c1", 80);
    host.shell("ip -n outside route add 10.55.66.0/24 via 192.0.2.1").ok();
    assert_served("g1", "10.77.88.1:8080", "c1", "10.55.66.1");
    assert_unserved("g1", "10.55.66.1:8080");
    assert_unserved("g1", "10.55.66.2:80");
    assert_unserved("outside", "10.55.66.1:8080");
    assert_unserved("outside", "10.55.66.2:80");
}

zubi_lab::tests!(
    a_neighbour_of_the_host_does_not_reach_a_port_published_on_loopback,
    a_container_does_not_reach_a_service_on_the_loopback_of_the_host,
    a_container_does_not_reach_the_loopback_of_the_host_when_bridges_pass_frames_to_the_firewall,
    without_a_port_on_loopback_the_kernel_s_own_guard_stays,
    traffic_to_another_machine_s_port_of_that_number_is_never_taken,
    a_neighbour_s_own_port_of_that_number_is_not_taken,
    the_gateway_of_another_network_publishes_nothing_for_strangers,
);
