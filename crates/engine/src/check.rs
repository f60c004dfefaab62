//! Comparing the records with the kernel. Nothing is changed.

use crate::engine::{Act, Engine};
use crate::error::Error;
use crate::problem::{GC, Problem, ProblemKind, REPAIR, describe, describe_link};
use crate::shadowed::shadowed_ports;
use zubi_kernel::Finding;
use zubi_model::{Endpoint, Network, NsRef, SandboxRef};
use zubi_plan::endpoint::{Surroundings, attach};
use zubi_plan::{Neighbours, Op, Place, firewall};
use zubi_store::Mode;
use zubi_wire::route::AdminState;

impl Engine {
    /// Every difference between the records and the kernel.
    pub fn check(&mut self) -> Result<Vec<Problem>, Error> {
        // Alone: what is being made right now is no difference.
        let _host = self.store.lock_host(Mode::Exclusive)?;
        let mut problems = Vec::new();
        let (networks, unreadable) = self.store.networks_lossy();
        let (endpoints, unreadable_endpoints) = self.store.all_endpoints_lossy();
        for error in unreadable.into_iter().chain(unreadable_endpoints) {
            problems.push(Problem::new(
                ProblemKind::Unreadable,
                "record",
                error.to_string(),
                "restore or remove the file",
            ));
        }
        if let Err(error) = self.store.forwarding() {
            let fix = "restore or remove the file";
            problems.push(Problem::new(ProblemKind::Unreadable, "record", error.to_string(), fix));
        }
        for pending in self.store.pending()? {
            problems.push(match pending {
                Ok(p) => {
                    let what = "a command was killed half-way";
                    Problem::new(ProblemKind::Interrupted, describe(&p.endpoint), what, GC)
                }
                Err(e) => Problem::new(ProblemKind::Unreadable, "record", e.to_string(), "restore or remove the file"),
            });
        }
        for network in self.store.networks_in_making()? {
            let what = "a command was killed half-way";
            problems.push(Problem::new(ProblemKind::Interrupted, format!("network {}", network.name), what, GC));
        }
        let (links, mut unreadable_links) = self.store.links_lossy();
        let (unfinished_links, more) = self.store.unfinished_links_lossy();
        unreadable_links.extend(more);
        for error in unreadable_links {
            let fix = "restore or remove the file";
            problems.push(Problem::new(ProblemKind::Unreadable, "record", error.to_string(), fix));
        }
        for link in &unfinished_links {
            let what = "a command was killed half-way";
            problems.push(Problem::new(ProblemKind::Interrupted, describe_link(link), what, GC));
        }
        if !networks.is_empty() {
            problems.extend(self.check_firewall()?);
            problems.extend(self.check_strangers(&networks)?);
        }
        for network in &networks {
            problems.extend(self.check_network(network)?);
        }
        for endpoint in &endpoints {
            if let Some(network) = networks.iter().find(|n| n.name == endpoint.network) {
                problems.extend(self.check_endpoint(network, endpoint)?);
            } else {
                let what = format!("its network {} has no record", endpoint.network);
                problems.push(Problem::new(ProblemKind::Stray, describe(endpoint), what, GC));
            }
        }
        problems.extend(shadowed_ports(&endpoints));
        for link in &links {
            problems.extend(self.check_link(link)?);
        }
        for (network, key) in self.orphans()? {
            let what = format!("leases of sandbox {} belong to no endpoint", key.cookie);
            problems.push(Problem::new(ProblemKind::Stray, format!("network {network}"), what, GC));
        }
        match self.unrecorded_ports() {
            Ok(claims) => problems.extend(claims.into_iter().map(|claim| {
                let what = "is claimed for an endpoint that does not publish it";
                Problem::new(ProblemKind::Stray, claim.to_string(), what, GC)
            })),
            Err(e) => {
                let fix = "restore or remove the file";
                problems.push(Problem::new(ProblemKind::Unreadable, "record", e.to_string(), fix));
            }
        }
        for words in self.collect_strays(Act::Show)?.value {
            problems.push(Problem::new(ProblemKind::Stray, words, "belongs to nobody", GC));
        }
        Ok(problems)
    }

    /// The layout: all rules, in their order.
    pub(crate) fn check_firewall(&mut self) -> Result<Option<Problem>, Error> {
        let seen = self.kernel.firewall().map_err(Error::kernel("firewall"))?;
        let problem =
            |what: String| Some(Problem::new(ProblemKind::Firewall, "firewall table inet zubi", what, REPAIR));
        let Some(table) = &seen.table else { return Ok(problem("is gone: somebody flushed the ruleset".into())) };
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

    /// The operations a network stands for, beside those all networks share.
    pub(crate) fn network_ops(&mut self, network: &Network) -> Result<Vec<Op>, Error> {
        let plan = self.plan_up(network)?;
        Ok(plan.ops.into_iter().filter(|op| !op.is_layout()).collect())
    }

    fn check_network(&mut self, network: &Network) -> Result<Vec<Problem>, Error> {
        let ops = self.network_ops(network)?;
        self.differences(&format!("network {}", network.name), &ops)
    }

    pub(crate) fn check_endpoint(&mut self, network: &Network, endpoint: &Endpoint) -> Result<Vec<Problem>, Error> {
        let object = describe(endpoint);
        let way = self.way_in(endpoint, None);
        let host_end = self.host_end(endpoint)?;
        if way.is_none() {
            if let Some(problem) = self.restarted(endpoint, &object) {
                return Ok(vec![problem]);
            }
            if host_end.is_none() {
                return Ok(vec![Problem::new(ProblemKind::SandboxGone, object, "its sandbox is gone", GC)]);
            }
        }
        if host_end.is_some()
            && let Some(way) = &way
            && let Some(what) = self.strange_inner_end(endpoint, way)?
        {
            // Whatever else is missing inside follows from it.
            return Ok(vec![Problem::new(ProblemKind::Differs, object, what, REPAIR)]);
        }
        let ops = self.wanted_ops(network, endpoint, way.as_ref())?;
        self.differences(&object, &ops)
    }

    /// What is wrong with the inner end of a pair whose host end is there: it may be renamed, moved on to another
    /// namespace, or have another MAC.
    pub(crate) fn strange_inner_end(&mut self, endpoint: &Endpoint, way: &NsRef) -> Result<Option<String>, Error> {
        let place = Place::Sandbox(way.clone());
        let seen = self.kernel.link(&place, endpoint.ifname.as_str()).map_err(Error::kernel(describe(endpoint)))?;
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

    /// Whether the name an endpoint was attached by leads to another namespace now.
    fn restarted(&mut self, endpoint: &Endpoint, object: &str) -> Option<Problem> {
        let sandbox: SandboxRef = endpoint.sandbox.spelled.parse().ok()?;
        let now = self.resolve(&sandbox).ok()?;
        (now.cookie != endpoint.sandbox.cookie).then(|| {
            let what = format!("{sandbox} was started again and has a new network namespace");
            let fix = format!("zubi connect {} {sandbox}", endpoint.network);
            Problem::new(ProblemKind::SandboxRestarted, object, what, fix)
        })
    }

    /// The operations an endpoint stands for; only the host's when there is no way in.
    pub(crate) fn wanted_ops(
        &mut self,
        network: &Network,
        endpoint: &Endpoint,
        way: Option<&NsRef>,
    ) -> Result<Vec<Op>, Error> {
        let mut endpoint = endpoint.clone();
        if let Some(way) = way {
            endpoint.sandbox.reached_by = way.clone();
        }
        let siblings = self.siblings(&endpoint)?;
        let default_in = self.gives_default_in(&endpoint, &siblings, way)?;
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
        Ok(plan.ops.into_iter().filter(|op| op.place == Place::Host || way.is_some()).collect())
    }

    pub(crate) fn differences(&mut self, object: &str, ops: &[Op]) -> Result<Vec<Problem>, Error> {
        let compared = self.kernel.examine(ops).map_err(Error::kernel(object))?;
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
