//! Published ports that come and go among live connections, other endpoints and concurrent commands.

use crate::blue::{ZUBI, publishing};
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Stdio};
use std::time::Duration;
use zubi_lab::{
    Capability, Host, Outside, Service, Snapshot, Transport, ask, ask_by, assert_served, assert_unserved, inside, need,
};

const CONFLICT: i32 = 4;
const PATIENCE: Duration = Duration::from_millis(600);

fn listed(host: &Host) -> Vec<String> {
    let all = host.zubi("--json port ls").ok().json();
    let word = |p: &serde_json::Value, key: &str| p[key].as_str().expect("a word").to_owned();
    let one = |p: &serde_json::Value| ["sandbox", "host_ports", "target"].map(|key| word(p, key)).join(" ");
    all.as_array().expect("a list").iter().map(one).collect()
}

fn claims(host: &Host) -> String {
    host.shell("cat /run/zubi/ports/*/* 2>/dev/null").out
}

/// Leftovers that no command of ours may cause: files, elements, settings, connections.
fn nothing_is_left(host: &Host) {
    assert_eq!(claims(host), "");
    for map in ["publish4", "publish6", "publish_at4", "publish_at6", "ranges4", "ranges6"] {
        let listed = host.shell(&format!("nft list map inet zubi {map} 2>/dev/null")).out;
        assert!(!listed.contains("elements"), "{listed}");
    }
}

/// Both ends of a TCP connection, the server's first.
fn connection(server: &str, port: u16, client: &str, to: &str) -> (TcpStream, TcpStream) {
    let listener = inside(server, || TcpListener::bind(("::", port)).expect("listen"));
    let to: SocketAddr = to.parse().expect("address");
    let near = inside(client, || TcpStream::connect_timeout(&to, PATIENCE).expect("connect"));
    let (far, _) = listener.accept().expect("accept");
    for stream in [&near, &far] {
        stream.set_read_timeout(Some(PATIENCE)).expect("timeout");
    }
    (far, near)
}

/// Whether a byte sent on one arrives on the other.
fn passes(from: &mut TcpStream, to: &mut TcpStream) -> bool {
    from.write_all(b"x").is_ok() && to.read_exact(&mut [0]).is_ok()
}

/// A connection whose port is gone gets a reset.
fn is_reset(stream: &mut TcpStream) -> bool {
    for _ in 0..20 {
        match stream.write_all(b"x").and_then(|()| stream.read_exact(&mut [0])) {
            Err(e) if [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&e.kind()) => return true,
            _ => {}
        }
    }
    false
}

fn a_port_is_added_and_taken_back_and_other_connections_go_on() {
    let (host, _outside) = publishing("8080:80");
    let _service = Service::start("c1", 81);
    let (mut server, mut client) = connection("c1", 80, "outside", "192.0.2.1:8080");
    let (mut server6, mut client6) = connection("c1", 80, "outside", "[2001:db8::1]:8080");
    assert!(passes(&mut client, &mut server) && passes(&mut server6, &mut client6));
    assert_unserved("outside", "192.0.2.1:8081");
    host.zubi("port add blue c1 8081:81 8081:81/udp 127.0.0.1:9000-9009:9000-9009").ok();
    assert_served("outside", "192.0.2.1:8081", "c1", Outside::V4);
    assert!(passes(&mut client, &mut server) && passes(&mut server, &mut client));
    host.zubi("port rm blue c1 8081:81 81/udp").ok();
    assert_unserved("outside", "192.0.2.1:8081");
    assert!(passes(&mut client, &mut server) && passes(&mut server6, &mut client6));
    assert_eq!(listed(&host), ["c1 8080 80", "c1 9000-9009 9000-9009"]);
    host.zubi("check").ok();
    host.zubi("port rm blue c1 80 9000-9009").ok();
    assert_eq!(listed(&host), [""; 0]);
    host.zubi("check").ok();
    nothing_is_left(&host);
}

fn connections_of_a_removed_port_end_for_client_and_server() {
    let (host, _outside) = publishing("8080:80 8081:80");
    for server_first in [false, true] {
        host.zubi("port add blue c1 8080:80").ok();
        let (mut server, mut client) = connection("c1", 80, "outside", "192.0.2.1:8080");
        let (mut other, mut kept) = connection("c1", 80, "outside", "192.0.2.1:8081");
        assert!(passes(&mut client, &mut server) && passes(&mut kept, &mut other));
        host.zubi("port rm blue c1 8080:80").ok();
        let (first, second) = if server_first { (&mut server, &mut client) } else { (&mut client, &mut server) };
        assert!(!passes(first, second), "a byte got through");
        assert!(is_reset(first), "the first to send, server: {server_first}");
        assert!(!passes(second, first), "a byte came back");
        assert!(is_reset(second), "the second to send, server: {}", !server_first);
        assert!(passes(&mut kept, &mut other), "the other port goes on");
    }
}

fn connections_of_a_removed_port_end_though_the_number_inside_is_the_same() {
    let (host, _outside) = publishing("8081:8081");
    for server_first in [false, true] {
        host.zubi("port add blue c1 8080:8080").ok();
        let (mut server, mut client) = connection("c1", 8080, "outside", "192.0.2.1:8080");
        assert!(passes(&mut client, &mut server));
        host.zubi("port rm blue c1 8080:8080").ok();
        let (first, second) = if server_first { (&mut server, &mut client) } else { (&mut client, &mut server) };
        assert!(!passes(first, second), "a byte got through, server first: {server_first}");
        assert!(is_reset(first) && is_reset(second), "server first: {server_first}");
    }
}

/// A UDP client outside with a fixed port, which sends to the host.
fn client() -> UdpSocket {
    inside("outside", || UdpSocket::bind("192.0.2.2:5000").expect("bind"))
}

fn to(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn a_udp_client_from_before_reaches_a_port_once_it_is_added() {
    if !need(&[Capability::Conntrack], "a_udp_client_from_before_reaches_a_port_once_it_is_added") {
        return;
    }
    let (host, _outside) = publishing("");
    let _service = Service::start("c1", 53);
    let client = client();
    assert_eq!(ask_by(&client, to(5353)), None);
    host.shell("conntrack -L -p udp 2>/dev/null | grep -q 'dport=5353'").ok();
    host.zubi("port add blue c1 5353:53/udp").ok();
    assert_eq!(ask_by(&client, to(5353)).expect("an answer").server, "c1");
    // The element alone, added by hand, does not: the tracked flow remains.
    host.zubi("port rm blue c1 5353:53/udp").ok();
    assert_eq!(ask_by(&client, to(5353)), None);
    host.shell("nft add element inet zubi publish4 '{ udp . 5353 : 10.55.66.2 . 53 }'").ok();
    assert_eq!(ask_by(&client, to(5353)), None, "the kernel keeps to what it knew");
    // Publishing the same port with zubi finds the element and deletes the flow.
    host.zubi("port add blue c1 5353:53/udp").ok();
    assert_eq!(ask_by(&client, to(5353)).expect("an answer").server, "c1");
}

fn a_udp_client_from_before_reaches_an_endpoint_once_it_is_connected() {
    let (host, _outside) = publishing("");
    host.zubi("disconnect blue c1").ok();
    let _service = Service::start("c1", 5353);
    let client = client();
    assert_eq!(ask_by(&client, to(5353)), None);
    host.zubi("connect blue c1 -p 192.0.2.1:5350-5359:5350-5359/udp").ok();
    assert_eq!(ask_by(&client, to(5353)).expect("an answer").server, "c1");
}

fn a_udp_client_reaches_whoever_has_the_port_now() {
    let (host, _outside) = publishing("");
    let _services = [Service::start("c1", 53), Service::start("c2", 53)];
    let client = client();
    for _ in 0..2 {
        host.zubi("port add blue c1 5353:53/udp").ok();
        assert_eq!(ask_by(&client, to(5353)).expect("an answer").server, "c1");
        host.zubi("port rm blue c1 5353:53/udp").ok();
        host.zubi("port add blue c2 5353:53/udp").ok();
        assert_eq!(ask_by(&client, to(5353)).expect("an answer").server, "c2");
        host.zubi("disconnect blue c2").ok();
        assert_eq!(ask_by(&client, to(5353)), None);
        host.zubi("connect blue c2").ok();
    }
}

fn a_udp_client_reaches_the_host_s_own_service_once_the_port_is_removed() {
    let (host, _outside) = publishing("5353:53/udp");
    let _service = Service::start("c1", 53);
    let client = client();
    assert_eq!(ask_by(&client, to(5353)).expect("an answer").server, "c1");
    host.zubi("port rm blue c1 5353:53/udp").ok();
    let _own = Service::start("host", 5353);
    assert_eq!(ask_by(&client, to(5353)).expect("an answer").server, "host");
}

fn flows_of_other_ports_and_machines_are_left_alone() {
    if !need(&[Capability::Conntrack], "flows_of_other_ports_and_machines_are_left_alone") {
        return;
    }
    let (host, _outside) = publishing("5300:53/udp");
    let _services = [Service::start("c1", 53), Service::start("outside", 5353), Service::start("host", 5354)];
    // The same port number on another machine, from the host and from a container; other ports of the host.
    let of_host = inside("host", || UdpSocket::bind("0.0.0.0:6000").expect("bind"));
    let of_c2 = inside("c2", || UdpSocket::bind("0.0.0.0:6001").expect("bind"));
    let of_outside = inside("outside", || UdpSocket::bind("0.0.0.0:6002").expect("bind"));
    let elsewhere: SocketAddr = "192.0.2.2:5353".parse().expect("address");
    assert_eq!(ask_by(&of_host, elsewhere).expect("an answer").server, "outside");
    assert_eq!(ask_by(&of_c2, elsewhere).expect("an answer").server, "outside");
    assert_eq!(ask_by(&of_outside, to(5354)).expect("an answer").server, "host");
    assert_eq!(ask_by(&of_outside, to(5300)).expect("an answer").server, "c1");
    let (mut server, mut kept) = connection("c1", 7000, "c2", "10.55.66.2:7000");
    let flows = |host: &Host| {
        let listed = host.shell("conntrack -L -o id 2>/dev/null | grep -o 'id=.*' | sort").ok().out;
        listed.lines().map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let before = flows(&host);
    assert!(before.len() >= 4, "{before:?}");
    host.zubi("port add blue c1 5353:53/udp 5310-5319:5310-5319/udp 192.0.2.1:5320:53/udp").ok();
    assert_eq!(flows(&host), before);
    host.zubi("port rm blue c1 5353:53/udp 5310-5319:5310-5319/udp 192.0.2.1:5320:53/udp").ok();
    assert_eq!(flows(&host), before);
    assert!(passes(&mut kept, &mut server));
    host.zubi("port rm blue c1 5300:53/udp").ok();
    assert_eq!(flows(&host).len(), before.len() - 1);
}

/// c1 has a TCP connection from its neighbour and a UDP flow by its port, and is disconnected; the detached child that
/// deletes the connections waits for the returned lock.
fn disconnected_with_connections() -> (Host, Outside, UdpSocket, File) {
    let (host, outside) = publishing("8080:80 8080:80/udp");
    let service = Service::start("c1", 80);
    let client = client();
    assert_eq!(ask_by(&client, to(8080)).expect("an answer").server, "c1");
    let (mut server, mut near) = connection("c1", 79, "c2", "10.55.66.2:79");
    assert!(passes(&mut near, &mut server));
    host.settle();
    // Waits until the children of earlier commands have ended.
    host.wait_for("! pgrep -r D,R,S -x zubi");
    let lock = File::open("/run/zubi").expect("lock");
    lock.lock().expect("lock");
    host.zubi("disconnect blue c1").ok();
    drop(service);
    assert!(tracked(&host), "what nobody has forgotten yet is there");
    (host, outside, client, lock)
}

/// Whether the kernel tracks connections of c1's former address.
fn tracked(host: &Host) -> bool {
    host.shell("conntrack -L 2>/dev/null | grep -v dst=10.55.66.1 | grep -q 10.55.66.2").code == 0
}

/// Another sandbox gets the address and ports of the disconnected one, but none of its connections.
fn inherits_nothing(host: &Host, client: &UdpSocket) {
    host.zubi("sandbox add c9").ok();
    host.zubi("connect blue c9 --ip 10.55.66.2 -p 8080:80 -p 8080:80/udp").ok();
    assert!(!tracked(host));
    let _service = Service::start("c9", 80);
    assert_eq!(ask_by(client, to(8080)).expect("an answer").server, "c9");
    assert_eq!(ask("outside", Transport::Tcp, "192.0.2.1:8080").expect("an answer").server, "c9");
}

fn nothing_is_stale(host: &Host) {
    host.settle();
    host.wait_for("test -z \"$(find /run/zubi/stale -type f)\"");
    host.zubi("check").ok();
}

fn an_address_given_again_at_once_inherits_no_connections() {
    if !need(&[Capability::Conntrack], "an_address_given_again_at_once_inherits_no_connections") {
        return;
    }
    let (host, _outside, client, lock) = disconnected_with_connections();
    inherits_nothing(&host, &client);
    // The child runs late and must not delete the new endpoint's connections.
    let (mut server, mut near) = connection("c9", 79, "c2", "10.55.66.2:79");
    drop(lock);
    nothing_is_stale(&host);
    assert!(tracked(&host) && passes(&mut near, &mut server));
}

fn an_address_given_again_after_the_child_was_killed_inherits_no_connections() {
    if !need(&[Capability::Conntrack], "an_address_given_again_after_the_child_was_killed_inherits_no_connections") {
        return;
    }
    let (host, _outside, client, lock) = disconnected_with_connections();
    let all = std::fs::read_dir("/proc").expect("/proc").flatten();
    let is_zubi = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|c| c.trim() == "zubi");
    let waiting = |pid: &u32| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|c| !c.is_empty());
    let children: Vec<u32> = all.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
    let children: Vec<u32> = children.into_iter().filter(|pid| is_zubi(pid) && waiting(pid)).collect();
    assert_eq!(children.len(), 1, "the detached child");
    host.shell(&format!("kill -9 {}", children[0])).ok();
    drop(lock);
    assert!(tracked(&host));
    inherits_nothing(&host, &client);
    nothing_is_stale(&host);
}

fn connections_of_a_free_address_are_forgotten_by_the_child() {
    if !need(&[Capability::Conntrack], "connections_of_a_free_address_are_forgotten_by_the_child") {
        return;
    }
    let (host, _outside, client, lock) = disconnected_with_connections();
    drop(lock);
    nothing_is_stale(&host);
    assert!(!tracked(&host));
    inherits_nothing(&host, &client);
}

fn connections_of_a_free_address_are_forgotten_by_gc_when_the_child_was_killed() {
    if !need(&[Capability::Conntrack], "connections_of_a_free_address_are_forgotten_by_gc_when_the_child_was_killed") {
        return;
    }
    let (host, _outside, _client, lock) = disconnected_with_connections();
    drop(lock);
    host.zubi("gc").ok();
    assert!(!tracked(&host));
    nothing_is_stale(&host);
}

fn connecting_again_with_the_same_ports_changes_nothing_and_with_others_is_refused() {
    let (host, _outside) = publishing("8080:80 7000-7002 127.0.0.1:9000-9001:9000-9001");
    let before = Snapshot::take();
    let same = "-p 8080:80 -p 7000-7002 -p 127.0.0.1:9000-9001:9000-9001";
    for words in ["", same, "-p 127.0.0.1:9000-9001:9000-9001 -p 8080:80 -p 7000-7002"] {
        let answer = host.zubi(&format!("connect blue c1 {words}")).ok();
        assert!(answer.out.contains("was connected already"), "{}", answer.out);
    }
    for words in [
        "-p 8080:80",
        "-p 8081:80",
        "-p 8080:80/udp",
        "-p 7000-7003 -p 8080:80 -p 127.0.0.1:9000-9001:9000-9001",
        "-p 8080:80 -p 7000-7002 -p 9000-9001:9000-9001",
    ] {
        let answer =
            host.zubi(&format!("connect blue c1 {words}")).fails(CONFLICT, "with another set of published ports");
        assert!(answer.err.contains("8080:80/tcp") && answer.err.contains("127.0.0.1:9000-9001:9000-9001/tcp"));
    }
    before.assert_no_residue(&Snapshot::take());
}

fn a_range_on_any_host_ports_that_is_published_in_part_is_completed() {
    let (host, _outside) = publishing("8000:71");
    host.zubi("port add blue c1 70-72").ok();
    let listed = listed(&host);
    assert_eq!(listed.len(), 3, "{listed:?}");
    for port in ["70", "71", "72"] {
        assert_eq!(listed.iter().filter(|l| l.ends_with(&format!(" {port}"))).count(), 1, "{listed:?}");
    }
    host.zubi("check").ok();
}

fn one_port_inside_does_not_take_back_the_range_it_is_in() {
    let (host, _outside) = publishing("7000-7009:70-79");
    host.zubi("port rm blue c1 71").fails(3, "published are: 7000-7009:70-79/tcp");
    assert_eq!(listed(&host), ["c1 7000-7009 70-79"]);
    host.zubi("port rm blue c1 70-79").ok();
    nothing_is_left(&host);
}

fn a_container_that_is_started_again_gets_its_ports_again() {
    let (host, _outside) = publishing("8080:80 9000-9009:9000-9009 53:53/udp");
    for _ in 0..3 {
        host.shell("ip netns del c1").ok();
        host.shell("ip netns add c1").ok();
        host.zubi("connect blue c1 -p 8080:80 -p 9000-9009:9000-9009 -p 53:53/udp").ok();
        let _service = Service::start("c1", 80);
        assert_eq!(ask("outside", Transport::Tcp, "192.0.2.1:8080").expect("an answer").server, "c1");
    }
    host.settle();
    // zubi made the first sandbox, and its record is another difference.
    host.zubi("gc").ok();
    host.zubi("check").ok();
    host.zubi("disconnect blue c1").ok();
    nothing_is_left(&host);
}

fn a_disconnected_endpoint_s_port_is_free_at_once() {
    let (host, _outside) = publishing("8080:80 9000-9009:9000-9009");
    let _services = [Service::start("c1", 80), Service::start("c2", 80)];
    host.zubi("port add blue c2 8080:80").fails(CONFLICT, "is published by c1 on network blue");
    host.zubi("disconnect blue c1").ok();
    host.zubi("port add blue c2 8080:80 9005:80").ok();
    assert_eq!(ask("outside", Transport::Tcp, "192.0.2.1:8080").expect("an answer").server, "c2");
    host.zubi("connect blue c1").ok();
    host.zubi("port rm blue c2 8080:80 9005:80").ok();
    host.zubi("port add blue c1 8080:80").ok();
    assert_eq!(ask("outside", Transport::Tcp, "192.0.2.1:8080").expect("an answer").server, "c1");
}

/// Deletes the namespace of c1 and waits until its devices are gone.
fn c1_dies(host: &Host) {
    let all = host.zubi("--json ls").ok().json();
    let of_c1 = all.as_array().expect("a list").iter().find(|e| e["sandbox"] == "c1").expect("c1").clone();
    host.shell("ip netns del c1").ok();
    host.wait_for(&format!("! ip link show {}", of_c1["host_device"].as_str().expect("a name")));
}

fn ports_of_the_dead_are_taken_over() {
    let (host, _outside) = publishing("8080:80 8080:80/udp 9000-9009:9000-9009");
    let _service = Service::start("c2", 80);
    c1_dies(&host);
    host.zubi("check").fails(1, "");
    let before = Snapshot::take();
    host.zubi("--dry-run port add blue c2 8080:80").ok();
    before.assert_no_residue(&Snapshot::take());
    host.zubi("port add blue c2 8080:80 8080:80/udp 9003:80").ok();
    assert_served("outside", "192.0.2.1:8080", "c2", Outside::V4);
    assert_eq!(listed(&host), ["c2 8080 80", "c2 8080 80", "c2 9003 80"]);
    host.settle();
    // Only the record of c1's name is left.
    assert_eq!(host.zubi("gc").ok().out, "sandbox c1 (its name is gone)\n");
    host.zubi("check").ok();
}

/// The command that removes the dead endpoint already holds the lock of the ports.
fn the_address_of_a_dead_publisher_is_given_with_other_ports() {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/29");
    let publish = |name: &str, words: &str| {
        host.shell(&format!("ip netns add {name}")).ok();
        host.shell(&format!("timeout 20 {ZUBI} connect blue {name} {words}")).ok();
    };
    publish("c1", "--ip 10.55.66.3 --mac 02:11:22:33:44:55 -p 8080:80");
    for n in [2, 4, 5, 6] {
        publish(&format!("n{n}"), &format!("--ip 10.55.66.{n} -p {}:80", 8000 + n));
    }
    let die = |name: &str| {
        host.shell(&format!("ip netns del {name}")).ok();
    };
    die("c1");
    host.wait_for("test $(ip -o link show group 2054513257 | grep -c zv) = 4");
    publish("c2", "--ip 10.55.66.3 -p 9090:80");
    // Every address is leased, one of them to an endpoint whose sandbox is gone.
    die("n5");
    host.wait_for("test $(ip -o link show group 2054513257 | grep -c zv) = 4");
    publish("c3", "-p 9091:80");
    die("c2");
    host.wait_for("test $(ip -o link show group 2054513257 | grep -c zv) = 4");
    publish("c4", "--mac 02:11:22:33:44:55 -p 9092:80");
    host.zubi("check").ok();
}

fn gc_frees_the_ports_of_the_dead() {
    let (host, _outside) = publishing("8080:80 8080:80/udp 127.0.0.1:81:80 9000-9009:9000-9009 7000-7009:70-79");
    c1_dies(&host);
    assert!(claims(&host).contains("9000-9009"));
    host.zubi("gc").ok();
    nothing_is_left(&host);
    host.zubi("check").ok();
    // Processes of the host may use them again, and so may other endpoints.
    drop(inside("host", || TcpListener::bind("0.0.0.0:8080").expect("bind")));
    host.zubi("port add blue c2 8080:80 9000-9009:9000-9009").ok();
}

/// A foreign element of a map, and the words by which it is found.
const STRAYS: [(&str, &str); 6] = [
    ("publish4", "tcp . 8080 : 10.55.66.99 . 80"),
    ("publish6", "udp . 8080 : fd00:55::99 . 80"),
    ("publish_at4", "192.0.2.1 . tcp . 8080 : 10.55.66.99 . 80"),
    ("publish_at6", "2001:db8::1 . tcp . 8080 : fd00:55::99 . 80"),
    ("ranges4", "0.0.0.0/0 . tcp . 9000-9009 : 10.55.66.99"),
    ("ranges6", "2001:db8::1 . udp . 9000-9009 : fd00:55::99"),
];

fn stray_elements_of_the_maps_are_found_and_removed() {
    let (host, _outside) = publishing("8081:80 192.0.2.1:8082:80 9100-9109:9100-9109");
    for (map, element) in STRAYS {
        host.shell(&format!("nft add element inet zubi {map} '{{ {element} }}'")).ok();
        let told = host.zubi("check").fails(1, "").out;
        assert!(told.contains(map), "{map} is not in {told}");
        host.zubi("gc").ok();
        host.zubi("check").ok();
        host.shell(&format!("nft list map inet zubi {map} | grep -q 99")).fails(1, "");
    }
    assert_eq!(listed(&host).len(), 3);
}

fn a_stray_element_does_not_lead_a_new_port_astray() {
    let (host, _outside) = publishing("");
    for (map, element) in [STRAYS[0], STRAYS[2], STRAYS[4]] {
        host.shell(&format!("nft add element inet zubi {map} '{{ {element} }}'")).ok();
    }
    let _services = [Service::start("c1", 80), Service::start("c1", 9005)];
    host.zubi("port add blue c1 192.0.2.1:8080:80 9000-9009:9000-9009").ok();
    assert_eq!(ask("outside", Transport::Tcp, "192.0.2.1:8080").expect("an answer").server, "c1");
    assert_eq!(ask("outside", Transport::Tcp, "192.0.2.1:9005").expect("an answer").server, "c1");
    host.zubi("disconnect blue c1").ok();
    host.zubi("connect blue c1 -p 0.0.0.0:8080:80").ok();
    assert_eq!(ask("outside", Transport::Tcp, "192.0.2.1:8080").expect("an answer").server, "c1");
    host.zubi("check").ok();
}

fn a_stray_range_that_overlaps_is_told_and_gc_helps() {
    let (host, _outside) = publishing("");
    host.shell("nft add element inet zubi ranges4 '{ 0.0.0.0/0 . tcp . 9005-9014 : 10.55.66.99 }'").ok();
    let before = Snapshot::take();
    host.zubi("port add blue c1 9000-9009:9000-9009").fails(7, "zubi gc removes that");
    before.assert_no_residue(&Snapshot::take());
    host.zubi("gc").ok();
    host.zubi("port add blue c1 9000-9009:9000-9009").ok();
    host.zubi("check").ok();
}

fn start(host: &Host, words: &str) -> Child {
    host.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("zubi")
}

fn of_two_that_add_a_port_at_once_one_gets_it() {
    let (host, _outside) = publishing("");
    for _ in 0..20 {
        let both = ["c1", "c2"].map(|name| start(&host, &format!("port add blue {name} 8080:80")));
        let codes: Vec<i32> =
            both.map(|child| child.wait_with_output().expect("zubi").status.code().expect("code")).into();
        assert!(codes == [0, CONFLICT] || codes == [CONFLICT, 0], "{codes:?}");
        let winner = if codes[0] == 0 { "c1" } else { "c2" };
        assert_eq!(listed(&host), [format!("{winner} 8080 80")]);
        host.zubi(&format!("port rm blue {winner} 8080:80")).ok();
    }
    host.zubi("check").ok();
    nothing_is_left(&host);
}

fn a_range_and_a_port_of_it_at_once_are_one_s_only() {
    let (host, _outside) = publishing("");
    for _ in 0..20 {
        let both = [("c1", "9000-9299:9000-9299"), ("c2", "9256:80")];
        let running = both.map(|(name, port)| start(&host, &format!("port add blue {name} {port}")));
        let codes: Vec<i32> =
            running.map(|child| child.wait_with_output().expect("zubi").status.code().expect("code")).into();
        assert!(codes == [0, CONFLICT] || codes == [CONFLICT, 0], "{codes:?}");
        let (winner, port) = both[usize::from(codes[0] != 0)];
        host.zubi(&format!("port rm blue {winner} {port}")).ok();
    }
    host.zubi("check").ok();
    nothing_is_left(&host);
}

fn nothing_stays_when_everything_is_removed() {
    if !need(&[Capability::Conntrack], "nothing_stays_when_everything_is_removed") {
        return;
    }
    let host = Host::new(ZUBI);
    let _outside = Outside::new();
    host.zubi("gc").ok();
    host.network("first --subnet 10.1.0.0/24");
    host.zubi("network rm first").ok();
    let before = Snapshot::take();
    host.network("blue --subnet 10.55.66.0/24 --subnet fd00:55::/64");
    host.network("green --subnet 10.77.88.0/24");
    let ports =
        "-p 8080:80 -p 8080:80/udp -p 127.0.0.1::81 -p 9000-9299:9000-9299/udp -p [2001:db8::1]:7000-7009:70-79";
    host.zubi("sandbox add c1").ok();
    host.zubi(&format!("connect blue c1 {ports}")).ok();
    host.zubi("connect green c1 -p 82").ok();
    let service = Service::start("c1", 80);
    assert_eq!(ask("host", Transport::Tcp, "127.0.0.1:8080").expect("an answer").server, "c1");
    assert_eq!(ask("outside", Transport::Udp, "192.0.2.1:8080").expect("an answer").server, "c1");
    drop(service);
    host.shell("test $(sysctl -n net.ipv4.conf.zb-blue.route_localnet) = 1").ok();
    host.zubi("network rm blue").fails(CONFLICT, "c1");
    host.zubi("sandbox rm c1").ok();
    host.zubi("network rm blue green").ok();
    host.settle();
    let tracked = host.shell("conntrack -L 2>/dev/null | grep 10.55.66.2").out;
    assert_eq!(tracked, "");
    before.assert_no_residue(&Snapshot::take());
    assert_eq!(host.shell("find /run/zubi/ports /run/zubi/stale -type f").out, "");
    host.shell("! sysctl -a 2>/dev/null | grep 'route_localnet = 1'").ok();
    // A new network of that name starts without the settings that only the ports needed.
    host.network("blue --subnet 10.55.66.0/24");
    host.shell("test $(sysctl -n net.ipv4.conf.zb-blue.route_localnet) = 0").ok();
}

fn a_bridge_and_a_device_that_were_deleted_come_back_with_their_ports() {
    let (host, _outside) = publishing("8080:80 9000-9009:9000-9009");
    let _service = Service::start("c1", 80);
    let all = host.zubi("--json ls").ok().json();
    let of_c1 = all.as_array().expect("a list").iter().find(|e| e["sandbox"] == "c1").expect("c1").clone();
    host.zubi("disconnect blue c2").ok();
    host.shell(&format!("ip link del zb-blue; ip link del {}", of_c1["host_device"].as_str().expect("a name"))).ok();
    host.zubi("connect blue c1").ok();
    assert_eq!(ask("host", Transport::Tcp, "127.0.0.1:8080").expect("an answer").server, "c1");
    host.zubi("check").ok();
}

fn what_strangers_take_of_a_port_is_found_and_repaired() {
    let (host, _outside) = publishing("8080:80 9000-9009:9000-9009 192.0.2.1:7000:80");
    let _services = [Service::start("c1", 80), Service::start("c1", 9005)];
    let device = host.zubi("--json ls").ok().json()[0]["host_device"].as_str().expect("a name").to_owned();
    for harm in [
        "nft delete element inet zubi publish4 '{ tcp . 8080 }'".to_owned(),
        "nft delete element inet zubi publish_at4 '{ 192.0.2.1 . tcp . 7000 }'".to_owned(),
        "nft delete element inet zubi ranges4 '{ 0.0.0.0/0 . tcp . 9000-9009 }'".to_owned(),
        "nft delete element inet zubi itself4 '{ 10.55.66.2 . 10.55.66.2 }'".to_owned(),
        "nft flush map inet zubi publish6".to_owned(),
        "sysctl -qw net.ipv4.conf.zb-blue.route_localnet=0".to_owned(),
        format!("bridge link set dev {device} hairpin off"),
        "nft flush ruleset".to_owned(),
        "nft delete element inet zubi publish4 '{ tcp . 8080 }'; \
         nft add element inet zubi publish4 '{ tcp . 8080 : 10.55.66.3 . 80 }'"
            .to_owned(),
    ] {
        host.shell(&harm).ok();
        assert_eq!(host.zubi("check").code, 1, "{harm}");
        host.zubi("repair").ok();
        assert_eq!(host.zubi("check").ok().out, "everything is as recorded\n", "{harm}");
        for (from, to) in [("outside", "192.0.2.1:8080"), ("host", "127.0.0.1:8080"), ("outside", "192.0.2.1:9005")] {
            assert_eq!(ask(from, Transport::Tcp, to).expect("an answer").server, "c1", "{harm}: {from} {to}");
        }
    }
}

fn a_file_of_claims_that_makes_no_sense_is_told_and_kept() {
    let (host, _outside) = publishing("8080:80");
    let path = "/run/zubi/ports/tcp/31";
    let good = std::fs::read_to_string(path).expect("claims");
    std::fs::write(path, "nonsense\n").expect("write");
    let told = host.zubi("check").fails(1, "").out;
    assert!(told.contains(path), "{told}");
    host.zubi("port add blue c2 8081:80").fails(8, path);
    // Ports of other blocks are not affected.
    host.zubi("port add blue c2 81:80").ok();
    host.zubi("gc").ok();
    assert_eq!(std::fs::read_to_string(path).expect("claims"), "nonsense\n");
    std::fs::write(path, good).expect("write");
    host.zubi("check").ok();
}

fn a_claim_without_a_record_is_found_and_freed() {
    let (host, _outside) = publishing("8080:80");
    let path = "/run/zubi/ports/tcp/31";
    let good = std::fs::read_to_string(path).expect("claims");
    let extra = good.replace("8080 0.0.0.0", "8090 0.0.0.0");
    std::fs::write(path, format!("{good}{extra}")).expect("write");
    let told = host.zubi("check").fails(1, "").out;
    assert!(told.contains("tcp port 8090"), "{told}");
    host.zubi("gc").ok();
    host.zubi("check").ok();
    // The next command that wants the port takes it, also from a sandbox that does not exist.
    let strange = "8091 0.0.0.0 424242.blue\n";
    std::fs::write(path, format!("{good}{extra}{strange}")).expect("write");
    host.zubi("port add blue c2 8090:80 8091:80").ok();
    assert_eq!(listed(&host).len(), 3);
    host.zubi("check").ok();
}

fn an_endpoint_whose_device_is_gone_is_not_lost_when_it_cannot_be_made_again() {
    let (host, _outside) = publishing("8080:80");
    let before = host.zubi("--json ls").ok().json();
    let device = before[0]["host_device"].as_str().expect("name");
    host.shell(&format!("ip link del {device}")).ok();
    let process = inside("host", || TcpListener::bind("0.0.0.0:8080").expect("bind"));
    host.zubi("connect blue c1").fails(CONFLICT, "8080");
    assert_eq!(listed(&host), ["c1 8080 80"]);
    assert!(!claims(&host).is_empty(), "somebody else could have its port");
    drop(process);
    host.zubi("connect blue c1").ok();
    let after = host.zubi("--json ls").ok().json();
    assert_eq!(after[0]["addresses"], before[0]["addresses"]);
    assert_eq!(listed(&host), ["c1 8080 80"]);
    host.zubi("check").ok();
}

zubi_lab::tests!(
    an_endpoint_whose_device_is_gone_is_not_lost_when_it_cannot_be_made_again,
    a_port_is_added_and_taken_back_and_other_connections_go_on,
    connections_of_a_removed_port_end_for_client_and_server,
    connections_of_a_removed_port_end_though_the_number_inside_is_the_same,
    a_udp_client_from_before_reaches_a_port_once_it_is_added,
    a_udp_client_from_before_reaches_an_endpoint_once_it_is_connected,
    a_udp_client_reaches_whoever_has_the_port_now,
    flows_of_other_ports_and_machines_are_left_alone,
    a_udp_client_reaches_the_host_s_own_service_once_the_port_is_removed,
    an_address_given_again_at_once_inherits_no_connections,
    an_address_given_again_after_the_child_was_killed_inherits_no_connections,
    connections_of_a_free_address_are_forgotten_by_the_child,
    connections_of_a_free_address_are_forgotten_by_gc_when_the_child_was_killed,
    connecting_again_with_the_same_ports_changes_nothing_and_with_others_is_refused,
    a_range_on_any_host_ports_that_is_published_in_part_is_completed,
    one_port_inside_does_not_take_back_the_range_it_is_in,
    a_container_that_is_started_again_gets_its_ports_again,
    a_disconnected_endpoint_s_port_is_free_at_once,
    ports_of_the_dead_are_taken_over,
    gc_frees_the_ports_of_the_dead,
    the_address_of_a_dead_publisher_is_given_with_other_ports,
    stray_elements_of_the_maps_are_found_and_removed,
    a_stray_element_does_not_lead_a_new_port_astray,
    a_stray_range_that_overlaps_is_told_and_gc_helps,
    of_two_that_add_a_port_at_once_one_gets_it,
    a_range_and_a_port_of_it_at_once_are_one_s_only,
    nothing_stays_when_everything_is_removed,
    a_bridge_and_a_device_that_were_deleted_come_back_with_their_ports,
    what_strangers_take_of_a_port_is_found_and_repaired,
    a_file_of_claims_that_makes_no_sense_is_told_and_kept,
    a_claim_without_a_record_is_found_and_freed,
);
