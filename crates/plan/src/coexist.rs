//! Coexistence with other programs' firewalls: a packet that one table drops is dropped, whatever ours says.
//!
//! # How it works
//! [`ForeignFirewalls`] holds the tables of other programs. A base chain in the forward or input hook is a [`Barrier`] if it
//! drops what no rule with a condition accepts: by its policy, or by a rule that drops everything itself or in the
//! chain it leads to. At a barrier each network needs two guest rules, for packets from its device and for packets to
//! it; a network with a card of the host needs one, for what stays on its bridge. In the input hook a network with names
//! needs two for its questions to port 53. They are placed as late in the chain as they still work, so that what other
//! programs drop with a condition stays dropped. Our own chain still decides what may pass between networks and the outside.
//!
//! Where `FORWARD` of an `iptables` table leads to `DOCKER-USER`, the guest rules go there: Docker does not change that
//! chain.
//!
//! # Limits
//! Conditions are not evaluated: a rule that drops packets from all devices but one does not count as one that drops
//! everything. Barriers at other hooks and in other families (`bridge`, `netdev`) are ignored.

use crate::firewall::TABLE;
use crate::{Op, Plan, What};
use std::collections::HashMap;
use zubi_model::{Family, Network};
use zubi_wire::nft::{
    ChainSeen, Direction, Ending, GuestRule, HookPoint, RuleAt, RuleSeen, Table, TableFamily, TableSeen,
};

/// How the comment of every guest rule begins.
const MARK: &str = "zubi: network ";
const DOCKER_USER: &str = "DOCKER-USER";
/// `NF_DROP` in linux/netfilter.h.
const DROP: u32 = 0;

/// A chain by its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChainName {
    /// Its table.
    pub table: Table,
    /// Its own name.
    pub chain: String,
}

/// The tables of other programs, as far as they concern forwarded packets and those for the host.
#[derive(Debug, Clone, Default)]
pub struct ForeignFirewalls {
    tables: Vec<TableSeen>,
    /// Base chains in the forward and input hooks.
    chains: Vec<ChainSeen>,
    rules: HashMap<ChainName, Vec<RuleSeen>>,
}

/// The part of a barrier that drops packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drops {
    /// The chain's policy.
    Policy,
    /// This rule, or the chain it leads to.
    Rule(String),
}

/// Why a barrier can have no guest rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shut {
    /// Only the program with this netlink port may change the table, which it owns.
    Owned(u32),
    /// The administrator's own chain drops everything, which is intended.
    ByAdministrator,
}

/// Which packets a base chain sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packets {
    /// Those that the host forwards.
    Forwarded,
    /// Those for the host itself.
    ForHost,
}

impl Packets {
    fn of(chain: &ChainSeen) -> Option<Packets> {
        match chain.hook?.0 {
            point if point == HookPoint::Forward as u32 => Some(Packets::Forwarded),
            point if point == HookPoint::Input as u32 => Some(Packets::ForHost),
            _ => None,
        }
    }
}

/// A base chain of another program that drops what no rule accepts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barrier {
    /// The base chain.
    pub name: ChainName,
    /// The part of it that drops packets.
    pub drops: Drops,
    /// Why it can have no guest rule.
    pub shut: Option<Shut>,
    /// Which packets it sees.
    pub sees: Packets,
    /// The index of the rule that drops packets, or the number of rules if the policy does.
    end: usize,
    /// The chain for guest rules, and the index of the rule that they go before.
    place: (ChainName, usize),
}

/// What happens to a packet that no condition matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It leaves the chain, at this rule or after the last one.
    Out(usize),
    /// It is accepted.
    Accepted,
    /// It is dropped by this rule.
    Dropped(usize),
}

/// The guest rules that a network lacks, and those in places where they have no effect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lacking {
    /// To be added.
    pub missing: Vec<GuestRule>,
    /// To be deleted.
    pub misplaced: Vec<RuleAt>,
}

impl ForeignFirewalls {
    /// Keeps the tables and chains that matter. The rules are read later, see [`ForeignFirewalls::unread`].
    pub fn new(tables: Vec<TableSeen>, chains: Vec<ChainSeen>) -> Self {
        let awake = |chain: &ChainSeen| tables.iter().any(|t| t.table == chain.table && !t.dormant);
        let routes = |chain: &ChainSeen| [Family::V4, Family::V6].iter().any(|f| chain.table.family.sees(*f));
        let matters =
            |chain: &ChainSeen| Packets::of(chain).is_some() && routes(chain) && chain.table != TABLE && awake(chain);
        ForeignFirewalls { chains: chains.into_iter().filter(matters).collect(), tables, rules: HashMap::new() }
    }

    /// The chains whose rules have to be read before barriers can be determined.
    pub fn unread(&self) -> Vec<ChainName> {
        let mut unread = Vec::new();
        for chain in &self.chains {
            self.way(&name(chain), &mut HashMap::new(), &mut unread);
        }
        unread.dedup();
        unread
    }

    /// Adds the rules of a chain, in order.
    pub fn learn(&mut self, chain: ChainName, rules: Vec<RuleSeen>) {
        self.rules.insert(chain, rules);
    }

    /// The tables with such a chain, and the netlink ports of their owners.
    pub fn tables(&self) -> impl Iterator<Item = (&Table, Option<u32>)> {
        let has_chain = |t: &&TableSeen| self.chains.iter().any(|c| c.table == t.table);
        self.tables.iter().filter(has_chain).map(|t| (&t.table, t.owner))
    }

    /// The chains with rules of other programs for forwarded packets of a family.
    pub fn filtering(&self, family: Family) -> impl Iterator<Item = String> {
        let own = move |chain: &&ChainSeen| {
            Packets::of(chain) == Some(Packets::Forwarded)
                && chain.table.family.sees(family)
                && self.rules(&name(chain)).iter().any(|rule| !is_ours(rule))
        };
        self.chains
            .iter()
            .filter(own)
            .map(|chain| format!("{} {} {}", chain.table.family, chain.table.name, chain.name))
    }

    /// The chains that drop packets of our networks.
    pub fn barriers(&self) -> Vec<Barrier> {
        self.chains.iter().filter_map(|chain| self.barrier(chain)).collect()
    }

    fn barrier(&self, chain: &ChainSeen) -> Option<Barrier> {
        let base = name(chain);
        let way = |chain: &ChainName| self.way(chain, &mut HashMap::new(), &mut Vec::new());
        let (end, drops) = match way(&base) {
            Way::Dropped(at) => (at, Drops::Rule(self.rules(&base).get(at)?.to_string())),
            Way::Out(at) if chain.policy == Some(DROP) => (at, Drops::Policy),
            _ => return None,
        };
        let mut shut = self.owner(&base).map(Shut::Owned);
        let mut place = (base.clone(), end);
        let user = ChainName { chain: DOCKER_USER.into(), ..base.clone() };
        if self.leads_to_docker_user(&base, end) {
            match way(&user) {
                Way::Out(at) => place = (user, at),
                Way::Dropped(_) => shut = shut.or(Some(Shut::ByAdministrator)),
                Way::Accepted => {}
            }
        }
        Some(Barrier { name: base, drops, shut, sees: Packets::of(chain)?, end, place })
    }

    /// Whether packets reach Docker's chain for the administrator before they are dropped.
    fn leads_to_docker_user(&self, base: &ChainName, end: usize) -> bool {
        let of_iptables =
            base.table.family != TableFamily::Inet && base.table.name == "filter" && base.chain == "FORWARD";
        let jump = |rule: &RuleSeen| rule.ends() == Ending::Jumps(DOCKER_USER.into());
        of_iptables && self.rules(base).iter().take(end + 1).any(jump)
    }

    fn owner(&self, chain: &ChainName) -> Option<u32> {
        self.tables.iter().find(|t| t.table == chain.table)?.owner
    }

    fn rules(&self, chain: &ChainName) -> &[RuleSeen] {
        self.rules.get(chain).map(Vec::as_slice).unwrap_or_default()
    }

    fn way(&self, chain: &ChainName, known: &mut HashMap<ChainName, Way>, unread: &mut Vec<ChainName>) -> Way {
        if let Some(way) = known.get(chain) {
            return *way;
        }
        // The kernel allows no loops. Treat one as a return.
        known.insert(chain.clone(), Way::Out(0));
        let Some(rules) = self.rules.get(chain) else {
            unread.push(chain.clone());
            return Way::Out(0);
        };
        let mut way = Way::Out(rules.len());
        for (at, rule) in rules.iter().enumerate() {
            way = match rule.ends() {
                Ending::No | Ending::Unknown => continue,
                Ending::Drops => Way::Dropped(at),
                Ending::Accepts => Way::Accepted,
                Ending::Returns => Way::Out(at),
                Ending::Jumps(to) => match self.way(&ChainName { chain: to, ..chain.clone() }, known, unread) {
                    Way::Out(_) => continue,
                    Way::Accepted => Way::Accepted,
                    Way::Dropped(_) => Way::Dropped(at),
                },
            };
            known.insert(chain.clone(), way);
            return way;
        }
        known.insert(chain.clone(), way);
        way
    }

    /// The guest rules that a network lacks to pass a barrier.
    pub fn lacking(&self, barrier: &Barrier, network: &Network) -> Lacking {
        let mut lacking = Lacking::default();
        let families = [Family::V4, Family::V6];
        if !families.iter().any(|f| network.pool(*f).is_some() && barrier.name.table.family.sees(*f)) {
            return lacking;
        }
        let (place, at) = &barrier.place;
        let before = self.rules(place).get(*at).map(|rule| rule.handle);
        for direction in directions(network, barrier.sees) {
            let rule = guest(network, *direction, place, before);
            let mut in_place = false;
            let mut misplaced = Vec::new();
            let mut chains = vec![(&barrier.name, barrier.end)];
            chains.extend((*place != barrier.name).then_some((place, *at)));
            for (chain, end) in chains {
                let there = guest(network, *direction, chain, None);
                for (number, seen) in self.rules(chain).iter().enumerate().filter(|(_, seen)| there.is(seen)) {
                    if number < end {
                        in_place = true;
                    } else {
                        misplaced.push(seen.at());
                    }
                }
            }
            if !in_place {
                lacking.missing.push(rule);
                lacking.misplaced.extend(misplaced);
            }
        }
        lacking
    }
}

impl Lacking {
    /// Whether the network lacks nothing.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty()
    }

    /// Adds what is missing and deletes what is misplaced.
    pub fn plan(self) -> Plan {
        const LET_PASS: &str = "another program drops what it does not know; this network is to pass there too";
        const USELESS: &str = "where it stands this rule of ours does nothing";
        let deletions = self.misplaced.into_iter().map(|at| Op::host(What::DeleteGuestRule(at), USELESS));
        deletions.chain(self.missing.into_iter().map(|rule| Op::host(What::AddGuestRule(rule), LET_PASS))).collect()
    }
}

/// Deletes these guest rules.
pub fn remove_guests(rules: &[RuleSeen]) -> Plan {
    const WHY: &str = "and the rules that let it pass other programs' chains";
    rules.iter().map(|rule| Op::host(What::DeleteGuestRule(rule.at()), WHY)).collect()
}

/// Puts guest rules into the nftables transaction of a plan: after its last operation.
pub fn join_transaction(plan: &mut Plan, guests: Plan) {
    let at = plan.ops.iter().rposition(Op::is_nft).map_or(0, |last| last + 1);
    plan.ops.splice(at..at, guests.ops);
}

/// Whether a rule in another program's table is a guest rule of any network.
pub fn is_ours(seen: &RuleSeen) -> bool {
    GuestRule::read(seen).is_some_and(|rule| rule.comment.starts_with(MARK))
}

/// Whether it is a guest rule of this network.
pub fn is_of(seen: &RuleSeen, network: &Network) -> bool {
    GuestRule::read(seen).is_some_and(|rule| rule.device == *network.device() && rule.comment == mark(network))
}

/// What has to pass of a network. Of a LAN the host passes on only what stays on the bridge: all else is the host's own,
/// as it was on the card. For the host are only questions about names.
fn directions(network: &Network, packets: Packets) -> &'static [Direction] {
    match packets {
        Packets::Forwarded if network.parent().is_some() => &[Direction::Within],
        Packets::Forwarded => &[Direction::From, Direction::To],
        Packets::ForHost if network.name_servers().next().is_some() => {
            &[Direction::AskingByUdp, Direction::AskingByTcp]
        }
        Packets::ForHost => &[],
    }
}

fn mark(network: &Network) -> String {
    format!("{MARK}{}", network.name)
}

fn guest(network: &Network, direction: Direction, place: &ChainName, before: Option<u64>) -> GuestRule {
    let ChainName { table, chain } = place.clone();
    GuestRule { table, chain, before, device: network.device().clone(), direction, comment: mark(network) }
}

fn name(chain: &ChainSeen) -> ChainName {
    ChainName { table: chain.table.clone(), chain: chain.name.clone() }
}

impl std::fmt::Display for ChainName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "chain {} of {}", self.chain, self.table)
    }
}

/// Describes the barrier.
impl std::fmt::Display for Barrier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.drops {
            Drops::Policy => write!(f, "{} drops what it does not know (its policy)", self.name),
            Drops::Rule(rule) => write!(f, "{} drops what it does not know ({rule})", self.name),
        }
    }
}

#[cfg(test)]
mod tests;
