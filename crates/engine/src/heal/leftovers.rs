//! Completes or undoes what killed commands left unfinished, before a command does its own work.

use crate::error::Error;
use crate::problem::describe;
use crate::report::Act;
use crate::session::Session;
use crate::undo::endpoint::{release_sandbox, remove_endpoint};
use crate::undo::link::{Locks, release_sandboxes, remove_link, try_lock_others};
use zubi_store::HostLock;

/// Completes or undoes what killed commands left unfinished.
pub(crate) fn finish_others(session: &mut Session) -> Result<(), Error> {
    let host = &session.store().lock_host()?;
    recover_first(session, host, Act::Apply)
}

/// The outcome of [`recover`].
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// What was completed or undone, in words.
    pub(crate) done: Vec<String>,
    /// The first failure. The next command tries again.
    pub(crate) failed: Option<Error>,
}

/// Undoes interrupted attaches and completes interrupted detaches: removes every endpoint in `pending` whose sandbox
/// lock is free. If a removal fails, the record stays and the caller's own work goes on. The caller holds the host
/// lock.
pub(crate) fn recover(session: &mut Session, host: &HostLock) -> Result<Recovered, Error> {
    let mut recovered = Recovered::default();
    let doing = session.begin();
    let all = session.store().pending()?;
    let number_of_all = all.len();
    for (number, pending) in all.into_iter().enumerate() {
        doing.step(|| format!("undoing what killed commands left, {number} of {number_of_all} endpoints"));
        // `check` reports an unreadable record; the others are still handled.
        let Ok(pending) = pending else { continue };
        let Some(lock) = session.store().try_lock_sandbox(host, pending.key.cookie)? else { continue };
        let Some(endpoint) = session.store().pending_endpoint(&pending.key)? else {
            release_sandbox(session, lock)?;
            continue;
        };
        let removed = {
            // The record may name addresses that were never claimed. Nobody may claim them while the endpoint is
            // removed.
            let _leases = session.store().lock_leases(host, &pending.key.network)?;
            remove_endpoint(session, host, &endpoint, None)
        };
        release_sandbox(session, lock)?;
        match removed {
            Ok(()) => recovered.done.push(format!("{} (interrupted)", describe(&endpoint))),
            Err(e) => recovered.failed = recovered.failed.or(Some(e)),
        }
    }
    match recover_links(session, host, &Locks::new()) {
        Ok(links) => recovered.done.extend(links),
        Err(e) => recovered.failed = recovered.failed.or(Some(e)),
    }
    Ok(recovered)
}

/// Calls [`recover`] before a command's own work, except in a dry run.
pub(crate) fn recover_first(session: &mut Session, host: &HostLock, act: Act) -> Result<(), Error> {
    if act == Act::Apply
        && let Some(e) = recover(session, host)?.failed
    {
        session.note(format!("the work of a killed command cannot be undone yet: {e}; the next command tries again"));
    }
    Ok(())
}

/// Removes links that are only half made, unless another command holds the lock of one of their sandboxes. `held`: the
/// locks that the caller holds.
pub(crate) fn recover_links(session: &mut Session, host: &HostLock, held: &Locks) -> Result<Vec<String>, Error> {
    let mut done = Vec::new();
    // `check` reports a record that cannot be read; the others are still handled.
    for link in session.store().unfinished_links_lossy().0 {
        let Some(locks) = try_lock_others(session, host, &link, held)? else { continue };
        let Some(link) = session.store().unfinished_link(&link.id)? else { continue };
        remove_link(session, &link)?;
        release_sandboxes(session, locks)?;
        done.push(format!("link {link} (interrupted)"));
    }
    Ok(done)
}
