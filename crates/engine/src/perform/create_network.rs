//! Creating networks.

use crate::decide;
use crate::decide::neighbourhood::Neighbourhood;
use crate::decide::network::NetworkBirth;
use crate::error::Error;
use crate::fault::Fault;
use crate::firewall::foreign::{look_at_foreign, note_legacy, note_refused};
use crate::firewall::forwarding::{close_forwarding, note_closed};
use crate::firewall::seen::firewall_is_in_order;
use crate::firewall::table::lost_firewall;
use crate::heal::leftovers::recover_first;
use crate::heal::unfinished_networks::recover_networks;
use crate::look::addresses_in_use::addresses_in_use;
use crate::look::card::require_devices;
use crate::look::host::ipv6_forwarding;
use crate::look::unconfirmed::refuse_unconfirmed;
use crate::look::unrecorded::refuse_other_instance_now;
use crate::perform::remove_network::remove_network;
use crate::random::random;
use crate::report::{Act, Connected, Report};
use crate::session::Session;
use crate::steps::apply::apply;
use crate::undo::network::undo_network;
use std::time::{SystemTime, UNIX_EPOCH};
use zubi_ipam::Occupied;
use zubi_model::{Family, Invalid, Mac, Network, NetworkId, NetworkName, NetworkSpec};
use zubi_plan::{Plan, coexist, driver};
use zubi_snapshot::{Finding, Needs, Snapshot};
use zubi_store::{ExclusiveHost, NetworkDraft, Unsynced};

/// The network that is created at its first use.
pub(crate) const DEFAULT: &str = "default";

/// The parts of a new network that come from the random source and the clock.
pub(crate) fn network_birth() -> Result<NetworkBirth, Error> {
    Ok(NetworkBirth {
        id: NetworkId::from_random(random()?),
        mac: Mac::from_random(random()?),
        created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
    })
}

/// A network decided without the lock, and its record if that has been written to the disk.
#[derive(Debug)]
struct Sketch {
    birth: NetworkBirth,
    draft: Option<NetworkDraft>,
}

/// Creates a network.
pub(crate) fn create_network(session: &mut Session, spec: NetworkSpec, act: Act) -> Result<Report<Network>, Error> {
    let sketch = sketch(session, &spec, act)?;
    let lock = session.store().lock_host_exclusive()?;
    let host = &lock;
    recover_first(session, host, act)?;
    let (report, unsynced) = create_locked(session, host, spec, sketch, act)?;
    drop(lock);
    sync_created(session, &report.value, unsynced)?;
    Ok(report)
}

/// Does the slow part of creating a network without a lock: writes the record to the disk. So a slow disk blocks no
/// other command, and a full one is reported before the first effect. The decision is repeated under the lock, and so
/// are the checks.
fn sketch(session: &mut Session, spec: &NetworkSpec, act: Act) -> Result<Sketch, Error> {
    let mut birth = network_birth()?;
    if let Some(id) = &spec.id {
        birth.id.clone_from(id);
    }
    let mut draft = None;
    if act == Act::Apply
        && let Ok(network) = decide_network(session, spec.clone(), &birth)
    {
        draft = Some(session.store().draft_network(&network)?);
    }
    Ok(Sketch { birth, draft })
}

/// Syncs the record of a new network, so that it survives a power failure. The network has not been reported as created
/// yet, so if the sync fails the network is removed again, unless it has an endpoint by now.
fn sync_created(session: &mut Session, network: &Network, unsynced: Option<Unsynced>) -> Result<(), Error> {
    let Err(e) = unsynced.map_or(Ok(()), |unsynced| session.store().sync(unsynced)) else { return Ok(()) };
    Fault::muted(|| {
        let host = &session.store().lock_host_exclusive()?;
        let is_it = session.store().network(&network.name)?.as_ref() == Some(network);
        if is_it && session.store().endpoints_on(&network.name)?.is_empty() {
            session.store().begin_network(host, network)?;
            undo_network(session, host, network)?;
        }
        Ok::<_, Error>(())
    })?;
    Err(e.into())
}

/// Refuses the name of a new network that other programs' networks have, or that a network has already.
pub(crate) fn refuse_name(session: &Session, name: &NetworkName) -> Result<(), Error> {
    if name.source().is_some() {
        let why = "is how networks are called that other programs describe";
        return Err(Invalid::new("network name", name, why).into());
    }
    if session.store().network(name)?.is_some() {
        return Err(Error::NetworkExists { name: name.clone() });
    }
    refuse_unconfirmed(session, name)
}

/// Creates a network. The caller holds the host lock exclusively, and syncs the record after it has released the lock.
fn create_locked(
    session: &mut Session,
    host: &ExclusiveHost,
    spec: NetworkSpec,
    sketch: Sketch,
    act: Act,
) -> Result<(Report<Network>, Option<Unsynced>), Error> {
    if act == Act::Apply {
        recover_networks(session, host).but(&spec.name)?;
    }
    refuse_name(session, &spec.name)?;
    let object = format!("network {}", spec.name);
    refuse_other_instance_now(session)?;
    let network = decide_network(session, spec, &sketch.birth)?;
    if let Some(part) = network.macvlan() {
        require_devices(session, part.card(), part.mode, &object)?;
    }
    let draft = sketch.draft.filter(|draft| *draft.network() == network);
    let (mut networks, _) = session.store().networks_lossy();
    let mut up = driver::up(&network, &ipv6_forwarding(session)?);
    driver::mark(&mut up, &network, &session.run_folder());
    if network.macvlan().is_some_and(|part| part.vlan.is_some()) {
        // Another network may have made the VLAN already.
        let compared = session.kernel.compare(&up.ops).map_err(Error::kernel(object.clone()))?;
        up.ops = compared.into_iter().filter(|(_, finding)| *finding != Finding::Same).map(|(op, _)| op).collect();
    }
    let closed = close_forwarding(session, &mut up)?;
    if act == Act::Apply {
        note_closed(session, &closed);
    }
    let mut plan = lost_firewall(session)?;
    plan.append_once(up);
    networks.push(network.clone());
    let mut look = look_at_foreign(session, &networks)?;
    coexist::join_transaction(&mut plan, std::mem::take(&mut look.plan));
    note_refused(session, &look, std::slice::from_ref(&network));
    note_legacy(session, std::slice::from_ref(&network));
    if act == Act::Show {
        return Ok((Report { plan, value: network }, None));
    }
    let draft = match draft {
        Some(draft) => draft,
        // The decision under the lock differs from the draft: another command was faster.
        None => session.store().draft_network(&network)?,
    };
    let made: Result<Unsynced, Error> = (|| {
        session.store().begin_network(host, &network)?;
        apply(session, &object, &plan)?;
        firewall_is_in_order(session, &look, &networks);
        let unsynced = session.store().publish_network(host, draft)?;
        session.store().end_network(host, &network.name)?;
        Ok(unsynced)
    })();
    match made {
        Ok(unsynced) => Ok((Report { plan, value: network }, Some(unsynced))),
        Err(e) => Err(e.after_undo(Fault::muted(|| undo_network(session, host, &network)))),
    }
}

pub(crate) fn decide_network(session: &mut Session, spec: NetworkSpec, birth: &NetworkBirth) -> Result<Network, Error> {
    let (networks, mut unreadable) = session.store().networks_lossy();
    // A network whose record cannot be read may have any subnet.
    if let Some(e) = unreadable.pop() {
        return Err(e.into());
    }
    let families = [Family::V4, Family::V6];
    let mut host = Snapshot::new();
    let occupied = addresses_in_use(session, &mut host, &networks, &families)?;
    if spec.driver.ovs().is_some() {
        session.read(&mut host, &Needs::new().ovs(), "Open vSwitch")?;
    }
    let around = Neighbourhood { networks: &networks, occupied: &occupied, host: &host, pools: &session.pools() };
    let network = decide::network::network(spec, birth, &around)?;
    note_ways(session, &network, &occupied);
    Ok(network)
}

/// Says which routes lose a part to a network.
fn note_ways(session: &mut Session, network: &Network, occupied: &[Occupied]) {
    if !network.owns_device() || network.is_on_lan() {
        return;
    }
    for pool in &network.pools {
        let net = pool.subnet.net();
        if let Some(way) = occupied.iter().find(|way| way.gives_way_to(net)) {
            session.note(format!(
                "network {}: {net} lies in {}; from now on this host does not reach those who have these addresses there \
                 (--subnet chooses another one)",
                network.name, way.by
            ));
        }
    }
}

/// Returns the network and the plan that creates it. Only the default network is created, if it does not exist.
pub(crate) fn default_network(session: &mut Session, act: Act) -> Result<Report<Network>, Error> {
    let name: NetworkName = DEFAULT.parse()?;
    let spec = session.config().default_network.spec(name)?;
    if let Some(network) = session.store().network(&spec.name)? {
        if act == Act::Apply && !is_at(&network, &spec)? {
            move_default(session, &spec)?;
        } else {
            return Ok(Report { plan: Plan::new(), value: network });
        }
    }
    let sketch = sketch(session, &spec, act)?;
    let lock = session.store().lock_host_exclusive()?;
    let host = &lock;
    // Another command may have created it.
    if let Some(network) = session.store().network(&spec.name)? {
        return Ok(Report { plan: Plan::new(), value: network });
    }
    let (report, unsynced) = create_locked(session, host, spec, sketch, act)?;
    drop(lock);
    sync_created(session, &report.value, unsynced)?;
    Ok(report)
}

/// Whether a network has the subnets and gateways that are asked for.
fn is_at(network: &Network, spec: &NetworkSpec) -> Result<bool, Error> {
    for wish in &spec.pools {
        let wanted = wish.clone().decide()?;
        if !network.pools.iter().any(|pool| (pool.subnet, pool.gateway) == (wanted.subnet, wanted.gateway)) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes the network `default`, whose address was changed in the settings. Refuses while it is in use.
fn move_default(session: &mut Session, spec: &NetworkSpec) -> Result<(), Error> {
    match remove_network(session, &spec.name, Connected::Refuse, Act::Apply) {
        Ok(_) => {
            session.note(format!("network {}: made anew, at the address that the settings say", spec.name));
            Ok(())
        }
        Err(Error::NetworkInUse { name, endpoints }) => Err(Error::DefaultInUse {
            name,
            wanted: spec.pools.iter().map(|pool| pool.subnet.to_string()).collect::<Vec<_>>().join(", "),
            endpoints,
        }),
        Err(e) => Err(e),
    }
}
