//! What zubi remembers on disk.
//!
//! # How it works
//!
//! Two folders. `state` outlives the boot and holds networks. `run` belongs to one boot of one host namespace
//! and holds the rest:
//!
//! | path | is |
//! |---|---|
//! | `state/networks/NAME.json` | a network; `NAME.json~`: what it was before it was last changed |
//! | `run/networks/NAME.json` | a network that another program describes with every call |
//! | `run/making/NAME.json` | what a network is to be while it is made, changed or taken away |
//! | `run/host.json` | the boot and the host namespace that `run` belongs to |
//! | `run/lock/*` | files to lock, without content |
//! | `run/pending/COOKIE.NETWORK.json` | an endpoint that is being attached or detached |
//! | `run/endpoints/COOKIE/NETWORK.json` | an attached endpoint |
//! | `run/names/NETWORK/NAME` | which sandbox a name means on a network |
//! | `run/leases/NETWORK/ADDRESS` | whose an address is; `.cursor4` and `.cursor6`: the one given last |
//! | `run/macs/NETWORK/MAC` | whose a MAC is |
//! | `run/ports/PROTOCOL/BLOCK` | whose the published ports of a block of 256 are |
//! | `run/linking/ID.json` | a link that is being made or unmade |
//! | `run/links/ID.json` | a link |
//! | `run/stale/ADDRESS@NETWORK` | a free address of which the kernel may still remember connections |
//! | `run/doomed/IFNAME` | a device that is only waiting for its deletion |
//! | `run/forwarding.json` | what this host's forwarding was before zubi switched it on |
//! | `run/.firewall-seen` | when the firewall was last found in order; only a hint |
//! | `run/sandboxes/NAME.json` | a named namespace that zubi made |
//! | `run/reserved/NETWORK/ADDRESS` | whose an address is, for a device that is none of ours; `by/OWNER`: which are whose |
//!
//! # Invariants
//!
//! - A file is complete before it is visible: written under a temporary name in its folder, then linked (where
//!   it must be the first) or renamed (where it replaces). Leases and MACs are symbolic links to the name of their
//!   owner: made by one system call, complete, and only if there is none.
//! - A record says its format's version and its own sum: one that was damaged is found, not believed.
//! - Nothing that cannot be read is erased or overwritten on that account: it is reported.
//! - Folders are 0700 and files 0600, whatever the umask. A folder that others can write to is refused.
//! - A file that vanishes between listing and reading was removed by another process, and is skipped.
//! - Only `state` is synced; `run` is meant for a tmpfs.
//!
//! # Locks
//!
//! Callers lock; the store only locks what no caller can see (the opening of `run`, the name index). The order
//! is host, sandbox, leases, ports. Every change happens under the host lock, shared at least; what is said about an
//! endpoint ("the owner of a lease") holds under its sandbox's lock.
//!
//! # Failpoints
//!
//! Every single effect on a file is told to an observer when it has happened, see [`Store::with_steps`].

mod custody;
mod disk;
mod doomed;
mod endpoint;
mod error;
mod fnv;
mod forwarding;
mod holder;
mod host;
mod key;
mod lease;
mod link;
mod lock;
mod name;
mod network;
mod opening;
mod owned;
mod port;
mod reserved;
mod sandbox;
mod seen;
mod stale;
mod store;
mod versioned;

#[cfg(test)]
mod damage;
#[cfg(test)]
mod scratch;

pub use endpoint::Pending;
pub use error::StoreError;
pub use forwarding::{Forwarding, Setting, SwitchedOn};
pub use holder::Holder;
pub use host::{HostId, OtherNamespace};
pub use lock::{Lock, Mode};
pub use network::{NetworkDraft, Unsynced};
pub use opening::Opening;
pub use owned::Claim;
pub use port::{PortClaim, PortsLock};
pub use reserved::ReservedLock;
pub use sandbox::{Maker, SandboxRecord};
pub use seen::FirewallSeen;
pub use store::{Dirs, Store};
