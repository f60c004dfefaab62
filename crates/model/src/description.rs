//! Networks as other programs describe them, and how a description changes the network that is there.

use crate::{
    DriverDescription, Egress, Family, Invalid, Ipam, Mtu, Naming, Network, NetworkId, NetworkName, Pool, Scope,
};
use std::collections::BTreeMap;

/// A network as another program describes it with every call: as it is to be from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its name, with its source.
    pub name: NetworkName,
    /// Its number, if the program has one for it.
    pub id: Option<NetworkId>,
    /// What connects its endpoints.
    pub driver: DriverDescription,
    /// See [`Network`].
    pub mtu: Option<Mtu>,
    /// Pools that the network is to have at least.
    pub pools: Vec<Pool>,
    /// Families for which zubi chooses the subnet; empty when all pools are described.
    pub families: Vec<Family>,
    /// See [`Network`].
    pub scope: Scope,
    /// See [`Network`].
    pub egress: Egress,
    /// See [`Network`].
    pub ipam: Ipam,
    /// See [`Network`].
    pub naming: Naming,
    /// What happens when the host has another address in a subnet.
    pub other_gateway: OtherGateway,
    /// See [`Network`].
    pub labels: BTreeMap<String, String>,
}

impl Description {
    /// What an existing network becomes by it. Pools that are no longer described stay while endpoints may have
    /// addresses of them.
    pub fn onto(&self, old: &Network, endpoints: InUse) -> Result<Network, Invalid> {
        let driver = self.driver.onto(&old.driver, &self.name)?;
        if endpoints == InUse::Yes && self.ipam != old.ipam {
            let why = format!("does not give the addresses of network {}, which is {}", self.name, old.ipam);
            return Err(Invalid::new("ipam", self.ipam, why).try_instead("remove its containers first"));
        }
        let mut pools = self.distinct_pools();
        match endpoints {
            InUse::No => {
                let chosen = |p: &&Pool| self.families.contains(&p.subnet.family());
                pools.extend(old.pools.iter().filter(chosen).cloned());
            }
            InUse::Yes => {
                for before in &old.pools {
                    match pools.iter().find(|p| p.subnet.overlaps(before.subnet.net())) {
                        Some(same) => self.check_in_use(same, before, old)?,
                        None => pools.push(before.clone()),
                    }
                }
            }
        }
        let place = |p: &Pool| old.pools.iter().position(|o| o.subnet == p.subnet).unwrap_or(usize::MAX);
        pools.sort_by_key(|p| (p.subnet.family(), place(p)));
        Ok(Network {
            driver,
            mtu: self.mtu,
            pools,
            scope: self.scope,
            egress: self.egress,
            ipam: self.ipam,
            naming: self.naming.clone(),
            labels: self.labels.clone(),
            ..old.clone()
        })
    }

    /// Two ranges of one subnet are one pool to the network.
    fn distinct_pools(&self) -> Vec<Pool> {
        let mut pools: Vec<Pool> = Vec::new();
        for pool in &self.pools {
            if !pools.iter().any(|p| p.subnet == pool.subnet) {
                pools.push(pool.clone());
            }
        }
        pools
    }

    /// Refuses a pool that takes away what endpoints rely on.
    fn check_in_use(&self, new: &Pool, before: &Pool, old: &Network) -> Result<(), Invalid> {
        if new.subnet != before.subnet {
            let why = format!("overlaps {}, which endpoints of network {} use", before.subnet, self.name);
            return Err(Invalid::new("subnet", new.subnet, why).try_instead("remove those first"));
        }
        let other = new.host_address() != before.host_address();
        if other && before.host_address().is_some() && self.other_gateway == OtherGateway::Refused {
            let has = before.gateway.map_or_else(String::new, |g| g.to_string());
            let words = new.gateway.map_or_else(|| "none".into(), |g| g.to_string());
            let (kind, device) = (old.driver.kind(), old.device());
            let why = format!("differs from {has}, which the {kind} {device} has in {}", before.subnet);
            return Err(Invalid::new("gateway", words, why));
        }
        Ok(())
    }
}

/// Whether a network has endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InUse {
    /// It has some.
    Yes,
    /// It has none.
    No,
}

/// What happens when a gateway differs from the one a network has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherGateway {
    /// The description is refused.
    Refused,
    /// The new gateway replaces the old one.
    Replaces,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::tests::{network, pool, with_bridge};
    use crate::{
        BridgeDescription, BridgeMode, BridgeNetwork, ForeignBridge, GatewayAt, Hairpin, Icc, Ingress, Promiscuity,
    };

    fn pool_by(subnet: &str, gateway: &str) -> Pool {
        Pool { gateway: Some(gateway.parse().unwrap()), ..pool(subnet) }
    }

    fn bridge() -> BridgeDescription {
        BridgeDescription {
            device: "cni0".parse().unwrap(),
            foreign: ForeignBridge::Adopted,
            icc: None,
            ingress: None,
            hairpin: Hairpin::Published,
            promiscuity: Promiscuity::Off,
        }
    }

    fn described(pools: &[Pool]) -> Description {
        Description {
            name: "blue".parse().unwrap(),
            id: None,
            driver: DriverDescription::Bridge(bridge()),
            mtu: None,
            pools: pools.to_vec(),
            families: Vec::new(),
            scope: Scope::Routed,
            egress: Egress::Masquerade,
            ipam: Ipam::Pools,
            naming: Naming::default(),
            other_gateway: OtherGateway::Refused,
            labels: BTreeMap::new(),
        }
    }

    fn on_cni0(bridge: &mut BridgeNetwork) {
        bridge.device = "cni0".parse().unwrap();
        bridge.mode = BridgeMode::Adopted;
        bridge.ingress = Ingress::Open;
    }

    fn recorded(pools: &[Pool]) -> Network {
        with_bridge(network("blue", pools), on_cni0)
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
        let changed = BridgeDescription { hairpin: Hairpin::Always, promiscuity: Promiscuity::On, ..bridge() };
        let description = Description {
            driver: DriverDescription::Bridge(changed.clone()),
            mtu: Some(Mtu::try_from(1400).unwrap()),
            scope: Scope::Internal,
            egress: Egress::Plain,
            labels: labels.clone(),
            ..described(&pools)
        };
        let old = with_bridge(recorded(&pools), |bridge| {
            bridge.icc = Icc::Isolated;
            bridge.ingress = Ingress::Apart;
        });
        let expected = Network {
            mtu: description.mtu,
            scope: Scope::Internal,
            egress: Egress::Plain,
            labels,
            ..with_bridge(old.clone(), |bridge| {
                bridge.hairpin = Hairpin::Always;
                bridge.promiscuity = Promiscuity::On;
            })
        };
        assert_eq!(description.onto(&old, InUse::Yes).unwrap(), expected);
        let said = BridgeDescription { icc: Some(Icc::Allowed), ingress: Some(Ingress::Open), ..changed };
        let description = Description { driver: DriverDescription::Bridge(said), ..description };
        let expected = with_bridge(expected, |bridge| {
            bridge.icc = Icc::Allowed;
            bridge.ingress = Ingress::Open;
        });
        assert_eq!(description.onto(&old, InUse::Yes).unwrap(), expected);
    }

    #[test]
    fn another_bridge_is_refused() {
        let other = BridgeDescription { device: "cni1".parse().unwrap(), ..bridge() };
        let description = Description { driver: DriverDescription::Bridge(other), ..described(&[]) };
        let error = description.onto(&recorded(&[]), InUse::No).unwrap_err().to_string();
        assert!(error.contains("bridge `cni1`: is not the bridge of network blue, which is cni0"), "{error}");
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
    fn who_gives_the_addresses_changes_while_nobody_has_one() {
        let by_server = Description { ipam: Ipam::Dhcp, ..described(&[]) };
        assert_eq!(by_server.onto(&recorded(&[]), InUse::No).unwrap().ipam, Ipam::Dhcp);
        let error = by_server.onto(&recorded(&[]), InUse::Yes).unwrap_err().to_string();
        assert!(error.contains("ipam `dhcp`: does not give the addresses of network blue, which is pools"), "{error}");
    }

    #[test]
    fn ranges_of_one_subnet_are_one_pool() {
        let ranged = |range: &str| Pool { range: Some(range.parse().unwrap()), ..pool("10.55.66.0/24") };
        let description = described(&[ranged("10.55.66.64/28"), ranged("10.55.66.128/28")]);
        for endpoints in [InUse::Yes, InUse::No] {
            assert_eq!(pools_after(&description.pools[..1], &description, endpoints), description.pools[..1]);
        }
    }
}
