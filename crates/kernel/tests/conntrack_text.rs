//! Tracked connections against the kernel, and the printed words against the `conntrack` tool.

mod inside;

use inside::inside;
use std::net::{IpAddr, UdpSocket};
use std::process::Command;
use zubi_kernel::Netlink;
use zubi_model::{Family, PortNumber, Protocol};
use zubi_wire::Batch;
use zubi_wire::conntrack::{Filter, Flow, Zone};

const ENOENT: i32 = 2;

fn run(command: &[&str]) {
    let done = Command::new(command[0]).args(&command[1..]).output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Rules that translate connections to port 9999 to 127.0.0.2:53, and put those to 7777 and 7778 into zones.
fn track() {
    run(&["ip", "link", "set", "lo", "up"]);
    run(&[
        "nft",
        "add table inet t; \
         add chain inet t zone { type filter hook output priority -300; }; \
         add rule inet t zone udp dport 7777 ct zone set 5; \
         add rule inet t zone udp dport 7778 ct original zone set 6; \
         add chain inet t nat { type nat hook output priority -100; }; \
         add rule inet t nat udp dport 9999 dnat ip to 127.0.0.2:53",
    ]);
}

fn send(from: &str, to: &str) {
    UdpSocket::bind(from).unwrap().send_to(b"x", to).unwrap();
}

fn flows(socket: &mut Netlink, family: Family, filter: &Filter) -> Vec<Flow> {
    socket.dump("connections", &|b| Flow::dump(b, family, filter), |m| Flow::parse(m).into_iter().collect()).unwrap()
}

fn forget(socket: &mut Netlink, flow: &Flow) -> Result<(), i32> {
    let mut batch = Batch::new();
    flow.encode_delete(&mut batch);
    socket.transact(batch).unwrap()[0].outcome.clone().unwrap().map_err(|e| e.errno)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn the_kernel_filters_as_we_do() {
    if !inside("the_kernel_filters_as_we_do", &["nft", "list", "ruleset"]) {
        return;
    }
    track();
    send("127.0.0.1:20001", "127.0.0.1:9999");
    send("127.0.0.1:20002", "127.0.0.1:9998");
    send("127.0.0.3:20003", "127.0.0.1:9998");
    send("[::1]:20004", "[::1]:9999");
    let mut socket = Netlink::netfilter().unwrap();
    let all = flows(&mut socket, Family::V4, &Filter::all());
    assert_eq!(all.len(), 3, "{all:?}");
    assert_eq!(flows(&mut socket, Family::V6, &Filter::all()).len(), 1);
    let port = |port| Filter::all().towards_port(Protocol::Udp, PortNumber(port));
    for (filter, sources) in [
        (port(9999), &[20001][..]),
        (port(9998), &[20002, 20003]),
        (Filter::all().towards_port(Protocol::Tcp, PortNumber(9999)), &[]),
        (Filter::all().answered_by(ip("127.0.0.2")), &[20001]),
        (Filter::all().begun_by(ip("127.0.0.3")), &[20003]),
        (Filter::all().towards(ip("127.0.0.1")), &[20001, 20002, 20003]),
        (port(9998).begun_by(ip("127.0.0.1")).towards(ip("127.0.0.1")).answered_by(ip("127.0.0.1")), &[20002]),
    ] {
        let mut seen: Vec<_> = flows(&mut socket, Family::V4, &filter);
        assert!(seen.iter().all(|f| filter.matches(f)), "{filter:?}: {seen:?}");
        assert_eq!(seen.len(), all.iter().filter(|f| filter.matches(f)).count(), "{filter:?}: {seen:?}");
        seen.sort_by_key(|f| f.original.source_port());
        let seen: Vec<_> = seen.iter().map(|f| f.original.source_port().unwrap().0).collect();
        assert_eq!(seen, sources, "{filter:?}");
    }
    for filter in [port(9999), port(9999).begun_by(ip("::1")), Filter::all().answered_by(ip("::1"))] {
        let seen = flows(&mut socket, Family::V6, &filter);
        assert_eq!(seen.iter().filter(|f| filter.matches(f)).count(), 1, "{filter:?}");
    }
    assert!(flows(&mut socket, Family::V6, &port(9998)).is_empty());
}

#[test]
fn only_the_very_connection_is_forgotten() {
    if !inside("only_the_very_connection_is_forgotten", &["nft", "list", "ruleset"]) {
        return;
    }
    track();
    let mut socket = Netlink::netfilter().unwrap();
    send("127.0.0.1:20001", "127.0.0.1:9999");
    send("127.0.0.1:20002", "127.0.0.1:9999");
    let led = Filter::all().answered_by(ip("127.0.0.2"));
    let old = flows(&mut socket, Family::V4, &led.clone().towards_port(Protocol::Udp, PortNumber(9999)))
        .into_iter()
        .find(|f| f.original.source_port() == Some(PortNumber(20001)))
        .unwrap();
    assert_eq!(forget(&mut socket, &old), Ok(()));
    assert_eq!(forget(&mut socket, &old), Err(ENOENT));
    send("127.0.0.1:20001", "127.0.0.1:9999");
    // The new connection may have the number of the old one by chance.
    let newer = flows(&mut socket, Family::V4, &led);
    let other = newer.iter().find(|f| f.original == old.original).map_or(0, |f| f.id.wrapping_add(1));
    assert_eq!(forget(&mut socket, &Flow { id: other, ..old }), Err(ENOENT));
    assert_eq!(flows(&mut socket, Family::V4, &led), newer);
}

#[test]
fn zones_and_pings_are_forgotten_and_nothing_else() {
    if !inside("zones_and_pings_are_forgotten_and_nothing_else", &["nft", "list", "ruleset"]) {
        return;
    }
    track();
    send("127.0.0.1:20001", "127.0.0.1:7777");
    send("127.0.0.1:20002", "127.0.0.1:7778");
    send("[::1]:20004", "[::1]:9999");
    run(&["ping", "-c1", "127.0.0.1"]);
    run(&["ping", "-c1", "::1"]);
    let mut socket = Netlink::netfilter().unwrap();
    for family in [Family::V4, Family::V6] {
        let mut left = flows(&mut socket, family, &Filter::all());
        assert!(left.len() >= 2, "{left:?}");
        assert_eq!(family == Family::V4, left.iter().any(|f| f.zone == Zone::Both(5)));
        assert_eq!(family == Family::V4, left.iter().any(|f| f.zone == Zone::Original(6)));
        while let Some(flow) = left.pop() {
            assert_eq!(forget(&mut socket, &flow), Ok(()), "{flow}");
            assert_eq!(flows(&mut socket, family, &Filter::all()), left);
        }
    }
}

#[test]
fn the_printed_words_make_conntrack_forget_the_same() {
    if !inside("the_printed_words_make_conntrack_forget_the_same", &["conntrack", "-L"]) {
        return;
    }
    track();
    send("127.0.0.1:20001", "127.0.0.1:7777");
    send("127.0.0.1:20002", "127.0.0.1:7778");
    send("127.0.0.1:20003", "127.0.0.1:9999");
    send("127.0.0.1:20003", "127.0.0.1:9998");
    send("[::1]:20004", "[::1]:9999");
    run(&["ping", "-c1", "127.0.0.1"]);
    run(&["ping", "-c1", "::1"]);
    let mut socket = Netlink::netfilter().unwrap();
    for family in [Family::V4, Family::V6] {
        let mut left = flows(&mut socket, family, &Filter::all());
        while let Some(flow) = left.pop() {
            let words = format!("conntrack -D {flow}");
            run(&words.split(' ').collect::<Vec<_>>());
            assert_eq!(flows(&mut socket, family, &Filter::all()), left, "{words}");
        }
    }
}
