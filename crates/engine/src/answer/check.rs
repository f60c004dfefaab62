//! Compares the records with the kernel, without changing anything.

use crate::answer::check_lease::{host_lease_problems, lease_problem};
use crate::answer::check_link::check_link;
use crate::answer::port_conflicts::shadowed_ports;
use crate::error::Error;
use crate::firewall::foreign::check_foreign;
use crate::firewall::table::{check_firewall, check_firewall_in};
use crate::heal::endpoint::wanted_ops;
use crate::heal::gc::{collect_strays, orphans, outlived};
use crate::heal::missing::network_ops;
use crate::heal::ports::unrecorded_ports;
use crate::look::by_name::endpoint_called;
use crate::look::compare::{differences, whole_host};
use crate::look::default_route::siblings;
use crate::look::device::{device_in, inner_end_problem, leads_to_the_ended};
use crate::look::foreign_changes::foreign_changes;
use crate::look::host::host_facts;
use crate::look::sandbox::{resolve, way_in};
use crate::look::unrecorded::unrecorded_devices;
use crate::problem::{GC, Problem, ProblemKind, REPAIR, RESTORE, describe, describe_link};
use crate::records::{read_records, unreadable_hints};
use crate::report::{Act, Force};
use crate::session::Session;
use crate::steps::name_files;
use zubi_model::{Endpoint, Network, NetworkName, SandboxRef};
use zubi_plan::Place;
use zubi_plan::driver::HostFacts;
use zubi_snapshot::Snapshot;
use zubi_store::Maker;

/// The problems of one endpoint.
pub(crate) fn check_called(session: &mut Session, network: &NetworkName, called: &str) -> Result<Vec<Problem>, Error> {
    let _host = session.store().lock_host()?;
    let endpoint = endpoint_called(session, network, called)?;
    let (Some(endpoint), Some(network)) = (endpoint, session.store().network(network)?) else {
        let missing = Error::NotConnected { network: network.clone(), sandbox: called.to_owned() };
        return Err(missing);
    };
    let mut problems: Vec<Problem> = check_firewall(session)?.into_iter().collect();
    for a in &endpoint.addresses {
        let address = a.address.addr();
        if !session.store().lease_owner(&network.name, address)?.is_some_and(|owner| owner.is_of(&endpoint)) {
            problems.push(Problem::unleased(&endpoint, address));
        }
    }
    let endpoints = session.store().endpoints_on(&network.name)?;
    let facts = host_facts(session)?;
    problems.extend(check_network(session, &mut Snapshot::new(), &facts, &network, &endpoints)?);
    problems.extend(check_endpoint(session, &network, &endpoint)?);
    Ok(problems)
}

/// An endpoint whose sandbox cannot be found, and its problems. They count unless its runtime has started the container
/// again.
struct WithoutSandbox {
    endpoint: Endpoint,
    problems: Vec<Problem>,
}

/// Every difference between the records and the kernel.
pub(crate) fn check(session: &mut Session) -> Result<Vec<Problem>, Error> {
    let (mut problems, lost) = {
        // Exclusive: a change in progress must not look like a difference.
        let _host = session.store().lock_host_exclusive()?;
        check_locked(session)?
    };
    // Nobody may have read it on the terminal, so it is told once more.
    for back in session.store().went_back_lossy() {
        session.note(format!("network {}: {}", back.network, back.why));
        session.store().forget_went_back(&back.network)?;
    }
    // A runtime may take seconds to answer, so ask it without holding a lock.
    let mut silent = Vec::new();
    for WithoutSandbox { endpoint, problems: otherwise } in lost {
        match restarted(session, &endpoint, &mut silent) {
            Some(problem) => problems.push(problem),
            None => problems.extend(otherwise),
        }
    }
    Ok(problems)
}

fn check_locked(session: &mut Session) -> Result<(Vec<Problem>, Vec<WithoutSandbox>), Error> {
    const HALF_WAY: &str = "a command was killed half-way";
    let records = read_records(session)?;
    let mut snapshot = whole_host(session)?;
    let mut problems = Vec::new();
    let mut lost = Vec::new();
    if let Err(error) = session.store().forwarding() {
        problems.push(Problem::new(ProblemKind::Unreadable, "record", error.to_string(), RESTORE));
    }
    for error in records.unreadable.iter().chain(&unreadable_hints(session, &records)) {
        problems.push(Problem::new(ProblemKind::Unreadable, "record", error.to_string(), RESTORE));
    }
    for endpoint in &records.pending {
        problems.push(Problem::new(ProblemKind::Interrupted, describe(endpoint), HALF_WAY, GC));
    }
    for network in &records.making {
        let object = format!("network {}", network.name);
        problems.push(Problem::new(ProblemKind::Interrupted, object, HALF_WAY, GC));
    }
    for link in &records.unfinished_links {
        problems.push(Problem::new(ProblemKind::Interrupted, describe_link(link), HALF_WAY, GC));
    }
    if !records.networks.is_empty() {
        problems.extend(check_firewall_in(session, &mut snapshot)?);
        let seen = snapshot.firewall().map_err(Error::unread("firewall"))?;
        for name in if seen.is_foreign() { Vec::new() } else { seen.additions() } {
            let what = format!("{name} in it belongs to another program, and may drop what zubi lets pass");
            let fix = format!("nft delete {}", name.replacen(' ', " inet zubi ", 1));
            problems.push(Problem::new(ProblemKind::Firewall, "firewall table inet zubi", what, fix));
        }
        problems.extend(check_foreign(session, &records.networks)?);
    }
    let facts = host_facts(session)?;
    for network in &records.networks {
        problems.extend(check_network(session, &mut snapshot, &facts, network, records.endpoints_on(&network.name))?);
    }
    let doing = session.begin();
    let all = records.endpoints.len();
    for (number, endpoint) in records.endpoints.iter().enumerate() {
        doing.step(|| format!("checking, {number} of {all} endpoints"));
        let Some(network) = records.network(&endpoint.network) else {
            let what = format!("its network {} has no record", endpoint.network);
            let fix = "zubi repair --rebuild makes the record again";
            problems.push(Problem::new(ProblemKind::Stray, describe(endpoint), what, fix));
            continue;
        };
        let siblings = records.siblings(endpoint);
        match check_attached(session, &mut snapshot, network, endpoint, &siblings)? {
            Checked::Found(found) => problems.extend(found),
            Checked::NoSandbox(found) => {
                lost.push(WithoutSandbox { endpoint: endpoint.clone(), problems: found });
            }
        }
    }
    problems.extend(host_lease_problems(session)?);
    problems.extend(shadowed_ports(&records.endpoints));
    for link in &records.links {
        problems.extend(check_link(session, link)?);
    }
    for record in session.store().sandboxes_lossy().0 {
        let (kind, why) = match outlived(session, &record)? {
            Some(why) => (ProblemKind::SandboxGone, why),
            None if record.maker == Maker::Run => (ProblemKind::Interrupted, "its zubi run was killed"),
            None => continue,
        };
        // A supervisor that is still running cleans up itself.
        if let Some(lock) = session.store().try_lock_run(&record.name)? {
            problems.push(Problem::new(kind, format!("sandbox {}", record.name), why, GC));
            session.store().remove_run_lock(lock)?;
        }
    }
    for (network, key) in orphans(session, &records) {
        let what = format!("leases of sandbox {} belong to no endpoint", key.cookie);
        problems.push(Problem::new(ProblemKind::Stray, format!("network {network}"), what, GC));
    }
    match unrecorded_ports(session, &records) {
        Ok(claims) => problems.extend(claims.into_iter().map(|claim| {
            let what = "is claimed for an endpoint that does not publish it";
            Problem::new(ProblemKind::Stray, claim.to_string(), what, GC)
        })),
        Err(e) => {
            problems.push(Problem::new(ProblemKind::Unreadable, "record", e.to_string(), RESTORE));
        }
    }
    problems.extend(foreign_changes(session, &records, &mut snapshot)?);
    for one in unrecorded_devices(session, &records, &mut snapshot)? {
        let what = "has no record, and its other end is in a namespace that lives";
        let fix = "zubi repair --rebuild makes the record again, zubi gc --force removes the device";
        problems.push(Problem::new(ProblemKind::Stray, one.words(), what, fix));
    }
    for words in collect_strays(session, &records, &mut snapshot, Force::No, Act::Show)?.value {
        problems.push(Problem::new(ProblemKind::Stray, words, "belongs to no record", GC));
    }
    Ok((problems, lost))
}

fn check_network<'a>(
    session: &mut Session,
    snapshot: &mut Snapshot,
    facts: &HostFacts,
    network: &Network,
    endpoints: impl IntoIterator<Item = &'a Endpoint>,
) -> Result<Vec<Problem>, Error> {
    let object = format!("network {}", network.name);
    match network_ops(session, facts, network, endpoints) {
        Ok(ops) => differences(session, snapshot, &object, &ops),
        Err(Error::BridgeOfHost { bridge, why, .. }) => {
            let fix = "change the host's own network configuration, then zubi repair";
            Ok(vec![Problem::new(ProblemKind::Differs, object, format!("bridge {bridge} {why}"), fix)])
        }
        Err(e) => Err(e),
    }
}

fn check_endpoint(session: &mut Session, network: &Network, endpoint: &Endpoint) -> Result<Vec<Problem>, Error> {
    let siblings = siblings(session, endpoint)?;
    Ok(match check_attached(session, &mut Snapshot::new(), network, endpoint, &siblings)? {
        Checked::Found(problems) => problems,
        Checked::NoSandbox(problems) => {
            restarted(session, endpoint, &mut Vec::new()).map_or(problems, |problem| vec![problem])
        }
    })
}

fn check_attached(
    session: &mut Session,
    snapshot: &mut Snapshot,
    network: &Network,
    endpoint: &Endpoint,
    siblings: &[Endpoint],
) -> Result<Checked, Error> {
    let checked = compare_attached(session, snapshot, network, endpoint, siblings)?;
    let way = &endpoint.sandbox.reached_by;
    if matches!(&checked, Checked::Found(problems) if !problems.is_empty()) && !session.kernel.still_leads(way) {
        // The sandbox ended while it was compared.
        session.kernel.close_sandbox(way);
        return compare_attached(session, &mut Snapshot::new(), network, endpoint, siblings);
    }
    Ok(checked)
}

fn compare_attached(
    session: &mut Session,
    snapshot: &mut Snapshot,
    network: &Network,
    endpoint: &Endpoint,
    siblings: &[Endpoint],
) -> Result<Checked, Error> {
    let object = describe(endpoint);
    let device = device_in(session, snapshot, endpoint, None)?;
    let way = match way_in(session, endpoint, None) {
        Ok(way) => way,
        Err(e) => {
            let fix = "give the command what it lacks, then zubi check";
            return Ok(Checked::Found(vec![Problem::new(ProblemKind::Unreadable, object, e.to_string(), fix)]));
        }
    };
    let has_ended = match &device {
        None => true,
        Some(device) => way.is_none() && leads_to_the_ended(session, &Place::Host, device)?,
    };
    if way.is_none() && has_ended {
        let gone = Problem::new(ProblemKind::SandboxGone, object, "its sandbox is gone", GC);
        // Who runs the sandbox of a handed over endpoint makes another one for the next.
        let is_handed_over = endpoint.handed_over.is_some();
        return Ok(if is_handed_over { Checked::Found(vec![gone]) } else { Checked::NoSandbox(vec![gone]) });
    }
    if device.is_some()
        && endpoint.handed_over.is_none()
        && let Some(way) = &way
        && let Some(what) = inner_end_problem(session, snapshot, endpoint, way)?
    {
        // All other differences inside the sandbox follow from this one.
        return Ok(Checked::Found(vec![Problem::new(ProblemKind::Differs, object, what, REPAIR)]));
    }
    let ops = wanted_ops(session, snapshot, network, endpoint, siblings, way.as_ref())?;
    let mut found = differences(session, snapshot, &object, &ops)?;
    found.extend(lease_problem(network, endpoint)?);
    if way.is_some() {
        let files = name_files::lacking(session, endpoint, siblings, None)?;
        found.extend(files.iter().map(|op| {
            let what = format!("what ip netns exec shows programs is not as zubi wrote it; wanted: {op}");
            Problem::new(ProblemKind::Differs, object.clone(), what, REPAIR)
        }));
    }
    let is_known = way.is_some() || endpoint.handed_over.is_some();
    Ok(if is_known { Checked::Found(found) } else { Checked::NoSandbox(found) })
}

/// Whether the name that an endpoint was attached by leads to another namespace now. A runtime that does not answer is
/// added to `silent` and not asked again.
pub(crate) fn restarted(session: &mut Session, endpoint: &Endpoint, silent: &mut Vec<String>) -> Option<Problem> {
    let spelled = &endpoint.sandbox.spelled;
    let runtime = spelled.split_once(':').map(|(runtime, _)| runtime.to_owned());
    if runtime.as_ref().is_some_and(|runtime| silent.contains(runtime)) {
        return None;
    }
    let sandbox: SandboxRef = spelled.parse().ok()?;
    let now = match resolve(session, &sandbox) {
        Ok(now) => now,
        Err(Error::Runtime(_)) => {
            silent.extend(runtime);
            return None;
        }
        Err(_) => return None,
    };
    (now.cookie != endpoint.sandbox.cookie).then(|| {
        let what = format!("{sandbox} was started again and has a new network namespace");
        let fix = format!("zubi connect {} {sandbox}", endpoint.network);
        Problem::new(ProblemKind::SandboxRestarted, describe(endpoint), what, fix)
    })
}

/// The problems of an endpoint.
enum Checked {
    /// Its sandbox exists.
    Found(Vec<Problem>),
    /// Its sandbox cannot be found.
    NoSandbox(Vec<Problem>),
}
