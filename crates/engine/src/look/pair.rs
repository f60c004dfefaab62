//! Looks at a pair that somebody made by hand and that an endpoint is to take over. Everything that speaks against it is
//! found here, before the first effect.

use crate::error::Error;
use crate::look::far_end::behind;
use crate::look::sandbox::Resolved;
use crate::session::Session;
use ipnet::IpNet;
use std::net::IpAddr;
use zubi_model::{Family, IfIndex, IfName, Network, Wishes};
use zubi_plan::{Op, Place, Taken, TakenNow, What};
use zubi_snapshot::{Needs, Snapshot};
use zubi_wire::route::{Address, AdminState, LinkChange, LinkSeen, RouteProtocol};

/// Routes that the kernel makes for the addresses of a device (`RTPROT_KERNEL` in linux/rtnetlink.h).
const BY_KERNEL: RouteProtocol = RouteProtocol(2);

/// The pair whose end on the host has this name, if the sandbox can be attached to the network by it.
pub(crate) fn pair_to_take(
    session: &mut Session,
    network: &Network,
    sandbox: &Resolved,
    device: &IfName,
) -> Result<Taken, Error> {
    let refuse = |why: String, next: String| Error::NotTaken { device: device.clone(), why, next };
    let Some(outer) = session.kernel.link(&Place::Host, device.as_str()).map_err(failed(device))? else {
        let cause = Box::new(Error::NoDevice { name: device.to_string() });
        return Err(Error::Advised { cause, advice: "without --device, zubi makes a pair".into() });
    };
    if outer.kind.as_deref() != Some("veth") {
        let wanted = "one end of a veth pair; without --device, zubi makes one";
        return Err(Error::OtherKind { name: device.to_string(), kind: outer.kind, wanted });
    }
    if let Some((whose, next)) = owner_in_records(session, device) {
        return Err(refuse(whose, next));
    }
    if outer.group.is_ours() {
        return Err(refuse("carries zubi's mark and has no record".into(), "zubi gc removes what is left over".into()));
    }
    let place = Place::Sandbox(sandbox.reached_by.clone());
    let Some(inner) = other_end_in(session, sandbox, &outer)? else {
        let (whose, next) = elsewhere(session, network, sandbox, device, &outer)?;
        return Err(refuse(whose, next));
    };
    let Ok(ifname) = inner.name.parse::<IfName>() else {
        let why = format!(
            "has its other end in {} under the name {:?}, which zubi does not take",
            sandbox.spelled, inner.name
        );
        return Err(refuse(why, "rename it there".into()));
    };
    let bridge = bridge_of(session, network, device, &outer)?;
    if inner.master.is_some() {
        let change = LinkChange { release: true, ..LinkChange::none(ifname.clone()) };
        let why = format!("has its other end {ifname} in {}, where it is a port of another device", sandbox.spelled);
        return Err(refuse(why, first(sandbox, What::ChangeLink(change))));
    }
    if let Some(address) = addresses_on(session, &Place::Host, outer.index)?.first() {
        let why = format!("has the address {address} on the host, where the end of an endpoint only carries frames");
        return Err(refuse(why, format!("ip addr del {address} dev {device} first")));
    }
    let addresses = addresses_on(session, &place, inner.index)?;
    Ok(Taken { host: device.clone(), outer, bridge, ifname, inner, addresses })
}

/// The wishes with what the pair has: the name of its end in the sandbox, and the addresses there.
pub(crate) fn wishes_with_pair(
    session: &mut Session,
    network: &Network,
    sandbox: &Resolved,
    wishes: &Wishes,
    taken: &Taken,
) -> Result<Wishes, Error> {
    let mut wishes = wishes.clone();
    let inside = format!("{} in {}", taken.ifname, sandbox.spelled);
    let refuse = |why: String, next: String| Error::NotTaken { device: taken.host.clone(), why, next };
    let away = |address: &IpNet| first(sandbox, What::DeleteAddress(Address::new(*address, taken.ifname.clone())));
    let asked: Vec<IpAddr> = wishes.addresses.clone();
    for address in &taken.addresses {
        let family = Family::of(address.addr());
        let is_of_network = network.pools_of(family).any(|pool| {
            let subnet = pool.subnet.net();
            subnet.contains(&address.addr()) && subnet.prefix_len() == address.prefix_len()
        });
        if !is_of_network {
            let why = format!("leads to {inside}, which has the address {address}, none of network {}'s", network.name);
            return Err(refuse(why, away(address)));
        }
        if asked.iter().any(|asked| Family::of(*asked) == family) {
            if !asked.contains(&address.addr()) {
                let why = format!("leads to {inside}, which has the address {address}, not the one asked for");
                return Err(refuse(why, format!("leave --ip out, or {}", away(address))));
            }
        } else if let Some(earlier) = wishes.addresses.iter().find(|earlier| Family::of(**earlier) == family) {
            let why = format!("leads to {inside}, which has two {family} addresses, {earlier} and {address}");
            return Err(refuse(why, away(address)));
        } else {
            wishes.addresses.push(address.addr());
        }
    }
    let ifname = wishes.ifname.get_or_insert_with(|| taken.ifname.clone());
    if *ifname != taken.ifname && taken.inner.state == AdminState::Up {
        let loses =
            taken.addresses.iter().any(|address| address.addr().is_ipv6()) || has_routes(session, sandbox, taken)?;
        if loses {
            let why = format!("leads to {inside}, which has to go down to be called {ifname} and loses routes then");
            let down = LinkChange::state(taken.ifname.clone(), AdminState::Down);
            return Err(refuse(why, format!("leave --ifname out, or {}", first(sandbox, What::ChangeLink(down)))));
        }
    }
    Ok(wishes)
}

/// Both ends of a pair whose taking was not completed, under whatever names they have now.
pub(crate) fn taken_now(
    session: &mut Session,
    taken: &Taken,
    way: Option<&zubi_model::NsRef>,
) -> Result<TakenNow, Error> {
    let outer = session.kernel.link_at(&Place::Host, taken.outer.index).map_err(failed(&taken.host))?;
    let outer = outer.filter(|seen| taken.is_outer(seen));
    let mut inner = None;
    if let (Some(_), Some(way)) = (&outer, way) {
        let place = Place::Sandbox(way.clone());
        let seen = session.kernel.link_at(&place, taken.inner.index).map_err(failed(&taken.host))?;
        inner = seen.filter(|seen| taken.is_inner(seen)).map(|seen| (way.clone(), seen));
    }
    Ok(TakenNow { outer, inner })
}

fn failed(device: &IfName) -> impl FnOnce(zubi_kernel::Error) -> Error + use<> {
    Error::kernel(format!("device {device}"))
}

/// The command in the sandbox that clears the way.
fn first(sandbox: &Resolved, what: What) -> String {
    format!("{} first", Op::sandbox(&sandbox.reached_by, what, ""))
}

/// Whose the device is by our records, and how it gets free.
fn owner_in_records(session: &Session, device: &IfName) -> Option<(String, String)> {
    let endpoints = session.store().all_endpoints_lossy().0;
    if let Some(endpoint) = endpoints.iter().find(|endpoint| endpoint.host_device() == Some(device)) {
        let (network, sandbox) = (&endpoint.network, &endpoint.sandbox.spelled);
        let whose = format!("is zubi's already: it connects {sandbox} to network {network}");
        return Some((whose, format!("zubi disconnect {network} {sandbox} deletes it")));
    }
    let links = session.store().links_lossy().0;
    let is_end = |end: &zubi_model::LinkEnd| end.place == zubi_model::LinkPlace::Host && end.ifname == *device;
    let link = links.iter().find(|link| link.ends.iter().any(is_end))?;
    Some((format!("is zubi's already: an end of link {link}"), format!("zubi link rm host:{device} deletes it")))
}

/// The other end, if it is in the sandbox.
fn other_end_in(session: &mut Session, sandbox: &Resolved, outer: &LinkSeen) -> Result<Option<LinkSeen>, Error> {
    let failed = || Error::kernel(format!("sandbox {}", sandbox.spelled));
    let (Some(peer), Some(netns)) = (outer.peer, outer.peer_netns) else { return Ok(None) };
    if session.kernel.netns_id(&sandbox.reached_by).map_err(failed())? != Some(netns) {
        return Ok(None);
    }
    let place = Place::Sandbox(sandbox.reached_by.clone());
    let seen = session.kernel.link_at(&place, peer).map_err(failed())?;
    Ok(seen.filter(|seen| seen.peer == Some(outer.index) && seen.kind == outer.kind))
}

/// Where the other end is, and the next step.
fn elsewhere(
    session: &mut Session,
    network: &Network,
    sandbox: &Resolved,
    device: &IfName,
    outer: &LinkSeen,
) -> Result<(String, String), Error> {
    let mut snapshot = Snapshot::new();
    session.read(&mut snapshot, &Needs::new().links(&Place::Host), "devices")?;
    let behind = behind(session, &mut snapshot, &[outer])?.pop().flatten();
    let name =
        |device: Option<&crate::look::far_end::FarDevice>| device.map_or_else(String::new, |d| format!(" {}", d.name));
    Ok(match behind {
        Some(behind) if behind.owner == crate::look::owner::Owner::Host => {
            let far = name(behind.device.as_ref());
            let inside = match &sandbox.reached_by {
                zubi_model::NsRef::Named(name) => name.to_string(),
                zubi_model::NsRef::Path(path) => path.display().to_string(),
            };
            let moved = format!("ip link set{far} netns {inside} first");
            (format!("has its other end{far} on the host too, not in {}", sandbox.spelled), moved)
        }
        Some(behind) => {
            let (far, owner) = (name(behind.device.as_ref()), behind.owner);
            let next = format!("zubi connect {} {owner} --device {device} would take it there", network.name);
            (format!("has its other end{far} in {owner}, not in {}", sandbox.spelled), next)
        }
        None => {
            (format!("has no other end that can be seen, so none in {}", sandbox.spelled), "make another pair".into())
        }
    })
}

/// The network's bridge, if the end on the host is a port of it already. Fails if it is another device's.
fn bridge_of(
    session: &mut Session,
    network: &Network,
    device: &IfName,
    outer: &LinkSeen,
) -> Result<Option<IfName>, Error> {
    let Some(master) = outer.master else { return Ok(None) };
    let seen = session.kernel.link_at(&Place::Host, master).map_err(failed(device))?;
    let name = seen.map_or_else(|| "another device".to_owned(), |seen| seen.name);
    if name == network.device().as_str() {
        return Ok(Some(network.device().clone()));
    }
    Err(Error::NotTaken {
        device: device.clone(),
        why: format!("is a port of {name}, not of {}, the bridge of network {}", network.device(), network.name),
        next: format!("ip link set {device} nomaster first"),
    })
}

/// The addresses of a device, without link-local ones of IPv6.
fn addresses_on(session: &mut Session, place: &Place, device: IfIndex) -> Result<Vec<IpNet>, Error> {
    let seen = session.kernel.addresses(place, Some(device)).map_err(Error::kernel("addresses"))?;
    let is_link_local = |address: &IpAddr| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
    Ok(seen.into_iter().map(|seen| seen.address).filter(|address| !is_link_local(&address.addr())).collect())
}

/// Whether routes lead through the end in the sandbox that the kernel does not make again by itself.
fn has_routes(session: &mut Session, sandbox: &Resolved, taken: &Taken) -> Result<bool, Error> {
    let place = Place::Sandbox(sandbox.reached_by.clone());
    for family in [Family::V4, Family::V6] {
        let routes = session.kernel.routes(&place, family).map_err(Error::kernel("routes of the sandbox"))?;
        let through = |route: &zubi_wire::route::RouteSeen| route.device == Some(taken.inner.index);
        if routes.iter().any(|route| through(route) && route.protocol != BY_KERNEL) {
            return Ok(true);
        }
    }
    Ok(false)
}
