//! `ipvlan`: a device with the MAC of a network card of the host, on the card.

use crate::context::Context;
use crate::error::CniError;
use crate::fields::Fields;
use crate::intent::{Wire, WireNetwork};
use crate::ipam::with_ipam;
use crate::macvlan::{bare_as, mode, on_card};
use zubi_model::{Broadcasts, CardMode, Description, DriverDescription, IfName, Ipam, MacvlanDescription};

/// Reads the plug-in's share.
pub(crate) fn read(config: &Fields<'_>, context: &Context<'_>) -> Result<Wire, CniError> {
    let wire = with_ipam(describe(config, context)?, config, context)?;
    if let WireNetwork::Described(Description { ipam: Ipam::Dhcp, driver, .. }) = &wire.network
        && let DriverDescription::Macvlan(MacvlanDescription { mode, .. }) = driver
        && mode.is_routed()
    {
        let why = format!("no broadcast reaches a server in the mode {mode}: use the mode l2");
        return Err(CniError::unsupported("ipam.type", "dhcp", &why));
    }
    Ok(wire)
}

/// The share of a configuration that is invalid: just the names in it.
pub(crate) fn bare(config: &Fields<'_>, context: &Context<'_>) -> Result<Wire, CniError> {
    bare_as(describe, config, context)
}

fn describe(config: &Fields<'_>, context: &Context<'_>) -> Result<Wire, CniError> {
    let parent = match config.parsed("master")? {
        Some(card) => Some(card),
        None => made_before(config)?,
    };
    let (mode, broadcasts) = (CardMode::Ipvlan(mode(config)?), Broadcasts::default());
    on_card(config, context, MacvlanDescription { parent, mode, broadcasts })
}

/// The only device of an earlier plug-in's result, if it is on the host: it carries the ipvlan where none is named. What is
/// in a container is the result of this plug-in.
fn made_before(config: &Fields<'_>) -> Result<Option<IfName>, CniError> {
    let Some(previous) = config.object("prevResult")? else { return Ok(None) };
    let devices = previous.objects("interfaces")?;
    let [device] = devices.as_slice() else { return Ok(None) };
    if device.text("sandbox")?.is_some_and(|sandbox| !sandbox.is_empty()) {
        return Ok(None);
    }
    device.parsed("name")
}
