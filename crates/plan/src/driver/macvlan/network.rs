//! Networks: nothing on a network card, and a device of their own where there is none.

use crate::coexist::{join_transaction, remove_guests};
use crate::driver::found::{Last, Leaving};
use crate::driver::macvlan::links::carrier;
use crate::driver::macvlan::recognise::recognise_network;
use crate::driver::macvlan::shim;
use crate::{Op, Plan, Presence, What, alias, firewall};
use std::path::Path;
use zubi_model::{IfName, MacvlanNetwork, Network};
use zubi_wire::route::{AdminState, LinkChange, LinkMark};

/// The layout of the firewall is there while a network is.
pub(in crate::driver) fn up(network: &Network, part: &MacvlanNetwork) -> Plan {
    const OWN: &str = "what carries the endpoints: a cable whose other end leads nowhere";
    const VLAN: &str = "the VLAN on the network card";
    const QUIET: &str = "the host says nothing by it";
    const UP: &str = "everything is ready: switch it on";
    let mut plan: Plan = firewall::layout().collect();
    if let Some(link) = carrier(part, network.mtu) {
        let stub = part.own.and_then(|_| part.stub().ok());
        let ends: Vec<&IfName> = stub.iter().chain([&part.parent]).collect();
        plan.push(Op::host(What::AddLink(link), if part.vlan.is_some() { VLAN } else { OWN }));
        plan.ops
            .extend(ends.iter().map(|end| Op::host(What::ChangeLink(LinkChange::addressless((*end).clone())), QUIET)));
        let up = |end: &IfName| Op::host(What::ChangeLink(LinkChange::state(end.clone(), AdminState::Up)), UP);
        plan.ops.extend(ends.into_iter().map(up));
    }
    plan.ops.extend(part.shim.iter().flat_map(|shim| shim::up(network, part, shim)));
    plan
}

/// The last operation on a device of the network's own sets it up.
pub(in crate::driver) fn mark(plan: &mut Plan, network: &Network, part: &MacvlanNetwork, run: &Path) {
    if let Some(shim) = &part.shim {
        shim::mark(&mut plan.ops, network, shim, run);
    }
    let is_about = |op: &&mut Op| matches!(&op.what, What::ChangeLink(change) if change.name == part.parent);
    if (part.own.is_some() || part.vlan.is_some())
        && let Some(Op { what: What::ChangeLink(go_up), .. }) = plan.ops.iter_mut().rfind(is_about)
    {
        go_up.alias = Some(alias::of_network(network, run));
    }
}

pub(in crate::driver) fn down(part: &MacvlanNetwork, last: Last) -> Plan {
    const GOES: &str = "the device that carried the endpoints goes";
    const FIREWALL: &str = "no network needs the firewall any more";
    let mut plan = Plan::new();
    plan.ops.extend(part.shim.as_ref().map(shim::down));
    if let Some(link) = carrier(part, None) {
        plan.push(Op::host(What::DeleteLink(LinkMark::new(link.name, link.mac)), GOES));
    }
    if last == Last::Yes {
        plan.push(Op::host(What::DeleteTable(firewall::TABLE), FIREWALL));
    }
    plan
}

pub(in crate::driver) fn down_from(part: &MacvlanNetwork, found: &Leaving<'_>) -> Plan {
    let mut plan = down(part, found.last);
    join_transaction(&mut plan, remove_guests(found.guests));
    if recognise_network(part, found.device) == Presence::Foreign {
        plan.ops.retain(|op| !matches!(&op.what, What::DeleteLink(device) if device.name == part.parent));
    }
    for op in &mut plan.ops {
        if let What::DeleteLink(device) = &mut op.what
            && device.name == part.parent
        {
            // Another program may have changed the MAC since; delete the device that was found.
            device.mac = found.device.and_then(|seen| seen.mac);
        }
    }
    plan
}
