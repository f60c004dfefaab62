//! `portmap` and `firewall`: what comes behind a device in a chain.

use super::attachment::{drifted, find, told};
use std::io::Write;
use zubi_cni::{CniError, CniResult, Code, Police, Publish, Task};
use zubi_engine::Session;
use zubi_model::{Endpoint, Ingress, NetworkName, PortHolder, PortWish, PublishedPort};

fn not_ours(task: &Task) -> CniError {
    let why = format!(
        "network {}: {} of container {} was not made by zubi: put `bridge` or `zubi` before this plug-in",
        task.network, task.ifname, task.container
    );
    CniError::new(Code::Config, why)
}

fn network_of(endpoint: &Endpoint) -> &NetworkName {
    &endpoint.network
}

/// A runtime asks for the ports of a container on each of its networks: they lead to it by the first of these.
pub(super) fn publish(session: &mut Session, task: &Task, publish: &Publish) -> Result<CniResult, CniError> {
    let previous = task.chained()?.clone();
    if publish.ports.is_empty() {
        return Ok(previous);
    }
    let endpoint = find(session, task)?.ok_or_else(|| not_ours(task))?;
    let others = elsewhere(session, &endpoint)?;
    let ports: Vec<PortWish> = publish.ports.iter().filter(|wish| !is_among(&others, wish)).copied().collect();
    // With none left it is written down that this one could have them.
    session.publish_called(network_of(&endpoint), &endpoint.sandbox.spelled, &ports, publish.source).map_err(told)?;
    Ok(previous)
}

/// What the container publishes by its other networks.
fn elsewhere(session: &Session, endpoint: &Endpoint) -> Result<Vec<PublishedPort>, CniError> {
    let siblings = session.siblings(endpoint).map_err(told)?;
    Ok(siblings.into_iter().flat_map(|sibling| sibling.ports).collect())
}

fn is_among(ports: &[PublishedPort], wish: &PortWish) -> bool {
    ports.iter().any(|port| wish.is_met_by(port))
}

pub(super) fn unpublish(session: &mut Session, task: &Task, publish: &Publish) -> Result<(), CniError> {
    let Some(endpoint) = find(session, task)? else { return Ok(()) };
    session.unpublish_called(network_of(&endpoint), &endpoint.sandbox.spelled, &publish.ports).map_err(told)?;
    if endpoint.ports.is_empty() || task.netns.is_none() {
        return Ok(());
    }
    // What the container still wants by another network is not this network's failure.
    let asked =
        |next: &Endpoint| next.traits.port_holder == PortHolder::Caller && next.sandbox.spelled.starts_with("cni:");
    if let Err(error) = session.hand_over_ports(&endpoint, &asked) {
        writeln!(std::io::stderr(), "{error}").ok();
    }
    Ok(())
}

pub(super) fn check_ports(session: &mut Session, task: &Task, publish: &Publish) -> Result<(), CniError> {
    if publish.ports.is_empty() {
        return Ok(());
    }
    let endpoint = find(session, task)?.ok_or_else(|| not_ours(task))?;
    let others = elsewhere(session, &endpoint)?;
    let missing: Vec<String> = publish
        .ports
        .iter()
        .filter(|wish| !is_among(&endpoint.ports, wish) && !is_among(&others, wish))
        .map(|wish| format!("port {wish} is not published"))
        .collect();
    if !missing.is_empty() {
        return Err(CniError::new(drifted(), missing.join("; ")));
    }
    let problems = session.check_called(network_of(&endpoint), &endpoint.sandbox.spelled).map_err(told)?;
    let about_ports: Vec<String> = problems.into_iter().map(|p| format!("{}: {}", p.object, p.what)).collect();
    if about_ports.is_empty() { Ok(()) } else { Err(CniError::new(drifted(), about_ports.join("; "))) }
}

/// Nothing of ours keeps anybody from a device that others made; what they want kept out is theirs to do.
pub(super) fn police(session: &mut Session, task: &Task, police: Police) -> Result<CniResult, CniError> {
    let previous = task.chained()?.clone();
    match find(session, task)? {
        Some(endpoint) if endpoint.network.source().is_some() => {
            session.set_ingress(network_of(&endpoint), police.ingress, police.icc).map_err(told)?;
        }
        None if police.ingress != Ingress::Open || police.icc.is_some() => return Err(not_ours(task)),
        // A network that a user made has rules of its own.
        _ => {}
    }
    Ok(previous)
}

pub(super) fn check_police(session: &mut Session, task: &Task, police: Police) -> Result<(), CniError> {
    let Some(endpoint) = find(session, task)? else { return Ok(()) };
    let (network, _) = session.network(network_of(&endpoint)).map_err(told)?;
    let same = network
        .bridge()
        .is_some_and(|bridge| bridge.ingress == police.ingress && police.icc.is_none_or(|icc| bridge.icc == icc));
    if same || network.name.source().is_none() {
        return Ok(());
    }
    Err(CniError::new(drifted(), format!("network {}: ingressPolicy is not as configured", task.network)))
}
