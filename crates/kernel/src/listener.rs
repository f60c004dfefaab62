//! Ports of the host: whether one is free, and which process has it.

use socket2::{Domain, SockAddr, Socket, Type};
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use zubi_model::{Family, PortNumber, PortRange, Protocol};

/// A port that no process can take while this value lives.
#[derive(Debug)]
pub struct BoundPort {
    socket: Socket,
}

/// Why a port could not be taken.
#[derive(Debug)]
pub enum Refusal {
    /// A process has it.
    InUse,
    /// The address is none of this host's.
    NotHere,
    /// The kernel does not know the protocol.
    NoProtocol,
    /// Something else.
    Other(io::Error),
}

impl BoundPort {
    /// Takes a port of the calling thread's namespace by binding a socket. The socket receives nothing.
    pub fn take(protocol: Protocol, address: IpAddr, port: PortNumber) -> Result<Self, Refusal> {
        Self::bind(protocol, address, port.0).map_err(refusal)
    }

    /// Takes a port that the kernel chooses (`ip_local_port_range`).
    pub fn take_any(protocol: Protocol, address: IpAddr) -> Result<Self, Refusal> {
        Self::bind(protocol, address, 0).map_err(refusal)
    }

    fn bind(protocol: Protocol, address: IpAddr, port: u16) -> io::Result<Self> {
        let kind = if protocol == Protocol::Udp { Type::DGRAM } else { Type::STREAM };
        let number = socket2::Protocol::from(i32::from(protocol.number()));
        let socket = Socket::new(Domain::for_address(SocketAddr::new(address, 0)), kind, Some(number))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // Connections in TIME_WAIT do not hold the port. With UDP the option would let several processes share it.
        if protocol != Protocol::Udp {
            socket.set_reuse_address(true)?;
        }
        socket.bind(&SockAddr::from(SocketAddr::new(address, port)))?;
        Ok(BoundPort { socket })
    }

    /// The port's number.
    pub fn port(&self) -> io::Result<PortNumber> {
        let port = self.socket.local_addr()?.as_socket().map(|a| a.port());
        port.map(PortNumber).ok_or_else(|| io::ErrorKind::Unsupported.into())
    }
}

fn refusal(error: io::Error) -> Refusal {
    match error.raw_os_error() {
        Some(libc::EADDRINUSE) => Refusal::InUse,
        Some(libc::EADDRNOTAVAIL) => Refusal::NotHere,
        Some(libc::EPROTONOSUPPORT | libc::ESOCKTNOSUPPORT | libc::EAFNOSUPPORT) => Refusal::NoProtocol,
        _ => Refusal::Other(error),
    }
}

/// A socket of a process that receives what comes to a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// Its protocol.
    pub protocol: Protocol,
    /// The address that it listens at; the unspecified IPv6 address mostly takes IPv4 too.
    pub address: IpAddr,
    /// Its port.
    pub port: PortNumber,
    inode: u64,
}

impl Listener {
    /// Whether it receives what is sent to these ports of this address.
    pub fn wants(&self, protocol: Protocol, address: IpAddr, ports: PortRange) -> bool {
        let everywhere = |a: IpAddr| a.is_unspecified();
        let same_family = self.address.is_ipv4() == address.is_ipv4();
        let at = self.address == address
            || (same_family && (everywhere(self.address) || everywhere(address)))
            || (!same_family && address.is_ipv4() && everywhere(self.address));
        self.protocol == protocol && at && ports.overlaps(self.port.into())
    }

    /// The process that has it, as `NAME (pid N)`; `None` when this process may not see it.
    pub fn process(&self) -> Option<String> {
        let wanted = format!("socket:[{}]", self.inode);
        for entry in fs::read_dir("/proc").ok()?.flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
            let Ok(open) = fs::read_dir(entry.path().join("fd")) else { continue };
            let has = |fd: &fs::DirEntry| fs::read_link(fd.path()).is_ok_and(|to| to.as_os_str() == wanted.as_str());
            if open.flatten().any(|fd| has(&fd)) {
                let command = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
                return Some(format!("{} (pid {pid})", command.trim()));
            }
        }
        None
    }
}

/// Every TCP listener and bound UDP socket of the calling thread's namespace.
pub fn listeners() -> Vec<Listener> {
    let tables = [
        (Protocol::Tcp, "tcp", Family::V4),
        (Protocol::Tcp, "tcp6", Family::V6),
        (Protocol::Udp, "udp", Family::V4),
        (Protocol::Udp, "udp6", Family::V6),
    ];
    let mut all = Vec::new();
    for (protocol, file, family) in tables {
        // A kernel without IPv6 has no such file.
        let text = fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap_or_default();
        all.extend(text.lines().skip(1).filter_map(|line| read_line(protocol, family, line)));
    }
    all
}

/// A line of `/proc/net/tcp` (Documentation/networking/proc_net_tcp.rst): its number, local and remote address, state,
/// queues, timer, retransmits, user, timeout, inode.
fn read_line(protocol: Protocol, family: Family, line: &str) -> Option<Listener> {
    /// `TCP_LISTEN` and `TCP_CLOSE` of net/tcp_states.h; the latter is what an unconnected UDP socket has.
    const LISTEN: &str = "0A";
    const UNCONNECTED: &str = "07";
    let mut words = line.split_whitespace().skip(1);
    let (address, port) = words.next()?.split_once(':')?;
    let state = words.nth(1)?;
    let waiting = if protocol == Protocol::Udp { UNCONNECTED } else { LISTEN };
    if state != waiting {
        return None;
    }
    let inode = words.nth(5)?.parse().ok()?;
    // The kernel prints each word of four bytes as a number in this machine's byte order.
    let bytes: Vec<u8> = (0..address.len() / 8)
        .filter_map(|at| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok())
        .flat_map(u32::to_ne_bytes)
        .collect();
    let address = match family {
        Family::V4 => Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into(),
        Family::V6 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical(),
    };
    Some(Listener { protocol, address, port: PortNumber(u16::from_str_radix(port, 16).ok()?), inode })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_port_of_a_process_is_refused_and_the_process_is_found() {
        let listener = TcpListener::bind((LOOPBACK, 0)).unwrap();
        let port = PortNumber(listener.local_addr().unwrap().port());
        for address in [LOOPBACK, Ipv4Addr::UNSPECIFIED.into()] {
            assert!(matches!(BoundPort::take(Protocol::Tcp, address, port), Err(Refusal::InUse)), "{address}");
        }
        let found = listeners().into_iter().find(|l| l.wants(Protocol::Tcp, LOOPBACK, port.into())).unwrap();
        let process = found.process().unwrap();
        assert!(process.ends_with(&format!("(pid {})", std::process::id())), "{process}");
        assert!(!found.wants(Protocol::Udp, LOOPBACK, port.into()));
        assert!(!found.wants(Protocol::Tcp, "192.0.2.1".parse().unwrap(), port.into()));
        assert!(found.wants(Protocol::Tcp, Ipv4Addr::UNSPECIFIED.into(), port.into()));
    }

    #[test]
    fn a_bound_udp_socket_has_its_port() {
        let socket = UdpSocket::bind((LOOPBACK, 0)).unwrap();
        let port = PortNumber(socket.local_addr().unwrap().port());
        assert!(matches!(BoundPort::take(Protocol::Udp, LOOPBACK, port), Err(Refusal::InUse)));
        assert!(listeners().iter().any(|l| l.wants(Protocol::Udp, LOOPBACK, port.into())));
    }

    #[test]
    fn no_process_gets_a_taken_port_while_it_is_held() {
        // After the drop another program may take the port, hence several tries.
        let again = (0..10).any(|_| {
            let held = BoundPort::take_any(Protocol::Udp, LOOPBACK).unwrap();
            let port = held.port().unwrap();
            assert!(UdpSocket::bind((LOOPBACK, port.0)).is_err());
            drop(held);
            BoundPort::take(Protocol::Udp, LOOPBACK, port).is_ok()
        });
        assert!(again);
    }

    #[test]
    fn an_address_of_another_host_is_refused_as_such() {
        let elsewhere = "192.0.2.77".parse().unwrap();
        assert!(matches!(BoundPort::take(Protocol::Tcp, elsewhere, PortNumber(9)), Err(Refusal::NotHere)));
    }

    #[test]
    fn a_line_of_the_kernel_s_table_is_read() {
        let line =
            "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 0";
        if cfg!(target_endian = "little") {
            let read = read_line(Protocol::Tcp, Family::V4, line).unwrap();
            assert_eq!((read.address, read.port, read.inode), (LOOPBACK, PortNumber(8080), 12345));
        }
        assert_eq!(read_line(Protocol::Tcp, Family::V4, &line.replace(" 0A ", " 01 ")), None);
        assert_eq!(read_line(Protocol::Tcp, Family::V4, "nonsense"), None);
    }
}
