//! Sets (`NFTA_SET_*`).

use super::{CREATE, HEADER, NFTA_LIST_ELEM, ask, change, is};
use crate::message::{Batch, Message, flag};
use std::fmt;

const NEWSET: u16 = 9;
const GETSET: u16 = 10;
const TABLE: u16 = 1;
const NAME: u16 = 2;
const FLAGS: u16 = 3;
const KEY_TYPE: u16 = 4;
const KEY_LEN: u16 = 5;
const DESC: u16 = 9;
const ID: u16 = 10;
const USERDATA: u16 = 13;
const DESC_CONCAT: u16 = 2;
const FIELD_LEN: u16 = 1;
const FLAG_INTERVAL: u32 = 0x04;
const FLAG_CONCAT: u32 = 0x80;
/// `NFTNL_UDATA_SET_KEYBYTEORDER` of libnftnl.
const UDATA_KEY_BYTE_ORDER: u8 = 0;

/// One part of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Four bytes.
    Ipv4,
    /// Sixteen bytes.
    Ipv6,
    /// Sixteen bytes, filled up with NUL.
    IfName,
}

impl Field {
    /// In bytes; each is a multiple of four, as concatenations need it.
    #[expect(clippy::len_without_is_empty, reason = "a field is never empty")]
    pub fn len(self) -> u32 {
        match self {
            Field::Ipv4 => 4,
            Field::Ipv6 | Field::IfName => 16,
        }
    }

    /// The number `nft` knows the type by (`enum datatypes` in nftables/datatype.h); opaque to the kernel.
    fn type_id(self) -> u32 {
        match self {
            Field::Ipv4 => 7,
            Field::Ipv6 => 8,
            Field::IfName => 41,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Field::Ipv4 => "ipv4_addr",
            Field::Ipv6 => "ipv6_addr",
            Field::IfName => "ifname",
        }
    }
}

/// How keys are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Single keys, in a hash table.
    Exact,
    /// Spans and prefixes.
    Interval,
}

/// A set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// The parts of a key.
    pub key: Vec<Field>,
    /// How keys are held.
    pub shape: Shape,
}

impl Set {
    /// Appends `nft add set`. `id` distinguishes sets of one batch.
    pub fn encode(&self, batch: &mut Batch, id: u32) {
        change(batch, NEWSET, CREATE, |b| {
            b.text(TABLE, &self.table);
            b.text(NAME, &self.name);
            b.be32(FLAGS, self.flags());
            // Six bits a type, the first the highest (TYPE_BITS in nftables/datatype.h).
            b.be32(KEY_TYPE, self.key.iter().fold(0, |all, field| (all << 6) | field.type_id()));
            b.be32(KEY_LEN, self.key.iter().map(|f| f.len()).sum());
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
            // Opaque to the kernel; without it `nft list` shows device names as empty.
            let mut data = vec![UDATA_KEY_BYTE_ORDER, 4];
            data.extend_from_slice(&self.byte_order().to_ne_bytes());
            b.attr(USERDATA, &data);
        });
    }

    /// `enum byteorder` in nftables/datatype.h: none for concatenations, whose parts have each their own.
    fn byte_order(&self) -> u32 {
        match self.key[..] {
            [Field::IfName] => 1,
            [Field::Ipv4 | Field::Ipv6] => 2,
            _ => 0,
        }
    }

    fn flags(&self) -> u32 {
        let interval = if self.shape == Shape::Interval { FLAG_INTERVAL } else { 0 };
        // `nft` sets the flag only where the kernel has to know the parts.
        let concat = if self.shape == Shape::Interval && self.key.len() > 1 { FLAG_CONCAT } else { 0 };
        interval | concat
    }

    /// Whether the kernel's set is this one.
    pub fn is(&self, seen: &SetSeen) -> bool {
        seen.table == self.table
            && seen.name == self.name
            && seen.flags == self.flags()
            && seen.key_len == self.key.iter().map(|f| f.len()).sum::<u32>()
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key: Vec<_> = self.key.iter().map(|k| k.word()).collect();
        write!(f, "set inet {} {} {{ type {};", self.table, self.name, key.join(" . "))?;
        if self.shape == Shape::Interval {
            f.write_str(" flags interval;")?;
        }
        f.write_str(" }")
    }
}

/// A set or map as the kernel reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetSeen {
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// `NFT_SET_*`.
    pub flags: u32,
    /// In bytes.
    pub key_len: u32,
}

impl SetSeen {
    /// Reads an `NFT_MSG_NEWSET`.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let a = is(message, NEWSET).then(|| message.attributes(HEADER))?;
        Some(SetSeen {
            table: a.text(TABLE)?,
            name: a.text(NAME)?,
            flags: a.be32(FLAGS).unwrap_or(0),
            key_len: a.be32(KEY_LEN).unwrap_or(0),
        })
    }

    /// Appends a question for all sets of a table.
    pub fn dump(batch: &mut Batch, table: &str) {
        ask(batch, GETSET, flag::DUMP, |b| b.text(TABLE, table));
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;
    use crate::golden::{bytes, lines, message, ours};

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

    const NESTED: &[(&[u16], usize)] = &[(&[DESC], 0), (&[DESC, DESC_CONCAT], 0), (&[DESC, DESC_CONCAT, 1], 0)];

    fn cases() -> [(Set, &'static str, &'static str); 4] {
        let set = |name: &str, key: &[Field], shape| Set {
            table: "zubi".into(),
            name: name.into(),
            key: key.to_vec(),
            shape,
        };
        [
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
        ]
    }

    /// Without the notes, of which `nft` makes more than we.
    fn compared(message: &[u8]) -> Vec<String> {
        let mut all = lines(message, HEADER, NESTED);
        all.retain(|line| !line.starts_with(&format!("[{USERDATA}]")));
        all
    }

    #[test]
    fn says_what_nft_add_set_says_in_its_words() {
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
            let note = |bytes| message(bytes).attributes(HEADER).get(USERDATA).unwrap()[..6].to_vec();
            assert_eq!(note(&said), note(&recorded), "{set}");
        }
    }
}
