//! Working on after the whole ruleset was flushed.

use crate::error::Error;
use crate::firewall::foreign::look_at_foreign;
use crate::firewall::table::{check_firewall, firewall_from_records};
use crate::session::Session;
use crate::steps::apply::apply;

/// Does it once more when somebody flushed the firewall in the middle of it. The caller holds no lock.
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

/// Puts the firewall back if it is not whole. Nothing is in the middle of being made meanwhile, so that the
/// records say everything.
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
