//! Repairing one object: the firewall table, a network, an endpoint or a link.
//!
//! # How it works
//! Each object has its own lock and its own records. [`heal`] takes the lock, reads the record, and restores what is
//! missing or changed, so an event only has to name the object. `zubi repair` calls the same functions for all objects,
//! with one snapshot.
//!
//! # Limits
//! The elements of networks and endpoints need the firewall table: if it is missing, repair the firewall first.

use crate::error::Error;
use crate::firewall::foreign::{look_at_foreign, note_refused};
use crate::firewall::table::{check_firewall_in, firewall_from_records};
use crate::heal::endpoint::lacking_of_endpoint;
use crate::heal::link::lacking_of_link;
use crate::heal::missing::{network_ops, take_over_again};
use crate::look::compare::lacking_of;
use crate::look::default_route::siblings;
use crate::look::host::host_facts;
use crate::problem::{describe, describe_link};
use crate::report::Act;
use crate::session::Session;
use crate::steps::apply::apply;
use zubi_model::{DirectLink, Endpoint, EndpointKey, LinkId, Network, NetworkName};
use zubi_plan::driver::HostFacts;
use zubi_plan::{Op, Plan, What};
use zubi_snapshot::Snapshot;

/// An object that can be repaired by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// The firewall table, and our rules in the tables of other programs.
    Firewall,
    /// A network, without its endpoints.
    Network(NetworkName),
    /// An endpoint.
    Endpoint(EndpointKey),
    /// A direct link.
    Link(LinkId),
}

/// What was done to an object.
#[derive(Debug, Default)]
pub(crate) struct Healed {
    pub(crate) plan: Plan,
    /// Each change, in words.
    pub(crate) words: Vec<String>,
}

/// Repairs one object under its lock. Returns a description of each change; nothing if the object has no record.
pub(crate) fn heal(session: &mut Session, object: &Object) -> Result<Vec<String>, Error> {
    let mut snapshot = Snapshot::new();
    let healed = match object {
        Object::Firewall => {
            let _host = session.store().lock_host_exclusive()?;
            let networks = session.store().networks_lossy().0;
            heal_firewall(session, &mut snapshot, &networks, Act::Apply)?
        }
        Object::Network(name) => {
            let _host = session.store().lock_host_exclusive()?;
            let Some(network) = session.store().network(name)? else { return Ok(Vec::new()) };
            let endpoints = session.store().endpoints_on(name)?;
            let facts = host_facts(session)?;
            heal_network(session, &mut snapshot, &facts, &network, &endpoints, Act::Apply)?
        }
        Object::Endpoint(key) => {
            let host = session.store().lock_host()?;
            let _sandbox = session.store().lock_sandbox(&host, key.cookie)?;
            let Some(endpoint) = session.store().endpoint(key)? else { return Ok(Vec::new()) };
            let Some(network) = session.store().network(&endpoint.network)? else { return Ok(Vec::new()) };
            let siblings = siblings(session, &endpoint)?;
            heal_endpoint(session, &mut snapshot, &network, &endpoint, &siblings, &[], Act::Apply)?
        }
        Object::Link(id) => {
            let host = session.store().lock_host()?;
            let Some(found) = session.store().link(id)? else { return Ok(Vec::new()) };
            let _sandboxes = session.store().lock_sandboxes(&host, found.cookies())?;
            // The link may have been removed while we waited for the locks.
            let Some(link) = session.store().link(id)? else { return Ok(Vec::new()) };
            heal_link(session, &link, Act::Apply)?
        }
    };
    Ok(healed.words)
}

/// Restores the table from the records, and the rules that let traffic of networks pass other programs' tables. The
/// caller holds the host lock exclusively.
pub(crate) fn heal_firewall(
    session: &mut Session,
    snapshot: &mut Snapshot,
    networks: &[Network],
    act: Act,
) -> Result<Healed, Error> {
    let mut healed = Healed::default();
    if networks.is_empty() {
        return Ok(healed);
    }
    if let Some(problem) = check_firewall_in(session, snapshot)? {
        healed.plan = firewall_from_records(session)?;
        healed.words.push(format!("{}: put back ({})", problem.object, problem.what));
    }
    let mut look = look_at_foreign(session, networks)?;
    note_refused(session, &look, networks);
    healed.plan.append(std::mem::take(&mut look.plan));
    let let_pass = look.lacking.iter().map(|(network, what)| format!("network {}: let it pass ({what})", network.name));
    healed.words.extend(let_pass);
    if act == Act::Apply && !healed.plan.is_empty() {
        apply(session, "firewall", &healed.plan)?;
    }
    Ok(healed)
}

/// The caller holds the host lock exclusively.
pub(crate) fn heal_network<'a>(
    session: &mut Session,
    snapshot: &mut Snapshot,
    facts: &HostFacts,
    network: &Network,
    endpoints: impl IntoIterator<Item = &'a Endpoint>,
    act: Act,
) -> Result<Healed, Error> {
    let object = format!("network {}", network.name);
    let ops = network_ops(session, facts, network, endpoints)?;
    let mut ops = lacking_of(session, snapshot, &object, &ops)?;
    let without_bridge = ops.iter().any(|op| matches!(op.what, What::AddLink(_)));
    if let Some(card) = network.parent().filter(|_| without_bridge) {
        // The host's addresses are gone with the bridge.
        let again = take_over_again(session, network, card)?;
        ops = again.ops.into_iter().filter(|op| !op.is_nft() || ops.contains(op)).collect();
    }
    put_right(session, &object, ops, act)
}

/// The caller holds the sandbox's lock. An endpoint is announced again if its network was repaired (is in `touched`).
pub(crate) fn heal_endpoint(
    session: &mut Session,
    snapshot: &mut Snapshot,
    network: &Network,
    endpoint: &Endpoint,
    siblings: &[Endpoint],
    touched: &[NetworkName],
    act: Act,
) -> Result<Healed, Error> {
    let ops = lacking_of_endpoint(session, snapshot, network, endpoint, siblings, touched)?;
    put_right(session, &describe(endpoint), ops, act)
}

/// The caller holds the locks of the link's sandboxes, or the host lock exclusively.
pub(crate) fn heal_link(session: &mut Session, link: &DirectLink, act: Act) -> Result<Healed, Error> {
    let ops = lacking_of_link(session, link)?;
    put_right(session, &describe_link(link), ops, act)
}

/// Applies the operations, except in a dry run.
fn put_right(session: &mut Session, object: &str, ops: Vec<Op>, act: Act) -> Result<Healed, Error> {
    let plan: Plan = ops.into_iter().collect();
    if act == Act::Apply && !plan.is_empty() {
        apply(session, object, &plan)?;
    }
    let changes = plan.ops.iter().filter(|op| !matches!(op.what, What::Announce(_)));
    let words = changes.map(|op| format!("{object}: {op}")).collect();
    Ok(Healed { plan, words })
}
