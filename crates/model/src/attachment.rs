//! By which device an endpoint is attached to its network.
//!
//! This file is the only one of the crate that matches on [`Device`]: [`Endpoint`](crate::Endpoint) answers every
//! question about its device by the methods here.

use crate::{IfName, IpvlanMode, Mac, MovedDevice, VlanId};
use serde::{Deserialize, Serialize};

/// What an endpoint is, on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Device {
    /// A veth pair: one end is a port of a bridge, the other is inside the sandbox.
    Pair(Pair),
    /// A macvlan or an ipvlan inside the sandbox. The host has no device of its own for it.
    Macvlan(OnParent),
    /// A veth pair: one end is a port of an Open vSwitch bridge, the other is inside the sandbox.
    Ovs(Pair),
    /// A device of the host, inside the sandbox as long as the endpoint lasts.
    Moved(Box<MovedDevice>),
}

/// The host's side of a veth pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The host end.
    pub host: IfName,
    /// The bridge that the host end is a port of.
    pub bridge: IfName,
}

/// What a macvlan or an ipvlan is made on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnParent {
    /// The device of the host.
    pub parent: IfName,
    /// The host's own macvlan there, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shim: Option<IfName>,
    /// What it has if it is an ipvlan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipvlan: Option<OnIpvlan>,
    /// The VLAN that it is for, if it is for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<VlanId>,
}

/// What an endpoint has whose device is an ipvlan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnIpvlan {
    /// What no other endpoint of the network has: they all have the card's MAC.
    pub key: Mac,
    /// See [`IpvlanMode`].
    pub mode: IpvlanMode,
}

impl OnParent {
    /// The kind of the device inside, as the kernel names it.
    pub fn kind(&self) -> &'static str {
        match (self.ipvlan, self.vlan) {
            (Some(_), _) => "ipvlan",
            (None, Some(_)) => "vlan",
            (None, None) => "macvlan",
        }
    }
}

impl Device {
    /// A veth pair.
    pub fn pair(host: IfName, bridge: IfName) -> Self {
        Device::Pair(Pair { host, bridge })
    }

    /// A veth pair on an Open vSwitch bridge.
    pub fn ovs(host: IfName, bridge: IfName) -> Self {
        Device::Ovs(Pair { host, bridge })
    }

    /// The device on the host that is the endpoint's alone.
    pub fn on_host(&self) -> Option<&IfName> {
        match self {
            Device::Pair(pair) | Device::Ovs(pair) => Some(&pair.host),
            Device::Macvlan(_) | Device::Moved(_) => None,
        }
    }

    /// The device by which the endpoint's packets reach the host; `None` if they leave past it.
    pub fn network_device(&self) -> Option<&IfName> {
        match self {
            Device::Pair(pair) => Some(&pair.bridge),
            // What is forwarded between the ports passes the host by.
            Device::Macvlan(_) | Device::Ovs(_) | Device::Moved(_) => None,
        }
    }

    /// The device of the host that it is made on, or that it is itself, where it has none of its own there.
    pub fn parent(&self) -> Option<&IfName> {
        match self {
            Device::Pair(_) | Device::Ovs(_) => None,
            Device::Macvlan(on) => Some(&on.parent),
            Device::Moved(moved) => Some(&moved.name),
        }
    }

    /// What it has if it is an ipvlan.
    pub fn ipvlan(&self) -> Option<&OnIpvlan> {
        match self {
            Device::Pair(_) | Device::Ovs(_) | Device::Moved(_) => None,
            Device::Macvlan(on) => on.ipvlan.as_ref(),
        }
    }

    /// The device of the host that it is itself.
    pub fn moved(&self) -> Option<&MovedDevice> {
        match self {
            Device::Pair(_) | Device::Ovs(_) | Device::Macvlan(_) => None,
            Device::Moved(moved) => Some(moved),
        }
    }

    /// The kind of the device inside, as the kernel names it; hardware has none.
    pub fn inner_kind(&self) -> Option<&str> {
        match self {
            Device::Pair(_) | Device::Ovs(_) => Some("veth"),
            Device::Macvlan(on) => Some(on.kind()),
            Device::Moved(moved) => moved.device_kind.as_deref(),
        }
    }

    /// Whether the device inside has a MAC that is the endpoint's alone. Ipvlans share that of their card, and devices
    /// without frames have none.
    pub fn has_own_mac(&self) -> bool {
        match self {
            Device::Pair(_) | Device::Ovs(_) => true,
            Device::Macvlan(on) => on.ipvlan.is_none(),
            Device::Moved(moved) => moved.mac.is_some(),
        }
    }

    /// The Open vSwitch bridge that its device on the host is a port of.
    pub fn ovs_bridge(&self) -> Option<&IfName> {
        match self {
            Device::Pair(_) | Device::Macvlan(_) | Device::Moved(_) => None,
            Device::Ovs(pair) => Some(&pair.bridge),
        }
    }
}
