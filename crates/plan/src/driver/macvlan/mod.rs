//! The macvlan driver: each endpoint is a macvlan or an ipvlan on a network card of the host, born inside the sandbox. What
//! it sends passes no hook of the host that is a matter of zubi's, so the network has neither firewall elements nor
//! forwarding.

mod change;
mod described;
mod endpoint;
mod links;
mod network;
mod recognise;
mod shim;

pub(super) use change::change;
pub(super) use described::first_described;
pub(super) use endpoint::{attach, change_mac, delete_device, detach, wanted, withdraw};
pub(super) use network::{down, down_from, mark, up};
pub(super) use recognise::{recognise_inner_end, recognise_network, standing};
