//! What the engine is to do.

use crate::addresses::{distinct, in_pools, servers};
use crate::network::{Ipam, check_driver, describe, scope};
use crate::options::{Options, zubi_network};
use crate::request::{NetworkEntry, NetworkInfo, Networks};
use crate::{Error, Request, ports, reply, routes};
use std::collections::BTreeSet;
use std::net::IpAddr;
use zubi_model::{
    Addressing, Alias, DefaultRoute, Description, Family, ForeignBridge, IfName, Ingress, MacWish, NetworkName,
    NetworkSource, PortHolder, PortWish, SandboxName, Scope, Traits, Wishes,
};

/// One network that a container is to be attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The network.
    pub network: Target,
    /// How Podman calls it: the key in the answer.
    pub name: String,
    /// What is wished; the ports are with the first attachment that can have them.
    pub wishes: Wishes,
    /// Whether ports could be published here.
    pub publishing: Publishing,
    /// Who serves names to the container.
    pub dns_servers: Vec<IpAddr>,
}

/// Which network an attachment is to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One that Podman describes.
    Described(Box<Description>),
    /// One that a user of zubi made.
    Named(NetworkName),
}

impl Target {
    /// How zubi calls it.
    pub fn name(&self) -> &NetworkName {
        match self {
            Target::Described(description) => &description.name,
            Target::Named(name) => name,
        }
    }
}

/// Whether ports can be published of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publishing {
    /// They can.
    Possible,
    /// It has no address, or its network is internal, or somebody else's with its firewall.
    Impossible,
}

/// What a container leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// How zubi calls the container: its records can be found by that when its namespace is gone.
    pub called: String,
    /// What there is to leave, the last first.
    pub leaving: Vec<Leaving>,
    /// What of the request could not be understood. The rest is to be done all the same, and then these are told.
    pub problems: Vec<Error>,
}

/// One network that a container leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaving {
    /// How zubi calls it.
    pub network: NetworkName,
    /// How Podman calls it.
    pub name: String,
}

/// What a container is to be attached to, in order. Everything that can be checked without the kernel is.
pub fn setup(request: &Request) -> Result<Vec<Attachment>, Error> {
    let called = called(request)?;
    let mut ports = ports::read(request.port_mappings.as_deref().unwrap_or_default())?;
    let servers = servers(request.dns_servers.as_deref().unwrap_or_default())?;
    let isolation = match request.networks {
        Networks::Map(_) => Ingress::Open,
        Networks::Array(_) => Ingress::Published,
    };
    let mut attachments: Vec<Attachment> = Vec::new();
    for (name, entry) in request.networks.entries() {
        let target = NetworkName::described(NetworkSource::Podman, name)?;
        let made = request.network_info.0.get(name).ok_or(Error::missing("its entry in network_info"));
        let made = made.and_then(|info| attachment(target, entry, info, isolation));
        let mut made = made.map_err(|e| e.within(format_args!("network {name}")))?;
        made.wishes.called = Some(called.clone());
        made.name.clone_from(name);
        if !servers.is_empty() {
            made.dns_servers.clone_from(&servers);
        }
        if made.publishing == Publishing::Possible {
            made.wishes.ports = take_ports(&mut ports, &made);
        }
        attachments.push(made);
    }
    only_once(&attachments)?;
    reply::fits(&attachments)?;
    Ok(attachments)
}

/// What a container leaves. Only names are looked at; an error when not even its own is one.
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

/// The servers for names that a network is to have from now on; none clears them.
pub fn update(network: &str, servers: &[String]) -> Result<Vec<IpAddr>, Error> {
    NetworkName::described(NetworkSource::Podman, network)?;
    let each = servers.iter().flat_map(|list| list.split(',')).filter(|text| !text.is_empty());
    crate::addresses::servers(&each.map(str::to_owned).collect::<Vec<_>>())
}

/// Why a command that zubi does not have fails.
pub fn unsupported(command: &'static str) -> Error {
    Error::Unsupported(command)
}

/// How zubi calls the container.
fn called(request: &Request) -> Result<String, Error> {
    let id: SandboxName = request.container_id.parse().map_err(|e| Error::from(e).within("container_id"))?;
    Ok(format!("podman:{id}"))
}

fn left(request: &Request, name: &str) -> Result<NetworkName, Error> {
    let described = NetworkName::described(NetworkSource::Podman, name)?;
    let named = request.network_info.0.get(name).map(zubi_network).transpose();
    Ok(named.map_err(|e| e.within(format_args!("network {name}")))?.flatten().unwrap_or(described))
}

fn attachment(
    name: NetworkName,
    entry: &NetworkEntry,
    info: &NetworkInfo,
    isolation: Ingress,
) -> Result<Attachment, Error> {
    check_driver(info)?;
    let options = Options::read(info, isolation)?;
    let ipam = Ipam::read(info)?;
    let described = describe(name, info, &options, ipam)?;
    let given = distinct("address", entry.static_ips.as_deref().unwrap_or_default())?;
    let mut wishes = wishes(entry, info, &options)?;
    let network = match zubi_network(info)? {
        Some(named) => {
            // Without addresses from Podman the network itself gives them.
            wishes.addresses = if ipam == Ipam::None { Vec::new() } else { given };
            Target::Named(named)
        }
        None => {
            wishes.addressing = Addressing::Given(match ipam {
                Ipam::None => Vec::new(),
                Ipam::HostLocal if given.is_empty() => {
                    return Err(Error::Missing { what: "static_ips", why: Some("the ipam driver host-local needs it") });
                }
                Ipam::HostLocal => in_pools(&given, &described.pools)?,
            });
            Target::Described(Box::new(described))
        }
    };
    let without = matches!(&wishes.addressing, Addressing::Given(addresses) if addresses.is_empty());
    if without && wishes.mac == MacWish::FromAddress {
        wishes.mac = MacWish::Random;
    }
    let others = matches!(network, Target::Described(_)) && options.foreign_bridge == ForeignBridge::Required;
    let publishing = if without || others || scope(info) == Scope::Internal {
        Publishing::Impossible
    } else {
        Publishing::Possible
    };
    let dns = info.network_dns_servers.as_deref().unwrap_or_default();
    Ok(Attachment { network, name: String::new(), wishes, publishing, dns_servers: servers(dns)? })
}

fn wishes(entry: &NetworkEntry, info: &NetworkInfo, options: &Options) -> Result<Wishes, Error> {
    let host_device = entry.options.as_ref().and_then(|options| options.0.get("host_interface_name"));
    let host_device = host_device.filter(|text| !text.is_empty());
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

/// Those that this attachment can have, as far as its families are known already.
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

/// A container has a device's name, and is on a network, at most once.
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
