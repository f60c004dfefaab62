//! Guardians: processes that undo the work of a command when it is killed.
//!
//! # How it works
//! A guardian is started before the first effect, in a session of its own, and reads from a pipe whose other end only the
//! command has. When the pipe closes without a word, the command was killed.

use crate::config::Config;
use crate::error::Error;
use crate::session::Session;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use zubi_kernel::process::{self, Holds};
use zubi_kernel::sys;
use zubi_store::OtherNamespace;

/// The command's end of the pipe.
#[derive(Debug)]
pub(crate) struct Guardian {
    pipe: File,
}

impl Guardian {
    /// Tells the guardian how the command ended.
    pub(crate) fn tell(mut self, word: &[u8]) {
        // The write fails only if the guardian was killed.
        let _sent = self.pipe.write_all(word);
    }
}

/// How a guardian lives. It is a plain function, so it reaches only what it is given.
type Life<T> = fn(Watch<T>) -> Result<(), Error>;

/// What a guardian has.
pub(crate) struct Watch<T> {
    pipe: OwnedFd,
    guarded: T,
    config: Config,
    life: Life<T>,
}

impl<T> Watch<T> {
    /// Waits until the command has ended or says how it did; empty when it was killed. Returns what the guardian goes on
    /// with.
    pub(crate) fn word(self) -> Result<(Vec<u8>, T, Config), Error> {
        let mut word = Vec::new();
        let failed = Error::system("guardian", "read in the", "process");
        File::from(self.pipe).read_to_end(&mut word).map_err(failed)?;
        Ok((word, self.guarded, self.config))
    }
}

impl<T> Holds for Watch<T> {
    fn descriptors(&self) -> Vec<RawFd> {
        vec![self.pipe.as_raw_fd()]
    }

    fn leave_to_child(self) {}
}

/// Starts a guardian.
pub(crate) fn start<T: 'static>(session: &Session, guarded: T, life: Life<T>) -> Result<Guardian, Error> {
    let (read, write) = sys::pipe().map_err(Error::system("guardian", "make a pipe for the", "process"))?;
    // An injected fault is for the command that the test called.
    let config = Config { other_namespace: OtherNamespace::default(), fault: None, ..session.config().clone() };
    let watch = Watch { pipe: read, guarded, config, life };
    let started = process::detach(watch, |watch| (watch.life)(watch).map_or(1, |()| 0));
    started.map_err(|(_, e)| Error::kernel("guardian")(e))?;
    Ok(Guardian { pipe: File::from(write) })
}
