//! What nobody owns any more: left by killed processes, dead sandboxes, strangers' deletions.
//!
//! Unknown is not dead: an endpoint is dead only when its device is gone *and* its namespace cannot be found, or leads
//! elsewhere. What cannot be judged stays.

use crate::engine::{Act, Engine, Report};
use crate::error::Error;
use crate::forwarding::WayBack;
use crate::link::Locks;
use crate::network::RecoveredNetworks;
use crate::problem::describe;
use crate::rebuild::leads_to_the_living;
use crate::records::Records;
use crate::sandbox::{Force, Unfinished};
use std::collections::HashSet;
use zubi_kernel::Survey;
use zubi_model::{Endpoint, EndpointKey, IfName, LinkPlace, NetworkName};
use zubi_plan::{Op, Place, Plan, What, coexist, firewall};
use zubi_store::{Maker, Mode, SandboxRecord, StoreError};
use zubi_wire::nft::{ElementSeen, RuleSeen};
use zubi_wire::route::{LinkMark, LinkSeen};

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
            let Some(endpoint) = self.store.pending_endpoint(&pending.key)? else {
                self.release_sandbox(pending.key.cookie, lock)?;
                continue;
            };
            let buried = {
                // Nobody is to claim what it named and did not claim while that is taken away.
                let _leases = self.hold_leases(&pending.key.network)?;
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
        // Unknown is not dead.
        Ok(self.host_end(endpoint)?.is_none() && matches!(self.way_in(endpoint, None), Ok(None)))
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
        let Some(lock) = self.store.try_lock_sandbox(key.cookie)? else { return Ok(false) };
        let _leases = if act == Act::Apply { Some(self.hold_leases(&key.network)?) } else { None };
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
        self.release_sandbox(key.cookie, lock)?;
        Ok(true)
    }

    /// Leases and MACs of an owner without a record.
    fn forget_orphans(&mut self, network: &NetworkName, key: &EndpointKey) -> Result<Vec<String>, Error> {
        let mut removed = Vec::new();
        for (address, owner) in self.store.leases_lossy(network).0 {
            if owner == *key {
                self.store.release(network, address, key)?;
                removed.push(format!("lease {address} on network {network}"));
            }
        }
        for (mac, owner) in self.store.macs_lossy(network).0 {
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
            if !self.is_dead(&endpoint)? {
                continue;
            }
            let cookie = endpoint.sandbox.cookie;
            let Some(lock) = self.store.try_lock_sandbox(cookie)? else { continue };
            // Under the lock it may be another one, or none.
            match self.store.endpoint(&endpoint.key())? {
                Some(endpoint) if self.is_dead(&endpoint)? => {
                    self.bury(&endpoint, None)?;
                    done.push(format!("{} (sandbox is gone)", describe(&endpoint)));
                }
                Some(_) => continue,
                None => {}
            }
            self.release_sandbox(cookie, lock)?;
        }
        Ok(done)
    }

    /// Removes everything that nobody owns; the answer names each thing. The plan is filled when it is only to be shown.
    /// With `force` also the devices that live and that no record names.
    pub fn gc(&mut self, force: Force, act: Act) -> Result<Report<Vec<String>>, Error> {
        let _host = self.store.lock_host(Mode::Exclusive)?;
        match act {
            Act::Apply => Ok(Report { plan: Plan::new(), value: self.collect(force)? }),
            Act::Show => self.plan_collect(force),
        }
    }

    /// What [`Engine::collect`] would do.
    fn plan_collect(&mut self, force: Force) -> Result<Report<Vec<String>>, Error> {
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
        for network in self.store.networks_in_making_lossy().0 {
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
        for record in self.store.sandboxes_lossy().0 {
            let abandoned = record.maker == Maker::Run || record.cookie.is_none();
            if abandoned && self.store.try_lock_run(&record.name)?.is_some() {
                if let Some(cookie) = record.cookie {
                    report.plan.append(self.disconnect_all(&record.name, cookie, Act::Show)?.0);
                }
                let there = self.named_cookie(&record.name)?;
                if there.is_some() && record.cookie.is_none_or(|cookie| there == Some(cookie)) {
                    report.plan.append(zubi_plan::sandbox::remove(&record.name, there));
                }
                report.value.push(format!("sandbox {} (its maker was killed)", record.name));
            }
        }
        for (name, plan) in self.plan_faded()? {
            report.plan.append(plan);
            report.value.push(format!("network {name} (nobody is attached to it)"));
        }
        let records = self.records()?;
        if let Ok(claims) = self.unrecorded_ports(&records) {
            report.value.extend(claims.iter().map(|claim| format!("{claim} (in no record)")));
        }
        for (network, key) in self.orphans(&records) {
            report.value.push(format!("leases of sandbox {} on network {network} (in no record)", key.cookie));
        }
        let strays = self.collect_strays(&records, &mut Survey::whole(), force, Act::Show)?;
        report.plan.append(strays.plan);
        report.value.extend(strays.value);
        Ok(report)
    }

    /// The caller holds the host lock alone.
    fn collect(&mut self, force: Force) -> Result<Vec<String>, Error> {
        let Recovered { done: mut removed, failed } = self.recover()?;
        let RecoveredNetworks { done, failed: unfinished } = self.recover_networks();
        removed.extend(done.into_iter().map(|name| format!("network {name} (interrupted)")));
        let failed = failed.or_else(|| unfinished.into_iter().next().map(|(_, e)| e));
        removed.extend(self.collect_runs()?);
        removed.extend(self.bury_dead(None)?);
        removed.extend(self.bury_dead_links()?);
        let records = self.records()?;
        for (network, key) in self.orphans(&records) {
            removed.extend(self.forget_orphans(&network, &key)?);
        }
        for name in self.store.empty_described()? {
            if self.fade_locked(&name)? {
                removed.push(format!("network {name} (nobody is attached to it)"));
            }
        }
        removed.extend(self.collect_ports(&records)?);
        removed.extend(self.collect_sandboxes()?);
        self.reap()?;
        removed.extend(self.collect_strays(&self.records()?, &mut Survey::whole(), force, Act::Apply)?.value);
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
    pub(crate) fn orphans(&mut self, records: &Records) -> Vec<(NetworkName, EndpointKey)> {
        let known = records.keys();
        let mut orphans: Vec<(NetworkName, EndpointKey)> = Vec::new();
        for network in &records.networks {
            let name = &network.name;
            // What cannot be read is reported by `check`.
            let leases = self.store.leases_lossy(name).0.into_iter().map(|(_, owner)| owner);
            let macs = self.store.macs_lossy(name).0.into_iter().map(|(_, owner)| owner);
            for owner in leases.chain(macs).filter(|owner| !known.contains(owner)) {
                // A record that cannot be read is one.
                let none = |record: Result<Option<Endpoint>, StoreError>| matches!(record, Ok(None));
                let unowned = none(self.store.endpoint(&owner)) && none(self.store.pending_endpoint(&owner));
                let orphan = (name.clone(), owner);
                if unowned && !orphans.contains(&orphan) {
                    orphans.push(orphan);
                }
            }
        }
        orphans
    }

    /// Ports that are claimed for endpoints that do not publish them: somebody was killed in between.
    fn collect_ports(&mut self, records: &Records) -> Result<Vec<String>, Error> {
        // A file that cannot be read is reported by `check`; it must not stop everything else.
        let Ok(claims) = self.unrecorded_ports(records) else { return Ok(Vec::new()) };
        let mut removed = Vec::new();
        for claim in claims {
            if self.release_unrecorded(&claim)? {
                removed.push(format!("{claim} (in no record)"));
            }
        }
        Ok(removed)
    }

    /// Why the record of a named sandbox has outlived what it describes. The namespace itself may live on, with
    /// processes in it or under another name; it is nobody's business here.
    pub(crate) fn outlived(&mut self, record: &SandboxRecord) -> Result<Option<&'static str>, Error> {
        let there = self.named_cookie(&record.name)?;
        Ok(match (record.cookie, there) {
            (None, _) => Some("its maker was killed"),
            (Some(_), None) => Some("its name is gone"),
            (Some(recorded), Some(there)) if recorded != there => {
                Some("its name leads to another network namespace now")
            }
            (Some(_), Some(_)) => None,
        })
    }

    /// Records of named sandboxes that have outlived these.
    fn collect_sandboxes(&mut self) -> Result<Vec<String>, Error> {
        let mut removed = Vec::new();
        for record in self.store.sandboxes_lossy().0 {
            if self.outlived(&record)?.is_none() {
                continue;
            }
            let Some(lock) = self.store.try_lock_run(&record.name)? else { continue };
            // Under the lock it may be another one, or none.
            let Some(record) = self.store.sandbox(&record.name)? else { continue };
            let Some(why) = self.outlived(&record)? else { continue };
            if record.cookie.is_none() && self.remove_unfinished(&record.name)? == Unfinished::InUse {
                self.note(format!("sandbox {}: somebody else uses the name; it stays", record.name));
            }
            self.store.remove_sandbox(&record.name)?;
            removed.push(format!("sandbox {} ({why})", record.name));
            self.store.remove_run_lock(&record.name, lock)?;
        }
        Ok(removed)
    }

    /// Devices and firewall elements that carry our mark and belong to no record. The caller holds the host lock
    /// alone, so nobody is in the middle of making one.
    pub(crate) fn collect_strays(
        &mut self,
        records: &Records,
        survey: &mut Survey,
        force: Force,
        act: Act,
    ) -> Result<Report<Vec<String>>, Error> {
        const WHY: &str = "made by zubi, and in no record";
        let Records { networks, endpoints, pending, .. } = records;
        let mut plan = Plan::new();
        let mut words = Vec::new();
        // Unknown is not dead: the owner may be in the file that cannot be read.
        if !records.is_complete() {
            return Ok(Report { plan, value: words });
        }
        let mut owned: HashSet<&str> = networks.iter().map(|n| n.bridge.as_str()).collect();
        owned.extend(endpoints.iter().chain(pending).map(|e| e.host_device.as_str()));
        let links = records.links.iter().chain(&records.unfinished_links);
        let of_links = links.flat_map(|l| &l.ends).filter(|e| e.place == LinkPlace::Host);
        owned.extend(of_links.map(|e| e.ifname.as_str()));
        owned.extend(records.doomed.iter().map(IfName::as_str));
        let links = self.kernel.surveyed_links(survey, &Place::Host).map_err(Error::kernel("devices"))?;
        let spared: Vec<&LinkSeen> = links
            .iter()
            .filter(|l| force == Force::No && leads_to_the_living(l) && !owned.contains(l.name.as_str()))
            .collect();
        // A bridge with ports is in use, also where its network has no record; elements of the firewall may be about both.
        let has_ports = |l: &LinkSeen| {
            force == Force::No
                && l.kind.as_deref() == Some("bridge")
                && links.iter().any(|port| port.master == Some(l.index))
        };
        let is_spared = |l: &LinkSeen| has_ports(l) || spared.iter().any(|s| s.name == l.name);
        let unknown_network = endpoints.iter().any(|e| records.network(&e.network).is_none());
        let ours = links.iter().filter(|l| l.group.is_ours() && !owned.contains(l.name.as_str()));
        for link in ours.filter(|l| !is_spared(l)) {
            let Ok(name) = link.name.parse::<IfName>() else { continue };
            words.push(format!("device {name} (in no record)"));
            plan.push(Op::host(What::DeleteLink(LinkMark { name, mac: link.mac }), WHY));
        }
        if !spared.is_empty() || (unknown_network && force == Force::No) {
            if act == Act::Apply && !plan.is_empty() {
                self.take_down("what nobody owns", &plan, zubi_kernel::Deletions::Now)?;
            }
            return Ok(Report { plan, value: words });
        }
        let mut wanted: HashSet<(String, Vec<ElementSeen>)> = HashSet::new();
        let elements = networks.iter().flat_map(firewall::network_elements);
        let elements = elements.chain(endpoints.iter().chain(pending).flat_map(firewall::endpoint_elements));
        for element in elements {
            wanted.insert((element.set.clone(), element.raw()));
        }
        for element in self.closed_elements()? {
            wanted.insert((element.set.clone(), element.raw()));
        }
        for stray in self.stray_elements(survey, &wanted)? {
            words.push(format!("firewall element {} of set {} (in no record)", stray.words, stray.element.set));
            plan.push(Op::host(What::DeleteElement(stray.element), WHY));
        }
        let needless = networks.is_empty() && endpoints.is_empty();
        let unneeded = if needless { self.unneeded_without(None) } else { Vec::new() };
        let back = if needless { self.forwarding_back(None)? } else { WayBack::default() };
        let kept = |rule: &RuleSeen| networks.iter().any(|network| coexist::is_of(rule, network));
        let guests = self.kernel.surveyed_guests(survey).map_err(Error::kernel("firewalls of other programs"))?;
        let strays = guests.iter().filter(|g| g.owner.is_none() && !kept(&g.rule));
        let strays: Vec<RuleSeen> = strays.map(|g| g.rule.clone()).collect();
        words.extend(strays.iter().map(|stray| format!("{stray} (in no record)")));
        plan.append(coexist::leave(&strays));
        if !back.settings.is_empty() {
            words.push("forwarding of packets (no network needs it)".into());
            plan.ops.extend(back.settings);
        }
        if needless && self.kernel.surveyed_firewall(survey).map_err(Error::kernel("firewall"))?.table.is_some() {
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
    fn stray_elements(
        &mut self,
        survey: &mut Survey,
        wanted: &HashSet<(String, Vec<ElementSeen>)>,
    ) -> Result<Vec<Stray>, Error> {
        let mut strays = Vec::new();
        for set in firewall::sets() {
            if set.shape != zubi_wire::nft::Shape::Exact && set.data.is_empty() {
                continue;
            }
            let seen = self.kernel.surveyed_elements(survey, &set.name).map_err(Error::kernel("firewall"))?;
            for seen in seen {
                let raw = vec![seen.clone()];
                if wanted.contains(&(set.name.clone(), raw)) {
                    continue;
                }
                if let Some(element) = seen.element(&set) {
                    strays.push(Stray { element, words: seen.describe(&set) });
                }
            }
        }
        strays.sort_by(|a, b| a.words.cmp(&b.words));
        Ok(strays)
    }
}
