//! Addresses that other programs have given on the bridge of an adopted network.
//!
//! # How it works
//! The kernel shows the host's own addresses, those in the namespaces behind the bridge's ports, and the neighbours that
//! the host has talked to. Lease files name containers and machines that are off or silent. Everything is listed once. A
//! namespace is read by its number and not entered; who has an address is looked up only for an error that names it.
//!
//! # Limits
//! A machine that the host has not talked to, with an address that no file names, is not seen.

use crate::error::Error;
use crate::look::far_end::{behind, is_pair};
use crate::look::lease_files::{Lease, leases};
use crate::session::Session;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};
use zubi_model::{IfIndex, IfName, Mac, Network, NetworkName, OvsNetwork, PortVlans};
use zubi_ovsdb::PortSeen;
use zubi_plan::Place;
use zubi_snapshot::{Needs, Snapshot};
use zubi_wire::route::{LinkSeen, NetnsId};

const OBJECT: &str = "addresses of other programs";

/// An address that another program has given.
#[derive(Debug)]
pub(crate) struct GivenElsewhere {
    pub(crate) address: IpAddr,
    to: Holder,
}

impl GivenElsewhere {
    /// One that a neighbour has answered for.
    pub(crate) fn to_neighbour(address: IpAddr, mac: Mac, bridge: IfName) -> Self {
        GivenElsewhere { address, to: Holder::Neighbour { mac, bridge } }
    }
}

/// Who has it.
#[derive(Debug)]
enum Holder {
    /// A device of the host.
    Host(String),
    /// The namespace behind a port.
    Behind(Box<LinkSeen>),
    /// Whom a file names.
    Leased(Lease),
    /// A network of zubi's on the same device.
    Network(NetworkName),
    /// A neighbour of the bridge.
    Neighbour { mac: Mac, bridge: IfName },
}

/// The addresses of a network's subnets that other programs have given; none where no other program does. `own`: the MAC
/// of the endpoint that they are read for. It may have been there before.
pub(crate) fn given_elsewhere(
    session: &mut Session,
    network: &Network,
    own: Option<Mac>,
) -> Result<Vec<GivenElsewhere>, Error> {
    if !network.shares_addresses() || network.pools.is_empty() {
        return Ok(Vec::new());
    }
    let mut host = Snapshot::new();
    let needs = Needs::new().links(&Place::Host).addresses(&Place::Host).neighbours(&Place::Host);
    session.read(&mut host, &needs, OBJECT)?;
    let unread = || Error::unread(OBJECT);
    let bridge = host.link(&Place::Host, network.device().as_str()).map_err(unread())?.map(|bridge| bridge.index);
    let links: Vec<&LinkSeen> = host.links(&Place::Host).map_err(unread())?.collect();
    let mut all = Vec::new();

    let names: HashMap<IfIndex, &str> = links.iter().map(|link| (link.index, link.name.as_str())).collect();
    for seen in host.addresses(&Place::Host).map_err(unread())? {
        let device = names.get(&seen.device).copied().unwrap_or("a device");
        all.push(GivenElsewhere { address: seen.address.addr(), to: Holder::Host(device.to_owned()) });
    }
    let ports = match network.ovs() {
        Some(part) => ports_of_ovs(session, &links, part)?,
        None => links.iter().copied().filter(|link| bridge.is_some() && link.master == bridge).collect(),
    };
    for (namespace, port) in foreign_ports(&ports) {
        for seen in session.kernel.addresses_in(namespace).map_err(Error::kernel(OBJECT))? {
            all.push(GivenElsewhere { address: seen.address.addr(), to: Holder::Behind(Box::new(port.clone())) });
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let found = leases(now);
    for unread in found.unread {
        session
            .note(format!("network {}: the leases in a file of another program are not known: {unread}", network.name));
    }
    let leased = |lease: Lease| GivenElsewhere { address: lease.address, to: Holder::Leased(lease) };
    all.extend(found.all.into_iter().map(leased));
    let is_apart = |other: &Network| match (other.ovs(), network.ovs()) {
        (Some(theirs), Some(ours)) => !theirs.vlans.meet(&ours.vlans),
        _ => false,
    };
    for other in session.store().networks_lossy().0 {
        let shares = other.shares_addresses() && other.shares_device_with(network) && !is_apart(&other);
        if other.name == network.name || !shares {
            continue;
        }
        let by_us = session.store().leases_lossy(&other.name).0.into_iter();
        all.extend(by_us.map(|(address, _)| GivenElsewhere { address, to: Holder::Network(other.name.clone()) }));
    }
    // The host knows an endpoint whose record is lost by its MAC.
    let shim = network.macvlan().and_then(|part| part.shim.as_ref()).map(|shim| &shim.device);
    let of_shim = shim.and_then(|shim| links.iter().find(|link| link.name == shim.as_str()));
    for seen in host.neighbours(&Place::Host).map_err(unread())?.iter().filter(|seen| seen.is_permanent()) {
        let (Some(address), Some(mac), Some(shim), Some(device)) = (seen.address, seen.mac, shim, of_shim) else {
            continue;
        };
        let unrecorded = session.store().lease_owner(&network.name, address)?.is_none();
        if seen.device == device.index && own != Some(mac) && unrecorded {
            all.push(GivenElsewhere { address, to: Holder::Neighbour { mac, bridge: shim.clone() } });
        }
    }
    for seen in host.neighbours(&Place::Host).map_err(unread())?.iter().filter(|seen| Some(seen.device) == bridge) {
        let (Some(address), Some(mac)) = (seen.address, seen.answered()) else { continue };
        if own != Some(mac) && !is_of_an_endpoint(session, network, address, mac)? {
            let bridge = network.device().clone();
            all.push(GivenElsewhere { address, to: Holder::Neighbour { mac, bridge } });
        }
    }
    all.retain(|given| network.pools.iter().any(|pool| pool.subnet.net().contains(&given.address)));
    Ok(all)
}

/// The ports of an Open vSwitch bridge that frames of the network may come to.
fn ports_of_ovs<'l>(
    session: &mut Session,
    links: &[&'l LinkSeen],
    part: &OvsNetwork,
) -> Result<Vec<&'l LinkSeen>, Error> {
    let seen = session.kernel.ovs().map_err(Error::kernel(OBJECT))?;
    let meets = |port: &PortSeen| match (&part.vlans, port.columns.tag) {
        (PortVlans::Access(vlan), Some(tag)) => vlan.number() == tag,
        _ => true,
    };
    let is_port = |link: &&&LinkSeen| {
        seen.port(&link.name).is_some_and(|port| port.bridge.as_deref() == Some(part.bridge.as_str()) && meets(port))
    };
    Ok(links.iter().filter(is_port).copied().collect())
}

/// The namespaces behind the ports that zubi did not make, each with one of its ports.
fn foreign_ports<'l>(ports: &[&'l LinkSeen]) -> BTreeMap<NetnsId, &'l LinkSeen> {
    let ports = ports.iter().filter(|link| !link.group.is_ours() && is_pair(link));
    ports.filter_map(|link| Some((link.peer_netns?, *link))).collect()
}

/// Whether a neighbour is or was an endpoint of ours: the kernel remembers it for long after the endpoint has gone. Its
/// MAC is made of one of its addresses, or is noted as another.
fn is_of_an_endpoint(session: &Session, network: &Network, address: IpAddr, mac: Mac) -> Result<bool, Error> {
    let is_made = network.pools.iter().any(|pool| mac.is_from(pool.subnet.net()));
    Ok(is_made || session.store().had_other_mac(&network.name, address)?)
}

/// Who has an address that is taken, in words.
pub(crate) fn holder(session: &mut Session, given: &GivenElsewhere) -> Result<String, Error> {
    Ok(match &given.to {
        Holder::Host(device) => format!("{device} of the host"),
        Holder::Behind(port) => {
            let mut host = Snapshot::new();
            session.read(&mut host, &Needs::new().links(&Place::Host), OBJECT)?;
            let owner = behind(session, &mut host, &[port])?.pop().flatten().map(|behind| behind.owner.to_string());
            format!("{} behind port {}", owner.as_deref().unwrap_or("a namespace"), port.name)
        }
        Holder::Leased(lease) => lease.to_string(),
        Holder::Network(name) => format!("an endpoint of network {name}"),
        Holder::Neighbour { mac, bridge } => {
            format!("{mac}, a neighbour on {bridge} (ip neigh del {} dev {bridge} forgets it)", given.address)
        }
    })
}
