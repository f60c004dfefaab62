//! Why a measurement stopped.

use std::io;

/// Why a measurement stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Usage(String),
    #[error("{object}: {source}")]
    System { object: String, source: io::Error },
    #[error("`{command}` failed: {why}")]
    Command { command: String, why: String },
    #[error("the raw kernel: {0}")]
    Kernel(#[from] zubi_kernel::Error),
    #[error("setting up a sandbox: {0}")]
    Plan(#[from] zubi_kernel::Failed),
    #[error("zubi in process: {0}")]
    Engine(#[from] zubi_engine::Error),
    #[error("{object}: the kernel refused: {why}")]
    Refused { object: &'static str, why: String },
    #[error("{object} cannot be read: {source}")]
    Json { object: String, source: serde_json::Error },
    #[error("{0}")]
    Worker(String),
    #[error("{0} is still there after 5 s")]
    Stays(String),
}

impl Error {
    /// For `map_err`.
    pub(crate) fn system(object: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let object = object.into();
        move |source| Error::System { object, source }
    }

    /// For `map_err`.
    pub(crate) fn json(object: &str) -> impl FnOnce(serde_json::Error) -> Error {
        let object = object.to_owned();
        move |source| Error::Json { object, source }
    }
}
