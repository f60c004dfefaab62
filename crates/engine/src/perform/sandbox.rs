//! Named sandboxes, compatible with `ip netns`.

use crate::error::Error;
use crate::fault::Fault;
use crate::heal::leftovers::recover_first;
use crate::look::sandbox::{named_cookie, resolve};
use crate::perform::become_command::{Program, become_command};
use crate::report::{Act, Force, Report};
use crate::session::Session;
use crate::steps::apply::{apply, take_down};
use crate::undo::sandbox::{Unfinished, disconnect_all, end_processes, remove_unfinished};
use std::path::Path;
use zubi_kernel::{Deletions, inside, named};
use zubi_model::{NetnsCookie, NsRef, SandboxName, SandboxRef};
use zubi_plan::{Plan, sandbox};
use zubi_store::{HostLock, Maker, RunLock, SandboxRecord};

fn exists(name: &SandboxName) -> bool {
    Path::new(named::FOLDER).join(name.as_str()).exists()
}

/// Makes a named sandbox, or names an existing namespace.
pub(crate) fn add_sandbox(
    session: &mut Session,
    name: &SandboxName,
    from: Option<&SandboxRef>,
    act: Act,
) -> Result<Report<()>, Error> {
    let from = from.map(|from| resolve(session, from)).transpose()?;
    let host = &session.store().lock_host()?;
    recover_first(session, host, act)?;
    // A `zubi run` may hold this lock for days.
    let Some(_name) = session.store().try_lock_run(name)? else {
        return Err(if exists(name) {
            Error::SandboxExists { name: name.clone() }
        } else {
            Error::Busy { object: format!("sandbox {name}") }
        });
    };
    let (plan, known) = match &from {
        None => (sandbox::add(name), None),
        Some(from) => (sandbox::attach(name, from.reached_by.path()), Some(from.cookie)),
    };
    let maker = if from.is_some() { Maker::Attach } else { Maker::Add };
    make_sandbox(session, SandboxRecord { name: name.clone(), cookie: known, maker }, &plan, act)?;
    Ok(Report { plan, value: () })
}

/// Makes a named sandbox. The record has a cookie if the namespace exists before its name. The caller holds the host
/// lock and the name's lock.
pub(crate) fn make_sandbox(
    session: &mut Session,
    record: SandboxRecord,
    plan: &Plan,
    act: Act,
) -> Result<Option<NetnsCookie>, Error> {
    let name = &record.name.clone();
    if exists(name) {
        let unfinished = session.store().sandbox(name)?.is_some_and(|r| r.cookie.is_none());
        // We hold the name's lock, so the command that began to make this sandbox was killed.
        if !unfinished || act == Act::Show || remove_unfinished(session, name)? == Unfinished::InUse {
            return Err(Error::SandboxExists { name: name.clone() });
        }
    }
    if act == Act::Show {
        return Ok(None);
    }
    let object = format!("sandbox {name}");
    // [`apply`] undoes the plan when it fails. `undo` is filled only after that: before, the name may belong to another
    // program.
    let mut undo = Plan::new();
    let made = (|| {
        session.store().write_sandbox(&record)?;
        apply(session, &object, plan)?;
        let cookie = session.kernel.open_sandbox(&NsRef::Named(name.clone())).map_err(Error::kernel(&object))?;
        undo = sandbox::remove(name, Some(cookie));
        if record.cookie.is_some_and(|known| known != cookie) {
            // The path led to another namespace when the name was made: the process ended, and its pid was reused.
            return Err(Error::NoSandbox { name: name.to_string(), hint: Some("it ended just now".into()) });
        }
        session.store().write_sandbox(&SandboxRecord { cookie: Some(cookie), ..record })?;
        Ok(cookie)
    })();
    made.map(Some).map_err(|e: Error| {
        e.after_undo(Fault::muted(|| {
            take_down(session, &object, &undo, Deletions::Now)?;
            Ok(session.store().remove_sandbox(name)?)
        }))
    })
}

/// Disconnects a named sandbox from everything and removes its name. `force` also ends the processes in it.
pub(crate) fn remove_sandbox(
    session: &mut Session,
    name: &SandboxName,
    force: Force,
    act: Act,
) -> Result<Report<()>, Error> {
    let host = &session.store().lock_host()?;
    recover_first(session, host, act)?;
    if !exists(name) {
        session.store().remove_sandbox(name)?;
        let hint = Some("zubi sandbox ls lists them".into());
        return Err(Error::NoSandbox { name: name.to_string(), hint });
    }
    let record = session.store().sandbox(name)?;
    let Some(lock) = session.store().try_lock_run(name)? else {
        return end_run(session, name, record, force, act);
    };
    // Open the namespace once and change only that one: the name may be moved meanwhile.
    let there = named_cookie(session, name)?;
    let recorded = record.as_ref().and_then(|r| r.cookie);
    if let (Some(recorded), Some(there)) = (recorded, there)
        && recorded != there
    {
        return forget_moved(session, host, name, recorded, lock, act);
    }
    let (mut plan, mut alone) = (Plan::new(), None);
    if let Some(cookie) = there
        && record.is_none_or(|r| r.maker != Maker::Attach)
    {
        (plan, alone) = disconnect_all(session, host, name, cookie, act)?;
    }
    let removal = sandbox::remove(name, there);
    if act == Act::Apply {
        if let Some(cookie) = there
            && force == Force::Yes
        {
            end_processes(session, name, cookie)?;
        }
        take_down(session, &format!("sandbox {name}"), &removal, Deletions::Now)?;
        session.store().remove_sandbox(name)?;
        if let Some(lock) = alone {
            session.store().remove_sandbox_lock(lock)?;
        }
        session.store().remove_run_lock(lock)?;
    }
    plan.append(removal);
    Ok(Report { plan, value: () })
}

/// Removes the records of a sandbox whose name leads to another namespace now. The name itself stays.
fn forget_moved(
    session: &mut Session,
    host: &HostLock,
    name: &SandboxName,
    recorded: NetnsCookie,
    lock: RunLock,
    act: Act,
) -> Result<Report<()>, Error> {
    let next = "zubi sandbox rm, once more, removes the name all the same";
    if act == Act::Apply {
        let (_, alone) = disconnect_all(session, host, name, recorded, act)?;
        session.store().remove_sandbox(name)?;
        if let Some(lock) = alone {
            session.store().remove_sandbox_lock(lock)?;
        }
        session.store().remove_run_lock(lock)?;
    }
    Err(Error::NameMoved { name: name.clone(), next })
}

/// A sandbox of a running `zubi run`: with `force`, ends its processes. The supervisor removes the rest.
fn end_run(
    session: &mut Session,
    name: &SandboxName,
    record: Option<SandboxRecord>,
    force: Force,
    act: Act,
) -> Result<Report<()>, Error> {
    let Some(record) = record.filter(|r| r.maker == Maker::Run) else {
        return Err(Error::Busy { object: format!("sandbox {name}") });
    };
    if force == Force::No {
        return Err(Error::SandboxInUse {
            name: name.clone(),
            by: "belongs to a running zubi run".into(),
            next: "end its command, or use --force".into(),
        });
    }
    let plan = sandbox::remove(name, record.cookie);
    if act == Act::Apply {
        let there = named_cookie(session, name)?;
        match record.cookie {
            Some(cookie) if there == Some(cookie) => end_processes(session, name, cookie)?,
            Some(_) if there.is_some() => {
                let next = "end the command of its zubi run by itself";
                return Err(Error::NameMoved { name: name.clone(), next });
            }
            // The supervisor is still making it.
            _ => return Err(Error::Busy { object: format!("sandbox {name}") }),
        }
    }
    Ok(Report { plan, value: () })
}

/// Becomes a command inside a sandbox. Returns only on failure.
pub(crate) fn exec(
    session: &mut Session,
    sandbox: &SandboxRef,
    command: &Program,
) -> Result<std::convert::Infallible, Error> {
    let resolved = resolve(session, sandbox)?;
    let name = match &resolved.reached_by {
        NsRef::Named(name) => Some(name.as_str()),
        NsRef::Path(_) => None,
    };
    let object = || Error::kernel(format!("sandbox {}", resolved.spelled));
    if let Some(netns) = session.kernel.sandbox(&resolved.reached_by) {
        inside::move_in(netns, name).map_err(object())?;
    }
    Err(become_command(command))
}
