//! Requests: the path of a call. The body is read by what the method needs, see [`Fields`](crate::fields::Fields).

use std::fmt;

/// The largest body that is read, in bytes. Docker's have a few thousand.
pub const LARGEST_REQUEST: usize = 4 * 1024 * 1024;

/// A protocol of the plug-in socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interface {
    /// The handshake.
    Plugin,
    /// Networks and endpoints.
    NetworkDriver,
    /// Subnets and addresses.
    IpamDriver,
}

impl Interface {
    const ALL: [Interface; 3] = [Interface::Plugin, Interface::NetworkDriver, Interface::IpamDriver];

    fn word(self) -> &'static str {
        match self {
            Interface::Plugin => "Plugin",
            Interface::NetworkDriver => "NetworkDriver",
            Interface::IpamDriver => "IpamDriver",
        }
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A call: `POST /INTERFACE.METHOD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call<'a> {
    pub(crate) interface: Interface,
    pub(crate) method: &'a str,
}

impl<'a> Call<'a> {
    /// `None` for a path that names no interface.
    pub(crate) fn from_path(path: &'a str) -> Option<Self> {
        let (interface, method) = path.strip_prefix('/')?.split_once('.')?;
        let interface = Interface::ALL.into_iter().find(|known| known.word() == interface)?;
        Some(Call { interface, method })
    }
}
