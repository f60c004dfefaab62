//! Removes a network, whatever state it is in.

use crate::decide::host_lease::held_by;
use crate::error::Error;
use crate::firewall::forwarding::{forget_forwarding, forwarding_back, unneeded_without};
use crate::firewall::seen::forget_firewall;
use crate::look::clock::now;
use crate::session::Session;
use crate::steps::apply::take_down;
use zubi_kernel::Deletions;
use zubi_model::{Endpoint, HeldAddress, Holdings, IfName, Network, StaticRoute};
use zubi_ovsdb::PortSeen;
use zubi_plan::coexist::is_of;
use zubi_plan::driver::UPLINK_SETTINGS;
use zubi_plan::driver::{self, Last, Leaving};
use zubi_plan::{Op, Place, Plan, What};
use zubi_store::ExclusiveHost;
use zubi_wire::nft::RuleSeen;

/// Removes a network, whatever state it is in. Its record in `making/` exists already.
pub(crate) fn undo_network(session: &mut Session, host: &ExclusiveHost, network: &Network) -> Result<(), Error> {
    let name = &network.name;
    let plan = plan_down(session, network)?;
    let unneeded = unneeded_without(session, Some(network));
    forget_firewall(session)?;
    // Once the network's record is gone, the one in `making/` leads the next command to the parts that are left.
    if let Err(e) = session.store().remove_network(host, name) {
        if session.store().network(name)?.is_some() {
            // The network stays unchanged.
            session.store().end_network(host, name)?;
        }
        return Err(e.into());
    }
    take_down(session, &format!("network {name}"), &plan, Deletions::Now)?;
    session.store().remove_takeover(host, name)?;
    forget_forwarding(session, &unneeded)?;
    session.store().forget_network(host, name)?;
    session.store().end_network(host, name)?;
    Ok(())
}

/// The plan that removes the existing parts of a network.
pub(crate) fn plan_down(session: &mut Session, network: &Network) -> Result<Plan, Error> {
    let (others, unreadable) = session.store().networks_lossy();
    let others: Vec<Network> = others.into_iter().filter(|n| n.name != network.name).collect();
    let last = if others.is_empty() && unreadable.is_empty() { Last::Yes } else { Last::No };
    // This comes before the guest rules are read: their positions must belong to the expected generation.
    let mut back = forwarding_back(session, Some(network))?;
    if last == Last::Yes {
        back.elements.clear();
    }
    let guests = session.kernel.guest_rules().map_err(Error::kernel("firewalls of other programs"))?;
    let own = guests.into_iter().filter(|guest| guest.owner.is_none() && is_of(&guest.rule, network));
    let guests: Vec<RuleSeen> = own.map(|guest| guest.rule).collect();
    let device = session.kernel.link(&Place::Host, network.device().as_str()).map_err(Error::kernel("device"))?;
    let ports = left_ports(session, network)?;
    let found = Leaving { last, device: device.as_ref(), others: &others, guests: &guests, ports: &ports };
    let mut plan = driver::down_from(network, &found);
    let is_of_host = device.as_ref().is_some_and(|seen| driver::is_of_host(network, seen));
    if let Some(card) = network.parent().filter(|_| !is_of_host) {
        let (held, hasty) = to_give_back(session, network, card)?;
        plan.ops.retain(|op| !matches!(op.what, What::DeleteLink(_)));
        plan.ops.splice(0..0, driver::give_card_back(network, &held, &hasty).unwrap_or_default().ops);
    }
    let at = plan.ops.iter().position(Op::is_nft).unwrap_or(plan.ops.len());
    plan.ops.splice(at..at, back.settings.into_iter().chain(back.elements));
    Ok(plan)
}

/// The ports that were made for a network and belong to none of its endpoints: after a reboot Open vSwitch still has
/// them.
fn left_ports(session: &mut Session, network: &Network) -> Result<Vec<IfName>, Error> {
    if network.ovs().is_none() {
        return Ok(Vec::new());
    }
    let seen = match session.kernel.ovs() {
        Ok(seen) => seen,
        Err(e) => {
            session.note(format!("network {}: {e}; zubi gc removes ports that are left there", network.name));
            return Ok(Vec::new());
        }
    };
    let instance = session.instance();
    let endpoints = session.store().endpoints_on(&network.name)?;
    let is_left = |port: &&PortSeen| {
        driver::is_marked(port, &instance)
            && driver::made_for(port).as_ref() == Some(&network.name)
            && !endpoints.iter().filter_map(Endpoint::host_device).any(|device| device.as_str() == port.name)
    };
    Ok(seen.ports.iter().filter(is_left).filter_map(|port| port.name.parse().ok()).collect())
}

/// What the card of a network gets back: what the bridge has, and what neither has any more. And the addresses that a
/// rollback has put on the card already.
fn to_give_back(
    session: &mut Session,
    network: &Network,
    card: &IfName,
) -> Result<(Holdings, Vec<HeldAddress>), Error> {
    let mut of = |device: &IfName| match session.kernel.holdings(device, UPLINK_SETTINGS) {
        Ok(seen) => Ok(seen.held),
        Err(e) if e.is_missing() => Ok(Holdings::default()),
        Err(e) => Err(Error::kernel(format!("device {device}"))(e)),
    };
    let (mut held, on_card) = (of(network.device())?, of(card)?);
    // A record that cannot be read must not keep the card from getting back what the bridge has.
    let record = session.store().takeover(&network.name).ok().flatten();
    let at = now()?;
    let before = record.map(|record| held_by(&record, at)).unwrap_or_default();
    let mut hasty = Vec::new();
    for address in before.addresses {
        let is_it = |other: &HeldAddress| other.address == address.address;
        let is_hasty = |other: &HeldAddress| is_it(other) && other.options.no_dad && !address.options.no_dad;
        if on_card.addresses.iter().any(is_hasty) {
            hasty.push(address);
        } else if !held.addresses.iter().any(is_it) && !on_card.addresses.iter().any(is_it) {
            held.addresses.push(address);
        }
    }
    for rule in before.rules {
        let on_bridge = rule.moved(card, network.device());
        if !held.rules.contains(&on_bridge) && !on_card.rules.contains(&rule) {
            held.rules.push(on_bridge);
        }
    }
    for route in before.routes {
        let is_it = |other: &StaticRoute| (other.to, other.via) == (route.to, route.via);
        if !held.routes.iter().any(is_it) && !on_card.routes.iter().any(is_it) {
            held.routes.push(route);
        }
    }
    Ok((held, hasty))
}
