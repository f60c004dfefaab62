//! The options of `bridge` and `host-local`, each seen from the kernel or from a container.

use serde_json::{Value, json};
use std::fs;
use zubi_lab::{
    Attachment, CniHost, Outside, Reach, Service, Transport, ask, assert_isolated, assert_reaches, reaches, source_seen,
};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const V4: &str = "10.55.66.0/24";

fn local() -> Value {
    json!({ "type": "host-local", "ranges": [[{ "subnet": V4 }], [{ "subnet": "fd00:55::/64" }]] })
}

/// A bridge with these options in addition to its addresses.
fn bridge(options: &Value) -> Value {
    let mut plugin = json!({ "type": "bridge", "bridge": "cni0", "ipam": local() });
    plugin.as_object_mut().expect("object").extend(options.as_object().expect("object").clone());
    json!([plugin])
}

fn outside_reach<'a>() -> Reach<'a> {
    Reach { from: "c1", to: "outside", address: Outside::V4 }
}

fn without_options_it_is_a_bridge_and_nothing_else() {
    let lab = CniHost::new(ZUBI, &["c1", "c2"]);
    let mut chain = lab.chain(&bridge(&json!({})));
    chain.add(&lab.at("c1")).ok();
    chain.add(&lab.at("c2")).ok();
    assert_reaches("c1", "c2", "10.55.66.3");
    assert_reaches("c1", "c2", "fd00:55::3");
    let seen = lab.host.shell("ip -o -4 addr show dev cni0; ip -n c1 route show default").ok().out;
    assert_eq!(seen, "");
    chain.check(&lab.at("c1")).ok();
    chain.del(&lab.at("c1")).ok();
    chain.del(&lab.at("c2")).ok();
    lab.assert_nothing_remains();
}

fn a_gateway_is_no_default_route() {
    let _outside = Outside::new();
    let lab = CniHost::new(ZUBI, &["c1"]);
    let mut chain = lab.chain(&bridge(&json!({ "isGateway": true })));
    chain.add(&lab.at("c1")).ok();
    assert_reaches("c1", "host", "10.55.66.1");
    assert_reaches("c1", "host", "fd00:55::1");
    assert_eq!(lab.host.shell("ip -n c1 route show default").ok().out, "");
    assert_eq!(lab.host.shell("sysctl -n net.ipv4.ip_forward").ok().out, "1\n");
    chain.check(&lab.at("c1")).ok();
    chain.del(&lab.at("c1")).ok();
    lab.assert_nothing_remains();
}

fn a_default_gateway_may_be_said_twice() {
    let _outside = Outside::new();
    let lab = CniHost::new(ZUBI, &["c1"]);
    let mut ipam = local();
    ipam["routes"] = json!([{ "dst": "0.0.0.0/0" }, { "dst": "::/0", "gw": "fd00:55::1" }]);
    for options in [json!({ "isDefaultGateway": true }), json!({ "isDefaultGateway": true, "ipam": ipam })] {
        let mut chain = lab.chain(&bridge(&options));
        let result = chain.add(&lab.at("c1")).ok().value;
        let routes = lab.host.shell("ip -n c1 route show default; ip -n c1 -6 route show default").ok().out;
        assert_eq!(routes.lines().count(), 2, "{routes}");
        assert!(routes.contains("via 10.55.66.1 dev eth0") && routes.contains("via fd00:55::1 dev eth0"), "{routes}");
        let listed: Vec<&str> =
            result["routes"].as_array().expect("routes").iter().filter_map(|r| r["dst"].as_str()).collect();
        assert_eq!(listed, ["0.0.0.0/0", "::/0"]);
        chain.check(&lab.at("c1")).ok();
        chain.del(&lab.at("c1")).ok();
        lab.assert_nothing_remains();
    }
}

fn routes_have_gateways_metrics_and_tables() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let mut ipam = local();
    ipam["routes"] = json!([
        { "dst": "10.9.0.0/16" },
        { "dst": "10.8.0.0/16", "gw": "10.55.66.7", "priority": 77, "mtu": 1300, "advmss": 1200 },
        { "dst": "10.7.0.0/16", "table": 100 },
        { "dst": "fd09::/32" },
    ]);
    let mut chain = lab.chain(&bridge(&json!({ "isGateway": true, "ipam": ipam })));
    let listed = chain.add(&lab.at("c1")).ok().value["routes"].clone();
    assert_eq!(
        listed[1],
        json!({ "dst": "10.8.0.0/16", "gw": "10.55.66.7", "priority": 77, "mtu": 1300, "advmss": 1200 })
    );
    let seen = lab.host.shell("ip -n c1 route; ip -n c1 route show table 100; ip -n c1 -6 route").ok().out;
    for words in [
        "10.9.0.0/16 via 10.55.66.1",
        "10.8.0.0/16 via 10.55.66.7",
        "metric 77",
        "advmss 1200",
        "mtu 1300",
        "10.7.0.0/16 via 10.55.66.1",
        "fd09::/32 via fd00:55::1",
    ] {
        assert!(seen.contains(words), "{words}: {seen}");
    }
    chain.check(&lab.at("c1")).ok();
    lab.host.shell("ip -n c1 route del 10.7.0.0/16 table 100").ok();
    assert_eq!(chain.check(&lab.at("c1")).value["code"], 101);
    chain.del(&lab.at("c1")).ok();
    lab.assert_nothing_remains();
}

fn masquerading_is_seen_from_outside() {
    let _outside = Outside::new();
    let lab = CniHost::new(ZUBI, &["c1"]);
    lab.host.shell("ip -n outside route add 10.55.66.0/24 via 192.0.2.1").ok();
    for (masquerade, seen) in [(true, "192.0.2.1"), (false, "10.55.66.2")] {
        let mut chain = lab.chain(&bridge(&json!({ "isDefaultGateway": true, "ipMasq": masquerade })));
        chain.add(&lab.at("c1")).ok();
        assert_eq!(source_seen(&outside_reach()), Some(seen.parse().expect("address")));
        chain.check(&lab.at("c1")).ok();
        chain.del(&lab.at("c1")).ok();
        // Then the first address is assigned again.
        lab.host.wait_for("test -z \"$(ls /run/zubi/networks)\"");
    }
    lab.host.shell("ip -n outside route del 10.55.66.0/24").ok();
    lab.assert_nothing_remains();
}

fn a_changed_gateway_is_refused_or_forced() {
    let lab = CniHost::new(ZUBI, &["c1", "c2"]);
    let with = |gateway: &str, force: bool| {
        let ipam = json!({ "type": "host-local", "ranges": [[{ "subnet": V4, "gateway": gateway }]] });
        bridge(&json!({ "isDefaultGateway": true, "forceAddress": force, "ipam": ipam }))
    };
    let mut chain = lab.chain(&with("10.55.66.1", false));
    chain.add(&lab.at("c1")).ok();
    let mut other = lab.chain(&with("10.55.66.254", false));
    other.add(&lab.at("c2")).fails(7, "10.55.66.1");
    assert_reaches("c1", "host", "10.55.66.1");
    let mut forced = lab.chain(&with("10.55.66.254", true));
    forced.add(&lab.at("c2")).ok();
    assert_reaches("c2", "host", "10.55.66.254");
    assert!(!lab.host.shell("ip -o addr show dev cni0").ok().out.contains("10.55.66.1/24"));
    forced.del(&lab.at("c2")).ok();
    chain.del(&lab.at("c1")).ok();
    lab.assert_nothing_remains();
}

fn the_mtu_is_that_of_all_three_devices() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let mut chain = lab.chain(&bridge(&json!({ "mtu": 1400 })));
    let result = chain.add(&lab.at("c1")).ok().value;
    let host_end = result["interfaces"][1]["name"].as_str().expect("name").to_owned();
    let seen = lab.host.shell(&format!("ip link show cni0; ip link show {host_end}; ip -n c1 link show eth0")).ok().out;
    assert_eq!(seen.matches("mtu 1400").count(), 3, "{seen}");
    assert!(result["interfaces"].as_array().expect("list").iter().all(|i| i["mtu"] == 1400));
    chain.check(&lab.at("c1")).ok();
    chain.del(&lab.at("c1")).ok();
    lab.assert_nothing_remains();
}

fn flags_of_the_port_and_the_bridge_are_set() {
    let lab = CniHost::new(ZUBI, &["c1", "c2"]);
    let cases = [
        (json!({ "hairpinMode": true }), "hairpin on", "cni0"),
        (json!({ "hairpinMode": false }), "hairpin off", "cni0"),
        (json!({ "promiscMode": true }), "hairpin off", "PROMISC"),
        (json!({ "portIsolation": true }), "isolated on", "cni0"),
        (json!({ "portIsolation": false }), "isolated off", "cni0"),
    ];
    for (options, of_port, of_bridge) in cases {
        let mut chain = lab.chain(&bridge(&options));
        let result = chain.add(&lab.at("c1")).ok().value;
        let host_end = result["interfaces"][1]["name"].as_str().expect("name").to_owned();
        let port = lab.host.shell(&format!("ip -d link show {host_end}")).ok().out;
        assert!(port.contains(of_port), "{options}: {port}");
        let seen = lab.host.shell("ip link show cni0").ok().out;
        assert!(seen.contains(of_bridge), "{options}: {seen}");
        chain.check(&lab.at("c1")).ok();
        chain.del(&lab.at("c1")).ok();
        lab.assert_nothing_remains();
    }
    let mut chain = lab.chain(&bridge(&json!({ "hairpinMode": true, "promiscMode": true })));
    chain.add(&lab.at("c1")).fails(7, "hairpinMode");
    let mut chain = lab.chain(&bridge(&json!({ "portIsolation": true, "isGateway": true })));
    chain.add(&lab.at("c1")).ok();
    chain.add(&lab.at("c2")).ok();
    assert_isolated("c1", "c2", "10.55.66.3");
    assert_reaches("c1", "host", "10.55.66.1");
    chain.del(&lab.at("c1")).ok();
    chain.del(&lab.at("c2")).ok();
    lab.assert_nothing_remains();
}

/// A container that changes its MAC is cut off.
fn frames_from_another_mac_are_dropped() {
    let lab = CniHost::new(ZUBI, &["c1", "c2"]);
    for (check, heard) in [(true, false), (false, true)] {
        let mut chain = lab.chain(&bridge(&json!({ "macspoofchk": check, "isGateway": true })));
        chain.add(&lab.at("c1")).ok();
        chain.add(&lab.at("c2")).ok();
        for (to, address) in [("c2", "10.55.66.3"), ("c2", "fd00:55::3"), ("host", "10.55.66.1")] {
            assert_reaches("c1", to, address);
        }
        chain.check(&lab.at("c1")).ok();
        let set = |mac: &str| {
            lab.host.shell(&format!("ip -n c1 link set eth0 address {mac} && ip -n c1 neigh flush dev eth0")).ok();
        };
        let own = lab.host.shell("ip netns exec c1 cat /sys/class/net/eth0/address").ok().out;
        set("02:00:00:00:00:66");
        for (to, address) in [("c2", "10.55.66.3"), ("host", "10.55.66.1")] {
            let reach = Reach { from: "c1", to, address };
            assert_eq!(reaches(&reach, Transport::Icmp), heard, "{check} {to}");
        }
        set(own.trim());
        lab.host.shell("ip -n c2 neigh flush dev eth0; ip neigh flush dev cni0").ok();
        assert!(reaches(&Reach { from: "c1", to: "c2", address: "10.55.66.3" }, Transport::Icmp));
        chain.del(&lab.at("c1")).ok();
        chain.del(&lab.at("c2")).ok();
        lab.assert_nothing_remains();
    }
}

fn duplicate_addresses_are_looked_for_when_asked() {
    let lab = CniHost::new(ZUBI, &["c1", "c2"]);
    for detect in [false, true] {
        let mut chain = lab.chain(&bridge(&json!({ "enabledad": detect })));
        chain.add(&lab.at("c1")).ok();
        // In each case the address is usable when ADD returns.
        let seen = lab.host.shell("ip -n c1 -6 addr show dev eth0 to fd00:55::2").ok().out;
        assert!(seen.contains("fd00:55::2/64") && !seen.contains("tentative") && !seen.contains("dadfailed"), "{seen}");
        chain.check(&lab.at("c1")).ok();
        chain.del(&lab.at("c1")).ok();
        lab.assert_nothing_remains();
    }
    // A neighbour already uses the address, which is in no record.
    let mut plain = lab.chain(&bridge(&json!({})));
    let mut chain = lab.chain(&bridge(&json!({ "enabledad": true })));
    plain.add(&lab.at("c2")).ok();
    lab.host.shell("ip -n c2 addr add fd00:55::3/64 dev eth0 nodad").ok();
    chain.add(&lab.at("c1")).fails(104, "fd00:55::3");
    chain.del(&lab.at("c1")).ok();
    plain.del(&lab.at("c2")).ok();
    lab.assert_nothing_remains();
}

fn a_container_s_device_may_stay_down() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let down = json!([{ "type": "bridge", "bridge": "cni0", "disableContainerInterface": true }]);
    let mut chain = lab.chain(&down);
    let result = chain.add(&lab.at("c1")).ok().value;
    assert!(result["ips"].is_null(), "{result}");
    assert!(lab.host.shell("ip -n c1 link show eth0").ok().out.contains("state DOWN"));
    chain.check(&lab.at("c1")).ok();
    chain.del(&lab.at("c1")).ok();
    let mut both = lab.chain(&bridge(&json!({ "disableContainerInterface": true })));
    both.add(&lab.at("c1")).fails(7, "disableContainerInterface");
    // No addresses, and the device is up.
    for ipam in [Value::Null, json!({}), json!({ "type": "" })] {
        let mut plain = lab.chain(&json!([{ "type": "bridge", "bridge": "cni0", "ipam": ipam }]));
        plain.add(&lab.at("c1")).ok();
        assert!(lab.host.shell("ip -n c1 link show eth0").ok().out.contains("state UP"));
        plain.check(&lab.at("c1")).ok();
        plain.del(&lab.at("c1")).ok();
    }
    lab.assert_nothing_remains();
}

/// A foreign bridge is used, and left as it was.
fn a_bridge_of_others_is_used_and_stays() {
    let _outside = Outside::new();
    let mut lab = CniHost::new(ZUBI, &["c1", "theirs"]);
    lab.host
        .shell(
            "ip link add cni0 address 02:00:00:00:00:99 mtu 1450 type bridge && ip addr add 172.16.0.1/24 dev cni0 && ip link set cni0 up && \
             ip link add port0 type veth peer name eth0 netns theirs && ip link set port0 master cni0 up && \
             ip -n theirs link set eth0 up && ip -n theirs addr add 10.55.66.200/24 dev eth0",
        )
        .ok();
    // The kernel adds addresses and routes once there is a carrier: they belong to the state before.
    lab.host.wait_for("ip -o link show cni0 | grep -q LOWER_UP");
    lab.begin_here();
    let mut chain = lab.chain(&bridge(&json!({ "isDefaultGateway": true, "ipMasq": true })));
    let result = chain.add(&lab.at("c1")).ok().value;
    assert_eq!(result["interfaces"][0]["mac"], "02:00:00:00:00:99");
    assert_reaches("c1", "theirs", "10.55.66.200");
    assert_reaches("c1", "outside", Outside::V4);
    chain.check(&lab.at("c1")).ok();
    chain.del(&lab.at("c1")).ok();
    lab.host.wait_for("! nft list table inet zubi");
    // Only the gateway's addresses remain, because the user may have set them.
    lab.host.shell("ip addr del 10.55.66.1/24 dev cni0 && ip addr del fd00:55::1/64 dev cni0").ok();
    lab.assert_nothing_remains();
}

/// The first endpoint makes the bridge and the last one removes it, whatever their networks.
fn two_networks_on_one_bridge_go_alone() {
    let lab = CniHost::new(ZUBI, &["c1", "c2"]);
    let ipam = |subnet: &str| json!({ "type": "host-local", "ranges": [[{ "subnet": subnet }]] });
    let mut blue = lab.chain(&bridge(&json!({ "isGateway": true, "ipam": ipam(V4) })));
    let mut green = lab.chain_of("green", &bridge(&json!({ "isGateway": true, "ipam": ipam("10.77.88.0/24") })));
    for blue_goes_first in [true, false] {
        blue.add(&lab.at("c1")).ok();
        green.add(&lab.at("c2")).ok();
        assert_reaches("c1", "host", "10.55.66.1");
        assert_reaches("c2", "host", "10.77.88.1");
        blue.check(&lab.at("c1")).ok();
        green.check(&lab.at("c2")).ok();
        let (first, c1, second, c2, address) = if blue_goes_first {
            (&mut blue, "c1", &mut green, "c2", "10.77.88.1")
        } else {
            (&mut green, "c2", &mut blue, "c1", "10.55.66.1")
        };
        first.del(&lab.at(c1)).ok();
        lab.host.settle();
        lab.host.wait_for("test $(ls /run/zubi/networks | wc -l) = 1");
        assert_reaches(c2, "host", address);
        second.check(&lab.at(c2)).ok();
        second.del(&lab.at(c2)).ok();
        lab.assert_nothing_remains();
    }
}

fn what_is_no_bridge_is_refused() {
    let mut lab = CniHost::new(ZUBI, &["c1"]);
    lab.host.shell("ip link add cni0 type veth peer name cni1").ok();
    lab.begin_here();
    let mut chain = lab.chain(&bridge(&json!({ "isGateway": true })));
    chain.add(&lab.at("c1")).fails(104, "cni0");
    chain.del(&lab.at("c1")).ok();
    lab.assert_nothing_remains();
}

fn vlans_are_refused() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let refused = [json!({ "vlan": 7 }), json!({ "vlanTrunk": [{ "minID": 1, "maxID": 4 }] })];
    for options in refused {
        let mut chain = lab.chain(&bridge(&options));
        chain.add(&lab.at("c1")).fails(2, "vlan");
        chain.status().fails(2, "vlan");
        chain.del(&lab.at("c1")).ok();
    }
    let mut chain = lab.chain(&bridge(&json!({ "vlan": 0, "vlanTrunk": [], "preserveDefaultVlan": false })));
    chain.add(&lab.at("c1")).ok();
    chain.del(&lab.at("c1")).ok();
    lab.assert_nothing_remains();
}

fn a_mac_is_asked_for_in_three_ways() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let mac = |n: u8| format!("02:11:22:33:44:{n:02}");
    let plain = bridge(&json!({ "capabilities": { "mac": true } }));
    let with_args = bridge(&json!({ "capabilities": { "mac": true }, "args": { "cni": { "mac": mac(2) } } }));
    let by_args = lab.at("c1").args(&format!("IgnoreUnknown=1;MAC={}", mac(3)));
    let by_runtime = by_args.clone().capability("mac", json!(mac(1)));
    for (list, at, expected) in [(&plain, &by_args, 3), (&with_args, &by_args, 2), (&with_args, &by_runtime, 1)] {
        let mut chain = lab.chain(list);
        assert_eq!(chain.add(at).ok().value["interfaces"][2]["mac"], mac(expected).as_str());
        assert!(lab.host.shell("ip -n c1 link show eth0").ok().out.contains(&mac(expected)));
        chain.check(at).ok();
        chain.del(at).ok();
    }
    lab.assert_nothing_remains();
}

fn given(lab: &CniHost, ipam: &Value, at: &Attachment) -> Vec<String> {
    let mut chain = lab.chain(&bridge(&json!({ "capabilities": { "ips": true, "ipRanges": true }, "ipam": ipam })));
    chain.add(at).ok().addresses()
}

fn refused(lab: &CniHost, ipam: &Value, at: &Attachment, code: i64, words: &str) {
    let mut chain = lab.chain(&bridge(&json!({ "capabilities": { "ips": true, "ipRanges": true }, "ipam": ipam })));
    chain.add(at).fails(code, words);
    chain.del(at).ok();
}

fn gone(lab: &CniHost, ipam: &Value, at: &Attachment) {
    lab.chain(&bridge(&json!({ "ipam": ipam }))).del(at).ok();
}

fn addresses_come_out_of_ranges() {
    let names = ["c1", "c2", "c3", "c4"];
    let lab = CniHost::new(ZUBI, &names);
    let at = |name: &str| lab.at(name);
    // The old form. The gateway and both ends of the subnet are never assigned.
    let small = json!({ "type": "host-local", "subnet": "10.55.66.0/29", "rangeStart": "10.55.66.5", "rangeEnd": "10.55.66.7" });
    assert_eq!(given(&lab, &small, &at("c1")), ["10.55.66.5/29"]);
    assert_eq!(given(&lab, &small, &at("c2")), ["10.55.66.6/29"]);
    refused(&lab, &small, &at("c3"), 105, "10.55.66.0/29");
    // Round robin: a freed address is not the next one.
    gone(&lab, &small, &at("c1"));
    gone(&lab, &small, &at("c2"));
    lab.assert_nothing_remains();
    let ring = json!({ "type": "host-local", "ranges": [[{ "subnet": V4, "rangeEnd": "10.55.66.5" }]] });
    assert_eq!(given(&lab, &ring, &at("c4")), ["10.55.66.2/24"]);
    for expected in ["10.55.66.3/24", "10.55.66.4/24", "10.55.66.5/24", "10.55.66.3/24"] {
        assert_eq!(given(&lab, &ring, &at("c1")), [expected]);
        gone(&lab, &ring, &at("c1"));
    }
    gone(&lab, &ring, &at("c4"));
    lab.assert_nothing_remains();
    // Several pools in a set: the second serves when the first is full. Each set gives one address.
    let sets = json!({
        "type": "host-local",
        "ranges": [
            [{ "subnet": "10.1.0.0/24", "rangeStart": "10.1.0.9", "rangeEnd": "10.1.0.9" }, { "subnet": "10.2.0.0/24" }],
            [{ "subnet": "fd00:55::/64" }],
        ],
    });
    assert_eq!(given(&lab, &sets, &at("c1")), ["10.1.0.9/24", "fd00:55::2/64"]);
    assert_eq!(given(&lab, &sets, &at("c2")), ["10.2.0.2/24", "fd00:55::3/64"]);
    let offered = at("c3").capability("ipRanges", json!([[{ "subnet": "10.3.0.0/24", "rangeStart": "10.3.0.77" }]]));
    assert_eq!(given(&lab, &sets, &offered), ["10.3.0.77/24", "10.2.0.3/24", "fd00:55::4/64"]);
    for name in ["c1", "c2", "c3"] {
        gone(&lab, &sets, &at(name));
    }
    lab.assert_nothing_remains();
}

fn addresses_are_asked_for() {
    let lab = CniHost::new(ZUBI, &["c1", "c2"]);
    let ipam = json!({
        "type": "host-local",
        "ranges": [[{ "subnet": V4, "rangeStart": "10.55.66.10", "rangeEnd": "10.55.66.20" }], [{ "subnet": "fd00:55::/64" }]],
    });
    let by_args = lab.at("c1").args("IgnoreUnknown=true;IP=10.55.66.15");
    assert_eq!(given(&lab, &ipam, &by_args), ["10.55.66.15/24", "fd00:55::2/64"]);
    let both = lab.at("c2").capability("ips", json!(["fd00:55::77", "10.55.66.16/24"]));
    assert_eq!(given(&lab, &ipam, &both), ["10.55.66.16/24", "fd00:55::77/64"]);
    gone(&lab, &ipam, &lab.at("c2"));
    for (ips, code, words) in [
        (json!(["10.55.66.15"]), 104, "cni:c1"),
        (json!(["10.55.66.9"]), 7, "10.55.66.9"),
        (json!(["10.55.66.1"]), 7, "10.55.66.1"),
        (json!(["10.9.9.9"]), 7, "10.9.9.9"),
        (json!(["10.55.66.11", "10.55.66.12"]), 7, "10.55.66.12"),
        (json!(["nonsense"]), 7, "nonsense"),
    ] {
        refused(&lab, &ipam, &lab.at("c2").capability("ips", ips), code, words);
    }
    refused(&lab, &ipam, &lab.at("c2").args("IP=nonsense"), 4, "nonsense");
    gone(&lab, &ipam, &lab.at("c1"));
    lab.assert_nothing_remains();
}

fn ranges_that_cannot_be_are_refused() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let ranges = [
        json!([[{ "subnet": "10.55.66.7/24" }]]),
        json!([[{ "subnet": "10.55.66.0/31" }]]),
        json!([[{ "subnet": V4, "rangeStart": "10.55.67.1" }]]),
        json!([[{ "subnet": V4, "rangeStart": "10.55.66.9", "rangeEnd": "10.55.66.8" }]]),
        json!([[{ "subnet": V4 }, { "subnet": "fd00:55::/64" }]]),
        json!([[{ "subnet": V4 }], [{ "subnet": V4 }]]),
        json!([[]]),
        json!([]),
        json!([[{ "rangeStart": "10.55.66.9" }]]),
        json!({ "subnet": V4 }),
    ];
    for range in ranges {
        refused(&lab, &json!({ "type": "host-local", "ranges": range }), &lab.at("c1"), 7, "");
    }
    lab.assert_nothing_remains();
}

fn name_servers_come_from_a_file() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    fs::write("/run/resolv.conf", "nameserver 10.0.0.53\nsearch a.example b.example\noptions ndots:5\n").expect("file");
    let mut ipam = local();
    ipam["resolvConf"] = "/run/resolv.conf".into();
    let mut chain = lab.chain(&bridge(&json!({ "ipam": ipam })));
    let dns = chain.add(&lab.at("c1")).ok().value["dns"].take();
    assert_eq!(
        dns,
        json!({ "nameservers": ["10.0.0.53"], "search": ["a.example", "b.example"], "options": ["ndots:5"] })
    );
    chain.del(&lab.at("c1")).ok();
    let mut own = lab.chain(&bridge(&json!({ "ipam": ipam, "dns": { "nameservers": ["10.0.0.54"] } })));
    assert_eq!(own.add(&lab.at("c1")).ok().value["dns"], json!({ "nameservers": ["10.0.0.54"] }));
    own.del(&lab.at("c1")).ok();
    ipam["resolvConf"] = "/run/nowhere".into();
    let mut missing = lab.chain(&bridge(&json!({ "ipam": ipam })));
    missing.add(&lab.at("c1")).fails(5, "/run/nowhere");
    lab.assert_nothing_remains();
}

/// An administrator changes a configuration while containers run.
fn a_changed_configuration_counts_from_the_next_container_on() {
    let _outside = Outside::new();
    let lab = CniHost::new(ZUBI, &["c1", "c2", "c3"]);
    let mut chain = lab.chain(&bridge(&json!({ "isDefaultGateway": true, "ipMasq": true })));
    chain.add(&lab.at("c1")).ok();
    let mut wider = local();
    wider["ranges"] = json!([[{ "subnet": "10.77.88.0/24" }]]);
    let mut changed =
        lab.chain(&bridge(&json!({ "isDefaultGateway": true, "ipMasq": true, "mtu": 1400, "ipam": wider })));
    assert_eq!(changed.add(&lab.at("c2")).ok().addresses(), ["10.77.88.2/24"]);
    for name in ["c1", "c2"] {
        assert_reaches(name, "outside", Outside::V4);
    }
    assert!(lab.host.shell("ip -n c2 link show eth0").ok().out.contains("mtu 1400"));
    changed.check(&lab.at("c2")).ok();
    // The first container keeps what it has.
    assert_reaches("c1", "c2", "10.77.88.2");
    changed.del(&lab.at("c2")).ok();
    assert_reaches("c1", "outside", Outside::V4);
    chain.del(&lab.at("c1")).ok();
    lab.assert_nothing_remains();
}

/// A container reaches itself through its own published port.
fn a_container_reaches_itself_by_its_port() {
    let _outside = Outside::new();
    let lab = CniHost::new(ZUBI, &["c1"]);
    for hairpin in [true, false] {
        let mut list = bridge(&json!({ "isDefaultGateway": true, "ipMasq": true, "hairpinMode": hairpin }));
        list.as_array_mut().expect("list").push(json!({ "type": "portmap", "capabilities": { "portMappings": true } }));
        let mut chain = lab.chain(&list);
        let c1 = lab
            .at("c1")
            .capability("portMappings", json!([{ "hostPort": 8080, "containerPort": 80, "protocol": "tcp" }]));
        chain.add(&c1).ok();
        let service = Service::start("c1", 80);
        for at in ["192.0.2.1:8080", "10.55.66.1:8080", "[2001:db8::1]:8080"] {
            assert!(ask("c1", Transport::Tcp, at).is_some(), "{at} hairpinMode {hairpin}");
        }
        drop(service);
        chain.check(&c1).ok();
        chain.del(&c1).ok();
        lab.assert_nothing_remains();
    }
}

zubi_lab::tests!(
    without_options_it_is_a_bridge_and_nothing_else,
    a_gateway_is_no_default_route,
    a_default_gateway_may_be_said_twice,
    routes_have_gateways_metrics_and_tables,
    masquerading_is_seen_from_outside,
    a_changed_gateway_is_refused_or_forced,
    the_mtu_is_that_of_all_three_devices,
    flags_of_the_port_and_the_bridge_are_set,
    frames_from_another_mac_are_dropped,
    duplicate_addresses_are_looked_for_when_asked,
    a_container_s_device_may_stay_down,
    a_bridge_of_others_is_used_and_stays,
    two_networks_on_one_bridge_go_alone,
    what_is_no_bridge_is_refused,
    vlans_are_refused,
    a_mac_is_asked_for_in_three_ways,
    addresses_come_out_of_ranges,
    addresses_are_asked_for,
    ranges_that_cannot_be_are_refused,
    name_servers_come_from_a_file,
    a_changed_configuration_counts_from_the_next_container_on,
    a_container_reaches_itself_by_its_port,
);
