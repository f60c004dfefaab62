//! What a user asks for: each call decides, claims, applies and records.

pub(crate) mod attach;
pub(crate) mod background;
pub(crate) mod become_command;
pub(crate) mod change_mac;
pub(crate) mod come_back;
pub(crate) mod create_network;
pub(crate) mod described;
pub(crate) mod detach;
pub(crate) mod first_lease;
pub(crate) mod follow;
pub(crate) mod host_lease;
pub(crate) mod inside;
pub(crate) mod link;
pub(crate) mod networks;
pub(crate) mod publish;
pub(crate) mod remove_network;
pub(crate) mod renew_lease;
pub(crate) mod renewal;
pub(crate) mod reserve;
pub(crate) mod run;
pub(crate) mod sandbox;
pub(crate) mod set_network;
pub(crate) mod settle;
pub(crate) mod unlink;
pub(crate) mod unpublish;
pub(crate) mod uplink;
