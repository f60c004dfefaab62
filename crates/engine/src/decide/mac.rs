//! Which MAC the inner end of an endpoint gets.

use crate::decide::book::Book;
use crate::decide::obstacle::{MacOwner, Obstacle, Owners, Taken};
use zubi_model::{EndpointAddress, Mac, MacWish, Network};
use zubi_store::LeaseOwner;

/// Chooses the MAC by the wish. `random` is the choice if any MAC will do, or if a live endpoint already has the MAC
/// that is made from the address.
pub(crate) fn of_endpoint(
    network: &Network,
    owner: &LeaseOwner,
    addresses: &[EndpointAddress],
    wish: MacWish,
    random: Mac,
    book: &dyn Book,
    owners: &Owners,
) -> Result<Mac, Obstacle> {
    // The kernel gives the only macvlan in the mode `passthru` the card's MAC. Ipvlans have it too: what is chosen for them is
    // a key.
    if let Some(card) = network.macvlan().and_then(|part| part.card_mac).filter(|_| network.shared_mac().is_none()) {
        return match wish {
            MacWish::Given(mac) if mac != card => {
                let owner = MacOwner::Device(format!("the card {}, whose endpoint has {card}", network.device()));
                Err(Obstacle::Taken(Taken::Mac { mac, owner }))
            }
            _ => Ok(card),
        };
    }
    let own = network.whole_device().and_then(|part| part.mac);
    let wished = match (wish, addresses.first()) {
        (MacWish::FromAddress, _) if network.whole_device().is_some() => return Ok(own.unwrap_or(random)),
        (MacWish::Given(mac), _) => mac,
        (MacWish::FromAddress, Some(first)) => Mac::from_address(first.address.addr()),
        (MacWish::Random, _) | (MacWish::FromAddress, None) => return Ok(random),
    };
    if wish != MacWish::FromAddress && Some(wished) == network.device_mac() {
        let owner = MacOwner::Device(format!("the bridge {}", network.device()));
        return Err(Obstacle::Taken(Taken::Mac { mac: wished, owner }));
    }
    match book.mac(&network.name, wished)? {
        Some(other) if other != *owner && !owners.is_gone(&other) => {
            if !owners.is_alive(&other, None) {
                return Err(Obstacle::Held { owner: other, claim: None });
            }
            // The other endpoint asked for exactly this MAC.
            if wish == MacWish::FromAddress {
                return Ok(random);
            }
            Err(Obstacle::Taken(Taken::Mac { mac: wished, owner: MacOwner::Endpoint(other) }))
        }
        _ => Ok(wished),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::memory::{Memory, lease_owner, network};

    const RANDOM: &str = "02:00:00:00:00:01";

    fn choose(book: &Memory, wish: MacWish, owners: &Owners) -> Result<String, Obstacle> {
        let blue = network("blue", &["10.55.66.0/24"]);
        let addresses = [EndpointAddress { address: "10.55.66.9/24".parse().unwrap(), gateway: None }];
        let mac = of_endpoint(&blue, &lease_owner(7, "blue"), &addresses, wish, RANDOM.parse().unwrap(), book, owners)?;
        Ok(mac.to_string())
    }

    #[test]
    fn a_mac_follows_from_the_address_unless_something_else_is_wished() {
        let from_address = Mac::from_address("10.55.66.9".parse().unwrap()).to_string();
        let book = Memory::default();
        assert_eq!(choose(&book, MacWish::FromAddress, &Owners::default()).unwrap(), from_address);
        assert_eq!(choose(&book, MacWish::Random, &Owners::default()).unwrap(), RANDOM);
    }

    #[test]
    fn a_mac_that_lives_elsewhere_is_refused_when_asked_for_and_avoided_when_not() {
        let mac = Mac::from_address("10.55.66.9".parse().unwrap());
        let mut book = Memory::default();
        book.add_mac(mac, lease_owner(5, "blue"));
        assert!(matches!(choose(&book, MacWish::FromAddress, &Owners::default()), Err(Obstacle::Held { .. })));
        let mut owners = Owners::default();
        owners.note_alive(lease_owner(5, "blue"), None);
        assert_eq!(choose(&book, MacWish::FromAddress, &owners).unwrap(), RANDOM);
        assert!(matches!(choose(&book, MacWish::Given(mac), &owners), Err(Obstacle::Taken(Taken::Mac { .. }))));
    }

    #[test]
    fn the_bridge_s_own_mac_is_refused() {
        let wish = MacWish::Given(network("blue", &[]).device_mac().unwrap());
        assert!(matches!(choose(&Memory::default(), wish, &Owners::default()), Err(Obstacle::Taken(_))));
    }
}
