//! What goes into a client (events), and what it asks its caller to do (actions).

use crate::failure::{Failure, Loss};
use std::net::Ipv4Addr;
use zubi_model::DhcpLease as Lease;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// The client shall begin.
    Started(Start),
    /// A datagram for [`CLIENT_PORT`](crate::CLIENT_PORT). Anything may be in it.
    Received(&'a [u8]),
    /// It is the time that [`Client::wake_at`](crate::Client::wake_at) names, or any other.
    Woken,
    /// Another host uses the address of the lease.
    ConflictFound,
    /// The lease is no longer needed. The client stops; the caller takes the address away after it has sent the message.
    Release,
}

/// How a client begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// It looks for a server.
    Discover,
    /// It asks for the address that it had before (INIT-REBOOT): the machine restarted, or the sandbox is made again.
    /// When no server confirms the address, the client looks for one.
    Again(Ipv4Addr),
    /// It has a lease by the same clock: the program restarted, the machine did not.
    Resume(Lease),
}

/// What the caller is to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this datagram. A datagram that cannot be sent is as good as lost.
    Send {
        /// Where to.
        to: Destination,
        /// Its payload.
        bytes: Vec<u8>,
    },
    /// Use this lease. It is a new one, or the one from before with other times, options, or another address.
    Bound(Lease),
    /// Take the address away.
    Lost(Loss),
    /// There is no lease, and the client has stopped.
    Failed(Failure),
}

/// Where a datagram goes, always to [`SERVER_PORT`](crate::SERVER_PORT).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// From 0.0.0.0 to 255.255.255.255; in [`State::Rebinding`] from the leased address.
    Broadcast,
    /// From the leased address to a server.
    Server(Ipv4Addr),
}

/// Where a client stands (RFC 2131, 4.4, figure 5). INIT-REBOOT is left as soon as it is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has not begun, has stopped, or pauses after a refusal.
    Init,
    /// It looks for a server.
    Selecting,
    /// It has taken an offer.
    Requesting,
    /// It has asked for its former address.
    Rebooting,
    /// It has a lease.
    Bound,
    /// It has a lease past T1.
    Renewing,
    /// It has a lease past T2.
    Rebinding,
}
