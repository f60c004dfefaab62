//! Changing a network from one state to another, and the way back.

use crate::error::Error;
use crate::fault::Fault;
use crate::firewall::forwarding::close_forwarding;
use crate::firewall::table::firewall_from_records;
use crate::look::device::{host_end_in, is_bridge_of, strange_inner_end};
use crate::look::host::ipv6_forwarding;
use crate::look::sandbox::way_in;
use crate::session::Session;
use crate::steps::apply::apply;
use crate::undo::network::leave_to_others;
use zubi_kernel::Survey;
use zubi_model::{Network, NetworkName};
use zubi_plan::change::{InUse, Reached, change};
use zubi_plan::endpoint::Presence;
use zubi_plan::{Place, Plan};
use zubi_store::{ExclusiveHost, NetworkDraft, Unsynced};

/// Makes a changed record survive a power failure. Until then nobody was told that it is changed, so when that
/// fails the change is taken back; unless somebody has changed it again.
pub(crate) fn sync_set(session: &mut Session, old: &Network, new: &Network, unsynced: Unsynced) -> Result<(), Error> {
    let Err(e) = session.store().sync(unsynced) else { return Ok(()) };
    Fault::muted(|| {
        let host = &session.store().lock_host_exclusive()?;
        if session.store().network(&new.name)?.as_ref() == Some(new) {
            take_back(session, host, old, new)
        } else {
            Ok(())
        }
    })?;
    Err(e.into())
}

/// The caller holds the host lock alone, and syncs the record when it does not any more.
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
        Err(error) => Err(error.after_undo(Fault::muted(|| take_back(session, host, old, &new)))),
    }
}

/// Takes record and kernel back to what the network was before it was changed to `new`.
fn take_back(session: &mut Session, host: &ExclusiveHost, old: &Network, new: &Network) -> Result<(), Error> {
    let name = &new.name;
    // When this is killed too, the way back has to be found again.
    if session.store().network(name)?.as_ref() != Some(old) {
        session.store().begin_network(host, new)?;
        session.store().write_network(host, old)?;
    }
    return_to(session, old, new)?;
    Ok(session.store().end_network(host, name)?)
}

/// Takes the kernel back to the record of a network that somebody was changing to `half`.
pub(crate) fn return_to(session: &mut Session, record: &Network, half: &Network) -> Result<(), Error> {
    let plan = plan_change(session, half, record)?;
    apply_change(session, &record.name, &plan)
}

/// The caller holds the host lock alone: a firewall that somebody flushed is put back on the way.
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

/// From one state of a network to another, on whatever of it is there.
pub(crate) fn plan_change(session: &mut Session, old: &Network, new: &Network) -> Result<Plan, Error> {
    let failed = || Error::kernel(format!("network {}", old.name));
    let bridge = session.kernel.link(&Place::Host, old.bridge.as_str()).map_err(failed())?;
    let bridge = bridge.filter(|seen| is_bridge_of(old, seen));
    let mut endpoints = Vec::new();
    let mut survey = Survey::whole();
    for endpoint in session.store().endpoints_on(&old.name)? {
        let host_end = host_end_in(session, &mut survey, &endpoint)?;
        let is_port = host_end.as_ref().zip(bridge.as_ref()).is_some_and(|(e, b)| e.master == Some(b.index));
        let mut inside = way_in(session, &endpoint, None)?;
        if let Some(way) = &inside
            && strange_inner_end(session, &mut survey, &endpoint, way)?.is_some()
        {
            inside = None;
        }
        endpoints.push(Reached { host_end: presence(host_end.is_some()), port: presence(is_port), inside, endpoint });
    }
    let found = InUse { bridge: presence(bridge.is_some()), endpoints, ipv6: ipv6_forwarding(session)? };
    let mut plan = change(old, new, &found);
    close_forwarding(session, &mut plan)?;
    let mut others = session.store().networks_lossy().0;
    others.retain(|n| n.name != old.name);
    leave_to_others(&mut plan, old, &others);
    // A network that is not up, on a host without firewall: both come with the next connect.
    if bridge.is_none() && session.kernel.firewall().map_err(failed())?.table.is_none() {
        plan.ops.retain(|op| !op.is_nft());
    }
    Ok(plan)
}

fn presence(there: bool) -> Presence {
    if there { Presence::There } else { Presence::Gone }
}
