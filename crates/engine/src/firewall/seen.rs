//! Remembers the generation of the ruleset for which the firewall was complete.
//!
//! # How it works
//! The kernel gives its ruleset a new generation number with every transaction of any program. The store keeps the
//! number for which the firewall was last found complete: as long as the ruleset has it, no command reads the firewall.
//! A transaction of ours raises the number by one, and the stored number follows if no other transaction lies between.

use crate::error::Error;
use crate::firewall::foreign::{Look, looked_after};
use crate::session::Session;
use zubi_model::Network;
use zubi_plan::{Op, Plan};
use zubi_store::FirewallSeen;

/// Whether the ruleset has not changed since these networks were found in order.
pub(crate) fn recall_firewall(session: &mut Session, involved: &[Network]) -> Result<bool, Error> {
    session.ruleset.in_order = None;
    let Some(seen) = session.store().firewall_seen()? else { return Ok(false) };
    let generation = session.kernel.generation().map_err(Error::kernel("firewall"))?;
    let covered = looked_after(session, involved).iter().all(|id| seen.networks.contains(id));
    if seen.generation != generation.0 || !covered {
        return Ok(false);
    }
    session.kernel.expect(Some(generation));
    session.ruleset.in_order = Some(seen.networks);
    Ok(true)
}

/// Remembers that everything is in order, or has just been repaired.
pub(crate) fn firewall_is_in_order(session: &mut Session, look: &Look, networks: &[Network]) {
    if look.shut.is_empty() {
        session.ruleset.in_order = Some(looked_after(session, networks));
        remember_firewall(session);
    }
}

/// Called before a transaction of ours, so that the remembered generation follows it.
pub(crate) fn follow_firewall(session: &mut Session, plan: &Plan) -> Result<(), Error> {
    let joins = plan.ops.iter().any(Op::is_nft) && !plan.ops.iter().any(Op::is_guest);
    if joins && session.kernel.expected().is_none() {
        recall_firewall(session, &[])?;
    }
    Ok(())
}

/// Stores the generation after a transaction of ours.
pub(crate) fn remember_firewall(session: &mut Session) {
    let (Some(networks), Some(generation)) = (&session.ruleset.in_order, session.kernel.expected()) else { return };
    let seen = FirewallSeen { generation: generation.0, networks: networks.clone() };
    if session.ruleset.remembered.as_ref() != Some(&seen) && session.store().remember_firewall(&seen).is_ok() {
        session.ruleset.remembered = Some(seen);
    }
    // If the hint cannot be written, the next command looks again.
}

/// Deletes the hint: the next command looks again.
pub(crate) fn forget_firewall(session: &mut Session) -> Result<(), Error> {
    session.ruleset.in_order = None;
    session.ruleset.remembered = None;
    Ok(session.store().forget_firewall()?)
}
