//! Applying nftables operations: each group is one transaction, taken whole or not at all.

use crate::apply::{Group, Removal};
use crate::error::Error;
use crate::session::Session;
use crate::socket::Room;
use std::collections::HashSet;
use zubi_plan::{Op, Outcome, What};
use zubi_snapshot::{FirewallSeen, Needs, done};
use zubi_wire::nft::{self, ChainSeen, Element, ElementSeen, Generation, RuleAt, RuleSeen, SetSeen, TableSeen};
use zubi_wire::{Batch, KernelError};

/// How often a transaction starts again because another program was faster.
const MOST_RESTARTS: u32 = 20;
/// The length of our longest message, in bytes.
const LARGEST: usize = 4096;
/// The messages that begin and end a transaction, and the two that replace an element.
const ENVELOPE: usize = 4;

impl Session {
    /// Sends the operations as one transaction, again without those that prove to be done already: a table that another
    /// process has just made, elements that are there, elements that are gone. Operations that are too many for one
    /// transaction are sent as several, in order.
    pub(crate) fn apply_nft(&mut self, ops: &[Op], removal: Removal) -> Group {
        let mut group = Group { done: Vec::new(), error: None };
        let mut todo: Vec<&Op> = ops.iter().collect();
        let mut how = How { without_destroy: removal == Removal::Exact, ..How::default() };
        while !todo.is_empty() {
            let answered = match self.prepare_guests(&mut todo, &mut group).and_then(|()| self.transaction(&todo, &how))
            {
                Ok(Some(answered)) => answered,
                // Another program was faster. The next round expects no generation.
                Ok(None) if how.restarts < MOST_RESTARTS => {
                    how.restarts += 1;
                    continue;
                }
                Ok(None) => {
                    group.error = Some(Error::ForeignRulesChanged { object: "nftables transaction".into() });
                    return group;
                }
                Err(e) => {
                    group.error = Some(e);
                    return group;
                }
            };
            let Answered { errors, echoes } = answered;
            let rest = todo.split_off(errors.len());
            if errors.iter().all(Option::is_none) {
                let echoes = echoes.iter().map(Option::as_ref);
                group.done.extend(todo.iter().zip(echoes).map(|(op, echo)| ((*op).clone(), outcome_of(op, echo))));
                todo = rest;
                continue;
            }
            // Linux before 6.3 does not know "destroy".
            let unknown = |(op, e): (&&Op, &Option<KernelError>)| {
                matches!(op.what, What::DeleteElement(_)) && e.as_ref().is_some_and(|e| e.errno == libc::EINVAL)
            };
            if !how.without_destroy && todo.iter().zip(&errors).any(unknown) {
                how.without_destroy = true;
                todo.extend(rest);
                continue;
            }
            let table_is_there = todo.iter().zip(&errors).any(|(op, e)| {
                matches!(op.what, What::AddTable(_)) && e.as_ref().is_some_and(|e| e.errno == libc::EEXIST)
            });
            let mut left = Vec::new();
            let replaced = how.replace.len();
            for (op, error) in todo.iter().zip(errors) {
                match self.settled(op, error.as_ref(), table_is_there, &how) {
                    Settled::Done(outcome) => group.done.push(((*op).clone(), outcome)),
                    Settled::Open => left.push(*op),
                    Settled::Elsewhere(element) => {
                        how.replace.insert(element);
                        left.push(*op);
                    }
                    Settled::Failed(e) => {
                        group.error = Some(e);
                        // The kernel aborted the transaction: operations that are not settled were not done.
                        return group;
                    }
                }
            }
            if left.len() == todo.len() && how.replace.len() == replaced {
                group.error = Some(Error::NoAnswer { object: "nftables transaction".into() });
                return group;
            }
            left.extend(rest);
            todo = left;
        }
        group
    }

    /// Sends as many operations as one transaction takes, and returns the error of each; without any error, the kernel
    /// has taken the transaction. Nothing: the generation was not the expected one, or the outcome is unknown.
    fn transaction(&mut self, ops: &[&Op], how: &How) -> Result<Option<Answered>, Error> {
        let expected = self.expected;
        let room = if ops.len() > Room::UNASKED.messages / 2 { self.nft()?.room() } else { Room::UNASKED };
        let mut batch = Batch::new();
        nft::begin_at(&mut batch, expected);
        // The operation that each message belongs to.
        let mut of = Vec::new();
        let remove = |element: &Element, batch: &mut Batch| {
            if how.without_destroy { element.encode_delete(batch) } else { element.encode_destroy(batch) }
        };
        let mut taken = 0;
        for (id, op) in ops.iter().enumerate() {
            let is_full = batch.bytes().len() + LARGEST > room.bytes || of.len() + ENVELOPE > room.messages;
            if is_full && !op.is_layout() {
                break;
            }
            match &op.what {
                What::AddTable(table) => table.encode(&mut batch),
                What::DeleteTable(table) => table.encode_delete(&mut batch),
                What::AddSet(set) => set.encode(&mut batch, id as u32 + 1),
                What::AddChain(chain) => chain.encode(&mut batch),
                What::AddRule(rule) => rule.encode(&mut batch),
                What::AddElement(element) => {
                    if how.replace.contains(element) {
                        remove(element, &mut batch);
                        of.push(id);
                    }
                    element.encode(&mut batch);
                }
                What::DeleteElement(element) => remove(element, &mut batch),
                What::AddGuestRule(rule) => rule.encode(&mut batch),
                What::DeleteGuestRule(at) => at.encode_delete(&mut batch),
                other => return Err(Error::NoAnswer { object: format!("{other:?}") }),
            }
            of.push(id);
            taken = id + 1;
        }
        let ops = &ops[..taken];
        nft::end(&mut batch);
        // The kernel reports errors unasked; for a transaction that it takes, one acknowledgement is enough.
        batch.acknowledge_last_before(1);
        let deletes =
            |op: &&Op| matches!(op.what, What::DeleteElement(_) | What::DeleteTable(_) | What::DeleteGuestRule(_));
        let socket = self.nft()?;
        if !how.replace.is_empty() || ops.iter().any(deletes) {
            socket.note_deletion();
        }
        let answers = socket.transact(batch)?;
        let mut answered = Answered { errors: vec![None; ops.len()], echoes: vec![None; ops.len()] };
        // Where nothing but elements are destroyed and all of them are gone already, the generation stays.
        let mut changes = ops.iter().any(|op| how.without_destroy || !matches!(op.what, What::DeleteElement(_)));
        let last = answers.len().saturating_sub(1);
        let mut is_answered = false;
        for (at, answer) in answers.into_iter().enumerate() {
            changes |= !answer.objects.is_empty();
            is_answered |= answer.outcome.is_some();
            if let Some(echo) = at.checked_sub(1).and_then(|at| answered.echoes.get_mut(*of.get(at)?)) {
                *echo = answer.objects.iter().find_map(|o| RuleSeen::parse(&o.message())).map(|rule| rule.at());
            }
            match answer.outcome {
                Some(Err(e)) if at == 0 && e.errno == libc::ERESTART => {
                    self.expected = None;
                    return Ok(None);
                }
                Some(Err(source)) if at == 0 || at == last => {
                    let hint = (source.errno == libc::EPERM)
                        .then_some("CAP_NET_ADMIN is needed: run as root, or try it in `zubi lab`");
                    return Err(Error::Netlink { object: "nftables transaction".into(), source, hint });
                }
                Some(Err(e)) if at > 0 => {
                    if let Some(error) = of.get(at - 1).and_then(|op| answered.errors.get_mut(*op)) {
                        error.get_or_insert(e);
                    }
                }
                _ => {}
            }
        }
        if !is_answered {
            return self.read_transaction_back(ops);
        }
        if changes && answered.errors.iter().all(Option::is_none) {
            self.expected = expected.map(Generation::next);
        }
        Ok(Some(answered))
    }

    /// Reads back whether the kernel took a transaction whose answers were lost: it takes it whole or not at all.
    /// Nothing: it did not.
    fn read_transaction_back(&mut self, ops: &[&Op]) -> Result<Option<Answered>, Error> {
        self.expected = None;
        let is_made_again = ops.iter().any(|op| matches!(op.what, What::AddTable(_)));
        let is_replaced = |op: &Op| is_made_again && matches!(op.what, What::DeleteTable(_));
        let lost: Vec<Op> = ops.iter().filter(|op| !is_replaced(op)).map(|op| (*op).clone()).collect();
        let snapshot = self.look(&Needs::after(&lost))?;
        if done(&lost, &snapshot)?.contains(&false) {
            return Ok(None);
        }
        self.expected = snapshot.generation();
        let guests = snapshot.guest_rules().unwrap_or_default();
        let echo = |op: &&Op| match &op.what {
            What::AddGuestRule(rule) => guests.iter().find(|guest| rule.is(&guest.rule)).map(|guest| guest.rule.at()),
            _ => None,
        };
        Ok(Some(Answered { errors: vec![None; ops.len()], echoes: ops.iter().map(echo).collect() }))
    }

    /// Guest rules are added only in the generation in which their place was read. Without an expected generation the
    /// ones to delete are looked up again, because their numbers may be those of other rules by now.
    fn prepare_guests(&mut self, todo: &mut Vec<&Op>, group: &mut Group) -> Result<(), Error> {
        if self.expected.is_some() || !todo.iter().any(|op| op.is_guest()) {
            return Ok(());
        }
        if let Some(op) = todo.iter().find(|op| matches!(op.what, What::AddGuestRule(_))) {
            return Err(Error::ForeignRulesChanged { object: op.to_string() });
        }
        let guests: Vec<RuleAt> = self.guest_rules()?.iter().map(|guest| guest.rule.at()).collect();
        let gone = |op: &&Op| matches!(&op.what, What::DeleteGuestRule(at) if !guests.contains(at));
        group.done.extend(todo.extract_if(.., |op| gone(op)).map(|op| (op.clone(), Outcome::Nothing)));
        Ok(())
    }

    /// Reads our table without elements.
    pub fn firewall(&mut self) -> Result<FirewallSeen, Error> {
        let ours = zubi_plan::firewall::TABLE;
        let socket = self.nft()?;
        let mut batch = Batch::new();
        zubi_plan::firewall::TABLE.encode_get(&mut batch);
        let answer = socket.ask("nftables table", &batch)?.pop().unwrap_or_default();
        let table = answer.objects.iter().find_map(|o| TableSeen::parse(&o.message()));
        if table.is_none() {
            return match answer.outcome {
                Some(Err(source)) if source.errno != libc::ENOENT => {
                    Err(Error::Netlink { object: "read nftables table".into(), source, hint: None })
                }
                _ => Ok(FirewallSeen::default()),
            };
        }
        let chains = socket.dump("nftables chains", &|b| ChainSeen::dump(b, ours.family), |m| {
            ChainSeen::parse(m).into_iter().collect()
        })?;
        let sets =
            socket.dump("nftables sets", &|b| SetSeen::dump(b, &ours), |m| SetSeen::parse(m).into_iter().collect())?;
        let rules = socket.dump("nftables rules", &|b| RuleSeen::dump(b, &ours, None), |m| {
            RuleSeen::parse(m).into_iter().collect()
        })?;
        Ok(FirewallSeen {
            table,
            chains: chains.into_iter().filter(|c: &ChainSeen| c.table == ours).collect(),
            sets: sets.into_iter().filter(|s: &SetSeen| s.table == ours).collect(),
            rules: rules.into_iter().filter(|r: &RuleSeen| r.rule.table == ours).collect(),
        })
    }

    /// Reads the elements of one of our sets; none when there is no such set.
    pub fn elements(&mut self, set: &str) -> Result<Vec<ElementSeen>, Error> {
        let table = zubi_plan::firewall::TABLE;
        match self.nft()?.dump("nftables elements", &|b| ElementSeen::dump(b, &table, set), ElementSeen::parse_all) {
            Err(e) if e.is_missing() => Ok(Vec::new()),
            other => other,
        }
    }

    fn settled(&mut self, op: &Op, error: Option<&KernelError>, table_is_there: bool, how: &How) -> Settled {
        if op.is_layout() && table_is_there {
            return Settled::Done(Outcome::AlreadyThere);
        }
        let Some(error) = error else { return Settled::Open };
        match (&op.what, error.errno) {
            // The map may hold other data for the key.
            (What::AddElement(element), libc::EEXIST) if !element.data.is_empty() => match self.has_element(element) {
                Ok(true) => Settled::Done(Outcome::AlreadyThere),
                Ok(false) if !how.replace.contains(element) => Settled::Elsewhere(element.clone()),
                Ok(false) => Settled::Failed(overlap(op, error.clone())),
                Err(e) => Settled::Failed(e),
            },
            (What::AddElement(_), libc::EEXIST) => Settled::Done(Outcome::AlreadyThere),
            (What::DeleteElement(_) | What::DeleteTable(_) | What::DeleteGuestRule(_), libc::ENOENT) => {
                Settled::Done(Outcome::Nothing)
            }
            (What::AddGuestRule(_), libc::ENOENT | libc::EPERM) => {
                Settled::Failed(Error::ForeignRulesChanged { object: op.to_string() })
            }
            // EEXIST on add, ENOENT on delete: not this key exists, but an interval that overlaps it.
            (What::AddElement(element), libc::ENOENT) if how.replace.contains(element) => {
                Settled::Failed(overlap(op, KernelError::from_errno(libc::EEXIST)))
            }
            // The table exists, so the set is missing only because the message for the table failed.
            (What::AddElement(_), libc::ENOENT) if table_is_there => Settled::Open,
            (What::AddElement(_), libc::ENOENT) => Settled::Failed(Error::LayoutMissing { object: op.to_string() }),
            _ => {
                let hint = hint(error.errno);
                Settled::Failed(Error::Netlink { object: op.to_string(), source: error.clone(), hint })
            }
        }
    }

    /// Whether the set has exactly this element: the key, and the data of a map.
    pub(crate) fn has_element(&mut self, element: &Element) -> Result<bool, Error> {
        let mut batch = Batch::new();
        element.encode_get(&mut batch);
        let answers = self.nft()?.ask("nftables objects", &batch)?;
        let seen: Vec<ElementSeen> =
            answers.iter().flat_map(|a| &a.objects).flat_map(|o| ElementSeen::parse_all(&o.message())).collect();
        Ok(element.raw().iter().all(|raw| seen.contains(raw)))
    }

    /// Which of these elements our sets have, by their keys, in one send.
    pub fn have_elements(&mut self, elements: &[Element]) -> Result<Vec<bool>, Error> {
        let mut batch = Batch::new();
        for element in elements {
            element.encode_get(&mut batch);
        }
        let answers = self.nft()?.ask("nftables objects", &batch)?;
        Ok(answers.iter().map(|answer| !answer.objects.is_empty()).collect())
    }

    /// Whether our table is switched on and has all its rules, by the number of rules of each chain. It takes one send,
    /// however large the ruleset is.
    pub fn firewall_stands(&mut self) -> Result<bool, Error> {
        let chains = zubi_plan::firewall::chains();
        let mut batch = Batch::new();
        zubi_plan::firewall::TABLE.encode_get(&mut batch);
        for chain in &chains {
            chain.encode_get(&mut batch);
        }
        let answers = self.nft()?.ask("nftables objects", &batch)?;
        let Some((table, answers)) = answers.split_first() else { return Ok(false) };
        let table = table.objects.iter().find_map(|o| TableSeen::parse(&o.message()));
        if table.is_none_or(|table| table.dormant) {
            return Ok(false);
        }
        let seen = |answer: &crate::Answer| answer.objects.iter().find_map(|o| ChainSeen::parse(&o.message()));
        let uses = zubi_plan::firewall::uses();
        Ok(chains
            .iter()
            .zip(answers)
            .zip(uses)
            .all(|((chain, answer), wanted)| seen(answer).is_some_and(|seen| chain.is(&seen) && seen.uses == wanted)))
    }
}

/// How a transaction is sent, by what earlier tries have shown.
#[derive(Default)]
struct How {
    /// Delete elements by the message that fails when there is none: Linux before 6.3 has no other.
    without_destroy: bool,
    /// Elements whose keys a map has with other data. No endpoint owns them: a recorded owner would be known.
    replace: HashSet<Element>,
    /// How often the generation was not the expected one.
    restarts: u32,
}

enum Settled {
    Done(Outcome),
    Open,
    Elsewhere(Element),
    Failed(Error),
}

/// What became of each operation of a transaction.
struct Answered {
    errors: Vec<Option<KernelError>>,
    /// Where each new guest rule is.
    echoes: Vec<Option<RuleAt>>,
}

fn outcome_of(op: &Op, echo: Option<&RuleAt>) -> Outcome {
    match (&op.what, echo) {
        (What::DeleteTable(_) | What::DeleteElement(_) | What::DeleteGuestRule(_), _) => Outcome::Removed,
        (What::AddGuestRule(_), Some(at)) => Outcome::Changed { back: Box::new(What::DeleteGuestRule(at.clone())) },
        _ => Outcome::Created,
    }
}

fn overlap(op: &Op, source: KernelError) -> Error {
    let hint = Some("it overlaps an element that belongs to no record; zubi gc removes that");
    Error::Netlink { object: op.to_string(), source, hint }
}

fn hint(errno: i32) -> Option<&'static str> {
    match errno {
        libc::EPERM => Some("another program owns the table or a capability is missing"),
        libc::ENOTEMPTY => Some("it overlaps another element: another network has this subnet in part"),
        libc::EOPNOTSUPP => Some("this kernel lacks a part of nftables"),
        _ => None,
    }
}
