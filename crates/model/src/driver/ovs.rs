//! The Open vSwitch driver: each endpoint is a veth pair whose host end is a port of an Open vSwitch bridge.

use crate::serial::is_default;
use crate::{Device, IfName, Invalid, NetworkName, PortVlans};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What forwards the frames of a bridge (`datapath_type` of ovs-vswitchd.conf.db(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Datapath {
    /// The kernel.
    #[default]
    Kernel,
    /// ovs-vswitchd itself (`netdev`). It passes frames on as they are, so senders have to sum them up themselves.
    Userspace,
}

/// What a network has because an Open vSwitch bridge connects its endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OvsNetwork {
    /// The bridge, which another program made.
    pub bridge: IfName,
    /// Which VLANs pass the ports.
    #[serde(default, skip_serializing_if = "is_default")]
    pub vlans: PortVlans,
    /// See [`Datapath`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub datapath: Datapath,
}

impl OvsNetwork {
    pub(super) fn device_of_endpoint(&self, host: IfName) -> Device {
        Device::ovs(host, self.bridge.clone())
    }

    pub(super) fn publishes(&self, network: &NetworkName) -> Result<(), String> {
        let bridge = &self.bridge;
        Err(format!("network {network} is on the Open vSwitch bridge {bridge}, whose frames pass the host's rules by"))
    }
}

/// A network of this driver as a user asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OvsSpec {
    /// The bridge.
    pub bridge: IfName,
    /// Which VLANs pass the ports.
    pub vlans: PortVlans,
}

impl OvsSpec {
    /// What forwards the frames is known to Open vSwitch alone.
    pub(super) fn decide(self) -> OvsNetwork {
        OvsNetwork { bridge: self.bridge, vlans: self.vlans, datapath: Datapath::default() }
    }
}

/// A network on an Open vSwitch bridge as another program describes it with every call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OvsDescription {
    /// The bridge.
    pub bridge: IfName,
    /// Which VLANs pass the ports.
    pub vlans: PortVlans,
}

impl OvsDescription {
    /// The part of a network that is described for the first time.
    pub fn first(&self, datapath: Datapath) -> OvsNetwork {
        OvsNetwork { bridge: self.bridge.clone(), vlans: self.vlans.clone(), datapath }
    }

    pub(super) fn onto(&self, old: &OvsNetwork, network: &NetworkName) -> Result<OvsNetwork, Invalid> {
        let no = |what: &'static str, value: &dyn fmt::Display, has: &dyn fmt::Display| {
            let why = format!("is not that of network {network}, which is {has}");
            Err(Invalid::new(what, value, why).try_instead("remove its containers first"))
        };
        if self.bridge != old.bridge {
            return no("bridge", &self.bridge, &old.bridge);
        }
        if self.vlans != old.vlans {
            return no("VLAN", &self.vlans, &old.vlans);
        }
        Ok(old.clone())
    }
}
