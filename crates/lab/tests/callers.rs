//! The callers of CNI plug-ins work: with Debian's own plug-ins, on hosts that need no root.

use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use zubi_lab::{Attachment, Caller, Chain, Host, PrevResult, Verb, cover, skip};

const REFERENCE: &str = "/usr/lib/cni";

/// A host, and a caller of the reference plug-ins; `None` when these are not installed.
fn host(test: &str) -> Option<(Host, Caller)> {
    if !Path::new(REFERENCE).join("bridge").is_file() {
        skip(test, "needs the package containernetworking-plugins");
        return None;
    }
    // The plug-ins start other programs, so PATH must have sbin.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    cover("/var/lib/cni").expect("/var/lib/cni");
    Some((Host::new("zubi"), Caller::new(REFERENCE).with_path(path)))
}

fn list(plugins: &Value) -> Value {
    json!({ "cniVersion": "1.0.0", "name": "blue", "plugins": plugins })
}

fn bridge() -> Value {
    let ipam = json!({ "type": "host-local", "ranges": [[{ "subnet": "10.55.66.0/24" }]] });
    json!({ "type": "bridge", "bridge": "blue0", "isGateway": true, "ipam": ipam })
}

fn the_reference_chain_is_added_checked_and_deleted() {
    let Some((host, caller)) = host("the_reference_chain_is_added_checked_and_deleted") else { return };
    host.shell("ip netns add c1 && ip netns add c2").ok();
    let portmap = json!({ "type": "portmap", "capabilities": { "portMappings": true } });
    let mut chain = Chain::new(&caller, list(&json!([bridge(), &portmap])));
    chain.version().ok();
    let ports = json!([{ "hostPort": 8080, "containerPort": 80, "protocol": "tcp" }]);
    let at = Attachment::new("c1", "c1").capability("portMappings", ports);

    assert_eq!(chain.add(&at).ok().addresses(), ["10.55.66.2/24"]);
    host.shell("ip netns exec c1 ping -c 1 -W 5 10.55.66.1").ok();
    assert!(host.shell("iptables-save").ok().out.contains("8080"));
    // A second ADD of the same container: the chain stops at the plug-in that fails.
    assert_eq!(chain.clone().add(&at).fails(999, "").plugin, "bridge");
    let other = Attachment::new("c2", "c2").args("IgnoreUnknown=1;IP=10.55.66.77");
    assert_eq!(chain.add(&other).ok().addresses(), ["10.55.66.77/24"]);
    // Without portmap: its CHECK looks for an IPv6 rule that it never made.
    chain.list_mut()["plugins"].as_array_mut().expect("plugins").truncate(1);
    chain.check(&other).ok();
    host.shell("ip -n c2 link set eth0 down && ip -n c2 addr flush dev eth0").ok();
    chain.check(&other).fails(999, "10.55.66.77");
    chain.list_mut()["plugins"].as_array_mut().expect("plugins").push(portmap);

    chain.del(&at.clone().without_netns()).ok();
    assert!(!host.shell("iptables-save").ok().out.contains("8080"));
    chain.del_with(&other, PrevResult::Lost).ok();
    assert_eq!(host.shell("ls /var/lib/cni/networks/blue").ok().out, "last_reserved_ip.0\nlock\n");
}

fn the_first_plugin_that_fails_ends_the_chain() {
    let Some((host, caller)) = host("the_first_plugin_that_fails_ends_the_chain") else { return };
    host.shell("ip netns add c1").ok();
    // tuning only works on a device that another plug-in made.
    let mut chain = Chain::new(&caller, list(&json!([{ "type": "tuning" }, bridge()])));
    assert_eq!(chain.add(&Attachment::new("c1", "c1")).fails(999, "prevResult").plugin, "tuning");
    assert_ne!(host.shell("ip link show blue0").code, 0);
}

fn a_plugin_is_called_with_exactly_what_is_said() {
    let Some((host, caller)) = host("a_plugin_is_called_with_exactly_what_is_said") else { return };
    let version = caller.version("bridge").ok();
    assert!(version.value["supportedVersions"].as_array().expect("versions").contains(&json!("1.0.0")));
    caller.call_raw("bridge", &[("CNI_COMMAND", "ADD")], "{}").fails(4, "CNI_NETNS");
    let mut config = bridge();
    config["name"] = "blue".into();
    config["cniVersion"] = "9.9.9".into();
    caller.call("bridge", Verb::Add, &Attachment::new("c1", "c1"), &config).fails(1, "9.9.9");
    // PATH has nothing else: the error names the program that is missing.
    host.shell("mkdir /run/empty && ip netns add c1").ok();
    config["cniVersion"] = "1.0.0".into();
    config["ipMasq"] = true.into();
    let refused = caller.with_path("/run/empty").call("bridge", Verb::Add, &Attachment::new("c1", "c1"), &config);
    refused.fails(999, "iptables");
}

fn a_network_s_gc_and_status_say_what_libcni_says() {
    let Some((host, _)) = host("a_network_s_gc_and_status_say_what_libcni_says") else { return };
    // A plug-in that logs its parameters.
    let script = "#!/bin/sh\nprintf '%s %s %s ' $CNI_COMMAND \"<$CNI_CONTAINERID>\" \"<$CNI_NETNS>\" >> /run/heard\n\
                  cat >> /run/heard\necho >> /run/heard\n[ $CNI_COMMAND = ADD ] && echo '{\"ips\":[]}'\ntrue\n";
    std::fs::create_dir("/run/plugins").expect("folder");
    std::fs::write("/run/plugins/echo", script).expect("script");
    host.shell("chmod +x /run/plugins/echo").ok();
    let mut list = list(&json!([{ "type": "echo", "capabilities": { "mac": true, "ips": false } }]));
    list["cniVersions"] = json!(["1.0.0", "1.1.0", "7.0.0"]);
    let mut chain = Chain::new(&Caller::new("/run/plugins"), list);
    let mac = |at: Attachment| at.capability("mac", json!("a")).capability("ips", json!([])).capability("x", json!(1));
    let (one, two) = (mac(Attachment::new("c1", "c1")), Attachment::new("c2", "/proc/1/ns/net").ifname("eth1"));
    chain.add(&one).ok();
    chain.add(&two).ok();
    chain.gc(&[&one]).ok();
    chain.status().ok();
    let heard = std::fs::read_to_string("/run/heard").expect("heard");
    let lines: Vec<(&str, Value)> = heard
        .lines()
        .map(|line| line.split_at(line.find('{').expect("JSON")))
        .map(|(head, json)| (head, serde_json::from_str(json).expect("JSON")))
        .collect();
    let heads: Vec<&str> = lines.iter().map(|(head, _)| head.trim()).collect();
    assert_eq!(
        heads,
        [
            "ADD <c1> </run/netns/c1>",
            "ADD <c2> </proc/1/ns/net>",
            "DEL <c2> </proc/1/ns/net>",
            "GC <> <>",
            "STATUS <> <>"
        ]
    );
    let (add, del, gc) = (&lines[0].1, &lines[2].1, &lines[3].1);
    assert_eq!(add["runtimeConfig"], json!({ "mac": "a" }));
    assert_eq!((&add["cniVersion"], &add["name"]), (&json!("1.1.0"), &json!("blue")));
    assert_eq!(del["prevResult"], json!({ "ips": [] }));
    for key in ["cni.dev/valid-attachments", "cni.dev/attachments"] {
        assert_eq!(gc[key], json!([{ "containerID": "c1", "ifname": "eth0" }]));
    }
}

fn signals_that_the_caller_of_the_tests_ignores_are_not_ignored_in_a_test() {
    const TEST: &str = "signals_that_the_caller_of_the_tests_ignores_are_not_ignored_in_a_test";
    const INNER: &str = "ZUBI_LAB_IGNORES";
    if std::env::var_os(INNER).is_some() {
        let status = std::fs::read_to_string("/proc/self/status").expect("status");
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("ignored signals");
        let ignored = u64::from_str_radix(ignored.trim(), 16).expect("a mask");
        // Of HUP, INT and QUIT, which are 1 to 3.
        assert_eq!(ignored & 0b111, 0, "{status}");
        return;
    }
    let script = format!("trap '' HUP INT QUIT; exec \"$0\" --exact {TEST}");
    let this = std::env::current_exe().expect("this program");
    let run = Command::new("sh").args(["-c", &script]).arg(this).env(INNER, "1").output().expect("sh");
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(said.contains("1 passed; 0 failed"), "{said}");
}

zubi_lab::tests!(
    signals_that_the_caller_of_the_tests_ignores_are_not_ignored_in_a_test,
    the_reference_chain_is_added_checked_and_deleted,
    the_first_plugin_that_fails_ends_the_chain,
    a_plugin_is_called_with_exactly_what_is_said,
    a_network_s_gc_and_status_say_what_libcni_says,
);
