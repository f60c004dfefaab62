//! The plug-ins and their names.

use crate::version::Version;

/// A plug-in that zubi stands in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plugin {
    /// Zubi's own: `bridge` with the abilities of the others.
    Zubi,
    /// A device on a bridge.
    Bridge,
    /// A device with a MAC of its own on a network card.
    Macvlan,
    /// A device with the MAC of a network card, on it.
    Ipvlan,
    /// The device of a network card for one VLAN.
    Vlan,
    /// A device of the host as a whole.
    HostDevice,
    /// The loopback device.
    Loopback,
    /// Addresses from ranges.
    HostLocal,
    /// Addresses that the configuration names.
    Static,
    /// Published ports.
    Portmap,
    /// The ingress policy.
    Firewall,
    /// Settings of the device.
    Tuning,
}

impl Plugin {
    /// All plug-ins.
    pub const ALL: [Plugin; 12] = [
        Plugin::Zubi,
        Plugin::Bridge,
        Plugin::Macvlan,
        Plugin::Ipvlan,
        Plugin::Vlan,
        Plugin::HostDevice,
        Plugin::Loopback,
        Plugin::HostLocal,
        Plugin::Static,
        Plugin::Portmap,
        Plugin::Firewall,
        Plugin::Tuning,
    ];

    /// The plug-in with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.name() == name)
    }

    /// The plug-in's name: of its file and in `type`.
    pub fn name(self) -> &'static str {
        match self {
            Plugin::Zubi => "zubi",
            Plugin::Bridge => "bridge",
            Plugin::Macvlan => "macvlan",
            Plugin::Ipvlan => "ipvlan",
            Plugin::Vlan => "vlan",
            Plugin::HostDevice => "host-device",
            Plugin::Loopback => "loopback",
            Plugin::HostLocal => "host-local",
            Plugin::Static => "static",
            Plugin::Portmap => "portmap",
            Plugin::Firewall => "firewall",
            Plugin::Tuning => "tuning",
        }
    }

    /// The versions that the plug-in supports, oldest first.
    pub fn versions(self) -> &'static [Version] {
        match self {
            // As in the reference: it reads fields that results have since 0.4.0.
            Plugin::Firewall => &Version::ALL[4..],
            _ => &Version::ALL,
        }
    }

    /// Whether the plug-in only changes what earlier ones made.
    pub(crate) fn is_chained(self) -> bool {
        matches!(self, Plugin::Portmap | Plugin::Firewall | Plugin::Tuning)
    }
}
