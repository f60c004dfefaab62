//! nftables netlink (linux/netfilter/nf_tables.h): tables, chains, sets, maps, elements, rules.
//!
//! Everything names its [`Table`], and the table its family.
//!
//! Numbers are in network byte order here, unlike in route netlink. Changes are sent in a batch, which the kernel
//! applies completely or not at all.

mod chain;
mod element;
mod ending;
mod expr;
mod family;
mod generation;
mod guest;
mod rule;
mod set;
mod table;
mod transaction;
mod value;
mod words;

pub use chain::{Chain, ChainSeen, Hook, HookPoint};
pub use element::{Element, ElementSeen};
pub use ending::Ending;
pub use expr::{CmpOp, Expr, LoadKey, Reg, Verdict};
pub use family::TableFamily;
pub use generation::Generation;
pub use guest::{Direction, GuestRule};
pub use rule::{Rule, RuleAt, RuleSeen};
pub use set::{Field, Set, SetSeen, Shape};
pub use table::{Table, TableSeen};
pub use transaction::{begin, begin_at, end};
pub use value::Value;

pub use zubi_model::{PortNumber, PortRange, Protocol};

use crate::message::{Batch, Body, Message, flag};

const SUBSYSTEM: u16 = 10 << 8;
const NFPROTO_UNSPEC: u8 = 0;
const NFTA_LIST_ELEM: u16 = 1;
/// `struct nfgenmsg`.
const HEADER: usize = 4;

const CREATE: u16 = flag::REQUEST | flag::ACK | flag::CREATE;

fn generic(family: u8, resource: u16) -> [u8; HEADER] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

/// Appends a message about tables of a family.
fn message(batch: &mut Batch, family: u8, kind: u16, flags: u16, fill: impl FnOnce(&mut Body<'_>)) {
    batch.message(SUBSYSTEM | kind, flags, |b| {
        b.header(&generic(family, 0));
        fill(b);
    });
}

/// Appends a change.
fn change(batch: &mut Batch, family: TableFamily, kind: u16, flags: u16, fill: impl FnOnce(&mut Body<'_>)) {
    message(batch, family.number(), kind, flags, fill);
}

/// Appends a query.
fn ask(batch: &mut Batch, family: TableFamily, kind: u16, flags: u16, fill: impl FnOnce(&mut Body<'_>)) {
    message(batch, family.number(), kind, flag::REQUEST | flags, fill);
}

/// Appends a query for all objects of every family.
fn ask_all(batch: &mut Batch, kind: u16) {
    message(batch, NFPROTO_UNSPEC, kind, flag::REQUEST | flag::DUMP, |_| ());
}

/// The family of an nftables message, if it is of this kind.
fn family_of(message: &Message<'_>, kind: u16) -> Option<TableFamily> {
    let number = message.payload.first().filter(|_| message.kind == SUBSYSTEM | kind)?;
    TableFamily::from_number(*number)
}
