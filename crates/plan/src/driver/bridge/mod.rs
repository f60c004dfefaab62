//! The bridge driver: a Linux bridge on the host, and a veth pair for each endpoint with one end on the bridge and the
//! other inside the sandbox.

mod change;
mod described;
mod endpoint;
mod links;
mod network;
mod port;
mod recognise;
mod take;
mod uplink;

pub(super) use change::{Bridged, change};
pub(super) use described::{first_described, mode};
pub(super) use endpoint::{attach, change_mac, delete_device, detach, detach_pair, publish, unpublish, wanted};
pub(super) use links::{doomed_name, pair};
pub(super) use network::{down, down_from, elements, kept, mark, put_marks_back, take_from_host, up, up_with};
pub(super) use recognise::{
    is_of_host, leads_to_a_sandbox, recognise_doomed, recognise_host_end, recognise_inner_end, recognise_network,
    standing,
};
pub(super) use take::give_back;
pub use uplink::SETTINGS;
pub(super) use uplink::{give_card_back, take_over};
