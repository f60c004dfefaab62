//! Taking a network away, whatever state it is in.

use crate::error::Error;
use crate::firewall::forwarding::{forget_forwarding, forwarding_back, unneeded_without};
use crate::firewall::seen::forget_firewall;
use crate::look::device::is_bridge_of;
use crate::session::Session;
use crate::steps::apply::take_down;
use ipnet::IpNet;
use zubi_kernel::Deletions;
use zubi_model::{BridgeMode, LinkGroup, Network, Pool};
use zubi_plan::coexist::{is_of, join, leave};
use zubi_plan::network::{Last, down};
use zubi_plan::{Op, Place, Plan, What};
use zubi_store::ExclusiveHost;
use zubi_wire::route::{Address, LinkMark, LinkSeen};

/// Takes a network away whatever state it is in. It is recorded as being made or unmade.
pub(crate) fn undo_network(session: &mut Session, host: &ExclusiveHost, network: &Network) -> Result<(), Error> {
    let name = &network.name;
    let plan = plan_down(session, network)?;
    let unneeded = unneeded_without(session, Some(network));
    forget_firewall(session)?;
    // From here on it is undone: what is left of it is found by the other record.
    if let Err(e) = session.store().remove_network(host, name) {
        if session.store().network(name)?.is_some() {
            // It stays as it is.
            session.store().end_network(host, name)?;
        }
        return Err(e.into());
    }
    take_down(session, &format!("network {name}"), &plan, Deletions::Now)?;
    forget_forwarding(session, &unneeded)?;
    session.store().forget_network(host, name)?;
    session.store().end_network(host, name)?;
    Ok(())
}

pub(crate) fn plan_down(session: &mut Session, network: &Network) -> Result<Plan, Error> {
    let (others, unreadable) = session.store().networks_lossy();
    let last = others.iter().all(|n| n.name == network.name) && unreadable.is_empty();
    let mut plan = down(network, if last { Last::Yes } else { Last::No });
    let others: Vec<Network> = others.into_iter().filter(|n| n.name != network.name).collect();
    let shared = others.iter().any(|n| n.bridge == network.bridge);
    // Before the guests: their numbers are to be of the generation that is expected.
    let mut back = forwarding_back(session, Some(network))?;
    if last {
        back.elements.clear();
    }
    let guests = session.kernel.guests().map_err(Error::kernel("firewalls of other programs"))?;
    let ours = guests.into_iter().filter(|guest| guest.owner.is_none() && is_of(&guest.rule, network));
    join(&mut plan, leave(&ours.map(|guest| guest.rule).collect::<Vec<_>>()));
    // Somebody else's device may have the bridge's name by now.
    let seen = session.kernel.link(&Place::Host, network.bridge.as_str()).map_err(Error::kernel("bridge"))?;
    let managed = network.bridge_mode == BridgeMode::Managed;
    let stranger = |s: &LinkSeen| managed && !is_bridge_of(network, s);
    if shared || seen.as_ref().is_some_and(stranger) {
        plan.ops.retain(|op| !matches!(op.what, What::DeleteLink(_)));
    }
    for op in &mut plan.ops {
        if let What::DeleteLink(bridge) = &mut op.what {
            // Somebody may have changed it; it is the one that was found.
            bridge.mac = seen.as_ref().and_then(|seen| seen.mac);
        }
    }
    let ours = seen.as_ref().is_some_and(|s| s.group == LinkGroup::OURS);
    if shared && ours {
        // The bridge stays for others; what the host had on it for this one does not.
        const WHY: &str = "the host's address on the bridge that stays for another network";
        let own = network.pools.iter().filter_map(Pool::host_address);
        let gone = own.map(|a| What::DeleteAddress(Address::new(a, network.bridge.clone())));
        plan.ops.splice(0..0, gone.map(|what| Op::host(what, WHY)));
    } else if !shared && !managed && ours {
        // It was made for another network, which left it to this one.
        let bridge = LinkMark { name: network.bridge.clone(), mac: None };
        plan.ops.insert(0, Op::host(What::DeleteLink(bridge), "the bridge goes with its last network"));
    }
    leave_to_others(&mut plan, network, &others);
    let at = plan.ops.iter().position(Op::is_nft).unwrap_or(plan.ops.len());
    plan.ops.splice(at..at, back.settings.into_iter().chain(back.elements));
    Ok(plan)
}

/// Networks of the same bridge say the same of it: what others say too is not taken away.
pub(crate) fn leave_to_others(plan: &mut Plan, network: &Network, others: &[Network]) {
    let elements: Vec<_> = others.iter().flat_map(zubi_plan::firewall::network_elements).collect();
    let same_bridge = others.iter().filter(|n| n.bridge == network.bridge);
    let addresses: Vec<IpNet> = same_bridge.flat_map(|n| n.pools.iter().filter_map(Pool::host_address)).collect();
    plan.ops.retain(|op| match &op.what {
        What::DeleteElement(element) => !elements.contains(element),
        What::DeleteAddress(gone) => !addresses.contains(&gone.address),
        _ => true,
    });
}
