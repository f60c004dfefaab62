//! Other programs' firewalls: which packets of our networks they drop, and the guest rules that accept these.
//!
//! # Limits
//! Legacy iptables has no generation number: where it has a `filter` table, every connect reads the whole table.

use crate::error::Error;
use crate::problem::{Problem, ProblemKind, REPAIR};
use crate::session::Session;
use crate::settings::Coexistence;
use zubi_kernel::legacy_barrier;
use zubi_model::{Family, Network, NetworkId};
use zubi_plan::Plan;
use zubi_plan::coexist::{Barrier, Shut};

/// The effect of other programs' firewalls on our networks.
#[derive(Default)]
pub(crate) struct Look {
    /// The guest rules to add.
    pub(crate) plan: Plan,
    /// The chains that need these rules, in words, each with the network that lacks one.
    pub(crate) lacking: Vec<(Network, String)>,
    /// The barriers that zubi cannot open, and what a person can do.
    pub(crate) shut: Vec<Refused>,
}

/// A chain that drops packets of a network, and that zubi does not change.
pub(crate) struct Refused {
    network: Network,
    what: String,
    fix: String,
}

impl Look {
    pub(crate) fn is_in_order(&self) -> bool {
        self.plan.is_empty() && self.shut.is_empty()
    }
}

/// The networks for which zubi looks at other programs' firewalls.
pub(crate) fn looked_after(session: &Session, networks: &[Network]) -> Vec<NetworkId> {
    match session.config().coexistence {
        Coexistence::On => networks.iter().map(|n| n.id.clone()).collect(),
        Coexistence::Off => Vec::new(),
    }
}

/// Looks at other programs' firewalls. From here on the kernel session expects this generation of the ruleset.
pub(crate) fn look_at_foreign(session: &mut Session, networks: &[Network]) -> Result<Look, Error> {
    let failed = || Error::kernel("firewalls of other programs");
    if session.config().coexistence == Coexistence::Off {
        let generation = session.kernel.generation().map_err(failed())?;
        session.kernel.expect(Some(generation));
        return Ok(Look::default());
    }
    match judge_foreign(session, networks) {
        // Another program changes the ruleset all the time. No rule can be added now, but the command goes on.
        Err(Error::Kernel { source: source @ zubi_kernel::Error::Unsteady { .. }, .. }) => {
            session.kernel.expect(None);
            let unread = |network: &Network| Refused {
                network: network.clone(),
                what: format!("other programs' firewalls: {source}"),
                fix: "run zubi check later to see whether they drop anything".into(),
            };
            Ok(Look { shut: networks.iter().map(unread).collect(), ..Look::default() })
        }
        other => other,
    }
}

fn judge_foreign(session: &mut Session, networks: &[Network]) -> Result<Look, Error> {
    let failed = || Error::kernel("firewalls of other programs");
    let mut look = Look::default();
    let foreign = session.kernel.foreign_rules().map_err(failed())?;
    for barrier in foreign.barriers() {
        // If another program manages the bridge, it manages the firewall as well.
        for network in networks.iter().filter(|n| n.is_firewalled()) {
            let lacking = foreign.lacking(&barrier, network);
            if lacking.is_empty() {
                continue;
            }
            match barrier.shut {
                None => {
                    look.lacking.push((network.clone(), barrier.to_string()));
                    look.plan.append(lacking.plan());
                }
                Some(shut) if !session.kernel.mentions_device(&barrier.name, network.device()).map_err(failed())? => {
                    let refused = refused(&barrier, shut, network);
                    // A table that drops both what is forwarded and questions is told once.
                    if !look.shut.iter().any(|told| told.network.id == network.id && told.fix == refused.fix) {
                        look.shut.push(refused);
                    }
                }
                // The table mentions the bridge: its owner has a rule for it.
                Some(_) => {}
            }
        }
    }
    Ok(look)
}

/// Notes the barriers that zubi cannot open, for these networks only.
pub(crate) fn note_refused(session: &mut Session, look: &Look, involved: &[Network]) {
    for refused in look.shut.iter().filter(|r| involved.iter().any(|n| n.name == r.network.name)) {
        session.note(format!("network {}: {}; {}", refused.network.name, refused.what, refused.fix));
    }
}

/// Notes the packets of these networks that legacy iptables drops.
pub(crate) fn note_legacy(session: &mut Session, networks: &[Network]) {
    match legacy(networks) {
        Ok(all) => {
            for Refused { network, what, fix } in all {
                session.note(format!("network {}: {what}; let it pass: {fix}", network.name));
            }
        }
        // An unreadable legacy table does not stop the command.
        Err(e) => session.note(e.to_string()),
    }
}

/// The problems with other programs' firewalls, for `check`.
pub(crate) fn check_foreign(session: &mut Session, networks: &[Network]) -> Result<Vec<Problem>, Error> {
    let problem = |network: &Network, what: String, fix: String| {
        Problem::new(ProblemKind::ForeignFirewall, format!("network {}", network.name), what, fix)
    };
    let look = judge_foreign(session, networks)?;
    let fix = match session.config().coexistence {
        Coexistence::On => REPAIR,
        Coexistence::Off => "coexistence is switched off: set it to true in the settings, then zubi repair",
    };
    let mut problems: Vec<Problem> = Vec::new();
    for (network, what) in look.lacking {
        problems.push(problem(&network, format!("{what}, and has no rule for {}", network.device()), fix.into()));
    }
    for Refused { network, what, fix } in look.shut.into_iter().chain(legacy(networks)?) {
        problems.push(problem(&network, what, fix));
    }
    Ok(problems)
}

fn refused(barrier: &Barrier, shut: Shut, network: &Network) -> Refused {
    let bridge = network.device();
    let (what, fix) = match shut {
        Shut::Owned(port) => {
            // The first netlink socket of a process has the process number as its port.
            let program = std::fs::read_to_string(format!("/proc/{port}/comm")).unwrap_or_default();
            let program = program.trim();
            let owner =
                if program.is_empty() { "another program".to_owned() } else { format!("{program} (process {port})") };
            let what = format!("{barrier}, and its table belongs to {owner}, and no other program can change it");
            let fix = if program == "firewalld" || barrier.name.table.name == "firewalld" {
                format!("firewall-cmd --permanent --zone=trusted --add-interface={bridge} && firewall-cmd --reload")
            } else {
                format!("tell {owner} to accept what comes from {bridge} and what goes to it")
            };
            (what, fix)
        }
        Shut::ByAdministrator => {
            let program = if barrier.name.table.family.sees(Family::V4) { "iptables" } else { "ip6tables" };
            let rule = |word| format!("{program} -I DOCKER-USER {word} {bridge} -j ACCEPT");
            let what = format!("{barrier}: the administrator's DOCKER-USER drops everything");
            (what, format!("if {bridge} is to pass: {} && {}", rule("-i"), rule("-o")))
        }
    };
    Refused { network: network.clone(), what, fix }
}

/// The networks whose packets legacy iptables drops.
fn legacy(networks: &[Network]) -> Result<Vec<Refused>, Error> {
    let mut all = Vec::new();
    for family in [Family::V4, Family::V6] {
        let concerned: Vec<&Network> =
            networks.iter().filter(|n| n.pool(family).is_some() && n.is_firewalled()).collect();
        if concerned.is_empty() {
            continue;
        }
        let Some(barrier) = legacy_barrier(family).map_err(Error::kernel("legacy iptables"))? else { continue };
        for network in concerned {
            let commands = barrier.lacking(network.device());
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
