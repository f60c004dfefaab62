//! Looks for the two ends of a direct link.

use crate::error::Error;
use crate::look::device::leads_to_the_ended;
use crate::look::sandbox::{Resolved, way_to};
use crate::session::Session;
use zubi_model::{DirectLink, IfName, LinkEnd, LinkPlace, NsRef};
use zubi_plan::Place;
use zubi_wire::route::{AdminState, LinkSeen};

/// The state of one end.
#[derive(Debug)]
pub(crate) enum EndSeen {
    /// No known path leads to its namespace.
    NoWay,
    /// It is not in its namespace.
    Absent,
    /// It is in its namespace.
    There(Box<LinkSeen>),
    /// It is in its namespace, under another name.
    Renamed(IfName),
}

/// Both ends: the place of each now, and its state.
pub(crate) type EndsSeen = [(Place, EndSeen); 2];

/// The wished place of an end; `None` is the host.
pub(crate) type Spot<'a> = Option<&'a Resolved>;

/// The sandboxes among these places whose loopback is down.
pub(crate) fn loopbacks_down(session: &mut Session, spots: [Spot<'_>; 2]) -> Result<Vec<NsRef>, Error> {
    let mut down: Vec<NsRef> = Vec::new();
    for sandbox in spots.into_iter().flatten() {
        let place = Place::Sandbox(sandbox.reached_by.clone());
        let object = Error::kernel(format!("sandbox {}", sandbox.spelled));
        let loopback = session.kernel.link(&place, IfName::loopback().as_str()).map_err(object)?;
        if loopback.is_some_and(|l| l.state == AdminState::Down) && !down.contains(&sandbox.reached_by) {
            down.push(sandbox.reached_by.clone());
        }
    }
    Ok(down)
}

/// Looks for both ends of a link.
pub(crate) fn link_ends(session: &mut Session, link: &DirectLink) -> Result<EndsSeen, Error> {
    Ok([link_end(session, &link.ends[0])?, link_end(session, &link.ends[1])?])
}

fn link_end(session: &mut Session, end: &LinkEnd) -> Result<(Place, EndSeen), Error> {
    let place = zubi_plan::link::place(end);
    if let LinkPlace::Sandbox(sandbox) = &end.place
        && way_to(session, sandbox, None)?.is_none()
    {
        return Ok((place, EndSeen::NoWay));
    }
    let failed = || Error::kernel(format!("link {end}"));
    let ours = |l: &LinkSeen| {
        let marked = end.place != LinkPlace::Host || l.group.is_ours();
        l.mac == Some(end.mac) && l.kind.as_deref() == Some("veth") && marked
    };
    let named = session.kernel.link(&place, end.ifname.as_str()).map_err(failed())?;
    if let Some(seen) = named.filter(ours) {
        return Ok((place, EndSeen::There(Box::new(seen))));
    }
    let all = session.kernel.links(&place, None).map_err(failed())?;
    let renamed = all.iter().filter(|l| ours(l)).find_map(|l| l.name.parse().ok());
    Ok((place, renamed.map_or(EndSeen::Absent, EndSeen::Renamed)))
}

/// Whether a link is gone. An error means: unknown.
pub(crate) fn is_gone_link(session: &mut Session, link: &DirectLink) -> Result<bool, Error> {
    let ends = link_ends(session, link)?;
    are_gone(session, &ends)
}

/// Whether these ends are gone: at least one namespace cannot be reached, and both devices are missing, or about to be
/// since that namespace has ended. An error means: unknown.
pub(crate) fn are_gone(session: &mut Session, ends: &EndsSeen) -> Result<bool, Error> {
    if !ends.iter().any(|(_, end)| matches!(end, EndSeen::NoWay)) {
        return Ok(false);
    }
    for (place, end) in ends {
        let is_gone = match end {
            EndSeen::NoWay | EndSeen::Absent => true,
            EndSeen::There(seen) => leads_to_the_ended(session, place, seen)?,
            EndSeen::Renamed(_) => false,
        };
        if !is_gone {
            return Ok(false);
        }
    }
    Ok(true)
}
