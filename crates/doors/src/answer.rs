//! What goes out: one document on stdout, and words for people on stderr.

use std::process::ExitCode;
use zubi_engine::{Stream, Written};
use zubi_model::visible;

/// Whether the caller has its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It can read it.
    Done,
    /// It cannot: stdout is closed or full.
    Lost,
}

/// Writes one document, and a line break behind it if it has none.
pub(crate) fn deliver(text: &str) -> Delivery {
    let line = if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") };
    match Stream::Out.write(&line) {
        Ok(Written::Whole) => Delivery::Done,
        Ok(Written::Unread) | Err(_) => Delivery::Lost,
    }
}

/// The exit code behind an answer. A caller that did not get it must not take the call for done.
pub(crate) fn code(delivery: Delivery, code: ExitCode) -> ExitCode {
    if delivery == Delivery::Done { code } else { ExitCode::FAILURE }
}

/// Tells a person something. When that fails nobody is left to tell.
pub(crate) fn tell(words: &str) {
    let lines: String = words.lines().map(|line| visible(line).into_owned() + "\n").collect();
    Stream::Err.tell(&lines);
}
