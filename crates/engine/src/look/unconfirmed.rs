//! Networks on the LAN that wait for their confirmation.

use crate::error::Error;
use crate::look::clock::nanoseconds;
use crate::session::Session;
use std::time::Duration;
use zubi_model::{Network, NetworkName};

/// A network that waits for its confirmation.
#[derive(Debug, Clone)]
pub struct Unconfirmed {
    /// The network.
    pub network: Network,
    /// The time that is left.
    pub left: Duration,
}

/// The networks that wait for their confirmation.
pub(crate) fn all_unconfirmed(session: &Session) -> Result<Vec<Unconfirmed>, Error> {
    let now = nanoseconds()?;
    let mut all = Vec::new();
    for network in session.store().unconfirmed_lossy() {
        let record = session.store().takeover(&network.name)?;
        if let Some(left) = record.and_then(|record| record.until).and_then(|until| until.checked_sub(now)) {
            all.push(Unconfirmed { network, left: Duration::from_nanos(left) });
        }
    }
    Ok(all)
}

/// Refuses to work on a network that is not confirmed.
pub(crate) fn refuse_unconfirmed(session: &Session, name: &NetworkName) -> Result<(), Error> {
    match all_unconfirmed(session)?.into_iter().find(|one| one.network.name == *name) {
        Some(one) => Err(Error::Unconfirmed { name: name.clone(), left: one.left.as_secs() }),
        None => Ok(()),
    }
}
