//! `bridge`: a device on a bridge. What it shares with `zubi` is here too.

use crate::dns::{Dns, read_dns};
use crate::error::{CniError, Code};
use crate::fields::{Fields, shown};
use crate::host_local::{self, path};
use crate::intent::{Ipam, Switch, Wire, WireNetwork};
use crate::routes::Gateways;
use crate::runtime::Runtime;
use crate::share::Common;
use crate::static_ipam;
use std::collections::BTreeMap;
use std::net::IpAddr;
use zubi_model::{
    Addressing, BridgeDescription, DefaultRoute, Description, DriverDescription, DuplicateDetection, Egress,
    ForeignBridge, GatewayAt, Hairpin, Icc, IfName, InnerState, MacWish, Mtu, NetworkName, NetworkSource, OtherGateway,
    Pool, Promiscuity, Scope, SourceMac, Traits, Wishes,
};

/// What holds when the configuration says nothing.
#[derive(Debug, Clone)]
pub(crate) struct Defaults {
    /// `bridge`.
    pub bridge: IfName,
    /// `isGateway` and `isDefaultGateway`.
    pub gateway: Switch,
    /// `ipMasq`.
    pub masquerade: Switch,
}

/// The plug-in's share, before anybody knows where addresses come from.
pub(crate) fn read(config: &Fields<'_>, common: &Common<'_>) -> Result<Wire, CniError> {
    let wire = describe(config, common, defaults()?)?;
    with_ipam(wire, config, common)
}

/// The network and the device, without addresses and routes.
pub(crate) fn describe(config: &Fields<'_>, common: &Common<'_>, defaults: Defaults) -> Result<Wire, CniError> {
    refuse_vlans(config)?;
    let (gateway_at, default_gateway) = gateways(config, defaults.gateway)?;
    let hairpin = if config.flag("hairpinMode")? { Hairpin::Always } else { Hairpin::Published };
    let promiscuity = if config.flag("promiscMode")? { Promiscuity::On } else { Promiscuity::Off };
    if (hairpin, promiscuity) == (Hairpin::Always, Promiscuity::On) {
        return Err(CniError::config("promiscMode", true, "cannot be together with hairpinMode"));
    }
    let masquerade = config.choice("ipMasq")?.map_or(defaults.masquerade, Switch::from);
    if let Some(backend) = config.text("ipMasqBackend")?.filter(|b| !["", "iptables", "nftables"].contains(b)) {
        return Err(CniError::config("ipMasqBackend", backend, "is neither iptables nor nftables"));
    }
    let isolated = config.flag("portIsolation")?;
    let inner = if config.flag("disableContainerInterface")? { InnerState::Down } else { InnerState::Up };
    let description = Description {
        name: network_name(common.network)?,
        id: None,
        driver: DriverDescription::Bridge(BridgeDescription {
            device: config.parsed("bridge")?.unwrap_or(defaults.bridge),
            foreign: ForeignBridge::Adopted,
            // A firewall that comes later in the chain may have decided otherwise.
            icc: isolated.then_some(Icc::Isolated),
            ingress: None,
            hairpin,
            promiscuity,
        }),
        mtu: mtu(config, "mtu")?,
        pools: Vec::new(),
        families: Vec::new(),
        scope: Scope::Routed,
        egress: if masquerade == Switch::On { Egress::Masquerade } else { Egress::Plain },
        other_gateway: if config.flag("forceAddress")? { OtherGateway::Replaces } else { OtherGateway::Refused },
        labels: BTreeMap::new(),
    };
    let traits = Traits {
        dad: if config.flag("enabledad")? { DuplicateDetection::Awaited } else { DuplicateDetection::Skipped },
        source_mac: if config.flag("macspoofchk")? { SourceMac::Own } else { SourceMac::Any },
        inner,
        ..Traits::default()
    };
    Ok(Wire {
        network: WireNetwork::Described(description),
        wishes: Wishes {
            called: common.container.map(|id| format!("cni:{id}")),
            ifname: common.ifname.clone(),
            mac: common.runtime.mac_wish()?,
            traits,
            ..Wishes::default()
        },
        ipam: Ipam::None,
        gateway_at,
        default_gateway,
        routes: Vec::new(),
        dns: config.object("dns")?.map(|d| read_dns(&d)).transpose()?.unwrap_or_default(),
        resolv_conf: None,
        data_dir: None,
        tune: None,
    })
}

/// Gives it the addresses that the section `ipam` is about.
pub(crate) fn with_ipam(wire: Wire, config: &Fields<'_>, common: &Common<'_>) -> Result<Wire, CniError> {
    let Some((ipam, kind)) = ipam_of(config)? else { return without_addresses(wire, common) };
    if wire.wishes.traits.inner == InnerState::Down {
        let why = "cannot be together with disableContainerInterface: a device that is down gets no addresses";
        return Err(CniError::config("ipam.type", kind, why));
    }
    match kind {
        "host-local" => with_ranges(wire, &ipam, common),
        "static" => {
            let fixed = static_ipam::read(&ipam, common.runtime, common.version)?;
            let mut wire = wire.with_addresses(&fixed.addresses, fixed.routes)?;
            wire.fall_back_to(fixed.dns);
            Ok(wire)
        }
        other => Ok(Wire {
            wishes: Wishes {
                addressing: Addressing::Given(Vec::new()),
                default_route: DefaultRoute::Never,
                ..wire.wishes
            },
            ipam: Ipam::Exec(other.to_owned()),
            ..wire
        }),
    }
}

/// The section `ipam` and its type; `None` when there are to be no addresses.
pub(crate) fn ipam_of<'a>(config: &Fields<'a>) -> Result<Option<(Fields<'a>, &'a str)>, CniError> {
    let Some(ipam) = config.object("ipam")? else { return Ok(None) };
    match ipam.text("type")? {
        None | Some("") => Ok(None),
        Some(kind) if kind.contains(['/', '\0']) || kind == "." || kind == ".." => {
            Err(CniError::config(ipam.name("type"), kind, "is not the name of a plug-in"))
        }
        Some(kind) => Ok(Some((ipam, kind))),
    }
}

/// One address out of each set of ranges, in `ipam` or in whatever has the same keys.
pub(crate) fn with_ranges(mut wire: Wire, ipam: &Fields<'_>, common: &Common<'_>) -> Result<Wire, CniError> {
    let reserve = host_local::read(ipam, common, wire.gateway_at)?;
    let mut pools: Vec<Pool> = Vec::new();
    for pool in reserve.sets.iter().flatten() {
        add_pool(&mut pools, pool.clone())?;
    }
    // Of several pools in a set only the engine can tell which one it will be, unless an address was asked for.
    let wanted = |pool: &&Pool| reserve.wanted.iter().any(|a| pool.subnet.net().contains(a));
    let likely = reserve.sets.iter().filter_map(|set| set.iter().find(wanted).or(set.first()));
    let gateways = Gateways::first_of(likely.filter_map(|pool| pool.gateway));
    wire.describe_pools(pools);
    wire.wishes.addressing = Addressing::Sets(reserve.sets);
    wire.wishes.addresses = reserve.wanted;
    wire.ipam = Ipam::Ours;
    wire.routes = reserve.routes;
    wire.data_dir = reserve.data_dir;
    wire.resolv_conf = reserve.resolv_conf.filter(|_| wire.dns.is_empty());
    wire.settle_routes(gateways);
    Ok(wire)
}

/// A device of layer 2.
pub(crate) fn without_addresses(mut wire: Wire, common: &Common<'_>) -> Result<Wire, CniError> {
    if common.version.is_single() {
        let msg = format!("version {} has no words for a device without addresses", common.version);
        return Err(CniError::new(Code::IncompatibleVersion, msg));
    }
    wire.wishes.addressing = Addressing::Given(Vec::new());
    if wire.wishes.mac == MacWish::FromAddress {
        wire.wishes.mac = MacWish::Random;
    }
    wire.default_gateway = Switch::Off;
    wire.settle_routes(Gateways::default());
    Ok(wire)
}

/// Adds one to those that a network has at least. Two ranges of one subnet are one pool, which gives out nothing by
/// itself that neither of them does.
pub(crate) fn add_pool(pools: &mut Vec<Pool>, pool: Pool) -> Result<(), CniError> {
    if let (GatewayAt::Bridge, Some(gateway)) = (pool.gateway_at, pool.gateway)
        && !pool.subnet.has_host(gateway)
    {
        return Err(CniError::config("gateway", gateway, format!("is not a host address of {}", pool.subnet)));
    }
    let Some(same) = pools.iter_mut().find(|p| p.subnet.overlaps(pool.subnet.net())) else {
        pools.push(pool);
        return Ok(());
    };
    if same.subnet != pool.subnet {
        return Err(CniError::config("subnet", pool.subnet, format!("overlaps {} on the same bridge", same.subnet)));
    }
    if same.host_address() != pool.host_address() {
        let text = |gateway: Option<IpAddr>| gateway.map_or_else(String::new, |g| g.to_string());
        let why = format!("differs from {}, which is also the gateway of {}", text(same.gateway), pool.subnet);
        return Err(CniError::config("gateway", text(pool.gateway), why));
    }
    same.gateway = same.gateway.or(pool.gateway);
    same.exclude.clear();
    Ok(())
}

/// The name of the network that a configuration describes.
pub(crate) fn network_name(name: &str) -> Result<NetworkName, CniError> {
    NetworkName::described(NetworkSource::Cni, name).map_err(|e| CniError::config("name", name, e.why))
}

/// Bytes; none and 0 stand for the kernel's own.
pub(crate) fn mtu(config: &Fields<'_>, key: &str) -> Result<Option<Mtu>, CniError> {
    let bytes = config.number(key)?.filter(|bytes| *bytes > 0);
    bytes
        .map(|b| b.try_into().map_err(|e: zubi_model::Invalid| CniError::config(config.name(key), b, e.why)))
        .transpose()
}

fn gateways(config: &Fields<'_>, default: Switch) -> Result<(GatewayAt, Switch), CniError> {
    let is_gateway = config.choice("isGateway")?.unwrap_or(default == Switch::On);
    let is_default = config.choice("isDefaultGateway")?.unwrap_or(default == Switch::On && is_gateway);
    let at = if is_gateway || is_default { GatewayAt::Bridge } else { GatewayAt::Elsewhere };
    Ok((at, is_default.into()))
}

fn refuse_vlans(config: &Fields<'_>) -> Result<(), CniError> {
    const WHY: &str = "this takes a bridge that filters VLANs (CONFIG_BRIDGE_VLAN_FILTERING), which is not done yet";
    config.flag("preserveDefaultVlan")?;
    let vlan = config.number("vlan")?.unwrap_or(0);
    if vlan != 0 {
        return Err(CniError::unsupported("vlan", vlan, WHY));
    }
    if config.list("vlanTrunk")?.is_empty() {
        return Ok(());
    }
    let trunk = config.get("vlanTrunk").map(shown).unwrap_or_default();
    Err(CniError::unsupported("vlanTrunk", trunk, WHY))
}

/// What is left of a share when the configuration cannot be meant so: names.
pub(crate) fn bare(config: &Fields<'_>, common: &Common<'_>) -> Result<Wire, CniError> {
    let (nothing, silent) = (serde_json::Map::new(), Runtime::default());
    let mut wire = describe(&Fields::document(&nothing), &Common { runtime: &silent, ..common.clone() }, defaults()?)?;
    wire.wishes.addressing = Addressing::Given(Vec::new());
    wire.wishes.default_route = DefaultRoute::Never;
    let Ok(Some((ipam, kind))) = ipam_of(config) else { return Ok(wire) };
    wire.ipam = match kind {
        "host-local" | "static" => Ipam::Ours,
        other => Ipam::Exec(other.to_owned()),
    };
    wire.data_dir = path(&ipam, "dataDir").ok().flatten();
    Ok(wire)
}

fn defaults() -> Result<Defaults, CniError> {
    let bridge = IfName::numbered("cni", 0).map_err(|e| CniError::new(Code::Internal, e.to_string()))?;
    Ok(Defaults { bridge, gateway: Switch::Off, masquerade: Switch::Off })
}

impl Wire {
    /// Puts pools into the description, if there is one.
    pub(crate) fn describe_pools(&mut self, pools: Vec<Pool>) {
        if let WireNetwork::Described(description) = &mut self.network {
            description.pools = pools;
            description.pools.sort_by_key(|p| p.subnet.family());
        }
    }

    /// Name servers that hold when the configuration has none.
    pub(crate) fn fall_back_to(&mut self, dns: Dns) {
        if self.dns.is_empty() {
            self.dns = dns;
        }
    }
}
