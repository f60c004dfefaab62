//! When a message that was not answered is sent again.
//!
//! Without a lease: after 0.5, 1, 2, 4 and so on up to 64 s, each a quarter shorter or longer by chance. RFC 2131 (4.1)
//! begins with 4 s, give or take one; a container is not to wait that long for one lost datagram.
//!
//! With a lease: when half of the time that is left has passed (RFC 2131, 4.4.5). The RFC's minimum of 60 s is too long
//! for leases of seconds, so it is a sixteenth of the lease where that is less, and at least 1 s.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(64);
const LEAST_WITH_LEASE: Duration = Duration::from_secs(1);
const MOST_WITH_LEASE: Duration = Duration::from_secs(60);

/// How long to wait for an answer after this many earlier tries.
pub(crate) fn without_lease(earlier: u32, random: u32) -> Duration {
    let middle = FIRST.saturating_mul(1u32.checked_shl(earlier).unwrap_or(u32::MAX)).min(LONGEST);
    let spread = middle.as_millis() as u64 / 2;
    middle * 3 / 4 + Duration::from_millis(u64::from(random) % (spread + 1))
}

/// How long to wait for an answer when `left` is left until the next step, of a lease of this length.
pub(crate) fn with_lease(left: Duration, lifetime: Duration) -> Duration {
    (left / 2).max((lifetime / 16).clamp(LEAST_WITH_LEASE, MOST_WITH_LEASE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute() {
        let earliest: Vec<u128> = (0..9).map(|earlier| without_lease(earlier, 0).as_millis()).collect();
        assert_eq!(earliest, [375, 750, 1500, 3000, 6000, 12000, 24000, 48000, 48000]);
        let latest = (0..=u32::from(u16::MAX)).map(|random| without_lease(3, random)).max();
        assert_eq!(latest, Some(Duration::from_secs(5)));
        assert!(without_lease(u32::MAX, u32::MAX) <= Duration::from_secs(80));
    }

    #[test]
    fn renewals_come_closer_to_each_other_but_not_too_close() {
        let wait = |left, lifetime| with_lease(Duration::from_secs(left), Duration::from_secs(lifetime)).as_millis();
        assert_eq!(wait(1350, 3600), 675_000);
        assert_eq!(wait(70, 3600), 60_000);
        assert_eq!(wait(3, 16), 1500);
        assert_eq!(wait(1, 8), 1000);
    }
}
