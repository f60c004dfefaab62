//! Removing networks on request.

use crate::error::Error;
use crate::heal::leftovers::recover_first;
use crate::heal::unfinished_networks::recover_networks;
use crate::heal::unused_networks::{remove_network_locked, take_network_down};
use crate::look::bridge_maker::bridge_of_host;
use crate::look::foreign_changes::foreign_addresses;
use crate::look::unconfirmed::refuse_unconfirmed;
use crate::perform::guest_network::guest_networks;
use crate::report::{Act, Connected, Report};
use crate::session::Session;
use crate::undo::endpoint::{detach_locked, release_sandbox};
use zubi_model::{Network, NetworkName};
use zubi_plan::{Place, Plan};
use zubi_store::ExclusiveHost;

/// Removes a network. Fails if there is no such network, as Docker does.
pub(crate) fn remove_network(
    session: &mut Session,
    name: &NetworkName,
    connected: Connected,
    act: Act,
) -> Result<Report<()>, Error> {
    let host = &session.store().lock_host_exclusive()?;
    recover_first(session, host, act)?;
    let interrupted = if act == Act::Apply { recover_networks(session, host).but(name)? } else { Vec::new() };
    refuse_unconfirmed(session, name)?;
    let Some(network) = session.store().network(name)? else {
        if interrupted.contains(name) {
            return Ok(Report { plan: Plan::new(), value: () });
        }
        return Err(Error::NoNetwork { name: name.clone(), known: session.known_networks() });
    };
    remove_requested(session, host, &network, connected, act)
}

/// Removes a network unless its bridge has an address that is not the network's.
fn remove_requested(
    session: &mut Session,
    host: &ExclusiveHost,
    network: &Network,
    connected: Connected,
    act: Act,
) -> Result<Report<()>, Error> {
    refuse_carrier(session, network)?;
    if let Some(address) = foreign_addresses(session, network)?.into_iter().next() {
        return Err(Error::ForeignAddress { network: network.name.clone(), device: network.device().clone(), address });
    }
    if connected == Connected::Refuse {
        require_card(session, network)?;
    }
    match connected {
        Connected::Refuse => remove_network_locked(session, host, network, act),
        Connected::Disconnect => {
            let mut plan = Plan::new();
            for endpoint in session.store().endpoints_on(&network.name)? {
                let lock = session.store().lock_sandbox(host, endpoint.sandbox.cookie)?;
                plan.append(detach_locked(session, host, &endpoint.key(), None, act)?.plan);
                release_sandbox(session, lock)?;
            }
            plan.append(take_network_down(session, host, network, act)?.plan);
            Ok(Report { plan, value: () })
        }
    }
}

/// Refuses a network whose card is unplugged: with the bridge the host would lose what it had on the card.
fn require_card(session: &mut Session, network: &Network) -> Result<(), Error> {
    let Some(card) = network.parent() else { return Ok(()) };
    if bridge_of_host(session, network)?.is_some() {
        return Ok(());
    }
    let seen =
        session.kernel.link(&Place::Host, card.as_str()).map_err(Error::kernel(format!("network card {card}")))?;
    if seen.is_some() {
        return Ok(());
    }
    let bridge = network.device();
    let why = format!(
        "is not there, and the addresses on {bridge} would be lost; plug it in first, or zubi network rm --force {}",
        network.name
    );
    Err(Error::Card { card: card.clone(), why })
}

/// Refuses a network whose device carries another: that would lose its endpoints.
fn refuse_carrier(session: &Session, network: &Network) -> Result<(), Error> {
    let on_it =
        |other: &Network| other.name != network.name && other.macvlan().is_some() && other.shares_device_with(network);
    match session.store().networks_lossy().0.into_iter().find(on_it).filter(|_| network.owns_device()) {
        Some(other) => {
            let (name, device) = (network.name.clone(), network.device().clone());
            Err(Error::CarriesNetwork { name, device, other: other.name })
        }
        None => Ok(()),
    }
}

/// Removes every network without endpoints, except where an address of the host would go with its bridge.
pub(crate) fn prune_networks(session: &mut Session, act: Act) -> Result<Report<Vec<NetworkName>>, Error> {
    let host = &session.store().lock_host_exclusive()?;
    recover_first(session, host, act)?;
    let mut report = Report { plan: Plan::new(), value: Vec::new() };
    let doing = session.begin();
    let guests = guest_networks(session);
    for network in session.store().networks_lossy().0 {
        // A container engine removes its own.
        let is_guest = guests.iter().any(|guest| guest.network == network.name);
        if is_guest || refuse_unconfirmed(session, &network.name).is_err() {
            continue;
        }
        doing.step(|| format!("removing networks, now {}", network.name));
        match remove_requested(session, host, &network, Connected::Refuse, act) {
            Ok(removed) => {
                report.plan.append(removed.plan);
                report.value.push(network.name);
            }
            Err(Error::NetworkInUse { .. } | Error::CarriesNetwork { .. } | Error::ForeignAddress { .. }) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(report)
}
