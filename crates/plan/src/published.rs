//! Published ports, whichever driver made the device.

use crate::{Flows, Op, Plan, What, firewall};
use zubi_model::{Endpoint, Family, HostAddress, Network, PortWish, Protocol, PublishedPort};

/// A UDP flow never ends by itself: one that began before the port was published bypasses the map as long as packets
/// come.
pub(crate) fn stale_flows(endpoint: &Endpoint, ports: &[PublishedPort]) -> Vec<Op> {
    const STALE: &str = "forget what was sent to the port before it led here";
    let udp = ports.iter().filter(|port| port.protocol == Protocol::Udp);
    udp.flat_map(|port| {
        let (ports, protocol) = (port.host_ports, port.protocol);
        port.host.listens(&endpoint.families()).into_iter().map(move |listen| Flows::To { listen, ports, protocol })
    })
    .map(|flows| Op::host(What::Forget(flows), STALE))
    .collect()
}

/// Publishes further ports of an existing endpoint, which already has `before`.
pub(crate) fn publish(endpoint: &Endpoint, before: &[PublishedPort], ports: &[PublishedPort]) -> Plan {
    const PUBLISH: &str = "an element of a map for each port: no rule is added, no process started";
    let mut plan = Plan::new();
    if before.is_empty() {
        let itself = firewall::itself_elements(endpoint);
        plan.ops.extend(itself.map(|element| Op::host(What::AddElement(element), PUBLISH)));
    }
    for element in ports.iter().flat_map(|port| firewall::port_elements(endpoint, port)) {
        plan.push(Op::host(What::AddElement(element), PUBLISH));
    }
    plan.ops.extend(stale_flows(endpoint, ports));
    plan
}

/// Unpublishes ports of an existing endpoint; it keeps `after`.
pub(crate) fn unpublish(endpoint: &Endpoint, after: &[PublishedPort], ports: &[PublishedPort]) -> Plan {
    const UNPUBLISH: &str = "the port leads nowhere from now on";
    const FORGET: &str = "connections that came by the port end";
    let mut plan = Plan::new();
    for element in ports.iter().flat_map(|port| firewall::port_elements(endpoint, port)) {
        plan.push(Op::host(What::DeleteElement(element), UNPUBLISH));
    }
    if after.is_empty() {
        let itself = firewall::itself_elements(endpoint);
        plan.ops.extend(itself.map(|element| Op::host(What::DeleteElement(element), UNPUBLISH)));
    }
    for PublishedPort { host, host_ports, protocol, .. } in ports.iter().copied() {
        for listen in host.listens(&endpoint.families()) {
            let Some(to) = endpoint.address(Family::of(listen)) else { continue };
            let flows = Flows::Through { listen, ports: host_ports, protocol, target: to.address.addr() };
            plan.push(Op::host(What::Forget(flows), FORGET));
        }
    }
    plan
}

/// Whether these ports need what [`loopback`](crate::loopback) makes.
pub fn on_loopback(network: &Network, wishes: impl IntoIterator<Item = PortWish>) -> bool {
    let is_loopback = |wish: PortWish| match wish.host {
        HostAddress::Every => true,
        HostAddress::One(address) => address.is_ipv4() && (address.is_unspecified() || address.is_loopback()),
    };
    network.publishes().is_ok() && network.pool(Family::V4).is_some() && wishes.into_iter().any(is_loopback)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::network;

    #[test]
    fn ports_of_every_ipv4_address_of_the_host_are_ports_of_127_0_0_1() {
        let blue = network("blue", &["10.55.66.0/24"]);
        let on_loopback = |network: &Network, wish: &str| on_loopback(network, [wish.parse().unwrap()]);
        for wish in ["80:80", "0.0.0.0:80:80", "127.0.0.1:80:80", "127.5.0.1::80"] {
            assert!(on_loopback(&blue, wish), "{wish}");
        }
        for wish in ["192.0.2.1:80:80", "[::]:80:80", "[2001:db8::1]:80:80"] {
            assert!(!on_loopback(&blue, wish), "{wish}");
        }
        assert!(!on_loopback(&network("six", &["fd00::/64"]), "80:80"));
    }
}
