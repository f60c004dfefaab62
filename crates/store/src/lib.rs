//! Records, leases and locks on disk.
//!
//! # How it works
//!
//! The store has two folders. `state` survives a reboot and holds the networks that users made. `run` belongs to one
//! boot of one host namespace and holds everything else:
//!
//! | path | content |
//! |---|---|
//! | `state/networks/NAME.json` | a network; `NAME.json~`: its version before the last change |
//! | `state/followed/NETWORK%40NAME.json` | a sandbox that gets its endpoint again when it comes back |
//! | `state/guests/ID.json` | a network of Docker's, and the zubi network that it is |
//! | `state/host-key` | random bytes that distinguish this host, where it has no machine id |
//! | `run/networks/NAME.json` | a described network, with `NAME.json~` as above |
//! | `run/making/NAME.json` | a network that is being created, changed or removed, in its new state |
//! | `run/takeovers/NAME.json` | what the host had on the network card that the network has as a port |
//! | `run/went-back/NAME.json` | why a network card went back to the host |
//! | `run/host.json` | the boot and the host namespace that `run` belongs to |
//! | `run/lock/` | files to lock: `host`, `ports`, `daemon`, `sandbox-COOKIE`, `leases-NETWORK`, `names-NETWORK`, `run-SANDBOX` |
//! | `run/pending/COOKIE.NETWORK.json` | an endpoint that is being attached or detached, with the pair that it takes over |
//! | `run/endpoints/COOKIE/NETWORK.json` | an attached endpoint |
//! | `run/reservations/NETWORK/OWNER.json` | a reservation, for another program's device or a future sandbox |
//! | `run/names/NETWORK/NAME` | the cookie of the sandbox that a name leads to on a network |
//! | `run/leases/NETWORK/ADDRESS` | a link to the owner of an address, an endpoint or a reservation |
//! | `run/leases/NETWORK/.cursor4`, `.cursor6`, `.cursor4.SET` | the last address chosen from a set of pools |
//! | `run/macs/NETWORK/MAC` | a link to the owner of a MAC |
//! | `run/macs/NETWORK/.other-ADDRESS` | a mark: neighbours may know the address under another MAC |
//! | `run/ports/PROTOCOL/BLOCK` | the owners of the published ports of a block of 256 |
//! | `run/linking/ID.json` | a link that is being made or removed |
//! | `run/links/ID.json` | a link |
//! | `run/stale/ADDRESS@NETWORK` | a mark: the kernel may still track connections of a free address |
//! | `run/doomed/IFNAME` | a doomed device |
//! | `run/resolver/NETWORK` | the daemon answers names on the network; it makes and removes these files itself |
//! | `run/forwarding.json` | the host's forwarding settings before zubi switched forwarding on |
//! | `run/sandboxes/NAME.json` | a named sandbox whose name zubi made |
//! | `run/.firewall-seen` | a hint: the generation in which the firewall was last found in order |
//! | `.tmp-PID-NUMBER` in any of these folders | an incomplete file |
//!
//! `OWNER` and `NAME` of `run/names` are escaped: `%XX` for characters that a file name should not contain, `%-` and a
//! hash for long ones.
//!
//! # Invariants
//!
//! - A file is complete before it is visible: written under a temporary name in its folder, then linked (where it must
//!   be the first) or renamed (where it replaces). Leases and MACs are symbolic links whose target is the owner: one
//!   system call makes one, complete, and only if there is none.
//! - A record begins with the version of its format and its own sum: damage is found, not believed.
//! - A file that cannot be read is neither erased nor overwritten, but reported.
//! - Folders are 0700 and files 0600, whatever the umask. A folder that other users can write to is refused.
//! - A file that vanishes between listing and reading was removed by another process, and is skipped.
//! - Only `state` is synced; `run` is intended for a tmpfs.
//!
//! # Locks
//!
//! Callers take the locks; the store itself locks only the opening of `run` and the index of names. `order.rs` defines
//! the locks and their order as types. Every change needs the host's lock, at least shared, with three exceptions: the
//! reaper's removals from `stale` and `doomed`, the hint `.firewall-seen`, and drafts, which are invisible. Information
//! about an endpoint in a record or a lease is valid under the lock of its sandbox; a lease of a reservation, under the
//! lock of the leases.
//!
//! # Failpoints
//!
//! An observer is called after every single change of a file, see [`Store::with_steps`].

mod custody;
mod disk;
mod doomed;
mod endpoint;
mod error;
mod followed;
mod forwarding;
mod guest_network;
mod holder;
mod host;
mod host_id;
mod host_key;
mod key;
mod lease;
mod link;
mod lock;
mod name;
mod network;
mod opening;
mod order;
mod owned;
mod port;
mod reservation;
mod sandbox;
mod seen;
mod stale;
mod store;
mod takeover;
mod versioned;

#[cfg(test)]
mod damage;
#[cfg(test)]
mod scratch;

pub use endpoint::Pending;
pub use error::StoreError;
pub use forwarding::{Forwarding, Setting, SwitchedOn};
pub use holder::Holder;
pub use host_id::{HostId, OtherNamespace};
pub use network::{NetworkDraft, Unsynced};
pub use opening::Opening;
pub use order::{DaemonLock, ExclusiveHost, HostLock, LeasesLock, PortsLock, ReaperLock, RunLock, SandboxLock};
pub use owned::{Claim, TakeOver};
pub use port::PortClaim;
pub use reservation::Reserved;
pub use sandbox::{Maker, SandboxRecord};
pub use seen::FirewallSeen;
pub use store::{Dirs, Store};
pub use takeover::{TakeOverRecord, WentBack};
pub use zubi_model::{LeaseOwner, Reservation};
