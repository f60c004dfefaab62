//! Filters of a device: `tc` with classic BPF in direct-action mode (linux/pkt_sched.h, linux/pkt_cls.h,
//! linux/filter.h). They do not use bpf(2), so they need no more privileges than a device does.

use crate::message::{Batch, Message, flag};
use serde::{Deserialize, Serialize};
use std::fmt;
use zubi_model::{IfIndex, IfName};

const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
const RTM_GETQDISC: u16 = 38;
const RTM_NEWTFILTER: u16 = 44;
const RTM_DELTFILTER: u16 = 45;
const RTM_GETTFILTER: u16 = 46;
/// `struct tcmsg`.
const HEADER: usize = 20;
/// The handle of `clsact`, and of `ingress`, which it replaces.
const HANDLE: u32 = 0xffff_0000;
/// `TC_H_CLSACT`.
const CLSACT: u32 = 0xffff_fff1;
/// `TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS)`.
const INGRESS: u32 = 0xffff_fff2;
/// `TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)`.
const EGRESS: u32 = 0xffff_fff3;
/// `ETH_P_ALL`, which `tc` does not print.
const ALL_PROTOCOLS: u16 = 3;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_OPS_LEN: u16 = 4;
const TCA_BPF_OPS: u16 = 5;
const TCA_BPF_FLAGS: u16 = 8;
/// `TCA_BPF_FLAG_ACT_DIRECT`.
const DIRECT_ACTION: u32 = 1;
const BPF: &str = "bpf";

/// An instruction (`struct sock_filter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instruction {
    /// The operation.
    pub code: u16,
    /// How many instructions to skip when a comparison is true.
    pub on_true: u8,
    /// How many to skip when it is false.
    pub on_false: u8,
    /// The operand.
    pub operand: u32,
}

/// Which packets of a device a filter sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FilterSide {
    /// Those that come in by it.
    Ingress,
    /// Those that the host sends through it. Frames that a bridge passes from port to port are not among them.
    Egress,
}

impl FilterSide {
    /// Both.
    pub const ALL: [FilterSide; 2] = [FilterSide::Ingress, FilterSide::Egress];

    fn parent(self) -> u32 {
        match self {
            FilterSide::Ingress => INGRESS,
            FilterSide::Egress => EGRESS,
        }
    }
}

impl fmt::Display for FilterSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FilterSide::Ingress => "ingress",
            FilterSide::Egress => "egress",
        })
    }
}

/// A filter for all packets on one side of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The device.
    pub device: IfName,
    /// Its side.
    pub side: FilterSide,
    /// Its position; smaller comes first.
    pub preference: u16,
    /// Its number among filters with this preference.
    pub handle: u32,
    /// The program that returns a verdict (`TC_ACT_*`).
    pub program: Vec<Instruction>,
}

fn header(index: IfIndex, handle: u32, parent: u32, info: u32) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    for (at, value) in [(4, index.0), (8, handle), (12, parent), (16, info)] {
        header[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }
    header
}

/// Appends `tc qdisc add dev DEVICE clsact`: the hooks to which filters of a device attach.
pub fn add_hooks(batch: &mut Batch, index: IfIndex) {
    hooks(batch, RTM_NEWQDISC, flag::CREATE | flag::EXCL, index);
}

/// Appends `tc qdisc del dev DEVICE clsact`. This deletes all filters of the device.
pub fn delete_hooks(batch: &mut Batch, index: IfIndex) {
    hooks(batch, RTM_DELQDISC, 0, index);
}

/// Appends a query for the hooks of a device. The answer is ENOENT if it has none, or EINVAL if it had some before.
pub fn get_hooks(batch: &mut Batch, index: IfIndex) {
    batch.message(RTM_GETQDISC, flag::REQUEST | flag::ACK, |b| b.header(&header(index, HANDLE, CLSACT, 0)));
}

fn hooks(batch: &mut Batch, kind: u16, flags: u16, index: IfIndex) {
    batch.message(kind, flag::REQUEST | flag::ACK | flags, |b| {
        b.header(&header(index, HANDLE, CLSACT, 0));
        b.text(TCA_KIND, "clsact");
    });
}

impl Instruction {
    const LEN: usize = 8;

    fn bytes(self) -> Vec<u8> {
        let mut bytes = self.code.to_ne_bytes().to_vec();
        bytes.extend([self.on_true, self.on_false]);
        bytes.extend(self.operand.to_ne_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let [c0, c1, on_true, on_false, operand @ ..] = bytes else { return None };
        let operand = u32::from_ne_bytes(operand.try_into().ok()?);
        Some(Instruction { code: u16::from_ne_bytes([*c0, *c1]), on_true: *on_true, on_false: *on_false, operand })
    }
}

impl fmt::Display for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} {}", self.code, self.on_true, self.on_false, self.operand)
    }
}

impl Filter {
    fn info(&self) -> u32 {
        (u32::from(self.preference) << 16) | u32::from(ALL_PROTOCOLS.to_be())
    }

    /// Appends `tc filter add`.
    pub fn encode(&self, batch: &mut Batch, index: IfIndex) {
        self.message(batch, flag::CREATE | flag::EXCL, index);
    }

    /// Appends `tc filter replace`.
    pub fn encode_replace(&self, batch: &mut Batch, index: IfIndex) {
        self.message(batch, flag::CREATE, index);
    }

    fn message(&self, batch: &mut Batch, flags: u16, index: IfIndex) {
        batch.message(RTM_NEWTFILTER, flag::REQUEST | flag::ACK | flags, |b| {
            b.header(&header(index, self.handle, self.side.parent(), self.info()));
            b.text(TCA_KIND, BPF);
            b.nested(TCA_OPTIONS, |b| {
                b.attr(TCA_BPF_OPS_LEN, &(self.program.len() as u16).to_ne_bytes());
                let program: Vec<u8> = self.program.iter().flat_map(|i| i.bytes()).collect();
                b.attr(TCA_BPF_OPS, &program);
                b.u32(TCA_BPF_FLAGS, DIRECT_ACTION);
            });
        });
    }

    /// Appends `tc filter del`.
    pub fn encode_delete(&self, batch: &mut Batch, index: IfIndex) {
        // Without the protocol, as `tc` does: each preference has only one.
        let info = u32::from(self.preference) << 16;
        batch.message(RTM_DELTFILTER, flag::REQUEST | flag::ACK, |b| {
            b.header(&header(index, self.handle, self.side.parent(), info));
            b.text(TCA_KIND, BPF);
        });
    }

    /// The words of `tc filter del`.
    pub fn place(&self) -> String {
        format!("dev {} {} pref {} handle {:#x} {BPF}", self.device, self.side, self.preference, self.handle)
    }

    /// Whether the kernel's filter is this one.
    pub fn is(&self, seen: &FilterSeen) -> bool {
        self.is_place_of(seen) && seen.program == self.program && seen.direct_action
    }

    /// Whether the kernel's filter is in the position of this one.
    pub fn is_place_of(&self, seen: &FilterSeen) -> bool {
        (seen.side, seen.preference, seen.handle, seen.kind.as_str()) == (self.side, self.preference, self.handle, BPF)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program: Vec<String> = self.program.iter().map(ToString::to_string).collect();
        write!(f, "{} da bytecode '{},{}'", self.place(), program.len(), program.join(","))
    }
}

/// A filter as the kernel reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilterSeen {
    /// See [`Filter`].
    pub side: FilterSide,
    /// See [`Filter`].
    pub preference: u16,
    /// See [`Filter`].
    pub handle: u32,
    /// The classifier.
    pub kind: String,
    /// The program of a classic BPF filter; else empty.
    pub program: Vec<Instruction>,
    /// Whether the program itself returns the verdict.
    pub direct_action: bool,
}

impl FilterSeen {
    /// Reads an `RTM_NEWTFILTER`.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let head = message.payload.get(..HEADER)?;
        if message.kind != RTM_NEWTFILTER {
            return None;
        }
        let word = |at: usize| Some(u32::from_ne_bytes(head.get(at..at + 4)?.try_into().ok()?));
        let a = message.attributes(HEADER);
        let options = a.nested(TCA_OPTIONS);
        let program = options.as_ref().and_then(|o| o.get(TCA_BPF_OPS)).unwrap_or_default();
        Some(FilterSeen {
            side: FilterSide::ALL.into_iter().find(|side| word(12) == Some(side.parent()))?,
            preference: (word(16)? >> 16) as u16,
            handle: word(8)?,
            kind: a.text(TCA_KIND)?,
            program: program.chunks(Instruction::LEN).map(Instruction::parse).collect::<Option<_>>()?,
            direct_action: options.and_then(|o| o.u32(TCA_BPF_FLAGS)).is_some_and(|f| f & DIRECT_ACTION != 0),
        })
    }

    /// Appends a query for all filters on one side of a device. A device without hooks has none.
    pub fn dump(batch: &mut Batch, index: IfIndex, side: FilterSide) {
        batch.message(RTM_GETTFILTER, flag::REQUEST | flag::DUMP, |b| b.header(&header(index, 0, side.parent(), 0)));
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;
    use crate::golden::{bytes, lines, message, ours};

    const ADD_HOOKS: &str = "\
        30000000240005063fcd0c6b0000000000000000020000000000fffff1ffffff000000000b000100636c736163740000";
    const DELETE_HOOKS: &str = "\
        300000002500050043cd0c6b0000000000000000020000000000fffff1ffffff000000000b000100636c736163740000";
    const ADD: &str = "\
        540000002c00050640cd0c6b0000000000000000020000006962757af2ffffff00037f00080001006270660028000200 \
        060004000200000014000500300000001e00000006000000ffffffff0800080001000000";
    const REPLACE: &str = "\
        540000002c00050441cd0c6b0000000000000000020000006962757af2ffffff00037f00080001006270660028000200 \
        060004000200000014000500300000001e00000006000000ffffffff0800080001000000";
    const DELETE: &str = "\
        2c0000002d00050041cd0c6b0000000000000000020000006962757af2ffffff00007f000800010062706600";
    const DUMP: &str = "240000002e00010340cd0c6b00000000000000000200000000000000f2ffffff00000000";
    const NESTED: &[(&[u16], usize)] = &[(&[TCA_OPTIONS], 0)];
    const INDEX: IfIndex = IfIndex(2);

    fn filter() -> Filter {
        let instruction = |code, operand| Instruction { code, on_true: 0, on_false: 0, operand };
        let program = vec![instruction(48, 30), instruction(6, u32::MAX)];
        let (device, side) = ("zb-blue".parse().unwrap(), FilterSide::Ingress);
        Filter { device, side, preference: 127, handle: 0x7a75_6269, program }
    }

    #[test]
    fn says_what_tc_says() {
        for (said, recorded) in [
            (ours(|b| add_hooks(b, INDEX)), ADD_HOOKS),
            (ours(|b| delete_hooks(b, INDEX)), DELETE_HOOKS),
            (ours(|b| filter().encode(b, INDEX)), ADD),
            (ours(|b| filter().encode_replace(b, INDEX)), REPLACE),
            (ours(|b| filter().encode_delete(b, INDEX)), DELETE),
            (ours(|b| FilterSeen::dump(b, INDEX, FilterSide::Ingress)), DUMP),
        ] {
            assert_eq!(lines(&said, HEADER, NESTED), lines(&bytes(recorded), HEADER, NESTED));
        }
    }

    #[test]
    fn prints_the_words_of_tc() {
        assert_eq!(
            filter().to_string(),
            "dev zb-blue ingress pref 127 handle 0x7a756269 bpf da bytecode '2,48 0 0 30,6 0 0 4294967295'"
        );
    }

    #[test]
    fn a_filter_is_distinguished_from_others_and_from_a_changed_one() {
        let seen = FilterSeen::parse(&message(&bytes(ADD))).unwrap();
        assert!(filter().is(&seen));
        let changed = FilterSeen { program: Vec::new(), ..seen.clone() };
        assert!(filter().is_place_of(&changed) && !filter().is(&changed));
        assert!(!filter().is_place_of(&FilterSeen { handle: 1, ..seen.clone() }));
        assert!(!filter().is_place_of(&FilterSeen { side: FilterSide::Egress, ..seen }));
    }
}
