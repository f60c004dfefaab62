//! The boot clock, which goes on while the machine sleeps.

use crate::error::Error;
use zubi_kernel::sys;
use zubi_model::Moment;

/// Nanoseconds since the boot.
pub(crate) fn nanoseconds() -> Result<u64, Error> {
    sys::boot_clock().map_err(Error::system("this host", "read", "boot clock"))
}

/// The time of leases.
pub(crate) fn now() -> Result<Moment, Error> {
    Ok(Moment(nanoseconds()? / 1_000_000))
}
