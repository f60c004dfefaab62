//! Networks of macvlans that another program describes.

use crate::driver::found::Unusable;
use zubi_model::{MacvlanDescription, MacvlanNetwork};
use zubi_wire::route::LinkSeen;

/// `seen` is the network card, which the caller has found fit.
pub(in crate::driver) fn first_described(
    described: &MacvlanDescription,
    seen: Option<&LinkSeen>,
) -> Result<MacvlanNetwork, Unusable> {
    let seen = seen.ok_or(Unusable::NoDevice)?;
    let parent = seen.name.parse().map_err(|_| Unusable::OtherKind(seen.kind.clone()))?;
    Ok(described.first(parent, seen.mac))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::seen;
    use zubi_model::{Broadcasts, CardMode, IpvlanMode, Mac, MacvlanMode};

    #[test]
    fn the_only_macvlan_and_all_ipvlans_of_a_card_have_the_cards_mac() {
        let card = LinkSeen { mac: Some(Mac::from_random([1; 6])), ..seen("eth0", "veth") };
        let card_mac = |mode| {
            let described = MacvlanDescription { parent: None, mode, broadcasts: Broadcasts::default() };
            let first = first_described(&described, Some(&card)).unwrap();
            assert_eq!((first.parent.as_str(), first.mode, first.shim), ("eth0", mode, None));
            first.card_mac
        };
        assert_eq!(card_mac(CardMode::default()), None);
        assert_eq!(card_mac(CardMode::Macvlan(MacvlanMode::Passthru)), card.mac);
        assert_eq!(card_mac(CardMode::Ipvlan(IpvlanMode::L3)), card.mac);
        let mode = CardMode::default();
        let described = MacvlanDescription { parent: None, mode, broadcasts: Broadcasts::default() };
        assert_eq!(first_described(&described, None), Err(Unusable::NoDevice));
    }
}
