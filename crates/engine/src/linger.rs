//! What the kernel takes its time for and nobody waits for.
//!
//! # How it works
//! The kernel waits some 16 ms (an RCU barrier) in every link deletion, and some 13 ms when an nftables socket is closed
//! after a deletion; to look for the connections of an address takes it 5 ms. A detached child of the command does
//! all of that, and takes described networks away that nobody is attached to any more. It holds none of the caller's descriptors, so a caller
//! that reads the command's output to its end is not kept waiting either. The links to delete and the addresses stand in the store
//! before the fork: if the child dies, the next one finishes.

use crate::engine::Engine;
use crate::error::Error;
use std::collections::HashSet;
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::time::Duration;
use zubi_kernel::process::{self, Holds};
use zubi_model::{IfName, LinkGroup};
use zubi_plan::{Flows, Place, What};
use zubi_wire::route::LinkMark;

/// Beside the kernel's sockets nothing stays open between two calls, once the sandboxes are forgotten.
impl Holds for Engine {
    fn descriptors(&self) -> Vec<RawFd> {
        self.kernel.descriptors()
    }
}

impl Engine {
    /// Does the slow part of everything that was taken away, and waits for it.
    pub fn reap(&mut self) -> Result<(), Error> {
        let _reaper = self.store.lock_reaper()?;
        self.delete_doomed()?;
        self.forget_stale()
    }

    /// Forgets the connections of addresses that are nobody's now. What is somebody's again was cleaned by that one.
    fn forget_stale(&mut self) -> Result<(), Error> {
        let stale = self.store.stale_lossy().0;
        if stale.is_empty() {
            return Ok(());
        }
        let failed = || Error::kernel("connections of free addresses");
        let addresses: Vec<IpAddr> = stale.iter().map(|(address, _)| *address).collect();
        let flows = self.kernel.flows_of(&addresses).map_err(failed())?;
        for (address, network) in stale {
            // Only now: the looking takes long, and who wants an address waits for the lock.
            let lives = self.store.network(&network)?.is_some();
            let _leases = if lives { Some(self.store.lock_leases(&network)?) } else { None };
            if !self.store.is_stale(&network, address)? || self.store.is_leased(&network, address)? {
                continue;
            }
            let of_it = flows.iter().filter(|f| f.original.source == address || f.reply.source == address);
            let of_it: Vec<_> = of_it.cloned().collect();
            self.kernel.forget(&of_it).map_err(failed())?;
            self.store.unmark_stale(&network, address)?;
        }
        Ok(())
    }

    fn delete_doomed(&mut self) -> Result<(), Error> {
        let doomed = self.store.doomed_lossy().0;
        if doomed.is_empty() {
            return Ok(());
        }
        if doomed.len() > 1 && self.only_doomed_in_group(&doomed.iter().map(|(n, _)| n.clone()).collect())? {
            self.kernel.delete_group(LinkGroup::DOOMED).map_err(Error::kernel("doomed links"))?;
        }
        for (name, mac) in doomed {
            let seen = self.kernel.link(&Place::Host, name.as_str()).map_err(Error::kernel("doomed link"))?;
            if seen.is_some_and(|l| l.mac == Some(mac) && l.group.is_ours()) {
                let op = zubi_plan::Op::host(What::DeleteLink(LinkMark::new(name.clone(), mac)), "doomed");
                let plan = std::iter::once(op).collect();
                self.take_down("doomed link", &plan, zubi_kernel::Deletions::Now)?;
            }
            self.store.remove_doomed(&name)?;
        }
        Ok(())
    }

    /// Before a whole group is deleted: is every link of it one of ours?
    fn only_doomed_in_group(&mut self, doomed: &HashSet<IfName>) -> Result<bool, Error> {
        let links = self.kernel.links(&Place::Host, None).map_err(Error::kernel("doomed links"))?;
        Ok(links
            .iter()
            .filter(|l| l.group == LinkGroup::DOOMED)
            .all(|l| l.name.parse().is_ok_and(|name: IfName| doomed.contains(&name))))
    }

    /// Leaves the doomed links to a detached child, and ends nothing and waits for nothing itself, unless there can be no
    /// child: then the caller waits.
    pub fn linger(mut self) -> Result<(), Error> {
        if !self.has_attached {
            self.fading = self.store.empty_described()?;
        }
        // A file that cannot be read is reported by `check`.
        let (doomed, stale) = (self.store.doomed_lossy().0, self.store.stale_lossy().0);
        let done = doomed.is_empty() && stale.is_empty() && self.fading.is_empty();
        let done = done && self.forgotten.is_none();
        if done && !self.kernel.closes_slowly() {
            return Ok(());
        }
        // The child keeps the host's sockets only. What is cached of sandboxes would name descriptors that it has closed.
        self.kernel.forget_sandboxes();
        // Dropping the sockets here is fast: the child holds them too.
        match process::detach(self, |mut engine| engine.slow_part().map_or(1, |()| 0)) {
            Ok(()) => Ok(()),
            // No process is to be had, and the command has done its work: the slow part takes its time here.
            Err((mut engine, _)) => engine.slow_part(),
        }
    }

    /// Forgets the connections of ports that were taken back, where their endpoint stays: the address of one that has gone
    /// is looked after as a whole. Most often it goes right behind its ports, by another command, which would wait in the
    /// kernel for our looking.
    fn forget_later(&mut self) -> Result<(), Error> {
        const MEANWHILE: Duration = Duration::from_millis(30);
        let Some((network, mut plan)) = self.forgotten.take() else { return Ok(()) };
        std::thread::sleep(MEANWHILE);
        let mut stays = Vec::new();
        for op in plan.ops.drain(..) {
            let What::Forget(Flows::Through { target, .. }) = &op.what else { continue };
            if self.store.is_leased(&network, *target)? {
                stays.push(op);
            }
        }
        plan.ops = stays;
        self.take_down("connections of ports that were taken back", &plan, zubi_kernel::Deletions::Now)
    }

    fn slow_part(&mut self) -> Result<(), Error> {
        // One that fails keeps none of the others.
        let mut outcome = self.forget_later();
        outcome = outcome.and(self.reap());
        for name in std::mem::take(&mut self.fading) {
            outcome = outcome.and(self.fade(&name));
        }
        outcome
    }
}
