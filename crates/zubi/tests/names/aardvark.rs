//! What aardvark-dns promises Podman, by its own test suite: the same behaviours, asked of the daemon. README.md of the
//! tests says which test of ours stands for which of its cases.

use crate::daemon::{ZUBI, dig, has_dig, netavark, start, until};
use crate::host_server::{Server, resolv_conf};
use serde_json::{Map, Value, json};
use std::any::Any;
use std::net::{TcpListener, UdpSocket};
use std::process::Command;
use zubi_lab::{DhcpServer, Host, ZubiDaemon};

const ID: &str = "5d3e9a1b2c4d5e6f7f8e3a1b2c4d5e6f7f8e3a1b2c4d5e6f7f8e3a1b2c4d5e6f";

/// A network of Podman's; its number is in its subnet.
#[derive(Clone, Copy)]
struct Net {
    name: &'static str,
    number: u8,
    is_v6: bool,
    internal: bool,
}

const ONE: Net = Net { name: "podman1", number: 1, is_v6: false, internal: false };
const TWO: Net = Net { name: "podman2", number: 2, is_v6: false, internal: false };
const THREE: Net = Net { name: "podman3", number: 3, is_v6: false, internal: false };

impl Net {
    fn v6(self) -> Net {
        Net { is_v6: true, ..self }
    }

    /// The address of a number on it; 1 is the gateway's.
    fn at(self, number: u8) -> String {
        if self.is_v6 { format!("fd89:{}::{number:x}", self.number) } else { format!("10.89.{}.{number}", self.number) }
    }

    fn gateway(self) -> String {
        self.at(1)
    }

    fn info(self) -> Value {
        let subnet =
            if self.is_v6 { format!("fd89:{}::/64", self.number) } else { format!("10.89.{}.0/24", self.number) };
        json!({
            "name": self.name, "id": format!("{}{}", self.number, &ID[1..]), "driver": "bridge",
            "network_interface": format!("podman{}", self.number), "internal": self.internal,
            "ipv6_enabled": self.is_v6, "dns_enabled": true,
            "subnets": [{"subnet": subnet, "gateway": self.gateway()}],
        })
    }
}

/// A container with its number on each of its networks.
struct Container {
    name: &'static str,
    aliases: &'static [&'static str],
    number: u8,
    servers: &'static [&'static str],
}

const AONE: Container = Container { name: "aone", aliases: &["a1", "1a"], number: 7, servers: &[] };
const ATWO: Container = Container { name: "atwo", aliases: &["a2", "2a"], number: 8, servers: &[] };
const BONE: Container = Container { name: "bone", aliases: &[], number: 9, servers: &[] };

impl Container {
    fn request(&self, nets: &[Net]) -> Value {
        let (mut networks, mut infos) = (Map::new(), Map::new());
        for net in nets {
            let of = json!({
                "interface_name": format!("eth{}", net.number), "static_ips": [net.at(self.number)],
                "aliases": self.aliases,
            });
            networks.insert(net.name.to_owned(), of);
            infos.insert(net.name.to_owned(), net.info());
        }
        json!({
            "container_id": format!("{}{}", self.number, &ID[1..]), "container_name": self.name,
            "dns_servers": self.servers, "networks": networks, "network_info": infos,
        })
    }

    /// Starts it on these networks.
    fn start(&self, host: &Host, nets: &[Net]) -> Value {
        host.shell(&format!("ip netns list | grep -qw {0} || ip netns add {0}", self.name)).ok();
        netavark(host, "setup", self.name, &self.request(nets)).ok().json()
    }

    /// What it hears from the gateway of a network.
    fn asks(&self, host: &Host, net: Net, words: &str) -> String {
        dig(host, self.name, &format!("{words} @{}", net.gateway()))
    }
}

/// A host whose server at 127.0.0.53 knows `testname` and `example.com`, and refuses what it does not know.
fn house() -> (Host, Server, ZubiDaemon) {
    let host = Host::new(ZUBI);
    host.shell("ip link set lo up").ok();
    resolv_conf(&host, "nameserver 127.0.0.53\n");
    let known = "--address=/testname/198.51.100.1 --address=/example.com/198.51.100.2 \
                 --address=/example.com/2001:db8::2";
    let server = Server::start(&host, "127.0.0.53", known);
    let daemon = start(&host);
    (host, server, daemon)
}

fn can_ask(test: &str) -> bool {
    has_dig(test) && DhcpServer::has_dnsmasq(test)
}

fn a_container_has_names_and_the_outside_by_udp_and_tcp() {
    if !can_ask("a_container_has_names_and_the_outside_by_udp_and_tcp") {
        return;
    }
    let (host, _server, _daemon) = house();
    AONE.start(&host, &[ONE]);
    ATWO.start(&host, &[ONE]);
    for name in ["atwo", "a2", "2a"] {
        assert_eq!(AONE.asks(&host, ONE, name), ONE.at(8), "{name}");
        assert_eq!(AONE.asks(&host, ONE, &format!("{name} +tcp")), ONE.at(8), "{name} by TCP");
    }
    for name in ["aone", "a1", "1a"] {
        assert_eq!(ATWO.asks(&host, ONE, name), ONE.at(7), "{name}");
    }
    let whole = host.shell(&format!("ip netns exec aone dig aone @{}", ONE.gateway())).ok().out;
    assert!(!whole.contains("recursion requested but not available"), "{whole}");
    let row = whole.lines().find(|line| line.starts_with("aone.")).unwrap_or_default();
    assert_eq!(row.split_whitespace().collect::<Vec<_>>(), ["aone.", "0", "IN", "A", &*ONE.at(7)]);
    // Several questions by one connection.
    let words = format!("dig +tcp +short +keepopen @{} aone a1 1a", ONE.gateway());
    let heard = host.shell(&format!("ip netns exec aone {words}")).ok().out;
    assert_eq!(heard.lines().collect::<Vec<_>>(), [&*ONE.at(7); 3]);
    for words in ["example.com", "example.com +tcp"] {
        assert_eq!(AONE.asks(&host, ONE, words), "198.51.100.2", "{words}");
    }
    // A single label that is nobody's goes to the host's server, whose refusal comes back.
    assert_eq!(AONE.asks(&host, ONE, "testname"), "198.51.100.1");
    assert_eq!(AONE.asks(&host, ONE, "someshortname"), "REFUSED");
}

fn a_network_of_ipv6_alone_and_one_with_a_long_name() {
    if !can_ask("a_network_of_ipv6_alone_and_one_with_a_long_name") {
        return;
    }
    let (host, _server, _daemon) = house();
    AONE.start(&host, &[ONE.v6()]);
    assert_eq!(AONE.asks(&host, ONE.v6(), "aone AAAA"), ONE.v6().at(7));
    assert_eq!(AONE.asks(&host, ONE.v6(), "example.com AAAA"), "2001:db8::2");
    // As long as a network of ours may be called, and longer than a label of a name.
    let net = Net {
        name: "podman111111111111111111111111111111111111111111111111111111111111111111111111111111111111",
        ..TWO
    };
    BONE.start(&host, &[net]);
    assert_eq!(BONE.asks(&host, net, "bone"), net.at(9));
}

fn reverse_names_are_all_names_of_a_container() {
    if !can_ask("reverse_names_are_all_names_of_a_container") {
        return;
    }
    let (host, _server, _daemon) = house();
    for net in [ONE, TWO.v6()] {
        for container in [AONE, ATWO] {
            container.start(&host, &[net]);
        }
        for (asker, number, names) in [(AONE, 8, "atwo. a2. 2a."), (ATWO, 7, "aone. a1. 1a.")] {
            let heard = asker.asks(&host, net, &format!("-x {}", net.at(number)));
            assert!(heard.starts_with(names), "{heard}");
        }
        for container in [AONE, ATWO] {
            netavark(&host, "teardown", container.name, &container.request(&[net])).ok();
        }
    }
}

fn containers_of_different_networks_do_not_find_each_other() {
    if !can_ask("containers_of_different_networks_do_not_find_each_other") {
        return;
    }
    let (host, _server, _daemon) = house();
    AONE.start(&host, &[ONE]);
    BONE.start(&host, &[TWO]);
    assert_eq!(AONE.asks(&host, ONE, "bone.dns.podman"), "NXDOMAIN");
    assert_eq!(BONE.asks(&host, TWO, "aone.dns.podman"), "NXDOMAIN");
    // As any other name that the host's server does not know.
    assert_eq!(AONE.asks(&host, ONE, "bone"), "REFUSED");
    assert_eq!(AONE.asks(&host, ONE, "aone"), ONE.at(7));
    assert_eq!(BONE.asks(&host, TWO, "bone"), TWO.at(9));
    // The host finds those of the network that it asks on.
    let of_host = |words: &str, net: Net| {
        let heard = host.shell(&format!("dig +short +time=5 {words} @{}", net.gateway())).ok().out;
        heard.trim().to_owned()
    };
    assert_eq!(of_host("aone", ONE), ONE.at(7));
    assert_eq!(of_host("aone", TWO), "");
    assert_eq!(of_host("bone", TWO), TWO.at(9));
}

fn a_container_on_two_networks_finds_both_whichever_it_asks() {
    if !can_ask("a_container_on_two_networks_finds_both_whichever_it_asks") {
        return;
    }
    let (host, _server, _daemon) = house();
    AONE.start(&host, &[ONE]);
    BONE.start(&host, &[TWO]);
    let both = Container { name: "abtwo", number: 10, ..BONE };
    both.start(&host, &[ONE, TWO]);
    assert_eq!(AONE.asks(&host, ONE, "abtwo"), ONE.at(10));
    assert_eq!(AONE.asks(&host, ONE, "bone.dns.podman"), "NXDOMAIN");
    assert_eq!(BONE.asks(&host, TWO, "abtwo"), TWO.at(10));
    assert_eq!(BONE.asks(&host, TWO, "aone.dns.podman"), "NXDOMAIN");
    for domain in ["", ".dns.podman"] {
        for net in [ONE, TWO] {
            assert_eq!(both.asks(&host, net, &format!("aone{domain}")), ONE.at(7));
            assert_eq!(both.asks(&host, net, &format!("bone{domain}")), TWO.at(9));
        }
    }
    // Its own addresses: the one on the network that it asks is first.
    assert_eq!(both.asks(&host, ONE, "abtwo"), format!("{} {}", ONE.at(10), TWO.at(10)));
    assert_eq!(both.asks(&host, TWO, "abtwo"), format!("{} {}", TWO.at(10), ONE.at(10)));
}

fn containers_that_are_connected_later_find_each_other_on_the_new_network() {
    if !can_ask("containers_that_are_connected_later_find_each_other_on_the_new_network") {
        return;
    }
    for [first, second, third] in [[ONE, TWO, THREE], [ONE, TWO.v6(), THREE.v6()]] {
        let (host, _server, _daemon) = house();
        let aone = Container { aliases: &["aone_nw"], ..AONE };
        let cone = Container { name: "cone", aliases: &["cone_nw"], number: 11, servers: &[] };
        aone.start(&host, &[first]);
        cone.start(&host, &[third]);
        assert_eq!(aone.asks(&host, first, "cone.dns.podman"), "NXDOMAIN");
        aone.start(&host, &[second]);
        cone.start(&host, &[second]);
        let kind = if second.is_v6 { "AAAA" } else { "A" };
        for name in ["cone", "cone_nw"] {
            for net in [first, second] {
                assert_eq!(aone.asks(&host, net, &format!("{name} {kind}")), second.at(11), "{name}");
            }
        }
        let heard = cone.asks(&host, third, &format!("aone_nw {kind}"));
        assert_eq!(heard, second.at(7));
        for (container, nets) in [(&aone, [first, second]), (&cone, [third, second])] {
            netavark(&host, "teardown", container.name, &container.request(&nets)).ok();
            host.shell(&format!("ip netns del {}", container.name)).ok();
        }
    }
}

fn an_internal_network_has_names_and_no_outside() {
    if !can_ask("an_internal_network_has_names_and_no_outside") {
        return;
    }
    let (host, _server, _daemon) = house();
    for (net, kind) in [(Net { internal: true, ..ONE }, "A"), (Net { internal: true, ..TWO.v6() }, "AAAA")] {
        let container = Container { servers: if net.is_v6 { &["2001:db8::53"] } else { &["127.0.0.53"] }, ..AONE };
        container.start(&host, &[net]);
        assert_eq!(container.asks(&host, net, &format!("aone {kind}")), net.at(7));
        assert_eq!(container.asks(&host, net, "example.com NS"), "NXDOMAIN");
        netavark(&host, "teardown", container.name, &container.request(&[net])).ok();
    }
}

fn servers_of_a_container_are_asked_instead_of_the_hosts() {
    if !can_ask("servers_of_a_container_are_asked_instead_of_the_hosts") {
        return;
    }
    let (host, _server, _daemon) = house();
    let _own = Server::start(&host, "127.1.1.53", "--address=/unique-name.local/192.168.0.1");
    let good = Container { servers: &["127.1.1.53"], ..AONE };
    good.start(&host, &[ONE]);
    assert_eq!(good.asks(&host, ONE, "aone"), ONE.at(7));
    assert_eq!(good.asks(&host, ONE, "unique-name.local"), "192.168.0.1");
    // Nobody is there: the names of ours remain, and the host's server is not asked.
    let bad = Container { servers: &["127.0.0.255"], ..ATWO };
    bad.start(&host, &[ONE]);
    assert_eq!(bad.asks(&host, ONE, "atwo"), ONE.at(8));
    assert_eq!(bad.asks(&host, ONE, "example.com"), "SERVFAIL");
    // One that takes questions and answers none, before one that does.
    let _silent = UdpSocket::bind("127.5.5.5:53").expect("a socket");
    let both = Container { servers: &["127.5.5.5", "127.0.0.53"], ..BONE };
    both.start(&host, &[ONE]);
    for words in ["example.com", "testname +tcp"] {
        assert!(both.asks(&host, ONE, words).starts_with("198.51.100."), "{words}");
    }
}

fn a_server_of_the_host_on_one_link_is_asked_there() {
    if !can_ask("a_server_of_the_host_on_one_link_is_asked_there") {
        return;
    }
    let (host, _server, _daemon) = house();
    host.shell("sysctl -qw net.ipv6.conf.default.accept_dad=0; ip link add up0 type bridge && ip link set up0 up").ok();
    host.wait_for("ip -6 addr show dev up0 scope link | grep -q inet6");
    let found = host.shell("ip -o -6 addr show dev up0 scope link | sed 's/.*inet6 //; s,/.*,,'").ok().out;
    let address = format!("{}%up0", found.trim());
    let line = format!(
        "exec dnsmasq -d -C /dev/null --no-hosts --no-resolv --listen-address={} --interface=up0 --bind-interfaces \
         --except-interface=lo --user=root --pid-file= --address=/unique-name.local/192.168.0.1 >/run/link.log 2>&1",
        found.trim()
    );
    let mut server = Command::new("/bin/sh").args(["-c", &line]).spawn().expect("dnsmasq");
    host.wait_for("ss -lnu | grep -q 'fe80.*:53'");
    resolv_conf(&host, &format!("nameserver {address}\n"));
    AONE.start(&host, &[ONE]);
    until(|| AONE.asks(&host, ONE, "unique-name.local") == "192.168.0.1");
    assert_eq!(AONE.asks(&host, ONE, "aone"), ONE.at(7));
    server.kill().expect("kill");
    server.wait().expect("wait");
}

fn other_servers_in_the_hosts_file_are_asked_soon() {
    if !can_ask("other_servers_in_the_hosts_file_are_asked_soon") {
        return;
    }
    let (host, _server, _daemon) = house();
    let _second = Server::start(&host, "127.1.1.2", "--address=/second-server.test/192.168.100.2");
    AONE.start(&host, &[ONE]);
    assert_eq!(AONE.asks(&host, ONE, "testname"), "198.51.100.1");
    assert_eq!(AONE.asks(&host, ONE, "second-server.test"), "REFUSED");
    resolv_conf(&host, "nameserver 127.1.1.2\n");
    until(|| AONE.asks(&host, ONE, "second-server.test") == "192.168.100.2");
}

fn a_connection_that_announces_more_than_it_sends_costs_nothing() {
    if !can_ask("a_connection_that_announces_more_than_it_sends_costs_nothing") {
        return;
    }
    let (host, _server, daemon) = house();
    AONE.start(&host, &[ONE]);
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).expect("stat");
        let behind = stat.rsplit_once(')').expect("a name").1;
        behind.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum::<u64>()
    };
    let cut = format!("exec 3<>/dev/tcp/{}/53; printf '\\0\\074' >&3; exec 3>&-", ONE.gateway());
    host.shell(&format!("ip netns exec aone bash -c \"{cut}\"")).ok();
    let before = ticks();
    assert_eq!(AONE.asks(&host, ONE, "aone +tcp"), ONE.at(7));
    std::thread::sleep(std::time::Duration::from_secs(1));
    // A hundred ticks are a second: a loop would take them all.
    assert!(ticks() - before < 50, "the daemon is busy");
}

fn a_taken_port_costs_names_and_nothing_else() {
    if !can_ask("a_taken_port_costs_names_and_nothing_else") {
        return;
    }
    for protocol in ["udp", "tcp"] {
        let host = Host::new(ZUBI);
        let _daemon = start(&host);
        let taken: Box<dyn Any> = match protocol {
            "udp" => Box::new(UdpSocket::bind("0.0.0.0:53").expect("a socket")),
            _ => Box::new(TcpListener::bind("0.0.0.0:53").expect("a socket")),
        };
        // Podman writes the host's servers into the container then.
        let status = AONE.start(&host, &[ONE]);
        assert_eq!(status["podman1"]["dns_server_ips"], json!([]), "{protocol}");
        until(|| host.zubi("status").ok().out.contains("port 53 of 10.89.1.1: Address already in use"));
        drop(taken);
        until(|| AONE.asks(&host, ONE, "aone") == ONE.at(7));
        netavark(&host, "teardown", "aone", &AONE.request(&[ONE])).ok();
        host.shell("ip netns del aone").ok();
    }
}

zubi_lab::tests!(
    a_container_has_names_and_the_outside_by_udp_and_tcp,
    a_network_of_ipv6_alone_and_one_with_a_long_name,
    reverse_names_are_all_names_of_a_container,
    containers_of_different_networks_do_not_find_each_other,
    a_container_on_two_networks_finds_both_whichever_it_asks,
    containers_that_are_connected_later_find_each_other_on_the_new_network,
    an_internal_network_has_names_and_no_outside,
    servers_of_a_container_are_asked_instead_of_the_hosts,
    a_server_of_the_host_on_one_link_is_asked_there,
    other_servers_in_the_hosts_file_are_asked_soon,
    a_connection_that_announces_more_than_it_sends_costs_nothing,
    a_taken_port_costs_names_and_nothing_else,
);
