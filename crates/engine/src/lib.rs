//! The engine: every way into zubi ends in one of these calls.
//!
//! # How it works
//!
//! Everything is decided first, over a snapshot: names, addresses, device names, and the plan. Then the record is
//! written, and only then the kernel is touched; on an error everything is undone. A record in `pending` that nobody
//! holds the lock of is what a killed process left: whoever comes next takes it away, see [`Engine::gc`].
//!
//! Locks, in this order: the host's (shared to connect and disconnect; alone to make or remove what networks share),
//! the sandbox's, the leases' of a network, the published ports'. All are `flock`s: the kernel drops them when a process dies.

mod attach;
mod called;
mod chance;
mod check;
mod choose;
mod coexist;
mod config;
mod described;
mod detach;
mod engine;
mod error;
mod fault;
mod foreign_changes;
mod forwarding;
mod gc;
mod linger;
mod link;
mod link_check;
mod list;
mod network;
mod occupied;
mod problem;
mod publish;
mod rebuild;
mod records;
mod repair;
mod reserve;
mod resolve;
mod run;
mod sandbox;
mod set_network;
mod shadowed;

pub use attach::{Attached, Attachment};
pub use config::{Coexistence, Config, Forwarding};
pub use detach::Detached;
pub use engine::{Act, Compared, Engine, Report};
pub use error::{Class, Error};
pub use link::{LinkState, LinkView, Linked, Unlinked};
pub use list::{BridgeView, EndpointView, PortView};
pub use problem::{Problem, ProblemKind};
pub use publish::Published;
pub use run::{Ended, Model, RunSpec, Started};
pub use sandbox::{Force, SandboxView};
pub use set_network::NetworkSet;

pub use zubi_kernel::{Finding, Observer};
pub use zubi_store::OtherNamespace;
