//! Which place reaches which: ICMP, TCP and UDP, with real sockets in the namespaces.

use crate::host::open;
use crate::patience::patience;
use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Echo request.
    Icmp,
    /// A connection and a byte each way.
    Tcp,
    /// A datagram each way.
    Udp,
}

/// All of them.
const ALL: [Transport; 3] = [Transport::Icmp, Transport::Tcp, Transport::Udp];

/// A sender and its target: place names are `host` or those of named sandboxes.
#[derive(Debug, Clone)]
pub struct Reach<'a> {
    /// The sender.
    pub from: &'a str,
    /// The place of the listener.
    pub to: &'a str,
    /// The address that the sender uses.
    pub address: &'a str,
}

/// How long to wait for a packet that may be dropped.
pub(crate) const PATIENCE: Duration = Duration::from_millis(600);

/// How long to wait for a packet that must pass on a busy machine: below one second, when the kernel would ask for the
/// neighbour again.
const STALL: Duration = Duration::from_millis(900);

/// Runs `work` on a thread inside a place. A socket made there stays there.
pub fn inside<T: Send>(place: &str, work: impl FnOnce() -> T + Send) -> T {
    let netns = open(place);
    std::thread::scope(|scope| {
        scope
            .spawn(move || {
                netns.enter().expect("enter");
                work()
            })
            .join()
            .expect("thread inside")
    })
}

/// Whether packets pass, there and back.
pub fn reaches(reach: &Reach<'_>, transport: Transport) -> bool {
    reaches_within(reach, transport, patience(PATIENCE))
}

/// Whether packets pass, with this time limit for each step.
pub fn reaches_within(reach: &Reach<'_>, transport: Transport, longest: Duration) -> bool {
    let address: IpAddr = reach.address.parse().expect("address");
    match transport {
        Transport::Icmp => ping(reach.from, address, longest),
        Transport::Tcp => tcp(reach, address, longest).is_some(),
        Transport::Udp => udp(reach, address, longest),
    }
}

/// The source address of a connection as the listener sees it; `None` when there is no connection.
pub fn source_seen(reach: &Reach<'_>) -> Option<IpAddr> {
    tcp(reach, reach.address.parse().expect("address"), patience(PATIENCE))
}

/// Whether a datagram with this source address arrives; it gets no answer.
pub fn arrives_from(source: &str, reach: &Reach<'_>) -> bool {
    let address: IpAddr = reach.address.parse().expect("address");
    let source: IpAddr = source.parse().expect("address");
    let server = inside(reach.to, || UdpSocket::bind(any(address)).expect("bind"));
    let port = server.local_addr().expect("port").port();
    server.set_read_timeout(Some(patience(PATIENCE))).expect("timeout");
    let client = inside(reach.from, || UdpSocket::bind(SocketAddr::new(source, 0)).expect("bind to the source"));
    client.send_to(b"hello", SocketAddr::new(address, port)).is_ok() && server.recv_from(&mut [0; 8]).is_ok()
}

fn ping(from: &str, address: IpAddr, longest: Duration) -> bool {
    inside(from, || {
        let mut command = Command::new("ping");
        let longest = longest.as_secs_f32().to_string();
        command.args(["-n", "-q", "-c", "1", "-W", &longest]).arg(address.to_string());
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("ping (iputils-ping)").success()
    })
}

fn any(address: IpAddr) -> SocketAddr {
    match address {
        IpAddr::V4(_) => SocketAddr::from(([0, 0, 0, 0], 0)),
        IpAddr::V6(_) => SocketAddr::from(([0u16; 8], 0)),
    }
}

/// The client's address as the listener sees it, if a byte passed.
fn tcp(reach: &Reach<'_>, address: IpAddr, longest: Duration) -> Option<IpAddr> {
    let listener = inside(reach.to, || TcpListener::bind(any(address)).expect("listen"));
    let port = listener.local_addr().expect("port").port();
    listener.set_nonblocking(true).expect("listener");
    inside(reach.from, || {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::new(address, port), longest).ok()?;
        stream.set_read_timeout(Some(longest)).expect("timeout");
        // The connection is made; the answer must come from our listener.
        let (mut served, client) = accepted(&listener, longest)?;
        let mut byte = [0];
        let through = served.write_all(b"x").is_ok() && stream.read_exact(&mut byte).is_ok() && byte == *b"x";
        through.then(|| client.ip())
    })
}

/// The client knows of the connection before the listener does, where a program forwards the frames in between.
fn accepted(listener: &TcpListener, longest: Duration) -> Option<(TcpStream, SocketAddr)> {
    let until = Instant::now() + longest;
    loop {
        match listener.accept() {
            Err(e) if e.kind() == ErrorKind::WouldBlock && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(1));
            }
            other => return other.ok(),
        }
    }
}

fn udp(reach: &Reach<'_>, address: IpAddr, longest: Duration) -> bool {
    let server = inside(reach.to, || UdpSocket::bind(any(address)).expect("bind"));
    let port = server.local_addr().expect("port").port();
    server.set_read_timeout(Some(longest)).expect("timeout");
    let client = inside(reach.from, || UdpSocket::bind(any(address)).expect("bind"));
    client.set_read_timeout(Some(longest)).expect("timeout");
    let mut buffer = [0; 8];
    if client.send_to(b"ping", SocketAddr::new(address, port)).is_err() {
        return false;
    }
    let Ok((_, peer)) = server.recv_from(&mut buffer) else { return false };
    server.send_to(b"pong", peer).is_ok() && client.recv_from(&mut buffer).is_ok_and(|(n, _)| &buffer[..n] == b"pong")
}

/// The transports that pass, tried in parallel: each that does not pass takes the full time limit.
fn reaches_by_any(reach: &Reach<'_>) -> Vec<Transport> {
    std::thread::scope(|scope| {
        let tries = ALL.map(|transport| (transport, scope.spawn(move || reaches(reach, transport))));
        let through = tries.into_iter().filter_map(|(transport, try_)| try_.join().expect("try").then_some(transport));
        through.collect()
    })
}

/// Fails the test unless every transport passes.
#[track_caller]
pub fn assert_reaches(from: &str, to: &str, address: &str) {
    let reach = Reach { from, to, address };
    for transport in ALL {
        assert!(
            reaches_within(&reach, transport, patience(STALL)),
            "{from} does not reach {to} at {address} by {transport:?}"
        );
    }
}

/// Fails the test if any transport passes.
#[track_caller]
pub fn assert_isolated(from: &str, to: &str, address: &str) {
    let found = reaches_by_any(&Reach { from, to, address });
    assert!(found.is_empty(), "{from} reaches {to} at {address} by {found:?}");
}

/// A table of reachability, one line each: `from -> to ADDRESS: ICMP TCP UDP`, with `-` for each that does not pass.
pub fn matrix(all: &[Reach<'_>]) -> String {
    let mut text = String::new();
    for reach in all {
        let through = reaches_by_any(reach);
        let word = |t: Transport| if through.contains(&t) { format!("{t:?}").to_uppercase() } else { "-".to_owned() };
        let words: Vec<String> = ALL.into_iter().map(word).collect();
        writeln!(text, "{} -> {} {}: {}", reach.from, reach.to, reach.address, words.join(" ")).expect("text");
    }
    text
}
