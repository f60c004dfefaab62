//! Networks that another program describes with every call: CNI configurations and Podman networks.
//!
//! # How it works
//! Every attach describes the network. The first attach creates it, a later one changes it where the description
//! differs, and the network is removed with its last endpoint, since no other command would remove it. Deleting a
//! bridge takes the kernel long, so the detached child of the command does that (see slow.rs). If the child is killed,
//! the network stays without endpoints until the next command's child, `gc`, or the next attach handles it.

use crate::decide::automatic_pool::automatic_pool;
use crate::decide::host_device::movable;
use crate::decide::macvlan::{self, Carrier};
use crate::decide::neighbourhood::Neighbourhood;
use crate::decide::network::refuse_overlaps;
use crate::decide::ovs;
use crate::error::Error;
use crate::fault::Fault;
use crate::heal::gone::remove_gone;
use crate::heal::leftovers::recover_first;
use crate::heal::unfinished_networks::recover_networks;
use crate::heal::unused_networks::{remove_network_locked, remove_unused};
use crate::look::addresses_in_use::addresses_in_use;
use crate::look::card::require_devices;
use crate::look::compare::host_device;
use crate::perform::attach::{Attached, connect};
use crate::perform::create_network::network_birth;
use crate::report::{Act, Report};
use crate::session::Session;
use crate::steps::change_network::{apply_set, plan_change};
use zubi_model::{
    BridgeMode, Description, DriverDescription, Family, HostDeviceDescription, IfName, InUse, MacvlanDescription,
    Network, RouterAdvertisements, SandboxRef, Wishes,
};
use zubi_plan::driver::{self, Unusable};
use zubi_plan::{Op, Place};
use zubi_snapshot::{Needs, Snapshot};
use zubi_wire::route::LinkSeen;

/// How often an attach creates a network again that was removed meanwhile.
const TRIES: u32 = 20;

/// Attaches a sandbox to a network described with the call. If that fails, the network is removed if it has no
/// endpoint.
pub(crate) fn attach_described(
    session: &mut Session,
    description: &Description,
    sandbox: &SandboxRef,
    wishes: &Wishes,
) -> Result<Report<Attached>, Error> {
    let mut tries = 0;
    let outcome = loop {
        tries += 1;
        let done = make_as_described(session, description)
            .and_then(|()| connect(session, &description.name, sandbox, wishes, Act::Apply));
        match done {
            // The network's last endpoint was removed in between.
            Err(Error::NoNetwork { name, .. }) if name == description.name && tries < TRIES => {}
            other => break other,
        }
    };
    if outcome.is_err() {
        // The caller gets the first error, not this one.
        Fault::muted(|| remove_unused(session, &description.name)).ok();
    }
    outcome
}

/// Creates the network from its description, or changes the recorded one to match.
fn make_as_described(session: &mut Session, description: &Description) -> Result<(), Error> {
    let description = &on_its_carrier(session, description)?;
    if let Some(network) = session.store().network(&description.name)?
        && description.onto(&network, InUse::Yes).is_ok_and(|new| new == network)
        && bridge_stands(session, &network)?
    {
        return Ok(());
    }
    let host = &session.store().lock_host_exclusive()?;
    recover_first(session, host, Act::Apply)?;
    recover_networks(session, host).but(&description.name)?;
    let mut old = session.store().network(&description.name)?;
    if old.is_some() {
        remove_gone(session, host, Some(&description.name))?;
    }
    let in_use = if session.store().is_empty(&description.name)? { InUse::No } else { InUse::Yes };
    let is_on = |old: &Network| Some(old.device()) == description.driver.device();
    if let Some(other) = old.take_if(|old| in_use == InUse::No && !is_on(old)) {
        remove_network_locked(session, host, &other, Act::Apply)?;
    }
    let Some(old) = old else {
        let network = decide_described(session, description)?;
        // The attach makes what the recorded network lacks in the kernel.
        return Ok(session.store().write_network(host, &network)?);
    };
    let mut new = description.onto(&old, in_use)?;
    let seen = device_seen(session, description)?;
    driver::settle_owner(&mut new, &description.driver, &old, seen.as_ref())
        .map_err(|why| unusable(description, why))?;
    refuse_overlaps(&new, &session.store().networks_lossy().0)?;
    if new == old {
        return Ok(());
    }
    let mut plan = plan_change(session, &old, &new)?;
    if owner(&new) != owner(&old) {
        // The bridge's name belongs to another bridge by now. The attach makes what that bridge lacks.
        plan.ops.retain(Op::is_nft);
    }
    let draft = session.store().draft_network(&new)?;
    let unsynced = apply_set(session, host, &old, draft, &plan)?;
    // The record does not outlive the boot, so this sync is fast.
    Ok(session.store().sync(unsynced)?)
}

fn bridge_stands(session: &mut Session, network: &Network) -> Result<bool, Error> {
    let is_vlan = network.macvlan().is_some_and(|part| part.vlan.is_some());
    if network.owns_device() || is_vlan || network.whole_device().is_some() {
        // The attach restores what the bridge lacks, and looks at a device of the host.
        return Ok(true);
    }
    let seen = host_device(session, &mut Snapshot::new(), network.device())?;
    Ok(driver::recognise_network(network, seen.as_ref()).is_ours())
}

fn decide_described(session: &mut Session, description: &Description) -> Result<Network, Error> {
    let birth = network_birth()?;
    let (seen, vlan) = match &description.driver {
        DriverDescription::Macvlan(described) => {
            let card = card_for(session, description, described)?;
            (Some(card.seen), card.vlan)
        }
        DriverDescription::HostDevice(described) => {
            let seen = require_movable(session, description, described)?;
            (Some(seen), None)
        }
        DriverDescription::Bridge(_) | DriverDescription::Ovs(_) => (device_seen(session, description)?, None),
    };
    let blank = Network {
        name: description.name.clone(),
        id: description.id.clone().unwrap_or(birth.id),
        created: birth.created,
        driver: driver::first_described(&description.driver, birth.mac, seen.as_ref())
            .map_err(|why| unusable(description, why))?,
        mtu: None,
        pools: Vec::new(),
        scope: description.scope,
        egress: description.egress,
        ipam: description.ipam,
        router_advertisements: RouterAdvertisements::Ignored,
        naming: description.naming.clone(),
        labels: description.labels.clone(),
    }
    .with_card_vlan(vlan);
    let mut network = on_card(description, blank.device()).onto(&blank, InUse::No)?;
    let others = session.store().networks_lossy().0;
    if network.ovs().is_some() {
        let mut host = Snapshot::new();
        session.read(&mut host, &Needs::new().ovs().link(&Place::Host, network.device().as_str()), "Open vSwitch")?;
        let around = Neighbourhood { networks: &others, occupied: &[], host: &host, pools: &session.pools() };
        network = ovs::settle(network, &around)?;
    }
    for family in &description.families {
        if network.pool(*family).is_none() {
            let families = [Family::V4, Family::V6];
            let occupied = addresses_in_use(session, &mut Snapshot::new(), &others, &families)?;
            network.pools.push(automatic_pool(&network.name, *family, &session.pools(), &occupied)?);
        }
    }
    refuse_overlaps(&network, &others)?;
    Ok(network)
}

fn device_seen(session: &mut Session, description: &Description) -> Result<Option<LinkSeen>, Error> {
    match description.driver.device() {
        Some(device) => host_device(session, &mut Snapshot::new(), device),
        None => Ok(None),
    }
}

/// Fails if a described network needs a network card that cannot carry it.
pub(crate) fn require_card(session: &mut Session, description: &Description) -> Result<(), Error> {
    match &description.driver {
        DriverDescription::Macvlan(described) => card_for(session, description, described).map(drop),
        DriverDescription::HostDevice(described) => require_movable(session, description, described).map(drop),
        DriverDescription::Bridge(_) | DriverDescription::Ovs(_) => Ok(()),
    }
}

/// The device of the host that carries a described network of macvlans.
fn card_for(
    session: &mut Session,
    description: &Description,
    described: &MacvlanDescription,
) -> Result<Carrier, Error> {
    let (networks, _) = session.store().networks_lossy();
    let mut host = Snapshot::new();
    let occupied = addresses_in_use(session, &mut host, &networks, &[Family::V4, Family::V6])?;
    let around = Neighbourhood { networks: &networks, occupied: &occupied, host: &host, pools: &session.pools() };
    let carrier = macvlan::of_description(&description.name, described, description.mtu, &around)?;
    let object = format!("network {}", description.name);
    require_devices(session, Some(&carrier.seen.name.parse()?), described.mode, &object)?;
    Ok(carrier)
}

/// The device of the host that a described network's next endpoint is.
fn require_movable(
    session: &mut Session,
    description: &Description,
    described: &HostDeviceDescription,
) -> Result<LinkSeen, Error> {
    let (networks, _) = session.store().networks_lossy();
    let mut host = Snapshot::new();
    let occupied = addresses_in_use(session, &mut host, &networks, &[Family::V4, Family::V6])?;
    let around = Neighbourhood { networks: &networks, occupied: &occupied, host: &host, pools: &session.pools() };
    movable(&described.first(None), &description.name, &around).cloned()
}

/// The description with the card that carries the network. Where the described one is a port of an uplink network, its
/// bridge does.
fn on_its_carrier(session: &mut Session, description: &Description) -> Result<Description, Error> {
    let DriverDescription::Macvlan(MacvlanDescription { parent: Some(parent), .. }) = &description.driver else {
        return Ok(description.clone());
    };
    let Some(old) = session.store().network(&description.name)?.filter(|old| old.device() != parent) else {
        return Ok(description.clone());
    };
    let mut host = Snapshot::new();
    let card = host_device(session, &mut host, parent)?;
    let carrier = host_device(session, &mut host, old.device())?;
    let is_port = card.and_then(|card| card.master).zip(carrier).is_some_and(|(master, on)| master == on.index);
    Ok(if is_port { on_card(description, old.device()) } else { description.clone() })
}

fn on_card(description: &Description, card: &IfName) -> Description {
    match &description.driver {
        DriverDescription::Macvlan(described) => {
            let described = MacvlanDescription { parent: Some(card.clone()), ..described.clone() };
            Description { driver: DriverDescription::Macvlan(described), ..description.clone() }
        }
        DriverDescription::Bridge(_) | DriverDescription::Ovs(_) | DriverDescription::HostDevice(_) => {
            description.clone()
        }
    }
}

fn owner(network: &Network) -> Option<BridgeMode> {
    network.bridge().map(|bridge| bridge.mode)
}

/// The error for a described device that cannot be used.
fn unusable(description: &Description, why: Unusable) -> Error {
    let Some(device) = description.driver.device() else {
        return Error::NoCard { network: description.name.clone() };
    };
    match why {
        Unusable::NoDevice => Error::NoBridge { network: description.name.clone(), bridge: device.clone() },
        Unusable::OtherKind(kind) => Error::Kernel {
            object: format!("network {}", description.name),
            source: zubi_kernel::Error::Conflict {
                object: format!("bridge {device}"),
                found: format!("a {}", kind.as_deref().unwrap_or("device")),
            },
        },
    }
}
