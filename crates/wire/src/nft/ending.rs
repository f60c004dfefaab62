//! What a rule of another program does with every packet that reaches it.

use super::{Expr, RuleSeen, Verdict};

/// Extensions of xtables after which the packet goes on to the next rule (linux/netfilter/xt_*.h, `XT_CONTINUE`).
const GO_ON: [&str; 16] = [
    "AUDIT",
    "CHECKSUM",
    "CLASSIFY",
    "CONNMARK",
    "CONNSECMARK",
    "CT",
    "DSCP",
    "LED",
    "LOG",
    "MARK",
    "NFLOG",
    "NOTRACK",
    "RATEEST",
    "SECMARK",
    "TCPMSS",
    "TRACE",
];

/// What happens to all packets that reach a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Some or all packets go on to the next rule.
    No,
    /// All packets are dropped or rejected.
    Drops,
    /// All packets are accepted: they leave the base chain, and later base chains may still drop them.
    Accepts,
    /// All packets leave the chain.
    Returns,
    /// All packets go through this chain. Those that it does not decide come back, except after `goto`.
    Jumps(String),
    /// Unknown: an extension of xtables that may accept or drop packets.
    Unknown,
}

impl RuleSeen {
    /// What the rule does with every packet. A rule with a condition, or with an expression that may be one, has no
    /// ending. Counters, logging and comments are no conditions.
    pub fn ends(&self) -> Ending {
        for expr in &self.rule.exprs {
            return match expr {
                Expr::Counter | Expr::Log => continue,
                Expr::Match { .. } if expr.xt_comment().is_some() => continue,
                Expr::Target { name } => match name.as_str() {
                    "DROP" | "REJECT" => Ending::Drops,
                    "ACCEPT" => Ending::Accepts,
                    "RETURN" => Ending::Returns,
                    name if GO_ON.contains(&name) => Ending::No,
                    _ => Ending::Unknown,
                },
                Expr::Reject | Expr::Reset | Expr::Verdict(Verdict::Drop) => Ending::Drops,
                Expr::Verdict(Verdict::Accept) => Ending::Accepts,
                Expr::Verdict(Verdict::Return) => Ending::Returns,
                Expr::Verdict(Verdict::Jump(chain) | Verdict::Goto(chain)) => Ending::Jumps(chain.clone()),
                _ => Ending::No,
            };
        }
        Ending::No
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nft::{LoadKey, Rule, Table, TableFamily};

    const FILTER: Table = Table::named(TableFamily::Ip, "filter");

    fn ends(exprs: Vec<Expr>) -> Ending {
        let mut rule = Rule::new(&FILTER, "FORWARD");
        rule.exprs = exprs;
        RuleSeen { rule, handle: 7 }.ends()
    }

    fn target(name: &str) -> Expr {
        Expr::Target { name: name.into() }
    }

    #[test]
    fn counting_and_comments_are_no_conditions() {
        let comment = Expr::Match { name: "comment".into(), info: b"why\0".to_vec() };
        let before = || vec![comment.clone(), Expr::Counter, Expr::Log];
        let after = |last| ends([before(), vec![last]].concat());
        assert_eq!(after(Expr::Verdict(Verdict::Drop)), Ending::Drops);
        assert_eq!(after(Expr::Reject), Ending::Drops);
        assert_eq!(after(target("REJECT")), Ending::Drops);
        assert_eq!(after(Expr::Verdict(Verdict::Accept)), Ending::Accepts);
        assert_eq!(after(Expr::Verdict(Verdict::Return)), Ending::Returns);
        assert_eq!(after(Expr::Verdict(Verdict::Jump("zone".into()))), Ending::Jumps("zone".into()));
        assert_eq!(after(Expr::Verdict(Verdict::Goto("zone".into()))), Ending::Jumps("zone".into()));
        assert_eq!(after(target("TPROXY")), Ending::Unknown);
        assert_eq!(ends(before()), Ending::No);
        assert_eq!(ends(vec![target("MARK")]), Ending::No);
    }

    #[test]
    fn a_condition_or_what_may_be_one_is_no_end() {
        let drop = Expr::Verdict(Verdict::Drop);
        let limit = Expr::Other { name: "limit".into() };
        let addrtype = Expr::Match { name: "addrtype".into(), info: Vec::new() };
        assert_eq!(ends(vec![limit, drop.clone()]), Ending::No);
        assert_eq!(ends(vec![addrtype, drop]), Ending::No);
        let rule = Rule::new(&FILTER, "FORWARD").in_set(&[LoadKey::IifName], "zones").counted_drop();
        assert_eq!(ends(rule.exprs), Ending::No);
    }
}
