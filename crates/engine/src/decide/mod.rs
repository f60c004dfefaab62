//! Decisions, pure: wishes, and what records and host say, make an endpoint or a network. Nothing here reads the kernel or
//! writes a record, and every decision is tested without either.

pub(crate) mod address;
pub(crate) mod book;
pub(crate) mod device;
pub(crate) mod endpoint;
pub(crate) mod mac;
#[cfg(test)]
pub(crate) mod memory;
pub(crate) mod network;
pub(crate) mod obstacle;
pub(crate) mod port;
pub(crate) mod wishes;
