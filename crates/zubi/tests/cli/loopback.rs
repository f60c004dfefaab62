//! Publishing on 127.0.0.1 opens it to no other machine or container, even without the firewall. Each attack is shown
//! to work once the filter is gone too.

use crate::blue::{ZUBI, publish_on};
use serde_json::json;
use std::process::{Command, Stdio};
use zubi_lab::{Capability, CniHost, Host, Outside, Service, Transport, ask, assert_served, assert_unserved, need};

const FILTER: &str =
    "tc filter show dev zb-blue ingress | grep 'pref 127 bpf' | grep -q 'handle 0x7a756269 direct-action'";
const WITHOUT_FILTER: &str = "tc filter del dev zb-blue ingress pref 127";
/// Without the table the bridge lets no answer in either.
const WITHOUT_BACKSTOP: &str = "tc filter del dev zb-blue egress pref 127";
/// Deletes both rules of the guard.
const WITHOUT_GUARD: &str = "nft -a list chain inet zubi guard | grep -E 'ip [sd]addr 127.0.0.0/8' | sed 's/.* //' | \
                             while read handle; do nft delete rule inet zubi guard handle $handle; done";

/// A host whose bridges pass no frames to the firewall.
fn blue(wish: &str) -> (Host, Outside) {
    let (host, outside) = (Host::new(ZUBI), Outside::new());
    // Without the module there is no such setting, and frames do not pass the firewall.
    host.shell("sysctl -qw net.bridge.bridge-nf-call-iptables=0");
    publish_on(&host, "--subnet 10.55.66.0/24", &format!("{wish} {wish}/udp"));
    (host, outside)
}

/// Makes c2 send packets for 127.0.0.1 to the host.
fn sends_loopback(host: &Host) {
    for line in [
        "ip -n c2 route del local 127.0.0.1 dev lo table local",
        "ip -n c2 route del local 127.0.0.0/8 dev lo table local",
        "ip -n c2 addr del 127.0.0.1/8 dev lo",
    ] {
        // Deleting the first rule may delete the others with it.
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
    host.shell(&format!("nft flush ruleset; {WITHOUT_BACKSTOP}")).ok();
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

/// There, answers carry the host's loopback address before they reach the filter.
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
    host.shell(&format!("nft flush ruleset; {WITHOUT_BACKSTOP}")).ok();
    assert_unserved("c2", "127.0.0.1:53");
    assert_eq!(ask("c2", Transport::Tcp, "127.0.0.1:9999"), None);
    host.shell(WITHOUT_FILTER).ok();
    assert_served("c2", "127.0.0.1:9999", "host", "10.55.66.3");
    assert_served("c2", "127.0.0.1:53", "host", "10.55.66.3");
}

/// TCP ports keep working when bridge netfilter is switched on later; UDP ports work again after a repair.
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

/// Makes c2 send a datagram from `from` to port 7777 of `to`.
fn sends(host: &Host, from: &str, to: &str) {
    host.shell(&format!(
        "ip netns exec c2 python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); \
         s.bind((\"{from}\", 0)); s.sendto(b\"x\", (\"{to}\", 7777))'"
    ))
    .ok();
}

/// Makes c2 send a forged datagram and then a genuine one; returns the source of the first that arrives.
fn first_heard(host: &Host, namespace: &str, to: &str) -> String {
    let listen = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((\"\", 7777)); \
                  open(\"/run/listens\", \"w\"); print(s.recvfrom(9)[1][0])";
    host.shell("rm -f /run/listens").ok();
    let mut listener = Command::new("nsenter");
    listener.args([&format!("--net={namespace}"), "python3", "-c", listen]).stdout(Stdio::piped());
    let listener = listener.spawn().expect("a listener");
    host.wait_for("test -e /run/listens");
    sends(host, "127.0.0.2", to);
    sends(host, "10.55.66.3", to);
    let heard = listener.wait_with_output().expect("a datagram").stdout;
    String::from_utf8_lossy(&heard).trim().to_owned()
}

/// Lets c2 use loopback addresses outside.
fn may_forge(host: &Host) {
    host.shell(
        "ip -n c2 addr add 127.0.0.2/32 dev eth0; ip netns exec c2 sysctl -qw net.ipv4.conf.all.route_localnet=1",
    )
    .ok();
    host.shell("sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.zb-blue.rp_filter=0").ok();
}

fn a_container_does_not_send_from_a_loopback_address() {
    let (host, _outside) = blue("127.0.0.1:8080:80");
    may_forge(&host);
    let heard = || first_heard(&host, "/proc/self/ns/net", "10.55.66.1");
    host.shell(WITHOUT_GUARD).ok();
    assert_eq!(heard(), "10.55.66.3");
    host.shell(WITHOUT_FILTER).ok();
    assert_eq!(heard(), "127.0.0.2");
    host.zubi("repair").ok();
    host.shell(WITHOUT_FILTER).ok();
    assert_eq!(heard(), "10.55.66.3");
}

/// No filter of a bridge sees the packet; without the guard, masquerading gives it the gateway's address.
fn nor_to_a_neighbour_when_bridges_pass_frames_to_the_firewall() {
    let test = "nor_to_a_neighbour_when_bridges_pass_frames_to_the_firewall";
    if !need(&[Capability::BridgeNetfilter], test) {
        return;
    }
    let (host, _outside) = blue("127.0.0.1:8080:80");
    host.shell("sysctl -qw net.bridge.bridge-nf-call-iptables=1").ok();
    may_forge(&host);
    assert_eq!(first_heard(&host, "/run/netns/c1", "10.55.66.2"), "10.55.66.3");
    host.shell(WITHOUT_GUARD).ok();
    assert_eq!(first_heard(&host, "/run/netns/c1", "10.55.66.2"), "10.55.66.1");
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
    host.shell("tc filter add dev zb-blue ingress pref 9 bpf da bytecode '1,6 0 0 4294967295'").ok();
    host.zubi("sandbox add c1").ok();
    host.zubi("connect blue c1 -p 127.0.0.1:8080:80").ok();
    host.shell(FILTER).ok();
    host.shell("tc filter show dev zb-blue ingress | grep -q 'pref 9 bpf'").ok();
    host.zubi("check").ok();
}

/// On a foreign bridge the setting stays, and therefore the filter too.
fn a_bridge_of_others_has_the_filter_beside_theirs() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    lab.host
        .shell(
            "ip link add cni0 type bridge && ip link set cni0 up && tc qdisc add dev cni0 clsact && \
             tc filter add dev cni0 ingress pref 9 bpf da bytecode '1,6 0 0 4294967295'",
        )
        .ok();
    let filters =
        || lab.host.shell("tc filter show dev cni0 ingress | grep -o 'pref [0-9]* bpf chain 0 handle [0-9a-fx]*'").out;
    let mut chain = lab.chain(&json!([
        {
            "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true,
            "ipam": { "type": "host-local", "ranges": [[{ "subnet": "10.55.66.0/24" }]], "routes": [{ "dst": "0.0.0.0/0" }] },
        },
        { "type": "portmap", "capabilities": { "portMappings": true } },
    ]));
    let ports = json!([{ "hostPort": 8080, "containerPort": 80, "protocol": "tcp" }]);
    let c1 = lab.at("c1").capability("portMappings", ports);
    chain.add(&c1).ok();
    let both = "pref 9 bpf chain 0 handle 0x1\npref 127 bpf chain 0 handle 0x7a756269\n";
    assert_eq!(filters(), both);
    chain.check(&c1).ok();
    chain.del(&c1).ok();
    lab.host.settle();
    assert_eq!(lab.host.shell("sysctl -n net.ipv4.conf.cni0.route_localnet").ok().out, "1\n");
    assert_eq!(filters(), both);
}

fn without_a_port_on_loopback_there_is_no_filter() {
    let (host, _outside) = blue("192.0.2.1:8080:80");
    assert_eq!(host.shell("tc filter show dev zb-blue ingress").ok().out, "");
}

zubi_lab::tests!(
    without_the_firewall_a_container_does_not_reach_the_loopback_of_the_host,
    without_the_rule_too,
    a_port_on_loopback_is_served_to_the_host_through_the_filter,
    when_bridges_pass_frames_to_the_firewall_a_port_is_served_and_nothing_opens,
    bridge_netfilter_that_is_switched_on_later_keeps_tcp,
    a_container_does_not_send_from_a_loopback_address,
    nor_to_a_neighbour_when_bridges_pass_frames_to_the_firewall,
    a_missing_filter_is_found_and_put_back,
    filters_of_others_stay,
    a_bridge_of_others_has_the_filter_beside_theirs,
    without_a_port_on_loopback_there_is_no_filter,
);
