//! What there is: networks, endpoints, bridges.

use crate::detach::is_host_end;
use crate::engine::Engine;
use crate::error::Error;
use std::collections::HashMap;
use zubi_kernel::Survey;
use zubi_model::{Endpoint, Family, IfIndex, Network, NetworkName};
use zubi_plan::Place;
use zubi_store::StoreError;
use zubi_wire::route::{AdminState, LinkSeen};

/// One line of `zubi ls`.
#[derive(Debug, Clone)]
pub struct EndpointView {
    /// As recorded.
    pub endpoint: Endpoint,
    /// The families in which it gives its sandbox the default route.
    pub default_in: Vec<Family>,
    /// The host end's number, when it is there.
    pub host_index: Option<IfIndex>,
    /// The inner end's number, in the sandbox.
    pub peer_index: Option<IfIndex>,
}

/// One port of a bridge.
#[derive(Debug, Clone)]
pub struct PortView {
    /// The device.
    pub device: String,
    /// As the administrator wants it.
    pub state: AdminState,
    /// The sandbox behind it, and its device there, when it is an endpoint of ours.
    pub behind: Option<(String, String)>,
}

/// One bridge, whoever made it.
#[derive(Debug, Clone)]
pub struct BridgeView {
    /// The device.
    pub name: String,
    /// Its MAC.
    pub mac: String,
    /// Up or down.
    pub state: AdminState,
    /// Its network, when it is one of ours.
    pub network: Option<NetworkName>,
    /// Its ports.
    pub ports: Vec<PortView>,
}

impl Engine {
    /// All networks that can be read, and what is wrong with the others.
    pub fn networks(&self) -> (Vec<Network>, Vec<StoreError>) {
        self.store.networks_lossy()
    }

    /// One network and its endpoints.
    pub fn network(&self, name: &NetworkName) -> Result<(Network, Vec<Endpoint>), Error> {
        match self.store.network(name)? {
            Some(network) => Ok((network, self.store.endpoints_on(name)?)),
            None => Err(Error::NoNetwork { name: name.clone(), known: self.known_networks() }),
        }
    }

    /// All endpoints, by sandbox and age.
    pub fn endpoints(&mut self) -> Result<Vec<EndpointView>, Error> {
        let records = self.records()?;
        let mut survey = Survey::whole();
        let mut views = Vec::new();
        for endpoint in &records.endpoints {
            let siblings = records.siblings(endpoint);
            let seen = self.host_end_in(&mut survey, endpoint)?;
            let way = self.way_in(endpoint, None).ok().flatten();
            views.push(EndpointView {
                default_in: self.gives_default_in(&mut survey, endpoint, &siblings, way.as_ref())?,
                host_index: seen.as_ref().map(|l| l.index),
                peer_index: seen.and_then(|l| l.peer),
                endpoint: endpoint.clone(),
            });
        }
        views.sort_by(|a, b| {
            let key = |v: &EndpointView| (v.endpoint.sandbox.spelled.clone(), v.endpoint.attached_at);
            key(a).cmp(&key(b))
        });
        Ok(views)
    }

    /// All bridges of the host with their ports, and who is behind each.
    pub fn bridges(&mut self) -> Result<Vec<BridgeView>, Error> {
        let links = self.kernel.links(&Place::Host, None).map_err(Error::kernel("bridges"))?;
        let networks = self.store.networks_lossy().0;
        let endpoints = self.store.all_endpoints_lossy().0;
        let by_device: HashMap<&str, &Endpoint> = endpoints.iter().map(|e| (e.host_device.as_str(), e)).collect();
        let behind = |link: &LinkSeen| {
            let endpoint = by_device.get(link.name.as_str()).filter(|e| is_host_end(e, link))?;
            Some((endpoint.sandbox.spelled.clone(), endpoint.ifname.to_string()))
        };
        let port = |link: &LinkSeen| PortView { device: link.name.clone(), state: link.state, behind: behind(link) };
        Ok(links
            .iter()
            .filter(|l| l.kind.as_deref() == Some("bridge"))
            .map(|bridge| BridgeView {
                name: bridge.name.clone(),
                mac: bridge.mac.map(|m| m.to_string()).unwrap_or_default(),
                state: bridge.state,
                network: networks.iter().find(|n| n.bridge.as_str() == bridge.name).map(|n| n.name.clone()),
                ports: links.iter().filter(|l| l.master == Some(bridge.index)).map(port).collect(),
            })
            .collect())
    }
}
