//! Reading: functions that answer one question from the host, a sandbox or the records.

pub(crate) mod addresses_in_use;
pub(crate) mod bridge_maker;
pub(crate) mod by_name;
pub(crate) mod card;
pub(crate) mod clock;
pub(crate) mod compare;
pub(crate) mod default_route;
pub(crate) mod device;
pub(crate) mod dhcp_client;
pub(crate) mod far_end;
pub(crate) mod foreign_changes;
pub(crate) mod given_elsewhere;
pub(crate) mod groups;
pub(crate) mod host;
pub(crate) mod host_key;
pub(crate) mod lease_files;
pub(crate) mod link_ends;
pub(crate) mod moved;
pub(crate) mod network_name;
pub(crate) mod owner;
pub(crate) mod pair;
pub(crate) mod sandbox;
pub(crate) mod unconfirmed;
pub(crate) mod unrecorded;
