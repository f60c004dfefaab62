//! Expressions in the words of `nft`.
//!
//! # Limits
//! All expressions that zubi uses print as the words that create them, and so do other programs' expressions that
//! [`Expr`] represents completely. `log` and `reject` print without their settings, xtables extensions and others as
//! their names in brackets.

use super::family::{NFPROTO_IPV4, NFPROTO_IPV6, ether_type, nfproto};
use super::{CmpOp, Expr, LoadKey, Protocol};
use crate::message::text_of;
use std::net::IpAddr;
use zubi_model::Family;

/// The words of a rule's expressions.
pub(super) fn words(exprs: &[Expr]) -> String {
    let mut words = Words::default();
    for expr in exprs {
        words.expr(expr);
    }
    words.state_map();
    words.state_protocol();
    words.out.join(" ")
}

/// A check of the protocol, which later words may imply.
struct ProtocolChecked {
    key: LoadKey,
    value: Vec<u8>,
}

impl ProtocolChecked {
    fn is_implied_by(&self, key: LoadKey) -> bool {
        let Some(family) = key.family() else { return false };
        match self.key {
            LoadKey::NfProto => self.value == [nfproto(family)],
            _ => self.value == ether_type(family).to_be_bytes(),
        }
    }
}

/// `RTN_UNSPEC` to `RTN_PROHIBIT` in linux/rtnetlink.h.
const ROUTE_TYPES: [&str; 9] =
    ["unspec", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable", "prohibit"];

/// The frame protocols that `nft` has words for (`ethertype_tbl` in nftables/src/proto.c).
const ETHER_TYPES: [(u16, &str); 4] = [(0x0800, "ip"), (0x0806, "arp"), (0x8100, "vlan"), (0x86dd, "ip6")];

/// The check at the start of a rule about TCP.
const TCP: &str = "meta l4proto tcp";

#[derive(Default)]
struct Words {
    out: Vec<String>,
    /// Loaded since the last words.
    loaded: Vec<LoadKey>,
    mask: Option<Vec<u8>>,
    /// Set in the register since the last words.
    bits: Option<Vec<u8>>,
    /// Checked since the last words.
    checked: Option<ProtocolChecked>,
    /// Looked up in a map since the last words.
    mapped: Option<String>,
}

impl Words {
    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Load { key, .. } => self.loaded.push(*key),
            Expr::Mask { mask, .. } => self.mask = Some(mask.clone()),
            Expr::SetBits { bits, .. } => self.bits = Some(bits.clone()),
            Expr::SetMark { .. } => {
                let value = match (self.loaded.last(), self.bits.take()) {
                    (Some(key), Some(bits)) => format!("{} | {}", key.word(), plain(LoadKey::Mark, &bits)),
                    (Some(key), None) => key.word().to_owned(),
                    (None, _) => "[register]".to_owned(),
                };
                self.say(format!("meta mark set {value}"));
            }
            Expr::Cmp { op, value, .. } => self.compare(*op, value),
            Expr::Lookup { set, inverted, to, .. } => {
                let keys: Vec<_> = self.loaded.iter().map(|k| k.word()).collect();
                let keys = keys.join(" . ");
                match to {
                    Some(_) => self.mapped = Some(format!("{keys} map @{set}")),
                    None => self.say(format!("{keys} {}@{set}", if *inverted { "!= " } else { "" })),
                }
            }
            Expr::Counter => self.say("counter".into()),
            Expr::Masquerade => self.say("masquerade".into()),
            Expr::Dnat { family, .. } => {
                let family = if *family == Family::V4 { "ip" } else { "ip6" };
                match self.mapped.take() {
                    Some(map) => self.say(format!("dnat {family} to {map}")),
                    None => self.say("[nat]".into()),
                }
            }
            Expr::Verdict(verdict) => self.say(verdict.to_string()),
            Expr::Log => self.say("log".into()),
            Expr::Reject => self.say("reject".into()),
            Expr::Reset => self.say("reject with tcp reset".into()),
            Expr::Match { name, .. } => match expr.xt_comment() {
                Some(comment) => self.say(format!("[comment \"{comment}\"]")),
                None => self.say(format!("[match {name}]")),
            },
            Expr::Target { name } => self.say(format!("[target {name}]")),
            Expr::Other { name } => self.say(format!("[{name}]")),
        }
    }

    fn compare(&mut self, op: CmpOp, value: &[u8]) {
        let key = self.loaded.last().copied();
        let mask = self.mask.take();
        if let (Some(key @ (LoadKey::NfProto | LoadKey::EtherType)), CmpOp::Eq) = (key, op) {
            self.state_protocol();
            self.checked = Some(ProtocolChecked { key, value: value.to_vec() });
            self.loaded.clear();
            return;
        }
        // Like `nft`, omit the check of the protocol if the words imply it.
        if key == Some(LoadKey::TcpFlags) && self.out.last().is_some_and(|last| last == TCP) {
            self.out.pop();
        }
        self.say(format!("{} {}", key.map_or("?", LoadKey::word), compared(key, mask.as_deref(), op, value)));
    }

    /// Adds words. Like `nft`, omits the check of the protocol if the words imply it.
    fn say(&mut self, words: String) {
        if self.checked.take_if(|checked| self.loaded.iter().any(|k| checked.is_implied_by(*k))).is_none() {
            self.state_protocol();
        }
        self.loaded.clear();
        self.state_map();
        self.out.push(words);
    }

    /// Prints a pending map look-up on its own: usually the expression that uses it prints it.
    fn state_map(&mut self) {
        self.out.extend(self.mapped.take());
    }

    fn state_protocol(&mut self) {
        if let Some(ProtocolChecked { key, value }) = self.checked.take() {
            self.out.push(format!("{} {}", key.word(), plain(key, &value)));
        }
    }
}

/// The words after the key.
fn compared(key: Option<LoadKey>, mask: Option<&[u8]>, op: CmpOp, value: &[u8]) -> String {
    let sign = match op {
        CmpOp::Eq => "",
        CmpOp::Neq => "!= ",
    };
    match (key, mask) {
        // Bits are compared with zero: "not zero" prints as the plain word.
        (Some(key), Some(mask)) if bit_names(key).is_some() && value.iter().all(|b| *b == 0) => {
            format!("{}{}", if op == CmpOp::Eq { "! " } else { "" }, plain(key, mask))
        }
        (Some(LoadKey::IifName | LoadKey::OifName | LoadKey::IifKind | LoadKey::OifKind), None) => {
            // A comparison of fewer bytes than a name has is a prefix match.
            format!("{sign}\"{}{}\"", text_of(value), if value.contains(&0) { "" } else { "*" })
        }
        (Some(key), None) => format!("{sign}{}", plain(key, value)),
        (Some(key), Some(mask)) => match prefix_len(mask) {
            Some(len) if key.family().is_some() => format!("{sign}{}/{len}", plain(key, value)),
            _ => {
                let sign = if op == CmpOp::Eq { "==" } else { "!=" };
                format!("& {} {sign} {}", plain(key, mask), plain(key, value))
            }
        },
        (None, _) => format!("{sign}{}", hex(value)),
    }
}

fn plain(key: LoadKey, value: &[u8]) -> String {
    if let Some(names) = bit_names(key) {
        return bits(names, value);
    }
    match (key, value) {
        (LoadKey::DaddrType, value) => {
            let name = <[u8; 4]>::try_from(value).ok().map(u32::from_ne_bytes);
            return name.and_then(|n| ROUTE_TYPES.get(n as usize)).map_or_else(|| hex(value), |t| (*t).into());
        }
        (LoadKey::IifGroup | LoadKey::OifGroup, value) => {
            let group = <[u8; 4]>::try_from(value).map(u32::from_ne_bytes);
            return group.map_or_else(|_| hex(value), |group| group.to_string());
        }
        (LoadKey::Mark, value) => {
            let mark = <[u8; 4]>::try_from(value).map(u32::from_ne_bytes);
            return mark.map_or_else(|_| hex(value), |mark| format!("{mark:#010x}"));
        }
        (LoadKey::NfProto, [family]) => return family_word(*family),
        (LoadKey::EtherType, [high, low]) => {
            let number = u16::from_be_bytes([*high, *low]);
            let known = ETHER_TYPES.iter().find(|(known, _)| *known == number);
            return known.map_or_else(|| format!("{number:#06x}"), |(_, word)| (*word).to_owned());
        }
        (LoadKey::L4Proto, [number]) => {
            return Protocol::from_number(*number).map_or_else(|| number.to_string(), |p| p.to_string());
        }
        (LoadKey::DestPort, [high, low]) => return u16::from_be_bytes([*high, *low]).to_string(),
        _ => {}
    }
    let address = key.family().and_then(|_| {
        let v4 = <[u8; 4]>::try_from(value).map(IpAddr::from);
        v4.or_else(|_| <[u8; 16]>::try_from(value).map(IpAddr::from)).ok()
    });
    address.map_or_else(|| hex(value), |a| a.to_string())
}

fn hex(value: &[u8]) -> String {
    value.iter().fold("0x".to_owned(), |text, b| format!("{text}{b:02x}"))
}

fn prefix_len(mask: &[u8]) -> Option<u32> {
    let ones: u32 = mask.iter().map(|b| b.leading_ones()).sum();
    let all: u32 = mask.iter().map(|b| b.count_ones()).sum();
    let contiguous = mask.iter().skip_while(|b| **b == 0xff).skip(1).all(|b| *b == 0);
    (ones == all && contiguous).then_some(ones)
}

pub(super) fn family_word(family: u8) -> String {
    match family {
        NFPROTO_IPV4 => "ipv4".into(),
        NFPROTO_IPV6 => "ipv6".into(),
        other => other.to_string(),
    }
}

/// The names of single bits, for keys that are bit sets.
fn bit_names(key: LoadKey) -> Option<&'static [(u32, &'static str)]> {
    match key {
        LoadKey::CtState => Some(&[(1, "invalid"), (2, "established"), (4, "related"), (8, "new"), (64, "untracked")]),
        LoadKey::CtStatus => Some(&[
            (1, "expected"),
            (2, "seen-reply"),
            (4, "assured"),
            (8, "confirmed"),
            (16, "snat"),
            (32, "dnat"),
            (512, "dying"),
        ]),
        LoadKey::TcpFlags => {
            Some(&[(1, "fin"), (2, "syn"), (4, "rst"), (8, "psh"), (16, "ack"), (32, "urg"), (64, "ecn"), (128, "cwr")])
        }
        _ => None,
    }
}

fn bits(names: &[(u32, &str)], mask: &[u8]) -> String {
    let bits = match mask {
        [byte] => u32::from(*byte),
        word => <[u8; 4]>::try_from(word).map_or(0, u32::from_ne_bytes),
    };
    let known: u32 = names.iter().map(|(bit, _)| bit).sum();
    if bits == 0 || bits & !known != 0 {
        return hex(mask);
    }
    let set: Vec<_> = names.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
    set.join(",")
}
