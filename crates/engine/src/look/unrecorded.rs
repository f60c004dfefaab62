//! Devices of ours that are in use but have no record: their records are lost.

use crate::error::Error;
use crate::records::Records;
use crate::session::Session;
use std::collections::HashSet;
use std::path::Path;
use zubi_kernel::Session as KernelSession;
use zubi_plan::alias::{self, EndpointMark, Maker};
use zubi_plan::{Place, driver};
use zubi_snapshot::{Needs, Snapshot};
use zubi_wire::route::LinkSeen;

/// A device of ours that has no record but is no leftover.
#[derive(Debug, Clone)]
pub(crate) struct Unrecorded {
    pub(crate) device: LinkSeen,
    pub(crate) mark: Option<EndpointMark>,
}

impl Unrecorded {
    /// The device in words.
    pub(crate) fn words(&self) -> String {
        match &self.mark {
            Some(mark) => format!("device {} ({} on network {})", self.device.name, mark.spelled, mark.network),
            None => format!("device {}", self.device.name),
        }
    }
}

fn unrecorded(device: &LinkSeen) -> Unrecorded {
    let mark = device.alias.as_deref().and_then(alias::read_endpoint);
    Unrecorded { device: device.clone(), mark }
}

/// Fails when a device of ours is in use, or another zubi instance has networks on this host. Called before a run
/// folder without records of this boot is used.
pub(crate) fn refuse_if_records_are_lost(kernel: &mut KernelSession, run: &Path) -> Result<(), Error> {
    let links = kernel.links(&Place::Host, None).map_err(Error::kernel("devices"))?;
    refuse_other_instance(&links, run)?;
    let living: Vec<String> =
        links.iter().filter(|link| driver::leads_to_a_sandbox(link)).map(|link| unrecorded(link).words()).collect();
    if living.is_empty() { Ok(()) } else { Err(Error::RecordsLost { run: run.to_owned(), living }) }
}

/// Two instances with different folders on one host would take each other's devices for leftovers.
fn refuse_other_instance(links: &[LinkSeen], run: &Path) -> Result<(), Error> {
    let own = alias::run_word(run);
    let marks = links.iter().filter_map(|link| {
        let mark = link.alias.as_deref().and_then(alias::read_network)?;
        let counts = link.group.is_ours() || mark.maker == Maker::Host;
        (counts && mark.run != own).then_some((link, mark))
    });
    match marks.into_iter().next() {
        None => Ok(()),
        Some((bridge, mark)) => Err(Error::OtherInstance {
            run: run.to_owned(),
            theirs: mark.run,
            network: mark.network,
            bridge: bridge.name.clone(),
        }),
    }
}

/// Fails when another zubi instance, with other folders, has networks on this host.
pub(crate) fn refuse_other_instance_now(session: &mut Session) -> Result<(), Error> {
    let links = session.kernel.links(&Place::Host, None).map_err(Error::kernel("devices"))?;
    refuse_other_instance(&links, &session.run_folder())
}

/// The devices of ours that are in use but have no record.
pub(crate) fn unrecorded_devices(
    session: &mut Session,
    records: &Records,
    snapshot: &mut Snapshot,
) -> Result<Vec<Unrecorded>, Error> {
    let known: HashSet<&str> = records.host_devices().collect();
    session.read(snapshot, &Needs::new().links(&Place::Host), "devices")?;
    let links = snapshot.links(&Place::Host).map_err(Error::unread("devices"))?;
    let mut all: Vec<Unrecorded> = links
        .filter(|link| driver::leads_to_a_sandbox(link) && !known.contains(link.name.as_str()))
        .map(unrecorded)
        .collect();
    all.sort_by(|a, b| a.device.name.cmp(&b.device.name));
    Ok(all)
}
