//! What the host has on a bridge, sorted into what each program has a word for.

use crate::{Op, What};
use std::fmt::{self, Write as _};
use std::net::IpAddr;
use zubi_model::{
    BridgeNetwork, Family, HeldAddress, Holdings, IfName, Lifetime, Network, PolicyRule, RouteOptions, StaticRoute,
};
use zubi_wire::route::{Address, Route, Rule};

/// `rtm_protocol` of routes that the kernel, a router's advertisement, or a DHCP client made.
const KERNEL: Option<u8> = Some(2);
const ADVERTISED: Option<u8> = Some(9);
const BY_DHCP: Option<u8> = Some(16);
/// The metric that the kernel gives IPv6 routes.
const IPV6_METRIC: u32 = 1024;

/// What the host has on the bridge of a network.
#[derive(Debug, Clone, Copy)]
pub struct OnBridge<'a> {
    /// The network.
    pub network: &'a Network,
    /// Addresses, routes, rules, settings.
    pub held: &'a Holdings,
    /// The name servers that the host asks.
    pub servers: &'a [IpAddr],
}

/// A file of the host's network configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFile {
    /// Where it is.
    pub path: String,
    /// Its mode.
    pub mode: u32,
    /// What is in it.
    pub text: String,
}

/// The text of a file, line by line.
pub(super) struct Lines(pub(super) String);

impl Lines {
    pub(super) fn say(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        writeln!(self.0, "{line}").unwrap_or_default();
    }
}

/// How the host gets its addresses of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// It has none.
    None,
    /// It has only what the kernel gives every device (IPv6).
    LinkLocal,
    /// They are in the configuration.
    Fixed,
    /// From a DHCP server (IPv4), or of what routers advertise (IPv6).
    Automatic,
}

/// What the host has of one family.
pub(super) struct Side<'a> {
    pub(super) family: Family,
    pub(super) method: Method,
    pub(super) addresses: Vec<HeldAddress>,
    pub(super) gateway: Option<&'a StaticRoute>,
    pub(super) routes: Vec<&'a StaticRoute>,
}

/// What a program is to configure.
pub(super) struct Host<'a> {
    pub(super) network: &'a Network,
    pub(super) part: &'a BridgeNetwork,
    pub(super) bridge: &'a IfName,
    pub(super) card: &'a IfName,
    pub(super) v4: Side<'a>,
    pub(super) v6: Side<'a>,
    pub(super) servers: Vec<IpAddr>,
    pub(super) settings: Vec<&'a (String, String, String)>,
    /// The commands for the policy rules that name the bridge.
    pub(super) rules: Vec<String>,
    /// The commands for what networkd and NetworkManager have no word for.
    pub(super) beyond: Vec<String>,
}

impl<'a> Host<'a> {
    pub(super) fn new(on: &OnBridge<'a>, part: &'a BridgeNetwork, card: &'a IfName) -> Self {
        let held = on.held;
        let (v4, v6) = (Side::new(Family::V4, held, part), Side::new(Family::V6, held, part));
        // A DHCP server says them again.
        let servers: Vec<IpAddr> = on.servers.iter().copied().filter(|server| !server.is_loopback()).collect();
        let servers = if v4.method == Method::Automatic { Vec::new() } else { servers };
        let bridge = &part.device;
        let mut beyond: Vec<String> = Vec::new();
        for side in [&v4, &v6] {
            beyond.extend(
                side.addresses.iter().filter(|held| !is_plain_address(held)).map(|held| add_address(bridge, held)),
            );
            beyond.extend(
                side.routes.iter().filter(|route| !is_plain_route(route)).map(|route| add_route(bridge, route)),
            );
        }
        let rule = |rule: &PolicyRule| Op::host(What::AddPolicyRule(Rule(rule.clone())), "").to_string();
        let rules: Vec<String> = held.rules.iter().map(rule).collect();
        beyond.extend(rules.iter().cloned());
        let settings = held.settings.iter().filter(|(_, name, _)| name != "rp_filter").collect();
        Host { network: on.network, part, bridge, card, v4, v6, servers, settings, rules, beyond }
    }
}

impl<'a> Side<'a> {
    pub(super) fn new(family: Family, held: &'a Holdings, part: &BridgeNetwork) -> Self {
        let is_it = |address: IpAddr| Family::of(address) == family;
        let of_family: Vec<&HeldAddress> = held.addresses.iter().filter(|held| is_it(held.address.addr())).collect();
        let ends = |held: &HeldAddress| held.options.lifetime != Lifetime::default();
        let by_client = family == Family::V4 && part.host_client.is_some();
        let routes = held.routes.iter().filter(|route| is_it(route.to.addr()) && !held.comes_with_address(route));
        let (by_others, routes): (Vec<&StaticRoute>, Vec<&StaticRoute>) =
            routes.partition(|route| [ADVERTISED, BY_DHCP].contains(&route.options.protocol));
        let is_automatic = by_client || !by_others.is_empty() || of_family.iter().any(|held| ends(held));
        let (defaults, routes): (Vec<&StaticRoute>, Vec<&StaticRoute>) = routes
            .into_iter()
            .filter(|route| route.options.protocol != KERNEL)
            .partition(|route| route.to.prefix_len() == 0 && route.via.is_some() && route.options.table.is_none());
        // A DHCP server or a router says it again.
        let mut defaults = if is_automatic { Vec::new() } else { defaults };
        defaults.sort_by_key(|route| route.options.metric.unwrap_or(0));
        let mut defaults = defaults.into_iter();
        let fixed = of_family.iter().filter(|held| !ends(held) && !is_link_local(held.address.addr()));
        let addresses: Vec<HeldAddress> = fixed.map(|address| with_prefix_route(address, held)).collect();
        let method = match (is_automatic, addresses.is_empty(), of_family.is_empty()) {
            (true, _, _) => Method::Automatic,
            (false, false, _) => Method::Fixed,
            (false, true, false) => Method::LinkLocal,
            (false, true, true) => Method::None,
        };
        Side { family, method, addresses, gateway: defaults.next(), routes: defaults.chain(routes).collect() }
    }

    /// The addresses that every program has a word for.
    pub(super) fn plain_addresses(&self) -> impl Iterator<Item = &HeldAddress> + '_ {
        self.addresses.iter().filter(|held| is_plain_address(held))
    }

    pub(super) fn plain_routes(&self) -> impl Iterator<Item = &'a StaticRoute> + '_ {
        self.routes.iter().copied().filter(|route| is_plain_route(route))
    }
}

/// The metric of a route, unless it is the kernel's own.
pub(super) fn metric(route: &StaticRoute) -> Option<u32> {
    route.options.metric.filter(|metric| *metric != 0 && !(route.to.addr().is_ipv6() && *metric == IPV6_METRIC))
}

pub(super) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// NetworkManager makes the routes to subnets itself, and each program chooses their metric.
pub(super) fn with_prefix_route(address: &HeldAddress, held: &Holdings) -> HeldAddress {
    let mut address = address.clone();
    let subnet = address.address.trunc();
    let has_route = held.routes.iter().any(|route| route.to == subnet && route.via.is_none());
    address.options.no_prefix_route &= !has_route;
    (address.options.metric, address.options.protocol) = (None, None);
    address
}

pub(super) fn is_plain_address(held: &HeldAddress) -> bool {
    let options = &held.options;
    options.peer.is_none()
        && options.label.is_none()
        && options.scope == 0
        && options.metric.is_none()
        && !options.no_prefix_route
        && !options.joins_group
        && !options.home
}

pub(super) fn is_plain_route(route: &StaticRoute) -> bool {
    const EVERYWHERE_OR_ON_THE_LINK: [Option<u8>; 3] = [None, Some(0), Some(253)];
    let RouteOptions { metric, table, mtu, protocol, source, on_link, scope, .. } = route.options;
    let said = RouteOptions { metric, table, mtu, protocol, source, on_link, scope, ..RouteOptions::default() };
    route.options == said && EVERYWHERE_OR_ON_THE_LINK.contains(&scope)
}

pub(super) fn add_address(bridge: &IfName, held: &HeldAddress) -> String {
    Op::host(What::AddAddress(Address::moved(held.clone(), bridge.clone())), "").to_string()
}

pub(super) fn add_route(bridge: &IfName, route: &StaticRoute) -> String {
    let StaticRoute { to, via, options } = *route;
    Op::host(What::AppendRoute(Route { to, via, device: bridge.clone(), options }), "").to_string()
}
