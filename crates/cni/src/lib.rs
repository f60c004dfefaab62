//! CNI, versions 0.1.0 to 1.1.0 of its specification: requests to intents, endpoints to results.
//!
//! # How it works
//!
//! [`parse`] takes a plug-in's environment and stdin and returns a [`Call`]: the verb, and for most verbs a [`Task`]
//! with the plug-in's [`Share`] of the work in the model's words. It checks the whole request, so a wrong one fails
//! before anything changes. A [`CniResult`] says what was made and renders in the format of the request's version; a
//! [`CniError`] says what failed.
//!
//! # Limits
//!
//! - The crate reads no file and starts no program: the caller does that for `resolvConf`, allow-lists and other IPAM
//!   plug-ins.
//! - VLAN filtering, conditions for port mappings and bandwidth limits are refused, by name.
//!
//! # Invariants
//!
//! - Only ADD fails for a missing `prevResult`. DEL accepts any configuration whose names are valid.
//! - Variables that the verb does not use are ignored.
//! - Unknown keys of a chain's result are kept.

mod args;
mod bridge;
mod context;
mod dhcp;
mod dns;
mod environment;
mod error;
mod fields;
mod firewall;
mod host_device;
mod host_local;
mod intent;
mod ipam;
mod ipvlan;
mod macvlan;
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
mod vlan;
mod zubi;

pub use dns::{Dns, parse_resolv_conf};
pub use environment::{Attachment, ContainerId, Environment};
pub use error::{CniError, Code};
pub use intent::{
    DeviceWish, Fixed, Gc, IngressPolicy, Ipam, Publish, Reserve, Share, Status, Switch, Task, Tune, Wire, WireNetwork,
};
pub use plugin::Plugin;
pub use reply::{about, versions};
pub use request::{Call, LARGEST_REQUEST, Verb, parse};
pub use result::{Address, CniResult, Interface, Route};
pub use version::Version;
