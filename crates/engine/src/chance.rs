//! Randomness, from the kernel.

use crate::error::Error;
use zubi_kernel::sys;

/// Random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    sys::random().map_err(Error::system("choosing a name", "read", "random bytes"))
}

/// `prefix` and two random hex digits for each of `N` bytes.
pub(crate) fn random_name<const N: usize>(prefix: &str) -> Result<String, Error> {
    let mut name = prefix.to_owned();
    for byte in random::<N>()? {
        name.push_str(&format!("{byte:02x}"));
    }
    Ok(name)
}
