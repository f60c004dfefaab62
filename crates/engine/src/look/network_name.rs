//! Names of networks that a container engine gave.

use crate::error::Error;
use crate::perform::guest_network::{guest_networks, keep_guest_network};
use crate::session::Session;
use zubi_model::{GuestNetwork, NetworkName, NetworkSource};
use zubi_runtimes::EngineNetwork;

/// The zubi network that a name means. One that is in no record may be Docker's, who is asked. A name that nobody knows
/// is returned as it is.
pub(crate) fn network_named(session: &mut Session, name: &NetworkName) -> Result<NetworkName, Error> {
    let of_docker = name.as_str().strip_prefix("docker:");
    if of_docker.is_none() && (name.source().is_some() || session.store().network(name)?.is_some()) {
        return Ok(name.clone());
    }
    let called = of_docker.unwrap_or(name.as_str()).to_owned();
    let guests = guest_networks(session);
    // Docker may have given the name to another network by now.
    let asked = session.runtimes().docker_network(&called);
    let found = match &asked {
        Ok(Some(network)) => guests.iter().find(|guest| guest.id.as_str() == network.id),
        Ok(None) | Err(_) => guests.iter().find(|guest| guest.name.as_deref() == Some(&called)),
    };
    let Some(guest) = found.cloned() else {
        return match asked {
            Ok(Some(network)) => Err(not_ours(session, name, &network)),
            Ok(None) | Err(_) => Ok(name.clone()),
        };
    };
    if let Ok(Some(network)) = asked {
        remember_name(session, &guest, &network.name)?;
    }
    Ok(guest.network)
}

/// Records the name that Docker gave a network.
pub(crate) fn remember_name(session: &mut Session, guest: &GuestNetwork, name: &str) -> Result<(), Error> {
    if guest.name.as_deref() == Some(name) {
        return Ok(());
    }
    keep_guest_network(session, &GuestNetwork { name: Some(name.to_owned()), ..guest.clone() })
}

/// A network of Docker's that is not zubi's.
fn not_ours(session: &Session, name: &NetworkName, network: &EngineNetwork) -> Error {
    let missing = Error::NoNetwork { name: name.clone(), known: session.known_networks() };
    let advice = match &network.bridge {
        Some(bridge) => format!(
            "Docker has one on its own bridge; zubi network create {} --bridge {bridge} --adopt makes it one of zubi's too",
            network.name
        ),
        None => format!("Docker has one with its driver {}", network.driver),
    };
    Error::Advised { cause: Box::new(missing), advice }
}

/// How a person calls a network: by Docker's name for one that was made for Docker.
pub(crate) fn called(session: &Session, name: &NetworkName) -> Option<NetworkName> {
    let guest = guest_networks(session).into_iter().find(|guest| guest.network == *name)?;
    NetworkName::described(NetworkSource::Docker, guest.name.as_deref()?).ok()
}
