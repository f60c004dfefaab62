//! Completing or undoing what killed commands left unfinished, and making the kernel match the records again.

pub(crate) mod endpoint;
pub(crate) mod gc;
pub(crate) mod gone;
pub(crate) mod kept;
pub(crate) mod leftovers;
pub(crate) mod link;
pub(crate) mod missing;
pub(crate) mod object;
pub(crate) mod ports;
pub(crate) mod rebuild;
pub(crate) mod repair;
pub(crate) mod slow;
pub(crate) mod takeover;
pub(crate) mod tidings;
pub(crate) mod unfinished_networks;
pub(crate) mod unused_networks;
