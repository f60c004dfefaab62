//! Decisions as pure functions: they make an endpoint or a network from wishes, records and host. Nothing here reads
//! the kernel or writes a record, so every decision has a unit test.

pub(crate) mod address;
pub(crate) mod automatic_pool;
pub(crate) mod book;
pub(crate) mod device;
pub(crate) mod endpoint;
pub(crate) mod host_device;
pub(crate) mod host_lease;
pub(crate) mod lease;
pub(crate) mod mac;
pub(crate) mod macvlan;
#[cfg(test)]
pub(crate) mod memory;
pub(crate) mod neighbourhood;
pub(crate) mod network;
pub(crate) mod obstacle;
pub(crate) mod ovs;
pub(crate) mod port;
pub(crate) mod sandbox_name;
pub(crate) mod uplink;
pub(crate) mod wishes;
