//! Removes objects without an owner: what killed processes, deleted sandboxes and deletions by other programs left
//! behind.
//!
//! An endpoint counts as gone only if its device is gone *and* its namespace cannot be found, or its path leads to
//! another namespace. If either cannot be determined, the endpoint stays.

use crate::error::Error;
use crate::firewall::forwarding::{WayBack, closed_elements, forget_forwarding, forwarding_back, unneeded_without};
use crate::firewall::strays::stray_elements;
use crate::heal::gone::{forget_orphans, is_gone, remove_gone, remove_gone_links};
use crate::heal::leftovers::{Recovered, recover};
use crate::heal::ports::{release_unrecorded, unrecorded_ports};
use crate::heal::slow::finish_deletions;
use crate::heal::unfinished_networks::{RecoveredNetworks, recover_networks};
use crate::heal::unused_networks::{plan_unused, remove_unused_locked};
use crate::look::compare::whole_host;
use crate::look::link_ends::is_gone_link;
use crate::look::sandbox::named_cookie;
use crate::look::unconfirmed::refuse_unconfirmed;
use crate::problem::describe;
use crate::records::{Records, read_records};
use crate::report::{Act, Force, Report};
use crate::session::Session;
use crate::steps::apply::take_down;
use crate::steps::change_network::plan_change;
use crate::undo::endpoint::plan_detach;
use crate::undo::followed::{forget_deleted, release_abandoned};
use crate::undo::link::plan_unlink;
use crate::undo::network::plan_down;
use crate::undo::sandbox::{Unfinished, clean_run_locked, disconnect_all, remove_unfinished};
use std::collections::HashSet;
use zubi_model::{Endpoint, EndpointKey, IfName, LinkPlace, Network, NetworkName};
use zubi_plan::{Op, Place, Plan, What, coexist, driver, firewall};
use zubi_snapshot::{Needs, OvsAnswer, Snapshot};
use zubi_store::{ExclusiveHost, HostLock, LeaseOwner, Maker, SandboxRecord, StoreError};
use zubi_wire::nft::{ElementSeen, RuleSeen};
use zubi_wire::route::{LinkMark, LinkSeen};

/// Removes everything that has no owner; the report names each object. The plan is filled in a dry run only. With
/// `force`, devices without a record are removed even if the namespace of their other end still exists.
pub(crate) fn gc(session: &mut Session, force: Force, act: Act) -> Result<Report<Vec<String>>, Error> {
    let host = &session.store().lock_host_exclusive()?;
    match act {
        Act::Apply => Ok(Report { plan: Plan::new(), value: collect(session, host, force)? }),
        Act::Show => plan_collect(session, host, force),
    }
}

/// What [`collect`] would do.
fn plan_collect(session: &mut Session, host: &ExclusiveHost, force: Force) -> Result<Report<Vec<String>>, Error> {
    let mut report = Report { plan: Plan::new(), value: Vec::new() };
    for endpoint in session.store().pending()?.into_iter().filter_map(Result::ok).map(|p| p.endpoint) {
        if session.store().try_lock_sandbox(host, endpoint.sandbox.cookie)?.is_some() {
            report.plan.append(plan_detach(session, &endpoint, None)?);
            report.value.push(format!("{} (interrupted)", describe(&endpoint)));
        }
    }
    for link in session.store().unfinished_links_lossy().0 {
        report.plan.append(plan_unlink(session, &link)?);
        report.value.push(format!("link {link} (interrupted)"));
    }
    for network in session.store().networks_in_making_lossy().0 {
        let plan = match session.store().network(&network.name)? {
            Some(complete) if complete == network => continue,
            None if refuse_unconfirmed(session, &network.name).is_err() => continue,
            Some(complete) if complete.id == network.id => plan_change(session, &network, &complete)?,
            _ => plan_down(session, &network)?,
        };
        report.plan.append(plan);
        report.value.push(format!("network {} (interrupted)", network.name));
    }
    for endpoint in session.store().all_endpoints_lossy().0 {
        let free = session.store().try_lock_sandbox(host, endpoint.sandbox.cookie)?.is_some();
        if free && is_gone(session, &endpoint)? {
            report.plan.append(plan_detach(session, &endpoint, None)?);
            report.value.push(format!("{} (sandbox is gone)", describe(&endpoint)));
        }
    }
    for link in session.store().links_lossy().0 {
        if is_gone_link(session, &link)? {
            report.value.push(format!("link {link} (sandbox is gone)"));
        }
    }
    for record in session.store().sandboxes_lossy().0 {
        let abandoned = record.maker == Maker::Run || record.cookie.is_none();
        if abandoned && session.store().try_lock_run(&record.name)?.is_some() {
            if let Some(cookie) = record.cookie {
                report.plan.append(disconnect_all(session, host, &record.name, cookie, Act::Show)?.0);
            }
            let there = named_cookie(session, &record.name)?;
            if there.is_some() && record.cookie.is_none_or(|cookie| there == Some(cookie)) {
                report.plan.append(zubi_plan::sandbox::remove(&record.name, there));
            }
            report.value.push(format!("sandbox {} (its maker was killed)", record.name));
        }
    }
    for (name, plan) in plan_unused(session)? {
        report.plan.append(plan);
        report.value.push(format!("network {name} (nobody is attached to it)"));
    }
    let records = read_records(session)?;
    if let Ok(claims) = unrecorded_ports(session, &records) {
        report.value.extend(claims.iter().map(|claim| format!("{claim} (in no record)")));
    }
    for (network, key) in orphans(session, &records) {
        report.value.push(format!("leases of sandbox {} on network {network} (in no record)", key.cookie));
    }
    report.value.extend(forget_deleted(session, host, None, Act::Show)?);
    report.value.extend(release_abandoned(session, host, Act::Show)?);
    let mut snapshot = whole_host(session)?;
    let strays = collect_strays(session, &records, &mut snapshot, force, Act::Show)?;
    report.plan.append(strays.plan);
    report.value.extend(strays.value);
    Ok(report)
}

/// The caller holds the host lock exclusively.
pub(crate) fn collect(session: &mut Session, host: &ExclusiveHost, force: Force) -> Result<Vec<String>, Error> {
    let Recovered { done: mut removed, failed } = recover(session, host)?;
    let RecoveredNetworks { done, failed: unfinished } = recover_networks(session, host);
    removed.extend(done.into_iter().map(|name| format!("network {name} (interrupted)")));
    let failed = failed.or_else(|| unfinished.into_iter().next().map(|(_, e)| e));
    removed.extend(collect_runs(session, host)?);
    removed.extend(remove_gone(session, host, None)?);
    removed.extend(remove_gone_links(session, host)?);
    let records = read_records(session)?;
    for (network, key) in orphans(session, &records) {
        removed.extend(forget_orphans(session, &network, &key)?);
    }
    for name in session.store().empty_described()? {
        if remove_unused_locked(session, host, &name)? {
            removed.push(format!("network {name} (nobody is attached to it)"));
        }
    }
    removed.extend(collect_ports(session, host, &records)?);
    removed.extend(collect_sandboxes(session)?);
    removed.extend(forget_deleted(session, host, None, Act::Apply)?);
    removed.extend(release_abandoned(session, host, Act::Apply)?);
    finish_deletions(session)?;
    let (records, mut snapshot) = (read_records(session)?, whole_host(session)?);
    removed.extend(collect_strays(session, &records, &mut snapshot, force, Act::Apply)?.value);
    let temporary = session.store().remove_leftovers()?;
    if temporary > 0 {
        removed.push(format!("{temporary} unfinished files"));
    }
    match failed {
        Some(e) => Err(e),
        None => Ok(removed),
    }
}

/// Leases without a record.
pub(crate) fn orphans(session: &mut Session, records: &Records) -> Vec<(NetworkName, EndpointKey)> {
    let known = records.keys();
    let mut orphans: Vec<(NetworkName, EndpointKey)> = Vec::new();
    for network in &records.networks {
        let name = &network.name;
        // `check` reports leases that cannot be read.
        let leases = session.store().leases_lossy(name).0.into_iter().map(|(_, owner)| owner);
        let macs = session.store().macs_lossy(name).0.into_iter().map(|(_, owner)| owner);
        // A reservation stays until its owner gives it back.
        let of_endpoints = leases.chain(macs).filter_map(|owner| match owner {
            LeaseOwner::Endpoint(key) => Some(key),
            LeaseOwner::Reservation(_) => None,
        });
        for owner in of_endpoints.filter(|owner| !known.contains(owner)) {
            // An unreadable record still counts as a record.
            let none = |record: Result<Option<Endpoint>, StoreError>| matches!(record, Ok(None));
            let unowned = none(session.store().endpoint(&owner)) && none(session.store().pending_endpoint(&owner));
            let orphan = (name.clone(), owner);
            if unowned && !orphans.contains(&orphan) {
                orphans.push(orphan);
            }
        }
    }
    orphans
}

/// Releases ports that are claimed for endpoints that do not publish them: a command was killed between claim and
/// record.
fn collect_ports(session: &mut Session, host: &HostLock, records: &Records) -> Result<Vec<String>, Error> {
    // `check` reports a file that cannot be read; the rest of the collection goes on.
    let Ok(claims) = unrecorded_ports(session, records) else { return Ok(Vec::new()) };
    let mut removed = Vec::new();
    for claim in claims {
        if release_unrecorded(session, host, &claim)? {
            removed.push(format!("{claim} (in no record)"));
        }
    }
    Ok(removed)
}

/// Why the record of a named sandbox no longer describes anything; `None` if it still does. The namespace itself may
/// still exist, with processes in it or under another name; this function does not touch it.
pub(crate) fn outlived(session: &mut Session, record: &SandboxRecord) -> Result<Option<&'static str>, Error> {
    let there = named_cookie(session, &record.name)?;
    Ok(match (record.cookie, there) {
        (None, _) => Some("its maker was killed"),
        (Some(_), None) => Some("its name is gone"),
        (Some(recorded), Some(there)) if recorded != there => Some("its name leads to another network namespace now"),
        (Some(_), Some(_)) => None,
    })
}

/// Removes the records of named sandboxes that no longer describe anything.
fn collect_sandboxes(session: &mut Session) -> Result<Vec<String>, Error> {
    let mut removed = Vec::new();
    for record in session.store().sandboxes_lossy().0 {
        if outlived(session, &record)?.is_none() {
            continue;
        }
        let Some(lock) = session.store().try_lock_run(&record.name)? else { continue };
        // Read the record again under the lock: it may have been replaced or removed.
        let Some(record) = session.store().sandbox(&record.name)? else { continue };
        let Some(why) = outlived(session, &record)? else { continue };
        if record.cookie.is_none() && remove_unfinished(session, &record.name)? == Unfinished::InUse {
            session.note(format!("sandbox {}: another program uses the name; it stays", record.name));
        }
        session.store().remove_sandbox(&record.name)?;
        removed.push(format!("sandbox {} ({why})", record.name));
        session.store().remove_run_lock(lock)?;
    }
    Ok(removed)
}

/// Devices and firewall elements that carry our mark and belong to no record. The caller holds the host lock
/// exclusively, so no command is creating one.
pub(crate) fn collect_strays(
    session: &mut Session,
    records: &Records,
    snapshot: &mut Snapshot,
    force: Force,
    act: Act,
) -> Result<Report<Vec<String>>, Error> {
    const WHY: &str = "made by zubi, and in no record";
    let Records { networks, endpoints, pending, .. } = records;
    let mut plan = Plan::new();
    let mut words = Vec::new();
    // The owner may be in the file that cannot be read.
    if !records.is_complete() {
        return Ok(Report { plan, value: words });
    }
    let mut owned: HashSet<&str> = networks.iter().flat_map(Network::devices).map(IfName::as_str).collect();
    owned.extend(endpoints.iter().chain(pending).filter_map(Endpoint::host_device).map(IfName::as_str));
    let links = records.links.iter().chain(&records.unfinished_links);
    let of_links = links.flat_map(|l| &l.ends).filter(|e| e.place == LinkPlace::Host);
    owned.extend(of_links.map(|e| e.ifname.as_str()));
    owned.extend(records.doomed.iter().map(IfName::as_str));
    let needs = Needs::new().links(&Place::Host).layout().guest_rules();
    session.read(snapshot, &needs, "the host")?;
    let links: Vec<LinkSeen> = snapshot.links(&Place::Host).map_err(Error::unread("devices"))?.cloned().collect();
    let spared: Vec<&LinkSeen> = links
        .iter()
        .filter(|l| force == Force::No && driver::leads_to_a_sandbox(l) && !owned.contains(l.name.as_str()))
        .collect();
    // A bridge with ports is in use, even if its network has no record.
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
    for port in stray_ports(session, snapshot)? {
        if !owned.contains(port.as_str()) && !spared.iter().any(|link| link.name == port.as_str()) {
            words.push(format!("Open vSwitch port {port} (in no record)"));
            plan.push(Op::host(What::DeleteOvsPort(port), WHY));
        }
    }
    if !spared.is_empty() || (unknown_network && force == Force::No) {
        if act == Act::Apply && !plan.is_empty() {
            take_down(session, "objects without an owner", &plan, zubi_kernel::Deletions::Now)?;
        }
        return Ok(Report { plan, value: words });
    }
    let mut wanted: HashSet<(String, Vec<ElementSeen>)> = HashSet::new();
    let elements = networks.iter().flat_map(driver::network_elements);
    let elements = elements.chain(endpoints.iter().chain(pending).flat_map(firewall::endpoint_elements));
    for element in elements {
        wanted.insert((element.set.clone(), element.raw()));
    }
    for element in closed_elements(session)? {
        wanted.insert((element.set.clone(), element.raw()));
    }
    for stray in stray_elements(session, snapshot, &wanted)? {
        words.push(format!("firewall element {} of set {} (in no record)", stray.words, stray.element.set));
        plan.push(Op::host(What::DeleteElement(stray.element), WHY));
    }
    let needless = networks.is_empty() && endpoints.is_empty();
    let unneeded = if needless { unneeded_without(session, None) } else { Vec::new() };
    let back = if needless { forwarding_back(session, None)? } else { WayBack::default() };
    let kept = |rule: &RuleSeen| networks.iter().any(|network| coexist::is_of(rule, network));
    let guests = snapshot.guest_rules().map_err(Error::unread("firewalls of other programs"))?;
    let strays = guests.iter().filter(|g| g.owner.is_none() && !kept(&g.rule));
    let strays: Vec<RuleSeen> = strays.map(|g| g.rule.clone()).collect();
    words.extend(strays.iter().map(|stray| format!("{stray} (in no record)")));
    plan.append(coexist::remove_guests(&strays));
    if !back.settings.is_empty() {
        words.push("forwarding of packets (no network needs it)".into());
        plan.ops.extend(back.settings);
    }
    if needless && snapshot.firewall().map_err(Error::unread("firewall"))?.table.is_some() {
        words.push("firewall table inet zubi (no network needs it)".into());
        plan.ops.retain(|op| !op.is_nft() || op.is_guest());
        plan.push(Op::host(What::DeleteTable(firewall::TABLE), WHY));
    }
    if act == Act::Apply {
        if !plan.is_empty() {
            take_down(session, "objects without an owner", &plan, zubi_kernel::Deletions::Now)?;
        }
        forget_forwarding(session, &unneeded)?;
    }
    Ok(Report { plan, value: words })
}

/// The ports of Open vSwitch bridges that carry our mark. They outlive their devices and a reboot.
fn stray_ports(session: &mut Session, snapshot: &mut Snapshot) -> Result<Vec<IfName>, Error> {
    const OBJECT: &str = "ports of Open vSwitch";
    if !session.kernel.has_ovs() {
        return Ok(Vec::new());
    }
    session.read(snapshot, &Needs::new().ovs(), OBJECT)?;
    let instance = session.instance();
    match snapshot.ovs().map_err(Error::unread(OBJECT))? {
        OvsAnswer::Seen(seen) => {
            let marked = seen.ports.iter().filter(|port| driver::is_marked(port, &instance));
            Ok(marked.filter_map(|port| port.name.parse().ok()).collect())
        }
        // An Open vSwitch that is off has nothing to do with a host whose networks do without.
        OvsAnswer::Silent(_) => Ok(Vec::new()),
    }
}

/// Cleans up runs whose supervisor and guardian were both killed. The caller holds the host lock.
fn collect_runs(session: &mut Session, host: &HostLock) -> Result<Vec<String>, Error> {
    let mut removed = Vec::new();
    for record in session.store().sandboxes_lossy().0 {
        if record.maker != Maker::Run {
            continue;
        }
        let Some(lock) = session.store().try_lock_run(&record.name)? else { continue };
        clean_run_locked(session, host, &record.name)?;
        session.store().remove_run_lock(lock)?;
        removed.push(format!("sandbox {} (its zubi run was killed)", record.name));
    }
    Ok(removed)
}
