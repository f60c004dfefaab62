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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::seen;
    use zubi_model::{AddressOptions, Mac, Mtu, NsRef};

    fn held(address: &str) -> HeldAddress {
        HeldAddress { address: address.parse().unwrap(), options: AddressOptions::default() }
    }

    /// A card that was up with two addresses and a route.
    fn card() -> MovedDevice {
        let mut card = MovedDevice::unseen("eth1".parse().unwrap());
        card.mac = Some(Mac::from_random([1; 6]));
        card.mtu = Mtu::try_from(1400).ok();
        card.is_up = true;
        card.held.addresses = vec![held("10.9.0.5/24"), held("2001:db8::5/64")];
        card.held.routes = vec![StaticRoute::new("10.7.0.0/16".parse().unwrap(), Some("10.9.0.1".parse().unwrap()))];
        card
    }

    fn home(card: &MovedDevice, place: Place, change: impl FnOnce(&mut LinkSeen, &mut Holdings)) -> Vec<String> {
        let mut now = LinkSeen { mac: card.mac, mtu: 1400, kind: None, state: AdminState::Up, ..seen("eth1", "any") };
        let mut held = if place == Place::Host { card.held.clone() } else { Holdings::default() };
        change(&mut now, &mut held);
        let now = MovedNow { place, seen: now, name: card.name.clone(), wanted: card.held.clone(), held };
        bring_home(card, &now).ops.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_device_that_is_there_as_it_was_is_left_alone() {
        assert_eq!(home(&card(), Place::Host, |_, _| {}), Vec::<String>::new());
    }

    #[test]
    fn a_device_in_a_sandbox_comes_back_with_everything() {
        let sandbox = Place::Sandbox(NsRef::Named("c1".parse().unwrap()));
        let back = home(&card(), sandbox, |seen, _| {
            seen.name = "net0".into();
            seen.mtu = 1500;
        });
        assert_eq!(
            back[..3],
            ["ip -n c1 link set net0 netns $$ name eth1", "ip link set eth1 mtu 1400", "ip link set eth1 up",]
        );
        assert!(back[3].contains("10.9.0.5/24") && back[4].contains("2001:db8::5/64"), "{back:?}");
        assert!(back[5].starts_with("ip route append 10.7.0.0/16 via 10.9.0.1 dev eth1"), "{back:?}");
    }

    #[test]
    fn a_device_that_fell_back_gets_its_name_and_what_it_has_lost() {
        let back = home(&card(), Place::Host, |seen, held| {
            seen.name = "dev3".into();
            seen.state = AdminState::Down;
            *held = Holdings::default();
        });
        assert_eq!(back[..2], ["ip link set dev3 name eth1", "ip link set eth1 up"]);
        assert_eq!(back.len(), 5);
    }

    #[test]
    fn a_device_that_has_to_go_down_for_its_name_gets_back_what_that_costs() {
        let back = home(&card(), Place::Host, |seen, _| seen.name = "net0".into());
        assert_eq!(back[..3], ["ip link set net0 down", "ip link set net0 name eth1", "ip link set eth1 up"]);
        // IPv4 addresses stay on a device that goes down.
        assert!(back[3].contains("2001:db8::5/64") && back[4].starts_with("ip route append"), "{back:?}");
        assert_eq!(back.len(), 5);
    }
}
