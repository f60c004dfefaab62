//! The sockets: two for each address of the host on a network with names.

use super::connections::{self, Places};
use super::datagrams;
use super::part::PART;
use super::resolver::{LONGEST, Resolver};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::AbortHandle;
use zubi_model::NetworkName;
use zubi_names::{PORT, Zone};

/// How many connections wait to be accepted.
const BACKLOG: i32 = 128;

/// The sockets that are open.
pub(crate) struct Listening {
    resolver: Resolver,
    places: Places,
    open: BTreeMap<IpAddr, Open>,
    marks: Marks,
}

/// What answers at one address, until it is dropped.
struct Open([AbortHandle; 2]);

impl Drop for Open {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

impl Listening {
    pub(crate) fn new(resolver: Resolver, run: &Path) -> Self {
        let marks = Marks::new(run.join(zubi_model::RESOLVER_FOLDER));
        Listening { resolver, places: Places::default(), open: BTreeMap::new(), marks }
    }

    /// Opens and closes sockets until there are those that networks need. Returns why addresses have none.
    pub(crate) fn serve(&mut self, zones: &[Zone]) -> Vec<String> {
        self.open.retain(|address, _| zones.iter().any(|zone| zone.host.contains(address)));
        let mut failures = Vec::new();
        for zone in zones {
            let mut is_whole = true;
            for address in &zone.host {
                if self.open.contains_key(address) {
                    continue;
                }
                match self.open_at(*address) {
                    Ok(open) => drop(self.open.insert(*address, open)),
                    Err(e) => {
                        is_whole = false;
                        failures.push(why(&zone.name, *address, &e));
                    }
                }
            }
            if is_whole {
                self.marks.set(&zone.name);
            }
        }
        self.marks.retain(|name| zones.iter().any(|zone| zone.name == *name));
        failures
    }

    fn open_at(&self, address: IpAddr) -> io::Result<Open> {
        let at = SocketAddr::new(address, PORT);
        let datagrams = socket(at, Type::DGRAM, Protocol::UDP)?;
        let listener = socket(at, Type::STREAM, Protocol::TCP)?;
        listener.listen(BACKLOG)?;
        let datagrams = Arc::new(UdpSocket::from_std(datagrams.into())?);
        let listener = TcpListener::from_std(listener.into())?;
        let (resolver, places) = (self.resolver.clone(), self.places.clone());
        let by_connection = tokio::spawn(connections::serve(listener, address, resolver, places));
        let by_datagram = tokio::spawn(datagrams::serve(datagrams, address, self.resolver.clone()));
        Ok(Open([by_datagram.abort_handle(), by_connection.abort_handle()]))
    }
}

/// A socket at an address, which may be there only later: a network's record comes before its bridge.
fn socket(at: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(at), kind.nonblocking().cloexec(), Some(protocol))?;
    match at {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_freebind_v6(true)?;
        }
    }
    if kind == Type::DGRAM {
        socket.attach_filter(&questions_only())?;
        // As far as the system allows: one asker's flood leaves others room.
        socket.set_recv_buffer_size(1 << 20)?;
    } else {
        // The daemon was here a moment ago, and its connections are not forgotten.
        socket.set_reuse_address(true)?;
    }
    socket.bind(&at.into())?;
    Ok(socket)
}

/// A filter of the kernel's that lets pass what can be a question: it has a header, is no longer than we read, and is
/// no answer. What floods a queue otherwise never gets into it. The packet begins with its UDP header.
fn questions_only() -> [SockFilter; 7] {
    const LENGTH: u16 = 0x80; // BPF_LD | BPF_LEN
    const BYTE: u16 = 0x30; // BPF_LD | BPF_B | BPF_ABS
    const IF_ABOVE: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
    const IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
    const IF_BITS: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    let step = SockFilter::new;
    [
        step(LENGTH, 0, 0, 0),
        step(IF_AT_LEAST, 0, 4, 8 + 12),
        step(IF_ABOVE, 3, 0, 8 + LONGEST as u32),
        step(BYTE, 0, 0, 8 + 2),
        step(IF_BITS, 1, 0, 0x80),
        step(RETURN, 0, 0, u32::MAX),
        step(RETURN, 0, 0, 0),
    ]
}

fn why(network: &NetworkName, address: IpAddr, error: &io::Error) -> String {
    let next = match error.kind() {
        io::ErrorKind::AddrInUse => ": another program has it, by its address or by all; ss -lnup shows which",
        _ => "",
    };
    format!("network {network}: port {PORT} of {address}: {error}{next}")
}

/// Files that say which networks are answered: an attach waits for that of its network.
struct Marks {
    folder: PathBuf,
    set: Vec<NetworkName>,
}

impl Marks {
    /// Without a mark: those of a daemon before are not true. The folder itself says that somebody will answer.
    fn new(folder: PathBuf) -> Self {
        std::fs::remove_dir_all(&folder).ok();
        let marks = Marks { folder, set: Vec::new() };
        marks.told(std::fs::create_dir_all(&marks.folder));
        marks
    }

    fn told(&self, made: std::io::Result<()>) -> bool {
        made.inspect_err(|e| tracing::warn!(part = PART, "{}: write: {e}", self.folder.display())).is_ok()
    }

    fn set(&mut self, network: &NetworkName) {
        if self.set.contains(network) {
            return;
        }
        if self.told(std::fs::write(self.folder.join(network.as_str()), b"")) {
            self.set.push(network.clone());
        }
    }

    fn retain(&mut self, is_served: impl Fn(&NetworkName) -> bool) {
        let folder = &self.folder;
        self.set.retain(|name| {
            let stays = is_served(name);
            if !stays {
                std::fs::remove_file(folder.join(name.as_str())).ok();
            }
            stays
        });
    }
}

impl Drop for Marks {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}
