//! What a request asks of the engine.

use crate::addresses::{distinct, in_pools, servers};
use crate::network::{Ipam, describe, scope};
use crate::options::{DriverOptions, Options, zubi_network};
use crate::reply::{LARGEST_BY_SERVER, SEARCHED, largest_status};
use crate::request::{NetworkEntry, NetworkInfo, Networks};
use crate::{Error, LARGEST_ANSWER, Request, ports, routes};
use std::collections::BTreeSet;
use std::net::IpAddr;
use zubi_model::{
    Addressing, Alias, DefaultRoute, Description, DhcpOption, DhcpWishes, DriverDescription, Family, ForeignBridge,
    IfName, Ingress, Invalid, MacWish, NetworkName, NetworkSource, PortHolder, PortWish, SandboxRef, Scope, Traits,
    Wishes,
};

/// One attachment that Podman asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The network.
    pub network: Target,
    /// The network's name in Podman: the key in the answer.
    pub name: String,
    /// The endpoint to make. A port belongs to the first attachment that can publish it. When a running container joins
    /// another network, the request lists all its ports again: the caller skips each one that an earlier endpoint of
    /// the container has.
    pub wishes: Wishes,
    /// Whether ports can be published here.
    pub publishing: Publishing,
    /// The container's DNS servers.
    pub dns_servers: Vec<IpAddr>,
}

/// The network of an attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A described network: Podman says what it is.
    Described(Box<Description>),
    /// A network that a user made with zubi.
    Named(NetworkName),
}

impl Target {
    /// The network's name in zubi.
    pub fn name(&self) -> &NetworkName {
        match self {
            Target::Described(description) => &description.name,
            Target::Named(name) => name,
        }
    }
}

/// Whether an endpoint can publish ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publishing {
    /// It can.
    Possible,
    /// It cannot: it has no address, or its network is internal or on the LAN, or Podman leaves bridge and firewall to the
    /// user (`mode=unmanaged`).
    Impossible,
}

/// The networks that a container leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// The container's name in zubi, which finds its records when its namespace is gone.
    pub called: String,
    /// The networks, in reverse order of attaching.
    pub leaving: Vec<Leaving>,
    /// Parts of the request that are invalid. The caller does the rest and reports these afterwards.
    pub problems: Vec<Error>,
}

/// One network that a container leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaving {
    /// The network's name in zubi.
    pub network: NetworkName,
    /// The network's name in Podman.
    pub name: String,
}

/// The attachments of a request, in order, with everything checked that needs no kernel.
pub fn setup(request: &Request) -> Result<Vec<Attachment>, Error> {
    let called = called(request)?;
    let mut ports = ports::read(request.port_mappings.as_deref().unwrap_or_default())?;
    let servers = servers(request.dns_servers.as_deref().unwrap_or_default())?;
    let default_ingress = match request.networks {
        Networks::Map(_) => Ingress::Open,
        Networks::Array(_) => Ingress::Sealed,
    };
    let mut attachments: Vec<Attachment> = Vec::new();
    for (name, entry) in request.networks.entries() {
        let described = NetworkName::described(NetworkSource::Podman, name)?;
        let info = request.network_info.0.get(name).ok_or(Error::missing("its entry in network_info"));
        let made = info.and_then(|info| attachment(name, described, entry, info, default_ingress));
        let mut made = made.map_err(|e| e.within(format_args!("network {name}")))?;
        made.wishes.called = Some(called.clone());
        made.wishes.dhcp = dhcp(request);
        made.wishes.aliases = names(request, &made.wishes.aliases);
        made.wishes.name_servers.clone_from(&servers);
        if !servers.is_empty() {
            made.dns_servers.clone_from(&servers);
        }
        if made.publishing == Publishing::Possible {
            made.wishes.ports = take_ports(&mut ports, &made);
        }
        attachments.push(made);
    }
    only_once(&attachments)?;
    check_answer_fits(&attachments)?;
    Ok(attachments)
}

/// The networks that a container leaves. Reads only names, and fails only if the container's id is invalid.
pub fn teardown(request: &Request) -> Result<Departure, Error> {
    let mut departure = Departure { called: called(request)?, leaving: Vec::new(), problems: Vec::new() };
    for (name, _) in request.networks.entries().iter().rev() {
        match left(request, name) {
            Ok(network) => departure.leaving.push(Leaving { network, name: name.clone() }),
            Err(problem) => departure.problems.push(problem),
        }
    }
    Ok(departure)
}

/// The new DNS servers of a network, under its name in zubi; an empty list clears them.
pub fn update(network: &str, servers: &[String]) -> Result<(NetworkName, Vec<IpAddr>), Error> {
    let network = NetworkName::described(NetworkSource::Podman, network)?;
    let each = servers.iter().flat_map(|list| list.split(',')).filter(|text| !text.is_empty());
    Ok((network, crate::addresses::servers(&each.map(str::to_owned).collect::<Vec<_>>())?))
}

/// Checks a firewall driver (`--firewall-driver`, else `NETAVARK_FW`). zubi always uses nftables, which works beside
/// firewalld and iptables, so their names are accepted. `none` is refused: zubi would make rules all the same.
pub fn firewall_driver(name: &str) -> Result<(), Error> {
    let wrong = |why: &str| Err(Invalid::new("firewall driver", name, why).into());
    match name.to_ascii_lowercase().as_str() {
        "" | "nftables" | "firewalld" | "iptables" => Ok(()),
        "none" => wrong("is not supported by zubi: its networks need nftables rules"),
        _ => wrong("is unknown; zubi uses nftables"),
    }
}

/// The error for a command that zubi lacks.
pub fn unsupported(command: &'static str) -> Error {
    Error::Unsupported(command)
}

/// The container's name in zubi.
fn called(request: &Request) -> Result<String, Error> {
    let called: SandboxRef =
        format!("podman:{}", request.container_id).parse().map_err(|e| Error::from(e).within("container_id"))?;
    Ok(called.to_string())
}

fn left(request: &Request, name: &str) -> Result<NetworkName, Error> {
    let described = NetworkName::described(NetworkSource::Podman, name)?;
    let named = request.network_info.0.get(name).map(zubi_network).transpose();
    Ok(named.map_err(|e| e.within(format_args!("network {name}")))?.flatten().unwrap_or(described))
}

fn attachment(
    name: &str,
    described: NetworkName,
    entry: &NetworkEntry,
    info: &NetworkInfo,
    default_ingress: Ingress,
) -> Result<Attachment, Error> {
    let options = Options::read(info, default_ingress)?;
    let ipam = Ipam::read(info, options.driver)?;
    let mut wishes = wishes(entry, info, &options)?;
    let given = distinct("address", entry.static_ips.as_deref().unwrap_or_default())?;
    let network = if let Some(named) = zubi_network(info)? {
        // The addresses belong to the zubi network, whatever Podman's ipam driver, so these are requests: `--ip` comes
        // here even with the driver `none`.
        wishes.addresses = given;
        Target::Named(named)
    } else {
        let description = describe(described, info, &options, ipam)?;
        let chosen = match ipam {
            Ipam::Dhcp | Ipam::None => Vec::new(),
            Ipam::HostLocal if given.is_empty() => {
                return Err(Error::Missing { what: "static_ips", why: Some("the ipam driver host-local needs it") });
            }
            // netavark gives no address either.
            Ipam::HostLocal if description.pools.is_empty() => Vec::new(),
            Ipam::HostLocal => in_pools(&given, &description.pools)?,
        };
        if ipam == Ipam::Dhcp {
            // The engine refuses them: a server cannot be asked for an address.
            wishes.addresses = given;
        }
        wishes.addressing = if ipam == Ipam::Dhcp { Addressing::Network } else { Addressing::Given(chosen) };
        Target::Described(Box::new(description))
    };
    Ok(Attachment {
        publishing: publishing(&network, &wishes, scope(info)),
        network,
        name: name.to_owned(),
        wishes,
        dns_servers: servers(info.network_dns_servers.as_deref().unwrap_or_default())?,
    })
}

fn publishing(network: &Target, wishes: &Wishes, scope: Scope) -> Publishing {
    let without = matches!(&wishes.addressing, Addressing::Given(addresses) if addresses.is_empty());
    let unguarded = match network {
        Target::Described(d) => match &d.driver {
            DriverDescription::Bridge(bridge) => bridge.foreign == ForeignBridge::Required,
            DriverDescription::Macvlan(_) | DriverDescription::Ovs(_) | DriverDescription::HostDevice(_) => true,
        },
        Target::Named(_) => false,
    };
    if without || unguarded || scope == Scope::Internal { Publishing::Impossible } else { Publishing::Possible }
}

fn wishes(entry: &NetworkEntry, info: &NetworkInfo, options: &Options) -> Result<Wishes, Error> {
    let host_device = entry.options.as_ref().and_then(|options| options.0.get("host_interface_name"));
    // A macvlan has no end on the host, so that netavark ignores the name.
    let has_host_end = matches!(options.driver, DriverOptions::Bridge { .. });
    let host_device = host_device.filter(|text| !text.is_empty() && has_host_end);
    let host_device: Option<IfName> = match host_device {
        None => None,
        Some(text) => Some(text.parse().map_err(|e| Error::from(e).within("host_interface_name"))?),
    };
    if entry.interface_name.is_empty() {
        return Err(Error::missing("interface_name"));
    }
    let ifname: IfName = entry.interface_name.parse().map_err(|e| Error::from(e).within("interface_name"))?;
    let mac = match entry.static_mac.as_deref().filter(|text| !text.is_empty()) {
        None => MacWish::FromAddress,
        Some(text) => MacWish::Given(text.parse()?),
    };
    let mut aliases: Vec<Alias> = Vec::new();
    let mut seen = BTreeSet::new();
    for alias in entry.aliases.iter().flatten().filter_map(|text| text.parse::<Alias>().ok()) {
        if seen.insert(alias.clone()) {
            aliases.push(alias);
        }
    }
    Ok(Wishes {
        ifname: Some(ifname),
        host_device,
        mac,
        aliases,
        routes: routes::read(info.routes.as_deref().unwrap_or_default())?,
        default_route: match scope(info) {
            Scope::Internal => DefaultRoute::Never,
            Scope::Routed => options.default_route,
        },
        traits: Traits { port_holder: PortHolder::Caller, metric: Some(options.metric), ..Traits::default() },
        ..Wishes::default()
    })
}

/// What the container answers to: its name, what Podman calls it besides (the start of its id, aliases), its host name.
/// One that no question can ask for is left out, as netavark does.
fn names(request: &Request, aliases: &[Alias]) -> Vec<Alias> {
    let own = request.container_name.parse().ok();
    let host_name = request.container_hostname.as_deref().and_then(|name| name.parse().ok());
    let mut names: Vec<Alias> = Vec::new();
    for name in own.into_iter().chain(aliases.iter().cloned()).chain(host_name) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// What a DHCP server hears: a container that is made again has another id, but its name stays.
fn dhcp(request: &Request) -> DhcpWishes {
    let name = Some(request.container_name.as_str()).filter(|name| !name.is_empty());
    // Podman gives a container without a host name the start of its id.
    let chosen = |host: &&str| !host.is_empty() && !request.container_id.starts_with(*host);
    let host_name = request.container_hostname.as_deref().filter(chosen).or(name);
    DhcpWishes {
        name: name.map(|name| format!("podman:{name}")),
        told: host_name.and_then(DhcpOption::host_name).into_iter().collect(),
        ..DhcpWishes::default()
    }
}

/// Removes and returns the ports that this attachment can publish. If its families are not known yet, both count.
fn take_ports(ports: &mut Vec<PortWish>, attachment: &Attachment) -> Vec<PortWish> {
    let mut families: Vec<Family> = match &attachment.wishes.addressing {
        Addressing::Given(given) => given.iter().map(|a| Family::of(a.address.addr())).collect(),
        _ => attachment.wishes.addresses.iter().map(|a| Family::of(*a)).collect(),
    };
    if families.is_empty() {
        families = vec![Family::V4, Family::V6];
    }
    ports::take(ports, &families)
}

/// Refuses a network or a device name that occurs twice.
fn only_once(attachments: &[Attachment]) -> Result<(), Error> {
    let (mut networks, mut inside, mut outside) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for Attachment { network, wishes, .. } in attachments {
        if !networks.insert(network.name()) {
            return Err(Error::twice("network", network.name()));
        }
        if let Some(name) = wishes.ifname.as_ref().filter(|name| !inside.insert(*name)) {
            return Err(Error::twice("interface_name", name));
        }
        if let Some(name) = wishes.host_device.as_ref().filter(|name| !outside.insert(*name)) {
            return Err(Error::twice("host_interface_name", name));
        }
    }
    Ok(())
}

/// Refuses a request whose answer would not fit into [`LARGEST_ANSWER`], before anything changes: the answer is written
/// last.
fn check_answer_fits(attachments: &[Attachment]) -> Result<(), Error> {
    let bytes: usize = attachments
        .iter()
        .map(|Attachment { network, name, wishes, dns_servers, .. }| {
            let addresses = match &wishes.addressing {
                Addressing::Given(given) => given.len(),
                // The network adds an address of each family for which the request names none.
                _ => wishes.addresses.len() + 2,
            };
            // The gateways take the place of other servers where names are answered.
            let gateways = match network {
                Target::Described(description) => description.pools.len(),
                // One of each family.
                Target::Named(_) => 2,
            };
            largest_status(name, addresses, dns_servers.len().max(gateways)) + SEARCHED.len() + 2 + by_server(network)
        })
        .sum();
    // The braces around all, and the caller's newline.
    if bytes + 3 > LARGEST_ANSWER {
        return Err(Error::TooMany { what: "bytes of the answer", most: LARGEST_ANSWER });
    }
    Ok(())
}

/// The most bytes of the answer that a DHCP server decides on.
fn by_server(network: &Target) -> usize {
    match network {
        Target::Described(description) if description.ipam == zubi_model::Ipam::Pools => 0,
        // A network of zubi's may have a server too.
        Target::Described(_) | Target::Named(_) => LARGEST_BY_SERVER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_driver_but_none_stands_for_nftables() {
        for good in ["", "nftables", "iptables", "Firewalld"] {
            assert_eq!(firewall_driver(good), Ok(()), "{good}");
        }
        for bad in ["none", "None", "pf", "\u{1b}"] {
            let error = firewall_driver(bad).unwrap_err().to_string();
            assert!(error.starts_with("firewall driver `") && !error.contains('\u{1b}'), "{error}");
        }
    }
}
