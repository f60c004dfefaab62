//! TODO

use crate::error::Error;
use crate::fault::Fault;
use crate::firewall::foreign::look_at_foreign;
use crate::firewall::foreign::note_legacy;
use crate::firewall::foreign::note_refused;
use crate::firewall::forwarding::close_forwarding;
use crate::firewall::forwarding::note_closed;
use crate::firewall::seen::firewall_is_in_order;
use crate::firewall::table::lost_firewall;
use crate::heal::leftovers::recover_first;
use crate::heal::missing::mark_bridge;
use crate::heal::missing::put_behind;
use crate::heal::unfinished_networks::recover_networks;
use crate::look::addresses_in_use::addresses_in_use;
use crate::look::host::ipv6_forwarding;
use crate::look::unrecorded::refuse_other_instance_now;
use crate::random::random;
use crate::report::Act;
use crate::report::Report;
use crate::session::Session;
use crate::steps::apply::apply;
use crate::undo::network::undo_network;
use ipnet::IpNet;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;
use zubi_ipam::Occupied;
use zubi_ipam::choose_subnet;
use zubi_model::BridgeMode;
use zubi_model::Driver;
use zubi_model::Family;
use zubi_model::Hairpin;
use zubi_model::Ingress;
use zubi_model::Invalid;
use zubi_model::Mac;
use zubi_model::Network;
use zubi_model::NetworkId;
use zubi_model::NetworkName;
use zubi_model::NetworkSpec;
use zubi_model::Pool;
use zubi_model::PoolSpec;
use zubi_model::Promiscuity;
use zubi_plan::Place;
use zubi_plan::Plan;
use zubi_plan::coexist::join;
use zubi_plan::network::up;
use zubi_store::Mode;
use zubi_store::NetworkDraft;
use zubi_store::Unsynced;

/// Every automatic network of this name is made at its first use.
pub(crate) const DEFAULT: &str = "default";

/// What of a network is not decided by what else is there.
#[derive(Debug, Clone)]
struct Birth {
    id: NetworkId,
    bridge_mac: Mac,
    created: u64,
}

impl Birth {
    fn now() -> Result<Self, Error> {
        Ok(Birth {
            id: NetworkId::from_random(random()?),
            bridge_mac: Mac::from_random(random()?),
            created: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
        })
    }
}

/// A network as it would have been made a moment ago, and its record if that is written already.
#[derive(Debug)]
struct Sketch {
    birth: Birth,
    draft: Option<NetworkDraft>,
}

/// Makes a network.
pub(crate) fn create_network(session: &mut Session, spec: NetworkSpec, act: Act) -> Result<Report<Network>, Error> {
    let sketch = sketch(session, &spec, act)?;
    let host = session.store().lock_host(Mode::Exclusive)?;
    recover_first(session, act)?;
    let (report, unsynced) = create_locked(session, spec, sketch, act)?;
    drop(host);
    sync_created(session, &report.value, unsynced)?;
    Ok(report)
}

/// The slow part of making a network, without a lock: its record is written to the disk, so that a slow disk keeps
/// nobody else waiting and one that takes nothing is told before the first effect. What is decided here is decided
/// again under the lock, and so are the reasons against it.
fn sketch(session: &mut Session, spec: &NetworkSpec, act: Act) -> Result<Sketch, Error> {
    let birth = Birth::now()?;
    let mut draft = None;
    if act == Act::Apply
        && let Ok(network) = decide_network(session, spec.clone(), &birth)
    {
        draft = Some(session.store().draft_network(&network)?);
    }
    Ok(Sketch { birth, draft })
}

/// Makes the record of a new network survive a power failure. Until then nobody was told that there is one, so
/// when that fails it goes again; unless somebody is attached to it by now.
fn sync_created(session: &mut Session, network: &Network, unsynced: Option<Unsynced>) -> Result<(), Error> {
    let Err(e) = unsynced.map_or(Ok(()), |unsynced| session.store().sync(unsynced)) else { return Ok(()) };
    Fault::muted(|| {
        let _host = session.store().lock_host(Mode::Exclusive)?;
        let is_it = session.store().network(&network.name)?.as_ref() == Some(network);
        if is_it && session.store().endpoints_on(&network.name)?.is_empty() {
            session.store().begin_network(network)?;
            undo_network(session, network)?;
        }
        Ok::<_, Error>(())
    })?;
    Err(e.into())
}

/// Makes a network; the caller holds the host lock alone, and syncs its record when it does not any more.
fn create_locked(
    session: &mut Session,
    spec: NetworkSpec,
    sketch: Sketch,
    act: Act,
) -> Result<(Report<Network>, Option<Unsynced>), Error> {
    if act == Act::Apply {
        recover_networks(session).but(&spec.name)?;
    }
    if spec.name.source().is_some() {
        let why = "is how networks are called that other programs describe";
        return Err(Invalid::new("network name", &spec.name, why).into());
    }
    if session.store().network(&spec.name)?.is_some() {
        return Err(Error::NetworkExists { name: spec.name });
    }
    let object = format!("network {}", spec.name);
    refuse_other_instance_now(session)?;
    let network = decide_network(session, spec, &sketch.birth)?;
    let draft = sketch.draft.filter(|draft| *draft.network() == network);
    let (mut networks, _) = session.store().networks_lossy();
    let mut up = up(&network, &ipv6_forwarding(session)?);
    mark_bridge(&mut up, &network, &session.run_folder());
    let closed = close_forwarding(session, &mut up)?;
    if act == Act::Apply {
        note_closed(session, &closed);
    }
    let mut plan = lost_firewall(session)?;
    put_behind(&mut plan, up);
    networks.push(network.clone());
    let mut look = look_at_foreign(session, &networks)?;
    join(&mut plan, std::mem::take(&mut look.plan));
    note_refused(session, &look, std::slice::from_ref(&network));
    note_legacy(session, std::slice::from_ref(&network));
    if act == Act::Show {
        return Ok((Report { plan, value: network }, None));
    }
    let draft = match draft {
        Some(draft) => draft,
        // Somebody else was faster, and so it is to be another one.
        None => session.store().draft_network(&network)?,
    };
    let made: Result<Unsynced, Error> = (|| {
        session.store().begin_network(&network)?;
        apply(session, &object, &plan)?;
        firewall_is_in_order(session, &look, &networks);
        let unsynced = session.store().publish_network(draft)?;
        session.store().end_network(&network.name)?;
        Ok(unsynced)
    })();
    match made {
        Ok(unsynced) => Ok((Report { plan, value: network }, Some(unsynced))),
        Err(e) => Err(e.after_undo(Fault::muted(|| undo_network(session, &network)))),
    }
}

fn decide_network(session: &mut Session, spec: NetworkSpec, birth: &Birth) -> Result<Network, Error> {
    let (others, mut unreadable) = session.store().networks_lossy();
    // A network that cannot be read may have any subnet.
    if let Some(e) = unreadable.pop() {
        return Err(e.into());
    }
    let families = [Family::V4, Family::V6];
    let occupied = addresses_in_use(session, &others, &families)?;
    let pools = decide_pools(session, &spec, &occupied)?;
    let id = birth.id.clone();
    if let Some(mtu) = spec.mtu.filter(|_| pools.iter().any(|p| p.subnet.family() == Family::V6)) {
        mtu.carries_ipv6()?;
    }
    let bridge = match spec.bridge {
        Some(bridge) => bridge,
        None => Network::default_bridge(&spec.name, &id)?,
    };
    if let Some(other) = others.iter().find(|n| n.bridge == bridge) {
        return Err(Invalid::new("bridge", &bridge, format!("is the bridge of network {}", other.name)).into());
    }
    if let Some(seen) = session.kernel.link(&Place::Host, bridge.as_str()).map_err(Error::kernel("bridge"))? {
        let kind = seen.kind.unwrap_or_else(|| "device".into());
        return Err(Error::Kernel {
            object: format!("network {}", spec.name),
            source: zubi_kernel::Error::Conflict {
                object: format!("bridge {bridge}"),
                found: format!("a {kind} that zubi did not make; choose another name with --bridge"),
            },
        });
    }
    Ok(Network {
        name: spec.name,
        id,
        created: birth.created,
        driver: Driver::Bridge,
        bridge,
        bridge_mac: birth.bridge_mac,
        mtu: spec.mtu,
        pools,
        scope: spec.scope,
        egress: spec.egress,
        icc: spec.icc,
        ingress: Ingress::default(),
        bridge_mode: BridgeMode::default(),
        hairpin: Hairpin::default(),
        promiscuity: Promiscuity::default(),
        labels: spec.labels,
    })
}

/// The subnets that were asked for, checked against everything in use, and automatic ones for the families that
/// have none.
fn decide_pools(session: &mut Session, spec: &NetworkSpec, occupied: &[Occupied]) -> Result<Vec<Pool>, Error> {
    let mut pools: Vec<Pool> = Vec::new();
    for wish in &spec.pools {
        let pool = wish.clone().decide()?;
        if let Some(same) = pools.iter().find(|p| p.subnet.family() == pool.subnet.family()) {
            let why = format!("is a second {} subnet beside {}", pool.subnet.family(), same.subnet);
            return Err(Invalid::new("subnet", pool.subnet, why).try_instead("give one of each family").into());
        }
        let net = pool.subnet.net();
        if let Some(other) = occupied.iter().find(|o| in_use(o.net) && pool.subnet.overlaps(o.net)) {
            return Err(Error::Overlap { name: spec.name.clone(), subnet: net.to_string(), by: other.by.clone() });
        }
        pools.push(pool);
    }
    for family in &spec.families {
        if pools.iter().any(|p| p.subnet.family() == *family) {
            continue;
        }
        let subnet = choose_subnet(&session.pools(), *family, occupied)
            .map_err(|error| Error::NoSubnet { name: spec.name.clone(), error })?;
        pools.push(PoolSpec { subnet, gateway: None, range: None, exclude: Vec::new() }.decide()?);
    }
    pools.sort_by_key(|p| p.subnet.family());
    Ok(pools)
}

/// The network, made now if it is the default one and not there; and the plan of making it.
pub(crate) fn default_network(session: &mut Session, act: Act) -> Result<Report<Network>, Error> {
    let name: NetworkName = DEFAULT.parse()?;
    if let Some(network) = session.store().network(&name)? {
        return Ok(Report { plan: Plan::new(), value: network });
    }
    let spec = NetworkSpec::new(name);
    let sketch = sketch(session, &spec, act)?;
    let host = session.store().lock_host(Mode::Exclusive)?;
    // Somebody else may have been faster.
    if let Some(network) = session.store().network(&spec.name)? {
        return Ok(Report { plan: Plan::new(), value: network });
    }
    let (report, unsynced) = create_locked(session, spec, sketch, act)?;
    drop(host);
    sync_created(session, &report.value, unsynced)?;
    Ok(report)
}

/// A default route, or the halves VPNs split it into, occupies nothing.
fn in_use(net: IpNet) -> bool {
    net.prefix_len() > 1
}
