//! What the kernel takes long for and no command waits for.
//!
//! # How it works
//! The store names the devices and addresses before anything is handed over: the next command finishes what a killed
//! one left.

use crate::error::Error;
use crate::heal::unused_networks::remove_unused;
use crate::session::Session;
use crate::steps::apply::take_down;
use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;
use zubi_model::{IfName, LinkGroup};
use zubi_plan::{Flows, Place, Plan, What};
use zubi_store::ReaperLock;
use zubi_wire::route::LinkMark;

/// Does the slow part of everything that was taken away, and waits for it.
pub(crate) fn finish_deletions(session: &mut Session) -> Result<(), Error> {
    let reaper = session.store().lock_reaper()?;
    delete_doomed(session)?;
    forget_stale(session, &reaper)
}

/// Forgets the connections of addresses that are nobody's now. What is somebody's again was cleaned by that one.
fn forget_stale(session: &mut Session, reaper: &ReaperLock) -> Result<(), Error> {
    let stale = session.store().stale_lossy().0;
    if stale.is_empty() {
        return Ok(());
    }
    let failed = || Error::kernel("connections of free addresses");
    let addresses: Vec<IpAddr> = stale.iter().map(|(address, _)| *address).collect();
    let flows = session.kernel.flows_of(&addresses).map_err(failed())?;
    for (address, network) in stale {
        // Only now: the looking takes long, and who wants an address waits for the lock.
        let lives = session.store().network(&network)?.is_some();
        let _leases = if lives { Some(session.store().lock_leases_as_reaper(reaper, &network)?) } else { None };
        if !session.store().is_stale(&network, address)? || session.store().is_leased(&network, address)? {
            continue;
        }
        let of_it = flows.iter().filter(|f| f.original.source == address || f.reply.source == address);
        let of_it: Vec<_> = of_it.cloned().collect();
        session.kernel.forget(&of_it).map_err(failed())?;
        session.store().unmark_stale(&network, address)?;
    }
    Ok(())
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

/// Before a whole group is deleted: is every link of it one of ours?
fn only_doomed_in_group(session: &mut Session, doomed: &HashSet<IfName>) -> Result<bool, Error> {
    let links = session.kernel.links(&Place::Host, None).map_err(Error::kernel("doomed links"))?;
    Ok(links
        .iter()
        .filter(|l| l.group == LinkGroup::DOOMED)
        .all(|l| l.name.parse().is_ok_and(|name: IfName| doomed.contains(&name))))
}

/// Forgets the connections of ports that were taken back, where their endpoint stays: the address of one that has gone
/// is looked after as a whole. Most often it goes right behind its ports, by another command, which would wait in the
/// kernel for our looking.
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
    // One that fails keeps none of the others.
    let mut outcome = forget_later(session);
    outcome = outcome.and(finish_deletions(session));
    for name in std::mem::take(&mut session.slow.unused) {
        outcome = outcome.and(remove_unused(session, &name));
    }
    outcome
}
