//! Who reaches whom: ICMP, TCP and UDP, with real sockets in the namespaces.

use crate::host::open;
use crate::patience::patience;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

/// By what.
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

/// A sender and where it tries to get: place names are `host` or those of named sandboxes.
#[derive(Debug, Clone)]
pub struct Reach<'a> {
    /// Who tries.
    pub from: &'a str,
    /// Where the listener stands.
    pub to: &'a str,
    /// Under which address.
    pub address: &'a str,
}

/// Lost packets are answered by silence.
pub(crate) const PATIENCE: Duration = Duration::from_millis(600);

/// What must get through may wait for a busy machine, but not for a second question for the neighbour: that comes after
/// one second.
const STALL: Duration = Duration::from_millis(900);

/// Does `work` on a thread inside a place. A socket made there stays there.
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

/// Whether it gets through, there and back.
pub fn reaches(reach: &Reach<'_>, transport: Transport) -> bool {
    reaches_within(reach, transport, patience(PATIENCE))
}

/// Whether it gets through, with so much time for each step.
pub fn reaches_within(reach: &Reach<'_>, transport: Transport, longest: Duration) -> bool {
    let address: IpAddr = reach.address.parse().expect("address");
    match transport {
        Transport::Icmp => ping(reach.from, address, longest),
        Transport::Tcp => tcp(reach, address, longest).is_some(),
        Transport::Udp => udp(reach, address, longest),
    }
}

/// The source address that the listener sees of a connection, if there is one.
pub fn source_seen(reach: &Reach<'_>) -> Option<IpAddr> {
    tcp(reach, reach.address.parse().expect("address"), patience(PATIENCE))
}

/// Whether a datagram that is sent from this source address arrives; nobody answers it.
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

/// The client's address as the listener sees it, when a byte got through.
fn tcp(reach: &Reach<'_>, address: IpAddr, longest: Duration) -> Option<IpAddr> {
    let listener = inside(reach.to, || TcpListener::bind(any(address)).expect("listen"));
    let port = listener.local_addr().expect("port").port();
    listener.set_nonblocking(true).expect("listener");
    inside(reach.from, || {
        let mut stream = TcpStream::connect_timeout(&SocketAddr::new(address, port), longest).ok()?;
        stream.set_read_timeout(Some(longest)).expect("timeout");
        // Connected: whoever answers must be our listener.
        let (mut served, client) = listener.accept().ok()?;
        let mut byte = [0];
        let through = served.write_all(b"x").is_ok() && stream.read_exact(&mut byte).is_ok() && byte == *b"x";
        through.then(|| client.ip())
    })
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

/// The transports that get through, tried at once: each that does not is waited for.
fn reaches_by_any(reach: &Reach<'_>) -> Vec<Transport> {
    std::thread::scope(|scope| {
        let tries = ALL.map(|transport| (transport, scope.spawn(move || reaches(reach, transport))));
        let through = tries.into_iter().filter_map(|(transport, try_)| try_.join().expect("try").then_some(transport));
        through.collect()
    })
}

/// Fails the test unless all transports get through.
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

/// Fails the test if any transport gets through.
#[track_caller]
pub fn assert_isolated(from: &str, to: &str, address: &str) {
    let found = reaches_by_any(&Reach { from, to, address });
    assert!(found.is_empty(), "{from} reaches {to} at {address} by {found:?}");
}

/// A table of who reaches whom: one line each, `from -> to ADDRESS: ICMP TCP UDP` with `-` for what does not get through.
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
