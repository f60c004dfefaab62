//! What can go wrong while a runtime is asked.

use crate::Runtime;
use std::io;
use std::path::{Path, PathBuf};
use zubi_model::{Invalid, Pid};

/// Why a runtime could not say which process a container is.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The name could not be one.
    #[error(transparent)]
    Name(#[from] Invalid),
    /// The container exists and has no process.
    #[error("{runtime} container `{name}` is not running ({status}); start it first")]
    NotRunning {
        /// Who knows it.
        runtime: Runtime,
        /// Its name.
        name: String,
        /// The runtime's own word where it has one: created, exited, restarting.
        status: String,
    },
    /// The runtime does not run, or keeps its state elsewhere.
    #[error("{runtime}: nothing is at {}; start {runtime}, or {}", looked.display(), elsewhere(*.runtime))]
    NotHere {
        /// Who was looked for.
        runtime: Runtime,
        /// Where.
        looked: PathBuf,
    },
    /// The name leads to several containers.
    #[error("{runtime} container `{name}`: could be {}; give the whole id, or pid:N of the one meant", candidates.join(", "))]
    Ambiguous {
        /// Who knows them.
        runtime: Runtime,
        /// The name as given.
        name: String,
        /// `namespace/ID` for containerd, `name (ID)` for Podman.
        candidates: Vec<String>,
    },
    /// The runtime names a process that is not there.
    #[error(
        "{runtime} container `{name}`: its process {pid} is not to be seen here; it has just ended, or {runtime} runs \
         in another process namespace: run zubi beside it"
    )]
    Gone {
        /// Who named it.
        runtime: Runtime,
        /// The container.
        name: String,
        /// The process.
        pid: Pid,
    },
    /// A file or socket could not be used.
    #[error("{runtime} container `{name}`: {op} {}: {source}{}", path.display(), hint(source))]
    Io {
        /// Who was asked.
        runtime: Runtime,
        /// For which container.
        name: String,
        /// What was being done: "read", "connect to".
        op: &'static str,
        /// To what.
        path: PathBuf,
        /// The kernel's words.
        source: io::Error,
    },
    /// The daemon has the connection and does not answer.
    #[error(
        "{runtime} container `{name}`: no answer from {} within {seconds} s; the daemon hangs or is overloaded: look \
         at its log, or name the process with pid:N",
        socket.display()
    )]
    Slow {
        /// Who was asked.
        runtime: Runtime,
        /// For which container.
        name: String,
        /// Where.
        socket: PathBuf,
        /// How long was waited, seconds.
        seconds: u64,
    },
    /// The daemon answered with an error of its own.
    #[error("{runtime} container `{name}`: {runtime} answered {status}: {message}")]
    Refused {
        /// Who answered.
        runtime: Runtime,
        /// For which container.
        name: String,
        /// The HTTP status.
        status: u16,
        /// The daemon's words.
        message: String,
    },
    /// The answer, or the state file, is not what the runtime writes.
    #[error("{runtime} container `{name}`: cannot understand {}: {why}; is that {runtime}'s?", from.display())]
    Garbled {
        /// Who should have written it.
        runtime: Runtime,
        /// For which container.
        name: String,
        /// The socket or file.
        from: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl RuntimeError {
    pub(crate) fn unreadable(runtime: Runtime, name: &str, path: &Path, source: io::Error) -> RuntimeError {
        RuntimeError::Io { runtime, name: name.to_owned(), op: "read", path: path.to_owned(), source }
    }

    /// Whether the runtime is absent, or closed to this user, rather than in trouble.
    ///
    /// Whoever may not see a runtime's state has no containers there to be meant by a bare name.
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
        Runtime::Containerd => "name the process with pid:N",
    }
}

fn hint(source: &io::Error) -> &'static str {
    if source.kind() == io::ErrorKind::PermissionDenied { "; run zubi as root" } else { "" }
}

/// Text from outside, fit for a terminal: control characters escaped, at most 300 characters.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::new();
    for c in text.trim().chars().take(300) {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}
