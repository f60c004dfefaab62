//! Detached processes.

use crate::error::Error;
use crate::sys::{self, Standard};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, RawFd};
use std::path::Path;

/// Fails when a setuid bit or capabilities of the program's file give the caller rights that it does not have: its
/// variables and options choose what is written where.
pub fn refuse_borrowed_rights() -> Result<(), Error> {
    if sys::has_borrowed_rights() { Err(Error::BorrowedRights) } else { Ok(()) }
}

/// A value that a child goes on with.
pub trait Holds: Sized {
    /// All its descriptors.
    fn descriptors(&self) -> Vec<RawFd>;

    /// Ends the copy of the parent, without an effect on what the child has: the two share files and sockets.
    fn leave_to_child(self);
}

/// Starts a child that lives on by itself, in a session of its own, with this value alone: of the caller's descriptors
/// and of ours it keeps only those of the value. A caller that reads to the end of a pipe must not wait for a process
/// that it does not know of.
///
/// # How it is safe
/// The child closes descriptors that other values of this process own. It neither uses nor drops these values: `life`
/// is a plain function, so it reaches only the value that it is given, and the child ends with it.
///
/// # Errors
/// When the child cannot be started, the value comes back.
pub fn detach<T: Holds + 'static>(value: T, life: fn(T) -> i32) -> Result<(), (T, Error)> {
    match sys::fork() {
        Ok(sys::Fork::Parent(_)) => {
            value.leave_to_child();
            Ok(())
        }
        Ok(sys::Fork::Child) => {
            let code = match leave_caller() {
                Ok(()) => {
                    sys::close_from(3, &value.descriptors());
                    life(value)
                }
                Err(_) => 1,
            };
            sys::exit_now(code)
        }
        Err(e) => Err((value, Error::system("fork", "process", e))),
    }
}

/// Leaves the caller's session, terminal and standard streams. Other descriptors stay.
pub fn leave_caller() -> Result<(), Error> {
    let failed = |operation| move |e: io::Error| Error::system(operation, "detached process", e);
    sys::new_session().map_err(failed("leave the session of the"))?;
    let null = File::options().read(true).write(true).open("/dev/null").map_err(failed("open /dev/null in the"))?;
    for stream in [Standard::In, Standard::Out, Standard::Err] {
        sys::redirect(stream, null.as_fd()).map_err(failed("redirect the"))?;
    }
    Ok(())
}

/// Moves this process out of the control group of a login session: when the session ends, logind may end everything in
/// that group (`KillUserProcesses` of logind.conf(5)). A process that is in no such group stays where it is.
pub fn leave_login() {
    const ROOTS: [&str; 3] = ["/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"];
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    if !groups.lines().any(|line| line.contains("/user.slice/")) {
        return;
    }
    for root in ROOTS {
        // A root that is not mounted, or that may not be written to, is none of this host's.
        let _moved = fs::write(Path::new(root).join("cgroup.procs"), std::process::id().to_string());
    }
}
