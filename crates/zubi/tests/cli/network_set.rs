//! `network set`: what changes while a network is in use, on the bridge and on every endpoint.

use crate::blue::{BOTH, ZUBI, blue_with};
use serde_json::json;
use zubi_lab::{Host, Outside, Reach, Snapshot, assert_isolated, assert_reaches, source_seen};

/// Exit code after SIGKILL.
const KILLED: i32 = 128 + 9;

const USAGE: i32 = 2;
const NOT_FOUND: i32 = 3;
const CONFLICT: i32 = 4;

/// A network with c1 (10.55.66.2) and c2 (10.55.66.3) on it.
fn blue(words: &str) -> Host {
    let host = blue_with(words);
    host.container("c1", "blue");
    host.container("c2", "blue");
    host
}

fn set(host: &Host, words: &str) -> String {
    host.zubi(&format!("network set blue {words}")).ok().out
}

/// Whether IPv4 packets of this size, headers included, pass from c1 to c2 unfragmented.
fn passes(host: &Host, bytes: u32) -> bool {
    host.shell(&format!("ip netns exec c1 ping -n -q -c 1 -W 0.5 -M do -s {} 10.55.66.3", bytes - 28)).code == 0
}

fn mtu_of_all(host: &Host, bytes: u32) {
    host.shell(&format!("ip link show zb-blue | grep -q 'mtu {bytes} '")).ok();
    for sandbox in ["c1", "c2"] {
        host.shell(&format!("ip -n {sandbox} link show eth0 | grep -q 'mtu {bytes} '")).ok();
    }
    for endpoint in host.zubi("--json ls").ok().json().as_array().expect("list") {
        let port = endpoint["host_device"].as_str().expect("name");
        host.shell(&format!("ip link show {port} | grep -q 'mtu {bytes} '")).ok();
    }
}

fn the_mtu_changes_on_all_devices_and_for_new_ones() {
    let host = blue(BOTH);
    assert!(passes(&host, 1500) && !passes(&host, 1501));
    assert_eq!(set(&host, "--mtu 1400"), "blue: mtu 1500 -> 1400\n");
    mtu_of_all(&host, 1400);
    assert!(passes(&host, 1400) && !passes(&host, 1401));
    host.container("c3", "blue");
    host.shell("ip -n c3 link show eth0 | grep -q 'mtu 1400 '").ok();
    host.zubi("check").ok();
    set(&host, "--mtu 9000");
    mtu_of_all(&host, 9000);
    assert!(passes(&host, 9000) && !passes(&host, 9001));
    host.zubi("check").ok();
}

fn the_mtu_stays_when_the_last_endpoint_has_left() {
    let host = blue("--subnet 10.55.66.0/24 --mtu 1400");
    for bytes in [9000, 1300, 1500, 1300] {
        set(&host, &format!("--mtu {bytes}"));
        host.zubi("disconnect blue c1").ok();
        host.zubi("disconnect blue c2").ok();
        host.settle();
        host.zubi("check").ok();
        host.zubi("connect blue c1").ok();
        host.zubi("connect blue c2").ok();
        mtu_of_all(&host, bytes);
    }
}

/// Below an MTU of 1280 the kernel removes IPv6 from a device; above, it adds it again with an address of its own.
fn an_mtu_below_that_of_ipv6_and_back_leaves_the_devices_as_they_were_made() {
    let host = blue("--subnet 10.55.66.0/24");
    let state = || {
        host.shell("ip addr; ip -n c1 addr; ip -n c2 addr; for n in c1 c2; do ip netns exec $n sysctl -a 2>/dev/null | grep -E 'eth0.(accept_ra|disable_ipv6|addr_gen_mode)'; done; sysctl net.ipv6.conf.zb-blue.disable_ipv6").ok().out
    };
    let before = state();
    set(&host, "--mtu 1000");
    assert!(passes(&host, 1000) && !passes(&host, 1001));
    host.zubi("check").ok();
    set(&host, "--mtu 1500");
    assert_eq!(state(), before);
    host.zubi("check").ok();
    assert_reaches("c1", "c2", "10.55.66.3");
}

fn an_mtu_that_a_family_cannot_have_is_refused() {
    let host = blue(BOTH);
    let before = Snapshot::take();
    for bytes in ["0", "67", "65536", "x"] {
        host.zubi(&format!("network set blue --mtu {bytes}")).fails(USAGE, "MTU");
    }
    host.zubi("network set blue --mtu 1279").fails(USAGE, "MTU `1279`: is too small for IPv6");
    host.zubi("network create red --mtu 1279 --subnet fd00:1::/64").fails(USAGE, "too small for IPv6");
    before.assert_no_residue(&Snapshot::take());
    set(&host, "--mtu 1280");
    mtu_of_all(&host, 1280);
}

fn isolation_begins_and_ends_at_once() {
    let host = blue(BOTH);
    assert_reaches("c1", "c2", "10.55.66.3");
    assert_eq!(set(&host, "--no-icc"), "blue: icc on -> off\n");
    host.container("c3", "blue");
    for (to, address) in [("c2", "10.55.66.3"), ("c2", "fd00:55::3"), ("c3", "10.55.66.4")] {
        assert_isolated("c1", to, address);
    }
    assert_reaches("c1", "host", "10.55.66.1");
    host.zubi("check").ok();
    set(&host, "--icc");
    // The kernel has stopped asking for neighbours that did not answer.
    host.shell("ip -n c1 neigh flush all").ok();
    for (to, address) in [("c2", "10.55.66.3"), ("c2", "fd00:55::3"), ("c3", "10.55.66.4")] {
        assert_reaches("c1", to, address);
    }
    host.zubi("check").ok();
}

fn masquerading_ends_and_begins_with_the_next_connection() {
    let host = blue(BOTH);
    let _outside = Outside::new();
    host.shell("ip -n outside route add 10.55.66.0/24 via 192.0.2.1").ok();
    host.shell("ip -n outside route add fd00:55::/64 via 2001:db8::1").ok();
    let seen = |address| source_seen(&Reach { from: "c1", to: Outside::NAME, address }).expect("a way out").to_string();
    assert_eq!((seen(Outside::V4), seen(Outside::V6)), ("192.0.2.1".into(), "2001:db8::1".into()));
    assert_eq!(set(&host, "--no-masquerade"), "blue: masquerade on -> off\n");
    assert_eq!((seen(Outside::V4), seen(Outside::V6)), ("10.55.66.2".into(), "fd00:55::2".into()));
    assert_isolated("outside", "c1", "10.55.66.2");
    host.zubi("check").ok();
    set(&host, "--masquerade");
    assert_eq!((seen(Outside::V4), seen(Outside::V6)), ("192.0.2.1".into(), "2001:db8::1".into()));
    assert_isolated("outside", "c1", "10.55.66.2");
    host.zubi("check").ok();
}

fn internal_changes_only_while_nothing_is_attached() {
    let host = blue("--subnet 10.55.66.0/24");
    let _outside = Outside::new();
    let before = Snapshot::take();
    let why = "network blue: 2 endpoints are attached: c1, c2; whether it is internal has decided";
    host.zubi("network set blue --internal").fails(CONFLICT, why);
    before.assert_no_residue(&Snapshot::take());
    assert_reaches("c1", "outside", Outside::V4);
    host.zubi("sandbox rm c1 c2").ok();
    assert_eq!(set(&host, "--internal"), "blue: internal off -> on\n");
    host.container("c1", "blue");
    assert_isolated("c1", "outside", Outside::V4);
    host.zubi("check").ok();
    host.zubi("network set blue --no-internal").fails(CONFLICT, "1 endpoint is attached: c1");
    host.zubi("sandbox rm c1").ok();
    host.shell("sysctl -qw net.ipv4.ip_forward=0").ok();
    set(&host, "--no-internal");
    host.container("c1", "blue");
    assert_reaches("c1", "outside", Outside::V4);
    host.zubi("check").ok();
}

fn a_dead_sandbox_does_not_keep_a_network_internal() {
    let host = Host::new(ZUBI);
    host.network("blue --internal --subnet 10.55.66.0/24");
    // By `ip`: zubi's own record of a sandbox would be another difference.
    host.shell("ip netns add c1").ok();
    host.connect("blue c1");
    host.shell("ip netns del c1").ok();
    host.wait_for("! ip -o link | grep -q ' zv'");
    assert!(host.zubi("--explain network set blue --no-internal").ok().out.contains("delete element"));
    set(&host, "--no-internal");
    host.zubi("check").ok();
}

fn ranges_and_exclusions_are_of_the_addresses_to_come() {
    let host = blue("--subnet 10.55.66.0/24");
    let said = set(&host, "--ip-range 10.55.66.128/25 --exclude 10.55.66.128-10.55.66.129");
    assert_eq!(said, "blue: ip-range none -> 10.55.66.128/25, exclude none -> 10.55.66.128-10.55.66.129\n");
    assert_reaches("c1", "c2", "10.55.66.3");
    assert_eq!(host.container("c3", "blue"), "10.55.66.130");
    set(&host, "--exclude 10.55.66.131");
    assert_eq!(host.container("c4", "blue"), "10.55.66.132");
    assert_eq!(
        set(&host, "--ip-range none --exclude none"),
        "blue: ip-range 10.55.66.128/25 -> none, exclude 10.55.66.131 -> none\n"
    );
    let before = Snapshot::take();
    for words in ["--ip-range 10.55.67.0/25", "--exclude 10.55.67.9", "--ip-range none --ip-range 10.55.66.0/25"] {
        host.zubi(&format!("network set blue {words}")).fails(USAGE, "");
    }
    before.assert_no_residue(&Snapshot::take());
    host.zubi("check").ok();
}

fn labels_are_added_and_replaced() {
    let host = blue("--subnet 10.55.66.0/24 --label a=1 --label b=2");
    assert_eq!(set(&host, "--label a=3 --label c=4"), "blue: label a 1 -> 3, label c none -> 4\n");
    let shown = host.zubi("network inspect blue").ok().json();
    assert_eq!(shown[0]["Labels"], json!({"a": "3", "b": "2", "c": "4"}));
    assert_eq!(shown[0]["Containers"].as_object().expect("endpoints").len(), 2);
}

fn what_cannot_change_says_why_before_any_effect() {
    let host = blue(BOTH);
    let before = Snapshot::take();
    for (words, why) in [
        ("--subnet 10.1.0.0/24", "its subnet stays 10.55.66.0/24, fd00:55::/64: 2 endpoints are attached"),
        ("--gateway 10.55.66.9 --mtu 1400", "its gateway stays 10.55.66.1, fd00:55::1"),
        ("--bridge br0", "its bridge stays zb-blue: 2 endpoints are attached"),
    ] {
        let answer = host.zubi(&format!("network set blue {words}")).fails(CONFLICT, why);
        assert!(answer.err.contains("create another network"), "{}", answer.err);
    }
    before.assert_no_residue(&Snapshot::take());
    mtu_of_all(&host, 1500);
    host.zubi("sandbox rm c1 c2").ok();
    host.zubi("network set blue --bridge br0").fails(CONFLICT, "zubi network rm blue");
    host.zubi("network set green --icc").fails(NOT_FOUND, "network green does not exist; there are: blue");
    host.zubi("network set blue --icc --no-icc").fails(USAGE, "cannot be used with");
}

fn nothing_to_change_is_a_success_without_effect() {
    let host = blue(BOTH);
    let before = Snapshot::take();
    let times = "stat -c %Y.%i /run/zubi-state/networks/blue.json";
    let file = host.shell(times).ok().out;
    for words in [
        "",
        "--icc --masquerade --no-internal --mtu 1500 --ip-range none --exclude none",
        "--subnet 10.55.66.0/24 --gateway fd00:55::1 --bridge zb-blue",
    ] {
        assert_eq!(set(&host, words), "blue: nothing to change\n");
        assert_eq!(host.zubi(&format!("--explain network set blue {words}")).ok().out, "");
    }
    assert_eq!(host.zubi("--json network set blue").ok().json()["Changed"], json!([]));
    before.assert_no_residue(&Snapshot::take());
    assert_eq!(host.shell(times).ok().out, file);
}

fn an_endpoint_whose_sandbox_is_gone_does_not_fail_it() {
    let host = blue("--subnet 10.55.66.0/24");
    host.shell("ip netns del c1").ok();
    set(&host, "--mtu 1400 --no-icc");
    host.shell("ip -n c2 link show eth0 | grep -q 'mtu 1400 '").ok();
    host.wait_for("test $(ip -o link | grep -c ' zv') = 1");
    host.zubi("gc").ok();
    host.zubi("check").ok();
}

fn an_endpoint_that_lost_its_device_does_not_fail_it() {
    let host = blue("--subnet 10.55.66.0/24");
    let port = host.zubi("--json ls").ok().json()[0]["host_device"].as_str().expect("name").to_owned();
    host.shell(&format!("ip link del {port}")).ok();
    set(&host, "--mtu 1400 --no-icc");
    host.zubi("repair").ok();
    host.zubi("check").ok();
    mtu_of_all(&host, 1400);
    assert_isolated("c1", "c2", "10.55.66.3");
}

/// After a reboot bridge and firewall are missing; the next connect makes both with the new settings.
fn a_network_that_is_not_up_comes_as_it_was_set() {
    let host = blue("--subnet 10.55.66.0/24");
    host.zubi("sandbox rm c1 c2").ok();
    host.settle();
    host.shell("ip link del zb-blue; nft delete table inet zubi").ok();
    set(&host, "--mtu 1400 --no-icc --no-masquerade");
    host.shell("nft list table inet zubi").fails(1, "");
    host.container("c1", "blue");
    host.container("c2", "blue");
    mtu_of_all(&host, 1400);
    assert_isolated("c1", "c2", "10.55.66.3");
    host.zubi("check").ok();
}

fn a_flushed_firewall_is_put_back_on_the_way() {
    let host = blue("--subnet 10.55.66.0/24 --no-icc");
    let _outside = Outside::new();
    host.shell("nft flush ruleset").ok();
    set(&host, "--icc");
    assert_reaches("c1", "c2", "10.55.66.3");
    assert_reaches("c1", "outside", Outside::V4);
    host.zubi("check").ok();
}

fn a_wrong_inner_mtu_is_found_and_repaired() {
    let host = blue("--subnet 10.55.66.0/24");
    set(&host, "--mtu 1400");
    host.shell("ip -n c1 link set eth0 mtu 1300").ok();
    let found = host.zubi("check").fails(1, "").out;
    assert!(found.contains("endpoint of c1 on network blue: MTU of eth0 inside is 1300"), "{found}");
    host.zubi("repair").ok();
    host.zubi("check").ok();
    mtu_of_all(&host, 1400);
}

fn a_killed_change_is_told_shown_and_taken_back() {
    let host = blue("--subnet 10.55.66.0/24");
    host.with_env("ZUBI_FAULT", "kill:6").zubi("network set blue --mtu 1400 --no-icc").fails(KILLED, "");
    let found = host.zubi("check").fails(1, "").out;
    assert!(found.contains("network blue: a command was killed half-way\n    to put it right: zubi gc"), "{found}");
    let shown = host.zubi("--explain gc").ok().out;
    assert!(shown.contains("ip -n c1 link set eth0 mtu 1500"), "{shown}");
    assert_eq!(host.zubi("repair").ok().out, "network blue (interrupted)\n1 unfinished files\n");
    mtu_of_all(&host, 1500);
    assert_reaches("c1", "c2", "10.55.66.3");
    host.zubi("check").ok();
}

fn a_plan_is_shown_and_nothing_is_done() {
    let host = blue(BOTH);
    let before = Snapshot::take();
    for mode in ["--explain", "--dry-run", "--json --explain", "--json --dry-run"] {
        let out = host.zubi(&format!("{mode} network set blue --mtu 1400 --no-icc --no-masquerade")).ok().out;
        for line in ["ip link set zb-blue mtu 1400", "ip -n c1 link set eth0 mtu 1400", "isolated on", "masquerade6"] {
            assert!(out.contains(line), "{line} is not in {out}");
        }
    }
    before.assert_no_residue(&Snapshot::take());
}

fn the_answer_is_the_network_and_what_changed() {
    let host = blue(BOTH);
    let answer = host.zubi("--json network set blue --mtu 1400 --no-icc").ok().json();
    assert_eq!(answer["Options"]["com.docker.network.driver.mtu"], json!("1400"));
    assert_eq!(
        answer["Changed"],
        json!([{"what": "mtu", "from": "1500", "to": "1400"}, {"what": "icc", "from": "on", "to": "off"}])
    );
}

zubi_lab::tests!(
    the_mtu_changes_on_all_devices_and_for_new_ones,
    the_mtu_stays_when_the_last_endpoint_has_left,
    an_mtu_below_that_of_ipv6_and_back_leaves_the_devices_as_they_were_made,
    an_mtu_that_a_family_cannot_have_is_refused,
    isolation_begins_and_ends_at_once,
    masquerading_ends_and_begins_with_the_next_connection,
    internal_changes_only_while_nothing_is_attached,
    a_dead_sandbox_does_not_keep_a_network_internal,
    ranges_and_exclusions_are_of_the_addresses_to_come,
    labels_are_added_and_replaced,
    what_cannot_change_says_why_before_any_effect,
    nothing_to_change_is_a_success_without_effect,
    an_endpoint_whose_sandbox_is_gone_does_not_fail_it,
    an_endpoint_that_lost_its_device_does_not_fail_it,
    a_network_that_is_not_up_comes_as_it_was_set,
    a_flushed_firewall_is_put_back_on_the_way,
    a_wrong_inner_mtu_is_found_and_repaired,
    a_killed_change_is_told_shown_and_taken_back,
    a_plan_is_shown_and_nothing_is_done,
    the_answer_is_the_network_and_what_changed,
);
