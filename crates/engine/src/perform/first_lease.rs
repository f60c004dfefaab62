//! The first lease of an endpoint: the attach itself gets it, and the endpoint is complete when it has an address.

use crate::decide::lease::{client_id, identity};
use crate::error::Error;
use crate::look::host_key::host_key;
use crate::perform::settle::probe;
use crate::session::Session;
use crate::steps::ask_dhcp::{Outcome, Question, ask};
use crate::steps::take_lease::{Recorded, is_free, take_lease};
use std::net::{IpAddr, Ipv4Addr};
use zubi_dhcp::{Client, Start};
use zubi_model::{ByDhcp, DhcpLease, Endpoint, Network, NsRef, Probe, Tenure, Wishes};
use zubi_plan::Place;
use zubi_store::HostLock;

/// Asks for an address, and gives it to an endpoint that is being attached and whose device is up. Returns the endpoint
/// with its address.
pub(crate) fn get_first_lease(
    session: &mut Session,
    host: &HostLock,
    network: &Network,
    endpoint: &Endpoint,
    wishes: &Wishes,
) -> Result<Endpoint, Error> {
    let way: NsRef = endpoint.sandbox.reached_by.clone();
    let client = Some(client_id(host_key(session)?, network, &endpoint.sandbox.spelled, &wishes.dhcp)?);
    let (patience, probe) = (wishes.dhcp.patience.unwrap_or(Client::PATIENCE), wishes.probe);
    let object = format!("network {}: connect {}", network.name, endpoint.sandbox.spelled);
    let question = Question {
        object: &object,
        place: &Place::Sandbox(way.clone()),
        device: &endpoint.ifname,
        identity: identity(endpoint, client.clone(), wishes.dhcp.told.clone()),
        start: Start::Discover,
        patience,
        wait: patience * 2,
    };
    let doing = session.begin();
    doing.step(|| format!("asking for an address on network {}, by DHCP", network.name));
    let mut accepts = |session: &mut Session, lease: &DhcpLease| {
        Ok(is_free(session, host, &endpoint.key(), lease.address.addr())?
            && (probe == Probe::Skip || is_unanswered(session, network, endpoint, lease.address.addr())?))
    };
    let outcome = ask(session, question, &mut accepts)?;
    drop(doing);
    let why = match outcome {
        Outcome::Bound(lease) => {
            let dhcp = ByDhcp { client, told: wishes.dhcp.told.clone(), lease, tenure: Tenure::Held };
            return take_lease(session, host, network, endpoint, &way, dhcp, Recorded::Pending);
        }
        Outcome::Failed(failure) => failure.to_string(),
        Outcome::Lost(loss) => loss.to_string(),
        Outcome::Unanswered => format!("no DHCP server answered within {} s", patience.as_secs()),
    };
    Err(no_lease(network, endpoint, why))
}

/// Whether no neighbour answers for an address that a server offers. Otherwise the client declines it, and the
/// server offers another one.
pub(crate) fn is_unanswered(
    session: &mut Session,
    network: &Network,
    endpoint: &Endpoint,
    address: Ipv4Addr,
) -> Result<bool, Error> {
    let answers = probe(session, network, &[IpAddr::V4(address)])?;
    let Some((_, mac)) = answers.iter().find(|(_, mac)| *mac != endpoint.mac) else { return Ok(true) };
    let words = format!("{address}, which the DHCP server gives, is in use on the LAN, by {mac}");
    zubi_kernel::log(&words);
    session.note(words);
    Ok(false)
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
