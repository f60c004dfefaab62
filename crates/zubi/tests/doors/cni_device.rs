//! `host-device` and `vlan`: a device of the host, or one for a VLAN of it, as the container's own; beside the reference
//! plug-ins where both accept a list.

use crate::cni_macvlan::{REFERENCE, local, on_lan};
use serde_json::{Value, json};
use zubi_lab::lan::{CARD_MAC, COMPUTER, OUTSIDE, holdings};
use zubi_lab::{Caller, Capability, Chain, CniHost, assert_reaches, lacking, need, skip};

/// A second card of the host on the LAN.
fn with_second_card(containers: &[&str]) -> CniHost {
    let mut lab = on_lan(containers);
    lab.host
        .shell(
            "ip link add eth1 address 52:54:00:00:00:06 mtu 1400 type veth peer name to_host1 netns lan
             ip -n lan link set to_host1 master sw up; ip -n lan link set to_host1 addrgenmode none
             sysctl -qw net.ipv6.conf.eth1.accept_dad=0; ip link set eth1 up; ip addr add 10.9.0.5/24 dev eth1",
        )
        .ok();
    lab.begin_here();
    lab
}

fn plugin(kind: &str, options: &Value) -> Value {
    let mut plugin = json!({ "type": kind, "ipam": local() });
    plugin.as_object_mut().expect("object").extend(options.as_object().expect("object").clone());
    plugin
}

/// What a container has, in words that do not depend on who made it.
fn inside(lab: &CniHost) -> String {
    let shown = "ip -n c1 -d link show eth0 | grep -oE '(vlan) .* id [0-9]+|mtu [0-9]+|state [A-Z]+|ether [0-9a-f:]+';
         ip -n c1 -br addr show dev eth0 scope global | tr -s ' ' '\\n' | grep / | sort;
         { ip -n c1 route; ip -n c1 -6 route; } | sed -E 's/ (proto|metric|pref) [^ ]+//g' | grep -v fe80 | sort";
    lab.host.shell(shown).ok().out
}

fn without_dns(mut result: Value) -> Value {
    // Older Go libraries print it empty.
    result.as_object_mut().expect("object").remove("dns");
    result
}

/// Result and container are the same with ours and with the reference.
fn assert_like_the_reference(lab: &CniHost, list: &Value) {
    let at = lab.at("c1");
    let of = |caller: &Caller| {
        let config = json!({ "cniVersion": "1.0.0", "name": "blue", "plugins": [list] });
        let mut chain = Chain::new(caller, config);
        let result = chain.add(&at).ok();
        let seen = inside(lab);
        chain.check(&at).ok();
        chain.del(&at).ok();
        (without_dns(result.value), seen)
    };
    let (ours, theirs) = (of(&lab.caller), of(&Caller::new(REFERENCE)));
    assert_eq!(ours, theirs, "{list}");
    lab.host.shell("rm -rf /var/lib/cni/networks").ok();
}

fn has_reference(plugin: &str, test: &str) -> bool {
    let there = std::path::Path::new(REFERENCE).join(plugin).is_file();
    if !there {
        skip(test, "needs the package containernetworking-plugins");
    }
    there
}

fn a_device_of_the_host_is_what_it_is_with_the_reference() {
    if !has_reference("host-device", "a_device_of_the_host_is_what_it_is_with_the_reference") {
        return;
    }
    let lab = with_second_card(&["c1"]);
    zubi_lab::cover("/var/lib/cni").unwrap_or_else(|why| panic!("{why}"));
    for list in [
        plugin("host-device", &json!({ "device": "eth1" })),
        plugin("host-device", &json!({ "hwaddr": "52:54:00:00:00:06" })),
        plugin("host-device", &json!({ "device": "eth1", "ipam": {} })),
    ] {
        assert_like_the_reference(&lab, &list);
    }
}

fn a_device_comes_back_with_what_the_host_had_on_it() {
    let lab = with_second_card(&["c1", "c2"]);
    let before = holdings(&lab.host, "eth1");
    let mut chain = lab.chain(&json!([plugin("host-device", &json!({ "device": "eth1" }))]));
    chain.status().ok();
    let result = chain.add(&lab.at("c1")).ok();
    assert_eq!(
        result.value["interfaces"],
        json!([{
            "name": "eth0", "mac": "52:54:00:00:00:06", "sandbox": "/run/netns/c1",
        }])
    );
    assert_reaches("c1", "router", OUTSIDE);
    assert_reaches("c1", "pc", COMPUTER);
    chain.check(&lab.at("c1")).ok();
    lab.host.zubi("check").ok();
    chain.add(&lab.at("c1")).fails(104, "has eth0 already");
    chain.add(&lab.at("c2")).fails(104, "network card eth1: does not exist");
    // The device may have been renamed inside.
    lab.host.shell("ip -n c1 link set eth0 down; ip -n c1 link set eth0 name other").ok();
    chain.del(&lab.at("c1")).ok();
    chain.del(&lab.at("c1")).ok();
    assert_eq!(holdings(&lab.host, "eth1"), before);
    // A device plug-in of the runtime gives each container another device of one network.
    let by_mac = |mac: &str| lab.chain(&json!([plugin("host-device", &json!({ "hwaddr": mac }))]));
    let (mut one, mut other) = (by_mac("52:54:00:00:00:06"), by_mac(CARD_MAC));
    one.add(&lab.at("c1")).ok();
    other.add(&lab.at("c2")).ok();
    lab.host.zubi("check").ok();
    other.del(&lab.at("c2")).ok();
    one.del(&lab.at("c1").without_netns()).ok();
    assert_eq!(holdings(&lab.host, "eth1"), before);
    for (options, code, words) in [
        (json!({}), 7, "device is missing"),
        (json!({ "device": "eth77" }), 104, "does not exist"),
        (json!({ "device": "lo" }), 104, "is the loopback device"),
        (json!({ "hwaddr": "02:00:00:00:00:99" }), 7, "hwaddr 02:00:00:00:00:99"),
        (json!({ "kernelpath": "/sys/devices/none" }), 7, "kernelpath /sys/devices/none"),
        (json!({ "kernelpath": "/etc/../sys" }), 7, "begins with /sys/devices/"),
        (json!({ "pciBusID": "0000:00:1f.9" }), 7, "PCI device 0000:00:1f.9"),
        (json!({ "pciBusID": "../../x" }), 7, "is not the address of a PCI device"),
    ] {
        lab.chain(&json!([plugin("host-device", &options)])).add(&lab.at("c1")).fails(code, words);
    }
    lab.assert_nothing_remains();
}

fn a_vlan_is_what_it_is_with_the_reference() {
    let test = "a_vlan_is_what_it_is_with_the_reference";
    if !need(&[Capability::Vlan], test) || !has_reference("vlan", test) {
        return;
    }
    let lab = on_lan(&["c1"]);
    zubi_lab::cover("/var/lib/cni").unwrap_or_else(|why| panic!("{why}"));
    for list in [
        plugin("vlan", &json!({ "master": "eth0", "vlanId": 10 })),
        plugin("vlan", &json!({ "master": "eth0", "vlanId": 11, "mtu": 1400 })),
    ] {
        assert_like_the_reference(&lab, &list);
    }
    lab.assert_nothing_remains();
}

fn a_container_is_in_a_vlan_of_the_lan() {
    if !need(&[Capability::Vlan], "a_container_is_in_a_vlan_of_the_lan") {
        return;
    }
    let mut lab = on_lan(&["c1", "c2"]);
    lab.host
        .shell(
            "ip -n router link add link eth0 name eth0.10 type vlan id 10; ip -n router link set eth0.10 up
             ip -n router addr add 10.10.0.1/24 dev eth0.10",
        )
        .ok();
    lab.begin_here();
    let vlan = |id: u16| {
        let ipam = json!({
            "type": "host-local", "subnet": "10.10.0.0/24", "rangeStart": "10.10.0.10",
            "routes": [{ "dst": "0.0.0.0/0" }],
        });
        plugin("vlan", &json!({ "master": "eth0", "vlanId": id, "ipam": ipam }))
    };
    let mut chain = lab.chain(&json!([vlan(10)]));
    chain.status().ok();
    let result = chain.add(&lab.at("c1")).ok();
    assert_eq!(result.value["interfaces"][0]["mac"], CARD_MAC);
    assert_reaches("c1", "router", OUTSIDE);
    chain.check(&lab.at("c1")).ok();
    lab.host.zubi("check").ok();
    // The kernel lets a card have one device of a VLAN.
    chain.add(&lab.at("c2")).fails(104, "takes no further endpoint");
    lab.chain_of("other", &json!([vlan(10)])).add(&lab.at("c2")).fails(104, "its only device for VLAN 10");
    lab.chain_of("other", &json!([vlan(11)])).add(&lab.at("c2")).ok();
    lab.chain_of("other", &json!([vlan(11)])).del(&lab.at("c2")).ok();
    lab.host.shell("ip netns del c1").ok();
    chain.del(&lab.at("c1").without_netns()).ok();
    lab.host.shell("ip netns add c1; ip -n c1 link set lo up").ok();
    lab.assert_nothing_remains();
}

fn a_kernel_without_vlans_is_named_before_the_first_effect() {
    if lacking(&[Capability::Vlan]).is_empty() {
        return skip("a_kernel_without_vlans_is_named_before_the_first_effect", "this kernel has VLANs");
    }
    let lab = on_lan(&["c1"]);
    let mut chain = lab.chain(&json!([plugin("vlan", &json!({ "master": "eth0", "vlanId": 10 }))]));
    assert_eq!(chain.status().value["code"], 50);
    chain.add(&lab.at("c1")).fails(107, "this kernel has no VLAN devices (CONFIG_VLAN_8021Q)");
    chain.del(&lab.at("c1")).ok();
    lab.assert_nothing_remains();
}

zubi_lab::tests!(
    a_device_of_the_host_is_what_it_is_with_the_reference,
    a_device_comes_back_with_what_the_host_had_on_it,
    a_vlan_is_what_it_is_with_the_reference,
    a_container_is_in_a_vlan_of_the_lan,
    a_kernel_without_vlans_is_named_before_the_first_effect,
);
