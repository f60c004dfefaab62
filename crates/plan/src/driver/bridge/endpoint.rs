//! Endpoints: the veth pair and its port.

use crate::driver::bridge::links::{self, doomed_name};
use crate::driver::bridge::port::{new_port, own_mac, set_hairpin, whole_port};
use crate::driver::bridge::take;
use crate::driver::found::Remains;
use crate::inside::{self, Surroundings};
use crate::{Op, Plan, Through, What, alias, guards, published};
use zubi_model::{
    BridgeMode, BridgeNetwork, Endpoint, Hairpin, LinkGroup, Mtu, Network, Pair, PublishedPort, SourceMac,
};
use zubi_wire::route::{AdminState, LinkChange, LinkMark, Switch};

pub(in crate::driver) fn attach(
    network: &Network,
    part: &BridgeNetwork,
    endpoint: &Endpoint,
    pair: &Pair,
    around: &Surroundings,
) -> Plan {
    const PAIR: &str = "a virtual cable: one end is a port of the bridge, the other is born inside the sandbox";
    const WAITING: &str = "a virtual cable with both ends here: the program that runs the sandbox moves one end inside";
    const OUTER: &str = "the host's end carries frames only, it needs no address of its own";
    const UP: &str = "plug the cable in";

    let mut plan: Plan = guards::raise(endpoint, &around.stale).into_iter().collect();
    match &around.taken {
        None => {
            let made = links::pair(network, endpoint, pair, Some(pair.bridge.clone()));
            let why = if endpoint.handed_over.is_some() { WAITING } else { PAIR };
            plan.push(Op::host(What::AddLink(made), why));
        }
        Some(taken) => {
            plan.ops.extend(take::take_outer(network, endpoint, pair, taken));
            plan.ops.extend(take::take_inner(network, endpoint, taken));
        }
    }
    plan.ops.extend(inside::set_up(endpoint, around));
    plan.push(Op::host(What::ChangeLink(LinkChange::addressless(pair.host.clone())), OUTER));
    plan.ops.extend(match &around.taken {
        None => new_port(part, endpoint, pair),
        Some(taken) => take::take_port(part, endpoint, pair, taken),
    });
    let mut go_up = LinkChange::state(pair.host.clone(), AdminState::Up);
    go_up.alias = Some(alias::of_endpoint(endpoint));
    plan.push(Op::host(What::ChangeLink(go_up), UP));
    let through = Through::Bridge { port: pair.host.clone(), bridge: pair.bridge.clone() };
    plan.ops.extend(inside::announce(endpoint, around.neighbours, through));
    plan
}

pub(in crate::driver) fn wanted(
    network: &Network,
    part: &BridgeNetwork,
    endpoint: &Endpoint,
    pair: &Pair,
    around: &Surroundings,
) -> Vec<Op> {
    const PORT: &str = "how the bridge treats this port";
    let mut network = network.clone();
    if network.mtu.is_none() && part.mode == BridgeMode::Managed && network.name.source().is_none() {
        // What the kernel chose when it made the pair.
        network.mtu = Some(Mtu::STANDARD);
    }
    if endpoint.lease().is_some_and(|lease| lease.mtu.is_some()) {
        // The inner end has the MTU of its lease, see `inside`.
        network.mtu = None;
    }
    let mut ops = attach(&network, part, endpoint, pair, around).ops;
    if part.mode == BridgeMode::Unmanaged {
        return ops;
    }
    ops.retain(|op| !matches!(op.what, What::ChangePort(_)));
    let after_pair = ops.iter().position(|op| matches!(op.what, What::AddLink(_))).map_or(0, |at| at + 1);
    ops.insert(after_pair, Op::host(What::ChangePort(whole_port(part, endpoint, pair)), PORT));
    inside::with_connected_routes(ops, endpoint)
}

pub(in crate::driver) fn publish(
    endpoint: &Endpoint,
    pair: &Pair,
    before: &[PublishedPort],
    ports: &[PublishedPort],
) -> Plan {
    const HAIRPIN: &str = "what the endpoint sends to its own port may come back by the same cable";
    let mut plan = published::publish(endpoint, before, ports);
    if before.is_empty() {
        plan.push(set_hairpin(pair, Switch::On, HAIRPIN));
    }
    plan
}

/// The bridge's part of the network is `None` when the network's record is lost.
pub(in crate::driver) fn unpublish(
    part: Option<&BridgeNetwork>,
    endpoint: &Endpoint,
    pair: &Pair,
    after: &[PublishedPort],
    ports: &[PublishedPort],
) -> Plan {
    const HAIRPIN: &str = "nothing comes back by the same cable any more";
    let mut plan = published::unpublish(endpoint, after, ports);
    let hairpin = part.map(|part| part.hairpin).unwrap_or_default();
    if after.is_empty() && hairpin == Hairpin::Published {
        plan.push(set_hairpin(pair, Switch::Off, HAIRPIN));
    }
    plan
}

/// The host end's MAC follows, since the pair is identified by it.
pub(in crate::driver) fn change_mac(after: &Endpoint, pair: &Pair) -> Plan {
    const OUTER: &str = "the host's end is recognised by the same number";
    let mut plan = Plan::new();
    if after.traits.source_mac == SourceMac::Own {
        plan.push(Op::host(What::AddForwarding(own_mac(after, pair)), OUTER));
    }
    let outer = LinkChange::mac(pair.host.clone(), after.host_mac());
    plan.push(Op::host(What::ChangeLink(outer), OUTER));
    plan.ops.extend(inside::change_mac(after));
    plan
}

/// Deleting the host end deletes the pair, wherever the other end is.
pub(in crate::driver) fn delete_device(endpoint: &Endpoint, pair: &Pair) -> Op {
    const WHY: &str = "its inner end is not as made";
    Op::host(What::DeleteLink(LinkMark::new(pair.host.clone(), endpoint.host_mac())), WHY)
}

pub(in crate::driver) fn detach(endpoint: &Endpoint, pair: &Pair, remains: &Remains) -> Plan {
    const UNPLUG: &str = "unplug the cable: leave the bridge, at once";
    let mut unplug = LinkChange::state(pair.host.clone(), AdminState::Down);
    unplug.release = true;
    detach_pair(endpoint, pair, remains, unplug, UNPLUG)
}

/// `unplug`: the change that keeps frames from passing the host end.
pub(in crate::driver) fn detach_pair(
    endpoint: &Endpoint,
    pair: &Pair,
    remains: &Remains,
    mut unplug: LinkChange,
    why: &'static str,
) -> Plan {
    const FREE: &str = "free the name inside; the device itself is gone a moment later";
    const DELETE: &str = "delete the pair (slow in the kernel, so no command waits for it)";

    let mut plan: Plan = guards::lower(endpoint).collect();
    if remains.host_end.is_ours() {
        unplug.group = Some(LinkGroup::DOOMED);
        plan.push(Op::host(What::ChangeLink(unplug), why));
    }
    plan.ops.extend(guards::forget(endpoint));
    if let Some(inside) = &remains.inside {
        let doomed = doomed_name(endpoint, pair);
        let change = |change| Op::sandbox(inside, What::ChangeLink(change), FREE);
        if remains.doomed_end.is_ours()
            && let Some(name) = &doomed
        {
            plan.push(change(LinkChange::state(name.clone(), AdminState::Down)));
        }
        if remains.inner_end.is_ours() {
            // Two messages: before Linux 6.2 a device that is up cannot be renamed.
            plan.push(change(LinkChange::state(endpoint.ifname.clone(), AdminState::Down)));
            plan.ops.extend(doomed.map(|name| change(LinkChange::rename(endpoint.ifname.clone(), name))));
        }
        plan.ops.extend(inside::leave(endpoint, inside, remains));
    }
    if remains.host_end.is_ours() {
        // While its MAC is being changed, the device may have either.
        let mac = endpoint.next_mac.is_none().then(|| endpoint.host_mac());
        plan.push(Op::host(What::DeleteLink(LinkMark { name: pair.host.clone(), mac }), DELETE));
    }
    plan
}
