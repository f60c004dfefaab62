//! Process control: signals, clock and namespaces of the calling process. The command line and the doors use the
//! system's process control only through this file.

use crate::error::Error;
use crate::look::clock;
use crate::outside::{self, Outside};
use std::io::{self, Read};
use std::time::Duration;
use zubi_kernel::{Session, sys};
use zubi_model::IfName;
use zubi_plan::Place;

/// Blocks Ctrl-C and SIGTERM for the rest of this process.
pub fn block_interrupts() -> Result<(), Error> {
    sys::block_signals(&[libc::SIGINT, libc::SIGTERM]).map_err(Error::system("this process", "block", "signals"))
}

/// Nanoseconds since the boot, including time in suspend.
pub fn boot_clock() -> Result<u64, Error> {
    clock::nanoseconds()
}

/// What somebody types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// Nothing yet.
    Nothing,
    /// A line, without white space around it.
    Line(String),
    /// Nobody types any more: the terminal is closed.
    Closed,
}

/// Forgets what was typed before it was asked for.
pub fn forget_typed() {
    sys::forget_typed();
}

/// Waits for a line on standard input.
pub fn typed(patience: Duration) -> Result<Typed, Error> {
    let failed = || Error::system("this process", "read", "standard input");
    if !sys::wait_for_input(patience).map_err(failed())? {
        return Ok(Typed::Nothing);
    }
    let mut line = [0; 256];
    match io::stdin().read(&mut line) {
        Ok(read) if read > 0 => Ok(Typed::Line(String::from_utf8_lossy(&line[..read]).trim().to_owned())),
        // Its end, or a terminal whose other end is gone (EIO).
        Ok(_) | Err(_) => Ok(Typed::Closed),
    }
}

/// Whether a device of the network that this process is in passes frames. Needs no rights and no records.
pub fn carries_here(device: &IfName) -> Result<bool, Error> {
    let failed = || Error::kernel(format!("device {device}"));
    let mut session = Session::open().map_err(failed())?;
    Ok(session.link(&Place::Host, device.as_str()).map_err(failed())?.is_some_and(|link| link.carrier))
}

/// Moves this process into new namespaces, in which it is root and has its own network.
pub fn become_fresh_host() -> Result<(), Error> {
    zubi_kernel::lab::become_fresh_host().map_err(Error::kernel("lab"))
}

/// Gives a fresh host a neighbour outside, which ends with this process.
pub fn make_outside() -> Result<Outside, Error> {
    outside::make_outside()
}
