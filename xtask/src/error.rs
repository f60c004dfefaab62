//! Why a task stopped.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// Why a task stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("`{0}` is not a task; `cargo xtask` lists them")]
    Usage(String),
    #[error("`{command}` cannot be started: {source}")]
    Start { command: String, source: io::Error },
    #[error("`{command}`: {status}")]
    Failed { command: String, status: ExitStatus },
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("the output of `cargo metadata` cannot be read: {0}")]
    Metadata(#[from] serde_json::Error),
    #[error("gate: violations: {0}")]
    Gate(usize),
    #[error("{program} is not installed; Debian has it in {package}: apt-get install {package}")]
    Missing { program: String, package: String },
    #[error("this needs root: sudo cargo xtask ..")]
    NeedsRoot,
    #[error("{0}; `kernel` and `debian` fetch Debian's packages from the mirror that apt uses")]
    Mirror(String),
    #[error("Debian {suite} does not have linux {version}{}", has.as_ref().map(|has| format!(": it has {has}; ask for that version")).unwrap_or_default())]
    NoKernel { version: String, suite: &'static str, has: Option<String> },
    #[error("linux {0} stopped before the command ended; its messages are above")]
    NoEnd(String),
    #[error("the command did not end within {0} s; --limit SECONDS gives it more")]
    TooLong(u64),
    #[error("no test has `{0}` in its name")]
    NoTest(String),
    #[error("the files of Debian {suite}: {why}")]
    OtherRoot { suite: String, why: String },
    #[error("the time of the last commit is unknown here; give one: SOURCE_DATE_EPOCH=SECONDS")]
    NoTime,
    #[error("demo: a step failed, see above")]
    Demo,
    #[error("tests failed")]
    Tests,
}
