//! Which endpoint of a sandbox gives the default route.

use crate::error::Error;
use crate::look::addresses_in_use::TABLE_MAIN;
use crate::session::Session;
use std::net::IpAddr;
use zubi_model::{DisplacedRoute, Endpoint, Family, NsRef};
use zubi_plan::Place;
use zubi_plan::default_route::{Heirs, default_families, heirs};
use zubi_snapshot::{Needs, Snapshot};
use zubi_wire::route::{AdminState, RouteOfDevice, RouteProtocol};

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

/// The default routes of a sandbox that an endpoint with a gateway in these families replaces. Refuses one that could not
/// come back.
pub(crate) fn defaults_to_displace(
    session: &mut Session,
    sandbox: &NsRef,
    families: &[Family],
) -> Result<Vec<DisplacedRoute>, Error> {
    let place = Place::Sandbox(sandbox.clone());
    let mut all = Vec::new();
    for family in families {
        let seen = session.kernel.whole_routes(&place, *family).map_err(Error::kernel(OBJECT))?;
        // The kernel's own "unreachable default" has the last metric.
        let is_default = |seen: &&RouteOfDevice| {
            let options = seen.route.options;
            seen.route.to.prefix_len() == 0 && options.table.is_none() && options.metric != Some(u32::MAX)
        };
        for RouteOfDevice { device, route, beyond } in seen.iter().filter(is_default).cloned() {
            let Some(device) = session.kernel.link_at(&place, device).map_err(Error::kernel(OBJECT))? else { continue };
            if let Some(why) = beyond {
                return Err(Error::DefaultRouteStays { device: device.name, why });
            }
            all.push(DisplacedRoute { device: device.name.parse()?, route });
        }
    }
    Ok(all)
}

/// What other programs made of these, and what endpoints had displaced that provided the default route until now.
pub(crate) fn displaced_by_others(
    seen: &[DisplacedRoute],
    siblings: &[Endpoint],
    families: &[Family],
) -> Vec<DisplacedRoute> {
    let is_ours = |displaced: &&DisplacedRoute| displaced.route.options.protocol == Some(RouteProtocol::OURS.0);
    let mut all: Vec<DisplacedRoute> = seen.iter().filter(|displaced| !is_ours(displaced)).cloned().collect();
    for displaced in siblings.iter().flat_map(|sibling| &sibling.displaced) {
        let family = Family::of(displaced.route.to.addr());
        if families.contains(&family) && !all.contains(displaced) {
            all.push(displaced.clone());
        }
    }
    all
}

/// What the sandbox has for a default route when an endpoint goes.
pub(crate) fn heirs_of(session: &mut Session, endpoint: &Endpoint, way: &NsRef) -> Result<Heirs, Error> {
    let siblings = siblings(session, endpoint)?;
    if siblings.is_empty() && endpoint.displaced.is_empty() {
        return Ok(Heirs::default());
    }
    let of_both = siblings.iter().chain([endpoint]).flat_map(|e| &e.addresses);
    let gateways: Vec<IpAddr> = of_both.filter_map(|a| a.gateway).collect();
    let families: Vec<Family> = endpoint.addresses.iter().map(|a| Family::of(a.address.addr())).collect();
    let foreign = foreign_defaults(session, way, &families, &gateways)?;
    let mut endpoint = endpoint.clone();
    endpoint.displaced = still_possible(session, way, endpoint.displaced)?;
    Ok(heirs(&endpoint, &siblings, &foreign))
}

/// The routes that the kernel would take again: their devices are up, and have addresses that reach the next hops.
fn still_possible(
    session: &mut Session,
    way: &NsRef,
    displaced: Vec<DisplacedRoute>,
) -> Result<Vec<DisplacedRoute>, Error> {
    let place = Place::Sandbox(way.clone());
    let mut possible = Vec::new();
    for before in displaced {
        let link = session.kernel.link(&place, before.device.as_str()).map_err(Error::kernel(OBJECT))?;
        let Some(link) = link.filter(|link| link.state == AdminState::Up) else { continue };
        let own = session.kernel.addresses(&place, Some(link.index)).map_err(Error::kernel(OBJECT))?;
        let options = before.route.options;
        let is_reached = |via: IpAddr| {
            let is_link_local = matches!(via, IpAddr::V6(via) if via.is_unicast_link_local());
            options.on_link || is_link_local || own.iter().any(|own| own.address.contains(&via))
        };
        let has_source = options.source.is_none_or(|source| own.iter().any(|own| own.address.addr() == source));
        if has_source && before.route.via.is_none_or(is_reached) {
            possible.push(before);
        }
    }
    Ok(possible)
}
