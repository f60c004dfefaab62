//! Putting right what `check` finds.

use crate::error::Error;
use crate::firewall::foreign::{look_at_foreign, note_refused};
use crate::firewall::table::{check_firewall_in, firewall_from_records};
use crate::heal::endpoint::{lacking_of_endpoint, put_right};
use crate::heal::gc::gc;
use crate::heal::link::lacking_of_link;
use crate::heal::missing::network_ops;
use crate::look::compare::{lacking_of, whole_host};
use crate::look::host::host_facts;
use crate::problem::{describe, describe_link};
use crate::records::read_records;
use crate::report::{Act, Force, Report};
use crate::session::Session;
use crate::steps::apply::apply;
use zubi_plan::{Place, Plan, What};

/// Finishes or undoes what was interrupted, removes what nobody owns, and puts back what is missing or changed.
/// The report names each thing that was done. One object that cannot be repaired does not keep the others from it.
pub(crate) fn repair(session: &mut Session, act: Act) -> Result<Report<Vec<String>>, Error> {
    let mut done = Vec::new();
    let mut first_error = None;
    if act == Act::Apply {
        match gc(session, Force::No, Act::Apply) {
            Ok(collected) => done.extend(collected.value),
            Err(e) => first_error = Some(e),
        }
    }
    let host = &session.store().lock_host_exclusive()?;
    let records = read_records(session)?;
    let mut snapshot = whole_host(session)?;
    let mut plan = Plan::new();
    if !records.networks.is_empty() {
        let mut firewall = Plan::new();
        if let Some(problem) = check_firewall_in(session, &mut snapshot)? {
            firewall = firewall_from_records(session)?;
            done.push(format!("{}: put back ({})", problem.object, problem.what));
        }
        let mut look = look_at_foreign(session, &records.networks)?;
        note_refused(session, &look, &records.networks);
        firewall.append(std::mem::take(&mut look.plan));
        done.extend(
            look.lacking.iter().map(|(network, what)| format!("network {}: let it pass ({what})", network.name)),
        );
        if act == Act::Apply && !firewall.is_empty() {
            apply(session, "firewall", &firewall)?;
            snapshot.forget(&Place::Host);
        }
        plan.append(firewall);
    }
    let mut touched = Vec::new();
    let facts = host_facts(session)?;
    for network in &records.networks {
        let object = format!("network {}", network.name);
        let repaired = network_ops(session, &facts, network, records.endpoints_on(&network.name))
            .and_then(|ops| lacking_of(session, &mut snapshot, &object, &ops))
            .and_then(|ops| put_right(session, &object, ops, act));
        if repaired.as_ref().is_ok_and(|plan| !plan.is_empty()) {
            touched.push(network.name.clone());
        }
        collect(repaired, &object, &mut done, &mut plan, &mut first_error);
    }
    if act == Act::Apply && !touched.is_empty() {
        snapshot.forget(&Place::Host);
    }
    for endpoint in &records.endpoints {
        let Some(network) = records.network(&endpoint.network) else { continue };
        let object = describe(endpoint);
        let siblings = records.siblings(endpoint);
        // Somebody is at work on it.
        let Some(_lock) = session.store().try_lock_sandbox(host, endpoint.sandbox.cookie)? else { continue };
        let repaired = lacking_of_endpoint(session, &mut snapshot, network, endpoint, &siblings, &touched)
            .and_then(|ops| put_right(session, &object, ops, act));
        if repaired.as_ref().map_or(true, |plan| !plan.is_empty()) {
            // Another endpoint of the sandbox is compared with what is there now.
            snapshot.forget(&Place::Sandbox(endpoint.sandbox.reached_by.clone()));
        }
        collect(repaired, &object, &mut done, &mut plan, &mut first_error);
    }
    for link in &records.links {
        let object = describe_link(link);
        let repaired = lacking_of_link(session, link).and_then(|ops| put_right(session, &object, ops, act));
        collect(repaired, &object, &mut done, &mut plan, &mut first_error);
    }
    match first_error {
        Some(e) => Err(e),
        None => Ok(Report { plan, value: done }),
    }
}

fn collect(
    repaired: Result<Plan, Error>,
    object: &str,
    done: &mut Vec<String>,
    plan: &mut Plan,
    first_error: &mut Option<Error>,
) {
    match repaired {
        Ok(repaired) if repaired.is_empty() => {}
        Ok(repaired) => {
            let put_right = repaired.ops.iter().filter(|op| !matches!(op.what, What::Announce(_)));
            done.extend(put_right.map(|op| format!("{object}: {op}")));
            plan.append(repaired);
        }
        Err(e) => {
            first_error.get_or_insert(e);
        }
    }
}
