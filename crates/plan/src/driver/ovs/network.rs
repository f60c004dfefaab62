//! Networks: nothing on the host. The bridge is another program's.

use crate::coexist::{join_transaction, remove_guests};
use crate::driver::found::{Last, Leaving};
use crate::{Op, Plan, Presence, What, firewall};
use zubi_wire::route::LinkSeen;

/// The layout of the firewall is there while a network is.
pub(in crate::driver) fn up() -> Plan {
    firewall::layout().collect()
}

pub(in crate::driver) fn down(last: Last) -> Plan {
    const FIREWALL: &str = "no network needs the firewall any more";
    let table = (last == Last::Yes).then(|| Op::host(What::DeleteTable(firewall::TABLE), FIREWALL));
    table.into_iter().collect()
}

pub(in crate::driver) fn down_from(found: &Leaving<'_>) -> Plan {
    const PORT: &str = "a port of an endpoint that is gone, as after a reboot";
    let port = |name: &zubi_model::IfName| Op::host(What::DeleteOvsPort(name.clone()), PORT);
    let mut plan: Plan = found.ports.iter().map(port).collect();
    plan.append(down(found.last));
    join_transaction(&mut plan, remove_guests(found.guests));
    plan
}

/// The bridge's own port on the host has its name. Only Open vSwitch knows whether the bridge exists.
pub(in crate::driver) fn recognise_network(seen: Option<&LinkSeen>) -> Presence {
    Presence::of(seen, |seen| seen.kind.as_deref() != Some("bridge"))
}
