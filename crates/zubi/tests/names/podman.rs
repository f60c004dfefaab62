//! Podman's networks, by the requests that Podman sends to netavark.

use crate::daemon::{ZUBI, dig, has_dig, netavark, start};
use serde_json::{Value, json};
use std::process::Command;
use zubi_lab::{Answer, Host};

const ID: &str = "7f8e3a1b2c4d5e6f7f8e3a1b2c4d5e6f7f8e3a1b2c4d5e6f7f8e3a1b2c4d5e6f";

/// A container of Podman's in the namespace of that name.
struct Container {
    name: &'static str,
    address: &'static str,
    dns_enabled: bool,
}

impl Container {
    fn request(&self) -> Value {
        json!({
            "container_id": format!("{}{}", self.name, &ID[self.name.len()..]), "container_name": self.name,
            "networks": {"pnet": {"interface_name": "eth0", "static_ips": [self.address],
                "aliases": [format!("{}{}", self.name, &ID[self.name.len()..12]), format!("{}alias", self.name)]}},
            "network_info": {"pnet": {
                "name": "pnet", "id": ID, "driver": "bridge", "network_interface": "podman7", "internal": false,
                "ipv6_enabled": false, "dns_enabled": self.dns_enabled,
                "subnets": [{"subnet": "10.89.7.0/24", "gateway": "10.89.7.1"}]}},
        })
    }

    fn netavark(&self, host: &Host, verb: &str) -> Answer {
        netavark(host, verb, self.name, &self.request())
    }

    fn start(&self, host: &Host) -> Value {
        host.shell(&format!("ip netns add {}", self.name)).ok();
        self.netavark(host, "setup").ok().json()["pnet"].clone()
    }
}

const A1: Container = Container { name: "a1", address: "10.89.7.2", dns_enabled: true };
const B1: Container = Container { name: "b1", address: "10.89.7.3", dns_enabled: true };

fn podmans_containers_find_each_other_as_soon_as_they_are_set_up() {
    if !has_dig("podmans_containers_find_each_other_as_soon_as_they_are_set_up") {
        return;
    }
    let host = Host::new(ZUBI);
    let _daemon = start(&host);
    let status = A1.start(&host);
    assert_eq!(status["dns_server_ips"], json!(["10.89.7.1"]));
    assert_eq!(status["dns_search_domains"], json!(["dns.podman"]));
    // Not a moment later: the container's process may ask at once.
    let asks = |words: &str| dig(&host, "a1", &format!("{words} @10.89.7.1"));
    assert_eq!(asks("a1"), "10.89.7.2");
    B1.start(&host);
    for name in ["b1", "b1.dns.podman", "B1", "b18e3a1b2c4d", "b1alias.pnet"] {
        assert_eq!(asks(name), "10.89.7.3", "{name}");
    }
    assert_eq!(asks("b1 AAAA"), "NOERROR");
    assert_eq!(asks("nobody.dns.podman"), "NXDOMAIN");
    assert!(asks("-x 10.89.7.3").starts_with("b1. b18e3a1b2c4d. b1alias."));
    B1.netavark(&host, "teardown").ok();
    assert_eq!(asks("b1.dns.podman"), "NXDOMAIN");
    A1.netavark(&host, "teardown").ok();
}

fn without_names_or_without_a_daemon_podman_uses_the_hosts_servers() {
    let host = Host::new(ZUBI);
    assert_eq!(A1.start(&host)["dns_server_ips"], json!([]));
    A1.netavark(&host, "teardown").ok();
    host.shell("ip netns del a1").ok();
    let _daemon = start(&host);
    let nameless = Container { dns_enabled: false, ..A1 };
    assert_eq!(nameless.start(&host)["dns_server_ips"], json!([]));
    host.shell("! ss -lnu | grep -q 10.89.7.1:53").ok();
    nameless.netavark(&host, "teardown").ok();
}

fn the_servers_of_a_network_change_while_it_is_used() {
    let test = "the_servers_of_a_network_change_while_it_is_used";
    if !has_dig(test) || !zubi_lab::DhcpServer::has_dnsmasq(test) {
        return;
    }
    let host = Host::new(ZUBI);
    let _daemon = start(&host);
    A1.start(&host);
    let line = "ip link set lo up; exec dnsmasq -d -C /dev/null --no-hosts --no-resolv --listen-address=127.0.0.55 \
                --bind-interfaces --user=root --pid-file= --address=/example.org/192.0.2.55 >/run/other.log 2>&1";
    let mut server = Command::new("/bin/sh").args(["-c", line]).spawn().expect("dnsmasq");
    host.wait_for("ss -lnu | grep -q 127.0.0.55:53");
    host.shell("/run/netavark --config /run/podman --rootless=false update pnet --network-dns-servers 127.0.0.55").ok();
    assert_eq!(dig(&host, "a1", "www.example.org @10.89.7.1"), "192.0.2.55");
    server.kill().expect("kill");
    server.wait().expect("wait");
    A1.netavark(&host, "teardown").ok();
}

zubi_lab::tests!(
    podmans_containers_find_each_other_as_soon_as_they_are_set_up,
    without_names_or_without_a_daemon_podman_uses_the_hosts_servers,
    the_servers_of_a_network_change_while_it_is_used,
);
