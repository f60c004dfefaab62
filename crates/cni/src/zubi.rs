//! `zubi`: everything in one plug-in. It reads the keys of `bridge` with other defaults, those of `portmap`, `firewall`
//! and `tuning`, and attaches to networks that a user made.

use crate::bridge::{self, Defaults, describe};
use crate::context::Context;
use crate::error::{CniError, Code};
use crate::fields::{Fields, shown};
use crate::intent::{Ipam, Switch, Tune, Wire, WireNetwork};
use crate::ipam::{ipam_of, with_ipam, with_ranges, without_addresses};
use crate::result::read_routes;
use crate::routes::{Gateways, without_host_bits};
use crate::{firewall, portmap, tuning};
use zubi_model::{Addressing, DefaultRoute, DriverDescription, Family, Icc, IfName, Ingress, InnerState, NetworkName};

/// Keys that describe a network: refused beside `network`, which names one that exists.
const DESCRIBING: [&str; 18] = [
    "bridge",
    "isGateway",
    "forceAddress",
    "ipMasq",
    "mtu",
    "hairpinMode",
    "promiscMode",
    "vlan",
    "vlanTrunk",
    "portIsolation",
    "ingressPolicy",
    "subnet",
    "rangeStart",
    "rangeEnd",
    "gateway",
    "ranges",
    "resolvConf",
    "dataDir",
];

/// Reads the plug-in's share.
pub(crate) fn read(config: &Fields<'_>, context: &Context<'_>) -> Result<Wire, CniError> {
    context.runtime.no_bandwidth()?;
    let defaults = Defaults { bridge: bridge_name(context.network)?, gateway: Switch::On, masquerade: Switch::On };
    let mut wire = describe(config, context, defaults)?;
    set_ingress(&mut wire, config)?;
    let published = portmap::read(config, context.runtime)?;
    wire.wishes.ports = published.ports;
    wire.wishes.traits.port_source = published.source;
    wire.wishes.aliases = context.runtime.aliases()?;
    let tune = tuning::settings(config, context)?;
    wire.tune = (tune != Tune::default()).then_some(tune);
    if let Some(name) = existing(config)? {
        return named(wire, name, config, context);
    }
    if config.get("ipam").is_some() {
        return with_ipam(wire, config, context);
    }
    let ranges = ["subnet", "ranges"].iter().any(|key| config.get(key).is_some());
    let in_runtime = context.runtime.config().is_some_and(|c| c.get("ipRanges").is_some());
    if ranges || in_runtime {
        return with_ranges(wire, config, context);
    }
    if wire.wishes.traits.inner == InnerState::Down {
        return without_addresses(wire, context);
    }
    if let WireNetwork::Described(description) = &mut wire.network {
        description.families = vec![Family::V4];
    }
    by_network(wire, config, context)
}

/// The share of a configuration that is invalid: just the names in it.
pub(crate) fn bare(config: &Fields<'_>, context: &Context<'_>) -> Result<Wire, CniError> {
    let mut wire = bridge::bare(config, context)?;
    if let WireNetwork::Described(description) = &mut wire.network
        && let DriverDescription::Bridge(bridge) = &mut description.driver
    {
        bridge.device = bridge_name(context.network)?;
    }
    if let Ok(Some(name)) = existing(config) {
        wire.network = WireNetwork::Named(name);
    }
    Ok(wire)
}

/// The network named by `network`, which a user made.
fn existing(config: &Fields<'_>) -> Result<Option<NetworkName>, CniError> {
    let Some(name) = config.parsed::<NetworkName>("network")? else { return Ok(None) };
    match name.source() {
        Some(_) => Err(CniError::config("network", name, "is described by its own configuration, nobody made it")),
        None => Ok(Some(name)),
    }
}

fn named(mut wire: Wire, name: NetworkName, config: &Fields<'_>, context: &Context<'_>) -> Result<Wire, CniError> {
    if let Some((ipam, kind)) = ipam_of(config)? {
        let why = format!("cannot be beside `network`: {name} has its own addresses");
        return Err(CniError::config(ipam.name("type"), kind, why));
    }
    for key in DESCRIBING {
        if let Some(value) = config.get(key) {
            let why = format!("cannot be beside `network`: zubi network set {name} changes what it is");
            return Err(CniError::config(key, shown(value), why));
        }
    }
    wire.network = WireNetwork::Named(name);
    by_network(wire, config, context)
}

/// The addresses come from the network, one of each of its families.
fn by_network(mut wire: Wire, config: &Fields<'_>, context: &Context<'_>) -> Result<Wire, CniError> {
    wire.routes = without_host_bits(read_routes(config, "routes")?)?;
    if let Some(route) = wire.routes.iter().find(|r| r.gw.is_none()) {
        let why = "has no gw, and the gateway is known later: write the subnet or the gw";
        return Err(CniError::config("routes", route.dst, why));
    }
    wire.settle_routes(Gateways::default());
    wire.wishes.addressing = Addressing::Network;
    wire.wishes.addresses = context.runtime.ips()?.ips.into_iter().map(|ip| ip.address).collect();
    if wire.default_gateway == Switch::On {
        wire.wishes.default_route = DefaultRoute::Eligible;
    }
    wire.ipam = Ipam::Ours;
    Ok(wire)
}

fn set_ingress(wire: &mut Wire, config: &Fields<'_>) -> Result<(), CniError> {
    let policy = firewall::policy(config)?;
    let WireNetwork::Described(description) = &mut wire.network else { return Ok(()) };
    let DriverDescription::Bridge(bridge) = &mut description.driver else { return Ok(()) };
    bridge.ingress = Some(policy.map_or(Ingress::Published, |p| p.ingress));
    let isolated = bridge.icc.or(policy.and_then(|p| p.icc));
    bridge.icc = Some(isolated.unwrap_or(Icc::Allowed));
    Ok(())
}

/// `cz-NAME` where that fits, else `cz-` and eight hex digits of the name's hash.
fn bridge_name(network: &str) -> Result<IfName, CniError> {
    let by_name = format!("cz-{network}").parse();
    let name = by_name.or_else(|_| format!("cz-{:08x}", fnv1a(network.as_bytes())).parse::<IfName>());
    name.map_err(|e| CniError::new(Code::Internal, e.to_string()))
}

/// FNV-1a with 32 bits (RFC 9923): a bridge keeps its name in every version of the program.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
