//! What the engine is to do.

use crate::addresses::{distinct, in_pools, servers};
use crate::network::{Ipam, check_driver, describe, scope};
use crate::options::{Options, zubi_network};
use crate::request::{NetworkEntry, NetworkInfo, Networks};
use crate::{Error, Request, ports, reply, routes};
use std::collections::BTreeSet;
use std::net::IpAddr;
use zubi_model::{
    Addressing, Alias, DefaultRoute, Description, DriverDescription, Family, ForeignBridge, IfName, Ingress, Invalid,
    MacWish, NetworkName, NetworkSource, PortHolder, PortWish, SandboxRef, Scope, Traits, Wishes,
};

/// One network that a container is to be attached to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The network.
    pub network: Target,
    /// How Podman calls it: the key in the answer.
    pub name: String,
    /// What is wished. A port is with the first attachment that can have it. Who is attached to a further network later
    /// comes with all ports again: those that an earlier endpoint of the same container has are not meant, one by one.
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
        Networks::Array(_) => Ingress::Sealed,
    };
    let mut attachments: Vec<Attachment> = Vec::new();
    for (name, entry) in request.networks.entries() {
        let described = NetworkName::described(NetworkSource::Podman, name)?;
        let info = request.network_info.0.get(name).ok_or(Error::missing("its entry in network_info"));
        let made = info.and_then(|info| attachment(name, described, entry, info, isolation));
        let mut made = made.map_err(|e| e.within(format_args!("network {name}")))?;
        made.wishes.called = Some(called.clone());
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

/// Whether zubi's rules are what was meant by a firewall driver (`--firewall-driver`, or `NETAVARK_FW` without it). They
/// are nftables' own and get along with firewalld and iptables; to go without any is refused, since it would not be so.
pub fn firewall_driver(name: &str) -> Result<(), Error> {
    let wrong = |why: &str| Err(Invalid::new("firewall driver", name, why).into());
    match name.to_ascii_lowercase().as_str() {
        "" | "nftables" | "firewalld" | "iptables" => Ok(()),
        "none" => wrong("is not supported by zubi: its networks have rules of nftables"),
        _ => wrong("is not known; nftables is what zubi uses"),
    }
}

/// Why a command that zubi does not have fails.
pub fn unsupported(command: &'static str) -> Error {
    Error::Unsupported(command)
}

/// How zubi calls the container.
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
    isolation: Ingress,
) -> Result<Attachment, Error> {
    check_driver(info)?;
    let options = Options::read(info, isolation)?;
    let ipam = Ipam::read(info)?;
    let mut wishes = wishes(entry, info, &options)?;
    let given = distinct("address", entry.static_ips.as_deref().unwrap_or_default())?;
    let network = if let Some(named) = zubi_network(info)? {
        // Whoever gives Podman's addresses: those of the network are its own, and `--ip` comes with `none` as well.
        wishes.addresses = given;
        Target::Named(named)
    } else {
        let description = describe(described, info, &options, ipam)?;
        wishes.addressing = Addressing::Given(match ipam {
            Ipam::None => Vec::new(),
            Ipam::HostLocal if given.is_empty() => {
                return Err(Error::Missing { what: "static_ips", why: Some("the ipam driver host-local needs it") });
            }
            // netavark, too, gives no address then.
            Ipam::HostLocal if description.pools.is_empty() => Vec::new(),
            Ipam::HostLocal => in_pools(&given, &description.pools)?,
        });
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
    let others = match network {
        Target::Described(d) => {
            let DriverDescription::Bridge(bridge) = &d.driver;
            bridge.foreign == ForeignBridge::Required
        }
        Target::Named(_) => false,
    };
    if without || others || scope == Scope::Internal { Publishing::Impossible } else { Publishing::Possible }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_there_are_whatever_the_driver_is_called() {
        for good in ["", "nftables", "iptables", "Firewalld"] {
            assert_eq!(firewall_driver(good), Ok(()), "{good}");
        }
        for bad in ["none", "None", "pf", "\u{1b}"] {
            let error = firewall_driver(bad).unwrap_err().to_string();
            assert!(error.starts_with("firewall driver `") && !error.contains('\u{1b}'), "{error}");
        }
    }
}
