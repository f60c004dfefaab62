//! What Docker does not tell a driver: the names of networks and containers, and what it has forgotten.
//!
//! # How it works
//! Docker is asked when a request has been answered, never inside one. A container has its name as soon as Docker lists it
//! with its endpoint. What Docker does not list a while after it was made, it has lost: it was killed between two
//! requests, or it cleaned up without telling the driver.

use crate::context::Context;
use crate::docker::part::PART;
use crate::docker::reserved::{OWNER, endpoint_of};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;
use zubi_engine::{Error, Session};
use zubi_model::{EndpointId, GuestNetwork, NetworkName, SandboxRef};

/// So long after an answer Docker is asked: it has to go on first.
const PAUSE: Duration = Duration::from_millis(200);
/// The pause between two rounds in which there was nothing new.
const LONGEST: Duration = Duration::from_secs(60);
/// So long after it was made Docker may not list an endpoint.
const GRACE: Duration = Duration::from_secs(60);

/// Asks for names whenever there may be new ones, until the daemon ends.
pub(super) async fn run(mut context: Context, changed: Arc<Notify>) {
    let mut pause = PAUSE;
    loop {
        match context.call(round).await {
            // The pauses grow while a name is missing: the container is being started.
            Ok(Round::Complete) => pause = LONGEST,
            Ok(Round::NamesMissing) => pause = (pause * 2).min(LONGEST),
            Err(e) => {
                tracing::debug!(part = PART, "names of Docker's networks: {e}");
                pause = LONGEST;
            }
        }
        tokio::select! {
            () = context.ended() => return,
            () = sleep(pause) => {}
            () = changed.notified() => {
                sleep(PAUSE).await;
                pause = PAUSE;
            }
        }
    }
}

/// What a round found.
enum Round {
    Complete,
    NamesMissing,
}

/// What Docker lists of the endpoints on a zubi network.
#[derive(Default)]
struct Listed {
    containers: BTreeMap<EndpointId, String>,
}

fn round(session: &mut Session) -> Result<Round, Error> {
    let mut listed: BTreeMap<NetworkName, Listed> = BTreeMap::new();
    let mut silent: Vec<NetworkName> = Vec::new();
    for guest in session.guest_networks() {
        match session.docker_network(guest.id.as_str())? {
            Some(network) => {
                remember_name(session, &guest, &network.name)?;
                let listed = listed.entry(guest.network).or_default();
                let endpoints = network.endpoints.into_iter();
                listed.containers.extend(endpoints.filter_map(|one| Some((one.id.parse().ok()?, one.container))));
            }
            // Docker does not run, or the network is being made.
            None => silent.push(guest.network),
        }
    }
    let mut round = Round::Complete;
    for (network, listed) in &listed {
        if let Round::NamesMissing = name_endpoints(session, network, listed)? {
            round = Round::NamesMissing;
        }
        if !silent.contains(network) {
            forget_lost(session, network, listed)?;
        }
    }
    Ok(round)
}

fn remember_name(session: &mut Session, guest: &GuestNetwork, name: &str) -> Result<(), Error> {
    if guest.name.as_deref() == Some(name) {
        return Ok(());
    }
    session.keep_guest_network(&GuestNetwork { name: Some(name.to_owned()), ..guest.clone() })
}

fn name_endpoints(session: &mut Session, network: &NetworkName, listed: &Listed) -> Result<Round, Error> {
    let mut round = Round::Complete;
    for endpoint in session.network(network)?.1 {
        if endpoint.handed_over.is_none() {
            continue;
        }
        match listed.containers.get(&endpoint.id) {
            Some(container) => {
                if let Ok(called) = format!("docker:{container}").parse::<SandboxRef>() {
                    session.arrive_handed_over(network, &endpoint.id, &called)?;
                }
            }
            None => round = Round::NamesMissing,
        }
    }
    Ok(round)
}

/// Releases what Docker has not listed for long.
fn forget_lost(session: &mut Session, network: &NetworkName, listed: &Listed) -> Result<(), Error> {
    let now = session.boot_clock()?;
    for reservation in session.reservations(network)? {
        let is_old = now.saturating_sub(Duration::from_nanos(reservation.made_at)) >= GRACE;
        match endpoint_of(&reservation) {
            Some(id) if !listed.containers.contains_key(id) => {
                if !is_old && !session.has_handed_over_ended(network, id)? {
                    continue;
                }
                tracing::info!(part = PART, "endpoint {} on network {network}: Docker has lost it", id.short());
                session.take_back(network, id)?;
                session.unreserve_endpoint(network, id)?;
            }
            // One that the user chose is asked for again by its address.
            None if is_old && reservation.owner.starts_with(OWNER) && !is_address(&reservation.owner) => {
                session.unreserve(network, &reservation.owner)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_address(owner: &str) -> bool {
    owner.strip_prefix(OWNER).is_some_and(|rest| rest.parse::<std::net::IpAddr>().is_ok())
}
