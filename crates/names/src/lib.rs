//! The name server without its sockets: who asks what, and what the answer is.
//!
//! Pure: no socket, no clock, no randomness. The caller keeps a [`Directory`] of networks and endpoints up to date and
//! gives each packet to [`Directory::answer`] with the address it came from and the address it was sent to.
//!
//! # How it works
//!
//! ```text
//!  packet ──> Directory::answer ──> Answer        the bytes to send back
//!                              ├──> Silence       nothing: the sender is on none of our networks
//!                              └──> Forward ──> Cache ──fresh──> Return::fill
//!                                                └─> Flights ──first──> Inquiry ──> bytes for a server of the host's
//!                                                        └─joined: wait      reply ──> Response ──> Cache, Return::fill
//! ```
//!
//! Who asks decides what is there: a sandbox finds what shares one of its networks with it, under the names of
//! [`Member`], bare or before the network's name, with or without one of [`DOMAINS`]. A name is looked for in this
//! order: `localhost` and the domains of ours, records of the settings, endpoints, wildcards of the settings, names of
//! the host; then a server of the host's is asked, unless all networks of the sandbox are internal.
//!
//! # Limits
//!
//! - A name of ours has the types A, AAAA and PTR; what else is asked about it has no records. Several types at once
//!   (`ANY`) get the short answer of RFC 8482.
//! - No DNSSEC of our own: what servers of the host's signed is passed on with its signatures.

mod answer;
mod arpa;
mod asked;
mod cache;
mod directory;
mod flights;
mod inquiry;
mod member;
mod name;
mod packet;
mod prepared;
mod records;
mod response;
mod view;

pub use answer::{Answer, Forward, Outcome, Verdict};
pub use asked::{Asked, Transport};
pub use cache::Cache;
pub use directory::{Directory, Hit, HostNames};
pub use flights::{Boarding, Flights};
pub use inquiry::{Flags, Inquiry, Judgement, Key, Upstream};
pub use member::{Guests, Member, Zone};
pub use name::Name;
pub use packet::Return;
pub use prepared::Prepared;
pub use records::{Pattern, Records};
pub use response::Response;

/// The port of name servers.
pub const PORT: u16 = zubi_model::PortNumber::NAMES.0;
/// The domains that are ours alone: what is not there does not exist, and nobody else is asked. The first is zubi's
/// search domain, the second is the one that Podman's containers search in.
pub const DOMAINS: [&str; 2] = ["zubi.internal", "dns.podman"];
/// The name of the host.
pub const HOST: &str = "host.zubi.internal";
/// The largest datagram that is sent: it needs no fragments on any link (DNS flag day 2020).
pub const LARGEST_DATAGRAM: u16 = 1232;
