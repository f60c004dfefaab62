//! Sandboxes that come back: with the daemon, and by hand without it.

use serde_json::json;
use zubi_lab::{Host, ZubiDaemon, assert_reaches};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const DAEMON: &str = env!("CARGO_BIN_EXE_zubi-daemon");

/// A host with a network whose addresses are few.
fn host() -> Host {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/29 --subnet fd00:55::/64");
    host
}

/// A namespace that somebody else makes and removes.
fn add(host: &Host, name: &str) {
    host.shell(&format!("ip netns add {name} && ip -n {name} link set lo up")).ok();
}

fn end(host: &Host, name: &str) {
    host.shell(&format!("ip netns del {name}")).ok();
}

/// The kernel takes a namespace's devices away a moment after its end.
#[track_caller]
fn bridge_is_empty(host: &Host) {
    host.wait_for("! ip link show master zb-blue | grep -q zv");
}

fn state(host: &Host) -> String {
    let all = host.zubi("--json ls").ok().json();
    let word = |endpoint: &serde_json::Value| {
        let text = |key: &str| endpoint[key].as_str().unwrap_or("?").to_owned();
        format!("{} {} {}", text("sandbox"), text("state"), endpoint["addresses"][0].as_str().unwrap_or("-"))
    };
    all.as_array().expect("a list").iter().map(word).collect::<Vec<_>>().join(", ")
}

/// Waits until `zubi ls` tells this.
#[track_caller]
fn comes_to(host: &Host, wanted: &str) {
    let since = std::time::Instant::now();
    while state(host) != wanted {
        assert!(since.elapsed().as_secs() < 30, "{} is not {wanted}\n{}", state(host), ZubiDaemon::log());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn a_namespace_of_the_same_name_gets_its_endpoint_again() {
    let host = host();
    let _daemon = ZubiDaemon::start(&host, DAEMON);
    host.container("c2", "blue");
    add(&host, "c1");
    host.zubi("connect blue c1 --follow --ip 10.55.66.5 --mac 02:11:22:33:44:55 --ifname lan0 --alias db -p 8080:80")
        .ok();
    let before = host.zubi("--json ls").ok().json()[0].clone();
    for _ in 0..2 {
        end(&host, "c1");
        comes_to(&host, "c1 stopped 10.55.66.5/29, c2 up 10.55.66.2/29");
        // A port of a sandbox that is stopped leads nowhere, and is free for others.
        assert_eq!(host.shell("nft list table inet zubi | grep -c 10.55.66.5").out.trim(), "0");
        host.zubi("check").ok();
        add(&host, "c1");
        comes_to(&host, "c1 up 10.55.66.5/29, c2 up 10.55.66.2/29");
    }
    let after = host.zubi("--json ls").ok().json()[0].clone();
    for key in ["sandbox", "network", "addresses", "mac", "ifname", "aliases", "ports", "default_route"] {
        assert_eq!(before[key], after[key], "{key}");
    }
    assert_eq!(after["aliases"], json!(["db"]));
    assert_reaches("c1", "c2", "10.55.66.2");
    assert_reaches("c2", "c1", "fd00:55::3");
    host.zubi("check").ok();
}

fn the_addresses_of_one_that_is_stopped_are_kept_until_it_is_disconnected() {
    let host = host();
    add(&host, "c1");
    assert_eq!(host.connect("blue c1 --follow"), "10.55.66.2");
    end(&host, "c1");
    host.zubi("gc").ok();
    host.zubi("sandbox add c9").ok();
    host.zubi("connect blue c9 --ip 10.55.66.2").fails(4, "10.55.66.2 is taken by c1, which is stopped");
    // Four addresses are left.
    for name in ["c3", "c4", "c5", "c6"] {
        host.container(name, "blue");
    }
    host.zubi("connect blue c9").fails(5, "all 5 addresses are taken");
    assert_eq!(host.zubi("disconnect blue c1").ok().out, "c1: does not come back to blue any more\n");
    assert_eq!(host.connect("blue c9"), "10.55.66.2");
    // It is a stranger now.
    add(&host, "c1");
    host.zubi("connect blue c1").fails(5, "all 5 addresses are taken");
    host.zubi("check").ok();
}

fn without_the_daemon_a_connect_does_it_by_hand() {
    let host = host();
    add(&host, "c1");
    host.zubi("connect blue c1 --follow --ip 10.55.66.5 -p 8080:80").ok();
    end(&host, "c1");
    host.container("c2", "blue");
    add(&host, "c1");
    let again = host.zubi("--json connect blue c1").ok().json();
    assert_eq!(again["addresses"][0], "10.55.66.5/29");
    assert_eq!(again["ports"][0]["host_ports"], "8080");
    // What is asked for by now replaces what was.
    end(&host, "c1");
    add(&host, "c1");
    assert_eq!(host.connect("blue c1 --ip 10.55.66.3"), "10.55.66.3");
    host.zubi("sandbox add c3").ok();
    assert_eq!(host.connect("blue c3 --ip 10.55.66.5"), "10.55.66.5");
    host.zubi("check").ok();
}

fn after_a_reboot_they_have_their_addresses_whoever_connects_first() {
    let host = host();
    add(&host, "c1");
    assert_eq!(host.connect("blue c1 --follow -p 8080:80"), "10.55.66.2");
    host.zubi("port add blue c1 8081:81").ok();
    // The next boot: another boot id, no namespaces, devices or rules, and the state folder as it was.
    end(&host, "c1");
    bridge_is_empty(&host);
    host.shell("ip link del zb-blue; nft delete table inet zubi; rm -r /run/zubi").ok();
    assert_eq!(host.container("c2", "blue"), "10.55.66.3");
    let _daemon = ZubiDaemon::start(&host, DAEMON);
    assert_eq!(state(&host), "c1 stopped 10.55.66.2/29, c2 up 10.55.66.3/29");
    add(&host, "c1");
    comes_to(&host, "c1 up 10.55.66.2/29, c2 up 10.55.66.3/29");
    let ports = host.zubi("--json ls").ok().json()[0]["ports"].clone();
    assert_eq!(ports.as_array().map(Vec::len), Some(2), "{ports}");
    assert_reaches("c2", "c1", "10.55.66.2");
    host.zubi("check").ok();
}

fn a_daemon_that_was_killed_finds_what_happened_meanwhile() {
    let host = host();
    let daemon = ZubiDaemon::start(&host, DAEMON);
    for name in ["c1", "c2"] {
        add(&host, name);
        host.zubi(&format!("connect blue {name} --follow")).ok();
    }
    host.shell(&format!("kill -9 {}", daemon.pid())).ok();
    // Nothing on the wire needs it.
    assert_reaches("c1", "c2", "10.55.66.3");
    end(&host, "c1");
    add(&host, "c1");
    end(&host, "c2");
    let _daemon = ZubiDaemon::start(&host, DAEMON);
    comes_to(&host, "c1 up 10.55.66.2/29, c2 stopped 10.55.66.3/29");
    host.zubi("check").ok();
}

fn a_network_that_is_removed_takes_those_that_were_to_come_back_along() {
    let host = host();
    add(&host, "c1");
    host.zubi("connect blue c1 --follow").ok();
    host.zubi("network rm blue").fails(4, "c1");
    end(&host, "c1");
    bridge_is_empty(&host);
    let said = host.zubi("network rm blue").ok().err;
    assert!(said.contains("c1 does not come back to blue any more"), "{said}");
    host.network("blue --subnet 10.55.66.0/29");
    assert_eq!(state(&host), "");
    assert_eq!(host.container("c2", "blue"), "10.55.66.2");
}

fn only_what_has_a_name_can_come_back() {
    let host = host();
    add(&host, "c1");
    host.zubi("connect blue /run/netns/c1 --follow").fails(2, "has no name under which it could come back");
    // A namespace of `ip netns` is not followed unless that is asked for.
    host.zubi("connect blue c1").ok();
    end(&host, "c1");
    bridge_is_empty(&host);
    host.zubi("gc").ok();
    assert_eq!(state(&host), "");
}

fn events_tell_who_ended_and_who_came_back() {
    let host = host();
    let _daemon = ZubiDaemon::start(&host, DAEMON);
    add(&host, "c1");
    host.zubi("connect blue c1 --follow").ok();
    let mut listener = host
        .command("events --json")
        .stdout(std::fs::File::create("/run/events").expect("a file"))
        .spawn()
        .expect("zubi");
    std::thread::sleep(std::time::Duration::from_millis(200));
    end(&host, "c1");
    comes_to(&host, "c1 stopped 10.55.66.2/29");
    add(&host, "c1");
    comes_to(&host, "c1 up 10.55.66.2/29");
    host.wait_for("test $(wc -l < /run/events) -ge 2");
    listener.kill().expect("its end");
    listener.wait().expect("its end");
    let told: Vec<serde_json::Value> = std::fs::read_to_string("/run/events")
        .expect("events")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let words: Vec<_> = told.iter().map(|one| (one["object"].as_str(), one["what"].as_str())).collect();
    assert_eq!(words[0], (Some("c1 on blue"), Some("ended; its addresses are kept")));
    assert_eq!(words[1], (Some("c1 on blue"), Some("came back, with 10.55.66.2/29 and fd00:55::2/64")));
}

zubi_lab::tests!(
    a_namespace_of_the_same_name_gets_its_endpoint_again,
    the_addresses_of_one_that_is_stopped_are_kept_until_it_is_disconnected,
    without_the_daemon_a_connect_does_it_by_hand,
    after_a_reboot_they_have_their_addresses_whoever_connects_first,
    a_daemon_that_was_killed_finds_what_happened_meanwhile,
    a_network_that_is_removed_takes_those_that_were_to_come_back_along,
    only_what_has_a_name_can_come_back,
    events_tell_who_ended_and_who_came_back
);
