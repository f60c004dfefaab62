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

    /// The pool an address is in.
    pub fn pool_with(&self, address: IpAddr) -> Option<&Pool> {
        self.pools.iter().find(|p| p.subnet.net().contains(&address))
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

/// A network as another program describes it with every call: as it is to be from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its name, with its source.
    pub name: NetworkName,
    /// Its number, if the program has one for it.
    pub id: Option<NetworkId>,
    /// The bridge device.
    pub bridge: IfName,
    /// What happens to a bridge that somebody else made.
    pub foreign_bridge: ForeignBridge,
    /// See [`Network`].
    pub mtu: Option<Mtu>,
    /// Those the network is to have at least.
    pub pools: Vec<Pool>,
    /// Families that get a subnet of zubi's choice; empty when all pools are described.
    pub families: Vec<Family>,
    /// See [`Network`].
    pub scope: Scope,
    /// See [`Network`].
    pub egress: Egress,
    /// See [`Network`]; when absent, as it is.
    pub icc: Option<Icc>,
    /// See [`Network`]; when absent, as it is, and [`Ingress::Open`] in the beginning.
    pub ingress: Option<Ingress>,
    /// See [`Network`].
    pub hairpin: Hairpin,
    /// See [`Network`].
    pub promiscuity: Promiscuity,
    /// What happens when the bridge has another address in a subnet.
    pub other_gateway: OtherGateway,
    /// See [`Network`].
    pub labels: BTreeMap<String, String>,
}

impl Description {
    /// What an existing network becomes by it. Pools that are not described any more stay while somebody may have
    /// addresses of them.
    pub fn onto(&self, old: &Network, endpoints: InUse) -> Result<Network, Invalid> {
        if self.bridge != old.bridge {
            let why = format!("is not the bridge of network {}, which is {}", self.name, old.bridge);
            return Err(Invalid::new("bridge", &self.bridge, why).try_instead("remove its containers first"));
        }
        let mut pools: Vec<Pool> = Vec::new();
        for pool in &self.pools {
            // Two ranges of one subnet are one pool to the bridge.
            if !pools.iter().any(|p| p.subnet == pool.subnet) {
                pools.push(pool.clone());
            }
        }
        let chosen = |p: &&Pool| self.families.contains(&p.subnet.family());
        if endpoints == InUse::No {
            pools.extend(old.pools.iter().filter(chosen).cloned());
        }
        if endpoints == InUse::Yes {
            for before in &old.pools {
                let Some(same) = pools.iter_mut().find(|p| p.subnet.overlaps(before.subnet.net())) else {
                    pools.push(before.clone());
                    continue;
                };
                if same.subnet != before.subnet {
                    let why = format!("overlaps {}, which endpoints of network {} use", before.subnet, self.name);
                    return Err(Invalid::new("subnet", same.subnet, why).try_instead("remove those first"));
                }
                let other = same.host_address() != before.host_address();
                if other && before.host_address().is_some() && self.other_gateway == OtherGateway::Refused {
                    let has = before.gateway.map_or_else(String::new, |g| g.to_string());
                    let words = same.gateway.map_or_else(|| "none".into(), |g| g.to_string());
                    let why = format!("differs from {has}, which the bridge {} has in {}", old.bridge, before.subnet);
                    return Err(Invalid::new("gateway", words, why));
                }
            }
        }
        let place = |p: &Pool| old.pools.iter().position(|o| o.subnet == p.subnet).unwrap_or(usize::MAX);
        pools.sort_by_key(|p| (p.subnet.family(), place(p)));
        Ok(Network {
            mtu: self.mtu,
            pools,
            scope: self.scope,
            egress: self.egress,
            icc: self.icc.unwrap_or(old.icc),
            ingress: self.ingress.unwrap_or(old.ingress),
            hairpin: self.hairpin,
            promiscuity: self.promiscuity,
            labels: self.labels.clone(),
            ..old.clone()
        })
    }
}

/// Whether anything uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InUse {
    /// Something does.
    Yes,
    /// Nothing does.
    No,
}

/// What happens when a gateway differs from the one a network has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherGateway {
    /// That is an error.
    Refused,
    /// The new one replaces it.
    Replaces,
}

/// What becomes of a bridge that is there already and not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignBridge {
    /// It is used; one that is not there is made.
    Adopted,
    /// There has to be one, and nothing but ports is changed of it.
    Required,
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

    fn pool(subnet: &str) -> Pool {
        spec(subnet).decide().unwrap()
    }

    fn pool_by(subnet: &str, gateway: &str) -> Pool {
        PoolSpec { gateway: Some(gateway.parse().unwrap()), ..spec(subnet) }.decide().unwrap()
    }

    fn described(pools: &[Pool]) -> Description {
        Description {
            name: "blue".parse().unwrap(),
            id: None,
            bridge: "cni0".parse().unwrap(),
            foreign_bridge: ForeignBridge::Adopted,
            mtu: None,
            pools: pools.to_vec(),
            families: Vec::new(),
            scope: Scope::Routed,
            egress: Egress::Masquerade,
            icc: None,
            ingress: None,
            hairpin: Hairpin::Published,
            promiscuity: Promiscuity::Off,
            other_gateway: OtherGateway::Refused,
            labels: BTreeMap::new(),
        }
    }

    fn recorded(pools: &[Pool]) -> Network {
        Network {
            name: "blue".parse().unwrap(),
            id: NetworkId::from_random([0x5a; 32]),
            created: 7,
            driver: Driver::Bridge,
            bridge: "cni0".parse().unwrap(),
            bridge_mac: Mac::from_random([2, 0, 0, 0, 0, 1]),
            mtu: None,
            pools: pools.to_vec(),
            scope: Scope::Routed,
            egress: Egress::Masquerade,
            icc: Icc::Allowed,
            ingress: Ingress::Open,
            bridge_mode: BridgeMode::Adopted,
            hairpin: Hairpin::Published,
            promiscuity: Promiscuity::Off,
            labels: BTreeMap::new(),
        }
    }

    fn pools_after(old: &[Pool], description: &Description, endpoints: InUse) -> Vec<Pool> {
        description.onto(&recorded(old), endpoints).unwrap().pools
    }

    #[test]
    fn the_same_description_changes_nothing() {
        let pools = [pool("10.55.67.0/24"), pool("10.55.66.0/24"), pool("fd00:5::/64")];
        for endpoints in [InUse::Yes, InUse::No] {
            assert_eq!(described(&pools).onto(&recorded(&pools), endpoints).unwrap(), recorded(&pools));
        }
        let [b, a, c] = pools.clone();
        // In another order they are the same.
        assert_eq!(described(&[c, a, b]).onto(&recorded(&pools), InUse::Yes).unwrap(), recorded(&pools));
    }

    #[test]
    fn a_description_changes_what_it_says_and_leaves_the_rest() {
        let pools = [pool("10.55.66.0/24")];
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let description = Description {
            mtu: Some(Mtu::try_from(1400).unwrap()),
            scope: Scope::Internal,
            egress: Egress::Plain,
            hairpin: Hairpin::Always,
            promiscuity: Promiscuity::On,
            labels: labels.clone(),
            ..described(&pools)
        };
        let old = Network { icc: Icc::Isolated, ingress: Ingress::Apart, ..recorded(&pools) };
        let expected = Network {
            mtu: description.mtu,
            scope: Scope::Internal,
            egress: Egress::Plain,
            hairpin: Hairpin::Always,
            promiscuity: Promiscuity::On,
            labels,
            ..old.clone()
        };
        assert_eq!(description.onto(&old, InUse::Yes).unwrap(), expected);
        let said = Description { icc: Some(Icc::Allowed), ingress: Some(Ingress::Open), ..description };
        let expected = Network { icc: Icc::Allowed, ingress: Ingress::Open, ..expected };
        assert_eq!(said.onto(&old, InUse::Yes).unwrap(), expected);
    }

    #[test]
    fn pools_stay_while_they_are_in_use_and_are_replaced_when_not() {
        let (old, new, six) = (pool("10.55.66.0/24"), pool("10.55.77.0/24"), pool("fd00:5::/64"));
        let description = described(&[six.clone(), new.clone()]);
        let all = [old.clone(), new.clone(), six.clone()];
        assert_eq!(pools_after(std::slice::from_ref(&old), &description, InUse::Yes), all);
        assert_eq!(pools_after(std::slice::from_ref(&old), &description, InUse::No), [new, six]);
        assert_eq!(pools_after(std::slice::from_ref(&old), &described(&[]), InUse::Yes), [old]);
    }

    #[test]
    fn a_subnet_of_zubis_choice_stays() {
        let old = [pool("10.55.66.0/24"), pool("fd00:5::/64")];
        let description = Description { families: vec![Family::V4], ..described(&[]) };
        assert_eq!(pools_after(&old, &description, InUse::No), old[..1]);
        assert_eq!(pools_after(&old, &description, InUse::Yes), old);
    }

    #[test]
    fn a_subnet_that_overlaps_one_in_use_is_refused() {
        for subnet in ["10.55.0.0/16", "10.55.66.128/25"] {
            let description = described(&[pool(subnet)]);
            let old = recorded(&[pool("10.55.66.0/24")]);
            let error = description.onto(&old, InUse::Yes).unwrap_err();
            assert_eq!(error.what, "subnet");
            assert!(error.to_string().contains("overlaps 10.55.66.0/24"), "{error}");
            assert_eq!(description.onto(&old, InUse::No).unwrap().pools, description.pools);
        }
    }

    #[test]
    fn another_gateway_of_a_subnet_in_use_is_refused_or_replaces() {
        let old = [pool("10.55.66.0/24")];
        let refused = described(&[pool_by("10.55.66.0/24", "10.55.66.254")]);
        let error = refused.onto(&recorded(&old), InUse::Yes).unwrap_err();
        assert_eq!(error.what, "gateway");
        assert!(error.to_string().contains("differs from 10.55.66.1, which the bridge cni0 has"), "{error}");
        assert_eq!(pools_after(&old, &refused, InUse::No), refused.pools);
        let replaces = Description { other_gateway: OtherGateway::Replaces, ..refused };
        assert_eq!(pools_after(&old, &replaces, InUse::Yes), replaces.pools);
    }

    #[test]
    fn only_an_address_of_the_host_is_another_gateway() {
        let elsewhere = |gateway| Pool { gateway_at: GatewayAt::Elsewhere, ..pool_by("10.55.66.0/24", gateway) };
        let moved = described(&[elsewhere("10.55.66.254")]);
        assert_eq!(pools_after(&[elsewhere("10.55.66.1")], &moved, InUse::Yes), moved.pools);
        let first = described(&[pool("10.55.66.0/24")]);
        assert_eq!(pools_after(&[elsewhere("10.55.66.1")], &first, InUse::Yes), first.pools);
        assert_eq!(moved.onto(&recorded(&[pool("10.55.66.0/24")]), InUse::Yes).unwrap_err().what, "gateway");
    }

    #[test]
    fn ranges_of_one_subnet_are_one_pool() {
        let ranged =
            |range: &str| PoolSpec { range: Some(range.parse().unwrap()), ..spec("10.55.66.0/24") }.decide().unwrap();
        let description = described(&[ranged("10.55.66.64/28"), ranged("10.55.66.128/28")]);
        for endpoints in [InUse::Yes, InUse::No] {
            assert_eq!(pools_after(&description.pools[..1], &description, endpoints), description.pools[..1]);
        }
    }
}
