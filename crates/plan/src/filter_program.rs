//! Programs of filters: instructions of classic BPF (linux/bpf_common.h, linux/filter.h).

use zubi_model::IfName;
use zubi_wire::route::{Filter, FilterSide, Instruction};

/// Early among the filters, and not a number at which other programs start.
const PREFERENCE: u16 = 127;
/// The letters "zubi".
const HANDLE: u32 = 0x7a75_6269;

/// An instruction: the operation, how many to skip when it is true and when it is false, the operand.
pub(crate) type Step = (u16, u8, u8, u32);

// Offsets count from the Ethernet header.
pub(crate) const LOAD_WORD: u16 = 0x20;
pub(crate) const LOAD_HALF: u16 = 0x28;
pub(crate) const LOAD_BYTE: u16 = 0x30;
pub(crate) const LOAD_HALF_BEHIND: u16 = 0x48;
pub(crate) const LOAD_BYTE_BEHIND: u16 = 0x50;
/// The length of an IPv4 header, as the place from which `..._BEHIND` counts.
pub(crate) const MEASURE: u16 = 0xb1;
pub(crate) const AND: u16 = 0x54;
pub(crate) const IS: u16 = 0x15;
pub(crate) const IS_AT_LEAST: u16 = 0x35;
pub(crate) const HAS_ANY: u16 = 0x45;
pub(crate) const RETURN: u16 = 0x06;
/// `SKF_AD_OFF + SKF_AD_PROTOCOL`: what the packet is, behind its tags.
pub(crate) const PROTOCOL: u32 = 0xffff_f000;
/// `SKF_AD_OFF + SKF_AD_MARK`.
pub(crate) const MARK: u32 = 0xffff_f014;
/// `SKF_AD_OFF + SKF_AD_VLAN_TAG`.
pub(crate) const VLAN_TAG: u32 = 0xffff_f02c;
/// `SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT`.
pub(crate) const HAS_VLAN_TAG: u32 = 0xffff_f030;
/// `TC_ACT_SHOT` in linux/pkt_cls.h.
pub(crate) const DROP: u32 = 2;
/// `TC_ACT_UNSPEC`: the next filter, if any, decides.
pub(crate) const GO_ON: u32 = u32::MAX;

/// Where a comparison leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    /// So many instructions are skipped.
    Skip(u8),
    /// The packet goes on.
    Pass,
    /// The packet is dropped.
    Dropped,
}

/// An instruction whose jumps may lead to the end of the program.
pub(crate) type Line = (u16, u32, To, To);

/// Loads a value, or changes the loaded one.
pub(crate) fn load(code: u16, operand: u32) -> Line {
    (code, operand, To::Skip(0), To::Skip(0))
}

/// Completes a program: what reaches its end is dropped.
pub(crate) fn dropping(lines: &[Line]) -> Vec<Step> {
    let end = lines.len();
    let skip = |at: usize, to| {
        let to_end = u8::try_from(end - at - 1).expect("a program of fewer than 256 instructions");
        match to {
            To::Skip(count) => count,
            To::Dropped => to_end,
            To::Pass => to_end + 1,
        }
    };
    let step = |(at, (code, operand, yes, no)): (usize, &Line)| (*code, skip(at, *yes), skip(at, *no), *operand);
    let ends = [(RETURN, 0, 0, DROP), (RETURN, 0, 0, GO_ON)];
    lines.iter().enumerate().map(step).chain(ends).collect()
}

/// The filter of zubi on one side of a device.
pub(crate) fn filter_of(device: &IfName, side: FilterSide, program: &[Step]) -> Filter {
    let instruction = |(code, on_true, on_false, operand): &Step| Instruction {
        code: *code,
        on_true: *on_true,
        on_false: *on_false,
        operand: *operand,
    };
    let program = program.iter().map(instruction).collect();
    Filter { device: device.clone(), side, preference: PREFERENCE, handle: HANDLE, program }
}

/// Runs a program as the kernel's machine does, as far as it is used here. `facts` are what the kernel knows about the
/// packet beside its bytes.
#[cfg(test)]
pub(crate) fn run(program: &[Step], frame: &[u8], facts: &[(u32, u32)]) -> u32 {
    let at = |offset: u32, len: usize| -> Option<u32> {
        if let Some((_, value)) = facts.iter().find(|(fact, _)| *fact == offset) {
            return Some(*value);
        }
        let bytes = frame.get(offset as usize..offset as usize + len)?;
        Some(bytes.iter().fold(0, |all, byte| (all << 8) | u32::from(*byte)))
    };
    let (mut next, mut a, mut x) = (0, 0, 0);
    loop {
        let (code, on_true, on_false, k) = program[next];
        next += 1;
        let loaded = match code {
            LOAD_WORD => at(k, 4),
            LOAD_HALF => at(k, 2),
            LOAD_BYTE => at(k, 1),
            LOAD_HALF_BEHIND => at(x + k, 2),
            LOAD_BYTE_BEHIND => at(x + k, 1),
            MEASURE => {
                x = 4 * (at(k, 1).unwrap() & 0xf);
                continue;
            }
            AND => Some(a & k),
            RETURN => return k,
            _ => {
                let holds = match code {
                    IS => a == k,
                    IS_AT_LEAST => a >= k,
                    HAS_ANY => a & k != 0,
                    other => panic!("{other:#x}"),
                };
                next += usize::from(if holds { on_true } else { on_false });
                continue;
            }
        };
        // The kernel ends a program that reads past the end of the packet.
        let Some(loaded) = loaded else { return 0 };
        a = loaded;
    }
}
