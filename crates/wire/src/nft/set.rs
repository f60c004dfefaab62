//! Sets, and maps: sets with data for each key (`NFTA_SET_*`).

use super::{CREATE, HEADER, NFTA_LIST_ELEM, Table, ask, change, family_of};
use crate::message::{Batch, Message, flag};
use serde::{Deserialize, Serialize};
use std::fmt;

const NEWSET: u16 = 9;
const GETSET: u16 = 10;
const TABLE: u16 = 1;
const NAME: u16 = 2;
const FLAGS: u16 = 3;
const KEY_TYPE: u16 = 4;
const KEY_LEN: u16 = 5;
const DATA_TYPE: u16 = 6;
const DATA_LEN: u16 = 7;
const DESC: u16 = 9;
const ID: u16 = 10;
const USERDATA: u16 = 13;
const DESC_CONCAT: u16 = 2;
const FIELD_LEN: u16 = 1;
const FLAG_INTERVAL: u32 = 0x04;
const FLAG_MAP: u32 = 0x08;
const FLAG_CONCAT: u32 = 0x80;
/// `NFTNL_UDATA_SET_KEYBYTEORDER` of libnftnl.
const UDATA_KEY_BYTE_ORDER: u8 = 0;
/// `NFTNL_UDATA_SET_DATABYTEORDER` of libnftnl.
const UDATA_DATA_BYTE_ORDER: u8 = 1;

/// The type of one part of a key or of a map's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// An IPv4 address, four bytes.
    Ipv4,
    /// An IPv6 address, sixteen bytes.
    Ipv6,
    /// A device name, sixteen bytes, padded with NUL.
    IfName,
    /// A transport protocol, one byte.
    Proto,
    /// A port, two bytes.
    Port,
    /// IPv4 or IPv6 (`NFPROTO_*`), one byte.
    NfProto,
}

impl Field {
    /// The length in bytes. In concatenations each field is padded to a multiple of four.
    #[expect(clippy::len_without_is_empty, reason = "a field is never empty")]
    pub fn len(self) -> u32 {
        match self {
            Field::Proto | Field::NfProto => 1,
            Field::Port => 2,
            Field::Ipv4 => 4,
            Field::Ipv6 | Field::IfName => 16,
        }
    }

    /// The number of the type in `nft` (`enum datatypes` in nftables/datatype.h); opaque to the kernel.
    fn type_id(self) -> u32 {
        match self {
            Field::NfProto => 2,
            Field::Ipv4 => 7,
            Field::Ipv6 => 8,
            Field::Proto => 12,
            Field::Port => 13,
            Field::IfName => 41,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Field::Ipv4 => "ipv4_addr",
            Field::Ipv6 => "ipv6_addr",
            Field::IfName => "ifname",
            Field::Proto => "inet_proto",
            Field::Port => "inet_service",
            Field::NfProto => "nf_proto",
        }
    }
}

/// How the kernel stores keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Single keys, in a hash table.
    Exact,
    /// Spans and prefixes.
    Interval,
}

/// The type of a key or of data: six bits for each field, the first field highest (TYPE_BITS in nftables/datatype.h).
fn type_of(fields: &[Field]) -> u32 {
    fields.iter().fold(0, |all, field| (all << 6) | field.type_id())
}

/// The length of a key or of data in bytes. In a concatenation a field takes whole words of four bytes.
fn len_of(fields: &[Field]) -> u32 {
    match fields {
        [field] => field.len(),
        all => all.iter().map(|f| f.len().next_multiple_of(4)).sum(),
    }
}

/// `enum byteorder` in nftables/datatype.h: none for a single byte, nor for concatenations, where each part has its
/// own.
fn byte_order(fields: &[Field]) -> u32 {
    match fields {
        [Field::IfName] => 1,
        [Field::Ipv4 | Field::Ipv6 | Field::Port] => 2,
        _ => 0,
    }
}

fn words(fields: &[Field]) -> String {
    let words: Vec<_> = fields.iter().map(|f| f.word()).collect();
    words.join(" . ")
}

/// A set or map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Its table.
    pub table: Table,
    /// Its name.
    pub name: String,
    /// The fields of a key.
    pub key: Vec<Field>,
    /// How the kernel stores keys.
    pub shape: Shape,
    /// The fields of a map's data; empty for a set.
    pub data: Vec<Field>,
}

impl Set {
    /// A set.
    pub fn new(table: &Table, name: &str, key: &[Field], shape: Shape) -> Self {
        Set { table: table.clone(), name: name.into(), key: key.to_vec(), shape, data: Vec::new() }
    }

    /// Makes it a map to `data`.
    #[must_use]
    pub fn mapped_to(mut self, data: &[Field]) -> Self {
        self.data = data.to_vec();
        self
    }

    /// Appends `nft add set` or `nft add map`. `id` distinguishes sets of one batch.
    pub fn encode(&self, batch: &mut Batch, id: u32) {
        change(batch, self.table.family, NEWSET, CREATE, |b| {
            b.text(TABLE, &self.table.name);
            b.text(NAME, &self.name);
            b.be32(FLAGS, self.flags());
            b.be32(KEY_TYPE, type_of(&self.key));
            b.be32(KEY_LEN, len_of(&self.key));
            if !self.data.is_empty() {
                b.be32(DATA_TYPE, type_of(&self.data));
                b.be32(DATA_LEN, len_of(&self.data));
            }
            b.be32(ID, id);
            if self.flags() & FLAG_CONCAT != 0 {
                b.nested(DESC, |b| {
                    b.nested(DESC_CONCAT, |b| {
                        for field in &self.key {
                            b.nested(NFTA_LIST_ELEM, |b| b.be32(FIELD_LEN, field.len()));
                        }
                    });
                });
            }
            // Opaque to the kernel. Without it `nft list` shows device names as empty.
            let mut data = vec![UDATA_KEY_BYTE_ORDER, 4];
            data.extend_from_slice(&byte_order(&self.key).to_ne_bytes());
            if !self.data.is_empty() {
                data.extend_from_slice(&[UDATA_DATA_BYTE_ORDER, 4]);
                data.extend_from_slice(&byte_order(&self.data).to_ne_bytes());
            }
            b.attr(USERDATA, &data);
        });
    }

    fn flags(&self) -> u32 {
        let interval = if self.shape == Shape::Interval { FLAG_INTERVAL } else { 0 };
        // `nft` sets the flag only if the kernel has to know the fields.
        let concat = if self.shape == Shape::Interval && self.key.len() > 1 { FLAG_CONCAT } else { 0 };
        let map = if self.data.is_empty() { 0 } else { FLAG_MAP };
        interval | concat | map
    }

    /// Whether the kernel's set is this one.
    pub fn is(&self, seen: &SetSeen) -> bool {
        seen.table == self.table
            && seen.name == self.name
            && seen.flags == self.flags()
            && seen.key_len == len_of(&self.key)
            && seen.data_len == len_of(&self.data)
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.data.is_empty() { "set" } else { "map" };
        write!(f, "{kind} {} {} {{ type {}", self.table.words(), self.name, words(&self.key))?;
        if !self.data.is_empty() {
            write!(f, " : {}", words(&self.data))?;
        }
        f.write_str(";")?;
        if self.shape == Shape::Interval {
            f.write_str(" flags interval;")?;
        }
        f.write_str(" }")
    }
}

/// A set or map as the kernel reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetSeen {
    /// Its table.
    pub table: Table,
    /// Its name.
    pub name: String,
    /// `NFT_SET_*`.
    pub flags: u32,
    /// In bytes.
    pub key_len: u32,
    /// In bytes; none for sets.
    pub data_len: u32,
}

impl SetSeen {
    /// Reads an `NFT_MSG_NEWSET`.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let family = family_of(message, NEWSET)?;
        let a = message.attributes(HEADER);
        Some(SetSeen {
            table: Table::new(family, a.text(TABLE)?),
            name: a.text(NAME)?,
            flags: a.be32(FLAGS).unwrap_or(0),
            key_len: a.be32(KEY_LEN).unwrap_or(0),
            data_len: a.be32(DATA_LEN).unwrap_or(0),
        })
    }

    /// Appends a query for all sets of a table.
    pub fn dump(batch: &mut Batch, table: &Table) {
        ask(batch, table.family, GETSET, flag::DUMP, |b| b.text(TABLE, &table.name));
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;
    use crate::golden::{bytes, lines, message, ours};
    use crate::nft::TableFamily;

    const HOME: &str = "\
        80000000090a0104000000000000000001000000090001007a756269000000000a000200686f6d653400000008000300 \
        000000840800040000000a47080005000000001408000a0000000001200009801c0002800c0001800800010000000010 \
        0c000180080001000000000414000d00000400000000030800040d0000000100";
    const PREFIXES: &str = "\
        5c000000090a0104000000000000000001000000090001007a75626900000000100002006d6173717565726164653400 \
        08000300000000040800040000000007080005000000000408000a00000000010a000d000004020000000000";
    const PAIRS: &str = "\
        5c000000090a0104000000000000000001000000090001007a7562690000000008000200696363000800030000000000 \
        0800040000000a69080005000000002008000a000000000114000d00000400000000030800040d0000000100";
    const DEVICES: &str = "\
        58000000090a0104000000000000000001000000090001007a756269000000000c000200627269646765730008000300 \
        000000000800040000000029080005000000001008000a00000000010a000d000004010000000000";
    const PUBLISH4: &str = "\
        8c000000090a0104000000000000000001000000090001007a756269000000000d0002007075626c6973683400000000 \
        0800030000000008080004000000030d080005000000000808000600000001cd080007000000000808000a0000000001 \
        2a000d00000400000000010400000000030800040d0000000100040800040d00000001000604000000000000";
    const PUBLISH6: &str = "\
        8c000000090a0104000000000000000001000000090001007a756269000000000d0002007075626c6973683600000000 \
        0800030000000008080004000000030d0800050000000008080006000000020d080007000000001408000a0000000001 \
        2a000d00000400000000010400000000030800040d0000000100040800040d00000001000604000000000000";
    const RANGE4: &str = "\
        9c000000090a0104000000000000000001000000090001007a756269000000000b00020072616e676534000008000300 \
        0000008c080004000000030d08000500000000080800060000000007080007000000000408000a000000000120000980 \
        1c0002800c00018008000100000000010c000180080001000000000220000d0000040000000001040200000003080004 \
        0d0000000100060400000000";
    const RANGE6: &str = "\
        9c000000090a0104000000000000000001000000090001007a756269000000000b00020072616e676536000008000300 \
        0000008c080004000000030d08000500000000080800060000000008080007000000001008000a000000000120000980 \
        1c0002800c00018008000100000000010c000180080001000000000220000d0000040000000001040200000003080004 \
        0d0000000100060400000000";
    const PORTS: &str = "\
        74000000090a0104000000000000000001000000090001007a756269000000000a000200706f72747300000008000300 \
        00000008080004000000000d0800050000000002080006000000000d080007000000000208000a000000000116000d00 \
        0004020000000104020000000604000000000000";
    const SPANS: &str = "\
        74000000090a0104000000000000000001000000090001007a756269000000000a0002007370616e7300000008000300 \
        0000000c080004000000000d08000500000000020800060000000007080007000000000408000a000000000116000d00 \
        0004020000000104020000000604000000000000";
    const PROTOS: &str = "\
        58000000090a0104000000000000000001000000090001007a756269000000000b00020070726f746f73000008000300 \
        00000000080004000000000c080005000000000108000a00000000010a000d000004000000000000";

    const CLOSED: &str = "\
        58000000090a0104010000000000000001000000090001007a756269000000000b000200636c6f736564000008000300 \
        000000000800040000000002080005000000000108000a00000000010a000d000004000000000000";

    const BRIDGED: &str = "\
        64000000090a0104000000000000000007000000090001007a756269000000000f000200656e64706f696e7473340000 \
        08000300000000000800040000000a47080005000000001408000a000000000114000d00000400000000030800040d00 \
        00000100";

    const NESTED: &[(&[u16], usize)] = &[(&[DESC], 0), (&[DESC, DESC_CONCAT], 0), (&[DESC, DESC_CONCAT, 1], 0)];

    fn cases() -> Vec<(Set, &'static str, &'static str)> {
        use Field::{Port, Proto};
        let set =
            |name: &str, key: &[Field], shape| Set::new(&Table::named(TableFamily::Inet, "zubi"), name, key, shape);
        vec![
            (
                Set::new(
                    &Table::named(TableFamily::Bridge, "zubi"),
                    "endpoints4",
                    &[Field::IfName, Field::Ipv4],
                    Shape::Exact,
                ),
                BRIDGED,
                "set bridge zubi endpoints4 { type ifname . ipv4_addr; }",
            ),
            (
                set("home4", &[Field::IfName, Field::Ipv4], Shape::Interval),
                HOME,
                "set inet zubi home4 { type ifname . ipv4_addr; flags interval; }",
            ),
            (
                set("masquerade4", &[Field::Ipv4], Shape::Interval),
                PREFIXES,
                "set inet zubi masquerade4 { type ipv4_addr; flags interval; }",
            ),
            (
                set("icc", &[Field::IfName, Field::IfName], Shape::Exact),
                PAIRS,
                "set inet zubi icc { type ifname . ifname; }",
            ),
            (set("bridges", &[Field::IfName], Shape::Exact), DEVICES, "set inet zubi bridges { type ifname; }"),
            (set("protos", &[Proto], Shape::Exact), PROTOS, "set inet zubi protos { type inet_proto; }"),
            (set("closed", &[Field::NfProto], Shape::Exact), CLOSED, "set inet zubi closed { type nf_proto; }"),
            (
                set("publish4", &[Proto, Port], Shape::Exact).mapped_to(&[Field::Ipv4, Port]),
                PUBLISH4,
                "map inet zubi publish4 { type inet_proto . inet_service : ipv4_addr . inet_service; }",
            ),
            (
                set("publish6", &[Proto, Port], Shape::Exact).mapped_to(&[Field::Ipv6, Port]),
                PUBLISH6,
                "map inet zubi publish6 { type inet_proto . inet_service : ipv6_addr . inet_service; }",
            ),
            (
                set("range4", &[Proto, Port], Shape::Interval).mapped_to(&[Field::Ipv4]),
                RANGE4,
                "map inet zubi range4 { type inet_proto . inet_service : ipv4_addr; flags interval; }",
            ),
            (
                set("range6", &[Proto, Port], Shape::Interval).mapped_to(&[Field::Ipv6]),
                RANGE6,
                "map inet zubi range6 { type inet_proto . inet_service : ipv6_addr; flags interval; }",
            ),
            (
                set("ports", &[Port], Shape::Exact).mapped_to(&[Port]),
                PORTS,
                "map inet zubi ports { type inet_service : inet_service; }",
            ),
            (
                set("spans", &[Port], Shape::Interval).mapped_to(&[Field::Ipv4]),
                SPANS,
                "map inet zubi spans { type inet_service : ipv4_addr; flags interval; }",
            ),
        ]
    }

    /// Compares without the user data: `nft` writes more into it than zubi does.
    fn compared(message: &[u8]) -> Vec<String> {
        let mut all = lines(message, HEADER, NESTED);
        all.retain(|line| !line.starts_with(&format!("[{USERDATA}]")));
        all
    }

    #[test]
    fn says_what_nft_add_set_and_map_say_in_their_words() {
        for (set, recorded, printed) in cases() {
            let (said, recorded) = (ours(|b| set.encode(b, 1)), bytes(recorded));
            assert_eq!(compared(&said), compared(&recorded));
            assert!(set.is(&SetSeen::parse(&message(&recorded)).unwrap()));
            assert_eq!(set.to_string(), printed);
        }
    }

    #[test]
    fn notes_the_byte_order_as_nft_does() {
        for (set, recorded, _) in cases() {
            let (said, recorded) = (ours(|b| set.encode(b, 1)), bytes(recorded));
            let note = |bytes| message(bytes).attributes(HEADER).get(USERDATA).unwrap().to_vec();
            assert!(note(&recorded).starts_with(&note(&said)), "{set}");
        }
    }
}
