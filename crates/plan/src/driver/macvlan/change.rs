//! Changing a network that is in use: the MTU, which is a matter of the sandboxes alone.

use crate::driver::found::InUse;
use crate::{Op, Plan, What};
use zubi_model::{MacvlanNetwork, Mtu, Network};
use zubi_wire::route::LinkChange;

/// Smaller from the inner ends on, larger towards them: the kernel refuses a macvlan an MTU above its parent's.
pub(in crate::driver) fn change(old: &Network, new: &Network, part: &MacvlanNetwork, found: &InUse) -> Plan {
    const PARENT: &str = "what the host's own end takes";
    const INNER: &str = "what the sandboxes send and take";
    let (before, after) = (old.mtu.unwrap_or(Mtu::STANDARD), new.mtu.unwrap_or(Mtu::STANDARD));
    if before == after {
        return Plan::new();
    }
    let mtu = |device| What::ChangeLink(LinkChange::mtu(device, after));
    let own = part.own.filter(|_| found.device.is_ours()).map(|_| &part.parent);
    let on_host = own.into_iter().chain(part.shim.as_ref().map(|shim| &shim.device));
    let parent: Vec<Op> = on_host.map(|device| Op::host(mtu(device.clone()), PARENT)).collect();
    let inside = found
        .endpoints
        .iter()
        .filter_map(|reached| Some(Op::sandbox(reached.inside.as_ref()?, mtu(reached.endpoint.ifname.clone()), INNER)));
    if after < before { inside.chain(parent).collect() } else { parent.into_iter().chain(inside).collect() }
}
