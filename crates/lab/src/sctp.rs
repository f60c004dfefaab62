//! SCTP, where the kernel has it: one listener, one client, a few bytes (RFC 9260; sctp(7), the one-to-one style).

use crate::patience::patience;
use crate::probe::{PATIENCE, inside};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};

/// A socket of this process, in the namespace of the calling thread.
pub(crate) fn socket(at: IpAddr) -> io::Result<Socket> {
    let domain = if at.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    Socket::new(domain, Type::STREAM, Some(Protocol::from(libc::IPPROTO_SCTP)))
}

/// A listener inside a place, at one address and port.
#[derive(Debug)]
pub struct SctpListener(Socket);

impl SctpListener {
    /// Listens.
    ///
    /// # Panics
    /// When the kernel has no SCTP, see [`Capability::Sctp`](crate::Capability::Sctp).
    #[track_caller]
    pub fn start(place: &str, at: &str) -> Self {
        let at: SocketAddr = at.parse().expect("ADDRESS:PORT");
        let socket = inside(place, || {
            let socket = socket(at.ip()).expect("SCTP");
            socket.bind(&at.into()).and_then(|()| socket.listen(1)).unwrap_or_else(|e| panic!("{at}: {e}"));
            socket
        });
        socket.set_nonblocking(true).expect("listener");
        SctpListener(socket)
    }

    /// Connects from a place and exchanges a few bytes; returns the client's address as the listener sees it, or `None`
    /// when nothing passes.
    pub fn asked(&self, from: &str, to: &str) -> Option<IpAddr> {
        let to: SocketAddr = to.parse().expect("ADDRESS:PORT");
        let longest = patience(PATIENCE);
        inside(from, || {
            let mut client = socket(to.ip()).expect("SCTP");
            client.connect_timeout(&to.into(), longest).ok()?;
            // Connected: the association waits for accept(2).
            let (mut served, peer) = self.0.accept().ok()?;
            client.set_read_timeout(Some(longest)).expect("timeout");
            served.write_all(b"hello").ok()?;
            let mut heard = [0; 5];
            client.read_exact(&mut heard).ok()?;
            (heard == *b"hello").then(|| peer.as_socket().expect("an IP address").ip())
        })
    }
}
