//! The attachment of a call: the container's sandbox, its endpoint, and errors about them in CNI's terms.

use std::path::{Path, PathBuf};
use zubi_cni::{CniError, Code, Task};
use zubi_engine::{Class, Error, Session};
use zubi_model::{Endpoint, NetworkName, NetworkSource, SandboxRef};

/// The name of the container's sandbox.
pub(super) fn called(task: &Task) -> String {
    format!("cni:{}", task.container)
}

/// The name on a network that other configurations use too. It contains the configuration's name, so that GC finds the
/// configuration's own endpoints.
pub(super) fn called_on_named(network: &str, container: &str) -> String {
    format!("cni:{network}/{container}")
}

/// The endpoint of an attachment, if zubi made it.
pub(super) fn find(session: &Session, task: &Task) -> Result<Option<Endpoint>, CniError> {
    let described =
        NetworkName::described(NetworkSource::Cni, &task.network).map_err(Error::from).map_err(cni_error)?;
    let mut found = session.endpoint_called(&described, &called(task)).map_err(cni_error)?;
    if found.is_none() {
        let called = called_on_named(&task.network, task.container.as_str());
        found = session.endpoint_called_anywhere(&called).map_err(cni_error)?;
    }
    Ok(found.filter(|endpoint| endpoint.ifname == task.ifname))
}

pub(super) fn netns(task: &Task) -> Result<&Path, CniError> {
    task.netns.as_deref().ok_or_else(|| CniError::new(Code::Environment, "CNI_NETNS is missing"))
}

pub(super) fn sandbox(task: &Task) -> Result<SandboxRef, CniError> {
    Ok(SandboxRef::Path(PathBuf::from(netns(task)?)))
}

/// The engine's error in the protocol's terms. Our exit codes start at 100.
#[allow(clippy::needless_pass_by_value, reason = "it is given to map_err")]
pub(super) fn cni_error(error: Error) -> CniError {
    let code = match error.class() {
        Class::Usage => Code::Config,
        class => Code::Own(class as u8),
    };
    CniError::new(code, error.to_string())
}

/// Like [`cni_error`], for a call that uses the namespace.
pub(super) fn in_namespace(task: &Task, error: Error) -> CniError {
    match &error {
        Error::NotASandbox(_) => {
            let code = if task.netns.as_deref().is_some_and(Path::exists) { Code::Netns } else { Code::Environment };
            CniError::new(code, format!("CNI_NETNS: {error}"))
        }
        _ => cni_error(error),
    }
}

/// The code for a CHECK that found a difference.
pub(super) fn difference_found() -> Code {
    Code::Own(Class::Problems as u8)
}
