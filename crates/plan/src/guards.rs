//! What the firewall and connection tracking need to know about an endpoint before its device exists, and after it is
//! gone.

use crate::{Flows, Op, What, firewall, published};
use std::net::IpAddr;
use zubi_model::Endpoint;

/// The operations before the device exists. `stale`: addresses for which the kernel may still have connections of an
/// earlier endpoint.
pub(crate) fn raise(endpoint: &Endpoint, stale: &[IpAddr]) -> Vec<Op> {
    const INHERIT: &str = "inherit no connections of an earlier owner of the address";
    const GUARD: &str = "the firewall lets this address out before it exists";
    let mut ops: Vec<Op> = stale.iter().map(|a| Op::host(What::Forget(Flows::Of(*a)), INHERIT)).collect();
    let elements = firewall::endpoint_elements(endpoint);
    ops.extend(elements.into_iter().map(|element| Op::host(What::AddElement(element), GUARD)));
    ops.extend(published::stale_flows(endpoint, &endpoint.ports));
    ops
}

/// The operations while the device still exists.
pub(crate) fn lower(endpoint: &Endpoint) -> impl Iterator<Item = Op> {
    const GUARD: &str = "the address may leave no more";
    firewall::endpoint_elements(endpoint).into_iter().map(|element| Op::host(What::DeleteElement(element), GUARD))
}

/// The operations when the device carries no packets any more.
pub(crate) fn forget(endpoint: &Endpoint) -> impl Iterator<Item = Op> {
    const FORGET: &str = "the next owner of the address inherits no connections";
    endpoint.addresses.iter().map(|a| Op::host(What::Forget(Flows::Of(a.address.addr())), FORGET))
}
