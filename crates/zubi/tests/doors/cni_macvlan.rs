//! `macvlan`: containers on the LAN of the host, beside the reference plug-in where both accept a list.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use zubi_lab::lan::{COMPUTER, HOST, OUTSIDE, make_lan};
use zubi_lab::{Caller, Chain, CniHost, Reply, Verb, assert_isolated, assert_reaches, skip};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
/// Debian's folder of the reference plug-ins.
pub(crate) const REFERENCE: &str = "/usr/lib/cni";

pub(crate) fn on_lan(containers: &[&str]) -> CniHost {
    let mut lab = CniHost::new(ZUBI, containers);
    make_lan(&lab.host);
    lab.begin_here();
    lab
}

pub(crate) fn local() -> Value {
    json!({
        "type": "host-local",
        "ranges": [
            [{ "subnet": "192.168.1.0/24", "rangeStart": "192.168.1.128", "rangeEnd": "192.168.1.140" }],
            [{ "subnet": "2001:db8:1::/64", "rangeStart": "2001:db8:1::80", "rangeEnd": "2001:db8:1::8f" }],
        ],
        "routes": [{ "dst": "0.0.0.0/0" }, { "dst": "::/0" }],
    })
}

/// A macvlan with these options in addition to its addresses.
fn macvlan(options: &Value) -> Value {
    let mut plugin = json!({ "type": "macvlan", "master": "eth0", "ipam": local() });
    plugin.as_object_mut().expect("object").extend(options.as_object().expect("object").clone());
    plugin
}

fn a_container_is_on_the_lan_and_the_card_stays_as_it_is() {
    let lab = on_lan(&["c1", "c2"]);
    let mut chain = lab.chain(&json!([macvlan(&json!({ "bcqueuelen": 2000 }))]));
    chain.status().ok();
    let result = chain.add(&lab.at("c1")).ok();
    assert!(lab.host.shell("ip -n c1 -d link show eth0").ok().out.contains("bcqueuelen 2000"));
    assert_eq!(result.addresses(), ["192.168.1.128/24", "2001:db8:1::80/64"]);
    // Neither a bridge nor an end on the host.
    let interfaces = result.value["interfaces"].as_array().expect("interfaces");
    assert_eq!(interfaces.len(), 1);
    assert_eq!((&interfaces[0]["name"], &interfaces[0]["sandbox"]), (&json!("eth0"), &json!("/run/netns/c1")));
    assert_eq!(result.value["ips"][0]["interface"], 0);
    chain.add(&lab.at("c2")).ok();
    assert_reaches("c1", "router", OUTSIDE);
    assert_reaches("c1", "pc", "2001:db8:1::7");
    assert_reaches("pc", "c1", "192.168.1.128");
    assert_reaches("c1", "c2", "192.168.1.129");
    // As with the reference, host and containers do not reach each other.
    assert_isolated("host", "c1", "192.168.1.128");
    assert_isolated("c1", "host", HOST);
    assert_reaches("host", "pc", COMPUTER);
    chain.check(&lab.at("c1")).ok();
    lab.host.zubi("check").ok();
    let listed = lab.host.zubi("network ls").ok().out;
    assert!(listed.contains("cni:blue") && listed.contains("eth0"), "{listed}");
    lab.host.shell("ip -n c1 route del default").ok();
    assert_eq!(chain.check(&lab.at("c1")).value["code"], 101);
    chain.add(&lab.at("c1")).fails(104, "has eth0 already");
    chain.del(&lab.at("c1")).ok();
    chain.del(&lab.at("c1")).ok();
    lab.host.shell("ip netns del c2").ok();
    chain.del(&lab.at("c2").without_netns()).ok();
    lab.host.shell("ip netns add c2; ip -n c2 link set lo up").ok();
    lab.assert_nothing_remains();
}

fn a_network_of_zubi_s_own_lets_the_host_reach_them() {
    let lab = on_lan(&["c1"]);
    lab.host.zubi("network create lan --driver macvlan --parent eth0 --ip-range 192.168.1.128/26").ok();
    let mut chain = lab.chain(&json!([{ "type": "zubi", "network": "lan" }]));
    let result = chain.add(&lab.at("c1")).ok();
    assert_eq!(result.value["interfaces"].as_array().expect("interfaces").len(), 1);
    assert_reaches("host", "c1", "192.168.1.128");
    assert_reaches("c1", "router", OUTSIDE);
    chain.check(&lab.at("c1")).ok();
    chain.del(&lab.at("c1")).ok();
    lab.host.zubi("network rm lan").ok();
    lab.assert_nothing_remains();
}

/// What a container has, in words that do not depend on who made it.
pub(crate) fn inside(lab: &CniHost, container: &str) -> String {
    let shown = format!(
        "ip -n {container} -d link show eth0 | grep -oE '(macvlan|ipvlan) +mode [a-z0-9]+|mtu [0-9]+|state [A-Z]+';
         ip -n {container} -br addr show dev eth0 scope global | tr -s ' ' '\\n' | grep / | sort;
         {{ ip -n {container} route; ip -n {container} -6 route; }} | sed -E 's/ (proto|metric|pref) [^ ]+//g' |
         grep -v fe80 | sort"
    );
    lab.host.shell(&shown).ok().out
}

fn without_mac(mut result: Value) -> Value {
    let interfaces = result["interfaces"].as_array_mut().expect("interfaces");
    assert!(interfaces.iter_mut().all(|interface| interface.as_object_mut().expect("object").remove("mac").is_some()));
    // Older Go libraries print it empty.
    result.as_object_mut().expect("object").remove("dns");
    result
}

fn a_list_does_what_it_does_with_the_reference() {
    const TEST: &str = "a_list_does_what_it_does_with_the_reference";
    if !std::path::Path::new(REFERENCE).join("macvlan").is_file() {
        return skip(TEST, "needs the package containernetworking-plugins");
    }
    let lab = on_lan(&["c1"]);
    zubi_lab::cover("/var/lib/cni").unwrap_or_else(|why| panic!("{why}"));
    let fixed = json!({
        "type": "static",
        "addresses": [{ "address": "192.168.1.99/24", "gateway": "192.168.1.1" }, { "address": "2001:db8:1::99/64" }],
        "routes": [{ "dst": "0.0.0.0/0" }, { "dst": "10.8.0.0/16", "gw": "192.168.1.7" }],
    });
    let lists = [
        macvlan(&json!({})),
        macvlan(&json!({ "mode": "private", "mtu": 1400 })),
        macvlan(&json!({ "mode": "vepa", "mac": "02:11:22:33:44:55", "ipam": fixed })),
        // The card of the default route.
        macvlan(&json!({ "master": "", "ipam": {} })),
    ];
    for list in lists {
        let at = lab.at("c1");
        let of = |caller: &Caller| {
            let mut chain =
                Chain::new(caller, json!({ "cniVersion": "1.0.0", "name": "blue", "plugins": [list.clone()] }));
            let result = chain.add(&at).ok();
            let seen = inside(&lab, "c1");
            let mac = lab.host.shell("ip netns exec c1 cat /sys/class/net/eth0/address").ok().out;
            assert_eq!(result.value["interfaces"][0]["mac"], mac.trim());
            if let Some(wished) = list.get("mac") {
                assert_eq!(mac.trim(), wished);
            }
            chain.check(&at).ok();
            chain.del(&at).ok();
            (without_mac(result.value), seen)
        };
        let (ours, theirs) = (of(&lab.caller), of(&Caller::new(REFERENCE)));
        assert_eq!(ours, theirs, "{list}");
        lab.host.shell("rm -rf /var/lib/cni/networks").ok();
    }
    lab.assert_nothing_remains();
}

fn passthru_gives_one_container_a_whole_card() {
    let lab = on_lan(&["c1", "c2"]);
    let whole = |card: &str| lab.chain(&json!([macvlan(&json!({ "master": card, "mode": "passthru" }))]));
    whole("eth0").add(&lab.at("c1")).fails(104, "has this host's address 192.168.1.5/24, which passthru would cut off");
    lab.host
        .shell(
            "ip link add eth1 address 52:54:00:00:00:06 type veth peer name to_host1 netns lan; ip link set eth1 up;
             ip -n lan link set to_host1 master sw up",
        )
        .ok();
    let mut chain = whole("eth1");
    let result = chain.add(&lab.at("c1")).ok();
    assert_eq!(result.value["interfaces"][0]["mac"], "52:54:00:00:00:06");
    assert_reaches("c1", "pc", COMPUTER);
    chain.check(&lab.at("c1")).ok();
    chain.add(&lab.at("c2")).fails(104, "has 1 on it");
    let mut other = lab.chain_of("other", &json!([macvlan(&json!({ "master": "eth1" }))]));
    other.add(&lab.at("c2")).fails(104, "carries network cni:blue, and passthru gives a whole card to one endpoint");
    chain.del(&lab.at("c1")).ok();
    lab.host.shell("ip link del eth1").ok();
    lab.assert_nothing_remains();
}

fn a_card_that_an_uplink_network_has_carries_them_by_its_bridge() {
    let lab = on_lan(&["c1", "c2"]);
    lab.host.zubi("network create up --driver uplink --parent eth0 --ip-range 192.168.1.64/28").ok();
    let mut chain = lab.chain(&json!([macvlan(&json!({}))]));
    chain.add(&lab.at("c1")).ok();
    chain.add(&lab.at("c2")).ok();
    assert_reaches("c1", "pc", COMPUTER);
    assert_reaches("pc", "c2", "192.168.1.129");
    chain.check(&lab.at("c2")).ok();
    lab.host.zubi("network rm -f up").fails(4, "carries network cni:blue");
    chain.del(&lab.at("c1")).ok();
    chain.del(&lab.at("c2")).ok();
    lab.host.settle();
    lab.host.zubi("network rm -f up").ok();
    lab.assert_nothing_remains();
}

fn chained_plug_ins_do_what_makes_sense_on_the_lan() {
    let lab = on_lan(&["c1"]);
    let tuning = json!({
        "type": "tuning", "mac": "02:11:22:33:44:66", "mtu": 1300, "allmulti": true,
        "sysctl": { "net.ipv4.conf.IFNAME.arp_filter": "1" },
    });
    let portmap = json!({ "type": "portmap", "capabilities": { "portMappings": true } });
    let mut chain = lab.chain(&json!([macvlan(&json!({})), portmap, { "type": "firewall" }, tuning]));
    let result = chain.add(&lab.at("c1")).ok();
    assert_eq!(result.value["interfaces"][0]["mac"], "02:11:22:33:44:66");
    let seen =
        lab.host.shell("ip -n c1 link show eth0; ip netns exec c1 sysctl net.ipv4.conf.eth0.arp_filter").ok().out;
    for words in ["mtu 1300", "02:11:22:33:44:66", "ALLMULTI", "arp_filter = 1"] {
        assert!(seen.contains(words), "{words}: {seen}");
    }
    assert_reaches("pc", "c1", "192.168.1.128");
    chain.check(&lab.at("c1")).ok();
    lab.host.zubi("check").ok();
    chain.del(&lab.at("c1")).ok();
    lab.assert_nothing_remains();
    // What would need rules of the host.
    let ports = json!([{ "hostPort": 8080, "containerPort": 80, "protocol": "tcp" }]);
    let at = lab.at("c1").capability("portMappings", ports);
    chain.add(&at).fails(7, "is on the LAN: its addresses are reached without published ports");
    chain.del(&at).ok();
    for policy in ["same-bridge", "isolated"] {
        let mut chain = lab.chain(&json!([macvlan(&json!({})), { "type": "firewall", "ingressPolicy": policy }]));
        chain.add(&lab.at("c1")).fails(2, "what comes from the LAN passes no rule of this host");
        chain.del(&lab.at("c1")).ok();
    }
    lab.assert_nothing_remains();
}

fn what_cannot_be_is_refused_before_the_first_effect() {
    let mut lab = on_lan(&["c1"]);
    lab.host.shell("ip link add br7 type bridge; ip link set br7 up; ip link add d7 type veth peer name e7").ok();
    lab.host.shell("ip link set d7 up master br7; ip link add down0 type veth peer name down1").ok();
    lab.begin_here();
    for (options, code, words) in [
        (json!({ "master": "eth9" }), 104, "network card eth9: does not exist; there are: "),
        (json!({ "master": "lo" }), 104, "is the loopback device"),
        (json!({ "master": "d7" }), 104, "is a port of bridge br7; take br7 as the parent"),
        (json!({ "master": "down0" }), 104, "is down; ip link set down0 up"),
        (json!({ "master": "eth%d" }), 7, "master"),
        (json!({ "mode": "source" }), 7, "there are: bridge, private, vepa, passthru"),
        (json!({ "mtu": 9000 }), 7, "is more than eth0 takes, which is 1500"),
        (json!({ "mac": "01:00:00:00:00:01" }), 7, "mac"),
        (json!({ "linkInContainer": true }), 2, "linkInContainer"),
        (json!({ "ipam": { "type": "static", "addresses": [{ "address": "192.168.1.7/24" }] } }), 104, "192.168.1.7"),
    ] {
        let mut chain = lab.chain(&json!([macvlan(&options)]));
        chain.add(&lab.at("c1")).fails(code, words);
        // The runtime calls DEL all the same.
        chain.del(&lab.at("c1")).ok();
        lab.assert_nothing_remains();
    }
    lab.host.shell("ip route del default; ip -6 route del default").ok();
    let mut chain = lab.chain(&json!([macvlan(&json!({ "master": "" }))]));
    chain.add(&lab.at("c1")).fails(104, "this host has no default route that leads to one");
    let status = chain.status();
    assert_eq!(status.value["code"], 50, "{}", status.value);
}

fn a_card_that_goes_takes_its_containers_along() {
    let mut lab = on_lan(&["c1"]);
    let mut chain = lab.chain(&json!([macvlan(&json!({}))]));
    chain.add(&lab.at("c1")).ok();
    lab.host.shell("ip link del eth0").ok();
    assert_eq!(chain.check(&lab.at("c1")).value["code"], 101);
    assert_eq!(chain.status().value["code"], 50);
    chain.del(&lab.at("c1")).ok();
    lab.host.settle();
    lab.begin_here();
    chain.add(&lab.at("c1")).fails(104, "network card eth0: does not exist");
    chain.del(&lab.at("c1")).ok();
    lab.assert_nothing_remains();
}

fn forty_at_once_have_distinct_addresses_and_go_at_once() {
    let names: Vec<String> = (0..40).map(|n| format!("c{n}")).collect();
    let lab = on_lan(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let mut config = macvlan(&json!({
        "ipam": { "type": "host-local", "subnet": "192.168.1.0/24", "rangeStart": "192.168.1.128" },
    }));
    config["name"] = "blue".into();
    config["cniVersion"] = "1.0.0".into();
    let at_once = |verb: Verb| -> Vec<Reply> {
        let call = |name: &String| lab.caller.call("macvlan", verb, &lab.at(name), &config);
        std::thread::scope(|scope| {
            let all: Vec<_> = names.iter().map(|name| scope.spawn(|| call(name))).collect();
            all.into_iter().map(|one| one.join().expect("an answer").ok()).collect()
        })
    };
    let addresses: BTreeSet<String> = at_once(Verb::Add).iter().flat_map(Reply::addresses).collect();
    assert_eq!(addresses.len(), 40, "{addresses:?}");
    lab.host.zubi("check").ok();
    assert_reaches("c0", "pc", COMPUTER);
    assert_reaches("c39", "pc", COMPUTER);
    at_once(Verb::Del);
    lab.assert_nothing_remains();
}

fn gc_frees_what_is_not_listed() {
    let lab = on_lan(&["c1", "c2"]);
    let mut chain = lab.chain(&json!([macvlan(&json!({}))]));
    chain.add(&lab.at("c1")).ok();
    chain.add(&lab.at("c2")).ok();
    chain.gc_only(&[&lab.at("c2")]).ok();
    assert_reaches("c2", "pc", COMPUTER);
    assert_eq!(lab.host.shell("ip -n c1 -o link show type macvlan").ok().out, "");
    chain.gc_only(&[]).ok();
    lab.assert_nothing_remains();
}

zubi_lab::tests!(
    a_container_is_on_the_lan_and_the_card_stays_as_it_is,
    a_network_of_zubi_s_own_lets_the_host_reach_them,
    a_list_does_what_it_does_with_the_reference,
    passthru_gives_one_container_a_whole_card,
    a_card_that_an_uplink_network_has_carries_them_by_its_bridge,
    chained_plug_ins_do_what_makes_sense_on_the_lan,
    what_cannot_be_is_refused_before_the_first_effect,
    a_card_that_goes_takes_its_containers_along,
    forty_at_once_have_distinct_addresses_and_go_at_once,
    gc_frees_what_is_not_listed,
);
