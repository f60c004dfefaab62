//! Endpoints: one attachment of a sandbox to a network.

use crate::network::is_default;
use crate::{
    Alias, Family, IfName, Invalid, Mac, NetnsCookie, NetworkId, NetworkName, NsRef, Pool, PortWish, PublishedPort,
};
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
    /// The same, in one family.
    EligibleIn(Family),
    /// Never: an internal network, or asked not to.
    Never,
}

impl DefaultRoute {
    /// Whether it may in a family.
    pub fn allows(self, family: Family) -> bool {
        match self {
            DefaultRoute::Eligible => true,
            DefaultRoute::EligibleIn(only) => only == family,
            DefaultRoute::Never => false,
        }
    }
}

/// What a route does with packets (`rtm_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteKind {
    /// It passes them on.
    #[default]
    Unicast,
    /// It drops them.
    Blackhole,
    /// It answers that the host is unreachable.
    Unreachable,
    /// It answers that this is prohibited.
    Prohibit,
}

/// What else can be said of a route.
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
    /// The MTU of the way, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// The largest TCP segment that is announced, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advmss: Option<u32>,
}

/// A route inside the sandbox: `10.0.0.0/8` (on the link) or `10.0.0.0/8,10.55.66.9` (by way of).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaticRoute {
    /// Where to.
    pub to: IpNet,
    /// Next hop; directly on the link when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<IpAddr>,
    /// What else is said of it.
    #[serde(default, flatten)]
    pub options: RouteOptions,
}

impl StaticRoute {
    /// One with nothing else said of it.
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

/// Where the addresses of an endpoint come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Addressing {
    /// One of each family the network has.
    #[default]
    Network,
    /// One from each of these sets of pools, all of one family.
    Sets(Vec<Vec<Pool>>),
    /// These, which somebody else chose; none at all for a device without.
    Given(Vec<EndpointAddress>),
}

/// What a device that just came up may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DuplicateDetection {
    /// Everything, at once.
    #[default]
    Skipped,
    /// IPv6 when the kernel has found that nobody else has its addresses (RFC 4862, 5.4).
    Awaited,
}

/// Whether an endpoint may send from other MACs than its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceMac {
    /// It may.
    #[default]
    Any,
    /// The bridge drops such frames.
    Own,
}

/// Whether the inner end is switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InnerState {
    /// It is.
    #[default]
    Up,
    /// Whoever lives in the sandbox does that.
    Down,
}

/// Which sources packets to published ports have inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortSource {
    /// Their own, but where the answer would not come back.
    #[default]
    Preserved,
    /// Their own, as far as published ports go: some do not get an answer. A network that masquerades does so all the same.
    Untouched,
    /// The host's.
    Masqueraded,
}

/// Who keeps the host's own processes from a published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PortHolder {
    /// Nobody: that it is free was tried when it was published.
    #[default]
    Nobody,
    /// The caller, who may hold it already (Podman does).
    Caller,
}

/// How the device of an endpoint differs from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Traits {
    /// See [`DuplicateDetection`].
    #[serde(skip_serializing_if = "is_default")]
    pub dad: DuplicateDetection,
    /// See [`SourceMac`].
    #[serde(skip_serializing_if = "is_default")]
    pub source_mac: SourceMac,
    /// See [`InnerState`].
    #[serde(skip_serializing_if = "is_default")]
    pub inner: InnerState,
    /// See [`PortSource`].
    #[serde(skip_serializing_if = "is_default")]
    pub port_source: PortSource,
    /// See [`PortHolder`].
    #[serde(skip_serializing_if = "is_default")]
    pub port_holder: PortHolder,
    /// Of the default routes it gives; the kernel's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<u32>,
}

/// What a caller wishes of an endpoint; everything left out is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    /// How the sandbox is called from now on, when not as it was named.
    pub called: Option<String>,
    /// Where addresses come from.
    pub addressing: Addressing,
    /// Which of those; at most one per subnet.
    pub addresses: Vec<IpAddr>,
    /// The name of the host end; chosen when absent.
    pub host_device: Option<IfName>,
    /// See [`Traits`].
    pub traits: Traits,
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
            called: None,
            addressing: Addressing::Network,
            addresses: Vec::new(),
            host_device: None,
            traits: Traits::default(),
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
    /// The next hop for everything else, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
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
    /// What that is about to become.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_mac: Option<Mac>,
    /// Host end, a port of the bridge.
    pub host_device: IfName,
    /// The bridge it is a port of.
    pub bridge: IfName,
    /// IPv4 first.
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
    /// See [`Traits`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub traits: Traits,
    /// Nanoseconds of the boot clock at attach: orders the endpoints of one sandbox.
    pub attached_at: u64,
}

impl Endpoint {
    /// What distinguishes it.
    pub fn key(&self) -> EndpointKey {
        EndpointKey { cookie: self.sandbox.cookie, network: self.network.clone() }
    }

    /// Its first address in a family.
    pub fn address(&self, family: Family) -> Option<&EndpointAddress> {
        self.addresses.iter().find(|a| Family::of(a.address.addr()) == family)
    }

    /// The families it has addresses in.
    pub fn families(&self) -> Vec<Family> {
        let mut families: Vec<Family> = self.addresses.iter().map(|a| Family::of(a.address.addr())).collect();
        families.dedup();
        families
    }

    /// The MACs that the inner end may have.
    pub fn macs(&self) -> impl Iterator<Item = Mac> {
        std::iter::once(self.mac).chain(self.next_mac)
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
