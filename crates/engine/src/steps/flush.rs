//! Recovery from a flush of the whole ruleset.

use crate::error::Error;
use crate::firewall::foreign::look_at_foreign;
use crate::firewall::table::{check_firewall, firewall_from_records};
use crate::session::Session;
use crate::steps::apply::apply;

/// Calls `act` a second time if the ruleset was flushed during the first. The caller holds no lock.
pub(crate) fn past_a_flush<T>(
    session: &mut Session,
    act: impl Fn(&mut Session) -> Result<T, Error>,
) -> Result<T, Error> {
    match act(session) {
        Err(e) if e.layout_missing() => {
            restore_firewall(session)?;
            act(session)
        }
        other => other,
    }
}

/// Restores the firewall if it is incomplete. Under the exclusive lock no command is half done, so the records are
/// complete.
fn restore_firewall(session: &mut Session) -> Result<(), Error> {
    let _host = session.store().lock_host_exclusive()?;
    if check_firewall(session)?.is_some() {
        let networks = session.store().networks_lossy().0;
        let mut firewall = firewall_from_records(session)?;
        firewall.append(look_at_foreign(session, &networks)?.plan);
        apply(session, "firewall", &firewall)?;
    }
    Ok(())
}
