//! The kernel edge: netlink sockets, namespaces and settings; plans are applied here, and what exists is read.

mod announce;
mod apply;
mod error;
mod examine;
mod filters;
mod firewall;
mod flows;
pub mod inside;
pub mod lab;
mod legacy;
mod links;
mod listener;
mod machine;
pub mod named;
mod netns;
pub mod process;
mod settings;
mod socket;
mod strangers;
pub mod sys;

pub use apply::{Applied, Deletions, Failed};
pub use error::Error;
pub use examine::Finding;
pub use firewall::FirewallSeen;
pub use legacy::{LegacyBarrier, legacy_barrier};
pub use listener::{BoundPort, Listener, Refusal, listeners};
pub use machine::{Kernel, Observer, StepHook, settings_writable};
pub use netns::Netns;
pub use socket::{Answer, Counters, Kept, Netlink};
pub use strangers::Guest;
