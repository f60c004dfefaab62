//! Port claims without a record: a command was killed between claim and record.

use crate::error::Error;
use crate::port_claims::claims;
use crate::records::Records;
use crate::session::Session;
use crate::steps::claim::is_recorded;
use zubi_model::{Endpoint, HostPorts, PortWish, PublishedPort};
use zubi_store::{HostLock, PortClaim};

/// Releases a port that its owner does not publish: a command was killed before it wrote the record. Returns whether
/// the claim was released.
pub(crate) fn release_unrecorded(session: &mut Session, host: &HostLock, claim: &PortClaim) -> Result<bool, Error> {
    let Some(_owner) = session.store().try_lock_sandbox(host, claim.owner.cookie)? else { return Ok(false) };
    if is_recorded(session, claim) {
        return Ok(false);
    }
    let held = session.store().lock_ports(host)?;
    session.store().release_ports(&held, claim)?;
    Ok(true)
}

/// Releases the ports that an endpoint claims and does not publish. The caller holds the sandbox's lock.
pub(crate) fn release_half_taken(session: &mut Session, host: &HostLock, endpoint: &Endpoint) -> Result<(), Error> {
    let held = session.store().lock_ports(host)?;
    for claim in session.store().ports()?.iter().filter(|claim| claim.owner == endpoint.key()) {
        if !is_recorded(session, claim) {
            session.store().release_ports(&held, claim)?;
        }
    }
    Ok(())
}

/// Does the same for the named ports only, without listing all claims.
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
    // An unreadable record is missing from `recorded`, so each remaining claim is looked up by itself.
    claims.retain(|claim| !recorded.contains(claim) && !is_recorded(session, claim));
    Ok(claims)
}
