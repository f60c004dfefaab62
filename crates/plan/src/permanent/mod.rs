//! The permanent form of a bridge with a network card: files by which the host's own program makes at boot what zubi has
//! made by hand.
//!
//! # How it works
//! [`OnBridge`] says what the host has on the bridge. [`Host`] sorts that into what each program has a word for: of each
//! family a method, addresses, a gateway and further routes. One file per program turns it into [`ConfigFile`]s, which
//! are printed as commands that write them. The files take effect at the next boot.
//!
//! A bridge that was made that way has no mark of zubi's; see [`take_from_host`](crate::driver::take_from_host).
//!
//! # Limits
//! What a program has no word for is named in a comment: policy rules, and addresses and routes with rare options.
//! VLANs are not in the form: zubi adds them to the bridge.

mod ifupdown;
mod networkd;
mod nm;

use crate::{Op, What};
use std::fmt::{self, Write as _};
use std::net::IpAddr;
use zubi_model::{
    BridgeNetwork, Family, HeldAddress, Holdings, HostNetworking, IfName, Lifetime, Network, PolicyRule, RouteOptions,
    StaticRoute,
};
use zubi_wire::route::{Address, Route, Rule};
use zubi_wire::shell_word;

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

/// The files that make a bridge at boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permanent {
    /// The files.
    pub files: Vec<ConfigFile>,
    /// What to know before they are written.
    pub notes: Vec<String>,
}

impl Permanent {
    /// The files by which `program` makes the bridge of a network; `None` for a network without a card.
    pub fn new(program: HostNetworking, on: &OnBridge<'_>) -> Option<Permanent> {
        let part = on.network.bridge()?;
        let host = Host::new(on, part, part.parent.as_ref()?);
        let files = match program {
            HostNetworking::Networkd => networkd::files(&host),
            HostNetworking::NetworkManager => nm::files(&host),
            HostNetworking::Ifupdown => ifupdown::files(&host),
        };
        let files: Vec<ConfigFile> = files.into_iter().chain(settings(&host)).collect();
        let (bridge, card) = (host.bridge, host.card);
        let mut notes =
            vec![format!("As root. From the next boot on, the host makes {bridge} itself; nothing changes now.")];
        notes.extend(match program {
            HostNetworking::Networkd => networkd::notes(&host),
            HostNetworking::NetworkManager => Vec::new(),
            HostNetworking::Ifupdown => ifupdown::notes(&host),
        });
        if program != HostNetworking::Ifupdown {
            notes.extend(host.beyond.iter().map(|command| format!("Not in these files: {command}")));
        }
        let paths: Vec<String> = files.iter().map(|file| shell_word(&file.path)).collect();
        notes.push(format!(
            "To have {card} without a bridge again: zubi network rm {}, then rm {}",
            on.network.name,
            paths.join(" ")
        ));
        Some(Permanent { files, notes })
    }
}

/// Where each program's files for a bridge are.
pub fn paths(bridge: &IfName, card: &IfName) -> Vec<String> {
    let of_programs =
        [networkd::paths(bridge, card).to_vec(), nm::paths(bridge, card).to_vec(), vec![ifupdown::path(bridge)]];
    of_programs.into_iter().flatten().chain([path_of_settings(bridge)]).collect()
}

/// As commands of a shell that write the files.
impl fmt::Display for Permanent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for note in &self.notes {
            writeln!(f, "# {note}")?;
        }
        for ConfigFile { path, mode, text } in &self.files {
            writeln!(f, "install -D -m {mode:o} /dev/stdin {} <<'END'\n{text}END", shell_word(path))?;
        }
        Ok(())
    }
}

/// The text of a file, line by line.
struct Lines(String);

impl Lines {
    fn say(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        writeln!(self.0, "{line}").unwrap_or_default();
    }
}

/// How the host gets its addresses of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
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
struct Side<'a> {
    family: Family,
    method: Method,
    addresses: Vec<HeldAddress>,
    gateway: Option<&'a StaticRoute>,
    routes: Vec<&'a StaticRoute>,
}

/// What a program is to configure.
struct Host<'a> {
    network: &'a Network,
    part: &'a BridgeNetwork,
    bridge: &'a IfName,
    card: &'a IfName,
    v4: Side<'a>,
    v6: Side<'a>,
    servers: Vec<IpAddr>,
    settings: Vec<&'a (String, String, String)>,
    /// The commands for the policy rules that name the bridge.
    rules: Vec<String>,
    /// The commands for what networkd and NetworkManager have no word for.
    beyond: Vec<String>,
}

impl<'a> Host<'a> {
    fn new(on: &OnBridge<'a>, part: &'a BridgeNetwork, card: &'a IfName) -> Self {
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
    fn new(family: Family, held: &'a Holdings, part: &BridgeNetwork) -> Self {
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
    fn plain_addresses(&self) -> impl Iterator<Item = &HeldAddress> + '_ {
        self.addresses.iter().filter(|held| is_plain_address(held))
    }

    fn plain_routes(&self) -> impl Iterator<Item = &'a StaticRoute> + '_ {
        self.routes.iter().copied().filter(|route| is_plain_route(route))
    }
}

/// The metric of a route, unless it is the kernel's own.
fn metric(route: &StaticRoute) -> Option<u32> {
    route.options.metric.filter(|metric| *metric != 0 && !(route.to.addr().is_ipv6() && *metric == IPV6_METRIC))
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// NetworkManager makes the routes to subnets itself, and each program chooses their metric.
fn with_prefix_route(address: &HeldAddress, held: &Holdings) -> HeldAddress {
    let mut address = address.clone();
    let subnet = address.address.trunc();
    let has_route = held.routes.iter().any(|route| route.to == subnet && route.via.is_none());
    address.options.no_prefix_route &= !has_route;
    (address.options.metric, address.options.protocol) = (None, None);
    address
}

fn is_plain_address(held: &HeldAddress) -> bool {
    let options = &held.options;
    options.peer.is_none()
        && options.label.is_none()
        && options.scope == 0
        && options.metric.is_none()
        && !options.no_prefix_route
        && !options.joins_group
        && !options.home
}

fn is_plain_route(route: &StaticRoute) -> bool {
    const EVERYWHERE_OR_ON_THE_LINK: [Option<u8>; 3] = [None, Some(0), Some(253)];
    let RouteOptions { metric, table, mtu, protocol, source, on_link, scope, .. } = route.options;
    let said = RouteOptions { metric, table, mtu, protocol, source, on_link, scope, ..RouteOptions::default() };
    route.options == said && EVERYWHERE_OR_ON_THE_LINK.contains(&scope)
}

fn add_address(bridge: &IfName, held: &HeldAddress) -> String {
    Op::host(What::AddAddress(Address::moved(held.clone(), bridge.clone())), "").to_string()
}

fn add_route(bridge: &IfName, route: &StaticRoute) -> String {
    let StaticRoute { to, via, options } = *route;
    Op::host(What::AppendRoute(Route { to, via, device: bridge.clone(), options }), "").to_string()
}

fn path_of_settings(bridge: &IfName) -> String {
    format!("/etc/sysctl.d/90-{bridge}.conf")
}

/// Udev applies these when the bridge appears.
fn settings(host: &Host<'_>) -> Option<ConfigFile> {
    let line = |(family, name, value): &&(String, String, String)| {
        format!("net.{family}.conf.{}.{name} = {value}\n", sysctl_word(host.bridge))
    };
    let text: String = host.settings.iter().map(line).collect();
    (!text.is_empty()).then(|| ConfigFile { path: path_of_settings(host.bridge), mode: 0o644, text })
}

/// sysctl(8) takes a dot in a name as a slash, and the reverse.
fn sysctl_word(device: &IfName) -> String {
    device.as_str().replace('.', "/")
}

#[cfg(test)]
mod tests;
