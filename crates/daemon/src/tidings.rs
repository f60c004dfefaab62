//! What the kernel tells.

use crate::error::Error;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use tokio::net::unix::pipe::Receiver;
use zubi_kernel::monitor::{self, Group, Hears, Tiding};

/// A socket on which the kernel tells what may be a harm.
#[derive(Debug)]
pub(crate) struct Tidings(Receiver);

impl Tidings {
    /// Of links, addresses, routes and settings.
    pub(crate) fn of_route(groups: &[Group], hears: Hears) -> Result<Self, Error> {
        Self::of(monitor::of_route(groups, hears))
    }

    /// Of the ruleset.
    pub(crate) fn of_nftables() -> Result<Self, Error> {
        Self::of(monitor::of_nftables())
    }

    fn of(socket: Result<OwnedFd, zubi_kernel::Error>) -> Result<Self, Error> {
        let socket = socket.map_err(|e| Error::Kernel { object: "the kernel's tidings", source: e })?;
        // Not a pipe, but waited for as one.
        Receiver::from_owned_fd_unchecked(socket).map(Tidings).map_err(Error::system("netlink socket", "wait for"))
    }

    /// The next tidings. Most messages matter to nobody, and are passed over.
    pub(crate) async fn next(&mut self) -> Vec<Tiding> {
        loop {
            let told = match self.0.readable().await {
                Ok(()) => self.now(),
                Err(_) => vec![Tiding::Overrun],
            };
            if !told.is_empty() {
                return told;
            }
        }
    }

    /// What is told by now.
    pub(crate) fn now(&mut self) -> Vec<Tiding> {
        let mut told = Vec::new();
        loop {
            told.extend(monitor::tidings(&Socket(&self.0)));
            match self.0.try_read(&mut [0]) {
                // By this the runtime learns that nothing waits.
                Err(e) if e.kind() == ErrorKind::WouldBlock => return told,
                // Something came in between, and nobody knows what.
                Ok(_) | Err(_) => told.push(Tiding::Overrun),
            }
        }
    }
}

struct Socket<'a>(&'a Receiver);

impl AsFd for Socket<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
