//! `dhcp`: an address that a DHCP server on the network gives. zubi asks for it and keeps the lease itself.

use crate::context::Context;
use crate::error::CniError;
use crate::fields::{Fields, shown};
use crate::intent::{Ipam, Switch, Wire, WireNetwork};
use zubi_model::{Addressing, ClientId, DefaultRoute, DhcpOption, DhcpWishes, Egress, Family, GatewayAt, Invalid};

/// The names of options that the reference plug-in knows; others are numbers.
const NAMES: [(&str, u8); 6] = [
    ("dhcp-client-identifier", DhcpOption::CLIENT_ID),
    ("subnet-mask", 1),
    ("routers", ROUTERS),
    ("host-name", DhcpOption::HOST_NAME),
    ("user-class", 77),
    ("vendor-class-identifier", DhcpOption::VENDOR_CLASS),
];
const ROUTERS: u8 = 3;

/// Adds what the section `ipam` says about the conversation with the server.
pub(crate) fn with_lease(
    mut wire: Wire,
    config: &Fields<'_>,
    ipam: &Fields<'_>,
    context: &Context<'_>,
) -> Result<Wire, CniError> {
    refuse_own_gateway(config)?;
    // zubi asks itself, so that no daemon is called.
    ipam.path("daemonSocketPath")?;
    let WireNetwork::Described(description) = &mut wire.network else { return Ok(wire) };
    description.ipam = zubi_model::Ipam::Dhcp;
    description.egress = Egress::Plain;
    wire.gateway_at = GatewayAt::Elsewhere;
    wire.ipam = Ipam::Ours;
    wire.wishes.addressing = Addressing::Network;
    wire.wishes.addresses = context.runtime.ips()?.ips.into_iter().map(|ip| ip.address).collect();
    wire.wishes.traits.metric = ipam.number("priority")?.filter(|metric| *metric > 0);
    wire.wishes.dhcp = wishes(ipam, context)?;
    let wants_gateway = wants_gateway(ipam)?;
    wire.default_gateway = wants_gateway.into();
    wire.wishes.default_route = if wants_gateway { DefaultRoute::EligibleIn(Family::V4) } else { DefaultRoute::Never };
    Ok(wire)
}

/// Refuses keys that make the host the gateway: the server names one, and a LAN knows the containers' own addresses.
fn refuse_own_gateway(config: &Fields<'_>) -> Result<(), CniError> {
    for key in ["isGateway", "isDefaultGateway", "ipMasq"] {
        if config.flag(key)? {
            let why = "cannot be together with the ipam dhcp: the server names the gateway, which is not this host";
            return Err(CniError::config(key, true, why));
        }
    }
    Ok(())
}

/// Whether the container gets the server's router as its gateway.
fn wants_gateway(ipam: &Fields<'_>) -> Result<bool, CniError> {
    let mut wanted = Vec::new();
    let mut usual = Switch::On;
    for request in ipam.objects("request")? {
        wanted.push(code(&request)?);
        if request.flag("skipDefault")? {
            usual = Switch::Off;
        }
    }
    let suppressed = ipam.texts("suppress")?;
    if let Some(other) = suppressed.iter().find(|word| **word != "gateway") {
        return Err(CniError::config(ipam.name("suppress"), other, "is not gateway, which is all there is"));
    }
    // What a server is not asked for it does not say.
    Ok(suppressed.is_empty() && (usual == Switch::On || wanted.contains(&ROUTERS)))
}

fn wishes(ipam: &Fields<'_>, context: &Context<'_>) -> Result<DhcpWishes, CniError> {
    let args = context.runtime.args();
    let mut wishes = DhcpWishes { name: args.pod.as_ref().map(|pod| format!("cni:{pod}")), ..DhcpWishes::default() };
    for provide in ipam.objects("provide")? {
        let code = code(&provide)?;
        let from_arg = provide.text("fromArg")?.filter(|key| !key.is_empty()).and_then(|key| args.value(key));
        // As in the reference, the runtime's value wins.
        let Some(value) = from_arg.or(provide.text("value")?).filter(|value| !value.is_empty()) else { continue };
        let wrong = |e: Invalid| CniError::config(provide.name("value"), value, e.why);
        if code == DhcpOption::CLIENT_ID {
            wishes.client = Some(ClientId::try_from(value.as_bytes().to_vec()).map_err(wrong)?);
            continue;
        }
        let option = DhcpOption::new(code, value).map_err(|e| CniError::config(provide.name("option"), code, e.why))?;
        wishes.told.retain(|told| told.code() != code);
        wishes.told.push(option);
    }
    let has_host_name = wishes.told.iter().any(|told| told.code() == DhcpOption::HOST_NAME);
    if !has_host_name {
        wishes.told.extend(args.pod.as_ref().and_then(|pod| DhcpOption::host_name(pod.rsplit('/').next()?)));
    }
    Ok(wishes)
}

/// The code of an option that is named or numbered.
fn code(fields: &Fields<'_>) -> Result<u8, CniError> {
    let Some(value) = fields.get("option") else {
        return Err(CniError::missing(fields.name("option"), "it is the name or number of a DHCP option"));
    };
    let text = shown(value);
    let named = NAMES.iter().find(|(name, _)| *name == text).map(|(_, code)| *code);
    let known = || NAMES.map(|(name, _)| name).join(", ");
    named.or_else(|| text.parse().ok()).ok_or_else(|| {
        CniError::config(fields.name("option"), &text, format!("is neither a number up to 255 nor one of {}", known()))
    })
}
