//! Networks: nothing on a network card, and a device of their own where there is none.

use crate::coexist::{join_transaction, remove_guests};
use crate::driver::found::{Last, Leaving};
use crate::driver::macvlan::links::own;
use crate::driver::macvlan::recognise::recognise_network;
use crate::driver::macvlan::shim;
use crate::{Op, Plan, Presence, What, alias, firewall};
use std::path::Path;
use zubi_model::{MacvlanNetwork, Network};
use zubi_wire::route::{AdminState, LinkChange, LinkMark};

/// The layout of the firewall is there while a network is.
pub(in crate::driver) fn up(network: &Network, part: &MacvlanNetwork) -> Plan {
    const OWN: &str = "what carries the endpoints: a cable whose other end leads nowhere";
    const QUIET: &str = "the host says nothing by it";
    const UP: &str = "everything is ready: switch it on";
    let mut plan: Plan = firewall::layout().collect();
    plan.ops.extend(part.shim.iter().flat_map(|shim| shim::up(network, part, shim)));
    let Some(link) = part.own.and_then(|mac| own(part, mac, network.mtu)) else { return plan };
    let Ok(stub) = part.stub() else { return plan };
    plan.push(Op::host(What::AddLink(link), OWN));
    for end in [&stub, &part.parent] {
        plan.push(Op::host(What::ChangeLink(LinkChange::addressless(end.clone())), QUIET));
    }
    plan.push(Op::host(What::ChangeLink(LinkChange::state(stub, AdminState::Up)), UP));
    plan.push(Op::host(What::ChangeLink(LinkChange::state(part.parent.clone(), AdminState::Up)), UP));
    plan
}

/// The last operation on a device of the network's own sets it up.
pub(in crate::driver) fn mark(plan: &mut Plan, network: &Network, part: &MacvlanNetwork, run: &Path) {
    if let Some(shim) = &part.shim {
        shim::mark(&mut plan.ops, network, shim, run);
    }
    let is_about = |op: &&mut Op| matches!(&op.what, What::ChangeLink(change) if change.name == part.parent);
    if part.own.is_some()
        && let Some(Op { what: What::ChangeLink(go_up), .. }) = plan.ops.iter_mut().rfind(is_about)
    {
        go_up.alias = Some(alias::of_network(network, run));
    }
}

pub(in crate::driver) fn down(part: &MacvlanNetwork, last: Last) -> Plan {
    const OWN: &str = "the device goes, and its other end with it";
    const FIREWALL: &str = "no network needs the firewall any more";
    let mut plan = Plan::new();
    if let Some(mac) = part.own {
        plan.push(Op::host(What::DeleteLink(LinkMark::new(part.parent.clone(), mac)), OWN));
    }
    plan.ops.extend(part.shim.as_ref().map(shim::down));
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
