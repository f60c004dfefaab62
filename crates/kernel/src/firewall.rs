//! Applying nftables operations: each group is one transaction, taken whole or not at all.

use crate::apply::Group;
use crate::error::Error;
use crate::machine::Kernel;
use zubi_plan::{Op, Outcome, What};
use zubi_wire::nft::{self, ChainSeen, ElementSeen, RuleSeen, SetSeen, TableSeen};
use zubi_wire::{Batch, KernelError};

/// What our table looks like now.
#[derive(Debug, Clone, Default)]
pub struct FirewallSeen {
    /// Whether there is a table.
    pub table: Option<TableSeen>,
    /// Its chains.
    pub chains: Vec<ChainSeen>,
    /// Its sets.
    pub sets: Vec<SetSeen>,
    /// Its rules, chain by chain in order.
    pub rules: Vec<RuleSeen>,
}

impl Kernel {
    /// Sends the operations as one transaction, again without those that prove to be done already: a table somebody
    /// else just made, elements that are there, elements that are gone.
    pub(crate) fn apply_nft(&mut self, ops: &[Op]) -> Group {
        let mut group = Group { done: Vec::new(), error: None };
        let mut todo: Vec<&Op> = ops.iter().collect();
        let mut without_destroy = false;
        while !todo.is_empty() {
            let errors = match self.transaction(&todo, without_destroy) {
                Ok(errors) => errors,
                Err(e) => {
                    group.error = Some(e);
                    return group;
                }
            };
            if errors.iter().all(Option::is_none) {
                group.done.extend(todo.iter().map(|op| ((*op).clone(), done(op))));
                break;
            }
            // Linux before 6.3 does not know "destroy".
            let unknown = |(op, e): (&&Op, &Option<KernelError>)| {
                matches!(op.what, What::DeleteElement(_)) && e.as_ref().is_some_and(|e| e.errno == libc::EINVAL)
            };
            if !without_destroy && todo.iter().zip(&errors).any(unknown) {
                without_destroy = true;
                continue;
            }
            let table_is_there = todo.iter().zip(&errors).any(|(op, e)| {
                matches!(op.what, What::AddTable(_)) && e.as_ref().is_some_and(|e| e.errno == libc::EEXIST)
            });
            let mut left = Vec::new();
            for (op, error) in todo.iter().zip(errors) {
                match settled(op, error.as_ref(), table_is_there) {
                    Settled::Done(outcome) => group.done.push(((*op).clone(), outcome)),
                    Settled::Open => left.push(*op),
                    Settled::Failed(e) => {
                        group.error = Some(e);
                        // The transaction was aborted: what is not settled has not happened.
                        return group;
                    }
                }
            }
            if left.len() == todo.len() {
                group.error = Some(Error::NoAnswer { object: "nftables transaction".into() });
                return group;
            }
            todo = left;
        }
        group
    }

    /// The error of each operation. No error at all: the transaction was taken.
    fn transaction(&mut self, ops: &[&Op], without_destroy: bool) -> Result<Vec<Option<KernelError>>, Error> {
        let mut batch = Batch::new();
        nft::begin(&mut batch);
        for (id, op) in ops.iter().enumerate() {
            match &op.what {
                What::AddTable(table) => table.encode(&mut batch),
                What::DeleteTable(table) => table.encode_delete(&mut batch),
                What::AddSet(set) => set.encode(&mut batch, id as u32 + 1),
                What::AddChain(chain) => chain.encode(&mut batch),
                What::AddRule(rule) => rule.encode(&mut batch),
                What::AddElement(element) => element.encode(&mut batch),
                What::DeleteElement(element) if without_destroy => element.encode_delete(&mut batch),
                What::DeleteElement(element) => element.encode_destroy(&mut batch),
                other => return Err(Error::NoAnswer { object: format!("{other:?}") }),
            }
        }
        nft::end(&mut batch);
        self.nft_deleted |= ops.iter().any(|op| matches!(op.what, What::DeleteElement(_) | What::DeleteTable(_)));
        let answers = self.nft()?.transact(batch)?;
        let mut errors: Vec<Option<KernelError>> = Vec::new();
        let last = answers.len().saturating_sub(1);
        for (at, answer) in answers.into_iter().enumerate() {
            match answer.outcome {
                Some(Err(source)) if at == 0 || at == last => {
                    let hint = (source.errno == libc::EPERM)
                        .then_some("CAP_NET_ADMIN is needed: run as root, or try it in `zubi lab`");
                    return Err(Error::Netlink { object: "nftables transaction".into(), source, hint });
                }
                _ if at == 0 || at == last => {}
                Some(Err(e)) => errors.push(Some(e)),
                Some(Ok(())) => errors.push(None),
                None => return Err(Error::NoAnswer { object: "nftables transaction".into() }),
            }
        }
        Ok(errors)
    }

    /// Reads our table.
    pub fn firewall(&mut self) -> Result<FirewallSeen, Error> {
        let name = zubi_plan::firewall::TABLE;
        let socket = self.nft()?;
        let mut batch = Batch::new();
        zubi_plan::firewall::table().encode_get(&mut batch);
        let answer = socket.transact(batch)?.pop().unwrap_or_default();
        let table = answer.objects.iter().find_map(|o| TableSeen::parse(&o.message()));
        if table.is_none() {
            return Ok(FirewallSeen::default());
        }
        let ours = |table: &str| table == name;
        let chains = socket.dump("nftables chains", &ChainSeen::dump, |m| ChainSeen::parse(m).into_iter().collect())?;
        let sets =
            socket.dump("nftables sets", &|b| SetSeen::dump(b, name), |m| SetSeen::parse(m).into_iter().collect())?;
        let rules = socket
            .dump("nftables rules", &|b| RuleSeen::dump(b, name), |m| RuleSeen::parse(m).into_iter().collect())?;
        Ok(FirewallSeen {
            table,
            chains: chains.into_iter().filter(|c: &ChainSeen| ours(&c.table)).collect(),
            sets: sets.into_iter().filter(|s: &SetSeen| ours(&s.table)).collect(),
            rules: rules.into_iter().filter(|r: &RuleSeen| ours(&r.rule.table)).collect(),
        })
    }

    /// Reads the elements of one of our sets; none when there is no such set.
    pub fn elements(&mut self, set: &str) -> Result<Vec<ElementSeen>, Error> {
        let table = zubi_plan::firewall::TABLE;
        match self.nft()?.dump("nftables elements", &|b| ElementSeen::dump(b, table, set), ElementSeen::parse_all) {
            Err(e) if e.is_missing() => Ok(Vec::new()),
            other => other,
        }
    }
}

enum Settled {
    Done(Outcome),
    Open,
    Failed(Error),
}

fn done(op: &Op) -> Outcome {
    match op.what {
        What::DeleteTable(_) | What::DeleteElement(_) => Outcome::Removed,
        _ => Outcome::Created,
    }
}

fn settled(op: &Op, error: Option<&KernelError>, table_is_there: bool) -> Settled {
    if op.is_layout() && table_is_there {
        return Settled::Done(Outcome::AlreadyThere);
    }
    let Some(error) = error else { return Settled::Open };
    match (&op.what, error.errno) {
        (What::AddElement(_), libc::EEXIST) => Settled::Done(Outcome::AlreadyThere),
        (What::DeleteElement(_) | What::DeleteTable(_), libc::ENOENT) => Settled::Done(Outcome::Nothing),
        // Sets that the table had when its turn came may miss only because the table's own message failed.
        (What::AddElement(_), libc::ENOENT) if table_is_there => Settled::Open,
        (What::AddElement(_), libc::ENOENT) => Settled::Failed(Error::LayoutMissing { object: op.to_string() }),
        _ => Settled::Failed(Error::Netlink { object: op.to_string(), source: error.clone(), hint: hint(error.errno) }),
    }
}

fn hint(errno: i32) -> Option<&'static str> {
    match errno {
        libc::EPERM => Some("another program owns the table or a capability is missing"),
        libc::ENOTEMPTY => Some("it overlaps another element: another network has this subnet in part"),
        libc::EOPNOTSUPP => Some("this kernel lacks a part of nftables"),
        _ => None,
    }
}
