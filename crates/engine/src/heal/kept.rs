//! Reservations of followed sandboxes in a new boot.

use crate::error::Error;
use crate::look::clock::nanoseconds;
use crate::session::Session;
use crate::steps::claim::reserve_all;
use zubi_model::{Followed, Reservation};

/// After a reboot: reserves again what followed sandboxes had. What another has by now is not theirs any more.
pub(crate) fn keep_all(session: &mut Session) -> Result<(), Error> {
    let all = session.store().all_followed_lossy().0;
    if all.is_empty() {
        return Ok(());
    }
    let host = &session.store().lock_host()?;
    for Followed { endpoint } in all {
        let Some(network) = session.store().network(&endpoint.network)? else { continue };
        let id = Followed::id(&network.id, &endpoint.sandbox.spelled);
        let owner = id.reservation_owner();
        let has_one = session.store().reservation(&network.name, &owner)?.is_some();
        if has_one || network.id != endpoint.network_id || network.asks_dhcp() {
            continue;
        }
        let reservation = Reservation {
            id: Some(id),
            owner,
            network: network.name.clone(),
            addresses: endpoint.addresses.clone(),
            mac: Some(endpoint.mac),
            names: endpoint.aliases.clone(),
            kept_for: Some(endpoint.sandbox.spelled.clone()),
            made_at: nanoseconds()?,
        };
        let leases = session.store().lock_leases(host, &network.name)?;
        if let Err(e) = reserve_all(session, &leases, &reservation, &[]) {
            session.note(format!("{} on {}: {e}", endpoint.sandbox.spelled, network.name));
        }
    }
    Ok(())
}
