//! What all devices of ours share.

use crate::{Op, Place, Sysctl, What};
use ipnet::IpNet;
use zubi_model::{Endpoint, Family, IfName, Network, RouteOptions, RouterAdvertisements};
use zubi_wire::route::{LinkChange, Route};

/// Whether a device has IPv6 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ipv6 {
    /// It has.
    On,
    /// It has none, not even a link-local one.
    Off,
}

impl Ipv6 {
    /// Of a network's device.
    pub(crate) fn of_network(network: &Network) -> Self {
        if network.pool(Family::V6).is_some() { Ipv6::On } else { Ipv6::Off }
    }

    /// Of an endpoint's device in its sandbox.
    pub(crate) fn of_endpoint(endpoint: &Endpoint) -> Self {
        let advertised = endpoint.traits.router_advertisements == RouterAdvertisements::Taken;
        if advertised || endpoint.address(Family::V6).is_some() { Ipv6::On } else { Ipv6::Off }
    }
}

/// IPv6 on a device of the host, to be set before it goes up. Where the network has IPv6: no router advertisements,
/// which anybody on the link could send, and none of the two seconds of duplicate address detection.
pub(crate) fn ipv6_settings(device: &IfName, ipv6: Ipv6) -> Vec<Sysctl> {
    match ipv6 {
        Ipv6::On => vec![
            Sysctl::ipv6_device(device, "disable_ipv6", 0),
            Sysctl::ipv6_device(device, "accept_ra", 0),
            Sysctl::ipv6_device(device, "accept_dad", 0),
        ],
        Ipv6::Off => vec![Sysctl::ipv6_device(device, "disable_ipv6", 1)],
    }
}

/// Removes the link-local address that the kernel gave a device when its MTU became large enough for IPv6. Only
/// switching IPv6 off for a moment removes it.
pub(crate) fn without_link_local(device: &IfName, place: &Place) -> impl Iterator<Item = What> + use<> {
    let set = |name, value| What::Set(Sysctl::ipv6_device(device, name, value));
    let mut all = vec![set("disable_ipv6", 1)];
    if *place != Place::Host {
        all.push(set("accept_ra", 0));
    }
    all.push(What::ChangeLink(LinkChange::addressless(device.clone())));
    all.push(set("disable_ipv6", 0));
    all.into_iter()
}

/// The routes that the kernel makes for the addresses of a device. Other programs may have deleted them.
pub(crate) fn connected_routes(
    addresses: impl IntoIterator<Item = IpNet>,
    device: &IfName,
) -> impl Iterator<Item = Route> {
    let device = device.clone();
    // IP6_RT_PRIO_ADDRCONF in net/ipv6_route.h.
    let metric = |address: IpNet| address.addr().is_ipv6().then_some(256);
    let has_neighbours = |address: &IpNet| address.prefix_len() < address.max_prefix_len();
    addresses.into_iter().filter(has_neighbours).map(move |address| Route {
        to: address.trunc(),
        via: None,
        device: device.clone(),
        options: RouteOptions { metric: metric(address), ..RouteOptions::default() },
    })
}

/// Leaves out the routes that the kernel makes by itself for an address among the operations.
pub fn without_connected_routes(ops: Vec<Op>) -> Vec<Op> {
    let added: Vec<_> = ops
        .iter()
        .filter_map(|op| match &op.what {
            What::AddAddress(address) => Some((op.place.clone(), address.device.clone(), address.address.trunc())),
            _ => None,
        })
        .collect();
    let is_connected = |op: &Op| match &op.what {
        What::AddRoute(route) => {
            route.via.is_none()
                && added.iter().any(|(place, device, to)| (place, device, to) == (&op.place, &route.device, &route.to))
        }
        _ => false,
    };
    ops.into_iter().filter(|op| !is_connected(op)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use zubi_wire::route::Address;

    #[test]
    fn a_route_that_comes_with_an_address_is_left_out() {
        let eth0: IfName = "eth0".parse().unwrap();
        let net: IpNet = "10.55.66.2/24".parse().unwrap();
        let address = Op::host(What::AddAddress(Address::new(net, eth0.clone())), "");
        let connected = connected_routes([net], &eth0).map(|route| Op::host(What::AddRoute(route), "")).next().unwrap();
        let default = Op::host(What::AddRoute(Route::default_via("10.55.66.1".parse().unwrap(), eth0.clone())), "");
        let elsewhere = Op { place: Place::Sandbox(zubi_model::NsRef::Path("/x".into())), ..connected.clone() };
        let all = vec![address.clone(), connected.clone(), default.clone(), elsewhere.clone()];
        assert_eq!(without_connected_routes(all), [address, default, elsewhere]);
        assert_eq!(without_connected_routes(vec![connected.clone()]), [connected]);
    }

    #[test]
    fn an_address_without_neighbours_has_no_connected_route() {
        let eth0: IfName = "eth0".parse().unwrap();
        let routes: Vec<String> = ["10.0.0.2/32", "fd00::2/128", "fd00:1::2/64"]
            .iter()
            .flat_map(|net| connected_routes([net.parse().unwrap()], &eth0))
            .map(|route| route.to_string())
            .collect();
        assert_eq!(routes, ["fd00:1::/64 dev eth0 proto 122 metric 256"]);
    }
}
