//! Endpoints: one attachment of a sandbox to a network.

use crate::hex::hex_id;
use crate::serial::is_default;
use crate::text::written_as_text;
use crate::{
    Alias, ByDhcp, Device, DhcpLease, Family, IfName, Invalid, Mac, Moment, NameFiles, NetnsCookie, NetworkId,
    NetworkName, PublishedPort, RouteOptions, SandboxIdentity, StaticRoute, Traits,
};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Whether a sandbox's default route may go through this endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DefaultRoute {
    /// When no older endpoint of the sandbox provides it.
    Eligible,
    /// The same, in one family.
    EligibleIn(Family),
    /// In place of every other default route of the sandbox, those of other programs too. Of several such endpoints the
    /// newest provides it.
    Replaces,
    /// Never: the network is internal, or the user asked for none.
    Never,
}

impl DefaultRoute {
    /// Whether it may in a family.
    pub fn allows(self, family: Family) -> bool {
        match self {
            DefaultRoute::Eligible | DefaultRoute::Replaces => true,
            DefaultRoute::EligibleIn(only) => only == family,
            DefaultRoute::Never => false,
        }
    }
}

/// A default route of another program that an endpoint's took the place of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisplacedRoute {
    /// The device of the sandbox that it leads to.
    pub device: IfName,
    /// The route.
    #[serde(flatten)]
    pub route: StaticRoute,
}

/// One address of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointAddress {
    /// With the prefix length of the subnet.
    pub address: IpNet,
    /// The next hop out of the subnet, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
}

hex_id!(
    /// The number of an endpoint for programs: 64 hex digits, as Docker has them. It is the endpoint's before there is
    /// a sandbox.
    EndpointId, "endpoint id", 32
);

impl EndpointId {
    /// In the place of the number of the sandbox's namespace, while that does not exist. The kernel counts from one, so it
    /// never gives a number with the highest bit.
    pub fn awaited(&self) -> NetnsCookie {
        let digits = self.as_str().get(..16).unwrap_or_default();
        NetnsCookie(u64::from_str_radix(digits, 16).unwrap_or_default() | 1 << 63)
    }

    /// The owner of the reservation of the endpoint with this number.
    pub fn reservation_owner(&self) -> String {
        self.to_string()
    }
}

/// What distinguishes the endpoints of sandboxes: a sandbox is attached to a network at most once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointKey {
    /// The sandbox.
    pub cookie: NetnsCookie,
    /// The network.
    pub network: NetworkName,
}

impl FromStr for EndpointKey {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || Invalid::new("key of an endpoint", text, "is not COOKIE.NETWORK");
        let (cookie, network) = text.split_once('.').ok_or_else(wrong)?;
        // A key has one spelling, so that it can be a file name.
        let is_canonical = cookie == "0" || cookie.starts_with(|first: char| matches!(first, '1'..='9'));
        let cookie = cookie.parse().ok().filter(|_| is_canonical).map(NetnsCookie).ok_or_else(wrong)?;
        Ok(EndpointKey { cookie, network: network.parse()? })
    }
}

written_as_text!(EndpointKey);

impl fmt::Display for EndpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.cookie, self.network)
    }
}

/// One attachment with everything decided: enough to make it, to recognise it, and to undo it without the namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its number, for programs.
    pub id: EndpointId,
    /// The network.
    pub network: NetworkName,
    /// The network's number.
    pub network_id: NetworkId,
    /// The sandbox.
    pub sandbox: SandboxIdentity,
    /// The device inside the sandbox.
    pub ifname: IfName,
    /// Where another program moves the device into the sandbox: its name on the host until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_over: Option<IfName>,
    /// Of the device inside.
    pub mac: Mac,
    /// The MAC that the device inside is about to get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_mac: Option<Mac>,
    /// What it is on the host.
    pub device: Device,
    /// IPv4 first.
    pub addresses: Vec<EndpointAddress>,
    /// How it has the IPv4 address among them, if a DHCP server gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dhcp: Option<ByDhcp>,
    /// Further routes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<StaticRoute>,
    /// Whether the default route may go through it.
    pub default_route: DefaultRoute,
    /// What the sandbox has again when the endpoint goes, see [`DefaultRoute::Replaces`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub displaced: Vec<DisplacedRoute>,
    /// Names that the user gave it beside its sandbox's own, see [`Endpoint::names`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<Alias>,
    /// The servers that are asked for it about names elsewhere, instead of those of its networks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub name_servers: Vec<IpAddr>,
    /// See [`NameFiles`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub name_files: NameFiles,
    /// The ports it publishes.
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

    /// The endpoint with the address of a lease, if it may use it at a time, in place of the one that it had.
    #[must_use]
    pub fn with_lease(mut self, dhcp: ByDhcp, now: Moment) -> Self {
        self.addresses.retain(|a| a.address.addr().is_ipv6());
        if dhcp.holds_at(now) {
            // The first router is the way out.
            let gateway = dhcp.lease.routers.first().copied().map(IpAddr::V4);
            self.addresses.insert(0, EndpointAddress { address: dhcp.lease.address.into(), gateway });
        }
        self.dhcp = Some(dhcp);
        self
    }

    /// The endpoint as it is at a time: without the address of a lease that has ended.
    #[must_use]
    pub fn at(mut self, now: Moment) -> Self {
        match self.dhcp.take() {
            Some(dhcp) => self.with_lease(dhcp, now),
            None => self,
        }
    }

    /// The lease by which it has an address.
    pub fn lease(&self) -> Option<&DhcpLease> {
        let lease = &self.dhcp.as_ref()?.lease;
        self.addresses.iter().any(|a| a.address == IpNet::V4(lease.address)).then_some(lease)
    }

    /// Its further routes: those that were wished, and those of its lease. A lease's route to everywhere is none of
    /// these: the sandbox's default route follows other rules.
    pub fn all_routes(&self) -> Vec<StaticRoute> {
        let mut all = self.routes.clone();
        let Some(lease) = self.lease() else { return all };
        for route in lease.routes.iter().filter(|route| route.to.prefix_len() > 0) {
            if !all.iter().any(|known| known.to == route.to) {
                let options =
                    RouteOptions { on_link: route.via.is_some_and(|via| !lease.is_on_link(via)), ..route.options };
                all.push(StaticRoute { options, ..*route });
            }
        }
        all
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

    /// The names it answers to on its network: its sandbox's own, where that is one, then the aliases.
    pub fn names(&self) -> Vec<Alias> {
        let mut names: Vec<Alias> = Vec::new();
        for name in self.sandbox.host_name().into_iter().chain(self.aliases.iter().cloned()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The device on the host that is the endpoint's alone: the host end of a pair.
    pub fn host_device(&self) -> Option<&IfName> {
        self.device.on_host()
    }

    /// The device by which its packets reach the host: the bridge of a pair.
    pub fn network_device(&self) -> Option<&IfName> {
        self.device.network_device()
    }

    /// The MACs that the device inside may have.
    pub fn macs(&self) -> impl Iterator<Item = Mac> {
        std::iter::once(self.mac).chain(self.next_mac)
    }

    /// The MACs that are its alone on the network. An ipvlan has a key in the place of one.
    pub fn claimed_macs(&self) -> impl Iterator<Item = Mac> {
        let key = self.device.ipvlan().map(|ipvlan| ipvlan.key);
        std::iter::once(key.unwrap_or(self.mac)).chain(self.next_mac)
    }

    /// Whether its packets find their way without a next hop: an ipvlan's go by the host's routes.
    pub fn needs_no_gateway(&self) -> bool {
        self.device.ipvlan().is_some_and(|ipvlan| ipvlan.mode.is_routed())
    }

    /// Whether another program has not moved the device into the sandbox yet, as far as the record knows.
    pub fn is_on_its_way(&self) -> bool {
        self.handed_over.as_ref() == Some(&self.ifname)
    }

    /// The MAC of the host end of a pair.
    pub fn host_mac(&self) -> Mac {
        self.mac.host_end()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn endpoint(spelled: &str, aliases: &[&str]) -> Endpoint {
        serde_json::from_value(serde_json::json!({
            "id": "cd".repeat(32), "network": "blue", "network_id": "ab".repeat(32),
            "sandbox": {"cookie": 7, "spelled": spelled, "reached_by": {"path": "/proc/7/ns/net"}},
            "ifname": "eth0", "mac": "02:42:0a:37:42:02",
            "device": {"kind": "pair", "host": "zv0123456789", "bridge": "zb-blue"},
            "addresses": [{"address": "10.55.66.2/24", "gateway": "10.55.66.1"}],
            "default_route": "eligible", "aliases": aliases, "attached_at": 1
        }))
        .unwrap()
    }

    #[test]
    fn a_record_reads_back() {
        let endpoint = endpoint("docker:web", &["db"]);
        let json = serde_json::to_string(&endpoint).unwrap();
        assert_eq!(serde_json::from_str::<Endpoint>(&json).unwrap(), endpoint);
        let words = |name: Option<&IfName>| name.map(ToString::to_string).unwrap();
        assert_eq!(words(endpoint.host_device()), "zv0123456789");
        assert_eq!(words(endpoint.network_device()), "zb-blue");
    }

    #[test]
    fn it_answers_to_its_sandboxs_name_and_its_aliases_once_each() {
        let names = |spelled: &str, aliases: &[&str]| {
            endpoint(spelled, aliases).names().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names("c1", &[]), "c1");
        assert_eq!(names("docker:web", &["db", "web", "db"]), "web db");
        assert_eq!(names("podman:db", &["web"]), "db web");
        assert_eq!(names("containerd:redis", &[]), "redis");
        for nameless in ["pid:4711", "/run/netns/x", "cni:0123", "cni:any/0123", &format!("docker:{}", "a".repeat(64))]
        {
            assert_eq!(names(nameless, &["db"]), "db", "{nameless}");
        }
    }

    #[test]
    fn a_key_reads_back_and_has_one_spelling() {
        for text in ["5.blue", "0.a.json", "18446744073709551615.x", "7.cni:blue"] {
            assert_eq!(text.parse::<EndpointKey>().unwrap().to_string(), text);
        }
        for bad in ["05.blue", "+5.blue", "5", "5.", ".blue", "5./x", "18446744073709551616.x", "x.y", "=5.blue"] {
            assert!(bad.parse::<EndpointKey>().is_err(), "{bad}");
        }
    }
}
