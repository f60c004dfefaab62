//! Rules (`NFTA_RULE_*`): made of expressions, printed in nft words, read back as expressions.

use super::{CREATE, CmpOp, Expr, HEADER, LoadKey, Reg, Verdict, ask, change, is};
use crate::message::{Attributes, Batch, Message, flag, text_of};
use std::fmt;

const NEWRULE: u16 = 6;
const GETRULE: u16 = 7;
const TABLE: u16 = 1;
const CHAIN: u16 = 2;
const HANDLE: u16 = 3;
const EXPRESSIONS: u16 = 4;
const USERDATA: u16 = 7;
/// `NFTNL_UDATA_RULE_COMMENT` of libnftnl.
const UDATA_COMMENT: u8 = 0;
const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;
/// `NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED)`.
const ESTABLISHED_RELATED: u32 = 2 | 4;

/// A rule at the end of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its table.
    pub table: String,
    /// Its chain.
    pub chain: String,
    /// What it does.
    pub exprs: Vec<Expr>,
    /// Shown by `nft list`.
    pub comment: Option<String>,
}

impl Rule {
    /// An empty rule.
    pub fn new(table: &str, chain: &str) -> Self {
        Rule { table: table.into(), chain: chain.into(), exprs: Vec::new(), comment: None }
    }

    /// The address loads need to know the family first, in an `inet` table.
    fn need_family(&mut self, keys: &[LoadKey]) {
        let proto = keys.iter().find_map(|k| match k {
            LoadKey::Ipv4Saddr | LoadKey::Ipv4Daddr => Some(NFPROTO_IPV4),
            LoadKey::Ipv6Saddr | LoadKey::Ipv6Daddr => Some(NFPROTO_IPV6),
            _ => None,
        });
        let Some(proto) = proto else { return };
        let check = Expr::Cmp { from: Reg(0), op: CmpOp::Eq, value: vec![proto] };
        if !self.exprs.contains(&check) {
            self.exprs.push(Expr::Load { key: LoadKey::NfProto, to: Reg(0) });
            self.exprs.push(check);
        }
    }

    fn lookup(mut self, keys: &[LoadKey], set: &str, inverted: bool) -> Self {
        self.need_family(keys);
        let mut at = 0;
        for key in keys {
            self.exprs.push(Expr::Load { key: *key, to: Reg(at) });
            at += key.words();
        }
        self.exprs.push(Expr::Lookup { set: set.into(), from: Reg(0), inverted });
        self
    }

    /// `KEY . KEY @set`.
    #[must_use]
    pub fn in_set(self, keys: &[LoadKey], set: &str) -> Self {
        self.lookup(keys, set, false)
    }

    /// `KEY . KEY != @set`.
    #[must_use]
    pub fn not_in_set(self, keys: &[LoadKey], set: &str) -> Self {
        self.lookup(keys, set, true)
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

    /// `ct state established,related`.
    #[must_use]
    pub fn established(mut self) -> Self {
        self.exprs.push(Expr::Load { key: LoadKey::CtState, to: Reg(0) });
        self.exprs.push(Expr::Mask { from: Reg(0), to: Reg(0), mask: ESTABLISHED_RELATED.to_ne_bytes().to_vec() });
        self.exprs.push(Expr::Cmp { from: Reg(0), op: CmpOp::Neq, value: vec![0; 4] });
        self
    }

    /// `masquerade`.
    #[must_use]
    pub fn masquerade(mut self) -> Self {
        self.exprs.push(Expr::Masquerade);
        self
    }

    /// `accept`.
    #[must_use]
    pub fn accept(mut self) -> Self {
        self.exprs.push(Expr::Verdict(Verdict::Accept));
        self
    }

    /// `counter drop`: what is refused can be seen.
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
        change(batch, NEWRULE, CREATE | flag::APPEND, |b| {
            b.text(TABLE, &self.table);
            b.text(CHAIN, &self.chain);
            b.nested(EXPRESSIONS, |b| self.exprs.iter().for_each(|e| e.encode(b)));
            if let Some(comment) = &self.comment {
                let mut data = vec![UDATA_COMMENT, (comment.len() + 1) as u8];
                data.extend_from_slice(comment.as_bytes());
                data.push(0);
                b.attr(USERDATA, &data);
            }
        });
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule inet {} {} {}", self.table, self.chain, words(&self.exprs))?;
        match &self.comment {
            Some(comment) => write!(f, " comment \"{comment}\""),
            None => Ok(()),
        }
    }
}

/// Expressions in nft words. The check of the family is left out where the next words imply it, as `nft` does.
fn words(exprs: &[Expr]) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut loaded: Vec<LoadKey> = Vec::new();
    let mut masked = None;
    for expr in exprs {
        match expr {
            Expr::Load { key, .. } => loaded.push(*key),
            Expr::Mask { mask, .. } => masked = Some(mask.clone()),
            Expr::Cmp { op, value, .. } => {
                let key = loaded.pop();
                loaded.clear();
                if key == Some(LoadKey::NfProto) {
                    continue;
                }
                let (op, value) = match (key, masked.take()) {
                    (Some(LoadKey::CtState), Some(mask)) => ("", ct_states(&mask)),
                    (Some(LoadKey::IifName | LoadKey::OifName), _) => (sign(*op), format!("\"{}\"", text_of(value))),
                    _ => (sign(*op), value.iter().map(|b| format!("{b:02x}")).collect()),
                };
                out.push(format!("{} {op}{value}", key.map_or("?", LoadKey::word)));
            }
            Expr::Lookup { set, inverted, .. } => {
                let keys: Vec<_> = loaded.drain(..).map(LoadKey::word).collect();
                out.push(format!("{} {}@{set}", keys.join(" . "), if *inverted { "!= " } else { "" }));
            }
            Expr::Counter => out.push("counter".into()),
            Expr::Masquerade => out.push("masquerade".into()),
            Expr::Verdict(verdict) => out.push(verdict.word().into()),
            Expr::Other { name } => out.push(format!("[{name}]")),
        }
    }
    out.join(" ")
}

fn sign(op: CmpOp) -> &'static str {
    match op {
        CmpOp::Eq => "",
        CmpOp::Neq => "!= ",
    }
}

fn ct_states(mask: &[u8]) -> String {
    let bits = <[u8; 4]>::try_from(mask).map_or(0, u32::from_ne_bytes);
    let names = [(1, "invalid"), (2, "established"), (4, "related"), (8, "new"), (64, "untracked")];
    let set: Vec<_> = names.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
    set.join(",")
}

/// A rule as the kernel reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSeen {
    /// Its place in words.
    pub rule: Rule,
    /// The kernel's number of it.
    pub handle: u64,
}

impl RuleSeen {
    /// Reads an `NFT_MSG_NEWRULE`.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let a = is(message, NEWRULE).then(|| message.attributes(HEADER))?;
        let exprs = a.nested(EXPRESSIONS).into_iter().flatten();
        let comment = a.get(USERDATA).and_then(|data| {
            let len = usize::from(*data.get(1)?);
            (data.first() == Some(&UDATA_COMMENT)).then(|| data.get(2..2 + len)).flatten().map(text_of)
        });
        Some(RuleSeen {
            rule: Rule {
                table: a.text(TABLE)?,
                chain: a.text(CHAIN)?,
                exprs: exprs.filter_map(|(_, item)| Expr::parse(&Attributes::new(item))).collect(),
                comment,
            },
            handle: a.be64(HANDLE).unwrap_or(0),
        })
    }

    /// Appends a question for all rules of a table.
    pub fn dump(batch: &mut Batch, table: &str) {
        ask(batch, GETRULE, flag::DUMP, |b| b.text(TABLE, table));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Messages;
    use LoadKey::{IifName, Ipv4Daddr, OifName};

    fn sample() -> Rule {
        Rule::new("zubi", "guard")
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
        let forward = Rule::new("zubi", "forward").established().in_set(&[IifName, OifName], "icc").accept();
        assert_eq!(
            forward.to_string(),
            "rule inet zubi forward ct state established,related iifname . oifname @icc accept"
        );
    }

    #[test]
    fn a_rule_reads_back_as_written() {
        let mut batch = Batch::new();
        sample().encode(&mut batch);
        let message = Messages::new(batch.bytes()).next().unwrap();
        assert_eq!(RuleSeen::parse(&message).unwrap().rule, sample());
    }
}
