//! The records, read once for a command that needs all of them.

use crate::error::Error;
use crate::session::Session;
use std::collections::{HashMap, HashSet};
use zubi_model::{DirectLink, Endpoint, EndpointKey, IfName, LinkPlace, NetnsCookie, Network, NetworkName};
use zubi_store::{PortClaim, StoreError};

/// All records.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) networks: Vec<Network>,
    /// Networks that a command is creating, changing or removing.
    pub(crate) making: Vec<Network>,
    pub(crate) endpoints: Vec<Endpoint>,
    /// Endpoints that a command is attaching or detaching.
    pub(crate) pending: Vec<Endpoint>,
    pub(crate) links: Vec<DirectLink>,
    /// Links that a command is making or removing.
    pub(crate) unfinished_links: Vec<DirectLink>,
    /// Devices that wait for deletion. They are read before the kernel's devices: one that is deleted meanwhile is then
    /// missing from the kernel's list.
    pub(crate) doomed: HashSet<IfName>,
    /// Records that cannot be read. The devices that they name are unknown.
    pub(crate) unreadable: Vec<StoreError>,
    by_sandbox: HashMap<NetnsCookie, Vec<usize>>,
    by_network: HashMap<NetworkName, usize>,
}

impl Records {
    /// Whether every record of a device could be read.
    pub(crate) fn is_complete(&self) -> bool {
        self.unreadable.is_empty()
    }

    /// The network of an endpoint.
    pub(crate) fn network(&self, name: &NetworkName) -> Option<&Network> {
        self.by_network.get(name).and_then(|at| self.networks.get(*at))
    }

    /// The other endpoints of a sandbox, oldest first.
    pub(crate) fn siblings(&self, endpoint: &Endpoint) -> Vec<Endpoint> {
        let all = self.by_sandbox.get(&endpoint.sandbox.cookie).into_iter().flatten();
        let all = all.filter_map(|at| self.endpoints.get(*at));
        all.filter(|other| other.network != endpoint.network).cloned().collect()
    }

    /// The endpoints of a network.
    pub(crate) fn endpoints_on<'a>(&'a self, network: &'a NetworkName) -> impl Iterator<Item = &'a Endpoint> {
        self.endpoints.iter().filter(move |endpoint| endpoint.network == *network)
    }

    /// The devices on the host that the records name: host ends of endpoints, and ends of links.
    pub(crate) fn host_devices(&self) -> impl Iterator<Item = &str> {
        let endpoints =
            self.endpoints.iter().chain(&self.pending).filter_map(Endpoint::host_device).map(IfName::as_str);
        let ends = self.links.iter().chain(&self.unfinished_links).flat_map(|link| &link.ends);
        let on_host = ends.filter(|end| end.place == LinkPlace::Host).map(|end| end.ifname.as_str());
        endpoints.chain(on_host)
    }

    /// The keys of all endpoints.
    pub(crate) fn keys(&self) -> HashSet<EndpointKey> {
        self.endpoints.iter().chain(&self.pending).map(Endpoint::key).collect()
    }

    /// The ports that the recorded endpoints claim.
    pub(crate) fn port_claims(&self) -> HashSet<PortClaim> {
        let all = self.endpoints.iter().chain(&self.pending);
        all.flat_map(|endpoint| crate::port_claims::claims(endpoint, &endpoint.ports)).collect()
    }
}

/// Reads all records.
pub(crate) fn read_records(session: &Session) -> Result<Records, Error> {
    let (networks, mut unreadable) = session.store().networks_lossy();
    let (endpoints, more) = session.store().all_endpoints_lossy();
    unreadable.extend(more);
    let mut pending = Vec::new();
    for one in session.store().pending()? {
        match one {
            Ok(one) => pending.push(one.endpoint),
            Err(e) => unreadable.push(e),
        }
    }
    let (links, more) = session.store().links_lossy();
    unreadable.extend(more);
    let (unfinished_links, more) = session.store().unfinished_links_lossy();
    unreadable.extend(more);
    let (mut making, more) = session.store().networks_in_making_lossy();
    unreadable.extend(more);
    making.retain(|making| !networks.contains(making));
    let doomed = session.store().doomed_lossy().0.into_iter().map(|(name, _)| name).collect();
    let mut by_sandbox: HashMap<NetnsCookie, Vec<usize>> = HashMap::new();
    for (at, endpoint) in endpoints.iter().enumerate() {
        by_sandbox.entry(endpoint.sandbox.cookie).or_default().push(at);
    }
    let by_network = networks.iter().enumerate().map(|(at, network)| (network.name.clone(), at)).collect();
    Ok(Records {
        networks,
        making,
        endpoints,
        pending,
        links,
        unfinished_links,
        doomed,
        unreadable,
        by_sandbox,
        by_network,
    })
}

/// Other files that cannot be read. They name no devices.
pub(crate) fn unreadable_hints(session: &Session, records: &Records) -> Vec<StoreError> {
    let mut hints = session.store().doomed_lossy().1;
    hints.extend(session.store().sandboxes_lossy().1);
    hints.extend(session.store().stale_lossy().1);
    for network in &records.networks {
        hints.extend(session.store().leases_lossy(&network.name).1);
        hints.extend(session.store().macs_lossy(&network.name).1);
    }
    hints
}
