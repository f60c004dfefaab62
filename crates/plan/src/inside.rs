//! What an endpoint has inside its sandbox, whichever driver made the device.

use crate::default_route::default_routes;
use crate::device::{Ipv6, connected_routes};
use crate::driver::Remains;
use crate::taken::Taken;
use crate::{Announcement, Instance, Neighbours, Op, Place, Sysctl, Through, What};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr};
use zubi_model::{
    DisplacedRoute, DuplicateDetection, Endpoint, Family, IfName, InnerState, Lifetime, NsRef, RouteKind,
    RouterAdvertisements, StaticRoute,
};
use zubi_wire::route::{Address, AdminState, Dad, LinkChange, Route};

/// The state of the sandbox before the endpoint is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// The state of its loopback device.
    pub loopback: AdminState,
    /// The families in which this endpoint gives the default route, see
    /// [`default_families`](crate::default_route::default_families).
    pub default_in: Vec<Family>,
    /// The default routes that the endpoint's own takes the place of.
    pub displaced: Vec<DisplacedRoute>,
    /// Addresses for which the kernel may still have connections of an earlier endpoint.
    pub stale: Vec<IpAddr>,
    /// The host's addresses on the network card that carries the endpoint, where the host is to reach it.
    pub of_host: Vec<IpNet>,
    /// What the neighbours may have cached of its addresses.
    pub neighbours: Neighbours,
    /// What is left of the time of the address that came by DHCP.
    pub lifetime: Lifetime,
    /// The pair that the endpoint takes over, if it does not make one.
    pub taken: Option<Taken>,
    /// This zubi.
    pub instance: Instance,
}

/// The address if it is an IPv6 address: the kernel takes a moment before it answers.
pub(crate) fn ipv6_of(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(address),
    }
}

/// The settings of a device in a sandbox before it goes up: announcements where they are needed ([`Announcement`]), no
/// router advertisements, which anybody on the link could send, and none of the two seconds of duplicate address
/// detection. Where the network has no IPv6 the device gets no address, but `disable_ipv6` stays: a write to it is
/// started again and again until the kernel's link lock is free (`restart_syscall`; on a busy machine 4 of 60 connects
/// did so 30 to 330 times), while the same wish by netlink sleeps for the lock.
pub(crate) fn settings(device: &IfName, ipv6: Ipv6, neighbours: Neighbours, dad: DuplicateDetection) -> Vec<Sysctl> {
    let announces = neighbours == Neighbours::MayBeWrong;
    let mut all = Vec::new();
    if announces {
        all.push(arp_notify(device));
    }
    if ipv6 == Ipv6::On {
        // Docker and Podman can start a container with IPv6 disabled.
        all.push(Sysctl::ipv6_device(device, "disable_ipv6", 0));
    }
    all.push(Sysctl::ipv6_device(device, "accept_ra", 0));
    if ipv6 == Ipv6::On && dad == DuplicateDetection::Skipped {
        all.push(Sysctl::ipv6_device(device, "accept_dad", 0));
    }
    if ipv6 == Ipv6::On && announces {
        all.push(Sysctl::ipv6_device(device, "ndisc_notify", 1));
    }
    all
}

/// Lets the kernel make addresses and a default route of what routers advertise, also where the sandbox forwards
/// (`accept_ra=2`).
fn take_advertisements(endpoint: &Endpoint, settings: &mut Vec<Sysctl>) {
    if endpoint.traits.router_advertisements == RouterAdvertisements::Ignored {
        return;
    }
    let device = &endpoint.ifname;
    let ignored = Sysctl::ipv6_device(device, "accept_ra", 0);
    settings.retain(|setting| *setting != ignored);
    if !endpoint.default_route.allows(Family::V6) {
        settings.push(Sysctl::ipv6_device(device, "accept_ra_defrtr", 0));
    }
    settings.push(Sysctl::ipv6_device(device, "accept_ra", 2));
}

fn arp_notify(device: &IfName) -> Sysctl {
    Sysctl::new(format!("net/ipv4/conf/{device}/arp_notify"), "1")
}

/// The operations of an attach with the routes that the kernel makes for the addresses: other programs may have deleted
/// them.
pub(crate) fn with_connected_routes(mut ops: Vec<Op>, endpoint: &Endpoint) -> Vec<Op> {
    const CONNECTED: &str = "its neighbours on the network are reached without a gateway";
    if endpoint.traits.inner == InnerState::Up && endpoint.handed_over.is_none() {
        let addresses = endpoint.addresses.iter().map(|a| a.address);
        let routes = connected_routes(addresses, &endpoint.ifname)
            .map(|route| Op::sandbox(&endpoint.sandbox.reached_by, What::AddRoute(route), CONNECTED));
        let is_route = |op: &Op| matches!(op.what, What::AddRoute(_)) && op.place != Place::Host;
        let at = ops.iter().position(is_route).unwrap_or(ops.len());
        ops.splice(at..at, routes.collect::<Vec<_>>());
    }
    ops
}

/// From a device that exists to one that is up, with addresses and routes. Who moves the device inside does this too.
pub(crate) fn set_up(endpoint: &Endpoint, around: &Surroundings) -> impl Iterator<Item = Op> {
    const WHY: &str = "inside: loopback, address, and the way out through the gateway";
    let device = &endpoint.ifname;
    let ipv6 = Ipv6::of_endpoint(endpoint);
    let mut settings = settings(device, ipv6, around.neighbours, endpoint.traits.dad);
    take_advertisements(endpoint, &mut settings);
    let mut all: Vec<What> = settings.into_iter().map(What::Set).collect();
    if ipv6 == Ipv6::Off {
        all.push(What::ChangeLink(LinkChange::addressless(device.clone())));
    }
    if around.loopback == AdminState::Down {
        all.push(What::ChangeLink(LinkChange::state(IfName::loopback(), AdminState::Up)));
    }
    let lease = endpoint.lease();
    if let Some(mtu) = lease.and_then(|lease| lease.mtu) {
        all.push(What::ChangeLink(LinkChange { mtu: Some(mtu), ..LinkChange::none(device.clone()) }));
    }
    let is_there = |address| around.taken.as_ref().is_some_and(|taken| taken.addresses.contains(address));
    for a in endpoint.addresses.iter().filter(|a| !is_there(&a.address)) {
        let mut address = Address::new(a.address, device.clone());
        if endpoint.traits.dad == DuplicateDetection::Awaited {
            address.dad = Dad::Default;
        }
        if lease.is_some_and(|lease| a.address == IpNet::V4(lease.address)) {
            address.options.lifetime = around.lifetime;
        }
        all.push(What::AddAddress(address));
    }
    let is_up = around.taken.as_ref().is_some_and(|taken| taken.stays_up(device));
    if endpoint.traits.inner == InnerState::Up && !is_up {
        all.push(What::ChangeLink(LinkChange::state(device.clone(), AdminState::Up)));
    }
    // The kernel takes no second route of the same metric.
    all.extend(around.displaced.iter().map(|before| What::DeleteRoute(static_route(&before.route, &before.device))));
    all.extend(default_routes(endpoint, &around.default_in).map(What::AddRoute));
    all.extend(endpoint.all_routes().iter().map(|route| What::AddRoute(static_route(route, device))));
    if endpoint.handed_over.is_some() {
        all.clear();
    }
    let sandbox = endpoint.sandbox.reached_by.clone();
    all.into_iter().map(move |what| Op::sandbox(&sandbox, what, WHY))
}

/// The last step: the device carries frames, and its neighbours know its addresses. Nothing if the device stays down.
pub(crate) fn announce(endpoint: &Endpoint, neighbours: Neighbours, through: Through) -> Option<Op> {
    const WAIT: &str = "being asked makes the kernel look whether the cable carries";
    const TELL: &str = "setting the MAC it has makes the kernel tell the neighbours where the address lives now";
    let announcement = Announcement {
        device: endpoint.ifname.clone(),
        mac: endpoint.mac,
        ipv6: endpoint.addresses.iter().filter_map(|a| ipv6_of(a.address.addr())).collect(),
        through,
        neighbours,
    };
    let why = if neighbours == Neighbours::MayBeWrong { TELL } else { WAIT };
    let switched_on = endpoint.traits.inner == InnerState::Up && endpoint.handed_over.is_none();
    switched_on.then(|| Op::sandbox(&endpoint.sandbox.reached_by, What::Announce(announcement), why))
}

/// Changes the MAC of the device and announces it to the neighbours.
pub(crate) fn change_mac(after: &Endpoint) -> impl Iterator<Item = Op> {
    const INNER: &str = "the MAC that was asked for";
    const TELL: &str = "the neighbours know the address by another MAC";
    let sandbox = after.sandbox.reached_by.clone();
    let notify_ipv6 = Sysctl::ipv6_device(&after.ifname, "ndisc_notify", 1);
    let notify_ipv6 = (Ipv6::of_endpoint(after) == Ipv6::On).then_some(notify_ipv6);
    let notify = std::iter::once(arp_notify(&after.ifname)).chain(notify_ipv6).map(|sysctl| (What::Set(sysctl), TELL));
    let change = What::ChangeLink(LinkChange::mac(after.ifname.clone(), after.mac));
    notify.chain([(change, INNER)]).map(move |(what, why)| Op::sandbox(&sandbox, what, why))
}

/// What has to be done inside when the device is removed: unreachable routes belong to no device and would stay, and
/// others give the default route afterwards.
pub(crate) fn leave(endpoint: &Endpoint, sandbox: &NsRef, remains: &Remains) -> impl Iterator<Item = Op> {
    const FREE: &str = "free the name inside; the device itself is gone a moment later";
    const MOVE: &str = "the default route moves to the next network";
    const BACK: &str = "the default route that the sandbox had before";
    let nowhere = endpoint.routes.iter().filter(|r| r.options.kind != RouteKind::Unicast);
    let gone = nowhere.map(|route| (What::DeleteRoute(static_route(route, &endpoint.ifname)), FREE));
    let moved = remains.successors.iter().flat_map(|(next, families)| default_routes(next, families));
    let moved = moved.map(|route| (What::AddRoute(route), MOVE));
    let back = remains.restored.iter().map(|before| static_route(&before.route, &before.device));
    let back = back.map(|route| (What::AddRoute(route), BACK));
    gone.chain(moved).chain(back).map(|(what, why)| Op::sandbox(sandbox, what, why))
}

pub(crate) fn static_route(route: &StaticRoute, device: &IfName) -> Route {
    Route { to: route.to, via: route.via, device: device.clone(), options: route.options }
}
