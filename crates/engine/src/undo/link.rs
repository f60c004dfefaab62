//! Removes a direct link, whatever state it is in.

use crate::error::Error;
use crate::fault::Fault;
use crate::look::link_ends::{EndSeen, link_ends};
use crate::report::Act;
use crate::session::Session;
use crate::steps::apply::take_down;
use crate::undo::endpoint::release_sandbox;
use std::collections::BTreeMap;
use zubi_kernel::Deletions;
use zubi_model::{DirectLink, LinkId, NetnsCookie};
use zubi_plan::Plan;
use zubi_plan::link::unmake;
use zubi_store::{HostLock, SandboxLock};
use zubi_wire::route::LinkMark;

/// Locks of sandboxes, taken in the order of their cookies.
pub(crate) type Locks = BTreeMap<NetnsCookie, SandboxLock>;

/// Removes a link. The caller holds the locks of its sandboxes.
pub(crate) fn unlink_locked(session: &mut Session, link: &DirectLink, act: Act) -> Result<Plan, Error> {
    let plan = plan_unlink(session, link)?;
    if act == Act::Apply {
        apply_unlink(session, link, &plan)?;
    }
    Ok(plan)
}

pub(crate) fn recorded_link(session: &Session, id: &LinkId) -> Result<Option<DirectLink>, Error> {
    match session.store().link(id)? {
        Some(link) => Ok(Some(link)),
        None => Ok(session.store().unfinished_link(id)?),
    }
}

pub(crate) fn links_of(session: &Session, cookie: NetnsCookie) -> Vec<DirectLink> {
    let mut all = session.store().links_lossy().0;
    all.extend(session.store().unfinished_links_lossy().0);
    all.retain(|l| l.cookies().contains(&cookie));
    all
}

pub(crate) fn plan_unlink(session: &mut Session, link: &DirectLink) -> Result<Plan, Error> {
    let ends = link_ends(session, link)?;
    Ok(ends
        .into_iter()
        .zip(&link.ends)
        .find_map(|((place, seen), end)| match seen {
            EndSeen::There(_) => Some(unmake(place, LinkMark::new(end.ifname.clone(), end.mac))),
            EndSeen::Renamed(name) => Some(unmake(place, LinkMark::new(name, end.mac))),
            EndSeen::Absent | EndSeen::NoWay => None,
        })
        .unwrap_or_default())
}

/// Marks the record, deletes the pair, then deletes the record. The mark stays if this fails, and gc tries again.
fn apply_unlink(session: &mut Session, link: &DirectLink, plan: &Plan) -> Result<(), Error> {
    if session.store().link(&link.id)?.is_some() {
        session.store().begin_unlink(&link.id)?;
    }
    take_down(session, &format!("link {link}"), plan, Deletions::Now)?;
    Ok(session.store().finish_unlink(&link.id)?)
}

/// Removes a link, whatever state it is in. The caller holds the locks of its sandboxes.
pub(crate) fn remove_link(session: &mut Session, link: &DirectLink) -> Result<(), Error> {
    Fault::muted(|| unlink_locked(session, link, Act::Apply).map(drop))
}

/// Takes the locks of a sandbox and of all sandboxes that it is linked to.
pub(crate) fn lock_with_linked(session: &Session, host: &HostLock, cookie: NetnsCookie) -> Result<Locks, Error> {
    loop {
        let mut wanted: Vec<NetnsCookie> = links_of(session, cookie).iter().flat_map(DirectLink::cookies).collect();
        wanted.push(cookie);
        let locks = session.store().lock_sandboxes(host, wanted)?;
        // Another link may have been made while we waited. With the sandbox's lock held no more can be added.
        if links_of(session, cookie).iter().flat_map(DirectLink::cookies).all(|c| locks.contains_key(&c)) {
            return Ok(locks);
        }
    }
}

/// Takes the locks of a link's sandboxes that are not held yet; `None` when another command has one of them.
pub(crate) fn try_lock_others(
    session: &Session,
    host: &HostLock,
    link: &DirectLink,
    held: &Locks,
) -> Result<Option<Locks>, Error> {
    let mut locks = Locks::new();
    for cookie in link.cookies().into_iter().filter(|c| !held.contains_key(c)) {
        let Some(lock) = session.store().try_lock_sandbox(host, cookie)? else { return Ok(None) };
        locks.insert(cookie, lock);
    }
    Ok(Some(locks))
}

pub(crate) fn release_sandboxes(session: &Session, locks: Locks) -> Result<(), Error> {
    locks.into_values().try_for_each(|lock| release_sandbox(session, lock))
}
