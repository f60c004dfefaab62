//! Taking over a pair that somebody made by hand, and giving it back.
//!
//! # How it works
//! The pair is unplugged before anything else, and plugged in last. The end on the host gets what zubi's own have in one
//! message: name, MAC, group, bridge. The end in the sandbox stays up unless it gets another name, because a device that
//! goes down loses its routes.
//!
//! # Limits
//! A link-local address that the end in the sandbox has stays, also on a network without IPv6.

use crate::default_route::default_routes;
use crate::driver::bridge::port::{new_port, whole_port};
use crate::inside::static_route;
use crate::taken::{Taken, TakenNow};
use crate::{Op, Place, Sysctl, What, guards};
use ipnet::IpNet;
use zubi_model::{BridgeNetwork, Endpoint, Family, IfName, LinkGroup, Mtu, Network, Pair};
use zubi_wire::route::{Address, AdminState, BridgePort, LinkChange, LinkSeen};

const UNPLUG: &str = "unplug the cable that is there";
const BACK: &str = "the cable that was there gets back what it had";

/// The end on the host: from what it is to a port of the bridge that is down.
pub(super) fn take_outer(network: &Network, endpoint: &Endpoint, pair: &Pair, taken: &Taken) -> Vec<Op> {
    const MARK: &str =
        "its end on the host becomes zubi's: name, MAC and group say so, and the bridge takes it as a port";
    let mut ops = Vec::new();
    if taken.outer.state == AdminState::Up {
        // Two messages: before Linux 6.2 a device that is up cannot be renamed.
        let down = LinkChange::state(taken.host.clone(), AdminState::Down);
        ops.push(Op::host(What::ChangeLink(down), UNPLUG));
    }
    let mark = LinkChange {
        rename: Some(pair.host.clone()),
        mac: Some(endpoint.host_mac()),
        group: Some(LinkGroup::OURS),
        mtu: other_mtu(network, &taken.outer),
        master: taken.bridge.is_none().then(|| pair.bridge.clone()),
        ..LinkChange::none(taken.host.clone())
    };
    ops.push(Op::host(What::ChangeLink(mark), MARK));
    ops
}

/// The end in the sandbox, as far as a new pair is born so.
pub(super) fn take_inner(network: &Network, endpoint: &Endpoint, taken: &Taken) -> Vec<Op> {
    const NAME: &str = "its end in the sandbox becomes the device of the endpoint";
    let is_renamed = taken.ifname != endpoint.ifname;
    let change = LinkChange {
        rename: is_renamed.then(|| endpoint.ifname.clone()),
        mac: (taken.inner.mac != Some(endpoint.mac)).then_some(endpoint.mac),
        mtu: other_mtu(network, &taken.inner),
        ..LinkChange::none(taken.ifname.clone())
    };
    let down = LinkChange::state(taken.ifname.clone(), AdminState::Down);
    let down = (is_renamed && taken.inner.state == AdminState::Up).then_some(down);
    let changes = down.into_iter().chain([change]).filter(|change| !change.is_empty());
    changes.map(|change| Op::sandbox(&endpoint.sandbox.reached_by, What::ChangeLink(change), NAME)).collect()
}

/// The settings of the port: all of them if it was one before, since somebody may have changed them.
pub(super) fn take_port(part: &BridgeNetwork, endpoint: &Endpoint, pair: &Pair, taken: &Taken) -> Vec<Op> {
    const PORT: &str = "how the bridge treats this port";
    let mut ops = new_port(part, endpoint, pair);
    if let Some(before) = &taken.outer.port {
        ops.retain(|op| !matches!(op.what, What::ChangePort(_)));
        let wanted = whole_port(part, endpoint, pair);
        ops.extend(wanted.differs_from(before).map(|_| Op::host(What::ChangePort(wanted), PORT)));
    }
    ops
}

/// The MTU that a new pair would have, if this end has another.
fn other_mtu(network: &Network, seen: &LinkSeen) -> Option<Mtu> {
    let wanted = network.mtu.unwrap_or(Mtu::STANDARD);
    (wanted.bytes() != seen.mtu).then_some(wanted)
}

/// Gives a pair back as it was, whatever part of an attach was done.
pub(in crate::driver) fn give_back(endpoint: &Endpoint, taken: &Taken, now: &TakenNow) -> Vec<Op> {
    let had = |address: &IpNet| taken.addresses.contains(address);
    let mut ops: Vec<Op> = guards::lower(endpoint).collect();
    let outer = now.outer.as_ref().and_then(|seen| Some((seen.name.parse::<IfName>().ok()?, seen)));
    if let Some((name, seen)) = &outer {
        let release = taken.bridge.is_none() && seen.master.is_some();
        ops.extend(end_back(&Place::Host, name, seen, &taken.host, &taken.outer, release));
    }
    if let Some((way, seen)) = &now.inner
        && let Ok(name) = seen.name.parse::<IfName>()
    {
        let place = Place::Sandbox(way.clone());
        let here = |what| Op { place: place.clone(), what, why: BACK };
        let as_named = Endpoint { ifname: name.clone(), ..endpoint.clone() };
        let routes = default_routes(&as_named, &[Family::V4, Family::V6]).collect::<Vec<_>>();
        let further = endpoint.routes.iter().map(|route| static_route(route, &name));
        ops.extend(routes.into_iter().chain(further).map(What::DeleteRoute).map(here));
        let added = endpoint.addresses.iter().map(|a| a.address).filter(|address| !had(address));
        ops.extend(added.map(|address| here(What::DeleteAddress(Address::new(address, name.clone())))));
        ops.extend(end_back(&place, &name, seen, &taken.ifname, &taken.inner, false));
        ops.extend(settings_back(&taken.ifname, &taken.inner, seen).into_iter().map(What::Set).map(here));
        ops.extend(state_back(&place, &taken.ifname, &taken.inner, seen));
        // A device that goes down loses its IPv6 addresses.
        let lost = taken.addresses.iter().filter(|address| address.addr().is_ipv6());
        ops.extend(lost.map(|address| here(What::AddAddress(Address::new(*address, taken.ifname.clone())))));
    }
    if let Some((_, seen)) = &outer {
        let plug = LinkChange { master: taken.bridge.clone(), ..LinkChange::none(taken.host.clone()) };
        if taken.bridge.is_some() && seen.master != taken.outer.master {
            ops.push(Op::host(What::ChangeLink(plug), BACK));
        }
        if let Some(port) = taken.outer.port.filter(|port| seen.port != Some(*port)) {
            let port = BridgePort {
                isolated: Some(port.isolated),
                hairpin: Some(port.hairpin),
                locked: Some(port.locked),
                learning: Some(port.learning),
                flood: Some(port.flood),
                name: taken.host.clone(),
            };
            ops.push(Op::host(What::ChangePort(port), BACK));
        }
        ops.extend(state_back(&Place::Host, &taken.host, &taken.outer, seen));
    }
    ops
}

/// Gives an end its name back, and what it is known by. It is down afterwards if it has to be renamed.
fn end_back(
    place: &Place,
    name: &IfName,
    seen: &LinkSeen,
    old_name: &IfName,
    old: &LinkSeen,
    release: bool,
) -> Vec<Op> {
    let is_renamed = name != old_name;
    let down = (is_renamed && seen.state == AdminState::Up).then(|| LinkChange::state(name.clone(), AdminState::Down));
    let back = LinkChange {
        rename: is_renamed.then(|| old_name.clone()),
        release,
        mac: old.mac.filter(|mac| seen.mac != Some(*mac)),
        group: (seen.group != old.group).then_some(old.group),
        mtu: Mtu::try_from(old.mtu).ok().filter(|mtu| mtu.bytes() != seen.mtu),
        // An empty one removes it.
        alias: (seen.alias != old.alias).then(|| old.alias.clone().unwrap_or_default()),
        ..LinkChange::none(name.clone())
    };
    let changes = down.into_iter().chain([back]).filter(|change| !change.is_empty());
    changes.map(|change| Op { place: place.clone(), what: What::ChangeLink(change), why: BACK }).collect()
}

/// Gives an end that has its name again its state back, and before that the way it gets a link-local address.
fn state_back(place: &Place, name: &IfName, old: &LinkSeen, seen: &LinkSeen) -> Vec<Op> {
    let here = |change| Op { place: place.clone(), what: What::ChangeLink(change), why: BACK };
    let mode = old.addr_gen_mode.filter(|mode| seen.addr_gen_mode != Some(*mode));
    let mut ops: Vec<Op> =
        mode.map(|_| here(LinkChange { addr_gen_mode: mode, ..LinkChange::none(name.clone()) })).into_iter().collect();
    ops.push(here(LinkChange::state(name.clone(), old.state)));
    ops
}

/// The settings that an endpoint gives its device in the sandbox, as they were.
fn settings_back(name: &IfName, old: &LinkSeen, seen: &LinkSeen) -> Vec<Sysctl> {
    const SET: [(&str, &str); 5] = [
        ("ipv4", "arp_notify"),
        ("ipv6", "accept_ra"),
        ("ipv6", "accept_dad"),
        ("ipv6", "ndisc_notify"),
        ("ipv6", "disable_ipv6"),
    ];
    let changed = SET.into_iter().filter_map(|(family, setting)| {
        let value = old.settings.get(family, setting)?;
        (seen.settings.get(family, setting) != Some(value)).then_some((family, setting, value))
    });
    changed
        .map(|(family, setting, value)| Sysctl::new(format!("net/{family}/conf/{name}/{setting}"), value.to_string()))
        .collect()
}
