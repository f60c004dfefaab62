//! Changes by others that break our networks and that zubi does not touch. `check` reports each with the command that
//! undoes it.

use crate::error::Error;
use crate::look::addresses_in_use::{self, TABLE_LOCAL, is_link_local};
use crate::problem::{Problem, ProblemKind, describe};
use crate::records::Records;
use crate::session::Session;
use ipnet::IpNet;
use std::collections::HashSet;
use std::net::IpAddr;
use zubi_model::{Family, HostAddress, IfIndex, IfName, Network, Pool};
use zubi_plan::Place;
use zubi_snapshot::{NotRead, Snapshot};
use zubi_wire::route::{AddressSeen, LinkSeen, RouteSeen};

/// The host's links, addresses and routes.
struct HostSeen<'a> {
    links: Vec<&'a LinkSeen>,
    addresses: Vec<&'a AddressSeen>,
    routes: Vec<&'a RouteSeen>,
}

impl<'a> HostSeen<'a> {
    fn of(snapshot: &'a Snapshot) -> Result<Self, NotRead> {
        let mut routes: Vec<&RouteSeen> = snapshot.routes(&Place::Host, Family::V4)?.iter().collect();
        routes.extend(snapshot.routes(&Place::Host, Family::V6)?);
        let links = snapshot.links(&Place::Host)?.collect();
        Ok(HostSeen { links, addresses: snapshot.addresses(&Place::Host)?.collect(), routes })
    }

    fn name(&self, device: Option<IfIndex>) -> &str {
        let link = self.links.iter().find(|link| Some(link.index) == device);
        link.map_or("no device", |link| link.name.as_str())
    }
}

/// Finds additional addresses and ports of our bridges, routes that lead into our subnets by another device, uplinks
/// that do not forward, and published host addresses that the host does not have any more.
pub(crate) fn foreign_changes(
    session: &mut Session,
    records: &Records,
    snapshot: &mut Snapshot,
) -> Result<Vec<Problem>, Error> {
    const OBJECT: &str = "reading the host";
    let families = [Family::V4, Family::V6];
    session.read(snapshot, &addresses_in_use::needs(&families), OBJECT)?;
    let host = HostSeen::of(snapshot).map_err(Error::unread(OBJECT))?;
    let known: HashSet<&str> = records.host_devices().collect();
    let mut problems = Vec::new();
    for network in records.networks.iter().filter(|network| network.owns_device()) {
        let Some(bridge) = host.links.iter().find(|link| link.name == network.device().as_str()) else { continue };
        if network.parent().is_none() {
            problems.extend(additional_addresses(network, bridge, &records.networks, &host));
        }
        problems.extend(additional_ports(network, bridge, &known, &host));
        let shims =
            records.networks.iter().filter(|other| other.shares_device_with(network)).flat_map(Network::devices);
        let shims: Vec<&str> = shims.map(IfName::as_str).collect();
        problems.extend(routes_elsewhere(network, bridge, &shims, &host));
    }
    if records.networks.iter().any(|network| network.needs_forwarding(Family::V4)) {
        problems.extend(uplinks_without_forwarding(&host));
    }
    problems.extend(lost_addresses(records, &host));
    problems.extend(addresses_of_ports(&host));
    Ok(problems)
}

/// Addresses that a device kept when it became a port of a bridge, whoever made the bridge.
fn addresses_of_ports(host: &HostSeen<'_>) -> Vec<Problem> {
    let bridge_of = |device: IfIndex| {
        let port = host.links.iter().find(|link| link.index == device)?;
        let bridge = host.links.iter().find(|link| port.master == Some(link.index))?;
        (bridge.kind.as_deref() == Some("bridge") && !port.group.is_ours()).then_some((port, bridge))
    };
    let kept = host.addresses.iter().filter(|seen| !is_link_local(seen.address.addr()));
    kept.filter_map(|seen| {
        let (port, bridge) = bridge_of(seen.device)?;
        let (address, port, bridge) = (seen.address, &port.name, &bridge.name);
        let what = format!(
            "is a port of {bridge} and has the address {address}: what is sent there comes to {bridge}, and the host \
             answers only as long as neighbours remember it"
        );
        let fix = format!("ip addr add {address} dev {bridge}; ip addr del {address} dev {port}");
        Some(Problem::new(ProblemKind::Differs, format!("device {port}"), what, fix))
    })
    .collect()
}

/// The addresses on a network's own bridge that are not the network's. They would go with it.
pub(crate) fn foreign_addresses(session: &mut Session, network: &Network) -> Result<Vec<IpNet>, Error> {
    // What the host has on a bridge with a network card goes back to the card.
    if !network.owns_device() || network.parent().is_some() {
        return Ok(Vec::new());
    }
    let object = format!("network {}", network.name);
    let mut snapshot = Snapshot::new();
    session.read(&mut snapshot, &addresses_in_use::needs(&[]), &object)?;
    let device = network.device().as_str();
    let Some(bridge) = snapshot.link(&Place::Host, device).map_err(Error::unread(&object))? else {
        return Ok(Vec::new());
    };
    let seen = snapshot.addresses_of(&Place::Host, bridge.index).map_err(Error::unread(&object))?;
    let own = own_addresses(network, &session.store().networks_lossy().0);
    Ok(additional(seen.iter(), &own).collect())
}

/// The host's addresses on a bridge, of all networks that share it.
fn own_addresses(network: &Network, all: &[Network]) -> Vec<IpNet> {
    let of_bridge = all.iter().filter(|other| other.shares_device_with(network));
    of_bridge.flat_map(|other| other.pools.iter().filter_map(Pool::host_address)).collect()
}

fn additional<'a>(seen: impl Iterator<Item = &'a AddressSeen>, own: &[IpNet]) -> impl Iterator<Item = IpNet> {
    seen.map(|seen| seen.address).filter(|address| !own.contains(address) && !is_link_local(address.addr()))
}

pub(crate) fn differs(network: &Network, what: String, fix: String) -> Problem {
    Problem::new(ProblemKind::Differs, format!("network {}", network.name), what, fix)
}

fn additional_addresses(network: &Network, bridge: &LinkSeen, all: &[Network], host: &HostSeen<'_>) -> Vec<Problem> {
    let seen = host.addresses.iter().copied().filter(|seen| seen.device == bridge.index);
    additional(seen, &own_addresses(network, all))
        .map(|address| {
            let what = format!("{} has the address {address}, which is not the network's", bridge.name);
            differs(network, what, format!("ip addr del {address} dev {}", bridge.name))
        })
        .collect()
}

fn additional_ports(network: &Network, bridge: &LinkSeen, known: &HashSet<&str>, host: &HostSeen<'_>) -> Vec<Problem> {
    // Ports with our mark are checked elsewhere.
    let ports = host.links.iter().filter(|link| link.master == Some(bridge.index) && !link.group.is_ours());
    ports
        .filter(|link| {
            !known.contains(link.name.as_str()) && network.parent().is_none_or(|card| link.name != card.as_str())
        })
        .map(|link| {
            let what = format!("{} is a port of {}, and no endpoint's", link.name, bridge.name);
            let away = format!("ip link set {} nomaster", link.name);
            let leads_elsewhere = link.kind.as_deref() == Some("veth") && link.peer_netns.is_some();
            let taken = format!("zubi connect {} SANDBOX --device {} takes it over", network.name, link.name);
            differs(network, what, if leads_elsewhere { format!("{away}; or {taken}") } else { away })
        })
        .collect()
}

/// Routes into the network's subnets by another device. The kernel takes the longest prefix, and of two equal ones either.
/// `shims`: devices of networks on the same bridge, by which the host reaches their endpoints.
fn routes_elsewhere(network: &Network, bridge: &LinkSeen, shims: &[&str], host: &HostSeen<'_>) -> Vec<Problem> {
    let into = |route: &&&RouteSeen| {
        let net = |pool: &Pool| pool.subnet.net();
        route.table != TABLE_LOCAL
            && route.device != Some(bridge.index)
            && !shims.contains(&host.name(route.device))
            && network.pools.iter().any(|p| net(p).contains(&route.to))
    };
    host.routes
        .iter()
        .filter(into)
        .map(|route| {
            let by = host.name(route.device);
            let what = format!("packets to {} of its subnet leave by {by} (table {})", route.to, route.table);
            let family = if route.to.addr().is_ipv6() { "-6 " } else { "" };
            let device = if route.device.is_some() { format!(" dev {by}") } else { String::new() };
            differs(network, what, format!("ip {family}route del {}{device} table {}", route.to, route.table))
        })
        .collect()
}

/// Devices of IPv4 default routes that do not forward packets.
fn uplinks_without_forwarding(host: &HostSeen<'_>) -> Vec<Problem> {
    let leaves = |link: &&&LinkSeen| {
        let of_link = |route: &RouteSeen| route.device == Some(link.index) && route.to.prefix_len() == 0;
        host.routes.iter().any(|route| of_link(route) && route.to.addr().is_ipv4())
    };
    host.links
        .iter()
        .filter(leaves)
        .filter(|link| link.settings.get("ipv4", "forwarding") == Some(0))
        .map(|link| {
            let key = format!("net/ipv4/conf/{}/forwarding", link.name);
            let what = format!("passes no IPv4 packets on ({key} is 0): what comes in there reaches no endpoint");
            let fix = format!("sysctl -w {key}=1");
            Problem::new(ProblemKind::Differs, format!("device {}", link.name), what, fix)
        })
        .collect()
}

fn lost_addresses(records: &Records, host: &HostSeen<'_>) -> Vec<Problem> {
    let has = |address: IpAddr| {
        address.is_unspecified()
            || address.is_loopback()
            || host.addresses.iter().any(|seen| seen.address.addr() == address)
    };
    let mut problems = Vec::new();
    for endpoint in &records.endpoints {
        for port in &endpoint.ports {
            if let HostAddress::One(address) = port.host
                && !has(address)
            {
                let what = format!("port {port} is published at {address}, which is no address of this host now");
                let fix = format!(
                    "give the address back to a device, or zubi port rm {} {} {port}",
                    endpoint.network, endpoint.sandbox.spelled
                );
                problems.push(Problem::new(ProblemKind::Differs, describe(endpoint), what, fix));
            }
        }
    }
    problems
}
