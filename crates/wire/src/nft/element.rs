//! Elements of sets (`NFTA_SET_ELEM_*`).

use super::{CREATE, Field, HEADER, NFTA_LIST_ELEM, ask, change, is};
use crate::message::{Attributes, Batch, Message, flag, text_of};
use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;
use zubi_model::IfName;

const NEWSETELEM: u16 = 12;
const GETSETELEM: u16 = 13;
const DELSETELEM: u16 = 14;
/// Like the deletion, but a missing element is no error (Linux 6.3).
const DESTROYSETELEM: u16 = 30;
const LIST_TABLE: u16 = 1;
const LIST_SET: u16 = 2;
const LIST_ELEMENTS: u16 = 3;
const KEY: u16 = 1;
const FLAGS: u16 = 3;
const KEY_END: u16 = 10;
const DATA_VALUE: u16 = 1;
const INTERVAL_END: u32 = 1;

/// One part of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A single address.
    Address(IpAddr),
    /// A prefix, in sets that hold intervals.
    Prefix(IpNet),
    /// A device.
    Device(IfName),
}

impl Value {
    fn first(&self) -> Vec<u8> {
        match self {
            Value::Address(a) => address_bytes(*a),
            Value::Prefix(net) => address_bytes(net.network()),
            Value::Device(name) => {
                let mut bytes = name.as_str().as_bytes().to_vec();
                bytes.resize(16, 0);
                bytes
            }
        }
    }

    fn last(&self) -> Vec<u8> {
        match self {
            Value::Prefix(net) => address_bytes(net.broadcast()),
            other => other.first(),
        }
    }
}

fn address_bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Address(a) => write!(f, "{a}"),
            Value::Prefix(net) => write!(f, "{net}"),
            // Quoted because a device may be called like a word of the nft language.
            Value::Device(name) => write!(f, "\"{name}\""),
        }
    }
}

/// An element of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// The set's table.
    pub table: String,
    /// The set.
    pub set: String,
    /// The parts of its key.
    pub key: Vec<Value>,
}

impl Element {
    /// Appends `nft create element`: one that is there already fails with EEXIST, and the whole batch with it.
    pub fn encode(&self, batch: &mut Batch) {
        self.message(batch, NEWSETELEM, CREATE | flag::EXCL);
    }

    /// Appends `nft destroy element`.
    pub fn encode_destroy(&self, batch: &mut Batch) {
        self.message(batch, DESTROYSETELEM, flag::REQUEST | flag::ACK);
    }

    /// Appends `nft delete element`, for kernels before 6.3.
    pub fn encode_delete(&self, batch: &mut Batch) {
        self.message(batch, DELSETELEM, flag::REQUEST | flag::ACK);
    }

    fn message(&self, batch: &mut Batch, kind: u16, flags: u16) {
        change(batch, kind, flags, |b| {
            b.text(LIST_TABLE, &self.table);
            b.text(LIST_SET, &self.set);
            b.nested(LIST_ELEMENTS, |b| {
                for seen in self.raw() {
                    b.nested(NFTA_LIST_ELEM, |b| {
                        if seen.interval_end {
                            b.be32(FLAGS, INTERVAL_END);
                        }
                        b.nested(KEY, |b| b.attr(DATA_VALUE, &seen.key));
                        if let Some(end) = &seen.end {
                            b.nested(KEY_END, |b| b.attr(DATA_VALUE, end));
                        }
                    });
                }
            });
        });
    }

    /// How the kernel holds it. A prefix alone is two elements: its first address, and the address behind its
    /// last with the interval-end flag. A prefix in a concatenation has a key and an end key.
    pub fn raw(&self) -> Vec<ElementSeen> {
        let has_prefix = self.key.iter().any(|v| matches!(v, Value::Prefix(_)));
        let first: Vec<u8> = self.key.iter().flat_map(Value::first).collect();
        let last: Vec<u8> = self.key.iter().flat_map(Value::last).collect();
        let exact = |key, end, interval_end| ElementSeen { key, end, interval_end };
        if !has_prefix {
            vec![exact(first, None, false)]
        } else if self.key.len() > 1 {
            vec![exact(first, Some(last), false)]
        } else {
            let mut all = vec![exact(first, None, false)];
            all.extend(one_more(last).map(|end| exact(end, None, true)));
            all
        }
    }
}

/// The number behind, or nothing behind the largest.
fn one_more(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    for byte in bytes.iter_mut().rev() {
        let (next, wrapped) = byte.overflowing_add(1);
        *byte = next;
        if !wrapped {
            return Some(bytes);
        }
    }
    None
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key: Vec<_> = self.key.iter().map(ToString::to_string).collect();
        write!(f, "element inet {} {} {{ {} }}", self.table, self.set, key.join(" . "))
    }
}

/// An element as the kernel holds it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ElementSeen {
    /// The key, or the start of an interval.
    pub key: Vec<u8>,
    /// The end of an interval, in concatenations.
    pub end: Option<Vec<u8>>,
    /// The interval that began before ends here.
    pub interval_end: bool,
}

impl ElementSeen {
    /// Reads the elements of an `NFT_MSG_NEWSETELEM`.
    pub fn parse_all(message: &Message<'_>) -> Vec<Self> {
        if !is(message, NEWSETELEM) {
            return Vec::new();
        }
        let list = message.attributes(HEADER).nested(LIST_ELEMENTS);
        list.into_iter().flatten().filter_map(|(_, item)| Self::parse(&Attributes::new(item))).collect()
    }

    fn parse(item: &Attributes<'_>) -> Option<Self> {
        let value = |kind| item.nested(kind).and_then(|v| v.get(DATA_VALUE)).map(<[u8]>::to_vec);
        Some(ElementSeen {
            key: value(KEY)?,
            end: value(KEY_END),
            interval_end: item.be32(FLAGS).is_some_and(|f| f & INTERVAL_END != 0),
        })
    }

    /// Appends a question for all elements of a set.
    pub fn dump(batch: &mut Batch, table: &str, set: &str) {
        ask(batch, GETSETELEM, flag::DUMP, |b| {
            b.text(LIST_TABLE, table);
            b.text(LIST_SET, set);
        });
    }

    /// The key in words, by the parts it has.
    pub fn describe(&self, fields: &[Field]) -> String {
        let mut at = 0;
        let parts: Vec<String> = fields
            .iter()
            .map(|field| {
                let len = field.len() as usize;
                let bytes = self.key.get(at..at + len).unwrap_or_default();
                at += len;
                match field {
                    Field::Ipv4 => {
                        <[u8; 4]>::try_from(bytes).map_or_else(|_| "?".into(), |b| IpAddr::from(b).to_string())
                    }
                    Field::Ipv6 => {
                        <[u8; 16]>::try_from(bytes).map_or_else(|_| "?".into(), |b| IpAddr::from(b).to_string())
                    }
                    Field::IfName => text_of(bytes),
                }
            })
            .collect();
        parts.join(" . ")
    }
}
