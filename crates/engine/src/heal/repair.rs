//! Repairs what `check` finds, one object after another.

use crate::error::Error;
use crate::heal::gc::gc;
use crate::heal::object::{Healed, heal_endpoint, heal_firewall, heal_link, heal_network};
use crate::look::compare::whole_host;
use crate::look::host::host_facts;
use crate::records::read_records;
use crate::report::{Act, Force, Report};
use crate::session::Session;
use zubi_model::NetworkName;
use zubi_plan::{Place, Plan};

/// What was done so far.
#[derive(Default)]
struct Done {
    plan: Plan,
    words: Vec<String>,
    first_error: Option<Error>,
}

impl Done {
    /// Adds the outcome of one object. Returns whether anything was changed.
    fn take(&mut self, outcome: Result<Healed, Error>) -> bool {
        match outcome {
            Ok(healed) => {
                let is_changed = !healed.plan.is_empty();
                self.words.extend(healed.words);
                self.plan.append(healed.plan);
                is_changed
            }
            Err(e) => {
                self.first_error.get_or_insert(e);
                false
            }
        }
    }
}

/// Completes or undoes what was interrupted, removes what has no owner, and restores what is missing or changed. The
/// report names each change. After an object fails, the others are still repaired; the first error is returned at the
/// end.
pub(crate) fn repair(session: &mut Session, act: Act) -> Result<Report<Vec<String>>, Error> {
    let mut done = Done::default();
    if act == Act::Apply {
        match gc(session, Force::No, Act::Apply) {
            Ok(collected) => done.words.extend(collected.value),
            Err(e) => done.first_error = Some(e),
        }
    }
    let host = &session.store().lock_host_exclusive()?;
    let records = read_records(session)?;
    let mut snapshot = whole_host(session)?;
    let firewall = heal_firewall(session, &mut snapshot, &records.networks, act)?;
    if done.take(Ok(firewall)) && act == Act::Apply {
        snapshot.forget(&Place::Host);
    }
    let mut touched: Vec<NetworkName> = Vec::new();
    let facts = host_facts(session)?;
    for network in &records.networks {
        let endpoints = records.endpoints_on(&network.name);
        let healed = heal_network(session, &mut snapshot, &facts, network, endpoints, act);
        if done.take(healed) {
            touched.push(network.name.clone());
        }
    }
    if act == Act::Apply && !touched.is_empty() {
        snapshot.forget(&Place::Host);
    }
    let doing = session.begin();
    let all = records.endpoints.len();
    for (number, endpoint) in records.endpoints.iter().enumerate() {
        doing.step(|| format!("repairing, {number} of {all} endpoints"));
        let Some(network) = records.network(&endpoint.network) else { continue };
        // Another command is working on this sandbox.
        let Some(_lock) = session.store().try_lock_sandbox(host, endpoint.sandbox.cookie)? else { continue };
        let siblings = records.siblings(endpoint);
        let healed = heal_endpoint(session, &mut snapshot, network, endpoint, &siblings, &touched, act);
        let is_same = healed.as_ref().is_ok_and(|healed| healed.plan.is_empty());
        done.take(healed);
        if !is_same {
            // The next endpoint of this sandbox has to be compared with the new state.
            snapshot.forget(&Place::Sandbox(endpoint.sandbox.reached_by.clone()));
        }
    }
    for link in &records.links {
        let healed = heal_link(session, link, act);
        done.take(healed);
    }
    match done.first_error {
        Some(e) => Err(e),
        None => Ok(Report { plan: done.plan, value: done.words }),
    }
}
