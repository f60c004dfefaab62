//! The host's own macvlan on the card: host and endpoints reach each other, which a card and its macvlans do not.
//!
//! # How it works
//! The host keeps its addresses on the card, and the shim has none. For each endpoint the host has a route by the shim
//! with the card's address as the source, and knows the endpoint's MAC; the endpoint knows the shim's MAC for the host's
//! addresses. So nobody has to ask, and the shim never answers: a LAN that asks for the host hears of the card's MAC
//! only. What comes in by the shim and has no route back by it is dropped (`rp_filter`), so a broadcast of the LAN is
//! not taken twice.
//!
//! # Limits
//! Broadcasts of an endpoint do not reach the host. An address that the host gets later is known to endpoints after
//! `repair`.

use crate::device::{Ipv6, ipv6_settings};
use crate::driver::macvlan::links;
use crate::{Op, Sysctl, What, alias};
use ipnet::IpNet;
use std::path::Path;
use zubi_model::{Endpoint, HostShim, IfName, InnerState, MacvlanNetwork, Network, RouteOptions};
use zubi_wire::route::{AdminState, Certainty, LinkChange, LinkMark, Neighbour, Route};

/// Answers no request for an address.
const SILENT: &str = "8";
/// Drops what has no route back by the same device.
const STRICT: &str = "1";

/// Makes the shim.
pub(super) fn up(network: &Network, part: &MacvlanNetwork, shim: &HostShim) -> Vec<Op> {
    const SHIM: &str = "the host's own macvlan: a card and the macvlans on it do not reach each other";
    const SETTINGS: &str = "the LAN is to hear of the card's MAC only, and each broadcast is to be taken once";
    const UP: &str = "everything is ready: switch it on";
    let device = &shim.device;
    let ipv4 = |name: &str, value| Sysctl::new(format!("net/ipv4/conf/{device}/{name}"), value);
    let ipv6 = Ipv6::of_network(network);
    let mut settings = vec![ipv4("arp_ignore", SILENT), ipv4("rp_filter", STRICT)];
    settings.extend(ipv6_settings(device, ipv6));
    let mut ops = vec![Op::host(What::AddLink(links::shim(network, part, shim)), SHIM)];
    ops.extend(settings.into_iter().map(|setting| Op::host(What::Set(setting), SETTINGS)));
    if ipv6 == Ipv6::On {
        ops.push(Op::host(What::ChangeLink(LinkChange::addressless(device.clone())), SETTINGS));
    }
    ops.push(Op::host(What::ChangeLink(LinkChange::state(device.clone(), AdminState::Up)), UP));
    ops
}

/// Adds the mark that names the zubi that made the shim to the operation that sets it up.
pub(super) fn mark(ops: &mut [Op], network: &Network, shim: &HostShim, run: &Path) {
    for op in ops {
        if let What::ChangeLink(change) = &mut op.what
            && change.name == shim.device
            && change.state == Some(AdminState::Up)
        {
            change.alias = Some(alias::of_network(network, run));
        }
    }
}

/// Deletes the shim, and with it the routes.
pub(super) fn down(shim: &HostShim) -> Op {
    const SHIM: &str = "the host's macvlan goes, and its routes with it";
    Op::host(What::DeleteLink(LinkMark::new(shim.device.clone(), shim.mac)), SHIM)
}

/// Lets host and endpoint reach each other. `own`: the host's addresses on the card.
pub(super) fn reach(endpoint: &Endpoint, shim: &HostShim, own: &[IpNet]) -> Vec<Op> {
    const THERE: &str = "the host reaches the endpoint by its own macvlan, with the card's address";
    const BACK: &str = "the endpoint reaches the host there: nobody has to ask, so the LAN hears nothing";
    let mut ops = Vec::new();
    for address in endpoint.addresses.iter().map(|a| a.address.addr()) {
        let Some(host) = own.iter().find(|own| own.contains(&address)) else { continue };
        let mut route = route(address, &shim.device);
        route.options.source = Some(host.addr());
        let neighbour = neighbour(endpoint, address, &shim.device);
        ops.push(Op::host(What::AddRoute(route), THERE));
        ops.push(Op::host(What::AddNeighbour(neighbour), THERE));
        let is_set_up = endpoint.traits.inner == InnerState::Up && !endpoint.is_on_its_way();
        for host in own.iter().filter(|own| own.contains(&address) && is_set_up) {
            let known = Neighbour {
                address: host.addr(),
                mac: shim.mac,
                device: endpoint.ifname.clone(),
                certainty: Certainty::Permanent,
            };
            ops.push(Op::sandbox(&endpoint.sandbox.reached_by, What::AddNeighbour(known), BACK));
        }
    }
    ops
}

/// Tells the host the endpoint's new MAC.
pub(super) fn known(after: &Endpoint, shim: &IfName) -> Vec<Op> {
    const MAC: &str = "the host knows the endpoint by its MAC";
    let all = after.addresses.iter().map(|a| neighbour(after, a.address.addr(), shim));
    all.map(|neighbour| Op::host(What::AddNeighbour(neighbour), MAC)).collect()
}

/// Takes back what the host has about an endpoint. What is inside goes with its device.
pub(super) fn leave(endpoint: &Endpoint, shim: &IfName) -> Vec<Op> {
    const GONE: &str = "the host knows no way to it any more";
    let of =
        |address| [What::DeleteRoute(route(address, shim)), What::DeleteNeighbour(neighbour(endpoint, address, shim))];
    let all = endpoint.addresses.iter().flat_map(|a| of(a.address.addr()));
    all.map(|what| Op::host(what, GONE)).collect()
}

fn route(address: std::net::IpAddr, shim: &IfName) -> Route {
    Route { to: IpNet::from(address), via: None, device: shim.clone(), options: RouteOptions::default() }
}

fn neighbour(endpoint: &Endpoint, address: std::net::IpAddr, shim: &IfName) -> Neighbour {
    Neighbour { address, mac: endpoint.mac, device: shim.clone(), certainty: Certainty::Permanent }
}
