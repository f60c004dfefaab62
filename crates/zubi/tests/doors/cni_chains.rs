//! Chains: other programs' plug-ins before and after ours, addresses from other IPAM plug-ins, and the formats of all
//! versions.

use super::configs::{bridge, port, portmap};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use zubi_lab::{
    Attachment, Caller, CniHost, Heard, Outside, PrevResult, Reach, Service, Transport, Verb, ask, assert_isolated,
    assert_reaches, skip,
};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

/// Passes the previous result on and logs its verb.
const FOLLOWER: &str = "cat > /run/request-$CNI_COMMAND\necho \"$CNI_COMMAND $CNI_CONTAINERID\" >> /run/follower\n\
    [ $CNI_COMMAND = ADD ] || exit 0\n\
    /usr/bin/python3 -c 'import json; r = json.load(open(\"/run/request-ADD\"))[\"prevResult\"]; \
    r[\"followed\"] = True; print(json.dumps(r))'";

fn foreign_plug_ins_come_before_and_after() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let theirs = json!({
        "cniVersion": "1.1.0", "theirs": { "kept": true },
        "interfaces": [{ "name": "dummy9", "sandbox": "/run/netns/c1", "theirs": 9 }],
        "ips": [{ "address": "192.168.9.9/24", "interface": 0 }],
        "routes": [{ "dst": "192.168.0.0/16", "gw": "192.168.9.1", "theirs": "x" }],
    });
    lab.script("leader", &format!("[ $CNI_COMMAND = ADD ] && echo '{theirs}'\ntrue"));
    lab.script("follower", FOLLOWER);
    let mut chain = lab.chain(&json!([
        { "type": "leader" }, bridge(), { "type": "follower" }, portmap(), { "type": "tuning", "mtu": 1400 },
    ]));
    let c1 = port(lab.at("c1"), &json!({ "hostPort": 8080, "containerPort": 80 }));
    let result = chain.add(&c1).ok();
    assert_eq!(result.addresses(), ["192.168.9.9/24", "10.55.66.2/24", "fd00:55::2/64"]);
    let value = &result.value;
    assert_eq!((&value["theirs"]["kept"], &value["followed"]), (&json!(true), &json!(true)));
    assert_eq!(value["interfaces"][0]["theirs"], 9);
    assert_eq!(value["routes"][0]["theirs"], "x");
    // Our interfaces follow theirs, and our indexes point to ours.
    let device = value["ips"][1]["interface"].as_u64().expect("index");
    assert_eq!(value["interfaces"][usize::try_from(device).expect("index")]["name"], "eth0");
    assert_eq!(value["interfaces"][3]["mtu"], 1400);
    chain.check(&c1).ok();
    chain.del(&c1).ok();
    assert_eq!(fs::read_to_string("/run/follower").expect("follower"), "ADD c1\nCHECK c1\nDEL c1\n");
    lab.assert_nothing_remains();
}

/// After a later plug-in failed, the runtime's DEL undoes ours.
fn a_chain_that_fails_later_is_taken_back() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    lab.script("grumpy", "[ $CNI_COMMAND = ADD ] || exit 0\necho '{\"code\": 123, \"msg\": \"no\"}'; exit 1");
    let mut chain = lab.chain(&json!([bridge(), portmap(), { "type": "grumpy" }]));
    let c1 = port(lab.at("c1"), &json!({ "hostPort": 8080, "containerPort": 80 }));
    chain.add(&c1).fails(123, "no");
    chain.del_with(&c1, PrevResult::Lost).ok();
    lab.assert_nothing_remains();
}

/// An IPAM plug-in that logs its verbs.
fn fixed(lab: &CniHost, result: &str) {
    lab.script(
        "fixed",
        &format!(
            "cat > /run/ipam-$CNI_COMMAND\necho $CNI_COMMAND >> /run/ipam\n[ $CNI_COMMAND = ADD ] || exit 0\n{result}"
        ),
    );
}

fn with_fixed() -> Value {
    let ipam = json!({ "type": "fixed", "theirs": [1, 2] });
    json!([{ "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "ipam": ipam }])
}

fn verbs() -> String {
    fs::read_to_string("/run/ipam").unwrap_or_default().replace('\n', " ")
}

fn addresses_come_from_another_plug_in() {
    let _outside = Outside::new();
    let lab = CniHost::new(ZUBI, &["c1"]);
    let result = json!({
        "cniVersion": "1.0.0",
        "ips": [{ "address": "10.55.66.77/24", "gateway": "10.55.66.254" }, { "address": "fd00:55::77/64" }],
        "routes": [{ "dst": "0.0.0.0/0" }, { "dst": "10.9.0.0/16", "gw": "10.55.66.7" }],
        "dns": { "nameservers": ["10.0.0.53"] },
    });
    fixed(&lab, &format!("echo '{result}'"));
    let mut chain = lab.chain(&with_fixed());
    let c1 = lab.at("c1");
    chain.status().ok();
    let added = chain.add(&c1).ok();
    assert_eq!(added.addresses(), ["10.55.66.77/24", "fd00:55::77/64"]);
    assert_eq!(added.value["dns"]["nameservers"][0], "10.0.0.53");
    let seen = lab.host.shell("ip -n c1 route; ip -o addr show dev cni0").ok().out;
    for words in ["default via 10.55.66.254", "10.9.0.0/16 via 10.55.66.7", "10.55.66.254/24", "fd00:55::1/64"] {
        assert!(seen.contains(words), "{words}: {seen}");
    }
    assert_reaches("c1", "outside", Outside::V4);
    chain.check(&c1).ok();
    chain.gc_only(&[&c1]).ok();
    // The IPAM plug-in got the request unchanged.
    let heard: Value = serde_json::from_str(&fs::read_to_string("/run/ipam-ADD").expect("heard")).expect("JSON");
    assert_eq!((&heard["ipam"]["theirs"], &heard["name"]), (&json!([1, 2]), &json!("blue")));
    chain.del(&c1.clone().without_netns()).ok();
    assert_eq!(verbs(), "STATUS ADD CHECK GC DEL ");
    lab.assert_nothing_remains();
}

fn an_add_whose_ipam_fails_leaves_nothing() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let c1 = lab.at("c1");
    let good = "{\"ips\": [{\"address\": \"10.55.66.77/24\"}]}";
    let cases = [
        // Its error is passed on, and it gets a DEL for what it may have done.
        ("echo '{\"code\": 11, \"msg\": \"later perhaps\"}'; exit 1".to_owned(), 11, "later perhaps"),
        ("echo died >&2; exit 3".to_owned(), 999, "fixed"),
        ("echo no JSON".to_owned(), 6, "fixed"),
        ("echo '{\"ips\": []}'".to_owned(), 999, "without an address"),
        ("echo '{\"ips\": [{\"address\": \"10.55.66.77\"}]}'".to_owned(), 6, "10.55.66.77"),
        // The IPAM plug-in succeeds, but the namespace is gone.
        (format!("ip netns del c1; echo '{good}'"), 4, "CNI_NETNS"),
    ];
    for (result, code, words) in cases {
        fs::remove_file("/run/ipam").ok();
        fixed(&lab, &result);
        let mut chain = lab.chain(&with_fixed());
        chain.add(&c1).fails(code, words);
        assert_eq!(verbs(), "ADD DEL ", "{result}");
    }
    lab.host.shell("ip netns add c1 && ip -n c1 link set lo up").ok();
    lab.assert_nothing_remains();
    // There is no such IPAM plug-in.
    let mut chain = lab.chain(&json!([{ "type": "bridge", "ipam": { "type": "nowhere" } }]));
    chain.add(&c1).fails(7, "/run/plugins");
    chain.status().fails(50, "nowhere");
    lab.assert_nothing_remains();
}

fn addresses_come_from_the_reference_s_host_local() {
    let test = "addresses_come_from_the_reference_s_host_local";
    let reference = "/usr/lib/cni/host-local";
    if !Path::new(reference).is_file() {
        return skip(test, "needs the package containernetworking-plugins");
    }
    let lab = CniHost::new(ZUBI, &["c1", "c2"]);
    let ipam =
        |kind: &str| json!({ "type": kind, "dataDir": "/run/theirs", "ranges": [[{ "subnet": "10.55.66.0/24" }]] });
    std::os::unix::fs::symlink(reference, lab.folder.join("their-local")).expect("link");
    let list = |kind: &str| {
        let plugin = json!({ "type": "bridge", "bridge": "cni0", "isDefaultGateway": true, "ipam": ipam(kind) });
        json!({ "cniVersion": "1.0.0", "name": "blue", "plugins": [plugin] })
    };
    let mut theirs = zubi_lab::Chain::new(&lab.caller, list("their-local"));
    let (c1, c2) = (lab.at("c1"), lab.at("c2"));
    assert_eq!(theirs.add(&c1).ok().addresses(), ["10.55.66.2/24"]);
    theirs.check(&c1).ok();
    assert!(Path::new("/run/theirs/blue/10.55.66.2").is_file());
    theirs.del(&c1).ok();
    assert!(!Path::new("/run/theirs/blue/10.55.66.2").is_file());
    lab.assert_nothing_remains();
    // A container attached by the reference plug-in: its address is not reused until its DEL.
    fs::write("/run/theirs/blue/10.55.66.2", "old\r\neth0").expect("reservation");
    fs::write("/run/theirs/blue/10.55.66.4", "older").expect("reservation");
    let mut ours = zubi_lab::Chain::new(&lab.caller, list("host-local"));
    assert_eq!(ours.add(&c1).ok().addresses(), ["10.55.66.3/24"]);
    assert_eq!(ours.add(&c2).ok().addresses(), ["10.55.66.5/24"]);
    ours.del(&Attachment::new("old", "gone")).ok();
    ours.del(&Attachment::new("older", "gone").without_netns()).ok();
    for address in ["10.55.66.2", "10.55.66.4"] {
        assert!(!Path::new("/run/theirs/blue").join(address).exists());
    }
    // Reservations of an earlier boot are void.
    fs::write("/run/theirs/blue/10.55.66.6", "ancient\r\neth0").expect("reservation");
    lab.host.shell("touch -d '2001-01-01' /run/theirs/blue/10.55.66.6").ok();
    ours.del(&c1).ok();
    let c1_again = ours.add(&lab.at("c1").args("IgnoreUnknown=1;IP=10.55.66.6")).ok();
    assert_eq!(c1_again.addresses(), ["10.55.66.6/24"]);
    // Containers that the runtime no longer lists.
    fs::write("/run/theirs/blue/10.55.66.8", "lost\r\neth0").expect("reservation");
    fs::write("/run/theirs/blue/10.55.66.9", "kept\r\neth0").expect("reservation");
    ours.list_mut()["cniVersion"] = "1.1.0".into();
    ours.gc_only(&[&c1, &c2, &Attachment::new("kept", "gone")]).ok();
    assert!(!Path::new("/run/theirs/blue/10.55.66.8").exists());
    assert!(Path::new("/run/theirs/blue/10.55.66.9").exists());
    ours.check(&c1).ok();
    ours.del(&c1).ok();
    ours.del(&c2).ok();
    lab.assert_nothing_remains();
}

/// For other main plug-ins, zubi reserves addresses without making a device.
fn host_local_serves_plug_ins_of_others() {
    let mut lab = CniHost::new(ZUBI, &["c1", "c2"]);
    lab.host.shell("mkdir -p /run/zubi/leases").ok();
    lab.begin_here();
    lab.script("main-plug", "exec $CNI_PATH/host-local");
    let ipam = json!({
        "type": "host-local", "ranges": [[{ "subnet": "10.55.66.0/24", "rangeEnd": "10.55.66.3" }]],
        "routes": [{ "dst": "0.0.0.0/0" }],
    });
    let mut chain = lab.chain(&json!([{ "type": "main-plug", "ipam": ipam }]));
    let (c1, c2) = (lab.at("c1"), lab.at("c2"));
    let result = chain.add(&c1).ok();
    assert_eq!(result.addresses(), ["10.55.66.2/24"]);
    assert_eq!(result.value["ips"][0]["gateway"], "10.55.66.1");
    assert!(result.value["interfaces"].is_null() && result.value["ips"][0]["interface"].is_null());
    chain.add(&c1).fails(104, "10.55.66.2");
    // Another device of the same container gets another address.
    chain.status().ok();
    assert_eq!(chain.add(&c1.clone().ifname("eth1")).ok().addresses(), ["10.55.66.3/24"]);
    chain.status().fails(50, "10.55.66.0/24");
    chain.add(&c2).fails(105, "10.55.66.0/24");
    chain.check(&c1).ok();
    chain.del(&c1).ok();
    assert_eq!(chain.check(&c1.clone().ifname("eth1")).ok().out, "");
    // A requested address.
    let c2 = c2.args("IP=10.55.66.2");
    assert_eq!(chain.add(&c2).ok().addresses(), ["10.55.66.2/24"]);
    chain.gc_only(&[&c2]).ok();
    chain.status().ok();
    chain.check(&c2).ok();
    chain.del(&c2.clone().without_netns()).ok();
    chain.del(&c2).ok();
    lab.assert_nothing_remains();
}

fn addresses_stand_in_the_configuration() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let ipam = json!({
        "type": "static",
        "addresses": [{ "address": "10.55.66.9/24", "gateway": "10.55.66.1" }, { "address": "fd00:55::9/64" }],
        "routes": [{ "dst": "0.0.0.0/0" }, { "dst": "10.9.0.0/16", "gw": "10.55.66.7" }],
        "dns": { "nameservers": ["10.0.0.53"] },
    });
    let plugin = json!({ "type": "bridge", "isGateway": true, "capabilities": { "ips": true }, "ipam": ipam });
    let mut chain = lab.chain(&json!([plugin]));
    let c1 = lab.at("c1");
    let result = chain.add(&c1).ok();
    assert_eq!(result.addresses(), ["10.55.66.9/24", "fd00:55::9/64"]);
    assert_eq!(result.value["dns"]["nameservers"][0], "10.0.0.53");
    assert_reaches("c1", "host", "10.55.66.1");
    assert!(lab.host.shell("ip -n c1 route").ok().out.contains("10.9.0.0/16 via 10.55.66.7"));
    chain.check(&c1).ok();
    chain.del(&c1).ok();
    // Addresses from the runtime replace the configured ones.
    let wanted = lab.at("c1").capability("ips", json!(["10.55.66.33/24"]));
    assert_eq!(chain.add(&wanted).ok().addresses(), ["10.55.66.33/24"]);
    chain.del(&wanted).ok();
    chain.add(&lab.at("c1").capability("ips", json!(["10.55.66.33"]))).fails(7, "prefix");
    lab.assert_nothing_remains();
    let alone = json!({ "cniVersion": "0.4.0", "name": "blue", "ipam": chain.list_mut()["plugins"][0]["ipam"] });
    let told = lab.caller.call("static", Verb::Add, &lab.at("c1"), &alone).ok();
    assert_eq!(told.value["ips"][0], json!({ "version": "4", "address": "10.55.66.9/24", "gateway": "10.55.66.1" }));
    lab.assert_nothing_remains();
}

fn every_version_has_its_format() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    for version in ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        let mut chain = lab.chain(&json!([bridge(), portmap(), { "type": "tuning", "mtu": 1400 }]));
        chain.list_mut()["cniVersion"] = version.into();
        let c1 = port(lab.at("c1"), &json!({ "hostPort": 8080, "containerPort": 80 }));
        let result = chain.add(&c1).ok().value;
        assert_eq!(result["cniVersion"], version);
        let single = version < "0.3.0";
        assert_eq!(result["ip4"]["ip"], if single { json!("10.55.66.2/24") } else { Value::Null });
        assert_eq!(result["ip4"]["gateway"], if single { json!("10.55.66.1") } else { Value::Null });
        assert_eq!(result["ip6"]["ip"], if single { json!("fd00:55::2/64") } else { Value::Null });
        assert_eq!(result["interfaces"].is_null(), single);
        assert_eq!(result["ips"][1]["address"], if single { Value::Null } else { json!("fd00:55::2/64") });
        let marked = !single && version < "1.0.0";
        assert_eq!(result["ips"][1]["version"], if marked { json!("6") } else { Value::Null });
        assert_eq!(result["interfaces"][2]["mtu"], if version == "1.1.0" { json!(1400) } else { Value::Null });
        if version >= "0.4.0" {
            chain.check(&c1).ok();
        }
        assert_eq!(chain.del(&c1).ok().out, "");
        lab.assert_nothing_remains();
    }
}

/// Keys in the case of containerd's structs, and unknown keys.
fn a_runtime_that_capitalises_is_understood() {
    let _outside = Outside::new();
    let lab = CniHost::new(ZUBI, &["c1"]);
    let capabilities =
        json!({ "portMappings": true, "dns": true, "ipRanges": true, "io.kubernetes.cri.pod-annotations": true });
    let plugin = json!({
        "type": "zubi", "subnet": "10.55.66.0/24", "capabilities": capabilities, "unknown": { "deep": [1] },
    });
    let mut chain = lab.chain(&json!([plugin]));
    let mapping = json!({ "HostPort": 8080, "ContainerPort": 80, "Protocol": "TCP", "HostIP": "" });
    let c1 = port(lab.at("c1"), &mapping)
        .capability("dns", json!({ "Servers": null, "Searches": [], "Options": null }))
        .capability("ipRanges", Value::Null)
        .capability("io.kubernetes.cri.pod-annotations", json!({ "a": "b" }))
        .args("IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=p;K8S_POD_UID=;nonsense;X=Y=Z");
    chain.add(&c1).ok();
    let _service = Service::start("c1", 80);
    let heard = ask("outside", Transport::Tcp, "192.0.2.1:8080");
    assert_eq!(heard.map(|heard| heard.server), Some("c1".to_owned()));
    chain.check(&c1).ok();
    chain.del(&c1).ok();
    lab.assert_nothing_remains();
}

fn server(from: &str, transport: Transport, at: &str) -> Option<Heard> {
    ask(from, transport, at)
}

fn zubi_alone_needs_no_more_than_its_name() {
    let _outside = Outside::new();
    let lab = CniHost::new(ZUBI, &["c1", "c2", "g1"]);
    let mut chain = lab.chain(&json!([{ "type": "zubi", "capabilities": { "portMappings": true } }]));
    let mut other = lab.chain_of("green", &json!([{ "type": "zubi" }]));
    let c1 = port(lab.at("c1"), &json!({ "hostPort": 8080, "containerPort": 80 }));
    let first = chain.add(&c1).ok();
    let own = first.addresses().remove(0);
    let second = chain.add(&lab.at("c2")).ok().addresses().remove(0);
    let foreign = other.add(&lab.at("g1")).ok().addresses().remove(0);
    let bare = |address: &str| address.split('/').next().expect("address").to_owned();
    assert_eq!(first.value["interfaces"][0]["name"], "cz-blue");
    assert_reaches("c1", "c2", &bare(&second));
    assert_isolated("g1", "c1", &bare(&own));
    assert_isolated("c1", "g1", &bare(&foreign));
    let seen = zubi_lab::source_seen(&Reach { from: "c1", to: "outside", address: Outside::V4 });
    assert_eq!(seen, Some("192.0.2.1".parse().expect("address")));
    let service = Service::start("c1", 80);
    assert!(server("outside", Transport::Tcp, "192.0.2.1:8080").is_some());
    drop(service);
    chain.status().ok();
    chain.check(&c1).ok();
    for at in [&c1, &lab.at("c2")] {
        chain.del(at).ok();
    }
    other.del(&lab.at("g1")).ok();
    lab.assert_nothing_remains();
}

fn a_network_of_zubi_s_own_is_shared() {
    let _outside = Outside::new();
    let mut lab = CniHost::new(ZUBI, &["c1", "c2"]);
    lab.host.network("home --subnet 10.55.66.0/24 --subnet fd00:55::/64");
    lab.host.container("mine", "home");
    lab.host.settle();
    lab.begin_here();
    let plugin = json!({ "type": "zubi", "network": "home", "capabilities": { "portMappings": true, "ips": true } });
    let mut chain = lab.chain(&json!([plugin]));
    let mut twin = lab.chain_of("twin", &json!([plugin]));
    let c1 = port(lab.at("c1"), &json!({ "hostPort": 8080, "containerPort": 80, "protocol": "tcp" }));
    let result = chain.add(&c1).ok();
    assert_eq!(result.addresses(), ["10.55.66.3/24", "fd00:55::3/64"]);
    assert_eq!(result.value["interfaces"][0]["name"], "zb-home");
    // The error for a taken address names its owner; a free one is assigned.
    twin.add(&lab.at("c2").capability("ips", json!(["10.55.66.2"]))).fails(104, "mine");
    twin.del(&lab.at("c2")).ok();
    twin.add(&lab.at("c2").capability("ips", json!(["10.55.66.99"]))).ok();
    assert_reaches("mine", "c1", "10.55.66.3");
    assert_reaches("c1", "mine", "10.55.66.2");
    assert_reaches("c1", "c2", "10.55.66.99");
    assert_reaches("c1", "mine", "fd00:55::2");
    let service = Service::start("c1", 80);
    assert_eq!(server("outside", Transport::Tcp, "192.0.2.1:8080").map(|h| h.server), Some("c1".to_owned()));
    drop(service);
    chain.check(&c1).ok();
    // GC of one configuration keeps the containers of another one and those that no runtime made.
    chain.gc_only(&[]).ok();
    assert_eq!(chain.check(&c1).value["code"], 101);
    twin.check(&lab.at("c2")).ok();
    assert_reaches("mine", "c2", "10.55.66.99");
    twin.del(&lab.at("c2")).ok();
    chain.del(&c1).ok();
    lab.assert_nothing_remains();
    chain.status().ok();
    let mut nowhere = lab.chain(&json!([{ "type": "zubi", "network": "nowhere" }]));
    nowhere.status().fails(50, "nowhere");
    nowhere.add(&lab.at("c1")).fails(103, "nowhere");
    nowhere.del(&lab.at("c1")).ok();
    let mut both = lab.chain(&json!([{ "type": "zubi", "network": "home", "mtu": 1400 }]));
    both.add(&lab.at("c1")).fails(7, "mtu");
    lab.assert_nothing_remains();
    lab.host.zubi("sandbox rm mine").ok();
    lab.host.zubi("network rm home").ok();
}

/// The plug-ins start no program, whatever the machine configures.
fn no_program_is_started() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    for name in ["nft", "iptables", "ip", "sysctl", "iptables-save", "modprobe", "bridge", "tc"] {
        lab.host.shell(&format!("mkdir -p /run/traps; printf '#!/bin/sh\\necho {name} >> /run/caught\\n' > /run/traps/{name}; chmod +x /run/traps/{name}")).ok();
    }
    let caller = Caller::new(&lab.folder).with_path("/run/traps");
    let caller = lab.host.variables().fold(caller, |caller, (key, value)| caller.with_env(key, value));
    let plugins = json!([bridge(), portmap(), { "type": "firewall" }, { "type": "tuning", "mtu": 1400 }]);
    let list = json!({ "cniVersion": "1.1.0", "name": "blue", "plugins": plugins });
    let mut chain = zubi_lab::Chain::new(&caller, list);
    let c1 = port(lab.at("c1"), &json!({ "hostPort": 8080, "containerPort": 80 }));
    chain.add(&c1).ok();
    chain.check(&c1).ok();
    chain.del(&c1).ok();
    lab.assert_nothing_remains();
    assert!(!Path::new("/run/caught").exists());
}

zubi_lab::tests!(
    foreign_plug_ins_come_before_and_after,
    a_chain_that_fails_later_is_taken_back,
    addresses_come_from_another_plug_in,
    an_add_whose_ipam_fails_leaves_nothing,
    addresses_come_from_the_reference_s_host_local,
    host_local_serves_plug_ins_of_others,
    addresses_stand_in_the_configuration,
    every_version_has_its_format,
    a_runtime_that_capitalises_is_understood,
    zubi_alone_needs_no_more_than_its_name,
    a_network_of_zubi_s_own_is_shared,
    no_program_is_started,
);
