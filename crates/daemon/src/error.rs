//! Why the daemon does not run.

use std::io;
use std::path::PathBuf;
use zubi_engine::Class;

/// Why the daemon ends.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] zubi_engine::Error),
    /// There is a daemon.
    #[error("a daemon has the run folder {} already; zubi status tells about it", .0.display())]
    Second(PathBuf),
    /// The kernel refused.
    #[error("{object}: {source}")]
    Kernel {
        /// Of what.
        object: &'static str,
        /// The kernel's words.
        source: zubi_kernel::Error,
    },
    /// The system refused.
    #[error("{object}: {op}: {source}")]
    System {
        /// Of what.
        object: String,
        /// What was tried.
        op: &'static str,
        /// The system's words.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: the system refused to do something with an object.
    pub(crate) fn system(object: impl Into<String>, op: &'static str) -> impl FnOnce(io::Error) -> Error {
        let object = object.into();
        move |source| Error::System { object, op, source }
    }

    /// The exit code, as of the commands.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Error::Engine(e) => e.exit_code(),
            Error::Second(_) => Class::Conflict as u8,
            Error::Kernel { .. } | Error::System { .. } => Class::Kernel as u8,
        }
    }
}
