//! The kernel's state of this host and of the sandboxes that zubi knows.

use crate::error::Error;
use crate::records::read_records;
use crate::session::Session;
use std::collections::HashSet;
use zubi_kernel::named;
use zubi_model::NsRef;
use zubi_plan::Place;
use zubi_snapshot::{Needs, Snapshot};

/// Reads the host, every sandbox with an endpoint or a link, and every named sandbox.
pub(crate) fn snapshot(session: &mut Session) -> Result<Snapshot, Error> {
    let records = read_records(session)?;
    let endpoints = records.endpoints.iter().chain(&records.pending).map(|endpoint| &endpoint.sandbox.reached_by);
    let ends = records.links.iter().chain(&records.unfinished_links).flat_map(|link| &link.ends);
    let of_links = ends.filter_map(|end| end.place.sandbox()).map(|sandbox| &sandbox.reached_by);
    let mut sandboxes: HashSet<NsRef> = endpoints.chain(of_links).cloned().collect();
    sandboxes.extend(named::list().map_err(Error::kernel("named namespaces"))?.into_iter().map(NsRef::Named));
    let places = sandboxes.into_iter().map(Place::Sandbox).chain([Place::Host]);
    let mut snapshot = Snapshot::new();
    let mut needs = Needs::everything(places);
    if session.kernel.has_ovs() {
        needs = needs.ovs();
    }
    session.read(&mut snapshot, &needs, "this host")?;
    Ok(snapshot)
}
