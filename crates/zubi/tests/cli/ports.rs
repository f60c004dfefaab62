//! Published ports: which clients reach them, from where, and with which source address.

use serde_json::Value;
use std::collections::HashSet;
use zubi_lab::{
    Capability, Heard, Host, Outside, Service, Snapshot, Transport, ask, assert_isolated, assert_served,
    assert_unserved, need, skip,
};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const BOTH: &str = "--subnet 10.55.66.0/24 --subnet fd00:55::/64";
const OTHER: &str = "--subnet 10.77.88.0/24 --subnet fd00:77::/64";
const GATEWAY: [&str; 2] = ["10.55.66.1", "fd00:55::1"];

/// A port inside and a form of publishing it: alone, in a range that keeps its numbers, in a range that shifts them. A
/// service listens on each.
const SHAPES: [(&str, u16, u16); 3] =
    [("8080:80", 8080, 80), ("9000-9009:9000-9009", 9005, 9005), ("7000-7003:70-73", 7001, 71)];

/// c1, which serves and publishes, its neighbour c2, and g1 on another network; all with both families.
fn published(options: &str) -> (Host, Outside, Vec<Service>) {
    let host = Host::new(ZUBI);
    let outside = Outside::new();
    host.network(&format!("blue {BOTH} {options}"));
    host.network(&format!("green {OTHER}"));
    host.zubi("sandbox add c1").ok();
    let ports: Vec<String> = SHAPES.iter().map(|(wish, ..)| format!("-p {wish} -p {wish}/udp")).collect();
    host.zubi(&format!("connect blue c1 {}", ports.join(" "))).ok();
    host.container("c2", "blue");
    host.container("g1", "green");
    let services = SHAPES.iter().map(|(_, _, inside)| Service::start("c1", *inside)).collect();
    (host, outside, services)
}

fn bridge_netfilter(host: &Host, value: u8) {
    let key = "net.bridge.bridge-nf-call";
    host.shell(&format!("sysctl -qw {key}-iptables={value} {key}-ip6tables={value}")).ok();
}

/// A host address with a port, as clients write it: `ADDRESS:PORT`.
fn at(address: &str, port: u16) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

/// Every client that should reach the ports does, with the expected source address.
fn reached_from_outside_host_and_other_networks() {
    for (_, port, _) in SHAPES {
        // From outside: the client's own address.
        assert_served("outside", &at("192.0.2.1", port), "c1", Outside::V4);
        assert_served("outside", &at("2001:db8::1", port), "c1", Outside::V6);
        // From the host: the address that the client used.
        assert_served("host", &at("192.0.2.1", port), "c1", "192.0.2.1");
        assert_served("host", &at("2001:db8::1", port), "c1", "2001:db8::1");
        assert_served("host", &at("10.55.66.1", port), "c1", GATEWAY[0]);
        assert_served("host", &at("fd00:55::1", port), "c1", GATEWAY[1]);
        // From 127.0.0.1, which the container could not answer: the gateway's.
        assert_served("host", &at("127.0.0.1", port), "c1", GATEWAY[0]);
        assert_served("host", &at("127.7.7.7", port), "c1", GATEWAY[0]);
        // From another network, by the host's address: masqueraded, like all that leaves that network.
        assert_served("g1", &at("192.0.2.1", port), "c1", GATEWAY[0]);
        assert_served("g1", &at("2001:db8::1", port), "c1", GATEWAY[1]);
    }
    assert_isolated("g1", "c1", "10.55.66.2");
    assert_isolated("g1", "c1", "fd00:55::2");
}

/// From the container itself: the reply must return through the host, so the server sees the gateway.
fn reached_from_itself() {
    for (_, port, _) in SHAPES {
        for address in ["192.0.2.1", "10.55.66.1"] {
            assert_served("c1", &at(address, port), "c1", GATEWAY[0]);
        }
        for address in ["2001:db8::1", "fd00:55::1"] {
            assert_served("c1", &at(address, port), "c1", GATEWAY[1]);
        }
    }
}

/// From a neighbour, which the server sees as one of these.
#[track_caller]
fn reached_from_neighbour(seen: [&str; 2]) {
    for (_, port, _) in SHAPES {
        for address in ["192.0.2.1", "10.55.66.1"] {
            assert_served("c2", &at(address, port), "c1", seen[0]);
        }
        for address in ["2001:db8::1", "fd00:55::1"] {
            assert_served("c2", &at(address, port), "c1", seen[1]);
        }
    }
}

fn published_ports_are_reached_from_everywhere() {
    let (host, _outside, _services) = published("");
    bridge_netfilter_if_there(&host, 0);
    reached_from_outside_host_and_other_networks();
    reached_from_itself();
    reached_from_neighbour(GATEWAY);
    // Where bridges pass frames to the firewall, the filter in front of the loopback is another one.
    host.zubi("repair").ok();
    host.zubi("check").ok();
}

fn bridge_netfilter_if_there(host: &Host, value: u8) {
    if std::path::Path::new("/proc/sys/net/bridge/bridge-nf-call-iptables").exists() {
        bridge_netfilter(host, value);
    }
}

fn published_ports_are_reached_from_everywhere_when_bridges_pass_frames_to_the_firewall() {
    let test = "published_ports_are_reached_from_everywhere_when_bridges_pass_frames_to_the_firewall";
    if !need(&[Capability::BridgeNetfilter], test) {
        return;
    }
    let (host, _outside, _services) = published("");
    bridge_netfilter(&host, 1);
    reached_from_outside_host_and_other_networks();
    reached_from_itself();
    // The frame is translated on the bridge and goes straight to the neighbour; its reply comes back the same way.
    reached_from_neighbour(["10.55.66.3", "fd00:55::3"]);
}

fn published_ports_without_icc_are_reached_from_everywhere() {
    let (host, _outside, _services) = published("--no-icc");
    bridge_netfilter_if_there(&host, 0);
    reached_from_outside_host_and_other_networks();
    reached_from_itself();
    reached_from_neighbour(GATEWAY);
    assert_isolated("c2", "c1", "10.55.66.2");
    assert_isolated("c2", "c1", "fd00:55::2");
}

fn without_icc_and_with_frames_passed_to_the_firewall_only_its_own_network_does_not_reach_a_published_port() {
    let test =
        "without_icc_and_with_frames_passed_to_the_firewall_only_its_own_network_does_not_reach_a_published_port";
    if !need(&[Capability::BridgeNetfilter], test) {
        return;
    }
    let (host, _outside, _services) = published("--no-icc");
    bridge_netfilter(&host, 1);
    reached_from_outside_host_and_other_networks();
    // A limit: the frame is translated on the bridge, which forwards nothing between isolated ports, not even back to
    // the same one.
    for (_, port, _) in SHAPES {
        assert_unserved("c1", &at("192.0.2.1", port));
        assert_unserved("c2", &at("192.0.2.1", port));
    }
    assert_isolated("c2", "c1", "10.55.66.2");
}

fn a_network_of_one_family_publishes_in_that_one_only() {
    let host = Host::new(ZUBI);
    let _outside = Outside::new();
    host.network("four --subnet 10.55.66.0/24");
    host.zubi("sandbox add c1").ok();
    host.zubi("connect four c1 -p 8080:80 -p 8080:80/udp").ok();
    let _service = Service::start("c1", 80);
    assert_served("outside", "192.0.2.1:8080", "c1", Outside::V4);
    assert_served("host", "127.0.0.1:8080", "c1", GATEWAY[0]);
    assert_unserved("outside", "[2001:db8::1]:8080");
    // The same port is free in the other family.
    let _own = Service::start_at("host", "2001:db8::1".parse().expect("address"), 8080);
    assert_served("outside", "[2001:db8::1]:8080", "host", Outside::V6);
    host.zubi("check").ok();
}

fn elements(host: &Host, map: &str) -> usize {
    let listed: Value = host.shell(&format!("nft -j list map inet zubi {map}")).ok().json();
    let objects = listed["nftables"].as_array().expect("a list");
    objects.iter().filter_map(|o| o["map"]["elem"].as_array()).map(Vec::len).sum()
}

fn a_port_is_one_element_and_so_is_a_range_that_keeps_its_numbers() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.zubi("sandbox add c1").ok();
    let maps = |host: &Host| ["publish4", "publish_at4", "ranges4"].map(|map| elements(host, map));
    host.zubi("connect blue c1").ok();
    assert_eq!(maps(&host), [0, 0, 0]);
    host.zubi("port add blue c1 8080:80").ok();
    assert_eq!(maps(&host), [1, 0, 0]);
    host.zubi("port add blue c1 127.0.0.1:8081:80").ok();
    assert_eq!(maps(&host), [1, 1, 0]);
    host.zubi("port add blue c1 9000-9999:9000-9999").ok();
    assert_eq!(maps(&host), [1, 1, 1]);
    host.zubi("port add blue c1 7000-7009:70-79").ok();
    assert_eq!(maps(&host), [11, 1, 1]);
    host.zubi("port add blue c1 127.0.0.1:6000-6009:60-69 127.0.0.1:5000-5009:5000-5009").ok();
    assert_eq!(maps(&host), [11, 11, 2]);
    host.zubi("port rm blue c1 9000-9999:9000-9999 7000-7009:70-79").ok();
    assert_eq!(maps(&host), [1, 11, 1]);
    host.zubi("check").ok();
    host.zubi("disconnect blue c1").ok();
    assert_eq!(maps(&host), [0, 0, 0]);
}

/// Every process of this host.
fn processes() -> HashSet<u32> {
    let all = std::fs::read_dir("/proc").expect("/proc").flatten();
    let numbers = all.filter_map(|e| e.file_name().to_str().and_then(|n| n.parse().ok()));
    // A process that was just reaped has no entry any more.
    numbers
        .filter(|n: &u32| std::fs::read_to_string(format!("/proc/{n}/cmdline")).is_ok_and(|c| !c.is_empty()))
        .collect()
}

fn rules(host: &Host) -> usize {
    host.shell("nft -a list ruleset").ok().out.lines().filter(|l| l.contains("# handle") && !l.contains(" {")).count()
}

fn publishing_starts_no_process_and_adds_no_rule() {
    let host = Host::new(ZUBI);
    host.network(&format!("blue {BOTH}"));
    host.container("c1", "blue");
    host.settle();
    let (before, rules_before) = (processes(), rules(&host));
    host.zubi("port add blue c1 8080:80 5353:53/udp 9000-9199:9000-9199 127.0.0.1:7000-7009:70-79").ok();
    host.settle();
    assert_eq!(processes(), before);
    assert_eq!(rules(&host), rules_before);
    host.zubi("port rm blue c1 8080:80").ok();
    // The detached child that closes the nftables socket ends a moment later.
    for _ in 0..500 {
        if processes() == before {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("left: {:?}", processes().difference(&before));
}

fn a_port_of_one_host_address_is_not_reached_by_another() {
    let host = Host::new(ZUBI);
    let _outside = Outside::new();
    host.shell("ip addr add 192.0.2.9/24 dev uplink").ok();
    host.network(&format!("blue {BOTH}"));
    host.zubi("sandbox add c1").ok();
    let of_one = "192.0.2.1:8080:80";
    let on_loopback = "127.0.0.1:8081:80";
    let of_six = "[2001:db8::1]:8082:80";
    let wishes = [of_one, on_loopback, of_six, "192.0.2.9:9000-9001:9000-9001"];
    let words: Vec<String> = wishes.iter().map(|wish| format!("-p {wish} -p {wish}/udp")).collect();
    host.zubi(&format!("connect blue c1 {}", words.join(" "))).ok();
    host.container("c2", "blue");
    let _services = [Service::start("c1", 80), Service::start("c1", 9000)];
    assert_served("outside", "192.0.2.1:8080", "c1", Outside::V4);
    assert_served("c2", "192.0.2.1:8080", "c1", if frames_pass() { "10.55.66.3" } else { GATEWAY[0] });
    for elsewhere in ["192.0.2.9:8080", "[2001:db8::1]:8080"] {
        assert_unserved("outside", elsewhere);
    }
    for elsewhere in ["127.0.0.1:8080", "10.55.66.1:8080", "192.0.2.9:8080", "[::1]:8080"] {
        assert_unserved("host", elsewhere);
    }
    assert_served("host", "127.0.0.1:8081", "c1", GATEWAY[0]);
    for elsewhere in ["127.0.0.2:8081", "192.0.2.1:8081", "10.55.66.1:8081"] {
        assert_unserved("host", elsewhere);
    }
    assert_unserved("outside", "192.0.2.1:8081");
    assert_unserved("c2", "10.55.66.1:8081");
    assert_served("outside", "[2001:db8::1]:8082", "c1", Outside::V6);
    assert_unserved("outside", "192.0.2.1:8082");
    assert_served("outside", "192.0.2.9:9000", "c1", Outside::V4);
    assert_unserved("outside", "192.0.2.1:9000");
}

/// Whether bridges pass frames to the firewall here.
fn frames_pass() -> bool {
    std::fs::read_to_string("/proc/sys/net/bridge/bridge-nf-call-iptables").is_ok_and(|v| v.trim() == "1")
}

fn a_service_of_the_host_on_another_port_goes_on() {
    let (_host, _outside, _services) = published("");
    let _own = Service::start("host", 8888);
    assert_served("outside", "192.0.2.1:8888", "host", Outside::V4);
    assert_served("c2", "10.55.66.1:8888", "host", "10.55.66.3");
    assert_served("host", "127.0.0.1:8888", "host", "127.0.0.1");
}

/// The published ports of a sandbox: host address, ports, protocol and target.
fn listed(host: &Host, sandbox: &str) -> Vec<String> {
    let all = host.zubi(&format!("--json port ls {sandbox}")).ok().json();
    let word = |port: &Value, key: &str| port[key].as_str().expect("a word").to_owned();
    let one = |p: &Value| ["host_address", "host_ports", "target", "protocol"].map(|key| word(p, key)).join(" ");
    all.as_array().expect("a list").iter().map(one).collect()
}

fn docker_s_grammar_works_on_connect() {
    let host = Host::new(ZUBI);
    let _outside = Outside::new();
    host.network(&format!("blue {BOTH}"));
    host.zubi("sandbox add c1").ok();
    let wishes = [
        ("8080:80", "* 8080 80 tcp"),
        ("53:53/udp", "* 53 53 udp"),
        ("127.0.0.1:8081:81/tcp", "127.0.0.1 8081 81 tcp"),
        ("0.0.0.0:8082:82", "0.0.0.0 8082 82 tcp"),
        ("[::]:8082:83", ":: 8082 83 tcp"),
        ("[2001:db8::1]:8084:84", "2001:db8::1 8084 84 tcp"),
        ("9000-9002:9000-9002", "* 9000-9002 9000-9002 tcp"),
        ("7000-7002:70-72/UDP", "* 7000-7002 70-72 udp"),
        ("8080-8089:88", "* 8083 88 tcp"),
    ];
    let words: Vec<String> = wishes.iter().map(|(wish, _)| format!("-p {wish}")).collect();
    let answer = host.zubi(&format!("connect blue c1 {}", words.join(" "))).ok();
    let listed = listed(&host, "c1");
    for (wish, expected) in wishes {
        // 8080 and 8082 are taken, and 8081 at 127.0.0.1: 8083 is the first free one.
        assert!(listed.contains(&expected.to_owned()), "{wish}: {listed:?}\n{}", answer.out);
    }
    assert_eq!(listed.len(), wishes.len());
    let services: Vec<Service> = [80, 53, 81, 82, 83, 84, 9001, 71, 88].map(|port| Service::start("c1", port)).into();
    let tcp = |to: &str, from: &str| ask(from, Transport::Tcp, to).map(|heard| heard.client.to_string());
    assert_eq!(tcp("192.0.2.1:8080", "outside").as_deref(), Some(Outside::V4));
    assert_eq!(tcp("127.0.0.1:8081", "host").as_deref(), Some(GATEWAY[0]));
    assert_eq!(tcp("192.0.2.1:8082", "outside").as_deref(), Some(Outside::V4));
    assert_eq!(tcp("[2001:db8::1]:8082", "outside").as_deref(), Some(Outside::V6));
    assert_eq!(tcp("[2001:db8::1]:8084", "outside").as_deref(), Some(Outside::V6));
    assert_eq!(tcp("192.0.2.1:9001", "outside").as_deref(), Some(Outside::V4));
    assert_eq!(tcp("192.0.2.1:8083", "outside").as_deref(), Some(Outside::V4));
    assert_eq!(tcp("192.0.2.1:53", "outside"), None, "published for UDP only");
    for port in [53, 7001] {
        let expected = Heard { server: "c1".into(), client: Outside::V4.parse().expect("address") };
        assert_eq!(ask("outside", Transport::Udp, &at("192.0.2.1", port)), Some(expected));
    }
    drop(services);
    host.zubi("check").ok();
}

fn a_random_host_port_is_told_in_words_and_in_json() {
    let host = Host::new(ZUBI);
    let _outside = Outside::new();
    host.network(&format!("blue {BOTH}"));
    host.zubi("sandbox add c1").ok();
    host.zubi("sandbox add c2").ok();
    let words = host.zubi("connect blue c1 -p 80 -p 80/udp").ok().out;
    let json = host.zubi("--json connect blue c2 -p 127.0.0.1::81 -p 7000-7001").ok().json();
    let of_c1 = listed(&host, "c1");
    assert_eq!(of_c1.len(), 2);
    for port in &of_c1 {
        let number = port.split(' ').nth(1).expect("a port");
        assert!(number.parse::<u16>().is_ok_and(|n| n > 1023), "{port}");
        assert!(words.contains(&format!("{number}:80")), "{number} is not in {words}");
    }
    let tcp = of_c1.iter().find(|p| p.ends_with("tcp")).expect("tcp").split(' ').nth(1).expect("a port").to_owned();
    let _service = Service::start("c1", 80);
    assert_eq!(ask("outside", Transport::Tcp, &format!("192.0.2.1:{tcp}")).expect("an answer").server, "c1");
    let ports = json["ports"].as_array().unwrap_or_else(|| panic!("no ports in {json}")).clone();
    assert_eq!(ports.len(), 3, "{json}");
    assert_eq!(ports[0]["host_address"], "127.0.0.1");
    assert_eq!([&ports[1]["target"], &ports[2]["target"]], ["7000", "7001"]);
}

fn run_publishes_and_takes_back() {
    let host = Host::new(ZUBI);
    let _outside = Outside::new();
    host.zubi("gc").ok();
    host.zubi("run -- true").ok();
    host.settle();
    let before = Snapshot::take();
    host.zubi("run -d --name r1 -p 8080:80 -p 8080:80/udp -p 127.0.0.1::81 -- sleep 1000").ok();
    let service = Service::start("r1", 80);
    let seen = ask("outside", Transport::Tcp, "192.0.2.1:8080").expect("an answer");
    assert_eq!((seen.server.as_str(), seen.client.to_string().as_str()), ("r1", Outside::V4));
    assert_eq!(ask("outside", Transport::Udp, "192.0.2.1:8080"), Some(seen));
    assert_eq!(listed(&host, "r1").len(), 3);
    host.zubi("run -p 8080:80 -- true").fails(4, "r1 on network default");
    drop(service);
    host.zubi("sandbox rm -f r1").ok();
    host.settle();
    host.wait_for("test -z \"$(ls /run/zubi/sandboxes)\"");
    host.settle();
    assert_unserved("outside", "192.0.2.1:8080");
    before.assert_no_residue(&Snapshot::take());
    host.zubi("run -p 8080:80 -- true").ok();
}

fn sctp_is_published() {
    let test = "sctp_is_published";
    if zubi_kernel_lacks_sctp() {
        return skip(test, "this kernel has no SCTP");
    }
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24");
    host.zubi("sandbox add c1").ok();
    host.zubi("connect blue c1 -p 8080:80/sctp").ok();
    host.shell("nft list map inet zubi publish4 | grep -q 'sctp . 8080 : 10.55.66.2 . 80'").ok();
    host.zubi("check").ok();
}

/// Tries to open an SCTP socket.
fn zubi_kernel_lacks_sctp() -> bool {
    let host = Host::new(ZUBI);
    host.shell("python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132)'").code != 0
}

zubi_lab::tests!(
    published_ports_are_reached_from_everywhere,
    published_ports_are_reached_from_everywhere_when_bridges_pass_frames_to_the_firewall,
    published_ports_without_icc_are_reached_from_everywhere,
    without_icc_and_with_frames_passed_to_the_firewall_only_its_own_network_does_not_reach_a_published_port,
    a_network_of_one_family_publishes_in_that_one_only,
    a_port_is_one_element_and_so_is_a_range_that_keeps_its_numbers,
    publishing_starts_no_process_and_adds_no_rule,
    a_port_of_one_host_address_is_not_reached_by_another,
    a_service_of_the_host_on_another_port_goes_on,
    docker_s_grammar_works_on_connect,
    a_random_host_port_is_told_in_words_and_in_json,
    run_publishes_and_takes_back,
    sctp_is_published,
);
