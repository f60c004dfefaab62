//! Direct links: two sandboxes, or a sandbox and the host, connected without a bridge.

use crate::error::Error;
use crate::fault::Fault;
use crate::heal::gone::free_link_if_gone;
use crate::heal::leftovers::{recover_first, recover_links};
use crate::look::addresses_in_use::{addresses_in_use, is_link_local};
use crate::look::clock::nanoseconds;
use crate::look::link_ends::{EndSeen, Spot, link_ends, loopbacks_down};
use crate::look::sandbox::{Resolved, resolve, still_there};
use crate::perform::attach::Attachment;
use crate::random::random;
use crate::report::{Act, Report};
use crate::session::Session;
use crate::steps::apply::{apply, take_down};
use crate::undo::link::{Locks, remove_link};
use ipnet::IpNet;
use zubi_kernel::Deletions;
use zubi_model::{
    DirectLink, Family, IfName, Invalid, LinkEnd, LinkEndRef, LinkId, LinkPlace, LinkPlaceRef, LinkWishes, Mac, Mtu,
    NetnsCookie, NsRef, SandboxIdentity,
};
use zubi_plan::link::make;
use zubi_plan::{Place, Plan};
use zubi_snapshot::Snapshot;
use zubi_store::HostLock;

/// The result of making a link.
#[derive(Debug, Clone)]
pub struct Linked {
    /// The link; its first end is the one that was named first.
    pub link: DirectLink,
    /// Whether the call made it.
    pub attachment: Attachment,
}

/// Links two sandboxes, or a sandbox and the host. Repeating the call with the same wishes returns the existing link.
pub(crate) fn make_link(session: &mut Session, wishes: &LinkWishes, act: Act) -> Result<Report<Linked>, Error> {
    let [a, b] = [link_spot(session, &wishes.ends[0])?, link_spot(session, &wishes.ends[1])?];
    let host = &session.store().lock_host()?;
    recover_first(session, host, act)?;
    let spots = [a.as_ref(), b.as_ref()];
    let ends = &wishes.ends;
    if cookie(spots[0]) == cookie(spots[1]) && ends[0].ifname == ends[1].ifname {
        let link = format!("{} {}", ends[0], ends[1]);
        return Err(Invalid::new("link", link, "has the same end twice").into());
    }
    let cookies: Vec<NetnsCookie> = spots.into_iter().filter_map(cookie).collect();
    let locks = session.store().lock_sandboxes(host, cookies)?;
    for sandbox in spots.into_iter().flatten() {
        // The sandbox may have been removed while we waited for the lock.
        still_there(session, sandbox)?;
    }
    if act == Act::Apply {
        recover_links(session, host, &locks)?;
    }
    link_locked(session, host, wishes, spots, &locks, act)
}

fn link_locked(
    session: &mut Session,
    host: &HostLock,
    wishes: &LinkWishes,
    spots: [Spot<'_>; 2],
    locks: &Locks,
    act: Act,
) -> Result<Report<Linked>, Error> {
    let mut wishes = wishes.clone();
    let existing = link_between(session, &wishes, spots);
    if let Some(existing) = &existing {
        if link_ends(session, existing)?.iter().any(|(_, end)| matches!(end, EndSeen::There(_))) {
            return existing_link(existing.clone(), &wishes);
        }
        // The devices were deleted: make the link again as recorded, except where the wishes differ.
        wishes = or_as_before(wishes, existing);
        if act == Act::Apply {
            remove_link(session, existing)?;
        }
    }
    for (spot, (end, addresses)) in spots.into_iter().zip(wishes.ends.iter().zip(&wishes.addresses)) {
        free_end(session, host, spot, end, existing.as_ref().map(|l| &l.id), locks, act)?;
        free_addresses(session, spot, end, addresses)?;
    }
    let end = |at: usize| -> Result<LinkEnd, Error> {
        Ok(LinkEnd {
            place: spots[at].map_or(LinkPlace::Host, |s| LinkPlace::Sandbox(identity(s))),
            ifname: wishes.ends[at].ifname.clone(),
            mac: Mac::from_random(random()?),
            addresses: wishes.addresses[at].clone(),
        })
    };
    let link = DirectLink {
        id: LinkId::from_random(random()?),
        ends: [end(0)?, end(1)?],
        mtu: wishes.mtu,
        made_at: nanoseconds()?,
    };
    let down = loopbacks_down(session, spots)?;
    let plan = make(&link, &down);
    if act == Act::Apply {
        apply_link(session, &link, spots, &plan, &down)?;
    }
    Ok(Report { plan, value: Linked { link, attachment: Attachment::New } })
}

/// Writes the record, then makes the link. If that fails, the link is removed completely, and loopback devices that
/// were down are set down again.
fn apply_link(
    session: &mut Session,
    link: &DirectLink,
    spots: [Spot<'_>; 2],
    plan: &Plan,
    down: &[NsRef],
) -> Result<(), Error> {
    let made: Result<(), Error> = (|| {
        session.store().begin_link(link)?;
        apply(session, &format!("link {link}"), plan)?;
        for sandbox in spots.into_iter().flatten() {
            still_there(session, sandbox)?;
        }
        Ok(session.store().finish_link(&link.id)?)
    })();
    if let Err(error) = made {
        let loopbacks = zubi_plan::link::loopbacks_down(down);
        return Err(error.after_undo(
            remove_link(session, link).and_then(|()| {
                Fault::muted(|| take_down(session, &format!("link {link}"), &loopbacks, Deletions::Now))
            }),
        ));
    }
    Ok(())
}

fn link_spot(session: &mut Session, end: &LinkEndRef) -> Result<Option<Resolved>, Error> {
    match &end.place {
        LinkPlaceRef::Host => Ok(None),
        LinkPlaceRef::Sandbox(sandbox) => resolve(session, sandbox).map(Some),
    }
}

/// The recorded link between these ends, with the first of them first.
fn link_between(session: &Session, wishes: &LinkWishes, spots: [Spot<'_>; 2]) -> Option<DirectLink> {
    let is = |end: &LinkEnd, at: usize| end.is(cookie(spots[at]), &wishes.ends[at].ifname);
    session.store().links_lossy().0.into_iter().find_map(|mut link| {
        let [a, b] = &link.ends;
        let (same, turned) = (is(a, 0) && is(b, 1), is(a, 1) && is(b, 0));
        if turned {
            link.ends.swap(0, 1);
        }
        (same || turned).then_some(link)
    })
}

/// Checks that no device has the name of an end. `but`: the recorded link that is made again.
fn free_end(
    session: &mut Session,
    host: &HostLock,
    spot: Spot<'_>,
    end: &LinkEndRef,
    but: Option<&LinkId>,
    locks: &Locks,
    act: Act,
) -> Result<(), Error> {
    let taken = |by: String| Err(Error::EndTaken { end: end.to_string(), by });
    for link in session.store().links_lossy().0.into_iter().filter(|l| Some(&l.id) != but) {
        let Some(at) = link.ends.iter().position(|e| e.is(cookie(spot), &end.ifname)) else { continue };
        if !free_link_if_gone(session, host, &link, locks, act)? {
            return taken(format!("the end of its link to {}", link.ends[1 - at]));
        }
    }
    let place = spot.map_or(Place::Host, |s| Place::Sandbox(s.reached_by.clone()));
    let endpoints = session.store().all_endpoints_lossy().0;
    let of_endpoint = match spot {
        Some(s) => endpoints.iter().find(|e| e.sandbox.cookie == s.cookie && e.ifname == end.ifname),
        None => endpoints.iter().find(|e| e.host_device() == Some(&end.ifname)),
    };
    if let Some(endpoint) = of_endpoint {
        return taken(format!("the end of its connection to network {}", endpoint.network));
    }
    let seen = session.kernel.link(&place, end.ifname.as_str()).map_err(Error::kernel(format!("link {end}")))?;
    let Some(seen) = seen else { return Ok(()) };
    let networks = session.store().networks_lossy().0;
    if let Some(network) = networks.iter().find(|n| spot.is_none() && n.devices().any(|device| *device == end.ifname)) {
        let what = if network.bridge().is_some() { "bridge" } else { "device" };
        return taken(format!("the {what} of network {}", network.name));
    }
    let loopback = end.ifname == IfName::loopback();
    taken(match seen.kind {
        Some(kind) => format!("a {kind} device"),
        None if loopback => "the loopback device".into(),
        None => "a network device".into(),
    })
}

/// Checks that no device of the namespace has one of these addresses or an overlapping subnet. On the host, no other
/// route may lead to them either.
fn free_addresses(session: &mut Session, spot: Spot<'_>, end: &LinkEndRef, addresses: &[IpNet]) -> Result<(), Error> {
    if addresses.is_empty() {
        return Ok(());
    }
    let families: Vec<Family> = addresses.iter().map(|a| Family::of(a.addr())).collect();
    let taken =
        |address: &IpNet, by: String| Err(Error::LinkAddressTaken { end: end.to_string(), address: *address, by });
    let failed = || Error::kernel(format!("link {end}"));
    let place = spot.map_or(Place::Host, |s| Place::Sandbox(s.reached_by.clone()));
    let links = session.kernel.links(&place, None).map_err(failed())?;
    for seen in session.kernel.addresses(&place, None).map_err(failed())? {
        let device = links.iter().find(|l| l.index == seen.device).map_or("?", |l| l.name.as_str());
        for address in addresses {
            if address.addr() == seen.address.addr() {
                return taken(address, format!("is on {device} already"));
            }
            // Every device has the link-local subnet.
            if !is_link_local(address.addr()) && overlap(*address, seen.address) {
                return taken(address, format!("overlaps {} of {device}", seen.address));
            }
        }
    }
    if spot.is_none() {
        let networks = session.store().networks_lossy().0;
        let occupied = addresses_in_use(session, &mut Snapshot::new(), &networks, &families)?;
        for address in addresses.iter().filter(|a| !is_link_local(a.addr())) {
            let by = occupied.iter().find(|o| o.refuses(address.trunc()));
            if let Some(by) = by {
                return taken(address, format!("overlaps {}", by.by));
            }
        }
    }
    Ok(())
}

fn cookie(spot: Spot<'_>) -> Option<NetnsCookie> {
    spot.map(|s| s.cookie)
}

fn identity(sandbox: &Resolved) -> SandboxIdentity {
    SandboxIdentity { cookie: sandbox.cookie, spelled: sandbox.spelled.clone(), reached_by: sandbox.reached_by.clone() }
}

fn overlap(a: IpNet, b: IpNet) -> bool {
    a.contains(&b.addr()) || b.contains(&a.addr())
}

/// Returns the existing link, or fails if the wishes differ from it.
fn existing_link(link: DirectLink, wishes: &LinkWishes) -> Result<Report<Linked>, Error> {
    let differs =
        |what, has| Err(Error::LinkDiffers { link: link.to_string(), end: link.ends[0].to_string(), what, has });
    let [a, b] = [&link.ends[0].addresses, &link.ends[1].addresses];
    let asked = wishes.addresses.iter().any(|all| !all.is_empty());
    if asked && [a, b] != [&wishes.addresses[0], &wishes.addresses[1]] {
        let list = |all: &[IpNet]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let has = if a.is_empty() && b.is_empty() { "none".into() } else { format!("{},{}", list(a), list(b)) };
        return differs("addresses", has);
    }
    let mtu = link.mtu.unwrap_or(Mtu::STANDARD);
    if wishes.mtu.is_some_and(|wished| wished != mtu) {
        return differs("MTU", mtu.to_string());
    }
    Ok(Report { plan: Plan::new(), value: Linked { link, attachment: Attachment::Existing } })
}

/// Fills what the wishes leave open with the values of the recorded link between the same ends.
fn or_as_before(mut wishes: LinkWishes, earlier: &DirectLink) -> LinkWishes {
    if wishes.addresses.iter().all(Vec::is_empty) {
        wishes.addresses = [earlier.ends[0].addresses.clone(), earlier.ends[1].addresses.clone()];
    }
    wishes.mtu = wishes.mtu.or(earlier.mtu);
    wishes
}
