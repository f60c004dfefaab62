//! Expressions: the instructions that rules consist of (`NFTA_EXPR_*` and an attribute set for each).

use super::family::{NFPROTO_IPV4, NFPROTO_IPV6, nfproto};
use crate::message::{Attributes, Body, text_of};
use serde::{Deserialize, Serialize};
use std::fmt;
use zubi_model::Family;

const EXPR_NAME: u16 = 1;
const EXPR_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;
const JUMP: i32 = -3;
const GOTO: i32 = -4;
const FIB_ADDRESS_TYPE: u32 = 3;
const FIB_DADDR: u32 = 2;
const NFT_REG32_00: u32 = 8;
const LOOKUP_INVERT: u32 = 1;
const BASE_NETWORK: u32 = 1;
const BASE_TRANSPORT: u32 = 2;
const BYTEORDER_LEN: u16 = 4;
const NAT_DNAT: u32 = 1;
/// `NFT_META_MARK`.
const MARK: u32 = 3;
/// `NFT_REJECT_TCP_RST`.
const REJECT_TCP_RESET: u32 = 1;
/// `NF_NAT_RANGE_MAP_IPS`, `NF_NAT_RANGE_PROTO_SPECIFIED`: the kernel derives them from the registers.
const NAT_ADDRESS: u32 = 1;
const NAT_PORT: u32 = 2;

/// A register, numbered from 0 to 15 in words of four bytes. The kernel has two numberings for the same memory and
/// reports either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reg(pub u32);

impl Reg {
    fn number(self) -> u32 {
        NFT_REG32_00 + self.0
    }

    fn from_number(number: u32) -> Option<Self> {
        match number {
            1..=4 => Some(Reg((number - 1) * 4)),
            NFT_REG32_00..=23 => Some(Reg(number - NFT_REG32_00)),
            _ => None,
        }
    }
}

/// A value that is loaded from a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoadKey {
    /// Name of the incoming device.
    IifName,
    /// Name of the outgoing device.
    OifName,
    /// Kind of the incoming device (`IFLA_INFO_KIND`, padded like a name). Hardware devices have none.
    IifKind,
    /// Kind of the outgoing device.
    OifKind,
    /// Link group of the incoming device.
    IifGroup,
    /// Link group of the outgoing device.
    OifGroup,
    /// IPv4 or IPv6 (`NFPROTO_*`, one byte).
    NfProto,
    /// The protocol that a frame carries (`ETH_P_*` in linux/if_ether.h, two bytes).
    EtherType,
    /// State of the connection (bits).
    CtState,
    /// Status of the connection (`IPS_*` bits in linux/netfilter/nf_conntrack_common.h).
    CtStatus,
    /// Type of the destination address in the routing tables of this host (`RTN_*` in linux/rtnetlink.h).
    DaddrType,
    /// IPv4 source address.
    Ipv4Saddr,
    /// IPv4 destination address.
    Ipv4Daddr,
    /// IPv6 source address.
    Ipv6Saddr,
    /// IPv6 destination address.
    Ipv6Daddr,
    /// Transport protocol (`IPPROTO_*`, one byte).
    L4Proto,
    /// Destination port, of any transport protocol. A rule does not match packets without ports.
    DestPort,
    /// The bits of a TCP header (RFC 9293, 3.1; one byte).
    TcpFlags,
    /// The mark of the packet, which rules write and read (four bytes in the host's order).
    Mark,
}

impl LoadKey {
    /// Its length in words of four bytes.
    pub fn words(self) -> u32 {
        match self {
            LoadKey::IifName
            | LoadKey::OifName
            | LoadKey::IifKind
            | LoadKey::OifKind
            | LoadKey::Ipv6Saddr
            | LoadKey::Ipv6Daddr => 4,
            _ => 1,
        }
    }

    /// In nft words.
    pub fn word(self) -> &'static str {
        match self {
            LoadKey::IifName => "iifname",
            LoadKey::OifName => "oifname",
            LoadKey::IifKind => "meta iifkind",
            LoadKey::OifKind => "meta oifkind",
            LoadKey::IifGroup => "iifgroup",
            LoadKey::OifGroup => "oifgroup",
            LoadKey::NfProto => "meta nfproto",
            LoadKey::EtherType => "meta protocol",
            LoadKey::CtState => "ct state",
            LoadKey::CtStatus => "ct status",
            LoadKey::DaddrType => "fib daddr type",
            LoadKey::Ipv4Saddr => "ip saddr",
            LoadKey::Ipv4Daddr => "ip daddr",
            LoadKey::Ipv6Saddr => "ip6 saddr",
            LoadKey::Ipv6Daddr => "ip6 daddr",
            LoadKey::L4Proto => "meta l4proto",
            LoadKey::DestPort => "th dport",
            LoadKey::TcpFlags => "tcp flags",
            LoadKey::Mark => "meta mark",
        }
    }

    /// The family of an address; `None` for other keys.
    pub(super) fn family(self) -> Option<Family> {
        match self {
            LoadKey::Ipv4Saddr | LoadKey::Ipv4Daddr => Some(Family::V4),
            LoadKey::Ipv6Saddr | LoadKey::Ipv6Daddr => Some(Family::V6),
            _ => None,
        }
    }

    fn source(self) -> Source {
        let payload = |base, offset, len| Source::Payload { base, offset, len };
        match self {
            LoadKey::IifName => Source::Meta(6),
            LoadKey::OifName => Source::Meta(7),
            LoadKey::IifGroup => Source::Meta(21),
            LoadKey::OifGroup => Source::Meta(22),
            LoadKey::IifKind => Source::Meta(26),
            LoadKey::OifKind => Source::Meta(27),
            LoadKey::NfProto => Source::Meta(15),
            LoadKey::EtherType => Source::Meta(1),
            LoadKey::Mark => Source::Meta(MARK),
            LoadKey::L4Proto => Source::Meta(16),
            LoadKey::CtState => Source::Ct(0),
            LoadKey::CtStatus => Source::Ct(2),
            LoadKey::DaddrType => Source::Fib { result: FIB_ADDRESS_TYPE, flags: FIB_DADDR },
            LoadKey::Ipv4Saddr => payload(BASE_NETWORK, 12, 4),
            LoadKey::Ipv4Daddr => payload(BASE_NETWORK, 16, 4),
            LoadKey::Ipv6Saddr => payload(BASE_NETWORK, 8, 16),
            LoadKey::Ipv6Daddr => payload(BASE_NETWORK, 24, 16),
            LoadKey::DestPort => payload(BASE_TRANSPORT, 2, 2),
            LoadKey::TcpFlags => payload(BASE_TRANSPORT, 13, 1),
        }
    }

    fn from_source(source: Source) -> Option<Self> {
        LoadKey::ALL.into_iter().find(|key| key.source() == source)
    }

    /// The address that starts at an offset and is longer than `len` bytes, with its length.
    fn beginning(base: u32, offset: u32, len: u32) -> Option<(Self, usize)> {
        LoadKey::ALL.into_iter().find_map(|key| match key.source() {
            Source::Payload { base: b, offset: o, len: whole } if (b, o) == (base, offset) && len < whole => {
                key.family().map(|_| (key, whole as usize))
            }
            _ => None,
        })
    }

    /// All keys.
    pub const ALL: [LoadKey; 19] = [
        LoadKey::IifName,
        LoadKey::OifName,
        LoadKey::IifKind,
        LoadKey::OifKind,
        LoadKey::IifGroup,
        LoadKey::OifGroup,
        LoadKey::NfProto,
        LoadKey::EtherType,
        LoadKey::CtState,
        LoadKey::CtStatus,
        LoadKey::DaddrType,
        LoadKey::Ipv4Saddr,
        LoadKey::Ipv4Daddr,
        LoadKey::Ipv6Saddr,
        LoadKey::Ipv6Daddr,
        LoadKey::L4Proto,
        LoadKey::DestPort,
        LoadKey::TcpFlags,
        LoadKey::Mark,
    ];
}

/// The source of a [`LoadKey`] in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// `NFT_META_*`.
    Meta(u32),
    /// `NFT_CT_*`.
    Ct(u32),
    /// `NFT_FIB_RESULT_*` and `NFTA_FIB_F_*`.
    Fib { result: u32, flags: u32 },
    /// Header (`NFT_PAYLOAD_*_HEADER`), offset and length in it.
    Payload { base: u32, offset: u32, len: u32 },
}

/// How a register is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CmpOp {
    /// Equal.
    Eq,
    /// Not equal.
    Neq,
}

/// A verdict (`NF_*` in linux/netfilter.h, `NFT_*` of `enum nft_verdicts` in linux/netfilter/nf_tables.h).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Accept the packet; later base chains may still drop it.
    Accept,
    /// Drop the packet.
    Drop,
    /// Return from the chain.
    Return,
    /// Go through another chain of the table, then go on here.
    Jump(String),
    /// Go through another chain of the table instead of the rest of this one.
    Goto(String),
}

impl Verdict {
    fn code(&self) -> i32 {
        match self {
            Verdict::Drop => 0,
            Verdict::Accept => 1,
            Verdict::Jump(_) => JUMP,
            Verdict::Goto(_) => GOTO,
            Verdict::Return => -5,
        }
    }

    /// The chain of a jump or goto.
    pub fn chain(&self) -> Option<&str> {
        match self {
            Verdict::Jump(chain) | Verdict::Goto(chain) => Some(chain),
            _ => None,
        }
    }

    fn parse(verdict: &Attributes<'_>) -> Option<Self> {
        match verdict.be32(VERDICT_CODE)?.cast_signed() {
            JUMP => verdict.text(VERDICT_CHAIN).map(Verdict::Jump),
            GOTO => verdict.text(VERDICT_CHAIN).map(Verdict::Goto),
            code => [Verdict::Accept, Verdict::Drop, Verdict::Return].into_iter().find(|v| v.code() == code),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Accept => f.write_str("accept"),
            Verdict::Drop => f.write_str("drop"),
            Verdict::Return => f.write_str("return"),
            Verdict::Jump(chain) => write!(f, "jump {chain}"),
            Verdict::Goto(chain) => write!(f, "goto {chain}"),
        }
    }
}

/// One expression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expr {
    /// Load a value of the packet into a register.
    Load {
        /// The value.
        key: LoadKey,
        /// The target register.
        to: Reg,
    },
    /// `to = (from & mask) ^ 0`, over the length of the mask.
    Mask {
        /// The source register.
        from: Reg,
        /// The target register.
        to: Reg,
        /// The bits to keep.
        mask: Vec<u8>,
    },
    /// `to = from | bits`: written as `(from & !bits) ^ bits`, the one form that all kernels know.
    SetBits {
        /// The source register.
        from: Reg,
        /// The target register.
        to: Reg,
        /// The bits to set.
        bits: Vec<u8>,
    },
    /// Give the packet a register as its mark.
    SetMark {
        /// The register.
        from: Reg,
    },
    /// Go on only if the comparison holds.
    Cmp {
        /// The register.
        from: Reg,
        /// The operator.
        op: CmpOp,
        /// The value to compare with.
        value: Vec<u8>,
    },
    /// Go on only if the key is (or, inverted, is not) in the set or map.
    Lookup {
        /// The set.
        set: String,
        /// First register of the key.
        from: Reg,
        /// Whether the key must not be in it; for sets only.
        inverted: bool,
        /// First register for the data of a map.
        to: Option<Reg>,
    },
    /// Count packets and bytes.
    Counter,
    /// Replace the source by the host's address.
    Masquerade,
    /// Replace the destination. In an `inet` table packets of the other family are not changed.
    Dnat {
        /// The family of the address.
        family: Family,
        /// First register of the address.
        address: Reg,
        /// Register of the port; `None` keeps the port.
        port: Option<Reg>,
    },
    /// End the rule with a verdict.
    Verdict(Verdict),
    /// Write to the kernel's log. zubi does not use it.
    Log,
    /// Drop and answer by ICMP. zubi does not use it.
    Reject,
    /// Drop and reset the TCP connection.
    Reset,
    /// A match of xtables (linux/netfilter/nf_tables_compat.h). zubi does not use it.
    Match {
        /// The name of the extension.
        name: String,
        /// The bytes of the extension.
        info: Vec<u8>,
    },
    /// A target of xtables (linux/netfilter/nf_tables_compat.h). zubi does not use it.
    Target {
        /// The name of the extension.
        name: String,
    },
    /// An expression that zubi does not write.
    Other {
        /// Its name.
        name: String,
    },
}

impl Expr {
    /// The text of an xtables "comment" (linux/netfilter/xt_comment.h), a match that is always true.
    pub fn xt_comment(&self) -> Option<String> {
        match self {
            Expr::Match { name, info } if name == "comment" => Some(text_of(info)),
            _ => None,
        }
    }

    /// Appends it to a rule's list. Expressions that zubi does not use are written without their settings.
    pub fn encode(&self, b: &mut Body<'_>) {
        let mut put = |name: &str, fill: &dyn Fn(&mut Body<'_>)| {
            b.nested(super::NFTA_LIST_ELEM, |b| {
                b.text(EXPR_NAME, name);
                b.nested(EXPR_DATA, |b| fill(b));
            });
        };
        match self {
            Expr::Load { key, to } => match key.source() {
                Source::Meta(meta) => put("meta", &|b| {
                    b.be32(2, meta);
                    b.be32(1, to.number());
                }),
                Source::Ct(ct) => put("ct", &|b| {
                    b.be32(1, to.number());
                    b.be32(2, ct);
                }),
                Source::Fib { result, flags } => put("fib", &|b| {
                    b.be32(1, to.number());
                    b.be32(2, result);
                    b.be32(3, flags);
                }),
                Source::Payload { base, offset, len } => put("payload", &|b| {
                    b.be32(1, to.number());
                    b.be32(2, base);
                    b.be32(3, offset);
                    b.be32(4, len);
                }),
            },
            Expr::Mask { from, to, mask } => put("bitwise", &|b| {
                b.be32(1, from.number());
                b.be32(2, to.number());
                b.be32(3, mask.len() as u32);
                b.nested(4, |b| b.attr(DATA_VALUE, mask));
                b.nested(5, |b| b.attr(DATA_VALUE, &vec![0; mask.len()]));
            }),
            Expr::SetBits { from, to, bits } => put("bitwise", &|b| {
                b.be32(1, from.number());
                b.be32(2, to.number());
                b.be32(3, bits.len() as u32);
                b.nested(4, |b| b.attr(DATA_VALUE, &inverted(bits)));
                b.nested(5, |b| b.attr(DATA_VALUE, bits));
            }),
            Expr::SetMark { from } => put("meta", &|b| {
                b.be32(2, MARK);
                b.be32(3, from.number());
            }),
            Expr::Cmp { from, op, value } => put("cmp", &|b| {
                b.be32(1, from.number());
                b.be32(2, u32::from(*op == CmpOp::Neq));
                b.nested(3, |b| b.attr(DATA_VALUE, value));
            }),
            Expr::Lookup { set, from, inverted, to } => put("lookup", &|b| {
                b.text(1, set);
                b.be32(2, from.number());
                if let Some(to) = to {
                    b.be32(3, to.number());
                }
                if *inverted {
                    b.be32(5, LOOKUP_INVERT);
                }
            }),
            Expr::Counter => put("counter", &|_| ()),
            Expr::Masquerade => put("masq", &|_| ()),
            Expr::Dnat { family, address, port } => put("nat", &|b| {
                b.be32(1, NAT_DNAT);
                b.be32(2, u32::from(nfproto(*family)));
                b.be32(3, address.number());
                if let Some(port) = port {
                    b.be32(5, port.number());
                }
            }),
            Expr::Verdict(verdict) => put("immediate", &|b| {
                b.be32(1, 0);
                b.nested(2, |b| {
                    b.nested(DATA_VERDICT, |b| {
                        b.be32(VERDICT_CODE, verdict.code().cast_unsigned());
                        if let Some(chain) = verdict.chain() {
                            b.text(VERDICT_CHAIN, chain);
                        }
                    });
                });
            }),
            Expr::Log => put("log", &|_| ()),
            Expr::Reject => put("reject", &|_| ()),
            Expr::Reset => put("reject", &|b| {
                b.be32(1, REJECT_TCP_RESET);
                b.attr(2, &[0]);
            }),
            Expr::Match { name, info } => put("match", &|b| {
                b.text(1, name);
                b.attr(3, info);
            }),
            Expr::Target { name } => put("target", &|b| b.text(1, name)),
            Expr::Other { name } => put(name, &|_| ()),
        }
    }

    /// Reads a rule's list (`NFTA_RULE_EXPRESSIONS`).
    pub fn parse_all(list: Attributes<'_>) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        let mut part = None;
        for (_, item) in list {
            let item = Attributes::new(item);
            let Some(name) = item.text(EXPR_NAME) else { continue };
            let data = item.nested(EXPR_DATA).unwrap_or_else(|| Attributes::new(&[]));
            // `nft` converts the byte order of a protocol, though it is a single byte, before it looks it up in
            // intervals.
            if name == "byteorder" && data.be32(BYTEORDER_LEN) == Some(1) {
                continue;
            }
            let expr = Self::parse_named(&name, &data).unwrap_or(Expr::Other { name });
            if let (Some(part), Some(last), Expr::Cmp { from, op, value }) = (part.take(), all.last_mut(), &expr)
                && let Some((load, mask, value)) = Part::whole(part, *from, value)
            {
                *last = load;
                all.extend([mask, Expr::Cmp { from: *from, op: *op, value }]);
                continue;
            }
            part = Part::parse(&expr, &data);
            all.push(expr);
        }
        all
    }

    fn parse_named(name: &str, data: &Attributes<'_>) -> Option<Self> {
        let reg = |kind| data.be32(kind).and_then(Reg::from_number);
        let optional = |kind| if data.get(kind).is_some() { reg(kind).map(Some) } else { Some(None) };
        let value = |kind| data.nested(kind).and_then(|v| v.get(DATA_VALUE)).map(<[u8]>::to_vec);
        let load = |source| Some(Expr::Load { key: LoadKey::from_source(source)?, to: reg(1)? });
        Some(match name {
            "meta" if data.get(3).is_some() => {
                Some(Expr::SetMark { from: reg(3)? }).filter(|_| data.be32(2) == Some(MARK))?
            }
            "meta" => load(Source::Meta(data.be32(2)?))?,
            "ct" => load(Source::Ct(data.be32(2)?))?,
            "fib" => load(Source::Fib { result: data.be32(2)?, flags: data.be32(3)? })?,
            "payload" => load(Source::Payload { base: data.be32(2)?, offset: data.be32(3)?, len: data.be32(4)? })?,
            "bitwise" if value(5)?.iter().all(|b| *b == 0) => {
                Expr::Mask { from: reg(1)?, to: reg(2)?, mask: value(4)? }
            }
            "bitwise" if value(4)? == inverted(&value(5)?) => {
                Expr::SetBits { from: reg(1)?, to: reg(2)?, bits: value(5)? }
            }
            "cmp" => {
                let op = match data.be32(2)? {
                    0 => CmpOp::Eq,
                    1 => CmpOp::Neq,
                    _ => return None,
                };
                Expr::Cmp { from: reg(1)?, op, value: value(3)? }
            }
            "lookup" => Expr::Lookup {
                set: data.text(1)?,
                from: reg(2)?,
                inverted: data.be32(5).is_some_and(|f| f & LOOKUP_INVERT != 0),
                // A verdict map uses the verdict register, which `Reg` does not have.
                to: optional(3)?,
            },
            "counter" => Expr::Counter,
            "masq" => Expr::Masquerade,
            "log" => Expr::Log,
            "reject" if data.be32(1) == Some(REJECT_TCP_RESET) => Expr::Reset,
            "reject" => Expr::Reject,
            "match" => Expr::Match { name: data.text(1)?, info: data.get(3).unwrap_or_default().to_vec() },
            "target" => Expr::Target { name: data.text(1)? },
            "nat" if data.be32(1) == Some(NAT_DNAT) => Self::parse_dnat(data)?,
            "immediate" if data.be32(1) == Some(0) => {
                Expr::Verdict(Verdict::parse(&data.nested(2)?.nested(DATA_VERDICT)?)?)
            }
            _ => return None,
        })
    }

    /// Reads a translation to one address and at most one port. If the kernel also reports the end of a range, it is
    /// the same register.
    fn parse_dnat(data: &Attributes<'_>) -> Option<Self> {
        let family = match u8::try_from(data.be32(2)?) {
            Ok(NFPROTO_IPV4) => Family::V4,
            Ok(NFPROTO_IPV6) => Family::V6,
            _ => return None,
        };
        let reg = |kind| data.be32(kind).and_then(Reg::from_number);
        let (address, port) = (reg(3)?, reg(5));
        let single =
            [(4, 3), (6, 5)].into_iter().all(|(last, first)| data.get(last).is_none() || reg(last) == reg(first));
        let flags = NAT_ADDRESS | if port.is_some() { NAT_PORT } else { 0 };
        (single && data.be32(7).is_none_or(|f| f == flags)).then_some(Expr::Dnat { family, address, port })
    }
}

fn inverted(bits: &[u8]) -> Vec<u8> {
    bits.iter().map(|byte| !byte).collect()
}

/// A load of only the first bytes of an address: `nft` checks prefixes of whole bytes this way.
#[derive(Debug, Clone, Copy)]
struct Part {
    key: LoadKey,
    /// The length of the whole address.
    len: usize,
    to: Reg,
}

impl Part {
    /// Reads a load that [`Expr`] does not know.
    fn parse(expr: &Expr, data: &Attributes<'_>) -> Option<Self> {
        if !matches!(expr, Expr::Other { name } if name == "payload") {
            return None;
        }
        let (key, len) = LoadKey::beginning(data.be32(2)?, data.be32(3)?, data.be32(4)?)?;
        Some(Part { key, len, to: data.be32(1).and_then(Reg::from_number)? })
    }

    /// The same check in zubi's form: the whole address is loaded, masked, and compared with the value.
    fn whole(self, from: Reg, value: &[u8]) -> Option<(Expr, Expr, Vec<u8>)> {
        if from != self.to || value.is_empty() || value.len() >= self.len {
            return None;
        }
        let filled = |mut bytes: Vec<u8>| {
            bytes.resize(self.len, 0);
            bytes
        };
        let mask = Expr::Mask { from, to: from, mask: filled(vec![0xff; value.len()]) };
        Some((Expr::Load { key: self.key, to: self.to }, mask, filled(value.to_vec())))
    }
}
