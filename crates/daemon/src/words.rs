//! The daemon's command line.

use clap::{Parser, ValueEnum};
use std::path::PathBuf;

/// Brings sandboxes back, answers names, serves Docker, heals.
#[derive(Debug, Parser)]
#[command(name = "zubi-daemon", version, max_term_width = 100)]
pub(crate) struct Words {
    /// Where networks are kept [env: ZUBI_STATE_DIR] [default: /var/lib/zubi]
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Where the records of this boot are kept [env: ZUBI_RUN_DIR] [default: /run/zubi]
    #[arg(long, value_name = "DIR")]
    pub(crate) run_dir: Option<PathBuf>,
    /// Where Docker finds zubi as a plug-in; an empty path for nowhere [settings: docker-socket] [default:
    /// /run/docker/plugins/zubi.sock]
    #[arg(long, value_name = "PATH")]
    pub(crate) docker_socket: Option<PathBuf>,
    /// What the log has at least
    #[arg(long, value_enum, default_value = "info", value_name = "LEVEL")]
    pub(crate) log_level: Level,
    /// How a line of the log looks
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) log_format: Format,
}

/// How much the log says, in dockerd's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// The form of the log's lines, in dockerd's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}
