//! The host-device driver: the endpoint is a whole device of the host, which is inside the sandbox as long as it lasts.

use crate::serial::is_default;
use crate::{Device, IfName, Mac, MovedDevice, NetworkName, UplinkSpec};
use serde::{Deserialize, Serialize};

/// Whether a device by which the host reaches the outside may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WayOut {
    /// It stays.
    #[default]
    Kept,
    /// The user has seen to it.
    MayGo,
}

/// What a network has because its endpoint is a device of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostDeviceNetwork {
    /// The device, by its name on the host.
    pub device: IfName,
    /// Its MAC, as it was when the network was made; some devices have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// See [`WayOut`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub way_out: WayOut,
}

impl HostDeviceNetwork {
    /// What the device is stays open until it is looked at, see [`Endpoint::device`](crate::Endpoint::device).
    pub(super) fn device_of_endpoint(&self) -> Device {
        Device::Moved(Box::new(MovedDevice::unseen(self.device.clone())))
    }

    pub(super) fn publishes(network: &NetworkName) -> Result<(), String> {
        Err(format!(
            "the endpoint of network {network} is a device of the host, and what comes by it passes no rule here"
        ))
    }

    /// A program that describes a network may name another device for each container.
    pub(super) fn most_endpoints(network: &NetworkName) -> usize {
        const OF_PROGRAMS: usize = 1000;
        if network.source().is_some() { OF_PROGRAMS } else { 1 }
    }
}

/// A network of this driver as a user asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostDeviceSpec {
    /// The device.
    pub card: UplinkSpec,
    /// See [`WayOut`].
    pub way_out: WayOut,
}

impl HostDeviceSpec {
    /// The MAC is known to the kernel alone.
    pub(super) fn decide(self) -> HostDeviceNetwork {
        HostDeviceNetwork { device: self.card.parent, mac: None, way_out: self.way_out }
    }
}

/// A network of this driver as another program describes it with every call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostDeviceDescription {
    /// The device of the next endpoint.
    pub device: IfName,
    /// See [`WayOut`].
    pub way_out: WayOut,
}

impl HostDeviceDescription {
    /// The part of a network that is described for the first time.
    pub fn first(&self, mac: Option<Mac>) -> HostDeviceNetwork {
        HostDeviceNetwork { device: self.device.clone(), mac, way_out: self.way_out }
    }

    /// Endpoints that exist have their devices in their records.
    pub(super) fn onto(&self, old: &HostDeviceNetwork) -> HostDeviceNetwork {
        let mac = old.mac.filter(|_| old.device == self.device);
        HostDeviceNetwork { device: self.device.clone(), mac, way_out: self.way_out }
    }
}
