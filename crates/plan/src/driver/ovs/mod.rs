//! The Open vSwitch driver: a veth pair for each endpoint, as on a Linux bridge, with the host end as a port of an Open
//! vSwitch bridge that another program made. What the bridge forwards passes no hook of the host, so the network has
//! neither firewall elements nor forwarding.
//!
//! # How it works
//! The port is a row of Open vSwitch's database, which outlives its device, the sandbox and a reboot. So the row says
//! whose it is, and it goes before the device does. ovs-vswitchd does not look again at a device that is made
//! anew under the name of a port: a pair that is made again gets a new row.

mod change;
mod endpoint;
mod network;
mod port;

pub(super) use change::change;
pub(super) use endpoint::{attach, detach, wanted};
pub(super) use network::{down, down_from, recognise_network, up};
pub use port::{is_marked, made_for};
