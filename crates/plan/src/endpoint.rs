//! Endpoints: a veth pair with one end on the bridge and the other inside the sandbox.

use crate::{Announcement, Flows, Neighbours, Op, Plan, Sysctl, Through, What, alias, firewall};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr};
use zubi_model::{
    DefaultRoute, DuplicateDetection, Endpoint, Family, Hairpin, Icc, IfName, InnerState, LinkGroup, Network, NsRef,
    Protocol, PublishedPort, RouteKind, RouteOptions, Scope, SourceMac, StaticRoute,
};
use zubi_wire::route::{
    Address, AdminState, BridgePort, Dad, ForwardingEntry, Link, LinkChange, LinkKind, LinkMark, Peer, Route, Switch,
};

/// The pair of an endpoint, as it is made; its host end is recognised by name, MAC and group.
pub fn pair(network: &Network, endpoint: &Endpoint) -> Link {
    Link {
        name: endpoint.host_device.clone(),
        kind: LinkKind::Veth(Peer {
            name: endpoint.ifname.clone(),
            mac: endpoint.mac,
            netns: endpoint.sandbox.reached_by.clone(),
        }),
        mac: endpoint.host_mac(),
        mtu: network.mtu,
        group: LinkGroup::OURS,
        master: Some(endpoint.bridge.clone()),
    }
}

/// What matters about the sandbox before the endpoint is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// Its loopback.
    pub loopback: AdminState,
    /// The families this endpoint is to give a default route in: those in which nobody else does, see
    /// [`default_families`].
    pub default_in: Vec<Family>,
    /// Addresses of which the kernel may remember connections of an earlier endpoint.
    pub stale: Vec<IpAddr>,
    /// What the neighbours may believe of its addresses.
    pub neighbours: Neighbours,
}

/// The rule for the default route, per family: the oldest endpoint of the sandbox that may provide it does; a
/// default route that somebody else made (`taken`) stays.
pub fn default_families(endpoint: &Endpoint, siblings: &[Endpoint], taken: &[Family]) -> Vec<Family> {
    let provided = |family| {
        siblings.iter().any(|s| {
            s.default_route.allows(family)
                && next_hop(s, family).is_some()
                && (s.attached_at, &s.network) < (endpoint.attached_at, &endpoint.network)
        })
    };
    [Family::V4, Family::V6]
        .into_iter()
        .filter(|f| endpoint.default_route.allows(*f) && next_hop(endpoint, *f).is_some())
        .filter(|f| !provided(*f) && !taken.contains(f))
        .collect()
}

/// The way out an endpoint knows in a family.
fn next_hop(endpoint: &Endpoint, family: Family) -> Option<IpAddr> {
    endpoint.addresses.iter().filter_map(|a| a.gateway).find(|gateway| Family::of(*gateway) == family)
}

/// Whether an endpoint of this network may provide a default route at all.
pub fn may_default(network: &Network, wish: DefaultRoute) -> DefaultRoute {
    if network.scope == Scope::Internal { DefaultRoute::Never } else { wish }
}

/// The default routes an endpoint gives.
fn default_routes<'a>(endpoint: &'a Endpoint, families: &'a [Family]) -> impl Iterator<Item = Route> + 'a {
    families.iter().filter_map(|f| next_hop(endpoint, *f)).map(|gateway| {
        let mut route = Route::default_via(gateway, endpoint.ifname.clone());
        route.options.metric = endpoint.traits.metric;
        route
    })
}

/// An address, if it is one that takes the kernel a moment to answer.
pub(crate) fn ipv6_of(address: IpAddr) -> Option<Ipv6Addr> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(address),
    }
}

/// What is set on the inner end before it goes up: that it announces itself where it has to ([`Announcement`]), no router
/// advertisements (anybody on the link could send them), and none of the two seconds of duplicate address detection. IPv6 is not
/// switched off where the network has none, the device just gets no address: a write to `disable_ipv6` is started again
/// and again until it finds the kernel's link lock free (`restart_syscall`; on a busy machine 4 of 60 connects did so 30
/// to 330 times), where the same wish by netlink sleeps for the lock.
pub(crate) fn inner_settings(
    device: &IfName,
    has_ipv6: bool,
    neighbours: Neighbours,
    dad: DuplicateDetection,
) -> Vec<Sysctl> {
    let tell = neighbours == Neighbours::MayBeWrong;
    let mut all = Vec::new();
    if tell {
        all.push(Sysctl::new(format!("net/ipv4/conf/{device}/arp_notify"), "1"));
    }
    if has_ipv6 {
        // A container may have been started with it switched off.
        all.push(Sysctl::ipv6_device(device, "disable_ipv6", 0));
    }
    all.push(Sysctl::ipv6_device(device, "accept_ra", 0));
    if has_ipv6 && dad == DuplicateDetection::Skipped {
        all.push(Sysctl::ipv6_device(device, "accept_dad", 0));
    }
    if has_ipv6 && tell {
        all.push(Sysctl::ipv6_device(device, "ndisc_notify", 1));
    }
    all
}

/// Everything an endpoint is made of: guards first, then the pair (down), the inside, both ends up, announcement.
pub fn attach(network: &Network, endpoint: &Endpoint, around: &Surroundings) -> Plan {
    const INHERIT: &str = "inherit no connections of whoever had the address before";
    const GUARD: &str = "the firewall lets this address out before it exists";
    const PAIR: &str = "a virtual cable: one end is a port of the bridge, the other is born inside the sandbox";
    const OUTER: &str = "the host's end carries frames only, it needs no address of its own";
    const INNER: &str = "inside: loopback, address, and the way out through the gateway";
    const UP: &str = "plug the cable in";
    const WAIT: &str = "being asked makes the kernel look whether the cable carries";
    const TELL: &str = "setting the MAC it has makes the kernel tell the neighbours where the address lives now";

    let sandbox = &endpoint.sandbox.reached_by;
    let device = &endpoint.ifname;
    let host = |what, why| Op::host(what, why);
    let inside = |what, why| Op::sandbox(sandbox, what, why);
    let mut plan = Plan::new();

    plan.ops.extend(around.stale.iter().map(|a| host(What::Forget(Flows::Of(*a)), INHERIT)));
    for element in firewall::endpoint_elements(endpoint) {
        plan.push(host(What::AddElement(element), GUARD));
    }
    plan.ops.extend(stale_flows(endpoint, &endpoint.ports));
    plan.push(host(What::AddLink(pair(network, endpoint)), PAIR));
    let has_ipv6 = endpoint.address(Family::V6).is_some();
    for sysctl in inner_settings(device, has_ipv6, around.neighbours, endpoint.traits.dad) {
        plan.push(inside(What::Set(sysctl), INNER));
    }
    if !has_ipv6 {
        plan.push(inside(What::ChangeLink(LinkChange::addressless(device.clone())), INNER));
    }
    if around.loopback == AdminState::Down {
        plan.push(inside(What::ChangeLink(LinkChange::state(IfName::loopback(), AdminState::Up)), INNER));
    }
    for a in &endpoint.addresses {
        let mut address = Address::new(a.address, device.clone());
        if endpoint.traits.dad == DuplicateDetection::Awaited {
            address.dad = Dad::Default;
        }
        plan.push(inside(What::AddAddress(address), INNER));
    }
    let switched_on = endpoint.traits.inner == InnerState::Up;
    if switched_on {
        plan.push(inside(What::ChangeLink(LinkChange::state(device.clone(), AdminState::Up)), INNER));
    }
    for route in default_routes(endpoint, &around.default_in) {
        plan.push(inside(What::AddRoute(route), INNER));
    }
    for route in &endpoint.routes {
        plan.push(inside(What::AddRoute(static_route(route, device)), INNER));
    }
    plan.push(host(What::ChangeLink(LinkChange::addressless(endpoint.host_device.clone())), OUTER));
    plan.ops.extend(port_settings(network, endpoint));
    let mut go_up = LinkChange::state(endpoint.host_device.clone(), AdminState::Up);
    go_up.alias = Some(alias::of_endpoint(endpoint));
    plan.push(host(What::ChangeLink(go_up), UP));
    if !switched_on {
        return plan;
    }
    let announcement = Announcement {
        device: device.clone(),
        mac: endpoint.mac,
        ipv6: endpoint.addresses.iter().filter_map(|a| ipv6_of(a.address.addr())).collect(),
        through: Through::Bridge { port: endpoint.host_device.clone(), bridge: endpoint.bridge.clone() },
        neighbours: around.neighbours,
    };
    let why = if around.neighbours == Neighbours::MayBeWrong { TELL } else { WAIT };
    plan.push(inside(What::Announce(announcement), why));
    plan
}

fn static_route(route: &StaticRoute, device: &IfName) -> Route {
    Route { to: route.to, via: route.via, device: device.clone(), options: route.options }
}

/// How the bridge treats this endpoint's port.
fn port_settings(network: &Network, endpoint: &Endpoint) -> Vec<Op> {
    const ISOLATED: &str = "endpoints of this network do not reach each other";
    const HAIRPIN: &str = "what an endpoint sends to a published port of its own may come back by the same cable";
    const LOCKED: &str = "frames from other MACs than the endpoint's own are dropped";
    let isolated = (network.icc == Icc::Isolated).then_some(Switch::On);
    let hairpin = (!endpoint.ports.is_empty() || network.hairpin == Hairpin::Always).then_some(Switch::On);
    let locked = (endpoint.traits.source_mac == SourceMac::Own).then_some(Switch::On);
    let why = match (isolated, hairpin) {
        (Some(_), _) => ISOLATED,
        (None, Some(_)) => HAIRPIN,
        (None, None) => LOCKED,
    };
    let mut ops = Vec::new();
    if locked.is_some() {
        let entry = ForwardingEntry { mac: endpoint.mac, port: endpoint.host_device.clone() };
        ops.push(Op::host(What::AddForwarding(entry), LOCKED));
    }
    if isolated.is_some() || hairpin.is_some() || locked.is_some() {
        let port = BridgePort { isolated, hairpin, locked, ..BridgePort::new(endpoint.host_device.clone()) };
        ops.push(Op::host(What::ChangePort(port), why));
    }
    ops
}

/// How the bridge is to treat this endpoint's port, in everything that somebody may have changed.
pub fn whole_port(network: &Network, endpoint: &Endpoint) -> BridgePort {
    let switch = |on| Some(if on { Switch::On } else { Switch::Off });
    BridgePort {
        name: endpoint.host_device.clone(),
        isolated: switch(network.icc == Icc::Isolated),
        hairpin: switch(!endpoint.ports.is_empty() || network.hairpin == Hairpin::Always),
        locked: switch(endpoint.traits.source_mac == SourceMac::Own),
        learning: Some(Switch::On),
        flood: Some(Switch::On),
    }
}

/// The routes that the kernel makes with the addresses of a device, and that somebody may have deleted.
pub fn connected_routes(addresses: impl IntoIterator<Item = IpNet>, device: &IfName) -> impl Iterator<Item = Route> {
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

/// UDP has no end: a flow to the port from before keeps its way, past the map, as long as somebody sends.
fn stale_flows(endpoint: &Endpoint, ports: &[PublishedPort]) -> Vec<Op> {
    const STALE: &str = "forget what was sent to the port before it led here";
    let udp = ports.iter().filter(|port| port.protocol == Protocol::Udp);
    udp.flat_map(|port| {
        let (ports, protocol) = (port.host_ports, port.protocol);
        port.host.listens(&endpoint.families()).into_iter().map(move |listen| Flows::To { listen, ports, protocol })
    })
    .map(|flows| Op::host(What::Forget(flows), STALE))
    .collect()
}

/// Publishes further ports of a live endpoint, which has `before` already.
pub fn publish(endpoint: &Endpoint, before: &[PublishedPort], ports: &[PublishedPort]) -> Plan {
    const PUBLISH: &str = "an element of a map for each port: no rule is added, no process started";
    const HAIRPIN: &str = "what the endpoint sends to its own port may come back by the same cable";
    let mut plan = Plan::new();
    if before.is_empty() {
        let itself = firewall::itself_elements(endpoint);
        plan.ops.extend(itself.map(|element| Op::host(What::AddElement(element), PUBLISH)));
    }
    for element in ports.iter().flat_map(|port| firewall::port_elements(endpoint, port)) {
        plan.push(Op::host(What::AddElement(element), PUBLISH));
    }
    plan.ops.extend(stale_flows(endpoint, ports));
    if before.is_empty() {
        plan.push(Op::host(What::ChangePort(hairpin(endpoint, Switch::On)), HAIRPIN));
    }
    plan
}

/// Takes published ports of a live endpoint back; it keeps `after`. Its network has `always`.
pub fn unpublish(endpoint: &Endpoint, after: &[PublishedPort], ports: &[PublishedPort], always: Hairpin) -> Plan {
    const UNPUBLISH: &str = "the port leads nowhere from now on";
    const FORGET: &str = "connections that came by the port end";
    const HAIRPIN: &str = "nothing comes back by the same cable any more";
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
    if after.is_empty() && always == Hairpin::Published {
        plan.push(Op::host(What::ChangePort(hairpin(endpoint, Switch::Off)), HAIRPIN));
    }
    plan
}

fn hairpin(endpoint: &Endpoint, switch: Switch) -> BridgePort {
    BridgePort { hairpin: Some(switch), ..BridgePort::new(endpoint.host_device.clone()) }
}

/// Gives the inner end another MAC: the host's end follows, by which the pair is recognised, and the neighbours are told.
pub fn change_mac(before: &Endpoint, after: &Endpoint) -> Plan {
    const OUTER: &str = "the host's end is recognised by the same number";
    const INNER: &str = "the MAC that was asked for";
    const TELL: &str = "the neighbours know the address by another MAC";
    let mut plan = Plan::new();
    let sandbox = &after.sandbox.reached_by;
    if after.traits.source_mac == SourceMac::Own {
        let entry = ForwardingEntry { mac: after.mac, port: after.host_device.clone() };
        plan.push(Op::host(What::AddForwarding(entry), OUTER));
    }
    let outer = LinkChange::mac(before.host_device.clone(), after.host_mac());
    plan.push(Op::host(What::ChangeLink(outer), OUTER));
    let notify = Sysctl::new(format!("net/ipv4/conf/{}/arp_notify", after.ifname), "1");
    plan.push(Op::sandbox(sandbox, What::Set(notify), TELL));
    if after.address(Family::V6).is_some() {
        let notify = Sysctl::ipv6_device(&after.ifname, "ndisc_notify", 1);
        plan.push(Op::sandbox(sandbox, What::Set(notify), TELL));
    }
    plan.push(Op::sandbox(sandbox, What::ChangeLink(LinkChange::mac(after.ifname.clone(), after.mac)), INNER));
    plan
}

/// What matters before an endpoint is taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remains {
    /// Whether the host end is there and ours.
    pub host_end: Presence,
    /// How to reach the inside, when the namespace lives.
    pub inside: Option<NsRef>,
    /// Whether the inner end is there under its name, and ours.
    pub inner_end: Presence,
    /// Whether it is there under the name it waits for its deletion with: a command got no further.
    pub renamed_end: Presence,
    /// The endpoints of the same sandbox that provide the default route from now on, and in which families.
    pub successors: Vec<(Endpoint, Vec<Family>)>,
}

/// Whether something exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It does.
    There,
    /// It does not.
    Gone,
}

/// The name an inner end has while it waits for its deletion: the old one is free at once.
pub fn doomed_name(endpoint: &Endpoint) -> Option<IfName> {
    if let Some(rest) = endpoint.host_device.as_str().strip_prefix("zv") {
        return format!("zd{rest}").parse().ok();
    }
    // The caller chose the name; the MAC is as good a number.
    let [_, _, digits @ ..] = endpoint.mac.bytes();
    format!("zd{}", digits.map(|byte| format!("{byte:02x}")).concat()).parse().ok()
}

/// Takes an endpoint away, from its record alone: first what is visible, last the deletion the kernel takes its
/// time for.
pub fn detach(endpoint: &Endpoint, remains: &Remains) -> Plan {
    const UNPLUG: &str = "unplug the cable: leave the bridge, at once";
    const GUARD: &str = "the address may leave no more";
    const FORGET: &str = "whoever gets the address next inherits no connections";
    const FREE: &str = "free the name inside; the device itself is gone a moment later";
    const MOVE: &str = "the default route moves to the next network";
    const DELETE: &str = "delete the pair (the kernel takes its time: nobody waits for it)";

    let mut plan = Plan::new();
    for element in firewall::endpoint_elements(endpoint) {
        plan.push(Op::host(What::DeleteElement(element), GUARD));
    }
    if remains.host_end == Presence::There {
        let mut unplug = LinkChange::state(endpoint.host_device.clone(), AdminState::Down);
        unplug.release = true;
        unplug.group = Some(LinkGroup::DOOMED);
        plan.push(Op::host(What::ChangeLink(unplug), UNPLUG));
    }
    for a in &endpoint.addresses {
        plan.push(Op::host(What::Forget(Flows::Of(a.address.addr())), FORGET));
    }
    if let Some(inside) = &remains.inside {
        if remains.renamed_end == Presence::There
            && let Some(name) = doomed_name(endpoint)
        {
            plan.push(Op::sandbox(inside, What::ChangeLink(LinkChange::state(name, AdminState::Down)), FREE));
        }
        if remains.inner_end == Presence::There {
            // Two messages: before Linux 6.2 a device that is up cannot be renamed.
            let down = LinkChange::state(endpoint.ifname.clone(), AdminState::Down);
            plan.push(Op::sandbox(inside, What::ChangeLink(down), FREE));
            if let Some(name) = doomed_name(endpoint) {
                let rename = LinkChange::rename(endpoint.ifname.clone(), name);
                plan.push(Op::sandbox(inside, What::ChangeLink(rename), FREE));
            }
        }
        // Routes that lead nowhere are of no device, and would stay.
        for route in endpoint.routes.iter().filter(|r| r.options.kind != RouteKind::Unicast) {
            let route = static_route(route, &endpoint.ifname);
            plan.push(Op::sandbox(inside, What::DeleteRoute(route), FREE));
        }
        for (next, families) in &remains.successors {
            for route in default_routes(next, families) {
                plan.push(Op::sandbox(inside, What::AddRoute(route), MOVE));
            }
        }
    }
    if remains.host_end == Presence::There {
        // While its MAC is being changed it has the one or the other.
        let mac = endpoint.next_mac.is_none().then(|| endpoint.host_mac());
        let pair = LinkMark { name: endpoint.host_device.clone(), mac };
        plan.push(Op::host(What::DeleteLink(pair), DELETE));
    }
    plan
}
