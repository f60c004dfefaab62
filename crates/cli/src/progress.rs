//! The line that tells on a terminal what a command is still doing.
//!
//! # How it works
//! Work that has taken a second shows a line. Its next step writes over that line, its end erases it. Only a step writes
//! the line, so work without steps shows nothing.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use zubi_engine::Stream;
use zubi_model::{Progress, Watcher, visible};

/// Work that ends before shows no line.
const PATIENCE: Duration = Duration::from_secs(1);
/// The time between two lines.
const PAUSE: Duration = Duration::from_millis(200);

/// The line.
#[derive(Default)]
struct Line(Mutex<Times>);

#[derive(Default)]
struct Times {
    begun: Option<Instant>,
    shown: Option<Instant>,
}

/// Progress on standard error, where that is a terminal that can erase a line.
pub(crate) fn on_terminal() -> Progress {
    let can_erase = std::env::var_os("TERM").is_some_and(|term| term != "dumb");
    if can_erase && std::io::stderr().is_terminal() {
        Progress::to(Arc::new(Line::default()))
    } else {
        Progress::default()
    }
}

impl Watcher for Line {
    fn step(&self, words: &dyn Fn() -> String) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let begun = *times.begun.get_or_insert(now);
        if now - begun >= PATIENCE && times.shown.is_none_or(|shown| now - shown >= PAUSE) {
            times.shown = Some(now);
            Stream::Err.tell_for_now(&visible(&format!("zubi: {} ...", words())));
        }
    }

    fn done(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Times::default();
        Stream::Err.erase();
    }
}
