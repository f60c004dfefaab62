//! Plug-ins behind and beside each other: those of others before and after ours, addresses of others, published ports,
//! the firewall, settings, and the formats of all versions.

use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use zubi_lab::{
    Attachment, Caller, CniHost, Heard, Outside, PrevResult, Reach, Service, Transport, Verb, ask, assert_isolated,
    assert_reaches, assert_served, assert_unserved, matrix, reaches, skip,
};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

fn bridge() -> Value {
    json!({
        "type": "bridge", "bridge": "cni0", "isDefaultGateway": true, "ipMasq": true,
        "ipam": { "type": "host-local", "ranges": [[{ "subnet": "10.55.66.0/24" }], [{ "subnet": "fd00:55::/64" }]] },
    })
}

fn portmap() -> Value {
    json!({ "type": "portmap", "capabilities": { "portMappings": true } })
}

fn port(at: Attachment, mapping: &Value) -> Attachment {
    at.capability("portMappings", json!([mapping]))
}

/// Prints what it was given, and writes its verb down.
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
    // Our own are behind theirs, and what points to them does.
    let device = value["ips"][1]["interface"].as_u64().expect("index");
    assert_eq!(value["interfaces"][usize::try_from(device).expect("index")]["name"], "eth0");
    assert_eq!(value["interfaces"][3]["mtu"], 1400);
    chain.check(&c1).ok();
    chain.del(&c1).ok();
    assert_eq!(fs::read_to_string("/run/follower").expect("follower"), "ADD c1\nCHECK c1\nDEL c1\n");
    lab.assert_nothing_remains();
}

/// What a plug-in behind ours does not like is undone by the runtime's DEL.
fn a_chain_that_fails_later_is_taken_back() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    lab.script("grumpy", "[ $CNI_COMMAND = ADD ] || exit 0\necho '{\"code\": 123, \"msg\": \"no\"}'; exit 1");
    let mut chain = lab.chain(&json!([bridge(), portmap(), { "type": "grumpy" }]));
    let c1 = port(lab.at("c1"), &json!({ "hostPort": 8080, "containerPort": 80 }));
    chain.add(&c1).fails(123, "no");
    chain.del_with(&c1, PrevResult::Lost).ok();
    lab.assert_nothing_remains();
}

/// An IPAM plug-in that writes its verbs down.
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
    // It got the request as it is.
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
        // What it says is passed on, and it is asked to take back what it may have done.
        ("echo '{\"code\": 11, \"msg\": \"later perhaps\"}'; exit 1".to_owned(), 11, "later perhaps"),
        ("echo died >&2; exit 3".to_owned(), 999, "fixed"),
        ("echo no JSON".to_owned(), 6, "fixed"),
        ("echo '{\"ips\": []}'".to_owned(), 999, "without an address"),
        ("echo '{\"ips\": [{\"address\": \"10.55.66.77\"}]}'".to_owned(), 6, "10.55.66.77"),
        // The plug-in is fine, but there is no such namespace.
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
    // Not there at all.
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
    // A container from before zubi came: its address is not given again, and goes with its DEL.
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
    // Those of an earlier boot are of nobody.
    fs::write("/run/theirs/blue/10.55.66.6", "ancient\r\neth0").expect("reservation");
    lab.host.shell("touch -d '2001-01-01' /run/theirs/blue/10.55.66.6").ok();
    ours.del(&c1).ok();
    let c1_again = ours.add(&lab.at("c1").args("IgnoreUnknown=1;IP=10.55.66.6")).ok();
    assert_eq!(c1_again.addresses(), ["10.55.66.6/24"]);
    // Containers that the runtime does not know any more.
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

/// For main plug-ins of others: the addresses are kept by zubi, without any device.
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
    // One that is asked for.
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
    // What the runtime wants instead.
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

/// As containerd's structs have it, and with keys that nobody knows.
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

fn with_ports(options: &Value) -> Value {
    let mut portmap = portmap();
    portmap.as_object_mut().expect("object").extend(options.as_object().expect("object").clone());
    json!([bridge(), portmap])
}

fn server(from: &str, transport: Transport, at: &str) -> Option<Heard> {
    ask(from, transport, at)
}

fn ports_have_addresses_and_protocols() {
    let _outside = Outside::new();
    let lab = CniHost::new(ZUBI, &["c1"]);
    let mut chain = lab.chain(&with_ports(&json!({})));
    let c1 = lab.at("c1").capability(
        "portMappings",
        json!([
            { "hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": "192.0.2.1" },
            { "hostPort": 8081, "containerPort": 80, "protocol": "udp" },
            { "hostPort": 8082, "containerPort": 80, "protocol": "tcp", "hostIP": "::" },
            { "hostPort": 8083, "containerPort": 80, "protocol": "tcp", "hostIP": "0.0.0.0" },
            { "hostPort": 8084, "containerPort": 80, "protocol": "SCTP" },
            { "hostPort": 0, "containerPort": 81, "protocol": "tcp" },
        ]),
    );
    chain.add(&c1).ok();
    assert!(lab.host.zubi("port ls").ok().out.lines().any(|l| l.contains("8084") && l.contains("sctp")));
    let _service = Service::start("c1", 80);
    let (tcp, udp) = (Transport::Tcp, Transport::Udp);
    let cases = [
        ("192.0.2.1:8080", tcp, true),
        ("192.0.2.1:8080", udp, false),
        ("[2001:db8::1]:8080", tcp, false),
        ("192.0.2.1:8081", udp, true),
        ("192.0.2.1:8081", tcp, false),
        ("[2001:db8::1]:8081", udp, true),
        ("[2001:db8::1]:8082", tcp, true),
        ("192.0.2.1:8083", tcp, true),
        ("[2001:db8::1]:8083", tcp, false),
    ];
    for (at, transport, expected) in cases {
        assert_eq!(server("outside", transport, at).is_some(), expected, "{at} {transport:?}");
    }
    // At another address of the host the first one is not.
    assert_eq!(server("host", tcp, "10.55.66.1:8080"), None);
    assert!(server("host", tcp, "127.0.0.1:8083").is_some());
    chain.check(&c1).ok();
    chain.del(&c1).ok();
    lab.assert_nothing_remains();
}

/// A second container that wants the same port: who has it is named, and nothing of the second stays.
fn a_port_that_somebody_has_names_its_owner() {
    let _outside = Outside::new();
    let lab = CniHost::new(ZUBI, &["c1", "c2"]);
    let mapping = json!({ "hostPort": 8080, "containerPort": 80, "protocol": "tcp" });
    let mut chain = lab.chain(&with_ports(&json!({})));
    let mut one = lab.chain_of(
        "green",
        &json!([{
            "type": "zubi", "subnet": "10.77.88.0/24", "capabilities": { "portMappings": true },
        }]),
    );
    let (c1, c2) = (port(lab.at("c1"), &mapping), port(lab.at("c2"), &mapping));
    chain.add(&c1).ok();
    chain.add(&c2).fails(104, "cni:c1");
    chain.del(&c2).ok();
    one.add(&c2).fails(104, "cni:c1");
    one.del(&c2).ok();
    let _service = Service::start("c1", 80);
    assert!(server("outside", Transport::Tcp, "192.0.2.1:8080").is_some());
    // Of another protocol or address it is another one.
    let other = port(lab.at("c2"), &json!({ "hostPort": 8080, "containerPort": 80, "protocol": "udp" }));
    chain.add(&other).ok();
    chain.check(&c1).ok();
    chain.check(&other).ok();
    chain.del(&other).ok();
    chain.del(&c1).ok();
    lab.assert_nothing_remains();
}

/// Whom the server sees.
fn sources_of_ports_are_as_configured() {
    let _outside = Outside::new();
    let lab = CniHost::new(ZUBI, &["c1", "c2"]);
    // Where bridges pass frames to the firewall, the reply of a neighbour is translated without being led to the host.
    lab.host.shell("for f in /proc/sys/net/bridge/bridge-nf-call-ip*tables; do echo 0 > $f; done");
    let c1 = port(lab.at("c1"), &json!({ "hostPort": 8080, "containerPort": 80, "protocol": "tcp" }));
    let seen = |from: &str, at: &str| server(from, Transport::Tcp, at).map(|heard| heard.client.to_string());
    let cases = [
        (json!({}), Some(Outside::V4), Some("10.55.66.1"), Some("10.55.66.1")),
        (json!({ "masqAll": true }), Some("10.55.66.1"), Some("10.55.66.1"), Some("10.55.66.1")),
        // Without it the reply of a neighbour goes past the host.
        (json!({ "snat": false }), Some(Outside::V4), None, Some("10.55.66.1")),
    ];
    for (options, outside, neighbour, host) in cases {
        let mut chain = lab.chain(&with_ports(&options));
        chain.add(&c1).ok();
        chain.add(&lab.at("c2")).ok();
        let service = Service::start("c1", 80);
        assert_eq!(seen("outside", "192.0.2.1:8080").as_deref(), outside, "{options}");
        assert_eq!(seen("c2", "192.0.2.1:8080").as_deref(), neighbour, "{options}");
        assert_eq!(seen("host", "127.0.0.1:8080").as_deref(), host, "{options}");
        if neighbour.is_some() {
            assert_eq!(seen("c1", "192.0.2.1:8080").as_deref(), neighbour, "{options}");
        }
        drop(service);
        chain.check(&c1).ok();
        chain.del(&c1).ok();
        chain.del(&lab.at("c2")).ok();
        lab.assert_nothing_remains();
    }
}

/// What has no meaning without iptables, and what is only passed over.
fn conditions_of_ports_are_refused() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let c1 = port(lab.at("c1"), &json!({ "hostPort": 8080, "containerPort": 80 }));
    let refused =
        [("conditionsV4", json!(["!", "-d", "192.0.2.0/24"])), ("externalSetMarkChain", json!("KUBE-MARK-MASQ"))];
    for (key, value) in refused {
        let mut chain = lab.chain(&with_ports(&json!({ key: value })));
        chain.add(&c1).fails(2, key);
        chain.del(&c1).ok();
    }
    let mut chain = lab.chain(&with_ports(&json!({ "markMasqBit": 11, "backend": "iptables" })));
    chain.add(&c1).ok();
    chain.del(&c1).ok();
    lab.assert_nothing_remains();
}

/// Behind a device of somebody else nothing can be published, and policies could not be kept.
fn what_only_our_own_devices_have_is_refused_elsewhere() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let theirs = json!({ "cniVersion": "1.1.0", "ips": [{ "address": "10.55.66.2/24" }] });
    lab.script("leader", &format!("[ $CNI_COMMAND = ADD ] && echo '{theirs}'\ntrue"));
    let c1 = port(lab.at("c1"), &json!({ "hostPort": 8080, "containerPort": 80 }));
    let mut chain = lab.chain(&json!([{ "type": "leader" }, portmap()]));
    chain.add(&c1).fails(7, "was not made by zubi");
    chain.del(&c1).ok();
    // Without a port there is nothing to publish.
    chain.add(&lab.at("c1")).ok();
    chain.check(&lab.at("c1")).ok();
    chain.del(&lab.at("c1")).ok();
    let mut chain = lab.chain(&json!([{ "type": "leader" }, { "type": "firewall", "ingressPolicy": "same-bridge" }]));
    chain.add(&c1).fails(7, "was not made by zubi");
    let mut chain = lab.chain(&json!([{ "type": "leader" }, { "type": "firewall" }]));
    chain.add(&c1).ok();
    chain.check(&c1).ok();
    chain.del(&c1).ok();
    lab.assert_nothing_remains();
}

const POLICIES: [(&str, &str); 4] = [
    (
        "",
        "c2 -> c1 10.55.66.2: ICMP TCP UDP\ng1 -> c1 10.55.66.2: ICMP TCP UDP\noutside -> c1 10.55.66.2: ICMP TCP UDP\n\
          c1 -> g1 10.77.88.2: ICMP TCP UDP\nc1 -> outside 192.0.2.2: ICMP TCP UDP\n",
    ),
    (
        "open",
        "c2 -> c1 10.55.66.2: ICMP TCP UDP\ng1 -> c1 10.55.66.2: ICMP TCP UDP\noutside -> c1 10.55.66.2: ICMP TCP UDP\n\
          c1 -> g1 10.77.88.2: ICMP TCP UDP\nc1 -> outside 192.0.2.2: ICMP TCP UDP\n",
    ),
    (
        "same-bridge",
        "c2 -> c1 10.55.66.2: ICMP TCP UDP\ng1 -> c1 10.55.66.2: - - -\noutside -> c1 10.55.66.2: - - -\n\
          c1 -> g1 10.77.88.2: ICMP TCP UDP\nc1 -> outside 192.0.2.2: ICMP TCP UDP\n",
    ),
    (
        "isolated",
        "c2 -> c1 10.55.66.2: - - -\ng1 -> c1 10.55.66.2: - - -\noutside -> c1 10.55.66.2: - - -\n\
          c1 -> g1 10.77.88.2: ICMP TCP UDP\nc1 -> outside 192.0.2.2: ICMP TCP UDP\n",
    ),
];

fn policies_say_who_reaches_whom() {
    let _outside = Outside::new();
    let lab = CniHost::new(ZUBI, &["c1", "c2", "g1"]);
    for (policy, expected) in POLICIES {
        let mut chain = lab.chain(&json!([bridge(), portmap(), { "type": "firewall", "ingressPolicy": policy }]));
        let mut open = lab.chain_of(
            "green",
            &json!([{
                "type": "bridge", "bridge": "green0", "isDefaultGateway": true,
                "ipam": { "type": "host-local", "subnet": "10.77.88.0/24" },
            }]),
        );
        let c1 = port(lab.at("c1"), &json!({ "hostPort": 8080, "containerPort": 80 }));
        chain.add(&c1).ok();
        chain.add(&lab.at("c2")).ok();
        open.add(&lab.at("g1")).ok();
        lab.host.shell("ip -n outside route add 10.55.66.0/24 via 192.0.2.1").ok();
        let reach = |from, to, address| Reach { from, to, address };
        let seen = matrix(&[
            reach("c2", "c1", "10.55.66.2"),
            reach("g1", "c1", "10.55.66.2"),
            reach("outside", "c1", "10.55.66.2"),
            reach("c1", "g1", "10.77.88.2"),
            reach("c1", "outside", Outside::V4),
        ]);
        assert_eq!(seen, expected, "{policy}");
        // A published port is reached whatever the policy.
        let service = Service::start("c1", 80);
        assert!(server("outside", Transport::Tcp, "192.0.2.1:8080").is_some(), "{policy}");
        assert!(server("g1", Transport::Tcp, "192.0.2.1:8080").is_some(), "{policy}");
        drop(service);
        chain.check(&c1).ok();
        lab.host.shell("ip -n outside route del 10.55.66.0/24").ok();
        for (chain, at) in [(&mut chain, &c1), (&mut open, &lab.at("g1"))] {
            chain.del(at).ok();
        }
        chain.del(&lab.at("c2")).ok();
        lab.assert_nothing_remains();
    }
}

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

/// A neighbour that knows the address under another MAC is told of the new one at once.
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

/// A setting that cannot be made: nothing of the settings stays, and the device goes with the runtime's DEL.
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

/// As the reference reads it: where the file is there, everything else is refused.
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

/// Limits of the bandwidth would not be kept: zubi alone says so, and behind it there may be the plug-in that keeps them.
fn bandwidth_is_not_promised() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let mut chain = lab.chain(&json!([{ "type": "zubi", "capabilities": { "bandwidth": true } }]));
    let limited =
        lab.at("c1").capability("bandwidth", json!({ "IngressRate": 1_000_000, "IngressBurst": 4_294_967_295_u32 }));
    chain.add(&limited).fails(2, "ingressRate");
    chain.del(&limited).ok();
    lab.assert_nothing_remains();
}

/// A device of others goes back as it was: it may be a card of the host.
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
    // With its namespace it is gone anyway.
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
    // An owner is named; one that is free is given.
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
    // GC of one configuration leaves the other's containers, and those that no runtime made.
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

/// The plug-ins need nothing of what the configuration of the machine says about programs.
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

/// A published UDP port leads new datagrams of an old client to the container that has it now.
fn an_old_flow_finds_the_new_container() {
    let _outside = Outside::new();
    let lab = CniHost::new(ZUBI, &["c1", "c2"]);
    let mut chain = lab.chain(&with_ports(&json!({})));
    let mapping = json!({ "hostPort": 8080, "containerPort": 80, "protocol": "udp" });
    let (c1, c2) = (port(lab.at("c1"), &mapping), port(lab.at("c2"), &mapping));
    let socket = zubi_lab::inside("outside", || std::net::UdpSocket::bind("192.0.2.2:4444").expect("bind"));
    let to = "192.0.2.1:8080".parse().expect("address");
    for (at, name) in [(&c1, "c1"), (&c2, "c2")] {
        chain.add(at).ok();
        let _service = Service::start(name, 80);
        assert_eq!(zubi_lab::ask_by(&socket, to).map(|h| h.server).as_deref(), Some(name));
        chain.del(at).ok();
    }
    assert_unserved("outside", "192.0.2.1:8080");
    lab.assert_nothing_remains();
}

/// A runtime asks for the ports of a container on all of its networks: they lead to it by the first, and when it leaves
/// that one by the next for which they were asked for.
fn ports_follow_a_container_from_network_to_network() {
    let _outside = Outside::new();
    let lab = CniHost::new(ZUBI, &["c1", "c2"]);
    let second = |chained: Value| {
        let ipam = json!({ "type": "host-local", "subnet": "10.77.88.0/24" });
        let bridge = json!({ "type": "bridge", "bridge": "green0", "isGateway": true, "ipMasq": true, "ipam": ipam });
        json!([bridge, chained])
    };
    let mapping = json!([{ "hostPort": 8080, "containerPort": 80, "protocol": "tcp" }]);
    let c1 = lab.at("c1").capability("portMappings", mapping.clone());
    let net1 = Attachment::new("c1", "c1").ifname("net1").capability("portMappings", mapping.clone());
    for follows in [true, false] {
        let mut blue = lab.chain(&with_ports(&json!({})));
        let chained = if follows { portmap() } else { json!({ "type": "firewall" }) };
        let mut green = lab.chain_of("green", &second(chained));
        blue.add(&c1).ok();
        green.add(&net1).ok();
        let service = Service::start("c1", 80);
        assert!(server("outside", Transport::Tcp, "192.0.2.1:8080").is_some());
        blue.check(&c1).ok();
        green.check(&net1).ok();
        lab.host.zubi("check").ok();
        // Nobody else may have it.
        blue.add(&lab.at("c2").capability("portMappings", mapping.clone())).fails(104, "8080");
        blue.del(&lab.at("c2")).ok();
        blue.del(&c1).ok();
        lab.host.shell("ip -n c1 route replace default via 10.77.88.1").ok();
        assert_eq!(server("outside", Transport::Tcp, "192.0.2.1:8080").is_some(), follows);
        green.check(&net1).ok();
        drop(service);
        // The first network again, and the second one goes.
        lab.host.shell("ip -n c1 route del default").ok();
        blue.add(&c1).ok();
        green.del(&net1).ok();
        blue.check(&c1).ok();
        blue.del(&c1).ok();
        lab.assert_nothing_remains();
    }
}

/// Two networks of one container publish each on their own.
fn two_networks_of_a_container_have_their_own_ports() {
    let _outside = Outside::new();
    let lab = CniHost::new(ZUBI, &["c1"]);
    let mut blue = lab.chain(&with_ports(&json!({})));
    let mut green = lab.chain_of("green", &json!([
        { "type": "bridge", "bridge": "green0", "isGateway": true, "ipam": { "type": "host-local", "subnet": "10.77.88.0/24" } },
        portmap(),
    ]));
    let both = |n: u16, protocol: &str| json!({ "hostPort": n, "containerPort": 80, "protocol": protocol });
    let c1 = lab.at("c1").capability("portMappings", json!([both(8080, "tcp"), both(8080, "udp")]));
    let net1 = Attachment::new("c1", "c1")
        .ifname("net1")
        .capability("portMappings", json!([both(9090, "tcp"), both(9090, "udp")]));
    blue.add(&c1).ok();
    green.add(&net1).ok();
    let _service = Service::start("c1", 80);
    assert_served("outside", "192.0.2.1:8080", "c1", Outside::V4);
    green.check(&net1).ok();
    green.del(&net1).ok();
    assert_served("outside", "192.0.2.1:8080", "c1", Outside::V4);
    blue.check(&c1).ok();
    blue.del(&c1).ok();
    lab.assert_nothing_remains();
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
    ports_have_addresses_and_protocols,
    a_port_that_somebody_has_names_its_owner,
    sources_of_ports_are_as_configured,
    conditions_of_ports_are_refused,
    what_only_our_own_devices_have_is_refused_elsewhere,
    policies_say_who_reaches_whom,
    settings_are_made_checked_and_told,
    a_mac_that_is_set_is_announced,
    settings_that_cannot_be_are_told,
    settings_may_be_confined_by_a_file,
    bandwidth_is_not_promised,
    settings_of_a_foreign_device_are_taken_back,
    loopback_comes_up,
    zubi_alone_needs_no_more_than_its_name,
    a_network_of_zubi_s_own_is_shared,
    no_program_is_started,
    an_old_flow_finds_the_new_container,
    ports_follow_a_container_from_network_to_network,
    two_networks_of_a_container_have_their_own_ports,
);
