//! How long tests wait: longer on a machine that is slow throughout, such as an emulated one.

use std::time::Duration;

/// The factor, a whole number. Where it is not set it is 1.
pub(crate) const VARIABLE: &str = "ZUBI_PATIENCE";

/// The time to wait for something that takes this long at most on a usual machine.
pub fn patience(usual: Duration) -> Duration {
    let factor = std::env::var(VARIABLE).ok().and_then(|factor| factor.parse().ok());
    usual.saturating_mul(factor.unwrap_or(1))
}
