//! Choosing a subnet for a network.
//!
//! # How it works
//!
//! Each pool is a row of blocks. One sweep over the sorted obstacles moves the candidate to the first block behind each
//! of them, so the cost depends on the number of obstacles, not of blocks.
//!
//! A route that is wider than a subnet does not compete with it, since the kernel takes the longest prefix. So it is
//! avoided as long as there is another subnet, and no further: a company's VPN routes all private prefixes.
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

/// Which subnets a prefix that is in use stands in the way of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// All that overlap it: who is in it is a neighbour of the host, or its routes are asked before ours.
    Whole,
    /// Those as large as it, and larger ones: it is a way to elsewhere, and a smaller subnet inside has precedence.
    Way,
}

/// A prefix that is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occupied {
    /// The prefix.
    pub net: IpNet,
    /// See [`Claim`].
    pub claim: Claim,
    /// What occupies it, for messages: `route via wg0 (table 51820)`, `network green`.
    pub by: String,
}

impl Occupied {
    /// Whether a subnet cannot be made because of it.
    pub fn refuses(&self, subnet: IpNet) -> bool {
        self.overlaps(subnet) && (self.claim == Claim::Whole || self.net.prefix_len() >= subnet.prefix_len())
    }

    /// Whether a subnet takes a part of it away: the hosts there are out of reach from then on.
    pub fn gives_way_to(&self, subnet: IpNet) -> bool {
        self.overlaps(subnet) && !self.refuses(subnet)
    }

    fn overlaps(&self, subnet: IpNet) -> bool {
        is_no_default(self.net) && Span::of(self.net).overlaps(Span::of(subnet))
    }
}

/// Default routes occupy nothing, nor do the halves that VPNs split them into.
fn is_no_default(net: IpNet) -> bool {
    net.prefix_len() > 1
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

/// The first subnet of the pools that overlaps no occupied prefix, else the first that none refuses.
pub fn choose_subnet(pools: &AddressPools, family: Family, in_the_way: &[Occupied]) -> Result<Subnet, NoPool> {
    let mut obstacles: Vec<(Span, &Occupied)> = in_the_way
        .iter()
        .filter(|o| Family::of(o.net.addr()) == family && is_no_default(o.net))
        .map(|o| (Span::of(o.net), o))
        .collect();
    obstacles.sort_by_key(|(span, _)| *span);

    let any = |_: &Occupied, _: AddressPool| true;
    let refusing = |o: &Occupied, pool: AddressPool| o.claim == Claim::Whole || o.net.prefix_len() >= pool.size();
    for counts in [&any as &dyn Fn(&Occupied, AddressPool) -> bool, &refusing] {
        for pool in pools.of(family) {
            let counting = obstacles.iter().filter(|(_, o)| counts(o, pool)).map(|(span, _)| *span);
            if let Some(net) = first_free(pool, counting)
                && let Ok(subnet) = Subnet::try_from(net)
            {
                return Ok(subnet);
            }
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
        let whole = |n: &&str| Occupied { net: n.parse().unwrap(), claim: Claim::Whole, by: format!("network n{n}") };
        nets.iter().map(whole).collect()
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
    fn a_wide_way_is_stepped_round_where_possible_and_a_narrow_one_always() {
        let way = |nets: &[&str]| -> Vec<Occupied> {
            let way = |n: &&str| Occupied { net: n.parse().unwrap(), claim: Claim::Way, by: format!("the route {n}") };
            nets.iter().map(way).collect()
        };
        let p = pools(&["10.7.0.0/22,24", "10.8.0.0/23,24"]);
        let chosen = |nets: &[&str]| choose_subnet(&p, Family::V4, &way(nets)).map(|subnet| subnet.to_string());
        assert_eq!(chosen(&["10.7.0.0/16"]).unwrap(), "10.8.0.0/24");
        assert_eq!(chosen(&["10.0.0.0/8"]).unwrap(), "10.7.0.0/24");
        assert_eq!(chosen(&["10.0.0.0/8", "10.7.0.0/24", "10.7.1.128/25"]).unwrap(), "10.7.2.0/24");
        assert!(chosen(&["10.0.0.0/8", "10.7.0.0/24", "10.7.1.0/24", "10.7.2.0/24", "10.7.3.7/32"]).is_ok());
        let all = ["10.7.0.0/24", "10.7.1.0/24", "10.7.2.0/24", "10.7.3.7/32", "10.8.0.0/24", "10.8.1.0/25"];
        assert!(chosen(&all).is_err());
        let [wide, same, inside] = ["10.0.0.0/8", "10.7.0.0/24", "10.7.0.9/32"].map(|n| way(&[n]).remove(0));
        let subnet = "10.7.0.0/24".parse().unwrap();
        assert!(wide.gives_way_to(subnet) && !wide.refuses(subnet));
        assert!(same.refuses(subnet) && inside.refuses(subnet) && !inside.gives_way_to(subnet));
        assert!(Occupied { claim: Claim::Whole, ..wide }.refuses(subnet));
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
                claim: Claim::Way,
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
            way in proptest::collection::vec((any::<u16>(), 14u8..=32, any::<bool>()), 0..60),
        ) {
            let base: IpNet = "10.9.0.0/16".parse().unwrap();
            let p = AddressPools::new(vec![AddressPool::new(base, size).unwrap()]);
            let way: Vec<Occupied> = way.into_iter().map(|(low, bits, is_whole)| {
                let [c, d] = low.to_be_bytes();
                let claim = if is_whole { Claim::Whole } else { Claim::Way };
                Occupied { net: IpNet::new(Ipv4Addr::new(10, 9, c, d).into(), bits).unwrap(), claim, by: String::new() }
            }).collect();
            let mut blocks = base.subnets(size).unwrap();
            let clear = |block: &IpNet| {
                let block = Subnet::try_from(*block).unwrap();
                way.iter().all(|o| !block.overlaps(o.net.trunc()))
            };
            let expected = blocks.find(clear).or_else(|| {
                base.subnets(size).unwrap().find(|block| !way.iter().any(|o| o.refuses(*block)))
            });
            let found = choose_subnet(&p, Family::V4, &way).ok().map(Subnet::net);
            prop_assert_eq!(found, expected);
        }
    }
}
