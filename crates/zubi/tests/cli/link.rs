//! Links: two sandboxes, or one and the host, wired directly.

use serde_json::json;
use zubi_lab::{Host, Loner, Snapshot, assert_isolated, assert_reaches};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

const USAGE: i32 = 2;
const NOT_FOUND: i32 = 3;
const CONFLICT: i32 = 4;

const V4: &str = "--address 10.0.0.1/24,10.0.0.2/24";
const BOTH: &str = "--address 10.0.0.1/24,10.0.0.2/24 --address fd00::1/64,fd00::2/64";

/// Two sandboxes without devices.
fn two() -> Host {
    let host = Host::new(ZUBI);
    host.zubi("sandbox add c1").ok();
    host.zubi("sandbox add c2").ok();
    host
}

fn linked(words: &str) -> Host {
    let host = two();
    host.zubi(&format!("link c1:veth-a c2:veth-b {words}")).ok();
    host
}

fn two_sandboxes_reach_each_other() {
    let host = linked(BOTH);
    assert_reaches("c1", "c2", "10.0.0.2");
    assert_reaches("c2", "c1", "10.0.0.1");
    assert_reaches("c1", "c2", "fd00::2");
    assert_reaches("c2", "c1", "fd00::1");
    host.zubi("check").ok();
    assert_eq!(host.zubi("gc").ok().out, "nothing to remove\n");
    assert_eq!(host.zubi("repair").ok().out, "nothing to repair\n");
}

fn a_sandbox_and_the_host_reach_each_other_whichever_is_named_first() {
    let host = two();
    host.zubi(&format!("link c1:veth-a host:lan0 {V4}")).ok();
    host.zubi("link host:lan1 c2:veth-a --address 10.0.1.1/24,10.0.1.2/24").ok();
    assert_reaches("host", "c1", "10.0.0.1");
    assert_reaches("c1", "host", "10.0.0.2");
    assert_reaches("host", "c2", "10.0.1.2");
    // The pair is known, not stray.
    host.zubi("check").ok();
    assert_eq!(host.zubi("gc").ok().out, "nothing to remove\n");
    assert_reaches("host", "c1", "10.0.0.1");
}

fn both_ends_may_be_in_one_sandbox() {
    let host = two();
    host.zubi("link c1:veth-a c1:veth-b").ok();
    host.shell("ip -n c1 link show veth-a up && ip -n c1 link show veth-b up").ok();
    host.zubi("check").ok();
    host.zubi("link rm c1:veth-b").ok();
    host.shell("ip -n c1 link show veth-a").fails(1, "");
}

fn a_sandbox_may_be_a_process_or_a_path() {
    let host = two();
    let loner = Loner::new();
    host.shell("touch '/run/a:box' && unshare --net='/run/a:box' true").ok();
    let pid = loner.pid();
    host.zubi(&format!("link pid:{pid}:eth7 c1:veth-a --address 10.0.0.1/24,10.0.0.2/24")).ok();
    host.zubi("link /run/a:box:eth7 c1:veth-b --address 10.0.1.1/24,10.0.1.2/24").ok();
    host.shell("ip netns exec c1 ping -n -q -c 1 -W 1 10.0.0.1").ok();
    host.shell("ip netns exec c1 ping -n -q -c 1 -W 1 10.0.1.1").ok();
    let listed = host.zubi("link ls").ok().out;
    assert!(listed.contains(&format!("pid:{pid}:eth7")) && listed.contains("/run/a:box:eth7"), "{listed}");
    host.zubi(&format!("link rm pid:{pid}:eth7")).ok();
    host.zubi("link rm /run/a:box:eth7").ok();
    host.zubi("check").ok();
}

fn a_path_to_a_named_sandbox_is_that_sandbox() {
    let host = linked(V4);
    host.zubi("link /run/netns/c1:veth-a c2:veth-b").ok();
    host.zubi("link c1:x /run/netns/c1:x").fails(USAGE, "same end twice");
    host.zubi("link rm /run/netns/c2:veth-b").ok();
    assert_eq!(host.zubi("--json link ls").ok().json(), json!([]));
}

fn the_mtu_is_that_of_both_ends() {
    let host = linked(&format!("{V4} --mtu 1400"));
    for end in ["c1 link show veth-a", "c2 link show veth-b"] {
        host.shell(&format!("ip -n {end} | grep -q 'mtu 1400'")).ok();
    }
    host.shell("ip netns exec c1 ping -n -q -c 1 -W 1 -M do -s 1372 10.0.0.2").ok();
    host.shell("ip netns exec c1 ping -n -q -c 1 -W 1 -M do -s 1373 10.0.0.2").fails(1, "");
}

fn without_addresses_it_has_none() {
    let host = linked("");
    for end in ["c1 addr show veth-a", "c2 addr show veth-b"] {
        let out = host.shell(&format!("ip -n {end}")).ok().out;
        assert!(!out.contains("inet"), "{out}");
    }
    host.zubi("check").ok();
}

fn one_end_may_have_an_address_alone() {
    let host = linked("--address ,10.0.0.2/24");
    host.shell("ip -n c1 addr show veth-a | grep inet").fails(1, "");
    host.shell("ip -n c2 addr show veth-b | grep -q 10.0.0.2/24").ok();
}

fn the_loopback_of_a_bare_sandbox_goes_up() {
    let host = Host::new(ZUBI);
    host.shell("ip netns add c1 && ip netns add c2").ok();
    host.zubi(&format!("link c1:veth-a c2:veth-b {V4}")).ok();
    host.shell("ip netns exec c1 ping -n -q -c 1 -W 1 10.0.0.1").ok();
    host.shell("ip netns exec c2 ping -n -q -c 1 -W 1 127.0.0.1").ok();
}

fn the_same_again_is_the_same_answer() {
    let host = linked(BOTH);
    let before = Snapshot::take();
    for words in ["c1:veth-a c2:veth-b", "c2:veth-b c1:veth-a", "c1:veth-a c2:veth-b --mtu 1500"] {
        let again = host.zubi(&format!("--json link {words}")).ok().json();
        assert_eq!(again["existing"], json!(true), "{words}");
    }
    host.zubi(&format!("link c1:veth-a c2:veth-b {BOTH}")).ok();
    let turned = "link c2:veth-b c1:veth-a --address 10.0.0.2/24,10.0.0.1/24 --address fd00::2/64,fd00::1/64";
    let said = host.zubi(turned).ok().out;
    let wanted = "c2:veth-b 10.0.0.2/24 fd00::2/64 - c1:veth-a 10.0.0.1/24 fd00::1/64 (were linked already)\n";
    assert_eq!(said, wanted);
    before.assert_no_residue(&Snapshot::take());
}

fn the_same_ends_with_other_wishes_are_a_conflict() {
    let host = linked(V4);
    let before = Snapshot::take();
    let there = "link c1:veth-a - c2:veth-b is there already with other";
    for (words, why) in [
        ("--address 10.0.0.1/24,10.0.0.3/24", "addresses: it has 10.0.0.1/24,10.0.0.2/24; zubi link rm c1:veth-a"),
        ("--address 10.0.0.2/24,10.0.0.1/24", "addresses"),
        ("--address 10.0.0.1/24,", "addresses"),
        ("--mtu 1400", "MTU: it has 1500"),
    ] {
        host.zubi(&format!("link c1:veth-a c2:veth-b {words}")).fails(CONFLICT, &format!("{there} {why}"));
    }
    before.assert_no_residue(&Snapshot::take());
}

fn what_cannot_be_is_refused_before_the_first_effect() {
    let host = linked(V4);
    host.network("blue --subnet 10.55.66.0/24");
    host.zubi("connect blue c1").ok();
    host.shell("ip link add br8 type bridge && ip -n c1 link add br7 type bridge").ok();
    let port = host.zubi("--json ls").ok().json()[0]["host_device"].as_str().expect("name").to_owned();
    let before = Snapshot::take();
    for (words, code, why) in [
        ("c1:a c9:b", NOT_FOUND, "sandbox c9 does not exist"),
        ("c9:a c1:b", NOT_FOUND, "sandbox c9 does not exist"),
        ("pid:4000000:a c1:b", NOT_FOUND, "process 4000000 does not exist"),
        ("c1:a /run/nothing:b", NOT_FOUND, "/run/nothing"),
        ("c1:a c1:a", USAGE, "same end twice"),
        ("host:a host:b", USAGE, "both ends on the host"),
        ("c1 c2:b", USAGE, "names no device"),
        ("docker:web c2:b", USAGE, "write docker:web:DEVICE"),
        ("c1:sixteen-bytes-ab c2:b", USAGE, "at most 15"),
        ("c1:a/b c2:b", USAGE, "device name"),
        ("c1:veth-a c2:x", CONFLICT, "c1:veth-a is there already: the end of its link to c2:veth-b"),
        ("host:x c2:veth-b", CONFLICT, "c2:veth-b is there already: the end of its link to c1:veth-a"),
        ("c1:eth0 c2:x", CONFLICT, "c1:eth0 is there already: the end of its connection to network blue"),
        ("c2:x c1:br7", CONFLICT, "c1:br7 is there already: a bridge device"),
        ("c2:x c1:lo", CONFLICT, "c1:lo is there already: the loopback device"),
        ("c2:x host:br8", CONFLICT, "host:br8 is there already: a bridge device"),
        ("c2:x host:zb-blue", CONFLICT, "host:zb-blue is there already: the bridge of network blue"),
        (&format!("c2:x host:{port}"), CONFLICT, "the end of its connection to network blue"),
        ("c1:a c2:b --address 10.1.0.1/24", USAGE, "are not two"),
        ("c1:a c2:b --address ,", USAGE, "both left out"),
        ("c1:a c2:b --address 10.1.0.1/24,10.1.0.1/24", USAGE, "are the same"),
        ("c1:a c2:b --address 10.1.0.1/24,10.1.1.2/24", USAGE, "not in one subnet"),
        ("c1:a c2:b --address 10.1.0.1/24,fd00::2/64", USAGE, "mix IPv4 and IPv6"),
        ("c1:a c2:b --address 10.1.0.0/24,10.1.0.2/24", USAGE, "name of its subnet"),
        ("c1:a c2:b --address 127.0.0.2/8,127.0.0.3/8", USAGE, "not an address of one device"),
        ("c1:a c2:b --address 10.1.0.1/24, --address 10.2.0.1/24,", USAGE, "second IPv4 address of c1:a"),
        ("c1:a c2:b --address 10.0.0.1/24,10.0.0.9/24", CONFLICT, "c1:a: address 10.0.0.1/24 is on veth-a already"),
        ("c1:a c2:b --address 10.0.0.9/24,", CONFLICT, "overlaps 10.0.0.1/24 of veth-a"),
        ("c2:a c1:b --address 10.55.66.7/24,10.55.66.8/24", CONFLICT, "overlaps 10.55.66.2/24 of eth0"),
        ("c2:a host:b --address 10.55.0.7/16,10.55.0.8/16", CONFLICT, "overlaps"),
        ("c1:a c2:b --mtu 67", USAGE, "MTU"),
        ("c1:a c2:b --mtu 65536", USAGE, "MTU"),
        ("c1:a c2:b --mtu 1279 --address fd01::1/64,fd01::2/64", USAGE, "too small for IPv6"),
        ("c1:a", USAGE, "OTHER-END"),
    ] {
        host.zubi(&format!("link {words}")).fails(code, why);
        let after = Snapshot::take();
        assert!(before == after, "link {words} changed something");
    }
}

fn a_plan_is_shown_and_nothing_is_done() {
    let host = two();
    let before = Snapshot::take();
    for mode in ["--explain", "--dry-run", "--json --explain", "--json --dry-run"] {
        let out = host.zubi(&format!("{mode} link c1:veth-a c2:veth-b {V4}")).ok().out;
        assert!(out.contains("link add veth-a"), "{out}");
    }
    before.assert_no_residue(&Snapshot::take());
    host.zubi(&format!("link c1:veth-a c2:veth-b {V4}")).ok();
    let before = Snapshot::take();
    assert!(host.zubi("--explain link rm c2:veth-b").ok().out.contains("ip -n c1 link del veth-a"));
    assert!(host.zubi("--explain sandbox rm c2").ok().out.contains("ip -n c1 link del veth-a"));
    before.assert_no_residue(&Snapshot::take());
}

fn links_are_listed() {
    let host = linked(&format!("{V4} --mtu 1400"));
    let out = host.zubi("link ls").ok().out;
    let lines: Vec<Vec<&str>> = out.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(lines[1], ["c1:veth-a", "10.0.0.1/24", "c2:veth-b", "10.0.0.2/24", "1400", "up"]);
    let listed = host.zubi("--json link ls").ok().json();
    assert_eq!(listed[0]["ends"][1]["sandbox"], json!("c2"));
    assert_eq!(listed[0]["ends"][0]["addresses"], json!(["10.0.0.1/24"]));
    host.shell("ip -n c2 link set veth-b down").ok();
    assert_eq!(host.zubi("--json link ls").ok().json()[0]["state"], json!("down"));
    host.shell("ip -n c2 link del veth-b").ok();
    assert_eq!(host.zubi("--json link ls").ok().json()[0]["state"], json!("gone"));
}

fn rm_takes_either_end_and_is_content_when_it_is_gone() {
    let host = two();
    let before = Snapshot::take();
    for end in ["c1:veth-a", "c2:veth-b"] {
        host.zubi(&format!("link c1:veth-a c2:veth-b {BOTH}")).ok();
        assert_eq!(host.zubi(&format!("link rm {end}")).ok().out, "c1:veth-a - c2:veth-b: removed\n");
        before.assert_no_residue(&Snapshot::take());
        assert_eq!(host.zubi(&format!("link rm {end}")).ok().out, format!("{end}: was not linked\n"));
    }
    host.zubi("link rm nobody:x").ok();
    host.zubi("link rm host:typo").fails(3, "no link has the end host:typo; there are no links");
    before.assert_no_residue(&Snapshot::take());
}

/// A change that `check` must report with these words and `repair` must revert.
fn repaired(harm: &str, found: &str) {
    let host = linked(&format!("{BOTH} --mtu 1400"));
    host.zubi("link c1:lan0 host:lan0 --address 10.0.1.1/24,10.0.1.2/24").ok();
    host.zubi("check").ok();
    host.shell(harm).ok();
    let answer = host.zubi("check").fails(1, "");
    assert!(answer.out.contains(found), "check does not say {found:?} but: {}", answer.out);
    host.zubi("repair").ok();
    assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n");
    assert_reaches("c1", "c2", "10.0.0.2");
    assert_reaches("c2", "c1", "fd00::1");
    assert_reaches("host", "c1", "10.0.1.1");
    host.shell("ip -n c1 link show veth-a | grep -q 'mtu 1400' && ip -n c2 link show veth-b | grep -q 'mtu 1400'").ok();
}

fn a_deleted_end_is_found_and_repaired() {
    repaired("ip -n c2 link del veth-b", "link c1:veth-a - c2:veth-b: its devices c1:veth-a and c2:veth-b are gone");
}

fn a_deleted_host_end_is_found_and_repaired() {
    repaired("ip link del lan0", "link c1:lan0 - host:lan0: its devices");
}

fn an_end_that_is_down_is_found_and_repaired() {
    repaired("ip -n c2 link set veth-b down", "is down; wanted: ip -n c2 link set veth-b up");
}

fn a_host_end_that_is_down_is_found_and_repaired() {
    repaired("ip link set lan0 down", "is down; wanted: ip link set lan0 up");
}

fn a_lost_address_is_found_and_repaired() {
    repaired("ip -n c1 addr del 10.0.0.1/24 dev veth-a", "missing: ip -n c1 addr add 10.0.0.1/24 dev veth-a");
}

fn a_lost_address_of_the_host_is_found_and_repaired() {
    repaired("ip addr del 10.0.1.2/24 dev lan0", "missing: ip addr add 10.0.1.2/24 dev lan0");
}

fn a_changed_mtu_of_the_first_end_is_found_and_repaired() {
    repaired("ip -n c1 link set veth-a mtu 1300", "MTU is 1300");
}

fn a_changed_mtu_of_the_second_end_is_found_and_repaired() {
    repaired("ip -n c2 link set veth-b mtu 1300", "MTU of veth-b inside is 1300");
}

fn a_renamed_end_is_found_and_repaired() {
    repaired(
        "ip -n c2 link set veth-b down && ip -n c2 link set veth-b name other && ip -n c2 link set other up",
        "its end c2:veth-b is called other now",
    );
}

fn a_changed_mac_is_found_and_repaired() {
    repaired("ip -n c1 link set veth-a address 02:99:99:99:99:99", "its end c1:veth-a has another MAC");
}

fn an_end_that_was_moved_is_found_and_repaired() {
    repaired(
        "ip netns add c3 && ip -n c2 link set veth-b netns c3",
        "its end c2:veth-b has another MAC, or is in another",
    );
}

fn router_advertisements_switched_on_are_found_and_repaired() {
    repaired("ip netns exec c1 sysctl -qw net.ipv6.conf.veth-a.accept_ra=2", "accept_ra");
}

fn linking_again_makes_a_deleted_link_as_it_was() {
    let host = linked(&format!("{BOTH} --mtu 1400"));
    host.shell("ip -n c2 link del veth-b").ok();
    host.zubi("link c1:veth-a c2:veth-b").ok();
    assert_reaches("c1", "c2", "10.0.0.2");
    assert_reaches("c2", "c1", "fd00::1");
    host.shell("ip -n c1 link show veth-a | grep -q 'mtu 1400'").ok();
    assert_eq!(host.zubi("--json link ls").ok().json().as_array().expect("list").len(), 1);
    host.zubi("check").ok();
}

fn gc_forgets_a_link_whose_sandbox_is_gone() {
    let host = two();
    let before = Snapshot::take();
    host.zubi("sandbox add c3").ok();
    host.zubi("link c3:veth-a c2:veth-b").ok();
    host.zubi("link host:lan0 c3:lan0").ok();
    host.shell("ip netns del c3").ok();
    host.wait_for("! ip -n c2 link show veth-b 2>/dev/null && ! ip link show lan0 2>/dev/null");
    let found = host.zubi("check").fails(1, "").out;
    assert!(
        found.contains("link c3:veth-a - c2:veth-b: its sandbox c3 is gone\n    to put it right: zubi gc"),
        "{found}"
    );
    assert!(host.zubi("--dry-run gc").code == 0);
    let removed = host.zubi("gc").ok().out;
    assert!(removed.contains("link host:lan0 - c3:lan0 (sandbox is gone)"), "{removed}");
    host.zubi("check").ok();
    before.assert_no_residue(&Snapshot::take());
}

fn gc_keeps_a_link_that_lives_without_a_name() {
    let host = two();
    let loner = Loner::new();
    host.zubi(&format!("sandbox add web --from pid:{}", loner.pid())).ok();
    host.zubi(&format!("link web:veth-a c2:veth-b {V4}")).ok();
    host.shell("ip netns del web").ok();
    assert_eq!(host.zubi("gc").ok().out, "sandbox web (its name is gone)\n");
    host.shell("ip netns exec c2 ping -n -q -c 1 -W 1 10.0.0.1").ok();
    host.zubi("link rm c2:veth-b").ok();
    host.shell("ip -n c2 link show veth-b").fails(1, "");
}

fn a_sandbox_that_was_made_again_is_linked_again() {
    let host = linked(V4);
    host.shell("ip netns del c1").ok();
    host.wait_for("! ip -n c2 link show veth-b 2>/dev/null");
    host.shell("ip netns add c1").ok();
    host.zubi(&format!("link c1:veth-a c2:veth-b {V4}")).ok();
    assert_reaches("c1", "c2", "10.0.0.2");
    assert_eq!(host.zubi("--json link ls").ok().json().as_array().expect("list").len(), 1);
    // Only the record of the sandbox that zubi made under that name is left.
    assert_eq!(host.zubi("gc").ok().out, "sandbox c1 (its name leads to another network namespace now)\n");
    host.zubi("check").ok();
}

fn sandbox_rm_takes_its_links_away() {
    let host = two();
    host.network("blue --subnet 10.55.66.0/24");
    host.zubi("sandbox add c3").ok();
    let before = Snapshot::take();
    host.container("c4", "blue");
    for end in ["c1:x", "c2:x", "host:x"] {
        host.zubi(&format!("link {end} c4:{}", end.replace(':', ""))).ok();
    }
    // A sandbox that zubi did not make.
    host.zubi("sandbox rm c4").ok();
    host.settle();
    before.assert_no_residue(&Snapshot::take());
    host.zubi("check").ok();
}

fn the_end_of_a_run_takes_its_links_away() {
    let host = two();
    let before = Snapshot::take();
    host.zubi("run -d --name web --network none -- sleep 1000").ok();
    host.zubi(&format!("link web:veth-a c1:veth-b {V4}")).ok();
    host.shell("ip netns exec c1 ping -n -q -c 1 -W 1 10.0.0.1").ok();
    host.zubi("sandbox rm --force web").ok();
    host.wait_for("test ! -e /run/zubi/sandboxes/web.json");
    host.settle();
    before.assert_no_residue(&Snapshot::take());
}

fn a_link_is_no_way_into_a_network() {
    let host = linked(V4);
    host.network("blue --subnet 10.55.66.0/24");
    host.zubi("connect blue c1").ok();
    // c1 does not forward what arrives on its link.
    host.shell("ip -n c2 route add 10.55.66.0/24 via 10.0.0.1").ok();
    host.container("c3", "blue");
    assert_isolated("c2", "c3", "10.55.66.3");
    assert_reaches("c1", "c3", "10.55.66.3");
}

fn a_zubi_that_calls_a_linked_sandbox_its_host_keeps_off_the_link() {
    let host = linked(V4);
    let there = "env ZUBI_RUN_DIR=/run/other ZUBI_STATE_DIR=/run/other-state";
    assert_eq!(host.shell(&format!("ip netns exec c1 {there} {ZUBI} gc")).ok().out, "nothing to remove\n");
    assert_reaches("c1", "c2", "10.0.0.2");
}

/// Each command locks both sandboxes; one names them in the opposite order.
fn links_of_the_same_sandboxes_made_at_once_do_not_wait_for_each_other() {
    let host = two();
    for n in 0..8 {
        let mut one = host.command(&format!("link c1:a{n} c2:a{n}")).spawn().expect("zubi");
        let mut other = host.command(&format!("link c2:b{n} c1:b{n}")).spawn().expect("zubi");
        assert!(one.wait().expect("zubi").success() && other.wait().expect("zubi").success());
    }
    let mut remove = host.command("sandbox rm c1").spawn().expect("zubi");
    let mut other = host.command("sandbox rm c2").spawn().expect("zubi");
    assert!(remove.wait().expect("zubi").success() && other.wait().expect("zubi").success());
    assert_eq!(host.zubi("--json link ls").ok().json(), json!([]));
    host.zubi("check").ok();
}

/// Of many requests for the same link one makes it.
fn one_link_asked_for_at_once_is_made_once() {
    let host = two();
    let all: Vec<_> = (0..8)
        .map(|n| if n % 2 == 0 { "link c1:x c2:y" } else { "link c2:y c1:x" })
        .map(|words| host.command(words).spawn().expect("zubi"))
        .collect();
    for mut one in all {
        assert!(one.wait().expect("zubi").success());
    }
    assert_eq!(host.zubi("--json link ls").ok().json().as_array().expect("list").len(), 1);
    host.zubi("check").ok();
}

fn a_record_that_cannot_be_read_keeps_gc_from_its_device() {
    let host = two();
    host.zubi("link c1:x host:y").ok();
    host.shell("for f in /run/zubi/links/*.json; do mv $f /run/kept; echo '{' > $f; done").ok();
    assert!(host.zubi("check").fails(1, "").out.contains("is cut off"));
    host.zubi("gc").ok();
    host.shell("ip link show y").ok();
    host.shell("for f in /run/zubi/links/*.json; do mv /run/kept $f; done").ok();
    host.zubi("check").ok();
}

zubi_lab::tests!(
    two_sandboxes_reach_each_other,
    a_sandbox_and_the_host_reach_each_other_whichever_is_named_first,
    both_ends_may_be_in_one_sandbox,
    a_sandbox_may_be_a_process_or_a_path,
    a_path_to_a_named_sandbox_is_that_sandbox,
    the_mtu_is_that_of_both_ends,
    without_addresses_it_has_none,
    one_end_may_have_an_address_alone,
    the_loopback_of_a_bare_sandbox_goes_up,
    the_same_again_is_the_same_answer,
    the_same_ends_with_other_wishes_are_a_conflict,
    what_cannot_be_is_refused_before_the_first_effect,
    a_plan_is_shown_and_nothing_is_done,
    links_are_listed,
    rm_takes_either_end_and_is_content_when_it_is_gone,
    a_deleted_end_is_found_and_repaired,
    a_deleted_host_end_is_found_and_repaired,
    an_end_that_is_down_is_found_and_repaired,
    a_host_end_that_is_down_is_found_and_repaired,
    a_lost_address_is_found_and_repaired,
    a_lost_address_of_the_host_is_found_and_repaired,
    a_changed_mtu_of_the_first_end_is_found_and_repaired,
    a_changed_mtu_of_the_second_end_is_found_and_repaired,
    a_renamed_end_is_found_and_repaired,
    a_changed_mac_is_found_and_repaired,
    an_end_that_was_moved_is_found_and_repaired,
    router_advertisements_switched_on_are_found_and_repaired,
    linking_again_makes_a_deleted_link_as_it_was,
    gc_forgets_a_link_whose_sandbox_is_gone,
    gc_keeps_a_link_that_lives_without_a_name,
    a_sandbox_that_was_made_again_is_linked_again,
    sandbox_rm_takes_its_links_away,
    the_end_of_a_run_takes_its_links_away,
    a_link_is_no_way_into_a_network,
    a_zubi_that_calls_a_linked_sandbox_its_host_keeps_off_the_link,
    links_of_the_same_sandboxes_made_at_once_do_not_wait_for_each_other,
    one_link_asked_for_at_once_is_made_once,
    a_record_that_cannot_be_read_keeps_gc_from_its_device,
);
