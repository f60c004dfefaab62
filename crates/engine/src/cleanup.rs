//! The slow part of a command. A detached child does it for a command that ends, a thread for a process that stays.
//!
//! # How it works
//! The kernel waits some 16 ms (an RCU barrier) in every link deletion, and some 13 ms when an nftables socket is
//! closed after a deletion. Finding the connections of an address takes another 5 ms. The store lists these links and
//! addresses before the work is handed over: if the child or the process dies, the next command finishes it.
//!
//! A detached child holds none of the caller's descriptors. A caller that reads a command's output to its end therefore
//! does not wait for the child.

use crate::error::Error;
use crate::heal::slow::slow_part;
use crate::session::{Cleanup, Session};
use std::os::fd::RawFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use zubi_kernel::process::{self, Holds};

/// Ends a command, and hands its slow part over if it has one.
pub(crate) fn finish(mut session: Session) -> Result<(), Error> {
    if !session.slow.attaching {
        session.slow.unused = session.store().empty_described()?;
    }
    // `check` reports a file that cannot be read.
    let (doomed, stale) = (session.store().doomed_lossy().0, session.store().stale_lossy().0);
    let slow = &session.slow;
    let nothing = doomed.is_empty() && stale.is_empty() && slow.unused.is_empty() && slow.flows.is_empty();
    if nothing && !session.kernel.closes_slowly() {
        return Ok(());
    }
    // An open descriptor keeps a namespace alive. A child also closes the descriptors that these would name.
    session.kernel.forget_sandboxes();
    match session.take_cleanup() {
        Some(cleanup) => cleanup.take_over(session),
        None => slow_part(&mut session),
    }
}

/// Between two calls a session has only the kernel's sockets open, once it has forgotten its sandboxes.
impl Holds for Session {
    fn descriptors(&self) -> Vec<RawFd> {
        self.kernel.descriptors()
    }

    fn leave_to_child(self) {
        self.kernel.leave_to_child();
    }
}

/// A forked child of the command.
#[derive(Debug)]
pub struct DetachedChild;

impl Cleanup for DetachedChild {
    /// Returns at once; the child does the deletions. If the system cannot start another process, the caller does them
    /// and waits.
    fn take_over(&self, session: Session) -> Result<(), Error> {
        match process::detach(session, |mut session| slow_part(&mut session).map_or(1, |()| 0)) {
            Ok(()) => Ok(()),
            Err((mut session, _)) => slow_part(&mut session),
        }
    }
}

/// A thread that does the slow part of one session after another.
#[derive(Debug)]
pub struct Worker {
    state: Arc<State>,
    sender: Mutex<Option<mpsc::Sender<Session>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The number of sessions that wait, and the errors so far.
#[derive(Debug, Default)]
struct State {
    work: Mutex<Work>,
    done: Condvar,
}

#[derive(Debug, Default)]
struct Work {
    waiting: usize,
    failed: Vec<Error>,
}

impl State {
    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Worker {
    pub(crate) fn start() -> Result<Self, Error> {
        let (sender, receiver) = mpsc::channel::<Session>();
        let state = Arc::new(State::default());
        let of_thread = Arc::clone(&state);
        let thread = thread::Builder::new()
            .name("cleanup".into())
            .spawn(move || {
                for mut session in receiver {
                    let outcome = slow_part(&mut session);
                    drop(session);
                    let mut work = of_thread.work();
                    work.failed.extend(outcome.err());
                    work.waiting -= 1;
                    of_thread.done.notify_all();
                }
            })
            .map_err(Error::system("cleanup", "start", "thread"))?;
        Ok(Worker { state, sender: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
    }

    /// Waits until all sessions are done, and returns the errors. The next command finishes what failed.
    pub fn settle(&self) -> Vec<Error> {
        let mut work = self.state.work();
        while work.waiting > 0 {
            work = self.state.done.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::take(&mut work.failed)
    }
}

impl Cleanup for Worker {
    fn take_over(&self, session: Session) -> Result<(), Error> {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.state.work().waiting += 1;
        let sent = match sender {
            Some(sender) => sender.send(session).map_err(|lost| lost.0),
            None => Err(session),
        };
        match sent {
            Ok(()) => Ok(()),
            // The thread has ended: the caller does the work.
            Err(mut session) => {
                self.state.work().waiting -= 1;
                slow_part(&mut session)
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Without a sender the thread ends after its last session.
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            thread.join().ok();
        }
    }
}
