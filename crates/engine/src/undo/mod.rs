//! Removes endpoints, links, networks and sandboxes, whatever state they are in.

pub(crate) mod endpoint;
pub(crate) mod followed;
pub(crate) mod lease;
pub(crate) mod link;
pub(crate) mod network;
pub(crate) mod sandbox;
