//! What is forbidden does not get in while another program flushes the ruleset again and again.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};
use zubi_lab::{Host, Outside, ZubiDaemon, assert_isolated, assert_reaches, inside};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const DAEMON: &str = env!("CARGO_BIN_EXE_zubi-daemon");

/// So long an attack lasts.
const ATTACK: Duration = Duration::from_secs(4);
/// The probes of an attacker come in bursts, with a pause of a millisecond behind each: 10 000 in a second.
const BURST: u64 = 10;
/// The first attacker's; the next ones follow.
const PORT: u16 = 7007;

/// Who sends to whom, by which address.
const FORBIDDEN: [(&str, &str, &str); 5] = [
    ("outside", "c1", "10.55.66.2"),
    ("outside", "c1", "fd00:55::2"),
    ("d1", "c1", "10.55.66.2"),
    ("b1", "outside", Outside::V4),
    ("outside", "b1", "10.77.0.2"),
];

fn host() -> Host {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24 --subnet fd00:55::/64");
    host.network("dark --subnet 10.66.0.0/24");
    host.network("back --subnet 10.77.0.0/24 --internal");
    for (name, network) in [("c1", "blue"), ("d1", "dark"), ("b1", "back")] {
        host.container(name, network);
    }
    host.settle();
    // The attackers know the way.
    host.shell("ip -n outside route add 10.0.0.0/8 via 192.0.2.1").ok();
    host.shell("ip -n outside -6 route replace fd00:55::/64 via 2001:db8::1").ok();
    host.shell("ip -n b1 route add default via 10.77.0.1").ok();
    host
}

/// Counts what arrives at a port of a place until the end.
fn listen(socket: &UdpSocket, ends: &AtomicBool) -> u64 {
    let mut buffer = [0; 64];
    let mut arrived = 0;
    while !ends.load(Ordering::Relaxed) {
        arrived += u64::from(socket.recv(&mut buffer).is_ok());
    }
    arrived
}

/// Sends probes until the end; returns how many.
fn attack(socket: &UdpSocket, to: (&str, u16), ends: &AtomicBool) -> u64 {
    let mut sent = 0;
    while !ends.load(Ordering::Relaxed) {
        // The kernel may say that nothing is there.
        sent += (0..BURST).filter(|_| socket.send_to(b"probe", to).is_ok()).count() as u64;
        sleep(Duration::from_millis(1));
    }
    sent
}

fn socket(place: &str, port: u16) -> UdpSocket {
    let socket = inside(place, || UdpSocket::bind(("::", port)).expect("a port"));
    socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
    socket
}

/// What arrives of the probes of each attacker while `work` is done again and again.
fn arriving(mut work: impl FnMut()) -> [u64; FORBIDDEN.len()] {
    let ends = AtomicBool::new(false);
    // Each has a port of its own: several send to the same place.
    let ports = PORT..;
    std::thread::scope(|scope| {
        let all = FORBIDDEN.iter().zip(ports).map(|((from, to, address), port)| {
            let (sender, listener, ends) = (socket(from, 0), socket(to, port), &ends);
            // Sockets of IPv6 send to IPv4 addresses in this form.
            let address = if address.contains(':') { (*address).to_owned() } else { format!("::ffff:{address}") };
            let attacker = scope.spawn(move || attack(&sender, (&address, port), ends));
            (attacker, scope.spawn(move || listen(&listener, ends)))
        });
        let all: Vec<_> = all.collect();
        let since = Instant::now();
        while since.elapsed() < ATTACK {
            work();
        }
        ends.store(true, Ordering::Relaxed);
        let mut arrived = [0; FORBIDDEN.len()];
        for (arrived, (attacker, listener)) in arrived.iter_mut().zip(all) {
            let sent = attacker.join().expect("an attacker");
            assert!(sent > 1000, "{sent} probes are no flood");
            *arrived = listener.join().expect("a listener");
        }
        arrived
    })
}

fn flush(host: &Host) {
    host.shell("nft flush ruleset").ok();
    sleep(Duration::from_millis(5));
}

fn assert_order(host: &Host) {
    host.wait_for(&format!("{ZUBI} check"));
    assert_reaches("c1", "outside", Outside::V4);
    for (from, to, address) in FORBIDDEN {
        assert_isolated(from, to, address);
    }
}

fn no_probe_gets_through_while_the_ruleset_is_flushed_again_and_again() {
    let _outside = Outside::new();
    let host = host();
    let daemon = ZubiDaemon::start(&host, DAEMON);
    assert_eq!(arriving(|| flush(&host)), [0; FORBIDDEN.len()]);
    assert_order(&host);
    // Without the filters of the bridges these probes do get through. The daemon would put them back.
    assert_eq!(daemon.end(&host), Some(0));
    host.shell("for bridge in zb-blue zb-dark zb-back; do tc qdisc del dev $bridge clsact; done").ok();
    let arrived = arriving(|| flush(&host));
    assert!(arrived.iter().all(|count| *count > 0), "{arrived:?}");
}

fn no_probe_gets_through_when_the_daemon_is_killed_meanwhile() {
    let _outside = Outside::new();
    let host = host();
    let mut daemon = Some(ZubiDaemon::start(&host, DAEMON));
    let arrived = arriving(|| {
        flush(&host);
        // A value that is dropped kills its daemon.
        drop(daemon.take());
        flush(&host);
        daemon = Some(ZubiDaemon::spawn(&host, DAEMON));
        sleep(Duration::from_millis(100));
    });
    assert_eq!(arrived, [0; FORBIDDEN.len()]);
    assert_order(&host);
}

zubi_lab::tests!(
    no_probe_gets_through_while_the_ruleset_is_flushed_again_and_again,
    no_probe_gets_through_when_the_daemon_is_killed_meanwhile
);
