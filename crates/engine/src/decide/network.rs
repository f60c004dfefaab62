//! The decision about a network: takes the user's wishes, and chooses bridge and subnets that the user left open.

use crate::error::Error;
use ipnet::IpNet;
use zubi_ipam::{AddressPools, Occupied, choose_subnet};
use zubi_model::{Family, Invalid, Mac, Network, NetworkId, NetworkName, NetworkSpec, Pool, PoolSpec};
use zubi_plan::Place;
use zubi_snapshot::Snapshot;

/// The parts of a network that come from random numbers and the clock.
#[derive(Debug, Clone)]
pub(crate) struct NetworkBirth {
    pub(crate) id: NetworkId,
    /// The MAC of its device.
    pub(crate) mac: Mac,
    /// Seconds since 1970.
    pub(crate) created: u64,
}

/// Host and records, which a new network must not conflict with.
#[derive(Debug)]
pub(crate) struct Neighbourhood<'a> {
    /// All networks.
    pub(crate) networks: &'a [Network],
    /// Address ranges in use, each with its user.
    pub(crate) occupied: &'a [Occupied],
    /// The host, with its devices.
    pub(crate) host: &'a Snapshot,
    /// The pools of automatic subnets.
    pub(crate) pools: &'a AddressPools,
}

/// Decides a network.
pub(crate) fn network(spec: NetworkSpec, birth: &NetworkBirth, around: &Neighbourhood<'_>) -> Result<Network, Error> {
    let pools = pools(&spec, around)?;
    if let Some(mtu) = spec.mtu.filter(|_| pools.iter().any(|p| p.subnet.family() == Family::V6)) {
        mtu.carries_ipv6()?;
    }
    let driver = spec.driver.decide(&spec.name, &birth.id, birth.mac)?;
    let network = Network {
        name: spec.name,
        id: birth.id.clone(),
        created: birth.created,
        driver,
        mtu: spec.mtu,
        pools,
        scope: spec.scope,
        egress: spec.egress,
        labels: spec.labels,
    };
    require_free_device(&network, around)?;
    Ok(network)
}

fn require_free_device(network: &Network, around: &Neighbourhood<'_>) -> Result<(), Error> {
    let device = network.device();
    if let Some(other) = around.networks.iter().find(|other| other.shares_device_with(network)) {
        return Err(Invalid::new("bridge", device, format!("is the bridge of network {}", other.name)).into());
    }
    let object = format!("network {}", network.name);
    let Some(seen) = around.host.link(&Place::Host, device.as_str()).map_err(Error::unread(&object))? else {
        return Ok(());
    };
    let kind = seen.kind.as_deref().unwrap_or("device");
    Err(Error::Kernel {
        object,
        source: zubi_kernel::Error::Conflict {
            object: format!("bridge {device}"),
            found: format!("a {kind} that zubi did not make; choose another name with --bridge"),
        },
    })
}

/// The subnets asked for, after a check that nothing uses them, and automatic subnets for the families that have none.
fn pools(spec: &NetworkSpec, around: &Neighbourhood<'_>) -> Result<Vec<Pool>, Error> {
    let mut pools: Vec<Pool> = Vec::new();
    for wish in &spec.pools {
        let pool = wish.clone().decide()?;
        if let Some(same) = pools.iter().find(|p| p.subnet.family() == pool.subnet.family()) {
            let why = format!("is a second {} subnet beside {}", pool.subnet.family(), same.subnet);
            return Err(Invalid::new("subnet", pool.subnet, why).try_instead("give one of each family").into());
        }
        let net = pool.subnet.net();
        if let Some(other) = around.occupied.iter().find(|o| occupies(o.net) && pool.subnet.overlaps(o.net)) {
            return Err(Error::Overlap { name: spec.name.clone(), subnet: net.to_string(), by: other.by.clone() });
        }
        pools.push(pool);
    }
    for family in &spec.families {
        if !pools.iter().any(|p| p.subnet.family() == *family) {
            pools.push(automatic_pool(&spec.name, *family, around.pools, around.occupied)?);
        }
    }
    pools.sort_by_key(|p| p.subnet.family());
    Ok(pools)
}

/// A pool in a subnet that nothing uses.
pub(crate) fn automatic_pool(
    name: &NetworkName,
    family: Family,
    pools: &AddressPools,
    occupied: &[Occupied],
) -> Result<Pool, Error> {
    let subnet =
        choose_subnet(pools, family, occupied).map_err(|error| Error::NoSubnet { name: name.clone(), error })?;
    Ok(PoolSpec { subnet, gateway: None, range: None, exclude: Vec::new() }.decide()?)
}

/// Refuses a subnet that overlaps one of another network. A subnet can be on one bridge only, otherwise the host could
/// not route its packets. Two networks may overlap if the host routes neither.
pub(crate) fn refuse_overlaps(network: &Network, others: &[Network]) -> Result<(), Error> {
    for other in others.iter().filter(|other| other.name != network.name) {
        for pool in &network.pools {
            if !network.concerns_host(pool) && other.pools.iter().all(|p| !other.concerns_host(p)) {
                continue;
            }
            let same = |p: &Pool| p.subnet == pool.subnet && other.shares_device_with(network);
            if let Some(theirs) = other.pools.iter().find(|p| p.subnet.overlaps(pool.subnet.net()) && !same(p)) {
                return Err(Error::Overlap {
                    name: network.name.clone(),
                    subnet: pool.subnet.to_string(),
                    by: format!("{} of network {}", theirs.subnet, other.name),
                });
            }
        }
    }
    Ok(())
}

/// Whether a route occupies addresses. A default route does not, nor do the two halves that VPNs split it into.
fn occupies(net: IpNet) -> bool {
    net.prefix_len() > 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::memory;
    use zubi_model::{BridgeSpec, Driver, DriverSpec, Egress, Icc, Ingress};

    fn birth() -> NetworkBirth {
        NetworkBirth { id: NetworkId::from_random([9; 32]), mac: "02:00:00:00:00:09".parse().unwrap(), created: 1 }
    }

    fn decide(spec: NetworkSpec, networks: &[Network], occupied: &[(&str, &str)]) -> Result<Network, Error> {
        let occupied: Vec<Occupied> =
            occupied.iter().map(|(net, by)| Occupied { net: net.parse().unwrap(), by: (*by).to_owned() }).collect();
        let mut host = Snapshot::new();
        host.set_links(&Place::Host, vec![memory::bridge_seen("br-old")]);
        let pools = AddressPools::standard([0; 5]);
        let around = Neighbourhood { networks, occupied: &occupied, host: &host, pools: &pools };
        network(spec, &birth(), &around)
    }

    fn spec(subnet: Option<&str>) -> NetworkSpec {
        let pool =
            |text: &str| PoolSpec { subnet: text.parse().unwrap(), gateway: None, range: None, exclude: Vec::new() };
        NetworkSpec { pools: subnet.map(pool).into_iter().collect(), ..NetworkSpec::new("blue".parse().unwrap()) }
    }

    #[test]
    fn an_automatic_subnet_avoids_what_is_in_use() {
        let first = decide(spec(None), &[], &[]).unwrap().pools[0].subnet;
        let taken = [(&*first.to_string(), "a route")];
        let second = decide(spec(None), &[], &taken).unwrap().pools[0].subnet;
        assert!(!second.overlaps(first.net()));
    }

    #[test]
    fn a_subnet_that_something_uses_is_refused_and_a_default_route_uses_nothing() {
        let refused = decide(spec(Some("10.1.0.0/16")), &[], &[("10.0.0.0/8", "the route 10.0.0.0/8 by tun0")]);
        assert!(refused.unwrap_err().to_string().contains("tun0"));
        assert!(decide(spec(Some("10.1.0.0/16")), &[], &[("0.0.0.0/1", "a VPN")]).is_ok());
    }

    #[test]
    fn a_bridge_that_is_there_already_is_refused() {
        let on = |device: &str| {
            let bridge = BridgeSpec { device: Some(device.parse().unwrap()), icc: Icc::Allowed };
            NetworkSpec { driver: DriverSpec::Bridge(bridge), ..spec(None) }
        };
        assert!(decide(on("br-old"), &[], &[]).unwrap_err().to_string().contains("a bridge that zubi did not make"));
        let green = memory::network("green", &[]);
        assert!(
            decide(on(green.device().as_str()), &[green], &[])
                .unwrap_err()
                .to_string()
                .contains("is the bridge of network green")
        );
    }

    #[test]
    fn two_networks_share_a_subnet_on_one_bridge_or_where_the_host_routes_neither() {
        let (blue, mut green) = (memory::network("blue", &["10.1.0.0/16"]), memory::network("green", &["10.1.0.0/16"]));
        assert!(refuse_overlaps(&blue, std::slice::from_ref(&green)).is_err());
        green.driver = blue.driver.clone();
        assert!(refuse_overlaps(&blue, std::slice::from_ref(&green)).is_ok());
        let unrouted = |name: &str| {
            let mut network = memory::network(name, &["10.1.0.0/16"]);
            network.pools[0].gateway = None;
            network.egress = Egress::Plain;
            let Driver::Bridge(bridge) = &mut network.driver;
            bridge.ingress = Ingress::Open;
            network
        };
        assert!(refuse_overlaps(&unrouted("blue"), &[unrouted("green")]).is_ok());
    }
}
