//! CNI, versions 0.1.0 to 1.1.0 of its specification: requests to what is to be done, endpoints to results.
//!
//! # How it works
//!
//! [`parse`] takes the environment and stdin of a plug-in and gives a [`Call`]: the verb, and for most verbs a [`Task`]
//! with the plug-in's [`Share`] of the work in the words of the model. All of it is checked there, before anybody does
//! anything. What was done becomes a [`CniResult`], which is printed in the format of the version that was asked for; what
//! went wrong becomes a [`CniError`].
//!
//! # Limits
//!
//! - No file is read and no program started: `resolvConf`, other IPAM plug-ins and allow-lists are named to the caller.
//! - VLAN filtering, conditions for port mappings and bandwidth limits are refused, by name.
//!
//! # Invariants
//!
//! - DEL, CHECK and GC never fail for what is missing; DEL needs only names, whatever the configuration has become.
//! - A variable that the verb does not use is not looked at.
//! - What a chain has in its result and we do not know stays in it.

mod args;
mod bridge;
mod context;
mod dns;
mod environment;
mod error;
mod fields;
mod firewall;
mod host_local;
mod intent;
mod ipam;
mod plugin;
mod portmap;
mod reply;
mod request;
mod result;
mod routes;
mod runtime;
mod share;
mod static_ipam;
mod tuning;
mod version;
mod zubi;

pub use dns::{Dns, parse_resolv_conf};
pub use environment::{Attachment, ContainerId, Environment};
pub use error::{CniError, Code};
pub use intent::{Fixed, Gc, Ipam, Police, Publish, Reserve, Share, Status, Switch, Task, Tune, Wire, WireNetwork};
pub use plugin::Plugin;
pub use reply::{about, versions};
pub use request::{Call, LARGEST_REQUEST, Verb, parse};
pub use result::{Address, CniResult, Interface, Route};
pub use version::Version;
