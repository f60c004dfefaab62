//! What the kernel tells: a socket that becomes readable when something changes.

use crate::error::Error;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use tokio::net::unix::pipe::Receiver;
use zubi_kernel::monitor::{self, Group};

/// Tells that something changed, not what: for that the engine looks.
#[derive(Debug)]
pub(crate) struct Tidings(Receiver);

impl Tidings {
    /// Of links, addresses and routes of the host.
    pub(crate) fn of_route(groups: &[Group]) -> Result<Self, Error> {
        Self::of(monitor::of_route(groups).map_err(|e| Error::Kernel { object: "changes of devices", source: e })?)
    }

    fn of(socket: OwnedFd) -> Result<Self, Error> {
        // Not a pipe, but read and waited for as one.
        Receiver::from_owned_fd_unchecked(socket).map(Tidings).map_err(Error::system("netlink socket", "wait for"))
    }

    /// Returns at the next change.
    pub(crate) async fn next(&mut self) {
        // An overrun (ENOBUFS) says that there was more than the socket could hold.
        if self.0.readable().await.is_ok() {
            self.forget();
        }
    }

    /// Forgets the changes so far.
    pub(crate) fn forget(&mut self) {
        let mut buffer = [0; 4096];
        loop {
            match self.0.try_read(&mut buffer) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                // What changed is for the engine to find. ENOBUFS is told once.
                Ok(_) | Err(_) => {}
            }
        }
    }
}
