//! Commands in the background: the calling process returns, and a child goes on.

use crate::class::Class;
use crate::error::Error;
use crate::perform::run::{RunSpec, Started, supervise};
use crate::session::Session;
use std::convert::Infallible;
use std::fs::File;
use std::io::{Read, Write};
use zubi_kernel::process::leave_caller;
use zubi_kernel::sys::{self, Fork};
use zubi_model::SandboxName;

const OBJECT: &str = "going into the background";

/// Supervises a run in a child. Returns once the command runs, or the error that prevents it.
pub(crate) fn supervise_in_background(
    session: Session,
    started: Started,
    spec: &RunSpec,
) -> Result<SandboxName, Error> {
    let name = started.name.clone();
    let (reader, writer) = sys::pipe().map_err(Error::system(OBJECT, "make", "pipe"))?;
    match sys::fork().map_err(Error::system(OBJECT, "fork", "process"))? {
        Fork::Parent(_) => {
            drop(writer);
            // The child holds the sandbox's lock now. Dropping it here would release it for both processes.
            std::mem::forget(started);
            std::mem::forget(session);
            let mut words = String::new();
            File::from(reader).read_to_string(&mut words).map_err(Error::system(OBJECT, "read", "pipe"))?;
            match words.split_once(' ') {
                Some(("ok", _)) => Ok(name),
                Some((code, words)) => {
                    let code = code.parse().unwrap_or(Class::Kernel as u8);
                    Err(Error::Relayed { words: words.to_owned(), code })
                }
                None => {
                    let words = format!("sandbox {name}: its supervisor was killed");
                    Err(Error::Relayed { words, code: Class::Kernel as u8 })
                }
            }
        }
        Fork::Child => {
            drop(reader);
            let mut pipe = Some(File::from(writer));
            // Only the first message is sent; then the pipe is closed. A failed write is ignored: the caller no longer
            // waits.
            let mut say = |words: String| pipe.take().map(|mut pipe| pipe.write_all(words.as_bytes()).ok());
            let failed = |e: &Error| format!("{} {e}", e.exit_code());
            if let Err(source) = leave_caller() {
                say(failed(&Error::Kernel { object: OBJECT.into(), source }));
                // The guardian cleans up.
                sys::exit_now(1);
            }
            let supervised = supervise(session, started, spec, |ready| {
                say(ready.map_or_else(failed, |pid| format!("ok {pid}")));
            });
            if let Err(e) = &supervised {
                say(failed(e));
            }
            sys::exit_now(supervised.map_or(1, |_| 0))
        }
    }
}

/// Runs a command in a child and returns the child's pid.
pub(crate) fn become_in_background(become_it: impl FnOnce() -> Result<Infallible, Error>) -> Result<u32, Error> {
    match sys::fork().map_err(Error::system(OBJECT, "fork", "process"))? {
        Fork::Parent(pid) => Ok(pid),
        Fork::Child => {
            let outcome = leave_caller()
                .map_err(|source| Error::Kernel { object: OBJECT.into(), source })
                .and_then(|()| become_it());
            let Err(error) = outcome;
            sys::exit_now(error.exit_code().into())
        }
    }
}
