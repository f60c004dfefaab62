//! What commands and the daemon say to each other, as lines of JSON over its socket.

use serde::{Deserialize, Serialize};

/// The daemon's socket, in the run folder.
pub const DAEMON_SOCKET: &str = "daemon.sock";

/// The socket at which Prometheus reads, in the run folder.
pub const METRICS_SOCKET: &str = "metrics.sock";

/// The folder in the run folder with a file for each network whose names the daemon answers.
pub const RESOLVER_FOLDER: &str = "resolver";

/// What a command asks the daemon: one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DaemonQuestion {
    /// One line with a [`DaemonStatus`].
    Status,
    /// A line with a [`Happening`] for each thing that happens, until the asker closes the connection.
    Events,
}

/// What the daemon does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonStatus {
    /// Its process.
    pub pid: u32,
    /// Its version: an older one runs until it is started again.
    pub version: String,
    /// Seconds since it started.
    pub up_for: u64,
    /// Its parts, by name.
    pub parts: Vec<PartStatus>,
}

/// How one part of the daemon is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartStatus {
    /// Its name: `follow`, `names`, `docker`, `heal`.
    pub part: String,
    /// Whether it works.
    pub state: PartState,
    /// What it works on, or why it does not work.
    pub detail: String,
}

/// Whether a part of the daemon works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartState {
    /// It does.
    Ok,
    /// The settings switch it off, or nothing needs it.
    Off,
    /// It tries again and again.
    Failing,
}

/// Something that the daemon did or saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    /// Milliseconds since 1970.
    pub at: u64,
    /// The part that tells it.
    pub part: String,
    /// Whom it concerns: `docker:web on blue`.
    pub object: String,
    /// What happened, in words.
    pub what: String,
}
