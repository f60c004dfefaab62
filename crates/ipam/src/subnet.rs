//! Choosing a subnet for a network.
//!
//! # How it works
//!
//! Each pool is a row of blocks. One sweep over the sorted obstacles moves the candidate to the first block behind each
//! of them, so the cost depends on the number of obstacles, not of blocks.
//!
//! # Limits
//!
//! A default route is no obstacle, nor is half of one: VPN programs add `0.0.0.0/1` and `128.0.0.0/1` to outrank the
//! real default route (OpenVPN's `def1`).

use crate::pool::{AddressPool, AddressPools};
use crate::span::{Span, address};
use ipnet::IpNet;
use std::fmt;
use zubi_model::{Family, Subnet};

const MOST_LINES: usize = 12;

/// A prefix that a new subnet must not overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occupied {
    /// The prefix.
    pub net: IpNet,
    /// What occupies it, for messages: `route via wg0 (table 51820)`, `network green`.
    pub by: String,
}

/// No pool has a free subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoPool {
    /// The family of the wanted subnet.
    pub family: Family,
    /// The pools that were searched.
    pub pools: Vec<AddressPool>,
    /// The prefixes that overlap one of them, in order of addresses.
    pub in_the_way: Vec<Occupied>,
}

/// The first subnet of the pools that overlaps no occupied prefix.
pub fn choose_subnet(pools: &AddressPools, family: Family, in_the_way: &[Occupied]) -> Result<Subnet, NoPool> {
    let mut obstacles: Vec<(Span, &Occupied)> = in_the_way
        .iter()
        .filter(|o| Family::of(o.net.addr()) == family && o.net.prefix_len() > 1)
        .map(|o| (Span::of(o.net), o))
        .collect();
    obstacles.sort_by_key(|(span, _)| *span);

    for pool in pools.of(family) {
        if let Some(net) = first_free(pool, obstacles.iter().map(|(span, _)| *span))
            && let Ok(subnet) = Subnet::try_from(net)
        {
            return Ok(subnet);
        }
    }

    let searched: Vec<AddressPool> = pools.of(family).collect();
    let in_the_way = obstacles
        .into_iter()
        .filter(|(span, _)| searched.iter().any(|pool| Span::of(pool.base()).overlaps(*span)))
        .map(|(_, occupied)| occupied.clone())
        .collect();
    Err(NoPool { family, pools: searched, in_the_way })
}

impl fmt::Display for NoPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pools.is_empty() {
            return write!(f, "no {} address pool is configured; give the network a subnet", self.family);
        }
        let pools: Vec<String> = self.pools.iter().map(|p| format!("{} (/{} each)", p.base(), p.size())).collect();
        write!(
            f,
            "no free {} subnet in {}; give the network a subnet or configure another address pool; in the way:",
            self.family,
            pools.join(", ")
        )?;
        for occupied in self.in_the_way.iter().take(MOST_LINES) {
            write!(f, "\n  {}  {}", occupied.net, occupied.by)?;
        }
        match self.in_the_way.len().saturating_sub(MOST_LINES) {
            0 => Ok(()),
            more => write!(f, "\n  ... and {more} more"),
        }
    }
}

impl std::error::Error for NoPool {}

/// The first block that no obstacle overlaps. The obstacles are sorted by first address.
fn first_free(pool: AddressPool, obstacles: impl Iterator<Item = Span>) -> Option<IpNet> {
    let base = Span::of(pool.base());
    let bits = pool.base().max_prefix_len() - pool.size();
    let block = 1u128.checked_shl(bits.into())?;
    let mut first = base.first;
    for obstacle in obstacles {
        if obstacle.last < first {
            continue;
        }
        if obstacle.first > first.checked_add(block - 1)? {
            break;
        }
        first = obstacle.last.checked_add(1)?.checked_next_multiple_of(block)?;
    }
    let last = first.checked_add(block - 1)?;
    if last > base.last {
        return None;
    }
    IpNet::new(address(pool.family(), first), pool.size()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    fn pools(texts: &[&str]) -> AddressPools {
        AddressPools::new(texts.iter().map(|t| t.parse().unwrap()).collect())
    }

    fn occupied(nets: &[&str]) -> Vec<Occupied> {
        nets.iter().map(|n| Occupied { net: n.parse().unwrap(), by: format!("network n{n}") }).collect()
    }

    fn chosen(pools: &AddressPools, nets: &[&str]) -> String {
        choose_subnet(pools, Family::V4, &occupied(nets)).unwrap().to_string()
    }

    #[test]
    fn the_first_free_block_is_taken() {
        let p = AddressPools::standard([0xaa; 5]);
        assert_eq!(chosen(&p, &[]), "10.201.0.0/24");
        assert_eq!(chosen(&p, &["10.201.0.0/24", "10.201.2.0/24"]), "10.201.1.0/24");
        assert_eq!(chosen(&p, &["10.201.1.128/25", "10.201.0.7/32"]), "10.201.2.0/24");
        assert_eq!(chosen(&p, &["10.0.0.0/8", "172.16.0.0/16"]), "172.17.0.0/24");
        assert_eq!(choose_subnet(&p, Family::V6, &[]).unwrap().to_string(), "fdaa:aaaa:aaaa::/64");
    }

    #[test]
    fn default_routes_and_their_halves_are_no_obstacle() {
        let p = AddressPools::standard([1; 5]);
        assert_eq!(chosen(&p, &["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1"]), "10.201.0.0/24");
        let v6 = occupied(&["::/0", "8000::/1"]);
        assert!(choose_subnet(&p, Family::V6, &v6).is_ok());
    }

    #[test]
    fn a_nested_obstacle_does_not_lead_back() {
        assert_eq!(
            chosen(&pools(&["10.0.0.0/8,24"]), &["10.0.0.0/9", "10.0.0.0/24", "10.128.0.0/24"]),
            "10.128.1.0/24"
        );
    }

    #[test]
    fn four_billion_blocks_are_not_walked() {
        let p = pools(&["fd00::/32,64"]);
        let way = occupied(&["fd00::/33", "fd00:0:8000::/34"]);
        assert_eq!(choose_subnet(&p, Family::V6, &way).unwrap().to_string(), "fd00:0:c000::/64");
    }

    #[test]
    fn what_is_in_the_way_is_listed_within_bounds() {
        let p = pools(&["10.7.0.0/24,28"]);
        let way: Vec<Occupied> = (0u8..16)
            .map(|i| Occupied {
                net: IpNet::new(Ipv4Addr::new(10, 7, 0, i * 16).into(), 28).unwrap(),
                by: format!("network n{i}"),
            })
            .chain(occupied(&["192.168.0.0/24"]))
            .collect();
        let text = choose_subnet(&p, Family::V4, &way).unwrap_err().to_string();
        assert!(text.starts_with(
            "no free IPv4 subnet in 10.7.0.0/24 (/28 each); give the network a subnet or configure \
             another address pool; in the way:\n  10.7.0.0/28  network n0\n"
        ));
        assert!(text.ends_with("\n  10.7.0.176/28  network n11\n  ... and 4 more"), "{text}");
        assert!(!text.contains("192.168"));
        let text = choose_subnet(&p, Family::V6, &way).unwrap_err().to_string();
        assert_eq!(text, "no IPv6 address pool is configured; give the network a subnet");
    }

    proptest! {
        #[test]
        fn the_choice_is_the_first_block_that_overlaps_nothing(
            size in 16u8..=28,
            way in proptest::collection::vec((any::<u16>(), 14u8..=32), 0..60),
        ) {
            let base: IpNet = "10.9.0.0/16".parse().unwrap();
            let p = AddressPools::new(vec![AddressPool::new(base, size).unwrap()]);
            let way: Vec<Occupied> = way.into_iter().map(|(low, bits)| {
                let [c, d] = low.to_be_bytes();
                Occupied { net: IpNet::new(Ipv4Addr::new(10, 9, c, d).into(), bits).unwrap(), by: String::new() }
            }).collect();
            let expected = base.subnets(size).unwrap().find(|block| {
                let block = Subnet::try_from(*block).unwrap();
                way.iter().all(|o| !block.overlaps(o.net.trunc()))
            });
            let found = choose_subnet(&p, Family::V4, &way).ok().map(Subnet::net);
            prop_assert_eq!(found, expected);
        }
    }
}
