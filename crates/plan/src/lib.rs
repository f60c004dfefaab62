//! Everything zubi does to a machine, as a value: an ordered list of operations, each of which can be applied, undone
//! and printed as the command a person would have typed.
//!
//! [`driver`] turns networks and endpoints into plans, [`link`] and [`sandbox`] what their names say. [`firewall`] is
//! the layout of the one nftables table, [`coexist`] is about those of other programs. Applying a plan is the `kernel`
//! crate's job.

pub mod alias;
pub mod backstop;
pub mod coexist;
pub mod default_route;
pub mod device;
pub mod device_settings;
pub mod driver;
mod filter_program;
pub mod firewall;
pub mod forwarding;
pub mod lease;
pub mod link;
pub mod loopback;
pub mod name_files;
pub mod permanent;
pub mod published;
pub mod sandbox;
mod sandbox_file;

mod announce;
mod flows;
mod guards;
mod host_lease;
mod inside;
mod instance;
mod op;
mod presence;
#[cfg(test)]
mod samples;
mod sequence;
mod sysctl;
mod taken;

pub use announce::{Announcement, Neighbours, Through};
pub use flows::Flows;
pub use host_lease::HostAddress;
pub use inside::Surroundings;
pub use instance::Instance;
pub use op::{Op, Outcome, Place, What};
pub use presence::Presence;
pub use sandbox_file::{FileKind, SandboxFile};
pub use sequence::Plan;
pub use sysctl::Sysctl;
pub use taken::{Taken, TakenNow};
