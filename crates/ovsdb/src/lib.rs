//! Open vSwitch's database protocol: JSON-RPC over a stream (RFC 7047), as far as ports of bridges need it.
//!
//! # How it works
//! [`Port`] is a port as it is wanted, and prints as the words of `ovs-vsctl`. [`Port::add`], [`Port::set`] and
//! [`delete`] are transactions: ovsdb-server does all of one or nothing. [`Seen`] is what the database has of bridges and
//! ports. [`Request`] and [`Decoder`] are the bytes.
//!
//! The tables and columns are those of ovs-vswitchd.conf.db(5). A port has one interface, of the same name.
//!
//! # Limits
//! No bonds, mirrors or tunnels, and no *fake bridges* (`ovs-vsctl add-br BRIDGE PARENT VLAN`): a network with a VLAN is
//! one.

mod columns;
mod configuration;
mod message;
mod notation;
mod port;
mod seen;

pub use columns::Columns;
pub use configuration::{Configuration, read_configuration};
pub use message::{Answer, Decoder, Garbled, Incoming, Refused, Request};
pub use port::{Port, delete};
pub use seen::{BridgeSeen, PortSeen, Seen, read};
