//! The owner of a run folder: a boot and a host namespace.

use serde::{Deserialize, Serialize};

/// A boot, and the network namespace that zubi calls the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostId {
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// `SO_NETNS_COOKIE` of a socket in the host namespace.
    pub netns_cookie: u64,
}

/// What to do with records of another host namespace of this boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OtherNamespace {
    /// They are in use there: opening fails.
    #[default]
    Refuse,
    /// They belong to an earlier namespace that this one replaces: they are removed.
    Forget,
}
