//! The logs of daemons.

use std::fs;

/// The last lines of a log, for a message.
pub(crate) fn tail(path: &str) -> String {
    let log = fs::read(path).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    format!("{path} ends with:\n{}\n", lines[lines.len().saturating_sub(20)..].join("\n"))
}
