//! Looks for the devices of an endpoint, and checks that they are ours.

use crate::error::Error;
use crate::problem::describe;
use crate::session::Session;
use zubi_model::{Endpoint, NsRef};
use zubi_plan::{Place, driver};
use zubi_snapshot::{Needs, Snapshot, inner_end_differs};
use zubi_wire::route::LinkSeen;

/// The host end, if it exists and is ours.
pub(crate) fn host_end(session: &mut Session, endpoint: &Endpoint) -> Result<Option<LinkSeen>, Error> {
    host_end_in(session, &mut Snapshot::new(), endpoint)
}

/// The host end in a snapshot, if it exists and is ours.
pub(crate) fn host_end_in(
    session: &mut Session,
    snapshot: &mut Snapshot,
    endpoint: &Endpoint,
) -> Result<Option<LinkSeen>, Error> {
    let Some(name) = endpoint.host_device() else { return Ok(None) };
    let object = format!("device {name}");
    session.read(snapshot, &Needs::new().link(&Place::Host, name.as_str()), &object)?;
    let seen = snapshot.link(&Place::Host, name.as_str()).map_err(Error::unread(object))?;
    Ok(seen.filter(|seen| driver::recognise_host_end(endpoint, Some(seen)).is_ours()).cloned())
}

/// Whether the sandbox behind this end of a pair has ended. The kernel takes the devices down a little later.
pub(crate) fn leads_to_the_ended(session: &mut Session, place: &Place, end: &LinkSeen) -> Result<bool, Error> {
    let Some(id) = end.peer_netns else { return Ok(false) };
    let failed = Error::kernel(format!("other end of {}", end.name));
    Ok(!session.kernel.exists(place, id).map_err(failed)?)
}

/// How the inner end of a pair differs from its record, in words. The host end exists, so the inner end may be renamed,
/// moved to another namespace, or have another MAC.
pub(crate) fn inner_end_problem(
    session: &mut Session,
    snapshot: &mut Snapshot,
    endpoint: &Endpoint,
    way: &NsRef,
) -> Result<Option<String>, Error> {
    let inside = Place::Sandbox(way.clone());
    let object = describe(endpoint);
    session.read(snapshot, &Needs::new().link(&inside, endpoint.ifname.as_str()), &object)?;
    inner_end_differs(snapshot, &inside, &endpoint.ifname, endpoint.mac).map_err(Error::unread(object))
}
