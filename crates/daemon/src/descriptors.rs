//! How many descriptors this process may have (getrlimit(2)), and who may use them.

use crate::error::Error;
use zubi_kernel::sys;

/// So many connections are open at once at a socket, where descriptors are enough. Docker has a handful.
const MOST: usize = 256;
/// The part of the descriptors that the connections of one socket may take: the other parts of the daemon need some to
/// do their work.
const SHARE: u64 = 8;

/// Raises the limit of this process as far as it may. Shells and systemd set it low for programs that use select(2).
pub(crate) fn raise_limit() -> Result<(), Error> {
    sys::raise_descriptor_limit().map_err(Error::system("limit of descriptors", "raise"))
}

/// How many connections one socket may have open.
pub(crate) fn places() -> usize {
    let limit = sys::descriptor_limit().unwrap_or(0);
    usize::try_from(limit / SHARE).unwrap_or(MOST).clamp(2, MOST)
}
