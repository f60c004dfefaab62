//! `portmap` and `firewall`: plug-ins that follow a device in a chain.

use super::attachment::{cni_error, difference_found, find};
use std::io::Write;
use zubi_cni::{CniError, CniResult, Code, IngressPolicy, Publish, Task};
use zubi_engine::Session;
use zubi_model::{Endpoint, Ingress, NetworkName, PortHolder, PortWish, PublishedPort};

fn not_ours(task: &Task) -> CniError {
    let why = format!(
        "network {}: {} of container {} was not made by zubi: put `bridge`, `zubi`, `macvlan`, `ipvlan`, `vlan` or `host-device` before this plug-in",
        task.network, task.ifname, task.container
    );
    CniError::new(Code::Config, why)
}

fn network_of(endpoint: &Endpoint) -> &NetworkName {
    &endpoint.network
}

/// A runtime asks for the ports of a container on each of its networks. They are published through the first one.
pub(super) fn publish(session: &mut Session, task: &Task, publish: &Publish) -> Result<CniResult, CniError> {
    let previous = task.chained()?.clone();
    if publish.ports.is_empty() {
        return Ok(previous);
    }
    let endpoint = find(session, task)?.ok_or_else(|| not_ours(task))?;
    let others = elsewhere(session, &endpoint)?;
    let ports: Vec<PortWish> = publish.ports.iter().filter(|wish| !is_among(&others, wish)).copied().collect();
    // If no port is left, the endpoint is only marked as able to take them over.
    session
        .publish_called(network_of(&endpoint), &endpoint.sandbox.spelled, &ports, publish.source)
        .map_err(cni_error)?;
    Ok(previous)
}

/// The ports that the container publishes through its other networks.
fn elsewhere(session: &Session, endpoint: &Endpoint) -> Result<Vec<PublishedPort>, CniError> {
    let siblings = session.siblings(endpoint).map_err(cni_error)?;
    Ok(siblings.into_iter().flat_map(|sibling| sibling.ports).collect())
}

fn is_among(ports: &[PublishedPort], wish: &PortWish) -> bool {
    ports.iter().any(|port| wish.is_met_by(port))
}

pub(super) fn unpublish(session: &mut Session, task: &Task, publish: &Publish) -> Result<(), CniError> {
    let Some(endpoint) = find(session, task)? else { return Ok(()) };
    session.unpublish_called(network_of(&endpoint), &endpoint.sandbox.spelled, &publish.ports).map_err(cni_error)?;
    if endpoint.ports.is_empty() || task.netns.is_none() {
        return Ok(());
    }
    // A failure on the container's other networks is no failure of this one.
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
        return Err(CniError::new(difference_found(), missing.join("; ")));
    }
    let problems = session.check_called(network_of(&endpoint), &endpoint.sandbox.spelled).map_err(cni_error)?;
    let about_ports: Vec<String> = problems.into_iter().map(|p| format!("{}: {}", p.object, p.what)).collect();
    if about_ports.is_empty() { Ok(()) } else { Err(CniError::new(difference_found(), about_ports.join("; "))) }
}

/// Sets who can reach a network. On devices of other plug-ins and on a network card only the open policy is accepted: zubi has
/// no rules for them.
pub(super) fn apply_policy(session: &mut Session, task: &Task, policy: IngressPolicy) -> Result<CniResult, CniError> {
    let previous = task.chained()?.clone();
    let is_open = policy.ingress == Ingress::Open && policy.icc.is_none();
    match find(session, task)? {
        Some(endpoint) if endpoint.network.source().is_some() => {
            let (network, _) = session.network(network_of(&endpoint)).map_err(cni_error)?;
            if network.is_firewalled() {
                session.set_ingress(&network.name, policy.ingress, policy.icc).map_err(cni_error)?;
            } else if !is_open {
                return Err(without_rules(task));
            }
        }
        None if !is_open => return Err(not_ours(task)),
        // A network made by the user keeps its own policy.
        _ => {}
    }
    Ok(previous)
}

fn without_rules(task: &Task) -> CniError {
    let why = format!(
        "network {}: ingressPolicy: what comes from the LAN passes no rule of this host; leave it out",
        task.network
    );
    CniError::new(Code::UnsupportedField, why)
}

pub(super) fn check_policy(session: &mut Session, task: &Task, policy: IngressPolicy) -> Result<(), CniError> {
    let Some(endpoint) = find(session, task)? else { return Ok(()) };
    let (network, _) = session.network(network_of(&endpoint)).map_err(cni_error)?;
    let same = network
        .bridge()
        .is_none_or(|bridge| bridge.ingress == policy.ingress && policy.icc.is_none_or(|icc| bridge.icc == icc));
    if same || network.name.source().is_none() {
        return Ok(());
    }
    Err(CniError::new(difference_found(), format!("network {}: ingressPolicy is not as configured", task.network)))
}
