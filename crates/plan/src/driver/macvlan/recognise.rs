//! Which devices are ours: a network's own device by name and one mark, a macvlan by its MAC, an ipvlan by its name.

use crate::Presence;
use crate::driver::found::Standing;
use crate::driver::macvlan::links::carrier;
use zubi_model::{Endpoint, MacvlanNetwork, OnIpvlan, OnParent};
use zubi_wire::route::{AdminState, LinkSeen, OnCard};

/// A network card belongs to the network whatever it is.
pub(in crate::driver) fn recognise_network(part: &MacvlanNetwork, seen: Option<&LinkSeen>) -> Presence {
    Presence::of(seen, |seen| carrier(part, None).is_none_or(|made| made.resembles(seen)))
}

pub(in crate::driver) fn standing(part: &MacvlanNetwork, seen: Option<&LinkSeen>) -> Standing {
    match (recognise_network(part, seen), carrier(part, None), seen) {
        (Presence::Foreign, _, _) => Standing::Foreign,
        (_, None, None) => Standing::NoDevice,
        (_, _, Some(_)) if part.shim.is_some() => Standing::InParts,
        (_, None, Some(_)) => Standing::Complete,
        (_, Some(made), Some(seen)) if !made.is(seen) => Standing::Unmarked,
        (_, Some(_), Some(seen)) if seen.state == AdminState::Up => Standing::Complete,
        (_, Some(_), _) => Standing::Incomplete,
    }
}

/// A macvlan by its MAC, under any name: the sandbox may have renamed it. All ipvlans of a card have one MAC, so that
/// another name is another endpoint; a killed command may have left the name with which it was born.
pub(in crate::driver) fn recognise_inner_end(endpoint: &Endpoint, on: &OnParent, seen: Option<&LinkSeen>) -> Presence {
    Presence::of(seen, |seen| {
        let is_marked = match on.ipvlan {
            Some(OnIpvlan { key, .. }) => {
                let at_first = OnCard::name_at_first(key);
                [Some(&endpoint.ifname), at_first.as_ref()].contains(&seen.name.parse().ok().as_ref())
            }
            None => endpoint.macs().any(|mac| seen.mac == Some(mac)),
        };
        is_marked && seen.kind.as_deref() == Some(on.kind())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{endpoint, network, seen};
    use zubi_model::{Broadcasts, CardMode, IpvlanMode, LinkGroup, Mac};

    fn part(own: Option<Mac>) -> MacvlanNetwork {
        MacvlanNetwork {
            parent: "zm-blue".parse().unwrap(),
            own,
            vlan: None,
            mode: CardMode::default(),
            card_mac: None,
            shim: None,
            broadcasts: Broadcasts::default(),
        }
    }

    #[test]
    fn a_network_card_stands_when_it_is_there() {
        let card = part(None);
        assert_eq!(standing(&card, None), Standing::NoDevice);
        assert_eq!(standing(&card, Some(&seen("zm-blue", "veth"))), Standing::Complete);
    }

    #[test]
    fn a_device_of_the_networks_own_needs_one_mark() {
        let mac = Mac::from_random([1; 6]);
        let own = part(Some(mac));
        let whole = LinkSeen { mac: Some(mac), group: LinkGroup::OURS, ..seen("zm-blue", "veth") };
        let foreign = LinkSeen { mac: None, group: LinkGroup::DEFAULT, ..whole.clone() };
        assert_eq!(standing(&own, Some(&whole)), Standing::Complete);
        assert_eq!(standing(&own, Some(&LinkSeen { mac: None, ..whole.clone() })), Standing::Unmarked);
        assert_eq!(standing(&own, Some(&LinkSeen { state: AdminState::Down, ..whole })), Standing::Incomplete);
        assert_eq!(standing(&own, Some(&foreign)), Standing::Foreign);
        assert_eq!(standing(&own, None), Standing::Incomplete);
    }

    #[test]
    fn a_macvlan_is_known_by_its_mac_and_an_ipvlan_by_its_name() {
        let endpoint = endpoint(&network("blue", &["10.55.66.0/24"]));
        let mut on = OnParent { parent: "lan0".parse().unwrap(), shim: None, ipvlan: None, vlan: None };
        let is = |on: &OnParent, name: &str, kind: &str, mac| {
            recognise_inner_end(&endpoint, on, Some(&LinkSeen { mac: Some(mac), ..seen(name, kind) }))
        };
        let of = |name: &str, kind: &str, mac| is(&on, name, kind, mac);
        assert_eq!(of("eth0", "macvlan", endpoint.mac), Presence::Ours);
        assert_eq!(of("renamed", "macvlan", endpoint.mac), Presence::Ours);
        assert_eq!(of("eth0", "veth", endpoint.mac), Presence::Foreign);
        assert_eq!(of("eth0", "macvlan", Mac::from_random([9; 6])), Presence::Foreign);
        on.ipvlan = Some(OnIpvlan { key: endpoint.mac, mode: IpvlanMode::L2 });
        let of = |name: &str, kind: &str| is(&on, name, kind, Mac::from_random([9; 6]));
        assert_eq!(of("eth0", "ipvlan"), Presence::Ours);
        assert_eq!(of(OnCard::name_at_first(endpoint.mac).unwrap().as_str(), "ipvlan"), Presence::Ours);
        assert_eq!([of("eth1", "ipvlan"), of("eth0", "macvlan")], [Presence::Foreign, Presence::Foreign]);
    }
}
