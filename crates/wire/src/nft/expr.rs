//! Expressions: the small machine language rules are made of (`NFTA_EXPR_*` and one attribute set each).

use super::words::{NFPROTO_IPV4, NFPROTO_IPV6};
use crate::message::{Attributes, Body};
use zubi_model::Family;

const EXPR_NAME: u16 = 1;
const EXPR_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const NFT_REG32_00: u32 = 8;
const LOOKUP_INVERT: u32 = 1;
const BASE_NETWORK: u32 = 1;
const BASE_TRANSPORT: u32 = 2;
const BYTEORDER_LEN: u16 = 4;
const NAT_DNAT: u32 = 1;
/// `NF_NAT_RANGE_MAP_IPS`, `NF_NAT_RANGE_PROTO_SPECIFIED`: the kernel sets them by the registers it is given.
const NAT_ADDRESS: u32 = 1;
const NAT_PORT: u32 = 2;

/// A register, counted in words of four bytes from 0 to 15. The kernel has two numberings for the same memory and
/// reports in the one of its choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// What is loaded from a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadKey {
    /// Name of the incoming device.
    IifName,
    /// Name of the outgoing device.
    OifName,
    /// IPv4 or IPv6 (`NFPROTO_*`, one byte).
    NfProto,
    /// State of the connection (bits).
    CtState,
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
    /// Destination port, of whichever transport protocol. A packet without ports goes past the rule.
    DestPort,
}

impl LoadKey {
    /// Its words of four bytes.
    pub fn words(self) -> u32 {
        match self {
            LoadKey::IifName | LoadKey::OifName | LoadKey::Ipv6Saddr | LoadKey::Ipv6Daddr => 4,
            _ => 1,
        }
    }

    /// In nft words.
    pub fn word(self) -> &'static str {
        match self {
            LoadKey::IifName => "iifname",
            LoadKey::OifName => "oifname",
            LoadKey::NfProto => "meta nfproto",
            LoadKey::CtState => "ct state",
            LoadKey::Ipv4Saddr => "ip saddr",
            LoadKey::Ipv4Daddr => "ip daddr",
            LoadKey::Ipv6Saddr => "ip6 saddr",
            LoadKey::Ipv6Daddr => "ip6 daddr",
            LoadKey::L4Proto => "meta l4proto",
            LoadKey::DestPort => "th dport",
        }
    }

    /// `NFT_META_*`.
    fn meta(self) -> Option<u32> {
        match self {
            LoadKey::IifName => Some(6),
            LoadKey::OifName => Some(7),
            LoadKey::NfProto => Some(15),
            LoadKey::L4Proto => Some(16),
            _ => None,
        }
    }

    /// Header (`NFT_PAYLOAD_*_HEADER`), offset and length in it.
    fn payload(self) -> Option<(u32, u32, u32)> {
        match self {
            LoadKey::Ipv4Saddr => Some((BASE_NETWORK, 12, 4)),
            LoadKey::Ipv4Daddr => Some((BASE_NETWORK, 16, 4)),
            LoadKey::Ipv6Saddr => Some((BASE_NETWORK, 8, 16)),
            LoadKey::Ipv6Daddr => Some((BASE_NETWORK, 24, 16)),
            LoadKey::DestPort => Some((BASE_TRANSPORT, 2, 2)),
            _ => None,
        }
    }

    const ALL: [LoadKey; 10] = [
        LoadKey::IifName,
        LoadKey::OifName,
        LoadKey::NfProto,
        LoadKey::CtState,
        LoadKey::Ipv4Saddr,
        LoadKey::Ipv4Daddr,
        LoadKey::Ipv6Saddr,
        LoadKey::Ipv6Daddr,
        LoadKey::L4Proto,
        LoadKey::DestPort,
    ];
}

/// How a register is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CmpOp {
    /// Equal.
    Eq,
    /// Not equal.
    Neq,
}

/// The end of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Let pass; later chains may still drop.
    Accept,
    /// Drop, finally.
    Drop,
    /// Leave the chain.
    Return,
}

impl Verdict {
    fn code(self) -> i32 {
        match self {
            Verdict::Drop => 0,
            Verdict::Accept => 1,
            Verdict::Return => -5,
        }
    }

    /// In nft words.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Accept => "accept",
            Verdict::Drop => "drop",
            Verdict::Return => "return",
        }
    }
}

/// One expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// Load something of the packet into a register.
    Load {
        /// What.
        key: LoadKey,
        /// Where to.
        to: Reg,
    },
    /// `to = (from & mask) ^ 0`, over the length of the mask.
    Mask {
        /// From where.
        from: Reg,
        /// Where to.
        to: Reg,
        /// The bits that stay.
        mask: Vec<u8>,
    },
    /// Go on only if the comparison holds.
    Cmp {
        /// The register.
        from: Reg,
        /// How.
        op: CmpOp,
        /// With what.
        value: Vec<u8>,
    },
    /// Go on only if the key is (or, inverted, is not) in the set or map.
    Lookup {
        /// The set.
        set: String,
        /// First register of the key.
        from: Reg,
        /// Negation, of sets only.
        inverted: bool,
        /// First register for what a map holds for the key.
        to: Option<Reg>,
    },
    /// Count packets and bytes.
    Counter,
    /// Take the host's address as source.
    Masquerade,
    /// Take another destination. In an `inet` table packets of the other family go on as they are.
    Dnat {
        /// Of the address.
        family: Family,
        /// First register of the address.
        address: Reg,
        /// Register of the port; without, it stays.
        port: Option<Reg>,
    },
    /// End.
    Verdict(Verdict),
    /// One that zubi does not write.
    Other {
        /// Its name.
        name: String,
    },
}

impl Expr {
    /// Appends it to a rule's list.
    pub fn encode(&self, b: &mut Body<'_>) {
        let mut put = |name: &str, fill: &dyn Fn(&mut Body<'_>)| {
            b.nested(super::NFTA_LIST_ELEM, |b| {
                b.text(EXPR_NAME, name);
                b.nested(EXPR_DATA, |b| fill(b));
            });
        };
        match self {
            Expr::Load { key, to } => {
                if let Some(meta) = key.meta() {
                    put("meta", &|b| {
                        b.be32(2, meta);
                        b.be32(1, to.number());
                    });
                } else if let Some((base, offset, len)) = key.payload() {
                    put("payload", &|b| {
                        b.be32(1, to.number());
                        b.be32(2, base);
                        b.be32(3, offset);
                        b.be32(4, len);
                    });
                } else {
                    put("ct", &|b| {
                        b.be32(1, to.number());
                        b.be32(2, 0);
                    });
                }
            }
            Expr::Mask { from, to, mask } => put("bitwise", &|b| {
                b.be32(1, from.number());
                b.be32(2, to.number());
                b.be32(3, mask.len() as u32);
                b.nested(4, |b| b.attr(DATA_VALUE, mask));
                b.nested(5, |b| b.attr(DATA_VALUE, &vec![0; mask.len()]));
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
                b.nested(2, |b| b.nested(DATA_VERDICT, |b| b.be32(VERDICT_CODE, verdict.code().cast_unsigned())));
            }),
            Expr::Other { name } => put(name, &|_| ()),
        }
    }

    /// Reads one of a rule's list; `None` for one that does nothing.
    pub fn parse(item: &Attributes<'_>) -> Option<Self> {
        let name = item.text(EXPR_NAME)?;
        let data = item.nested(EXPR_DATA).unwrap_or_else(|| Attributes::new(&[]));
        // `nft` turns the single byte of a protocol before it looks it up in intervals.
        if name == "byteorder" && data.be32(BYTEORDER_LEN) == Some(1) {
            return None;
        }
        Some(Self::parse_named(&name, &data).unwrap_or(Expr::Other { name }))
    }

    fn parse_named(name: &str, data: &Attributes<'_>) -> Option<Self> {
        let reg = |kind| data.be32(kind).and_then(Reg::from_number);
        let optional = |kind| if data.get(kind).is_some() { reg(kind).map(Some) } else { Some(None) };
        let value = |kind| data.nested(kind).and_then(|v| v.get(DATA_VALUE)).map(<[u8]>::to_vec);
        let find = |matches: &dyn Fn(&LoadKey) -> bool| LoadKey::ALL.into_iter().find(|k| matches(k));
        Some(match name {
            "meta" => {
                let meta = data.be32(2)?;
                Expr::Load { key: find(&|k| k.meta() == Some(meta))?, to: reg(1)? }
            }
            "payload" => {
                let place = (data.be32(2)?, data.be32(3)?, data.be32(4)?);
                Expr::Load { key: find(&|k| k.payload() == Some(place))?, to: reg(1)? }
            }
            "ct" if data.be32(2) == Some(0) => Expr::Load { key: LoadKey::CtState, to: reg(1)? },
            "bitwise" if value(5)?.iter().all(|b| *b == 0) => {
                Expr::Mask { from: reg(1)?, to: reg(2)?, mask: value(4)? }
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
                // A map to verdicts has the verdict register, which is none of ours.
                to: optional(3)?,
            },
            "counter" => Expr::Counter,
            "masq" => Expr::Masquerade,
            "nat" if data.be32(1) == Some(NAT_DNAT) => Self::parse_dnat(data)?,
            "immediate" if data.be32(1) == Some(0) => {
                let code = data.nested(2)?.nested(DATA_VERDICT)?.be32(VERDICT_CODE)?.cast_signed();
                let all = [Verdict::Accept, Verdict::Drop, Verdict::Return];
                Expr::Verdict(all.into_iter().find(|v| v.code() == code)?)
            }
            _ => return None,
        })
    }

    /// To one address and at most one port: the kernel reports the ends of ranges too, here the same registers.
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

fn nfproto(family: Family) -> u8 {
    match family {
        Family::V4 => NFPROTO_IPV4,
        Family::V6 => NFPROTO_IPV6,
    }
}
