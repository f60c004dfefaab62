//! Changing a network that is in use.
//!
//! # How it works
//! What the network is to be is written down as being made, then the kernel is changed, and the network's own record
//! last. When a command is killed in between, whoever comes next finds both, and takes the kernel back to the record.

use crate::error::Error;
use crate::heal::gone::{is_gone, remove_gone};
use crate::heal::leftovers::recover_first;
use crate::heal::unfinished_networks::recover_networks;
use crate::report::{Act, Report};
use crate::session::Session;
use crate::steps::change_network::{apply_set, plan_change, sync_set};
use zubi_model::{BridgeChange, Difference, DriverChange, Endpoint, Icc, Ingress, Network, NetworkChange, NetworkName};
use zubi_store::NetworkDraft;

/// Says who reaches a network that is described with every call.
pub(crate) fn set_ingress(
    session: &mut Session,
    name: &NetworkName,
    ingress: Ingress,
    icc: Option<Icc>,
) -> Result<(), Error> {
    let driver = DriverChange::Bridge(BridgeChange { ingress: Some(ingress), icc, ..BridgeChange::default() });
    let change = NetworkChange { driver: Some(driver), ..NetworkChange::default() };
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

/// How often a network is looked at anew because something of it went meanwhile.
const MOST_LOOKS: usize = 3;

/// A network as it is now, and what was otherwise.
#[derive(Debug, Clone)]
pub struct NetworkSet {
    /// The network.
    pub network: Network,
    /// Its endpoints.
    pub endpoints: Vec<Endpoint>,
    /// Empty when it was as wished already.
    pub differences: Vec<Difference>,
}

/// Changes a network, its bridge and its endpoints. What cannot be changed is refused before the first effect.
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
        // Somebody else may have changed it since.
        draft = draft.filter(|draft| *draft.network() == new);
        let mut looks = 0;
        let unsynced = loop {
            let this = match draft.take() {
                Some(draft) => draft,
                None => session.store().draft_network(&new)?,
            };
            match apply_set(session, host, &old, this, &plan) {
                // A device that goes with its namespace just then is not there when it is looked for again.
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
        // In a dry run endpoints of dead sandboxes are still recorded; do not count them.
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

/// The record as it would be written a moment later, on the disk already: a slow disk keeps nobody else waiting, and
/// one that takes nothing is told before the first effect. Reasons against it are told under the lock.
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
