//! `bridge`: a device on a bridge. `zubi` reads these keys too, with other defaults.

use crate::context::Context;
use crate::dns::read_dns;
use crate::error::{CniError, Code};
use crate::fields::{Fields, shown};
use crate::intent::{Ipam, Switch, Wire, WireNetwork};
use crate::ipam::{ipam_of, with_ipam};
use crate::runtime::Runtime;
use std::collections::BTreeMap;
use zubi_model::{
    Addressing, BridgeDescription, DefaultRoute, Description, DriverDescription, DuplicateDetection, Egress,
    ForeignBridge, GatewayAt, Hairpin, Icc, IfName, InnerState, NetworkName, NetworkSource, OtherGateway, Promiscuity,
    Scope, SourceMac, Traits, Wishes,
};

/// The values of absent keys.
#[derive(Debug, Clone)]
pub(crate) struct Defaults {
    /// `bridge`.
    pub bridge: IfName,
    /// `isGateway` and `isDefaultGateway`.
    pub gateway: Switch,
    /// `ipMasq`.
    pub masquerade: Switch,
}

/// Reads the plug-in's share.
pub(crate) fn read(config: &Fields<'_>, context: &Context<'_>) -> Result<Wire, CniError> {
    let wire = describe(config, context, defaults()?)?;
    with_ipam(wire, config, context)
}

/// Reads the network and the device, without addresses and routes.
pub(crate) fn describe(config: &Fields<'_>, context: &Context<'_>, defaults: Defaults) -> Result<Wire, CniError> {
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
        name: network_name(context.network)?,
        id: None,
        driver: DriverDescription::Bridge(BridgeDescription {
            device: config.parsed("bridge")?.unwrap_or(defaults.bridge),
            foreign: ForeignBridge::Adopted,
            // `None` keeps what `firewall`, later in the chain, set on an earlier ADD.
            icc: isolated.then_some(Icc::Isolated),
            ingress: None,
            hairpin,
            promiscuity,
        }),
        mtu: config.mtu("mtu")?,
        pools: Vec::new(),
        families: Vec::new(),
        scope: Scope::Routed,
        egress: if masquerade == Switch::On { Egress::Masquerade } else { Egress::Plain },
        ipam: zubi_model::Ipam::Pools,
        naming: zubi_model::Naming::off(),
        other_gateway: if config.flag("forceAddress")? { OtherGateway::Replaces } else { OtherGateway::Refused },
        labels: BTreeMap::new(),
    };
    let traits = Traits {
        dad: if config.flag("enabledad")? { DuplicateDetection::Awaited } else { DuplicateDetection::Skipped },
        source_mac: if config.flag("macspoofchk")? { SourceMac::Own } else { SourceMac::Any },
        inner,
        ..Traits::default()
    };
    let wishes = Wishes {
        called: context.container.map(|id| format!("cni:{id}")),
        ifname: context.ifname.clone(),
        mac: context.runtime.mac_wish()?,
        traits,
        ..Wishes::default()
    };
    let dns = config.object("dns")?.map(|d| read_dns(&d)).transpose()?.unwrap_or_default();
    Ok(Wire { gateway_at, default_gateway, dns, ..Wire::new(WireNetwork::Described(description), wishes) })
}

/// The name of the described network.
pub(crate) fn network_name(name: &str) -> Result<NetworkName, CniError> {
    NetworkName::described(NetworkSource::Cni, name).map_err(|e| CniError::config("name", name, e.why))
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

/// The share of a configuration that is invalid: just the names in it.
pub(crate) fn bare(config: &Fields<'_>, context: &Context<'_>) -> Result<Wire, CniError> {
    let (nothing, silent) = (serde_json::Map::new(), Runtime::default());
    let context = Context { runtime: &silent, ..context.clone() };
    Ok(silent_wire(describe(&Fields::document(&nothing), &context, defaults()?)?, config))
}

/// A device without addresses, with what the configuration says of its IPAM plug-in.
pub(crate) fn silent_wire(mut wire: Wire, config: &Fields<'_>) -> Wire {
    wire.wishes.addressing = Addressing::Given(Vec::new());
    wire.wishes.default_route = DefaultRoute::Never;
    let Ok(Some((ipam, kind))) = ipam_of(config) else { return wire };
    wire.ipam = match kind {
        "host-local" | "static" | "dhcp" => Ipam::Ours,
        other => Ipam::Exec(other.to_owned()),
    };
    wire.data_dir = ipam.path("dataDir").ok().flatten();
    wire
}

fn defaults() -> Result<Defaults, CniError> {
    let bridge = IfName::numbered("cni", 0).map_err(|e| CniError::new(Code::Internal, e.to_string()))?;
    Ok(Defaults { bridge, gateway: Switch::Off, masquerade: Switch::Off })
}
