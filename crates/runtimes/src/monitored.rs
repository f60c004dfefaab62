//! Containers known by the pid file that their monitor (conmon, a containerd shim) wrote.

use crate::fit::{self, Fit};
use crate::process::{Process, read_pid_file};
use crate::{Container, Runtime, RuntimeError};
use std::path::{Path, PathBuf};

/// A container in a runtime's files, running or not.
pub(crate) struct Monitored {
    pub(crate) runtime: Runtime,
    pub(crate) id: String,
    pub(crate) name: String,
    /// Distinguishes it from others with the same name.
    pub(crate) label: String,
    pub(crate) pid_file: PathBuf,
}

impl Monitored {
    /// The container that fits best; an error if several do.
    pub(crate) fn best(
        runtime: Runtime,
        asked: &str,
        fitting: Vec<(Fit, Monitored)>,
    ) -> Result<Option<Monitored>, RuntimeError> {
        let mut best = fit::best(fitting);
        if best.len() > 1 {
            let mut candidates: Vec<_> = best.into_iter().map(|one| one.label).collect();
            candidates.sort();
            return Err(RuntimeError::Ambiguous { runtime, name: asked.to_owned(), candidates });
        }
        Ok(best.pop())
    }

    /// The container, if the process in the pid file runs and belongs to it.
    pub(crate) fn running(self, proc: &Path) -> Result<Container, RuntimeError> {
        let Monitored { runtime, id, name, pid_file, .. } = self;
        let pid = read_pid_file(&pid_file).map_err(|e| RuntimeError::unreadable(runtime, &name, &pid_file, e))?;
        let Some(pid) = pid else {
            let status = "not started, or in a virtual machine".to_owned();
            return Err(RuntimeError::NotRunning { runtime, name, status });
        };
        match Process::read(proc, pid) {
            Ok(Some(process)) if process.belongs_to(proc, &id, &pid_file) => {
                Ok(Container { runtime, id, name, pid, started: process.started })
            }
            Ok(_) => Err(RuntimeError::NotRunning { runtime, name, status: "exited".to_owned() }),
            Err(e) => Err(RuntimeError::unreadable(runtime, &name, &proc.join(pid.to_string()), e)),
        }
    }
}
