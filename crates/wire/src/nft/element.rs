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
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

    /// The element that has this key in a set of single keys; `None` when a part is no value of its kind.
    pub fn element(&self, set: &super::Set) -> Option<Element> {
        let mut at = 0;
        let key: Option<Vec<Value>> = set
            .key
            .iter()
            .map(|field| {
                let bytes = self.key.get(at..at + field.len() as usize)?;
                at += field.len() as usize;
                match field {
                    Field::Ipv4 => <[u8; 4]>::try_from(bytes).ok().map(|b| Value::Address(IpAddr::from(b))),
                    Field::Ipv6 => <[u8; 16]>::try_from(bytes).ok().map(|b| Value::Address(IpAddr::from(b))),
                    Field::IfName => text_of(bytes).parse().ok().map(Value::Device),
                }
            })
            .collect();
        Some(Element { table: set.table.clone(), set: set.name.clone(), key: key? })
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

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;
    use crate::golden::{bytes, message, ours};

    const HOME: &str = "\
        740000000c0a0104000000000000000001000000090001007a756269000000000a000200686f6d653400000008000400 \
        00000001400003803c0001801c000180180001007a622d626c75650000000000000000000a0100001c000a8018000100 \
        7a622d626c75650000000000000000000a0100ff";
    const PREFIX: &str = "\
        7c0000000c0a0104000000000000000001000000090001007a75626900000000100002006d6173717565726164653400 \
        0800040000000002440003801800018008000300000000010c0001800800010000000000100002800c00018008000100 \
        0a0100001800038008000300000000010c000180080001000a010100";
    const PAIR: &str = "\
        600000000c0a0106000000000000000001000000090001007a7562690000000008000200696363000800040000000003 \
        300003802c00018028000180240001007a622d626c75650000000000000000007a622d626c7565000000000000000000";

    fn element(set: &str, key: Vec<Value>) -> Element {
        Element { table: "zubi".into(), set: set.into(), key }
    }

    fn blue() -> Value {
        Value::Device("zb-blue".parse().unwrap())
    }

    fn prefix(net: &str) -> Value {
        Value::Prefix(net.parse().unwrap())
    }

    fn cases() -> [(Element, &'static str, &'static str); 3] {
        [
            (
                element("home4", vec![blue(), prefix("10.1.0.0/24")]),
                HOME,
                "element inet zubi home4 { \"zb-blue\" . 10.1.0.0/24 }",
            ),
            (
                element("masquerade4", vec![prefix("10.1.0.0/24")]),
                PREFIX,
                "element inet zubi masquerade4 { 10.1.0.0/24 }",
            ),
            (element("icc", vec![blue(), blue()]), PAIR, "element inet zubi icc { \"zb-blue\" . \"zb-blue\" }"),
        ]
    }

    #[test]
    fn says_what_nft_add_element_says_in_its_words() {
        for (element, recorded, printed) in cases() {
            let (said, recorded) = (ours(|b| element.encode(b)), bytes(recorded));
            let sorted = |bytes: &[u8]| {
                let mut all = ElementSeen::parse_all(&message(bytes));
                // `nft` also sends the end of nothing at the smallest address, which changes no meaning.
                all.retain(|e| !(e.interval_end && e.key.iter().all(|b| *b == 0)));
                all.sort();
                all
            };
            assert_eq!(sorted(&said), sorted(&recorded));
            let place = |bytes| {
                let a = message(bytes).attributes(HEADER);
                (a.text(LIST_TABLE), a.text(LIST_SET))
            };
            assert_eq!(place(&said), place(&recorded));
            assert_eq!(element.to_string(), printed);
        }
    }

    #[test]
    fn a_prefix_that_reaches_the_largest_address_has_no_end() {
        assert_eq!(element("s", vec![prefix("255.255.255.0/24")]).raw().len(), 1);
        assert_eq!(element("s", vec![prefix("ffff::/16")]).raw().len(), 1);
        assert_eq!(element("s", vec![prefix("255.255.254.0/24")]).raw()[1].key, [255, 255, 255, 0]);
    }

    #[test]
    fn a_key_is_described_by_its_parts() {
        let seen = element("home4", vec![blue(), prefix("10.1.0.0/24")]).raw();
        assert_eq!(seen[0].describe(&[Field::IfName, Field::Ipv4]), "zb-blue . 10.1.0.0");
        assert_eq!(seen[0].describe(&[Field::IfName, Field::Ipv6]), "zb-blue . ?");
    }
}
