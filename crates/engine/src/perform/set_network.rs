//! Changing a network that is in use.
//!
//! # How it works
//! The changed network is first written as unfinished, then the kernel is changed, then the network's record. If a
//! command is killed in between, the next command finds both versions and takes the kernel back to the record.

use crate::error::Error;
use crate::heal::gone::{is_gone, remove_gone};
use crate::heal::leftovers::recover_first;
use crate::heal::unfinished_networks::recover_networks;
use crate::report::{Act, Report};
use crate::session::Session;
use crate::steps::change_network::{apply_set, plan_change, sync_set};
use std::net::IpAddr;
use zubi_model::{BridgeChange, Difference, DriverChange, Endpoint, Icc, Ingress, Network, NetworkChange, NetworkName};
use zubi_store::NetworkDraft;

/// Sets who can reach a network that is described with every call.
pub(crate) fn set_ingress(
    session: &mut Session,
    name: &NetworkName,
    ingress: Ingress,
    icc: Option<Icc>,
) -> Result<(), Error> {
    let driver = DriverChange::Bridge(BridgeChange { ingress: Some(ingress), icc, ..BridgeChange::default() });
    change_described(session, name, &NetworkChange { driver: Some(driver), ..NetworkChange::default() })
}

/// Sets the servers that a network which is described with every call asks about names elsewhere. The next description
/// has them too.
pub(crate) fn set_name_servers(session: &mut Session, name: &NetworkName, servers: &[IpAddr]) -> Result<(), Error> {
    let name_servers = Some(servers.to_vec());
    change_described(session, name, &NetworkChange { name_servers, ..NetworkChange::default() })
}

/// Changes a network that is described with every call. One that is gone needs no change.
fn change_described(session: &mut Session, name: &NetworkName, change: &NetworkChange) -> Result<(), Error> {
    match session.store().network(name)? {
        None => return Ok(()),
        Some(old) if change.apply(&old)? == old => return Ok(()),
        Some(_) => {}
    }
    let lock = session.store().lock_host_exclusive()?;
    let host = &lock;
    recover_first(session, host, Act::Apply)?;
    recover_networks(session, host).but(name)?;
    let Some(old) = session.store().network(name)? else { return Ok(()) };
    let new = change.apply(&old)?;
    let plan = plan_change(session, &old, &new)?;
    if new == old {
        return Ok(());
    }
    let draft = session.store().draft_network(&new)?;
    let unsynced = apply_set(session, host, &old, draft, &plan)?;
    drop(lock);
    sync_set(session, &old, &new, unsynced)
}

/// How often a change is planned again because a device disappeared meanwhile.
const MOST_LOOKS: usize = 3;

/// The result of changing a network.
#[derive(Debug, Clone)]
pub struct NetworkSet {
    /// The network after the change.
    pub network: Network,
    /// Its endpoints.
    pub endpoints: Vec<Endpoint>,
    /// What was changed; empty if the network was as requested.
    pub differences: Vec<Difference>,
}

/// Changes a network, its bridge and its endpoints. A change that is not possible is refused before the first effect.
pub(crate) fn set_network(
    session: &mut Session,
    name: &NetworkName,
    wishes: &NetworkChange,
    act: Act,
) -> Result<Report<NetworkSet>, Error> {
    let mut draft = draft_set(session, name, wishes, act)?;
    let lock = session.store().lock_host_exclusive()?;
    let host = &lock;
    recover_first(session, host, act)?;
    if act == Act::Apply {
        recover_networks(session, host).but(name)?;
    }
    let Some(old) = session.store().network(name)? else {
        return Err(Error::NoNetwork { name: name.clone(), known: session.known_networks() });
    };
    if let Some(by) = name.source() {
        return Err(Error::Described { name: name.clone(), by });
    }
    let new = wishes.apply(&old)?;
    if act == Act::Apply {
        remove_gone(session, host, Some(name))?;
    }
    let endpoints = session.store().endpoints_on(name)?;
    refuse_fixed(session, &old, &new, wishes, &endpoints)?;
    let mut plan = plan_change(session, &old, &new)?;
    if act == Act::Apply && new != old {
        // Another command may have changed the network since the draft was written.
        draft = draft.filter(|draft| *draft.network() == new);
        let mut looks = 0;
        let unsynced = loop {
            let this = match draft.take() {
                Some(draft) => draft,
                None => session.store().draft_network(&new)?,
            };
            match apply_set(session, host, &old, this, &plan) {
                // A device disappeared together with its namespace. Plan again: it will not be found.
                Err(e) if e.device_missing() && looks < MOST_LOOKS => plan = plan_change(session, &old, &new)?,
                outcome => break outcome?,
            }
            looks += 1;
        };
        drop(lock);
        sync_set(session, &old, &new, unsynced)?;
    }
    let differences = new.differences(&old);
    Ok(Report { plan, value: NetworkSet { network: new, endpoints, differences } })
}

fn refuse_fixed(
    session: &mut Session,
    old: &Network,
    new: &Network,
    wishes: &NetworkChange,
    endpoints: &[Endpoint],
) -> Result<(), Error> {
    let fixed = wishes.fixed(old);
    if fixed.is_none() && old.scope == new.scope {
        return Ok(());
    }
    let mut attached = Vec::new();
    for endpoint in endpoints {
        // In a dry run endpoints of removed sandboxes are still recorded; do not count them.
        if !is_gone(session, endpoint)? {
            attached.push(endpoint.sandbox.spelled.clone());
        }
    }
    let name = old.name.clone();
    match fixed {
        Some((what, has)) => Err(Error::Fixed { name, what, has, attached }),
        None if !attached.is_empty() => Err(Error::ScopeInUse { name, attached }),
        None => Ok(()),
    }
}

/// Writes the changed record to the disk without a lock. So a slow disk blocks no other command, and a full one is
/// reported before the first effect. All checks are made under the lock.
fn draft_set(
    session: &mut Session,
    name: &NetworkName,
    wishes: &NetworkChange,
    act: Act,
) -> Result<Option<NetworkDraft>, Error> {
    let old = if act == Act::Apply && name.source().is_none() { session.store().network(name)? } else { None };
    match old.as_ref().map(|old| wishes.apply(old)) {
        Some(Ok(new)) if old.as_ref() != Some(&new) => Ok(Some(session.store().draft_network(&new)?)),
        _ => Ok(None),
    }
}
