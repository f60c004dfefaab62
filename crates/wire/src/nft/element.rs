//! Elements of sets and maps (`NFTA_SET_ELEM_*`).

use super::value::{joined, parted};
use super::{CREATE, Field, HEADER, NFTA_LIST_ELEM, Set, Shape, Table, Value, ask, change, family_of};
use crate::message::{Attributes, Batch, Message, flag, text_of};
use serde::{Deserialize, Serialize};
use std::fmt;

const NEWSETELEM: u16 = 12;
const GETSETELEM: u16 = 13;
const DELSETELEM: u16 = 14;
/// Deletes an element without an error if it is missing (Linux 6.3).
const DESTROYSETELEM: u16 = 30;
const LIST_TABLE: u16 = 1;
const LIST_SET: u16 = 2;
const LIST_ELEMENTS: u16 = 3;
const KEY: u16 = 1;
const DATA: u16 = 2;
const FLAGS: u16 = 3;
const KEY_END: u16 = 10;
const DATA_VALUE: u16 = 1;
const INTERVAL_END: u32 = 1;

/// An element of a set or map.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Element {
    /// The table of its set.
    pub table: Table,
    /// The set or map.
    pub set: String,
    /// The values of its key.
    pub key: Vec<Value>,
    /// The data of a map, single values only; empty for a set.
    pub data: Vec<Value>,
}

impl Element {
    /// An element of a set.
    pub fn new(table: &Table, set: &str, key: Vec<Value>) -> Self {
        Element { table: table.clone(), set: set.into(), key, data: Vec::new() }
    }

    /// Makes it an element of a map.
    #[must_use]
    pub fn mapped_to(mut self, data: Vec<Value>) -> Self {
        self.data = data;
        self
    }

    /// Appends `nft create element`. If the element exists, it fails with EEXIST, and so does the whole batch. A map
    /// with other data for the key fails in the same way: only reading the element distinguishes the two.
    pub fn encode(&self, batch: &mut Batch) {
        self.message(batch, NEWSETELEM, CREATE | flag::EXCL, &self.raw());
    }

    /// Appends `nft destroy element`. The kernel compares only the key, not the data of a map. The answer contains the
    /// element that was deleted.
    pub fn encode_destroy(&self, batch: &mut Batch) {
        self.message(batch, DESTROYSETELEM, flag::REQUEST | flag::ACK | flag::ECHO, &self.keys());
    }

    /// Appends `nft delete element`, for kernels before 6.3.
    pub fn encode_delete(&self, batch: &mut Batch) {
        self.message(batch, DELSETELEM, flag::REQUEST | flag::ACK, &self.keys());
    }

    /// Appends a query for this element by its key (`nft get element`). ENOENT if it does not exist.
    pub fn encode_get(&self, batch: &mut Batch) {
        self.message(batch, GETSETELEM, flag::REQUEST | flag::ACK, &self.keys());
    }

    fn message(&self, batch: &mut Batch, kind: u16, flags: u16, elements: &[ElementSeen]) {
        change(batch, self.table.family, kind, flags, |b| {
            b.text(LIST_TABLE, &self.table.name);
            b.text(LIST_SET, &self.set);
            b.nested(LIST_ELEMENTS, |b| {
                for seen in elements {
                    b.nested(NFTA_LIST_ELEM, |b| {
                        if seen.interval_end {
                            b.be32(FLAGS, INTERVAL_END);
                        }
                        b.nested(KEY, |b| b.attr(DATA_VALUE, &seen.key));
                        if let Some(data) = &seen.data {
                            b.nested(DATA, |b| b.attr(DATA_VALUE, data));
                        }
                        if let Some(end) = &seen.end {
                            b.nested(KEY_END, |b| b.attr(DATA_VALUE, end));
                        }
                    });
                }
            });
        });
    }

    /// The element as the kernel stores it. A span as the only part is two elements: its first value, and the value
    /// after its last with the interval-end flag and no data. A span in a concatenation has a key and an end key.
    pub fn raw(&self) -> Vec<ElementSeen> {
        let mut all = self.keys();
        if !self.data.is_empty() {
            all[0].data = Some(joined(&self.data, Value::first));
        }
        all
    }

    /// The keys that it is stored under, at least one. The first one starts the interval.
    fn keys(&self) -> Vec<ElementSeen> {
        let has_span = self.key.iter().any(Value::is_span);
        let first = joined(&self.key, Value::first);
        let last = joined(&self.key, Value::last);
        let exact = |key, end, interval_end| ElementSeen { key, end, interval_end, data: None };
        if !has_span {
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

/// The next number; `None` after the largest.
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
        let words = |values: &[Value]| values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" . ");
        write!(f, "element {} {} {{ {}", self.table.words(), self.set, words(&self.key))?;
        if !self.data.is_empty() {
            write!(f, " : {}", words(&self.data))?;
        }
        f.write_str(" }")
    }
}

/// An element as the kernel stores it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ElementSeen {
    /// The key, or the start of an interval.
    pub key: Vec<u8>,
    /// The end of an interval, in concatenations.
    pub end: Option<Vec<u8>>,
    /// Whether the interval of the element before ends here.
    pub interval_end: bool,
    /// The data of a map.
    pub data: Option<Vec<u8>>,
}

impl ElementSeen {
    /// Reads what the kernel tells about deleted elements: the table, the set, the elements.
    pub fn parse_deleted(message: &Message<'_>) -> Option<(String, String, Vec<Self>)> {
        family_of(message, DELSETELEM)?;
        let a = message.attributes(HEADER);
        let list = a.nested(LIST_ELEMENTS).into_iter().flatten();
        let all = list.filter_map(|(_, item)| Self::parse(&Attributes::new(item))).collect();
        Some((a.text(LIST_TABLE)?, a.text(LIST_SET)?, all))
    }

    /// Reads the elements of an `NFT_MSG_NEWSETELEM`.
    pub fn parse_all(message: &Message<'_>) -> Vec<Self> {
        if family_of(message, NEWSETELEM).is_none() {
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
            data: value(DATA),
        })
    }

    /// Appends a query for all elements of a set.
    pub fn dump(batch: &mut Batch, table: &Table, set: &str) {
        ask(batch, table.family, GETSETELEM, flag::DUMP, |b| {
            b.text(LIST_TABLE, &table.name);
            b.text(LIST_SET, set);
        });
    }

    /// Decodes it as an element of `set`. `None` if a part is invalid, or if it is half of an interval.
    pub fn element(&self, set: &Set) -> Option<Element> {
        let lasts = self.end.as_deref().map(|end| parted(&set.key, end));
        let key = parted(&set.key, &self.key).into_iter().enumerate().zip(&set.key);
        let key = key.map(|((at, first), field)| Value::read(*field, first, lasts.as_ref().map(|all| all[at])));
        let data = parted(&set.data, self.data.as_deref().unwrap_or_default()).into_iter().zip(&set.data);
        let data = data.map(|(bytes, field)| Value::read(*field, bytes, None));
        let whole = set.shape == Shape::Exact || self.end.is_some();
        whole.then_some(Element {
            table: set.table.clone(),
            set: set.name.clone(),
            key: key.collect::<Option<_>>()?,
            data: data.collect::<Option<_>>()?,
        })
    }

    /// Key and data in words, by the fields of `set`. A question mark stands for an invalid part.
    pub fn describe(&self, set: &Set) -> String {
        let lasts = self.end.as_deref().map(|end| parted(&set.key, end));
        let key = parted(&set.key, &self.key).into_iter().enumerate().zip(&set.key);
        let key: Vec<_> =
            key.map(|((at, first), field)| described(*field, first, lasts.as_ref().map(|all| all[at]))).collect();
        let Some(data) = &self.data else { return key.join(" . ") };
        let data = parted(&set.data, data).into_iter().zip(&set.data);
        let data: Vec<_> = data.map(|(bytes, field)| described(*field, bytes, None)).collect();
        format!("{} : {}", key.join(" . "), data.join(" . "))
    }
}

/// For people: without the quotes that only `nft` needs, and also with device names that an `IfName` refuses.
fn described(field: Field, first: &[u8], last: Option<&[u8]>) -> String {
    match field {
        Field::IfName => text_of(first),
        _ => Value::read(field, first, last).map_or_else(|| "?".into(), |value| value.to_string()),
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;
    use crate::golden::{bytes, message, ours};
    use crate::nft::{PortNumber, PortRange, Protocol, TableFamily};
    use zubi_model::Family;

    const ZUBI: Table = Table::named(TableFamily::Inet, "zubi");

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
    const PUBLISH4: &str = "\
        600000000c0a0104000000000000000001000000090001007a756269000000000d0002007075626c6973683400000000 \
        08000400000000012800038024000180100001800c000100060000001f900000100002800c0001000a37420200500000";
    const PUBLISH6: &str = "\
        6c0000000c0a0104000000000000000001000000090001007a756269000000000d0002007075626c6973683600000000 \
        08000400000000023400038030000180100001800c00010011000000003500001c00028018000100fd00000000000000 \
        000000000000000214e90000";
    const RANGE4: &str = "\
        680000000c0a0104000000000000000001000000090001007a756269000000000b00020072616e676534000008000400 \
        000000033400038030000180100001800c000100060000002328000010000a800c0001000600000023ef00000c000280 \
        080001000a010002";
    const RANGE6: &str = "\
        740000000c0a0104000000000000000001000000090001007a756269000000000b00020072616e676536000008000400 \
        00000004400003803c000180100001800c000100840000002328000010000a800c0001008400000023ef000018000280 \
        14000100fd000000000000000000000000000002";
    const PORTS: &str = "\
        540000000c0a0104000000000000000001000000090001007a756269000000000a000200706f72747300000008000400 \
        00000005200003801c0001800c00018006000100003500000c0002800600010014e90000";
    const SPANS: &str = "\
        840000000c0a0104000000000000000001000000090001007a756269000000000a0002007370616e7300000008000400 \
        00000006500003801800018008000300000000010c00018006000100000000001c0002800c0001800600010023280000 \
        0c000280080001000a0100021800038008000300000000010c0001800600010023f00000";
    const CLOSED: &str = "\
        480000000c0a0104010000000000000001000000090001007a756269000000000b000200636c6f736564000008000400 \
        0000000114000380100001800c000180050001000a000000";

    const BRIDGED: &str = "\
        5c0000000c0a0104000000000000000007000000090001007a756269000000000f000200656e64706f696e7473340000 \
        080004000000000124000380200001801c000180180001007a7631000000000000000000000000000a374202";

    fn element(set: &str, key: Vec<Value>) -> Element {
        Element::new(&ZUBI, set, key)
    }

    fn blue() -> Value {
        Value::Device("zb-blue".parse().unwrap())
    }

    fn prefix(net: &str) -> Value {
        Value::Prefix(net.parse().unwrap())
    }

    fn port(number: u16) -> Value {
        Value::Port(PortNumber(number))
    }

    fn ports() -> Value {
        Value::Ports(PortRange::new(PortNumber(9000), PortNumber(9199)).unwrap())
    }

    fn address(a: &str) -> Value {
        Value::Address(a.parse().unwrap())
    }

    fn publish4() -> Element {
        element("publish4", vec![Value::Protocol(Protocol::Tcp), port(8080)])
            .mapped_to(vec![address("10.55.66.2"), port(80)])
    }

    fn range4() -> Element {
        element("range4", vec![Value::Protocol(Protocol::Tcp), ports()]).mapped_to(vec![address("10.1.0.2")])
    }

    fn publish_map() -> Set {
        Set::new(&ZUBI, "publish4", &[Field::Proto, Field::Port], Shape::Exact).mapped_to(&[Field::Ipv4, Field::Port])
    }

    fn range_map() -> Set {
        Set::new(&ZUBI, "range4", &[Field::Proto, Field::Port], Shape::Interval).mapped_to(&[Field::Ipv4])
    }

    fn cases() -> Vec<(Element, &'static str, &'static str)> {
        vec![
            (
                Element::new(
                    &Table::named(TableFamily::Bridge, "zubi"),
                    "endpoints4",
                    vec![Value::Device("zv1".parse().unwrap()), address("10.55.66.2")],
                ),
                BRIDGED,
                "element bridge zubi endpoints4 { \"zv1\" . 10.55.66.2 }",
            ),
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
            (element("closed", vec![Value::Family(Family::V6)]), CLOSED, "element inet zubi closed { ipv6 }"),
            (publish4(), PUBLISH4, "element inet zubi publish4 { tcp . 8080 : 10.55.66.2 . 80 }"),
            (
                element("publish6", vec![Value::Protocol(Protocol::Udp), port(53)])
                    .mapped_to(vec![address("fd00::2"), port(5353)]),
                PUBLISH6,
                "element inet zubi publish6 { udp . 53 : fd00::2 . 5353 }",
            ),
            (range4(), RANGE4, "element inet zubi range4 { tcp . 9000-9199 : 10.1.0.2 }"),
            (
                element("range6", vec![Value::Protocol(Protocol::Sctp), ports()]).mapped_to(vec![address("fd00::2")]),
                RANGE6,
                "element inet zubi range6 { sctp . 9000-9199 : fd00::2 }",
            ),
            (
                element("ports", vec![port(53)]).mapped_to(vec![port(5353)]),
                PORTS,
                "element inet zubi ports { 53 : 5353 }",
            ),
            (
                element("spans", vec![ports()]).mapped_to(vec![address("10.1.0.2")]),
                SPANS,
                "element inet zubi spans { 9000-9199 : 10.1.0.2 }",
            ),
        ]
    }

    #[test]
    fn says_what_nft_add_element_says_in_its_words() {
        for (element, recorded, printed) in cases() {
            let (said, recorded) = (ours(|b| element.encode(b)), bytes(recorded));
            let sorted = |bytes: &[u8]| {
                let mut all = ElementSeen::parse_all(&message(bytes));
                // `nft` also sends an interval end at the smallest address, which has no effect.
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
    fn a_span_that_reaches_the_largest_value_has_no_end() {
        assert_eq!(element("s", vec![prefix("255.255.255.0/24")]).raw().len(), 1);
        assert_eq!(element("s", vec![prefix("ffff::/16")]).raw().len(), 1);
        let last_port = Value::Ports(PortNumber(65535).into());
        assert_eq!(element("s", vec![last_port]).raw().len(), 1);
        assert_eq!(element("s", vec![prefix("255.255.254.0/24")]).raw()[1].key, [255, 255, 255, 0]);
    }

    #[test]
    fn a_key_is_described_by_its_parts() {
        let seen = element("home4", vec![blue(), prefix("10.1.0.0/24")]).raw();
        let set = |key| Set::new(&ZUBI, "home4", key, Shape::Interval);
        assert_eq!(seen[0].describe(&set(&[Field::IfName, Field::Ipv4])), "zb-blue . 10.1.0.0/24");
        assert_eq!(seen[0].describe(&set(&[Field::IfName, Field::Ipv6])), "zb-blue . ?");
        assert_eq!(publish4().raw()[0].describe(&publish_map()), "tcp . 8080 : 10.55.66.2 . 80");
        assert_eq!(range4().raw()[0].describe(&range_map()), "tcp . 9000-9199 : 10.1.0.2");
    }

    #[test]
    fn what_the_kernel_holds_is_read_as_the_element_it_was() {
        for (map, element) in [(publish_map(), publish4()), (range_map(), range4())] {
            assert_eq!(element.raw()[0].element(&map), Some(element));
        }
        assert_eq!(publish4().raw()[0].element(&publish_map().mapped_to(&[Field::Ipv6, Field::Port])), None);
        let half = element("spans", vec![ports()]).raw();
        assert_eq!(half[0].element(&Set::new(&ZUBI, "spans", &[Field::Port], Shape::Interval)), None);
    }

    #[test]
    fn an_element_of_a_map_is_deleted_by_its_key() {
        let said = ours(|b| publish4().encode_delete(b));
        let list = message(&said).attributes(HEADER).nested(LIST_ELEMENTS).unwrap();
        let kinds: Vec<u16> = list.nested(NFTA_LIST_ELEM).unwrap().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, [KEY]);
    }
}
