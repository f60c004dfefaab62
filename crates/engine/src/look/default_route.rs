//! Which endpoint of a sandbox gives the default route.

use crate::error::Error;
use crate::look::addresses_in_use::TABLE_MAIN;
use crate::session::Session;
use std::net::IpAddr;
use zubi_kernel::Survey;
use zubi_model::{Endpoint, Family, NsRef};
use zubi_plan::Place;
use zubi_plan::endpoint::default_families;
use zubi_wire::route::RouteProtocol;

/// The other endpoints of the same sandbox.
pub(crate) fn siblings(session: &Session, endpoint: &Endpoint) -> Result<Vec<Endpoint>, Error> {
    let mut all = session.store().endpoints_of(endpoint.sandbox.cookie)?;
    all.retain(|e| e.network != endpoint.network);
    Ok(all)
}

/// Those of the families in which the sandbox has a default route that leads to none of these gateways and is not
/// ours. Any metric counts: one of ours beside it would win, or be refused.
pub(crate) fn foreign_defaults(
    session: &mut Session,
    sandbox: &NsRef,
    families: &[Family],
    gateways: &[IpAddr],
) -> Result<Vec<Family>, Error> {
    foreign_defaults_in(session, &mut Survey::narrow(), sandbox, families, gateways)
}

/// The same, with what a survey has read.
fn foreign_defaults_in(
    session: &mut Session,
    survey: &mut Survey,
    sandbox: &NsRef,
    families: &[Family],
    gateways: &[IpAddr],
) -> Result<Vec<Family>, Error> {
    let place = Place::Sandbox(sandbox.clone());
    let mut taken = Vec::new();
    for family in families.iter().copied() {
        let failed = Error::kernel("routes of the sandbox");
        let routes = session.kernel.surveyed_routes(survey, &place, family).map_err(failed)?;
        // The last metric is that of the kernel's own "unreachable default".
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

/// The families in which an endpoint gives its sandbox the default route now; by `way` the sandbox is looked at.
pub(crate) fn gives_default_in(
    session: &mut Session,
    survey: &mut Survey,
    endpoint: &Endpoint,
    siblings: &[Endpoint],
    way: Option<&NsRef>,
) -> Result<Vec<Family>, Error> {
    let given = default_families(endpoint, siblings, &[]);
    let Some(way) = way.filter(|_| !given.is_empty()) else { return Ok(given) };
    let all = siblings.iter().chain([endpoint]).flat_map(|e| &e.addresses);
    let gateways: Vec<IpAddr> = all.filter_map(|a| a.gateway).collect();
    let foreign = foreign_defaults_in(session, survey, way, &given, &gateways)?;
    Ok(default_families(endpoint, siblings, &foreign))
}

/// Who gives the default route when this endpoint no longer does.
pub(crate) fn successors(
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
    // A default route that somebody else made stays.
    let foreign = foreign_defaults(session, way, &families, &gateways)?;
    let given = default_families(endpoint, &siblings, &foreign);
    let takes = |candidate: &Endpoint| {
        let others: Vec<Endpoint> = siblings.iter().filter(|e| e.network != candidate.network).cloned().collect();
        let mut families = default_families(candidate, &others, &[]);
        families.retain(|f| given.contains(f));
        (!families.is_empty()).then(|| (candidate.clone(), families))
    };
    Ok(siblings.iter().filter_map(takes).collect())
}
