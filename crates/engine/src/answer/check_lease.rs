//! Leases that nobody renews.

use crate::answer::leases::host_leases;
use crate::decide::host_lease::HOST;
use crate::decide::lease::{LeaseState, is_overdue};
use crate::error::Error;
use crate::look::clock::now;
use crate::problem::{Problem, ProblemKind, describe};
use crate::session::Session;
use zubi_model::{ByDhcp, Endpoint, Family, Mac, Moment, Network};

/// A lease that nobody renews, or that is lost.
pub(crate) fn lease_problem(network: &Network, endpoint: &Endpoint) -> Result<Option<Problem>, Error> {
    let fix = format!("zubi lease renew {} {}", endpoint.network, endpoint.sandbox.spelled);
    let problem = |what: String| Problem::new(ProblemKind::Lease, describe(endpoint), what, fix);
    let Some(dhcp) = &endpoint.dhcp else {
        let is_lost = network.asks_dhcp() && endpoint.address(Family::V4).is_none();
        return Ok(is_lost.then(|| problem("its lease is not known: the record of it was lost".into())));
    };
    Ok(late(dhcp, now()?).map(problem))
}

/// What is wrong with a lease that nobody renews, or that is lost.
fn late(dhcp: &ByDhcp, now: Moment) -> Option<String> {
    let address = dhcp.lease.address;
    let left = dhcp.lease.expires_at().map_or(0, |end| end.since(now).as_secs());
    match LeaseState::at(dhcp, now) {
        LeaseState::Expired => Some(format!("its lease of {address} has ended, and nobody renewed it")),
        LeaseState::Lost => Some(format!("its lease of {address} was taken back, and it has no other")),
        _ if is_overdue(dhcp, now) => Some(format!("nobody renewed its lease of {address}, which ends in {left} s")),
        _ => None,
    }
}

/// The host's own leases that nobody renews, or that are lost.
pub(crate) fn host_lease_problems(session: &Session) -> Result<Vec<Problem>, Error> {
    let now = now()?;
    let problem = |(network, _, dhcp): (Network, Mac, ByDhcp)| {
        let object = format!("{HOST} on network {}", network.name);
        Some(Problem::new(ProblemKind::Lease, object, late(&dhcp, now)?, "zubi lease renew --all".to_owned()))
    };
    Ok(host_leases(session).filter_map(problem).collect())
}
