//! What a command does to its own process. The command line and the doors reach the system's process control only here.

use crate::error::Error;
use zubi_kernel::sys;

/// Keeps a Ctrl-C and SIGTERM from ending this process until it ends by itself.
pub fn block_interrupts() -> Result<(), Error> {
    sys::block_signals(&[libc::SIGINT, libc::SIGTERM]).map_err(Error::system("this process", "block", "signals"))
}

/// Nanoseconds since the boot, time in suspend included.
pub fn boot_clock() -> Result<u64, Error> {
    sys::boot_clock().map_err(Error::system("this process", "read", "boot clock"))
}

/// Moves this process into namespaces of its own, in which it is root and has a network to itself.
pub fn become_fresh_host() -> Result<(), Error> {
    zubi_kernel::lab::become_fresh_host().map_err(Error::kernel("lab"))
}
