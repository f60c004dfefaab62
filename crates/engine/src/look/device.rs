//! The devices of an endpoint and of a network: which of them are there and ours.

use crate::error::Error;
use crate::problem::describe;
use crate::session::Session;
use zubi_kernel::Survey;
use zubi_model::{BridgeMode, Endpoint, Network, NsRef};
use zubi_plan::Place;
use zubi_wire::route::{Link, LinkSeen};

/// What is wrong with the inner end of a pair whose host end is there: it may be renamed, moved on to another
/// namespace, or have another MAC.
pub(crate) fn strange_inner_end(
    session: &mut Session,
    survey: &mut Survey,
    endpoint: &Endpoint,
    way: &NsRef,
) -> Result<Option<String>, Error> {
    let place = Place::Sandbox(way.clone());
    let failed = Error::kernel(describe(endpoint));
    let seen = session.kernel.surveyed_link(survey, &place, endpoint.ifname.as_str()).map_err(failed)?;
    let (wanted, mac) = (&endpoint.ifname, endpoint.mac);
    Ok(match seen {
        None => Some(format!("its inner end {wanted} is renamed or gone")),
        Some(seen) if seen.mac != Some(mac) => {
            let found = seen.mac.map_or_else(|| "none".to_owned(), |m| m.to_string());
            Some(format!("its inner end {wanted} has MAC {found}; wanted: {mac}"))
        }
        Some(_) => None,
    })
}

/// The host end, if it is there and ours.
pub(crate) fn host_end(session: &mut Session, endpoint: &Endpoint) -> Result<Option<LinkSeen>, Error> {
    host_end_in(session, &mut Survey::narrow(), endpoint)
}

/// The same, with what a survey has read.
pub(crate) fn host_end_in(
    session: &mut Session,
    survey: &mut Survey,
    endpoint: &Endpoint,
) -> Result<Option<LinkSeen>, Error> {
    let name = endpoint.host_device.as_str();
    let failed = Error::kernel(format!("device {name}"));
    let seen = session.kernel.surveyed_link(survey, &Place::Host, name).map_err(failed)?;
    Ok(seen.filter(|seen| is_host_end(endpoint, seen)))
}

/// Whether a device of that name is the host end of an endpoint. Its name was chosen at random, so one of the two other
/// marks is enough: somebody may have changed the MAC or the group.
pub(crate) fn is_host_end(endpoint: &Endpoint, seen: &LinkSeen) -> bool {
    let has_mac = endpoint.macs().any(|mac| seen.mac == Some(mac.host_end()));
    seen.name == endpoint.host_device.as_str()
        && seen.kind.as_deref() == Some("veth")
        && (has_mac || seen.group.is_ours())
}

/// Whether a device is the bridge of a network.
pub(crate) fn is_bridge_of(network: &Network, seen: &LinkSeen) -> bool {
    match network.bridge_mode {
        BridgeMode::Managed => zubi_plan::network::bridge(network).resembles(seen),
        BridgeMode::Adopted | BridgeMode::Unmanaged => seen.kind.as_deref() == Some("bridge"),
    }
}

pub(crate) fn is_ours(session: &mut Session, place: &Place, link: &Link) -> Result<bool, Error> {
    let seen = session.kernel.link(place, link.name.as_str()).map_err(Error::kernel("device"))?;
    Ok(seen.is_some_and(|seen| link.resembles(&seen)))
}
