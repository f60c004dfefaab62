//! Living with other programs' firewalls: what they would drop of our networks, and what lets it pass.
//!
//! # Limits
//! Legacy iptables numbers no generation of its rules: where it has a `filter` table, every connect reads it.

use crate::config::Coexistence;
use crate::error::Error;
use crate::problem::{Problem, ProblemKind, REPAIR};
use crate::session::Session;
use zubi_kernel::legacy_barrier;
use zubi_model::{Family, Network, NetworkId};
use zubi_plan::Plan;
use zubi_plan::coexist::{Barrier, Shut};

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
    pub(crate) fn is_in_order(&self) -> bool {
        self.plan.is_empty() && self.shut.is_empty()
    }
}

/// The networks that others' firewalls are looked at for.
pub(crate) fn looked_after(session: &Session, networks: &[Network]) -> Vec<NetworkId> {
    match session.config().coexistence {
        Coexistence::On => networks.iter().map(|n| n.id.clone()).collect(),
        Coexistence::Off => Vec::new(),
    }
}

/// What other programs' firewalls drop of these networks. The ruleset is expected to stay as it is.
pub(crate) fn look_at_foreign(session: &mut Session, networks: &[Network]) -> Result<Look, Error> {
    let failed = || Error::kernel("firewalls of other programs");
    if session.config().coexistence == Coexistence::Off {
        let generation = session.kernel.generation().map_err(failed())?;
        session.kernel.expect(Some(generation));
        return Ok(Look::default());
    }
    match judge_foreign(session, networks) {
        // Like this nobody can add a rule there; it is no reason not to work.
        Err(Error::Kernel { source: source @ zubi_kernel::Error::Unsteady { .. }, .. }) => {
            session.kernel.expect(None);
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

fn judge_foreign(session: &mut Session, networks: &[Network]) -> Result<Look, Error> {
    let failed = || Error::kernel("firewalls of other programs");
    let mut look = Look::default();
    let strangers = session.kernel.foreign_rules().map_err(failed())?;
    for barrier in strangers.barriers() {
        // Of a bridge that is somebody else's with all that concerns it, the firewall is too.
        for network in networks.iter().filter(|n| n.is_firewalled()) {
            let lacking = strangers.lacking(&barrier, network);
            if lacking.is_empty() {
                continue;
            }
            match barrier.shut {
                None => {
                    look.lacking.push((network.clone(), barrier.to_string()));
                    look.plan.append(lacking.plan());
                }
                Some(shut) if !session.kernel.mentions_device(&barrier.name, network.device()).map_err(failed())? => {
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
pub(crate) fn note_refused(session: &mut Session, look: &Look, involved: &[Network]) {
    for refused in look.shut.iter().filter(|r| involved.iter().any(|n| n.name == r.network.name)) {
        session.note(format!("network {}: {}; {}", refused.network.name, refused.what, refused.fix));
    }
}

/// Notes what legacy iptables drops of these networks.
pub(crate) fn note_legacy(session: &mut Session, networks: &[Network]) {
    match legacy(networks) {
        Ok(all) => {
            for Refused { network, what, fix } in all {
                session.note(format!("network {}: {what}; let it pass: {fix}", network.name));
            }
        }
        // What cannot be read is no reason not to work.
        Err(e) => session.note(e.to_string()),
    }
}

/// What other programs' firewalls drop, for `check`.
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
            // Programs with one socket have their process number as its port.
            let program = std::fs::read_to_string(format!("/proc/{port}/comm")).unwrap_or_default();
            let program = program.trim();
            let owner =
                if program.is_empty() { "another program".to_owned() } else { format!("{program} (process {port})") };
            let what = format!("{barrier}, and its table belongs to {owner}, which lets nobody else change it");
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

/// What legacy iptables drops of these networks.
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
