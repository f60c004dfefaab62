//! The plug-ins, by the names they are called with.

use crate::version::Version;

/// A plug-in: what is called by this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plugin {
    /// Our own: a bridge with everything.
    Zubi,
    /// A device on a bridge.
    Bridge,
    /// The loopback device.
    Loopback,
    /// Addresses out of ranges.
    HostLocal,
    /// Addresses as they are written.
    Static,
    /// Published ports.
    Portmap,
    /// Who may come in.
    Firewall,
    /// Settings of the device.
    Tuning,
}

impl Plugin {
    /// All of them.
    pub const ALL: [Plugin; 8] = [
        Plugin::Zubi,
        Plugin::Bridge,
        Plugin::Loopback,
        Plugin::HostLocal,
        Plugin::Static,
        Plugin::Portmap,
        Plugin::Firewall,
        Plugin::Tuning,
    ];

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.name() == name)
    }

    /// Its name: of the file, and under `type`.
    pub fn name(self) -> &'static str {
        match self {
            Plugin::Zubi => "zubi",
            Plugin::Bridge => "bridge",
            Plugin::Loopback => "loopback",
            Plugin::HostLocal => "host-local",
            Plugin::Static => "static",
            Plugin::Portmap => "portmap",
            Plugin::Firewall => "firewall",
            Plugin::Tuning => "tuning",
        }
    }

    /// The versions it speaks, oldest first.
    pub fn versions(self) -> &'static [Version] {
        match self {
            // As the reference: what it needs of a result came then.
            Plugin::Firewall => &Version::ALL[4..],
            _ => &Version::ALL,
        }
    }

    /// Whether it only changes what other plug-ins made.
    pub(crate) fn is_chained(self) -> bool {
        matches!(self, Plugin::Portmap | Plugin::Firewall | Plugin::Tuning)
    }
}
