//! Snapshots of the kernel's state, the needs of a comparison, and the comparison of plans with a snapshot.
//!
//! # How it works
//! A [`Snapshot`] holds the state that was read: devices, addresses, routes and the rest of each namespace, our
//! nftables table and other programs' tables. It knows which parts were read, so that *not read* ([`NotRead`]) is never
//! taken for *missing*. [`Needs`] names the parts that a query needs: [`Needs::of`] names those for comparing
//! operations. The kernel crate reads them (`Session::look`); [`compare()`] and [`lacking()`] are pure.
//!
//! A snapshot does not update itself. After a change, [`Snapshot::forget`] drops the parts that may have changed.

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
pub use snapshot::{NotRead, OvsAnswer, Snapshot};
