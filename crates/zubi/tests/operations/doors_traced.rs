//! What the doors do according to `strace`, and how often: a container's start waits for them.

use super::strace::{Effect, Process, Target, Trace, trace_line};
use serde_json::{Value, json};
use std::fs;
use zubi_lab::{Capability, HELPERS, Host, PLUGINS, links, need};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

fn prepared(test: &str) -> Option<Host> {
    if !need(&[Capability::Strace], test) {
        return None;
    }
    let host = Host::new(ZUBI);
    links(ZUBI, "/run/plugins", &PLUGINS);
    links(ZUBI, "/run/helpers", &HELPERS);
    for name in ["c0", "c1"] {
        host.shell(&format!("ip netns add {name}; ip -n {name} link set lo up")).ok();
    }
    Some(host)
}

fn config() -> Value {
    json!({
        "cniVersion": "1.0.0", "name": "blue", "type": "zubi",
        "ipam": { "type": "host-local", "ranges": [[{ "subnet": "10.55.66.0/24" }]] },
        "capabilities": { "portMappings": true },
    })
}

/// A call of the plug-in for a container, which publishes a port of its own.
fn plugin(container: &str, command: &str) -> String {
    let mut config = config();
    let port = if container == "c0" { 8000 } else { 8001 };
    config["runtimeConfig"] = json!({ "portMappings": [{ "hostPort": port, "containerPort": 80, "protocol": "tcp" }] });
    fs::write("/run/config.json", config.to_string()).expect("config");
    let netns = if command == "DEL" { String::new() } else { format!("/run/netns/{container}") };
    format!(
        "env CNI_COMMAND={command} CNI_CONTAINERID={container} CNI_NETNS={netns} CNI_IFNAME=eth0 CNI_PATH=/run/plugins \
         /run/plugins/zubi < /run/config.json"
    )
}

fn netavark(command: &str) -> String {
    let request = json!({
        "container_id": "ab".repeat(32), "container_name": "c1",
        "networks": { "blue": { "interface_name": "eth0", "static_ips": ["10.55.66.2"] } },
        "network_info": { "blue": {
            "name": "blue", "id": "ab".repeat(32), "driver": "bridge", "network_interface": "podman1",
            "subnets": [{ "subnet": "10.55.66.0/24", "gateway": "10.55.66.1" }],
            "ipv6_enabled": false, "internal": false, "dns_enabled": false,
        } },
    });
    fs::write("/run/request.json", request.to_string()).expect("request");
    format!("/run/helpers/netavark --config /run/networks {command} /run/netns/c1 < /run/request.json")
}

/// A call of each kind, with one container there already.
fn one_of_each(host: &Host) -> Vec<(&'static str, Trace)> {
    host.shell(&plugin("c0", "ADD")).ok();
    let mut all = Vec::new();
    for (what, line) in [("ADD", plugin("c1", "ADD")), ("CHECK", plugin("c1", "CHECK")), ("DEL", plugin("c1", "DEL"))] {
        all.push((what, trace_line(host, &line)));
    }
    host.shell(&plugin("c0", "DEL")).ok();
    host.settle();
    all.push(("setup", trace_line(host, &netavark("setup"))));
    all.push(("teardown", trace_line(host, &netavark("teardown"))));
    host.settle();
    all
}

fn count(process: &Process, name: &str) -> usize {
    process.calls.iter().filter(|call| call.name.starts_with(name)).count()
}

fn doors_start_no_program_and_no_thread() {
    let Some(host) = prepared("doors_start_no_program_and_no_thread") else { return };
    for (what, trace) in one_of_each(&host) {
        // `env` sets the variables of a plug-in's call and executes the door.
        let expected = if what.chars().all(char::is_uppercase) { 2 } else { 1 };
        assert_eq!(trace.processes().map(|p| count(p, "execve")).sum::<usize>(), expected, "{what}");
        let threads = |p: &Process| p.calls.iter().filter(|c| c.args.contains("CLONE_THREAD")).count();
        assert_eq!(trace.processes().map(threads).sum::<usize>(), 0, "{what}");
    }
}

/// An async runtime waits with epoll and wakes by eventfd; clap asks for the terminal's width when it wraps.
fn doors_touch_neither_an_async_runtime_nor_a_parser_of_words() {
    let Some(host) = prepared("doors_touch_neither_an_async_runtime_nor_a_parser_of_words") else { return };
    for (what, trace) in one_of_each(&host) {
        for process in trace.processes() {
            for call in ["epoll_", "eventfd", "timerfd", "io_uring"] {
                assert_eq!(count(process, call), 0, "{what}: {call}");
            }
            assert!(!process.calls.iter().any(|c| c.args.contains("TIOCGWINSZ")), "{what}");
        }
    }
}

fn what_is_left_to_a_child_holds_nothing_of_the_caller() {
    let Some(host) = prepared("what_is_left_to_a_child_holds_nothing_of_the_caller") else { return };
    for (what, trace) in one_of_each(&host) {
        let children = usize::from(what == "DEL" || what == "teardown");
        assert_eq!(trace.children.len(), children, "{what}");
        for child in &trace.children {
            assert!(!child.held.values().any(|t| *t == Target::Caller), "{what}: {:?}", child.held);
        }
    }
}

fn a_version_is_told_without_looking_at_anything() {
    let Some(host) = prepared("a_version_is_told_without_looking_at_anything") else { return };
    let asked = |plugin: &str| {
        let line = format!("env CNI_COMMAND=VERSION CNI_NETNS=dummy /run/plugins/{plugin} < /dev/null");
        trace_line(&host, &line)
    };
    for plugin in PLUGINS {
        let trace = asked(plugin);
        assert!(trace.children.is_empty(), "{plugin}");
        let opened: Vec<String> = trace
            .main
            .opened()
            .into_iter()
            .filter(|path| path.starts_with("/run") || path.starts_with("/var/lib"))
            .collect();
        assert_eq!(opened, Vec::<String>::new(), "{plugin}");
        assert_eq!(count(&trace.main, "socket"), 0, "{plugin}");
    }
}

/// The number of messages does not depend on the number of attachments.
fn an_add_sends_as_much_with_many_containers_as_with_one() {
    let Some(host) = prepared("an_add_sends_as_much_with_many_containers_as_with_one") else { return };
    let sends = |trace: &Trace| {
        let mut all = trace.main.sends();
        // An ADD may have to ask several times whether the carrier is noticed, and whether an address has its route.
        all.dedup_by(|a, b| a == b && (a.contains(": GETLINK") || a.ends_with("GETROUTE dump")));
        all
    };
    host.shell(&plugin("c0", "ADD")).ok();
    let first = sends(&trace_line(&host, &plugin("c1", "ADD")));
    host.shell(&plugin("c1", "DEL")).ok();
    for n in 2..30 {
        host.shell(&format!("ip netns add n{n}")).ok();
        let call = plugin("c1", "ADD").replace("c1", &format!("n{n}")).replace("config.json", "none.json");
        let mut config = config();
        config.as_object_mut().expect("object").remove("capabilities");
        fs::write("/run/none.json", config.to_string()).expect("config");
        host.shell(&call).ok();
    }
    host.settle();
    let later = sends(&trace_line(&host, &plugin("c1", "ADD")));
    assert!(later.len() <= first.len() && first.len() <= 15, "with one: {first:#?}\nwith thirty: {later:#?}");
}

/// A transaction that the kernel aborts costs 10 ms.
fn the_first_container_makes_the_firewall_in_one_transaction() {
    let Some(host) = prepared("the_first_container_makes_the_firewall_in_one_transaction") else { return };
    let trace = trace_line(&host, &plugin("c1", "ADD"));
    let sent = trace.main.effects.iter().filter_map(|e| match e {
        Effect::Send { messages, .. } if messages.iter().any(|m| m.kind == "NEWTABLE") => Some(messages),
        _ => None,
    });
    let sent: Vec<_> = sent.collect();
    assert_eq!(sent.len(), 1, "transactions that make the table");
    let refused: Vec<&str> = sent[0].iter().filter(|m| !m.done).map(|m| m.kind.as_str()).collect();
    assert_eq!(refused, [""; 0]);
}

zubi_lab::tests!(
    the_first_container_makes_the_firewall_in_one_transaction,
    doors_start_no_program_and_no_thread,
    doors_touch_neither_an_async_runtime_nor_a_parser_of_words,
    what_is_left_to_a_child_holds_nothing_of_the_caller,
    a_version_is_told_without_looking_at_anything,
    an_add_sends_as_much_with_many_containers_as_with_one,
);
