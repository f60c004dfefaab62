//! Applies plans. The engine changes the kernel only through this file.
//!
//! # How it works
//! A plan may contain guest rules. Their positions were read from one generation of the ruleset, and the transaction
//! names that generation: if another program changed the ruleset meanwhile, the kernel refuses it and the positions are
//! read again.

use crate::error::Error;
use crate::firewall::foreign::look_at_foreign;
use crate::firewall::forwarding::{of, slot, switched_on_before};
use crate::firewall::seen::{follow_firewall, remember_firewall};
use crate::session::Session;
use zubi_kernel::{Applied, Deletions};
use zubi_plan::{Outcome, Plan, What, coexist, forwarding};
use zubi_wire::route::FilterSide;

/// How often a plan is applied while other programs change the ruleset.
const TRIES: u32 = 5;

/// The plan with new guest rules for the same networks.
fn with_new_guest_rules(session: &mut Session, plan: &Plan) -> Result<Plan, Error> {
    let (mut networks, _) = session.store().networks_lossy();
    networks.extend(session.store().networks_in_making_lossy().0);
    networks.dedup_by(|a, b| a.id == b.id);
    networks.retain(|network| {
        plan.ops.iter().any(|op| matches!(&op.what, What::AddGuestRule(rule) if rule.device == *network.device()))
    });
    let mut anew: Plan = plan.ops.iter().filter(|op| !op.is_guest()).cloned().collect();
    coexist::join_transaction(&mut anew, look_at_foreign(session, &networks)?.plan);
    Ok(anew)
}

/// Applies a plan. If another program changes the ruleset first, the guest rules are planned again.
fn apply_steadily(session: &mut Session, plan: &Plan) -> Result<Result<(), zubi_kernel::Failed>, Error> {
    let mut plan = plan.clone();
    for _ in 1..TRIES {
        match session.kernel.apply(&plan) {
            Err(failed) if is_raced(&failed) => plan = with_new_guest_rules(session, &plan)?,
            other => return Ok(other.map(|applied| note_unfiltered(session, &applied))),
        }
    }
    Ok(session.kernel.apply(&plan).map(|applied| note_unfiltered(session, &applied)))
}

/// Notes a filter that this kernel does not support.
fn note_unfiltered(session: &mut Session, applied: &Applied) {
    for (op, outcome) in &applied.done {
        if let (What::AddFilter(filter), Outcome::Nothing) = (&op.what, outcome) {
            let open = match filter.side {
                FilterSide::Ingress => "containers can reach what the rules keep from them",
                FilterSide::Egress => "containers can be reached against the rules",
            };
            session.note(format!(
                "bridge {}: this kernel has no filters of classic BPF (sch_ingress, cls_bpf): after a flush of \
                 the nftables ruleset, {open} until the next command",
                filter.device
            ));
        }
    }
}

fn is_raced(failed: &zubi_kernel::Failed) -> bool {
    matches!(failed.error, zubi_kernel::Error::ForeignRulesChanged { .. }) && failed.rollback.is_empty()
}

pub(crate) fn apply(session: &mut Session, object: &str, plan: &Plan) -> Result<(), Error> {
    if plan.ops.iter().any(|op| matches!(op.what, zubi_plan::What::Set(_))) {
        zubi_kernel::settings_writable().map_err(Error::kernel(object))?;
    }
    remember_forwarding(session, plan)?;
    follow_firewall(session, plan)?;
    match apply_steadily(session, plan)? {
        Ok(()) => {
            remember_firewall(session);
            Ok(())
        }
        Err(failed) => {
            session.ruleset.in_order = None;
            Err(Error::Plan { object: object.to_owned(), failed: Box::new(failed) })
        }
    }
}

pub(crate) fn take_down(session: &mut Session, object: &str, plan: &Plan, deletions: Deletions) -> Result<(), Error> {
    follow_firewall(session, plan)?;
    let (_, errors) = session.kernel.take_down(plan, deletions);
    remember_firewall(session);
    if errors.is_empty() { Ok(()) } else { Err(Error::Leftover { object: object.to_owned(), errors }) }
}

/// Called before a plan that closes a family: records the old settings, unless they are recorded already.
fn remember_forwarding(session: &mut Session, plan: &Plan) -> Result<(), Error> {
    let families = forwarding::closed(plan);
    if families.is_empty() {
        return Ok(());
    }
    // A file that cannot be read stays, so that a person can look at it. The kernel's set has the same families.
    let Ok(mut before) = session.store().forwarding() else { return Ok(()) };
    // The positions of the plan's guest rules belong to this generation.
    let expected = session.kernel.expected();
    for family in families {
        if of(&before, family).is_none() {
            *slot(&mut before, family) = Some(switched_on_before(session, family)?);
        }
    }
    session.kernel.expect(expected);
    Ok(session.store().write_forwarding(&before)?)
}
