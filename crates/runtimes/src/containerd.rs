//! containerd's tasks, read from its state folder. The runc shim writes `STATE/NAMESPACE/ID/init.pid` when it creates
//! the task. The file stays until the task is deleted, even after its process has ended.

use crate::fit::Fit;
use crate::monitored::Monitored;
use crate::{Runtime, RuntimeError};
use std::fs;
use std::io;
use std::path::Path;

const RUNTIME: Runtime = Runtime::Containerd;
/// The containerd namespace of Docker's containers.
pub(crate) const DOCKERS_NAMESPACE: &str = "moby";

/// The tasks whose id fits, in all namespaces but the skipped ones.
pub(crate) fn look_up(state: &Path, skipped: &[&str], asked: &str) -> Result<Vec<(Fit, Monitored)>, RuntimeError> {
    let mut fitting = Vec::new();
    let namespaces =
        names_in(state, asked)?.ok_or_else(|| RuntimeError::NotHere { runtime: RUNTIME, looked: state.to_owned() })?;
    for namespace in namespaces {
        if skipped.contains(&namespace.as_str()) {
            continue;
        }
        let tasks = state.join(&namespace);
        // The namespace may vanish while its parent folder is read.
        for id in names_in(&tasks, asked)?.unwrap_or_default() {
            if let Some(fit) = Fit::of(asked, &id, &[]) {
                let label = format!("{namespace}/{id}");
                let pid_file = tasks.join(&id).join("init.pid");
                fitting.push((fit, Monitored { runtime: RUNTIME, name: id.clone(), id, label, pid_file }));
            }
        }
    }
    Ok(fitting)
}

/// The names of a folder's entries; `None` if there is no such folder.
fn names_in(folder: &Path, asked: &str) -> Result<Option<Vec<String>>, RuntimeError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
        Err(e) => return Err(RuntimeError::unreadable(RUNTIME, asked, folder, e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(|e| RuntimeError::unreadable(RUNTIME, asked, folder, e))?.file_name();
        // containerd allows only ASCII letters, digits and `_.-` in ids and namespaces.
        names.extend(name.into_string().ok());
    }
    Ok(Some(names))
}
