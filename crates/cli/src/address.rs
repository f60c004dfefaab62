//! An address of the command line, with or without a prefix length.

use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use zubi_engine::Error;
use zubi_model::{Family, Invalid, Network, Subnet};

/// `10.1.0.7`, or `10.1.0.7/24` as `ip` and dockerd's `bip` write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) address: IpAddr,
    pub(crate) length: Option<u8>,
}

impl Address {
    /// The subnet that an address with a length is in.
    pub(crate) fn subnet(self) -> Option<Result<Subnet, Invalid>> {
        let net = IpNet::new(self.address, self.length?).ok()?;
        Some(net.trunc().to_string().parse())
    }

    /// Refuses a length that is not that of the network's subnet.
    pub(crate) fn check_length(self, network: &Network) -> Result<(), Error> {
        let Some(length) = self.length else { return Ok(()) };
        match network.pool(Family::of(self.address)) {
            Some(pool) if pool.subnet.net().prefix_len() != length => {
                let why = format!("has another length than {}, the subnet of network {}", pool.subnet, network.name);
                Err(Invalid::new("address", self, why).try_instead(format!("write {}", self.address)).into())
            }
            _ => Ok(()),
        }
    }
}

impl FromStr for Address {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Address { address, length: None });
        }
        match text.parse::<IpNet>() {
            Ok(net) => Ok(Address { address: net.addr(), length: Some(net.prefix_len()) }),
            Err(_) => Err("is no IP address".into()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        self.length.map_or(Ok(()), |length| write!(f, "/{length}"))
    }
}

/// Whether the internet may use these addresses. Only IPv4: an IPv6 network of public addresses is usual.
pub(crate) fn is_public(subnet: Subnet) -> bool {
    const NOT_PUBLIC: [&str; 9] = [
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        // Carriers (RFC 6598), tests of devices (RFC 2544), documentation (RFC 5737), reserved (RFC 1112).
        "100.64.0.0/10",
        "198.18.0.0/15",
        "192.0.2.0/24",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "240.0.0.0/4",
    ];
    let net = subnet.net();
    matches!(net, IpNet::V4(_)) && !NOT_PUBLIC.iter().any(|n| n.parse::<IpNet>().is_ok_and(|n| n.contains(&net)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_optional_and_gives_the_subnet() {
        let address: Address = "192.168.9.1/24".parse().unwrap();
        assert_eq!(address.subnet().unwrap().unwrap().to_string(), "192.168.9.0/24");
        assert_eq!(address.to_string(), "192.168.9.1/24");
        assert!("192.168.9.1".parse::<Address>().unwrap().subnet().is_none());
        assert!("seven".parse::<Address>().is_err());
    }

    #[test]
    fn private_and_documentation_subnets_are_not_public() {
        for (subnet, public) in [("8.8.8.0/24", true), ("10.1.0.0/24", false), ("172.32.0.0/16", true)] {
            assert_eq!(is_public(subnet.parse().unwrap()), public, "{subnet}");
        }
        assert!(!is_public("2001:4860::/64".parse().unwrap()));
    }
}
