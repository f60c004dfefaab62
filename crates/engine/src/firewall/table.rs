//! Our nftables table: checks it, and restores it from the records.

use crate::error::Error;
use crate::firewall::foreign::{look_at_foreign, looked_after, note_refused};
use crate::firewall::forwarding::closed_elements;
use crate::firewall::seen::recall_firewall;
use crate::problem::{Problem, ProblemKind, REPAIR};
use crate::session::Session;
use zubi_model::Network;
use zubi_plan::{Op, Plan, What, driver, firewall};
use zubi_snapshot::{Needs, Snapshot};

pub(crate) fn check_firewall(session: &mut Session) -> Result<Option<Problem>, Error> {
    check_firewall_in(session, &mut Snapshot::new())
}

/// Compares the layout with the kernel: chains, sets, and all rules in their order.
pub(crate) fn check_firewall_in(session: &mut Session, snapshot: &mut Snapshot) -> Result<Option<Problem>, Error> {
    session.read(snapshot, &Needs::new().layout(), "firewall")?;
    let seen = snapshot.firewall().map_err(Error::unread("firewall"))?;
    let problem = |what: String| Some(Problem::new(ProblemKind::Firewall, "firewall table inet zubi", what, REPAIR));
    let Some(table) = &seen.table else { return Ok(problem("is gone: the ruleset was flushed".into())) };
    if seen.is_foreign() {
        let what = "has the name of zubi's, and zubi did not make it";
        let fix = "look at it (nft list table inet zubi), then nft delete table inet zubi && zubi repair";
        return Ok(Some(Problem::new(ProblemKind::Firewall, "firewall table inet zubi", what, fix)));
    }
    if table.dormant {
        return Ok(problem("is switched off (flag dormant): none of its rules applies".into()));
    }
    if table.owner.is_some() {
        return Ok(problem("belongs to another program (owner flag); that program must end first".into()));
    }
    let chains = firewall::chains().iter().filter(|c| !seen.chains.iter().any(|s| c.is(s))).count();
    let sets = firewall::sets().iter().filter(|c| !seen.sets.iter().any(|s| c.is(s))).count();
    if chains + sets > 0 {
        return Ok(problem(format!("{chains} of its chains and {sets} of its sets are missing or changed")));
    }
    for chain in firewall::chains() {
        let wanted: Vec<_> = firewall::rules().into_iter().filter(|r| r.chain == chain.name).collect();
        let found: Vec<_> = seen.rules.iter().map(|r| &r.rule).filter(|r| r.chain == chain.name).collect();
        if wanted.iter().collect::<Vec<_>>() != found {
            let what = format!(
                "chain {} has {} rules that differ from ours ({} expected)",
                chain.name,
                found.len(),
                wanted.len()
            );
            return Ok(problem(what));
        }
    }
    Ok(None)
}

/// The missing parts of the firewall, in our table and in other programs' chains, for all networks. The plan is empty
/// if the ruleset has not changed since these networks were found in order.
pub(crate) fn missing_firewall(session: &mut Session, involved: &[Network]) -> Result<Plan, Error> {
    if recall_firewall(session, involved)? {
        return Ok(Plan::new());
    }
    let networks = session.store().networks_lossy().0;
    let failed = || Error::kernel("firewall");
    // This comes first: it pins the ruleset's generation, so a later change makes our transaction fail with ERESTART.
    let look = look_at_foreign(session, &networks)?;
    note_refused(session, &look, involved);
    let mut plan = Plan::new();
    if !session.kernel.firewall_stands().map_err(failed())? {
        plan = firewall_from_records(session)?;
    }
    let in_order = plan.is_empty() && look.is_in_order();
    session.ruleset.in_order = in_order.then(|| looked_after(session, &networks));
    plan.append(look.plan);
    Ok(plan)
}

/// The whole firewall from the records if the table or its rules are gone, else an empty plan.
pub(crate) fn lost_firewall(session: &mut Session) -> Result<Plan, Error> {
    if session.kernel.firewall_stands().map_err(Error::kernel("firewall"))? {
        return Ok(Plan::new());
    }
    firewall_from_records(session)
}

/// The plan that restores the whole firewall from the records in one transaction. The caller holds the exclusive host
/// lock.
pub(crate) fn firewall_from_records(session: &mut Session) -> Result<Plan, Error> {
    const WHY: &str = "put the firewall back as the records have it";
    let mut plan = Plan::new();
    let seen = session.kernel.firewall().map_err(Error::kernel("firewall"))?;
    if seen.is_foreign() {
        return Err(Error::ForeignTable { table: firewall::TABLE.to_string() });
    }
    if seen.table.is_some() {
        plan.push(Op::host(What::DeleteTable(firewall::TABLE), WHY));
    }
    plan.ops.extend(firewall::layout());
    let networks = session.store().networks_lossy().0;
    let endpoints = session.store().all_endpoints_lossy().0;
    let closed = closed_elements(session)?;
    let elements = networks
        .iter()
        .flat_map(driver::network_elements)
        .chain(endpoints.iter().flat_map(firewall::endpoint_elements));
    plan.ops.extend(elements.chain(closed).map(|e| Op::host(What::AddElement(e), WHY)));
    Ok(plan)
}
