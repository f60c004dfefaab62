//! Unpublishing ports.

use crate::error::Error;
use crate::fault::Fault;
use crate::heal::leftovers::recover_first;
use crate::heal::ports::{release_claimed, release_half_taken};
use crate::look::by_name::endpoint_called;
use crate::look::device::device;
use crate::look::sandbox::locate_endpoint;
use crate::perform::networks::lock_networks;
use crate::perform::publish::{Published, live_endpoint};
use crate::report::{Act, Report};
use crate::session::Session;
use crate::steps::apply::{apply, take_down};
use crate::steps::claim::release_ports;
use crate::undo::endpoint::release_sandbox;
use zubi_kernel::Deletions;
use zubi_model::{EndpointId, EndpointKey, HostAddress, NetworkName, PortWish, PublishedPort, SandboxRef};
use zubi_plan::{Op, Plan, What, driver};
use zubi_store::HostLock;

/// Unpublishes all ports of an endpoint. The detached child deletes their connections. Also releases claims for the
/// ports in `wishes` that a killed command left without publishing them.
pub(crate) fn unpublish_called(
    session: &mut Session,
    network: &NetworkName,
    called: &str,
    wishes: &[PortWish],
) -> Result<(), Error> {
    let host = &session.store().lock_host()?;
    recover_first(session, host, Act::Apply)?;
    let Some(found) = endpoint_called(session, network, called)? else { return Ok(()) };
    unpublish_all(session, host, &found.key(), wishes)
}

/// Unpublishes all ports of the handed over endpoint with this number.
pub(crate) fn unpublish_handed_over(
    session: &mut Session,
    network: &NetworkName,
    id: &EndpointId,
) -> Result<(), Error> {
    let host = &session.store().lock_host()?;
    recover_first(session, host, Act::Apply)?;
    let key = EndpointKey { cookie: id.awaited(), network: network.clone() };
    unpublish_all(session, host, &key, &[])
}

fn unpublish_all(session: &mut Session, host: &HostLock, key: &EndpointKey, wishes: &[PortWish]) -> Result<(), Error> {
    let network = &key.network;
    let lock = session.store().lock_sandbox(host, key.cookie)?;
    let Some(endpoint) = session.store().endpoint(key)? else { return release_sandbox(session, lock) };
    if endpoint.ports.is_empty() {
        return release_claimed(session, host, &endpoint, wishes);
    }
    let called = &endpoint.sandbox.spelled;
    let recorded = session.store().network(network)?;
    let mut plan = driver::unpublish(recorded.as_ref(), &endpoint, &[], &endpoint.ports);
    let (later, now) = std::mem::take(&mut plan.ops).into_iter().partition(|op| matches!(op.what, What::Forget(_)));
    plan.ops = now;
    if device(session, &endpoint, None)?.is_none() {
        plan.ops.retain(Op::is_nft);
    }
    take_down(session, &format!("network {network}: unpublish for {called}"), &plan, zubi_kernel::Deletions::Now)?;
    session.slow.flows.push((network.clone(), Plan { ops: later }));
    let mut after = endpoint.clone();
    after.ports.clear();
    session.store().update_endpoint(&after)?;
    let held = session.store().lock_ports(host)?;
    release_ports(session, &endpoint, &endpoint.ports, &held)
}

/// Unpublishes ports of an existing endpoint and ends their connections.
pub(crate) fn unpublish_ports(
    session: &mut Session,
    network: &NetworkName,
    sandbox: &SandboxRef,
    wishes: &[PortWish],
    act: Act,
) -> Result<Report<Published>, Error> {
    let found = locate_endpoint(session, sandbox)?;
    let (host, networks) = lock_networks(session, std::slice::from_ref(network), &[], act)?;
    let host = &host;
    let (endpoint, _lock) = live_endpoint(session, host, network, sandbox, found)?;
    let mut ports: Vec<PublishedPort> = Vec::new();
    for wish in wishes {
        let meant = |port: &&PublishedPort| {
            let anywhere = PortWish { host: port.host, ..*wish };
            let is_meant = wish.is_met_by(port) || (wish.host == HostAddress::Every && anywhere.is_met_by(port));
            // A port of the sandbox does not match a published range that contains it.
            is_meant && wish.target.contains(port.target)
        };
        let found: Vec<PublishedPort> = endpoint.ports.iter().filter(meant).copied().collect();
        if found.is_empty() {
            if act == Act::Apply {
                release_half_taken(session, host, &endpoint)?;
            }
            return Err(Error::NotPublished {
                network: network.clone(),
                sandbox: endpoint.sandbox.spelled.clone(),
                port: wish.to_string(),
                there: endpoint.ports.clone(),
            });
        }
        ports.extend(found.into_iter().filter(|port| !ports.contains(port)).collect::<Vec<_>>());
    }
    let mut after = endpoint.clone();
    after.ports.retain(|port| !ports.contains(port));
    let recorded = networks.first().map(|(network, _)| network);
    let plan = driver::unpublish(recorded, &endpoint, &after.ports, &ports);
    if act == Act::Apply {
        let object = format!("network {network}: unpublish for {}", endpoint.sandbox.spelled);
        let done = take_down(session, &object, &plan, Deletions::Now);
        if let Err(error) = done.and_then(|()| Ok(session.store().update_endpoint(&after)?)) {
            return Err(error.after_undo(Fault::muted(|| {
                session.store().update_endpoint(&endpoint)?;
                apply(session, &object, &driver::publish(&endpoint, &[], &ports))
            })));
        }
        let held = session.store().lock_ports(host)?;
        release_ports(session, &endpoint, &ports, &held)?;
    }
    Ok(Report { plan, value: Published { endpoint: after, ports } })
}
