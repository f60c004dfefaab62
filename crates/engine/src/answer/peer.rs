//! The other end of a veth.

use crate::error::Error;
use crate::look::far_end::{Behind, behind, is_pair};
use crate::session::Session;
use zubi_model::IfIndex;
use zubi_plan::Place;
use zubi_snapshot::{Needs, Snapshot};

/// A veth of the host and its other end.
#[derive(Debug, Clone)]
pub struct PeerView {
    /// The device of the host.
    pub device: String,
    /// Its index.
    pub index: IfIndex,
    /// The index of the other end, in that end's namespace.
    pub peer_index: Option<IfIndex>,
    /// The bridge or other device that it is a port of.
    pub master: Option<String>,
    /// Who has the other end; `None` if it is gone.
    pub behind: Option<Behind>,
}

/// Finds the other end of a veth of the host.
pub(crate) fn peer(session: &mut Session, device: &str) -> Result<PeerView, Error> {
    let mut snapshot = Snapshot::new();
    session.read(&mut snapshot, &Needs::new().links(&Place::Host), "devices")?;
    let unread = || Error::unread("devices");
    let name = || device.to_owned();
    let link = snapshot.link(&Place::Host, device).map_err(unread())?.cloned();
    let link = link.ok_or_else(|| Error::NoDevice { name: name() })?;
    if !is_pair(&link) {
        return Err(Error::OtherKind { name: name(), kind: link.kind, wanted: "a veth: it has no other end" });
    }
    let master = snapshot.links(&Place::Host).map_err(unread())?.find(|other| link.master == Some(other.index));
    let master = master.map(|master| master.name.clone());
    let behind = behind(session, &mut snapshot, &[&link])?.pop().flatten();
    Ok(PeerView { device: name(), index: link.index, peer_index: link.peer, master, behind })
}
