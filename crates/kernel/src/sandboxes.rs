//! The sandboxes that are open.
//!
//! # How it works
//! An open sandbox takes two descriptors: its namespace and a socket inside. Only the few that were used last stay
//! open, so a command that reads thousands needs no more descriptors than one that reads ten. A name that was opened
//! stands for its namespace for the whole session: if it leads to another namespace when it is opened again, that is an
//! error.

use crate::error::Error;
use crate::netns::Netns;
use crate::socket::{Counters, Netlink};
use std::collections::HashMap;
use zubi_model::{NetnsCookie, NsRef};

/// How many stay open: with two descriptors each, far below the smallest limit that a process gets (64).
const MOST_OPEN: usize = 8;

/// A sandbox that is open.
pub(crate) struct Inside {
    pub(crate) netns: Netns,
    pub(crate) route: Netlink,
    pub(crate) cookie: NetnsCookie,
}

#[derive(Default)]
pub(crate) struct Sandboxes {
    /// The namespace that each name stands for.
    known: HashMap<NsRef, NetnsCookie>,
    /// The most recently used one is the last.
    open: Vec<(NsRef, Inside)>,
    /// How often the sockets of closed ones were used.
    closed: Counters,
}

impl Sandboxes {
    /// An open sandbox.
    pub(crate) fn get(&self, sandbox: &NsRef) -> Option<&Inside> {
        self.open.iter().rev().find(|(name, _)| name == sandbox).map(|(_, inside)| inside)
    }

    pub(crate) fn get_mut(&mut self, sandbox: &NsRef) -> Option<&mut Inside> {
        self.open.iter_mut().rev().find(|(name, _)| name == sandbox).map(|(_, inside)| inside)
    }

    /// Opens a sandbox unless it is open.
    pub(crate) fn open(&mut self, sandbox: &NsRef, home: &Netns) -> Result<NetnsCookie, Error> {
        if let Some(at) = self.open.iter().rposition(|(name, _)| name == sandbox) {
            let used = self.open.remove(at);
            let cookie = used.1.cookie;
            self.open.push(used);
            return Ok(cookie);
        }
        let netns = Netns::open(&sandbox.path(), home)?;
        let route = netns.within(home, Netlink::route)??;
        let cookie = route.cookie()?;
        if self.known.get(sandbox).is_some_and(|known| *known != cookie) {
            let why = "leads to another network namespace by now".into();
            return Err(Error::NotASandbox { path: sandbox.path().display().to_string(), why });
        }
        if self.open.len() == MOST_OPEN {
            let (_, inside) = self.open.remove(0);
            self.closed += inside.route.counters();
        }
        self.known.insert(sandbox.clone(), cookie);
        self.open.push((sandbox.clone(), Inside { netns, route, cookie }));
        Ok(cookie)
    }

    /// Closes a sandbox and forgets which namespace its name stands for.
    pub(crate) fn forget(&mut self, sandbox: &NsRef) {
        self.known.remove(sandbox);
        if let Some(at) = self.open.iter().position(|(name, _)| name == sandbox) {
            let (_, inside) = self.open.remove(at);
            self.closed += inside.route.counters();
        }
    }

    /// Closes all of them and forgets all names.
    pub(crate) fn clear(&mut self) {
        self.known.clear();
        self.closed = self.counters();
        self.open.clear();
    }

    /// How often all their sockets were used.
    pub(crate) fn counters(&self) -> Counters {
        self.open.iter().fold(self.closed, |mut sum, (_, inside)| {
            sum += inside.route.counters();
            sum
        })
    }
}
