//! Endpoints: the device moves into the sandbox, and gets what the endpoint has.

use crate::driver::found::Remains;
use crate::inside::{self, Surroundings};
use crate::{Neighbours, Op, Plan, Through, What, guards};
use zubi_model::{Endpoint, MovedDevice, Network};
use zubi_wire::route::{Destination, LinkChange, LinkMove};

pub(in crate::driver) fn attach(
    network: &Network,
    endpoint: &Endpoint,
    moved: &MovedDevice,
    around: &Surroundings,
) -> Plan {
    let mac = endpoint.mac;
    let change = LinkChange {
        mac: moved.mac.filter(|before| *before != mac).map(|_| mac),
        mtu: network.mtu.filter(|mtu| moved.mtu != Some(*mtu)),
        ..LinkChange::none(endpoint.ifname.clone())
    };
    with_change(endpoint, moved, around, change)
}

fn with_change(endpoint: &Endpoint, moved: &MovedDevice, around: &Surroundings, change: LinkChange) -> Plan {
    const MOVE: &str = "the device itself goes into the sandbox; what the host had on it is gone until it comes back";
    const CHANGE: &str = "inside it is as was asked for";
    let sandbox = &endpoint.sandbox.reached_by;
    let mut plan: Plan = guards::raise(endpoint, &around.stale).into_iter().collect();
    plan.push(Op::host(
        What::MoveLink(LinkMove {
            name: moved.name.clone(),
            to: Destination::Sandbox(sandbox.clone()),
            rename: endpoint.ifname.clone(),
        }),
        MOVE,
    ));
    if !change.is_empty() {
        plan.push(Op::sandbox(sandbox, What::ChangeLink(change), CHANGE));
    }
    plan.ops.extend(inside::set_up(endpoint, around));
    let neighbours = if moved.mac.is_some() { around.neighbours } else { Neighbours::AreRight };
    plan.ops.extend(inside::announce(endpoint, neighbours, Through::Card));
    plan
}

/// With the MAC and the MTU, which a program in the sandbox may have changed.
pub(in crate::driver) fn wanted(
    network: &Network,
    endpoint: &Endpoint,
    moved: &MovedDevice,
    around: &Surroundings,
) -> Vec<Op> {
    let of_lease = endpoint.lease().and_then(|lease| lease.mtu);
    let change = LinkChange {
        mac: moved.mac.map(|_| endpoint.mac),
        mtu: network.mtu.or(moved.mtu).filter(|_| of_lease.is_none()),
        ..LinkChange::none(endpoint.ifname.clone())
    };
    inside::with_connected_routes(with_change(endpoint, moved, around, change).ops, endpoint)
}

pub(in crate::driver) fn change_mac(after: &Endpoint) -> Plan {
    inside::change_mac(after).collect()
}

/// What stays in the sandbox. The device comes home by [`bring_home`](super::bring_home).
pub(in crate::driver) fn detach(endpoint: &Endpoint, remains: &Remains) -> Plan {
    remains.inside.iter().flat_map(|way| inside::leave(endpoint, way, remains)).collect()
}
