//! The operations of a plan whose result is missing or differs: they repair it.

use crate::compare::peer_with_other_mtu;
use crate::{Finding, NotRead, OvsAnswer, Snapshot, compare};
use std::collections::HashSet;
use zubi_model::{IfName, Mac};
use zubi_ovsdb::Port;
use zubi_plan::{Op, Place, What};
use zubi_wire::route::{AdminState, Link, LinkChange, LinkKind, LinkMark};

/// The state of an endpoint's pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pair {
    /// Both ends exist with the right names and MACs.
    Whole,
    /// The host end exists. The inner end was renamed, moved to another namespace, or has another MAC.
    InnerEndDiffers,
    /// The host end is missing, so the inner end is missing too.
    Absent,
}

/// Whether the sandbox of an endpoint can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inside {
    /// zubi can change the devices inside.
    Reachable,
    /// No known path leads to it.
    Unreachable,
}

/// The operations that repair what is missing or differs. A link of ours that differs is changed, not made again. The
/// snapshot has to contain [`crate::Needs::of`] these operations.
///
/// # Errors
/// As [`compare()`].
pub fn lacking(ops: &[Op], snapshot: &Snapshot) -> Result<Vec<Op>, NotRead> {
    let compared = compare(ops, snapshot)?;
    // The settings of a missing device cannot be compared: repeat them with the device.
    let brings = |what: &What| matches!(what, What::AddLink(_) | What::MoveLink(_));
    let new_device = compared.iter().any(|(op, finding)| brings(&op.what) && *finding == Finding::Missing);
    let mut lacking = Vec::new();
    for (op, finding) in compared {
        match (&op.what, finding) {
            (_, Finding::NoState) if new_device => lacking.push(op),
            (_, Finding::Same | Finding::NoState) => {}
            (What::AddOvsPort(port), Finding::Differs(_)) => lacking.extend(ovs_port(port, &op, snapshot)?),
            (What::AddLink(link), Finding::Differs(_)) if is_ours(&op.place, link, snapshot)? => {
                let mut change = LinkChange::state(link.name.clone(), AdminState::Up);
                change.mac = Some(link.mac);
                change.group = Some(link.group);
                change.master.clone_from(&link.master);
                change.mtu = link.mtu;
                lacking.extend(mtu_of_peer(link, snapshot)?);
                lacking.push(Op { what: What::ChangeLink(change), ..op });
            }
            _ => lacking.push(op),
        }
    }
    Ok(without_routes_of_addresses(lacking))
}

/// [`lacking`] for all operations of an endpoint whose host end is `host_end`, given the state of its pair.
///
/// # Errors
/// As [`compare()`]; only a whole pair is compared.
pub fn lacking_of_pair(
    ops: Vec<Op>,
    snapshot: &Snapshot,
    host_end: LinkMark,
    pair: Pair,
    inside: Inside,
) -> Result<Vec<Op>, NotRead> {
    Ok(match (pair, inside) {
        (Pair::InnerEndDiffers, Inside::Reachable) => {
            // A renamed or moved end may be anywhere, so the pair is made again.
            let delete = Op::host(What::DeleteLink(host_end), "its inner end is not as made");
            std::iter::once(delete).chain(without_routes_of_addresses(ops)).collect()
        }
        (Pair::Whole | Pair::InnerEndDiffers, _) => lacking(&ops, snapshot)?,
        // Without the host end nothing is left inside.
        (Pair::Absent, Inside::Reachable) => without_routes_of_addresses(ops),
        (Pair::Absent, Inside::Unreachable) => Vec::new(),
    })
}

/// How the inner end of a pair differs, in words. The host end exists.
///
/// # Errors
/// When the devices of the sandbox were not read.
pub fn inner_end_differs(
    snapshot: &Snapshot,
    inside: &Place,
    wanted: &IfName,
    mac: Option<Mac>,
) -> Result<Option<String>, NotRead> {
    Ok(match snapshot.link(inside, wanted.as_str())? {
        None => Some(format!("its inner end {wanted} is renamed or gone")),
        Some(seen) => mac.filter(|mac| seen.mac != Some(*mac)).map(|mac| {
            let found = seen.mac.map_or_else(|| "none".to_owned(), |m| m.to_string());
            format!("its inner end {wanted} has MAC {found}; wanted: {mac}")
        }),
    })
}

fn is_ours(place: &Place, link: &Link, snapshot: &Snapshot) -> Result<bool, NotRead> {
    Ok(snapshot.link(place, link.name.as_str())?.is_some_and(|seen| link.resembles(seen)))
}

/// The operations that repair a port that differs. One on another bridge, or whose device Open vSwitch cannot use, is
/// made again.
fn ovs_port(port: &Port, op: &Op, snapshot: &Snapshot) -> Result<Vec<Op>, NotRead> {
    let OvsAnswer::Seen(seen) = snapshot.ovs()? else { return Ok(vec![op.clone()]) };
    let seen = seen.port(port.name.as_str());
    let in_place =
        seen.is_some_and(|seen| seen.bridge.as_deref() == Some(port.bridge.as_str()) && seen.error.is_none());
    if in_place {
        return Ok(vec![Op { what: What::SetOvsPort(port.clone()), ..op.clone() }]);
    }
    Ok(vec![Op { what: What::DeleteOvsPort(port.name.clone()), ..op.clone() }, op.clone()])
}

/// The operation that repairs the MTU of the other end of a pair.
fn mtu_of_peer(link: &Link, snapshot: &Snapshot) -> Result<Option<Op>, NotRead> {
    let (Some(mtu), LinkKind::Veth(peer)) = (link.mtu, &link.kind) else { return Ok(None) };
    Ok(peer_with_other_mtu(link, snapshot)?.map(|_| {
        let change = What::ChangeLink(LinkChange::mtu(peer.name.clone(), mtu));
        Op::sandbox(&peer.netns, change, "both ends of a cable take packets of one size")
    }))
}

/// Removes the routes that the kernel makes itself: it adds the route to an address's subnet with the address.
fn without_routes_of_addresses(ops: Vec<Op>) -> Vec<Op> {
    let given: HashSet<_> = ops
        .iter()
        .filter_map(|op| match &op.what {
            What::AddAddress(address) => Some((op.place.clone(), address.device.clone(), address.address.trunc())),
            _ => None,
        })
        .collect();
    let comes_along = |op: &Op| match &op.what {
        What::AddRoute(route) if route.via.is_none() => {
            given.contains(&(op.place.clone(), route.device.clone(), route.to))
        }
        _ => false,
    };
    ops.into_iter().filter(|op| !comes_along(op)).collect()
}
