//! Gives a network card back when nobody confirmed that a bridge took it over.

use crate::error::Error;
use crate::look::bridge_maker::bridge_of_host;
use crate::look::clock::nanoseconds;
use crate::session::Session;
use crate::undo::network::undo_network;
use std::time::{SystemTime, UNIX_EPOCH};
use zubi_model::Network;
use zubi_store::{ExclusiveHost, WentBack};

/// A network that is not confirmed stays until its time is over. One without a time was being made, or removed, when the
/// command was killed. Returns whether the card went back.
pub(crate) fn recover_takeover(session: &mut Session, host: &ExclusiveHost, network: &Network) -> Result<bool, Error> {
    let until = session.store().takeover(&network.name)?.and_then(|record| record.until);
    let now = nanoseconds()?;
    let why = match until {
        Some(until) if until > now => return Ok(false),
        Some(_) => "the network was not confirmed in time",
        None => "the command was killed half-way",
    };
    let is_of_host = bridge_of_host(session, network)?.is_some();
    undo_network(session, host, network)?;
    if !is_of_host {
        note_return(session, network, why)?;
    }
    Ok(true)
}

/// Remembers why a card went back, for the next `check` and the system's log.
fn note_return(session: &mut Session, network: &Network, why: &str) -> Result<(), Error> {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let card = network.parent().map_or("its card", |card| card.as_str());
    let why = format!("{card} went back to the host: {why}");
    zubi_kernel::log(&format!("zubi: network {}: {why}", network.name));
    session.store().write_went_back(&WentBack { network: network.name.clone(), why, at })?;
    Ok(())
}
