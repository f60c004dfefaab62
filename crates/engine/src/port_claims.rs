//! The host ports that an endpoint claims.

use zubi_model::{Endpoint, EndpointKey, Family, PublishedPort};
use zubi_store::PortClaim;

/// The claims of an endpoint for these published ports.
pub(crate) fn claims(endpoint: &Endpoint, ports: &[PublishedPort]) -> Vec<PortClaim> {
    claims_of(&endpoint.key(), &endpoint.families(), ports)
}

fn claims_of(owner: &EndpointKey, families: &[Family], ports: &[PublishedPort]) -> Vec<PortClaim> {
    let mut all = Vec::new();
    for port in ports {
        for address in port.host.listens(families) {
            let (protocol, ports) = (port.protocol, port.host_ports);
            all.push(PortClaim { protocol, address, ports, owner: owner.clone() });
        }
    }
    all
}
