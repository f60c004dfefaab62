//! Networks: what every network has, whichever driver connects its endpoints.

use crate::serial::is_default;
use crate::{
    BridgeNetwork, BridgeSpec, CardVlan, Device, Driver, DriverSpec, Family, HostClient, HostDeviceNetwork, IfName,
    Invalid, Mac, MacvlanNetwork, Mtu, NameService, Naming, NetworkId, NetworkName, OvsNetwork, Pool, PoolSpec,
    Questions, RouterAdvertisements,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

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
    /// The host's address replaces it.
    Masquerade,
    /// The source address stays: the outside must know a route back.
    Plain,
}

/// Who gives endpoints their IPv4 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ipam {
    /// zubi, from the network's pools.
    #[default]
    Pools,
    /// A DHCP server on the network.
    Dhcp,
}

impl fmt::Display for Ipam {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Ipam::Pools => "pools",
            Ipam::Dhcp => "dhcp",
        })
    }
}

impl FromStr for Ipam {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            // Docker's word.
            "pools" | "default" => Ok(Ipam::Pools),
            "dhcp" => Ok(Ipam::Dhcp),
            _ => Err(Invalid::new("ipam", text, "is unknown; there are: pools, dhcp")),
        }
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
    /// The kernel's default (1500) when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<Mtu>,
    /// IPv4 first; a network that a user made has at most one pool of each family.
    pub pools: Vec<Pool>,
    /// How far it reaches.
    pub scope: Scope,
    /// Source addresses of what leaves.
    pub egress: Egress,
    /// Who gives IPv4 addresses.
    #[serde(default, skip_serializing_if = "is_default")]
    pub ipam: Ipam,
    /// Whether its endpoints have the IPv6 addresses that they make of what routers advertise; then it has no IPv6 pool.
    #[serde(default, skip_serializing_if = "is_default")]
    pub router_advertisements: RouterAdvertisements,
    /// Names of its endpoints.
    #[serde(default, skip_serializing_if = "is_default")]
    pub naming: Naming,
    /// The user's own words.
    #[serde(default, skip_serializing_if = "is_default")]
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

    /// The device that stands for the network on the host.
    pub fn device(&self) -> &IfName {
        self.driver.device()
    }

    /// The devices of the host that zubi makes with the network, and others that stand for it.
    pub fn devices(&self) -> impl Iterator<Item = &IfName> {
        let shim = self.macvlan().and_then(|part| part.shim.as_ref());
        std::iter::once(self.device()).chain(shim.map(|shim| &shim.device))
    }

    /// The MAC that zubi gave that device; `None` for a device of another program.
    pub fn device_mac(&self) -> Option<Mac> {
        self.driver.device_mac()
    }

    /// Whether zubi makes that device with the network and deletes both together.
    pub fn owns_device(&self) -> bool {
        self.device_mac().is_some()
    }

    /// Whether the device of another network is this network's too.
    pub fn shares_device_with(&self, other: &Network) -> bool {
        self.device() == other.device()
    }

    /// The bridge's part, for what is about bridges alone.
    pub fn bridge(&self) -> Option<&BridgeNetwork> {
        self.driver.bridge()
    }

    /// The macvlan's part, for what is about macvlans alone.
    pub fn macvlan(&self) -> Option<&MacvlanNetwork> {
        self.driver.macvlan()
    }

    /// Open vSwitch's part, for what is about its bridges alone.
    pub fn ovs(&self) -> Option<&OvsNetwork> {
        self.driver.ovs()
    }

    /// The part of a network whose endpoint is a whole device of the host.
    pub fn whole_device(&self) -> Option<&HostDeviceNetwork> {
        self.driver.whole_device()
    }

    /// The network card of the host that is a port of the network's device: the LAN is part of the network.
    pub fn parent(&self) -> Option<&IfName> {
        self.driver.parent()
    }

    /// Who the host is to the DHCP servers of the LAN, when zubi renews the host's own lease.
    pub fn host_client(&self) -> Option<&HostClient> {
        self.driver.host_client()
    }

    /// The same network, with zubi as the host's DHCP client. Only an uplink network has one.
    #[must_use]
    pub fn with_host_client(mut self, client: HostClient) -> Self {
        self.driver = self.driver.with_host_client(client);
        self
    }

    /// The same network, on a VLAN that zubi makes. Only a network of macvlans is on one.
    #[must_use]
    pub fn with_card_vlan(mut self, vlan: Option<CardVlan>) -> Self {
        self.driver = self.driver.with_card_vlan(vlan);
        self
    }

    /// Whether the firewall has elements and rules about the network.
    pub fn is_firewalled(&self) -> bool {
        self.driver.is_firewalled()
    }

    /// Whether an endpoint can publish ports. The error is why not: the end of a sentence about the port.
    pub fn publishes(&self) -> Result<(), String> {
        if self.scope == Scope::Internal {
            return Err(format!("network {} is internal: nothing from outside reaches it", self.name));
        }
        self.driver.publishes(&self.name)
    }

    /// Whether the host has to pass packets of a family on between the network and the outside.
    pub fn needs_forwarding(&self, family: Family) -> bool {
        self.scope == Scope::Routed && self.is_firewalled() && self.parent().is_none() && self.pool(family).is_some()
    }

    /// Whether its endpoints may give their sandboxes a default route.
    pub fn gives_default_route(&self) -> bool {
        self.scope != Scope::Internal
    }

    /// Whether the host routes, masquerades or guards one of its subnets. Where it does none of these, only the
    /// endpoints on the device know the subnet, and others may have the same.
    pub fn concerns_host(&self, pool: &Pool) -> bool {
        pool.host_address().is_some() || self.egress == Egress::Masquerade || !self.driver.is_open()
    }

    /// Whether a LAN is behind its device, and asks for its addresses.
    pub fn is_on_lan(&self) -> bool {
        self.parent().is_some() || self.macvlan().is_some_and(|part| part.card().is_some() && !part.mode.is_routed())
    }

    /// Whether the host can ask nobody on the link of its endpoints: it is outside of their VLAN, or has the device no more.
    pub fn is_beside_host(&self) -> bool {
        let of_card = self.macvlan().and_then(|part| part.mode.vlan());
        self.whole_device().is_some() || of_card.or(self.bridge().and_then(|part| part.vlan)).is_some()
    }

    /// Whether others may give addresses of its subnets too: its device is another program's, or a LAN is behind it. A
    /// program that describes its network has seen to that.
    pub fn shares_addresses(&self) -> bool {
        self.name.source().is_none() && self.driver.shares_subnets()
    }

    /// Whether zubi chooses addresses of a pool. Where another program may do so, only a range says what is left to zubi.
    pub fn chooses_from(&self, pool: &Pool) -> bool {
        pool.range.is_some() || !self.shares_addresses()
    }

    /// Whether its endpoints get IPv4 addresses from a DHCP server.
    pub fn asks_dhcp(&self) -> bool {
        self.ipam == Ipam::Dhcp
    }

    /// The addresses at which zubi answers questions of its endpoints about names; none where it does not.
    pub fn name_servers(&self) -> impl Iterator<Item = IpAddr> {
        let on = self.naming.service == NameService::On;
        self.pools.iter().filter(move |_| on).filter_map(|pool| Some(pool.host_address()?.addr()))
    }

    /// The addresses to which questions of its endpoints to other name servers are led.
    pub fn redirects_to(&self) -> impl Iterator<Item = IpAddr> {
        let redirected = self.naming.questions == Questions::Redirected;
        self.name_servers().filter(move |_| redirected)
    }

    /// Refuses a wish for redirected questions where none can be redirected.
    pub fn refuse_idle_redirect(&self) -> Result<(), Invalid> {
        if self.naming.questions == Questions::AsSent {
            return Ok(());
        }
        let no = |why: String| Err(Invalid::new("dns", "redirect", why));
        let name = &self.name;
        if self.naming.service == NameService::Off {
            return no(format!("leads to names, and network {name} has none"));
        }
        if !self.is_firewalled() || self.parent().is_some() {
            return no(format!("takes a bridge that the host routes for: what {name} sends passes no rule of zubi's"));
        }
        if self.redirects_to().next().is_none() {
            return no(format!("leads to the host's address on the network, and it has none on {name}"));
        }
        Ok(())
    }

    /// By which device an endpoint is attached. `host` is a free name, for a device on the host; `key` a MAC that no other
    /// endpoint has.
    pub fn device_of_endpoint(&self, host: IfName, key: Mac) -> Device {
        self.driver.device_of_endpoint(host, key)
    }

    /// The MAC that all its endpoints have: that of the card, where they are ipvlans.
    pub fn shared_mac(&self) -> Option<Mac> {
        self.driver.shared_mac()
    }

    /// How many endpoints it takes.
    pub fn most_endpoints(&self) -> usize {
        self.driver.most_endpoints(&self.name)
    }
}

/// A network as a user asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSpec {
    /// Its name.
    pub name: NetworkName,
    /// Its number; random when absent.
    pub id: Option<NetworkId>,
    /// At most one of each family.
    pub pools: Vec<PoolSpec>,
    /// Families that get a subnet from the configured pools where none is given.
    pub families: Vec<Family>,
    /// See [`Network`].
    pub scope: Scope,
    /// See [`Network`].
    pub egress: Egress,
    /// See [`Network`].
    pub ipam: Ipam,
    /// See [`Network`].
    pub router_advertisements: RouterAdvertisements,
    /// See [`Network`].
    pub naming: Naming,
    /// See [`Network`].
    pub mtu: Option<Mtu>,
    /// What connects its endpoints.
    pub driver: DriverSpec,
    /// See [`Network`].
    pub labels: BTreeMap<String, String>,
}

impl NetworkSpec {
    /// A network of that name with Docker's defaults: a bridge, one automatic IPv4 subnet, masquerade, every endpoint
    /// reaches every other.
    pub fn new(name: NetworkName) -> Self {
        NetworkSpec {
            name,
            id: None,
            pools: Vec::new(),
            families: vec![Family::V4],
            scope: Scope::Routed,
            egress: Egress::Masquerade,
            ipam: Ipam::Pools,
            router_advertisements: RouterAdvertisements::Ignored,
            naming: Naming::default(),
            mtu: None,
            driver: DriverSpec::Bridge(BridgeSpec::default()),
            labels: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{BridgeMode, Ingress};

    /// A routed and masqueraded network on a bridge of its own.
    pub(crate) fn network(name: &str, pools: &[Pool]) -> Network {
        let device = format!("zb-{name}").parse().unwrap();
        Network {
            name: name.parse().unwrap(),
            id: NetworkId::from_random([0x5a; 32]),
            created: 7,
            driver: Driver::Bridge(BridgeNetwork::new(device, Mac::from_random([2; 6]))),
            mtu: None,
            pools: pools.to_vec(),
            scope: Scope::Routed,
            egress: Egress::Masquerade,
            ipam: Ipam::Pools,
            router_advertisements: RouterAdvertisements::Ignored,
            naming: Naming::default(),
            labels: BTreeMap::new(),
        }
    }

    pub(crate) fn pool(subnet: &str) -> Pool {
        let subnet = subnet.parse().unwrap();
        PoolSpec { subnet, gateway: None, range: None, exclude: Vec::new() }.decide().unwrap()
    }

    /// The network with its bridge changed.
    pub(crate) fn with_bridge(network: Network, change: impl FnOnce(&mut BridgeNetwork)) -> Network {
        let Driver::Bridge(mut bridge) = network.driver else { unreachable!("a bridge") };
        change(&mut bridge);
        Network { driver: Driver::Bridge(bridge), ..network }
    }

    fn unmanaged() -> Network {
        with_bridge(network("blue", &[pool("10.55.66.0/24")]), |bridge| bridge.mode = BridgeMode::Unmanaged)
    }

    #[test]
    fn ports_are_published_where_the_outside_comes_in_by_our_rules() {
        let blue = network("blue", &[pool("10.55.66.0/24")]);
        assert_eq!(blue.publishes(), Ok(()));
        let internal = Network { scope: Scope::Internal, ..blue };
        assert_eq!(internal.publishes().unwrap_err(), "network blue is internal: nothing from outside reaches it");
        let why = unmanaged().publishes().unwrap_err();
        assert_eq!(why, "network blue has no rules: its bridge and firewall are somebody else's");
    }

    #[test]
    fn a_host_forwards_for_routed_networks_that_have_the_family() {
        let blue = network("blue", &[pool("10.55.66.0/24")]);
        assert!(blue.needs_forwarding(Family::V4) && !blue.needs_forwarding(Family::V6));
        assert!(!unmanaged().needs_forwarding(Family::V4));
        assert!(!Network { scope: Scope::Internal, ..blue }.needs_forwarding(Family::V4));
    }

    #[test]
    fn a_subnet_concerns_the_host_unless_only_its_bridge_knows_it() {
        let mut own = pool("10.55.66.0/24");
        own.gateway = None;
        let blue = network("blue", std::slice::from_ref(&own));
        let plain = Network { egress: Egress::Plain, ..blue.clone() };
        let open = with_bridge(plain.clone(), |bridge| bridge.ingress = Ingress::Open);
        assert!(blue.concerns_host(&own) && plain.concerns_host(&own));
        assert!(!open.concerns_host(&own));
        assert!(open.concerns_host(&pool("10.55.66.0/24")));
    }

    #[test]
    fn only_a_managed_bridge_is_the_networks_own() {
        let blue = network("blue", &[]);
        assert!(blue.owns_device() && !unmanaged().owns_device());
        assert!(blue.shares_device_with(&unmanaged()) && !blue.shares_device_with(&network("green", &[])));
        assert_eq!(blue.device().as_str(), "zb-blue");
        let host: IfName = "zv1".parse().unwrap();
        assert_eq!(
            blue.device_of_endpoint(host.clone(), Mac::from_random([1; 6])),
            Device::pair(host, "zb-blue".parse().unwrap())
        );
    }
}
