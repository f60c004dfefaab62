//! Standard output and standard error. Only this file writes there.
//!
//! # How it works
//! A reader that goes away (`zubi ls | head -1`) and a full disk are ordinary, so a failed write is a value and never a
//! panic. Rust's runtime ignores SIGPIPE from the program's start on, so a closed pipe is `EPIPE`.

use std::io::{self, Write};

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
}

fn whole(mut to: impl Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}
