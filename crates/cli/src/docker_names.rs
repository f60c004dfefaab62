//! Names that Docker gave: `zubi connect mesh c1` works when `mesh` is a network that Docker has by way of zubi.

use crate::words::{LeaseWords, NetworkWords, PortWords, PortsOf, Words};
use zubi_engine::{Error, Session};
use zubi_model::{Invalid, NetworkName};

/// Puts the names of zubi networks in the place of Docker's.
pub(crate) fn translate(session: &mut Session, words: &mut Words) -> Result<(), Error> {
    for name in networks(words) {
        *name = session.network_named(name)?;
    }
    Ok(())
}

/// The networks that a command is about, where these exist already.
fn networks(words: &mut Words) -> Vec<&mut NetworkName> {
    match words {
        Words::Connect(words) | Words::Network(NetworkWords::Connect(words)) => vec![&mut words.network],
        Words::Disconnect(words) | Words::Network(NetworkWords::Disconnect(words)) => vec![&mut words.network],
        Words::Network(NetworkWords::Inspect { names, .. } | NetworkWords::Rm { names, .. }) => {
            names.iter_mut().collect()
        }
        Words::Network(NetworkWords::Set(words)) => vec![&mut words.name],
        Words::Port(PortsOf {
            command: Some(PortWords::Add { network, .. } | PortWords::Rm { network, .. }), ..
        }) => {
            vec![network]
        }
        Words::Lease(LeaseWords::Renew { network: Some(network), .. }) => vec![network],
        _ => Vec::new(),
    }
}

/// Refuses to remove a network that Docker has: it would still count on it.
pub(crate) fn refuse_removal(session: &Session, name: &NetworkName) -> Result<(), Error> {
    let Some(guest) = session.guest_networks().into_iter().find(|guest| guest.network == *name) else { return Ok(()) };
    let called = guest.name.unwrap_or_else(|| guest.id.short().to_owned());
    let removal = Invalid::new("network", name, format!("is Docker's network {called}"));
    Err(removal.try_instead(format!("docker network rm {called}")).into())
}
