//! Detached processes.

use crate::error::Error;
use crate::sys;
use std::fs::File;
use std::os::fd::{AsFd, RawFd};

/// Leaves the caller's session and terminal, and holds none of its descriptors but those of `keep`: a caller that
/// reads to the end of a pipe must not wait for a process it does not know of. With `None` the descriptors above
/// standard error stay.
pub fn leave_caller(keep: Option<&[RawFd]>) -> Result<(), Error> {
    let failed = |operation| move |e| Error::system(operation, "detached process", e);
    sys::new_session().map_err(failed("leave the session of the"))?;
    let null = File::options().read(true).write(true).open("/dev/null").map_err(failed("open /dev/null in the"))?;
    for descriptor in 0..3 {
        sys::duplicate_to(null.as_fd(), descriptor).map_err(failed("redirect the"))?;
    }
    drop(null);
    if let Some(keep) = keep {
        sys::close_from(3, keep);
    }
    Ok(())
}
