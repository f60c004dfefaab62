//! Living with other programs' firewalls: finding out what they would drop, and that everything is still in order.
//!
//! # How it works
//! The kernel numbers its ruleset anew with every transaction, whoever makes it. For which number everything was last
//! found in order is remembered: while it is that, nobody has to look. Our own transactions move it by one, and what
//! is remembered moves along when nothing else lay between.
//!
//! # Limits
//! Legacy iptables has no such number: where it has a `filter` table, that is read by every connect.

use crate::config::Coexistence;
use crate::engine::Engine;
use crate::error::Error;
use crate::problem::{Problem, ProblemKind, REPAIR};
use zubi_kernel::{Applied, legacy_barrier};
use zubi_model::{BridgeMode, Family, Network, NetworkId};
use zubi_plan::coexist::{self, Barrier, Shut};
use zubi_plan::{Op, Outcome, Plan, What};
use zubi_store::FirewallSeen;

/// How often a plan is made again because another program was faster.
const TRIES: u32 = 5;

/// What other programs' firewalls do to our networks.
#[derive(Default)]
pub(crate) struct Look {
    /// What lets the networks pass.
    pub(crate) plan: Plan,
    /// The chains that it is about, in words, each with the network that lacks it.
    pub(crate) lacking: Vec<(Network, String)>,
    /// Where nothing can be done, and what a person could do.
    pub(crate) shut: Vec<Refused>,
}

/// A chain that drops what a network sends, and that we do not change.
pub(crate) struct Refused {
    network: Network,
    what: String,
    fix: String,
}

impl Look {
    fn is_in_order(&self) -> bool {
        self.plan.is_empty() && self.shut.is_empty()
    }
}

impl Engine {
    /// What the firewall lacks, ours and in other programs' chains: for all networks, unless it is known that nothing
    /// has changed since these were found in order.
    pub(crate) fn missing_firewall(&mut self, involved: &[Network]) -> Result<Plan, Error> {
        if self.recall_firewall(involved)? {
            return Ok(Plan::new());
        }
        let networks = self.store.networks_lossy().0;
        let failed = || Error::kernel("firewall");
        // First, because what is read later is of the same generation or it is noticed.
        let look = self.look_at_strangers(&networks)?;
        self.tell(&look, involved);
        let mut plan = Plan::new();
        if !self.kernel.firewall_stands().map_err(failed())? {
            plan = self.firewall_from_records()?;
        }
        let in_order = plan.is_empty() && look.is_in_order();
        self.in_order = in_order.then(|| self.looked_after(&networks));
        plan.append(look.plan);
        Ok(plan)
    }

    /// Whether nothing has changed since these networks were found in order.
    fn recall_firewall(&mut self, involved: &[Network]) -> Result<bool, Error> {
        self.in_order = None;
        let Some(seen) = self.store.firewall_seen()? else { return Ok(false) };
        let generation = self.kernel.generation().map_err(Error::kernel("firewall"))?;
        let covered = self.looked_after(involved).iter().all(|id| seen.networks.contains(id));
        if seen.generation != generation.0 || !covered {
            return Ok(false);
        }
        self.kernel.expect(Some(generation));
        self.in_order = Some(seen.networks);
        Ok(true)
    }

    /// The networks that others' firewalls are looked at for.
    fn looked_after(&self, networks: &[Network]) -> Vec<NetworkId> {
        match self.coexistence {
            Coexistence::On => networks.iter().map(|n| n.id.clone()).collect(),
            Coexistence::Off => Vec::new(),
        }
    }

    /// Everything was found in order, or has just been put in order.
    pub(crate) fn firewall_is_in_order(&mut self, look: &Look, networks: &[Network]) {
        if look.shut.is_empty() {
            self.in_order = Some(self.looked_after(networks));
            self.remember_firewall();
        }
    }

    /// Before a transaction of ours: what is remembered is to move along with it.
    pub(crate) fn follow_firewall(&mut self, plan: &Plan) -> Result<(), Error> {
        let joins = plan.ops.iter().any(Op::is_nft) && !plan.ops.iter().any(Op::is_guest);
        if joins && self.kernel.expected().is_none() {
            self.recall_firewall(&[])?;
        }
        Ok(())
    }

    /// Behind a transaction of ours.
    pub(crate) fn remember_firewall(&mut self) {
        let (Some(networks), Some(generation)) = (&self.in_order, self.kernel.expected()) else { return };
        let seen = FirewallSeen { generation: generation.0, networks: networks.clone() };
        if self.remembered.as_ref() != Some(&seen) && self.store.remember_firewall(&seen).is_ok() {
            self.remembered = Some(seen);
        }
        // Not remembered: whoever comes next looks again.
    }

    /// Nothing is known of the firewall any more.
    pub(crate) fn forget_firewall(&mut self) -> Result<(), Error> {
        self.in_order = None;
        self.remembered = None;
        Ok(self.store.forget_firewall()?)
    }

    /// What other programs' firewalls drop of these networks. The ruleset is expected to stay as it is.
    pub(crate) fn look_at_strangers(&mut self, networks: &[Network]) -> Result<Look, Error> {
        let failed = || Error::kernel("firewalls of other programs");
        if self.coexistence == Coexistence::Off {
            let generation = self.kernel.generation().map_err(failed())?;
            self.kernel.expect(Some(generation));
            return Ok(Look::default());
        }
        match self.judge(networks) {
            // Like this nobody can add a rule there; it is no reason not to work.
            Err(Error::Kernel { source: source @ zubi_kernel::Error::Unsteady { .. }, .. }) => {
                self.kernel.expect(None);
                let unread = |network: &Network| Refused {
                    network: network.clone(),
                    what: format!("other programs' firewalls: {source}"),
                    fix: "zubi check tells later whether they drop anything".into(),
                };
                Ok(Look { shut: networks.iter().map(unread).collect(), ..Look::default() })
            }
            other => other,
        }
    }

    fn judge(&mut self, networks: &[Network]) -> Result<Look, Error> {
        let failed = || Error::kernel("firewalls of other programs");
        let mut look = Look::default();
        let strangers = self.kernel.strangers().map_err(failed())?;
        for barrier in strangers.barriers() {
            // Of a bridge that is somebody else's with all that concerns it, the firewall is too.
            for network in networks.iter().filter(|n| n.bridge_mode != BridgeMode::Unmanaged) {
                let lacking = strangers.lacking(&barrier, network);
                if lacking.is_empty() {
                    continue;
                }
                match barrier.shut {
                    None => {
                        look.lacking.push((network.clone(), barrier.to_string()));
                        look.plan.append(lacking.plan());
                    }
                    Some(shut) if !self.kernel.names(&barrier.name, &network.bridge).map_err(failed())? => {
                        look.shut.push(refused(&barrier, shut, network));
                    }
                    // Whoever may change the table has told it of the bridge.
                    Some(_) => {}
                }
            }
        }
        Ok(look)
    }

    /// Notes what we can do nothing about, as far as it concerns these networks.
    pub(crate) fn tell(&mut self, look: &Look, involved: &[Network]) {
        for refused in look.shut.iter().filter(|r| involved.iter().any(|n| n.name == r.network.name)) {
            self.note(format!("network {}: {}; {}", refused.network.name, refused.what, refused.fix));
        }
    }

    /// Notes what legacy iptables drops of these networks.
    pub(crate) fn tell_legacy(&mut self, networks: &[Network]) {
        match legacy(networks) {
            Ok(all) => {
                for Refused { network, what, fix } in all {
                    self.note(format!("network {}: {what}; let it pass: {fix}", network.name));
                }
            }
            // What cannot be read is no reason not to work.
            Err(e) => self.note(e.to_string()),
        }
    }

    /// The plan, with what other programs' chains need for the same networks as they are now.
    fn with_guests_anew(&mut self, plan: &Plan) -> Result<Plan, Error> {
        let (mut networks, _) = self.store.networks_lossy();
        networks.extend(self.store.networks_in_making_lossy().0);
        networks.dedup_by(|a, b| a.id == b.id);
        networks.retain(|network| {
            plan.ops.iter().any(|op| matches!(&op.what, What::AddGuestRule(rule) if rule.device == network.bridge))
        });
        let mut anew: Plan = plan.ops.iter().filter(|op| !op.is_guest()).cloned().collect();
        coexist::join(&mut anew, self.look_at_strangers(&networks)?.plan);
        Ok(anew)
    }

    /// Applies a plan, with rules for other programs' chains as those are at that moment.
    pub(crate) fn apply_steadily(&mut self, plan: &Plan) -> Result<Result<(), zubi_kernel::Failed>, Error> {
        let mut plan = plan.clone();
        for _ in 1..TRIES {
            match self.kernel.apply(&plan) {
                Err(failed) if is_raced(&failed) => plan = self.with_guests_anew(&plan)?,
                other => return Ok(other.map(|applied| self.tell_unfiltered(&applied))),
            }
        }
        Ok(self.kernel.apply(&plan).map(|applied| self.tell_unfiltered(&applied)))
    }

    /// Notes a guard that this kernel cannot have.
    fn tell_unfiltered(&mut self, applied: &Applied) {
        for (op, outcome) in &applied.done {
            if let (What::AddFilter(filter), Outcome::Nothing) = (&op.what, outcome) {
                self.note(format!(
                    "bridge {}: this kernel has no filters of classic BPF (sch_ingress, cls_bpf): should somebody flush \
                     the nftables ruleset, containers reach what listens on the host's loopback until the next command",
                    filter.device
                ));
            }
        }
    }

    /// What other programs' firewalls drop, for `check`.
    pub(crate) fn check_strangers(&mut self, networks: &[Network]) -> Result<Vec<Problem>, Error> {
        let problem = |network: &Network, what: String, fix: String| {
            Problem::new(ProblemKind::ForeignFirewall, format!("network {}", network.name), what, fix)
        };
        let look = self.judge(networks)?;
        let fix = match self.coexistence {
            Coexistence::On => REPAIR,
            Coexistence::Off => "coexistence is switched off: set it to true in the settings, then zubi repair",
        };
        let mut problems: Vec<Problem> = Vec::new();
        for (network, what) in look.lacking {
            problems.push(problem(&network, format!("{what}, and has no rule for {}", network.bridge), fix.into()));
        }
        for Refused { network, what, fix } in look.shut.into_iter().chain(legacy(networks)?) {
            problems.push(problem(&network, what, fix));
        }
        Ok(problems)
    }
}

fn is_raced(failed: &zubi_kernel::Failed) -> bool {
    matches!(failed.error, zubi_kernel::Error::StrangersChanged { .. }) && failed.rollback.is_empty()
}

fn refused(barrier: &Barrier, shut: Shut, network: &Network) -> Refused {
    let bridge = &network.bridge;
    let (what, fix) = match shut {
        Shut::Owned(port) => {
            // Programs with one socket have their process number as its port.
            let program = std::fs::read_to_string(format!("/proc/{port}/comm")).unwrap_or_default();
            let program = program.trim();
            let owner =
                if program.is_empty() { "another program".to_owned() } else { format!("{program} (process {port})") };
            let what = format!("{barrier}, and its table belongs to {owner}, which lets nobody else change it");
            let fix = if program == "firewalld" || barrier.name.table == "firewalld" {
                format!("firewall-cmd --permanent --zone=trusted --add-interface={bridge} && firewall-cmd --reload")
            } else {
                format!("tell {owner} to accept what comes from {bridge} and what goes to it")
            };
            (what, fix)
        }
        Shut::Meant => {
            let program = if barrier.name.family.sees(Family::V4) { "iptables" } else { "ip6tables" };
            let rule = |word| format!("{program} -I DOCKER-USER {word} {bridge} -j ACCEPT");
            let what = format!("{barrier}: the administrator's DOCKER-USER drops everything");
            (what, format!("if {bridge} is to pass: {} && {}", rule("-i"), rule("-o")))
        }
    };
    Refused { network: network.clone(), what, fix }
}

/// What legacy iptables drops of these networks.
fn legacy(networks: &[Network]) -> Result<Vec<Refused>, Error> {
    let mut all = Vec::new();
    for family in [Family::V4, Family::V6] {
        let concerned: Vec<&Network> =
            networks.iter().filter(|n| n.pool(family).is_some() && n.bridge_mode != BridgeMode::Unmanaged).collect();
        if concerned.is_empty() {
            continue;
        }
        let Some(barrier) = legacy_barrier(family).map_err(Error::kernel("legacy iptables"))? else { continue };
        for network in concerned {
            let commands = barrier.lacking(&network.bridge);
            if !commands.is_empty() {
                let what = format!(
                    "chain FORWARD of {} drops what it does not know ({}); zubi does not change legacy tables",
                    barrier.program(),
                    barrier.drops
                );
                all.push(Refused { network: network.clone(), what, fix: commands.join(" && ") });
            }
        }
    }
    Ok(all)
}
