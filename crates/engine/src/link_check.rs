//! What is not as recorded about a link, and what puts it right.

use crate::engine::Engine;
use crate::error::Error;
use crate::link::{EndSeen, EndsSeen};
use crate::problem::{Problem, ProblemKind, describe_link};
use zubi_kernel::Survey;
use zubi_model::{DirectLink, NsRef};
use zubi_plan::link::{make, maker_and_peer, place, unmake};
use zubi_plan::{Op, Place, What};
use zubi_wire::route::LinkMark;

const REPAIR: &str = "zubi repair";
const GC: &str = "zubi gc";

impl Engine {
    pub(crate) fn check_link(&mut self, link: &DirectLink) -> Result<Vec<Problem>, Error> {
        let object = describe_link(link);
        let ends = self.link_ends(link)?;
        if let Some(what) = strange_end(link, &ends) {
            // Whatever else is missing follows from it.
            return Ok(vec![Problem::new(ProblemKind::Differs, object, what, REPAIR)]);
        }
        let there = ends.iter().any(|(_, end)| matches!(end, EndSeen::There(_)));
        match (there, ends.iter().zip(&link.ends).find(|((_, seen), _)| matches!(seen, EndSeen::NoWay))) {
            (false, Some((_, end))) => {
                let what = format!("its sandbox {} is gone", end.place.spelled());
                Ok(vec![Problem::new(ProblemKind::SandboxGone, object, what, GC)])
            }
            (false, None) => {
                let what = format!("its devices {} and {} are gone", link.ends[0], link.ends[1]);
                Ok(vec![Problem::new(ProblemKind::Missing, object, what, REPAIR)])
            }
            (true, _) => {
                let ops = wanted(link, &ends);
                self.differences(&mut Survey::narrow(), &object, &ops)
            }
        }
    }

    /// What puts a link right; nothing, when somebody is at work on one of its sandboxes.
    pub(crate) fn lacking_of_link(&mut self, link: &DirectLink) -> Result<Vec<Op>, Error> {
        let ends = self.link_ends(link)?;
        let everywhere = !ends.iter().any(|(_, end)| matches!(end, EndSeen::NoWay));
        let there = ends.iter().any(|(_, end)| matches!(end, EndSeen::There(_)));
        if strange_end(link, &ends).is_some() || !there {
            // Made again, when there is a way to both ends.
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
        let mut lacking = self.lacking(&mut Survey::narrow(), &describe_link(link), &ops)?;
        if !lacking.is_empty() {
            lacking.extend(announcements);
        }
        Ok(lacking)
    }
}

/// An end that is not where the other one says that it must be.
fn strange_end(link: &DirectLink, ends: &EndsSeen) -> Option<String> {
    let there = ends.iter().any(|(_, end)| matches!(end, EndSeen::There(_) | EndSeen::Renamed(_)));
    ends.iter().zip(&link.ends).find_map(|((_, seen), end)| match seen {
        EndSeen::Renamed(name) => Some(format!("its end {end} is called {name} now")),
        EndSeen::Absent if there => Some(format!("its end {end} has another MAC, or is in another namespace")),
        _ => None,
    })
}

/// The operations a link stands for, where there is a way.
fn wanted(link: &DirectLink, ends: &EndsSeen) -> Vec<Op> {
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
