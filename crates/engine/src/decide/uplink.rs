//! The decision about a network on the LAN: which network cards can become a port of a bridge, and which addresses are
//! left to zubi.

use crate::decide::neighbourhood::Neighbourhood;
use crate::error::Error;
use crate::look::addresses_in_use::is_link_local;
use ipnet::IpNet;
use std::net::IpAddr;
use zubi_model::{
    Exclusion, GatewayAt, IfName, Invalid, Ipam, Mac, Mtu, Network, NetworkSpec, Pool, PoolSpec, Subnet, UplinkSpec,
    VlanId,
};
use zubi_plan::Place;
use zubi_wire::route::{AdminState, LinkSeen};

/// The kinds of devices that the kernel attaches to a card: it lets no card carry both these and a bridge (EBUSY of
/// `netdev_rx_handler_register`).
pub(crate) const ON_TOP: [&str; 4] = ["macvlan", "macvtap", "ipvlan", "ipvtap"];

/// The card, after a check that it can become a port.
pub(crate) fn card<'a>(parent: &IfName, around: &'a Neighbourhood<'_>) -> Result<&'a LinkSeen, Error> {
    let no = |why: String| Err(Error::Card { card: parent.clone(), why });
    let seen = existing(parent, around)?;
    if let Some(master) = seen.master {
        let unread = Error::unread(format!("network card {parent}"));
        let master = around.host.links(&Place::Host).map_err(unread)?.find(|link| link.index == master);
        let bridge = master.map_or("another device", |link| link.name.as_str());
        let network = around.networks.iter().find(|network| network.device().as_str() == bridge);
        let ours = network.map(|network| format!(" of network {}; connect to that network", network.name));
        let kind = master.and_then(|link| link.kind.as_deref()).unwrap_or("device");
        let way = match kind {
            "bridge" => format!("; to use that bridge: zubi network create NAME --bridge {bridge} --adopt"),
            _ => format!("; take {bridge} as the parent"),
        };
        return no(format!("is a port of {kind} {bridge}{}", ours.unwrap_or(way)));
    }
    match seen.kind.as_deref() {
        Some("bridge") => {
            return no(format!("is a bridge already; zubi network create NAME --bridge {parent} --adopt uses it"));
        }
        Some(kind @ ("tun" | "wireguard" | "ipvlan" | "macvlan" | "vxlan" | "gre" | "sit" | "ipip")) => {
            return no(format!("is a {kind} device, and no network card: a bridge cannot take it over"));
        }
        _ => {}
    }
    if seen.mac.is_none() {
        return no("has no MAC: a bridge cannot take it over".into());
    }
    if seen.state != AdminState::Up {
        return no(format!("is down; ip link set {parent} up"));
    }
    let carried = |network: &&Network| network.macvlan().is_some() && network.device() == parent;
    if let Some(network) = around.networks.iter().find(carried) {
        return no(format!("carries network {}; remove that, and create it again on top of this one", network.name));
    }
    refuse_carrier(parent, seen, &ON_TOP, around)?;
    Ok(seen)
}

/// The device that is meant for a card.
pub(crate) fn existing<'a>(parent: &IfName, around: &'a Neighbourhood<'_>) -> Result<&'a LinkSeen, Error> {
    let no = |why: String| Err(Error::Card { card: parent.clone(), why });
    let object = format!("network card {parent}");
    let unread = || Error::unread(&object);
    let Some(seen) = around.host.link(&Place::Host, parent.as_str()).map_err(unread())? else {
        return no(format!("does not exist{}", cards(around).map_err(unread())?));
    };
    if *parent == IfName::loopback() {
        return no("is the loopback device: no LAN is behind it".into());
    }
    Ok(seen)
}

/// Refuses a card that carries devices of these kinds already.
pub(crate) fn refuse_carrier(
    parent: &IfName,
    seen: &LinkSeen,
    kinds: &[&str],
    around: &Neighbourhood<'_>,
) -> Result<(), Error> {
    let goes = |network: &&Network| network.whole_device().is_some() && network.device() == parent;
    if let Some(network) = around.networks.iter().find(goes) {
        let name = &network.name;
        let why = format!("goes into a sandbox as the endpoint of network {name}; zubi network rm {name} first");
        return Err(Error::Card { card: parent.clone(), why });
    }
    let unread = Error::unread(format!("network card {parent}"));
    // One of zubi's belongs to a network.
    let is_on = |link: &&LinkSeen| link.peer == Some(seen.index) && !link.group.is_ours();
    for link in around.host.links(&Place::Host).map_err(unread)?.filter(is_on) {
        if let Some(kind) = link.kind.as_deref().filter(|kind| kinds.contains(kind)) {
            let name = &link.name;
            let why = format!("carries the {kind} {name}, and the kernel lets no card carry both; remove that first");
            return Err(Error::Card { card: parent.clone(), why });
        }
    }
    Ok(())
}

/// The cards that there are, as the end of a sentence.
fn cards(around: &Neighbourhood<'_>) -> Result<String, zubi_snapshot::NotRead> {
    let mut cards: Vec<&str> =
        around.host.links(&Place::Host)?.filter(|link| is_card(link)).map(|l| &*l.name).collect();
    cards.sort_unstable();
    Ok(if cards.is_empty() { String::new() } else { format!("; there are: {}", cards.join(", ")) })
}

fn is_card(link: &LinkSeen) -> bool {
    link.mac.is_some() && link.name != "lo" && link.kind.as_deref() != Some("bridge") && !link.group.is_ours()
}

/// The MAC of the card, for the bridge: the LAN is to notice nothing.
pub(crate) fn mac_of_card(uplink: &UplinkSpec, around: &Neighbourhood<'_>) -> Result<Mac, Error> {
    let why = "has no MAC: a bridge cannot take it over".to_owned();
    card(&uplink.parent, around)?.mac.ok_or(Error::Card { card: uplink.parent.clone(), why })
}

/// The MTU of the card.
pub(crate) fn mtu_of_card(uplink: &UplinkSpec, around: &Neighbourhood<'_>) -> Result<Mtu, Error> {
    Ok(Mtu::try_from(card(&uplink.parent, around)?.mtu)?)
}

/// The subnets of the card, with the routers of the LAN, and without the host's own addresses.
pub(crate) fn pools(spec: &NetworkSpec, uplink: &UplinkSpec, around: &Neighbourhood<'_>) -> Result<Vec<Pool>, Error> {
    let seen = card(&uplink.parent, around)?;
    let Some(vlan) = spec.driver.uplink_vlan() else { return pools_behind(spec, uplink, seen, around) };
    refuse_device_of_vlan(&uplink.parent, seen, vlan, around)?;
    if spec.pools.is_empty() && spec.ipam != Ipam::Dhcp {
        let why = "has no subnet that this host knows";
        return Err(Invalid::new("VLAN", vlan, why).try_instead("add --subnet, or --ipam dhcp").into());
    }
    pools_of(spec, uplink, &Near::default())
}

/// The kernel gives the frames of a VLAN to the device that the card has for it, before anything else gets them. There is
/// one at most.
pub(crate) fn refuse_device_of_vlan(
    parent: &IfName,
    seen: &LinkSeen,
    vlan: VlanId,
    around: &Neighbourhood<'_>,
) -> Result<(), Error> {
    let unread = Error::unread(format!("network card {parent}"));
    let mut links = around.host.links(&Place::Host).map_err(unread)?;
    let takes = |link: &&LinkSeen| link.peer == Some(seen.index) && link.vlan == Some(vlan);
    let Some(device) = links.find(takes) else { return Ok(()) };
    let why = format!("has the device {} for VLAN {vlan}, which takes its frames; remove that first", device.name);
    Err(Error::Card { card: parent.clone(), why })
}

/// What the host has on a card.
#[derive(Debug, Default)]
struct Near {
    /// Its addresses.
    own: Vec<IpNet>,
    /// The next hops of its default routes.
    routers: Vec<IpAddr>,
}

/// As [`pools`], for a device of the host that was found fit.
pub(crate) fn pools_behind(
    spec: &NetworkSpec,
    uplink: &UplinkSpec,
    seen: &LinkSeen,
    around: &Neighbourhood<'_>,
) -> Result<Vec<Pool>, Error> {
    let object = format!("network {}", spec.name);
    let own = around.host.addresses_of(&Place::Host, seen.index).map_err(Error::unread(&object))?;
    let own: Vec<IpNet> = own.iter().map(|own| own.address).filter(|own| !is_link_local(own.addr())).collect();
    let routers = routers(seen, around).map_err(Error::unread(&object))?;
    pools_of(spec, uplink, &Near { own, routers })
}

fn pools_of(spec: &NetworkSpec, uplink: &UplinkSpec, Near { own, routers }: &Near) -> Result<Vec<Pool>, Error> {
    let mut subnets: Vec<PoolSpec> = spec.pools.clone();
    for address in own.iter().filter(|own| own.prefix_len() < own.max_prefix_len()) {
        let subnet = Subnet::try_from(address.trunc())?;
        if spec.pools.is_empty() && !subnets.iter().any(|pool| pool.subnet.family() == subnet.family()) {
            subnets.push(PoolSpec { subnet, gateway: None, range: None, exclude: Vec::new() });
        }
    }
    let mut pools = Vec::new();
    for wish in subnets {
        let inside = |address: &IpAddr| wish.subnet.net().contains(address);
        let router = routers.iter().copied().find(|via| inside(via));
        let given = uplink.gateways.iter().copied().find(|gateway| inside(gateway));
        let gateway = wish.gateway.or(given).or(router);
        let range = uplink.ranges.iter().copied().find(|range| wish.subnet.net().contains(range));
        let mut exclude = wish.exclude.clone();
        exclude.extend(uplink.exclude.iter().copied().filter(|exclusion| inside(&exclusion.first)));
        let range = wish.range.or(range);
        for (whose, address) in
            own.iter().map(|own| ("this host's", own.addr())).chain(gateway.map(|g| ("the router's", g)))
        {
            let left_out = exclude.iter().any(|exclusion| exclusion.covers(address));
            if let Some(range) = range.filter(|range| range.contains(&address) && !left_out) {
                let why = format!("contains {whose} address {address}");
                let exclude = format!("choose a range without it, or add --exclude {address}");
                return Err(Invalid::new("address range", range, why).try_instead(exclude).into());
            }
        }
        exclude.extend(own.iter().map(IpNet::addr).filter(inside).map(|own| Exclusion { first: own, last: own }));
        let decided = PoolSpec { gateway, range, exclude, ..wish }.decide()?;
        pools.push(Pool { gateway, gateway_at: GatewayAt::Elsewhere, ..decided });
    }
    for range in &uplink.ranges {
        if !pools.iter().any(|pool| pool.range == Some(*range)) {
            let why = why_outside(&pools, &format!("{} has no address", uplink.parent));
            return Err(Invalid::new("address range", range, why).into());
        }
    }
    pools.sort_by_key(|pool| pool.subnet.family());
    Ok(pools)
}

/// Why something is in none of the subnets.
pub(crate) fn why_outside(pools: &[Pool], without_subnets: &str) -> String {
    let subnets: Vec<String> = pools.iter().map(|pool| pool.subnet.to_string()).collect();
    match subnets.as_slice() {
        [] => format!("lies nowhere: {without_subnets}"),
        _ => format!("is not inside {}", subnets.join(" or ")),
    }
}

/// The next hops of the host's default routes by a device.
fn routers(seen: &LinkSeen, around: &Neighbourhood<'_>) -> Result<Vec<IpAddr>, zubi_snapshot::NotRead> {
    let mut all = Vec::new();
    for family in [zubi_model::Family::V4, zubi_model::Family::V6] {
        let routes = around.host.routes(&Place::Host, family)?;
        let default = routes.iter().filter(|route| route.to.prefix_len() == 0 && route.device == Some(seen.index));
        all.extend(default.filter_map(|route| route.via));
    }
    Ok(all)
}

/// Refuses what a network with a network card cannot be.
pub(crate) fn refuse_contradictions(network: &Network) -> Result<(), Error> {
    if network.parent().is_some() && network.scope == zubi_model::Scope::Internal {
        let why = "is on the LAN, which is outside";
        return Err(Invalid::new("network", &network.name, why).try_instead("leave --internal out").into());
    }
    Ok(())
}
