//! Looks for the devices of an endpoint, and checks that they are ours.

use crate::error::Error;
use crate::look::moved::moved_inside;
use crate::look::sandbox::way_in;
use crate::problem::describe;
use crate::session::Session;
use zubi_model::{Endpoint, IfName, NsRef};
use zubi_plan::{Place, driver};
use zubi_snapshot::{Needs, Snapshot, inner_end_differs};
use zubi_wire::route::LinkSeen;

/// The device of an endpoint, if it exists and is ours: the host end of a pair, or the device inside the sandbox, which
/// may have another name or MAC by now. `via`: a way into the sandbox beside the recorded one.
pub(crate) fn device(
    session: &mut Session,
    endpoint: &Endpoint,
    via: Option<&NsRef>,
) -> Result<Option<LinkSeen>, Error> {
    device_in(session, &mut Snapshot::new(), endpoint, via)
}

/// The device of an endpoint in a snapshot, if it exists and is ours.
pub(crate) fn device_in(
    session: &mut Session,
    snapshot: &mut Snapshot,
    endpoint: &Endpoint,
    via: Option<&NsRef>,
) -> Result<Option<LinkSeen>, Error> {
    if let Some(moved) = endpoint.device.moved() {
        let Ok(Some(way)) = way_in(session, endpoint, via) else { return Ok(None) };
        return moved_inside(session, endpoint, moved, &way);
    }
    if let Some(parent) = endpoint.device.parent() {
        if let Some(waiting) = waiting(session, endpoint)? {
            return Ok(Some(waiting));
        }
        // Whether the sandbox is gone or cannot be examined is the caller's question.
        let Ok(Some(way)) = way_in(session, endpoint, via) else { return Ok(None) };
        return on_parent(session, snapshot, endpoint, parent, way);
    }
    let Some(name) = endpoint.host_device() else { return Ok(None) };
    let object = format!("device {name}");
    session.read(snapshot, &Needs::new().link(&Place::Host, name.as_str()), &object)?;
    let seen = snapshot.link(&Place::Host, name.as_str()).map_err(Error::unread(object))?;
    Ok(seen.filter(|seen| driver::recognise_host_end(endpoint, Some(seen)).is_ours()).cloned())
}

/// The device on `parent` that has the endpoint's name or MAC; one with both comes first.
fn on_parent(
    session: &mut Session,
    snapshot: &mut Snapshot,
    endpoint: &Endpoint,
    parent: &IfName,
    way: NsRef,
) -> Result<Option<LinkSeen>, Error> {
    let (object, inside) = (describe(endpoint), Place::Sandbox(way));
    session.read(snapshot, &Needs::new().links(&inside).link(&Place::Host, parent.as_str()), &object)?;
    let unread = || Error::unread(&object);
    let parent = snapshot.link(&Place::Host, parent.as_str()).map_err(unread())?.map(|parent| parent.index);
    let has_name = |seen: &&LinkSeen| seen.name == endpoint.ifname.as_str();
    let has_mac = |seen: &&LinkSeen| driver::recognise_inner_end(endpoint, Some(seen)).is_ours();
    let is_on = |seen: &&LinkSeen| {
        parent.is_some() && seen.peer == parent && seen.kind.as_deref() == endpoint.device.inner_kind()
    };
    let all: Vec<&LinkSeen> = snapshot.links(&inside).map_err(unread())?.collect();
    let of = |is: &dyn Fn(&&LinkSeen) -> bool| all.iter().find(|seen| is(seen)).copied().cloned();
    let whole = of(&|seen| has_name(seen) && has_mac(seen) && (is_on(seen) || endpoint.device.ipvlan().is_none()));
    Ok(whole.or_else(|| of(&|seen| is_on(seen) && (has_mac(seen) || has_name(seen)))))
}

/// Whether the device of a handed over endpoint is still on the host.
pub(crate) fn waits_here(session: &mut Session, endpoint: &Endpoint) -> Result<bool, Error> {
    Ok(waiting(session, endpoint)?.is_some())
}

/// The device of a handed over endpoint inside its sandbox, under whatever name.
pub(crate) fn device_inside(session: &mut Session, endpoint: &Endpoint) -> Result<Option<LinkSeen>, Error> {
    if waits_here(session, endpoint)? {
        return Ok(None);
    }
    let Some(way) = way_in(session, endpoint, None)? else { return Ok(None) };
    let (object, inside) = (describe(endpoint), Place::Sandbox(way));
    let mut snapshot = Snapshot::new();
    session.read(&mut snapshot, &Needs::new().links(&inside), &object)?;
    let mut all = snapshot.links(&inside).map_err(Error::unread(&object))?;
    Ok(all.find(|seen| driver::recognise_inner_end(endpoint, Some(seen)).is_ours()).cloned())
}

fn waiting(session: &mut Session, endpoint: &Endpoint) -> Result<Option<LinkSeen>, Error> {
    let Some(name) = &endpoint.handed_over else { return Ok(None) };
    let seen = session.kernel.link(&Place::Host, name.as_str()).map_err(Error::kernel(format!("device {name}")))?;
    Ok(seen.filter(|seen| seen.mac.is_some_and(|mac| endpoint.macs().any(|own| own == mac))))
}

/// Whether the sandbox behind this end of a pair has ended. The kernel takes the devices down a little later.
pub(crate) fn leads_to_the_ended(session: &mut Session, place: &Place, end: &LinkSeen) -> Result<bool, Error> {
    let Some(id) = end.peer_netns else { return Ok(false) };
    let failed = Error::kernel(format!("other end of {}", end.name));
    Ok(!session.kernel.exists(place, id).map_err(failed)?)
}

/// How the device inside differs from its record, in words. The endpoint's device exists, so the inner end may be
/// renamed, moved to another namespace, or have another MAC.
pub(crate) fn inner_end_problem(
    session: &mut Session,
    snapshot: &mut Snapshot,
    endpoint: &Endpoint,
    way: &NsRef,
) -> Result<Option<String>, Error> {
    let inside = Place::Sandbox(way.clone());
    let object = describe(endpoint);
    session.read(snapshot, &Needs::new().link(&inside, endpoint.ifname.as_str()), &object)?;
    let mac = endpoint.device.has_own_mac().then_some(endpoint.mac);
    inner_end_differs(snapshot, &inside, &endpoint.ifname, mac).map_err(Error::unread(object))
}
