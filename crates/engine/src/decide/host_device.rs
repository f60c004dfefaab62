//! The decision about a network whose endpoint is a whole device of the host: which devices may go, and which addresses
//! are left to zubi.

use crate::decide::macvlan::{choose_from_all, guess_routers};
use crate::decide::neighbourhood::Neighbourhood;
use crate::decide::uplink::{existing, pools_behind};
use crate::error::Error;
use crate::look::addresses_in_use::TABLE_MAIN;
use std::net::IpAddr;
use zubi_model::{
    Driver, Family, HostDeviceNetwork, HostDeviceSpec, IfIndex, IfName, Network, NetworkName, NetworkSpec, Pool, WayOut,
};
use zubi_plan::Place;
use zubi_wire::route::{LinkSeen, RouteSeen};

/// The kinds of devices that are on another one and lose the way out with it.
const ON_TOP: [&str; 5] = ["vlan", "macvlan", "macvtap", "ipvlan", "ipvtap"];

/// The device, after a check that it may leave the host. `own`: the network that it goes for.
pub(crate) fn movable<'a>(
    part: &HostDeviceNetwork,
    own: &NetworkName,
    around: &'a Neighbourhood<'_>,
) -> Result<&'a LinkSeen, Error> {
    let device = &part.device;
    let no = |why: String| Err(Error::Card { card: device.clone(), why });
    let unread = || Error::unread(format!("network card {device}"));
    let seen = match existing(device, around) {
        Err(missing) => return Err(renamed(part, around)?.unwrap_or(missing)),
        there => there?,
    };
    let users = around.networks.iter().filter(|network| network.name != *own);
    if let Some(network) = users.clone().find(|network| uses(network, device)) {
        return no(format!("carries network {0}; zubi network rm {0} first", network.name));
    }
    let mut links = around.host.links(&Place::Host).map_err(unread())?;
    if let Some(master) = seen.master {
        let master = links.find(|link| link.index == master);
        let kind = master.and_then(|link| link.kind.as_deref()).unwrap_or("device");
        let name = master.map_or("another device", |link| link.name.as_str());
        return no(format!("is a port of {kind} {name}; ip link set {device} nomaster first"));
    }
    if let Some(kind @ ("bridge" | "openvswitch")) = seen.kind.as_deref() {
        return no(format!("is a {kind} of this host, whose ports would stay here"));
    }
    if seen.group.is_ours() {
        return no("is zubi's own".into());
    }
    let is_on = |link: &&LinkSeen| {
        link.peer == Some(seen.index) && link.kind.as_deref().is_some_and(|kind| ON_TOP.contains(&kind))
    };
    if let Some(link) = links.find(is_on) {
        let kind = link.kind.as_deref().unwrap_or("device");
        return no(format!("carries the {kind} {}, which would lose it; remove that first", link.name));
    }
    if part.way_out == WayOut::Kept
        && let Some(family) = gives_way_out(seen.index, around)?
    {
        return no(format!(
            "has this host's {family} default route, which would be cut off; --force takes it all the same"
        ));
    }
    Ok(seen)
}

/// The error for a device that is there under another name: it fell back when its sandbox ended, and nothing records what it
/// was.
fn renamed(part: &HostDeviceNetwork, around: &Neighbourhood<'_>) -> Result<Option<Error>, Error> {
    let unread = Error::unread(format!("network card {}", part.device));
    let mut links = around.host.links(&Place::Host).map_err(unread)?;
    let is_it = |link: &&LinkSeen| part.mac.is_some() && link.mac == part.mac && link.kind.is_none();
    Ok(links.find(is_it).map(|link| {
        let (card, name) = (&part.device, &link.name);
        let why =
            format!("does not exist, but {name} has its MAC; ip link set {name} down; ip link set {name} name {card}");
        Error::Card { card: card.clone(), why }
    }))
}

/// Whether a network needs a device on the host.
fn uses(network: &Network, device: &IfName) -> bool {
    let of_vlan = network.macvlan().and_then(|part| part.vlan.as_ref()).map(|vlan| &vlan.card);
    network.device() == device || network.parent() == Some(device) || of_vlan == Some(device)
}

/// The family in which the host reaches the outside by a device.
fn gives_way_out(device: IfIndex, around: &Neighbourhood<'_>) -> Result<Option<Family>, Error> {
    for family in [Family::V4, Family::V6] {
        let routes = around.host.routes(&Place::Host, family).map_err(Error::unread("the default route"))?;
        let leads_out =
            |route: &RouteSeen| route.to.prefix_len() == 0 && route.table == TABLE_MAIN && route.device == Some(device);
        if routes.iter().any(leads_out) {
            return Ok(Some(family));
        }
    }
    Ok(None)
}

/// The subnets behind the device. The host's own addresses there are free once it has gone.
pub(crate) fn pools(spec: &NetworkSpec, wish: &HostDeviceSpec, around: &Neighbourhood<'_>) -> Result<Vec<Pool>, Error> {
    let part = HostDeviceNetwork { device: wish.card.parent.clone(), mac: None, way_out: wish.way_out };
    let seen = movable(&part, &spec.name, around)?;
    let object = format!("network {}", spec.name);
    let own = around.host.addresses_of(&Place::Host, seen.index).map_err(Error::unread(object))?;
    let mut pools = pools_behind(spec, &wish.card, seen, around)?;
    choose_from_all(spec, &mut pools);
    guess_routers(spec, &mut pools, own)?;
    let of_host: Vec<IpAddr> = own.iter().map(|own| own.address.addr()).collect();
    for pool in &mut pools {
        pool.exclude.retain(|exclusion| exclusion.first != exclusion.last || !of_host.contains(&exclusion.first));
    }
    Ok(pools)
}

/// The network with what only the kernel knows of the device.
pub(crate) fn settle(mut network: Network, around: &Neighbourhood<'_>) -> Result<Network, Error> {
    let name = network.name.clone();
    if let Driver::HostDevice(part) = &mut network.driver {
        part.mac = movable(part, &name, around)?.mac;
    }
    Ok(network)
}
