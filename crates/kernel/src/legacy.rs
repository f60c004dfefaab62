//! Legacy iptables (linux/netfilter_ipv4/ip_tables.h, ip6_tables.h): nftables does not show its tables. zubi reads them
//! and never changes them, because every change replaces the whole table.

use crate::error::Error;
use crate::sys;
use std::os::fd::AsFd;
use zubi_model::{Family, IfName};
use zubi_wire::nft::Direction;

/// `IPT_SO_GET_INFO`, `IP6T_SO_GET_INFO`.
const GET_INFO: libc::c_int = 64;
/// `IPT_SO_GET_ENTRIES`, `IP6T_SO_GET_ENTRIES`.
const GET_ENTRIES: libc::c_int = 65;
const TABLE: &str = "filter";
const TABLE_NAME: usize = 32;
/// `NF_INET_FORWARD`.
const FORWARD: usize = 2;
/// `struct ipt_getinfo`: a name, `valid_hooks`, two offsets for each of five hooks, two numbers.
const INFO: usize = TABLE_NAME + 4 + 5 * 4 + 5 * 4 + 4 + 4;
/// `struct ipt_get_entries` before its entries, which are aligned to eight bytes.
const ENTRIES: usize = 40;
const NAME: usize = 16;
/// `struct xt_entry_match` and `struct xt_entry_target`: size, name, revision.
const EXTENSION: usize = 32;
/// Verdicts are stored as -NF_DROP - 1 and -NF_ACCEPT - 1.
const DROP: i32 = -1;
const ACCEPT: i32 = -2;

/// A forward chain of legacy iptables that drops what no rule with a condition has accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyBarrier {
    /// The family of the packets.
    pub family: Family,
    /// What drops them: the policy, or a rule by its number.
    pub drops: String,
    /// The chain for an administrator's rules.
    pub chain: &'static str,
    accepted: Vec<(Direction, IfName)>,
}

impl LegacyBarrier {
    /// The program that shows and changes the chain.
    pub fn program(&self) -> &'static str {
        match self.family {
            Family::V4 => "iptables-legacy",
            Family::V6 => "ip6tables-legacy",
        }
    }

    /// The commands that let a device pass, without those that were given already.
    pub fn lacking(&self, device: &IfName) -> Vec<String> {
        [(Direction::From, "-i"), (Direction::To, "-o")]
            .into_iter()
            .filter(|(direction, _)| !self.accepted.contains(&(*direction, device.clone())))
            .map(|(_, word)| format!("{} -I {} {word} {device} -j ACCEPT", self.program(), self.chain))
            .collect()
    }
}

/// The barrier of legacy iptables in the calling thread's namespace, if there is one. Does not make the kernel load the
/// table.
pub fn legacy_barrier(family: Family) -> Result<Option<LegacyBarrier>, Error> {
    let (names, domain, level) = match family {
        Family::V4 => ("/proc/net/ip_tables_names", libc::AF_INET, libc::IPPROTO_IP),
        Family::V6 => ("/proc/net/ip6_tables_names", libc::AF_INET6, libc::IPPROTO_IPV6),
    };
    // The file is missing or unreadable: then there are no such tables.
    let names = std::fs::read_to_string(names).unwrap_or_default();
    if !names.lines().any(|name| name == TABLE) {
        return Ok(None);
    }
    let failed = |e| Error::system("read", "legacy iptables", e);
    let socket = sys::socket(domain, libc::SOCK_DGRAM, 0).map_err(failed)?;
    // The table may grow between the two questions.
    for _ in 0..10 {
        let mut info = named(INFO);
        sys::get_option(socket.as_fd(), level, GET_INFO, &mut info).map_err(failed)?;
        let size = u32_at(&info, INFO - 4).unwrap_or(0);
        let mut entries = named(ENTRIES + size as usize);
        entries[TABLE_NAME..TABLE_NAME + 4].copy_from_slice(&size.to_ne_bytes());
        match sys::get_option(socket.as_fd(), level, GET_ENTRIES, &mut entries) {
            Ok(()) => return Ok(read(family, &info, &entries[ENTRIES..])),
            Err(e) if e.raw_os_error() == Some(libc::EAGAIN) => {}
            Err(e) => return Err(failed(e)),
        }
    }
    Err(Error::Unsteady { object: "legacy iptables", tries: 10 })
}

fn named(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    bytes[..TABLE.len()].copy_from_slice(TABLE.as_bytes());
    bytes
}

/// Offsets in a `struct ipt_entry` or `ip6t_entry`.
struct Layout {
    addresses: usize,
    protocol: usize,
    inverted: usize,
    offsets: usize,
    size: usize,
}

const V4: Layout = Layout { addresses: 16, protocol: 80, inverted: 83, offsets: 88, size: 112 };
const V6: Layout = Layout { addresses: 64, protocol: 128, inverted: 132, offsets: 140, size: 168 };

/// The parts of a rule that decide whether packets pass.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    devices: Vec<(Direction, IfName)>,
    /// Other than devices.
    conditions: Conditions,
    target: Target,
}

#[derive(Debug, PartialEq, Eq)]
enum Conditions {
    None,
    Some,
}

#[derive(Debug, PartialEq, Eq)]
enum Target {
    Accept,
    Drop,
    Reject,
    /// The start of a chain of this name.
    Chain(String),
    Other,
}

fn read(family: Family, info: &[u8], entries: &[u8]) -> Option<LegacyBarrier> {
    let layout = if family == Family::V4 { V4 } else { V6 };
    let first = u32_at(info, TABLE_NAME + 4 + 4 * FORWARD)? as usize;
    let policy = u32_at(info, TABLE_NAME + 4 + 4 * 5 + 4 * FORWARD)? as usize;
    let mut drops = None;
    let mut chain = "FORWARD";
    let mut accepted = Vec::new();
    let (mut at, mut number) = (0, 0);
    while let Some((entry, len)) = entries.get(at..).and_then(|rest| entry(rest, &layout)) {
        let everything = entry.devices.is_empty() && entry.conditions == Conditions::None;
        if (first..policy).contains(&at) {
            number += 1;
            if everything && matches!(entry.target, Target::Drop | Target::Reject) && drops.is_none() {
                drops = Some(format!("its rule {number}"));
            }
        } else if at == policy && entry.target == Target::Drop {
            drops = drops.or(Some("its policy".into()));
        }
        match entry.target {
            Target::Accept if entry.conditions == Conditions::None => {
                accepted.extend(<[_; 1]>::try_from(entry.devices).into_iter().flatten());
            }
            Target::Chain(name) if name == "DOCKER-USER" => chain = "DOCKER-USER",
            _ => {}
        }
        at += len;
    }
    drops.map(|drops| LegacyBarrier { family, drops, chain, accepted })
}

/// The first entry, and its length.
fn entry(bytes: &[u8], layout: &Layout) -> Option<(Entry, usize)> {
    let target = usize::from(u16_at(bytes, layout.offsets)?);
    let len = usize::from(u16_at(bytes, layout.offsets + 2)?);
    if target < layout.size || len < target + EXTENSION {
        return None;
    }
    let bytes = bytes.get(..len)?;
    let name = |n: usize| bytes.get(layout.addresses + n * NAME..layout.addresses + (n + 1) * NAME);
    let mut conditions = Conditions::None;
    let no_protocol = u16_at(bytes, layout.protocol)? == 0;
    if bytes[..layout.addresses].iter().any(|b| *b != 0) || !no_protocol || bytes[layout.inverted] != 0 {
        conditions = Conditions::Some;
    }
    let mut devices = Vec::new();
    for (direction, at) in [(Direction::From, 0), (Direction::To, 1)] {
        let (text, mask) = (name(at)?, name(at + 2)?);
        if mask.iter().all(|b| *b == 0) {
            continue;
        }
        // A mask that covers the NUL compares the whole name; otherwise the text is a prefix of names.
        let end = text.iter().position(|b| *b == 0)?;
        match std::str::from_utf8(&text[..end]).ok().and_then(|text| text.parse().ok()) {
            Some(device) if mask[end] != 0 => devices.push((direction, device)),
            _ => conditions = Conditions::Some,
        }
    }
    let mut at = layout.size;
    while at < target {
        let size = usize::from(u16_at(bytes, at)?);
        if size < EXTENSION {
            return None;
        }
        if extension_name(bytes.get(at..)?)? != "comment" {
            conditions = Conditions::Some;
        }
        at += size;
    }
    let extension = &bytes[target..];
    let data = extension.get(EXTENSION..)?;
    let target = match (&*extension_name(extension)?, u32_at(data, 0).map(u32::cast_signed)) {
        ("", Some(DROP)) => Target::Drop,
        ("", Some(ACCEPT)) => Target::Accept,
        ("REJECT", _) => Target::Reject,
        ("ERROR", _) => Target::Chain(text(data)),
        _ => Target::Other,
    };
    Some((Entry { devices, conditions, target }, len))
}

fn extension_name(bytes: &[u8]) -> Option<String> {
    bytes.get(2..EXTENSION - 1).map(text)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|b| *b == 0).next().unwrap_or_default()).into_owned()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPv4 rule: incoming device, name and data of the target.
    fn rule(device: &str, target: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; V4.size + EXTENSION];
        bytes[16..16 + device.len()].copy_from_slice(device.as_bytes());
        if !device.is_empty() {
            bytes[48..=48 + device.len()].fill(0xff);
        }
        bytes[V4.size + 2..V4.size + 2 + target.len()].copy_from_slice(target.as_bytes());
        bytes.extend_from_slice(data);
        let len = bytes.len() as u16;
        bytes[88..90].copy_from_slice(&(V4.size as u16).to_ne_bytes());
        bytes[90..92].copy_from_slice(&len.to_ne_bytes());
        bytes
    }

    fn standard(device: &str, verdict: i32) -> Vec<u8> {
        rule(device, "", &[verdict.to_ne_bytes(), [0; 4]].concat())
    }

    /// A table whose only chain is FORWARD.
    fn barrier(rules: &[Vec<u8>], policy: i32) -> Option<LegacyBarrier> {
        let mut info = vec![0; INFO];
        let end: usize = rules.iter().map(Vec::len).sum();
        info[TABLE_NAME + 4 + 20 + 8..][..4].copy_from_slice(&(end as u32).to_ne_bytes());
        read(Family::V4, &info, &[rules.concat(), standard("", policy)].concat())
    }

    #[test]
    fn a_policy_or_a_rule_without_condition_is_a_barrier() {
        assert_eq!(barrier(&[standard("eth0", DROP)], ACCEPT), None);
        assert_eq!(barrier(&[], DROP).unwrap().drops, "its policy");
        let reject = rule("", "REJECT", &[0; 8]);
        assert_eq!(barrier(&[standard("eth0", ACCEPT), reject], ACCEPT).unwrap().drops, "its rule 2");
    }

    #[test]
    fn commands_that_were_given_are_not_lacking() {
        let blue = "zb-blue".parse().unwrap();
        let from = "iptables-legacy -I FORWARD -i zb-blue -j ACCEPT";
        let to = "iptables-legacy -I FORWARD -o zb-blue -j ACCEPT";
        assert_eq!(barrier(&[], DROP).unwrap().lacking(&blue), [from, to]);
        assert_eq!(barrier(&[standard("zb-blue", ACCEPT)], DROP).unwrap().lacking(&blue), [to]);
        assert_eq!(barrier(&[standard("zb-blu", ACCEPT)], DROP).unwrap().lacking(&blue), [from, to]);
    }

    #[test]
    fn bytes_that_are_cut_off_end_the_reading() {
        let whole = [standard("zb-blue", ACCEPT), standard("", DROP)].concat();
        for len in 0..whole.len() {
            read(Family::V4, &[0; INFO], &whole[..len]);
            read(Family::V6, &[0; INFO], &whole[..len]);
        }
    }
}
