//! Expressions: the small machine language rules are made of (`NFTA_EXPR_*` and one attribute set each).

use crate::message::{Attributes, Body};

const EXPR_NAME: u16 = 1;
const EXPR_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const NFT_REG32_00: u32 = 8;
const LOOKUP_INVERT: u32 = 1;

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
        }
    }

    /// `NFT_META_*`.
    fn meta(self) -> Option<u32> {
        match self {
            LoadKey::IifName => Some(6),
            LoadKey::OifName => Some(7),
            LoadKey::NfProto => Some(15),
            _ => None,
        }
    }

    /// Offset and length in the network header.
    fn payload(self) -> Option<(u32, u32)> {
        match self {
            LoadKey::Ipv4Saddr => Some((12, 4)),
            LoadKey::Ipv4Daddr => Some((16, 4)),
            LoadKey::Ipv6Saddr => Some((8, 16)),
            LoadKey::Ipv6Daddr => Some((24, 16)),
            _ => None,
        }
    }

    const ALL: [LoadKey; 8] = [
        LoadKey::IifName,
        LoadKey::OifName,
        LoadKey::NfProto,
        LoadKey::CtState,
        LoadKey::Ipv4Saddr,
        LoadKey::Ipv4Daddr,
        LoadKey::Ipv6Saddr,
        LoadKey::Ipv6Daddr,
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
    /// Go on only if the key is (or, inverted, is not) in the set.
    Lookup {
        /// The set.
        set: String,
        /// First register of the key.
        from: Reg,
        /// Negation.
        inverted: bool,
    },
    /// Count packets and bytes.
    Counter,
    /// Take the host's address as source.
    Masquerade,
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
                } else if let Some((offset, len)) = key.payload() {
                    put("payload", &|b| {
                        b.be32(1, to.number());
                        b.be32(2, 1);
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
            Expr::Lookup { set, from, inverted } => put("lookup", &|b| {
                b.text(1, set);
                b.be32(2, from.number());
                if *inverted {
                    b.be32(5, LOOKUP_INVERT);
                }
            }),
            Expr::Counter => put("counter", &|_| ()),
            Expr::Masquerade => put("masq", &|_| ()),
            Expr::Verdict(verdict) => put("immediate", &|b| {
                b.be32(1, 0);
                b.nested(2, |b| b.nested(DATA_VERDICT, |b| b.be32(VERDICT_CODE, verdict.code().cast_unsigned())));
            }),
            Expr::Other { name } => put(name, &|_| ()),
        }
    }

    /// Reads one of a rule's list.
    pub fn parse(item: &Attributes<'_>) -> Option<Self> {
        let name = item.text(EXPR_NAME)?;
        let data = item.nested(EXPR_DATA).unwrap_or_else(|| Attributes::new(&[]));
        Some(Self::parse_named(&name, &data).unwrap_or(Expr::Other { name }))
    }

    fn parse_named(name: &str, data: &Attributes<'_>) -> Option<Self> {
        let reg = |kind| data.be32(kind).and_then(Reg::from_number);
        let value = |kind| data.nested(kind).and_then(|v| v.get(DATA_VALUE)).map(<[u8]>::to_vec);
        let find = |matches: &dyn Fn(&LoadKey) -> bool| LoadKey::ALL.into_iter().find(|k| matches(k));
        Some(match name {
            "meta" => {
                let meta = data.be32(2)?;
                Expr::Load { key: find(&|k| k.meta() == Some(meta))?, to: reg(1)? }
            }
            "payload" if data.be32(2) == Some(1) => {
                let place = (data.be32(3)?, data.be32(4)?);
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
            "lookup" if data.get(3).is_none() => Expr::Lookup {
                set: data.text(1)?,
                from: reg(2)?,
                inverted: data.be32(5).is_some_and(|f| f & LOOKUP_INVERT != 0),
            },
            "counter" => Expr::Counter,
            "masq" => Expr::Masquerade,
            "immediate" if data.be32(1) == Some(0) => {
                let code = data.nested(2)?.nested(DATA_VERDICT)?.be32(VERDICT_CODE)?.cast_signed();
                let all = [Verdict::Accept, Verdict::Drop, Verdict::Return];
                Expr::Verdict(all.into_iter().find(|v| v.code() == code)?)
            }
            _ => return None,
        })
    }
}
