//! Ports that cannot be published: refused before the first effect, with the reason.

use crate::blue::{ZUBI, publishing};
use std::fmt::Write as _;
use std::net::{TcpListener, UdpSocket};
use zubi_lab::{Host, Outside, Service, Snapshot, Transport, ask, inside, skip};

const USAGE: i32 = 2;
const NOT_FOUND: i32 = 3;
const CONFLICT: i32 = 4;
const EXHAUSTED: i32 = 5;

/// `blue` has both families; c1 publishes 8080 and 9000 to 9009, c2 and c3 nothing, and c3 is not connected.
fn blue() -> (Host, Outside) {
    let (host, outside) = publishing("8080:80 9000-9009:9000-9009 53:53/udp");
    host.zubi("sandbox add c3").ok();
    (host, outside)
}

/// Fails as expected with `connect`, `port add` and `--dry-run` alike, and changes nothing.
#[track_caller]
fn refused(host: &Host, ports: &str, code: i32, words: &str) {
    let before = Snapshot::take();
    let wishes: Vec<String> = ports.split(' ').map(|port| format!("-p {port}")).collect();
    let wishes = wishes.join(" ");
    for command in [
        format!("connect blue c3 {wishes}"),
        format!("port add blue c2 {ports}"),
        format!("--dry-run connect blue c3 {wishes}"),
        format!("run --network blue {wishes} -- true"),
    ] {
        let answer = host.zubi(&command).fails(code, words);
        assert_eq!(answer.out, "", "{command}");
        assert_eq!(before.difference(&Snapshot::take()), None, "{command} changed something");
    }
}

fn words_that_are_no_port_are_refused() {
    let (host, _outside) = blue();
    for (port, words) in [
        ("0:80", "`0`: is not a number from 1 to 65535"),
        ("80:0", "`0`"),
        ("65536:80", "`65536`"),
        ("80:65536", "`65536`"),
        ("-1:80", "-1"),
        ("90-80:90-80", "did you mean 80-90?"),
        ("8000-8009:80-88", "leads 10 ports of the host to 9 inside"),
        ("81:80-81", "leads 1 ports of the host to 2 inside"),
        ("81:80/icmp", "none of tcp, udp and sctp"),
        ("81:80/", "none of tcp, udp and sctp"),
        ("81:", "names no port inside"),
        ("host:81:80", "is not an IP address"),
        ("1.2.3:81:80", "is not an IP address"),
        ("[::1]:81:80", "publish on 127.0.0.1"),
        ("[fe80::1]:81:80", "is link-local"),
        ("224.0.0.1:81:80", "is no host's own"),
        ("255.255.255.255:81:80", "is no host's own"),
    ] {
        let before = Snapshot::take();
        for command in [
            format!("connect blue c3 --publish={port}"),
            format!("port add blue c2 -- {port}"),
            format!("port rm blue c1 -- {port}"),
            format!("run --network blue --publish={port} -- true"),
        ] {
            host.zubi(&command).fails(USAGE, words);
            before.assert_no_residue(&Snapshot::take());
        }
    }
}

fn an_address_that_is_not_this_host_s_is_refused() {
    let (host, _outside) = blue();
    refused(&host, "192.0.2.77:81:80", USAGE, "192.0.2.77`: is none of this host's");
    refused(&host, "[2001:db8::77]:81:80", USAGE, "2001:db8::77`: is none of this host's");
    refused(&host, "10.55.66.2:81:80", USAGE, "10.55.66.2`: is none of this host's");
    refused(&host, "192.0.2.77:81:80/udp", USAGE, "is none of this host's");
    refused(&host, "192.0.2.77::80", USAGE, "is none of this host's");
}

fn an_address_of_a_family_the_network_does_not_have_is_refused() {
    let (host, _outside) = blue();
    host.network("four --subnet 10.1.0.0/24");
    let before = Snapshot::take();
    for wish in ["[2001:db8::1]:81:80", "[::]:81:80"] {
        host.zubi(&format!("connect four c3 -p {wish}")).fails(USAGE, "needs IPv6, which network four does not have");
    }
    before.assert_no_residue(&Snapshot::take());
}

fn an_internal_network_publishes_nothing() {
    let (host, _outside) = blue();
    host.network("inner --subnet 10.1.0.0/24 --internal");
    host.zubi("connect inner c2").ok();
    let before = Snapshot::take();
    for command in ["connect inner c3 -p 81:80", "port add inner c2 81:80", "run --network inner -p 81:80 -- true"] {
        host.zubi(command).fails(USAGE, "network inner is internal");
        before.assert_no_residue(&Snapshot::take());
    }
}

fn without_an_endpoint_there_is_nothing_to_publish() {
    let (host, _outside) = blue();
    let before = Snapshot::take();
    for network in ["none", "host", "container:c1"] {
        host.zubi(&format!("run --network {network} -p 81:80 -- true")).fails(USAGE, "`81:80/tcp`: cannot be");
    }
    host.zubi("port add blue c3 81:80").fails(NOT_FOUND, "c3 is not on network blue");
    host.zubi("port rm blue c3 81:80").fails(NOT_FOUND, "c3 is not on network blue");
    host.zubi("port add blue nobody 81:80").fails(NOT_FOUND, "nobody");
    host.zubi("port add green c1 81:80").fails(NOT_FOUND, "green");
    host.zubi("port rm blue c1 81:80").fails(NOT_FOUND, "published are: 8080:80/tcp");
    host.zubi("port rm blue c2 81:80").fails(NOT_FOUND, "nothing is");
    host.zubi("port rm blue c1 8080:80/udp").fails(NOT_FOUND, "8080:80/udp is not published");
    host.zubi("port rm blue c1 8080:80 81:80").fails(NOT_FOUND, "81:80/tcp is not published");
    host.zubi("port rm blue c1 9001:9001").fails(NOT_FOUND, "9001:9001/tcp is not published");
    before.assert_no_residue(&Snapshot::take());
}

fn a_port_of_a_dead_endpoint_cannot_be_added() {
    let (host, _outside) = blue();
    host.zubi("sandbox add c9").ok();
    host.zubi("connect blue c9").ok();
    let device = host.zubi("--json ls").ok().json();
    let of_c9 = device.as_array().expect("a list").iter().find(|e| e["sandbox"] == "c9").expect("c9").clone();
    host.shell("ip netns del c9").ok();
    host.wait_for(&format!("! ip link show {}", of_c9["host_device"].as_str().expect("a name")));
    let before = Snapshot::take();
    host.zubi("port add blue c9 81:80")
        .fails(CONFLICT, "c9 on network blue has lost its device, or its sandbox is gone");
    before.assert_no_residue(&Snapshot::take());
}

fn a_port_of_another_endpoint_is_refused_with_its_name() {
    let (host, _outside) = blue();
    let owner = "is published by c1 on network blue";
    refused(&host, "8080:81", CONFLICT, owner);
    refused(&host, "127.0.0.1:8080:81", CONFLICT, owner);
    refused(&host, "[::]:8080:81", CONFLICT, owner);
    refused(&host, "[2001:db8::1]:8080:81", CONFLICT, owner);
    refused(&host, "9009:80", CONFLICT, "tcp port 9000-9009 is published by c1 on network blue");
    refused(&host, "9005-9014:9005-9014", CONFLICT, owner);
    refused(&host, "8995-9000:85-90", CONFLICT, owner);
    refused(&host, "8000-9999:8000-9999", CONFLICT, owner);
    refused(&host, "9000-9009:80", CONFLICT, owner);
    refused(&host, "53:54/udp", CONFLICT, "udp port 53 is published by c1 on network blue");
    // The free port comes first in the list and must not stay published.
    refused(&host, "81:81 8080:81", CONFLICT, owner);
    host.network("green --subnet 10.1.0.0/24");
    host.zubi("connect green c3 -p 8080:81").fails(CONFLICT, owner);
    host.zubi("connect green c3 -p 9010:9010 -p 8999:8999 -p 8080:80/udp -p 53:53").ok();
    host.zubi("check").ok();
}

fn ports_that_overlap_each_other_are_refused() {
    let (host, _outside) = blue();
    refused(&host, "81:80 81:82", CONFLICT, "overlaps 81:80/tcp, which it publishes too");
    refused(&host, "81:80 127.0.0.1:81:80", CONFLICT, "overlaps 81:80/tcp");
    refused(&host, "100-109:100-109 109-110:9-10", CONFLICT, "overlaps 100-109:100-109/tcp");
    host.zubi("port add blue c1 8080:81").fails(CONFLICT, "overlaps 8080:80/tcp, which it publishes too");
    host.zubi("port add blue c1 9009-9010:9009-9010").fails(CONFLICT, "overlaps 9000-9009:9000-9009/tcp");
}

fn sctp_without_the_kernel_is_refused() {
    let (host, _outside) = blue();
    let probe = "python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_STREAM, 132)'";
    if host.shell(probe).code == 0 {
        return skip("sctp_without_the_kernel_is_refused", "this kernel has SCTP");
    }
    refused(&host, "81:80/sctp", USAGE, "81:80/sctp`: cannot be published: this kernel has no sctp");
    refused(&host, "80/sctp", USAGE, "this kernel has no sctp");
}

/// Name and number of the process that holds the sockets: this test.
fn this_process() -> String {
    let name = std::fs::read_to_string("/proc/self/comm").expect("name");
    format!("{} (pid {})", name.trim(), std::process::id())
}

fn a_port_of_a_process_is_refused_with_its_name() {
    let (host, _outside) = blue();
    let process = this_process();
    for address in ["0.0.0.0", "127.0.0.1", "192.0.2.1", "[::]", "[2001:db8::1]"] {
        let at = format!("{address}:7777");
        let tcp = inside("host", || TcpListener::bind(&at).expect("bind"));
        refused(&host, "7777:80", CONFLICT, &format!("tcp port 7777 is used by process {process}"));
        refused(&host, "7770-7779:70-79", CONFLICT, &format!("tcp port 7777 is used by process {process}"));
        host.zubi("--dry-run connect blue c3 -p 7777:80/udp").ok();
        drop(tcp);
        let _udp = inside("host", || UdpSocket::bind(&at).expect("bind"));
        refused(&host, "7777:80/udp", CONFLICT, &format!("udp port 7777 is used by process {process}"));
        host.zubi("--dry-run connect blue c3 -p 7777:80").ok();
    }
    let _lo = inside("host", || TcpListener::bind("127.0.0.1:7777").expect("bind"));
    // Another host address is no conflict, as with sockets.
    host.zubi("connect blue c3 -p 192.0.2.1:7777:80").ok();
    host.zubi("check").ok();
}

fn a_process_that_takes_every_address_of_both_families_is_named_for_each() {
    let (host, _outside) = blue();
    let process = this_process();
    let _both = inside("host", || TcpListener::bind("[::]:7777").expect("bind"));
    for port in ["127.0.0.1:7777:80", "192.0.2.1:7777:80", "[2001:db8::1]:7777:80", "0.0.0.0:7777:80"] {
        refused(&host, port, CONFLICT, &format!("tcp port 7777 is used by process {process}"));
    }
}

fn one_free_port_of_a_range_passes_over_those_that_are_taken() {
    let (host, _outside) = blue();
    let _process = inside("host", || TcpListener::bind("127.0.0.1:8081").expect("bind"));
    host.zubi("connect blue c3 -p 8080-8089:80").ok();
    let listed = host.zubi("--json port ls c3").ok().json();
    assert_eq!(listed[0]["host_ports"], "8082");
    let taken = [8080, 8083].map(|port| inside("host", || TcpListener::bind(("0.0.0.0", port))).is_ok());
    assert_eq!(taken, [true, true], "nothing holds the ports themselves");
    host.zubi("port add blue c2 8080-8082:80").fails(CONFLICT, "8080-8082:80/tcp");
}

fn a_process_that_binds_a_published_port_later_is_shown() {
    let (host, _outside) = blue();
    let _service = Service::start("c1", 80);
    let process = this_process();
    host.zubi("check").ok();
    let bind = |at: &str| {
        let socket = inside("host", || TcpListener::bind(at).expect("bind"));
        let told = host.zubi("check").fails(1, "").out;
        assert!(told.contains("8080:80/tcp") && told.contains(&process) && told.contains("c1"), "{told}");
        assert!(told.contains("zubi port rm blue c1 8080:80/tcp"), "{told}");
        let json = host.zubi("--json check").fails(1, "").json();
        assert_eq!(json["problems"].as_array().expect("a list").len(), 1, "{json}");
        assert_eq!(json["problems"][0]["kind"], "port-shadowed");
        drop(socket);
        host.zubi("check").ok();
    };
    for at in ["0.0.0.0:8080", "127.0.0.1:8080", "[::]:8080", "[2001:db8::1]:8080"] {
        bind(at);
    }
    let udp = inside("host", || UdpSocket::bind("0.0.0.0:53").expect("bind"));
    let told = host.zubi("check").fails(1, "").out;
    assert!(told.contains("53:53/udp") && told.contains(&process), "{told}");
    drop(udp);
    let _range = inside("host", || TcpListener::bind("0.0.0.0:9005").expect("bind"));
    let told = host.zubi("check").fails(1, "").out;
    assert!(told.contains("9000-9009:9000-9009/tcp") && told.contains("9005"), "{told}");
    // Nothing to repair, and nothing in the way.
    host.zubi("repair").ok();
    host.zubi("connect blue c3 -p 81:80").ok();
    assert_eq!(ask("host", Transport::Tcp, "127.0.0.1:8080").expect("an answer").server, "c1");
}

fn another_port_of_a_process_is_no_problem() {
    let (host, _outside) = blue();
    let _elsewhere = [
        inside("host", || TcpListener::bind("0.0.0.0:8081").expect("bind")),
        inside("host", || TcpListener::bind("0.0.0.0:53").expect("bind")),
        inside("c2", || TcpListener::bind("0.0.0.0:8080").expect("bind")),
    ];
    host.zubi("check").ok();
}

fn the_bridge_s_thousand_and_first_endpoint_is_refused_before_anything_is_made() {
    let host = Host::new(ZUBI);
    host.network("big --subnet 10.55.0.0/20");
    host.zubi("sandbox add last").ok();
    host.container("first", "big");
    // The limit counts folders of sandboxes, then claimed MACs: these fake endpoints that the test need not make.
    let copies = "cd /run/zubi; first=macs/big/$(ls macs/big); for n in $(seq 998); do \
                  cp -P $first macs/big/$(printf 02:99:00:00:%02x:%02x $((n / 256)) $((n % 256))); \
                  mkdir endpoints/$((9000000 + n)); done; test $(ls macs/big | wc -l) = 999";
    host.shell(copies).ok();
    host.zubi("sandbox add more").ok();
    host.zubi("connect big more").ok();
    let before = Snapshot::take();
    host.zubi("connect big last -p 8080:80").fails(EXHAUSTED, "bridge zb-big is full");
    host.zubi("connect big last").fails(EXHAUSTED, "at most 1000 ports (net.core.netdev_max_backlog)");
    before.assert_no_residue(&Snapshot::take());
    host.zubi("disconnect big more").ok();
    host.zubi("connect big last").ok();
}

fn a_bridge_that_strangers_filled_is_told_and_nothing_stays() {
    let host = Host::new(ZUBI);
    host.network("big --subnet 10.55.0.0/20");
    host.zubi("sandbox add c1").ok();
    // The largest number of ports, with foreign devices.
    let mut batch = String::new();
    for n in 0..512 {
        writeln!(batch, "link add s{n} master zb-big type veth peer name p{n}").expect("text");
        writeln!(batch, "link set p{n} master zb-big").expect("text");
    }
    std::fs::write("/run/batch", batch).expect("batch");
    // Each pair uses two ports; the last does not fit.
    host.shell("ip -batch /run/batch").fails(1, "");
    host.shell("test $(ls /sys/class/net/zb-big/brif 2>/dev/null | wc -l) = 1023 || test $(ip -o link show master zb-big | wc -l) = 1023")
        .ok();
    host.shell("ip link del s0").ok();
    host.shell("ip link add s0 master zb-big type veth peer name p0 && ip link set p0 master zb-big").ok();
    host.shell("test $(ip -o link show master zb-big | wc -l) = 1023").ok();
    let before = Snapshot::take();
    let answer = host.zubi("connect big c1 -p 8080:80");
    assert!(answer.err.contains("zb-big") && answer.err.contains("1023"), "{}", answer.err);
    assert_eq!(answer.code, EXHAUSTED, "{}", answer.err);
    host.settle();
    before.assert_no_residue(&Snapshot::take());
    host.shell("ip link del s1").ok();
    host.zubi("connect big c1 -p 8080:80").ok();
}

zubi_lab::tests!(
    words_that_are_no_port_are_refused,
    an_address_that_is_not_this_host_s_is_refused,
    an_address_of_a_family_the_network_does_not_have_is_refused,
    an_internal_network_publishes_nothing,
    without_an_endpoint_there_is_nothing_to_publish,
    a_port_of_a_dead_endpoint_cannot_be_added,
    a_port_of_another_endpoint_is_refused_with_its_name,
    ports_that_overlap_each_other_are_refused,
    sctp_without_the_kernel_is_refused,
    a_port_of_a_process_is_refused_with_its_name,
    a_process_that_takes_every_address_of_both_families_is_named_for_each,
    one_free_port_of_a_range_passes_over_those_that_are_taken,
    a_process_that_binds_a_published_port_later_is_shown,
    another_port_of_a_process_is_no_problem,
    the_bridge_s_thousand_and_first_endpoint_is_refused_before_anything_is_made,
    a_bridge_that_strangers_filled_is_told_and_nothing_stays,
);
