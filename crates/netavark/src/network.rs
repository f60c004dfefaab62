//! A Podman network as a description for zubi.

use crate::Error;
use crate::addresses::{one, servers};
use crate::options::{DriverOptions, Options};
use crate::request::{LeaseRange, NetworkInfo, SubnetEntry};
use ipnet::IpNet;
use zubi_model::{
    BridgeDescription, CardMode, Description, DriverDescription, Egress, Family, ForeignBridge, GatewayAt, Hairpin,
    IfName, Invalid, Label, MacvlanDescription, NameService, Naming, NetworkName, OtherGateway, Pool, Promiscuity,
    Scope, Subnet,
};

/// Of one network. Bounds the overlap check, which compares all pairs.
const MOST_SUBNETS: usize = 100;

/// How endpoints of a network get addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ipam {
    /// Podman chooses them from the subnets.
    HostLocal,
    /// A DHCP server on the network gives them.
    Dhcp,
    /// They get none.
    None,
}

impl Ipam {
    /// Reads `ipam_options`.
    pub(crate) fn read(info: &NetworkInfo, driver: DriverOptions) -> Result<Self, Error> {
        match info.ipam_options.as_ref().and_then(|options| options.0.get("driver")).map(String::as_str) {
            None | Some("" | "host-local") => Ok(Ipam::HostLocal),
            Some("none") => Ok(Ipam::None),
            Some("dhcp") => match driver {
                // On a bridge of Podman's own the host would be the gateway, and there is no LAN.
                DriverOptions::Bridge { foreign: ForeignBridge::Adopted, .. } => {
                    let why = "is for macvlans and for bridges with the option mode=unmanaged";
                    Err(Invalid::new("ipam driver", "dhcp", why).into())
                }
                // As in netavark: a server that knows clients by their MACs would give all of them one address.
                DriverOptions::Macvlan { mode: CardMode::Ipvlan(_), .. } => {
                    let why = "is for macvlans and unmanaged bridges: all ipvlans have the MAC of their card";
                    Err(Invalid::new("ipam driver", "dhcp", why).into())
                }
                DriverOptions::Bridge { .. } | DriverOptions::Macvlan { .. } => Ok(Ipam::Dhcp),
            },
            Some(other) => Err(Invalid::new("ipam driver", other, "is none of host-local, dhcp and none").into()),
        }
    }
}

/// The scope: internal or routed.
pub(crate) fn scope(info: &NetworkInfo) -> Scope {
    if info.internal { Scope::Internal } else { Scope::Routed }
}

/// Whether its containers find each other by name, and who is asked about the rest.
fn naming(info: &NetworkInfo) -> Result<Naming, Error> {
    let service = if info.dns_enabled { NameService::On } else { NameService::Off };
    let servers = servers(info.network_dns_servers.as_deref().unwrap_or_default())?;
    Ok(Naming { service, servers, ..Naming::default() })
}

/// Checks and describes the network.
pub(crate) fn describe(
    name: NetworkName,
    info: &NetworkInfo,
    options: &Options,
    ipam: Ipam,
) -> Result<Description, Error> {
    let device = info.network_interface.as_deref().filter(|text| !text.is_empty());
    let device: Option<IfName> = device.map(str::parse).transpose()?;
    let (driver, egress, gateway_at) = match options.driver {
        DriverOptions::Bridge { foreign, ingress } => {
            let bridge = BridgeDescription {
                device: device.ok_or(Error::missing("network_interface"))?,
                foreign,
                icc: None,
                ingress: Some(ingress),
                hairpin: Hairpin::Published,
                promiscuity: Promiscuity::Off,
            };
            let gateway_at = match foreign {
                ForeignBridge::Adopted => GatewayAt::Bridge,
                ForeignBridge::Required => GatewayAt::Elsewhere,
            };
            (DriverDescription::Bridge(bridge), Egress::Masquerade, gateway_at)
        }
        DriverOptions::Macvlan { mode, broadcasts } => {
            let macvlan = MacvlanDescription { parent: device, mode, broadcasts };
            (DriverDescription::Macvlan(macvlan), Egress::Plain, GatewayAt::Elsewhere)
        }
    };
    let pools = match ipam {
        Ipam::HostLocal => pools(info.subnets.as_deref().unwrap_or_default(), gateway_at)?,
        Ipam::Dhcp | Ipam::None => Vec::new(),
    };
    if let Some(mtu) = options.mtu
        && pools.iter().any(|pool| pool.subnet.family() == Family::V6)
    {
        mtu.carries_ipv6()?;
    }
    let labels = info.labels.iter().flat_map(|labels| &labels.0);
    Ok(Description {
        name,
        id: info.id.parse().ok(),
        driver,
        mtu: options.mtu,
        pools,
        families: Vec::new(),
        scope: scope(info),
        egress,
        // Two Podman configurations may use one network name: neither may change the other's gateway.
        ipam: match ipam {
            Ipam::Dhcp => zubi_model::Ipam::Dhcp,
            Ipam::HostLocal | Ipam::None => zubi_model::Ipam::Pools,
        },
        naming: naming(info)?,
        other_gateway: OtherGateway::Refused,
        // Podman accepts labels that zubi refuses. They mean nothing to zubi, so drop those.
        labels: labels
            .filter(|(key, value)| !key.contains('=') && format!("{key}={value}").parse::<Label>().is_ok())
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
    })
}

/// One pool for each subnet, IPv4 first.
fn pools(entries: &[SubnetEntry], gateway_at: GatewayAt) -> Result<Vec<Pool>, Error> {
    if entries.len() > MOST_SUBNETS {
        return Err(Error::TooMany { what: "subnets", most: MOST_SUBNETS });
    }
    let mut pools: Vec<Pool> = Vec::new();
    for entry in entries {
        let pool = pool(entry, gateway_at)?;
        if let Some(other) = pools.iter().find(|other| other.subnet.overlaps(pool.subnet.net())) {
            return Err(Invalid::new("subnet", pool.subnet, format!("overlaps {}", other.subnet)).into());
        }
        pools.push(pool);
    }
    pools.sort_by_key(|pool| pool.subnet.family());
    Ok(pools)
}

fn pool(entry: &SubnetEntry, gateway_at: GatewayAt) -> Result<Pool, Error> {
    let net: IpNet = match entry.subnet.parse() {
        Ok(net) => net,
        Err(_) => return Err(Invalid::new("subnet", &entry.subnet, "is not an address with a prefix length").into()),
    };
    let subnet = Subnet::try_from(net.trunc())?;
    let gateway = match entry.gateway.as_deref().filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => {
            let gateway = one("gateway", text)?;
            if !subnet.has_host(gateway) {
                return Err(Invalid::new("gateway", gateway, format!("is not a host address of {subnet}")).into());
            }
            Some(gateway)
        }
    };
    if let Some(range) = &entry.lease_range {
        check_lease_range(range, subnet)?;
    }
    // No range: Podman chooses the addresses, and a user may request one outside the lease range.
    Ok(Pool { subnet, gateway, gateway_at, range: None, exclude: Vec::new() })
}

fn check_lease_range(range: &LeaseRange, subnet: Subnet) -> Result<(), Error> {
    let read = |text: &Option<String>| match text.as_deref().filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => one("lease range", text).map(Some),
    };
    let (start, end) = (read(&range.start_ip)?, read(&range.end_ip)?);
    for address in [start, end].into_iter().flatten() {
        if !subnet.net().contains(&address) {
            return Err(Invalid::new("lease range", address, format!("is not inside {subnet}")).into());
        }
    }
    if let (Some(start), Some(end)) = (start, end)
        && start > end
    {
        return Err(Invalid::new("lease range", format!("{start}-{end}"), "runs backwards").into());
    }
    Ok(())
}
