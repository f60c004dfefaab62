//! `vlan`: the device of a network card of the host for one VLAN.

use crate::context::Context;
use crate::error::CniError;
use crate::fields::Fields;
use crate::intent::Wire;
use crate::ipam::with_ipam;
use crate::macvlan::{bare_as, on_card};
use zubi_model::{Broadcasts, CardMode, IfName, Invalid, MacvlanDescription, VlanId};

/// Reads the plug-in's share.
pub(crate) fn read(config: &Fields<'_>, context: &Context<'_>) -> Result<Wire, CniError> {
    let missing = || CniError::missing("master", "a VLAN is on a network card of the host");
    let card = config.parsed("master")?.ok_or_else(missing)?;
    let number = config.number("vlanId")?.ok_or_else(|| CniError::missing("vlanId", "it says which VLAN"))?;
    let vlan = u16::try_from(number).map_err(|_| Invalid::new("VLAN", number, "is not between 1 and 4094"));
    let vlan: Result<VlanId, Invalid> = vlan.and_then(VlanId::try_from);
    let vlan = vlan.map_err(|e| CniError::config("vlanId", number, e.why))?;
    with_ipam(describe(config, context, Some(card), vlan)?, config, context)
}

/// The share of a configuration that is invalid: just the names in it.
pub(crate) fn bare(config: &Fields<'_>, context: &Context<'_>) -> Result<Wire, CniError> {
    bare_as(|config, context| describe(config, context, None, VlanId::UNTAGGED), config, context)
}

fn describe(
    config: &Fields<'_>,
    context: &Context<'_>,
    parent: Option<IfName>,
    vlan: VlanId,
) -> Result<Wire, CniError> {
    let (mode, broadcasts) = (CardMode::Vlan(vlan), Broadcasts::default());
    on_card(config, context, MacvlanDescription { parent, mode, broadcasts })
}
