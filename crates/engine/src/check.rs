//! Comparing the records with the kernel. Nothing is changed.

use crate::engine::{Act, Engine};
use crate::error::Error;
use crate::problem::{GC, Problem, ProblemKind, REPAIR, RESTORE, describe, describe_link};
use crate::sandbox::Force;
use crate::shadowed::shadowed_ports;
use zubi_kernel::{Finding, Survey};
use zubi_model::{BridgeMode, Endpoint, InnerState, Mtu, Network, NsRef, SandboxRef};
use zubi_plan::endpoint::{Surroundings, attach, connected_routes, whole_port};
use zubi_plan::{Neighbours, Op, Place, What, firewall};
use zubi_store::{Maker, Mode};
use zubi_wire::route::AdminState;

/// Where an endpoint's sandbox cannot be found: what is wrong with it, unless its runtime started it again.
struct WithoutSandbox {
    endpoint: Endpoint,
    problems: Vec<Problem>,
}

impl Engine {
    /// Every difference between the records and the kernel.
    pub fn check(&mut self) -> Result<Vec<Problem>, Error> {
        let (mut problems, lost) = {
            // Alone: what is being made right now is no difference.
            let _host = self.store.lock_host(Mode::Exclusive)?;
            self.check_locked()?
        };
        // A runtime may take seconds to answer: it is asked while nobody waits for a lock of ours.
        let mut silent = Vec::new();
        for WithoutSandbox { endpoint, problems: otherwise } in lost {
            match self.restarted(&endpoint, &mut silent) {
                Some(problem) => problems.push(problem),
                None => problems.extend(otherwise),
            }
        }
        Ok(problems)
    }

    fn check_locked(&mut self) -> Result<(Vec<Problem>, Vec<WithoutSandbox>), Error> {
        const HALF_WAY: &str = "a command was killed half-way";
        let records = self.records()?;
        let mut survey = Survey::whole();
        let mut problems = Vec::new();
        let mut lost = Vec::new();
        if let Err(error) = self.store.forwarding() {
            problems.push(Problem::new(ProblemKind::Unreadable, "record", error.to_string(), RESTORE));
        }
        for error in records.unreadable.iter().chain(&self.unreadable_hints(&records)) {
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
            problems.extend(self.check_firewall_in(&mut survey)?);
            let seen = self.kernel.surveyed_firewall(&mut survey).map_err(Error::kernel("firewall"))?;
            for name in if seen.is_strangers() { Vec::new() } else { seen.additions() } {
                let what = format!("{name} in it is somebody else's, and may drop what zubi lets pass");
                let fix = format!("nft delete {}", name.replacen(' ', " inet zubi ", 1));
                problems.push(Problem::new(ProblemKind::Firewall, "firewall table inet zubi", what, fix));
            }
            problems.extend(self.check_strangers(&records.networks)?);
        }
        let facts = self.host_facts()?;
        for network in &records.networks {
            let ops = self.network_ops(&facts, network, records.endpoints_on(&network.name))?;
            problems.extend(self.differences(&mut survey, &format!("network {}", network.name), &ops)?);
        }
        for endpoint in &records.endpoints {
            let Some(network) = records.network(&endpoint.network) else {
                let what = format!("its network {} has no record", endpoint.network);
                let fix = "zubi repair --rebuild makes the record again";
                problems.push(Problem::new(ProblemKind::Stray, describe(endpoint), what, fix));
                continue;
            };
            let siblings = records.siblings(endpoint);
            match self.check_attached(&mut survey, network, endpoint, &siblings)? {
                Checked::Found(found) => problems.extend(found),
                Checked::NoSandbox(found) => {
                    lost.push(WithoutSandbox { endpoint: endpoint.clone(), problems: found });
                }
            }
        }
        problems.extend(shadowed_ports(&records.endpoints));
        for link in &records.links {
            problems.extend(self.check_link(link)?);
        }
        for record in self.store.sandboxes_lossy().0 {
            let (kind, why) = match self.outlived(&record)? {
                Some(why) => (ProblemKind::SandboxGone, why),
                None if record.maker == Maker::Run => (ProblemKind::Interrupted, "its zubi run was killed"),
                None => continue,
            };
            // A supervisor that lives cleans up itself.
            if let Some(lock) = self.store.try_lock_run(&record.name)? {
                problems.push(Problem::new(kind, format!("sandbox {}", record.name), why, GC));
                self.store.remove_run_lock(&record.name, lock)?;
            }
        }
        for (network, key) in self.orphans(&records) {
            let what = format!("leases of sandbox {} belong to no endpoint", key.cookie);
            problems.push(Problem::new(ProblemKind::Stray, format!("network {network}"), what, GC));
        }
        match self.unrecorded_ports(&records) {
            Ok(claims) => problems.extend(claims.into_iter().map(|claim| {
                let what = "is claimed for an endpoint that does not publish it";
                Problem::new(ProblemKind::Stray, claim.to_string(), what, GC)
            })),
            Err(e) => {
                problems.push(Problem::new(ProblemKind::Unreadable, "record", e.to_string(), RESTORE));
            }
        }
        problems.extend(self.foreign_changes(&records, &mut survey)?);
        for one in self.unrecorded(&records, &mut survey)? {
            let what = "has no record, and its other end is in a namespace that lives";
            let fix = "zubi repair --rebuild makes the record again, zubi gc --force removes the device";
            problems.push(Problem::new(ProblemKind::Stray, one.words(), what, fix));
        }
        for words in self.collect_strays(&records, &mut survey, Force::No, Act::Show)?.value {
            problems.push(Problem::new(ProblemKind::Stray, words, "belongs to nobody", GC));
        }
        Ok((problems, lost))
    }

    pub(crate) fn check_firewall(&mut self) -> Result<Option<Problem>, Error> {
        self.check_firewall_in(&mut Survey::narrow())
    }

    /// The layout: all rules, in their order.
    pub(crate) fn check_firewall_in(&mut self, survey: &mut Survey) -> Result<Option<Problem>, Error> {
        let seen = self.kernel.surveyed_firewall(survey).map_err(Error::kernel("firewall"))?;
        let problem =
            |what: String| Some(Problem::new(ProblemKind::Firewall, "firewall table inet zubi", what, REPAIR));
        let Some(table) = &seen.table else { return Ok(problem("is gone: somebody flushed the ruleset".into())) };
        if seen.is_strangers() {
            let what = "has the name of zubi's, and zubi did not make it";
            let fix = "look at it (nft list table inet zubi), then nft delete table inet zubi && zubi repair";
            return Ok(Some(Problem::new(ProblemKind::Firewall, "firewall table inet zubi", what, fix)));
        }
        if table.dormant {
            return Ok(problem("is switched off (flag dormant): none of its rules is asked".into()));
        }
        if table.owner.is_some() {
            return Ok(problem("belongs to another program (owner flag); that program must end first".into()));
        }
        let chains = firewall::chains().iter().filter(|c| !seen.chains.iter().any(|s| c.is(s))).count();
        let sets = firewall::sets().iter().filter(|c| !seen.sets.iter().any(|s| c.is(s))).count();
        if chains + sets > 0 {
            return Ok(problem(format!("{chains} of its chains and {sets} of its sets are missing or changed")));
        }
        for chain in firewall::chains() {
            let wanted: Vec<_> = firewall::rules().into_iter().filter(|r| r.chain == chain.name).collect();
            let found: Vec<_> = seen.rules.iter().map(|r| &r.rule).filter(|r| r.chain == chain.name).collect();
            if wanted.iter().collect::<Vec<_>>() != found {
                let what = format!(
                    "chain {} has {} rules that are not as made ({} expected)",
                    chain.name,
                    found.len(),
                    wanted.len()
                );
                return Ok(problem(what));
            }
        }
        Ok(None)
    }

    pub(crate) fn check_endpoint(&mut self, network: &Network, endpoint: &Endpoint) -> Result<Vec<Problem>, Error> {
        let siblings = self.siblings(endpoint)?;
        Ok(match self.check_attached(&mut Survey::narrow(), network, endpoint, &siblings)? {
            Checked::Found(problems) => problems,
            Checked::NoSandbox(problems) => {
                self.restarted(endpoint, &mut Vec::new()).map_or(problems, |problem| vec![problem])
            }
        })
    }

    fn check_attached(
        &mut self,
        survey: &mut Survey,
        network: &Network,
        endpoint: &Endpoint,
        siblings: &[Endpoint],
    ) -> Result<Checked, Error> {
        let object = describe(endpoint);
        let host_end = self.host_end_in(survey, endpoint)?;
        let way = match self.way_in(endpoint, None) {
            Ok(way) => way,
            Err(e) => {
                let fix = "give the command what it lacks, then zubi check";
                return Ok(Checked::Found(vec![Problem::new(ProblemKind::Unreadable, object, e.to_string(), fix)]));
            }
        };
        if way.is_none() && host_end.is_none() {
            let gone = Problem::new(ProblemKind::SandboxGone, object, "its sandbox is gone", GC);
            return Ok(Checked::NoSandbox(vec![gone]));
        }
        if host_end.is_some()
            && let Some(way) = &way
            && let Some(what) = self.strange_inner_end(survey, endpoint, way)?
        {
            // Whatever else is missing inside follows from it.
            return Ok(Checked::Found(vec![Problem::new(ProblemKind::Differs, object, what, REPAIR)]));
        }
        let ops = self.wanted_ops(survey, network, endpoint, siblings, way.as_ref())?;
        let found = self.differences(survey, &object, &ops)?;
        Ok(if way.is_some() { Checked::Found(found) } else { Checked::NoSandbox(found) })
    }

    /// What is wrong with the inner end of a pair whose host end is there: it may be renamed, moved on to another
    /// namespace, or have another MAC.
    pub(crate) fn strange_inner_end(
        &mut self,
        survey: &mut Survey,
        endpoint: &Endpoint,
        way: &NsRef,
    ) -> Result<Option<String>, Error> {
        let place = Place::Sandbox(way.clone());
        let failed = Error::kernel(describe(endpoint));
        let seen = self.kernel.surveyed_link(survey, &place, endpoint.ifname.as_str()).map_err(failed)?;
        let (wanted, mac) = (&endpoint.ifname, endpoint.mac);
        Ok(match seen {
            None => Some(format!("its inner end {wanted} is renamed or gone")),
            Some(seen) if seen.mac != Some(mac) => {
                let found = seen.mac.map_or_else(|| "none".to_owned(), |m| m.to_string());
                Some(format!("its inner end {wanted} has MAC {found}; wanted: {mac}"))
            }
            Some(_) => None,
        })
    }

    /// Whether the name an endpoint was attached by leads to another namespace now. A runtime that does not answer is
    /// `silent`, and is asked once.
    fn restarted(&mut self, endpoint: &Endpoint, silent: &mut Vec<String>) -> Option<Problem> {
        let spelled = &endpoint.sandbox.spelled;
        let runtime = spelled.split_once(':').map(|(runtime, _)| runtime.to_owned());
        if runtime.as_ref().is_some_and(|runtime| silent.contains(runtime)) {
            return None;
        }
        let sandbox: SandboxRef = spelled.parse().ok()?;
        let now = match self.resolve(&sandbox) {
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

    /// The operations an endpoint stands for; only the host's when there is no way in.
    pub(crate) fn wanted_ops(
        &mut self,
        survey: &mut Survey,
        network: &Network,
        endpoint: &Endpoint,
        siblings: &[Endpoint],
        way: Option<&NsRef>,
    ) -> Result<Vec<Op>, Error> {
        let mut endpoint = endpoint.clone();
        if let Some(way) = way {
            endpoint.sandbox.reached_by = way.clone();
        }
        let default_in = self.gives_default_in(survey, &endpoint, siblings, way)?;
        let network = &with_all_settings(network);
        let plan = attach(
            network,
            &endpoint,
            &Surroundings {
                loopback: AdminState::Down,
                default_in,
                stale: Vec::new(),
                neighbours: Neighbours::AreRight,
            },
        );
        let ops = with_what_others_change(plan.ops, network, &endpoint);
        Ok(ops.into_iter().filter(|op| op.place == Place::Host || way.is_some()).collect())
    }

    pub(crate) fn differences(&mut self, survey: &mut Survey, object: &str, ops: &[Op]) -> Result<Vec<Problem>, Error> {
        let compared = self.kernel.examine_in(survey, ops).map_err(Error::kernel(object))?;
        Ok(compared
            .into_iter()
            .filter_map(|(op, finding)| match finding {
                Finding::Same | Finding::NoState => None,
                Finding::Missing => Some(Problem::new(ProblemKind::Missing, object, format!("missing: {op}"), REPAIR)),
                Finding::Differs(how) => {
                    Some(Problem::new(ProblemKind::Differs, object, format!("{how}; wanted: {op}"), REPAIR))
                }
            })
            .collect())
    }
}

/// The network with what the kernel chose when it was made.
fn with_all_settings(network: &Network) -> Network {
    let mut network = network.clone();
    if network.mtu.is_none() && network.bridge_mode == BridgeMode::Managed && network.name.source().is_none() {
        network.mtu = Some(Mtu::STANDARD);
    }
    network
}

/// The plan makes what it needs on a device that is new. Here it is compared with one that others have had in their
/// hands: settings of the port that are right when it is made, and routes that the kernel makes with an address.
fn with_what_others_change(ops: Vec<Op>, network: &Network, endpoint: &Endpoint) -> Vec<Op> {
    const PORT: &str = "how the bridge treats this port";
    const CONNECTED: &str = "its neighbours on the network are reached without a gateway";
    if network.bridge_mode == BridgeMode::Unmanaged {
        return ops;
    }
    let is_port = |op: &Op| matches!(op.what, What::ChangePort(_));
    let mut ops: Vec<Op> = ops.into_iter().filter(|op| !is_port(op)).collect();
    let after_pair = ops.iter().position(|op| matches!(op.what, What::AddLink(_))).map_or(0, |at| at + 1);
    ops.insert(after_pair, Op::host(What::ChangePort(whole_port(network, endpoint)), PORT));
    if endpoint.traits.inner == InnerState::Up {
        let addresses = endpoint.addresses.iter().map(|given| given.address);
        let routes = connected_routes(addresses, &endpoint.ifname)
            .map(|route| Op::sandbox(&endpoint.sandbox.reached_by, What::AddRoute(route), CONNECTED));
        let is_route = |op: &Op| matches!(op.what, What::AddRoute(_)) && op.place != Place::Host;
        let at = ops.iter().position(is_route).unwrap_or(ops.len());
        ops.splice(at..at, routes.collect::<Vec<_>>());
    }
    ops
}

/// What was found about an endpoint.
enum Checked {
    /// Its sandbox is there.
    Found(Vec<Problem>),
    /// Nothing leads to its sandbox.
    NoSandbox(Vec<Problem>),
}
