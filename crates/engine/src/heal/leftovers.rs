//! Finishing what killed commands left half done, before a command does its own work.

use crate::error::Error;
use crate::problem::describe;
use crate::report::Act;
use crate::session::Session;
use crate::undo::endpoint::{release_sandbox, remove_endpoint};
use crate::undo::link::{Locks, release_sandboxes, remove_link, try_lock_others};
use zubi_store::HostLock;

/// Finishes, or takes back, what commands that were killed left half done.
pub(crate) fn finish_others(session: &mut Session) -> Result<(), Error> {
    let host = &session.store().lock_host()?;
    recover_first(session, host, Act::Apply)
}

/// What became of what killed processes left.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// What is finished now, in words.
    pub(crate) done: Vec<String>,
    /// Why another is not; it is tried again by the next command.
    pub(crate) failed: Option<Error>,
}

/// Finishes what killed processes left half-way: every record in `pending` whose lock is free is taken away. One that
/// cannot be taken away stays, and does not keep the caller from its own work. The caller holds the host lock.
pub(crate) fn recover(session: &mut Session, host: &HostLock) -> Result<Recovered, Error> {
    let mut recovered = Recovered::default();
    for pending in session.store().pending()? {
        // An unreadable one is reported by `check`; it must not stop everybody else.
        let Ok(pending) = pending else { continue };
        let Some(lock) = session.store().try_lock_sandbox(host, pending.key.cookie)? else { continue };
        let Some(endpoint) = session.store().pending_endpoint(&pending.key)? else {
            release_sandbox(session, lock)?;
            continue;
        };
        let buried = {
            // Nobody is to claim what it named and did not claim while that is taken away.
            let _leases = session.store().lock_leases(host, &pending.key.network)?;
            remove_endpoint(session, host, &endpoint, None)
        };
        release_sandbox(session, lock)?;
        match buried {
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

/// The same before a command's own work, unless that is only to be shown.
pub(crate) fn recover_first(session: &mut Session, host: &HostLock, act: Act) -> Result<(), Error> {
    if act == Act::Apply {
        recover(session, host)?;
    }
    Ok(())
}

/// Takes the links away that were left half-way: those of which nobody holds a sandbox, but the caller.
pub(crate) fn recover_links(session: &mut Session, host: &HostLock, held: &Locks) -> Result<Vec<String>, Error> {
    let mut done = Vec::new();
    // One that cannot be read is reported by `check`; it must not stop everybody else.
    for link in session.store().unfinished_links_lossy().0 {
        let Some(locks) = try_lock_others(session, host, &link, held)? else { continue };
        let Some(link) = session.store().unfinished_link(&link.id)? else { continue };
        remove_link(session, &link)?;
        release_sandboxes(session, locks)?;
        done.push(format!("link {link} (interrupted)"));
    }
    Ok(done)
}
