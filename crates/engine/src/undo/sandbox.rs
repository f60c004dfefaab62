//! Removes a named sandbox: its processes, its endpoints and links, its name.

use crate::error::Error;
use crate::look::sandbox::{named_cookie, open_named};
use crate::report::Act;
use crate::session::Session;
use crate::steps::apply::take_down;
use crate::undo::endpoint::detach_locked;
use crate::undo::followed::{release, unfollow};
use crate::undo::link::{links_of, lock_with_linked, release_sandboxes, unlink_locked};
use zubi_kernel::{Deletions, inside};
use zubi_model::{NetnsCookie, NsRef, SandboxName};
use zubi_plan::{Place, Plan, sandbox};
use zubi_store::{HostLock, Maker, SandboxLock};

pub(crate) fn clean_run_locked(session: &mut Session, host: &HostLock, name: &SandboxName) -> Result<(), Error> {
    let Some(record) = session.store().sandbox(name)?.filter(|r| r.maker == Maker::Run) else { return Ok(()) };
    let left = || format!("sandbox {name}: the name leads to another network namespace now and stays");
    let mut alone = None;
    if let Some(cookie) = record.cookie {
        end_processes(session, name, cookie)?;
        alone = disconnect_all(session, host, name, cookie, Act::Apply)?.1;
        match named_cookie(session, name)? {
            Some(there) if there != cookie => session.note(left()),
            _ => {
                let removal = zubi_plan::sandbox::remove(name, Some(cookie));
                take_down(session, &format!("sandbox {name}"), &removal, Deletions::Now)?;
            }
        }
    } else if remove_unfinished(session, name)? == Unfinished::InUse {
        session.note(left());
    }
    session.store().remove_sandbox(name)?;
    if let Some(lock) = alone {
        session.store().remove_sandbox_lock(lock)?;
    }
    Ok(())
}

/// Removes the name of a sandbox whose maker was killed before it recorded the cookie. Nobody can have used that
/// sandbox: if the namespace has processes or devices, another program has taken the name since. The caller holds the
/// name's lock.
pub(crate) fn remove_unfinished(session: &mut Session, name: &SandboxName) -> Result<Unfinished, Error> {
    let object = format!("sandbox {name}");
    let cookie = named_cookie(session, name)?;
    if let Some(cookie) = cookie
        && open_named(session, name, cookie)
    {
        let reached_by = NsRef::Named(name.clone());
        let netns = session.kernel.sandbox(&reached_by);
        let processes = netns.map(inside::processes).transpose().map_err(Error::kernel(&object))?;
        let links = session.kernel.links(&Place::Sandbox(reached_by), None).map_err(Error::kernel(&object))?;
        if processes.is_some_and(|all| !all.is_empty()) || links.len() > 1 {
            return Ok(Unfinished::InUse);
        }
    }
    take_down(session, &object, &sandbox::remove(name, cookie), Deletions::Now)?;
    Ok(Unfinished::Removed)
}

/// Removes all endpoints and links of a sandbox, whether or not its name still leads to it. Returns the sandbox's lock
/// as well: nobody can connect the sandbox while it is held.
pub(crate) fn disconnect_all(
    session: &mut Session,
    host: &HostLock,
    name: &SandboxName,
    cookie: NetnsCookie,
    act: Act,
) -> Result<(Plan, Option<SandboxLock>), Error> {
    let reached_by = NsRef::Named(name.clone());
    let via = open_named(session, name, cookie).then_some(&reached_by);
    let mut plan = Plan::new();
    let mut locks = lock_with_linked(session, host, cookie)?;
    for endpoint in session.store().endpoints_of(cookie)? {
        let mut followed = None;
        if act == Act::Apply {
            followed = unfollow(session, host, &endpoint.network, &endpoint.sandbox.spelled)?;
        }
        plan.append(detach_locked(session, host, &endpoint.key(), via, act)?.plan);
        if let Some(followed) = followed {
            release(session, host, &followed)?;
        }
    }
    for link in links_of(session, cookie) {
        plan.append(unlink_locked(session, &link, act)?);
    }
    let lock = locks.remove(&cookie);
    release_sandboxes(session, locks)?;
    Ok((plan, lock))
}

/// Ends every process in a sandbox, including those that start meanwhile. If the name leads to another namespace, no
/// process is ended.
pub(crate) fn end_processes(session: &mut Session, name: &SandboxName, cookie: NetnsCookie) -> Result<(), Error> {
    const ROUNDS: u32 = 200;
    let reached_by = NsRef::Named(name.clone());
    if !open_named(session, name, cookie) {
        return Ok(());
    }
    let me = std::process::id();
    for _ in 0..ROUNDS {
        let Some(netns) = session.kernel.sandbox(&reached_by) else { return Ok(()) };
        let mut all = inside::processes(netns).map_err(Error::kernel(format!("sandbox {name}")))?;
        all.retain(|pid| *pid != me && !is_zombie(*pid));
        if all.is_empty() {
            return Ok(());
        }
        for pid in all {
            inside::end_process(netns, pid).map_err(Error::kernel(format!("sandbox {name}")))?;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    Err(Error::Busy { object: format!("sandbox {name} (its processes do not end)") })
}

/// What happened to the name of an unfinished sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfinished {
    /// The name was removed.
    Removed,
    /// Another program uses the namespace.
    InUse,
}

/// Whether a process has ended and only waits for its parent to collect it.
fn is_zombie(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z') || rest.starts_with('X'))
}
