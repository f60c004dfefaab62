//! Errors of the search for a container.

use crate::Runtime;
use std::io;
use std::path::{Path, PathBuf};
use zubi_model::{Invalid, Pid};

/// Why a container's process could not be found.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The name is invalid.
    #[error(transparent)]
    Name(#[from] Invalid),
    /// The container exists and does not run.
    #[error("{runtime} container `{name}` is not running ({status}); start it first")]
    NotRunning {
        /// The runtime that knows it.
        runtime: Runtime,
        /// Its name.
        name: String,
        /// The runtime's word, if it has one: created, exited, restarting.
        status: String,
    },
    /// The runtime does not run, or keeps its state elsewhere.
    #[error("{runtime}: not found at {}; start {runtime}, or {}", looked.display(), elsewhere(*.runtime))]
    NotHere {
        /// The missing runtime.
        runtime: Runtime,
        /// The path that does not exist.
        looked: PathBuf,
    },
    /// Several containers match the name.
    #[error("{runtime} container `{name}`: could be {}; give the whole id, or pid:N of the one meant", candidates.join(", "))]
    Ambiguous {
        /// The runtime that knows them.
        runtime: Runtime,
        /// The name.
        name: String,
        /// `namespace/ID` for containerd, `name (ID)` for Podman.
        candidates: Vec<String>,
    },
    /// /proc does not show the process that the runtime reports.
    #[error(
        "{runtime} container `{name}`: its process {pid} is not visible here; it has just ended, or {runtime} runs \
         in another pid namespace: run zubi there"
    )]
    Gone {
        /// The runtime that reports it.
        runtime: Runtime,
        /// The container.
        name: String,
        /// The process.
        pid: Pid,
    },
    /// A file or socket could not be used.
    #[error("{runtime} container `{name}`: {op} {}: {source}{}", path.display(), hint(source))]
    Io {
        /// The runtime.
        runtime: Runtime,
        /// The container.
        name: String,
        /// The operation that failed: "read", "connect to".
        op: &'static str,
        /// The file or socket.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// The daemon does not answer.
    #[error(
        "{runtime} container `{name}`: no answer from {} within {seconds} s; the daemon hangs or is overloaded: look \
         at its log, or name the process with pid:N",
        socket.display()
    )]
    Slow {
        /// The runtime.
        runtime: Runtime,
        /// The container.
        name: String,
        /// The socket.
        socket: PathBuf,
        /// The timeout in seconds.
        seconds: u64,
    },
    /// The daemon answered with an error.
    #[error("{runtime} container `{name}`: {runtime} answered {status}: {message}")]
    Refused {
        /// The runtime.
        runtime: Runtime,
        /// The container.
        name: String,
        /// The HTTP status.
        status: u16,
        /// The daemon's words.
        message: String,
    },
    /// The answer, or the state file, is not what the runtime writes.
    #[error("{runtime} container `{name}`: cannot understand {}: {why}; is that {runtime}'s?", from.display())]
    Garbled {
        /// The runtime that should have written it.
        runtime: Runtime,
        /// The container.
        name: String,
        /// The socket or file.
        from: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl RuntimeError {
    pub(crate) fn unreadable(runtime: Runtime, name: &str, path: &Path, source: io::Error) -> RuntimeError {
        RuntimeError::Io { runtime, name: name.to_owned(), op: "read", path: path.to_owned(), source }
    }

    /// Whether the runtime is absent or closed to this user, rather than broken: a bare name never stands for a
    /// container in a runtime whose state the user may not read.
    pub(crate) fn runtime_is_out_of_reach(&self) -> bool {
        match self {
            RuntimeError::NotHere { .. } => true,
            RuntimeError::Io { source, .. } => source.kind() == io::ErrorKind::PermissionDenied,
            _ => false,
        }
    }
}

fn elsewhere(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Docker => "set DOCKER_HOST=unix:///its/socket",
        Runtime::Podman => "set CONTAINER_HOST=unix:///its/socket",
        Runtime::Containerd | Runtime::Lxc | Runtime::Machine => "name the process with pid:N",
    }
}

fn hint(source: &io::Error) -> &'static str {
    if source.kind() == io::ErrorKind::PermissionDenied { "; run zubi as root" } else { "" }
}

/// A runtime's text made safe for a terminal: control characters escaped, at most 300 characters.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::new();
    for c in text.trim().chars().take(300) {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}
