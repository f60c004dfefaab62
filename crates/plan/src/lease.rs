//! What a DHCP lease changes of an endpoint: its first address, another one, or the same for longer.
//!
//! # How it works
//! The difference of two plans of the endpoint, as it was and as it is by the lease. So no driver has to know of leases.

use crate::{Op, Place, Plan, What};
use zubi_model::Family;
use zubi_wire::route::Address;

/// The operations that lead from what `before` made to what `after` makes.
pub fn change(before: &Plan, after: &Plan) -> Plan {
    const LONGER: &str = "the lease lasts longer";
    const AWAY: &str = "the address is another host's from now on";
    let mut plan = Plan::new();
    let kept = |address: &Address| addresses(after).any(|other| other.address == address.address);
    let had_v4 = addresses(before).any(|address| address.address.addr().is_ipv4());
    let keeps_v4 = addresses(before).any(|address| address.address.addr().is_ipv4() && kept(address));
    for op in &before.ops {
        let away = match &op.what {
            What::AddAddress(address) if !kept(address) => What::DeleteAddress(address.clone()),
            // The kernel removes the routes of a device with its last address.
            What::AddRoute(route) if keeps_v4 && is_inside(op) && !after.ops.contains(op) => {
                What::DeleteRoute(route.clone())
            }
            What::AddElement(element) if !after.ops.contains(op) => What::DeleteElement(element.clone()),
            _ => continue,
        };
        plan.push(Op { place: op.place.clone(), what: away, why: AWAY });
    }
    for op in &after.ops {
        let is_v4_route = |op: &Op| {
            matches!(&op.what, What::AddRoute(route) if Family::of(route.to.addr()) == Family::V4) && is_inside(op)
        };
        let what = match &op.what {
            What::AddAddress(address) if addresses(before).any(|other| other.address == address.address) => {
                if before.ops.contains(op) {
                    continue;
                }
                plan.push(Op { place: op.place.clone(), what: What::ChangeAddress(address.clone()), why: LONGER });
                continue;
            }
            _ if before.ops.contains(op) && !(had_v4 && !keeps_v4 && is_v4_route(op)) => continue,
            what => what.clone(),
        };
        plan.push(Op { place: op.place.clone(), what, why: op.why });
    }
    plan
}

fn is_inside(op: &Op) -> bool {
    op.place != Place::Host
}

fn addresses(plan: &Plan) -> impl Iterator<Item = &Address> {
    plan.ops.iter().filter_map(|op| match &op.what {
        What::AddAddress(address) => Some(address),
        _ => None,
    })
}
