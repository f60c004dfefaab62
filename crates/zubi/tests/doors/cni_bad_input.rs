//! Invalid requests: each gets an answer in the protocol's words and changes nothing.

use serde_json::{Value, json};
use std::io::Write;
use zubi_lab::{Attachment, CniHost, PLUGINS, Reply, Snapshot, Verb};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

const GOOD: &str =
    r#"{"cniVersion":"1.0.0","name":"blue","type":"bridge","ipam":{"type":"host-local","subnet":"10.55.66.0/24"}}"#;

/// The variables of a good ADD, except for the changed ones.
fn variables<'a>(changed: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let good = [
        ("CNI_COMMAND", "ADD"),
        ("CNI_CONTAINERID", "c1"),
        ("CNI_NETNS", "/run/netns/c1"),
        ("CNI_IFNAME", "eth0"),
        ("CNI_PATH", "/run/plugins"),
    ];
    let kept = good.into_iter().filter(|(key, _)| !changed.iter().any(|(other, _)| other == key));
    kept.chain(changed.iter().copied().filter(|(_, value)| *value != "-")).collect()
}

#[track_caller]
fn refused(reply: Reply, code: i64, words: &str) {
    assert_eq!(reply.code, 1, "{}{}", reply.out, reply.err);
    assert_eq!(reply.out.lines().count(), 1, "{}", reply.out);
    assert!(reply.value["msg"].as_str().is_some_and(|msg| !msg.is_empty()), "{}", reply.out);
    reply.fails(code, words);
}

/// Kernel and folders are unchanged; not even a lock was taken.
fn untouched(lab: &CniHost) {
    assert_eq!(lab.host.shell("find /run/zubi /run/zubi-state 2>/dev/null").out, "");
    lab.assert_nothing_remains();
}

fn variables_that_are_missing_are_named() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let call = |changed: &[(&str, &str)]| lab.caller.call_raw("bridge", &variables(changed), GOOD);
    refused(call(&[("CNI_CONTAINERID", "-")]), 4, "CNI_CONTAINERID");
    refused(call(&[("CNI_NETNS", "")]), 4, "CNI_NETNS");
    refused(call(&[("CNI_IFNAME", "")]), 4, "CNI_IFNAME");
    let all = call(&[("CNI_CONTAINERID", "-"), ("CNI_NETNS", "-"), ("CNI_IFNAME", "-")]);
    refused(all, 4, "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME");
    refused(call(&[("CNI_COMMAND", "DEL"), ("CNI_IFNAME", "-")]), 4, "CNI_IFNAME");
    refused(call(&[("CNI_COMMAND", "CHECK"), ("CNI_NETNS", "-")]), 4, "CNI_NETNS");
    refused(call(&[("CNI_COMMAND", "REMOVE")]), 4, "REMOVE");
    refused(call(&[("CNI_COMMAND", "add")]), 4, "add");
    untouched(&lab);
}

fn names_that_cannot_be_are_refused() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let call = |changed: &[(&str, &str)]| lab.caller.call_raw("bridge", &variables(changed), GOOD);
    let long = "a".repeat(300);
    for command in ["ADD", "DEL", "CHECK"] {
        for id in ["a/b", "../../etc", "..", ".a", "a b", "a\nb", "a;b", "ä", "-a", long.as_str(), " "] {
            refused(call(&[("CNI_COMMAND", command), ("CNI_CONTAINERID", id)]), 4, "CNI_CONTAINERID");
        }
        for ifname in ["sixteen-bytes-xx", ".", "..", "a/b", "a:b", "a b", "a\tb", "\u{1}", " "] {
            refused(call(&[("CNI_COMMAND", command), ("CNI_IFNAME", ifname)]), 4, "CNI_IFNAME");
        }
    }
    for name in ["", "a/b", "..", "a b", "a\\nb", "-a", long.as_str()] {
        for command in ["ADD", "DEL"] {
            let config = GOOD.replace("blue", name);
            refused(lab.caller.call_raw("bridge", &variables(&[("CNI_COMMAND", command)]), &config), 7, "name");
        }
    }
    untouched(&lab);
}

fn what_is_no_configuration_is_refused() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let deep =
        |n: usize| format!("{{\"cniVersion\":\"1.0.0\",\"name\":\"blue\",\"x\":{}{}}}", "[".repeat(n), "]".repeat(n));
    let deep = deep(100_000);
    let texts = ["", "null", "[]", "1", "\"x\"", "{", "{}}", "{\"name\":}", "\u{feff}{}", "not JSON", deep.as_str()];
    for plugin in PLUGINS {
        for text in texts {
            refused(lab.caller.call_raw(plugin, &variables(&[]), text), 6, "decode");
        }
    }
    refused(lab.caller.call_raw("bridge", &variables(&[]), "{\"cniVersion\":7,\"name\":\"blue\"}"), 6, "cniVersion");
    refused(lab.caller.call_raw("bridge", &variables(&[]), "{\"cniVersion\":\"1.0.0\"}"), 7, "name");
    refused(lab.caller.call_raw("bridge", &variables(&[]), "{\"cniVersion\":\"1.0.0\",\"name\":7}"), 7, "name");
    for version in ["0.0.1", "1.2.0", "2.0.0", "1.0", "x", "1.0.0 "] {
        let config = GOOD.replace("1.0.0", version);
        refused(lab.caller.call_raw("bridge", &variables(&[]), &config), 1, "incompatible");
    }
    for command in ["GC", "STATUS"] {
        refused(lab.caller.call_raw("bridge", &variables(&[("CNI_COMMAND", command)]), GOOD), 1, "incompatible");
    }
    let old = GOOD.replace("1.0.0", "0.3.1");
    refused(lab.caller.call_raw("bridge", &variables(&[("CNI_COMMAND", "CHECK")]), &old), 1, "incompatible");
    untouched(&lab);
}

fn raw(lab: &CniHost, stdin: &[u8]) -> (i32, String) {
    let mut command = lab.caller.command("bridge", Verb::Add);
    command.envs(variables(&[]));
    let mut child = command.spawn().expect("bridge");
    // The plug-in stops reading at the limit.
    child.stdin.take().expect("stdin").write_all(stdin).ok();
    let output = child.wait_with_output().expect("bridge");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn bytes_that_are_no_text_are_refused() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let mut latin = GOOD.as_bytes().to_vec();
    latin.extend_from_slice(b"\xff");
    let mut inside = GOOD.replace("blue", "bl@e").into_bytes();
    let at = inside.iter().position(|b| *b == b'@').expect("at");
    inside[at] = 0xe4;
    let huge = format!("{{\"cniVersion\":\"1.0.0\",\"name\":\"blue\",\"x\":\"{}\"}}", "x".repeat(17 << 20));
    for stdin in [latin, inside, vec![0; 100], vec![0xff; 100], huge.into_bytes()] {
        let (code, out) = raw(&lab, &stdin);
        let answer: Value = serde_json::from_str(&out).expect("one document");
        assert_eq!((code, &answer["code"]), (1, &json!(6)), "{out}");
        assert!(out.len() < 10_000);
    }
    // A large valid request is accepted.
    let large = format!("{{\"x\":\"{}\",{}", "x".repeat(4 << 20), &GOOD[1..]);
    let (code, out) = raw(&lab, large.as_bytes());
    assert_eq!(code, 0, "{out}");
    lab.caller.call_raw("bridge", &variables(&[("CNI_COMMAND", "DEL")]), GOOD).ok();
    lab.assert_nothing_remains();
}

/// The last of several equal keys counts, as in Go's decoder.
fn keys_that_are_there_twice() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let twice = GOOD.replace("\"name\":\"blue\"", "\"name\":\"green\",\"name\":\"blue\"");
    lab.caller.call_raw("bridge", &variables(&[]), &twice).ok();
    lab.caller.call_raw("bridge", &variables(&[("CNI_COMMAND", "DEL")]), GOOD).ok();
    lab.assert_nothing_remains();
}

fn with(plugin: &str, options: &Value) -> Value {
    let mut config = json!({ "cniVersion": "1.0.0", "name": "blue", "type": plugin });
    config.as_object_mut().expect("object").extend(options.as_object().expect("object").clone());
    config
}

fn values_of_the_wrong_kind_are_named() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let bridge = [
        (json!({ "bridge": 7 }), "bridge"),
        (json!({ "bridge": "a/b" }), "bridge"),
        (json!({ "bridge": "sixteen-bytes-xx" }), "bridge"),
        (json!({ "isGateway": "true" }), "isGateway"),
        (json!({ "ipMasq": 1 }), "ipMasq"),
        (json!({ "ipMasqBackend": "magic" }), "ipMasqBackend"),
        (json!({ "mtu": -1 }), "mtu"),
        (json!({ "mtu": "1500" }), "mtu"),
        (json!({ "mtu": 1e30 }), "mtu"),
        (json!({ "vlan": "x" }), "vlan"),
        (json!({ "ipam": [] }), "ipam"),
        (json!({ "ipam": { "type": 7 } }), "ipam.type"),
        (json!({ "ipam": { "type": "../sh" } }), "ipam.type"),
        (json!({ "ipam": { "type": "host-local" } }), "ranges"),
        (json!({ "ipam": { "type": "host-local", "subnet": "x" } }), "subnet"),
        (json!({ "ipam": { "type": "host-local", "subnet": "10.0.0.0/8", "routes": [{}] } }), "dst"),
        (
            json!({ "ipam": { "type": "host-local", "subnet": "10.0.0.0/8", "routes": [{ "dst": "10.0.0.1/8" }] } }),
            "10.0.0.0/8",
        ),
        (json!({ "ipam": { "type": "host-local", "subnet": "10.0.0.0/8", "dataDir": 7 } }), "dataDir"),
        (json!({ "ipam": { "type": "static", "addresses": [{ "address": "10.0.0.1" }] } }), "prefix"),
        (json!({ "dns": { "nameservers": "x" } }), "nameservers"),
        (json!({ "runtimeConfig": [] }), "runtimeConfig"),
        (json!({ "runtimeConfig": { "mac": "x" } }), "mac"),
        (json!({ "runtimeConfig": { "ips": "x" } , "ipam": { "type": "host-local", "subnet": "10.0.0.0/8" } }), "ips"),
        (json!({ "args": { "cni": { "mac": 7 } } }), "mac"),
    ];
    for (options, words) in bridge {
        refused(lab.caller.call("bridge", Verb::Add, &lab.at("c1"), &with("bridge", &options)), 7, words);
    }
    let previous = json!({ "cniVersion": "1.0.0", "ips": [{ "address": "10.55.66.2/24" }] });
    let chained = [
        ("portmap", json!({ "runtimeConfig": { "portMappings": {} } }), "portMappings"),
        (
            "portmap",
            json!({ "runtimeConfig": { "portMappings": [{ "hostPort": 70_000, "containerPort": 1 }] } }),
            "hostPort",
        ),
        ("portmap", json!({ "runtimeConfig": { "portMappings": [{ "hostPort": 1 }] } }), "containerPort"),
        (
            "portmap",
            json!({ "runtimeConfig": { "portMappings": [{ "hostPort": 1, "containerPort": 1, "protocol": "icmp" }] } }),
            "protocol",
        ),
        (
            "portmap",
            json!({ "runtimeConfig": { "portMappings": [{ "hostPort": 1, "containerPort": 1, "hostIP": "x" }] } }),
            "hostIP",
        ),
        ("portmap", json!({ "markMasqBit": 32 }), "markMasqBit"),
        ("firewall", json!({ "ingressPolicy": "shut" }), "ingressPolicy"),
        ("firewall", json!({ "backend": "magic" }), "backend"),
        ("tuning", json!({ "sysctl": [] }), "sysctl"),
        ("tuning", json!({ "sysctl": { "net.core.somaxconn": [] } }), "sysctl"),
        ("tuning", json!({ "sysctl": { "net.core.somaxconn": "1\n2" } }), "sysctl"),
        ("tuning", json!({ "mac": "x" }), "mac"),
        ("tuning", json!({ "txQLen": -1 }), "txQLen"),
    ];
    for (plugin, options, words) in chained {
        let mut config = with(plugin, &options);
        config["prevResult"] = previous.clone();
        refused(lab.caller.call(plugin, Verb::Add, &lab.at("c1"), &config), 7, words);
    }
    untouched(&lab);
}

fn results_that_cannot_be_decoded_are_refused() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    for plugin in ["portmap", "firewall", "tuning"] {
        refused(lab.caller.call(plugin, Verb::Add, &lab.at("c1"), &with(plugin, &json!({}))), 7, "prevResult");
    }
    for previous in [
        json!([]),
        json!("x"),
        json!({ "ips": {} }),
        json!({ "ips": [{ "address": "x" }] }),
        json!({ "interfaces": [7] }),
    ] {
        for plugin in ["bridge", "portmap", "firewall", "tuning"] {
            let config = with(plugin, &json!({ "prevResult": previous }));
            refused(lab.caller.call(plugin, Verb::Add, &lab.at("c1"), &config), 6, "result");
            // DEL removes the attachment, whatever the configuration has become.
            assert_eq!(lab.caller.call(plugin, Verb::Del, &lab.at("c1"), &config).ok().out, "");
        }
    }
    lab.assert_nothing_remains();
}

/// GC frees nothing if its list of valid attachments is invalid.
fn garbage_lists_that_cannot_be_read_free_nothing() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let mut chain = lab.chain(&json!([{ "type": "zubi" }]));
    chain.add(&lab.at("c1")).ok();
    let lists = [
        json!({}),
        json!("x"),
        json!([7]),
        json!([{ "containerID": "c1" }]),
        json!([{ "containerID": "", "ifname": "eth0" }]),
    ];
    for list in lists {
        let keys = [("cni.dev/valid-attachments".to_owned(), list)].into_iter().collect();
        assert_ne!(chain.gc_saying(&keys).code, 0);
        chain.check(&lab.at("c1")).ok();
    }
    chain.del(&lab.at("c1")).ok();
    lab.assert_nothing_remains();
}

fn namespaces_that_are_none_are_refused() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let mut chain = lab.chain(&json!([{ "type": "zubi" }]));
    lab.host.shell("touch /run/file; mkfifo /run/fifo").ok();
    let cases = [
        ("/run/netns/none", 4),
        ("/run/file", 8),
        ("/run", 8),
        ("/run/fifo", 8),
        ("/proc/self/ns/mnt", 8),
        ("/dev/null", 8),
    ];
    for (netns, code) in cases {
        refused(chain.add(&Attachment::new("c1", netns)), code, "CNI_NETNS");
        chain.del(&Attachment::new("c1", netns)).ok();
        lab.assert_nothing_remains();
    }
    refused(lab.caller.call_raw("zubi", &variables(&[("CNI_NETNS", "c1")]), GOOD), 4, "CNI_NETNS");
    lab.assert_nothing_remains();
}

/// Text from the request appears in answers without newlines and terminal escapes.
fn answers_are_one_line_whatever_they_are_about() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let before = Snapshot::take();
    let config = with("bridge", &json!({ "bridge": "a\n\u{1b}[31mb" }));
    let reply = lab.caller.call("bridge", Verb::Add, &lab.at("c1"), &config);
    let msg = reply.value["msg"].as_str().expect("msg").to_owned();
    assert!(!msg.contains('\n') && !msg.contains('\u{1b}'), "{msg:?}");
    refused(reply, 7, "bridge");
    let long = with("bridge", &json!({ "bridge": "x".repeat(1 << 20) }));
    let reply = lab.caller.call("bridge", Verb::Add, &lab.at("c1"), &long);
    assert!(reply.out.len() < 10_000);
    before.assert_no_residue(&Snapshot::take());
}

/// The plug-in finishes its work even if the caller closed its output.
fn nobody_listens() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let script = format!(
        "CNI_COMMAND=ADD CNI_CONTAINERID=c1 CNI_NETNS=/run/netns/c1 CNI_IFNAME=eth0 CNI_PATH=/run/plugins /run/plugins/bridge >&- <<'END'\n{GOOD}\nEND"
    );
    lab.host.shell(&script);
    lab.caller.call_raw("bridge", &variables(&[("CNI_COMMAND", "DEL")]), GOOD).ok();
    lab.assert_nothing_remains();
}

zubi_lab::tests!(
    variables_that_are_missing_are_named,
    names_that_cannot_be_are_refused,
    what_is_no_configuration_is_refused,
    bytes_that_are_no_text_are_refused,
    keys_that_are_there_twice,
    values_of_the_wrong_kind_are_named,
    results_that_cannot_be_decoded_are_refused,
    garbage_lists_that_cannot_be_read_free_nothing,
    namespaces_that_are_none_are_refused,
    answers_are_one_line_whatever_they_are_about,
    nobody_listens,
);
