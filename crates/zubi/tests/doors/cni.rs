//! The CNI protocol: what holds for every plug-in, whatever its options.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::process::Child;
use zubi_lab::{
    Attachment, Caller, CniHost, Outside, PrevResult, Service, Verb, assert_isolated, assert_reaches, assert_served,
    assert_unserved,
};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

/// The usual list of Podman and Kubernetes, with both families.
fn usual() -> Value {
    json!([
        {
            "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
            "ipam": {
                "type": "host-local",
                "ranges": [[{ "subnet": "10.55.66.0/24" }], [{ "subnet": "fd00:55::/64" }]],
                "routes": [{ "dst": "0.0.0.0/0" }, { "dst": "::/0" }],
            },
        },
        { "type": "portmap", "capabilities": { "portMappings": true } },
        { "type": "firewall" },
        { "type": "tuning", "sysctl": { "net.ipv4.conf.IFNAME.log_martians": "1" } },
    ])
}

fn with_port(at: Attachment, host: u16) -> Attachment {
    at.capability(
        "portMappings",
        json!([{ "hostPort": host, "containerPort": 80, "protocol": "tcp" },
                                         { "hostPort": host, "containerPort": 80, "protocol": "udp" }]),
    )
}

fn an_attachment_works_is_checked_and_goes() {
    let _outside = Outside::new();
    let lab = CniHost::new(ZUBI, &["c1", "c2"]);
    let mut chain = lab.chain(&usual());
    chain.version();
    chain.status().ok();
    let (c1, c2) = (with_port(lab.at("c1"), 8080), lab.at("c2"));
    let result = chain.add(&c1).ok();
    assert_eq!(result.addresses(), ["10.55.66.2/24", "fd00:55::2/64"]);
    let interfaces = result.value["interfaces"].as_array().expect("interfaces");
    assert_eq!(interfaces[0]["name"], "cni0");
    assert_eq!(interfaces[2]["name"], "eth0");
    assert_eq!(interfaces[2]["sandbox"], "/run/netns/c1");
    for interface in interfaces {
        let name = interface["name"].as_str().expect("name");
        let there = if interface["sandbox"].is_string() { "-n c1" } else { "" };
        let seen = lab.host.shell(&format!("ip {there} -o link show dev {name}")).ok().out;
        assert!(seen.contains(interface["mac"].as_str().expect("mac")), "{interface}: {seen}");
    }
    assert_eq!(chain.add(&c2).ok().addresses(), ["10.55.66.3/24", "fd00:55::3/64"]);
    for (there, gateway) in [("10.55.66.3", "10.55.66.1"), ("fd00:55::3", "fd00:55::1")] {
        assert_reaches("c1", "c2", there);
        assert_reaches("c1", "host", gateway);
    }
    for outside in [Outside::V4, Outside::V6] {
        assert_reaches("c1", "outside", outside);
    }
    let service = Service::start("c1", 80);
    assert_served("outside", "192.0.2.1:8080", "c1", Outside::V4);
    assert_served("outside", "[2001:db8::1]:8080", "c1", Outside::V6);
    drop(service);
    assert_eq!(chain.check(&c1).ok().out, "");
    assert_eq!(chain.check(&c2).ok().out, "");
    assert_eq!(chain.status().ok().out, "");
    lab.host.zubi("check").ok();
    assert_eq!(chain.del(&c1).ok().out, "");
    assert_reaches("c2", "outside", Outside::V4);
    assert_eq!(chain.del(&c2).ok().out, "");
    lab.assert_nothing_remains();
}

fn a_second_add_fails_and_harms_nothing() {
    let lab = CniHost::new(ZUBI, &["c1", "c2", "other"]);
    let mut chain = lab.chain(&usual());
    let c1 = with_port(lab.at("c1"), 8080);
    chain.add(&c1).ok();
    chain.add(&lab.at("c2")).ok();
    lab.host.settle();
    let before = zubi_lab::Snapshot::take();
    chain.add(&c1).fails(104, "has eth0 already");
    // The same container in another namespace, while the first still exists.
    chain.add(&Attachment::new("c1", "other")).fails(104, "has eth0 already");
    // The same namespace for another container.
    chain.add(&Attachment::new("c9", "c1")).fails(104, "already");
    // The same network twice.
    chain.add(&c1.clone().ifname("eth1")).fails(104, "already");
    before.assert_no_residue(&zubi_lab::Snapshot::take());
    assert_reaches("c2", "c1", "10.55.66.2");
    chain.check(&c1).ok();
    chain.del(&c1).ok();
    chain.del(&lab.at("c2")).ok();
    lab.assert_nothing_remains();
}

/// A DEL for another device of the container, or for one whose ADD failed, keeps the existing device.
fn a_del_of_another_device_leaves_this_one() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let mut chain = lab.chain(&usual());
    let c1 = with_port(lab.at("c1"), 8080);
    chain.add(&c1).ok();
    let mut other = lab.chain(&usual());
    other.del(&c1.clone().ifname("eth1")).ok();
    other.del(&Attachment::new("c9", "c1")).ok();
    chain.check(&c1).ok();
    chain.del(&c1).ok();
    lab.assert_nothing_remains();
}

fn del_is_always_fine() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let mut chain = lab.chain(&usual());
    let c1 = with_port(lab.at("c1"), 8080);
    assert_eq!(chain.del(&c1).ok().out, "");
    chain.add(&c1).ok();
    for _ in 0..2 {
        assert_eq!(chain.del(&c1).ok().out, "");
    }
    chain.del_with(&c1.without_netns(), PrevResult::Lost).ok();
    lab.assert_nothing_remains();
}

/// Unusable namespaces: what happens before DEL, the namespace it names, and what restores the first one.
const NAMESPACES: [(&str, &str, &str); 5] = [
    ("true", "", "true"),
    ("ip netns del c1", "/run/netns/c1", "ip netns add c1; ip -n c1 link set lo up"),
    (
        "ip netns del c1; touch /run/netns/c1",
        "/run/netns/c1",
        "rm /run/netns/c1; ip netns add c1; ip -n c1 link set lo up",
    ),
    ("ip netns del c1; ip netns add c1; ip -n c1 link set lo up", "/run/netns/c1", "true"),
    ("true", "/run/netns/stranger", "true"),
];

fn del_frees_everything_whatever_became_of_the_namespace() {
    let _outside = Outside::new();
    let lab = CniHost::new(ZUBI, &["c1", "stranger"]);
    for (before, netns, after) in NAMESPACES {
        for prev_result in [PrevResult::Kept, PrevResult::Lost] {
            let mut chain = lab.chain(&usual());
            let c1 = with_port(lab.at("c1"), 8080);
            chain.add(&c1).ok();
            lab.host.shell(before).ok();
            let gone =
                if netns.is_empty() { c1.without_netns() } else { with_port(Attachment::new("c1", netns), 8080) };
            assert_eq!(chain.del_with(&gone, prev_result).ok().out, "");
            lab.host.shell(after).ok();
            lab.assert_nothing_remains();
        }
    }
}

fn del_frees_everything_whatever_became_of_the_configuration() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let c1 = with_port(lab.at("c1"), 8080);
    let changes: [&dyn Fn(&mut Value); 6] = [
        &|list| list["plugins"][0]["ipam"]["ranges"] = json!([[{ "subnet": "10.99.0.0/24" }]]),
        &|list| list["plugins"][0]["ipam"] = json!({ "type": "host-local", "ranges": "none" }),
        &|list| list["plugins"][0]["bridge"] = json!("another0"),
        &|list| list["plugins"] = json!([{ "type": "bridge" }]),
        &|list| list["plugins"][0]["vlan"] = json!(7),
        &|list| list["cniVersion"] = json!("0.4.0"),
    ];
    for change in changes {
        let mut chain = lab.chain(&usual());
        chain.add(&c1).ok();
        change(chain.list_mut());
        assert_eq!(chain.del(&c1).ok().out, "");
        lab.assert_nothing_remains();
    }
    // A configuration with names only.
    let mut chain = lab.chain(&usual());
    chain.add(&c1).ok();
    let bare = json!({ "cniVersion": "1.1.0", "name": "blue", "type": "bridge" });
    lab.caller.call("bridge", Verb::Del, &c1.without_netns(), &bare).ok();
    lab.assert_nothing_remains();
}

/// A drift, and a word of CHECK's message about it.
const DRIFTS: [(&str, &str); 13] = [
    ("ip -n c1 link del eth0", "eth0"),
    ("ip -n c1 link set eth0 down", "eth0"),
    ("ip -n c1 addr del 10.55.66.2/24 dev eth0", "10.55.66.2"),
    ("ip -n c1 addr del fd00:55::2/64 dev eth0", "fd00:55::2"),
    ("ip -n c1 route del default", "route add default via 10.55.66.1"),
    ("ip -n c1 -6 route del default", "default via fd00:55::1"),
    ("ip link set cni0 down", "cni0"),
    ("ip addr del 10.55.66.1/24 dev cni0", "10.55.66.1"),
    ("nft flush set inet zubi endpoints4", "endpoints4"),
    ("nft flush map inet zubi publish4", "publish4"),
    ("nft delete table inet zubi", "zubi"),
    ("rm $(find /run/zubi/leases -name '*10.55.66.2*')", "lease"),
    ("ip netns exec c1 sysctl -qw net.ipv4.conf.eth0.log_martians=0", "log_martians"),
];

fn check_tells_what_is_not_as_it_was_made() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    for (drift, word) in DRIFTS {
        let mut chain = lab.chain(&usual());
        let c1 = with_port(lab.at("c1"), 8080);
        chain.add(&c1).ok();
        chain.check(&c1).ok();
        lab.host.shell(drift).ok();
        let told = chain.check(&c1);
        assert_eq!(told.value["code"], 101, "{drift}: {}", told.out);
        assert!(told.value["msg"].as_str().is_some_and(|msg| msg.contains(word)), "{drift}: {}", told.out);
        chain.del(&c1).ok();
        lab.assert_nothing_remains();
    }
}

/// Additions by other plug-ins of the chain or by the container itself are no drift.
fn check_does_not_mind_what_others_add() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let mut chain = lab.chain(&usual());
    let c1 = lab.at("c1");
    chain.add(&c1).ok();
    lab.host.shell("ip -n c1 addr add 10.1.2.3/24 dev eth0 && ip -n c1 route add 10.9.0.0/16 via 10.55.66.1").ok();
    chain.check(&c1).ok();
    chain.del(&c1).ok();
    lab.assert_nothing_remains();
}

fn check_of_what_was_never_added_fails() {
    let lab = CniHost::new(ZUBI, &["c1", "c2"]);
    let mut chain = lab.chain(&usual());
    chain.add(&lab.at("c1")).ok();
    let mut config = usual()[0].clone();
    config["name"] = "blue".into();
    config["cniVersion"] = "1.1.0".into();
    lab.caller.call("bridge", Verb::Check, &lab.at("c2"), &config).fails(101, "has no eth0");
    config["cniVersion"] = "0.3.1".into();
    lab.caller.call("bridge", Verb::Check, &lab.at("c1"), &config).fails(1, "0.3.1");
    chain.del(&lab.at("c1")).ok();
    lab.assert_nothing_remains();
}

fn saying(key: &str, value: Value) -> serde_json::Map<String, Value> {
    [(key.to_owned(), value)].into_iter().collect()
}

fn gc_frees_what_is_not_listed() {
    let lab = CniHost::new(ZUBI, &["c1", "c2", "c3"]);
    let mut chain = lab.chain(&usual());
    let mut other = lab.chain_of(
        "green",
        &json!([{ "type": "bridge", "bridge": "green0", "ipam": { "type": "host-local", "subnet": "10.77.88.0/24" } }]),
    );
    let all: Vec<Attachment> = ["c1", "c2", "c3"].map(|name| lab.at(name)).into();
    for (n, at) in all.iter().enumerate() {
        chain.add(&with_port(at.clone(), 8080 + u16::try_from(n).expect("number"))).ok();
        other.add(&at.clone().ifname("net1")).ok();
    }
    // A valid attachment may be without its namespace.
    lab.host.shell("ip netns del c3").ok();
    // A tool that sends no list of valid attachments frees nothing.
    let said = chain.gc_saying(&serde_json::Map::new()).ok();
    assert_eq!(said.out, "");
    assert!(said.err.contains("nothing was freed"), "{}", said.err);
    chain.check(&all[1]).ok();
    assert_eq!(chain.gc_only(&[&all[0]]).ok().out, "");
    chain.check(&all[0]).ok();
    assert_eq!(chain.check(&all[1]).value["code"], 101);
    assert!(!lab.host.zubi("port ls").ok().out.contains("8081"));
    // GC concerns one network: attachments to others stay.
    other.check(&all[1].clone().ifname("net1")).ok();
    chain.add(&all[1]).ok();
    assert_eq!(chain.gc_saying(&saying("cni.dev/valid-attachments", json!([]))).ok().out, "");
    for at in &all[..2] {
        assert_eq!(chain.check(at).value["code"], 101);
    }
    for at in &all[..2] {
        chain.add(at).ok();
    }
    assert_eq!(chain.gc_saying(&saying("cni.dev/valid-attachments", Value::Null)).ok().out, "");
    other.gc(&[]).ok();
    lab.host.shell("ip netns add c3; ip -n c3 link set lo up").ok();
    lab.assert_nothing_remains();
}

fn start(lab: &CniHost, verb: Verb, at: &str, config: &Value) -> Child {
    let mut command = lab.caller.command("bridge", verb);
    command.env("CNI_CONTAINERID", at).env("CNI_IFNAME", "eth0").env("CNI_NETNS", format!("/run/netns/{at}"));
    let mut child = command.spawn().expect("bridge");
    child.stdin.take().expect("stdin").write_all(config.to_string().as_bytes()).expect("request");
    child
}

fn a_hundred_at_once_have_distinct_addresses() {
    let names: Vec<String> = (0..100).map(|n| format!("c{n}")).collect();
    let lab = CniHost::new(ZUBI, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let mut config = usual()[0].clone();
    config["name"] = "blue".into();
    config["cniVersion"] = "1.1.0".into();
    let children: Vec<Child> = names.iter().map(|name| start(&lab, Verb::Add, name, &config)).collect();
    let mut addresses = BTreeSet::new();
    for child in children {
        let output = child.wait_with_output().expect("bridge");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}");
        let result: Value = serde_json::from_str(&text).expect("a result");
        for ip in result["ips"].as_array().expect("ips") {
            addresses.insert(ip["address"].as_str().expect("address").to_owned());
        }
    }
    assert_eq!(addresses.len(), 200);
    assert_eq!(lab.host.shell("ip -o link show type bridge | wc -l").ok().out.trim(), "1");
    lab.host.zubi("check").ok();
    let children: Vec<Child> = names.iter().map(|name| start(&lab, Verb::Del, name, &config)).collect();
    for child in children {
        let output = child.wait_with_output().expect("bridge");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    lab.assert_nothing_remains();
}

/// Kills a plug-in behind each of its steps; the runtime then calls DEL and ADD again.
fn kill_everywhere(plugin: usize, verb: Verb, least: usize) {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let c1 = with_port(lab.at("c1"), 8080);
    let word = usual()[plugin]["type"].as_str().expect("type").to_owned();
    let folder = lab.folder.clone();
    let with_fault = |fault: Option<String>| {
        // A script wraps the plug-in, so that only this plug-in and only this verb is killed.
        fs::remove_file(folder.join(&word)).expect("plug-in");
        let set = fault.map_or_else(String::new, |fault| {
            format!("[ \"$CNI_COMMAND\" = {} ] && export ZUBI_FAULT={fault}", verb.word())
        });
        lab.script(&word, &format!("{set}\nexec /run/plugins/../zubi-link/{word}"));
    };
    zubi_lab::links(ZUBI, "/run/zubi-link", &zubi_lab::PLUGINS);
    let mut chain = lab.chain(&usual());
    with_fault(Some("count".into()));
    let added = chain.add(&c1).ok();
    let counted = if verb == Verb::Add { added } else { chain.del(&c1).ok() };
    drop(counted);
    with_fault(None);
    chain.del(&c1).ok();
    lab.assert_nothing_remains();
    let mut killed = 0;
    for step in 1.. {
        let mut chain = lab.chain(&usual());
        with_fault(Some(format!("kill:{step}")));
        let added = chain.add(&c1);
        let reply = if verb == Verb::Add { added } else { chain.del(&c1) };
        with_fault(None);
        if reply.code == 0 {
            break;
        }
        assert_eq!(reply.code, 137, "{}", reply.out);
        killed += 1;
        if step % 2 == 0 {
            chain.del_with(&c1.clone().without_netns(), PrevResult::Lost).ok();
        } else {
            chain.del(&c1).ok();
        }
        chain.add(&c1).ok();
        chain.check(&c1).ok();
        chain.del(&c1).ok();
        // Temporary files that were never renamed count as nothing.
        lab.host.shell("find /run/zubi -name '.tmp-*' -delete").ok();
        lab.assert_nothing_remains();
    }
    chain.del(&c1).ok();
    // The last fault may kill the detached child. Once it has ended, gc does its work.
    lab.host.wait_for("! pgrep -r D,R,S -x 'bridge|portmap'");
    lab.host.zubi("gc").ok();
    lab.host.shell("find /run/zubi -name '.tmp-*' -delete").ok();
    lab.assert_nothing_remains();
    assert!(killed >= least, "killed {killed} times");
}

fn a_killed_add_of_bridge_is_undone_by_del() {
    kill_everywhere(0, Verb::Add, 30);
}

fn a_killed_add_of_portmap_is_undone_by_del() {
    kill_everywhere(1, Verb::Add, 5);
}

fn a_killed_del_of_bridge_is_finished_by_the_next() {
    kill_everywhere(0, Verb::Del, 10);
}

fn a_killed_del_of_portmap_is_finished_by_the_next() {
    kill_everywhere(1, Verb::Del, 3);
}

fn version_needs_nothing_and_touches_nothing() {
    let lab = CniHost::new(ZUBI, &[]);
    for plugin in zubi_lab::PLUGINS {
        for stdin in ["", "{\"cniVersion\":\"0.3.1\"}", "no JSON"] {
            let told = lab.caller.call_raw(plugin, &[("CNI_COMMAND", "VERSION")], stdin).ok();
            let versions = told.value["supportedVersions"].as_array().expect("versions");
            assert!(versions.contains(&json!("0.4.0")) && versions.contains(&json!("1.1.0")), "{}", told.out);
        }
        if plugin != "zubi" {
            // Without variables, as a person calls it.
            let told = lab.caller.call_raw(plugin, &[], "").ok();
            assert_eq!(told.out, "");
            assert!(told.err.contains(plugin), "{}", told.err);
        }
    }
    // A copy works like a link.
    lab.host.shell(&format!("mkdir /run/copies && cp {ZUBI} /run/copies/portmap")).ok();
    Caller::new("/run/copies").version("portmap").ok();
    assert_eq!(lab.host.shell("ls /run/zubi /run/zubi-state 2>/dev/null").out, "");
}

fn an_add_without_a_free_address_leaves_nothing() {
    let lab = CniHost::new(ZUBI, &["c1", "c2"]);
    let ipam = json!({
        "type": "host-local",
        "ranges": [[{ "subnet": "10.55.66.0/24", "rangeStart": "10.55.66.9", "rangeEnd": "10.55.66.9" }]],
    });
    let mut chain = lab.chain(&json!([{ "type": "bridge", "isGateway": true, "ipam": ipam }]));
    chain.status().ok();
    assert_eq!(chain.add(&lab.at("c1")).ok().addresses(), ["10.55.66.9/24"]);
    chain.status().fails(50, "10.55.66.0/24");
    lab.host.settle();
    let before = zubi_lab::Snapshot::take();
    chain.add(&lab.at("c2")).fails(105, "10.55.66.0/24");
    before.assert_no_residue(&zubi_lab::Snapshot::take());
    chain.del(&lab.at("c2")).ok();
    chain.check(&lab.at("c1")).ok();
    chain.del(&lab.at("c1")).ok();
    chain.status().ok();
    lab.assert_nothing_remains();
}

/// A restarted container has a new namespace under its old path: the old endpoint must not be in the way.
fn a_container_that_came_back_without_del_gets_a_device() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let mut chain = lab.chain(&usual());
    let c1 = with_port(lab.at("c1"), 8080);
    chain.add(&c1).ok();
    lab.host.shell("ip netns del c1; ip netns add c1; ip -n c1 link set lo up").ok();
    // The kernel deletes the pair a moment later.
    lab.host.wait_for("! ip -o link | grep -q ' zv'");
    chain.add(&c1).ok();
    chain.check(&c1).ok();
    chain.del(&c1).ok();
    lab.assert_nothing_remains();
}

/// A reboot leaves only the runtime's own records and /var/lib.
fn nothing_of_an_earlier_boot_is_in_the_way() {
    let _outside = Outside::new();
    let lab = CniHost::new(ZUBI, &["c1"]);
    let mut chain = lab.chain(&usual());
    let c1 = with_port(lab.at("c1"), 8080);
    chain.add(&c1).ok();
    lab.host.settle();
    lab.host
        .shell("ip link del cni0; nft delete table inet zubi; ip netns del c1; \
             while ip -o link | grep -q ' zv'; do sleep 0.01; done; rm -r /run/zubi; \
             sysctl -qw net.ipv4.ip_forward=0; sysctl -qew net.ipv6.conf.all.force_forwarding=0 \
             net.ipv6.conf.default.force_forwarding=0 net.ipv6.conf.all.forwarding=0; ip netns add c1; ip -n c1 link set lo up")
        .ok();
    lab.host.wait_for("! ip -o link | grep -q ' zv'");
    let added = chain.add(&c1).ok();
    assert_eq!(added.addresses(), ["10.55.66.2/24", "fd00:55::2/64"]);
    chain.check(&c1).ok();
    assert_reaches("c1", "outside", Outside::V4);
    chain.del(&c1).ok();
    lab.assert_nothing_remains();
}

/// After a flush of the ruleset, the next ADD restores the rules of all containers.
fn a_flushed_firewall_is_put_back() {
    let _outside = Outside::new();
    let lab = CniHost::new(ZUBI, &["c1", "c2"]);
    let mut chain = lab.chain(&usual());
    let c1 = with_port(lab.at("c1"), 8080);
    chain.add(&c1).ok();
    let _service = Service::start("c1", 80);
    assert_served("outside", "192.0.2.1:8080", "c1", Outside::V4);
    lab.host.shell("nft flush ruleset").ok();
    assert_unserved("outside", "192.0.2.1:8080");
    chain.add(&lab.at("c2")).ok();
    assert_served("outside", "192.0.2.1:8080", "c1", Outside::V4);
    chain.check(&c1).ok();
    chain.del(&c1).ok();
    chain.del(&lab.at("c2")).ok();
    lab.assert_nothing_remains();
}

/// In the plug-in's own namespace, the host's devices and addresses would count as the container's.
fn the_host_s_own_namespace_is_refused() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let mut chain = lab.chain(&usual());
    for netns in ["/proc/self/ns/net", "/proc/1/ns/net"] {
        chain.add(&Attachment::new("c1", netns)).fails(8, "CNI_NETNS");
    }
    let mut chain = lab.chain(&json!([{ "type": "loopback" }]));
    chain.add(&Attachment::new("c1", "/proc/self/ns/net")).fails(8, "CNI_NETNS");
    // The same with the runtime's override: the container's devices and the host's would be indistinguishable.
    let allowed = lab.caller.clone().with_env("CNI_NETNS_OVERRIDE", "1");
    let config = json!({ "cniVersion": "1.0.0", "name": "blue", "type": "zubi" });
    allowed.call("zubi", Verb::Add, &Attachment::new("c1", "/proc/self/ns/net"), &config).fails(8, "CNI_NETNS");
    lab.assert_nothing_remains();
}

fn containers_of_networks_keep_apart() {
    let lab = CniHost::new(ZUBI, &["c1", "c2"]);
    let mut blue = lab.chain(&json!([{ "type": "zubi", "subnet": "10.55.66.0/24" }]));
    let mut green = lab.chain_of("green", &json!([{ "type": "zubi", "subnet": "10.77.88.0/24" }]));
    blue.add(&lab.at("c1")).ok();
    green.add(&lab.at("c2")).ok();
    assert_isolated("c1", "c2", "10.77.88.2");
    blue.check(&lab.at("c1")).ok();
    blue.del(&lab.at("c1")).ok();
    green.del(&lab.at("c2")).ok();
    lab.assert_nothing_remains();
}

zubi_lab::tests!(
    an_attachment_works_is_checked_and_goes,
    a_second_add_fails_and_harms_nothing,
    a_del_of_another_device_leaves_this_one,
    del_is_always_fine,
    del_frees_everything_whatever_became_of_the_namespace,
    del_frees_everything_whatever_became_of_the_configuration,
    check_tells_what_is_not_as_it_was_made,
    check_does_not_mind_what_others_add,
    check_of_what_was_never_added_fails,
    gc_frees_what_is_not_listed,
    a_hundred_at_once_have_distinct_addresses,
    a_killed_add_of_bridge_is_undone_by_del,
    a_killed_add_of_portmap_is_undone_by_del,
    a_killed_del_of_bridge_is_finished_by_the_next,
    a_killed_del_of_portmap_is_finished_by_the_next,
    version_needs_nothing_and_touches_nothing,
    an_add_without_a_free_address_leaves_nothing,
    a_container_that_came_back_without_del_gets_a_device,
    nothing_of_an_earlier_boot_is_in_the_way,
    a_flushed_firewall_is_put_back,
    the_host_s_own_namespace_is_refused,
    containers_of_networks_keep_apart,
);
