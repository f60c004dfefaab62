//! The other ends of the host's veth pairs, in whatever namespace they are.
//!
//! # How it works
//! A link reports the number of its other end's namespace and the index there. The kernel tells the number of each
//! namespace that is found, so only those that a device leads to are entered. [`match_end`] is pure.

use crate::error::Error;
use crate::look::owner::{Owner, Owners};
use crate::session::Session;
use ipnet::IpNet;
use std::collections::{BTreeSet, HashMap, HashSet};
use zubi_kernel::{NetnsFound, named};
use zubi_model::{IfIndex, Mac, NsRef};
use zubi_plan::Place;
use zubi_snapshot::{Needs, Snapshot};
use zubi_wire::route::{AdminState, LinkSeen, NetnsId};

/// The device at the other end of a pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FarDevice {
    /// Its name.
    pub name: String,
    /// Its index, if it was read from the kernel.
    pub index: Option<IfIndex>,
    /// Its MAC.
    pub mac: Option<Mac>,
    /// Its state, if it was read from the kernel.
    pub state: Option<AdminState>,
    /// Its addresses.
    pub addresses: Vec<IpNet>,
}

/// Who is behind a device of the host, and by which device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// Who.
    pub owner: Owner,
    /// The other end, where it could be read. A virtual machine's is inside it.
    pub device: Option<FarDevice>,
}

/// Where a link leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End<'l> {
    /// It is no pair's, or its other end is gone.
    Nowhere,
    /// To a device of the host.
    Here(&'l LinkSeen),
    /// To a device of a namespace that was read.
    There(NetnsId, &'l LinkSeen),
    /// To a namespace that was not read, or not to a device that was read there.
    Unseen(NetnsId),
}

/// Whether devices of this kind come in pairs.
pub(crate) fn is_pair(link: &LinkSeen) -> bool {
    matches!(link.kind.as_deref(), Some("veth" | "netkit"))
}

/// Finds the other end of a link among the host's devices and those of other namespaces, by the numbers that the host
/// has for these. An index is one namespace's, so the two ends must name each other.
pub(crate) fn match_end<'l>(
    link: &LinkSeen,
    host: &[&'l LinkSeen],
    elsewhere: &HashMap<NetnsId, Vec<&'l LinkSeen>>,
) -> End<'l> {
    let Some(peer) = link.peer.filter(|_| is_pair(link)) else { return End::Nowhere };
    let is_other_end =
        |other: &&&LinkSeen| other.index == peer && other.peer == Some(link.index) && other.kind == link.kind;
    match link.peer_netns {
        None => host
            .iter()
            .find(is_other_end)
            .filter(|other| other.peer_netns.is_none())
            .map_or(End::Nowhere, |o| End::Here(o)),
        Some(id) => {
            let there = elsewhere.get(&id).and_then(|links| links.iter().find(is_other_end));
            there.filter(|other| other.peer_netns.is_some()).map_or(End::Unseen(id), |other| End::There(id, other))
        }
    }
}

/// A namespace that a device of the host leads to.
struct Entered {
    place: Place,
    owner: Owner,
}

/// Who is behind these devices of the host, in their order. The snapshot must have all devices of the host.
pub(crate) fn behind(
    session: &mut Session,
    snapshot: &mut Snapshot,
    devices: &[&LinkSeen],
) -> Result<Vec<Option<Behind>>, Error> {
    let failed = || Error::unread("other ends");
    let mut owners = Owners::new();
    let entered = enter(session, snapshot, &mut owners, devices)?;
    let taps = devices.iter().filter(|link| link.kind.as_deref() == Some("tun")).map(|link| link.name.as_str());
    let holders = session.kernel.tap_holders(&taps.collect::<HashSet<_>>()).map_err(Error::kernel("tap devices"))?;
    session.read(snapshot, &Needs::new().addresses(&Place::Host), "addresses")?;

    let host: Vec<&LinkSeen> = snapshot.links(&Place::Host).map_err(failed())?.collect();
    let mut elsewhere: HashMap<NetnsId, Vec<&LinkSeen>> = HashMap::new();
    for (id, entered) in &entered {
        // A namespace that has ended meanwhile, or that may not be entered, has nothing to show.
        if let Ok(links) = snapshot.links(&entered.place) {
            elsewhere.insert(*id, links.collect());
        }
    }
    let device = |place: &Place, link: &LinkSeen| FarDevice {
        name: link.name.clone(),
        index: Some(link.index),
        mac: link.mac,
        state: Some(link.state),
        addresses: snapshot
            .addresses_of(place, link.index)
            .map(|all| all.iter().map(|seen| seen.address).collect())
            .unwrap_or_default(),
    };
    let mut find = |link: &LinkSeen| {
        let (owner, device) = match match_end(link, &host, &elsewhere) {
            End::Here(other) => (Owner::Host, Some(device(&Place::Host, other))),
            End::There(id, other) => {
                let entered = entered.get(&id)?;
                (entered.owner.clone(), Some(device(&entered.place, other)))
            }
            End::Unseen(id) => (entered.get(&id).map_or(Owner::Hidden(id), |entered| entered.owner.clone()), None),
            End::Nowhere => (owners.of_process(session, *holders.get(&link.name)?)?, None),
        };
        Some(Behind { owner, device })
    };
    Ok(devices.iter().map(|link| find(link)).collect())
}

/// Reads the devices and addresses of the namespaces that these devices lead to.
fn enter(
    session: &mut Session,
    snapshot: &mut Snapshot,
    owners: &mut Owners,
    devices: &[&LinkSeen],
) -> Result<HashMap<NetnsId, Entered>, Error> {
    let failed = || Error::kernel("other ends");
    let mut entered = HashMap::new();
    let wanted: BTreeSet<NetnsId> =
        devices.iter().filter(|link| is_pair(link)).filter_map(|link| link.peer_netns).collect();
    if wanted.is_empty() {
        return Ok(entered);
    }
    let found = session.kernel.namespaces().map_err(failed())?;
    let ids = session.kernel.netns_ids(&found).map_err(failed())?;
    let doing = session.begin();
    let number_of_all = found.len();
    for (number, (found, id)) in found.iter().zip(ids).enumerate() {
        doing.step(|| format!("looking into namespaces, {number} of {number_of_all}"));
        let Some(id) = id.filter(|id| wanted.contains(id)) else { continue };
        let Some(owner) = owners.of_namespace(session, found) else { continue };
        let place = Place::Sandbox(way_to(found));
        session.read(snapshot, &Needs::new().links(&place).addresses(&place), "other ends")?;
        entered.insert(id, Entered { place, owner });
    }
    Ok(entered)
}

fn way_to(found: &NetnsFound) -> NsRef {
    let path = found.path();
    let name = path.strip_prefix(named::FOLDER).ok().and_then(|name| name.to_str()?.parse().ok());
    name.map_or_else(|| NsRef::Path(path.clone()), NsRef::Named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::memory::bridge_seen;

    const A: NetnsId = NetnsId(0);
    const B: NetnsId = NetnsId(1);

    fn end(index: u32, peer: u32, peer_netns: Option<NetnsId>) -> LinkSeen {
        let kind = Some("veth".into());
        LinkSeen { index: IfIndex(index), kind, peer: Some(IfIndex(peer)), peer_netns, ..bridge_seen("veth0") }
    }

    #[test]
    fn an_end_is_found_in_its_own_namespace_where_every_namespace_has_the_same_indexes() {
        let (first, second) = (end(5, 2, Some(A)), end(6, 2, Some(B)));
        let (in_a, in_b) = (end(2, 5, Some(A)), end(2, 6, Some(A)));
        let elsewhere = HashMap::from([(A, vec![&in_a]), (B, vec![&in_b])]);
        assert_eq!(match_end(&first, &[], &elsewhere), End::There(A, &in_a));
        assert_eq!(match_end(&second, &[], &elsewhere), End::There(B, &in_b));
    }

    #[test]
    fn ends_that_do_not_name_each_other_are_no_pair() {
        let near = end(5, 2, Some(A));
        let stranger = end(2, 9, Some(A));
        assert_eq!(match_end(&near, &[], &HashMap::from([(A, vec![&stranger])])), End::Unseen(A));
        assert_eq!(match_end(&near, &[], &HashMap::new()), End::Unseen(A));
    }

    #[test]
    fn a_pair_of_the_host_is_found_on_the_host() {
        let (left, right) = (end(5, 6, None), end(6, 5, None));
        assert_eq!(match_end(&left, &[&left, &right], &HashMap::new()), End::Here(&right));
    }

    #[test]
    fn a_device_above_another_is_no_end() {
        let vlan = LinkSeen { kind: Some("vlan".into()), ..end(5, 2, None) };
        let below = end(2, 5, None);
        assert_eq!(match_end(&vlan, &[&below], &HashMap::new()), End::Nowhere);
    }
}
