//! Port claims that no record names: a command was killed between claim and record.

use crate::error::Error;
use crate::port_claims::claims;
use crate::records::Records;
use crate::session::Session;
use crate::steps::claim::is_recorded;
use zubi_model::{Endpoint, HostPorts, PortWish, PublishedPort};
use zubi_store::{HostLock, PortClaim};

/// Gives ports back whose owner lives and does not publish them: somebody was killed before the record was written.
pub(crate) fn release_unrecorded(session: &mut Session, host: &HostLock, claim: &PortClaim) -> Result<bool, Error> {
    let Some(_owner) = session.store().try_lock_sandbox(host, claim.owner.cookie)? else { return Ok(false) };
    if is_recorded(session, claim) {
        return Ok(false);
    }
    let held = session.store().lock_ports(host)?;
    session.store().release_ports(&held, claim)?;
    Ok(true)
}

/// Gives back what an endpoint, whose sandbox is locked, claims and does not publish: a command was killed between its
/// record and its claims.
pub(crate) fn release_half_taken(session: &mut Session, host: &HostLock, endpoint: &Endpoint) -> Result<(), Error> {
    let held = session.store().lock_ports(host)?;
    for claim in session.store().ports()?.iter().filter(|claim| claim.owner == endpoint.key()) {
        if !is_recorded(session, claim) {
            session.store().release_ports(&held, claim)?;
        }
    }
    Ok(())
}

/// The same for ports that are named, without looking at all there are.
pub(crate) fn release_claimed(
    session: &mut Session,
    host: &HostLock,
    endpoint: &Endpoint,
    wishes: &[PortWish],
) -> Result<(), Error> {
    let held = session.store().lock_ports(host)?;
    for wish in wishes {
        let (HostPorts::Each(host_ports) | HostPorts::OneOf(host_ports)) = wish.host_ports else { continue };
        let port = PublishedPort { host: wish.host, host_ports, target: host_ports, protocol: wish.protocol };
        for claim in claims(endpoint, &[port]) {
            if !is_recorded(session, &claim) {
                session.store().release_ports(&held, &claim)?;
            }
        }
    }
    Ok(())
}

/// Ports that are claimed for endpoints that do not publish them.
pub(crate) fn unrecorded_ports(session: &Session, records: &Records) -> Result<Vec<PortClaim>, Error> {
    let recorded = records.port_claims();
    let mut claims = session.store().ports()?;
    // Those of a record that cannot be read are looked for one by one.
    claims.retain(|claim| !recorded.contains(claim) && !is_recorded(session, claim));
    Ok(claims)
}
