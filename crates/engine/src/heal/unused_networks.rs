//! Removing networks, and described networks that have no endpoint left.

use crate::error::Error;
use crate::heal::gone::{all_gone, remove_gone};
use crate::heal::leftovers::recover;
use crate::heal::unfinished_networks::recover_networks;
use crate::look::bridge_maker::{files_of_bridge, maker};
use crate::report::{Act, Report};
use crate::session::Session;
use crate::undo::followed::{release, unfollow};
use crate::undo::network::{plan_down, undo_network};
use zubi_model::{Network, NetworkName};
use zubi_plan::Plan;
use zubi_plan::alias::Maker;
use zubi_store::ExclusiveHost;

/// Removes a described network if it has no endpoint.
pub(crate) fn remove_unused(session: &mut Session, name: &NetworkName) -> Result<(), Error> {
    let host = &session.store().lock_host_exclusive()?;
    recover_networks(session, host).but(name)?;
    remove_unused_locked(session, host, name)?;
    Ok(())
}

/// Removes a described network if it has no endpoint. Returns whether it is gone now. The caller holds the host lock
/// exclusively.
pub(crate) fn remove_unused_locked(
    session: &mut Session,
    host: &ExclusiveHost,
    name: &NetworkName,
) -> Result<bool, Error> {
    if name.source().is_none() || !session.store().is_empty(name)? {
        return Ok(false);
    }
    let Some(network) = session.store().network(name)? else { return Ok(false) };
    recover(session, host)?;
    if !session.store().is_empty(name)? || !session.store().endpoints_on(name)?.is_empty() {
        return Ok(false);
    }
    remove_network_locked(session, host, &network, Act::Apply)?;
    Ok(true)
}

/// The plans that would remove the described networks without endpoints.
pub(crate) fn plan_unused(session: &mut Session) -> Result<Vec<(NetworkName, Plan)>, Error> {
    let mut all = Vec::new();
    for name in session.store().empty_described()? {
        if let Some(network) = session.store().network(&name)? {
            all.push((name, plan_down(session, &network)?));
        }
    }
    Ok(all)
}

/// Removes a network without endpoints.
pub(crate) fn remove_network_locked(
    session: &mut Session,
    host: &ExclusiveHost,
    network: &Network,
    act: Act,
) -> Result<Report<()>, Error> {
    let name = &network.name;
    if act == Act::Apply {
        remove_gone(session, host, Some(name))?;
    }
    let endpoints = session.store().endpoints_on(name)?;
    // In a dry run endpoints of removed sandboxes are still recorded; do not count them.
    let free = endpoints.is_empty() || (act == Act::Show && all_gone(session, &endpoints)?);
    if !free {
        let endpoints = endpoints.into_iter().map(|e| e.sandbox.spelled).collect();
        return Err(Error::NetworkInUse { name: name.clone(), endpoints });
    }
    take_network_down(session, host, network, act)
}

/// Removes a network whose endpoints are gone, or would be after a real run.
pub(crate) fn take_network_down(
    session: &mut Session,
    host: &ExclusiveHost,
    network: &Network,
    act: Act,
) -> Result<Report<()>, Error> {
    let plan = plan_down(session, network)?;
    if act == Act::Apply {
        let lease = session.store().takeover(&network.name)?.and_then(|record| record.lease);
        session.store().begin_network(host, network)?;
        for followed in session.store().all_followed_lossy().0 {
            if followed.endpoint.network == network.name {
                unfollow(session, host, &network.name, followed.sandbox())?;
                release(session, host, &followed)?;
                session.note(format!("{} does not come back to {} any more", followed.sandbox(), network.name));
            }
        }
        let maker = match maker(session, network) {
            // Not even its bridge is the network's.
            Err(Error::BridgeOfHost { .. }) => None,
            maker => Some(maker?),
        };
        undo_network(session, host, network)?;
        if let Some(maker) = maker {
            note_configuration(session, network, maker);
        }
        if let (Some(dhcp), Some(card), Some(Maker::Zubi)) = (lease, network.parent(), maker) {
            let address = dhcp.lease.address;
            session.note(format!(
                "nobody renews the lease of {address} on {card} now: start the host's DHCP client again"
            ));
        }
    }
    Ok(Report { plan, value: () })
}

/// Says what the host's own configuration does with the bridge of a network that is gone.
fn note_configuration(session: &mut Session, network: &Network, maker: Maker) {
    let Some(card) = network.parent() else { return };
    let (bridge, files) = (network.device(), files_of_bridge(network).join(" "));
    if maker == Maker::Host {
        let files = if files.is_empty() { "its files".to_owned() } else { files };
        session.note(format!(
            "{bridge} stays, with the host's addresses and {card} as its port: the host's own configuration made it; to \
             have {card} without a bridge, remove {files} and restart"
        ));
    } else if !files.is_empty() {
        session
            .note(format!("the host's own configuration makes {bridge} at the next boot, unless you remove {files}"));
    }
}
