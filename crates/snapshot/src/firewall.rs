//! The host's ruleset, as far as it was read: our table, our rules in other programs' tables, and the tables of other
//! programs.

use crate::Extent;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use zubi_plan::coexist::{ChainName, ForeignFirewalls};
use zubi_plan::firewall;
use zubi_wire::nft::{ChainSeen, ElementSeen, Generation, RuleSeen, SetSeen, TableSeen};

/// Our table without the elements of its sets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirewallSeen {
    /// The table, if there is one of that name.
    pub table: Option<TableSeen>,
    /// Its chains.
    pub chains: Vec<ChainSeen>,
    /// Its sets.
    pub sets: Vec<SetSeen>,
    /// Its rules, chain by chain in order.
    pub rules: Vec<RuleSeen>,
}

impl FirewallSeen {
    /// Whether another program made a table with our name: the table is not empty, and contains nothing that zubi
    /// makes.
    pub fn is_foreign(&self) -> bool {
        let holds_something = self.table.as_ref().is_some_and(|table| table.objects > 0);
        let chains = firewall::chains();
        let sets = firewall::sets();
        let has_ours = self.chains.iter().any(|seen| chains.iter().any(|chain| chain.is(seen)))
            || self.sets.iter().any(|seen| sets.iter().any(|set| set.is(seen)));
        holds_something && !has_ours
    }

    /// Chains and sets that another program put into our table.
    pub fn additions(&self) -> Vec<String> {
        let chains = firewall::chains();
        let sets = firewall::sets();
        let chains = self.chains.iter().filter(|seen| !chains.iter().any(|chain| chain.name == seen.name));
        let sets = self.sets.iter().filter(|seen| !sets.iter().any(|set| set.name == seen.name));
        let words = chains.map(|chain| format!("chain {}", chain.name));
        words.chain(sets.map(|set| format!("set {}", set.name))).collect()
    }
}

/// A guest rule: a rule of ours in another program's table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestRuleSeen {
    /// The rule.
    pub rule: RuleSeen,
    /// The netlink port of the only program that may change the table.
    pub owner: Option<u32>,
}

/// The tables and chains of all programs, and the rules that decide whether forwarded packets pass.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignTables {
    /// All tables, ours included.
    pub tables: Vec<TableSeen>,
    /// All chains, ours included.
    pub chains: Vec<ChainSeen>,
    /// The rules of each chain that was read, in order.
    pub rules: Vec<RuleSeen>,
}

impl ForeignTables {
    /// The tables in the form that the plan crate evaluates.
    pub fn judged(&self) -> ForeignFirewalls {
        let mut by_chain: HashMap<ChainName, Vec<RuleSeen>> = HashMap::new();
        for rule in &self.rules {
            let (table, chain) = (rule.rule.table.clone(), rule.rule.chain.clone());
            by_chain.entry(ChainName { table, chain }).or_default().push(rule.clone());
        }
        let mut judged = ForeignFirewalls::new(self.tables.clone(), self.chains.clone());
        loop {
            let unread = judged.unread();
            if unread.is_empty() {
                return judged;
            }
            for chain in unread {
                let rules = by_chain.remove(&chain).unwrap_or_default();
                judged.learn(chain, rules);
            }
        }
    }
}

/// Elements of one set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Elements {
    pub(crate) read: Extent<Vec<u8>>,
    #[serde(serialize_with = "in_order")]
    pub(crate) seen: HashSet<ElementSeen>,
}

/// Sorted, so that two snapshots of the same ruleset have the same text.
fn in_order<S: Serializer>(seen: &HashSet<ElementSeen>, serializer: S) -> Result<S::Ok, S::Error> {
    seen.iter().collect::<BTreeSet<_>>().serialize(serializer)
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ruleset {
    pub(crate) ours: Option<FirewallSeen>,
    pub(crate) elements: BTreeMap<String, Elements>,
    /// Read in this generation of the ruleset.
    pub(crate) guest_rules: Option<(Vec<GuestRuleSeen>, Generation)>,
    /// Read in this generation of the ruleset.
    pub(crate) foreign: Option<(ForeignTables, Generation)>,
}
