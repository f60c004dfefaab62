//! Standard output and standard error. The one place that writes there.
//!
//! # How it works
//! A reader that goes away (`zubi ls | head -1`) and a full disk are ordinary, so a failed write is a value here and never
//! a panic. SIGPIPE is ignored from the program's start on (Rust's runtime does that), so a closed pipe is `EPIPE`.

use std::io::{self, Write};

/// Where text goes.
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
    /// It is out.
    Whole,
    /// Nobody reads any more: the pipe is closed.
    Unread,
}

impl Stream {
    /// Writes all of the text, in one go where the system takes it so.
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

    /// Writes what may be lost: a note, an error, a line about progress. When that fails nobody is left to tell.
    pub fn tell(self, text: &str) {
        self.write(text).ok();
    }
}

fn whole(mut to: impl Write, text: &str) -> io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}
