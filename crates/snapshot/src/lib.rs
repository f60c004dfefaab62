//! What the kernel has, as one value; what a comparison needs of it; plans compared with it.
//!
//! # How it works
//! A [`Snapshot`] holds what was read: devices, addresses, routes and the rest of each namespace, our nftables table
//! and what other programs have. It knows which parts were read, so that *not read* ([`NotRead`]) is never taken for
//! *not there*. [`Needs`] names the parts that a question takes: [`Needs::of`] those that comparing operations takes.
//! The kernel crate reads them (`Session::look`); [`compare`] and [`lacking`] are pure.
//!
//! A snapshot stays as it was read. After a change, [`Snapshot::forget`] drops what the change made stale.

mod compare;
mod extent;
mod file;
mod firewall;
mod lacking;
mod needs;
mod place;
mod snapshot;

pub use compare::{Finding, compare, done, same_value};
pub use extent::Extent;
pub use file::{Unreadable, VERSION};
pub use firewall::{FirewallSeen, ForeignTables, GuestRuleSeen};
pub use lacking::{Inside, Pair, inner_end_differs, lacking, lacking_of_pair};
pub use needs::{ElementNeeds, FEW, FirewallNeeds, Needs, PlaceNeeds};
pub use place::{FiltersSeen, Namespace};
pub use snapshot::{NotRead, Snapshot};
