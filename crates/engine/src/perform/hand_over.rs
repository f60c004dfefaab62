//! Endpoints whose device another program moves into the sandbox: Docker does so with its own networks.
//!
//! # How it works
//! The endpoint was reserved. Its pair is made with both ends on the host and everything outside of the sandbox in order;
//! the other program moves the inner end and sets up what is inside. The namespace may not exist yet, so the endpoint has
//! a number of its own in the place of the cookie ([`EndpointId::awaited`]), and keeps it.
//!
//! # Limits
//! What the endpoint has inside is the other program's: it is neither compared nor repaired.

use crate::decide::endpoint::Ask;
use crate::decide::obstacle::Owners;
use crate::error::Error;
use crate::fault::Fault;
use crate::heal::endpoint::lacking_of_endpoint;
use crate::heal::gone::is_gone;
use crate::heal::leftovers::recover_first;
use crate::look::device::{device_inside, waits_here};
use crate::look::host::addresses_on_card;
use crate::perform::attach::{birth, stale_addresses};
use crate::perform::networks::lock_networks;
use crate::perform::settle::settle;
use crate::random::random_name;
use crate::report::{Act, Report};
use crate::session::Session;
use crate::steps::apply::apply;
use crate::steps::claim::remember_mac;
use crate::steps::flush::past_a_flush;
use crate::undo::endpoint::{Detached, detach_locked, release_sandbox, remove_endpoint, undo_attach};
use std::path::Path;
use zubi_model::{
    Alias, Endpoint, EndpointId, EndpointKey, Lifetime, NameFiles, Network, NetworkName, NsRef, SandboxIdentity,
    SandboxRef, Wishes,
};
use zubi_plan::{Neighbours, Plan, Surroundings, driver};
use zubi_snapshot::Snapshot;
use zubi_store::HostLock;
use zubi_wire::route::AdminState;

/// Makes the device of a reserved endpoint.
pub(crate) fn hand_over(
    session: &mut Session,
    network: &NetworkName,
    id: &EndpointId,
    way: &Path,
) -> Result<Report<Endpoint>, Error> {
    past_a_flush(session, |session| hand_over_once(session, network, id, way))
}

fn hand_over_once(
    session: &mut Session,
    network: &NetworkName,
    id: &EndpointId,
    way: &Path,
) -> Result<Report<Endpoint>, Error> {
    let (host, networks) = lock_networks(session, std::slice::from_ref(network), &[], Act::Apply)?;
    let host = &host;
    let Some((network, groundwork)) = networks.into_iter().next() else {
        return Err(Error::NoNetwork { name: network.clone(), known: session.known_networks() });
    };
    let key = key(&network.name, id);
    let _sandbox = session.store().lock_sandbox(host, key.cookie)?;
    if let Some(leftover) = session.store().pending_endpoint(&key)? {
        let _leases = session.store().lock_leases(host, &key.network)?;
        remove_endpoint(session, host, &leftover, None)?;
    }
    let object = format!("network {}: hand a device over to {}", network.name, id.short());
    if !groundwork.is_empty() {
        apply(session, &object, &groundwork)?;
    }
    if let Some(existing) = session.store().endpoint(&key)? {
        if waits_here(session, &existing)? {
            let mut plan = groundwork;
            let ops = lacking_of_endpoint(session, &mut Snapshot::new(), &network, &existing, &[], &[])?;
            let lacking: Plan = ops.into_iter().collect();
            apply(session, &object, &lacking)?;
            plan.append(lacking);
            return Ok(Report { plan, value: existing });
        }
        // It is inside a sandbox that the other program has given up.
        remove_endpoint(session, host, &existing, None)?;
    }
    let (endpoint, made) = make(session, host, &object, &network, id, way)?;
    let mut plan = groundwork;
    plan.append(made);
    Ok(Report { plan, value: endpoint })
}

fn make(
    session: &mut Session,
    host: &HostLock,
    object: &str,
    network: &Network,
    id: &EndpointId,
    way: &Path,
) -> Result<(Endpoint, Plan), Error> {
    let missing = || Error::NoReservation { network: network.name.clone(), id: id.clone() };
    let reservation = session.store().reservation(&network.name, &id.reservation_owner())?.ok_or_else(missing)?;
    let wishes = Wishes { reservation: Some(id.clone()), ..Wishes::default() }.as_reserved(&reservation);
    let waiting = random_name::<5>("zh")?.parse::<zubi_model::IfName>()?;
    let mut birth = birth()?;
    birth.id = id.clone();
    let mut ask = Ask {
        network,
        sandbox: SandboxIdentity {
            cookie: id.awaited(),
            spelled: nameless(id),
            reached_by: NsRef::Path(way.to_owned()),
        },
        ifname: waiting.clone(),
        handed_over: Some(waiting),
        wishes: &wishes,
        birth,
        avoided: Vec::new(),
        owners: Owners::default(),
        taken: None,
        moved: None,
        displaced: Vec::new(),
        name_files: NameFiles::Absent,
    };
    let endpoint = settle(session, host, &mut ask, Act::Apply)?;
    let around = Surroundings {
        loopback: AdminState::Up,
        default_in: Vec::new(),
        stale: stale_addresses(session, &endpoint)?,
        of_host: addresses_on_card(session, network)?,
        neighbours: Neighbours::AreRight,
        lifetime: Lifetime::default(),
        taken: None,
        displaced: Vec::new(),
        instance: session.instance(),
    };
    let plan = driver::attach(network, &endpoint, &around);
    let done: Result<(), Error> = (|| {
        apply(session, object, &plan)?;
        remember_mac(session, &endpoint, around.neighbours)?;
        for address in &around.stale {
            session.store().unmark_stale(&network.name, *address)?;
        }
        Ok(session.store().finish_attach(&endpoint.key())?)
    })();
    if let Err(error) = done {
        return Err(error.after_undo(Fault::muted(|| undo_attach(session, host, &endpoint))));
    }
    session.slow.attaching = true;
    Ok((endpoint, plan))
}

/// Removes the device of a handed over endpoint.
pub(crate) fn take_back(
    session: &mut Session,
    network: &NetworkName,
    id: &EndpointId,
) -> Result<Report<Detached>, Error> {
    let host = &session.store().lock_host()?;
    recover_first(session, host, Act::Apply)?;
    let key = key(network, id);
    let lock = session.store().lock_sandbox(host, key.cookie)?;
    let report = detach_locked(session, host, &key, None, Act::Apply)?;
    release_sandbox(session, lock)?;
    Ok(report)
}

/// The handed over endpoint with this number.
pub(crate) fn handed_over(
    session: &Session,
    network: &NetworkName,
    id: &EndpointId,
) -> Result<Option<Endpoint>, Error> {
    Ok(session.store().endpoint(&key(network, id))?)
}

/// Records what is known of a handed over endpoint once its device is inside: the sandbox's name, and the device's. Sets
/// up what the network needs inside beside what the other program makes.
pub(crate) fn arrive(
    session: &mut Session,
    network: &NetworkName,
    id: &EndpointId,
    called: &SandboxRef,
) -> Result<(), Error> {
    // Before the first lock: Docker may take seconds to answer.
    let aliases = new_aliases(session, network, id, called)?;
    let (host, networks) = lock_networks(session, std::slice::from_ref(network), &[], Act::Apply)?;
    let host = &host;
    let key = key(network, id);
    let lock = session.store().lock_sandbox(host, key.cookie)?;
    let Some(mut endpoint) = session.store().endpoint(&key)? else { return release_sandbox(session, lock) };
    let called = called.to_string();
    if endpoint.sandbox.spelled != called {
        // The name is written last: an endpoint with its name has its aliases too.
        endpoint.aliases = aliases;
        endpoint = session.store().rename(&endpoint, &called)?;
    }
    if !endpoint.is_on_its_way() {
        return Ok(());
    }
    let Some(inside) = device_inside(session, &endpoint)? else { return Ok(()) };
    endpoint.ifname = inside.name.parse()?;
    session.store().update_endpoint(&endpoint)?;
    let Some((network, _)) = networks.first() else { return Ok(()) };
    let object = format!("network {}: device of {called}", network.name);
    let lacking = lacking_of_endpoint(session, &mut Snapshot::new(), network, &endpoint, &[], &[])?;
    apply(session, &object, &lacking.into_iter().collect())
}

/// The aliases of an endpoint whose sandbox has got its name, or another one, by now.
fn new_aliases(
    session: &Session,
    network: &NetworkName,
    id: &EndpointId,
    called: &SandboxRef,
) -> Result<Vec<Alias>, Error> {
    let SandboxRef::Docker(name) = called else { return Ok(Vec::new()) };
    match session.store().endpoint(&key(network, id))? {
        Some(endpoint) if endpoint.sandbox.spelled != called.to_string() => {
            let names = session.runtimes().docker_aliases(name, id.as_str())?;
            // What is no name for us, nobody could ask for.
            Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
        }
        _ => Ok(Vec::new()),
    }
}

/// Whether the sandbox of a handed over endpoint has ended, and its device with it.
pub(crate) fn has_ended(session: &mut Session, network: &NetworkName, id: &EndpointId) -> Result<bool, Error> {
    match handed_over(session, network, id)? {
        Some(endpoint) => is_gone(session, &endpoint),
        None => Ok(false),
    }
}

fn key(network: &NetworkName, id: &EndpointId) -> EndpointKey {
    EndpointKey { cookie: id.awaited(), network: network.clone() }
}

/// How a sandbox is called that the program which runs it has not told the name of.
fn nameless(id: &EndpointId) -> String {
    SandboxRef::Docker(id.to_string()).to_string()
}
