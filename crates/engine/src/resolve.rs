//! From what a user calls a sandbox to its namespace.

use crate::engine::Engine;
use crate::error::Error;
use std::path::{Path, PathBuf};
use zubi_kernel::named;
use zubi_model::{NetnsCookie, NsRef, Pid, SandboxRef};
use zubi_runtimes::Container;

/// A sandbox that was found and opened.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    /// How printed commands reach it.
    pub(crate) reached_by: NsRef,
    /// As it is called from now on: `docker:web` when `web` was found there.
    pub(crate) spelled: String,
    /// Its identity.
    pub(crate) cookie: NetnsCookie,
}

fn of_pid(pid: Pid) -> NsRef {
    NsRef::Path(PathBuf::from(format!("/proc/{pid}/ns/net")))
}

impl Engine {
    /// Finds and opens a sandbox.
    pub(crate) fn resolve(&mut self, sandbox: &SandboxRef) -> Result<Resolved, Error> {
        let (reached_by, spelled, container) = self.locate(sandbox)?;
        let cookie = self.kernel.open_sandbox(&reached_by).map_err(|source| match (&source, sandbox) {
            (zubi_kernel::Error::NotASandbox { .. }, SandboxRef::Pid(pid)) if !reached_by.path().exists() => {
                Error::NoProcess { pid: pid.0 }
            }
            (zubi_kernel::Error::NotASandbox { .. }, _) => Error::NotASandbox(source),
            _ => Error::Kernel { object: format!("sandbox {sandbox}"), source },
        })?;
        // The pid may have been reused between the answer and the opening.
        if let Some(container) = container
            && !self.runtimes.still_runs(&container)?
        {
            return Err(Error::NoSandbox { name: spelled, hint: Some("it ended just now".into()) });
        }
        Ok(Resolved { reached_by, spelled, cookie })
    }

    fn locate(&mut self, sandbox: &SandboxRef) -> Result<(NsRef, String, Option<Container>), Error> {
        let runtimes = &self.runtimes;
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
                        let hint = Some(format!("zubi sandbox add {name} makes one"));
                        return Err(Error::NoSandbox { name: name.to_string(), hint });
                    }
                }
            }
            SandboxRef::Pid(pid) => return Ok((of_pid(*pid), sandbox.to_string(), None)),
            SandboxRef::Path(path) => {
                // A path into the folder of named namespaces is one of those.
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
            SandboxRef::Called(_) => return Err(absent()),
            SandboxRef::Containerd(id) => runtimes.containerd(id)?.ok_or_else(absent)?,
        };
        Ok((of_pid(container.pid), spelling(&container), Some(container)))
    }
}

/// The full name of a container.
fn spelling(container: &Container) -> String {
    format!("{}:{}", container.runtime.scheme(), container.name)
}
