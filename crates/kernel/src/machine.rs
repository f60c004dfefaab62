//! What lives as long as the process: the home namespace and idle sockets.
//!
//! # How it works
//! A machine is a handle that any number of threads share. A [`Session`](crate::Session) of it serves one command, with
//! sockets that an earlier session left idle or with new ones, and the sockets come back when the session ends. A
//! socket that met an error, or on which an unread answer waits, is closed instead.
//!
//! All sockets belong to the home namespace, wherever the thread that opens them is.

use crate::error::Error;
use crate::netns::Netns;
use crate::socket::Netlink;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zubi_model::NetnsCookie;

/// How many sockets of a kind stay open without a session. More come together only when many sessions run at once.
const MOST_IDLE: usize = 16;

/// The machine. A clone is the same machine.
#[derive(Debug, Clone)]
pub struct Machine(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    home: Netns,
    cookie: NetnsCookie,
    idle: Mutex<Idle>,
}

/// The most recently used socket is the last.
#[derive(Debug, Default)]
struct Idle {
    route: Vec<Netlink>,
    nft: Vec<Netlink>,
}

/// A kind of socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Route,
    Nft,
}

impl Idle {
    fn of(&mut self, kind: Kind) -> &mut Vec<Netlink> {
        match kind {
            Kind::Route => &mut self.route,
            Kind::Nft => &mut self.nft,
        }
    }
}

impl Machine {
    /// The calling thread's namespace is the host's from now on.
    pub fn open() -> Result<Self, Error> {
        let route = Netlink::route()?;
        let (home, cookie) = (Netns::own()?, route.cookie()?);
        let idle = Idle { route: vec![route], nft: Vec::new() };
        Ok(Machine(Arc::new(Shared { home, cookie, idle: Mutex::new(idle) })))
    }

    /// The host's network namespace.
    pub fn home(&self) -> &Netns {
        &self.0.home
    }

    /// The number of the host's network namespace.
    pub fn host_cookie(&self) -> NetnsCookie {
        self.0.cookie
    }

    /// Whether ending the process is slow: the kernel waits some 13 ms when an nftables socket is closed through which
    /// something was deleted.
    pub fn closes_slowly(&self) -> bool {
        self.idle().nft.iter().any(Netlink::closes_slowly)
    }

    /// A socket in the home namespace: an idle one, or a new one.
    pub(crate) fn take(&self, kind: Kind) -> Result<Netlink, Error> {
        let idle = self.idle().of(kind).pop();
        match (idle, kind) {
            (Some(socket), _) => Ok(socket),
            (None, Kind::Route) => self.home().within(self.home(), Netlink::route)?,
            (None, Kind::Nft) => self.home().within(self.home(), Netlink::netfilter)?,
        }
    }

    /// Takes a socket back.
    pub(crate) fn give_back(&self, kind: Kind, mut socket: Netlink) {
        if socket.is_clean() {
            socket.reset_counters();
            let mut idle = self.idle();
            let of_kind = idle.of(kind);
            if of_kind.len() < MOST_IDLE {
                of_kind.push(socket);
            }
        }
    }

    /// The descriptors of the machine itself.
    pub(crate) fn descriptors(&self) -> Vec<RawFd> {
        let idle = self.idle();
        let sockets = idle.route.iter().chain(&idle.nft).map(Netlink::raw_fd);
        std::iter::once(self.0.home.raw_fd()).chain(sockets).collect()
    }

    /// Closes the idle sockets: a child has them now, and two readers of one socket take each other's answers.
    pub(crate) fn leave_idle(&self) {
        *self.idle() = Idle::default();
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        // A panic elsewhere leaves it valid: it changes by single pushes and pops.
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
