//! Finds the namespace of a sandbox.

use crate::error::Error;
use crate::session::Session;
use std::path::{Path, PathBuf};
use zubi_kernel::named;
use zubi_model::{Endpoint, NetnsCookie, NsRef, Pid, SandboxIdentity, SandboxName, SandboxRef};
use zubi_runtimes::{Container, Runtime};

pub(crate) fn still_there(session: &mut Session, sandbox: &Resolved) -> Result<(), Error> {
    if session.kernel.still_leads(&sandbox.reached_by) {
        return Ok(());
    }
    let hint = Some("it was removed just now".into());
    Err(Error::NoSandbox { name: sandbox.spelled.clone(), hint })
}

/// Resolves a sandbox; `None` if it is gone. Call this before taking a lock: a runtime may take seconds to answer.
pub(crate) fn locate_endpoint(session: &mut Session, sandbox: &SandboxRef) -> Result<Option<Resolved>, Error> {
    match resolve(session, sandbox) {
        Ok(resolved) => Ok(Some(resolved)),
        Err(e) if matches!(e.class(), crate::Class::NotFound) => Ok(None),
        Err(e) => Err(e),
    }
}

/// A path into the endpoint's namespace, if that still exists and is the same one. An error means: unknown.
pub(crate) fn way_in(session: &mut Session, endpoint: &Endpoint, via: Option<&NsRef>) -> Result<Option<NsRef>, Error> {
    if endpoint.handed_over.is_some() {
        return way_of_handed_over(session, endpoint);
    }
    way_to(session, &endpoint.sandbox, via)
}

/// The way that the program which runs the sandbox told before there was a namespace.
fn way_of_handed_over(session: &mut Session, endpoint: &Endpoint) -> Result<Option<NsRef>, Error> {
    let way = endpoint.sandbox.reached_by.clone();
    match session.kernel.open_sandbox(&way) {
        Ok(_) => Ok(Some(way)),
        Err(zubi_kernel::Error::NotASandbox { .. }) => Ok(None),
        Err(source) => Err(Error::Kernel { object: format!("sandbox {}", endpoint.sandbox.spelled), source }),
    }
}

pub(crate) fn way_to(
    session: &mut Session,
    sandbox: &SandboxIdentity,
    via: Option<&NsRef>,
) -> Result<Option<NsRef>, Error> {
    let recorded = sandbox.reached_by.clone();
    let mut unknown = None;
    for way in via.cloned().into_iter().chain([recorded]) {
        match session.kernel.open_sandbox(&way) {
            Ok(cookie) if cookie == sandbox.cookie => return Ok(Some(way)),
            Ok(_) | Err(zubi_kernel::Error::NotASandbox { .. }) => session.kernel.close_sandbox(&way),
            Err(e) => unknown = Some(e),
        }
    }
    match unknown {
        Some(source) => Err(Error::Kernel { object: format!("sandbox {}", sandbox.spelled), source }),
        None => Ok(None),
    }
}

/// A sandbox that was found and opened.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    /// How printed commands reach it.
    pub(crate) reached_by: NsRef,
    /// Its full name: `docker:web` when `web` was found there.
    pub(crate) spelled: String,
    /// The cookie of its namespace.
    pub(crate) cookie: NetnsCookie,
}

impl Resolved {
    /// The identity as records have it.
    pub(crate) fn identity(&self) -> SandboxIdentity {
        let Resolved { cookie, spelled, reached_by } = self.clone();
        SandboxIdentity { cookie, spelled, reached_by }
    }
}

pub(crate) fn of_pid(pid: Pid) -> NsRef {
    NsRef::Path(PathBuf::from(format!("/proc/{pid}/ns/net")))
}

/// Finds and opens a sandbox.
pub(crate) fn resolve(session: &mut Session, sandbox: &SandboxRef) -> Result<Resolved, Error> {
    let (reached_by, spelled, container) = locate_sandbox(session, sandbox)?;
    let opened = session.kernel.open_sandbox(&reached_by);
    let cookie = opened.map_err(|source| match (&source, sandbox) {
        (zubi_kernel::Error::NotASandbox { .. }, SandboxRef::Pid(pid)) if !reached_by.path().exists() => {
            Error::NoProcess { pid: pid.0 }
        }
        (zubi_kernel::Error::NotASandbox { .. }, _)
            if let Some(container) = &container
                && leads_home(session, &reached_by) =>
        {
            let advice = with_own_network(&spelled, container.runtime);
            Error::Advised { cause: Box::new(Error::NotASandbox(source)), advice }
        }
        (zubi_kernel::Error::NotASandbox { .. }, _) => Error::NotASandbox(source),
        _ => Error::Kernel { object: format!("sandbox {sandbox}"), source },
    })?;
    // The pid may have been reused between the answer and the opening.
    if let Some(container) = container
        && !session.runtimes().still_runs(&container)?
    {
        return Err(Error::NoSandbox { name: spelled, hint: Some("it ended just now".into()) });
    }
    Ok(Resolved { reached_by, spelled, cookie })
}

/// What to do about a container that has the host's network.
fn with_own_network(spelled: &str, runtime: Runtime) -> String {
    let how = match runtime {
        Runtime::Docker | Runtime::Podman | Runtime::Containerd => {
            return format!("{spelled} runs with --network host; start it with --network none, then connect it");
        }
        Runtime::Lxc => "lxc.net.0.type = empty in its config",
        Runtime::Machine => "--private-network",
    };
    format!("{spelled} has the network of the host; start it with {how}, then connect it")
}

/// Whether a path leads to the host's own namespace.
fn leads_home(session: &Session, way: &NsRef) -> bool {
    session.kernel.cookie_behind(way).is_ok_and(|cookie| cookie == Some(session.kernel.machine().host_cookie()))
}

fn locate_sandbox(session: &mut Session, sandbox: &SandboxRef) -> Result<(NsRef, String, Option<Container>), Error> {
    let runtimes = &session.runtimes();
    let absent = || Error::NoSandbox { name: sandbox.to_string(), hint: None };
    let container = match sandbox {
        SandboxRef::Name(name) => {
            if Path::new(named::FOLDER).join(name.as_str()).exists() {
                return Ok((NsRef::Named(name.clone()), name.to_string(), None));
            }
            let mut found = runtimes.find(name.as_str())?;
            match (found.pop(), found.is_empty()) {
                (Some(only), true) => only,
                (Some(last), false) => {
                    found.push(last);
                    let candidates = found.iter().map(spelling).collect();
                    return Err(Error::Ambiguous { name: name.to_string(), candidates });
                }
                (None, _) => {
                    let hint = Some(match name.as_str() {
                        "host" => "host is this machine itself: zubi link host:DEVICE SANDBOX:DEVICE wires it".into(),
                        "none" => "none means no network: leave the connect out".into(),
                        _ => format!("zubi sandbox add {name} makes one"),
                    });
                    return Err(Error::NoSandbox { name: name.to_string(), hint });
                }
            }
        }
        SandboxRef::Pid(pid) => return Ok((of_pid(*pid), sandbox.to_string(), None)),
        SandboxRef::Path(path) => {
            // A path into the folder of named namespaces stands for the name.
            let named = ["/run/netns", "/var/run/netns"].iter().find_map(|folder| {
                let name = path.strip_prefix(folder).ok()?.to_str()?;
                name.parse().ok()
            });
            return Ok(match named {
                Some(name) => (NsRef::Named(name), path.display().to_string(), None),
                None => (NsRef::Path(path.clone()), path.display().to_string(), None),
            });
        }
        SandboxRef::Docker(name) => runtimes.docker(name)?.ok_or_else(absent)?,
        SandboxRef::Podman(name) => runtimes.podman(name)?.ok_or_else(absent)?,
        SandboxRef::Lxc(name) => runtimes.lxc(name)?.ok_or_else(absent)?,
        SandboxRef::Machine(name) => runtimes.machine(name)?.ok_or_else(absent)?,
        SandboxRef::Called(_) => return Err(absent()),
        SandboxRef::Containerd(id) => runtimes.containerd(id)?.ok_or_else(absent)?,
    };
    Ok((of_pid(container.pid), spelling(&container), Some(container)))
}

/// The full name of a container.
fn spelling(container: &Container) -> String {
    format!("{}:{}", container.runtime.scheme(), container.name)
}

/// The namespace that a name leads to now.
pub(crate) fn named_cookie(session: &mut Session, name: &SandboxName) -> Result<Option<NetnsCookie>, Error> {
    session.kernel.cookie_behind(&NsRef::Named(name.clone())).map_err(Error::kernel(format!("sandbox {name}")))
}

/// Opens a name if it leads to this namespace. The namespace that was opened under this name before may be another one.
pub(crate) fn open_named(session: &mut Session, name: &SandboxName, cookie: NetnsCookie) -> bool {
    let reached_by = NsRef::Named(name.clone());
    if session.kernel.open_sandbox(&reached_by).is_ok_and(|there| there == cookie) {
        return true;
    }
    session.kernel.close_sandbox(&reached_by);
    false
}
