//! Publishing ports of an attached endpoint.

use crate::decide::port::limits as port_limits;
use crate::error::Error;
use crate::fault::Fault;
use crate::heal::gone::is_alive;
use crate::heal::leftovers::recover_first;
use crate::look::by_name::endpoint_called;
use crate::look::default_route::siblings;
use crate::look::device::device;
use crate::look::sandbox::{Resolved, locate_endpoint};
use crate::perform::detach::find_endpoint;
use crate::perform::networks::{lock_networks, ports_by_settings};
use crate::perform::settle::settle_ports;
use crate::report::{Act, Report};
use crate::session::Session;
use crate::steps::apply::apply;
use crate::steps::claim::release_ports;
use crate::steps::flush::past_a_flush;
use zubi_model::{
    Endpoint, EndpointId, EndpointKey, Family, HostAddress, NetworkName, PortHolder, PortSource, PortWish,
    PublishedPort, SandboxRef,
};
use zubi_plan::driver;
use zubi_store::{HostLock, SandboxLock};

/// Publishes ports that the caller may hold itself. Without wishes, only records that the endpoint can take over the
/// ports of the sandbox's other endpoints.
pub(crate) fn publish_called(
    session: &mut Session,
    network: &NetworkName,
    called: &str,
    wishes: &[PortWish],
    source: PortSource,
) -> Result<(), Error> {
    let held_by_caller = |endpoint: &mut Endpoint| {
        endpoint.traits.port_holder = PortHolder::Caller;
        if endpoint.ports.is_empty() {
            endpoint.traits.port_source = source;
        }
    };
    let sandbox = SandboxRef::Called(called.to_owned());
    if !wishes.is_empty() {
        return publish_with(session, network, &sandbox, wishes, Act::Apply, &held_by_caller).map(drop);
    }
    // Only the record changes: the ports lead to the sandbox through another of its networks.
    let host = &session.store().lock_host()?;
    recover_first(session, host, Act::Apply)?;
    let missing = || Error::NotConnected { network: network.clone(), sandbox: called.to_owned() };
    let found = endpoint_called(session, network, called)?.ok_or_else(missing)?;
    let _sandbox = session.store().lock_sandbox(host, found.sandbox.cookie)?;
    let mut endpoint = session.store().endpoint(&found.key())?.ok_or_else(missing)?;
    held_by_caller(&mut endpoint);
    Ok(session.store().update_endpoint(&endpoint)?)
}

/// Publishes the ports of a removed endpoint through the next endpoint of its sandbox that can take them and is one of
/// `takers`.
pub(crate) fn hand_over_ports(
    session: &mut Session,
    from: &Endpoint,
    takers: &dyn Fn(&Endpoint) -> bool,
) -> Result<(), Error> {
    for next in siblings(session, from)? {
        let Some(network) = session.store().network(&next.network)? else { continue };
        if network.publishes().is_err() || next.addresses.is_empty() || !takers(&next) || !is_alive(session, &next)? {
            continue;
        }
        let families = next.families();
        let fits = |wish: &PortWish| match wish.host {
            HostAddress::Every => true,
            HostAddress::One(address) => families.contains(&Family::of(address)),
        };
        let ports: Vec<PortWish> = from.ports.iter().map(|port| PortWish::from(*port)).filter(fits).collect();
        if ports.is_empty() {
            continue;
        }
        return publish_called(session, &next.network, &next.sandbox.spelled, &ports, next.traits.port_source);
    }
    Ok(())
}

/// The result of changing the published ports of an endpoint.
#[derive(Debug, Clone)]
pub struct Published {
    /// The endpoint after the change.
    pub endpoint: Endpoint,
    /// The requested ports.
    pub ports: Vec<PublishedPort>,
}

/// Publishes further ports of an existing endpoint. Its connections are not affected.
pub(crate) fn publish_ports(
    session: &mut Session,
    network: &NetworkName,
    sandbox: &SandboxRef,
    wishes: &[PortWish],
    act: Act,
) -> Result<Report<Published>, Error> {
    publish_with(session, network, sandbox, wishes, act, &|_| {})
}

/// Like [`publish_ports`]; `change` changes the endpoint's traits along with its ports.
fn publish_with(
    session: &mut Session,
    network: &NetworkName,
    sandbox: &SandboxRef,
    wishes: &[PortWish],
    act: Act,
    change: &dyn Fn(&mut Endpoint),
) -> Result<Report<Published>, Error> {
    let wishes = ports_by_settings(session, network, wishes);
    past_a_flush(session, |session| {
        let found = locate_endpoint(session, sandbox)?;
        let find =
            |session: &mut Session, host: &HostLock| live_endpoint(session, host, network, sandbox, found.clone());
        publish_once(session, network, &find, &wishes, act, change)
    })
}

/// Publishes ports of the handed over endpoint with this number.
pub(crate) fn publish_handed_over(
    session: &mut Session,
    network: &NetworkName,
    id: &EndpointId,
    wishes: &[PortWish],
) -> Result<Report<Published>, Error> {
    let key = EndpointKey { cookie: id.awaited(), network: network.clone() };
    let find = |session: &mut Session, host: &HostLock| locked_endpoint(session, host, &key, id.short());
    past_a_flush(session, |session| publish_once(session, network, &find, wishes, Act::Apply, &|_| {}))
}

/// Finds an endpoint and locks its sandbox.
type Find<'a> = dyn Fn(&mut Session, &HostLock) -> Result<(Endpoint, SandboxLock), Error> + 'a;

fn publish_once(
    session: &mut Session,
    network: &NetworkName,
    find: &Find<'_>,
    wishes: &[PortWish],
    act: Act,
    change: &dyn Fn(&mut Endpoint),
) -> Result<Report<Published>, Error> {
    let (host, networks) = lock_networks(session, std::slice::from_ref(network), wishes, act)?;
    let host = &host;
    let Some((network, mut shown)) = networks.into_iter().next() else {
        return Err(Error::NoNetwork { name: network.clone(), known: session.known_networks() });
    };
    let (mut endpoint, _lock) = find(session, host)?;
    change(&mut endpoint);
    let object = format!("network {}: publish for {}", network.name, endpoint.sandbox.spelled);
    if act == Act::Apply && !shown.is_empty() {
        apply(session, &object, &shown)?;
    }
    // Ports that are published already are restored where they are missing, so that the call can be repeated after a
    // kill.
    let wishes: Vec<PortWish> = wishes.iter().flat_map(|wish| wish.parts()).collect();
    let met = |wish: &&PortWish| endpoint.ports.iter().any(|port| wish.is_met_by(port));
    let (there, new): (Vec<&PortWish>, Vec<&PortWish>) = wishes.iter().partition(met);
    let new: Vec<PortWish> = new.into_iter().copied().collect();
    let is_wished = |port: &&PublishedPort| there.iter().any(|wish| wish.is_met_by(port));
    let mut ports: Vec<PublishedPort> = endpoint.ports.iter().filter(is_wished).copied().collect();

    let chosen = settle_ports(session, host, &network, &endpoint, &new, act)?;
    for words in new.iter().filter_map(port_limits) {
        session.note(words);
    }
    ports.extend(&chosen);
    let mut after = endpoint.clone();
    after.ports.extend(&chosen);
    let before: &[PublishedPort] = if there.is_empty() { &endpoint.ports } else { &[] };
    let plan = driver::publish(&after, before, &ports);
    if act == Act::Apply {
        let done: Result<(), Error> = (|| {
            session.store().update_endpoint(&after)?;
            apply(session, &object, &plan)
        })();
        if let Err(error) = done {
            return Err(error.after_undo(Fault::muted(|| {
                session.store().update_endpoint(&endpoint)?;
                let held = session.store().lock_ports(host)?;
                release_ports(session, &after, &chosen, &held)
            })));
        }
    }
    shown.append(plan);
    Ok(Report { plan: shown, value: Published { endpoint: after, ports } })
}

/// An attached endpoint whose device exists, with the lock of its sandbox.
pub(crate) fn live_endpoint(
    session: &mut Session,
    host: &HostLock,
    network: &NetworkName,
    sandbox: &SandboxRef,
    found: Option<Resolved>,
) -> Result<(Endpoint, SandboxLock), Error> {
    let missing = || Error::NotConnected { network: network.clone(), sandbox: sandbox.to_string() };
    let (key, _) = find_endpoint(session, network, sandbox, found)?.ok_or_else(missing)?;
    locked_endpoint(session, host, &key, &sandbox.to_string())
}

/// `called`: how the caller names the sandbox, for errors.
fn locked_endpoint(
    session: &mut Session,
    host: &HostLock,
    key: &EndpointKey,
    called: &str,
) -> Result<(Endpoint, SandboxLock), Error> {
    let network = &key.network;
    let missing = || Error::NotConnected { network: network.clone(), sandbox: called.to_owned() };
    let lock = session.store().lock_sandbox(host, key.cookie)?;
    let endpoint = session.store().endpoint(key)?.ok_or_else(missing)?;
    if device(session, &endpoint, None)?.is_none() {
        return Err(Error::Broken { network: network.clone(), sandbox: called.to_owned() });
    }
    Ok((endpoint, lock))
}
