//! Detach: works from the record alone. The namespace may be gone, and the caller may know no details.

use crate::error::Error;
use crate::heal::leftovers::recover_first;
use crate::look::sandbox::{Resolved, locate_endpoint, of_pid};
use crate::report::{Act, Report};
use crate::session::Session;
use crate::undo::endpoint::{Detached, detach_locked, release_sandbox};
use crate::undo::followed::{unfollow, unreserve};
use zubi_model::{EndpointKey, Followed, NetworkName, NsRef, SandboxRef};
use zubi_plan::Plan;

/// Detaches a sandbox from a network. Succeeds if the sandbox is not attached.
pub(crate) fn disconnect(
    session: &mut Session,
    network: &NetworkName,
    sandbox: &SandboxRef,
    act: Act,
) -> Result<Report<Detached>, Error> {
    let found = locate_endpoint(session, sandbox)?;
    let host = &session.store().lock_host()?;
    recover_first(session, host, act)?;
    let mut followed = None;
    let names = names(sandbox, found.as_ref());
    for name in &names {
        // This comes first: nobody attaches the sandbox again in between.
        followed = followed.or(if act == Act::Apply { unfollow(session, host, network, name)? } else { None });
    }
    let mut report = Report { plan: Plan::new(), value: Detached::WasNotAttached };
    if let Some((key, via)) = find_endpoint(session, network, sandbox, found)? {
        let lock = session.store().lock_sandbox(host, key.cookie)?;
        report = detach_locked(session, host, &key, via.as_ref(), act)?;
        release_sandbox(session, lock)?;
    }
    if act == Act::Apply
        && let Some(network) = session.store().network(network)?
    {
        for name in &names {
            unreserve(session, host, &network.name, &Followed::id(&network.id, name))?;
        }
    }
    if followed.is_some()
        && let Detached::WasNotAttached = report.value
    {
        report.value = Detached::Awaited;
    }
    Ok(report)
}

/// The full names that a sandbox may have in records.
fn names(sandbox: &SandboxRef, found: Option<&Resolved>) -> Vec<String> {
    let mut names = vec![found.map_or_else(|| sandbox.to_string(), |resolved| resolved.spelled.clone())];
    if let SandboxRef::Name(name) = sandbox {
        names.extend(["docker", "podman", "containerd"].map(|runtime| format!("{runtime}:{name}")));
    }
    names
}

/// Finds the endpoint by its namespace if that exists, else by the name or the way by which it was attached.
pub(crate) fn find_endpoint(
    session: &Session,
    network: &NetworkName,
    sandbox: &SandboxRef,
    found: Option<Resolved>,
) -> Result<Option<(EndpointKey, Option<NsRef>)>, Error> {
    let key = |cookie| EndpointKey { cookie, network: network.clone() };
    let names = names(sandbox, found.as_ref());
    if let Some(resolved) = found {
        let key = key(resolved.cookie);
        if session.store().endpoint(&key)?.is_some() || session.store().pending_endpoint(&key)?.is_some() {
            return Ok(Some((key, Some(resolved.reached_by))));
        }
    }
    for name in names {
        if let Some(cookie) = session.store().cookie_of_name(network, &name)? {
            return Ok(Some((key(cookie), None)));
        }
    }
    // The sandbox may have got a name that the caller does not use.
    let way = match sandbox {
        SandboxRef::Pid(pid) => of_pid(*pid).path(),
        SandboxRef::Path(path) => path.clone(),
        _ => return Ok(None),
    };
    let (all, _) = session.store().all_endpoints_lossy();
    let by_way = all.iter().find(|e| e.network == *network && e.sandbox.reached_by.path() == way);
    Ok(by_way.map(|endpoint| (endpoint.key(), None)))
}
