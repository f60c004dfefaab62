//! Reading other programs' tables, and the generation of the ruleset.
//!
//! # How it works
//! A guest rule (a rule of ours in another program's chain) goes before the end of the chain as it was read, and is
//! deleted by the number that was read. Both hold for one generation of the ruleset: the kernel takes a transaction
//! with such a rule only in the generation that [`Session::expect`] named. The caller reads again when another program
//! was faster.
//!
//! The kernel takes other transactions in any generation. After one that met the expected generation,
//! [`Session::expected`] is the next; after any other, nothing is expected.

use crate::error::Error;
use crate::session::Session;
use zubi_model::IfName;
use zubi_plan::coexist::{self, ChainName, ForeignFirewalls};
use zubi_snapshot::{ForeignTables, GuestRuleSeen};
use zubi_wire::Batch;
use zubi_wire::nft::{ChainSeen, CmpOp, Expr, Generation, RuleSeen, Table, TableSeen};

/// How often the ruleset is read again when it changes meanwhile.
const TRIES: u32 = 5;

impl Session {
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

    /// Sets the generation that the ruleset has but for the changes of this session.
    pub fn expect(&mut self, generation: Option<Generation>) {
        self.expected = generation;
    }

    /// The generation that the ruleset has unless another program changed it; nothing when one did, or when it was not
    /// read.
    pub fn expected(&self) -> Option<Generation> {
        self.expected
    }

    /// What other programs do with forwarded packets: their chains there, and the rules that decide. Expects the
    /// generation in which it read them.
    pub fn foreign_rules(&mut self) -> Result<ForeignFirewalls, Error> {
        let ((_, judged), generation) = self.read_steadily(Self::read_foreign)?;
        self.expected = Some(generation);
        Ok(judged)
    }

    /// Our rules in those tables of other programs that have a chain for forwarded packets. Expects the generation in
    /// which it read them.
    pub fn guest_rules(&mut self) -> Result<Vec<GuestRuleSeen>, Error> {
        let (rules, generation) = self.read_steadily(Self::read_guests)?;
        self.expected = Some(generation);
        Ok(rules)
    }

    /// Whether any rule of a chain's table asks for this device.
    pub fn mentions_device(&mut self, chain: &ChainName, device: &IfName) -> Result<bool, Error> {
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

    /// Reads within one generation; after too many tries, within the last few.
    pub(crate) fn read_steadily<T>(
        &mut self,
        read: impl Fn(&mut Self) -> Result<T, Error>,
    ) -> Result<(T, Generation), Error> {
        let mut before = self.generation()?;
        let mut tries = 1;
        loop {
            let seen = read(self)?;
            let after = self.generation()?;
            if before == after || tries == TRIES {
                return Ok((seen, after));
            }
            before = after;
            tries += 1;
        }
    }

    /// Other programs' tables as values, and as `plan` judges them.
    pub(crate) fn read_foreign(&mut self) -> Result<(ForeignTables, ForeignFirewalls), Error> {
        let (tables, chains) = self.hooked()?;
        let mut judged = ForeignFirewalls::new(tables.clone(), chains.clone());
        let mut all = ForeignTables { tables, chains, rules: Vec::new() };
        loop {
            let unread = judged.unread();
            if unread.is_empty() {
                return Ok((all, judged));
            }
            for chain in unread {
                let rules = self.rules_of(&chain.table, Some(&chain.chain))?;
                all.rules.extend(rules.iter().cloned());
                judged.learn(chain, rules);
            }
        }
    }

    pub(crate) fn read_guests(&mut self) -> Result<Vec<GuestRuleSeen>, Error> {
        let (tables, chains) = self.hooked()?;
        let mut guests = Vec::new();
        for (table, owner) in ForeignFirewalls::new(tables, chains).tables() {
            let rules = self.rules_of(table, None)?;
            guests.extend(rules.into_iter().filter(coexist::is_ours).map(|rule| GuestRuleSeen { rule, owner }));
        }
        Ok(guests)
    }

    fn hooked(&mut self) -> Result<(Vec<TableSeen>, Vec<ChainSeen>), Error> {
        let socket = self.nft()?;
        let tables =
            socket.dump("nftables tables", &TableSeen::dump_all, |m| TableSeen::parse(m).into_iter().collect())?;
        let chains =
            socket.dump("nftables chains", &ChainSeen::dump_all, |m| ChainSeen::parse(m).into_iter().collect())?;
        Ok((tables, chains))
    }

    fn rules_of(&mut self, table: &Table, chain: Option<&str>) -> Result<Vec<RuleSeen>, Error> {
        let ask = |b: &mut Batch| RuleSeen::dump(b, table, chain);
        match self.nft()?.dump("nftables rules", &ask, |m| RuleSeen::parse(m).into_iter().collect()) {
            Err(e) if e.is_missing() => Ok(Vec::new()),
            other => other,
        }
    }
}
