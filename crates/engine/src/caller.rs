//! Process control: signals, clock and namespaces of the calling process. The command line and the doors use the
//! system's process control only through this file.

use crate::error::Error;
use crate::outside::{self, Outside};
use zubi_kernel::sys;

/// Blocks Ctrl-C and SIGTERM for the rest of this process.
pub fn block_interrupts() -> Result<(), Error> {
    sys::block_signals(&[libc::SIGINT, libc::SIGTERM]).map_err(Error::system("this process", "block", "signals"))
}

/// Nanoseconds since the boot, including time in suspend.
pub fn boot_clock() -> Result<u64, Error> {
    sys::boot_clock().map_err(Error::system("this process", "read", "boot clock"))
}

/// Moves this process into new namespaces, in which it is root and has its own network.
pub fn become_fresh_host() -> Result<(), Error> {
    zubi_kernel::lab::become_fresh_host().map_err(Error::kernel("lab"))
}

/// Gives a fresh host a neighbour outside, which ends with this process.
pub fn make_outside() -> Result<Outside, Error> {
    outside::make_outside()
}
