//! Standard output and standard error. Only this file writes there.
//!
//! # How it works
//! A reader that goes away (`zubi ls | head -1`) and a full disk are ordinary, so a failed write is a value and never a
//! panic. Rust's runtime ignores SIGPIPE from the program's start on, so a closed pipe is `EPIPE`.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Erases a line of a terminal (ECMA-48: CR, EL).
const ERASE: &str = "\r\x1b[K";
/// Whether [`Stream::tell_for_now`] has written a line that nothing has erased.
static IS_TOLD: AtomicBool = AtomicBool::new(false);

/// A standard stream to write to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// What became of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is written.
    Whole,
    /// The reader has closed the pipe.
    Unread,
}

impl Stream {
    /// Writes all of the text, in one call where the system takes it whole.
    pub fn write(self, text: &str) -> io::Result<Written> {
        Stream::Err.erase();
        let written = match self {
            Stream::Out => whole(io::stdout().lock(), text),
            Stream::Err => whole(io::stderr().lock(), text),
        };
        match written {
            Ok(()) => Ok(Written::Whole),
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(Written::Unread),
            Err(e) => Err(e),
        }
    }

    /// Writes a text that may be lost: a note, an error, a line about progress. A failure has no reader to report it
    /// to.
    pub fn tell(self, text: &str) {
        self.write(text).ok();
    }

    /// Writes a line to a terminal that the next text, or [`Stream::erase`], takes away again. The terminal cuts it off at
    /// its edge (DECAWM): a second line would stay.
    pub fn tell_for_now(self, line: &str) {
        self.tell(&format!("\r\x1b[?7l{line}\x1b[?7h\x1b[K"));
        IS_TOLD.store(true, Ordering::Relaxed);
    }

    /// Erases the line that was written for now, if there is one.
    pub fn erase(self) {
        if IS_TOLD.swap(false, Ordering::Relaxed) {
            self.tell(ERASE);
        }
    }
}

fn whole(mut to: impl Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}
