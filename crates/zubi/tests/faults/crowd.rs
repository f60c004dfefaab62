//! Many commands at once.

use std::collections::HashSet;
use std::process::{Child, Command, Output, Stdio};
use zubi_lab::{Host, Snapshot, assert_reaches};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const MANY: usize = 100;

fn start(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("zubi")
}

fn all_end(children: Vec<Child>) -> Vec<Output> {
    children.into_iter().map(|child| child.wait_with_output().expect("zubi")).collect()
}

#[track_caller]
fn all_succeed(children: Vec<Child>) -> Vec<Output> {
    let outputs = all_end(children);
    let failed: Vec<_> =
        outputs.iter().filter(|o| !o.status.success()).map(|o| String::from_utf8_lossy(&o.stderr)).collect();
    assert!(failed.is_empty(), "{} of {} failed:\n{}", failed.len(), outputs.len(), failed.join(""));
    outputs
}

#[track_caller]
fn assert_addresses_are_distinct(host: &Host, expected: usize) {
    let list = host.zubi("--json ls").ok().json();
    let endpoints = list.as_array().expect("a list");
    let addresses: HashSet<String> = endpoints.iter().map(|e| format!("{} {}", e["network"], e["addresses"])).collect();
    assert_eq!((endpoints.len(), addresses.len()), (expected, expected));
}

/// Sandboxes s0, s1, ... made without zubi, so that only the commands under test take time.
fn sandboxes(host: &Host) {
    host.shell(&format!("for n in $(seq 0 {}); do ip netns add s$n || exit 1; done", MANY - 1)).ok();
}

fn remove_sandboxes(host: &Host) {
    host.shell("for n in $(ip netns list | cut -d' ' -f1); do ip netns del $n || exit 1; done").ok();
}

fn a_hundred_connects_at_once_get_a_hundred_addresses() {
    let host = Host::new(ZUBI);
    host.zubi("gc").ok();
    let before = Snapshot::take();
    host.network("blue --subnet 10.55.0.0/20 --subnet fd00:55::/64");
    sandboxes(&host);
    all_succeed((0..MANY).map(|n| start(host.command(&format!("connect blue s{n}")))).collect());
    assert_addresses_are_distinct(&host, MANY);
    host.zubi("check").ok();
    assert_reaches("s0", "host", "10.55.0.1");
    all_succeed((0..MANY).map(|n| start(host.command(&format!("disconnect blue s{n}")))).collect());
    host.settle();
    host.zubi("check").ok();
    host.zubi("network rm blue").ok();
    remove_sandboxes(&host);
    before.assert_no_residue(&Snapshot::take());
}

/// The host ports of all published ports.
fn published(host: &Host) -> Vec<String> {
    let all = host.zubi("--json port ls").ok().json();
    let ports = all.as_array().expect("a list").iter();
    ports.map(|p| format!("{} {}", p["host_ports"].as_str().expect("ports"), p["protocol"])).collect()
}

fn fifty_connects_with_random_ports_at_once_get_fifty_ports_of_each_protocol() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.0.0/20 --subnet fd00:55::/64");
    sandboxes(&host);
    all_succeed((0..50).map(|n| start(host.command(&format!("connect blue s{n} -p 80 -p 80/udp")))).collect());
    let ports = published(&host);
    let distinct: HashSet<&String> = ports.iter().collect();
    assert_eq!((ports.len(), distinct.len()), (100, 100));
    host.zubi("check").ok();
    all_succeed((0..50).map(|n| start(host.command(&format!("port add blue s{n} 81 82")))).collect());
    let ports = published(&host);
    let distinct: HashSet<&String> = ports.iter().collect();
    assert_eq!((ports.len(), distinct.len()), (200, 200));
    all_succeed((0..50).map(|n| start(host.command(&format!("disconnect blue s{n}")))).collect());
    host.settle();
    assert_eq!(published(&host), [""; 0]);
    host.zubi("check").ok();
}

fn of_fifty_connects_that_want_one_of_forty_ports_forty_get_one() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.0.0/20");
    sandboxes(&host);
    let all = (0..50).map(|n| start(host.command(&format!("connect blue s{n} -p 8000-8039:80")))).collect();
    let codes: Vec<Option<i32>> = all_end(all).iter().map(|o| o.status.code()).collect();
    let count = |code: i32| codes.iter().filter(|c| **c == Some(code)).count();
    assert_eq!((count(0), count(4)), (40, 10), "{codes:?}");
    let distinct: HashSet<String> = published(&host).into_iter().collect();
    assert_eq!(distinct.len(), 40);
    host.zubi("check").ok();
}

fn the_same_connect_a_hundred_times_at_once_makes_one_endpoint() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.zubi("sandbox add c1").ok();
    let outputs = all_succeed((0..MANY).map(|_| start(host.command("connect blue c1"))).collect());
    let made = outputs.iter().filter(|o| !String::from_utf8_lossy(&o.stdout).contains("was connected already")).count();
    assert_eq!(made, 1);
    assert_addresses_are_distinct(&host, 1);
    host.zubi("check").ok();
}

fn connects_and_disconnects_at_random_beside_gc_and_check_leave_nothing() {
    let host = Host::new(ZUBI);
    host.zubi("gc").ok();
    let before = Snapshot::take();
    let networks = ["blue", "green", "red", "white"];
    for (n, name) in networks.iter().enumerate() {
        host.network(&format!("{name} --subnet 10.55.{n}.0/24"));
    }
    sandboxes(&host);
    // A fixed sequence: the kernel's scheduling adds enough chance.
    let mut seed = 1u32;
    let mut dice = move |sides: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) % sides
    };
    let mut words = Vec::new();
    for n in 0..2 * MANY {
        let network = networks[dice(4) as usize];
        let sandbox = dice(25);
        words.push(match dice(5) {
            // Always with its ports: without them it would be a different endpoint.
            0..3 if sandbox % 3 == 0 => format!("connect {network} s{sandbox} -p 80 -p 53/udp"),
            0..3 => format!("connect {network} s{sandbox}"),
            _ => format!("disconnect {network} s{sandbox}"),
        });
        if n % 20 == 0 {
            words.push("gc".into());
        }
    }
    let running: Vec<Child> = words.iter().map(|w| start(host.command(w))).collect();
    for _ in 0..5 {
        // check waits for every command in progress.
        host.zubi("check").ok();
    }
    all_succeed(running);
    host.zubi("check").ok();
    host.settle();
    let list = host.zubi("--json ls").ok().json();
    assert_addresses_are_distinct(&host, list.as_array().expect("a list").len());
    let rest = list.as_array().expect("a list").iter().map(|e| {
        let word = |key: &str| e[key].as_str().expect("a word").to_owned();
        start(host.command(&format!("disconnect {} {}", word("network"), word("sandbox"))))
    });
    all_succeed(rest.collect());
    host.settle();
    host.zubi("network rm blue green red white").ok();
    remove_sandboxes(&host);
    before.assert_no_residue(&Snapshot::take());
}

fn after_a_flush_a_crowd_of_connects_puts_the_whole_firewall_back() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.container("c1", "blue");
    sandboxes(&host);
    for flush in ["nft flush ruleset", "nft delete table inet zubi"] {
        host.shell(flush).ok();
        all_succeed((0..10).map(|n| start(host.command(&format!("connect blue s{n}")))).collect());
        host.zubi("check").ok();
        assert_reaches("c1", "host", "10.55.66.1");
        all_succeed((0..10).map(|n| start(host.command(&format!("disconnect blue s{n}")))).collect());
    }
}

fn run_after_a_flush_puts_the_firewall_back() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.container("c1", "blue");
    host.shell("nft flush ruleset").ok();
    host.zubi("run --network blue -- /bin/true").ok();
    host.zubi("check").ok();
}

fn a_deleted_host_device_is_made_again_by_connect_with_its_address() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    let first = host.container("c1", "blue");
    host.shell("ip link del $(ip -o link show type veth | cut -d' ' -f2 | cut -d@ -f1)").ok();
    assert_eq!(host.connect("blue c1"), first);
    host.zubi("check").ok();
    assert_reaches("c1", "host", "10.55.66.1");
}

fn a_deleted_host_device_is_made_again_by_connect_as_it_was() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.zubi("sandbox add c1").ok();
    host.zubi("connect blue c1 --mac 02:00:00:00:00:07 --ifname lan0 --alias db --route 10.8.0.0/16").ok();
    let device = host.zubi("ls --json").ok().json()[0]["host_device"].as_str().expect("device").to_owned();
    host.shell(&format!("ip link del {device}")).ok();
    host.zubi("connect blue c1").ok();
    let made = host.zubi("ls --json").ok().json()[0].clone();
    assert_eq!((&made["mac"], &made["ifname"]), (&"02:00:00:00:00:07".into(), &"lan0".into()));
    assert_eq!(made["aliases"][0], "db");
    host.shell("ip -n c1 route show 10.8.0.0/16 | grep -q lan0").ok();
}

fn a_deleted_bridge_is_put_back_by_repair_with_its_ports() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.container("c1", "blue");
    let c2 = host.container("c2", "blue");
    host.shell("ip link del zb-blue").ok();
    host.zubi("repair").ok();
    host.zubi("check").ok();
    assert_reaches("c1", "c2", &c2);
}

fn a_default_route_of_the_users_own_does_not_keep_an_endpoint_from_going() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.network("green --subnet 10.55.67.0/24");
    host.container("c1", "blue");
    host.zubi("connect green c1").ok();
    host.shell("ip -n c1 route replace default via 10.55.67.77 dev eth1").ok();
    host.zubi("disconnect blue c1").ok();
    host.zubi("check").ok();
    host.shell("ip -n c1 route show default | grep -q 10.55.67.77").ok();
}

zubi_lab::tests!(
    a_hundred_connects_at_once_get_a_hundred_addresses,
    fifty_connects_with_random_ports_at_once_get_fifty_ports_of_each_protocol,
    of_fifty_connects_that_want_one_of_forty_ports_forty_get_one,
    the_same_connect_a_hundred_times_at_once_makes_one_endpoint,
    connects_and_disconnects_at_random_beside_gc_and_check_leave_nothing,
    after_a_flush_a_crowd_of_connects_puts_the_whole_firewall_back,
    run_after_a_flush_puts_the_firewall_back,
    a_deleted_host_device_is_made_again_by_connect_with_its_address,
    a_deleted_host_device_is_made_again_by_connect_as_it_was,
    a_deleted_bridge_is_put_back_by_repair_with_its_ports,
    a_default_route_of_the_users_own_does_not_keep_an_endpoint_from_going,
);
