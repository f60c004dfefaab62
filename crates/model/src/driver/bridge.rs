//! The bridge driver: a Linux bridge on the host, and a veth pair for each endpoint.

use crate::serial::is_default;
use crate::{ClientId, Difference, Exclusion, IfName, Invalid, Mac, NetworkId, NetworkName, VlanId};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// The kernel gives a bridge 1023 ports (`BR_MAX_PORTS` of net/bridge/br_private.h). A broadcast is copied to each
/// port, and the copies wait in the backlog of one processor, which holds a thousand (`net.core.netdev_max_backlog`):
/// with more ports the kernel drops the answer to an ARP request, and nobody finds the gateway.
pub(super) const MOST_ENDPOINTS: usize = 1000;

/// Whether endpoints of one network reach each other ("inter-container communication").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Icc {
    /// Endpoints reach each other.
    Allowed,
    /// Endpoints reach the host and the outside only.
    Isolated,
}

/// Who may open connections to the endpoints of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ingress {
    /// Everybody, by published ports only; endpoints use no addresses but those they were given.
    #[default]
    Published,
    /// As with `Published`, and its endpoints reach no other network.
    Sealed,
    /// Everybody: the firewall neither hides the endpoints nor checks their addresses.
    Open,
    /// As with `Open`, but for the endpoints of other networks that are `Apart`.
    Apart,
}

impl fmt::Display for Ingress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Ingress::Published => "published",
            Ingress::Sealed => "sealed",
            Ingress::Open => "open",
            Ingress::Apart => "apart",
        })
    }
}

/// Who owns the bridge of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BridgeMode {
    /// The network: zubi makes the bridge with it and deletes both together.
    #[default]
    Managed,
    /// Another program, which made it before: the bridge stays.
    Adopted,
    /// Another program, together with everything else of the host that concerns it: settings, firewall, addresses.
    Unmanaged,
}

/// Which ports of the bridge send frames back by the way they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hairpin {
    /// Those of endpoints with published ports.
    #[default]
    Published,
    /// All.
    Always,
}

/// Which frames the bridge takes for the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Promiscuity {
    /// Those for its own MACs.
    #[default]
    Off,
    /// All.
    On,
}

/// Who the host is to the DHCP servers of its LAN.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HostClient {
    /// The id that the DHCP client before zubi used; absent when the server goes by the MAC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ClientId>,
}

/// What a network has because a bridge connects its endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeNetwork {
    /// The bridge.
    pub device: IfName,
    /// Of the bridge, chosen once: an automatic MAC follows the ports, and every neighbour's entry for the gateway goes
    /// stale.
    pub mac: Mac,
    /// Who owns the bridge.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: BridgeMode,
    /// The network card of the host that is a port of the bridge. The bridge has the card's MAC, and what the host had
    /// on the card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<IfName>,
    /// The VLAN of the LAN that the endpoints are in; absent: they are where the host is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<VlanId>,
    /// Zubi is the host's own DHCP client on the bridge; absent: it leaves the host's lease to another program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_client: Option<HostClient>,
    /// Whether the endpoints reach each other.
    pub icc: Icc,
    /// Who reaches the endpoints.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ingress: Ingress,
    /// See [`Hairpin`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub hairpin: Hairpin,
    /// See [`Promiscuity`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub promiscuity: Promiscuity,
}

impl BridgeNetwork {
    /// A bridge of zubi's own with Docker's defaults: endpoints reach each other, the outside reaches published ports.
    pub fn new(device: IfName, mac: Mac) -> Self {
        BridgeNetwork {
            device,
            mac,
            mode: BridgeMode::default(),
            parent: None,
            vlan: None,
            host_client: None,
            icc: Icc::Allowed,
            ingress: Ingress::default(),
            hairpin: Hairpin::default(),
            promiscuity: Promiscuity::default(),
        }
    }

    /// The bridge's name when the user chose none: `zb-NAME` where that fits into 15 bytes, else `zb-` and the
    /// start of the id. The default network has `zubi0`.
    pub fn default_device(name: &NetworkName, id: &NetworkId) -> Result<IfName, Invalid> {
        if name.as_str() == "default" {
            return "zubi0".parse();
        }
        format!("zb-{name}").parse().or_else(|_| format!("zb-{}", id.short()).parse())
    }

    /// Whether published ports are the only way in.
    pub fn is_guarded(&self) -> bool {
        matches!(self.ingress, Ingress::Published | Ingress::Sealed)
    }

    pub(super) fn owned_mac(&self) -> Option<Mac> {
        (self.mode == BridgeMode::Managed).then_some(self.mac)
    }

    /// Whether others give addresses of its subnets too.
    pub(super) fn shares_subnets(&self) -> bool {
        self.mode == BridgeMode::Adopted || self.parent.is_some()
    }

    pub(super) fn is_firewalled(&self) -> bool {
        self.mode != BridgeMode::Unmanaged
    }

    pub(super) fn publishes(&self, network: &NetworkName) -> Result<(), String> {
        if self.parent.is_some() {
            return Err(format!("network {network} is on the LAN: its addresses are reached without published ports"));
        }
        if self.is_firewalled() {
            return Ok(());
        }
        Err(format!("network {network} has no rules: its bridge and firewall are somebody else's"))
    }

    pub(super) fn differences(&self, old: &BridgeNetwork) -> Vec<Difference> {
        let on = |icc| if icc == Icc::Allowed { "on" } else { "off" };
        let all = [
            Difference::between("icc", on(old.icc), on(self.icc)),
            Difference::between("ingress", old.ingress, self.ingress),
        ];
        all.into_iter().flatten().collect()
    }
}

/// What becomes of a bridge that is there already when a user creates a network on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExistingBridge {
    /// The network is refused.
    #[default]
    Refused,
    /// There has to be one. The network uses it as it is, with its addresses, and leaves it.
    Adopted,
}

/// A bridge as a user asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeSpec {
    /// See [`BridgeNetwork::default_device`].
    pub device: Option<IfName>,
    /// See [`Icc`].
    pub icc: Icc,
    /// See [`ExistingBridge`].
    pub existing: ExistingBridge,
    /// The network card that the bridge takes over.
    pub uplink: Option<UplinkSpec>,
    /// The VLAN of the endpoints behind that card.
    pub vlan: Option<VlanId>,
}

/// A network card of the host that a network is on. The network has the card's subnets and gateways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UplinkSpec {
    /// The card.
    pub parent: IfName,
    /// The parts of the card's subnets that are left to zubi.
    pub ranges: Vec<IpNet>,
    /// Routers, where they are not those of the host's default routes.
    pub gateways: Vec<IpAddr>,
    /// Never given automatically.
    pub exclude: Vec<Exclusion>,
}

impl Default for BridgeSpec {
    fn default() -> Self {
        BridgeSpec { device: None, icc: Icc::Allowed, existing: ExistingBridge::default(), uplink: None, vlan: None }
    }
}

impl BridgeSpec {
    pub(super) fn decide(self, name: &NetworkName, id: &NetworkId, mac: Mac) -> Result<BridgeNetwork, Invalid> {
        let device = match self.device {
            Some(device) => device,
            None => BridgeNetwork::default_device(name, id)?,
        };
        let bridge = BridgeNetwork { icc: self.icc, ..BridgeNetwork::new(device, mac) };
        if let Some(uplink) = self.uplink {
            let (parent, vlan) = (Some(uplink.parent), self.vlan);
            return Ok(BridgeNetwork { parent, vlan, ingress: Ingress::Open, ..bridge });
        }
        Ok(match self.existing {
            ExistingBridge::Refused => bridge,
            // Guards would cut off whatever else is on the bridge.
            ExistingBridge::Adopted => BridgeNetwork { mode: BridgeMode::Adopted, ingress: Ingress::Open, ..bridge },
        })
    }
}

/// What a user wishes to change of a bridge; what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BridgeChange {
    /// A bridge cannot be exchanged: another name than the network's is refused.
    pub device: Option<IfName>,
    /// See [`Icc`].
    pub icc: Option<Icc>,
    /// See [`Ingress`].
    pub ingress: Option<Ingress>,
}

impl BridgeChange {
    pub(super) fn apply(&self, old: &BridgeNetwork) -> BridgeNetwork {
        BridgeNetwork { icc: self.icc.unwrap_or(old.icc), ingress: self.ingress.unwrap_or(old.ingress), ..old.clone() }
    }

    pub(super) fn fixed(&self, old: &BridgeNetwork) -> Option<(&'static str, String)> {
        let other = self.device.as_ref().is_some_and(|device| *device != old.device);
        other.then(|| ("bridge", old.device.to_string()))
    }

    /// The first wish for what only a bridge has.
    pub(super) fn bridge_only(&self) -> Option<(&'static str, String)> {
        let none = || "none of a bridge".to_owned();
        let words =
            [("bridge", self.device.is_some()), ("icc", self.icc.is_some()), ("ingress", self.ingress.is_some())];
        words.into_iter().find(|(_, wished)| *wished).map(|(what, _)| (what, none()))
    }
}

/// What becomes of a bridge that is there already and that zubi did not make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignBridge {
    /// The network uses it; a bridge that is missing is made.
    Adopted,
    /// There has to be one, and zubi changes nothing but its ports.
    Required,
}

/// A bridge as another program describes it with every call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeDescription {
    /// The bridge.
    pub device: IfName,
    /// What happens to a bridge of another program.
    pub foreign: ForeignBridge,
    /// See [`Icc`]; stays when absent, at first [`Icc::Allowed`].
    pub icc: Option<Icc>,
    /// See [`Ingress`]; stays when absent, at first [`Ingress::Open`].
    pub ingress: Option<Ingress>,
    /// See [`Hairpin`].
    pub hairpin: Hairpin,
    /// See [`Promiscuity`].
    pub promiscuity: Promiscuity,
}

impl BridgeDescription {
    /// The bridge of a network that is described for the first time.
    pub fn first(&self, mac: Mac, mode: BridgeMode) -> BridgeNetwork {
        let undescribed =
            BridgeNetwork { mode, ingress: Ingress::Open, ..BridgeNetwork::new(self.device.clone(), mac) };
        self.change(&undescribed)
    }

    pub(super) fn onto(&self, old: &BridgeNetwork, network: &NetworkName) -> Result<BridgeNetwork, Invalid> {
        if self.device != old.device {
            let why = format!("is not the bridge of network {network}, which is {}", old.device);
            return Err(Invalid::new("bridge", &self.device, why).try_instead("remove its containers first"));
        }
        Ok(self.change(old))
    }

    fn change(&self, old: &BridgeNetwork) -> BridgeNetwork {
        BridgeNetwork {
            icc: self.icc.unwrap_or(old.icc),
            ingress: self.ingress.unwrap_or(old.ingress),
            hairpin: self.hairpin,
            promiscuity: self.promiscuity,
            ..old.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_get_a_bridge_named_after_the_id() {
        let id = NetworkId::from_random([0xab; 32]);
        let bridge = |name: &str| BridgeNetwork::default_device(&name.parse().unwrap(), &id).unwrap().to_string();
        assert_eq!(bridge("blue"), "zb-blue");
        assert_eq!(bridge("default"), "zubi0");
        assert_eq!(bridge("a-rather-long-name"), "zb-abababababab");
    }

    #[test]
    fn a_bridge_that_is_described_for_the_first_time_is_open() {
        let mut described = BridgeDescription {
            device: "cni0".parse().unwrap(),
            foreign: ForeignBridge::Adopted,
            icc: None,
            ingress: None,
            hairpin: Hairpin::Always,
            promiscuity: Promiscuity::Off,
        };
        let mac = Mac::from_random([1; 6]);
        let first = described.first(mac, BridgeMode::Adopted);
        assert_eq!((first.ingress, first.icc, first.hairpin), (Ingress::Open, Icc::Allowed, Hairpin::Always));
        assert_eq!((first.mode, first.owned_mac()), (BridgeMode::Adopted, None));
        described.ingress = Some(Ingress::Published);
        assert_eq!(described.first(mac, BridgeMode::Managed).ingress, Ingress::Published);
    }
}
