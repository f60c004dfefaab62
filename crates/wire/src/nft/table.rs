//! Tables (`NFTA_TABLE_*`).

use super::{CREATE, HEADER, TableFamily, ask, ask_all, change, family_of};
use crate::message::{Batch, Message, flag};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

const NEWTABLE: u16 = 0;
const GETTABLE: u16 = 1;
const DELTABLE: u16 = 2;
const NAME: u16 = 1;
const FLAGS: u16 = 2;
const USE: u16 = 3;
const OWNER: u16 = 7;
const DORMANT: u32 = 1;

/// A table: its family and its name distinguish it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Table {
    /// Its family.
    pub family: TableFamily,
    /// Its name.
    pub name: Cow<'static, str>,
}

impl Table {
    /// A table of zubi's own.
    pub const fn named(family: TableFamily, name: &'static str) -> Self {
        Table { family, name: Cow::Borrowed(name) }
    }

    /// Any table.
    pub fn new(family: TableFamily, name: impl Into<String>) -> Self {
        Table { family, name: Cow::Owned(name.into()) }
    }

    /// Appends `nft create table`. If the table exists, it fails with EEXIST, and so does the whole batch.
    pub fn encode(&self, batch: &mut Batch) {
        change(batch, self.family, NEWTABLE, CREATE | flag::EXCL, |b| b.text(NAME, &self.name));
    }

    /// Appends the deletion of the table and everything in it.
    pub fn encode_delete(&self, batch: &mut Batch) {
        change(batch, self.family, DELTABLE, flag::REQUEST | flag::ACK, |b| b.text(NAME, &self.name));
    }

    /// Appends a query for this table.
    pub fn encode_get(&self, batch: &mut Batch) {
        ask(batch, self.family, GETTABLE, flag::ACK, |b| b.text(NAME, &self.name));
    }

    /// The table in nft words, without the word "table".
    pub(super) fn words(&self) -> impl fmt::Display {
        Words(self)
    }
}

struct Words<'a>(&'a Table);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.family, self.0.name)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {}", self.words())
    }
}

/// A table as the kernel reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSeen {
    /// The table.
    pub table: Table,
    /// The number of its chains, sets and maps.
    pub objects: u32,
    /// The netlink port of the program that owns it (`NFT_TABLE_F_OWNER`): no other may change it.
    pub owner: Option<u32>,
    /// Whether it is switched off: none of its chains sees a packet (`NFT_TABLE_F_DORMANT`).
    pub dormant: bool,
}

impl TableSeen {
    /// Reads an `NFT_MSG_NEWTABLE`.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let family = family_of(message, NEWTABLE)?;
        let a = message.attributes(HEADER);
        Some(TableSeen {
            table: Table::new(family, a.text(NAME)?),
            objects: a.be32(USE).unwrap_or(0),
            owner: a.be32(OWNER),
            dormant: a.be32(FLAGS).is_some_and(|f| f & DORMANT != 0),
        })
    }

    /// Appends a query for all tables of every family.
    pub fn dump_all(batch: &mut Batch) {
        ask_all(batch, GETTABLE);
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;
    use crate::golden::{bytes, lines, message, ours};

    const INET: &str = "\
        28000000000a0102000000000000000001000000090001007a756269000000000800020000000000";
    const BRIDGE: &str = "\
        28000000000a0102000000000000000007000000090001007a756269000000000800020000000000";

    /// `nft` also sends empty flags, and omits `NLM_F_CREATE`, which the kernel does not need here.
    fn compared(bytes: &[u8]) -> Vec<String> {
        let mut all = lines(bytes, HEADER, &[]);
        all[0] = format!("header {:02x?}", &message(bytes).payload[..HEADER]);
        all.retain(|line| !line.starts_with(&format!("[{FLAGS}]")));
        all
    }

    #[test]
    fn says_what_nft_create_table_says_in_its_words() {
        for (family, recorded) in [(TableFamily::Inet, bytes(INET)), (TableFamily::Bridge, bytes(BRIDGE))] {
            let table = Table::named(family, "zubi");
            assert_eq!(compared(&ours(|b| table.encode(b))), compared(&recorded));
            assert_eq!(TableSeen::parse(&message(&recorded)).unwrap().table, table);
            assert_eq!(table.to_string(), format!("table {family} zubi"));
        }
    }
}
