//! Tables (`NFTA_TABLE_*`).

use super::{CREATE, HEADER, NftFamily, ask, ask_all, change, family_of};
use crate::message::{Batch, Message, flag};
use serde::{Deserialize, Serialize};
use std::fmt;

const NEWTABLE: u16 = 0;
const GETTABLE: u16 = 1;
const DELTABLE: u16 = 2;
const NAME: u16 = 1;
const FLAGS: u16 = 2;
const USE: u16 = 3;
const OWNER: u16 = 7;
const DORMANT: u32 = 1;

/// A table of the `inet` family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
}

impl Table {
    /// Appends `nft create table`: fails with EEXIST when it is there, and the whole batch with it.
    pub fn encode(&self, batch: &mut Batch) {
        change(batch, NEWTABLE, CREATE | flag::EXCL, |b| b.text(NAME, &self.name));
    }

    /// Appends the deletion of the table and everything in it.
    pub fn encode_delete(&self, batch: &mut Batch) {
        change(batch, DELTABLE, flag::REQUEST | flag::ACK, |b| b.text(NAME, &self.name));
    }

    /// Appends a question for this table.
    pub fn encode_get(&self, batch: &mut Batch) {
        ask(batch, GETTABLE, flag::ACK, |b| b.text(NAME, &self.name));
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table inet {}", self.name)
    }
}

/// A table as the kernel reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSeen {
    /// Which packets it sees.
    pub family: NftFamily,
    /// Its name.
    pub name: String,
    /// How many chains, sets and maps it has.
    pub objects: u32,
    /// The netlink port of the program that owns it (`NFT_TABLE_F_OWNER`): nobody else may change it.
    pub owner: Option<u32>,
    /// Switched off: its chains hang nowhere (`NFT_TABLE_F_DORMANT`).
    pub dormant: bool,
}

impl TableSeen {
    /// Reads an `NFT_MSG_NEWTABLE`.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let family = family_of(message, NEWTABLE)?;
        let a = message.attributes(HEADER);
        Some(TableSeen {
            family,
            name: a.text(NAME)?,
            objects: a.be32(USE).unwrap_or(0),
            owner: a.be32(OWNER),
            dormant: a.be32(FLAGS).is_some_and(|f| f & DORMANT != 0),
        })
    }

    /// Appends a question for all tables of every family.
    pub fn dump_all(batch: &mut Batch) {
        ask_all(batch, GETTABLE);
    }
}
