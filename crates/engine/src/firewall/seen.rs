//! Whether the firewall has to be looked at at all.
//!
//! # How it works
//! The kernel gives its ruleset a new number with every transaction, whichever program makes it. The store keeps the
//! number
//! for which everything was last found in order: while the ruleset has that number, nothing has to be looked at. Our
//! own
//! transactions raise the number by one, and the stored one follows when no other transaction lies between.

use crate::error::Error;
use crate::firewall::foreign::{Look, looked_after};
use crate::session::Session;
use zubi_model::Network;
use zubi_plan::{Op, Plan};
use zubi_store::FirewallSeen;

/// Whether nothing has changed since these networks were found in order.
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

/// Everything was found in order, or has just been put in order.
pub(crate) fn firewall_is_in_order(session: &mut Session, look: &Look, networks: &[Network]) {
    if look.shut.is_empty() {
        session.ruleset.in_order = Some(looked_after(session, networks));
        remember_firewall(session);
    }
}

/// Before a transaction of ours: what is remembered is to move along with it.
pub(crate) fn follow_firewall(session: &mut Session, plan: &Plan) -> Result<(), Error> {
    let joins = plan.ops.iter().any(Op::is_nft) && !plan.ops.iter().any(Op::is_guest);
    if joins && session.kernel.expected().is_none() {
        recall_firewall(session, &[])?;
    }
    Ok(())
}

/// Behind a transaction of ours.
pub(crate) fn remember_firewall(session: &mut Session) {
    let (Some(networks), Some(generation)) = (&session.ruleset.in_order, session.kernel.expected()) else { return };
    let seen = FirewallSeen { generation: generation.0, networks: networks.clone() };
    if session.ruleset.remembered.as_ref() != Some(&seen) && session.store().remember_firewall(&seen).is_ok() {
        session.ruleset.remembered = Some(seen);
    }
    // Not remembered: whoever comes next looks again.
}

/// Nothing is known of the firewall any more.
pub(crate) fn forget_firewall(session: &mut Session) -> Result<(), Error> {
    session.ruleset.in_order = None;
    session.ruleset.remembered = None;
    Ok(session.store().forget_firewall()?)
}
