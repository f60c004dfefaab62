//! Addresses that real DHCP servers on the LAN give to containers of CNI and netavark.

use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};
use zubi_lab::lan::{OUTSIDE, make_lan};
use zubi_lab::{Answer, CniHost, DhcpServer, HELPERS, Host, Snapshot, assert_reaches, links};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const LEASES: &str = "/run/router.leases";
const RANGE: &str = "--dhcp-range=192.168.1.100,192.168.1.199,255.255.255.0,2m";
/// What the server says of the network.
const OPTIONS: &str = "--dhcp-option=6,9.9.9.9,1.1.1.1 --dhcp-option=15,home.arpa \
                       --dhcp-option=121,10.8.0.0/16,192.168.1.7,0.0.0.0/0,192.168.1.1";

fn on_lan(containers: &[&str]) -> CniHost {
    let mut lab = CniHost::new(ZUBI, containers);
    make_lan(&lab.host);
    lab.begin_here();
    lab
}

fn macvlan(ipam: &Value) -> Value {
    let mut of = json!({ "type": "dhcp" });
    of.as_object_mut().expect("object").extend(ipam.as_object().expect("object").clone());
    json!([{ "type": "macvlan", "master": "eth0", "ipam": of }])
}

/// The address in a result, without its prefix length.
fn plain(address: &str) -> String {
    address.split('/').next().expect("an address").to_owned()
}

fn a_container_has_what_the_server_says() {
    if !DhcpServer::has_dnsmasq("a_container_has_what_the_server_says") {
        return;
    }
    let lab = on_lan(&["c1"]);
    let server = DhcpServer::dnsmasq("router", &format!("{RANGE} {OPTIONS}"));
    let mut chain = lab.chain(&macvlan(&json!({ "daemonSocketPath": "/run/none.sock" })));
    let at = lab.at("c1").args("IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web_0");
    chain.status().ok();
    let result = chain.add(&at).ok();
    let [address] = &result.addresses()[..] else { panic!("{}", result.value) };
    assert!(address.starts_with("192.168.1.1") && address.ends_with("/24"), "{address}");
    assert_eq!(result.value["ips"][0]["gateway"], "192.168.1.1");
    assert_eq!(
        result.value["routes"],
        json!([{ "dst": "10.8.0.0/16", "gw": "192.168.1.7" }, { "dst": "0.0.0.0/0", "gw": "192.168.1.1" }])
    );
    assert_eq!(result.value["dns"], json!({ "nameservers": ["9.9.9.9", "1.1.1.1"], "domain": "home.arpa" }));
    let routes = lab.host.shell("ip -n c1 route").ok().out;
    assert!(routes.contains("10.8.0.0/16 via 192.168.1.7") && routes.contains("default via 192.168.1.1"), "{routes}");
    assert_reaches("c1", "router", OUTSIDE);
    assert_reaches("pc", "c1", &plain(address));
    assert!(server.log().contains("client provides name: web-0"), "{}", server.log());
    chain.check(&at).ok();
    lab.host.zubi("check").ok();
    chain.add(&at).fails(104, "has eth0 already");
    // The lease is zubi's own, renewed as all others.
    let said = lab.host.zubi("lease renew --all --force").ok().out;
    assert!(said.starts_with(&format!("cni:c1 on cni:blue: {address} renewed, ")), "{said}");
    chain.del(&at).ok();
    lab.host.wait_for(&format!("! grep -q {} {LEASES}", plain(address)));
    assert!(server.log().contains("DHCPRELEASE"), "{}", server.log());
    chain.del(&at).ok();
    // The pod comes back in another container, and is the same one to the server.
    lab.host.shell("ip netns del c1; ip netns add c9; ip -n c9 link set lo up").ok();
    let again = lab.at("c9").args("K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web_0");
    assert_eq!(&chain.add(&again).ok().addresses()[0], address);
    // A namespace that is gone costs nothing.
    lab.host.shell("ip netns del c9").ok();
    chain.del(&again.without_netns()).ok();
    lab.host.shell("ip netns add c1; ip -n c1 link set lo up").ok();
    lab.assert_nothing_remains();
}

/// The old container of a pod may still be there when the new one starts.
fn a_second_container_of_a_pod_leaves_the_first_its_address() {
    if !DhcpServer::has_dnsmasq("a_second_container_of_a_pod_leaves_the_first_its_address") {
        return;
    }
    let lab = on_lan(&["c1", "c2"]);
    let _server = DhcpServer::dnsmasq("router", RANGE);
    let mut chain = lab.chain(&macvlan(&json!({})));
    let [first, second] = ["c1", "c2"].map(|name| lab.at(name).args("K8S_POD_NAME=web"));
    let has = chain.add(&first).ok().addresses();
    assert_ne!(chain.add(&second).ok().addresses(), has);
    for container in ["c1", "c2"] {
        assert_reaches(container, "router", OUTSIDE);
    }
    chain.check(&first).ok();
    chain.check(&second).ok();
    chain.del(&first).ok();
    assert_reaches("c2", "router", OUTSIDE);
    chain.del(&second).ok();
    lab.assert_nothing_remains();
}

fn the_configuration_says_what_the_server_hears() {
    if !DhcpServer::has_dnsmasq("the_configuration_says_what_the_server_hears") {
        return;
    }
    let lab = on_lan(&["c1"]);
    let server = DhcpServer::dnsmasq("router", RANGE);
    let provide = json!([
        { "option": "host-name", "value": "box", "fromArg": "NERDCTL_CNI_DHCP_HOSTNAME" },
        { "option": "vendor-class-identifier", "value": "lab" },
        { "option": "dhcp-client-identifier", "value": "me" },
        { "option": "77", "value": "users" },
    ]);
    // A container that does not ask for the router has no default route.
    let request = json!([{ "skipDefault": true, "option": "subnet-mask" }]);
    let mut chain = lab.chain(&macvlan(&json!({ "provide": provide, "request": request })));
    let at = lab.at("c1").args("NERDCTL_CNI_DHCP_HOSTNAME=web");
    let result = chain.add(&at).ok();
    assert_eq!(result.value.get("routes"), None, "{}", result.value);
    assert_eq!(lab.host.shell("ip -n c1 route show default").ok().out, "");
    for words in ["client provides name: web", "vendor class: lab", "user class: users"] {
        assert!(server.log().contains(words), "{words}: {}", server.log());
    }
    let leases = || fs::read_to_string(LEASES).expect("leases");
    // "me" in hex.
    assert!(leases().contains(" web 6d:65"), "{}", leases());
    // It says the same when it renews.
    lab.host.zubi("lease renew --all --force").ok();
    assert!(leases().contains(" web 6d:65"), "{}", leases());
    assert_eq!(server.log().matches("vendor class: lab").count(), 3, "{}", server.log());
    chain.check(&at).ok();
    chain.del(&at).ok();
    lab.assert_nothing_remains();
    let wanted = lab.at("c1").args("IP=192.168.1.9");
    chain.add(&wanted).fails(7, "a DHCP server gives the IPv4 addresses of network cni:blue");
    lab.assert_nothing_remains();
}

/// A bridge that somebody made, with the host's card as a port.
const BRIDGE: &str = "set -e
    ip link add br0 type bridge; ip link set br0 up; ip link set eth0 master br0
    ip addr flush dev eth0; ip addr add 192.168.1.5/24 dev br0; ip route add default via 192.168.1.1";

fn a_bridge_with_the_card_as_a_port_leads_to_the_server_too() {
    if !DhcpServer::has_dnsmasq("a_bridge_with_the_card_as_a_port_leads_to_the_server_too") {
        return;
    }
    let mut lab = on_lan(&["c1", "c2"]);
    lab.host.shell(BRIDGE).ok();
    lab.begin_here();
    let _server = DhcpServer::dnsmasq("router", RANGE);
    let plugin = json!({ "type": "bridge", "bridge": "br0", "ipam": { "type": "dhcp" } });
    let mut chain = lab.chain(&json!([plugin, { "type": "firewall" }]));
    let result = chain.add(&lab.at("c1")).ok();
    assert_eq!(result.value["interfaces"][0]["name"], "br0");
    let address = plain(&result.addresses()[0]);
    chain.add(&lab.at("c2")).ok();
    assert_reaches("c1", "router", OUTSIDE);
    assert_reaches("pc", "c1", &address);
    assert_reaches("host", "c1", &address);
    chain.check(&lab.at("c1")).ok();
    lab.host.zubi("check").ok();
    // While it is in use nobody else gives its addresses.
    let mut fixed = lab.chain(&json!([{
        "type": "bridge", "bridge": "br0", "ipam": { "type": "host-local", "subnet": "192.168.1.0/24" },
    }]));
    lab.host.shell("ip netns add c3; ip -n c3 link set lo up").ok();
    fixed.add(&lab.at("c3")).fails(7, "does not give the addresses of network cni:blue, which is dhcp");
    lab.host.shell("ip netns del c3").ok();
    chain.gc_only(&[&lab.at("c2")]).ok();
    lab.host.wait_for(&format!("! grep -q {address} {LEASES}"));
    chain.del(&lab.at("c2")).ok();
    lab.assert_nothing_remains();
}

fn where_no_server_answers_there_is_an_error_in_time_and_nothing_is_left() {
    let lab = on_lan(&["c1"]);
    let mut chain = lab.chain(&macvlan(&json!({})));
    let since = Instant::now();
    chain.add(&lab.at("c1")).fails(105, "cni:c1 gets no address: no DHCP server answered within 10 s");
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    lab.assert_nothing_remains();
    chain.del(&lab.at("c1")).ok();
    lab.assert_nothing_remains();
}

/// A request of Podman 5.
fn request(driver: &str, device: &str, options: &Value, container: &str) -> Value {
    json!({
        "container_id": "ab".repeat(32), "container_name": container, "container_hostname": "abababababab",
        "networks": { "lan": { "interface_name": "eth0", "aliases": ["abababababab"] } },
        "network_info": { "lan": {
            "name": "lan", "id": "cd".repeat(32), "driver": driver, "network_interface": device, "options": options,
            "ipv6_enabled": false, "internal": false, "dns_enabled": false, "ipam_options": { "driver": "dhcp" },
        } },
    })
}

pub(crate) fn netavark(host: &Host, words: &str, request: &Value) -> Answer {
    fs::write("/run/request.json", request.to_string()).expect("request");
    host.shell(&format!("/run/helpers/netavark --config /run/n {words} < /run/request.json"))
}

fn podman_s_containers_get_addresses_by_their_names() {
    if !DhcpServer::has_dnsmasq("podman_s_containers_get_addresses_by_their_names") {
        return;
    }
    let host = Host::new(ZUBI);
    links(ZUBI, "/run/helpers", &HELPERS);
    make_lan(&host);
    host.shell("ip netns add c1; ip -n c1 link set lo up").ok();
    fs::write("/run/request.json", "").expect("request");
    let before = Snapshot::take();
    let server = DhcpServer::dnsmasq("router", &format!("{RANGE} {OPTIONS}"));
    let asks = request("macvlan", "eth0", &json!({ "mode": "bridge", "metric": "42" }), "web");
    let status = netavark(&host, "setup /run/netns/c1", &asks).ok().json()["lan"].clone();
    let subnet = &status["interfaces"]["eth0"]["subnets"][0];
    assert_eq!(subnet["gateway"], "192.168.1.1");
    let address = plain(subnet["ipnet"].as_str().expect("an address"));
    assert_eq!(status["dns_server_ips"], json!(["9.9.9.9", "1.1.1.1"]));
    assert_eq!(status["dns_search_domains"], json!(["home.arpa"]));
    assert!(
        host.shell("ip -n c1 route show default").ok().out.contains("via 192.168.1.1 dev eth0 proto 122 metric 42")
    );
    assert_reaches("c1", "router", OUTSIDE);
    assert_reaches("pc", "c1", &address);
    assert!(server.log().contains("client provides name: web"), "{}", server.log());
    host.zubi("check").ok();
    netavark(&host, "teardown /run/netns/c1", &asks).ok();
    host.wait_for(&format!("! grep -q {address} {LEASES}"));
    // The same name is the same container to the server.
    let mut anew = asks.clone();
    anew["container_id"] = json!("ef".repeat(32));
    let status = netavark(&host, "setup /run/netns/c1", &anew).ok().out;
    assert!(status.contains(&format!("{address}/24")), "{status}");
    // Its namespace is gone before the teardown.
    host.shell("ip netns del c1").ok();
    netavark(&host, "teardown /run/netns/c1", &anew).ok();
    host.shell("ip netns add c1; ip -n c1 link set lo up; : > /run/request.json").ok();
    host.settle();
    // The kernel deletes what was in a namespace a while after it.
    host.wait_for("ip -d link show eth0 | grep -q 'promiscuity 0'");
    before.assert_no_residue(&Snapshot::take());
}

fn podman_s_unmanaged_bridges_lead_to_the_server_too() {
    if !DhcpServer::has_dnsmasq("podman_s_unmanaged_bridges_lead_to_the_server_too") {
        return;
    }
    let host = Host::new(ZUBI);
    links(ZUBI, "/run/helpers", &HELPERS);
    make_lan(&host);
    host.shell(BRIDGE).ok();
    host.shell("ip netns add c1; ip -n c1 link set lo up").ok();
    let _server = DhcpServer::dnsmasq("router", RANGE);
    let asks = request("bridge", "br0", &json!({ "mode": "unmanaged" }), "web");
    netavark(&host, "setup /run/netns/c1", &asks).ok();
    assert_reaches("c1", "router", OUTSIDE);
    host.zubi("check").ok();
    netavark(&host, "teardown /run/netns/c1", &asks).ok();
    let managed = request("bridge", "br0", &json!({}), "web");
    let refused = netavark(&host, "setup /run/netns/c1", &managed);
    assert!(refused.code == 1 && refused.out.contains("mode=unmanaged"), "{}", refused.out);
}

fn daemons_that_are_not_needed_end_with_success() {
    let host = Host::new(ZUBI);
    links(ZUBI, "/run/helpers", &["netavark", "dhcp"]);
    let said = host.shell("/run/helpers/dhcp daemon -socketpath /run/dhcp.sock").ok().err;
    assert!(said.contains("zubi takes DHCP leases itself"), "{said}");
    let said = host.shell("/run/helpers/netavark dhcp-proxy --activity-timeout 30").ok().out;
    assert!(said.contains("zubi takes DHCP leases itself"), "{said}");
    assert_eq!(host.shell("ls -A /run/helpers").ok().out, "dhcp\nnetavark\n");
    // Main plug-ins of other programs cannot use it.
    let ask = |verb: &str| {
        let config = r#"{"cniVersion":"1.0.0","name":"blue","type":"vlan","ipam":{"type":"dhcp"}}"#;
        let names = "CNI_CONTAINERID=c1 CNI_NETNS=/run/netns/c1 CNI_IFNAME=eth0 CNI_PATH=/run/helpers";
        host.shell(&format!("echo '{config}' | CNI_COMMAND={verb} {names} /run/helpers/dhcp"))
    };
    let refused = ask("ADD");
    assert_eq!(refused.code, 1);
    assert!(refused.out.contains("for other main plug-ins put the reference's dhcp here"), "{}", refused.out);
    assert_eq!(ask("DEL").ok().out, "");
    assert!(ask("VERSION").ok().out.contains("\"1.1.0\""));
}

zubi_lab::tests!(
    a_container_has_what_the_server_says,
    a_second_container_of_a_pod_leaves_the_first_its_address,
    the_configuration_says_what_the_server_hears,
    a_bridge_with_the_card_as_a_port_leads_to_the_server_too,
    where_no_server_answers_there_is_an_error_in_time_and_nothing_is_left,
    podman_s_containers_get_addresses_by_their_names,
    podman_s_unmanaged_bridges_lead_to_the_server_too,
    daemons_that_are_not_needed_end_with_success,
);
