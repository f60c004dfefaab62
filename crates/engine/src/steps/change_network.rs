//! Changes a network from one state to another, or back.

use crate::error::Error;
use crate::fault::Fault;
use crate::firewall::forwarding::close_forwarding;
use crate::firewall::table::firewall_from_records;
use crate::look::compare::host_device;
use crate::look::default_route::siblings;
use crate::look::device::{device_in, inner_end_problem};
use crate::look::host::ipv6_forwarding;
use crate::look::sandbox::way_in;
use crate::session::Session;
use crate::steps::apply::apply;
use crate::steps::name_files;
use zubi_model::{Endpoint, Network, NetworkName};
use zubi_plan::driver::{self, InUse, Reached};
use zubi_plan::{Op, Place, Plan, Presence};
use zubi_snapshot::{Needs, Snapshot};
use zubi_store::{ExclusiveHost, NetworkDraft, Unsynced};

/// Syncs a changed record to disk. The change has not been reported yet, so it is undone if the sync fails, unless
/// another command has changed the network again.
pub(crate) fn sync_set(session: &mut Session, old: &Network, new: &Network, unsynced: Unsynced) -> Result<(), Error> {
    let Err(e) = session.store().sync(unsynced) else { return Ok(()) };
    Fault::muted(|| {
        let host = &session.store().lock_host_exclusive()?;
        if session.store().network(&new.name)?.as_ref() == Some(new) {
            undo_change(session, host, old, new)
        } else {
            Ok(())
        }
    })?;
    Err(e.into())
}

/// Applies a change and writes the record. The caller holds the exclusive host lock, and syncs the record after
/// releasing it.
pub(crate) fn apply_set(
    session: &mut Session,
    host: &ExclusiveHost,
    old: &Network,
    draft: NetworkDraft,
    plan: &Plan,
) -> Result<Unsynced, Error> {
    let new = draft.network().clone();
    let name = &new.name;
    let done: Result<Unsynced, Error> = (|| {
        if !plan.is_empty() {
            session.store().begin_network(host, &new)?;
        }
        apply_change(session, name, plan)?;
        let unsynced = session.store().publish_network(host, draft)?;
        session.store().end_network(host, name)?;
        Ok(unsynced)
    })();
    match done {
        Ok(unsynced) => Ok(unsynced),
        Err(error) => Err(error.after_undo(Fault::muted(|| undo_change(session, host, old, &new)))),
    }
}

/// Undoes the change to `new` in record and kernel.
fn undo_change(session: &mut Session, host: &ExclusiveHost, old: &Network, new: &Network) -> Result<(), Error> {
    let name = &new.name;
    // If this is killed as well, the next command must find the change and undo it.
    if session.store().network(name)?.as_ref() != Some(old) {
        session.store().begin_network(host, new)?;
        session.store().write_network(host, old)?;
    }
    return_to(session, old, new)?;
    Ok(session.store().end_network(host, name)?)
}

/// Undoes a half-done change in the kernel. `half` is the state that the interrupted command wanted.
pub(crate) fn return_to(session: &mut Session, record: &Network, half: &Network) -> Result<(), Error> {
    let plan = plan_change(session, half, record)?;
    apply_change(session, &record.name, &plan)
}

/// Applies a change, and restores a flushed firewall if necessary. The caller holds the exclusive host lock.
fn apply_change(session: &mut Session, name: &NetworkName, plan: &Plan) -> Result<(), Error> {
    let object = format!("network {name}");
    match apply(session, &object, plan) {
        Err(e) if e.layout_missing() => {
            let firewall = firewall_from_records(session)?;
            apply(session, "firewall", &firewall)?;
            apply(session, &object, plan)
        }
        other => other,
    }
}

/// The plan from one state of a network to another, for the parts of it that exist.
pub(crate) fn plan_change(session: &mut Session, old: &Network, new: &Network) -> Result<Plan, Error> {
    let endpoints = session.store().endpoints_on(&old.name)?;
    let mut snapshot = Snapshot::new();
    // All devices at once: their number decides whether the snapshot reads the whole list.
    let mut needs = Needs::new().link(&Place::Host, old.device().as_str());
    for device in endpoints.iter().filter_map(Endpoint::host_device) {
        needs = needs.link(&Place::Host, device.as_str());
    }
    session.read(&mut snapshot, &needs, &format!("network {}", old.name))?;
    let device = host_device(session, &mut snapshot, old.device())?;
    let device_presence = driver::recognise_network(old, device.as_ref());
    let device = device.filter(|_| device_presence.is_ours());
    let mut reached = Vec::new();
    for endpoint in endpoints {
        let host_end = device_in(session, &mut snapshot, &endpoint, None)?;
        let is_port = host_end.as_ref().zip(device.as_ref()).is_some_and(|(e, d)| e.master == Some(d.index));
        let mut inside = way_in(session, &endpoint, None)?;
        if let Some(way) = &inside
            && inner_end_problem(session, &mut snapshot, &endpoint, way)?.is_some()
        {
            inside = None;
        }
        reached.push(Reached { host_end: presence(host_end.is_some()), port: presence(is_port), inside, endpoint });
    }
    let found = InUse { device: device_presence, endpoints: reached, ipv6: ipv6_forwarding(session)? };
    let mut plan = driver::change(old, new, &found);
    plan.ops.extend(files_of_names(session, old, new, &found)?);
    close_forwarding(session, &mut plan)?;
    let mut others = session.store().networks_lossy().0;
    others.retain(|n| n.name != old.name);
    driver::leave_to_others(&mut plan, old, &others);
    // The network is not up and the host has no firewall: the next connect makes both.
    if device.is_none() {
        let object = || Error::kernel(format!("network {}", old.name));
        if session.kernel.firewall().map_err(object())?.table.is_none() {
            plan.ops.retain(|op| !op.is_nft());
        }
    }
    Ok(plan)
}

/// What the programs in sandboxes learn about names from now on.
fn files_of_names(session: &Session, old: &Network, new: &Network, found: &InUse) -> Result<Vec<Op>, Error> {
    let mut ops = Vec::new();
    if old.name_servers().eq(new.name_servers()) {
        return Ok(ops);
    }
    for reached in found.endpoints.iter().filter(|reached| reached.inside.is_some()) {
        let siblings = siblings(session, &reached.endpoint)?;
        ops.extend(name_files::lacking(session, &reached.endpoint, &siblings, Some(new))?);
    }
    Ok(ops)
}

fn presence(is_there: bool) -> Presence {
    if is_there { Presence::Ours } else { Presence::Gone }
}
