//! The output of a call: one document on stdout, and messages for people on stderr.

use std::process::ExitCode;
use zubi_engine::{Stream, Written};
use zubi_model::visible;

/// Whether the caller received its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// The answer was written.
    Done,
    /// It was not: stdout is closed or full.
    Lost,
}

/// Writes one document, with a line break at its end.
pub(crate) fn deliver(text: &str) -> Delivery {
    let line = if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") };
    match Stream::Out.write(&line) {
        Ok(Written::Whole) => Delivery::Done,
        Ok(Written::Unread) | Err(_) => Delivery::Lost,
    }
}

/// The exit code of a call. If the answer was lost, it is a failure.
pub(crate) fn code(delivery: Delivery, code: ExitCode) -> ExitCode {
    if delivery == Delivery::Done { code } else { ExitCode::FAILURE }
}

/// Writes a message to stderr. If that fails, nobody can be notified.
pub(crate) fn tell(words: &str) {
    let lines: String = words.lines().map(|line| visible(line).into_owned() + "\n").collect();
    Stream::Err.tell(&lines);
}
