//! Work that takes the kernel long, so that no command waits for it.
//!
//! # How it works
//! The store lists the devices and addresses before they are handed over. If a process is killed, the next command
//! finishes its work.

use crate::error::Error;
use crate::heal::unused_networks::remove_unused;
use crate::session::Session;
use crate::steps::apply::take_down;
use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;
use zubi_model::{Endpoint, IfName, LeaseOwner, LinkGroup, NetworkName};
use zubi_plan::{Flows, Place, Plan, What};
use zubi_store::ReaperLock;
use zubi_wire::route::LinkMark;

/// Finishes the deletions of all commands so far, and waits until they are done.
pub(crate) fn finish_deletions(session: &mut Session) -> Result<(), Error> {
    let reaper = session.store().lock_reaper()?;
    delete_doomed(session)?;
    forget_stale(session, &reaper)
}

/// Deletes the connections of free addresses. An address in use again is skipped: its attach has deleted them.
fn forget_stale(session: &mut Session, reaper: &ReaperLock) -> Result<(), Error> {
    let stale = session.store().stale_lossy().0;
    if stale.is_empty() {
        return Ok(());
    }
    let failed = || Error::kernel("connections of free addresses");
    let addresses: Vec<IpAddr> = stale.iter().map(|(address, _)| *address).collect();
    let flows = session.kernel.flows_of(&addresses).map_err(failed())?;
    for (address, network) in stale {
        // Take the lock only now: reading the connections takes long, and an attach waits for this lock.
        let lives = session.store().network(&network)?.is_some();
        let _leases = if lives { Some(session.store().lock_leases_as_reaper(reaper, &network)?) } else { None };
        if !session.store().is_stale(&network, address)? || is_in_use(session, &network, address)? {
            continue;
        }
        let of_it = flows.iter().filter(|f| f.original.source == address || f.reply.source == address);
        let of_it: Vec<_> = of_it.cloned().collect();
        session.kernel.forget(&of_it).map_err(failed())?;
        session.store().unmark_stale(&network, address)?;
    }
    Ok(())
}

/// Whether an endpoint has the address. A reservation alone uses no connections.
fn is_in_use(session: &Session, network: &NetworkName, address: IpAddr) -> Result<bool, Error> {
    Ok(match session.store().lease_owner(network, address)? {
        Some(LeaseOwner::Endpoint(_)) => true,
        Some(LeaseOwner::Reservation(_)) => {
            let has = |endpoint: &Endpoint| endpoint.addresses.iter().any(|a| a.address.addr() == address);
            session.store().endpoints_on(network)?.iter().any(has)
        }
        None => false,
    })
}

fn delete_doomed(session: &mut Session) -> Result<(), Error> {
    let doomed = session.store().doomed_lossy().0;
    if doomed.is_empty() {
        return Ok(());
    }
    if doomed.len() > 1 && only_doomed_in_group(session, &doomed.iter().map(|(n, _)| n.clone()).collect())? {
        session.kernel.delete_group(LinkGroup::DOOMED).map_err(Error::kernel("doomed links"))?;
    }
    for (name, mac) in doomed {
        let seen = session.kernel.link(&Place::Host, name.as_str()).map_err(Error::kernel("doomed link"))?;
        if seen.is_some_and(|l| l.mac == Some(mac) && l.group.is_ours()) {
            let op = zubi_plan::Op::host(What::DeleteLink(LinkMark::new(name.clone(), mac)), "doomed");
            let plan = std::iter::once(op).collect();
            take_down(session, "doomed link", &plan, zubi_kernel::Deletions::Now)?;
        }
        session.store().remove_doomed(&name)?;
    }
    Ok(())
}

/// Whether the group holds nothing but the doomed devices: only then it may be deleted as a whole.
fn only_doomed_in_group(session: &mut Session, doomed: &HashSet<IfName>) -> Result<bool, Error> {
    let links = session.kernel.links(&Place::Host, None).map_err(Error::kernel("doomed links"))?;
    Ok(links
        .iter()
        .filter(|l| l.group == LinkGroup::DOOMED)
        .all(|l| l.name.parse().is_ok_and(|name: IfName| doomed.contains(&name))))
}

/// Deletes the connections of ports that were unpublished while their endpoint stays; if the endpoint is gone,
/// [`forget_stale`] covers its address. Usually a second command detaches the endpoint right after its ports were
/// unpublished. Wait for that, since our dump of the connections would block it in the kernel.
fn forget_later(session: &mut Session) -> Result<(), Error> {
    const MEANWHILE: Duration = Duration::from_millis(30);
    let flows = std::mem::take(&mut session.slow.flows);
    if flows.is_empty() {
        return Ok(());
    }
    std::thread::sleep(MEANWHILE);
    let mut plan = Plan::new();
    for (network, of_network) in flows {
        for op in of_network.ops {
            if let What::Forget(Flows::Through { target, .. }) = &op.what
                && session.store().is_leased(&network, *target)?
            {
                plan.push(op);
            }
        }
    }
    take_down(session, "connections of ports that were taken back", &plan, zubi_kernel::Deletions::Now)
}

pub(crate) fn slow_part(session: &mut Session) -> Result<(), Error> {
    // After a failure the other parts still run.
    let mut outcome = forget_later(session);
    outcome = outcome.and(finish_deletions(session));
    for name in std::mem::take(&mut session.slow.unused) {
        outcome = outcome.and(remove_unused(session, &name));
    }
    outcome
}
