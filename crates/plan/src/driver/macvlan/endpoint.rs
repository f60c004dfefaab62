//! Endpoints: a macvlan or an ipvlan inside the sandbox.

use crate::driver::found::Remains;
use crate::driver::macvlan::links::inner;
use crate::driver::macvlan::shim;
use crate::inside::{self, Surroundings};
use crate::{Neighbours, Op, Plan, Through, What, guards};
use zubi_model::{Endpoint, MacvlanNetwork, Network, OnParent};
use zubi_wire::route::LinkMark;

pub(in crate::driver) fn attach(
    network: &Network,
    part: &MacvlanNetwork,
    endpoint: &Endpoint,
    on: &OnParent,
    around: &Surroundings,
) -> Plan {
    const OWN_MAC: &str = "a device with a MAC of its own on the network card, born inside the sandbox";
    const CARD_MAC: &str = "a device with the MAC of the network card, born inside the sandbox";
    const WAITING: &str = "a device on the network card: the program that runs the sandbox moves it";
    let sandbox = &endpoint.sandbox.reached_by;
    let mut plan: Plan = guards::raise(endpoint, &around.stale).into_iter().collect();
    let device = if on.ipvlan.is_some() { CARD_MAC } else { OWN_MAC };
    let made = What::AddLink(inner(network, part, endpoint, on));
    plan.push(match &endpoint.handed_over {
        None => Op::sandbox(sandbox, made, device),
        Some(_) => Op::host(made, WAITING),
    });
    plan.ops.extend(inside::set_up(endpoint, around));
    // The kernel gives an ipvlan no other MAC, nor the same again. One that is told to (`arp_notify`) announces its
    // addresses when it goes up.
    let neighbours = if on.ipvlan.is_some() { Neighbours::AreRight } else { around.neighbours };
    plan.ops.extend(inside::announce(endpoint, neighbours, Through::Card));
    // Setting the MAC, which announces it, makes the device forget its neighbours.
    plan.ops.extend(part.shim.iter().flat_map(|shim| shim::reach(endpoint, shim, &around.of_host)));
    plan
}

pub(in crate::driver) fn wanted(
    network: &Network,
    part: &MacvlanNetwork,
    endpoint: &Endpoint,
    on: &OnParent,
    around: &Surroundings,
) -> Vec<Op> {
    let mut ops = inside::with_connected_routes(attach(network, part, endpoint, on, around).ops, endpoint);
    if endpoint.handed_over.is_some() {
        // It is in the sandbox by now.
        ops.retain(|op| !matches!(op.what, What::AddLink(_)));
    }
    ops
}

/// Removes an endpoint whose device is still on the host.
pub(in crate::driver) fn withdraw(endpoint: &Endpoint, on: &OnParent) -> Plan {
    const DELETE: &str = "nobody has moved the device into a sandbox";
    let mut plan: Plan = on.shim.iter().flat_map(|shim| shim::leave(endpoint, shim)).collect();
    plan.ops.extend(on.shim.iter().flat_map(|_| guards::forget(endpoint)));
    let device = endpoint.handed_over.iter().map(|name| LinkMark::new(name.clone(), endpoint.mac));
    plan.ops.extend(device.map(|device| Op::host(What::DeleteLink(device), DELETE)));
    plan
}

pub(in crate::driver) fn change_mac(after: &Endpoint, on: &OnParent) -> Plan {
    let known = on.shim.iter().flat_map(|shim| shim::known(after, shim));
    known.chain(inside::change_mac(after)).collect()
}

/// The device as it is called now: it may have been renamed.
pub(in crate::driver) fn delete_device(endpoint: &Endpoint, on: &OnParent) -> Op {
    const WHY: &str = "it is not as made";
    let device = LinkMark { name: endpoint.ifname.clone(), mac: on.ipvlan.is_none().then_some(endpoint.mac) };
    Op::sandbox(&endpoint.sandbox.reached_by, What::DeleteLink(device), WHY)
}

/// The device is deleted at once: no later command would find it.
pub(in crate::driver) fn detach(endpoint: &Endpoint, on: &OnParent, remains: &Remains) -> Plan {
    const DELETE: &str = "the device goes, and its addresses and routes with it";
    let mut plan: Plan = on.shim.iter().flat_map(|shim| shim::leave(endpoint, shim)).collect();
    plan.ops.extend(on.shim.iter().flat_map(|_| guards::forget(endpoint)));
    let Some(way) = &remains.inside else { return plan };
    if remains.inner_end.is_ours() {
        let device = LinkMark { name: endpoint.ifname.clone(), mac: None };
        plan.push(Op::sandbox(way, What::DeleteLink(device), DELETE));
    }
    plan.ops.extend(inside::leave(endpoint, way, remains));
    plan
}
