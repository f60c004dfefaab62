//! Everything zubi does to a machine, as a value: an ordered list of operations, each of which can be applied,
//! undone and printed as the command a person would have typed.
//!
//! `network`, `change`, `endpoint`, `link` and `sandbox` turn what was decided into plans; `firewall` is the layout of the one
//! nftables table, `coexist` is about those of others. Applying is the `kernel` crate's job.

pub mod alias;
pub mod change;
pub mod coexist;
pub mod device;
pub mod endpoint;
pub mod firewall;
pub mod link;
pub mod loopback;
pub mod network;
pub mod sandbox;

mod announce;
mod flows;
mod op;
mod sequence;
mod sysctl;

pub use announce::{Announcement, Neighbours, Through};
pub use flows::Flows;
pub use op::{Op, Outcome, Place, What};
pub use sequence::Plan;
pub use sysctl::Sysctl;
