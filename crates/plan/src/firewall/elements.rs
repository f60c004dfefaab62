//! The elements of networks and endpoints in the sets and maps.

use super::layout::{CLOSED, TABLE, by_family};
use ipnet::IpNet;
use std::net::IpAddr;
use zubi_model::{
    BridgeNetwork, Egress, Endpoint, Family, Icc, IfName, Ingress, Network, PortNumber, PortSource, Protocol,
    PublishedPort, Scope,
};
use zubi_wire::nft::{Element, Value};

fn element(set: &str, key: Vec<Value>) -> Element {
    Element::new(&TABLE, set, key)
}

fn device(name: &IfName) -> Value {
    Value::Device(name.clone())
}

/// Drops packets of a family that concern no bridge, on a host that was no router before.
pub fn closed(family: Family) -> Element {
    element(CLOSED, vec![Value::Family(family)])
}

/// The elements of a bridge network.
pub(crate) fn bridge_elements(network: &Network, part: &BridgeNetwork) -> Vec<Element> {
    let bridge = || device(&part.device);
    if part.parent.is_some() {
        // For all but what stays on it, this bridge is the network card.
        let within = ["same", "icc"].map(|set| element(set, vec![bridge(), bridge()]));
        return std::iter::once(element("uplinks", vec![bridge()])).chain(within).collect();
    }
    let mut all = Vec::new();
    if part.ingress == Ingress::Sealed {
        all.push(element("sealed", vec![bridge()]));
    }
    all.push(element(if part.is_guarded() { "bridges" } else { "open" }, vec![bridge()]));
    if part.ingress == Ingress::Apart {
        all.push(element("apart", vec![bridge()]));
    }
    all.push(element("same", vec![bridge(), bridge()]));
    if network.scope == Scope::Internal {
        all.push(element("internal", vec![bridge()]));
    }
    if part.icc == Icc::Allowed {
        all.push(element("icc", vec![bridge(), bridge()]));
    }
    for pool in &network.pools {
        let family = pool.subnet.family();
        let prefix = Value::Prefix(pool.subnet.net());
        all.push(element(&by_family("home", family), vec![bridge(), prefix.clone()]));
        if part.is_guarded() {
            all.push(element(&by_family("subnets", family), vec![prefix.clone()]));
        }
        if part.is_guarded() && network.egress == Egress::Masquerade {
            all.push(element(&by_family("private", family), vec![prefix.clone()]));
        }
        if network.egress == Egress::Masquerade {
            all.push(element(&by_family("masquerade", family), vec![prefix]));
        }
    }
    for server in network.redirects_to() {
        let map = by_family("names", Family::of(server));
        all.extend([Protocol::Udp, Protocol::Tcp].map(|protocol| {
            let key = vec![bridge(), Value::Protocol(protocol), Value::Port(PortNumber::NAMES)];
            element(&map, key).mapped_to(vec![Value::Address(server)])
        }));
    }
    all
}

/// The element that binds an endpoint's address to the device that its packets come from.
pub fn endpoint_element(by: &IfName, address: IpAddr) -> Element {
    let set = by_family("endpoints", Family::of(address));
    element(&set, vec![device(by), Value::Address(address)])
}

/// The elements of an endpoint.
pub fn endpoint_elements(endpoint: &Endpoint) -> Vec<Element> {
    let by = endpoint.network_device().into_iter();
    let given = by.flat_map(|by| endpoint.addresses.iter().map(|a| endpoint_element(by, a.address.addr())));
    let mut all: Vec<Element> = given.collect();
    if !endpoint.ports.is_empty() {
        all.extend(itself_elements(endpoint));
    }
    all.extend(endpoint.ports.iter().flat_map(|port| port_elements(endpoint, port)));
    all
}

/// The elements of an endpoint with published ports.
pub fn itself_elements(endpoint: &Endpoint) -> impl Iterator<Item = Element> {
    endpoint.addresses.iter().map(|a| {
        let address = a.address.addr();
        let of_family = |set| by_family(set, Family::of(address));
        let value = Value::Address(address);
        match endpoint.traits.port_source {
            PortSource::Preserved => element(&of_family("itself"), vec![value.clone(), value]),
            PortSource::Untouched => element(&of_family("untouched"), vec![value]),
            PortSource::Masqueraded => element(&of_family("hidden"), vec![value]),
        }
    })
}

/// The elements of a published port.
pub fn port_elements(endpoint: &Endpoint, port: &PublishedPort) -> Vec<Element> {
    let protocol = Value::Protocol(port.protocol);
    let mut all = Vec::new();
    for listen in port.host.listens(&endpoint.families()) {
        let family = Family::of(listen);
        let Some(to) = endpoint.address(family).map(|a| Value::Address(a.address.addr())) else { continue };
        if port.host_ports == port.target && port.host_ports.count() > 1 {
            let key = vec![Value::Prefix(listened(listen)), protocol.clone(), Value::Ports(port.host_ports)];
            all.push(element(&by_family("ranges", family), key).mapped_to(vec![to]));
            continue;
        }
        for (outer, inner) in port.pairs() {
            let data = vec![to.clone(), Value::Port(inner)];
            let mut key = vec![protocol.clone(), Value::Port(outer)];
            let map = if listen.is_unspecified() {
                "publish"
            } else {
                key.insert(0, Value::Address(listen));
                "publish_at"
            };
            all.push(element(&by_family(map, family), key).mapped_to(data));
        }
    }
    all
}

/// The unspecified address stands for all addresses.
fn listened(address: IpAddr) -> IpNet {
    match (address.is_unspecified(), address) {
        (true, _) => IpNet::new_assert(address, 0),
        (false, IpAddr::V4(_)) => IpNet::new_assert(address, 32),
        (false, IpAddr::V6(_)) => IpNet::new_assert(address, 128),
    }
}
