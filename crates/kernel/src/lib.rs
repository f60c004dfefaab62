//! The kernel edge: netlink sockets, namespaces, settings, and Open vSwitch's database. It applies plans and reads
//! snapshots.
//!
//! A [`Machine`] lives as long as the process; a [`Session`] is one command on it.

mod announce;
mod apply;
mod batch;
mod datagrams;
mod disturbance;
mod error;
mod filters;
mod firewall;
mod flows;
mod foreign_rules;
mod holdings;
pub mod inside;
pub mod lab;
mod legacy;
mod links;
mod listener;
mod log;
mod look;
mod machine;
pub mod monitor;
pub mod named;
mod namespaces;
mod netns;
mod ovs;
mod ovsdb;
pub mod process;
pub mod sandbox_file;
mod sandboxes;
mod session;
mod settings;
mod socket;
mod stream;
pub mod sys;

pub use apply::{Applied, Deletions, Failed};
pub use batch::Batch;
pub use datagrams::Datagrams;
pub use disturbance::{Disturbance, disturb};
pub use error::Error;
pub use holdings::HoldingsSeen;
pub use legacy::{LegacyBarrier, legacy_barrier};
pub use listener::{BoundPort, Listener, Refusal, listeners};
pub use log::log;
pub use machine::Machine;
pub use namespaces::{NetnsFound, ProcessSeen};
pub use netns::Netns;
pub use session::{Observer, Session, StepHook, settings_writable};
pub use socket::{Answer, Counters, Kept, Netlink};
pub use stream::{Stream, Written};
