//! Who made the bridge of a network with a card: zubi, or the host's own configuration at boot.
//!
//! # How it works
//! A bridge that networkd, NetworkManager or ifupdown makes has no mark of zubi's. If the network's card is its port, the
//! host's addresses are on it already: zubi takes it as it is. If the card is elsewhere, taking the card over would take
//! the host's addresses from whatever has them now, so the network is refused.

use crate::error::Error;
use crate::session::Session;
use std::path::Path;
use zubi_model::Network;
use zubi_plan::alias::{self, Maker};
use zubi_plan::{Place, driver, permanent};
use zubi_wire::route::LinkSeen;

/// Who made the bridge of a network; a bridge that is missing is zubi's to make. Refuses a bridge of the host's
/// configuration that is not the network's.
pub(crate) fn maker(session: &mut Session, network: &Network) -> Result<Maker, Error> {
    let (Some(card), Some(seen)) = (network.parent(), bridge_of_host(session, network)?) else {
        return Ok(Maker::Zubi);
    };
    let bridge = network.device();
    let no = |why: String| Err(Error::BridgeOfHost { network: network.name.clone(), bridge: bridge.clone(), why });
    if let Some(mark) = seen.alias.as_deref().and_then(alias::read_network) {
        let run = session.run_folder();
        if mark.run != alias::run_word(&run) {
            return no(format!("is that of network {} of the zubi with the run folder {}", mark.network, mark.run));
        }
        if mark.id != network.id {
            return no(format!("is that of another network, {} with the id {}", mark.network, mark.id));
        }
        return Ok(Maker::Host);
    }
    let is_port = |card: LinkSeen| card.master == Some(seen.index);
    let seen_card =
        session.kernel.link(&Place::Host, card.as_str()).map_err(Error::kernel(format!("network card {card}")))?;
    if seen_card.is_some_and(is_port) {
        return Ok(Maker::Host);
    }
    no(format!(
        "is there, made by the host's own configuration, and {card} is not its port: make it one there (zubi network \
         persist {} NAME says how), or give that bridge another name",
        network.name
    ))
}

/// The bridge with the name of a network's that the host's own configuration made.
pub(crate) fn bridge_of_host(session: &mut Session, network: &Network) -> Result<Option<LinkSeen>, Error> {
    if network.parent().is_none() {
        return Ok(None);
    }
    let failed = Error::kernel(format!("network {}", network.name));
    let seen = session.kernel.link(&Place::Host, network.device().as_str()).map_err(failed)?;
    Ok(seen.filter(|seen| driver::is_of_host(network, seen)))
}

/// The files that make the bridge of a network at boot, where `zubi network persist` puts them.
pub(crate) fn files_of_bridge(network: &Network) -> Vec<String> {
    let paths = network.parent().map(|card| permanent::paths(network.device(), card)).unwrap_or_default();
    paths.into_iter().filter(|path| Path::new(path).exists()).collect()
}
