//! A neighbour that stands for everything outside a lab.
//!
//! # How it works
//! A named sandbox with one end of a pair; the other is the lab's uplink, with the default route. A child process
//! answers there by TCP, and ends with the process that made it, which becomes the user's shell.

use crate::error::Error;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;
use zubi_kernel::{Netns, Session, process, sys};
use zubi_model::{IfName, Invalid, LinkGroup, Mac, NsRef, SandboxName};
use zubi_plan::{Op, Plan, Sysctl, What};
use zubi_wire::route::{Address, AdminState, Link, LinkChange, LinkKind, Peer, Route};

/// Its name as a sandbox.
const NAME: &str = "outside";
const UPLINK: &str = "uplink";
/// Addresses for documentation (RFC 5737, RFC 3849): nobody's anywhere.
const THERE: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(203, 0, 113, 1), Ipv6Addr::new(0x2001, 0xdb8, 0xcb00, 0x7100, 0, 0, 0, 1));
const HERE: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(203, 0, 113, 2), Ipv6Addr::new(0x2001, 0xdb8, 0xcb00, 0x7100, 0, 0, 0, 2));
const ECHO: u16 = 7;
const DAYTIME: u16 = 13;
const HTTP: u16 = 80;
/// A client that says nothing is left after this.
const PATIENCE: Duration = Duration::from_secs(60);

/// The neighbour outside; its text tells how to use it.
#[derive(Debug, Clone, Copy)]
pub struct Outside;

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} and {} answer pings, and by TCP: port {HTTP} (HTTP) and {DAYTIME} tell who asks, {ECHO} echoes; this host \
             is {} and {} there; zubi sandbox exec {NAME} -- ... runs a command outside",
            THERE.0, THERE.1, HERE.0, HERE.1
        )
    }
}

/// Makes the neighbour, and starts its answers. The calling process must have one thread.
pub(crate) fn make_outside() -> Result<Outside, Error> {
    let name: SandboxName = NAME.parse()?;
    let inside = NsRef::Named(name);
    let mut session = Session::open().map_err(Error::kernel(NAME))?;
    session.apply(&plan(&inside)?).map_err(|failed| Error::kernel(NAME)(failed.error))?;
    let netns = Netns::open(&inside.path(), session.machine().home()).map_err(Error::kernel(NAME))?;
    // The child takes the listeners over: when this call returns, they can be reached.
    let listening = netns.within(session.machine().home(), || [ECHO, DAYTIME, HTTP].map(listen));
    let listeners = listening.map_err(Error::kernel(NAME))?.into_iter().collect::<io::Result<Vec<_>>>();
    let listeners = listeners.map_err(Error::system(NAME, "listen in", NAME))?;
    drop(session);
    let parent = std::process::id();
    match sys::fork().map_err(Error::system(NAME, "fork", "process"))? {
        sys::Fork::Parent(_) => Ok(Outside),
        sys::Fork::Child => {
            let lives = sys::die_with_parent(libc::SIGKILL).is_ok() && sys::parent_pid() == parent;
            if lives && process::leave_caller().is_ok() {
                answer(listeners);
            }
            sys::exit_now(1)
        }
    }
}

fn plan(inside: &NsRef) -> Result<Plan, Invalid> {
    let NsRef::Named(name) = inside else { return Ok(Plan::default()) };
    let (uplink, eth0): (IfName, IfName) = (UPLINK.parse()?, "eth0".parse()?);
    let peer = Peer { name: eth0.clone(), mac: Mac::from_random([6; 6]), netns: inside.clone() };
    let link = Link {
        name: uplink.clone(),
        kind: LinkKind::Veth(peer),
        mac: Mac::from_random([5; 6]),
        mtu: None,
        group: LinkGroup::DEFAULT,
        master: None,
    };
    let address = |ip: IpAddr, prefix: u8, device: &IfName| {
        What::AddAddress(Address::new(ipnet::IpNet::new_assert(ip, prefix), device.clone()))
    };
    let host = |what| Op::host(what, "the uplink of the lab");
    let there = |what| Op::sandbox(inside, what, "the neighbour outside");
    let up = |name: &IfName| What::ChangeLink(LinkChange::state(name.clone(), AdminState::Up));
    // Without duplicate address detection addresses can be used at once, not after two seconds.
    let certain = |name: &IfName| What::Set(Sysctl::ipv6_device(name, "accept_dad", 0));
    let ops = [
        host(What::AddNamespace(name.clone())),
        host(What::AddLink(link)),
        host(certain(&uplink)),
        host(address(HERE.0.into(), 24, &uplink)),
        host(address(HERE.1.into(), 64, &uplink)),
        host(up(&uplink)),
        there(certain(&eth0)),
        there(up(&IfName::loopback())),
        there(address(THERE.0.into(), 24, &eth0)),
        there(address(THERE.1.into(), 64, &eth0)),
        there(up(&eth0)),
        host(What::AddRoute(Route::default_via(THERE.0.into(), uplink.clone()))),
        host(What::AddRoute(Route::default_via(THERE.1.into(), uplink))),
    ];
    Ok(ops.into_iter().collect())
}

/// Both families, where the kernel has IPv6.
fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))
}

/// Answers for the rest of this process's life, one thread for each client.
fn answer(listeners: Vec<TcpListener>) {
    let serve = |listener: TcpListener| {
        for client in listener.incoming().flatten() {
            let port = listener.local_addr().map_or(0, |at| at.port());
            // A client that breaks off is its own affair.
            std::thread::spawn(move || answer_one(client, port).ok());
        }
    };
    let threads: Vec<_> = listeners.into_iter().map(|listener| std::thread::spawn(move || serve(listener))).collect();
    for thread in threads {
        thread.join().ok();
    }
}

fn answer_one(mut client: TcpStream, port: u16) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_write_timeout(Some(PATIENCE))?;
    let from = client.peer_addr()?;
    let from = SocketAddr::new(from.ip().to_canonical(), from.port());
    let words = format!("you are {} port {}\n", from.ip(), from.port());
    match port {
        ECHO => io::copy(&mut client.try_clone()?, &mut client).map(|_| ()),
        HTTP => {
            // The request is read first: closing with unread bytes resets the connection.
            let mut request = [0; 4096];
            let _bytes = client.read(&mut request)?;
            let length = words.len();
            let head = "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length:";
            client.write_all(format!("{head} {length}\r\n\r\n{words}").as_bytes())
        }
        _ => client.write_all(words.as_bytes()),
    }
}
