//! The first lease of an endpoint: the attach itself gets it, and the endpoint is complete when it has an address.

use crate::decide::lease::{client_id, identity};
use crate::error::Error;
use crate::look::host_key::host_key;
use crate::session::Session;
use crate::steps::ask_dhcp::{Outcome, Question, ask};
use crate::steps::take_lease::{Recorded, is_free, take_lease};
use std::time::Duration;
use zubi_dhcp::{Client, Start};
use zubi_model::{ByDhcp, Endpoint, Network, NsRef, Standing};
use zubi_store::HostLock;

/// Asks for an address, and gives it to an endpoint that is being attached and whose device is up. Returns the endpoint
/// with its address.
pub(crate) fn get_first_lease(
    session: &mut Session,
    host: &HostLock,
    network: &Network,
    endpoint: &Endpoint,
    patience: Option<Duration>,
) -> Result<Endpoint, Error> {
    let way: NsRef = endpoint.sandbox.reached_by.clone();
    let client = client_id(host_key(session)?, network, &endpoint.sandbox.spelled)?;
    let patience = patience.unwrap_or(Client::PATIENCE);
    let object = format!("network {}: connect {}", network.name, endpoint.sandbox.spelled);
    let question = Question {
        object: &object,
        sandbox: &way,
        device: &endpoint.ifname,
        identity: identity(endpoint, client.clone()),
        start: Start::Discover,
        patience,
        wait: patience * 2,
    };
    let key = endpoint.key();
    let doing = session.begin();
    doing.step(|| format!("asking for an address on network {}, by DHCP", network.name));
    let outcome = ask(session, question, &mut |session, lease| is_free(session, host, &key, lease.address.addr()))?;
    drop(doing);
    let why = match outcome {
        Outcome::Bound(lease) => {
            let dhcp = ByDhcp { client, lease, standing: Standing::Held };
            return take_lease(session, host, network, endpoint, &way, dhcp, Recorded::Pending);
        }
        Outcome::Failed(failure) => failure.to_string(),
        Outcome::Lost(loss) => loss.to_string(),
        Outcome::Unanswered => format!("no DHCP server answered within {} s", patience.as_secs()),
    };
    Err(no_lease(network, endpoint, why))
}

/// The error of an endpoint that gets no address.
pub(crate) fn no_lease(network: &Network, endpoint: &Endpoint, why: String) -> Error {
    Error::NoLease {
        network: network.name.clone(),
        sandbox: endpoint.sandbox.spelled.clone(),
        device: network.device().clone(),
        why,
    }
}
