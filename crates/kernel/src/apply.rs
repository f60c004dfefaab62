//! Applying plans.
//!
//! # How it works
//! Neighbouring operations of one place that go to route netlink travel in one send, neighbouring nftables operations
//! in one transaction, neighbouring settings of one sandbox in one visit. A link is always made by a send of its own:
//! the kernel goes on after a failed message, and one behind it that addresses the new link by name could hit a foreign
//! device. For the same reason a send ends with the renaming of a link.
//!
//! On an error everything that was done is undone, backwards, by the outcomes. Taking down never stops at an error:
//! what is gone already counts as removed, and errors are reported at the end.

use crate::error::Error;
use crate::netns::Netns;
use crate::session::Session;
use zubi_plan::{Flows, Op, Outcome, Place, Plan, What};

/// What became of a plan.
#[derive(Debug, Default)]
pub struct Applied {
    /// Each operation with what it found and did.
    pub done: Vec<(Op, Outcome)>,
    /// Deletions that were left out, see [`Deletions::Later`].
    pub later: Vec<Op>,
}

/// Whether slow operations (deleting links, looking for connections) are done at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletions {
    /// Do them and wait for them.
    Now,
    /// Leave them to the caller.
    Later,
}

/// How a plan treats what it removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    /// The outcome says whether it was there: a rollback may have to put it back.
    Exact,
    /// It only has to be gone.
    Any,
}

/// A plan that failed.
#[derive(Debug, thiserror::Error)]
#[error("{error}{}", if rollback.is_empty() { "; everything was undone".to_owned() } else { format!("; undoing it failed too: {}", rollback.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")) })]
pub struct Failed {
    /// Why it failed.
    pub error: Error,
    /// What could not be undone; empty when everything was undone.
    pub rollback: Vec<Error>,
}

/// Operations of one send, with what became of them; the error, if any, is that of the first that failed.
pub(crate) struct Group {
    pub(crate) done: Vec<(Op, Outcome)>,
    pub(crate) error: Option<Error>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Route,
    Nft,
    Setting,
    Flows,
    Alone,
}

/// Whether the kernel takes milliseconds for it, and nothing depends on the result.
fn is_slow(op: &Op) -> bool {
    matches!(op.what, What::DeleteLink(_) | What::Forget(Flows::Of(_)))
}

/// Whether operations behind it may name a device that has that name only after it.
fn renames(op: &Op) -> bool {
    matches!(&op.what, What::ChangeLink(change) if change.rename.is_some())
}

fn class(op: &Op) -> Class {
    match op.what {
        What::ChangeLink(_)
        | What::ChangePort(_)
        | What::AddVlan(_)
        | What::DeleteVlan(_)
        | What::AddForwarding(_)
        | What::AddAddress(_)
        | What::ChangeAddress(_)
        | What::DeleteAddress(_)
        | What::AddHooks(_)
        | What::DeleteHooks(_)
        | What::AddFilter(_)
        | What::DeleteFilter(_)
        | What::AddRoute(_)
        | What::AppendRoute(_)
        | What::AddPolicyRule(_)
        | What::DeletePolicyRule(_)
        | What::AddNeighbour(_)
        | What::DeleteNeighbour(_)
        | What::DeleteRoute(_) => Class::Route,
        What::Set(_) => Class::Setting,
        What::Forget(_) => Class::Flows,
        _ if op.is_nft() => Class::Nft,
        _ => Class::Alone,
    }
}

impl Session {
    /// Applies a plan from first to last, or undoes what was done of it.
    pub fn apply(&mut self, plan: &Plan) -> Result<Applied, Failed> {
        let mut applied = Applied::default();
        let mut rest = plan.ops.as_slice();
        while !rest.is_empty() {
            let (group, behind) = rest.split_at(self.group_len(rest));
            rest = behind;
            let group = self.apply_group(group, Removal::Exact);
            applied.done.extend(group.done);
            if let Some(error) = group.error {
                return Err(Failed { rollback: self.roll_back(&applied.done), error });
            }
        }
        Ok(applied)
    }

    /// Applies a plan that removes something: goes on after errors, and takes "is gone already" for success.
    pub fn take_down(&mut self, plan: &Plan, deletions: Deletions) -> (Applied, Vec<Error>) {
        let mut applied = Applied::default();
        let mut errors = Vec::new();
        let (later, now): (Vec<Op>, Vec<Op>) =
            plan.ops.iter().cloned().partition(|op| deletions == Deletions::Later && is_slow(op));
        let mut rest = now.as_slice();
        while !rest.is_empty() {
            let (group, behind) = rest.split_at(self.group_len(rest));
            rest = behind;
            let group = self.apply_group(group, Removal::Any);
            applied.done.extend(group.done);
            errors.extend(group.error.filter(|e| !e.is_missing()));
        }
        // Reported now: the detached child that does them has no observer.
        if let Some(observer) = &mut self.observer {
            later.iter().for_each(observer);
        }
        applied.later = later;
        (applied, errors)
    }

    fn group_len(&self, ops: &[Op]) -> usize {
        let Some(first) = ops.first() else { return 0 };
        let kind = class(first);
        let alone = kind == Class::Alone || (self.steps.is_some() && kind != Class::Nft);
        if alone {
            return 1;
        }
        let mut is_renamed = false;
        let goes_along = |op: &&Op| {
            let goes = op.place == first.place && class(op) == kind && !is_renamed;
            is_renamed |= renames(op);
            goes
        };
        ops.iter().take_while(goes_along).count()
    }

    fn apply_group(&mut self, ops: &[Op], removal: Removal) -> Group {
        let Some(first) = ops.first() else { return Group { done: Vec::new(), error: None } };
        let mut group = match class(first) {
            Class::Route => self.apply_route(ops, removal),
            Class::Nft => self.apply_nft(ops, removal),
            Class::Setting => self.apply_settings(ops),
            Class::Flows => self.apply_flows(ops),
            Class::Alone => match self.apply_alone(first) {
                Ok(outcome) => Group { done: vec![(first.clone(), outcome)], error: None },
                Err(error) => Group { done: Vec::new(), error: Some(error) },
            },
        };
        if let Some(observer) = &mut self.observer {
            let changed = |outcome: &Outcome| !matches!(outcome, Outcome::AlreadyThere | Outcome::Nothing);
            group.done.iter().filter(|(_, outcome)| changed(outcome)).for_each(|(op, _)| observer(op));
        }
        if group.error.is_none()
            && let Some(hook) = &mut self.steps
            && hook(&first.to_string()).is_err()
        {
            group.error = Some(Error::Injected(first.to_string()));
        }
        group
    }

    fn apply_alone(&mut self, op: &Op) -> Result<Outcome, Error> {
        match &op.what {
            What::AddLink(link) => self.add_link(&op.place, link),
            What::DeleteLink(link) => self.delete_link(&op.place, link),
            What::MoveLink(moved) => self.move_link(&op.place, moved),
            What::Announce(announcement) => self.announce(&op.place, announcement),
            What::SumUpFrames(device) => self.sum_up_frames(&op.place, device),
            What::AddOvsPort(port) => crate::ovs::add(port),
            What::SetOvsPort(port) => crate::ovs::set(port),
            What::DeleteOvsPort(name) => crate::ovs::delete(name),
            What::WriteFile(file) => crate::sandbox_file::write(file),
            What::DeleteFile(file) => crate::sandbox_file::remove(file),
            What::AddNamespace(name) => crate::named::add(name, self.machine.home()),
            What::NameNamespace { name, path } => crate::named::attach(name, path, self.machine.home()),
            What::DeleteNamespace { name, cookie } => {
                let reached_by = zubi_model::NsRef::Named(name.clone());
                let wanted = cookie.or_else(|| self.sandboxes.get(&reached_by).map(|inside| inside.cookie));
                let is_wanted = |netns: &Netns| match wanted {
                    Some(wanted) => Ok(self.cookie_of(netns)? == wanted),
                    None => Ok(true),
                };
                let outcome = crate::named::remove(name, is_wanted);
                self.close_sandbox(&reached_by);
                outcome
            }
            other => Err(Error::NoAnswer { object: format!("{other:?}") }),
        }
    }

    /// Undoes what was done, last first.
    fn roll_back(&mut self, done: &[(Op, Outcome)]) -> Vec<Error> {
        let mut errors = Vec::new();
        for (op, outcome) in done.iter().rev() {
            let Some(undo) = op.undo(outcome) else { continue };
            if let Place::Sandbox(sandbox) = &undo.place
                && self.open_sandbox(sandbox).is_err()
            {
                // What was inside is gone with the sandbox.
                continue;
            }
            let group = self.apply_group(std::slice::from_ref(&undo), Removal::Exact);
            errors.extend(group.error.filter(|e| !e.is_missing()));
        }
        errors
    }
}
