//! TODO

use crate::error::Error;
use crate::heal::gone::free_if_gone;
use crate::port_claims::claims;
use crate::port_claims::claims_of;
use crate::records::Records;
use crate::report::Act;
use crate::session::Session;
use crate::steps::claim::is_recorded;
use zubi_model::Endpoint;
use zubi_model::EndpointKey;
use zubi_model::Family;
use zubi_model::HostPorts;
use zubi_model::Network;
use zubi_model::PortWish;
use zubi_model::PublishedPort;
use zubi_store::PortClaim;

/// Ports that dead sandboxes still have, or that a killed command claimed and did not come to publish, are freed.
/// The caller does not hold the lock of the ports.
pub(crate) fn free_ports_of_gone(
    session: &mut Session,
    network: &Network,
    key: &EndpointKey,
    wishes: &[PortWish],
    act: Act,
) -> Result<(), Error> {
    let families: Vec<Family> = network.pools.iter().map(|p| p.subnet.family()).collect();
    for wish in wishes {
        let (HostPorts::Each(host_ports) | HostPorts::OneOf(host_ports)) = wish.host_ports else { continue };
        let port = PublishedPort { host: wish.host, host_ports, target: host_ports, protocol: wish.protocol };
        for claim in claims_of(key, &families, &[port]) {
            for other in session.store().ports_in_the_way(&claim)? {
                free_if_gone(session, &other.owner, act)?;
                if act == Act::Apply {
                    release_unrecorded(session, &other)?;
                }
            }
        }
    }
    Ok(())
}

/// Gives ports back whose owner lives and does not publish them: somebody was killed before the record was written.
pub(crate) fn release_unrecorded(session: &mut Session, claim: &PortClaim) -> Result<bool, Error> {
    let Some(_owner) = session.store().try_lock_sandbox(claim.owner.cookie)? else { return Ok(false) };
    if is_recorded(session, claim) {
        return Ok(false);
    }
    let held = session.hold_ports()?;
    session.store().release_ports(claim, &held)?;
    Ok(true)
}

/// Gives back what an endpoint, whose sandbox is locked, claims and does not publish: a command was killed between
/// its record and its claims.
pub(crate) fn release_half_taken(session: &mut Session, endpoint: &Endpoint) -> Result<(), Error> {
    let held = session.hold_ports()?;
    for claim in session.store().ports()?.iter().filter(|claim| claim.owner == endpoint.key()) {
        if !is_recorded(session, claim) {
            session.store().release_ports(claim, &held)?;
        }
    }
    Ok(())
}

/// The same for ports that are named, without looking at all there are.
pub(crate) fn release_claimed(session: &mut Session, endpoint: &Endpoint, wishes: &[PortWish]) -> Result<(), Error> {
    let held = session.hold_ports()?;
    for wish in wishes {
        let (HostPorts::Each(host_ports) | HostPorts::OneOf(host_ports)) = wish.host_ports else { continue };
        let port = PublishedPort { host: wish.host, host_ports, target: host_ports, protocol: wish.protocol };
        for claim in claims(endpoint, &[port]) {
            if !is_recorded(session, &claim) {
                session.store().release_ports(&claim, &held)?;
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
