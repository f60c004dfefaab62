//! Choosing an address for an endpoint.
//!
//! # How it works
//!
//! A pool without its network and broadcast address, gateway and exclusions is a short list of spans. The search walks
//! the spans of all pools once around and starts behind the last assigned address, so an address that was just freed is
//! reused last.
//!
//! # Limits
//!
//! The search tries at most [`MOST_TRIED`] addresses, so it ends even if every address of a /64 is taken.

use crate::span::{Span, address, number};
use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;
use zubi_model::{Family, Invalid, Pool, Subnet};

/// A bridge has far fewer ports (1023), and so many attempts take less than a second.
const MOST_TRIED: u128 = 1 << 20;

/// No pool has a free address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exhausted {
    /// The subnet of the pool that the search started in; `None` without a pool.
    pub subnet: Option<Subnet>,
    /// The part of the subnet that automatic addresses come from.
    pub range: Option<IpNet>,
    /// How many addresses all pools hold.
    pub total: u128,
    /// How many the search tried: fewer than `total` only in very large pools.
    pub tried: u128,
}

/// The first free address of several pools of one family behind `cursor`, the last assigned one; with the pool's index.
///
/// Considers the addresses in each pool's range, or in its whole subnet without one; never the network, broadcast or
/// gateway address nor an excluded one. The search wraps around once. It starts at the beginning without a cursor, or
/// when no pool assigns that address.
pub fn next_of_pools(
    pools: &[Pool],
    cursor: Option<IpAddr>,
    is_taken: &mut dyn FnMut(IpAddr) -> bool,
) -> Result<(usize, IpAddr), Exhausted> {
    let first = cursor.and_then(|last| pools.iter().position(|p| p.subnet.net().contains(&last) && assigns(p, last)));
    let (first, number_of_last) = match (first, cursor) {
        (Some(first), Some(last)) => (first, Some(number(last))),
        _ => (0, None),
    };
    let mut tried = 0;
    let mut total: u128 = 0;
    // The cursor's pool has two turns: the first for the part behind the cursor, the last for the part up to it.
    for turn in 0..=pools.len() {
        let at = (first + turn) % pools.len().max(1);
        let Some(pool) = pools.get(at) else { break };
        let family = pool.subnet.family();
        let spans = assignable(pool);
        let part: Vec<Span> = match number_of_last.map(|n| n.saturating_add(1)) {
            Some(start) if turn == 0 => spans.iter().filter_map(|span| span.from(start)).collect(),
            Some(start) if turn == pools.len() => spans.iter().filter_map(|span| span.before(start)).collect(),
            None if turn == pools.len() => Vec::new(),
            _ => spans,
        };
        total = part.iter().fold(total, |sum, span| sum.saturating_add(span.size()));
        for candidate in part.iter().flat_map(|span| span.first..=span.last) {
            if tried == MOST_TRIED {
                break;
            }
            tried += 1;
            let candidate = address(family, candidate);
            if !is_taken(candidate) {
                return Ok((at, candidate));
            }
        }
    }
    let pool = pools.get(first);
    Err(Exhausted { subnet: pool.map(|p| p.subnet), range: pool.and_then(|p| p.range), total, tried })
}

/// Whether the pool assigns this address automatically.
fn assigns(pool: &Pool, address: IpAddr) -> bool {
    let number = number(address);
    assignable(pool).iter().any(|span| span.first <= number && number <= span.last)
}

/// Checks a requested address. It may lie outside the pool's range, which restricts automatic addresses only.
pub fn check_fixed(pool: &Pool, address: IpAddr) -> Result<(), Invalid> {
    let subnet = pool.subnet;
    let refuse = |why: String| Err(Invalid::new("address", address, why));
    if !subnet.net().contains(&address) {
        return refuse(format!("is not inside {subnet}"));
    }
    if !subnet.has_host(address) {
        let role = match (subnet.family(), address == subnet.net().network()) {
            (Family::V4, true) => "network address",
            (Family::V4, false) => "broadcast address",
            (Family::V6, _) => "subnet-router anycast address",
        };
        return refuse(format!("is the {role} of {subnet}"));
    }
    if Some(address) == pool.gateway {
        return refuse(format!("is the gateway of {subnet}"));
    }
    if let Some(exclusion) = pool.exclude.iter().find(|e| e.covers(address)) {
        return refuse(format!("is excluded from {subnet} ({exclusion})"));
    }
    Ok(())
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.subnet {
            Some(subnet) => write!(f, "pool {subnet}")?,
            None => return f.write_str("there is no pool to choose from"),
        }
        if let Some(range) = self.range {
            write!(f, ", range {range}")?;
        }
        match (self.total, self.tried) {
            (0, _) => {
                return f.write_str(
                    ": nothing is left of it besides gateway and excluded addresses; \
                     create the network with a larger subnet or range",
                );
            }
            (1, _) => f.write_str(": its only address is taken"),
            (total, tried) if tried < total => write!(f, ": {tried} addresses in a row are taken"),
            (total, _) => write!(f, ": all {total} addresses are taken"),
        }?;
        f.write_str("; remove an endpoint (zubi ls) or create the network with a larger subnet")?;
        if self.range.is_some() { f.write_str(" or range") } else { Ok(()) }
    }
}

impl std::error::Error for Exhausted {}

/// All addresses that the pool assigns automatically, in order.
fn assignable(pool: &Pool) -> Vec<Span> {
    let subnet = Span::of(pool.subnet.net());
    let family = pool.subnet.family();
    let within = match pool.range {
        None => subnet,
        Some(range) if Family::of(range.addr()) != family => return Vec::new(),
        Some(range) => match subnet.common_with(Span::of(range)) {
            Some(part) => part,
            None => return Vec::new(),
        },
    };
    let mut barred: Vec<Span> = pool
        .exclude
        .iter()
        .filter(|e| Family::of(e.first) == family)
        .map(|e| Span { first: number(e.first), last: number(e.last) })
        .collect();
    barred.push(Span::one(pool.subnet.net().network()));
    if family == Family::V4 {
        barred.push(Span::one(pool.subnet.net().broadcast()));
    }
    barred.extend(pool.gateway.filter(|gateway| Family::of(*gateway) == family).map(Span::one));
    within.without(barred)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::net::Ipv4Addr;
    use zubi_model::{Exclusion, PoolSpec};

    fn pool(subnet: &str, range: Option<&str>, exclude: &[&str]) -> Pool {
        PoolSpec {
            subnet: subnet.parse().unwrap(),
            gateway: None,
            range: range.map(|r| r.parse().unwrap()),
            exclude: exclude.iter().map(|e| e.parse().unwrap()).collect(),
        }
        .decide()
        .unwrap()
    }

    fn next(pool: &Pool, cursor: Option<&str>, taken: &[&str]) -> Result<String, Exhausted> {
        let taken: BTreeSet<IpAddr> = taken.iter().map(|t| t.parse().unwrap()).collect();
        next_address(pool, cursor.map(|c| c.parse().unwrap()), &mut |a| taken.contains(&a)).map(|a| a.to_string())
    }

    fn next_address(
        pool: &Pool,
        cursor: Option<IpAddr>,
        is_taken: &mut dyn FnMut(IpAddr) -> bool,
    ) -> Result<IpAddr, Exhausted> {
        next_of_pools(std::slice::from_ref(pool), cursor, is_taken).map(|(_, address)| address)
    }

    #[test]
    fn the_first_address_follows_the_gateway() {
        assert_eq!(next(&pool("10.0.0.0/24", None, &[]), None, &[]).unwrap(), "10.0.0.2");
        assert_eq!(next(&pool("fd00::/64", None, &[]), None, &[]).unwrap(), "fd00::2");
    }

    #[test]
    fn the_search_goes_on_behind_the_cursor_and_wraps_around() {
        let p = pool("10.0.0.0/29", None, &[]);
        assert_eq!(next(&p, Some("10.0.0.3"), &[]).unwrap(), "10.0.0.4");
        assert_eq!(next(&p, Some("10.0.0.6"), &[]).unwrap(), "10.0.0.2");
        assert_eq!(next(&p, Some("10.0.0.4"), &["10.0.0.5", "10.0.0.6", "10.0.0.2"]).unwrap(), "10.0.0.3");
        let taken = ["10.0.0.2", "10.0.0.3", "10.0.0.5", "10.0.0.6"];
        assert_eq!(next(&p, Some("10.0.0.4"), &taken).unwrap(), "10.0.0.4");
    }

    #[test]
    fn a_cursor_from_elsewhere_starts_at_the_beginning() {
        let p = pool("10.0.0.0/24", Some("10.0.0.64/26"), &[]);
        for cursor in ["fd00::9", "192.168.0.1", "10.0.0.200", "9.9.9.9"] {
            assert_eq!(next(&p, Some(cursor), &[]).unwrap(), "10.0.0.64", "{cursor}");
        }
    }

    #[test]
    fn a_huge_exclusion_is_jumped_over() {
        let p = pool("fd00::/64", None, &["fd00::2-fd00::ffff:ffff:ffff:fff0"]);
        assert_eq!(next(&p, None, &[]).unwrap(), "fd00::ffff:ffff:ffff:fff1");
        let p = pool("10.0.0.0/8", None, &["10.0.0.0/9", "10.128.0.0/10"]);
        assert_eq!(next(&p, None, &[]).unwrap(), "10.192.0.0");
    }

    #[test]
    fn exhaustion_says_what_to_do() {
        let all = |p: &Pool| next_address(p, None, &mut |_| true).unwrap_err().to_string();
        assert_eq!(
            all(&pool("10.0.0.0/29", None, &[])),
            "pool 10.0.0.0/29: all 5 addresses are taken; \
             remove an endpoint (zubi ls) or create the network with a larger subnet"
        );
        assert_eq!(
            all(&pool("10.0.0.0/24", Some("10.0.0.64/30"), &[])),
            "pool 10.0.0.0/24, range 10.0.0.64/30: all 4 addresses are taken; \
             remove an endpoint (zubi ls) or create the network with a larger subnet or range"
        );
        assert!(all(&pool("10.0.0.0/30", None, &[])).contains("its only address is taken"));
        assert!(all(&pool("10.0.0.0/30", None, &["10.0.0.2"])).contains("nothing is left of it"));
    }

    #[test]
    fn a_slash_64_where_everything_is_taken_gets_an_answer() {
        let error = next_address(&pool("fd00::/64", None, &[]), None, &mut |_| true).unwrap_err();
        assert_eq!((error.tried, error.total), (MOST_TRIED, (1 << 64) - 2));
        assert!(error.to_string().contains("1048576 addresses in a row are taken"), "{error}");
    }

    fn next_of(pools: &[Pool], cursor: Option<&str>, taken: &[&str]) -> Result<(usize, String), Exhausted> {
        let taken: BTreeSet<IpAddr> = taken.iter().map(|t| t.parse().unwrap()).collect();
        let cursor = cursor.map(|c| c.parse().unwrap());
        next_of_pools(pools, cursor, &mut |a| taken.contains(&a)).map(|(at, a)| (at, a.to_string()))
    }

    #[test]
    fn several_pools_are_walked_from_the_cursors_one_on_and_around() {
        let some = |at, address: &str| Ok((at, address.to_owned()));
        let pools =
            [pool("10.0.0.0/30", None, &[]), pool("10.0.1.0/30", None, &[]), pool("10.0.2.0/29", None, &["10.0.2.2"])];
        let [first, second, third] = ["10.0.0.2", "10.0.1.2", "10.0.2.3"];
        assert_eq!(next_of(&pools, None, &[]), some(0, first));
        assert_eq!(next_of(&pools, Some(first), &[first]), some(1, second));
        assert_eq!(next_of(&pools, Some(second), &[first, second]), some(2, third));
        let full = ["10.0.1.2", "10.0.2.3", "10.0.2.4", "10.0.2.5", "10.0.2.6"];
        assert_eq!(next_of(&pools, Some("10.0.2.6"), &full), some(0, first));
        assert_eq!(next_of(&pools, Some("10.0.2.6"), &[&full[..], &[first]].concat()).unwrap_err().total, 6);
        for elsewhere in ["10.9.9.9", "fd00::9", "10.0.2.2"] {
            assert_eq!(next_of(&pools, Some(elsewhere), &[]), some(0, first), "{elsewhere}");
        }
    }

    #[test]
    fn ranges_of_one_subnet_are_told_apart() {
        let pools = ["10.0.0.64/31", "10.0.0.128/31"].map(|range| pool("10.0.0.0/24", Some(range), &[]));
        assert_eq!(next_of(&pools, Some("10.0.0.128"), &[]), Ok((1, "10.0.0.129".to_owned())));
        assert_eq!(next_of(&pools, Some("10.0.0.65"), &["10.0.0.64", "10.0.0.65"]), Ok((1, "10.0.0.128".to_owned())));
    }

    #[test]
    fn fixed_addresses_may_leave_the_range_but_not_the_rules() {
        let p = pool("10.0.0.0/24", Some("10.0.0.64/26"), &["10.0.0.9"]);
        let why = |a: &str| check_fixed(&p, a.parse().unwrap()).map_err(|e| e.to_string());
        assert_eq!(why("10.0.0.2"), Ok(()));
        assert_eq!(why("10.0.1.2").unwrap_err(), "address `10.0.1.2`: is not inside 10.0.0.0/24");
        assert!(why("10.0.0.0").unwrap_err().contains("network address"));
        assert!(why("10.0.0.255").unwrap_err().contains("broadcast"));
        assert!(why("10.0.0.1").unwrap_err().contains("gateway"));
        assert!(why("10.0.0.9").unwrap_err().contains("excluded"));
        assert!(why("fd00::1").unwrap_err().contains("is not inside"));
        let error = check_fixed(&pool("fd00::/64", None, &[]), "fd00::".parse().unwrap()).unwrap_err();
        assert!(error.to_string().contains("anycast"), "{error}");
    }

    prop_compose! {
        fn any_pool()(
            bits in 24u8..=30,
            third in any::<u8>(),
            gateway in any::<u32>(),
            range in proptest::option::of((0u8..=6, any::<u32>())),
            spans in proptest::collection::vec((any::<u32>(), 0u32..20), 0..4),
        ) -> Pool {
            let net: IpNet = IpNet::new(Ipv4Addr::new(10, 1, third, 0).into(), bits).unwrap().trunc();
            let size = 1u32 << (32 - bits);
            let base = number(net.network()) as u32;
            let at = |offset: u32| IpAddr::V4((base + offset % size).into());
            let exclude = spans.into_iter().map(|(first, length)| {
                let last = at((first % size).saturating_add(length).min(size - 1));
                Exclusion { first: at(first), last }
            }).collect();
            let range = range.map(|(longer, offset)| IpNet::new(at(offset), (bits + longer).min(32)).unwrap().trunc());
            PoolSpec {
                subnet: net.try_into().unwrap(),
                gateway: Some(at(1 + gateway % (size - 2))),
                range,
                exclude,
            }.decide().unwrap()
        }
    }

    prop_compose! {
        fn any_pools()(mut pools in proptest::collection::vec(any_pool(), 1..5)) -> Vec<Pool> {
            let mut networks = BTreeSet::new();
            pools.retain(|pool| networks.insert(pool.subnet.net().network()));
            pools
        }
    }

    /// The assignable addresses of all pools, in order.
    fn all_assignable(pools: &[Pool]) -> Vec<(usize, IpAddr)> {
        let of = |at, pool: &Pool| {
            pool.subnet.net().hosts().filter(|a| may_be_assigned(pool, *a)).map(|a| (at, a)).collect()
        };
        pools.iter().enumerate().flat_map(|(at, pool)| -> Vec<_> { of(at, pool) }).collect()
    }

    /// The rule in its simplest form.
    fn may_be_assigned(pool: &Pool, a: IpAddr) -> bool {
        check_fixed(pool, a).is_ok() && pool.range.is_none_or(|r| r.contains(&a))
    }

    proptest! {
        #[test]
        fn the_choice_is_the_first_free_address_behind_the_cursor(
            pools in any_pools(),
            cursor in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
            free in proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
        ) {
            let cursor = cursor.map(|(at, offset)| {
                let subnet = pools[at.index(pools.len())].subnet;
                address(Family::V4, number(subnet.net().network()) + u128::from(offset))
            });
            let mut in_order = all_assignable(&pools);
            let total = in_order.len();
            let free: BTreeSet<IpAddr> =
                if total == 0 { BTreeSet::new() } else { free.iter().map(|at| in_order[at.index(total)].1).collect() };
            let start = in_order.iter().position(|(_, a)| Some(*a) == cursor).map_or(0, |at| at + 1);
            in_order.rotate_left(start);
            let expected = in_order.into_iter().find(|(_, a)| free.contains(a));
            match next_of_pools(&pools, cursor, &mut |a| !free.contains(&a)) {
                Ok(choice) => prop_assert_eq!(Some(choice), expected),
                Err(error) => {
                    prop_assert_eq!(None, expected);
                    prop_assert_eq!(error.total, total as u128);
                }
            }
        }

        #[test]
        fn every_address_of_several_pools_is_given_once_and_in_order(pools in any_pools()) {
            let mut given: Vec<(usize, IpAddr)> = Vec::new();
            while let Ok(next) =
                next_of_pools(&pools, given.last().map(|(_, a)| *a), &mut |a| given.iter().any(|(_, b)| a == *b))
            {
                given.push(next);
            }
            prop_assert_eq!(given, all_assignable(&pools));
        }

        #[test]
        fn every_address_is_given_once_before_the_pool_is_exhausted(pool in any_pool()) {
            let mut given = BTreeSet::new();
            let mut cursor = None;
            let exhausted = loop {
                match next_address(&pool, cursor, &mut |a| given.contains(&a)) {
                    Ok(a) => {
                        prop_assert!(given.insert(a));
                        cursor = Some(a);
                    }
                    Err(error) => break error,
                }
            };
            let expected: BTreeSet<IpAddr> =
                pool.subnet.net().hosts().filter(|a| may_be_assigned(&pool, *a)).collect();
            prop_assert_eq!(exhausted.total, expected.len() as u128);
            prop_assert_eq!(given, expected);
        }
    }
}
