//! Publishing on 127.0.0.1 opens it to nobody else, even without the firewall. Each attack is shown to work once the
//! filter is gone too.

use std::time::Duration;
use zubi_lab::{Capability, Host, Outside, Service, Transport, ask, assert_served, assert_unserved, need};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const FILTER: &str =
    "tc filter show dev zb-blue ingress | grep 'pref 127 bpf' | grep -q 'handle 0x7a756269 direct-action'";
const WITHOUT_FILTER: &str = "tc filter del dev zb-blue ingress pref 127";
/// Deletes both rules of the guard.
const WITHOUT_GUARD: &str = "nft -a list chain inet zubi guard | grep -E 'ip [sd]addr 127.0.0.0/8' | sed 's/.* //' | \
                             while read handle; do nft delete rule inet zubi guard handle $handle; done";

/// A host whose bridges pass no frames to the firewall.
fn blue(wish: &str) -> (Host, Outside) {
    let (host, outside) = (Host::new(ZUBI), Outside::new());
    // Without the module there is no such setting, and no such frames.
    host.shell("sysctl -qw net.bridge.bridge-nf-call-iptables=0");
    host.network("blue --subnet 10.55.66.0/24");
    host.zubi("sandbox add c1").ok();
    host.zubi(&format!("connect blue c1 -p {wish} -p {wish}/udp")).ok();
    host.container("c2", "blue");
    (host, outside)
}

/// Makes c2 send packets for 127.0.0.1 to the host.
fn sends_loopback(host: &Host) {
    for line in [
        "ip -n c2 route del local 127.0.0.1 dev lo table local",
        "ip -n c2 route del local 127.0.0.0/8 dev lo table local",
        "ip -n c2 addr del 127.0.0.1/8 dev lo",
    ] {
        // Deleting the first may take the others with it.
        host.shell(line);
    }
    host.shell("ip netns exec c2 sysctl -qw net.ipv4.conf.all.route_localnet=1").ok();
    host.shell("ip -n c2 route add 127.0.0.1/32 via 10.55.66.1 src 10.55.66.3").ok();
}

fn without_the_firewall_a_container_does_not_reach_the_loopback_of_the_host() {
    let (host, _outside) = blue("127.0.0.1:8080:80");
    let _services = [9999, 53].map(|port| Service::start_at("host", "127.0.0.1".parse().expect("address"), port));
    sends_loopback(&host);
    host.shell(FILTER).ok();
    host.shell("nft flush ruleset").ok();
    assert_unserved("c2", "127.0.0.1:9999");
    assert_unserved("c2", "127.0.0.1:53");
    host.shell(WITHOUT_FILTER).ok();
    assert_served("c2", "127.0.0.1:9999", "host", "10.55.66.3");
    assert_served("c2", "127.0.0.1:53", "host", "10.55.66.3");
}

fn without_the_rule_too() {
    let (host, _outside) = blue("8080:80");
    let _service = Service::start_at("host", "127.0.0.1".parse().expect("address"), 9999);
    sends_loopback(&host);
    host.shell(WITHOUT_GUARD).ok();
    assert_unserved("c2", "127.0.0.1:9999");
    host.shell(WITHOUT_FILTER).ok();
    assert_served("c2", "127.0.0.1:9999", "host", "10.55.66.3");
}

fn a_port_on_loopback_is_served_to_the_host_through_the_filter() {
    let (host, _outside) = blue("127.0.0.1:8080:80");
    let _service = Service::start("c1", 80);
    host.shell(FILTER).ok();
    assert_served("host", "127.0.0.1:8080", "c1", "10.55.66.1");
}

/// There the answers have the host's loopback address before they come to the filter.
fn when_bridges_pass_frames_to_the_firewall_a_port_is_served_and_nothing_opens() {
    let test = "when_bridges_pass_frames_to_the_firewall_a_port_is_served_and_nothing_opens";
    if !need(&[Capability::BridgeNetfilter], test) {
        return;
    }
    let (host, _outside) = (Host::new(ZUBI), Outside::new());
    host.shell("sysctl -qw net.bridge.bridge-nf-call-iptables=1").ok();
    host.network("blue --subnet 10.55.66.0/24");
    host.zubi("sandbox add c1").ok();
    host.zubi("connect blue c1 -p 127.0.0.1:8080:80 -p 127.0.0.1:8080:80/udp").ok();
    host.container("c2", "blue");
    let _service = Service::start("c1", 80);
    let _services = [9999, 53].map(|port| Service::start_at("host", "127.0.0.1".parse().expect("address"), port));
    sends_loopback(&host);
    assert_served("host", "127.0.0.1:8080", "c1", "10.55.66.1");
    host.shell("nft flush ruleset").ok();
    assert_unserved("c2", "127.0.0.1:53");
    assert_eq!(ask("c2", Transport::Tcp, "127.0.0.1:9999"), None);
    host.shell(WITHOUT_FILTER).ok();
    assert_served("c2", "127.0.0.1:9999", "host", "10.55.66.3");
    assert_served("c2", "127.0.0.1:53", "host", "10.55.66.3");
}

/// A TCP port goes on when bridge netfilter comes later; the rest comes back with a repair.
fn bridge_netfilter_that_is_switched_on_later_keeps_tcp() {
    let test = "bridge_netfilter_that_is_switched_on_later_keeps_tcp";
    if !need(&[Capability::BridgeNetfilter], test) {
        return;
    }
    let (host, _outside) = blue("127.0.0.1:8080:80");
    let _service = Service::start("c1", 80);
    host.shell("sysctl -qw net.bridge.bridge-nf-call-iptables=1").ok();
    assert!(ask("host", Transport::Tcp, "127.0.0.1:8080").is_some());
    let told = host.zubi("check").fails(1, "").out;
    assert!(told.contains("is another program; wanted: tc filter add dev zb-blue"), "{told}");
    host.zubi("repair").ok();
    host.zubi("check").ok();
    assert_served("host", "127.0.0.1:8080", "c1", "10.55.66.1");
}

/// Sends a datagram from a loopback address, by a socket that may have any.
const FORGED: &str = "ip -n c2 addr add 127.0.0.2/32 dev eth0; ip -n c2 rule add pref 1 to 10.55.66.1 lookup main; \
                      ip netns exec c2 sysctl -qw net.ipv4.conf.eth0.route_localnet=1; \
                      ip netns exec c2 python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); \
                      s.bind((\"127.0.0.2\", 0)); s.sendto(b\"x\", (\"10.55.66.1\", 7777))'";

fn a_container_does_not_send_from_a_loopback_address() {
    let (host, _outside) = blue("127.0.0.1:8080:80");
    let heard = std::net::UdpSocket::bind("10.55.66.1:7777").expect("socket");
    // One behind the other through the same bridge: when the second is there, the first would be.
    let comes = |expected: &str| {
        host.shell(FORGED).ok();
        host.shell(
            "ip netns exec c2 python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); \
             s.bind((\"10.55.66.3\", 0)); s.sendto(b\"y\", (\"10.55.66.1\", 7777))'",
        )
        .ok();
        heard.set_read_timeout(Some(Duration::from_secs(20))).expect("timeout");
        let (_, from) = heard.recv_from(&mut [0; 8]).expect("a datagram");
        assert_eq!(from.ip().to_string(), expected);
    };
    host.shell("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.zb-blue.rp_filter=0").ok();
    comes("10.55.66.3");
    host.shell(WITHOUT_FILTER).ok();
    comes("10.55.66.3");
    host.shell(WITHOUT_GUARD).ok();
    comes("127.0.0.2");
}

fn a_missing_filter_is_found_and_put_back() {
    let (host, _outside) = blue("127.0.0.1:8080:80");
    for gone in [WITHOUT_FILTER, "tc qdisc del dev zb-blue clsact"] {
        host.shell(gone).ok();
        let told = host.zubi("check").fails(1, "").out;
        assert!(told.contains("missing: tc filter add dev zb-blue ingress pref 127"), "{told}");
        host.zubi("repair").ok();
        host.zubi("check").ok();
        host.shell(FILTER).ok();
    }
}

fn filters_of_others_stay() {
    let (host, _outside) = (Host::new(ZUBI), Outside::new());
    host.network("blue --subnet 10.55.66.0/24");
    host.shell("tc qdisc add dev zb-blue clsact && tc filter add dev zb-blue ingress pref 9 bpf da bytecode '1,6 0 0 4294967295'").ok();
    host.zubi("sandbox add c1").ok();
    host.zubi("connect blue c1 -p 127.0.0.1:8080:80").ok();
    host.shell(FILTER).ok();
    host.shell("tc filter show dev zb-blue ingress | grep -q 'pref 9 bpf'").ok();
    host.zubi("check").ok();
}

fn without_a_port_on_loopback_there_is_no_filter() {
    let (host, _outside) = blue("192.0.2.1:8080:80");
    assert_eq!(host.shell("tc filter show dev zb-blue ingress; tc qdisc show dev zb-blue | grep clsact").out, "");
}

zubi_lab::tests!(
    without_the_firewall_a_container_does_not_reach_the_loopback_of_the_host,
    without_the_rule_too,
    a_port_on_loopback_is_served_to_the_host_through_the_filter,
    when_bridges_pass_frames_to_the_firewall_a_port_is_served_and_nothing_opens,
    bridge_netfilter_that_is_switched_on_later_keeps_tcp,
    a_container_does_not_send_from_a_loopback_address,
    a_missing_filter_is_found_and_put_back,
    filters_of_others_stay,
    without_a_port_on_loopback_there_is_no_filter,
);
