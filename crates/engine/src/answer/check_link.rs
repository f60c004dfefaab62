//! The problems of a direct link.

use crate::error::Error;
use crate::heal::link::{strange_end, wanted};
use crate::look::compare::differences;
use crate::look::link_ends::{EndSeen, are_gone, link_ends};
use crate::problem::{GC, Problem, ProblemKind, REPAIR, describe_link};
use crate::session::Session;
use zubi_model::{DirectLink, NsRef};
use zubi_snapshot::Snapshot;

pub(crate) fn check_link(session: &mut Session, link: &DirectLink) -> Result<Vec<Problem>, Error> {
    let found = compare_link(session, link)?;
    let ways = link.ends.iter().filter_map(|end| end.place.sandbox()).map(|sandbox| &sandbox.reached_by);
    let ended: Vec<&NsRef> = ways.filter(|way| !found.is_empty() && !session.kernel.still_leads(way)).collect();
    if ended.is_empty() {
        return Ok(found);
    }
    // A sandbox ended while it was compared.
    for way in ended {
        session.kernel.close_sandbox(way);
    }
    compare_link(session, link)
}

fn compare_link(session: &mut Session, link: &DirectLink) -> Result<Vec<Problem>, Error> {
    let object = describe_link(link);
    let ends = link_ends(session, link)?;
    let lost = ends.iter().zip(&link.ends).find(|((_, seen), _)| matches!(seen, EndSeen::NoWay));
    if let Some((_, end)) = lost
        && are_gone(session, &ends)?
    {
        let what = format!("its sandbox {} is gone", end.place.spelled());
        return Ok(vec![Problem::new(ProblemKind::SandboxGone, object, what, GC)]);
    }
    if let Some(what) = strange_end(link, &ends) {
        // All other differences follow from this one.
        return Ok(vec![Problem::new(ProblemKind::Differs, object, what, REPAIR)]);
    }
    if !ends.iter().any(|(_, end)| matches!(end, EndSeen::There(_))) {
        let what = format!("its devices {} and {} are gone", link.ends[0], link.ends[1]);
        return Ok(vec![Problem::new(ProblemKind::Missing, object, what, REPAIR)]);
    }
    let ops = wanted(link, &ends);
    differences(session, &mut Snapshot::new(), &object, &ops)
}
