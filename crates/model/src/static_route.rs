//! Further routes inside a sandbox.

use crate::Invalid;
use crate::serial::is_default;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// What a route does with packets (`rtm_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteKind {
    /// Passes them on.
    #[default]
    Unicast,
    /// Drops them.
    Blackhole,
    /// Answers that the host is unreachable.
    Unreachable,
    /// Answers that the way is prohibited.
    Prohibit,
}

/// The parts of a route that are seldom given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteOptions {
    /// See [`RouteKind`].
    #[serde(skip_serializing_if = "is_default")]
    pub kind: RouteKind,
    /// Smaller is preferred; the kernel's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<u32>,
    /// The routing table; the main one when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
    /// How far the destination is (`rtm_scope`); what fits the next hop when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<u8>,
    /// The path MTU, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// The largest TCP segment that is announced, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advmss: Option<u32>,
    /// The program that made the route (`rtm_protocol`); zubi when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u8>,
    /// The source address of packets that choose none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// The next hop counts as being on the link, whatever other routes say (`onlink`).
    #[serde(skip_serializing_if = "is_default")]
    pub on_link: bool,
    /// The type of service that it is for, IPv4 only.
    #[serde(skip_serializing_if = "is_default")]
    pub tos: u8,
    /// The seconds until the kernel removes it, IPv6 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<u32>,
    /// How much a router wishes to be used (`RTA_PREF`; RFC 4191). IPv6 only.
    #[serde(skip_serializing_if = "is_default")]
    pub preference: u8,
    /// The hop limit of packets that choose none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hop_limit: Option<u32>,
    /// The initial congestion window of TCP, in segments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initcwnd: Option<u32>,
    /// The initial receive window of TCP, in segments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initrwnd: Option<u32>,
}

/// A route inside the sandbox: `10.0.0.0/8` (on the link) or `10.0.0.0/8,10.55.66.9` (by way of).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticRoute {
    /// Where to.
    pub to: IpNet,
    /// Next hop; directly on the link when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<IpAddr>,
    /// See [`RouteOptions`].
    #[serde(default, flatten)]
    pub options: RouteOptions,
}

impl StaticRoute {
    /// A route without options.
    pub fn new(to: IpNet, via: Option<IpAddr>) -> Self {
        StaticRoute { to, via, options: RouteOptions::default() }
    }
}

impl FromStr for StaticRoute {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (to, via) = match text.split_once(',') {
            Some((to, via)) => (to, Some(via)),
            None => (text, None),
        };
        let wrong = |why: &str| Invalid::new("route", text, why).try_instead("write CIDR or CIDR,NEXT-HOP");
        let to: IpNet = to.parse().map_err(|_| wrong("does not begin with an address and prefix length"))?;
        if to != to.trunc() {
            return Err(
                Invalid::new("route", text, "has host bits set").try_instead(format!("did you mean {}?", to.trunc()))
            );
        }
        let via: Option<IpAddr> =
            via.map(str::parse).transpose().map_err(|_| wrong("has a next hop that is not an address"))?;
        if via.is_some_and(|v| v.is_ipv4() != to.addr().is_ipv4()) {
            return Err(wrong("mixes IPv4 and IPv6"));
        }
        if to.prefix_len() == 0 {
            return Err(
                Invalid::new("route", text, "is a default route").try_instead("the network's gateway provides it")
            );
        }
        Ok(StaticRoute::new(to, via))
    }
}

impl fmt::Display for StaticRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.via {
            Some(via) => write!(f, "{},{via}", self.to),
            None => write!(f, "{}", self.to),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_read_with_and_without_next_hop() {
        let route = |t: &str| t.parse::<StaticRoute>();
        assert_eq!(route("10.8.0.0/16,10.55.66.9").unwrap().to_string(), "10.8.0.0/16,10.55.66.9");
        assert_eq!(route("10.8.0.0/16").unwrap().via, None);
        for bad in ["10.8.0.1/16", "0.0.0.0/0,10.0.0.1", "10.8.0.0/16,fd00::1", "x", "10.0.0.0/8,y"] {
            assert!(route(bad).is_err(), "{bad}");
        }
    }
}
