//! The devices of the host.

use crate::error::Error;
use crate::session::Session;
use zubi_model::{IfName, Mac};
use zubi_plan::Place;
use zubi_snapshot::{Needs, OvsAnswer, Snapshot};

/// A device of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostDevice {
    /// Its name.
    pub name: String,
    /// "bridge", "veth", ...; hardware has none.
    pub kind: Option<String>,
    /// Its MAC, when it has one.
    pub mac: Option<Mac>,
    /// Its MTU in bytes.
    pub mtu: u32,
}

/// All of them.
pub(crate) fn host_devices(session: &mut Session) -> Result<Vec<HostDevice>, Error> {
    let links = session.kernel.links(&Place::Host, None).map_err(Error::kernel("devices"))?;
    let shown =
        links.into_iter().map(|link| HostDevice { name: link.name, kind: link.kind, mac: link.mac, mtu: link.mtu });
    Ok(shown.collect())
}

pub(crate) fn is_ovs_bridge(session: &mut Session, name: &IfName) -> Result<bool, Error> {
    let mut host = Snapshot::new();
    session.read(&mut host, &Needs::new().ovs(), "Open vSwitch")?;
    Ok(match host.ovs().map_err(Error::unread("Open vSwitch"))? {
        OvsAnswer::Seen(seen) => seen.bridge(name.as_str()).is_some(),
        OvsAnswer::Silent(_) => false,
    })
}
