//! Random names, from the kernel's random numbers.

use crate::error::Error;
use zubi_kernel::sys;

pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    sys::random().map_err(Error::system("choosing a name", "read", "random bytes"))
}

/// `prefix` and two random hex digits for each of `N` bytes.
pub(crate) fn random_name<const N: usize>(prefix: &str) -> Result<String, Error> {
    let digits: Vec<String> = random::<N>()?.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{prefix}{}", digits.concat()))
}
