//! The client's side of DHCPv4 (RFC 2131, RFC 2132).
//!
//! Pure: no socket, no clock, no randomness. The caller tells a [`Client`] what happened and what time it is, and does
//! what the client answers: send these bytes, use this lease, give the address up. The same input always gives the
//! same answer.
//!
//! # How it works
//!
//! ```text
//!  Discover ──> Selecting ──offer──> Requesting ──ack──> Bound ──T1──> Renewing ──T2──> Rebinding
//!                   ^                    │ nak,            ^  ^            │ ack            │ ack
//!                   ├────────────────────┘ silence         │  └────────────┴────────────────┤
//!  Again ────> Rebooting ──ack─────────────────────────────┘                                │
//!                   └─── nak, silence: discover         nak, expiry, conflict: discover <───┘
//! ```
//!
//! The caller keeps the [`Lease`] in a record. After a restart of the program it resumes the lease; after a reboot, or
//! when the sandbox is made again, it asks for the same address again.
//!
//! # Limits
//!
//! - The caller probes the address of a new lease (RFC 5227) and reports a [`Event::ConflictFound`].
//! - The first acceptable offer is taken. Further offers are not awaited.
//! - No DHCPINFORM, no rapid commit, no authentication, no DHCPv6.

mod action;
mod client;
mod client_id;
mod domain;
mod failure;
mod hosts;
mod identity;
mod lease;
pub mod message;
mod moment;
pub mod options;
mod outgoing;
mod routes;
mod schedule;
mod siphash;

pub use action::{Action, Destination, Event, Start, State};
pub use client::Client;
pub use client_id::{ClientId, HostKey};
pub use failure::{Failure, Loss, Obstacle, Refusal};
pub use identity::{HostName, Identity};
pub use lease::{Lease, Unusable};
pub use message::Message;
pub use moment::{Moment, Seconds};

/// The UDP port that clients receive on.
pub const CLIENT_PORT: u16 = 68;
/// The UDP port that servers receive on.
pub const SERVER_PORT: u16 = 67;
