//! The problems of a direct link.

use crate::error::Error;
use crate::heal::link::{strange_end, wanted};
use crate::look::compare::differences;
use crate::look::link_ends::{EndSeen, link_ends};
use crate::problem::{GC, Problem, ProblemKind, REPAIR, describe_link};
use crate::session::Session;
use zubi_model::DirectLink;
use zubi_snapshot::Snapshot;

pub(crate) fn check_link(session: &mut Session, link: &DirectLink) -> Result<Vec<Problem>, Error> {
    let object = describe_link(link);
    let ends = link_ends(session, link)?;
    if let Some(what) = strange_end(link, &ends) {
        // All other differences follow from this one.
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
            differences(session, &mut Snapshot::new(), &object, &ops)
        }
    }
}
