//! Services on fixed ports and clients that query them: for tests of forwarded ports.

use crate::patience::patience;
use crate::probe::{PATIENCE, Transport, inside};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A TCP and UDP server on threads inside a place. It answers each connection and each datagram with its own name and
/// the client's address.
#[derive(Debug)]
pub struct Service {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// A server's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The server's name.
    pub server: String,
    /// The client's address as the server saw it.
    pub client: IpAddr,
}

impl Service {
    /// Serves a port on every address of a place, in both families, under the name of the place.
    pub fn start(place: &str, port: u16) -> Self {
        Self::start_at(place, Ipv6Addr::UNSPECIFIED.into(), port)
    }

    /// Serves a port on one address.
    pub fn start_at(place: &str, address: IpAddr, port: u16) -> Self {
        let at = SocketAddr::new(address, port);
        let (listener, socket) = inside(place, || {
            let listener = TcpListener::bind(at).unwrap_or_else(|e| panic!("{at}: {e}"));
            (listener, UdpSocket::bind(at).unwrap_or_else(|e| panic!("{at}: {e}")))
        });
        listener.set_nonblocking(true).expect("listener");
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("timeout");
        let stop = Arc::new(AtomicBool::new(false));
        let word = |place: &str, peer: SocketAddr| format!("{place} {}", peer.ip().to_canonical());
        let (name, stopped) = (place.to_owned(), Arc::clone(&stop));
        let tcp = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                match listener.accept() {
                    // The client may have gone.
                    Ok((mut stream, peer)) => drop(stream.write_all(word(&name, peer).as_bytes())),
                    Err(_) => std::thread::sleep(Duration::from_millis(2)),
                }
            }
        });
        let (name, stopped) = (place.to_owned(), Arc::clone(&stop));
        let udp = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if let Ok((_, peer)) = socket.recv_from(&mut [0; 8]) {
                    drop(socket.send_to(word(&name, peer).as_bytes(), peer));
                }
            }
        });
        Service { stop, threads: vec![tcp, udp] }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // Its panic has been printed.
            drop(thread.join());
        }
    }
}

/// Queries a port at `to`, which is `ADDRESS:PORT`; `None` when no answer comes in time.
pub fn ask(from: &str, transport: Transport, to: &str) -> Option<Heard> {
    let to: SocketAddr = to.parse().expect("ADDRESS:PORT");
    let own: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    inside(from, || match transport {
        Transport::Tcp => {
            let mut stream = TcpStream::connect_timeout(&to, patience(PATIENCE)).ok()?;
            stream.set_read_timeout(Some(patience(PATIENCE))).expect("timeout");
            let mut text = String::new();
            stream.read_to_string(&mut text).ok()?;
            heard(&text)
        }
        Transport::Udp => ask_by(&UdpSocket::bind(SocketAddr::new(own, 0)).expect("bind"), to),
        Transport::Icmp => panic!("ICMP has no ports"),
    })
}

/// Like [`ask`] by UDP, with a socket that may have sent before.
pub fn ask_by(socket: &UdpSocket, to: SocketAddr) -> Option<Heard> {
    socket.set_read_timeout(Some(patience(PATIENCE))).expect("timeout");
    loop {
        let mut buffer = [0; 128];
        match socket.send_to(b"?", to).and_then(|_| socket.recv_from(&mut buffer)) {
            // A refusal of an earlier datagram may be pending.
            Err(e) if e.kind() == ErrorKind::ConnectionRefused => {}
            Err(_) => return None,
            Ok((n, _)) => return heard(&String::from_utf8_lossy(&buffer[..n])),
        }
    }
}

fn heard(text: &str) -> Option<Heard> {
    let (server, client) = text.split_once(' ')?;
    Some(Heard { server: server.to_owned(), client: client.parse().ok()? })
}

/// Fails the test unless `server` answers by TCP and UDP and saw this client address.
#[track_caller]
pub fn assert_served(from: &str, to: &str, server: &str, client: &str) {
    let client: IpAddr = client.parse().expect("address");
    for transport in [Transport::Tcp, Transport::Udp] {
        let expected = Heard { server: server.to_owned(), client };
        let heard = ask(from, transport, to);
        assert_eq!(heard, Some(expected), "{from} asked {to} by {transport:?}");
    }
}

/// Fails the test if any server answers by TCP or UDP.
#[track_caller]
pub fn assert_unserved(from: &str, to: &str) {
    // In parallel: each query without an answer takes the full time limit.
    let heard = std::thread::scope(|scope| {
        let asked = [Transport::Tcp, Transport::Udp].map(|transport| scope.spawn(move || ask(from, transport, to)));
        asked.map(|one| one.join().expect("question"))
    });
    assert_eq!(heard, [None, None], "{from} asked {to} by TCP and by UDP");
}
