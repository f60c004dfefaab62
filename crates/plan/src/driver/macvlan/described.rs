//! Networks of macvlans that another program describes.

use crate::driver::found::Unusable;
use zubi_model::{MacvlanDescription, MacvlanNetwork};
use zubi_wire::route::LinkSeen;

/// The network card has to exist. A port of a bridge carries no macvlan (EBUSY of `netdev_rx_handler_register`).
pub(in crate::driver) fn first_described(
    described: &MacvlanDescription,
    seen: Option<&LinkSeen>,
) -> Result<MacvlanNetwork, Unusable> {
    match seen {
        None => Err(Unusable::NoDevice),
        Some(seen) if seen.master.is_some() => Err(Unusable::OtherKind(Some("port of another device".into()))),
        Some(_) => Ok(described.first()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::seen;
    use zubi_model::{IfIndex, MacvlanMode};

    #[test]
    fn a_card_that_is_there_and_no_port_carries_macvlans() {
        let described = MacvlanDescription { parent: "eth0".parse().unwrap(), mode: MacvlanMode::Bridge };
        let card = seen("eth0", "veth");
        assert_eq!(first_described(&described, Some(&card)).unwrap(), described.first());
        assert_eq!(first_described(&described, None), Err(Unusable::NoDevice));
        let port = LinkSeen { master: Some(IfIndex(7)), ..card };
        assert!(matches!(first_described(&described, Some(&port)), Err(Unusable::OtherKind(Some(_)))));
    }
}
