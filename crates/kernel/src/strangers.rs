//! Reading other programs' tables, and the generation of the ruleset.
//!
//! # How it works
//! Rules of ours in somebody's chain are put where that chain was read to have its end, and are deleted by numbers that
//! were read. Both hold for one generation of the ruleset: a transaction with such a rule in it is only taken by that
//! generation ([`Kernel::expect`]), and whoever wanted it reads again when another program was faster.
//!
//! Other transactions are taken in any case. When theirs was the expected generation too, nobody else has changed
//! anything meanwhile, and [`Kernel::expected`] goes along; else nothing is expected any more.

use crate::error::Error;
use crate::machine::Kernel;
use zubi_model::IfName;
use zubi_plan::coexist::{self, ChainName, ForeignFirewalls};
use zubi_wire::Batch;
use zubi_wire::nft::{ChainSeen, CmpOp, Expr, Generation, RuleSeen, Table, TableSeen};

/// How often the ruleset is read again when it changes meanwhile.
const TRIES: u32 = 5;

/// A rule of ours in somebody's table, and who owns that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guest {
    /// The rule.
    pub rule: RuleSeen,
    /// The netlink port of the only program that may change the table.
    pub owner: Option<u32>,
}

impl Kernel {
    /// The generation of the ruleset.
    pub fn generation(&mut self) -> Result<Generation, Error> {
        let mut batch = Batch::new();
        Generation::encode_get(&mut batch);
        let answer = self.nft()?.ask("generation of the ruleset", &batch)?.pop().unwrap_or_default();
        let object = "generation of the ruleset";
        match answer.objects.iter().find_map(|o| Generation::parse(&o.message())) {
            Some(generation) => Ok(generation),
            None => Err(match answer.outcome {
                Some(Err(source)) => Error::Netlink { object: format!("read {object}"), source, hint: None },
                _ => Error::NoAnswer { object: object.into() },
            }),
        }
    }

    /// From now on the ruleset is expected to have this generation, but for what is changed through this machine.
    pub fn expect(&mut self, generation: Option<Generation>) {
        self.expected = generation;
    }

    /// The generation the ruleset has unless somebody else changed it; nothing when somebody has, or was never asked for.
    pub fn expected(&self) -> Option<Generation> {
        self.expected
    }

    /// What other programs do with forwarded packets: their chains there, and of their rules those it depends on. The
    /// ruleset is expected to have the generation this was read in.
    pub fn strangers(&mut self) -> Result<ForeignFirewalls, Error> {
        self.read_steadily(|kernel| {
            let mut strangers = kernel.hooked()?;
            loop {
                let unread = strangers.unread();
                if unread.is_empty() {
                    return Ok(strangers);
                }
                for chain in unread {
                    let rules = kernel.rules_of(&chain.table, Some(&chain.chain))?;
                    strangers.learn(chain, rules);
                }
            }
        })
    }

    /// Whether any rule of a chain's table asks for this device.
    pub fn names(&mut self, chain: &ChainName, device: &IfName) -> Result<bool, Error> {
        let rules = self.rules_of(&chain.table, None)?;
        let is_name = |expr: &Expr| match expr {
            Expr::Cmp { op: CmpOp::Eq, value, .. } => {
                let rest = value.strip_prefix(device.as_str().as_bytes());
                rest.is_some_and(|rest| !rest.is_empty() && rest.iter().all(|b| *b == 0))
            }
            _ => false,
        };
        Ok(rules.iter().any(|rule| rule.rule.exprs.iter().any(is_name)))
    }

    /// Our rules in other programs' tables, as far as those have chains for forwarded packets.
    pub fn guests(&mut self) -> Result<Vec<Guest>, Error> {
        self.read_steadily(|kernel| {
            let mut guests = Vec::new();
            for (table, owner) in kernel.hooked()?.tables() {
                let rules = kernel.rules_of(table, None)?;
                guests.extend(rules.into_iter().filter(coexist::is_ours).map(|rule| Guest { rule, owner }));
            }
            Ok(guests)
        })
    }

    /// What is read of one generation; at last, of the last few.
    fn read_steadily<T>(&mut self, read: impl Fn(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        let mut before = self.generation()?;
        let mut tries = 1;
        loop {
            let seen = read(self)?;
            let after = self.generation()?;
            if before == after || tries == TRIES {
                self.expected = Some(after);
                return Ok(seen);
            }
            before = after;
            tries += 1;
        }
    }

    fn hooked(&mut self) -> Result<ForeignFirewalls, Error> {
        let socket = self.nft()?;
        let tables =
            socket.dump("nftables tables", &TableSeen::dump_all, |m| TableSeen::parse(m).into_iter().collect())?;
        let chains =
            socket.dump("nftables chains", &ChainSeen::dump_all, |m| ChainSeen::parse(m).into_iter().collect())?;
        Ok(ForeignFirewalls::new(tables, chains))
    }

    fn rules_of(&mut self, table: &Table, chain: Option<&str>) -> Result<Vec<RuleSeen>, Error> {
        let ask = |b: &mut Batch| RuleSeen::dump(b, table, chain);
        match self.nft()?.dump("nftables rules", &ask, |m| RuleSeen::parse(m).into_iter().collect()) {
            Err(e) if e.is_missing() => Ok(Vec::new()),
            other => other,
        }
    }
}
