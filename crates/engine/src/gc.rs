//! What nobody owns any more: left by killed processes, dead sandboxes, strangers' deletions.
//!
//! Unknown is not dead: an endpoint is dead only when its device is gone *and* its namespace cannot be found, or leads
//! elsewhere. What cannot be judged stays.

use crate::engine::{Act, Engine, Report};
use crate::error::Error;
use crate::forwarding::WayBack;
use crate::link::Locks;
use crate::problem::describe;
use std::collections::HashSet;
use zubi_kernel::named;
use zubi_model::{Endpoint, EndpointKey, IfName, LinkPlace, NetworkName};
use zubi_plan::{Op, Place, Plan, What, coexist, firewall};
use zubi_store::{Maker, Mode, StoreError};
use zubi_wire::nft::{ElementSeen, RuleSeen};

/// What became of what killed processes left.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    /// What is finished now, in words.
    pub(crate) done: Vec<String>,
    /// Why another is not; it is tried again by the next command.
    pub(crate) failed: Option<Error>,
}

/// An element that nobody asked for.
struct Stray {
    element: zubi_wire::nft::Element,
    /// Its key in words.
    words: String,
}

impl Engine {
    /// Finishes what killed processes left half-way: every record in `pending` whose lock is free is taken away. One
    /// that cannot be taken away stays, and does not keep the caller from its own work. The caller holds the host lock.
    pub(crate) fn recover(&mut self) -> Result<Recovered, Error> {
        let mut recovered = Recovered::default();
        for pending in self.store.pending()? {
            // An unreadable one is reported by `check`; it must not stop everybody else.
            let Ok(pending) = pending else { continue };
            let Some(lock) = self.store.try_lock_sandbox(pending.key.cookie)? else { continue };
            let Some(endpoint) = self.store.pending_endpoint(&pending.key)? else { continue };
            let buried = {
                // Nobody is to claim what it named and did not claim while that is taken away.
                let _leases = self.store.lock_leases(&pending.key.network)?;
                self.bury(&endpoint, None)
            };
            self.release_sandbox(pending.key.cookie, lock)?;
            match buried {
                Ok(()) => recovered.done.push(format!("{} (interrupted)", describe(&endpoint))),
                Err(e) => recovered.failed = recovered.failed.or(Some(e)),
            }
        }
        match self.recover_links(&Locks::new()) {
            Ok(links) => recovered.done.extend(links),
            Err(e) => recovered.failed = recovered.failed.or(Some(e)),
        }
        Ok(recovered)
    }

    /// The same before a command's own work, unless that is only to be shown.
    pub(crate) fn recover_first(&mut self, act: Act) -> Result<(), Error> {
        if act == Act::Apply {
            self.recover()?;
        }
        Ok(())
    }

    /// Whether an endpoint's sandbox is no more.
    pub(crate) fn is_dead(&mut self, endpoint: &Endpoint) -> Result<bool, Error> {
        Ok(self.host_end(endpoint)?.is_none() && self.way_in(endpoint, None).is_none())
    }

    pub(crate) fn all_dead(&mut self, endpoints: &[Endpoint]) -> Result<bool, Error> {
        for endpoint in endpoints {
            if !self.is_dead(endpoint)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes the owner of a lease away if it is dead, or forgets a lease whose owner has no record. Gives whether the
    /// lease is free now, or would be.
    pub(crate) fn bury_if_dead(&mut self, key: &EndpointKey, act: Act) -> Result<bool, Error> {
        let Some(_lock) = self.store.try_lock_sandbox(key.cookie)? else { return Ok(false) };
        let dead = match self.store.endpoint(key)? {
            Some(endpoint) if !self.is_dead(&endpoint)? => return Ok(false),
            Some(endpoint) => Some(endpoint),
            None => self.store.pending_endpoint(key)?,
        };
        match dead {
            _ if act == Act::Show => {}
            Some(endpoint) => self.bury(&endpoint, None)?,
            None => drop(self.forget_orphans(&key.network, key)?),
        }
        Ok(true)
    }

    /// Leases and MACs of an owner without a record.
    fn forget_orphans(&mut self, network: &NetworkName, key: &EndpointKey) -> Result<Vec<String>, Error> {
        let mut removed = Vec::new();
        for (address, owner) in self.store.leases(network)? {
            if owner == *key {
                self.store.release(network, address, key)?;
                removed.push(format!("lease {address} on network {network}"));
            }
        }
        for (mac, owner) in self.store.macs(network)? {
            if owner == *key {
                self.store.release_mac(network, mac, key)?;
            }
        }
        Ok(removed)
    }

    /// Takes the endpoints of dead sandboxes away, of one network or of all.
    pub(crate) fn bury_dead(&mut self, network: Option<&NetworkName>) -> Result<Vec<String>, Error> {
        let mut done = Vec::new();
        for endpoint in self.store.all_endpoints_lossy().0 {
            if network.is_some_and(|n| *n != endpoint.network) {
                continue;
            }
            let Some(lock) = self.store.try_lock_sandbox(endpoint.sandbox.cookie)? else { continue };
            // Under the lock it may be another one, or none.
            let Some(endpoint) = self.store.endpoint(&endpoint.key())? else { continue };
            if self.is_dead(&endpoint)? {
                self.bury(&endpoint, None)?;
                self.release_sandbox(endpoint.sandbox.cookie, lock)?;
                done.push(format!("{} (sandbox is gone)", describe(&endpoint)));
            }
        }
        Ok(done)
    }

    /// Removes everything that nobody owns; the answer names each thing. The plan is filled when it is only to be shown.
    pub fn gc(&mut self, act: Act) -> Result<Report<Vec<String>>, Error> {
        let _host = self.store.lock_host(Mode::Exclusive)?;
        match act {
            Act::Apply => Ok(Report { plan: Plan::new(), value: self.collect()? }),
            Act::Show => self.plan_collect(),
        }
    }

    /// What [`Engine::collect`] would do.
    fn plan_collect(&mut self) -> Result<Report<Vec<String>>, Error> {
        let mut report = Report { plan: Plan::new(), value: Vec::new() };
        for endpoint in self.store.pending()?.into_iter().filter_map(Result::ok).map(|p| p.endpoint) {
            if self.store.try_lock_sandbox(endpoint.sandbox.cookie)?.is_some() {
                report.plan.append(self.plan_detach(&endpoint, None)?);
                report.value.push(format!("{} (interrupted)", describe(&endpoint)));
            }
        }
        for link in self.store.unfinished_links_lossy().0 {
            report.plan.append(self.plan_unlink(&link)?);
            report.value.push(format!("link {link} (interrupted)"));
        }
        for network in self.store.networks_in_making()? {
            let plan = match self.store.network(&network.name)? {
                Some(complete) if complete == network => continue,
                Some(complete) if complete.id == network.id => self.plan_change(&network, &complete)?,
                _ => self.plan_down(&network)?,
            };
            report.plan.append(plan);
            report.value.push(format!("network {} (interrupted)", network.name));
        }
        for endpoint in self.store.all_endpoints_lossy().0 {
            let free = self.store.try_lock_sandbox(endpoint.sandbox.cookie)?.is_some();
            if free && self.is_dead(&endpoint)? {
                report.plan.append(self.plan_detach(&endpoint, None)?);
                report.value.push(format!("{} (sandbox is gone)", describe(&endpoint)));
            }
        }
        for link in self.store.links_lossy().0 {
            if self.is_dead_link(&link)? {
                report.value.push(format!("link {link} (sandbox is gone)"));
            }
        }
        for record in self.store.sandboxes()? {
            let abandoned = record.maker == Maker::Run || record.cookie.is_none();
            if abandoned && self.store.try_lock_run(&record.name)?.is_some() {
                report.plan.append(self.disconnect_all(&record.name, Act::Show)?.0);
                report.plan.append(zubi_plan::sandbox::remove(&record.name));
                report.value.push(format!("sandbox {} (its maker was killed)", record.name));
            }
        }
        for (name, plan) in self.plan_faded()? {
            report.plan.append(plan);
            report.value.push(format!("network {name} (nobody is attached to it)"));
        }
        if let Ok(claims) = self.unrecorded_ports() {
            report.value.extend(claims.iter().map(|claim| format!("{claim} (in no record)")));
        }
        for (network, key) in self.orphans()? {
            report.value.push(format!("leases of sandbox {} on network {network} (in no record)", key.cookie));
        }
        let strays = self.collect_strays(Act::Show)?;
        report.plan.append(strays.plan);
        report.value.extend(strays.value);
        Ok(report)
    }

    /// The caller holds the host lock alone.
    pub(crate) fn collect(&mut self) -> Result<Vec<String>, Error> {
        let Recovered { done: mut removed, failed } = self.recover()?;
        removed.extend(self.recover_networks()?.into_iter().map(|name| format!("network {name} (interrupted)")));
        removed.extend(self.collect_runs()?);
        removed.extend(self.bury_dead(None)?);
        removed.extend(self.bury_dead_links()?);
        removed.extend(self.collect_orphans()?);
        for name in self.store.empty_described()? {
            if self.fade_locked(&name)? {
                removed.push(format!("network {name} (nobody is attached to it)"));
            }
        }
        removed.extend(self.collect_ports()?);
        removed.extend(self.collect_sandboxes()?);
        self.reap()?;
        removed.extend(self.collect_strays(Act::Apply)?.value);
        let temporary = self.store.remove_leftovers()?;
        if temporary > 0 {
            removed.push(format!("{temporary} unfinished files"));
        }
        match failed {
            Some(e) => Err(e),
            None => Ok(removed),
        }
    }

    /// Leases without a record.
    pub(crate) fn orphans(&mut self) -> Result<Vec<(NetworkName, EndpointKey)>, Error> {
        let mut orphans: Vec<(NetworkName, EndpointKey)> = Vec::new();
        for network in self.known_networks() {
            let leases = self.store.leases(&network)?.into_iter().map(|(_, owner)| owner);
            let macs = self.store.macs(&network)?.into_iter().map(|(_, owner)| owner);
            for owner in leases.chain(macs) {
                let known = orphans.iter().any(|(_, key)| *key == owner);
                // A record that cannot be read is one.
                let none = |record: Result<Option<Endpoint>, StoreError>| matches!(record, Ok(None));
                let unowned = none(self.store.endpoint(&owner)) && none(self.store.pending_endpoint(&owner));
                if !known && unowned {
                    orphans.push((network.clone(), owner));
                }
            }
        }
        Ok(orphans)
    }

    fn collect_orphans(&mut self) -> Result<Vec<String>, Error> {
        let mut removed = Vec::new();
        for (network, key) in self.orphans()? {
            removed.extend(self.forget_orphans(&network, &key)?);
        }
        Ok(removed)
    }

    /// Ports that are claimed for endpoints that do not publish them: somebody was killed in between.
    fn collect_ports(&mut self) -> Result<Vec<String>, Error> {
        // A file that cannot be read is reported by `check`; it must not stop everything else.
        let Ok(claims) = self.unrecorded_ports() else { return Ok(Vec::new()) };
        let mut removed = Vec::new();
        for claim in claims {
            if self.release_unrecorded(&claim)? {
                removed.push(format!("{claim} (in no record)"));
            }
        }
        Ok(removed)
    }

    /// Records of named sandboxes: those whose maker was killed before the namespace stood, and those whose name is
    /// gone.
    fn collect_sandboxes(&mut self) -> Result<Vec<String>, Error> {
        let mut removed = Vec::new();
        let names = named::list().map_err(Error::kernel("named namespaces"))?;
        for record in self.store.sandboxes()? {
            let Some(lock) = self.store.try_lock_run(&record.name)? else { continue };
            let unfinished = record.cookie.is_none();
            let nameless = !names.contains(&record.name);
            if unfinished && !nameless {
                let plan = zubi_plan::sandbox::remove(&record.name);
                self.take_down(&format!("sandbox {}", record.name), &plan, zubi_kernel::Deletions::Now)?;
            }
            if unfinished || nameless {
                self.store.remove_sandbox(&record.name)?;
                removed.push(format!("sandbox {} (its namespace is gone)", record.name));
                self.store.remove_run_lock(&record.name, lock)?;
            }
        }
        Ok(removed)
    }

    /// Devices and firewall elements that carry our mark and belong to no record. The caller holds the host lock
    /// alone, so nobody is in the middle of making one.
    pub(crate) fn collect_strays(&mut self, act: Act) -> Result<Report<Vec<String>>, Error> {
        const WHY: &str = "made by zubi, and in no record";
        let (networks, unreadable) = self.store.networks_lossy();
        let (endpoints, unreadable_endpoints) = self.store.all_endpoints_lossy();
        let mut plan = Plan::new();
        let mut words = Vec::new();
        // Unknown is not dead: the owner may be in the file that cannot be read.
        let (pending, unreadable_pending): (Vec<_>, Vec<_>) =
            self.store.pending()?.into_iter().partition(Result::is_ok);
        let (mut links, mut unreadable_links) = self.store.links_lossy();
        let (unfinished, more) = self.store.unfinished_links_lossy();
        links.extend(unfinished);
        unreadable_links.extend(more);
        if !unreadable_links.is_empty() {
            return Ok(Report { plan, value: words });
        }
        if !unreadable.is_empty() || !unreadable_endpoints.is_empty() || !unreadable_pending.is_empty() {
            return Ok(Report { plan, value: words });
        }
        let pending: Vec<Endpoint> = pending.into_iter().flatten().map(|p| p.endpoint).collect();
        let doomed: HashSet<IfName> = self.store.doomed()?.into_iter().map(|(name, _)| name).collect();
        let mut owned: HashSet<&str> = networks.iter().map(|n| n.bridge.as_str()).collect();
        owned.extend(endpoints.iter().chain(&pending).map(|e| e.host_device.as_str()));
        let of_links = links.iter().flat_map(|l| &l.ends).filter(|e| e.place == LinkPlace::Host);
        owned.extend(of_links.map(|e| e.ifname.as_str()));
        owned.extend(doomed.iter().map(IfName::as_str));
        let links = self.kernel.links(&Place::Host, None).map_err(Error::kernel("devices"))?;
        for link in links.iter().filter(|l| l.group.is_ours()).filter(|l| !owned.contains(l.name.as_str())) {
            let Ok(name) = link.name.parse::<IfName>() else { continue };
            words.push(format!("device {name} (in no record)"));
            plan.push(Op::host(What::DeleteLink(name), WHY));
        }
        let mut wanted: HashSet<(String, Vec<ElementSeen>)> = HashSet::new();
        let elements = networks.iter().flat_map(firewall::network_elements);
        let elements = elements.chain(endpoints.iter().chain(&pending).flat_map(firewall::endpoint_elements));
        for element in elements {
            wanted.insert((element.set.clone(), element.raw()));
        }
        for element in self.closed_elements()? {
            wanted.insert((element.set.clone(), element.raw()));
        }
        for stray in self.stray_elements(&wanted)? {
            words.push(format!("firewall element {} of set {} (in no record)", stray.words, stray.element.set));
            plan.push(Op::host(What::DeleteElement(stray.element), WHY));
        }
        let needless = networks.is_empty() && endpoints.is_empty();
        let unneeded = if needless { self.unneeded_without(None) } else { Vec::new() };
        let back = if needless { self.forwarding_back(None)? } else { WayBack::default() };
        let kept = |rule: &RuleSeen| networks.iter().any(|network| coexist::is_of(rule, network));
        let guests = self.kernel.guests().map_err(Error::kernel("firewalls of other programs"))?;
        let strays: Vec<RuleSeen> =
            guests.into_iter().filter(|g| g.owner.is_none() && !kept(&g.rule)).map(|g| g.rule).collect();
        words.extend(strays.iter().map(|stray| format!("{stray} (in no record)")));
        plan.append(coexist::leave(&strays));
        if !back.settings.is_empty() {
            words.push("forwarding of packets (no network needs it)".into());
            plan.ops.extend(back.settings);
        }
        if needless && self.kernel.firewall().map_err(Error::kernel("firewall"))?.table.is_some() {
            words.push("firewall table inet zubi (no network needs it)".into());
            plan.ops.retain(|op| !op.is_nft() || op.is_guest());
            plan.push(Op::host(What::DeleteTable(firewall::table()), WHY));
        }
        if act == Act::Apply {
            if !plan.is_empty() {
                self.take_down("what nobody owns", &plan, zubi_kernel::Deletions::Now)?;
            }
            self.forget_forwarding(&unneeded)?;
        }
        Ok(Report { plan, value: words })
    }

    /// Elements of the maps and the exact sets that nobody has asked for. The intervals of sets belong to networks and go
    /// with them.
    fn stray_elements(&mut self, wanted: &HashSet<(String, Vec<ElementSeen>)>) -> Result<Vec<Stray>, Error> {
        let mut strays = Vec::new();
        for set in firewall::sets() {
            if set.shape != zubi_wire::nft::Shape::Exact && set.data.is_empty() {
                continue;
            }
            for seen in self.kernel.elements(&set.name).map_err(Error::kernel("firewall"))? {
                let raw = vec![seen.clone()];
                if wanted.contains(&(set.name.clone(), raw)) {
                    continue;
                }
                if let Some(element) = seen.element(&set) {
                    strays.push(Stray { element, words: seen.describe(&set) });
                }
            }
        }
        Ok(strays)
    }
}
