//! `macvlan`: a device with a MAC of its own on a network card of the host.

use crate::bridge::{network_name, silent_wire};
use crate::context::Context;
use crate::dns::read_dns;
use crate::error::CniError;
use crate::fields::Fields;
use crate::intent::{Wire, WireNetwork};
use crate::ipam::with_ipam;
use crate::runtime::Runtime;
use std::collections::BTreeMap;
use std::str::FromStr;
use zubi_model::{
    Broadcasts, CardMode, Description, DriverDescription, Egress, Invalid, MacWish, MacvlanDescription, OtherGateway,
    Scope, Wishes,
};

/// Reads the plug-in's share.
pub(crate) fn read(config: &Fields<'_>, context: &Context<'_>) -> Result<Wire, CniError> {
    with_ipam(describe(config, context)?, config, context)
}

/// The share of a configuration that is invalid: just the names in it.
pub(crate) fn bare(config: &Fields<'_>, context: &Context<'_>) -> Result<Wire, CniError> {
    bare_as(describe, config, context)
}

/// Reads the network and the device, without addresses and routes.
fn describe(config: &Fields<'_>, context: &Context<'_>) -> Result<Wire, CniError> {
    // 0 is the kernel's default, as in the reference.
    let queue_length = config.number("bcqueuelen")?.filter(|length| *length > 0);
    let broadcasts = Broadcasts { queue_length, ..Broadcasts::default() };
    let mode = CardMode::Macvlan(mode(config)?);
    let mac = match context.runtime.mac()? {
        Some(mac) => Some(mac),
        None => config.parsed("mac")?,
    };
    let wire = on_card(config, context, MacvlanDescription { parent: config.parsed("master")?, mode, broadcasts })?;
    let wishes = Wishes { mac: mac.map_or(MacWish::FromAddress, MacWish::Given), ..wire.wishes };
    Ok(Wire { wishes, ..wire })
}

/// Reads a share like this from a configuration without its keys.
pub(crate) fn bare_as(
    describe: impl FnOnce(&Fields<'_>, &Context<'_>) -> Result<Wire, CniError>,
    config: &Fields<'_>,
    context: &Context<'_>,
) -> Result<Wire, CniError> {
    let (nothing, silent) = (serde_json::Map::new(), Runtime::default());
    let context = Context { runtime: &silent, ..context.clone() };
    Ok(silent_wire(describe(&Fields::document(&nothing), &context)?, config))
}

/// Reads the key `mode`.
pub(crate) fn mode<T: FromStr<Err = Invalid> + Default>(config: &Fields<'_>) -> Result<T, CniError> {
    match config.text("mode")?.filter(|text| !text.is_empty()) {
        None => Ok(T::default()),
        Some(text) => text.parse().map_err(|e: Invalid| CniError::config("mode", text, e.why)),
    }
}

/// A device on a network card, without addresses and routes.
pub(crate) fn on_card(
    config: &Fields<'_>,
    context: &Context<'_>,
    driver: MacvlanDescription,
) -> Result<Wire, CniError> {
    if config.flag("linkInContainer")? {
        let why = format!("zubi puts {}s on network cards of the host only: leave it out", driver.mode.kind());
        return Err(CniError::unsupported("linkInContainer", true, &why));
    }
    described(config, context, DriverDescription::Macvlan(driver))
}

/// A device on the LAN of the host, without addresses and routes.
pub(crate) fn described(
    config: &Fields<'_>,
    context: &Context<'_>,
    driver: DriverDescription,
) -> Result<Wire, CniError> {
    let description = Description {
        name: network_name(context.network)?,
        id: None,
        driver,
        mtu: config.mtu("mtu")?,
        pools: Vec::new(),
        families: Vec::new(),
        scope: Scope::Routed,
        egress: Egress::Plain,
        ipam: zubi_model::Ipam::Pools,
        naming: zubi_model::Naming::off(),
        other_gateway: OtherGateway::Refused,
        labels: BTreeMap::new(),
    };
    let wishes = Wishes {
        called: context.container.map(|id| format!("cni:{id}")),
        ifname: context.ifname.clone(),
        mac: MacWish::FromAddress,
        ..Wishes::default()
    };
    let dns = config.object("dns")?.map(|d| read_dns(&d)).transpose()?.unwrap_or_default();
    Ok(Wire { dns, ..Wire::new(WireNetwork::Described(description), wishes) })
}
