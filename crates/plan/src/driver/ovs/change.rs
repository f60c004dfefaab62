//! Changing a network that is in use: the MTU of the pairs.

use crate::driver::found::InUse;
use crate::{Op, Plan, What};
use zubi_model::{Mtu, Network};
use zubi_wire::route::LinkChange;

/// Smaller from the inner ends on, larger towards them: nothing sends what the next device cannot take.
pub(in crate::driver) fn change(old: &Network, new: &Network, found: &InUse) -> Plan {
    const OUTER: &str = "what the host's ends of the cables take";
    const INNER: &str = "what the sandboxes send and take";
    let (before, after) = (old.mtu.unwrap_or(Mtu::STANDARD), new.mtu.unwrap_or(Mtu::STANDARD));
    if before == after {
        return Plan::new();
    }
    let mtu = |device| What::ChangeLink(LinkChange::mtu(device, after));
    let there = found.endpoints.iter().filter(|reached| reached.host_end.is_ours());
    let outer = there.filter_map(|reached| Some(Op::host(mtu(reached.endpoint.host_device()?.clone()), OUTER)));
    let inner = found
        .endpoints
        .iter()
        .filter_map(|reached| Some(Op::sandbox(reached.inside.as_ref()?, mtu(reached.endpoint.ifname.clone()), INNER)));
    if after < before { inner.chain(outer).collect() } else { outer.chain(inner).collect() }
}
