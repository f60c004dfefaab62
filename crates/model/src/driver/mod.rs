//! Drivers: what connects the endpoints of a network.
//!
//! # How it works
//! What only the networks of one driver have stands in that driver's file. This file is the dispatch, and the only one
//! of the crate that matches on these enums: [`Network`](crate::Network) answers every question about its driver by the
//! methods here. A new driver adds its file, a variant to each enum, and an arm to each method.

mod bridge;
mod card_mode;
mod host_device;
mod macvlan;
mod ovs;

pub use bridge::{
    BridgeChange, BridgeDescription, BridgeMode, BridgeNetwork, BridgeSpec, ExistingBridge, ForeignBridge, Hairpin,
    HostClient, Icc, Ingress, Promiscuity, UplinkSpec,
};
pub use card_mode::{CardMode, IpvlanMode, MacvlanMode};
pub use host_device::{HostDeviceDescription, HostDeviceNetwork, HostDeviceSpec, WayOut};
pub use macvlan::{Broadcasts, CardVlan, HostShim, MacvlanDescription, MacvlanNetwork, MacvlanSpec, ShimWish};
pub use ovs::{Datapath, OvsDescription, OvsNetwork, OvsSpec};

use crate::{Device, Difference, IfName, Invalid, Mac, NetworkId, NetworkName, VlanId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The driver of a network, with what only its networks have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Driver {
    /// A Linux bridge with veth pairs.
    Bridge(BridgeNetwork),
    /// Macvlans or ipvlans on a network card.
    Macvlan(MacvlanNetwork),
    /// An Open vSwitch bridge with veth pairs.
    Ovs(OvsNetwork),
    /// A whole device of the host.
    #[serde(rename = "host-device")]
    HostDevice(HostDeviceNetwork),
}

/// Which driver, as a word for tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DriverKind {
    /// See [`Driver::Bridge`].
    Bridge,
    /// A bridge with a network card of the host as a port.
    Uplink,
    /// See [`Driver::Macvlan`].
    Macvlan,
    /// The same with ipvlans.
    Ipvlan,
    /// The same with the card's device for a VLAN.
    Vlan,
    /// See [`Driver::Ovs`].
    Ovs,
    /// See [`Driver::HostDevice`].
    HostDevice,
}

impl fmt::Display for DriverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            DriverKind::Bridge => "bridge",
            DriverKind::Uplink => "uplink",
            DriverKind::Macvlan => "macvlan",
            DriverKind::Ipvlan => "ipvlan",
            DriverKind::Vlan => "vlan",
            DriverKind::Ovs => "ovs",
            DriverKind::HostDevice => "host-device",
        })
    }
}

impl Driver {
    /// Which driver it is.
    pub fn kind(&self) -> DriverKind {
        match self {
            Driver::Bridge(bridge) if bridge.parent.is_some() => DriverKind::Uplink,
            Driver::Bridge(_) => DriverKind::Bridge,
            Driver::Macvlan(macvlan) if macvlan.mode.ipvlan().is_some() => DriverKind::Ipvlan,
            Driver::Macvlan(macvlan) if macvlan.mode.vlan().is_some() => DriverKind::Vlan,
            Driver::Macvlan(_) => DriverKind::Macvlan,
            Driver::Ovs(_) => DriverKind::Ovs,
            Driver::HostDevice(_) => DriverKind::HostDevice,
        }
    }

    pub(crate) fn device(&self) -> &IfName {
        match self {
            Driver::Bridge(bridge) => &bridge.device,
            Driver::Macvlan(macvlan) => &macvlan.parent,
            Driver::Ovs(ovs) => &ovs.bridge,
            Driver::HostDevice(part) => &part.device,
        }
    }

    pub(crate) fn device_mac(&self) -> Option<Mac> {
        match self {
            Driver::Bridge(bridge) => bridge.owned_mac(),
            Driver::Macvlan(macvlan) => macvlan.own,
            Driver::Ovs(_) | Driver::HostDevice(_) => None,
        }
    }

    /// The bridge's part, for what is about bridges alone.
    pub fn bridge(&self) -> Option<&BridgeNetwork> {
        match self {
            Driver::Bridge(bridge) => Some(bridge),
            Driver::Macvlan(_) | Driver::Ovs(_) | Driver::HostDevice(_) => None,
        }
    }

    /// The macvlan's part, for what is about macvlans alone.
    pub fn macvlan(&self) -> Option<&MacvlanNetwork> {
        match self {
            Driver::Macvlan(macvlan) => Some(macvlan),
            Driver::Bridge(_) | Driver::Ovs(_) | Driver::HostDevice(_) => None,
        }
    }

    /// Open vSwitch's part, for what is about its bridges alone.
    pub fn ovs(&self) -> Option<&OvsNetwork> {
        match self {
            Driver::Ovs(ovs) => Some(ovs),
            Driver::Bridge(_) | Driver::Macvlan(_) | Driver::HostDevice(_) => None,
        }
    }

    /// The part of a network whose endpoint is a whole device of the host.
    pub fn whole_device(&self) -> Option<&HostDeviceNetwork> {
        match self {
            Driver::HostDevice(part) => Some(part),
            Driver::Bridge(_) | Driver::Macvlan(_) | Driver::Ovs(_) => None,
        }
    }

    pub(crate) fn is_firewalled(&self) -> bool {
        match self {
            Driver::Bridge(bridge) => bridge.is_firewalled(),
            // Its packets pass no hook of the host.
            Driver::Macvlan(_) | Driver::Ovs(_) | Driver::HostDevice(_) => false,
        }
    }

    pub(crate) fn shares_subnets(&self) -> bool {
        match self {
            Driver::Bridge(bridge) => bridge.shares_subnets(),
            Driver::Macvlan(macvlan) => macvlan.card().is_some() && !macvlan.mode.is_routed(),
            Driver::Ovs(_) | Driver::HostDevice(_) => true,
        }
    }

    pub(crate) fn parent(&self) -> Option<&IfName> {
        match self {
            Driver::Bridge(bridge) => bridge.parent.as_ref(),
            Driver::Macvlan(_) | Driver::Ovs(_) | Driver::HostDevice(_) => None,
        }
    }

    pub(crate) fn host_client(&self) -> Option<&HostClient> {
        match self {
            Driver::Bridge(bridge) => bridge.host_client.as_ref(),
            Driver::Macvlan(_) | Driver::Ovs(_) | Driver::HostDevice(_) => None,
        }
    }

    pub(crate) fn with_host_client(self, client: HostClient) -> Self {
        match self {
            Driver::Bridge(bridge) => Driver::Bridge(BridgeNetwork { host_client: Some(client), ..bridge }),
            Driver::Macvlan(_) | Driver::Ovs(_) | Driver::HostDevice(_) => self,
        }
    }

    pub(crate) fn with_card_vlan(self, vlan: Option<CardVlan>) -> Self {
        match self {
            Driver::Macvlan(macvlan) => Driver::Macvlan(MacvlanNetwork { vlan, ..macvlan }),
            Driver::Bridge(_) | Driver::Ovs(_) | Driver::HostDevice(_) => self,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        match self {
            Driver::Bridge(bridge) => bridge.ingress == Ingress::Open,
            Driver::Macvlan(_) | Driver::Ovs(_) | Driver::HostDevice(_) => true,
        }
    }

    pub(crate) fn publishes(&self, network: &NetworkName) -> Result<(), String> {
        match self {
            Driver::Bridge(bridge) => bridge.publishes(network),
            Driver::Macvlan(_) => MacvlanNetwork::publishes(network),
            Driver::Ovs(ovs) => ovs.publishes(network),
            Driver::HostDevice(_) => HostDeviceNetwork::publishes(network),
        }
    }

    pub(crate) fn most_endpoints(&self, network: &NetworkName) -> usize {
        match self {
            Driver::Bridge(_) | Driver::Ovs(_) => bridge::MOST_ENDPOINTS,
            Driver::Macvlan(macvlan) => macvlan.most_endpoints(),
            Driver::HostDevice(_) => HostDeviceNetwork::most_endpoints(network),
        }
    }

    pub(crate) fn shared_mac(&self) -> Option<Mac> {
        match self {
            Driver::Macvlan(macvlan) => macvlan.shared_mac(),
            Driver::Bridge(_) | Driver::Ovs(_) | Driver::HostDevice(_) => None,
        }
    }

    pub(crate) fn device_of_endpoint(&self, host: IfName, key: Mac) -> Device {
        match self {
            Driver::Bridge(bridge) => Device::pair(host, bridge.device.clone()),
            Driver::Macvlan(macvlan) => macvlan.device_of_endpoint(key),
            Driver::Ovs(ovs) => ovs.device_of_endpoint(host),
            Driver::HostDevice(part) => part.device_of_endpoint(),
        }
    }

    pub(crate) fn differences(&self, old: &Driver) -> Vec<Difference> {
        match (self, old) {
            (Driver::Bridge(new), Driver::Bridge(old)) => new.differences(old),
            (Driver::Macvlan(new), Driver::Macvlan(old)) => new.differences(old),
            // A network keeps its driver, and its VLANs.
            (Driver::Bridge(_) | Driver::Macvlan(_) | Driver::Ovs(_) | Driver::HostDevice(_), _) => Vec::new(),
        }
    }
}

/// What a user asks of a driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriverSpec {
    /// See [`Driver::Bridge`].
    Bridge(BridgeSpec),
    /// See [`Driver::Macvlan`].
    Macvlan(MacvlanSpec),
    /// See [`Driver::Ovs`].
    Ovs(OvsSpec),
    /// See [`Driver::HostDevice`].
    HostDevice(HostDeviceSpec),
}

impl DriverSpec {
    /// The device of another program that the network is to use as it is.
    pub fn adopted(&self) -> Option<&IfName> {
        match self {
            DriverSpec::Bridge(spec) => spec.device.as_ref().filter(|_| spec.existing == ExistingBridge::Adopted),
            DriverSpec::Macvlan(_) | DriverSpec::Ovs(_) | DriverSpec::HostDevice(_) => None,
        }
    }

    /// The network card that the network's device is to take over.
    pub fn uplink(&self) -> Option<&UplinkSpec> {
        match self {
            DriverSpec::Bridge(spec) => spec.uplink.as_ref(),
            DriverSpec::Macvlan(_) | DriverSpec::Ovs(_) | DriverSpec::HostDevice(_) => None,
        }
    }

    /// The VLAN of the endpoints behind that card, where the host is not.
    pub fn uplink_vlan(&self) -> Option<VlanId> {
        match self {
            DriverSpec::Bridge(spec) => spec.vlan,
            DriverSpec::Macvlan(_) | DriverSpec::Ovs(_) | DriverSpec::HostDevice(_) => None,
        }
    }

    /// The wishes for a macvlan.
    pub fn macvlan(&self) -> Option<&MacvlanSpec> {
        match self {
            DriverSpec::Macvlan(spec) => Some(spec),
            DriverSpec::Bridge(_) | DriverSpec::Ovs(_) | DriverSpec::HostDevice(_) => None,
        }
    }

    /// The wishes for a network on an Open vSwitch bridge.
    pub fn ovs(&self) -> Option<&OvsSpec> {
        match self {
            DriverSpec::Ovs(spec) => Some(spec),
            DriverSpec::Bridge(_) | DriverSpec::Macvlan(_) | DriverSpec::HostDevice(_) => None,
        }
    }

    /// The wishes for a network whose endpoint is a device of the host.
    pub fn whole_device(&self) -> Option<&HostDeviceSpec> {
        match self {
            DriverSpec::HostDevice(spec) => Some(spec),
            DriverSpec::Bridge(_) | DriverSpec::Macvlan(_) | DriverSpec::Ovs(_) => None,
        }
    }

    /// Fills in what the user left out. `mac` is for the device.
    pub fn decide(self, name: &NetworkName, id: &NetworkId, mac: Mac) -> Result<Driver, Invalid> {
        match self {
            DriverSpec::Bridge(spec) => spec.decide(name, id, mac).map(Driver::Bridge),
            DriverSpec::Macvlan(spec) => spec.decide(name, id, mac).map(Driver::Macvlan),
            DriverSpec::Ovs(spec) => Ok(Driver::Ovs(spec.decide())),
            DriverSpec::HostDevice(spec) => Ok(Driver::HostDevice(spec.decide())),
        }
    }
}

/// What a user wishes to change of a driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriverChange {
    /// See [`Driver::Bridge`].
    Bridge(BridgeChange),
}

impl DriverChange {
    pub(crate) fn apply(&self, driver: &Driver) -> Driver {
        match (self, driver) {
            (DriverChange::Bridge(change), Driver::Bridge(old)) => Driver::Bridge(change.apply(old)),
            (DriverChange::Bridge(_), Driver::Macvlan(_) | Driver::Ovs(_) | Driver::HostDevice(_)) => driver.clone(),
        }
    }

    pub(crate) fn fixed(&self, driver: &Driver) -> Option<(&'static str, String)> {
        match (self, driver) {
            (DriverChange::Bridge(change), Driver::Bridge(old)) => change.fixed(old),
            (DriverChange::Bridge(change), Driver::Macvlan(_) | Driver::Ovs(_) | Driver::HostDevice(_)) => {
                change.bridge_only()
            }
        }
    }
}

/// What another program says of a driver with every call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriverDescription {
    /// See [`Driver::Bridge`].
    Bridge(BridgeDescription),
    /// See [`Driver::Macvlan`].
    Macvlan(MacvlanDescription),
    /// See [`Driver::Ovs`].
    Ovs(OvsDescription),
    /// See [`Driver::HostDevice`].
    HostDevice(HostDeviceDescription),
}

impl DriverDescription {
    /// The host's device that the description names.
    pub fn device(&self) -> Option<&IfName> {
        match self {
            DriverDescription::Bridge(bridge) => Some(&bridge.device),
            DriverDescription::Macvlan(macvlan) => macvlan.parent.as_ref(),
            DriverDescription::Ovs(ovs) => Some(&ovs.bridge),
            DriverDescription::HostDevice(described) => Some(&described.device),
        }
    }

    /// What an existing network's driver becomes by the description.
    pub(crate) fn onto(&self, old: &Driver, network: &NetworkName) -> Result<Driver, Invalid> {
        match (self, old) {
            (DriverDescription::Bridge(described), Driver::Bridge(old)) => {
                described.onto(old, network).map(Driver::Bridge)
            }
            (DriverDescription::Macvlan(described), Driver::Macvlan(old)) => {
                described.onto(old, network).map(Driver::Macvlan)
            }
            (DriverDescription::Ovs(described), Driver::Ovs(old)) => described.onto(old, network).map(Driver::Ovs),
            (DriverDescription::HostDevice(described), Driver::HostDevice(old)) => {
                Ok(Driver::HostDevice(described.onto(old)))
            }
            (DriverDescription::Macvlan(_) | DriverDescription::HostDevice(_), _) => {
                Err(self.elsewhere("network card", old, network))
            }
            (DriverDescription::Bridge(_) | DriverDescription::Ovs(_), _) => {
                Err(self.elsewhere("bridge", old, network))
            }
        }
    }

    /// The network is on another kind of device than the description says.
    fn elsewhere(&self, what: &'static str, old: &Driver, network: &NetworkName) -> Invalid {
        let why = format!("is not what network {network} is on, which is {}", old.device());
        let device = self.device().map_or("any", IfName::as_str);
        Invalid::new(what, device, why).try_instead("remove its containers first")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_names_its_driver_beside_what_the_driver_has() {
        let bridge = BridgeNetwork::new("zb-blue".parse().unwrap(), Mac::from_random([0; 6]));
        let driver = Driver::Bridge(bridge);
        let json = serde_json::to_string(&driver).unwrap();
        assert_eq!(json, r#"{"kind":"bridge","device":"zb-blue","mac":"02:00:00:00:00:00","icc":"allowed"}"#);
        assert_eq!(serde_json::from_str::<Driver>(&json).unwrap(), driver);
        assert_eq!(driver.kind().to_string(), "bridge");
    }
}
