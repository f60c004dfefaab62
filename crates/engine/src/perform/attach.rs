//! TODO

use crate::decide_endpoint::check_wishes;
use crate::decide_endpoint::decide_endpoint;
use crate::error::Error;
use crate::fault::Fault;
use crate::heal::endpoint::lacking_of_endpoint;
use crate::look::default_route::gives_default_in;
use crate::look::default_route::siblings;
use crate::look::device::host_end;
use crate::look::sandbox::Resolved;
use crate::look::sandbox::resolve;
use crate::look::sandbox::still_there;
use crate::look::sandbox::way_in;
use crate::perform::networks::lock_networks;
use crate::report::Act;
use crate::report::Report;
use crate::session::Session;
use crate::steps::apply::apply;
use crate::steps::claim::claim_again;
use crate::steps::claim::remember_mac;
use crate::steps::flush::past_a_flush;
use crate::undo::endpoint::release_sandbox;
use crate::undo::endpoint::remove_endpoint;
use crate::undo::endpoint::undo_attach;
use std::net::IpAddr;
use zubi_kernel::Survey;
use zubi_model::DefaultRoute;
use zubi_model::Endpoint;
use zubi_model::EndpointKey;
use zubi_model::Family;
use zubi_model::MacWish;
use zubi_model::Network;
use zubi_model::NetworkName;
use zubi_model::SandboxRef;
use zubi_model::Wishes;
use zubi_plan::Plan;
use zubi_plan::endpoint::attach;

/// An endpoint as it is now.
#[derive(Debug, Clone)]
pub struct Attached {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Whether it was there already.
    pub attachment: Attachment,
    /// The families in which it gives the sandbox its default route.
    pub default_in: Vec<Family>,
}

/// Whether an attach made something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attachment {
    /// It did.
    New,
    /// It was there, and as wished.
    Existing,
}

/// Attaches a sandbox to a network. Attaching it again as it is gives the same answer.
pub(crate) fn connect(
    session: &mut Session,
    network: &NetworkName,
    sandbox: &SandboxRef,
    wishes: &Wishes,
    act: Act,
) -> Result<Report<Attached>, Error> {
    past_a_flush(session, |session| attach_once(session, network, sandbox, wishes, act))
}

fn attach_once(
    session: &mut Session,
    network: &NetworkName,
    sandbox: &SandboxRef,
    wishes: &Wishes,
    act: Act,
) -> Result<Report<Attached>, Error> {
    // A runtime may take seconds to answer: it is asked while nobody waits for a lock of ours.
    let resolved = resolve(session, sandbox);
    let (_host, networks) = lock_networks(session, std::slice::from_ref(network), &wishes.ports, act)?;
    let Some((network, missing)) = networks.into_iter().next() else {
        return Err(Error::NoNetwork { name: network.clone(), known: session.known_networks() });
    };
    check_wishes(&network, wishes)?;
    let mut resolved = resolved?;
    if let Some(called) = &wishes.called {
        resolved.spelled.clone_from(called);
    }
    attach_resolved(session, &network, missing, &resolved, wishes, act)
}

/// The caller holds the host lock, alone if `groundwork`, what is missing of the network, is not empty.
pub(crate) fn attach_resolved(
    session: &mut Session,
    network: &Network,
    groundwork: Plan,
    sandbox: &Resolved,
    wishes: &Wishes,
    act: Act,
) -> Result<Report<Attached>, Error> {
    let _sandbox = session.store().lock_sandbox(sandbox.cookie)?;
    // While we waited for the lock it may have been removed.
    still_there(session, sandbox)?;
    let key = EndpointKey { cookie: sandbox.cookie, network: network.name.clone() };
    if act == Act::Apply
        && let Some(leftover) = session.store().pending_endpoint(&key)?
    {
        // Its maker is dead, or we would not hold the lock.
        let _leases = session.hold_leases(&key.network)?;
        remove_endpoint(session, &leftover, Some(&sandbox.reached_by))?;
    }
    let mut wishes = wishes.clone();
    let mut lost = None;
    if let Some(existing) = session.store().endpoint(&key)? {
        if host_end(session, &existing)?.is_some() {
            let mut report = as_before(session, existing, &wishes)?;
            report.plan = put_back(session, network, groundwork, &report.value.endpoint, act)?;
            return Ok(report);
        }
        // Somebody deleted the device: it is made again as it was, but for what is wished otherwise now.
        if act == Act::Apply {
            wishes = wishes.or_as_before(&existing);
            remove_endpoint(session, &existing, Some(&sandbox.reached_by))?;
            lost = Some(existing);
        }
    }
    if act == Act::Apply {
        remove_predecessor(session, &key, sandbox)?;
    }
    let made = attach_new(session, network, sandbox, &wishes, groundwork, act);
    match (made, lost) {
        (Err(error), Some(lost)) => Err(error.after_undo(Fault::muted(|| keep_record(session, network, &lost)))),
        (made, _) => made,
    }
}

/// Of an endpoint whose device somebody deleted the record stays until it is made again.
fn keep_record(session: &mut Session, network: &Network, lost: &Endpoint) -> Result<(), Error> {
    claim_again(session, network, lost)?;
    Ok(session.store().finish_attach(&lost.key())?)
}

fn attach_new(
    session: &mut Session,
    network: &Network,
    sandbox: &Resolved,
    wishes: &Wishes,
    groundwork: Plan,
    act: Act,
) -> Result<Report<Attached>, Error> {
    let object = format!("network {}: connect {}", network.name, sandbox.spelled);
    if act == Act::Apply && !groundwork.is_empty() {
        apply(session, &object, &groundwork)?;
    }
    let (endpoint, around) = decide_endpoint(session, network, sandbox, wishes, act)?;
    let plan = attach(network, &endpoint, &around);
    if act == Act::Apply {
        apply_endpoint(session, &object, sandbox, &endpoint, &plan)?;
        for address in &around.stale {
            session.store().unmark_stale(&network.name, *address)?;
        }
        remember_mac(session, &endpoint, around.neighbours)?;
    }
    let mut shown = groundwork;
    shown.append(plan);
    let value = Attached { endpoint, attachment: Attachment::New, default_in: around.default_in };
    Ok(Report { plan: shown, value })
}

/// Applies the plan of a claimed endpoint; when it fails nothing of the endpoint stays.
fn apply_endpoint(
    session: &mut Session,
    object: &str,
    sandbox: &Resolved,
    endpoint: &Endpoint,
    plan: &Plan,
) -> Result<(), Error> {
    let done: Result<(), Error> = (|| {
        apply(session, object, plan)?;
        // We hold the namespace open: everything goes well in one that nobody can reach any more.
        still_there(session, sandbox)?;
        Ok(session.store().finish_attach(&endpoint.key())?)
    })();
    if let Err(error) = done {
        return Err(error.after_undo(Fault::muted(|| undo_attach(session, endpoint))));
    }
    session.slow.attaching = true;
    Ok(())
}

/// Puts back what is missing of an endpoint that is there, and of its network: only then it is connected.
fn put_back(
    session: &mut Session,
    network: &Network,
    groundwork: Plan,
    endpoint: &Endpoint,
    act: Act,
) -> Result<Plan, Error> {
    let object = format!("network {}: connect {}", network.name, endpoint.sandbox.spelled);
    if act == Act::Apply && !groundwork.is_empty() {
        apply(session, &object, &groundwork)?;
    }
    let siblings = siblings(session, endpoint)?;
    let mut plan = groundwork;
    let touched = if plan.is_empty() { Vec::new() } else { vec![network.name.clone()] };
    let ops = lacking_of_endpoint(session, &mut Survey::narrow(), network, endpoint, &siblings, &touched)?;
    let lacking: Plan = ops.into_iter().collect();
    if act == Act::Apply && !lacking.is_empty() {
        apply(session, &object, &lacking)?;
    }
    plan.append(lacking);
    Ok(plan)
}

/// The same endpoint again, unless something else is wished now.
fn as_before(session: &mut Session, endpoint: Endpoint, wishes: &Wishes) -> Result<Report<Attached>, Error> {
    let differs = |what, has: String| Error::Different {
        sandbox: endpoint.sandbox.spelled.clone(),
        network: endpoint.network.clone(),
        what,
        has,
    };
    let addresses: Vec<IpAddr> = endpoint.addresses.iter().map(|a| a.address.addr()).collect();
    if wishes.addresses.iter().any(|a| !addresses.contains(a)) {
        let has: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        return Err(differs("address", has.join(", ")));
    }
    if let MacWish::Given(mac) = wishes.mac
        && mac != endpoint.mac
    {
        return Err(differs("MAC", endpoint.mac.to_string()));
    }
    if let Some(ifname) = &wishes.ifname
        && *ifname != endpoint.ifname
    {
        return Err(differs("device name", endpoint.ifname.to_string()));
    }
    if !wishes.routes.is_empty() && wishes.routes != endpoint.routes {
        return Err(differs("set of routes", list(&endpoint.routes)));
    }
    if !wishes.aliases.is_empty() && wishes.aliases != endpoint.aliases {
        return Err(differs("set of aliases", list(&endpoint.aliases)));
    }
    if wishes.default_route == DefaultRoute::Never && endpoint.default_route != DefaultRoute::Never {
        return Err(differs("wish for the default route", "none against it".into()));
    }
    let mut parts = wishes.ports.iter().flat_map(|wish| wish.parts());
    let lacks = parts.any(|wish| !endpoint.ports.iter().any(|port| wish.is_met_by(port)));
    let has_more = endpoint.ports.iter().any(|port| !wishes.ports.iter().any(|wish| wish.is_met_by(port)));
    if !wishes.ports.is_empty() && (lacks || has_more) {
        return Err(differs("set of published ports", list(&endpoint.ports)));
    }
    let siblings = siblings(session, &endpoint)?;
    let way = way_in(session, &endpoint, None)?;
    let default_in = gives_default_in(session, &mut Survey::narrow(), &endpoint, &siblings, way.as_ref())?;
    Ok(Report { plan: Plan::new(), value: Attached { endpoint, attachment: Attachment::Existing, default_in } })
}

/// The same name may have led to another namespace before: the container was started again. Its old endpoint is
/// taken away, so that its address is free.
fn remove_predecessor(session: &mut Session, key: &EndpointKey, sandbox: &Resolved) -> Result<(), Error> {
    let Some(old) = session.store().cookie_of_name(&key.network, &sandbox.spelled)? else { return Ok(()) };
    if old == key.cookie {
        return Ok(());
    }
    // Whoever holds its lock is taking care of it.
    let Some(lock) = session.store().try_lock_sandbox(old)? else { return Ok(()) };
    let of_old = EndpointKey { cookie: old, network: key.network.clone() };
    if let Some(endpoint) = session.store().endpoint(&of_old)? {
        remove_endpoint(session, &endpoint, None)?;
    }
    release_sandbox(session, old, lock)
}

pub(crate) fn list(values: &[impl ToString]) -> String {
    let words: Vec<String> = values.iter().map(ToString::to_string).collect();
    if words.is_empty() { "none".into() } else { words.join(", ") }
}
