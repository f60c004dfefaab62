//! The operations that repair a direct link.

use crate::error::Error;
use crate::look::compare::lacking_of;
use crate::look::link_ends::{EndSeen, EndsSeen, link_ends};
use crate::problem::describe_link;
use crate::session::Session;
use zubi_model::{DirectLink, NsRef};
use zubi_plan::link::{make, maker_and_peer, place, unmake};
use zubi_plan::{Op, Place, What};
use zubi_snapshot::Snapshot;
use zubi_wire::route::LinkMark;

/// The operations that repair a link. A link that has to be made again is left alone if one of its sandboxes cannot be
/// reached.
pub(crate) fn lacking_of_link(session: &mut Session, link: &DirectLink) -> Result<Vec<Op>, Error> {
    let ends = link_ends(session, link)?;
    let everywhere = !ends.iter().any(|(_, end)| matches!(end, EndSeen::NoWay));
    let there = ends.iter().any(|(_, end)| matches!(end, EndSeen::There(_)));
    if strange_end(link, &ends).is_some() || !there {
        // Make the link again, if both ends can be reached.
        let found = ends.into_iter().zip(&link.ends).find_map(|((place, seen), end)| match seen {
            EndSeen::There(_) => Some(unmake(place, LinkMark::new(end.ifname.clone(), end.mac))),
            EndSeen::Renamed(name) => Some(unmake(place, LinkMark::new(name, end.mac))),
            EndSeen::Absent | EndSeen::NoWay => None,
        });
        let mut plan = found.unwrap_or_default();
        plan.append(make(link, &ways(link)));
        return Ok(if everywhere { plan.ops } else { Vec::new() });
    }
    let (announcements, ops): (Vec<Op>, Vec<Op>) =
        wanted(link, &ends).into_iter().partition(|op| matches!(op.what, What::Announce(_)));
    let mut lacking = lacking_of(session, &mut Snapshot::new(), &describe_link(link), &ops)?;
    if !lacking.is_empty() {
        lacking.extend(announcements);
    }
    Ok(lacking)
}

/// Describes the first end that is renamed, or missing while the other end is there.
pub(crate) fn strange_end(link: &DirectLink, ends: &EndsSeen) -> Option<String> {
    let there = ends.iter().any(|(_, end)| matches!(end, EndSeen::There(_) | EndSeen::Renamed(_)));
    ends.iter().zip(&link.ends).find_map(|((_, seen), end)| match seen {
        EndSeen::Renamed(name) => Some(format!("its end {end} is called {name} now")),
        EndSeen::Absent if there => Some(format!("its end {end} has another MAC, or is in another namespace")),
        _ => None,
    })
}

/// The operations that set a link up, in the places that can be reached.
pub(crate) fn wanted(link: &DirectLink, ends: &EndsSeen) -> Vec<Op> {
    let reachable = |at: &Place| ends.iter().any(|(place, seen)| place == at && !matches!(seen, EndSeen::NoWay));
    let peer = place(maker_and_peer(link).1);
    let plan = make(link, &ways(link));
    plan.ops
        .into_iter()
        .filter(|op| reachable(&op.place) && (reachable(&peer) || !matches!(op.what, What::AddLink(_))))
        .collect()
}

fn ways(link: &DirectLink) -> Vec<NsRef> {
    link.ends.iter().filter_map(|e| e.place.sandbox()).map(|s| s.reached_by.clone()).collect()
}
