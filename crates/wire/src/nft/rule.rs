//! Rules (`NFTA_RULE_*`): lists of expressions that print in nft words and can be read back.

use super::family::{ProtocolCheck, ether_type, nfproto};
use super::words::words;
use super::{CREATE, CmpOp, Expr, HEADER, LoadKey, Reg, Table, Verdict, ask, change};
use crate::message::{Batch, Message, flag, text_of};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use zubi_model::{Family, LinkGroup, Protocol};

pub(super) const NEWRULE: u16 = 6;
const GETRULE: u16 = 7;
const DELRULE: u16 = 8;
pub(super) const TABLE: u16 = 1;
pub(super) const CHAIN: u16 = 2;
pub(super) const HANDLE: u16 = 3;
pub(super) const EXPRESSIONS: u16 = 4;
pub(super) const POSITION: u16 = 6;
pub(super) const USERDATA: u16 = 7;
/// `NFTNL_UDATA_RULE_COMMENT` of libnftnl.
const UDATA_COMMENT: u8 = 0;
/// `NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED)`.
const ESTABLISHED_RELATED: u32 = 2 | 4;

/// `IPS_DST_NAT` in linux/netfilter/nf_conntrack_common.h.
const DESTINATION_CHANGED: u32 = 1 << 5;
/// The bit of a segment that opens a connection (RFC 9293, 3.1).
const TCP_SYN: u8 = 2;
/// `RTN_LOCAL` in linux/rtnetlink.h.
const LOCAL: u32 = 2;

/// Whether a rule matches keys in a set or keys not in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Membership {
    In,
    Out,
}

/// A rule at the end of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its table.
    pub table: Table,
    /// Its chain.
    pub chain: String,
    /// Its expressions.
    pub exprs: Vec<Expr>,
    /// Its comment, which `nft list` shows.
    pub comment: Option<String>,
}

impl Rule {
    /// An empty rule.
    pub fn new(table: &Table, chain: &str) -> Self {
        Rule { table: table.clone(), chain: chain.into(), exprs: Vec::new(), comment: None }
    }

    /// An address field exists in packets of one protocol only, so a table that sees several protocols has to check the
    /// protocol first.
    fn need_family(&mut self, keys: &[LoadKey]) {
        let Some(family) = keys.iter().find_map(|k| k.family()) else { return };
        let (key, value) = match self.table.family.protocol_check() {
            ProtocolCheck::NfProto => (LoadKey::NfProto, vec![nfproto(family)]),
            ProtocolCheck::EtherType => (LoadKey::EtherType, ether_type(family).to_be_bytes().to_vec()),
            ProtocolCheck::None => return,
        };
        let check = Expr::Cmp { from: Reg(0), op: CmpOp::Eq, value };
        if !self.exprs.contains(&check) {
            self.exprs.push(Expr::Load { key, to: Reg(0) });
            self.exprs.push(check);
        }
    }

    fn lookup(mut self, keys: &[LoadKey], set: &str, membership: Membership, to: Option<Reg>) -> Self {
        self.need_family(keys);
        let mut at = 0;
        for key in keys {
            self.exprs.push(Expr::Load { key: *key, to: Reg(at) });
            at += key.words();
        }
        let inverted = membership == Membership::Out;
        self.exprs.push(Expr::Lookup { set: set.into(), from: Reg(0), inverted, to });
        self
    }

    /// `KEY . KEY @set`.
    #[must_use]
    pub fn in_set(self, keys: &[LoadKey], set: &str) -> Self {
        self.lookup(keys, set, Membership::In, None)
    }

    /// `KEY . KEY != @set`.
    #[must_use]
    pub fn not_in_set(self, keys: &[LoadKey], set: &str) -> Self {
        self.lookup(keys, set, Membership::Out, None)
    }

    /// `iifname != "lo"`.
    #[must_use]
    pub fn not_from_loopback(mut self) -> Self {
        let mut name = b"lo".to_vec();
        name.resize(16, 0);
        self.exprs.push(Expr::Load { key: LoadKey::IifName, to: Reg(0) });
        self.exprs.push(Expr::Cmp { from: Reg(0), op: CmpOp::Neq, value: name });
        self
    }

    /// `meta iifkind KIND`, by [`LoadKey::IifKind`] or [`LoadKey::OifKind`]. Hardware devices have no kind and never
    /// match.
    #[must_use]
    pub fn of_kind(mut self, key: LoadKey, kind: &str) -> Self {
        let mut kind = kind.as_bytes().to_vec();
        kind.resize(16, 0);
        self.exprs.push(Expr::Load { key, to: Reg(0) });
        self.exprs.push(Expr::Cmp { from: Reg(0), op: CmpOp::Eq, value: kind });
        self
    }

    /// `iifgroup GROUP`, by [`LoadKey::IifGroup`] or [`LoadKey::OifGroup`].
    #[must_use]
    pub fn in_group(mut self, key: LoadKey, LinkGroup(group): LinkGroup) -> Self {
        self.exprs.push(Expr::Load { key, to: Reg(0) });
        self.exprs.push(Expr::Cmp { from: Reg(0), op: CmpOp::Eq, value: group.to_ne_bytes().to_vec() });
        self
    }

    /// `ct state established,related`.
    #[must_use]
    pub fn established(self) -> Self {
        self.any_bit(LoadKey::CtState, ESTABLISHED_RELATED)
    }

    /// `ct status dnat`: connections whose destination was changed by a rule of any table.
    #[must_use]
    pub fn translated(self) -> Self {
        self.any_bit(LoadKey::CtStatus, DESTINATION_CHANGED)
    }

    fn any_bit(mut self, key: LoadKey, bits: u32) -> Self {
        self.exprs.push(Expr::Load { key, to: Reg(0) });
        self.exprs.push(Expr::Mask { from: Reg(0), to: Reg(0), mask: bits.to_ne_bytes().to_vec() });
        self.exprs.push(Expr::Cmp { from: Reg(0), op: CmpOp::Neq, value: vec![0; 4] });
        self
    }

    /// `fib daddr type != local`.
    #[must_use]
    pub fn not_for_this_host(mut self) -> Self {
        self.exprs.push(Expr::Load { key: LoadKey::DaddrType, to: Reg(0) });
        self.exprs.push(Expr::Cmp { from: Reg(0), op: CmpOp::Neq, value: LOCAL.to_ne_bytes().to_vec() });
        self
    }

    /// `fib daddr type local`.
    #[must_use]
    pub fn for_this_host(mut self) -> Self {
        self.exprs.push(Expr::Load { key: LoadKey::DaddrType, to: Reg(0) });
        self.exprs.push(Expr::Cmp { from: Reg(0), op: CmpOp::Eq, value: LOCAL.to_ne_bytes().to_vec() });
        self
    }

    /// `ip daddr PREFIX`. A prefix of full length prints as the address it is.
    #[must_use]
    pub fn to_prefix(self, net: IpNet) -> Self {
        self.within(net, LoadKey::Ipv4Daddr, LoadKey::Ipv6Daddr)
    }

    /// `ip saddr PREFIX`.
    #[must_use]
    pub fn from_prefix(self, net: IpNet) -> Self {
        self.within(net, LoadKey::Ipv4Saddr, LoadKey::Ipv6Saddr)
    }

    /// Uses a mask, except for a whole address. For prefixes of whole bytes `nft` loads only these bytes. `nft` and
    /// zubi both read either form, and list both alike.
    fn within(mut self, net: IpNet, v4: LoadKey, v6: LoadKey) -> Self {
        let key = if net.addr().is_ipv4() { v4 } else { v6 };
        self.need_family(&[key]);
        self.exprs.push(Expr::Load { key, to: Reg(0) });
        if net.prefix_len() < net.max_prefix_len() {
            self.exprs.push(Expr::Mask { from: Reg(0), to: Reg(0), mask: octets(net.netmask()) });
        }
        self.exprs.push(Expr::Cmp { from: Reg(0), op: CmpOp::Eq, value: octets(net.network()) });
        self
    }

    /// `tcp flags ! syn`: segments that do not open a TCP connection.
    #[must_use]
    pub fn in_mid_stream(mut self) -> Self {
        self.exprs.push(Expr::Load { key: LoadKey::L4Proto, to: Reg(0) });
        self.exprs.push(Expr::Cmp { from: Reg(0), op: CmpOp::Eq, value: vec![Protocol::Tcp.number()] });
        self.exprs.push(Expr::Load { key: LoadKey::TcpFlags, to: Reg(0) });
        self.exprs.push(Expr::Mask { from: Reg(0), to: Reg(0), mask: vec![TCP_SYN] });
        self.exprs.push(Expr::Cmp { from: Reg(0), op: CmpOp::Eq, value: vec![0] });
        self
    }

    /// `counter reject with tcp reset`.
    #[must_use]
    pub fn counted_reset(mut self) -> Self {
        self.exprs.extend([Expr::Counter, Expr::Reset]);
        self
    }

    /// `meta mark set meta mark | BITS`.
    #[must_use]
    pub fn set_mark_bits(mut self, bits: u32) -> Self {
        self.exprs.extend([
            Expr::Load { key: LoadKey::Mark, to: Reg(0) },
            Expr::SetBits { from: Reg(0), to: Reg(0), bits: bits.to_ne_bytes().to_vec() },
            Expr::SetMark { from: Reg(0) },
        ]);
        self
    }

    /// `masquerade`.
    #[must_use]
    pub fn masquerade(mut self) -> Self {
        self.exprs.push(Expr::Masquerade);
        self
    }

    /// `dnat ip to KEY . KEY map @map`, for a map to addresses: the port stays. A packet goes on to the next rule if
    /// its key is missing.
    #[must_use]
    pub fn dnat_to_address(mut self, family: Family, keys: &[LoadKey], map: &str) -> Self {
        self = self.lookup(keys, map, Membership::In, Some(Reg(0)));
        self.exprs.push(Expr::Dnat { family, address: Reg(0), port: None });
        self
    }

    /// `dnat ip to KEY . KEY map @map`, for a map to addresses . ports. `nft` distinguishes the two by the map.
    #[must_use]
    pub fn dnat_to_address_and_port(mut self, family: Family, keys: &[LoadKey], map: &str) -> Self {
        let words = if family == Family::V4 { 1 } else { 4 };
        self = self.lookup(keys, map, Membership::In, Some(Reg(0)));
        self.exprs.push(Expr::Dnat { family, address: Reg(0), port: Some(Reg(words)) });
        self
    }

    /// `accept`.
    #[must_use]
    pub fn accept(mut self) -> Self {
        self.exprs.push(Expr::Verdict(Verdict::Accept));
        self
    }

    /// `return`: goes on after the rule that jumped here; in a base chain, with the chain's policy.
    #[must_use]
    pub fn leave(mut self) -> Self {
        self.exprs.push(Expr::Verdict(Verdict::Return));
        self
    }

    /// `jump CHAIN`, a regular chain of the same table.
    #[must_use]
    pub fn jump(mut self, chain: &str) -> Self {
        self.exprs.push(Expr::Verdict(Verdict::Jump(chain.into())));
        self
    }

    /// `counter drop`: the counter shows how much was dropped.
    #[must_use]
    pub fn counted_drop(mut self) -> Self {
        self.exprs.extend([Expr::Counter, Expr::Verdict(Verdict::Drop)]);
        self
    }

    /// `comment "..."`.
    #[must_use]
    pub fn comment(mut self, text: &str) -> Self {
        self.comment = Some(text.into());
        self
    }

    /// Appends `nft add rule`.
    pub fn encode(&self, batch: &mut Batch) {
        change(batch, self.table.family, NEWRULE, CREATE | flag::APPEND, |b| {
            b.text(TABLE, &self.table.name);
            b.text(CHAIN, &self.chain);
            b.nested(EXPRESSIONS, |b| self.exprs.iter().for_each(|e| e.encode(b)));
            if let Some(comment) = &self.comment {
                b.attr(USERDATA, &comment_data(comment));
            }
        });
    }
}

/// A comment in the format of `nft`, which is opaque to the kernel: number, length, value.
pub(super) fn comment_data(comment: &str) -> Vec<u8> {
    let mut data = vec![UDATA_COMMENT, (comment.len() + 1) as u8];
    data.extend_from_slice(comment.as_bytes());
    data.push(0);
    data
}

fn comment_in(mut data: &[u8]) -> Option<String> {
    while let [number, len, rest @ ..] = data {
        let (value, behind) = rest.split_at_checked(usize::from(*len))?;
        if *number == UDATA_COMMENT {
            return Some(text_of(value));
        }
        data = behind;
    }
    None
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {} {} {}", self.table.words(), self.chain, words(&self.exprs))?;
        match &self.comment {
            Some(comment) => write!(f, " comment \"{comment}\""),
            None => Ok(()),
        }
    }
}

/// The position of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleAt {
    /// Its table.
    pub table: Table,
    /// Its chain.
    pub chain: String,
    /// The kernel's handle of the rule in the table.
    pub handle: u64,
}

impl RuleAt {
    /// Appends `nft delete rule`. ENOENT if it is gone.
    pub fn encode_delete(&self, batch: &mut Batch) {
        change(batch, self.table.family, DELRULE, flag::REQUEST | flag::ACK, |b| {
            b.text(TABLE, &self.table.name);
            b.text(CHAIN, &self.chain);
            // Without a handle the kernel deletes all rules of the chain.
            b.be64(HANDLE, self.handle);
        });
    }
}

impl fmt::Display for RuleAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "delete rule {} {} handle {}", self.table.words(), self.chain, self.handle)
    }
}

/// A rule as the kernel reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleSeen {
    /// The rule.
    pub rule: Rule,
    /// The kernel's handle of the rule.
    pub handle: u64,
}

impl RuleSeen {
    /// Reads an `NFT_MSG_NEWRULE`.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let family = super::family_of(message, NEWRULE)?;
        let a = message.attributes(HEADER);
        Some(RuleSeen {
            rule: Rule {
                table: Table::new(family, a.text(TABLE)?),
                chain: a.text(CHAIN)?,
                exprs: a.nested(EXPRESSIONS).map(Expr::parse_all).unwrap_or_default(),
                comment: a.get(USERDATA).and_then(comment_in),
            },
            handle: a.be64(HANDLE).unwrap_or(0),
        })
    }

    /// Appends a query for all rules of a table, or of one of its chains.
    pub fn dump(batch: &mut Batch, table: &Table, chain: Option<&str>) {
        ask(batch, table.family, GETRULE, flag::DUMP, |b| {
            b.text(TABLE, &table.name);
            if let Some(chain) = chain {
                b.text(CHAIN, chain);
            }
        });
    }

    /// Its comment, whether `nft` or `iptables` wrote it.
    pub fn comment(&self) -> Option<String> {
        self.rule.comment.clone().or_else(|| self.rule.exprs.iter().find_map(Expr::xt_comment))
    }

    /// Its position.
    pub fn at(&self) -> RuleAt {
        RuleAt { table: self.rule.table.clone(), chain: self.rule.chain.clone(), handle: self.handle }
    }
}

impl fmt::Display for RuleSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rule.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Messages;
    use crate::nft::TableFamily;
    use LoadKey::{DestPort, IifGroup, IifKind, IifName, Ipv4Daddr, L4Proto, NfProto, OifGroup, OifKind, OifName};

    const ZUBI: Table = Table::named(TableFamily::Inet, "zubi");

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn the_middle_of_a_connection_prints_and_reads_back() {
        let rule = Rule::new(&ZUBI, "forward").in_set(&[IifName], "bridges").in_mid_stream().counted_reset();
        let words = "iifname @bridges tcp flags ! syn counter reject with tcp reset";
        assert_eq!(rule.to_string(), format!("rule inet zubi forward {words}"));
        let mut batch = Batch::new();
        rule.encode(&mut batch);
        let read = Messages::new(batch.bytes()).find_map(|m| RuleSeen::parse(&m)).map(|seen| seen.rule);
        assert_eq!(read, Some(rule));
    }

    fn unrelated_forwarding() -> Rule {
        Rule::new(&ZUBI, "guard")
            .in_set(&[NfProto], "closed")
            .of_kind(IifKind, "bridge")
            .in_group(IifGroup, LinkGroup::OURS)
            .counted_drop()
    }

    fn sample() -> Rule {
        Rule::new(&ZUBI, "guard")
            .not_from_loopback()
            .in_set(&[Ipv4Daddr], "masquerade4")
            .not_in_set(&[IifName, Ipv4Daddr], "home4")
            .counted_drop()
            .comment("direct")
    }

    #[test]
    fn a_rule_prints_in_nft_words() {
        assert_eq!(
            sample().to_string(),
            "rule inet zubi guard iifname != \"lo\" ip daddr @masquerade4 iifname . ip daddr != @home4 counter drop comment \"direct\""
        );
        let forward = Rule::new(&ZUBI, "forward").established().in_set(&[IifName, OifName], "icc").accept();
        assert_eq!(
            forward.to_string(),
            "rule inet zubi forward ct state established,related iifname . oifname @icc accept"
        );
    }

    #[test]
    fn a_new_destination_prints_in_nft_words() {
        let rule = Rule::new(&ZUBI, "publish");
        assert_eq!(
            rule.clone().dnat_to_address_and_port(Family::V4, &[L4Proto, DestPort], "publish4").to_string(),
            "rule inet zubi publish dnat ip to meta l4proto . th dport map @publish4"
        );
        assert_eq!(
            rule.dnat_to_address(Family::V4, &[Ipv4Daddr, L4Proto, DestPort], "range4").to_string(),
            "rule inet zubi publish dnat ip to ip daddr . meta l4proto . th dport map @range4"
        );
    }

    #[test]
    fn tests_and_ways_out_print_in_nft_words() {
        let rule = || Rule::new(&ZUBI, "publish");
        for (rule, words) in [
            (rule().translated().accept(), "ct status dnat accept"),
            (rule().not_for_this_host().leave(), "fib daddr type != local return"),
            (rule().to_prefix(net("127.0.0.0/8")).leave(), "ip daddr 127.0.0.0/8 return"),
            (rule().from_prefix(net("10.1.128.7/17")).leave(), "ip saddr 10.1.128.0/17 return"),
            (rule().from_prefix(net("0.0.0.0/0")).leave(), "ip saddr 0.0.0.0/0 return"),
            (rule().to_prefix(net("fe80::/10")).leave(), "ip6 daddr fe80::/10 return"),
            (rule().to_prefix(net("::1/128")).leave(), "ip6 daddr ::1 return"),
            (rule().jump("ports"), "jump ports"),
            (rule().of_kind(OifKind, "bridge").leave(), "meta oifkind \"bridge\" return"),
            (rule().in_group(OifGroup, LinkGroup(7)).leave(), "oifgroup 7 return"),
        ] {
            assert_eq!(rule.to_string(), format!("rule inet zubi publish {words}"));
        }
    }

    #[test]
    fn half_an_address_that_is_not_compared_is_none_of_ours() {
        let mut batch = Batch::new();
        change(&mut batch, ZUBI.family, NEWRULE, CREATE, |b| {
            b.text(TABLE, "zubi");
            b.text(CHAIN, "publish");
            b.nested(EXPRESSIONS, |b| {
                b.nested(1, |b| {
                    b.text(1, "payload");
                    b.nested(2, |b| (1..).zip([1, 1, 16, 2]).for_each(|(kind, value)| b.be32(kind, value)));
                });
                Expr::Cmp { from: Reg(1), op: CmpOp::Eq, value: vec![10, 1] }.encode(b);
            });
        });
        let message = Messages::new(batch.bytes()).next().unwrap();
        let other = Expr::Other { name: "payload".into() };
        assert_eq!(RuleSeen::parse(&message).unwrap().rule.exprs[0], other);
    }

    #[test]
    fn a_map_nothing_uses_and_a_destination_from_nowhere_are_still_shown() {
        let lookup = Expr::Lookup { set: "m".into(), from: Reg(0), inverted: false, to: Some(Reg(0)) };
        let dnat = Expr::Dnat { family: Family::V4, address: Reg(0), port: None };
        let mut rule = Rule::new(&ZUBI, "publish");
        rule.exprs = vec![dnat, Expr::Load { key: DestPort, to: Reg(0) }, lookup];
        assert_eq!(rule.to_string(), "rule inet zubi publish [nat] th dport map @m");
    }

    #[test]
    fn a_rule_reads_back_as_written() {
        let mut batch = Batch::new();
        sample().encode(&mut batch);
        let message = Messages::new(batch.bytes()).next().unwrap();
        assert_eq!(RuleSeen::parse(&message).unwrap().rule, sample());
    }

    #[cfg(target_endian = "little")]
    mod golden {
        use super::*;
        use crate::golden::{bytes, message};

        const GUARD: &str = "\
            28020000060a010c000000000000000001000000090001007a756269000000000a0002006775617264000000ec010480 \
            24000180090001006d6574610000000014000280080002000000000608000100000000013800018008000100636d7000 \
            2c0002800800010000000001080002000000000118000380140001006c6f000000000000000000000000000024000180 \
            090001006d6574610000000014000280080002000000000f08000100000000012c00018008000100636d700020000280 \
            080001000000000108000200000000000c0003800500010002000000340001800c0001007061796c6f61640024000280 \
            0800010000000001080002000000000108000300000000100800040000000004340001800b0001006c6f6f6b75700000 \
            240002800800020000000001100001006d6173717565726164653400080004000000000224000180090001006d657461 \
            000000001400028008000200000000060800010000000001340001800c0001007061796c6f6164002400028008000100 \
            00000002080002000000000108000300000000100800040000000004380001800b0001006c6f6f6b7570000028000280 \
            08000200000000010a000100686f6d653400000008000400000000010800050000000001140001800c000100636f756e \
            7465720004000280300001800e000100696d6d6564696174650000001c0002800800010000000000100002800c000280 \
            08000100000000000d000700000764697265637400000000";
        const ESTABLISHED: &str = "\
            f0000000060a010c000000000000000001000000090001007a756269000000000a0002006775617264000000c4000480 \
            2000018007000100637400001400028008000200000000000800010000000001440001800c0001006269747769736500 \
            340002800800010000000001080002000000000108000300000000040c00048008000100060000000c00058008000100 \
            000000002c00018008000100636d700020000280080001000000000108000200000000010c0003800800010000000000 \
            300001800e000100696d6d6564696174650000001c0002800800010000000000100002800c0002800800010000000001";
        const PUBLISH4: &str = "\
            f4000000060a010c000000000000000001000000090001007a756269000000000c0002007075626c69736800c8000480 \
            24000180090001006d657461000000001400028008000200000000100800010000000001340001800c0001007061796c \
            6f6164002400028008000100000000090800020000000002080003000000000208000400000000023c0001800b000100 \
            6c6f6f6b757000002c000280080002000000000108000300000000010d0001007075626c697368340000000008000400 \
            0000000130000180080001006e6174002400028008000100000000010800020000000002080003000000000108000500 \
            00000009";
        const PUBLISH6: &str = "\
            f4000000060a010c000000000000000001000000090001007a756269000000000c0002007075626c69736800c8000480 \
            24000180090001006d657461000000001400028008000200000000100800010000000001340001800c0001007061796c \
            6f6164002400028008000100000000090800020000000002080003000000000208000400000000023c0001800b000100 \
            6c6f6f6b757000002c000280080002000000000108000300000000010d0001007075626c697368360000000008000400 \
            0000000230000180080001006e617400240002800800010000000001080002000000000a080003000000000108000500 \
            00000002";
        const RANGE6: &str = "\
            28010000060a010c000000000000000001000000090001007a756269000000000c0002007075626c69736800fc000480 \
            24000180090001006d657461000000001400028008000200000000100800010000000001400001800e00010062797465 \
            6f726465720000002c000280080001000000000108000200000000010800030000000001080004000000000108000500 \
            00000002340001800c0001007061796c6f61640024000280080001000000000908000200000000020800030000000002 \
            0800040000000002380001800b0001006c6f6f6b7570000028000280080002000000000108000300000000010b000100 \
            72616e6765360000080004000000000428000180080001006e6174001c0002800800010000000001080002000000000a \
            0800030000000001";

        const TRANSLATED: &str = "\
            f0000000060a010c000000000000000001000000090001007a756269000000000a0002006775617264000000c4000480 \
            2000018007000100637400001400028008000200000000020800010000000001440001800c0001006269747769736500 \
            340002800800010000000001080002000000000108000300000000040c00048008000100200000000c00058008000100 \
            000000002c00018008000100636d700020000280080001000000000108000200000000010c0003800800010000000000 \
            300001800e000100696d6d6564696174650000001c0002800800010000000000100002800c0002800800010000000001";
        const ELSEWHERE: &str = "\
            b4000000060a010c000000000000000001000000090001007a756269000000000a000200677561726400000088000480 \
            2800018008000100666962001c0002800800030000000002080002000000000308000100000000012c00018008000100 \
            636d700020000280080001000000000108000200000000010c0003800800010002000000300001800e000100696d6d65 \
            64696174650000001c0002800800010000000000100002800c0002800800010000000001";
        const LOOPBACK4: &str = "\
            10010000060a010c000000000000000001000000090001007a756269000000000a0002006775617264000000e4000480 \
            24000180090001006d6574610000000014000280080002000000000f08000100000000012c00018008000100636d7000 \
            20000280080001000000000108000200000000000c0003800500010002000000340001800c0001007061796c6f616400 \
            2400028008000100000000010800020000000001080003000000001008000400000000012c00018008000100636d7000 \
            20000280080001000000000108000200000000000c000380050001007f000000300001800e000100696d6d6564696174 \
            650000001c0002800800010000000000100002800c00028008000100fffffffb";
        const LINK_LOCAL: &str = "\
            78010000060a010c000000000000000001000000090001007a756269000000000a00020067756172640000004c010480 \
            24000180090001006d6574610000000014000280080002000000000f08000100000000012c00018008000100636d7000 \
            20000280080001000000000108000200000000000c000380050001000a000000340001800c0001007061796c6f616400 \
            2400028008000100000000010800020000000001080003000000001808000400000000105c0001800c00010062697477 \
            697365004c0002800800010000000001080002000000000108000300000000101800048014000100ffc0000000000000 \
            00000000000000001800058014000100000000000000000000000000000000003800018008000100636d70002c000280 \
            080001000000000108000200000000001800038014000100fe800000000000000000000000000000300001800e000100 \
            696d6d6564696174650000001c0002800800010000000000100002800c00028008000100fffffffb";
        const LOOPBACK6: &str = "\
            1c010000060a010c000000000000000001000000090001007a756269000000000a0002006775617264000000f0000480 \
            24000180090001006d6574610000000014000280080002000000000f08000100000000012c00018008000100636d7000 \
            20000280080001000000000108000200000000000c000380050001000a000000340001800c0001007061796c6f616400 \
            2400028008000100000000010800020000000001080003000000001808000400000000103800018008000100636d7000 \
            2c0002800800010000000001080002000000000018000380140001000000000000000000000000000000000130000180 \
            0e000100696d6d6564696174650000001c0002800800010000000000100002800c00028008000100fffffffb";
        const JUMP: &str = "\
            6c000000060a010c000000000000000001000000090001007a756269000000000a000200677561726400000040000480 \
            3c0001800e000100696d6d6564696174650000002800028008000100000000001c0002801800028008000100fffffffd \
            0c0002007075626c69736800";

        const STRANGERS: &str = "\
            74010000060a010c010000000000000001000000090001007a756269000000000a000200677561726400000048010480 \
            24000180090001006d6574610000000014000280080002000000000f0800010000000001300001800b0001006c6f6f6b \
            757000002000028008000200000000010b000100636c6f7365640000080004000000000124000180090001006d657461 \
            0000000014000280080002000000001a08000100000000013800018008000100636d70002c0002800800010000000001 \
            080002000000000018000380140001006272696467650000000000000000000024000180090001006d65746100000000 \
            14000280080002000000001508000100000000012c00018008000100636d700020000280080001000000000108000200 \
            000000000c000380080001006962757a140001800c000100636f756e7465720004000280300001800e000100696d6d65 \
            64696174650000001c0002800800010000000000100002800c0002800800010000000000";

        const BRIDGED4: &str = "\
            58010000060a010c000000000000000007000000090001007a756269000000000c000200666f7277617264002c010480 \
            24000180090001006d6574610000000014000280080002000000000108000100000000012c00018008000100636d7000 \
            20000280080001000000000108000200000000000c000380060001000800000024000180090001006d65746100000000 \
            1400028008000200000000060800010000000001340001800c0001007061796c6f616400240002800800010000000002 \
            0800020000000001080003000000000c08000400000000043c0001800b0001006c6f6f6b757000002c00028008000200 \
            000000010f000100656e64706f696e747334000008000400000000010800050000000001140001800c000100636f756e \
            7465720004000280300001800e000100696d6d6564696174650000001c0002800800010000000000100002800c000280 \
            0800010000000000";
        const BRIDGED6: &str = "\
            14010000060a010c000000000000000007000000090001007a756269000000000c000200666f727761726400e8000480 \
            24000180090001006d6574610000000014000280080002000000000108000100000000012c00018008000100636d7000 \
            20000280080001000000000108000200000000000c0003800600010086dd0000340001800c0001007061796c6f616400 \
            2400028008000100000000010800020000000001080003000000000808000400000000083000018008000100636d7000 \
            2400028008000100000000010800020000000000100003800c000100fd00005500000000300001800e000100696d6d65 \
            64696174650000001c0002800800010000000000100002800c0002800800010000000001";
        const ARP: &str = "\
            b0000000060a010c000000000000000007000000090001007a756269000000000c000200666f72776172640084000480 \
            24000180090001006d6574610000000014000280080002000000000108000100000000012c00018008000100636d7000 \
            20000280080001000000000108000200000000000c0003800600010008060000300001800e000100696d6d6564696174 \
            650000001c0002800800010000000000100002800c0002800800010000000001";

        /// Frames have no address family, so a rule about addresses has to check their protocol.
        #[test]
        fn a_rule_of_a_bridge_asks_for_the_protocol_of_frames() {
            let rule = || Rule::new(&Table::named(TableFamily::Bridge, "zubi"), "forward");
            let mut arp = rule();
            arp.exprs = vec![
                Expr::Load { key: LoadKey::EtherType, to: Reg(0) },
                Expr::Cmp { from: Reg(0), op: CmpOp::Eq, value: vec![8, 6] },
            ];
            for (rule, recorded, words) in [
                (
                    rule().not_in_set(&[IifName, LoadKey::Ipv4Saddr], "endpoints4").counted_drop(),
                    BRIDGED4,
                    "iifname . ip saddr != @endpoints4 counter drop",
                ),
                (rule().from_prefix(net("fd00:55::/64")).accept(), BRIDGED6, "ip6 saddr fd00:55::/64 accept"),
                (arp.accept(), ARP, "meta protocol arp accept"),
            ] {
                assert_eq!(RuleSeen::parse(&message(&bytes(recorded))).unwrap().rule, rule);
                assert_eq!(rule.to_string(), format!("rule bridge zubi forward {words}"));
            }
        }

        #[test]
        fn says_what_nft_add_rule_says() {
            let established = Rule::new(&ZUBI, "guard").established().accept();
            let publish = Rule::new(&ZUBI, "publish");
            let guard = || Rule::new(&ZUBI, "guard");
            let key = [L4Proto, DestPort];
            for (rule, recorded) in [
                (sample(), GUARD),
                (established, ESTABLISHED),
                (publish.clone().dnat_to_address_and_port(Family::V4, &key, "publish4"), PUBLISH4),
                (publish.clone().dnat_to_address_and_port(Family::V6, &key, "publish6"), PUBLISH6),
                (publish.dnat_to_address(Family::V6, &key, "range6"), RANGE6),
                (guard().translated().accept(), TRANSLATED),
                (guard().not_for_this_host().accept(), ELSEWHERE),
                (guard().to_prefix(net("127.0.0.0/8")).leave(), LOOPBACK4),
                (guard().to_prefix(net("fe80::/10")).leave(), LINK_LOCAL),
                (guard().to_prefix(net("::1/128")).leave(), LOOPBACK6),
                (guard().jump("publish"), JUMP),
                (unrelated_forwarding(), STRANGERS),
            ] {
                assert_eq!(RuleSeen::parse(&message(&bytes(recorded))).unwrap().rule, rule);
            }
        }
    }
}
