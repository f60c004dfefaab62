//! Filters at devices' ingress: reading them, and telling why one was refused.

use crate::error::Error;
use crate::links::{only, refused};
use crate::machine::Kernel;
use zubi_model::IfName;
use zubi_plan::{Op, Outcome, Place};
use zubi_wire::route::{Filter, FilterSeen, get_hooks};
use zubi_wire::{Batch, KernelError};

impl Kernel {
    /// The filters for what comes in by a device.
    pub fn filters(&mut self, place: &Place, device: &IfName) -> Result<Vec<FilterSeen>, Error> {
        let index = self.index(place, device.as_str())?;
        self.socket(place)?
            .dump("filters", &|b| FilterSeen::dump(b, index), |m| FilterSeen::parse(m).into_iter().collect())
    }

    /// Whether filters can hang on a device.
    pub(crate) fn has_hooks(&mut self, place: &Place, device: &IfName) -> Result<bool, Error> {
        let index = self.index(place, device.as_str())?;
        let mut batch = Batch::new();
        get_hooks(&mut batch, index);
        match only(self.socket(place)?.transact(batch)?).outcome {
            Some(Ok(())) | None => Ok(true),
            Some(Err(e)) if matches!(e.errno, libc::ENOENT | libc::EINVAL | libc::EOPNOTSUPP) => Ok(false),
            outcome => Err(refused(format!("qdisc get dev {device} clsact"), outcome)),
        }
    }

    /// What it means that a filter was refused. A kernel without `clsact` or without `bpf` has no such thing.
    pub(crate) fn judge_filter(&mut self, op: &Op, filter: &Filter, error: KernelError) -> Result<Outcome, Error> {
        match error.errno {
            libc::ENOENT | libc::EOPNOTSUPP => Ok(Outcome::Nothing),
            libc::EINVAL if !self.has_hooks(&op.place, &filter.device)? => Ok(Outcome::Nothing),
            libc::EEXIST if self.filters(&op.place, &filter.device)?.iter().any(|seen| filter.is(seen)) => {
                Ok(Outcome::AlreadyThere)
            }
            // Its number says that it is ours, and was made otherwise.
            libc::EEXIST => {
                let index = self.index(&op.place, filter.device.as_str())?;
                let mut batch = Batch::new();
                filter.encode_replace(&mut batch, index);
                match only(self.socket(&op.place)?.transact(batch)?).outcome {
                    Some(Ok(())) => Ok(Outcome::AlreadyThere),
                    outcome => Err(refused(op.to_string(), outcome)),
                }
            }
            _ => Err(refused(op.to_string(), Some(Err(error)))),
        }
    }
}
