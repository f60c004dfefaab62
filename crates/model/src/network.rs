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

/// The number of a network for programs: 64 hex digits, as Docker has them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NetworkId(String);

impl NetworkId {
    /// From 32 random bytes.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        let digit = |n: u8| char::from_digit(u32::from(n), 16).unwrap_or('0');
        NetworkId(bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect())
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
    /// The bridge's address in it.
    pub gateway: IpAddr,
    /// Automatic addresses come from here only; the whole subnet when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<IpNet>,
    /// Never given automatically, refused when asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<Exclusion>,
}

impl Pool {
    /// The gateway with the prefix length of the subnet.
    pub fn gateway_with_prefix(&self) -> IpNet {
        IpNet::new_assert(self.gateway, self.subnet.net().prefix_len())
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
    /// At most one per family, IPv4 first.
    pub pools: Vec<Pool>,
    /// How far it reaches.
    pub scope: Scope,
    /// Source addresses of what leaves.
    pub egress: Egress,
    /// Whether its endpoints reach each other.
    pub icc: Icc,
    /// The user's own words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Network {
    /// The pool of a family.
    pub fn pool(&self, family: Family) -> Option<&Pool> {
        self.pools.iter().find(|p| p.subnet.family() == family)
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
        Ok(Pool { subnet, gateway, range: self.range, exclude: self.exclude })
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
        assert_eq!(spec("10.55.66.0/24").decide().unwrap().gateway.to_string(), "10.55.66.1");
        assert_eq!(spec("fd00:5::/64").decide().unwrap().gateway.to_string(), "fd00:5::1");
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
