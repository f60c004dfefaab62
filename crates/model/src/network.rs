//! Networks: what a user may ask for and what was made of it.

use crate::{Exclusion, Family, IfName, Invalid, Mac, Mtu, NetworkName, Subnet};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// What connects the endpoints of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// A Linux bridge with veth pairs.
    Bridge,
}

/// How far a network reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// To the outside, through the host.
    Routed,
    /// The host and the endpoints only.
    Internal,
}

/// What happens to the source address of packets that leave the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Egress {
    /// It becomes the host's.
    Masquerade,
    /// It stays: the outside must know a route back.
    Plain,
}

/// Whether endpoints of one network reach each other ("inter-container communication").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Icc {
    /// They do.
    Allowed,
    /// They reach the host and the outside only.
    Isolated,
}

/// Who may open connections to the endpoints of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ingress {
    /// Everybody, by published ports only; and endpoints use no addresses but those they were given.
    #[default]
    Published,
    /// As with `Published`, and its endpoints reach no other network.
    Sealed,
    /// Everybody: the network neither hides its endpoints nor watches them.
    Open,
    /// As with `Open`, but for the endpoints of other networks that are `Apart`.
    Apart,
}

/// Whose the bridge of a network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BridgeMode {
    /// The network's: made with it, and gone with it.
    #[default]
    Managed,
    /// Somebody else's, who made it before: it stays.
    Adopted,
    /// Somebody else's, together with everything else of the host that concerns it: settings, firewall, addresses.
    Unmanaged,
}

/// Where the gateway of a subnet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GatewayAt {
    /// The host itself, by its address on the bridge.
    #[default]
    Bridge,
    /// Somebody else on the link.
    Elsewhere,
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

/// Whether the bridge takes frames that are for nobody it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Promiscuity {
    /// Only those for its own MACs.
    #[default]
    Off,
    /// All.
    On,
}

/// What needs no word in a record.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The number of a network for programs: 64 hex digits, as Docker has them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NetworkId(String);

impl NetworkId {
    /// From 32 random bytes.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        let digit = |n: u8| char::from_digit(u32::from(n), 16).unwrap_or('0');
        NetworkId(bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect())
    }

    /// As another program made it.
    pub fn from_hex(digits: &str) -> Option<Self> {
        let fits = digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        fits.then(|| NetworkId(digits.to_owned()))
    }

    /// All digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve, for tables.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A subnet of a network with everything decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// The subnet.
    pub subnet: Subnet,
    /// The next hop out of it, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Who that is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub gateway_at: GatewayAt,
    /// Automatic addresses come from here only; the whole subnet when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<IpNet>,
    /// Never given automatically, refused when asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<Exclusion>,
}

impl Pool {
    /// The host's own address in the subnet, with its prefix length.
    pub fn host_address(&self) -> Option<IpNet> {
        let gateway = self.gateway.filter(|_| self.gateway_at == GatewayAt::Bridge)?;
        Some(IpNet::new_assert(gateway, self.subnet.net().prefix_len()))
    }
}

/// A network as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its name.
    pub name: NetworkName,
    /// Its number.
    pub id: NetworkId,
    /// Seconds since 1970.
    pub created: u64,
    /// What connects its endpoints.
    pub driver: Driver,
    /// The bridge device.
    pub bridge: IfName,
    /// Chosen once: an automatic MAC follows the bridge's ports and stales the gateway of everybody.
    pub bridge_mac: Mac,
    /// The kernel's default (1500) when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<Mtu>,
    /// IPv4 first; a network that a user made has at most one per family.
    pub pools: Vec<Pool>,
    /// How far it reaches.
    pub scope: Scope,
    /// Source addresses of what leaves.
    pub egress: Egress,
    /// Whether its endpoints reach each other.
    pub icc: Icc,
    /// Who reaches them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ingress: Ingress,
    /// Whose the bridge is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub bridge_mode: BridgeMode,
    /// See [`Hairpin`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub hairpin: Hairpin,
    /// See [`Promiscuity`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub promiscuity: Promiscuity,
    /// The user's own words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Network {
    /// The first pool of a family.
    pub fn pool(&self, family: Family) -> Option<&Pool> {
        self.pools_of(family).next()
    }

    /// The pools of a family.
    pub fn pools_of(&self, family: Family) -> impl Iterator<Item = &Pool> {
        self.pools.iter().filter(move |p| p.subnet.family() == family)
    }

    /// The bridge's name when the user chose none: `zb-NAME` where that fits into 15 bytes, else `zb-` and the
    /// start of the id. The default network has `zubi0`.
    pub fn default_bridge(name: &NetworkName, id: &NetworkId) -> Result<IfName, Invalid> {
        if name.as_str() == "default" {
            return "zubi0".parse();
        }
        format!("zb-{name}").parse().or_else(|_| format!("zb-{}", id.short()).parse())
    }
}

/// A subnet as a user asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSpec {
    /// The subnet.
    pub subnet: Subnet,
    /// Its first address when absent.
    pub gateway: Option<IpAddr>,
    /// See [`Pool::range`].
    pub range: Option<IpNet>,
    /// See [`Pool::exclude`].
    pub exclude: Vec<Exclusion>,
}

impl PoolSpec {
    /// Checks that gateway, range and exclusions lie inside, and fills in the gateway.
    pub fn decide(self) -> Result<Pool, Invalid> {
        let subnet = self.subnet;
        let gateway = match self.gateway {
            None => subnet.first_host(),
            Some(gateway) if subnet.has_host(gateway) => gateway,
            Some(gateway) => {
                return Err(Invalid::new("gateway", gateway, format!("is not a host address of {subnet}")));
            }
        };
        if let Some(range) = self.range
            && !subnet.net().contains(&range)
        {
            return Err(Invalid::new("address range", range, format!("is not inside {subnet}")));
        }
        for e in &self.exclude {
            if !subnet.net().contains(&e.first) || !subnet.net().contains(&e.last) {
                return Err(Invalid::new("excluded address", e, format!("is not inside {subnet}")));
            }
        }
        Ok(Pool {
            subnet,
            gateway: Some(gateway),
            gateway_at: GatewayAt::Bridge,
            range: self.range,
            exclude: self.exclude,
        })
    }
}

/// A network as a user asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSpec {
    /// Its name.
    pub name: NetworkName,
    /// At most one per family; chosen from the configured pools when there is none of the family.
    pub pools: Vec<PoolSpec>,
    /// Also choose an IPv6 subnet when none is given.
    pub families: Vec<Family>,
    /// See [`Network`].
    pub scope: Scope,
    /// See [`Network`].
    pub egress: Egress,
    /// See [`Network`].
    pub icc: Icc,
    /// See [`Network`].
    pub mtu: Option<Mtu>,
    /// See [`Network::default_bridge`].
    pub bridge: Option<IfName>,
    /// See [`Network`].
    pub labels: BTreeMap<String, String>,
}

impl NetworkSpec {
    /// A network of that name with Docker's defaults: one automatic IPv4 subnet, masquerade, everybody reaches
    /// everybody.
    pub fn new(name: NetworkName) -> Self {
        NetworkSpec {
            name,
            pools: Vec::new(),
            families: vec![Family::V4],
            scope: Scope::Routed,
            egress: Egress::Masquerade,
            icc: Icc::Allowed,
            mtu: None,
            bridge: None,
            labels: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(subnet: &str) -> PoolSpec {
        PoolSpec { subnet: subnet.parse().unwrap(), gateway: None, range: None, exclude: Vec::new() }
    }

    #[test]
    fn the_gateway_is_the_first_address_unless_given() {
        assert_eq!(spec("10.55.66.0/24").decide().unwrap().gateway.unwrap().to_string(), "10.55.66.1");
        assert_eq!(spec("fd00:5::/64").decide().unwrap().gateway.unwrap().to_string(), "fd00:5::1");
    }

    #[test]
    fn what_lies_outside_the_subnet_is_refused() {
        for gateway in ["10.55.67.1", "10.55.66.0", "10.55.66.255", "fd00::1"] {
            let spec = PoolSpec { gateway: Some(gateway.parse().unwrap()), ..spec("10.55.66.0/24") };
            assert_eq!(spec.decide().unwrap_err().what, "gateway");
        }
        let range = PoolSpec { range: Some("10.55.0.0/16".parse().unwrap()), ..spec("10.55.66.0/24") };
        assert_eq!(range.decide().unwrap_err().what, "address range");
        let exclude = PoolSpec { exclude: vec!["10.55.67.3".parse().unwrap()], ..spec("10.55.66.0/24") };
        assert_eq!(exclude.decide().unwrap_err().what, "excluded address");
    }

    #[test]
    fn long_names_get_a_bridge_named_after_the_id() {
        let id = NetworkId::from_random([0xab; 32]);
        let bridge = |name: &str| Network::default_bridge(&name.parse().unwrap(), &id).unwrap().to_string();
        assert_eq!(bridge("blue"), "zb-blue");
        assert_eq!(bridge("default"), "zubi0");
        assert_eq!(bridge("a-rather-long-name"), "zb-abababababab");
    }
}
