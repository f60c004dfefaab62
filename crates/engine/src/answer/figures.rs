//! How much there is of everything: networks, addresses, endpoints and their traffic.

use crate::answer::list::{LinkState, state_of, stopped};
use crate::error::Error;
use crate::look::device::device_in;
use crate::look::sandbox::way_in;
use crate::records::read_records;
use crate::session::Session;
use ipnet::IpNet;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use zubi_model::{DriverKind, Endpoint, IfIndex, IfName, NetnsCookie, Network, NetworkName, Pool};
use zubi_plan::Place;
use zubi_snapshot::{Needs, Snapshot};
use zubi_wire::route::{Counted, LinkStatistics};

/// How much there is of everything, at one moment.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// By name.
    pub networks: Vec<NetworkFigures>,
    /// Those that are connected.
    pub endpoints: Vec<EndpointFigures>,
    /// How many wait for their sandbox to come back.
    pub stopped: usize,
}

/// How much of a network there is.
#[derive(Debug, Clone)]
pub struct NetworkFigures {
    /// Its name.
    pub name: NetworkName,
    /// What it is made of.
    pub driver: DriverKind,
    /// One for each subnet.
    pub pools: Vec<PoolFigures>,
}

/// How much of a pool is taken.
#[derive(Debug, Clone)]
pub struct PoolFigures {
    /// Its subnet.
    pub subnet: IpNet,
    /// The addresses that endpoints can have: those of the range, or of the subnet.
    pub size: u128,
    /// Those that somebody has, or that are kept for somebody.
    pub taken: usize,
}

/// An endpoint and its traffic.
#[derive(Debug, Clone)]
pub struct EndpointFigures {
    /// Its network.
    pub network: NetworkName,
    /// Its sandbox, as it was called.
    pub sandbox: String,
    /// Its device inside.
    pub ifname: IfName,
    /// Whether it passes frames.
    pub state: LinkState,
    /// What it received and sent; `None` when its device is gone or its sandbox cannot be opened.
    pub traffic: Option<Traffic>,
}

/// What a sandbox received and sent by an endpoint, since the device was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// By the sandbox.
    pub received: Counted,
    /// By the sandbox.
    pub sent: Counted,
}

/// Reads all figures.
pub(crate) fn figures(session: &mut Session) -> Result<Figures, Error> {
    let records = read_records(session)?;
    let mut snapshot = Snapshot::new();
    session.read(&mut snapshot, &Needs::new().links(&Place::Host), "the host")?;
    let mut counters = Counters::default();
    let mut endpoints = Vec::new();
    for endpoint in &records.endpoints {
        let seen = device_in(session, &mut snapshot, endpoint, None)?;
        let traffic = match &seen {
            Some(device) => counters.traffic(session, endpoint, device.index)?,
            None => None,
        };
        endpoints.push(EndpointFigures {
            network: endpoint.network.clone(),
            sandbox: endpoint.sandbox.spelled.clone(),
            ifname: endpoint.ifname.clone(),
            state: state_of(seen.as_ref()),
            traffic,
        });
    }
    let stopped = stopped(session, &records).count();
    let networks = records.networks.iter().map(|network| of_network(session, network)).collect();
    Ok(Figures { networks, endpoints, stopped })
}

fn of_network(session: &Session, network: &Network) -> NetworkFigures {
    let taken = session.store().leases_lossy(&network.name).0;
    let of_pool = |pool: &Pool| {
        let within = pool.range.unwrap_or(pool.subnet.net());
        PoolFigures {
            subnet: pool.subnet.net(),
            size: size(pool),
            taken: taken.iter().filter(|(address, _)| within.contains(address)).count(),
        }
    };
    let pools = network.pools.iter().map(of_pool).collect();
    NetworkFigures { name: network.name.clone(), driver: network.driver.kind(), pools }
}

/// The number of addresses in a range, or of hosts in a subnet.
fn size(pool: &Pool) -> u128 {
    let within = pool.range.unwrap_or(pool.subnet.net());
    let bits = u32::from(within.max_prefix_len() - within.prefix_len());
    let all = 1_u128.checked_shl(bits).unwrap_or(u128::MAX);
    // The subnet's own address and that of its broadcasts.
    let is_whole_v4 = pool.range.is_none() && within.addr().is_ipv4() && bits > 1;
    if is_whole_v4 { all - 2 } else { all }
}

/// The counters of the namespaces that were asked.
#[derive(Default)]
struct Counters(HashMap<Option<NetnsCookie>, HashMap<IfIndex, LinkStatistics>>);

impl Counters {
    /// The traffic of an endpoint, from the side of its sandbox. `device` is its end on the host, or its device inside
    /// when there is none.
    fn traffic(
        &mut self,
        session: &mut Session,
        endpoint: &Endpoint,
        device: IfIndex,
    ) -> Result<Option<Traffic>, Error> {
        let is_inside = endpoint.host_device().is_none();
        let place = if is_inside {
            // Whether the sandbox is gone or cannot be examined is another question.
            let Ok(Some(way)) = way_in(session, endpoint, None) else { return Ok(None) };
            Place::Sandbox(way)
        } else {
            Place::Host
        };
        let key = is_inside.then_some(endpoint.sandbox.cookie);
        let all = match self.0.entry(key) {
            Entry::Occupied(read) => read.into_mut(),
            Entry::Vacant(place_for) => {
                let all = session.kernel.statistics(&place).map_err(Error::kernel("statistics of devices"))?;
                place_for.insert(all.into_iter().map(|one| (one.index, one)).collect())
            }
        };
        let Some(LinkStatistics { received, sent, .. }) = all.get(&device).copied() else { return Ok(None) };
        // What the host's end took in, the sandbox has sent.
        let (received, sent) = if is_inside { (received, sent) } else { (sent, received) };
        Ok(Some(Traffic { received, sent }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zubi_model::PoolSpec;

    fn pool(subnet: &str, range: Option<&str>) -> Pool {
        let range = range.map(|range| range.parse().unwrap());
        let subnet = subnet.parse().unwrap();
        PoolSpec { subnet, gateway: None, range, exclude: Vec::new() }.decide().unwrap()
    }

    #[test]
    fn a_pool_is_as_large_as_its_range_or_the_hosts_of_its_subnet() {
        assert_eq!(size(&pool("10.1.0.0/24", None)), 254);
        assert_eq!(size(&pool("10.1.0.0/24", Some("10.1.0.128/26"))), 64);
        assert_eq!(size(&pool("fd00::/64", None)), 1 << 64);
    }
}
