//! Links: a veth pair between two sandboxes, or between a sandbox and the host, without a bridge.

use crate::device::Ipv6;
use crate::inside::{ipv6_of, settings};
use crate::{Announcement, Neighbours, Op, Place, Plan, Presence, Through, What};
use zubi_model::{DirectLink, DuplicateDetection, IfName, LinkEnd, LinkGroup, LinkPlace, NsRef};
use zubi_wire::route::{Address, AdminState, Link, LinkChange, LinkKind, LinkMark, LinkSeen, Peer};

/// The namespace of an end.
pub fn place(end: &LinkEnd) -> Place {
    match &end.place {
        LinkPlace::Host => Place::Host,
        LinkPlace::Sandbox(sandbox) => Place::Sandbox(sandbox.reached_by.clone()),
    }
}

/// The end in whose namespace the pair is made, and the other one. A pair with an end on the host is made there,
/// because the message sets the group only of the end that it makes.
pub fn maker_and_peer(link: &DirectLink) -> (&LinkEnd, &LinkEnd) {
    let [a, b] = &link.ends;
    if b.place == LinkPlace::Host { (b, a) } else { (a, b) }
}

/// The pair as it is made. Its end on the host carries our group. Ends in sandboxes carry none: a zubi that runs in
/// such a sandbox would take them for its own strays.
pub fn pair(link: &DirectLink) -> Option<Link> {
    let (maker, peer) = maker_and_peer(link);
    let LinkPlace::Sandbox(sandbox) = &peer.place else { return None };
    Some(Link {
        name: maker.ifname.clone(),
        kind: LinkKind::Veth(Peer { name: peer.ifname.clone(), mac: peer.mac, netns: sandbox.reached_by.clone() }),
        mac: maker.mac,
        mtu: link.mtu,
        group: if maker.place == LinkPlace::Host { LinkGroup::OURS } else { LinkGroup::DEFAULT },
        master: None,
    })
}

/// All operations that set a link up: the pair (down), both ends, both up, announcements. `down`: the sandboxes whose
/// loopback is down.
pub fn make(link: &DirectLink, down: &[NsRef]) -> Plan {
    const PAIR: &str = "a virtual cable: one message makes both ends, each in its place";
    const FIRST: &str = "the first end: settings, loopback, addresses";
    const SECOND: &str = "the second end";
    const UP: &str = "plug it in at both ends";
    const TELL: &str = "setting the MAC it has makes the kernel tell the other end where the address lives";

    let (maker, _) = maker_and_peer(link);
    let at = |end: &LinkEnd, what, why| Op { place: place(end), what, why };
    let mut plan = Plan::new();
    plan.ops.extend(pair(link).map(|pair| at(maker, What::AddLink(pair), PAIR)));
    let mut down = down.to_vec();
    for (end, why) in link.ends.iter().zip([FIRST, SECOND]) {
        let ipv6 = if end.has_ipv6() { Ipv6::On } else { Ipv6::Off };
        for sysctl in settings(&end.ifname, ipv6, Neighbours::MayBeWrong, DuplicateDetection::Skipped) {
            plan.push(at(end, What::Set(sysctl), why));
        }
        if ipv6 == Ipv6::Off {
            plan.push(at(end, What::ChangeLink(LinkChange::addressless(end.ifname.clone())), why));
        }
        let place = place(end);
        if let Some(known) = down.iter().position(|way| place == Place::Sandbox(way.clone())) {
            down.swap_remove(known);
            plan.push(at(end, What::ChangeLink(LinkChange::state(IfName::loopback(), AdminState::Up)), why));
        }
        for address in &end.addresses {
            plan.push(at(end, What::AddAddress(Address::new(*address, end.ifname.clone())), why));
        }
    }
    for end in &link.ends {
        plan.push(at(end, What::ChangeLink(LinkChange::state(end.ifname.clone(), AdminState::Up)), UP));
    }
    for end in &link.ends {
        let announcement = Announcement {
            device: end.ifname.clone(),
            mac: end.mac,
            ipv6: end.addresses.iter().filter_map(|a| ipv6_of(a.addr())).collect(),
            through: Through::Cable,
            neighbours: Neighbours::MayBeWrong,
        };
        plan.push(at(end, What::Announce(announcement), TELL));
    }
    plan
}

/// Sets these loopback devices down again after a link could not be made.
pub fn loopbacks_down(down: &[NsRef]) -> Plan {
    let change = || What::ChangeLink(LinkChange::state(IfName::loopback(), AdminState::Down));
    down.iter().map(|way| Op::sandbox(way, change(), "as it was")).collect()
}

/// Removes a link by one of its ends, which may have been renamed.
pub fn unmake(place: Place, device: LinkMark) -> Plan {
    const DELETE: &str = "the pair goes, whichever end is deleted";
    std::iter::once(Op { place, what: What::DeleteLink(device), why: DELETE }).collect()
}

/// Whether a device in the namespace of an end is that end, whatever its name is now. Only an end on the host has a
/// group.
pub fn recognise(end: &LinkEnd, seen: Option<&LinkSeen>) -> Presence {
    Presence::of(seen, |seen| {
        let marked = end.place != LinkPlace::Host || seen.group.is_ours();
        seen.mac == Some(end.mac) && seen.kind.as_deref() == Some("veth") && marked
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::seen;
    use zubi_model::{Mac, NetnsCookie, SandboxIdentity};

    #[test]
    fn an_end_is_known_by_its_mac_and_on_the_host_by_its_group_too() {
        let mac = Mac::from_random([4; 6]);
        let end = |place| LinkEnd { place, ifname: "veth0".parse().unwrap(), mac, addresses: Vec::new() };
        let reached_by = NsRef::Path("/proc/7/ns/net".into());
        let sandbox = SandboxIdentity { cookie: NetnsCookie(7), spelled: "c1".into(), reached_by };
        let inside = end(LinkPlace::Sandbox(sandbox));
        let renamed = LinkSeen { mac: Some(mac), ..seen("other", "veth") };
        let marked = LinkSeen { group: LinkGroup::OURS, ..renamed.clone() };
        assert_eq!(recognise(&inside, Some(&renamed)), Presence::Ours);
        assert_eq!(recognise(&end(LinkPlace::Host), Some(&renamed)), Presence::Foreign);
        assert_eq!(recognise(&end(LinkPlace::Host), Some(&marked)), Presence::Ours);
        assert_eq!(recognise(&inside, Some(&LinkSeen { mac: None, ..renamed })), Presence::Foreign);
        assert_eq!(recognise(&inside, None), Presence::Gone);
    }
}
