//! The host lock, together with the networks that a command works on.

use crate::error::Error;
use crate::firewall::foreign::note_legacy;
use crate::firewall::table::missing_firewall;
use crate::heal::leftovers::recover_first;
use crate::heal::missing::{Loopback, missing_network};
use crate::look::unconfirmed::refuse_unconfirmed;
use crate::perform::create_network::DEFAULT;
use crate::report::Act;
use crate::session::Session;
use zubi_model::{Network, NetworkName, PortWish};
use zubi_plan::{Plan, published};
use zubi_store::HostLock;

/// Whether the command needs the host lock exclusively.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exclusive {
    Yes,
    No,
}

/// The ports of an endpoint. On the network `default`, ports without an address get the one in the settings.
pub(crate) fn ports_by_settings(session: &Session, network: &NetworkName, ports: &[PortWish]) -> Vec<PortWish> {
    let settings = &session.config().default_network;
    if network.as_str() == DEFAULT { settings.published_at(ports) } else { ports.to_vec() }
}

/// Takes the host lock and reads the networks under it. Returns each with the plan that completes it. The lock is
/// shared if all plans are empty, else exclusive: a plan that fails is rolled back, and nobody may have relied on it.
/// `ports`: what the first network's endpoint publishes.
pub(crate) fn lock_networks(
    session: &mut Session,
    names: &[NetworkName],
    ports: &[PortWish],
    act: Act,
) -> Result<(HostLock, Vec<(Network, Plan)>), Error> {
    let mut exclusive = Exclusive::No;
    loop {
        let host: HostLock = match exclusive {
            Exclusive::No => session.store().lock_host()?,
            Exclusive::Yes => session.store().lock_host_exclusive()?.into(),
        };
        recover_first(session, &host, act)?;
        let mut networks = Vec::new();
        for name in names {
            refuse_unconfirmed(session, name)?;
            let missing = || Error::NoNetwork { name: name.clone(), known: session.known_networks() };
            networks.push(session.store().network(name)?.ok_or_else(missing)?);
        }
        let mut all: Vec<(Network, Plan)> = Vec::new();
        let mut firewall = if names.is_empty() { Plan::new() } else { missing_firewall(session, &networks)? };
        note_legacy(session, &networks);
        for network in networks {
            let mut missing = std::mem::take(&mut firewall);
            let on_loopback = all.is_empty() && published::on_loopback(&network, ports.iter().copied());
            let need = if on_loopback { Loopback::Needed } else { Loopback::NotNeeded };
            missing.append_once(missing_network(session, &network, need)?);
            all.push((network, missing));
        }
        if exclusive == Exclusive::Yes || act == Act::Show || all.iter().all(|(_, missing)| missing.is_empty()) {
            return Ok((host, all));
        }
        exclusive = Exclusive::Yes;
    }
}
