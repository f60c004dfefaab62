//! Networks that another program describes with every call: CNI configurations and Podman networks.
//!
//! # How it works
//! Every attach describes the network. The first attach creates it, a later one changes it where the description
//! differs, and the network is removed with its last endpoint, since no other command would remove it. Deleting a
//! bridge takes the kernel long, so the detached child of the command does that (see slow.rs). If the child is killed,
//! the network stays without endpoints until the next command's child, `gc`, or the next attach handles it.

use crate::decide::network::{automatic_pool, refuse_overlaps};
use crate::error::Error;
use crate::fault::Fault;
use crate::heal::gone::remove_gone;
use crate::heal::leftovers::recover_first;
use crate::heal::unfinished_networks::recover_networks;
use crate::heal::unused_networks::{remove_network_locked, remove_unused};
use crate::look::addresses_in_use::addresses_in_use;
use crate::look::compare::host_device;
use crate::perform::attach::{Attached, connect};
use crate::perform::create_network::network_birth;
use crate::report::{Act, Report};
use crate::session::Session;
use crate::steps::change_network::{apply_set, plan_change};
use zubi_model::{BridgeMode, Description, DriverDescription, Family, InUse, Ipam, Network, SandboxRef, Wishes};
use zubi_plan::Op;
use zubi_plan::driver::{self, Unusable};
use zubi_snapshot::Snapshot;
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
    if let Some(other) = old.take_if(|old| in_use == InUse::No && old.device() != description.driver.device()) {
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
    if network.owns_device() {
        // The attach restores what the bridge lacks.
        return Ok(true);
    }
    let seen = host_device(session, &mut Snapshot::new(), network.device())?;
    Ok(driver::recognise_network(network, seen.as_ref()).is_ours())
}

fn decide_described(session: &mut Session, description: &Description) -> Result<Network, Error> {
    let birth = network_birth()?;
    let seen = device_seen(session, description)?;
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
        ipam: Ipam::Pools,
        labels: description.labels.clone(),
    };
    let mut network = description.onto(&blank, InUse::No)?;
    let others = session.store().networks_lossy().0;
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
    host_device(session, &mut Snapshot::new(), description.driver.device())
}

fn owner(network: &Network) -> Option<BridgeMode> {
    network.bridge().map(|bridge| bridge.mode)
}

/// The error for a described device that cannot be used.
fn unusable(description: &Description, why: Unusable) -> Error {
    let device = description.driver.device();
    if let DriverDescription::Macvlan(_) = &description.driver {
        let why = match why {
            Unusable::NoDevice => "does not exist".to_owned(),
            Unusable::OtherKind(kind) => {
                format!("is a {}, which carries no macvlans", kind.as_deref().unwrap_or("device"))
            }
        };
        return Error::Card { card: device.clone(), why };
    }
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
