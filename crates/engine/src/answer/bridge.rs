//! Bridges of any program: their ports, their forwarding entries, and who is behind each port.

use crate::error::Error;
use crate::look::far_end::{Behind, FarDevice, behind};
use crate::look::owner::Owner;
use crate::session::Session;
use std::collections::HashMap;
use zubi_model::{Endpoint, IfIndex, Mac, NetworkName};
use zubi_plan::{Place, driver};
use zubi_snapshot::{Needs, Snapshot};
use zubi_wire::route::{AdminState, BridgeSeen, EntryOrigin, LinkSeen};

/// One port of a bridge.
#[derive(Debug, Clone)]
pub struct PortView {
    /// The device's name.
    pub device: String,
    /// Its index.
    pub index: IfIndex,
    /// The administrative state.
    pub state: AdminState,
    /// Who is behind it; `None` where that is no business of this machine's, as with a network card.
    pub behind: Option<Behind>,
}

/// One bridge, of zubi or of another program.
#[derive(Debug, Clone)]
pub struct BridgeView {
    /// The device's name.
    pub name: String,
    /// Its index.
    pub index: IfIndex,
    /// Its MAC.
    pub mac: String,
    /// Its identifier and its spanning tree.
    pub bridge: Option<BridgeSeen>,
    /// Up or down.
    pub state: AdminState,
    /// Its network, if it belongs to one of ours.
    pub network: Option<NetworkName>,
    /// Its ports.
    pub ports: Vec<PortView>,
}

/// One forwarding entry of a bridge.
#[derive(Debug, Clone)]
pub struct ForwardingView {
    /// The bridge.
    pub bridge: String,
    /// Frames to this MAC...
    pub mac: Mac,
    /// ...leave by this port; the bridge itself where the host receives them.
    pub port: String,
    /// The VLAN, if the bridge tells them apart.
    pub vlan: Option<u16>,
    /// How the bridge came to it.
    pub origin: EntryOrigin,
    /// Who is behind the port.
    pub owner: Option<Owner>,
}

/// The bridges of the host, or one.
pub(crate) fn bridges(session: &mut Session, only: Option<&str>) -> Result<Vec<BridgeView>, Error> {
    views(session, &mut Snapshot::new(), only)
}

fn views(session: &mut Session, snapshot: &mut Snapshot, only: Option<&str>) -> Result<Vec<BridgeView>, Error> {
    session.read(snapshot, &Needs::new().links(&Place::Host), "bridges")?;
    let links: Vec<LinkSeen> = snapshot.links(&Place::Host).map_err(Error::unread("bridges"))?.cloned().collect();
    let bridges = chosen(&links, only)?;
    let ports: Vec<&LinkSeen> =
        links.iter().filter(|port| bridges.iter().any(|bridge| port.master == Some(bridge.index))).collect();

    let endpoints = session.store().all_endpoints_lossy().0;
    let by_device: HashMap<&str, &Endpoint> =
        endpoints.iter().filter_map(|e| Some((e.host_device()?.as_str(), e))).collect();
    let ours = |port: &LinkSeen| {
        let endpoint = *by_device.get(port.name.as_str())?;
        driver::recognise_host_end(endpoint, Some(port)).is_ours().then(|| of_endpoint(endpoint))
    };
    let mut known: HashMap<IfIndex, Behind> = ports.iter().filter_map(|port| Some((port.index, ours(port)?))).collect();
    // Records tell of our own ports. A look at other namespaces takes longer.
    let foreign: Vec<&LinkSeen> = ports.iter().copied().filter(|port| !known.contains_key(&port.index)).collect();
    let found = behind(session, snapshot, &foreign)?;
    known.extend(foreign.iter().zip(found).filter_map(|(port, behind)| Some((port.index, behind?))));

    let networks = session.store().networks_lossy().0;
    let view = |port: &LinkSeen| PortView {
        device: port.name.clone(),
        index: port.index,
        state: port.state,
        behind: known.get(&port.index).cloned(),
    };
    Ok(bridges
        .into_iter()
        .map(|bridge| BridgeView {
            name: bridge.name.clone(),
            index: bridge.index,
            mac: bridge.mac.map(|m| m.to_string()).unwrap_or_default(),
            bridge: bridge.bridge,
            state: bridge.state,
            network: networks.iter().find(|n| n.device().as_str() == bridge.name).map(|n| n.name.clone()),
            ports: ports.iter().filter(|port| port.master == Some(bridge.index)).map(|port| view(port)).collect(),
        })
        .collect())
}

/// All bridges, or the one with this name.
fn chosen<'l>(links: &'l [LinkSeen], only: Option<&str>) -> Result<Vec<&'l LinkSeen>, Error> {
    let is_bridge = |link: &&LinkSeen| link.kind.as_deref() == Some("bridge");
    let Some(name) = only else { return Ok(links.iter().filter(is_bridge).collect()) };
    match links.iter().find(|link| link.name == name) {
        Some(bridge) if is_bridge(&bridge) => Ok(vec![bridge]),
        Some(other) => Err(Error::OtherKind { name: name.to_owned(), kind: other.kind.clone(), wanted: "a bridge" }),
        None => Err(Error::NoDevice { name: name.to_owned() }),
    }
}

fn of_endpoint(endpoint: &Endpoint) -> Behind {
    let device = FarDevice {
        name: endpoint.ifname.to_string(),
        index: None,
        mac: Some(endpoint.mac),
        state: None,
        addresses: endpoint.addresses.iter().map(|a| a.address).collect(),
    };
    Behind { owner: Owner::Sandbox(endpoint.sandbox.spelled.clone()), device: Some(device) }
}

/// The forwarding entries of the host's bridges, or of one: by bridge and port.
pub(crate) fn forwarding(session: &mut Session, only: Option<&str>) -> Result<Vec<ForwardingView>, Error> {
    let mut snapshot = Snapshot::new();
    let bridges = views(session, &mut snapshot, only)?;
    session.read(&mut snapshot, &Needs::new().forwarding(&Place::Host), "forwarding entries")?;
    let entries = snapshot.forwarding(&Place::Host).map_err(Error::unread("forwarding entries"))?;
    let mut all = Vec::new();
    for bridge in &bridges {
        // Entries without a master are addresses that a device receives, mostly multicast.
        for entry in entries.iter().filter(|entry| entry.master == Some(bridge.index)) {
            let Some(mac) = entry.mac else { continue };
            let port = bridge.ports.iter().find(|port| port.index == entry.device);
            if port.is_none() && entry.device != bridge.index {
                // The port came or went between the two lists.
                continue;
            }
            let origin = entry.origin();
            let owner = match port {
                Some(port) if origin != EntryOrigin::Local => port.behind.as_ref().map(|behind| behind.owner.clone()),
                _ => Some(Owner::Host),
            };
            let port = port.map_or(&bridge.name, |port| &port.device).clone();
            all.push(ForwardingView { bridge: bridge.name.clone(), mac, port, vlan: entry.vlan, origin, owner });
        }
    }
    all.sort_by(|a, b| (&a.bridge, &a.port, a.mac, a.vlan).cmp(&(&b.bridge, &b.port, b.mac, b.vlan)));
    Ok(all)
}
