//! Removing a direct link.

use crate::error::Error;
use crate::heal::leftovers::recover_first;
use crate::look::sandbox::{Resolved, locate_endpoint};
use crate::report::{Act, Report};
use crate::session::Session;
use crate::undo::link::{recorded_link, release_sandboxes, unlink_locked};
use zubi_model::{DirectLink, LinkEnd, LinkEndRef, LinkPlaceRef, SandboxRef};
use zubi_plan::Plan;

/// The result of an unlink.
#[derive(Debug, Clone)]
pub enum Unlinked {
    /// This link was removed.
    Gone(Box<DirectLink>),
    /// There was no link.
    WasNotLinked,
}

/// Removes a link by either of its ends. Succeeds if there is none.
pub(crate) fn unlink(session: &mut Session, end: &LinkEndRef, act: Act) -> Result<Report<Unlinked>, Error> {
    let there = match &end.place {
        LinkPlaceRef::Host => None,
        LinkPlaceRef::Sandbox(sandbox) => locate_endpoint(session, sandbox)?,
    };
    let host = &session.store().lock_host()?;
    recover_first(session, host, act)?;
    let none = Report { plan: Plan::new(), value: Unlinked::WasNotLinked };
    let Some(found) = find_link(session, end, there) else { return Ok(none) };
    let locks = session.store().lock_sandboxes(host, found.cookies())?;
    // The link may have been removed while we waited for the locks.
    let Some(link) = recorded_link(session, &found.id)? else { return Ok(none) };
    let plan = unlink_locked(session, &link, act)?;
    release_sandboxes(session, locks)?;
    Ok(Report { plan, value: Unlinked::Gone(Box::new(link)) })
}

/// Finds the link by the namespace of its end if that exists, else by the name with which it was made.
fn find_link(session: &Session, end: &LinkEndRef, there: Option<Resolved>) -> Option<DirectLink> {
    let (mut all, _) = session.store().links_lossy();
    all.extend(session.store().unfinished_links_lossy().0);
    let LinkPlaceRef::Sandbox(sandbox) = &end.place else {
        return all.into_iter().find(|l| l.ends.iter().any(|e| e.is(None, &end.ifname)));
    };
    let mut names = Vec::new();
    match there {
        Some(resolved) => {
            let is = |e: &LinkEnd| e.is(Some(resolved.cookie), &end.ifname);
            if let Some(link) = all.iter().find(|l| l.ends.iter().any(is)) {
                return Some(link.clone());
            }
            names.push(resolved.spelled);
        }
        None => names.push(sandbox.to_string()),
    }
    if let SandboxRef::Name(name) = sandbox {
        names.extend(["docker", "podman", "containerd"].map(|runtime| format!("{runtime}:{name}")));
    }
    let is = |e: &LinkEnd| e.ifname == end.ifname && e.place.sandbox().is_some_and(|s| names.contains(&s.spelled));
    all.into_iter().find(|l| l.ends.iter().any(is))
}
