//! Pools: the subnets of a network, with their gateway and the addresses that may be given.

use crate::serial::is_default;
use crate::{Exclusion, Invalid, Subnet};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Where the gateway of a subnet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GatewayAt {
    /// The host itself, by its address on the network's device.
    #[default]
    Bridge,
    /// Another machine on the link.
    Elsewhere,
}

/// A subnet of a network with everything decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// The subnet.
    pub subnet: Subnet,
    /// The next hop out of the subnet, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Where that gateway is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub gateway_at: GatewayAt,
    /// Automatic addresses come from here only; from the whole subnet when absent.
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

/// A subnet as a user asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolSpec {
    /// The subnet.
    pub subnet: Subnet,
    /// The gateway; the first address when absent.
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
}
