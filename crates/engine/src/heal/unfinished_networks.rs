//! Networks that a killed command left half made, half changed or half removed.

use crate::error::Error;
use crate::heal::takeover::recover_takeover;
use crate::look::clock::nanoseconds;
use crate::session::Session;
use crate::steps::change_network::return_to;
use crate::undo::network::undo_network;
use zubi_model::{Network, NetworkName};
use zubi_store::{ExclusiveHost, TakeOverRecord};

/// The outcome of recovering unfinished networks.
#[derive(Debug, Default)]
#[must_use]
pub(crate) struct RecoveredNetworks {
    /// The networks that are complete or gone now.
    pub(crate) done: Vec<NetworkName>,
    /// The networks that are neither, and why. The next command tries again.
    pub(crate) failed: Vec<(NetworkName, Error)>,
}

impl RecoveredNetworks {
    /// Returns the networks that are complete or gone now. Fails only if `name` could not be recovered; errors of other
    /// networks are ignored.
    pub(crate) fn but(self, name: &NetworkName) -> Result<Vec<NetworkName>, Error> {
        match self.failed.into_iter().find(|(failed, _)| failed == name) {
            Some((_, e)) => Err(e),
            None => Ok(self.done),
        }
    }
}

/// Removes networks that were half made or half removed when a command was killed, and takes changed ones back to their
/// records. After a failure the other networks are still recovered. The caller holds the host lock exclusively.
pub(crate) fn recover_networks(session: &mut Session, host: &ExclusiveHost) -> RecoveredNetworks {
    let mut recovered = RecoveredNetworks::default();
    // `check` reports a file that cannot be read.
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
    if network.parent().is_some() && session.store().network(&network.name)?.is_none() {
        return Ok(if recover_takeover(session, host, network)? { Interrupted::Yes } else { Interrupted::No });
    }
    match session.store().network(&network.name)? {
        // The network is complete: the command was killed before its first change, or after its last.
        Some(complete) if complete == *network => {
            session.store().end_network(host, &network.name)?;
            return Ok(Interrupted::No);
        }
        // The command was changing the network.
        Some(complete) if complete.id == network.id => {
            return_to(session, &complete, network)?;
            session.store().end_network(host, &network.name)?;
        }
        _ => undo_network(session, host, network)?,
    }
    Ok(Interrupted::Yes)
}

/// Does what guardians of networks on the LAN were killed before they could do.
pub(crate) fn recover_takeovers(session: &mut Session) -> Result<(), Error> {
    let now = nanoseconds()?;
    let is_due = |session: &Session| {
        let due = |record: &TakeOverRecord| record.until.is_none_or(|until| until <= now);
        let records = session.store().takeovers_lossy().0;
        records.iter().any(|record| due(record) && session.store().is_in_making(&record.network))
    };
    if !is_due(session) {
        return Ok(());
    }
    // Another command may be making it just now.
    let host = session.store().lock_host_exclusive()?;
    for (name, error) in recover_networks(session, &host).failed {
        session.note(format!("network {name}: {error}; the next command tries again"));
    }
    Ok(())
}

/// Whether a command was interrupted in the middle of its changes.
enum Interrupted {
    Yes,
    No,
}
