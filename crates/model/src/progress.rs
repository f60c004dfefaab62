//! What a command is doing, told to a person who waits for it.
//!
//! # How it works
//! A piece of work that may take long begins, says at each of its steps what it is about, and ends when its [`Doing`] is
//! dropped. Whoever listens decides whether that is shown, and when. Nobody listens by default.

use std::fmt;
use std::sync::Arc;

/// Listens to the work of a command.
pub trait Watcher: Send + Sync {
    /// Called at each step. The words are made only where they are wanted: that may take long.
    fn step(&self, words: &dyn Fn() -> String);
    /// The piece of work has ended.
    fn done(&self);
}

/// The way to whoever listens.
#[derive(Clone, Default)]
pub struct Progress(Option<Arc<dyn Watcher>>);

/// A piece of work, until it is dropped.
#[must_use = "the work ends when this is dropped"]
#[derive(Debug)]
pub struct Doing(Progress);

impl Progress {
    /// Progress that is told to a watcher.
    pub fn to(watcher: Arc<dyn Watcher>) -> Self {
        Progress(Some(watcher))
    }

    /// Begins a piece of work.
    pub fn begin(&self) -> Doing {
        Doing(self.clone())
    }
}

impl Doing {
    /// Tells what the work is about now.
    pub fn step(&self, words: impl Fn() -> String) {
        if let Some(watcher) = &self.0.0 {
            watcher.step(&words);
        }
    }
}

impl Drop for Doing {
    fn drop(&mut self) {
        if let Some(watcher) = &self.0.0 {
            watcher.done();
        }
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Progress(watched)" } else { "Progress(unwatched)" })
    }
}
