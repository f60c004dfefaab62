//! Why a task stopped.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// Why a task stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("`{0}` is no task; `cargo xtask` lists them")]
    Usage(String),
    #[error("`{command}` cannot be started: {source}")]
    Start { command: String, source: io::Error },
    #[error("`{command}`: {status}")]
    Failed { command: String, status: ExitStatus },
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("`cargo metadata` printed what cannot be read: {0}")]
    Metadata(#[from] serde_json::Error),
    #[error("gate: violations: {0}")]
    Gate(usize),
    #[error("demo: some of it failed, see above")]
    Demo,
    #[error("tests failed")]
    Tests,
}
