//! Which devices of a host are ours: bridges, host ends, inner ends.
//!
//! # How it works
//! Every device of ours has a name, a MAC that zubi chose, and on the host a link group. Other programs may have
//! changed one of the three, so the name and one of the other two are enough. A device with the name alone is foreign.
//!
//! The bridge of a network with a card may be made by the host's own configuration at boot. It never gets the group, by
//! which zubi deletes what is its own. Until it has the mark, only the card tells whether it is the network's.

use crate::Presence;
use crate::alias::{self, Maker, NetworkMark};
use crate::driver::bridge::links::{bridge, doomed_name};
use crate::driver::found::Standing;
use zubi_model::{BridgeMode, BridgeNetwork, Endpoint, LinkGroup, Mac, Network, Pair};
use zubi_wire::route::{AdminState, LinkMark, LinkSeen};

/// A bridge that another program made belongs to the network whatever its MAC is.
pub(in crate::driver) fn recognise_network(part: &BridgeNetwork, seen: Option<&LinkSeen>) -> Presence {
    Presence::of(seen, |seen| match part.mode {
        BridgeMode::Managed => bridge(part).resembles(seen) || is_of_host(part, seen),
        BridgeMode::Adopted | BridgeMode::Unmanaged => is_kind(seen, "bridge"),
    })
}

/// Whether the host's own configuration made a bridge with the name of a network's that has a card.
pub(in crate::driver) fn is_of_host(part: &BridgeNetwork, seen: &LinkSeen) -> bool {
    part.parent.is_some()
        && seen.name == part.device.as_str()
        && is_kind(seen, "bridge")
        && !seen.group.is_ours()
        && mark(seen).is_none_or(|mark| mark.maker == Maker::Host)
}

fn mark(seen: &LinkSeen) -> Option<NetworkMark> {
    seen.alias.as_deref().and_then(alias::read_network)
}

pub(in crate::driver) fn standing(network: &Network, part: &BridgeNetwork, seen: Option<&LinkSeen>) -> Standing {
    match (recognise_network(part, seen), part.mode, seen) {
        (Presence::Foreign, _, _) => Standing::Foreign,
        // The mark is the last that it gets.
        (_, BridgeMode::Managed, Some(seen)) if is_of_host(part, seen) => {
            let is_whole = seen.state == AdminState::Up && mark(seen).is_some_and(|mark| mark.id == network.id);
            if is_whole { Standing::Complete } else { Standing::OfHost }
        }
        (_, BridgeMode::Managed, Some(seen)) if !bridge(part).is(seen) => Standing::Unmarked,
        // The mark is the last that a bridge with a card gets.
        (_, BridgeMode::Managed, Some(seen)) if part.parent.is_some() && seen.alias.is_none() => Standing::Incomplete,
        (_, BridgeMode::Managed, Some(seen)) if seen.state == AdminState::Up => Standing::Complete,
        (_, BridgeMode::Managed, _) => Standing::Incomplete,
        (_, BridgeMode::Adopted, Some(_)) => Standing::InParts,
        (_, BridgeMode::Unmanaged, Some(_)) => Standing::Complete,
        (_, BridgeMode::Adopted | BridgeMode::Unmanaged, None) => Standing::NoDevice,
    }
}

/// The name of a host end is random, unless the caller chose it.
pub(in crate::driver) fn recognise_host_end(endpoint: &Endpoint, pair: &Pair, seen: Option<&LinkSeen>) -> Presence {
    Presence::of(seen, |seen| {
        seen.name == pair.host.as_str()
            && is_kind(seen, "veth")
            && (has_mac(seen, endpoint.macs().map(Mac::host_end)) || seen.group.is_ours())
    })
}

/// An inner end has no group: it is lost when the device moves into another namespace.
pub(in crate::driver) fn recognise_inner_end(endpoint: &Endpoint, pair: &Pair, seen: Option<&LinkSeen>) -> Presence {
    let names = [Some(endpoint.ifname.clone()), doomed_name(endpoint, pair)];
    Presence::of(seen, |seen| {
        names.iter().flatten().any(|name| seen.name == name.as_str())
            && is_kind(seen, "veth")
            && has_mac(seen, endpoint.macs())
    })
}

/// All three marks: the record of a doomed host end may outlive it, and a caller may use its name again.
pub(in crate::driver) fn recognise_doomed(doomed: &LinkMark, seen: Option<&LinkSeen>) -> Presence {
    Presence::of(seen, |seen| doomed.is(seen) && seen.group.is_ours())
}

/// A host end whose other end is in another namespace. That namespace exists, since a namespace takes its devices and
/// their other ends with it.
pub(in crate::driver) fn leads_to_a_sandbox(seen: &LinkSeen) -> bool {
    seen.group == LinkGroup::OURS && is_kind(seen, "veth") && seen.peer_netns.is_some()
}

fn is_kind(seen: &LinkSeen, kind: &str) -> bool {
    seen.kind.as_deref() == Some(kind)
}

fn has_mac(seen: &LinkSeen, macs: impl IntoIterator<Item = Mac>) -> bool {
    macs.into_iter().any(|mac| seen.mac == Some(mac))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{endpoint, network, seen};
    use zubi_model::Network;
    use zubi_wire::route::NetnsId;

    fn part(network: &Network, mode: BridgeMode) -> BridgeNetwork {
        BridgeNetwork { mode, ..network.bridge().unwrap().clone() }
    }

    /// The bridge of `blue` as zubi makes it, up.
    fn blue() -> (BridgeNetwork, LinkSeen) {
        let network = network("blue", &["10.55.66.0/24"]);
        let part = part(&network, BridgeMode::Managed);
        let seen = LinkSeen { mac: Some(part.mac), group: LinkGroup::OURS, ..seen("zb-blue", "bridge") };
        (part, seen)
    }

    #[test]
    fn one_of_mac_and_group_is_enough_beside_the_name_of_a_bridge() {
        let (part, seen) = blue();
        let other_mac = LinkSeen { mac: None, ..seen.clone() };
        let other_group = LinkSeen { group: LinkGroup::DEFAULT, ..seen.clone() };
        let neither = LinkSeen { group: LinkGroup::DEFAULT, ..other_mac.clone() };
        let other_kind = LinkSeen { kind: Some("dummy".into()), ..seen.clone() };
        for ours in [&seen, &other_mac, &other_group] {
            assert_eq!(recognise_network(&part, Some(ours)), Presence::Ours);
        }
        for foreign in [&neither, &other_kind] {
            assert_eq!(recognise_network(&part, Some(foreign)), Presence::Foreign);
        }
        assert_eq!(recognise_network(&part, None), Presence::Gone);
        let adopted = BridgeNetwork { mode: BridgeMode::Adopted, ..part };
        assert_eq!(recognise_network(&adopted, Some(&neither)), Presence::Ours);
        assert_eq!(recognise_network(&adopted, Some(&other_kind)), Presence::Foreign);
    }

    #[test]
    fn a_bridge_with_a_card_and_without_the_group_is_the_host_s() {
        let (part, made) = blue();
        let network = network("blue", &["10.55.66.0/24"]);
        let part = BridgeNetwork { parent: Some("eth0".parse().unwrap()), ..part };
        let own = alias::of_network(&network, "/run/zubi".as_ref());
        let of_host = LinkSeen { group: LinkGroup::DEFAULT, mac: None, ..made.clone() };
        let marked = |alias: &str| LinkSeen { alias: Some(alias.to_owned()), ..of_host.clone() };
        let taken = marked(&alias::on_bridge_of_host(&own));
        let stands = |seen: &LinkSeen| standing(&network, &part, Some(seen));
        assert_eq!((stands(&of_host), stands(&marked("office"))), (Standing::OfHost, Standing::OfHost));
        assert_eq!(stands(&taken), Standing::Complete);
        assert_eq!(stands(&LinkSeen { state: AdminState::Down, ..taken.clone() }), Standing::OfHost);
        let other = Network { id: zubi_model::NetworkId::from_random([8; 32]), ..network.clone() };
        assert_eq!(standing(&other, &part, Some(&taken)), Standing::OfHost);
        assert_eq!(recognise_network(&part, Some(&of_host)), Presence::Ours);
        // One that zubi made lost its group.
        let unmarked = LinkSeen { mac: Some(part.mac), ..marked(&own) };
        assert_eq!(stands(&unmarked), Standing::Unmarked);
        let is = |seen: &LinkSeen| is_of_host(&part, seen);
        assert!(is(&of_host) && is(&taken) && !is(&unmarked) && !is(&made));
        assert!(!is(&LinkSeen { kind: Some("dummy".into()), ..of_host.clone() }));
        assert!(!is_of_host(&BridgeNetwork { parent: None, ..part.clone() }, &of_host));
    }

    #[test]
    fn a_network_stands_as_far_as_its_bridge_says() {
        let network = network("blue", &["10.55.66.0/24"]);
        let (managed, up) = blue();
        let of = |mode| BridgeNetwork { mode, ..managed.clone() };
        let (adopted, unmanaged) = (of(BridgeMode::Adopted), of(BridgeMode::Unmanaged));
        let down = LinkSeen { state: AdminState::Down, ..up.clone() };
        let unmarked = LinkSeen { group: LinkGroup::DEFAULT, ..up.clone() };
        let foreign = LinkSeen { mac: None, kind: None, ..unmarked.clone() };
        for (part, seen, expected) in [
            (&managed, Some(&up), Standing::Complete),
            (&managed, Some(&down), Standing::Incomplete),
            (&managed, None, Standing::Incomplete),
            (&managed, Some(&unmarked), Standing::Unmarked),
            (&managed, Some(&foreign), Standing::Foreign),
            (&adopted, Some(&down), Standing::InParts),
            (&adopted, Some(&foreign), Standing::Foreign),
            (&adopted, None, Standing::NoDevice),
            (&unmanaged, Some(&down), Standing::Complete),
            (&unmanaged, None, Standing::NoDevice),
        ] {
            assert_eq!(standing(&network, part, seen), expected, "{:?} {seen:?}", part.mode);
        }
    }

    fn pair() -> (Endpoint, Pair) {
        let endpoint = endpoint(&network("blue", &["10.55.66.0/24"]));
        let pair = Pair { host: endpoint.host_device().unwrap().clone(), bridge: "zb-blue".parse().unwrap() };
        (endpoint, pair)
    }

    #[test]
    fn a_host_end_is_known_by_its_name_and_one_mark() {
        let (endpoint, pair) = pair();
        let whole = LinkSeen { mac: Some(endpoint.host_mac()), group: LinkGroup::OURS, ..seen("zv0102030405", "veth") };
        let is = |seen: &LinkSeen| recognise_host_end(&endpoint, &pair, Some(seen));
        assert_eq!(is(&whole), Presence::Ours);
        assert_eq!(is(&LinkSeen { group: LinkGroup::DEFAULT, ..whole.clone() }), Presence::Ours);
        assert_eq!(is(&LinkSeen { mac: None, group: LinkGroup::DOOMED, ..whole.clone() }), Presence::Ours);
        assert_eq!(is(&LinkSeen { mac: None, group: LinkGroup::DEFAULT, ..whole.clone() }), Presence::Foreign);
        assert_eq!(is(&LinkSeen { name: "zv9".into(), ..whole.clone() }), Presence::Foreign);
        assert_eq!(is(&LinkSeen { kind: Some("bridge".into()), ..whole.clone() }), Presence::Foreign);
        // While its MAC is being changed it has the one or the other.
        let next = Mac::from_random([9; 6]);
        let changing = Endpoint { next_mac: Some(next), ..endpoint.clone() };
        let changed = LinkSeen { mac: Some(next.host_end()), group: LinkGroup::DEFAULT, ..whole };
        assert_eq!(recognise_host_end(&changing, &pair, Some(&changed)), Presence::Ours);
        assert_eq!(is(&changed), Presence::Foreign);
    }

    #[test]
    fn an_inner_end_is_known_under_its_name_and_its_doomed_name() {
        let (endpoint, pair) = pair();
        let is = |name: &str, mac| {
            recognise_inner_end(&endpoint, &pair, Some(&LinkSeen { mac: Some(mac), ..seen(name, "veth") }))
        };
        assert_eq!(is("eth0", endpoint.mac), Presence::Ours);
        assert_eq!(is("zd0102030405", endpoint.mac), Presence::Ours);
        assert_eq!(is("eth1", endpoint.mac), Presence::Foreign);
        assert_eq!(is("eth0", endpoint.host_mac()), Presence::Foreign);
        assert_eq!(recognise_inner_end(&endpoint, &pair, None), Presence::Gone);
    }

    #[test]
    fn a_doomed_host_end_needs_all_its_marks() {
        let (endpoint, _) = pair();
        let doomed = LinkMark::new("zv0102030405".parse().unwrap(), endpoint.host_mac());
        let whole =
            LinkSeen { mac: Some(endpoint.host_mac()), group: LinkGroup::DOOMED, ..seen("zv0102030405", "veth") };
        assert_eq!(recognise_doomed(&doomed, Some(&whole)), Presence::Ours);
        let unmarked = LinkSeen { group: LinkGroup::DEFAULT, ..whole.clone() };
        for foreign in [unmarked, LinkSeen { mac: None, ..whole }] {
            assert_eq!(recognise_doomed(&doomed, Some(&foreign)), Presence::Foreign);
        }
    }

    #[test]
    fn a_host_end_leads_to_a_sandbox_while_its_other_end_is_elsewhere() {
        let whole = LinkSeen { group: LinkGroup::OURS, peer_netns: Some(NetnsId(0)), ..seen("zv1", "veth") };
        assert!(leads_to_a_sandbox(&whole));
        assert!(!leads_to_a_sandbox(&LinkSeen { group: LinkGroup::DOOMED, ..whole.clone() }));
        assert!(!leads_to_a_sandbox(&LinkSeen { peer_netns: None, ..whole.clone() }));
        assert!(!leads_to_a_sandbox(&LinkSeen { kind: Some("bridge".into()), ..whole }));
    }
}
