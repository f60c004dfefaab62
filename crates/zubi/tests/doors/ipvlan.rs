//! `ipvlan` of CNI and of netavark, beside the reference plug-in.

use crate::cni_macvlan::{REFERENCE, inside, local, on_lan};
use crate::dhcp::netavark;
use serde_json::{Value, json};
use zubi_lab::lan::{CARD_MAC, COMPUTER, OUTSIDE};
use zubi_lab::{Caller, Capability, Chain, HELPERS, assert_reaches, lacking, links, need, skip};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

/// An ipvlan with these options in addition to its addresses.
fn ipvlan(options: &Value) -> Value {
    let mut plugin = json!({ "type": "ipvlan", "master": "eth0", "ipam": local() });
    plugin.as_object_mut().expect("object").extend(options.as_object().expect("object").clone());
    plugin
}

fn a_list_does_what_it_does_with_the_reference() {
    const TEST: &str = "a_list_does_what_it_does_with_the_reference";
    if !need(&[Capability::Ipvlan], TEST) {
        return;
    }
    if !std::path::Path::new(REFERENCE).join("ipvlan").is_file() {
        return skip(TEST, "needs the package containernetworking-plugins");
    }
    let lab = on_lan(&["c1"]);
    zubi_lab::cover("/var/lib/cni").unwrap_or_else(|why| panic!("{why}"));
    let fixed = json!({
        "type": "static",
        "addresses": [{ "address": "10.1.0.99/24", "gateway": "10.1.0.1" }, { "address": "fd00:1::99/64" }],
        "routes": [{ "dst": "0.0.0.0/0" }, { "dst": "10.8.0.0/16", "gw": "10.1.0.7" }],
    });
    for list in [
        ipvlan(&json!({ "master": "" })),
        ipvlan(&json!({ "mode": "l2", "mtu": 1400 })),
        ipvlan(&json!({ "mode": "l3", "ipam": fixed })),
        ipvlan(&json!({ "mode": "l3s" })),
    ] {
        let at = lab.at("c1");
        let of = |caller: &Caller| {
            let config = json!({ "cniVersion": "1.0.0", "name": "blue", "plugins": [list.clone()] });
            let mut chain = Chain::new(caller, config);
            let mut result = chain.add(&at).ok().value;
            // Older Go libraries print it empty.
            result.as_object_mut().expect("object").remove("dns");
            let seen = inside(&lab, "c1");
            // The reference looks for the card by its name.
            if list["master"] != "" {
                chain.check(&at).ok();
            }
            chain.del(&at).ok();
            (result, seen)
        };
        let (ours, theirs) = (of(&lab.caller), of(&Caller::new(REFERENCE)));
        assert_eq!(ours, theirs, "{list}");
        assert_eq!(ours.0["interfaces"][0]["mac"], CARD_MAC);
        lab.host.shell("rm -rf /var/lib/cni/networks").ok();
    }
    lab.assert_nothing_remains();
}

fn containers_are_on_the_lan_until_they_are_deleted() {
    if !need(&[Capability::Ipvlan], "containers_are_on_the_lan_until_they_are_deleted") {
        return;
    }
    let lab = on_lan(&["c1", "c2"]);
    let mut chain = lab.chain(&json!([ipvlan(&json!({}))]));
    chain.status().ok();
    chain.add(&lab.at("c1")).ok();
    chain.add(&lab.at("c2")).ok();
    assert_reaches("c1", "router", OUTSIDE);
    assert_reaches("pc", "c1", "192.168.1.128");
    assert_reaches("c1", "c2", "192.168.1.129");
    lab.host.zubi("check").ok();
    let mut other = lab.chain_of("other", &json!([ipvlan(&json!({ "mode": "l3" }))]));
    other.add(&lab.at("c2").ifname("eth1")).fails(104, "all ipvlans of a card have one mode");
    chain.add(&lab.at("c1")).fails(104, "has eth0 already");
    chain.del(&lab.at("c1")).ok();
    chain.del(&lab.at("c1")).ok();
    lab.host.shell("ip netns del c2").ok();
    chain.del(&lab.at("c2").without_netns()).ok();
    lab.host.shell("ip netns add c2; ip -n c2 link set lo up").ok();
    lab.assert_nothing_remains();
}

fn podman_s_containers_are_on_the_lan() {
    if !need(&[Capability::Ipvlan], "podman_s_containers_are_on_the_lan") {
        return;
    }
    let mut lab = on_lan(&["c1"]);
    links(ZUBI, "/run/helpers", &HELPERS);
    std::fs::write("/run/request.json", "").expect("request");
    lab.begin_here();
    let mut asks = request();
    let status = netavark(&lab.host, "setup /run/netns/c1", &asks).ok().json()["lan"].clone();
    assert_eq!(status["interfaces"]["eth0"]["mac_address"], CARD_MAC);
    assert!(lab.host.shell("ip -n c1 route").ok().out.contains("default via 192.168.1.1 dev eth0 proto 122 metric 42"));
    assert!(lab.host.shell("ip -n c1 -d link show eth0").ok().out.contains("mtu 1400"));
    assert_reaches("c1", "pc", COMPUTER);
    lab.host.zubi("check").ok();
    netavark(&lab.host, "teardown /run/netns/c1", &asks).ok();
    asks["networks"]["lan"]["static_mac"] = json!("02:00:00:00:00:09");
    let refused = netavark(&lab.host, "setup /run/netns/c1", &asks);
    assert!(refused.out.contains("are ipvlans and have the MAC of eth0"), "{}", refused.out);
    lab.host.shell(": > /run/request.json").ok();
    lab.assert_nothing_remains();
}

fn request() -> Value {
    json!({
        "container_id": "ab".repeat(32), "container_name": "web",
        "networks": { "lan": { "interface_name": "eth0", "static_ips": ["192.168.1.140"] } },
        "network_info": { "lan": {
            "name": "lan", "id": "cd".repeat(32), "driver": "ipvlan", "network_interface": "eth0",
            "options": { "mode": "l2", "metric": "42", "mtu": "1400" },
            "subnets": [{ "subnet": "192.168.1.0/24", "gateway": "192.168.1.1" }],
            "ipv6_enabled": false, "internal": false, "dns_enabled": false, "ipam_options": { "driver": "host-local" },
        } },
    })
}

fn a_kernel_without_ipvlans_is_named_before_the_first_effect() {
    if lacking(&[Capability::Ipvlan]).is_empty() {
        return skip("a_kernel_without_ipvlans_is_named_before_the_first_effect", "this kernel has ipvlans");
    }
    let mut lab = on_lan(&["c1"]);
    links(ZUBI, "/run/helpers", &HELPERS);
    std::fs::write("/run/request.json", request().to_string()).expect("request");
    lab.begin_here();
    let mut chain = lab.chain(&json!([ipvlan(&json!({}))]));
    assert_eq!(chain.status().value["code"], 50);
    chain.add(&lab.at("c1")).fails(107, "this kernel has no ipvlans (CONFIG_IPVLAN)");
    chain.del(&lab.at("c1")).ok();
    let refused = netavark(&lab.host, "setup /run/netns/c1", &request());
    assert!(refused.out.contains("this kernel has no ipvlans (CONFIG_IPVLAN)"), "{}", refused.out);
    netavark(&lab.host, "teardown /run/netns/c1", &request()).ok();
    lab.assert_nothing_remains();
}

zubi_lab::tests!(
    a_list_does_what_it_does_with_the_reference,
    containers_are_on_the_lan_until_they_are_deleted,
    podman_s_containers_are_on_the_lan,
    a_kernel_without_ipvlans_is_named_before_the_first_effect,
);
