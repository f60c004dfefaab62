//! How the parts are, and what happens.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::broadcast;
use zubi_model::{DaemonStatus, Happening, PartState, PartStatus};

/// So many happenings a slow reader may be behind before it misses some.
const BEHIND: usize = 1024;

/// How the parts are, as each told last, and the stream of what happens.
#[derive(Debug, Clone)]
pub(crate) struct Board {
    parts: Arc<Mutex<BTreeMap<&'static str, (PartState, String)>>>,
    happenings: broadcast::Sender<Happening>,
    started: Instant,
}

impl Board {
    pub(crate) fn new() -> Self {
        Board { parts: Arc::default(), happenings: broadcast::channel(BEHIND).0, started: Instant::now() }
    }

    /// A part tells how it is. A change is logged.
    pub(crate) fn tell(&self, part: &'static str, state: PartState, detail: impl Into<String>) {
        let told = (state, detail.into());
        let mut parts = self.parts();
        if parts.get(part).map(|(state, _)| *state) != Some(state) {
            match state {
                PartState::Failing => tracing::warn!(part, "{}", told.1),
                PartState::Ok | PartState::Off => tracing::info!(part, "{}", told.1),
            }
        }
        parts.insert(part, told);
    }

    /// A part did or saw something.
    pub(crate) fn happened(&self, part: &'static str, object: impl Into<String>, what: impl Into<String>) {
        let (object, what) = (object.into(), what.into());
        tracing::info!(part, object, "{what}");
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        // Without a reader the sending fails.
        self.happenings.send(Happening { at, part: part.to_owned(), object, what }).ok();
    }

    /// What happens from now on.
    pub(crate) fn listen(&self) -> broadcast::Receiver<Happening> {
        self.happenings.subscribe()
    }

    /// How everything is.
    pub(crate) fn status(&self) -> DaemonStatus {
        let parts = self.parts();
        let parts = parts.iter().map(|(part, (state, detail))| PartStatus {
            part: (*part).to_owned(),
            state: *state,
            detail: detail.clone(),
        });
        DaemonStatus {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            up_for: self.started.elapsed().as_secs(),
            parts: parts.collect(),
        }
    }

    fn parts(&self) -> MutexGuard<'_, BTreeMap<&'static str, (PartState, String)>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
