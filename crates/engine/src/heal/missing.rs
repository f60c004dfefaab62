//! What a network lacks: all of it after a reboot, parts of it after a deletion.

use crate::decide::host_lease::held_by;
use crate::decide::ovs::datapath;
use crate::error::Error;
use crate::firewall::forwarding::close_forwarding;
use crate::look::addresses_in_use::is_link_local;
use crate::look::bridge_maker::maker;
use crate::look::clock::now;
use crate::look::compare::host_device;
use crate::look::host::host_facts;
use crate::look::unrecorded::refuse_other_instance_now;
use crate::session::Session;
use zubi_model::{Endpoint, IfName, Network, OvsNetwork};
use zubi_plan::alias::Maker;
use zubi_plan::driver::{self, HostFacts, Standing, UPLINK_SETTINGS};
use zubi_plan::{Op, Plan, loopback};
use zubi_snapshot::{Finding, Snapshot};
use zubi_wire::route::{AdminState, LinkSeen};

/// Whether ports are about to be published on 127.0.0.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loopback {
    Needed,
    NotNeeded,
}

/// The operations for publishing ports on 127.0.0.1; empty if they are in effect already.
pub(crate) fn missing_loopback(session: &mut Session, network: &Network) -> Result<Plan, Error> {
    // This setting is written last: if it is there, so is the guard.
    let op = loopback::route_localnet(network);
    let compared = session.kernel.compare(&[op]).map_err(Error::kernel(format!("network {}", network.name)))?;
    let lacks = compared.iter().any(|(_, finding)| *finding != Finding::Same);
    if lacks { loopback_plan(session, network) } else { Ok(Plan::new()) }
}

fn loopback_plan(session: &mut Session, network: &Network) -> Result<Plan, Error> {
    Ok(loopback::loopback(network, host_facts(session)?.netfilter))
}

/// The operations that set a network up, without those that all networks share.
pub(crate) fn network_ops<'a>(
    session: &mut Session,
    facts: &HostFacts,
    network: &Network,
    endpoints: impl IntoIterator<Item = &'a Endpoint>,
) -> Result<Vec<Op>, Error> {
    let mut plan = driver::up_with(network, facts, endpoints);
    if maker(session, network)? == Maker::Host {
        driver::take_from_host(&mut plan, network);
    }
    close_forwarding(session, &mut plan)?;
    plan.ops.extend(driver::kept(network));
    Ok(plan.ops.into_iter().filter(|op| !op.is_layout()).collect())
}

/// The operations that complete a network whose device is missing or incomplete: after a reboot, after a deletion, or
/// after a command was killed while it restored the network.
pub(crate) fn missing_network(session: &mut Session, network: &Network, need: Loopback) -> Result<Plan, Error> {
    let object = format!("network {}", network.name);
    let seen = host_device(session, &mut Snapshot::new(), network.device())?;
    if network.macvlan().is_some_and(|part| part.card().is_some() && part.vlan.is_none()) {
        require_card(network, seen.as_ref())?;
    }
    if let Some(part) = network.ovs() {
        require_ovs_bridge(session, network, part)?;
    }
    match driver::standing(network, seen.as_ref()) {
        Standing::Complete => {
            let lacks = need == Loopback::Needed
                && network.is_firewalled()
                && seen.is_some_and(|seen| seen.settings.get("ipv4", "route_localnet") != Some(1));
            if lacks { loopback_plan(session, network) } else { Ok(Plan::new()) }
        }
        Standing::InParts => {
            let mut plan = everything(session, network, need)?;
            // The caller has checked the firewall table already.
            plan.ops.retain(|op| !op.is_layout());
            without_same(session, &object, &plan.ops)
        }
        Standing::OfHost => {
            refuse_other_instance_now(session)?;
            let facts = host_facts(session)?;
            let ops = network_ops(session, &facts, network, [])?;
            without_same(session, &object, &ops)
        }
        Standing::Unmarked => {
            let mut plan = everything(session, network, need)?;
            driver::put_marks_back(&mut plan, network);
            Ok(plan)
        }
        Standing::Incomplete => everything(session, network, need),
        Standing::NoDevice => Err(Error::NoBridge { network: network.name.clone(), bridge: network.device().clone() }),
        Standing::Foreign => {
            let kind = seen.and_then(|seen| seen.kind);
            Err(Error::Kernel {
                object,
                source: zubi_kernel::Error::Conflict {
                    object: format!("bridge {}", network.device()),
                    found: format!("a {} that zubi did not make", kind.as_deref().unwrap_or("device")),
                },
            })
        }
    }
}

/// The operations whose result is missing or differs.
fn without_same(session: &mut Session, object: &str, ops: &[Op]) -> Result<Plan, Error> {
    let compared = session.kernel.compare(ops).map_err(Error::kernel(object))?;
    Ok(compared.into_iter().filter(|(_, finding)| *finding != Finding::Same).map(|(op, _)| op).collect())
}

/// The card of a macvlan network has to be there and up: a macvlan on a card that is down cannot be up.
fn require_card(network: &Network, seen: Option<&LinkSeen>) -> Result<(), Error> {
    let card = network.device().clone();
    match seen {
        None => Err(Error::Card { why: format!("does not exist, and carries network {}", network.name), card }),
        Some(seen) if seen.state == AdminState::Down => Err(Error::Card {
            why: format!("is down, and carries network {}; ip link set {card} up", network.name),
            card,
        }),
        Some(_) => Ok(()),
    }
}

/// The bridge has to be there as it was when the network was made.
fn require_ovs_bridge(session: &mut Session, network: &Network, part: &OvsNetwork) -> Result<(), Error> {
    let bridge = part.bridge.clone();
    let seen = session.kernel.ovs_bridges().map_err(Error::kernel(format!("bridge {bridge}")))?;
    match seen.bridge(bridge.as_str()) {
        Some(seen) if datapath(seen) == part.datapath => Ok(()),
        Some(_) => {
            let why = format!("has another datapath_type than when network {0} was made; make {0} anew", network.name);
            Err(Error::OvsBridge { bridge, why })
        }
        None => {
            let there = seen.bridges.into_iter().map(|bridge| bridge.name).collect();
            Err(Error::NoOvsBridge { bridge, there })
        }
    }
}

/// The bridge of a network with a network card takes over what the host has on the card: after a reboot all of it, after
/// a deletion of the bridge what the record says.
pub(crate) fn take_over_again(session: &mut Session, network: &Network, card: &IfName) -> Result<Plan, Error> {
    let object = || format!("network card {card}");
    let seen = session.kernel.holdings(card, UPLINK_SETTINGS).map_err(Error::kernel(object()))?;
    let mut held = seen.held;
    let at = now()?;
    let before = session.store().takeover(&network.name)?.map(|record| held_by(&record, at)).unwrap_or_default();
    if !held.addresses.iter().any(|own| !is_link_local(own.address.addr())) {
        held.addresses.extend(before.addresses);
        held.routes.extend(before.routes);
        held.rules.extend(before.rules);
    }
    Ok(driver::take_over(network, &held, &session.run_folder()).unwrap_or_default())
}

/// All operations that set a network up, with what its published ports need, including those about to be published.
fn everything(session: &mut Session, network: &Network, need: Loopback) -> Result<Plan, Error> {
    refuse_other_instance_now(session)?;
    if let Some(card) = network.parent() {
        return take_over_again(session, network, card);
    }
    let endpoints = session.store().all_endpoints_lossy().0;
    let own = endpoints.iter().filter(|e| e.network == network.name);
    let mut plan = driver::up_with(network, &host_facts(session)?, own);
    close_forwarding(session, &mut plan)?;
    if need == Loopback::Needed && !plan.ops.contains(&loopback::route_localnet(network)) {
        plan.append(loopback_plan(session, network)?);
    }
    Ok(plan)
}
