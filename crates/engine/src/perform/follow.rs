//! Following a sandbox: its addresses stay reserved while it is stopped, and a record that outlives the boot says what
//! it gets again.
//!
//! # How it works
//! The reservation comes first, then the endpoint is attached by it, then the record is written. Of a command that is
//! killed in between, a reservation is left that says whom it was kept for; gc releases it when no record and no
//! endpoint has its number. The end goes the other way: the record is removed first, so that nobody attaches the
//! sandbox again meanwhile.

use crate::error::Error;
use crate::fault::Fault;
use crate::perform::settle::settle_reservation;
use crate::session::Session;
use crate::undo::followed::unreserve;
use std::net::IpAddr;
use zubi_model::{Endpoint, EndpointId, Followed, MacWish, Network, NetworkName, PortWish, Reservation, Wishes};
use zubi_store::HostLock;

/// What a new endpoint of a followed sandbox is attached by.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The wishes, with what the sandbox had before, and with its reservation.
    pub(crate) wishes: Wishes,
    /// A reservation that was made for this attach.
    made: Option<EndpointId>,
}

/// Reserves what a sandbox that is to be followed gets, or finds what is reserved for one that is followed already.
/// `None` if it is neither.
pub(crate) fn keep(
    session: &mut Session,
    host: &HostLock,
    network: &Network,
    spelled: &str,
    wishes: &Wishes,
) -> Result<Option<Kept>, Error> {
    if wishes.reservation.is_some() || network.name.source().is_some() {
        return Ok(None);
    }
    let known = known(session, host, network, spelled)?;
    if known.is_none() && !wishes.follow.follows(spelled) {
        return Ok(None);
    }
    let mut wishes = wishes.clone();
    if let Some(known) = &known {
        wishes = wishes.or_as_before(&known.endpoint);
    }
    // A server or a person who made the device decides there.
    if network.asks_dhcp() || wishes.taken.is_some() {
        return Ok(Some(Kept { wishes, made: None }));
    }
    let id = Followed::id(&network.id, spelled);
    let made = known.is_none().then(|| id.clone());
    let reservation = session.store().reservation(&network.name, &id.reservation_owner())?;
    if reservation.as_ref().is_some_and(|reservation| serves(reservation, &wishes)) {
        let wishes = Wishes { reservation: Some(id), ..wishes };
        return Ok(Some(Kept { wishes, made }));
    }
    // What it had is not what is wished now.
    unreserve(session, host, &network.name, &id)?;
    settle_reservation(session, host, network, &id, Some(spelled), &wishes, &[]).map_err(|error| {
        // Parts of it may have been claimed.
        error.after_undo(Fault::muted(|| unreserve(session, host, &network.name, &id)))
    })?;
    let wishes = Wishes { reservation: Some(id), ..wishes };
    Ok(Some(Kept { wishes, made }))
}

/// The ports that a followed sandbox had.
pub(crate) fn ports_before(session: &Session, network: &NetworkName, spelled: &str) -> Result<Vec<PortWish>, Error> {
    // Sandboxes on described networks are never followed: their programs attach them anew.
    if network.source().is_some() {
        return Ok(Vec::new());
    }
    let followed = session.store().followed(network, spelled)?;
    let ports = followed.into_iter().flat_map(|followed| followed.endpoint.ports);
    Ok(ports.map(PortWish::from).collect())
}

/// The record of a followed sandbox. One of an earlier network of that name is removed.
fn known(session: &Session, host: &HostLock, network: &Network, spelled: &str) -> Result<Option<Followed>, Error> {
    let store = session.store();
    let Some(known) = store.followed(&network.name, spelled)? else { return Ok(None) };
    if known.endpoint.network_id == network.id {
        return Ok(Some(known));
    }
    store.remove_followed(host, &network.name, spelled)?;
    Ok(None)
}

/// Whether a reservation has what is wished.
fn serves(reservation: &Reservation, wishes: &Wishes) -> bool {
    let reserved: Vec<IpAddr> = reservation.addresses.iter().map(|a| a.address.addr()).collect();
    let mac = match wishes.mac {
        MacWish::Given(mac) => reservation.mac.is_none_or(|reserved| reserved == mac),
        MacWish::FromAddress | MacWish::Random => true,
    };
    mac && wishes.addresses.iter().all(|address| reserved.contains(address))
}

/// The attach failed: releases what was reserved for it.
pub(crate) fn let_go(session: &mut Session, host: &HostLock, network: &NetworkName, kept: &Kept) -> Result<(), Error> {
    let Some(id) = &kept.made else { return Ok(()) };
    unreserve(session, host, network, id)
}

/// From now on the sandbox of an endpoint is followed.
pub(crate) fn follow(session: &mut Session, host: &HostLock, endpoint: &Endpoint) -> Result<(), Error> {
    Ok(session.store().write_followed(host, &Followed { endpoint: endpoint.clone() })?)
}
