//! Networks that another program describes with every call: CNI configurations, Podman.
//!
//! # How it works
//! Whoever attaches describes the network as it is to be. The first to come makes it, a later one changes it where the
//! description differs, and with its last endpoint it goes, for nobody else would take it away. That needs a bridge to
//! be
//! deleted, for which the kernel takes its time, so it is left to the detached child of the command (see linger.rs). If
//! that is killed, the network stays, empty, for the child of the next command that attaches nothing, for `gc`, or for
//! whoever describes it next.

use crate::decide::network::{automatic_pool, refuse_overlaps};
use crate::error::Error;
use crate::fault::Fault;
use crate::heal::gone::remove_gone;
use crate::heal::leftovers::recover_first;
use crate::heal::unfinished_networks::recover_networks;
use crate::heal::unused_networks::{remove_network_locked, remove_unused};
use crate::look::addresses_in_use::addresses_in_use;
use crate::look::device::is_bridge_of;
use crate::perform::attach::{Attached, connect};
use crate::perform::create_network::network_birth;
use crate::report::{Act, Report};
use crate::session::Session;
use crate::steps::change_network::{apply_set, plan_change};
use zubi_model::{
    BridgeMode, Description, Driver, Family, ForeignBridge, Hairpin, Icc, InUse, Ingress, Network, Promiscuity,
    SandboxRef, Wishes,
};
use zubi_plan::{Op, Place};

/// How often a network that goes while it is being attached to is made again.
const TRIES: u32 = 20;

/// Attaches a sandbox to a network that is described with the call. When that fails, a network without endpoints is
/// gone.
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
            // Its last endpoint went in between.
            Err(Error::NoNetwork { name, .. }) if name == description.name && tries < TRIES => {}
            other => break other,
        }
    };
    if outcome.is_err() {
        // Why it failed is what the caller wants to know.
        Fault::muted(|| remove_unused(session, &description.name)).ok();
    }
    outcome
}

/// Makes a network as it is described, or makes it so.
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
    if let Some(other) = old.take_if(|old| in_use == InUse::No && old.bridge != description.bridge) {
        remove_network_locked(session, host, &other, Act::Apply)?;
    }
    let Some(old) = old else {
        let network = decide_described(session, description)?;
        // Whatever is missing of a network that is recorded is made by whoever attaches to it.
        return Ok(session.store().write_network(host, &network)?);
    };
    let mut new = description.onto(&old, in_use)?;
    new.bridge_mode = bridge_mode(session, description, Some(&old))?;
    refuse_overlaps(&new, &session.store().networks_lossy().0)?;
    if new == old {
        return Ok(());
    }
    let mut plan = plan_change(session, &old, &new)?;
    if new.bridge_mode != old.bridge_mode {
        // Another bridge has its name by now: who attaches makes of that what is missing.
        plan.ops.retain(Op::is_nft);
    }
    let draft = session.store().draft_network(&new)?;
    let unsynced = apply_set(session, host, &old, draft, &plan)?;
    // It does not outlive the boot, so there is nothing slow about it.
    Ok(session.store().sync(unsynced)?)
}

fn bridge_stands(session: &mut Session, network: &Network) -> Result<bool, Error> {
    if network.bridge_mode == BridgeMode::Managed {
        // What is missing of it is put back by whoever attaches.
        return Ok(true);
    }
    let seen = session.kernel.link(&Place::Host, network.bridge.as_str()).map_err(Error::kernel("bridge"))?;
    Ok(seen.is_some_and(|seen| is_bridge_of(network, &seen)))
}

fn decide_described(session: &mut Session, description: &Description) -> Result<Network, Error> {
    let birth = network_birth()?;
    let blank = Network {
        name: description.name.clone(),
        id: description.id.clone().unwrap_or(birth.id),
        created: birth.created,
        driver: Driver::Bridge,
        bridge: description.bridge.clone(),
        bridge_mac: birth.bridge_mac,
        mtu: None,
        pools: Vec::new(),
        scope: description.scope,
        egress: description.egress,
        icc: Icc::Allowed,
        ingress: Ingress::Open,
        bridge_mode: bridge_mode(session, description, None)?,
        hairpin: Hairpin::default(),
        promiscuity: Promiscuity::default(),
        labels: description.labels.clone(),
    };
    let mut network = description.onto(&blank, InUse::No)?;
    let others = session.store().networks_lossy().0;
    for family in &description.families {
        if network.pool(*family).is_none() {
            let occupied = addresses_in_use(session, &others, &[Family::V4, Family::V6])?;
            network.pools.push(automatic_pool(&network.name, *family, &session.pools(), &occupied)?);
        }
    }
    refuse_overlaps(&network, &others)?;
    Ok(network)
}

/// Whose the bridge is, or would be.
pub(crate) fn bridge_mode(
    session: &mut Session,
    description: &Description,
    old: Option<&Network>,
) -> Result<BridgeMode, Error> {
    let bridge = &description.bridge;
    let object = format!("network {}", description.name);
    let seen = session.kernel.link(&Place::Host, bridge.as_str()).map_err(Error::kernel(&object))?;
    match (seen, description.foreign_bridge) {
        (None, ForeignBridge::Adopted) => Ok(BridgeMode::Managed),
        (None, ForeignBridge::Required) => {
            Err(Error::NoBridge { network: description.name.clone(), bridge: bridge.clone() })
        }
        (Some(seen), _) if old.is_some_and(|n| n.bridge_mode == BridgeMode::Managed && is_bridge_of(n, &seen)) => {
            Ok(BridgeMode::Managed)
        }
        (Some(seen), foreign) if seen.kind.as_deref() == Some("bridge") => Ok(match foreign {
            ForeignBridge::Adopted => BridgeMode::Adopted,
            ForeignBridge::Required => BridgeMode::Unmanaged,
        }),
        (Some(seen), _) => Err(Error::Kernel {
            object,
            source: zubi_kernel::Error::Conflict {
                object: format!("bridge {bridge}"),
                found: format!("a {}", seen.kind.as_deref().unwrap_or("device")),
            },
        }),
    }
}
