//! What every part works with.

use crate::counts::Counts;
use crate::status::Board;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::watch;
use zubi_engine::{Engine, Error, Session};

/// What every part works with: the engine, the board, the counts, and the sign to end.
#[derive(Clone)]
pub(crate) struct Context {
    engine: Arc<RwLock<Engine>>,
    pub(crate) board: Board,
    pub(crate) counts: Arc<Counts>,
    ends: watch::Receiver<bool>,
    /// Counts how often the settings were read again.
    reloads: watch::Sender<u64>,
}

impl Context {
    pub(crate) fn new(engine: Engine, board: Board, ends: watch::Receiver<bool>) -> Self {
        Context {
            engine: Arc::new(RwLock::new(engine)),
            board,
            counts: Arc::new(Counts::new()),
            ends,
            reloads: watch::Sender::new(0),
        }
    }

    /// The engine with the settings that hold now.
    pub(crate) fn engine(&self) -> Engine {
        self.engine.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on this engine, with other settings, serves the calls.
    pub(crate) fn replace_engine(&self, engine: Engine) {
        *self.engine.write().unwrap_or_else(PoisonError::into_inner) = engine;
        self.reloads.send_modify(|count| *count += 1);
    }

    /// The number of times that the settings were read again. A part that receives it begins anew when it grows.
    pub(crate) fn reloads(&self) -> watch::Receiver<u64> {
        self.reloads.subscribe()
    }

    /// Does a piece of work with a session of its own, on another thread. Notes of the engine are logged.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Session) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let engine = self.engine();
        let call = tokio::task::spawn_blocking(move || {
            let mut session = engine.session()?;
            let outcome = work(&mut session);
            for note in session.take_notes() {
                tracing::info!("{note}");
            }
            let finished = session.finish();
            outcome.and_then(|value| finished.map(|()| value))
        });
        match call.await {
            Ok(outcome) => outcome,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    /// Returns when the daemon is to end.
    pub(crate) async fn ended(&mut self) {
        // The sender lives as long as the daemon.
        self.ends.wait_for(|ends| *ends).await.ok();
    }
}
