//! Filters of devices: reading them, and why one was refused.

use crate::error::Error;
use crate::links::{only, refused};
use crate::session::Session;
use crate::socket::Answer;
use zubi_model::{IfIndex, IfName};
use zubi_plan::{Op, Outcome, Place};
use zubi_wire::route::{Filter, FilterSeen, FilterSide, get_hooks};
use zubi_wire::{Batch, KernelError, Message};

impl Session {
    /// The filters of a device, on both sides.
    pub fn filters(&mut self, place: &Place, device: &IfName) -> Result<Vec<FilterSeen>, Error> {
        let index = self.index(place, device.as_str())?;
        self.filters_of(place, index)
    }

    pub(crate) fn filters_of(&mut self, place: &Place, device: IfIndex) -> Result<Vec<FilterSeen>, Error> {
        let seen = |m: &Message<'_>| FilterSeen::parse(m).into_iter().collect();
        let mut all = Vec::new();
        for side in FilterSide::ALL {
            match self.socket(place)?.dump("filters", &|b| FilterSeen::dump(b, device, side), seen) {
                Ok(some) => all.extend(some),
                // The device was deleted since.
                Err(e) if e.errno() == Some(libc::ENODEV) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(all)
    }

    /// On which of these devices filters can hang, in one send.
    pub(crate) fn have_hooks(&mut self, place: &Place, devices: &[IfIndex]) -> Result<Vec<bool>, Error> {
        if devices.is_empty() {
            return Ok(Vec::new());
        }
        let mut batch = Batch::new();
        for device in devices {
            get_hooks(&mut batch, *device);
        }
        let has_hooks = |(device, answer): (&IfIndex, Answer)| match answer.outcome {
            Some(Ok(())) | None => Ok(true),
            Some(Err(e)) if matches!(e.errno, libc::ENOENT | libc::EINVAL | libc::EOPNOTSUPP | libc::ENODEV) => {
                Ok(false)
            }
            outcome => Err(refused(format!("qdisc get dev {device} clsact"), outcome)),
        };
        devices.iter().zip(self.socket(place)?.ask("queueing disciplines", &batch)?).map(has_hooks).collect()
    }

    fn has_hooks(&mut self, place: &Place, device: &IfName) -> Result<bool, Error> {
        let index = self.index(place, device.as_str())?;
        Ok(self.have_hooks(place, &[index])?.contains(&true))
    }

    /// What the kernel's refusal of a filter means. A kernel without `clsact` or without `bpf` has no filters.
    pub(crate) fn settle_filter(&mut self, op: &Op, filter: &Filter, error: KernelError) -> Result<Outcome, Error> {
        match error.errno {
            libc::ENOENT | libc::EOPNOTSUPP => Ok(Outcome::Nothing),
            libc::EINVAL if !self.has_hooks(&op.place, &filter.device)? => Ok(Outcome::Nothing),
            libc::EEXIST if self.filters(&op.place, &filter.device)?.iter().any(|seen| filter.is(seen)) => {
                Ok(Outcome::AlreadyThere)
            }
            // Its number says that it is ours; it has another program.
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
