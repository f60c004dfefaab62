//! How a store is opened.

use crate::disk::{Disk, Observer};
use crate::{Dirs, HostId, OtherNamespace, Store, StoreError};
use std::io;
use std::time::Duration;

/// How long a lock is waited for, unless told otherwise: longer than any command needs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What there is to say about a store before it is opened.
#[must_use = "nothing is opened until `open` is called"]
pub struct Opening {
    dirs: Dirs,
    host: HostId,
    others: OtherNamespace,
    patience: Duration,
    observer: Option<Observer>,
}

impl Opening {
    /// For this boot and host namespace.
    pub fn new(dirs: Dirs, host: HostId) -> Self {
        Opening { dirs, host, others: OtherNamespace::default(), patience: PATIENCE, observer: None }
    }

    /// What becomes of records of another host namespace.
    pub fn of_others(mut self, others: OtherNamespace) -> Self {
        self.others = others;
        self
    }

    /// How long a lock is waited for.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// With the observer of [`Store::with_steps`] in place from the first effect.
    pub fn with_steps(mut self, observer: impl Fn(&str) -> io::Result<()> + Send + Sync + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Opens it.
    ///
    /// The first to come writes down whose `run` it is. What an earlier boot left there is removed. Fails with
    /// [`StoreError::OtherHost`] if `run` belongs to another network namespace of this boot, unless that is to be
    /// forgotten: our records would look like leftovers to it, and the other way round. Fails with
    /// [`StoreError::Shared`] if somebody else can write to one of the folders.
    pub fn open(self) -> Result<Store, StoreError> {
        self.open_guarded(|| Ok(()))
    }

    /// The same; before anything of a folder that is not yet this boot's is changed, `guard` has the last word.
    pub fn open_guarded<E: From<StoreError>>(self, guard: impl FnOnce() -> Result<(), E>) -> Result<Store, E> {
        let mut disk = Disk::new(self.dirs.state, self.dirs.run);
        if let Some(observer) = self.observer {
            disk.observed_by(observer);
        }
        let store = Store { disk, host: self.host, patience: self.patience };
        store.refuse_shared()?;
        store.settle_guarded(self.others, guard)?;
        Ok(store)
    }
}
