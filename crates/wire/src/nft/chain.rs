//! Chains (`NFTA_CHAIN_*`).

use super::{CREATE, HEADER, Table, TableFamily, ask, ask_all, change, family_of};
use crate::message::{Batch, Message, flag};
use serde::{Deserialize, Serialize};
use std::fmt;

const NEWCHAIN: u16 = 3;
const GETCHAIN: u16 = 4;
const TABLE: u16 = 1;
const NAME: u16 = 3;
const HOOK: u16 = 4;
const POLICY: u16 = 5;
const USE: u16 = 6;
const TYPE: u16 = 7;
const HOOK_NUM: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const NF_ACCEPT: u32 = 1;

/// The hook of a base chain (`NF_INET_*` in linux/netfilter.h; `NF_BR_*` for frames have the same numbers).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookPoint {
    /// Incoming packets.
    Prerouting,
    /// Packets for this host.
    Input,
    /// Packets that this host forwards.
    Forward,
    /// Packets that this host sends.
    Output,
    /// Outgoing packets.
    Postrouting,
}

impl HookPoint {
    fn word(self) -> &'static str {
        match self {
            HookPoint::Prerouting => "prerouting",
            HookPoint::Input => "input",
            HookPoint::Forward => "forward",
            HookPoint::Output => "output",
            HookPoint::Postrouting => "postrouting",
        }
    }
}

/// Where a base chain is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hook {
    /// "filter" or "nat".
    pub chain_type: &'static str,
    /// The hook.
    pub point: HookPoint,
    /// Smaller comes first.
    pub priority: i32,
}

/// A chain. Base chains have the policy accept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its table.
    pub table: Table,
    /// Its name.
    pub name: String,
    /// Its hook. A chain without one is reached only from rules.
    pub hook: Option<Hook>,
}

impl Chain {
    /// A base chain.
    pub fn base(table: &Table, name: &str, hook: Hook) -> Self {
        Chain { table: table.clone(), name: name.into(), hook: Some(hook) }
    }

    /// A chain that rules jump to.
    pub fn regular(table: &Table, name: &str) -> Self {
        Chain { table: table.clone(), name: name.into(), hook: None }
    }

    /// Appends `nft add chain`.
    pub fn encode(&self, batch: &mut Batch) {
        change(batch, self.table.family, NEWCHAIN, CREATE, |b| {
            b.text(TABLE, &self.table.name);
            b.text(NAME, &self.name);
            let Some(hook) = self.hook else { return };
            b.nested(HOOK, |b| {
                b.be32(HOOK_NUM, hook.point as u32);
                b.be32(HOOK_PRIORITY, hook.priority.cast_unsigned());
            });
            b.be32(POLICY, NF_ACCEPT);
            b.text(TYPE, hook.chain_type);
        });
    }

    /// Appends a query for this chain.
    pub fn encode_get(&self, batch: &mut Batch) {
        ask(batch, self.table.family, GETCHAIN, flag::ACK, |b| {
            b.text(TABLE, &self.table.name);
            b.text(NAME, &self.name);
        });
    }

    /// Whether the kernel's chain is this one.
    pub fn is(&self, seen: &ChainSeen) -> bool {
        seen.table == self.table
            && seen.name == self.name
            && seen.hook == self.hook.map(|hook| (hook.point as u32, hook.priority))
            && seen.policy == self.hook.map(|_| NF_ACCEPT)
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "chain {} {}", self.table.words(), self.name)?;
        let Some(Hook { chain_type, point, priority }) = self.hook else { return Ok(()) };
        write!(f, " {{ type {chain_type} hook {} priority {priority}; policy accept; }}", point.word())
    }
}

/// A chain as the kernel reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainSeen {
    /// Its table.
    pub table: Table,
    /// Its name.
    pub name: String,
    /// Hook number and priority of a base chain.
    pub hook: Option<(u32, i32)>,
    /// The policy of a base chain (`NF_*` in linux/netfilter.h).
    pub policy: Option<u32>,
    /// The number of its rules, plus the number of rules and map elements that jump to it.
    pub uses: u32,
}

impl ChainSeen {
    /// Reads an `NFT_MSG_NEWCHAIN`.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let family = family_of(message, NEWCHAIN)?;
        let a = message.attributes(HEADER);
        let hook = a.nested(HOOK).and_then(|h| Some((h.be32(HOOK_NUM)?, h.be32(HOOK_PRIORITY)?.cast_signed())));
        Some(ChainSeen {
            table: Table::new(family, a.text(TABLE)?),
            name: a.text(NAME)?,
            hook,
            policy: a.be32(POLICY),
            uses: a.be32(USE).unwrap_or(0),
        })
    }

    /// Appends a query for all chains of a family.
    pub fn dump(batch: &mut Batch, family: TableFamily) {
        ask(batch, family, GETCHAIN, flag::DUMP, |_| ());
    }

    /// Appends a query for all chains of every family.
    pub fn dump_all(batch: &mut Batch) {
        ask_all(batch, GETCHAIN);
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;
    use crate::golden::{bytes, lines, message, ours};

    const ZUBI: Table = Table::named(TableFamily::Inet, "zubi");

    const ADD: &str = "\
        54000000030a0104000000000000000001000000090001007a756269000000000a00030067756172640000000b000700 \
        66696c7465720000080005000000000114000480080001000000000008000200fffffed4";

    const ADD_REGULAR: &str = "\
        2c000000030a0104000000000000000001000000090001007a756269000000000c0003007075626c69736800";
    const GET: &str = "\
        2c000000040a0500000000000000000001000000090001007a756269000000000a0003006775617264000000";

    const ADD_BRIDGE: &str = "\
        54000000030a0104000000000000000007000000090001007a756269000000000c000300666f7277617264000b000700 \
        66696c7465720000080005000000000114000480080001000000000208000200ffffff38";

    #[test]
    fn a_chain_of_a_bridge_says_its_family() {
        let hook = Hook { chain_type: "filter", point: HookPoint::Forward, priority: -200 };
        let chain = Chain::base(&Table::named(TableFamily::Bridge, "zubi"), "forward", hook);
        let (recorded, nested): (_, &[(&[u16], usize)]) = (bytes(ADD_BRIDGE), &[(&[HOOK], 0)]);
        assert_eq!(lines(&ours(|b| chain.encode(b)), HEADER, nested), lines(&recorded, HEADER, nested));
        let seen = ChainSeen::parse(&message(&recorded)).unwrap();
        assert!(chain.is(&seen));
        assert!(!chain.is(&ChainSeen { table: ZUBI, ..seen }));
        let printed = "chain bridge zubi forward { type filter hook forward priority -200; policy accept; }";
        assert_eq!(chain.to_string(), printed);
    }

    #[test]
    fn says_what_nft_add_chain_says_in_its_words() {
        let hook = Hook { chain_type: "filter", point: HookPoint::Prerouting, priority: -300 };
        let chain = Chain::base(&ZUBI, "guard", hook);
        let nested: &[(&[u16], usize)] = &[(&[HOOK], 0)];
        let recorded = bytes(ADD);
        assert_eq!(lines(&ours(|b| chain.encode(b)), HEADER, nested), lines(&recorded, HEADER, nested));
        assert!(chain.is(&ChainSeen::parse(&message(&recorded)).unwrap()));
        let printed = "chain inet zubi guard { type filter hook prerouting priority -300; policy accept; }";
        assert_eq!(chain.to_string(), printed);
        assert_eq!(lines(&ours(|b| chain.encode_get(b)), HEADER, &[]), lines(&bytes(GET), HEADER, &[]));
    }

    #[test]
    fn a_chain_without_a_hook_is_only_a_name() {
        let chain = Chain::regular(&ZUBI, "publish");
        let recorded = bytes(ADD_REGULAR);
        assert_eq!(lines(&ours(|b| chain.encode(b)), HEADER, &[]), lines(&recorded, HEADER, &[]));
        let seen = ChainSeen::parse(&message(&recorded)).unwrap();
        assert!(chain.is(&seen));
        assert!(!chain.is(&ChainSeen { hook: Some((0, 0)), policy: Some(NF_ACCEPT), ..seen }));
        assert_eq!(chain.to_string(), "chain inet zubi publish");
    }
}
