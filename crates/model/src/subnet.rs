//! Subnets, and the addresses in them that may be given to endpoints.

use crate::Invalid;
use crate::text::written_as_text;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// 32-bit addresses.
    V4,
    /// 128-bit addresses.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// `0.0.0.0` or `::`: in most places it stands for every address.
    pub fn unspecified(self) -> IpAddr {
        match self {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

/// A prefix that a network can live on: no host bits set, room for a gateway and at least one endpoint,
/// unicast and neither loopback nor link-local.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "IpNet", into = "IpNet")]
pub struct Subnet(IpNet);

impl Subnet {
    /// The prefix.
    pub fn net(self) -> IpNet {
        self.0
    }

    /// Its family.
    pub fn family(self) -> Family {
        Family::of(self.0.addr())
    }

    /// Whether both have addresses in common.
    pub fn overlaps(self, other: IpNet) -> bool {
        self.0.contains(&other.network()) || other.contains(&self.0.network())
    }

    /// Whether an endpoint may have this address: inside, and neither the network address nor (IPv4) the
    /// broadcast address, nor (IPv6) the subnet-router anycast address (RFC 4291, 2.6.1).
    pub fn has_host(self, address: IpAddr) -> bool {
        self.0.contains(&address)
            && address != self.0.network()
            && !(address.is_ipv4() && address == self.0.broadcast())
    }

    /// The address right behind the network address: the gateway when none is given.
    pub fn first_host(self) -> IpAddr {
        match self.0.network() {
            IpAddr::V4(a) => IpAddr::V4((u32::from(a) + 1).into()),
            IpAddr::V6(a) => IpAddr::V6((u128::from(a) + 1).into()),
        }
    }
}

impl TryFrom<IpNet> for Subnet {
    type Error = Invalid;
    fn try_from(net: IpNet) -> Result<Self, Invalid> {
        let refuse = |why: &str| Err(Invalid::new("subnet", net, why));
        if net.addr() != net.network() {
            return Err(
                Invalid::new("subnet", net, "has host bits set").try_instead(format!("did you mean {}?", net.trunc()))
            );
        }
        let most = if net.addr().is_ipv4() { 30 } else { 126 };
        if net.prefix_len() > most {
            return refuse(&format!("has no room for a gateway and an endpoint; the longest prefix is /{most}"));
        }
        let reserved: &[(&str, &str)] = if net.addr().is_ipv4() {
            &[
                ("0.0.0.0/8", "this network (0.0.0.0/8)"),
                ("127.0.0.0/8", "loopback (127.0.0.0/8)"),
                ("169.254.0.0/16", "link-local (169.254.0.0/16)"),
                ("224.0.0.0/4", "multicast (224.0.0.0/4)"),
                ("240.0.0.0/4", "reserved (240.0.0.0/4)"),
            ]
        } else {
            &[
                ("::/8", "reserved, loopback included (::/8)"),
                ("fe80::/10", "link-local (fe80::/10)"),
                ("ff00::/8", "multicast (ff00::/8)"),
            ]
        };
        for (prefix, what) in reserved {
            let prefix: IpNet = prefix.parse().map_err(|_| Invalid::new("subnet", net, "cannot be compared"))?;
            if prefix.contains(&net.network()) || net.contains(&prefix.network()) {
                return refuse(&format!("overlaps {what}"));
            }
        }
        Ok(Subnet(net))
    }
}

impl From<Subnet> for IpNet {
    fn from(subnet: Subnet) -> IpNet {
        subnet.0
    }
}

impl FromStr for Subnet {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let net: IpNet = text.parse().map_err(|_| {
            Invalid::new("subnet", text, "is not an address with a prefix length")
                .try_instead("write it like 10.55.66.0/24 or fd00:55::/64")
        })?;
        net.try_into()
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_string())
    }
}

/// Addresses that are never given out: one (`10.0.0.9`), a prefix (`10.0.0.32/28`) or a span (`10.0.0.5-10.0.0.9`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exclusion {
    /// The first address of it.
    pub first: IpAddr,
    /// The last, not before the first and of the same family.
    pub last: IpAddr,
}

impl Exclusion {
    /// Whether it covers `address`.
    pub fn covers(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.first.is_ipv4() && self.first <= address && address <= self.last
    }
}

impl FromStr for Exclusion {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || {
            Invalid::new("excluded address", text, "is neither an address, a prefix nor a span")
                .try_instead("write 10.0.0.9, 10.0.0.32/28 or 10.0.0.5-10.0.0.9")
        };
        if let Some((first, last)) = text.split_once('-') {
            let first: IpAddr = first.parse().map_err(|_| wrong())?;
            let last: IpAddr = last.parse().map_err(|_| wrong())?;
            if first.is_ipv4() != last.is_ipv4() || first > last {
                return Err(Invalid::new("excluded address", text, "ends before it begins or mixes families"));
            }
            return Ok(Exclusion { first, last });
        }
        if let Ok(net) = text.parse::<IpNet>() {
            return Ok(Exclusion { first: net.network(), last: net.broadcast() });
        }
        let one: IpAddr = text.parse().map_err(|_| wrong())?;
        Ok(Exclusion { first: one, last: one })
    }
}

written_as_text!(Exclusion);

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets_without_room_are_refused() {
        for bad in ["10.0.0.0/31", "10.0.0.1/32", "fd00::/127", "fd00::1/128"] {
            let error = bad.parse::<Subnet>().unwrap_err().to_string();
            assert!(error.contains("no room"), "{error}");
        }
        assert!("10.0.0.0/30".parse::<Subnet>().is_ok());
        assert!("fd00::/126".parse::<Subnet>().is_ok());
    }

    #[test]
    fn host_bits_name_the_subnet_that_was_meant() {
        let error = "10.55.66.7/24".parse::<Subnet>().unwrap_err().to_string();
        assert_eq!(error, "subnet `10.55.66.7/24`: has host bits set; did you mean 10.55.66.0/24?");
    }

    #[test]
    fn special_prefixes_are_refused_from_both_sides() {
        for bad in [
            "224.0.0.0/24",
            "239.1.0.0/16",
            "127.5.0.0/16",
            "169.254.7.0/24",
            "0.0.0.0/0",
            "240.0.0.0/8",
            "ff02::/64",
            "fe80::/64",
            "::/64",
            "::/0",
        ] {
            assert!(bad.parse::<Subnet>().is_err(), "{bad}");
        }
    }

    #[test]
    fn network_and_broadcast_are_no_hosts() {
        let s: Subnet = "10.0.0.0/24".parse().unwrap();
        assert!(!s.has_host("10.0.0.0".parse().unwrap()));
        assert!(!s.has_host("10.0.0.255".parse().unwrap()));
        assert!(s.has_host("10.0.0.254".parse().unwrap()));
        assert!(!s.has_host("10.0.1.1".parse().unwrap()));
        let s6: Subnet = "fd00::/64".parse().unwrap();
        assert!(!s6.has_host("fd00::".parse().unwrap()));
        assert!(s6.has_host("fd00::ffff:ffff:ffff:ffff".parse().unwrap()));
    }

    #[test]
    fn exclusions_cover_one_prefix_or_span() {
        let covers = |e: &str, a: &str| e.parse::<Exclusion>().unwrap().covers(a.parse().unwrap());
        assert!(covers("10.0.0.9", "10.0.0.9") && !covers("10.0.0.9", "10.0.0.8"));
        assert!(covers("10.0.0.32/28", "10.0.0.47") && !covers("10.0.0.32/28", "10.0.0.48"));
        assert!(covers("10.0.0.5-10.0.0.9", "10.0.0.7"));
        assert!("10.0.0.9-10.0.0.5".parse::<Exclusion>().is_err());
    }
}
