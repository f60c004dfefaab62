//! Who asks, and whom.

use std::net::IpAddr;

/// How a question came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// In a datagram.
    Udp,
    /// By a connection.
    Tcp,
}

/// Who asks, and whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// The sender's address.
    pub from: IpAddr,
    /// The address of ours that it was sent to.
    pub at: IpAddr,
    /// How it came.
    pub over: Transport,
}
