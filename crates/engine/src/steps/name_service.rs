//! Whether the daemon answers names on a network, and the wait until it does.

use crate::session::Session;
use std::net::IpAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};
use zubi_model::{Network, NetworkName, RESOLVER_FOLDER};

/// How long an attach waits for the daemon to answer on a network that was just made.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it looks.
const PAUSE: Duration = Duration::from_millis(2);

/// The addresses of a network at which names are answered now; none without a daemon.
///
/// The daemon makes a file for each network once it has the network's port 53. So the wait is over with the first look,
/// except for a network that this very command made.
pub(crate) fn answering(session: &mut Session, network: &NetworkName) -> Vec<IpAddr> {
    // Without a daemon nothing else is looked at, the network's record neither.
    let recorded = if session.daemon_answers_names() { session.store().network(network) } else { Ok(None) };
    let Ok(Some(network)) = recorded else { return Vec::new() };
    let servers: Vec<IpAddr> = network.name_servers().collect();
    if servers.is_empty() {
        return servers;
    }
    let mark = session.config().dirs.run.join(RESOLVER_FOLDER).join(network.name.as_str());
    let since = Instant::now();
    while !mark.exists() {
        if since.elapsed() > PATIENCE {
            session.note(format!(
                "network {}: the daemon does not answer names on it; zubi status tells why",
                network.name
            ));
            return Vec::new();
        }
        sleep(PAUSE);
    }
    servers
}

/// Whether a daemon answers on the network, now or in a moment.
pub(crate) fn is_served(session: &Session, network: &Network) -> bool {
    network.name_servers().next().is_some() && session.daemon_answers_names()
}
