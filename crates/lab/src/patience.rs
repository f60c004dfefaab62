//! How long tests wait: longer on a machine that is slow throughout, such as an emulated one.

use std::time::Duration;

/// The factor, an integer; 1 when unset.
pub(crate) const VARIABLE: &str = "ZUBI_PATIENCE";

/// How long to wait for something that takes at most `usual` on an ordinary machine.
pub fn patience(usual: Duration) -> Duration {
    let factor = std::env::var(VARIABLE).ok().and_then(|factor| factor.parse().ok());
    usual.saturating_mul(factor.unwrap_or(1))
}
