//! Which endpoint of a sandbox gives the default route.

use crate::error::Error;
use crate::look::addresses_in_use::TABLE_MAIN;
use crate::session::Session;
use std::net::IpAddr;
use zubi_model::{Endpoint, Family, NsRef};
use zubi_plan::Place;
use zubi_plan::default_route::{default_families, successors};
use zubi_snapshot::{Needs, Snapshot};
use zubi_wire::route::RouteProtocol;

const OBJECT: &str = "routes of the sandbox";

/// The other endpoints of the same sandbox.
pub(crate) fn siblings(session: &Session, endpoint: &Endpoint) -> Result<Vec<Endpoint>, Error> {
    let mut all = session.store().endpoints_of(endpoint.sandbox.cookie)?;
    all.retain(|e| e.network != endpoint.network);
    Ok(all)
}

/// The families in which the sandbox has a default route that is not ours and goes through none of these gateways. Any
/// metric counts: our route beside it would win, or the kernel would refuse it.
pub(crate) fn foreign_defaults(
    session: &mut Session,
    sandbox: &NsRef,
    families: &[Family],
    gateways: &[IpAddr],
) -> Result<Vec<Family>, Error> {
    foreign_defaults_in(session, &mut Snapshot::new(), sandbox, families, gateways)
}

/// [`foreign_defaults`] with the routes of a snapshot.
fn foreign_defaults_in(
    session: &mut Session,
    snapshot: &mut Snapshot,
    sandbox: &NsRef,
    families: &[Family],
    gateways: &[IpAddr],
) -> Result<Vec<Family>, Error> {
    let place = Place::Sandbox(sandbox.clone());
    let mut taken = Vec::new();
    for family in families.iter().copied() {
        session.read(snapshot, &Needs::new().routes(&place, family), OBJECT)?;
        let routes = snapshot.routes(&place, family).map_err(Error::unread(OBJECT))?;
        // The kernel's own "unreachable default" has the last metric.
        let foreign = routes.iter().any(|r| {
            r.to.prefix_len() == 0
                && r.table == TABLE_MAIN
                && r.metric != u32::MAX
                && r.protocol != RouteProtocol::OURS
                && !r.via.is_some_and(|v| gateways.contains(&v))
        });
        if foreign {
            taken.push(family);
        }
    }
    Ok(taken)
}

/// The families in which an endpoint gives its sandbox the default route now. `way` leads into the sandbox; without it
/// the routes there are not read.
pub(crate) fn gives_default_in(
    session: &mut Session,
    snapshot: &mut Snapshot,
    endpoint: &Endpoint,
    siblings: &[Endpoint],
    way: Option<&NsRef>,
) -> Result<Vec<Family>, Error> {
    let given = default_families(endpoint, siblings, &[]);
    let Some(way) = way.filter(|_| !given.is_empty()) else { return Ok(given) };
    let all = siblings.iter().chain([endpoint]).flat_map(|e| &e.addresses);
    let gateways: Vec<IpAddr> = all.filter_map(|a| a.gateway).collect();
    let foreign = foreign_defaults_in(session, snapshot, way, &given, &gateways)?;
    Ok(default_families(endpoint, siblings, &foreign))
}

/// The endpoints that take over the default route from this one, each with the families.
pub(crate) fn successors_of(
    session: &mut Session,
    endpoint: &Endpoint,
    way: &NsRef,
) -> Result<Vec<(Endpoint, Vec<Family>)>, Error> {
    let siblings = siblings(session, endpoint)?;
    if siblings.is_empty() {
        return Ok(Vec::new());
    }
    let of_both = siblings.iter().chain([endpoint]).flat_map(|e| &e.addresses);
    let gateways: Vec<IpAddr> = of_both.filter_map(|a| a.gateway).collect();
    let families: Vec<Family> = endpoint.addresses.iter().map(|a| Family::of(a.address.addr())).collect();
    let foreign = foreign_defaults(session, way, &families, &gateways)?;
    Ok(successors(endpoint, &siblings, &foreign))
}
