//! Opening a store, and its options.

use crate::disk::{Disk, Observer};
use crate::{Dirs, HostId, OtherNamespace, Store, StoreError};
use std::io;
use std::time::Duration;
use zubi_model::Progress;

/// The default patience: longer than any command needs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The options of a store that is to be opened.
#[must_use = "nothing is opened until `open` is called"]
pub struct Opening {
    dirs: Dirs,
    host: HostId,
    others: OtherNamespace,
    patience: Duration,
    observer: Option<Observer>,
    progress: Progress,
}

impl Opening {
    /// The defaults, for this boot and host namespace.
    pub fn new(dirs: Dirs, host: HostId) -> Self {
        let (others, progress) = (OtherNamespace::default(), Progress::default());
        Opening { dirs, host, others, patience: PATIENCE, observer: None, progress }
    }

    /// Sets what to do with records of another host namespace.
    pub fn of_others(mut self, others: OtherNamespace) -> Self {
        self.others = others;
        self
    }

    /// Sets how long the store waits for a lock.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sets who is told which process the store waits for.
    pub fn progress(mut self, progress: Progress) -> Self {
        self.progress = progress;
        self
    }

    /// Sets the observer of [`Store::with_steps`], which sees the effects of opening too.
    pub fn with_steps(mut self, observer: impl Fn(&str) -> io::Result<()> + Send + Sync + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Opens the store.
    ///
    /// The first command of a boot records which boot and namespace `run` belongs to, and removes the records of an
    /// earlier boot. Fails with [`StoreError::OtherHost`] if `run` belongs to another network namespace of this boot
    /// (each would take the other's records for leftovers), unless [`Opening::of_others`] says otherwise. Fails with
    /// [`StoreError::Shared`] if another user can write to one of the folders.
    pub fn open(self) -> Result<Store, StoreError> {
        self.open_guarded(|| Ok(()))
    }

    /// As [`Opening::open`]. If the folder does not belong to this boot yet, it calls `guard`, which may refuse, before
    /// the first change.
    pub fn open_guarded<E: From<StoreError>>(self, guard: impl FnOnce() -> Result<(), E>) -> Result<Store, E> {
        let mut disk = Disk::new(self.dirs.state, self.dirs.run);
        if let Some(observer) = self.observer {
            disk.observed_by(observer);
        }
        let store = Store { disk, host: self.host, patience: self.patience, progress: self.progress };
        store.refuse_shared()?;
        store.settle_guarded(self.others, guard)?;
        Ok(store)
    }
}

impl Store {
    /// As [`Opening::open`], with the defaults.
    pub fn open(dirs: Dirs, host: HostId) -> Result<Store, StoreError> {
        Opening::new(dirs, host).open()
    }
}
