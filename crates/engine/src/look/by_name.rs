//! Endpoints by the name that a program gives their sandbox. The namespace may be gone, and the program does not know
//! zubi's keys.

use crate::error::Error;
use crate::look::sandbox::resolve;
use crate::session::Session;
use zubi_model::{Endpoint, EndpointKey, Mac, NetworkName, SandboxRef};
use zubi_plan::Place;

/// The endpoint on a network of the sandbox that a program calls `called`, attached or half attached.
pub(crate) fn endpoint_called(
    session: &Session,
    network: &NetworkName,
    called: &str,
) -> Result<Option<Endpoint>, Error> {
    let Some(cookie) = session.store().cookie_of_name(network, called)? else { return Ok(None) };
    let key = EndpointKey { cookie, network: network.clone() };
    match session.store().endpoint(&key)? {
        Some(endpoint) => Ok(Some(endpoint)),
        None => Ok(session.store().pending_endpoint(&key)?),
    }
}

/// The endpoint on any network of the sandbox that a program calls `called`.
pub(crate) fn endpoint_called_anywhere(session: &Session, called: &str) -> Result<Option<Endpoint>, Error> {
    for network in session.store().networks_with_names()? {
        if let Some(endpoint) = endpoint_called(session, &network, called)? {
            return Ok(Some(endpoint));
        }
    }
    Ok(None)
}

/// The endpoints of all sandboxes whose name, as a program gives it, starts with `prefix`.
pub(crate) fn endpoints_with_prefix(session: &Session, prefix: &str) -> Vec<Endpoint> {
    let mut all = session.store().all_endpoints_lossy().0;
    all.retain(|e| e.sandbox.spelled.starts_with(prefix));
    all
}

/// The endpoints of a sandbox.
pub(crate) fn endpoints_in(session: &mut Session, sandbox: &SandboxRef) -> Result<Vec<Endpoint>, Error> {
    let resolved = resolve(session, sandbox)?;
    Ok(session.store().endpoints_of(resolved.cookie)?)
}

/// The MAC of a network's bridge.
pub(crate) fn bridge_mac(session: &mut Session, name: &NetworkName) -> Result<Mac, Error> {
    let missing = || Error::NoNetwork { name: name.clone(), known: Vec::new() };
    let network = session.store().network(name)?.ok_or_else(missing)?;
    if let Some(mac) = network.device_mac() {
        return Ok(mac);
    }
    let device = network.device().clone();
    let seen = session.kernel.link(&Place::Host, device.as_str()).map_err(Error::kernel("bridge"))?;
    seen.and_then(|seen| seen.mac).ok_or_else(|| Error::NoBridge { network: name.clone(), bridge: device })
}
