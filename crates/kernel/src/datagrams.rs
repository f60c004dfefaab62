//! Datagrams on one device of a sandbox, also before it has an address.

use crate::error::Error;
use crate::session::Session;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::Duration;
use zubi_model::IfName;
use zubi_plan::Place;

/// A UDP socket that sends and receives on one device. It stays in the namespace where it was opened, so the thread
/// need not.
///
/// A packet socket would do as well, but to close one takes 8 to 15 ms (`packet_release` in net/packet/af_packet.c).
#[derive(Debug)]
pub struct Datagrams {
    socket: UdpSocket,
}

impl Session {
    /// Opens a port of a device.
    pub fn datagrams(&mut self, place: &Place, device: &IfName, port: u16) -> Result<Datagrams, Error> {
        let opened = self.within(place, || -> io::Result<Socket> {
            let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
            socket.bind_device(Some(device.as_str().as_bytes()))?;
            socket.set_broadcast(true)?;
            // Beside another client's socket, which is bound to no device and has set the same.
            socket.set_reuse_address(true)?;
            socket.bind(&SockAddr::from(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port)))?;
            Ok(socket)
        })?;
        match opened {
            Ok(socket) => Ok(Datagrams { socket: socket.into() }),
            Err(e) => Err(Error::system("open", format!("UDP port {port} of {device}"), e)),
        }
    }
}

impl Datagrams {
    /// Sends a datagram.
    pub fn send(&self, to: SocketAddrV4, bytes: &[u8]) -> io::Result<()> {
        self.socket.send_to(bytes, to).map(drop)
    }

    /// Waits for a datagram. Returns its length, or `None` when the time is over.
    pub fn receive(&self, buffer: &mut [u8], patience: Duration) -> io::Result<Option<usize>> {
        // A time of 0 would mean for ever.
        self.socket.set_read_timeout(Some(patience.max(Duration::from_millis(1))))?;
        match self.socket.recv(buffer) {
            Ok(length) => Ok(Some(length)),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => {
                Ok(None)
            }
            // A host on the way said that a datagram did not arrive.
            Err(e) if matches!(e.kind(), ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable) => Ok(None),
            Err(e) => Err(e),
        }
    }
}
