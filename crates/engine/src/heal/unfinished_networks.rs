//! Networks that a killed command left half made, half changed or half removed.

use crate::error::Error;
use crate::session::Session;
use crate::steps::change_network::return_to;
use crate::undo::network::undo_network;
use zubi_model::{Network, NetworkName};
use zubi_store::ExclusiveHost;

/// What became of the networks that killed processes left half-way.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct RecoveredNetworks {
    /// Those that are whole or gone now.
    pub(crate) done: Vec<NetworkName>,
    /// Why another is not; it is tried again by the next command.
    pub(crate) failed: Vec<(NetworkName, Error)>,
}

impl RecoveredNetworks {
    /// Those that are whole or gone now; fails when this one is neither. The others are nobody's business here.
    pub(crate) fn but(self, name: &NetworkName) -> Result<Vec<NetworkName>, Error> {
        match self.failed.into_iter().find(|(failed, _)| failed == name) {
            Some((_, e)) => Err(e),
            None => Ok(self.done),
        }
    }
}

/// Takes away the networks that were only half made, or half taken away, when a command was killed. The caller holds
/// the host lock alone. One that cannot be finished keeps no other from it.
pub(crate) fn recover_networks(session: &mut Session, host: &ExclusiveHost) -> RecoveredNetworks {
    let mut recovered = RecoveredNetworks::default();
    // A file that cannot be read is reported by `check`.
    for network in session.store().networks_in_making_lossy().0 {
        match recover_network(session, host, &network) {
            Ok(Interrupted::Yes) => recovered.done.push(network.name),
            Ok(Interrupted::No) => {}
            Err(e) => recovered.failed.push((network.name, e)),
        }
    }
    recovered
}

fn recover_network(session: &mut Session, host: &ExclusiveHost, network: &Network) -> Result<Interrupted, Error> {
    match session.store().network(&network.name)? {
        // It is complete: either the last word is missing, or the first was all that was said.
        Some(complete) if complete == *network => {
            session.store().end_network(host, &network.name)?;
            return Ok(Interrupted::No);
        }
        // It was being changed.
        Some(complete) if complete.id == network.id => {
            return_to(session, &complete, network)?;
            session.store().end_network(host, &network.name)?;
        }
        _ => undo_network(session, host, network)?,
    }
    Ok(Interrupted::Yes)
}

/// Whether a network was left half-way.
enum Interrupted {
    Yes,
    No,
}
