//! What is missing or different about one endpoint, and the operations that repair it.

use crate::error::Error;
use crate::look::clock::now;
use crate::look::default_route::gives_default_in;
use crate::look::device::{device_in, inner_end_problem};
use crate::look::host::addresses_on_card;
use crate::look::sandbox::way_in;
use crate::problem::describe;
use crate::session::Session;
use crate::steps::name_files;
use zubi_model::{Endpoint, IfName, Network, NetworkName, NsRef};
use zubi_plan::{Neighbours, Op, Place, Surroundings, What, driver};
use zubi_snapshot::{Inside, Needs, Pair, Snapshot, lacking, lacking_of_pair};
use zubi_wire::route::{AdminState, LinkChange, LinkMark};

/// The operations that set an endpoint up. Without a way into its sandbox: only those on the host.
pub(crate) fn wanted_ops(
    session: &mut Session,
    snapshot: &mut Snapshot,
    network: &Network,
    endpoint: &Endpoint,
    siblings: &[Endpoint],
    way: Option<&NsRef>,
) -> Result<Vec<Op>, Error> {
    let now = now()?;
    // The kernel has removed the address of a lease that ended.
    let mut endpoint = endpoint.clone().at(now);
    if let Some(way) = way {
        endpoint.sandbox.reached_by = way.clone();
    }
    let default_in = gives_default_in(session, snapshot, &endpoint, siblings, way)?;
    let around = Surroundings {
        loopback: AdminState::Down,
        default_in,
        displaced: Vec::new(),
        stale: Vec::new(),
        of_host: addresses_on_card(session, network)?,
        neighbours: Neighbours::AreRight,
        lifetime: endpoint.lease().map(|lease| lease.left_at(now)).unwrap_or_default(),
        taken: None,
        instance: session.instance(),
    };
    let ops = driver::wanted(network, &endpoint, &around);
    Ok(ops.into_iter().filter(|op| op.place == Place::Host || way.is_some()).collect())
}

/// The operations that repair an endpoint. They end with the announcement if anything is repaired or if its network was
/// repaired (is in `touched`): the announcement also waits until frames pass. The caller holds the sandbox's lock.
pub(crate) fn lacking_of_endpoint(
    session: &mut Session,
    snapshot: &mut Snapshot,
    network: &Network,
    endpoint: &Endpoint,
    siblings: &[Endpoint],
    touched: &[NetworkName],
) -> Result<Vec<Op>, Error> {
    let way = way_in(session, endpoint, None)?;
    let ops = wanted_ops(session, snapshot, network, endpoint, siblings, way.as_ref())?;
    let (announcements, ops): (Vec<Op>, Vec<Op>) = ops.into_iter().partition(|op| matches!(op.what, What::Announce(_)));
    let mut lacking = lacking_parts(session, snapshot, endpoint, way.as_ref(), ops)?;
    if !lacking.is_empty() || touched.contains(&network.name) {
        lacking.extend(announcements);
    }
    if way.is_some() {
        lacking.extend(name_files::lacking(session, endpoint, siblings, None)?);
    }
    Ok(lacking)
}

fn lacking_parts(
    session: &mut Session,
    snapshot: &mut Snapshot,
    endpoint: &Endpoint,
    way: Option<&NsRef>,
    ops: Vec<Op>,
) -> Result<Vec<Op>, Error> {
    let Some(host_device) = endpoint.host_device() else {
        return lacking_on_parent(session, snapshot, endpoint, way, &ops);
    };
    let mut pair = Pair::Absent;
    if device_in(session, snapshot, endpoint, None)?.is_some() {
        pair = Pair::Whole;
        if let Some(way) = way
            && endpoint.handed_over.is_none()
            && inner_end_problem(session, snapshot, endpoint, way)?.is_some()
        {
            pair = Pair::InnerEndDiffers;
        }
        session.read(snapshot, &Needs::of(&ops), &describe(endpoint))?;
    }
    let inside = if way.is_some() { Inside::Reachable } else { Inside::Unreachable };
    let host_end = LinkMark::new(host_device.clone(), endpoint.host_mac());
    lacking_of_pair(ops, snapshot, host_end, pair, inside).map_err(Error::unread(describe(endpoint)))
}

/// As [`lacking_parts`], for a device that is inside the sandbox only. One that was renamed is made again.
fn lacking_on_parent(
    session: &mut Session,
    snapshot: &mut Snapshot,
    endpoint: &Endpoint,
    way: Option<&NsRef>,
    ops: &[Op],
) -> Result<Vec<Op>, Error> {
    const RENAMED: &str = "it is not called as made";
    let Some(way) = way else { return Ok(Vec::new()) };
    let found = device_in(session, snapshot, endpoint, None)?;
    // Who moves the device inside gives it a name.
    let is_called = |name: &str| name == endpoint.ifname.as_str() || endpoint.handed_over.is_some();
    let renamed = found.filter(|found| !is_called(&found.name));
    session.read(snapshot, &Needs::of(ops), &describe(endpoint))?;
    let mut all = lacking(ops, snapshot).map_err(Error::unread(describe(endpoint)))?;
    if let Some(name) = renamed.as_ref().and_then(|found| found.name.parse::<IfName>().ok()) {
        if endpoint.device.moved().is_some() {
            return Ok(renamed_back(way, name, endpoint, all));
        }
        let device = LinkMark { name, mac: renamed.and_then(|found| found.mac) };
        all.insert(0, Op::sandbox(way, What::DeleteLink(device), RENAMED));
    }
    Ok(all)
}

/// A device of the host gets the name again that it was given. Going down it loses what it has.
fn renamed_back(way: &NsRef, name: IfName, endpoint: &Endpoint, mut lacking: Vec<Op>) -> Vec<Op> {
    const RENAMED: &str = "it gets the name that it was given";
    let down = LinkChange::state(name.clone(), AdminState::Down);
    let rename = LinkChange::rename(name, endpoint.ifname.clone());
    lacking.retain(|op| !matches!(op.what, What::MoveLink(_)));
    let changes = [down, rename].map(|change| Op::sandbox(way, What::ChangeLink(change), RENAMED));
    changes.into_iter().chain(lacking).collect()
}
