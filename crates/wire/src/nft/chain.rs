//! Base chains (`NFTA_CHAIN_*`).

use super::{CREATE, HEADER, ask, change, is};
use crate::message::{Batch, Message, flag};
use std::fmt;

const NEWCHAIN: u16 = 3;
const GETCHAIN: u16 = 4;
const TABLE: u16 = 1;
const NAME: u16 = 3;
const HOOK: u16 = 4;
const POLICY: u16 = 5;
const TYPE: u16 = 7;
const HOOK_NUM: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const NF_ACCEPT: u32 = 1;

/// Where packets pass by (`NF_INET_*` in linux/netfilter.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookPoint {
    /// Everything that comes in.
    Prerouting,
    /// What is for this host.
    Input,
    /// What goes through.
    Forward,
    /// What this host sends.
    Output,
    /// Everything that goes out.
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

/// Where a base chain hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hook {
    /// "filter" or "nat".
    pub chain_type: &'static str,
    /// Where.
    pub point: HookPoint,
    /// Smaller comes first.
    pub priority: i32,
}

/// A base chain that lets pass what no rule decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Where it hangs.
    pub hook: Hook,
}

impl Chain {
    /// Appends `nft add chain`.
    pub fn encode(&self, batch: &mut Batch) {
        change(batch, NEWCHAIN, CREATE, |b| {
            b.text(TABLE, &self.table);
            b.text(NAME, &self.name);
            b.nested(HOOK, |b| {
                b.be32(HOOK_NUM, self.hook.point as u32);
                b.be32(HOOK_PRIORITY, self.hook.priority.cast_unsigned());
            });
            b.be32(POLICY, NF_ACCEPT);
            b.text(TYPE, self.hook.chain_type);
        });
    }

    /// Whether the kernel's chain is this one.
    pub fn is(&self, seen: &ChainSeen) -> bool {
        seen.table == self.table
            && seen.name == self.name
            && seen.hook == Some((self.hook.point as u32, self.hook.priority))
            && seen.policy == Some(NF_ACCEPT)
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "chain inet {} {} {{ type {} hook {} priority {}; policy accept; }}",
            self.table,
            self.name,
            self.hook.chain_type,
            self.hook.point.word(),
            self.hook.priority
        )
    }
}

/// A chain as the kernel reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainSeen {
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Hook number and priority of a base chain.
    pub hook: Option<(u32, i32)>,
    /// What happens at its end.
    pub policy: Option<u32>,
}

impl ChainSeen {
    /// Reads an `NFT_MSG_NEWCHAIN`.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let a = is(message, NEWCHAIN).then(|| message.attributes(HEADER))?;
        let hook = a.nested(HOOK).and_then(|h| Some((h.be32(HOOK_NUM)?, h.be32(HOOK_PRIORITY)?.cast_signed())));
        Some(ChainSeen { table: a.text(TABLE)?, name: a.text(NAME)?, hook, policy: a.be32(POLICY) })
    }

    /// Appends a question for all chains of the family.
    pub fn dump(batch: &mut Batch) {
        ask(batch, GETCHAIN, flag::DUMP, |_| ());
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;
    use crate::golden::{bytes, lines, message, ours};

    const ADD: &str = "\
        54000000030a0104000000000000000001000000090001007a756269000000000a00030067756172640000000b000700 \
        66696c7465720000080005000000000114000480080001000000000008000200fffffed4";

    #[test]
    fn says_what_nft_add_chain_says_in_its_words() {
        let hook = Hook { chain_type: "filter", point: HookPoint::Prerouting, priority: -300 };
        let chain = Chain { table: "zubi".into(), name: "guard".into(), hook };
        let nested: &[(&[u16], usize)] = &[(&[HOOK], 0)];
        let recorded = bytes(ADD);
        assert_eq!(lines(&ours(|b| chain.encode(b)), HEADER, nested), lines(&recorded, HEADER, nested));
        assert!(chain.is(&ChainSeen::parse(&message(&recorded)).unwrap()));
        let printed = "chain inet zubi guard { type filter hook prerouting priority -300; policy accept; }";
        assert_eq!(chain.to_string(), printed);
    }
}
