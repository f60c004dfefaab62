//! `tuning` and `loopback`: settings of devices and of namespaces.

use super::configs::bridge;
use serde_json::json;
use std::fs;
use zubi_lab::{Attachment, CniHost, Reach, Transport, Verb, assert_reaches, reaches};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

fn settings_are_made_checked_and_told() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let tuning = json!({
        "type": "tuning", "mac": "02:11:22:33:44:55", "mtu": 1400, "promisc": true, "allmulti": true, "txQLen": 77,
        "sysctl": { "net.core.somaxconn": "500", "net.ipv4.conf.IFNAME.arp_filter": "1" },
    });
    let mut chain = lab.chain(&json!([bridge(), tuning]));
    let c1 = lab.at("c1");
    let result = chain.add(&c1).ok().value;
    assert_eq!(
        (&result["interfaces"][2]["mac"], &result["interfaces"][2]["mtu"]),
        (&json!("02:11:22:33:44:55"), &json!(1400))
    );
    let link = lab.host.shell("ip -n c1 -d link show eth0").ok().out;
    for words in ["02:11:22:33:44:55", "mtu 1400", "PROMISC", "ALLMULTI", "qlen 77"] {
        assert!(link.contains(words), "{words}: {link}");
    }
    let sysctls = "ip netns exec c1 sysctl -n net.core.somaxconn net.ipv4.conf.eth0.arp_filter";
    assert_eq!(lab.host.shell(sysctls).ok().out, "500\n1\n");
    chain.check(&c1).ok();
    lab.host.zubi("check").ok();
    assert_reaches("c1", "host", "10.55.66.1");
    let drifts = [
        ("link set eth0 mtu 1300", "link set eth0 mtu 1400", "1400"),
        ("link set eth0 promisc off", "link set eth0 promisc on", "promisc"),
        ("link set eth0 allmulticast off", "link set eth0 allmulticast on", "allmulticast"),
        ("link set eth0 txqueuelen 1", "link set eth0 txqueuelen 77", "77"),
        ("link set eth0 address 02:11:22:33:44:66", "link set eth0 address 02:11:22:33:44:55", "02:11:22:33:44:55"),
    ];
    for (drift, back, word) in drifts {
        lab.host.shell(&format!("ip -n c1 {drift}")).ok();
        let told = chain.check(&c1);
        assert_eq!(told.value["code"], 101, "{drift}: {}", told.out);
        assert!(told.out.contains(word), "{drift}: {}", told.out);
        lab.host.shell(&format!("ip -n c1 {back}")).ok();
    }
    lab.host.wait_for(
        "ip -n c1 route show default | grep -q default || ip -n c1 route add default via 10.55.66.1 proto 122",
    );
    chain.del(&c1).ok();
    lab.assert_nothing_remains();
}

/// A neighbour that cached the address with another MAC learns the new one at once.
fn a_mac_that_is_set_is_announced() {
    let lab = CniHost::new(ZUBI, &["c1", "c2"]);
    let address = "IP=10.55.66.9";
    let mut plain = lab.chain(&json!([bridge()]));
    let mut tuned = lab.chain(&json!([bridge(), { "type": "tuning", "mac": "02:11:22:33:44:55" }]));
    let c1 = lab.at("c1").args(address);
    plain.add(&lab.at("c2")).ok();
    plain.add(&c1).ok();
    assert_reaches("c2", "c1", "10.55.66.9");
    assert_reaches("host", "c1", "10.55.66.9");
    plain.del(&c1).ok();
    tuned.add(&c1).ok();
    let reach = Reach { from: "c2", to: "c1", address: "10.55.66.9" };
    assert!(reaches(&reach, Transport::Udp), "c2 knows it under another MAC");
    assert_reaches("host", "c1", "10.55.66.9");
    lab.host.wait_for("ip -n c2 neigh show 10.55.66.9 | grep -q 02:11:22:33:44:55");
    tuned.check(&c1).ok();
    tuned.del(&c1).ok();
    plain.del(&lab.at("c2")).ok();
    lab.assert_nothing_remains();
}

/// An impossible setting: no setting remains, and the runtime's DEL removes the device.
fn settings_that_cannot_be_are_told() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let c1 = lab.at("c1");
    let cases = [
        (json!({ "sysctl": { "kernel.hostname": "x" } }), 7, "kernel.hostname"),
        (json!({ "sysctl": { "net.ipv4.there.is.none": "1" } }), 107, "net/ipv4/there/is/none"),
        (json!({ "sysctl": { "net.ipv4/../../kernel/hostname": "1" } }), 7, "sysctl"),
        (json!({ "mac": "01:00:5e:00:00:01" }), 7, "mac"),
        (json!({ "mtu": 1 }), 7, "mtu"),
    ];
    for (options, code, words) in cases {
        let mut tuning = json!({ "type": "tuning" });
        tuning.as_object_mut().expect("object").extend(options.as_object().expect("object").clone());
        let mut chain = lab.chain(&json!([bridge(), tuning]));
        chain.add(&c1).fails(code, words);
        chain.del(&c1).ok();
        lab.assert_nothing_remains();
    }
}

/// As in the reference: if the file exists, all other settings are refused.
fn settings_may_be_confined_by_a_file() {
    zubi_lab::cover("/etc/cni/tuning").expect("/etc/cni/tuning");
    let lab = CniHost::new(ZUBI, &["c1"]);
    fs::write("/etc/cni/tuning/allowlist.conf", "^net\\.core\\.somaxconn$\n# none\n").expect("list");
    let c1 = lab.at("c1");
    for (key, allowed) in [("net.core.somaxconn", true), ("net.ipv4.conf.IFNAME.arp_filter", false)] {
        let mut chain = lab.chain(&json!([bridge(), { "type": "tuning", "sysctl": { key: "1" } }]));
        if allowed {
            chain.add(&c1).ok();
        } else {
            chain.add(&c1).fails(7, "allowlist.conf");
        }
        chain.del(&c1).ok();
        lab.assert_nothing_remains();
    }
}

/// `zubi` refuses bandwidth limits, which it does not enforce. The other plug-ins leave them to a bandwidth plug-in.
fn bandwidth_is_not_promised() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let mut chain = lab.chain(&json!([{ "type": "zubi", "capabilities": { "bandwidth": true } }]));
    let limited =
        lab.at("c1").capability("bandwidth", json!({ "IngressRate": 1_000_000, "IngressBurst": 4_294_967_295_u32 }));
    chain.add(&limited).fails(2, "ingressRate");
    chain.del(&limited).ok();
    lab.assert_nothing_remains();
}

/// A foreign device gets its settings back: it may be a NIC of the host.
fn settings_of_a_foreign_device_are_taken_back() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    lab.host
        .shell("ip -n c1 link add eth0 type veth peer name eth9 && ip -n c1 link set eth0 address 02:00:00:00:00:07 mtu 1450")
        .ok();
    let before = lab.host.shell("ip -n c1 -d link show eth0").ok().out;
    let theirs = json!({
        "cniVersion": "1.1.0", "interfaces": [{ "name": "eth0", "mac": "02:00:00:00:00:07", "sandbox": "/run/netns/c1" }],
    });
    lab.script("leader", &format!("[ $CNI_COMMAND = ADD ] && echo '{theirs}'\ntrue"));
    let tuning = json!({
        "type": "tuning", "mac": "02:11:22:33:44:55", "mtu": 1400, "promisc": true, "allmulti": true, "txQLen": 77,
        "dataDir": "/run/tuned",
    });
    let mut chain = lab.chain(&json!([{ "type": "leader" }, tuning]));
    let c1 = lab.at("c1");
    assert_eq!(chain.add(&c1).ok().value["interfaces"][0]["mac"], "02:11:22:33:44:55");
    chain.check(&c1).ok();
    assert_ne!(lab.host.shell("ip -n c1 -d link show eth0").ok().out, before);
    chain.del(&c1).ok();
    assert_eq!(lab.host.shell("ip -n c1 -d link show eth0").ok().out, before);
    assert_eq!(lab.host.shell("ls /run/tuned").ok().out, "");
    // The device is gone with its namespace.
    chain.add(&c1).ok();
    lab.host.shell("ip netns del c1").ok();
    chain.del(&c1.clone().without_netns()).ok();
    assert_eq!(lab.host.shell("ls /run/tuned").ok().out, "");
    lab.host.shell("ip netns add c1 && ip -n c1 link set lo up").ok();
    lab.assert_nothing_remains();
}

fn loopback_comes_up() {
    let lab = CniHost::new(ZUBI, &[]);
    lab.host.shell("ip netns add c1").ok();
    let config = json!({ "cniVersion": "0.3.1", "name": "cni-loopback", "type": "loopback" });
    let at = Attachment::new("c1", "c1").ifname("lo");
    let result = lab.caller.call("loopback", Verb::Add, &at, &config).ok().value;
    assert_eq!(result["ips"][0], json!({ "version": "4", "address": "127.0.0.1/8", "interface": 0 }));
    assert_eq!(result["ips"][1]["address"], "::1/128");
    assert_eq!(
        (&result["interfaces"][0]["name"], &result["interfaces"][0]["sandbox"]),
        (&json!("lo"), &json!("/run/netns/c1"))
    );
    assert_reaches("c1", "c1", "127.0.0.1");
    assert_reaches("c1", "c1", "::1");
    let mut newer = config.clone();
    newer["cniVersion"] = "1.0.0".into();
    assert_eq!(lab.caller.call("loopback", Verb::Check, &at, &newer).ok().out, "");
    lab.host.shell("ip -n c1 link set lo down").ok();
    lab.caller.call("loopback", Verb::Check, &at, &newer).fails(101, "loopback");
    assert_eq!(lab.caller.call("loopback", Verb::Del, &at, &config).ok().out, "");
    lab.caller.call("loopback", Verb::Del, &at.without_netns(), &config).ok();
    lab.host.shell("ip netns del c1").ok();
    lab.assert_nothing_remains();
}

zubi_lab::tests!(
    settings_are_made_checked_and_told,
    a_mac_that_is_set_is_announced,
    settings_that_cannot_be_are_told,
    settings_may_be_confined_by_a_file,
    bandwidth_is_not_promised,
    settings_of_a_foreign_device_are_taken_back,
    loopback_comes_up,
);
