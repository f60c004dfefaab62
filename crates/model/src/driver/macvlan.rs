//! The macvlan driver: each endpoint is a device on a network card of the host. Ipvlan is the same with other devices.

use crate::serial::is_default;
use crate::{
    CardMode, Device, Difference, IfName, Invalid, Mac, MacvlanMode, NetworkId, NetworkName, OnIpvlan, OnParent,
    UplinkSpec, VlanId,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Broadcasts are copied to each endpoint by a work queue that holds a thousand (`IFLA_MACVLAN_BC_QUEUE_LEN`).
const MOST_ENDPOINTS: usize = 1000;

/// How a card passes broadcasts on to its macvlans. All macvlans of a card share this: the longest queue and the last limit
/// count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Broadcasts {
    /// How many frames wait for the work queue (`IFLA_MACVLAN_BC_QUEUE_LEN`); the kernel's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_length: Option<u32>,
    /// How many macvlans may want a group before its frames wait for the work queue; with a negative one they never do
    /// (`IFLA_MACVLAN_BC_CUTOFF`, Linux 6.4). The kernel's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cutoff: Option<i32>,
}

/// The host's own macvlan on the card, by which host and endpoints reach each other. It has no address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostShim {
    /// Its name.
    pub device: IfName,
    /// Its MAC.
    pub mac: Mac,
}

/// Whether host and endpoints are to reach each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ShimWish {
    /// Where the mode allows it.
    #[default]
    WherePossible,
    /// Yes: a network where it is not possible is refused.
    Wanted,
    /// No.
    Unwanted,
}

/// A VLAN of a network card. The first network on it makes the device, and the last one removes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardVlan {
    /// The card.
    pub card: IfName,
    /// The VLAN.
    pub id: VlanId,
    /// Of the device: the card's.
    pub mac: Mac,
}

impl CardVlan {
    /// The card and the VLAN that a name stands for, by the custom of `vconfig`: `eth0.10`. `None` for other names.
    pub fn named(device: &IfName) -> Option<(IfName, &str)> {
        let (card, number) = device.as_str().rsplit_once('.')?;
        let is_number = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
        is_number.then(|| card.parse().ok().map(|card| (card, number)))?
    }
}

/// What carries the endpoints of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MacvlanNetwork {
    /// The network card, or another device of the host with a LAN behind it.
    pub parent: IfName,
    /// The MAC of a parent that is the network's own: a device behind which nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<Mac>,
    /// What the parent is, when it is a VLAN that zubi made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<CardVlan>,
    /// See [`CardMode`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: CardMode,
    /// The MAC of the card, where its endpoints have that ([`CardMode::shows_card_mac`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_mac: Option<Mac>,
    /// See [`HostShim`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shim: Option<HostShim>,
    /// See [`Broadcasts`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub broadcasts: Broadcasts,
}

impl MacvlanNetwork {
    /// The name of the network's own device on the host, its shim or what carries it: `zm-NAME` where that fits into 15 bytes,
    /// else `zm-` and the start of the id.
    pub fn default_device(name: &NetworkName, id: &NetworkId) -> Result<IfName, Invalid> {
        format!("zm-{name}").parse().or_else(|_| format!("zm-{}", id.short()).parse())
    }

    /// The other end of a parent that is the network's own. It is there so that the parent has a carrier.
    pub fn stub(&self) -> Result<IfName, Invalid> {
        format!("zn{}", self.parent.as_str().get(2..).unwrap_or_default()).parse()
    }

    /// The network card that carries the network; `None` where nothing is behind its device.
    pub fn card(&self) -> Option<&IfName> {
        self.own.is_none().then_some(&self.parent)
    }

    pub(super) fn device_of_endpoint(&self, key: Mac) -> Device {
        let shim = self.shim.as_ref().map(|shim| shim.device.clone());
        let ipvlan = self.mode.ipvlan().map(|mode| OnIpvlan { key, mode });
        Device::Macvlan(OnParent { parent: self.parent.clone(), shim, ipvlan, vlan: self.mode.vlan() })
    }

    /// The MAC that all its endpoints have.
    pub(super) fn shared_mac(&self) -> Option<Mac> {
        self.mode.ipvlan().and(self.card_mac.or(self.own))
    }

    pub(super) fn publishes(network: &NetworkName) -> Result<(), String> {
        Err(format!("network {network} is on the LAN: its addresses are reached without published ports"))
    }

    pub(super) fn most_endpoints(&self) -> usize {
        if self.mode.is_for_one() { 1 } else { MOST_ENDPOINTS }
    }

    pub(super) fn differences(&self, old: &MacvlanNetwork) -> Vec<Difference> {
        Difference::between("mode", old.mode, self.mode).into_iter().collect()
    }
}

/// A network of this driver as a user asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MacvlanSpec {
    /// The network card; without one, endpoints reach each other only.
    pub card: Option<UplinkSpec>,
    /// See [`CardMode`].
    pub mode: CardMode,
    /// See [`ShimWish`].
    pub shim: ShimWish,
}

impl MacvlanSpec {
    /// `mac` is for a device of the network's own.
    pub(super) fn decide(self, name: &NetworkName, id: &NetworkId, mac: Mac) -> Result<MacvlanNetwork, Invalid> {
        let mode = self.mode;
        let device = MacvlanNetwork::default_device(name, id)?;
        let refuse = |why: &str| Err(Invalid::new("option", "--host-shim", why));
        let is_bridge = mode == CardMode::Macvlan(MacvlanMode::Bridge);
        match (&self.card, self.shim) {
            (_, ShimWish::Wanted) if mode.ipvlan().is_some() => {
                return refuse("is for macvlans: an ipvlan has the card's MAC, so the host cannot tell it from itself");
            }
            (None, ShimWish::Wanted) => return refuse("needs a network card: without one the network is internal"),
            (Some(_), ShimWish::Wanted) if !is_bridge => {
                return refuse("needs the mode bridge: in the others the host's macvlan reaches none");
            }
            _ => {}
        }
        let is_possible = is_bridge && self.shim != ShimWish::Unwanted;
        let (parent, own, shim) = match self.card {
            Some(card) => (card.parent, None, is_possible.then_some(HostShim { device, mac })),
            None => (device, Some(mac), None),
        };
        Ok(MacvlanNetwork { parent, own, vlan: None, mode, card_mac: None, shim, broadcasts: Broadcasts::default() })
    }
}

/// A network of macvlans as another program describes it with every call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacvlanDescription {
    /// The network card; the one that the network has when absent, at first that of the host's default route.
    pub parent: Option<IfName>,
    /// See [`CardMode`].
    pub mode: CardMode,
    /// See [`Broadcasts`]; a change concerns further endpoints.
    pub broadcasts: Broadcasts,
}

impl MacvlanDescription {
    /// The part of a network that is described for the first time. Programs that describe networks know of no host shim.
    /// `card_mac` is that of the card.
    pub fn first(&self, parent: IfName, card_mac: Option<Mac>) -> MacvlanNetwork {
        let card_mac = card_mac.filter(|_| self.mode.shows_card_mac());
        MacvlanNetwork {
            parent,
            own: None,
            vlan: None,
            mode: self.mode,
            card_mac,
            shim: None,
            broadcasts: self.broadcasts,
        }
    }

    pub(super) fn onto(&self, old: &MacvlanNetwork, network: &NetworkName) -> Result<MacvlanNetwork, Invalid> {
        let no = |what: &'static str, value: &dyn fmt::Display, has: &dyn fmt::Display| {
            let why = format!("is not that of network {network}, which is {has}");
            Err(Invalid::new(what, value, why).try_instead("remove its containers first"))
        };
        if let Some(parent) = self.parent.as_ref().filter(|parent| **parent != old.parent) {
            return no("network card", parent, &old.parent);
        }
        if self.mode.kind() != old.mode.kind() {
            return no("driver", &self.mode.kind(), &old.mode.kind());
        }
        if self.mode != old.mode {
            return no("mode", &self.mode, &old.mode);
        }
        Ok(MacvlanNetwork { broadcasts: self.broadcasts, ..old.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vlan_is_named_after_its_card() {
        let named = |name: &str| {
            let name = name.parse().unwrap();
            CardVlan::named(&name).map(|(card, number)| format!("{card} {number}"))
        };
        assert_eq!(named("eth0.10").as_deref(), Some("eth0 10"));
        assert_eq!(named("br.lan.4095").as_deref(), Some("br.lan 4095"));
        assert_eq!([named("eth0"), named("eth0."), named("eth0.x1"), named("eth0.1-")], [None, None, None, None]);
    }

    #[test]
    fn a_network_without_a_card_has_a_device_of_its_own() {
        let (name, id) = ("blue".parse().unwrap(), NetworkId::from_random([7; 32]));
        let mac = Mac::from_random([1; 6]);
        let own = MacvlanSpec::default().decide(&name, &id, mac).unwrap();
        assert_eq!((own.parent.as_str(), own.own, own.card()), ("zm-blue", Some(mac), None));
        let card = UplinkSpec {
            parent: "eth0".parse().unwrap(),
            ranges: Vec::new(),
            gateways: Vec::new(),
            exclude: Vec::new(),
        };
        let on = MacvlanSpec { card: Some(card), mode: CardMode::Macvlan(MacvlanMode::Vepa), ..MacvlanSpec::default() }
            .decide(&name, &id, mac)
            .unwrap();
        assert_eq!(
            (on.card().unwrap().as_str(), on.own, on.mode),
            ("eth0", None, CardMode::Macvlan(MacvlanMode::Vepa))
        );
    }
}
