//! What is recorded of networks that a container engine has by way of zubi.

use crate::error::Error;
use crate::session::Session;
use zubi_model::{GuestNetwork, NetworkId};

/// All that can be read.
pub(crate) fn guest_networks(session: &Session) -> Vec<GuestNetwork> {
    session.store().guest_networks_lossy().0
}

/// The one with the engine's number.
pub(crate) fn guest_network(session: &Session, id: &NetworkId) -> Result<Option<GuestNetwork>, Error> {
    Ok(session.store().guest_network(id)?)
}

/// Records one, or what changed of it.
pub(crate) fn keep_guest_network(session: &mut Session, guest: &GuestNetwork) -> Result<(), Error> {
    let host = &session.store().lock_host()?;
    Ok(session.store().write_guest_network(host, guest)?)
}

/// Forgets one. Succeeds if there is none.
pub(crate) fn forget_guest_network(session: &mut Session, id: &NetworkId) -> Result<(), Error> {
    let host = &session.store().lock_host()?;
    Ok(session.store().remove_guest_network(host, id)?)
}
