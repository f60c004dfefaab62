//! The log: lines on standard error, which systemd's journal takes.

use crate::words::{Format, Level, Words};
use std::io::{self, IsTerminal};
use tracing::level_filters::LevelFilter;

/// Begins the log of this process.
pub(crate) fn begin(words: &Words) {
    let level = match words.log_level {
        Level::Debug => LevelFilter::DEBUG,
        Level::Info => LevelFilter::INFO,
        Level::Warn => LevelFilter::WARN,
        Level::Error => LevelFilter::ERROR,
    };
    let lines = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal());
    match words.log_format {
        Format::Text => lines.init(),
        Format::Json => lines.json().flatten_event(true).init(),
    }
}
