//! What may be changed about a network.

use crate::{
    Difference, DriverChange, Egress, Exclusion, Invalid, Mtu, NameService, Network, Pool, PoolSpec, Questions, Scope,
    Subnet,
};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What a user wishes to change; what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkChange {
    /// See [`Network::mtu`].
    pub mtu: Option<Mtu>,
    /// See [`Network::egress`].
    pub egress: Option<Egress>,
    /// See [`Network::scope`].
    pub scope: Option<Scope>,
    /// See [`Network::driver`].
    pub driver: Option<DriverChange>,
    /// New ranges, each of the subnet that it lies in; an empty list removes the ranges of all subnets.
    pub ranges: Option<Vec<IpNet>>,
    /// What is excluded from the subnets they lie in; an empty list excludes nothing.
    pub exclude: Option<Vec<Exclusion>>,
    /// See [`Naming::service`](crate::Naming).
    pub name_service: Option<NameService>,
    /// See [`Naming::servers`](crate::Naming).
    pub name_servers: Option<Vec<IpAddr>>,
    /// See [`Naming::questions`](crate::Naming).
    pub questions: Option<Questions>,
    /// Labels to add or to replace.
    pub labels: BTreeMap<String, String>,
    /// Subnets cannot be changed: one that the network does not have is refused.
    pub subnets: Vec<Subnet>,
    /// The same.
    pub gateways: Vec<IpAddr>,
}

impl NetworkChange {
    /// The network after the change. Wishes for what cannot be changed are ignored here, see [`NetworkChange::fixed`].
    pub fn apply(&self, network: &Network) -> Result<Network, Invalid> {
        let mut new = network.clone();
        // Left alone where it says what holds anyway.
        if let Some(mtu) = self.mtu.filter(|mtu| *mtu != network.mtu.unwrap_or(Mtu::STANDARD)) {
            if network.pools.iter().any(|p| p.subnet.net().addr().is_ipv6()) {
                mtu.carries_ipv6()?;
            }
            new.mtu = Some(mtu);
        }
        if let Some(driver) = &self.driver {
            new.driver = driver.apply(&network.driver);
        }
        new.egress = self.egress.unwrap_or(network.egress);
        new.scope = self.scope.unwrap_or(network.scope);
        new.naming.service = self.name_service.unwrap_or(network.naming.service);
        if let Some(servers) = &self.name_servers {
            new.naming.servers.clone_from(servers);
        }
        new.naming.questions = self.questions.unwrap_or(network.naming.questions);
        new.refuse_idle_redirect()?;
        new.labels.extend(self.labels.clone());
        if let Some(ranges) = &self.ranges {
            new.pools = with_ranges(&new.pools, ranges)?;
        }
        if let Some(exclude) = &self.exclude {
            new.pools = with_exclusions(&new.pools, exclude)?;
        }
        Ok(new)
    }

    /// The first wish that cannot be met because it cannot be changed, and what the network has.
    pub fn fixed(&self, network: &Network) -> Option<(&'static str, String)> {
        let list = |all: Vec<String>| all.join(", ");
        if self.subnets.iter().any(|s| !network.pools.iter().any(|p| p.subnet == *s)) {
            return Some(("subnet", list(network.pools.iter().map(|p| p.subnet.to_string()).collect())));
        }
        if self.gateways.iter().any(|g| !network.pools.iter().any(|p| p.gateway == Some(*g))) {
            return Some((
                "gateway",
                list(network.pools.iter().filter_map(|p| Some(p.gateway?.to_string())).collect()),
            ));
        }
        if network.bridge().is_none() {
            let is = network.scope == Scope::Internal;
            let fixed = [
                (self.egress == Some(Egress::Masquerade), ("masquerade", "off")),
                (self.scope.is_some_and(|scope| scope != network.scope), ("internal", if is { "on" } else { "off" })),
            ];
            if let Some((_, (what, has))) = fixed.into_iter().find(|(wished, _)| *wished) {
                return Some((what, has.to_owned()));
            }
        }
        self.driver.as_ref()?.fixed(&network.driver)
    }
}

fn home(pools: &[Pool], what: &'static str, value: &dyn std::fmt::Display, address: IpAddr) -> Result<usize, Invalid> {
    pools.iter().position(|p| p.subnet.net().contains(&address)).ok_or_else(|| {
        let subnets: Vec<String> = pools.iter().map(|p| p.subnet.to_string()).collect();
        Invalid::new(what, value, format!("is not inside {}", subnets.join(" or ")))
    })
}

fn decided(pools: Vec<Pool>) -> Result<Vec<Pool>, Invalid> {
    let decide = |p: Pool| {
        let (gateway, gateway_at) = (p.gateway, p.gateway_at);
        let spec = PoolSpec { subnet: p.subnet, gateway, range: p.range, exclude: p.exclude };
        Ok(Pool { gateway, gateway_at, ..spec.decide()? })
    };
    pools.into_iter().map(decide).collect()
}

fn with_ranges(pools: &[Pool], ranges: &[IpNet]) -> Result<Vec<Pool>, Invalid> {
    let mut new = pools.to_vec();
    if ranges.is_empty() {
        for pool in &mut new {
            pool.range = None;
        }
    }
    let mut given = Vec::new();
    for range in ranges {
        let at = home(pools, "address range", range, range.addr())?;
        if given.contains(&at) {
            return Err(Invalid::new("address range", range, format!("is a second one in {}", pools[at].subnet)));
        }
        given.push(at);
        new[at].range = Some(range.trunc());
    }
    decided(new)
}

fn with_exclusions(pools: &[Pool], exclude: &[Exclusion]) -> Result<Vec<Pool>, Invalid> {
    let mut new = pools.to_vec();
    if exclude.is_empty() {
        for pool in &mut new {
            pool.exclude.clear();
        }
    }
    let mut given = Vec::new();
    for exclusion in exclude {
        let at = home(pools, "excluded address", exclusion, exclusion.first)?;
        if !given.contains(&at) {
            given.push(at);
            new[at].exclude.clear();
        }
        new[at].exclude.push(*exclusion);
    }
    decided(new)
}

impl Network {
    /// What differs from an earlier state.
    pub fn differences(&self, old: &Network) -> Vec<Difference> {
        let on = |yes| if yes { "on" } else { "off" };
        let mtu = |n: &Network| n.mtu.unwrap_or(Mtu::STANDARD);
        let masquerades = |n: &Network| on(n.egress == Egress::Masquerade);
        let internal = |n: &Network| on(n.scope == Scope::Internal);
        let mut all: Vec<Difference> = Difference::between("mtu", mtu(old), mtu(self)).into_iter().collect();
        all.extend(self.driver.differences(&old.driver));
        all.extend(Difference::between("masquerade", masquerades(old), masquerades(self)));
        all.extend(Difference::between("internal", internal(old), internal(self)));
        let names = |n: &Network| on(n.naming.service == NameService::On);
        all.extend(Difference::between("names", names(old), names(self)));
        let servers = |n: &Network| {
            let all: Vec<String> = n.naming.servers.iter().map(ToString::to_string).collect();
            if all.is_empty() { "the host's".to_owned() } else { all.join(",") }
        };
        all.extend(Difference::between("dns", servers(old), servers(self)));
        let redirects = |n: &Network| on(n.naming.questions == Questions::Redirected);
        all.extend(Difference::between("dns redirect", redirects(old), redirects(self)));
        for (before, after) in old.pools.iter().zip(&self.pools) {
            let range = |p: &Pool| p.range.map_or_else(|| "none".to_owned(), |r| r.to_string());
            all.extend(Difference::between("ip-range", range(before), range(after)));
            let words = |p: &Pool| {
                let all: Vec<String> = p.exclude.iter().map(ToString::to_string).collect();
                if all.is_empty() { "none".to_owned() } else { all.join(",") }
            };
            all.extend(Difference::between("exclude", words(before), words(after)));
        }
        for (key, value) in &self.labels {
            let before = old.labels.get(key);
            if before != Some(value) {
                let from = before.cloned().unwrap_or_else(|| "none".into());
                all.push(Difference { what: format!("label {key}"), from, to: value.clone() });
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::tests::{network, pool};
    use crate::{BridgeChange, Icc};

    fn blue() -> Network {
        network("blue", &[pool("10.55.66.0/24"), pool("fd00:55::/64")])
    }

    fn bridge(change: BridgeChange) -> DriverChange {
        DriverChange::Bridge(change)
    }

    fn said(change: &NetworkChange) -> Vec<String> {
        let new = change.apply(&blue()).unwrap();
        new.differences(&blue()).into_iter().map(|d| format!("{} {} {}", d.what, d.from, d.to)).collect()
    }

    #[test]
    fn what_holds_anyway_is_no_change() {
        let change = NetworkChange {
            mtu: Some(Mtu::STANDARD),
            driver: Some(bridge(BridgeChange { icc: Some(Icc::Allowed), ..BridgeChange::default() })),
            ranges: Some(Vec::new()),
            ..NetworkChange::default()
        };
        assert_eq!(change.apply(&blue()).unwrap(), blue());
        assert_eq!(said(&change), Vec::<String>::new());
    }

    #[test]
    fn what_differs_is_told_in_the_words_of_the_command_line() {
        let change = NetworkChange {
            mtu: Some(1400.try_into().unwrap()),
            egress: Some(Egress::Plain),
            driver: Some(bridge(BridgeChange { icc: Some(Icc::Isolated), ..BridgeChange::default() })),
            labels: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
            ..NetworkChange::default()
        };
        assert_eq!(said(&change), ["mtu 1500 1400", "icc on off", "masquerade on off", "label a none b"]);
    }

    #[test]
    fn a_range_is_of_the_subnet_it_lies_in() {
        let change = NetworkChange {
            ranges: Some(vec!["10.55.66.128/25".parse().unwrap()]),
            exclude: Some(vec!["fd00:55::5".parse().unwrap(), "10.55.66.130".parse().unwrap()]),
            ..NetworkChange::default()
        };
        assert_eq!(
            said(&change),
            ["ip-range none 10.55.66.128/25", "exclude none 10.55.66.130", "exclude none fd00:55::5"]
        );
        for bad in ["10.55.67.0/25", "10.55.0.0/16"] {
            let change = NetworkChange { ranges: Some(vec![bad.parse().unwrap()]), ..NetworkChange::default() };
            assert_eq!(change.apply(&blue()).unwrap_err().what, "address range");
        }
    }

    #[test]
    fn ipv6_needs_its_mtu() {
        let change = NetworkChange { mtu: Some(1279.try_into().unwrap()), ..NetworkChange::default() };
        assert_eq!(change.apply(&blue()).unwrap_err().what, "MTU");
        assert!(change.apply(&Network { pools: vec![blue().pools[0].clone()], ..blue() }).is_ok());
    }

    #[test]
    fn what_stays_may_be_named_as_it_is() {
        let named = |device: &str| NetworkChange {
            driver: Some(bridge(BridgeChange { device: Some(device.parse().unwrap()), ..BridgeChange::default() })),
            subnets: vec!["10.55.66.0/24".parse().unwrap()],
            ..NetworkChange::default()
        };
        assert_eq!(named("zb-blue").fixed(&blue()), None);
        assert_eq!(named("br0").fixed(&blue()), Some(("bridge", "zb-blue".into())));
    }
}
