//! Lists: networks, endpoints, links, sandboxes.

use crate::error::Error;
use crate::look::addresses_in_use::is_link_local;
use crate::look::clock::now;
use crate::look::compare::whole_host;
use crate::look::default_route::gives_default_in;
use crate::look::device::device_in;
use crate::look::link_ends::{EndSeen, link_ends};
use crate::look::sandbox::{of_pid, way_in};
use crate::records::{Records, read_records};
use crate::session::Session;
use ipnet::IpNet;
use zubi_kernel::{inside, named};
use zubi_model::{
    DirectLink, Endpoint, Family, IfIndex, NetnsCookie, Network, NetworkName, NsRef, RouterAdvertisements, SandboxName,
    SandboxRef,
};
use zubi_plan::Place;
use zubi_runtimes::Container;
use zubi_snapshot::{Needs, Snapshot};
use zubi_store::{Maker, StoreError};
use zubi_wire::route::LinkSeen;

/// Whether a pair of devices passes frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// Both ends are up.
    Up,
    /// An end is down, or was not found.
    Down,
    /// Both ends are gone.
    Gone,
    /// Its sandbox is stopped; it gets the endpoint when it comes back.
    Stopped,
}

impl LinkState {
    /// The word for it in tables and JSON.
    pub fn word(self) -> &'static str {
        match self {
            LinkState::Up => "up",
            LinkState::Down => "down",
            LinkState::Gone => "gone",
            LinkState::Stopped => "stopped",
        }
    }
}

/// One line of `zubi link ls`.
#[derive(Debug, Clone)]
pub struct LinkView {
    /// The recorded link.
    pub link: DirectLink,
    /// The state found in the kernel.
    pub state: LinkState,
}

/// All links, oldest first.
pub(crate) fn link_views(session: &mut Session) -> Result<Vec<LinkView>, Error> {
    let mut views = Vec::new();
    for link in session.store().links_lossy().0 {
        let ends = link_ends(session, &link)?;
        let there: Vec<&LinkSeen> = ends
            .iter()
            .filter_map(|(_, end)| if let EndSeen::There(seen) = end { Some(&**seen) } else { None })
            .collect();
        let state = match there[..] {
            [] => LinkState::Gone,
            [a, b] if a.carrier && b.carrier => LinkState::Up,
            _ => LinkState::Down,
        };
        views.push(LinkView { link, state });
    }
    Ok(views)
}

/// One line of `zubi ls`.
#[derive(Debug, Clone)]
pub struct EndpointView {
    /// The recorded endpoint.
    pub endpoint: Endpoint,
    /// The addresses that it has made of what routers advertise.
    pub advertised: Vec<IpNet>,
    /// The families in which it gives its sandbox the default route.
    pub default_in: Vec<Family>,
    /// The state of its pair of devices, seen from the host end: a pair has a carrier when both ends are up.
    pub state: LinkState,
    /// The index of the host end, or of the device that carries it, if it exists.
    pub host_index: Option<IfIndex>,
    /// The index of the inner end, in the sandbox.
    pub peer_index: Option<IfIndex>,
}

/// All networks that can be read, and the errors of the others.
pub(crate) fn networks(session: &Session) -> (Vec<Network>, Vec<StoreError>) {
    session.store().networks_lossy()
}

/// One network and its endpoints.
pub(crate) fn network_and_endpoints(session: &Session, name: &NetworkName) -> Result<(Network, Vec<Endpoint>), Error> {
    match session.store().network(name)? {
        Some(network) => Ok((network, session.store().endpoints_on(name)?)),
        None => match session.store().unconfirmed_lossy().into_iter().find(|network| network.name == *name) {
            Some(network) => Ok((network, Vec::new())),
            None => Err(Error::NoNetwork { name: name.clone(), known: session.known_networks() }),
        },
    }
}

/// The id of the container that an endpoint's sandbox is, if it is one and its runtime knows it.
pub(crate) fn container_id(session: &Session, endpoint: &Endpoint) -> Option<String> {
    let sandbox = &endpoint.sandbox;
    let (scheme, name) = sandbox.spelled.split_once(':')?;
    match sandbox.spelled.parse().ok()? {
        // `cni:ID`, or `cni:CONFIGURATION/ID`.
        SandboxRef::Called(_) => Some(name.rsplit('/').next().unwrap_or(name).to_owned()),
        SandboxRef::Containerd(id) => Some(id),
        SandboxRef::Podman(id) if id.len() == 64 => Some(id),
        SandboxRef::Docker(name) | SandboxRef::Podman(name) => {
            let found = session.runtimes().find(&name).ok()?;
            let same = |c: &&Container| c.runtime.scheme() == scheme && of_pid(c.pid) == sandbox.reached_by;
            found.iter().find(same).map(|c| c.id.clone())
        }
        _ => None,
    }
}

/// The IPv6 addresses inside that are not recorded, of an endpoint that takes router advertisements.
fn advertised(
    session: &mut Session,
    snapshot: &mut Snapshot,
    endpoint: &Endpoint,
    way: &NsRef,
) -> Result<Vec<IpNet>, Error> {
    if endpoint.traits.router_advertisements == RouterAdvertisements::Ignored {
        return Ok(Vec::new());
    }
    let place = Place::Sandbox(way.clone());
    let object = &endpoint.sandbox.spelled;
    let needs = Needs::new().link(&place, endpoint.ifname.as_str()).addresses(&place);
    session.read(snapshot, &needs, object)?;
    let link = snapshot.link(&place, endpoint.ifname.as_str()).map_err(Error::unread(object))?;
    let Some(index) = link.map(|link| link.index) else { return Ok(Vec::new()) };
    let seen = snapshot.addresses_of(&place, index).map_err(Error::unread(object))?;
    let is_recorded = |address: &IpNet| endpoint.addresses.iter().any(|own| own.address == *address);
    let all = seen.iter().map(|seen| seen.address).filter(|address| address.addr().is_ipv6());
    Ok(all.filter(|address| !is_link_local(address.addr()) && !is_recorded(address)).collect())
}

/// All endpoints, sorted by sandbox and age.
pub(crate) fn endpoints(session: &mut Session) -> Result<Vec<EndpointView>, Error> {
    let records = read_records(session)?;
    let mut snapshot = whole_host(session)?;
    let mut views = Vec::new();
    let now = now()?;
    for endpoint in &records.endpoints {
        let siblings = records.siblings(endpoint);
        let endpoint = &endpoint.clone().at(now);
        let seen = device_in(session, &mut snapshot, endpoint, None)?;
        let way = way_in(session, endpoint, None).ok().flatten();
        let (index, other) = (seen.as_ref().map(|l| l.index), seen.as_ref().and_then(|l| l.peer));
        let is_inside = endpoint.host_device().is_none();
        views.push(EndpointView {
            advertised: match &way {
                Some(way) => advertised(session, &mut snapshot, endpoint, way)?,
                None => Vec::new(),
            },
            default_in: gives_default_in(session, &mut snapshot, endpoint, &siblings, way.as_ref())?,
            state: state_of(seen.as_ref()),
            host_index: if is_inside { other } else { index },
            peer_index: if is_inside { index } else { other },
            endpoint: endpoint.clone(),
        });
    }
    views.extend(stopped(session, &records).map(|endpoint| EndpointView {
        endpoint,
        default_in: Vec::new(),
        advertised: Vec::new(),
        state: LinkState::Stopped,
        host_index: None,
        peer_index: None,
    }));
    views.sort_by(|a, b| {
        let key = |v: &EndpointView| (v.endpoint.sandbox.spelled.clone(), v.endpoint.attached_at);
        key(a).cmp(&key(b))
    });
    Ok(views)
}

/// The state of an endpoint by what was seen of its device.
pub(crate) fn state_of(seen: Option<&LinkSeen>) -> LinkState {
    match seen {
        None => LinkState::Gone,
        Some(device) if device.carrier => LinkState::Up,
        Some(_) => LinkState::Down,
    }
}

/// The endpoints that wait for their sandboxes to come back.
pub(crate) fn stopped(session: &Session, records: &Records) -> impl Iterator<Item = Endpoint> {
    let followed = session.store().all_followed_lossy().0.into_iter().map(|one| one.endpoint);
    followed.filter(|one| !records.endpoints.iter().any(|endpoint| endpoint.id == one.id))
}

/// The endpoints that publish ports.
pub(crate) fn published_endpoints(session: &Session) -> Result<Vec<Endpoint>, Error> {
    let mut all = session.store().all_endpoints()?;
    all.retain(|e| !e.ports.is_empty());
    Ok(all)
}

/// One line of `zubi sandbox ls`.
#[derive(Debug, Clone)]
pub struct SandboxView {
    /// The name.
    pub name: SandboxName,
    /// Who made it: "add", "attach", "run", or "other".
    pub maker: &'static str,
    /// The namespace's cookie; `None` if the name leads to no namespace.
    pub cookie: Option<NetnsCookie>,
    /// The networks it is on.
    pub networks: Vec<NetworkName>,
    /// The processes inside.
    pub processes: Vec<u32>,
}

/// All named sandboxes.
pub(crate) fn sandboxes(session: &mut Session) -> Result<Vec<SandboxView>, Error> {
    let records = session.store().sandboxes_lossy().0;
    let mut views = Vec::new();
    for name in named::list().map_err(Error::kernel("named namespaces"))? {
        let reached_by = NsRef::Named(name.clone());
        let cookie = session.kernel.open_sandbox(&reached_by).ok();
        let networks = match cookie {
            Some(cookie) => session.store().endpoints_of(cookie)?.into_iter().map(|e| e.network).collect(),
            None => Vec::new(),
        };
        let processes = match session.kernel.sandbox(&reached_by) {
            Some(netns) => inside::processes(netns).map_err(Error::kernel("processes"))?,
            None => Vec::new(),
        };
        let ours = records.iter().find(|r| r.name == name && (r.cookie.is_none() || r.cookie == cookie));
        let maker = match ours.map(|r| r.maker) {
            Some(Maker::Add) => "add",
            Some(Maker::Attach) => "attach",
            Some(Maker::Run) => "run",
            None => "other",
        };
        views.push(SandboxView { name, maker, cookie, networks, processes });
    }
    Ok(views)
}
