//! Whether the daemon answers names on a network, and the wait until it does.

use crate::session::Session;
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::thread::sleep;
use std::time::{Duration, Instant};
use zubi_model::{DAEMON_SOCKET, Network, RESOLVER_FOLDER};

/// How long an attach waits for the daemon to answer on a network that was just made.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it looks.
const PAUSE: Duration = Duration::from_millis(2);

/// The addresses of a network at which names are answered now; none without a daemon.
///
/// The daemon makes a file for each network once it has the network's port 53. So the wait is over with the first look,
/// except for a network that this very command made.
pub(crate) fn answering(session: &mut Session, network: &Network) -> Vec<IpAddr> {
    // Without a daemon that answers names there is no such folder, and nothing else is looked at.
    if !is_served(session, network) {
        return Vec::new();
    }
    let servers = network.name_servers().collect();
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
    let has_servers = network.name_servers().next().is_some();
    has_servers && session.config().dirs.run.join(RESOLVER_FOLDER).exists() && lives(session)
}

/// A daemon that was killed leaves its socket behind.
fn lives(session: &Session) -> bool {
    UnixStream::connect(session.config().dirs.run.join(DAEMON_SOCKET)).is_ok()
}
