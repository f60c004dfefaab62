//! Which addresses an endpoint gets: the ones asked for, or the next free ones.

use crate::decide::book::Book;
use crate::decide::obstacle::{Obstacle, Owners, Taken};
use crate::error::Error;
use ipnet::IpNet;
use std::net::IpAddr;
use zubi_ipam::{check_fixed, next_of_pools};
use zubi_model::{Addressing, EndpointAddress, Family, Invalid, Network, NetworkName, Pool};
use zubi_store::LeaseOwner;

/// The input of the choice.
#[derive(Debug)]
pub(crate) struct AddressAsk<'a> {
    pub(crate) network: &'a NetworkName,
    pub(crate) owner: &'a LeaseOwner,
    /// The sets of pools; one address is chosen from each.
    pub(crate) sets: &'a [Vec<Pool>],
    pub(crate) membership: Membership,
    /// The addresses asked for.
    pub(crate) asked: &'a [IpAddr],
    /// Addresses that somebody without a record uses.
    pub(crate) avoided: &'a [IpAddr],
}

/// Which set an asked address belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Membership {
    /// The set whose subnet contains it. A set gives all addresses asked for in its subnet.
    Subnet,
    /// The set whose range contains it: several sets may share a subnet. A set gives one address.
    Range,
}

/// The last address given from a set of pools. `set` counts the sets of the address's family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) set: usize,
    pub(crate) address: IpAddr,
}

/// The addresses, and the cursors to store with them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) addresses: Vec<EndpointAddress>,
    pub(crate) cursors: Vec<Cursor>,
}

/// Chooses the addresses of an endpoint.
pub(crate) fn of_endpoint(
    network: &Network,
    owner: &LeaseOwner,
    addressing: &Addressing,
    asked: &[IpAddr],
    avoided: &[IpAddr],
    book: &dyn Book,
    owners: &Owners,
) -> Result<Addresses, Obstacle> {
    let (sets, membership, given) = match addressing {
        Addressing::Given(given) => (Vec::new(), Membership::Subnet, given.clone()),
        Addressing::Sets(sets) => (sets.clone(), Membership::Range, Vec::new()),
        // One of each family, from any of its subnets, and all addresses asked for.
        Addressing::Network => (sets_of_network(network, asked)?, Membership::Subnet, Vec::new()),
    };
    let ask = AddressAsk { network: &network.name, owner, sets: &sets, membership, asked, avoided };
    for a in &given {
        require_free(&ask, a.address.addr(), book, owners)?;
    }
    let mut chosen = of_sets(&ask, book, owners)?;
    chosen.addresses.splice(0..0, given);
    Ok(chosen)
}

/// The pools of each family that give an address. Where others may give addresses too, one has to be asked for.
fn sets_of_network(network: &Network, asked: &[IpAddr]) -> Result<Vec<Vec<Pool>>, Error> {
    let gives =
        |pool: &&Pool| network.chooses_from(pool) || asked.iter().any(|address| pool.subnet.net().contains(address));
    let of = |family| network.pools_of(family).filter(gives).cloned().collect::<Vec<_>>();
    // A DHCP server gives those of IPv4.
    let families = [Family::V4, Family::V6].into_iter().filter(|family| *family == Family::V6 || !network.asks_dhcp());
    let sets: Vec<Vec<Pool>> = families.map(of).filter(|pools| !pools.is_empty()).collect();
    match network.pools.first() {
        Some(pool) if sets.is_empty() && asked.is_empty() && !network.asks_dhcp() => {
            let (name, device) = (network.name.clone(), network.device().clone());
            let on = if network.is_on_lan() { "on the LAN" } else { "another program's" };
            Err(Error::AddressWanted { network: name, device, on, subnet: pool.subnet.net() })
        }
        _ => Ok(sets),
    }
}

/// Chooses one address from each set, or takes those asked for.
pub(crate) fn of_sets(ask: &AddressAsk<'_>, book: &dyn Book, owners: &Owners) -> Result<Addresses, Obstacle> {
    let AddressAsk { network, sets, membership, .. } = *ask;
    let mut asked: Vec<IpAddr> = ask.asked.to_vec();
    let mut chosen = Addresses::default();
    for (number, set) in sets.iter().enumerate() {
        let earlier = sets[..number].iter().filter(|s| family_of(s) == family_of(set)).count();
        let gives = |pool: &Pool, address: IpAddr| check_fixed(pool, address).is_ok();
        let fits = |address: &IpAddr| match membership {
            Membership::Range => set.iter().any(|pool| gives(pool, *address)),
            Membership::Subnet => set.iter().any(|pool| pool.subnet.net().contains(address)),
        };
        let mut found: Vec<(&Pool, IpAddr)> = Vec::new();
        while let Some(at) = asked.iter().position(fits) {
            let address = asked.remove(at);
            require_free(ask, address, book, owners)?;
            // If two ranges are in one subnet, take the one that contains the address.
            let assigning = set.iter().find(|pool| gives(pool, address));
            let pool = assigning.or_else(|| set.iter().find(|pool| pool.subnet.net().contains(&address)));
            found.extend(pool.map(|pool| (pool, address)));
            if membership == Membership::Range {
                break;
            }
        }
        if found.is_empty() {
            let mut taken: Vec<IpAddr> = chosen.addresses.iter().map(|a| a.address.addr()).collect();
            taken.extend(ask.avoided);
            let (at, address) = next_free(network, set, earlier, &taken, book)?;
            found.push((&set[at], address));
        }
        for (pool, address) in found {
            chosen.cursors.push(Cursor { set: earlier, address });
            let address = IpNet::new_assert(address, pool.subnet.net().prefix_len());
            chosen.addresses.push(EndpointAddress { address, gateway: pool.gateway });
        }
    }
    match asked.first() {
        Some(address) => Err(Invalid::new("address", address, "is in none of the ranges it could come from").into()),
        None => Ok(chosen),
    }
}

/// The next free address of a set of pools, and the pool's place in the set.
pub(crate) fn next_free(
    network: &NetworkName,
    pools: &[Pool],
    number: usize,
    taken: &[IpAddr],
    book: &dyn Book,
) -> Result<(usize, IpAddr), Obstacle> {
    let Some(family) = family_of(pools) else {
        return Err(Invalid::new("set of address ranges", number, "is empty").into());
    };
    let cursor = book.cursor(network, family, number)?;
    let mut trouble: Option<Error> = None;
    let mut is_taken = |address| {
        taken.contains(&address)
            || book.is_leased(network, address).unwrap_or_else(|e| {
                trouble = Some(e);
                true
            })
    };
    let next = next_of_pools(pools, cursor, &mut is_taken);
    match trouble {
        Some(e) => Err(e.into()),
        None => next.map_err(Obstacle::Exhausted),
    }
}

fn require_free(ask: &AddressAsk<'_>, address: IpAddr, book: &dyn Book, owners: &Owners) -> Result<(), Obstacle> {
    match book.lease(ask.network, address)? {
        Some(owner) if owner == *ask.owner || owners.is_gone(&owner) => Ok(()),
        Some(owner) if owners.is_alive(&owner, None) => Err(Obstacle::Taken(Taken::Address { address, owner })),
        Some(owner) => Err(Obstacle::Held { owner, claim: None }),
        None if ask.avoided.contains(&address) => Err(Obstacle::Taken(Taken::Unrecorded(address))),
        None => Ok(()),
    }
}

fn family_of(pools: &[Pool]) -> Option<Family> {
    pools.first().map(|pool| pool.subnet.family())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::memory::{Memory, lease_owner, network};

    fn choose(book: &Memory, asked: &[&str], owners: &Owners) -> Result<Addresses, Obstacle> {
        let asked: Vec<IpAddr> = asked.iter().map(|text| text.parse().unwrap()).collect();
        let network = network("blue", &["10.55.66.0/29", "fd00:5::/64"]);
        of_endpoint(&network, &lease_owner(7, "blue"), &Addressing::Network, &asked, &[], book, owners)
    }

    fn words(chosen: &Addresses) -> String {
        chosen.addresses.iter().map(|a| a.address.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn each_family_gets_the_next_free_address() {
        let mut book = Memory::default();
        assert_eq!(words(&choose(&book, &[], &Owners::default()).unwrap()), "10.55.66.2/29 fd00:5::2/64");
        book.add_lease("10.55.66.2", lease_owner(5, "blue"));
        book.add_cursor("10.55.66.3", 0);
        let chosen = choose(&book, &[], &Owners::default()).unwrap();
        assert_eq!(words(&chosen), "10.55.66.4/29 fd00:5::2/64");
        assert_eq!(chosen.cursors[0], Cursor { set: 0, address: "10.55.66.4".parse().unwrap() });
    }

    #[test]
    fn an_address_with_an_owner_is_an_obstacle_until_the_owner_is_known_to_be_gone() {
        let mut book = Memory::default();
        book.add_lease("10.55.66.4", lease_owner(5, "blue"));
        let mut owners = Owners::default();
        let obstacle = choose(&book, &["10.55.66.4"], &owners).unwrap_err();
        assert!(matches!(obstacle, Obstacle::Held { owner, claim: None } if owner == lease_owner(5, "blue")));
        owners.note_alive(lease_owner(5, "blue"), None);
        let obstacle = choose(&book, &["10.55.66.4"], &owners).unwrap_err();
        assert!(matches!(obstacle, Obstacle::Taken(Taken::Address { .. })));
        let mut owners = Owners::default();
        owners.note_gone(lease_owner(5, "blue"));
        assert_eq!(words(&choose(&book, &["10.55.66.4"], &owners).unwrap()), "10.55.66.4/29 fd00:5::2/64");
    }

    #[test]
    fn an_address_that_somebody_without_a_record_uses_is_passed_over_and_refused_to_who_asks_for_it() {
        let network = network("blue", &["10.55.66.0/29"]);
        let (owner, book, owners) = (lease_owner(7, "blue"), Memory::default(), Owners::default());
        let avoided: Vec<IpAddr> = ["10.55.66.2", "10.55.66.3"].map(|text| text.parse().unwrap()).to_vec();
        let of = |addressing: &Addressing, asked: &[IpAddr]| {
            of_endpoint(&network, &owner, addressing, asked, &avoided, &book, &owners)
        };
        assert_eq!(words(&of(&Addressing::Network, &[]).unwrap()), "10.55.66.4/29");
        let given = EndpointAddress { address: "10.55.66.3/29".parse().unwrap(), gateway: None };
        for refused in [of(&Addressing::Network, &avoided[1..]), of(&Addressing::Given(vec![given]), &[])] {
            let Err(Obstacle::Taken(Taken::Unrecorded(address))) = refused else { panic!("{refused:?}") };
            assert_eq!(address, avoided[1]);
        }
    }

    #[test]
    fn an_endpoint_may_ask_for_the_address_it_has() {
        let mut book = Memory::default();
        book.add_lease("10.55.66.4", lease_owner(7, "blue"));
        assert!(choose(&book, &["10.55.66.4"], &Owners::default()).is_ok());
    }

    #[test]
    fn a_full_subnet_is_exhausted() {
        let mut book = Memory::default();
        for last in 2..=6 {
            book.add_lease(&format!("10.55.66.{last}"), lease_owner(5, "blue"));
        }
        assert!(matches!(choose(&book, &[], &Owners::default()), Err(Obstacle::Exhausted(_))));
    }

    #[test]
    fn an_address_outside_every_range_is_refused() {
        let obstacle = choose(&Memory::default(), &["10.9.9.9"], &Owners::default()).unwrap_err();
        assert!(matches!(obstacle, Obstacle::Failed(Error::Invalid(_))));
    }

    #[test]
    fn of_two_sets_in_one_subnet_an_address_belongs_to_the_one_whose_range_gives_it() {
        // A range of a CNI configuration excludes all addresses outside of it.
        let pool = |excluded: [&str; 2]| {
            let mut pool = network("blue", &["10.55.66.0/24"]).pools.remove(0);
            pool.exclude = excluded.map(|text| text.parse().unwrap()).to_vec();
            vec![pool]
        };
        let sets = [
            pool(["10.55.66.0-10.55.66.15", "10.55.66.32-10.55.66.255"]),
            pool(["10.55.66.0-10.55.66.31", "10.55.66.48-10.55.66.255"]),
        ];
        let (blue, owner) = ("blue".parse().unwrap(), lease_owner(7, "blue"));
        let asked = ["10.55.66.40".parse().unwrap()];
        let ask = AddressAsk {
            network: &blue,
            owner: &owner,
            sets: &sets,
            membership: Membership::Range,
            asked: &asked,
            avoided: &[],
        };
        let chosen = of_sets(&ask, &Memory::default(), &Owners::default()).unwrap();
        assert_eq!(words(&chosen), "10.55.66.16/24 10.55.66.40/24");
        assert_eq!(chosen.cursors.iter().map(|c| c.set).collect::<Vec<_>>(), [0, 1]);
    }
}
