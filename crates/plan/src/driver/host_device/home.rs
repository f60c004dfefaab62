//! The way home: from wherever the device is now to what it was on the host.

use crate::driver::bridge::SETTINGS as OF_UPLINKS;
use crate::{Op, Place, Plan, Sysctl, What};
use zubi_model::{Endpoint, HeldAddress, Holdings, IfName, MovedDevice, StaticRoute};
use zubi_wire::route::{
    Address, AdminState, Certainty, Dad, Destination, LinkChange, LinkMove, LinkSeen, Neighbour, Route,
};

/// The settings that a device loses when it moves: family and name.
pub fn settings() -> Vec<(&'static str, &'static str)> {
    OF_UPLINKS.iter().copied().chain([("ipv6", "addr_gen_mode")]).collect()
}

const HOME: &str = "the device comes back to the host";
const AS_IT_WAS: &str = "on the host it is again what it was";

/// The device as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedNow {
    /// Where it is.
    pub place: Place,
    /// What it is there.
    pub seen: LinkSeen,
    /// The name that it gets on the host: its own, unless another device has that by now.
    pub name: IfName,
    /// What the host is to have on it.
    pub wanted: Holdings,
    /// What the host has on it; nothing while it is in the sandbox.
    pub held: Holdings,
}

/// Brings a device home, whatever part of an attach or of this was done. Nothing if it is there as it was.
pub fn bring_home(moved: &MovedDevice, now: &MovedNow) -> Plan {
    let mut plan = Plan::new();
    let Ok(called) = now.seen.name.parse::<IfName>() else { return plan };
    let was = if moved.is_up { AdminState::Up } else { AdminState::Down };
    let mut state = now.seen.state;
    let change = LinkChange {
        rename: (now.place == Place::Host && called != now.name).then(|| now.name.clone()),
        mac: moved.mac.filter(|mac| now.seen.mac != Some(*mac)),
        mtu: moved.mtu.filter(|mtu| mtu.bytes() != now.seen.mtu),
        ..LinkChange::none(if now.place == Place::Host { called.clone() } else { now.name.clone() })
    };
    let host = |what, why| Op::host(what, why);
    if let Place::Sandbox(_) = &now.place {
        let what = LinkMove { name: called, to: Destination::Host, rename: now.name.clone() };
        plan.push(Op { place: now.place.clone(), what: What::MoveLink(what), why: HOME });
        state = AdminState::Down;
    } else if change.rename.is_some() && state == AdminState::Up {
        // Before Linux 6.2 a device that is up cannot be renamed.
        plan.push(host(What::ChangeLink(LinkChange::state(called, AdminState::Down)), HOME));
        state = AdminState::Down;
    }
    if !change.is_empty() {
        plan.push(host(What::ChangeLink(change), AS_IT_WAS));
    }
    let name = &now.name;
    let differing = now.wanted.settings.iter().filter(|setting| !now.held.settings.contains(setting));
    plan.ops.extend(differing.map(|(family, setting, value)| {
        host(What::Set(Sysctl::new(format!("net/{family}/conf/{name}/{setting}"), value)), AS_IT_WAS)
    }));
    if state != was {
        plan.push(host(What::ChangeLink(LinkChange::state(name.clone(), was)), AS_IT_WAS));
    }
    // A device that goes down loses its routes, and its IPv6 addresses.
    let goes_down = now.seen.state == AdminState::Up && (state == AdminState::Down || was == AdminState::Down);
    let stays = |v6: bool| now.place == Place::Host && !(goes_down && v6);
    let lost = now.wanted.addresses.iter().filter(|held| {
        let is_there = now.held.addresses.iter().any(|seen| seen.address == held.address);
        !(is_there && stays(held.address.addr().is_ipv6()))
    });
    let back = |held: &HeldAddress| {
        let dad = if held.options.no_dad { Dad::Skip } else { Dad::Default };
        Address { dad, ..Address::moved(held.clone(), name.clone()) }
    };
    plan.ops.extend(lost.map(|held| host(What::AddAddress(back(held)), AS_IT_WAS)));
    let mut routes: Vec<&StaticRoute> = now
        .wanted
        .routes
        .iter()
        .filter(|route| !now.wanted.comes_with_address(route))
        .filter(|route| goes_down || !now.held.routes.contains(route))
        .collect();
    // Next hops are on the link by routes that come first.
    routes.sort_by_key(|route| route.via.is_some());
    if was == AdminState::Up {
        plan.ops.extend(routes.into_iter().map(|route| {
            let route = Route { to: route.to, via: route.via, device: name.clone(), options: route.options };
            host(What::AppendRoute(route), AS_IT_WAS)
        }));
    }
    let known = now.wanted.neighbours.iter().filter(|held| held.permanent && !now.held.neighbours.contains(held));
    plan.ops.extend(known.map(|held| {
        let (address, mac, device) = (held.address, held.mac, name.clone());
        let neighbour = Neighbour { address, mac, device, certainty: Certainty::Permanent };
        host(What::AddNeighbour(neighbour), AS_IT_WAS)
    }));
    plan
}

/// The name that an endpoint's device has on the host where another device has its own.
pub fn name_of_another(endpoint: &Endpoint) -> Option<IfName> {
    format!("zh{}", endpoint.id.as_str().get(..10)?).parse().ok()
}
