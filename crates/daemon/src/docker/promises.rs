//! Subnets that Docker was given and has made no network of yet.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use zubi_docker::PoolId;

/// So long a subnet is kept for a network that does not come.
const LONGEST: Duration = Duration::from_secs(600);

/// What was promised. It dies with the daemon: then the network is refused if another one has its subnet by now.
#[derive(Debug, Default)]
pub(super) struct Promises(Mutex<Vec<Promise>>);

/// A subnet that was promised.
#[derive(Debug)]
struct Promise {
    pool: PoolId,
    at: Instant,
}

/// The promises, while nobody else reads them.
#[derive(Debug)]
pub(super) struct Held<'a>(MutexGuard<'a, Vec<Promise>>);

impl Promises {
    pub(super) fn hold(&self) -> Held<'_> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|promise| promise.at.elapsed() < LONGEST);
        Held(held)
    }
}

impl Held<'_> {
    pub(super) fn pools(&self) -> impl Iterator<Item = &PoolId> {
        self.0.iter().map(|promise| &promise.pool)
    }

    pub(super) fn add(&mut self, pool: PoolId) {
        self.0.push(Promise { pool, at: Instant::now() });
    }

    pub(super) fn remove(&mut self, is: impl Fn(&PoolId) -> bool) {
        self.0.retain(|promise| !is(&promise.pool));
    }
}
