//! What is missing of a network: all of it after a reboot, parts of it when something was deleted.

use crate::decide::wishes::on_loopback;
use crate::error::Error;
use crate::firewall::forwarding::close_forwarding;
use crate::look::device::is_bridge_of;
use crate::look::host::{HostFacts, host_facts};
use crate::look::unrecorded::refuse_other_instance_now;
use crate::session::Session;
use std::path::Path;
use zubi_kernel::Finding;
use zubi_model::{BridgeMode, Endpoint, Network, PortWish};
use zubi_plan::network::up;
use zubi_plan::{Op, Place, Plan, What, loopback};
use zubi_wire::route::{AdminState, Link, LinkChange, LinkSeen};

/// What it takes to publish ports on 127.0.0.1, unless it is there.
pub(crate) fn missing_loopback(session: &mut Session, network: &Network) -> Result<Plan, Error> {
    // The setting comes last: where it is, the guard was.
    let op = loopback::route_localnet(network);
    let compared = session.kernel.examine(&[op]).map_err(Error::kernel(format!("network {}", network.name)))?;
    let lacks = compared.iter().any(|(_, finding)| *finding != Finding::Same);
    if lacks { loopback_plan(session, network) } else { Ok(Plan::new()) }
}

fn loopback_plan(session: &mut Session, network: &Network) -> Result<Plan, Error> {
    Ok(loopback::loopback(network, host_facts(session)?.netfilter))
}

/// Everything a network is made of, with what its endpoints' published ports need of it.
fn plan_up_now(session: &mut Session, network: &Network) -> Result<Plan, Error> {
    refuse_other_instance_now(session)?;
    let endpoints = session.store().all_endpoints_lossy().0;
    let own = endpoints.iter().filter(|e| e.network == network.name);
    let mut plan = plan_up(network, &host_facts(session)?, own);
    close_forwarding(session, &mut plan)?;
    Ok(plan)
}

/// The operations a network stands for, beside those all networks share.
pub(crate) fn network_ops<'a>(
    session: &mut Session,
    facts: &HostFacts,
    network: &Network,
    endpoints: impl IntoIterator<Item = &'a Endpoint>,
) -> Result<Vec<Op>, Error> {
    let mut plan = plan_up(network, facts, endpoints);
    close_forwarding(session, &mut plan)?;
    plan.ops.extend(zubi_plan::network::kept(network));
    Ok(plan.ops.into_iter().filter(|op| !op.is_layout()).collect())
}

/// Everything a network is made of, if its bridge is not there or not complete: after a reboot, when somebody
/// deleted it, or when a command was killed while it put the network back.
pub(crate) fn missing_network(session: &mut Session, network: &Network, on_loopback: bool) -> Result<Plan, Error> {
    let object = format!("network {}", network.name);
    let seen = session.kernel.link(&Place::Host, network.bridge.as_str()).map_err(Error::kernel(&object))?;
    match seen {
        Some(seen) if is_bridge_of(network, &seen) && network.bridge_mode == BridgeMode::Adopted => {
            missing_on_adopted(session, network, on_loopback)
        }
        Some(seen) if is_bridge_of(network, &seen) && is_complete(network, &seen) => {
            let lacks = on_loopback
                && network.bridge_mode != BridgeMode::Unmanaged
                && seen.settings.get("ipv4", "route_localnet") != Some(1);
            if lacks { loopback_plan(session, network) } else { Ok(Plan::new()) }
        }
        Some(seen) if !is_bridge_of(network, &seen) => Err(Error::Kernel {
            object,
            source: zubi_kernel::Error::Conflict {
                object: format!("bridge {}", network.bridge),
                found: format!("a {} that zubi did not make", seen.kind.as_deref().unwrap_or("device")),
            },
        }),
        None if network.bridge_mode != BridgeMode::Managed => {
            Err(Error::NoBridge { network: network.name.clone(), bridge: network.bridge.clone() })
        }
        Some(seen) if !zubi_plan::network::bridge(network).is(&seen) => {
            let mut plan = plan_up_with(session, network, on_loopback)?;
            for op in &mut plan.ops {
                if let What::AddLink(bridge) = &op.what {
                    op.what = What::ChangeLink(mark(bridge));
                }
            }
            Ok(plan)
        }
        _ => plan_up_with(session, network, on_loopback),
    }
}

/// The same, and what publishing on 127.0.0.1 takes, if somebody is about to.
fn plan_up_with(session: &mut Session, network: &Network, on_loopback: bool) -> Result<Plan, Error> {
    let mut plan = plan_up_now(session, network)?;
    if on_loopback && !plan.ops.contains(&loopback::route_localnet(network)) {
        plan.append(loopback_plan(session, network)?);
    }
    Ok(plan)
}

/// A bridge that was there before is up without anything of the network, so each part of it is looked for.
fn missing_on_adopted(session: &mut Session, network: &Network, on_loopback: bool) -> Result<Plan, Error> {
    let mut plan = plan_up_with(session, network, on_loopback)?;
    // Whether the firewall stands has been looked at already.
    plan.ops.retain(|op| !op.is_layout());
    let compared = session.kernel.examine(&plan.ops).map_err(Error::kernel(format!("network {}", network.name)))?;
    Ok(compared.into_iter().filter(|(_, finding)| *finding != Finding::Same).map(|(op, _)| op).collect())
}

/// Everything a network is made of, with what the published ports of these endpoints of it need.
fn plan_up<'a>(network: &Network, facts: &HostFacts, endpoints: impl IntoIterator<Item = &'a Endpoint>) -> Plan {
    let mut plan = up(network, &facts.ipv6);
    mark_bridge(&mut plan, network, &facts.run);
    let ports = endpoints.into_iter().flat_map(|e| &e.ports).map(|port| PortWish::from(*port));
    if on_loopback(network, &ports.collect::<Vec<_>>()) {
        // Before the bridge goes up: one that is up is complete.
        let at = plan.ops.len().saturating_sub(1);
        plan.ops.splice(at..at, loopback::loopback(network, facts.netfilter).ops);
    }
    plan
}

/// Says on the bridge of a network which zubi made it: the last operation of the plan takes it up.
pub(crate) fn mark_bridge(plan: &mut Plan, network: &Network, run: &Path) {
    if network.bridge_mode == BridgeMode::Managed
        && let Some(Op { what: What::ChangeLink(go_up), .. }) =
            plan.ops.iter_mut().rfind(|op| matches!(&op.what, What::ChangeLink(c) if c.name == network.bridge))
    {
        go_up.alias = Some(zubi_plan::alias::of_network(network, run));
    }
}

/// Gives a link of ours its marks back.
fn mark(link: &Link) -> LinkChange {
    LinkChange { mac: Some(link.mac), group: Some(link.group), ..LinkChange::none(link.name.clone()) }
}

/// The bridge goes up last. One that is somebody else's is up when its owner wants it.
pub(crate) fn is_complete(network: &Network, seen: &LinkSeen) -> bool {
    match network.bridge_mode {
        BridgeMode::Managed => seen.state == AdminState::Up && zubi_plan::network::bridge(network).is(seen),
        BridgeMode::Adopted => seen.state == AdminState::Up,
        BridgeMode::Unmanaged => true,
    }
}

/// A plan behind another one, which puts the whole firewall back if it does not stand: what both say is said once. The
/// same element, or the table, twice in one transaction makes the kernel take all of it back, and wait for its readers
/// (10 ms).
pub(crate) fn put_behind(first: &mut Plan, second: Plan) {
    let whole = first.ops.iter().any(Op::is_layout);
    let said = |op: &Op| {
        let element = whole && matches!(op.what, What::AddElement(_));
        op.is_layout() || (element && first.ops.iter().any(|earlier| earlier.what == op.what))
    };
    let rest: Vec<Op> = second.ops.into_iter().filter(|op| !said(op)).collect();
    first.ops.extend(rest);
}
