//! Runs of addresses as numbers: one arithmetic for both families.

use ipnet::IpNet;
use std::net::IpAddr;
use zubi_model::Family;

/// The addresses from `first` to `last`, both included. Never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) first: u128,
    pub(crate) last: u128,
}

impl Span {
    pub(crate) fn of(net: IpNet) -> Self {
        Span { first: number(net.network()), last: number(net.broadcast()) }
    }

    pub(crate) fn one(address: IpAddr) -> Self {
        Span { first: number(address), last: number(address) }
    }

    pub(crate) fn size(self) -> u128 {
        (self.last - self.first).saturating_add(1)
    }

    pub(crate) fn overlaps(self, other: Span) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    pub(crate) fn common_with(self, other: Span) -> Option<Span> {
        self.overlaps(other).then(|| Span { first: self.first.max(other.first), last: self.last.min(other.last) })
    }

    /// The part from `start` on.
    pub(crate) fn from(self, start: u128) -> Option<Span> {
        (self.last >= start).then(|| Span { first: self.first.max(start), last: self.last })
    }

    /// The part before `start`.
    pub(crate) fn before(self, start: u128) -> Option<Span> {
        (self.first < start).then(|| Span { first: self.first, last: self.last.min(start - 1) })
    }

    /// The rest of the span without `barred`, in order.
    pub(crate) fn without(self, mut barred: Vec<Span>) -> Vec<Span> {
        barred.sort_unstable();
        let mut free = Vec::new();
        let mut from = self.first;
        for bar in barred {
            if bar.last < from {
                continue;
            }
            if bar.first > self.last {
                break;
            }
            if bar.first > from {
                free.push(Span { first: from, last: bar.first - 1 });
            }
            match bar.last.checked_add(1) {
                Some(next) => from = next,
                None => return free,
            }
        }
        if from <= self.last {
            free.push(Span { first: from, last: self.last });
        }
        free
    }
}

/// An address as a number within its family.
pub(crate) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => v6.into(),
    }
}

/// The address of a family with this number.
pub(crate) fn address(family: Family, number: u128) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4((number as u32).into()),
        Family::V6 => IpAddr::V6(number.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(pairs: &[(u128, u128)]) -> Vec<Span> {
        pairs.iter().map(|&(first, last)| Span { first, last }).collect()
    }

    #[test]
    fn nested_and_touching_bars_leave_the_gaps() {
        let whole = Span { first: 10, last: 30 };
        let free = whole.without(spans(&[(20, 22), (0, 10), (12, 18), (13, 14), (19, 19), (30, 40)]));
        assert_eq!(free, spans(&[(11, 11), (23, 29)]));
    }

    #[test]
    fn a_bar_up_to_the_last_number_ends_it() {
        let whole = Span { first: 1, last: u128::MAX };
        assert_eq!(whole.without(spans(&[(5, u128::MAX)])), spans(&[(1, 4)]));
    }
}
