//! Networks as other programs describe them, and what that makes of the network that is there.

use crate::{
    Egress, Family, Hairpin, Icc, IfName, Ingress, Invalid, Mtu, Network, NetworkId, NetworkName, Pool, Promiscuity,
    Scope,
};
use std::collections::BTreeMap;

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
    use crate::{BridgeMode, Driver, GatewayAt, Mac, PoolSpec};

    fn spec(subnet: &str) -> PoolSpec {
        PoolSpec { subnet: subnet.parse().unwrap(), gateway: None, range: None, exclude: Vec::new() }
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
