//! Endpoints: one attachment of a sandbox to a network.

use crate::{Alias, Family, IfName, Invalid, Mac, NetnsCookie, NetworkId, NetworkName, NsRef, PortWish, PublishedPort};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Which MAC the inner end gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacWish {
    /// Derived from the address, see [`Mac::from_address`].
    FromAddress,
    /// Random.
    Random,
    /// This one.
    Given(Mac),
}

impl FromStr for MacWish {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == "random" { Ok(MacWish::Random) } else { text.parse().map(MacWish::Given) }
    }
}

/// Whether a sandbox's default route may go through this endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DefaultRoute {
    /// When no older endpoint of the sandbox provides it.
    Eligible,
    /// Never: an internal network, or asked not to.
    Never,
}

/// A route inside the sandbox: `10.0.0.0/8` (on the link) or `10.0.0.0/8,10.55.66.9` (by way of).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticRoute {
    /// Where to.
    pub to: IpNet,
    /// Next hop; directly on the link when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<IpAddr>,
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
        Ok(StaticRoute { to, via })
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

/// What a caller wishes of an endpoint; everything left out is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    /// At most one per family.
    pub addresses: Vec<IpAddr>,
    /// The MAC of the inner end.
    pub mac: MacWish,
    /// The name of the inner end; `eth0`, `eth1`... when absent.
    pub ifname: Option<IfName>,
    /// Further names.
    pub aliases: Vec<Alias>,
    /// Further routes.
    pub routes: Vec<StaticRoute>,
    /// See [`DefaultRoute`].
    pub default_route: DefaultRoute,
    /// What is published of it.
    pub ports: Vec<PortWish>,
}

impl Default for Wishes {
    fn default() -> Self {
        Wishes {
            addresses: Vec::new(),
            mac: MacWish::FromAddress,
            ifname: None,
            aliases: Vec::new(),
            routes: Vec::new(),
            default_route: DefaultRoute::Eligible,
            ports: Vec::new(),
        }
    }
}

impl Wishes {
    /// Whatever is not wished is as an earlier endpoint of the same sandbox and network had it.
    #[must_use]
    pub fn or_as_before(mut self, earlier: &Endpoint) -> Self {
        if self.addresses.is_empty() {
            self.addresses = earlier.addresses.iter().map(|a| a.address.addr()).collect();
            if self.mac == MacWish::FromAddress {
                self.mac = MacWish::Given(earlier.mac);
            }
        }
        self.ifname.get_or_insert_with(|| earlier.ifname.clone());
        if self.aliases.is_empty() {
            self.aliases.clone_from(&earlier.aliases);
        }
        if self.routes.is_empty() {
            self.routes.clone_from(&earlier.routes);
        }
        if self.default_route == DefaultRoute::Eligible {
            self.default_route = earlier.default_route;
        }
        if self.ports.is_empty() {
            self.ports = earlier.ports.iter().map(|port| PortWish::from(*port)).collect();
        }
        self
    }
}

/// One address of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointAddress {
    /// With the prefix length of the subnet.
    pub address: IpNet,
    /// The bridge's address.
    pub gateway: IpAddr,
}

/// Who an endpoint's sandbox is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxIdentity {
    /// The kernel's number: this is the identity, for this boot.
    pub cookie: NetnsCookie,
    /// As the user named it first: `c1`, `docker:web`.
    pub spelled: String,
    /// How printed commands reach it, and where to look whether it still is the same.
    pub reached_by: NsRef,
}

/// What distinguishes endpoints: a sandbox is attached to a network at most once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EndpointKey {
    /// The sandbox.
    pub cookie: NetnsCookie,
    /// The network.
    pub network: NetworkName,
}

impl fmt::Display for EndpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.cookie, self.network)
    }
}

/// One attachment with everything decided: enough to make it, to recognise it and to undo it without the
/// namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The network.
    pub network: NetworkName,
    /// Its number, for programs.
    pub network_id: NetworkId,
    /// The sandbox.
    pub sandbox: SandboxIdentity,
    /// Inner end.
    pub ifname: IfName,
    /// Of the inner end.
    pub mac: Mac,
    /// Host end, a port of the bridge.
    pub host_device: IfName,
    /// The bridge it is a port of.
    pub bridge: IfName,
    /// IPv4 first; at least one.
    pub addresses: Vec<EndpointAddress>,
    /// Further routes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<StaticRoute>,
    /// Whether the default route may go through it.
    pub default_route: DefaultRoute,
    /// Further names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<Alias>,
    /// What is published of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PublishedPort>,
    /// Nanoseconds of the boot clock at attach: orders the endpoints of one sandbox.
    pub attached_at: u64,
}

impl Endpoint {
    /// What distinguishes it.
    pub fn key(&self) -> EndpointKey {
        EndpointKey { cookie: self.sandbox.cookie, network: self.network.clone() }
    }

    /// Its address in a family.
    pub fn address(&self, family: Family) -> Option<&EndpointAddress> {
        self.addresses.iter().find(|a| Family::of(a.address.addr()) == family)
    }

    /// The families it has addresses in.
    pub fn families(&self) -> Vec<Family> {
        self.addresses.iter().map(|a| Family::of(a.address.addr())).collect()
    }

    /// The MAC of the host end.
    pub fn host_mac(&self) -> Mac {
        self.mac.host_end()
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
