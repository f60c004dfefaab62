//! Failpoints for tests, in debug builds only. `ZUBI_FAULT=kill:N`, `fail:N` or `stop:N` kills, fails or stops
//! (SIGSTOP) the process right after its N-th effect (kernel message, setting or file), counted from 1. Several are
//! separated by commas: `fail:5,kill:7` fails the process and then kills it while it undoes its work.
//! `ZUBI_FAULT=count` writes the names of all effects to standard error. With any of these each operation is sent
//! alone.
//!
//! Operations that are sent together have failpoints of their own, which do not split the sends. With `message:N` the
//! kernel refuses the N-th netlink message of the process. `lost:N` loses the answers to the send that contains it.
//! `messages` writes all of them to standard error.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use zubi_kernel::Disturbance;

#[derive(Debug, Clone, Copy)]
enum Deed {
    Kill,
    Fail,
    Stop,
    Count,
}

/// The failpoints, and the one counter that store and kernel share.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    deeds: Vec<(Deed, u32)>,
    seen: Arc<AtomicU32>,
}

thread_local! {
    /// Set while a command undoes its work: a test that fails the command wants to see the undo succeed.
    static MUTED: RefCell<bool> = const { RefCell::new(false) };
}

impl Fault {
    /// Parses `ZUBI_FAULT`; `None` in release builds. Failpoints of messages are installed here, in the kernel crate.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if !cfg!(debug_assertions) {
            return None;
        }
        if let Some(disturbances) = disturbances(text) {
            zubi_kernel::disturb(disturbances);
            return None;
        }
        let deed = |word: &str| match word.split_once(':') {
            Some(("kill", n)) => Some((Deed::Kill, n.parse().ok()?)),
            Some(("fail", n)) => Some((Deed::Fail, n.parse().ok()?)),
            Some(("stop", n)) => Some((Deed::Stop, n.parse().ok()?)),
            _ => (word == "count").then_some((Deed::Count, 0)),
        };
        Some(Fault { deeds: text.split(',').map(deed).collect::<Option<_>>()?, seen: Arc::new(AtomicU32::new(0)) })
    }

    /// Runs `work` with failures (but not kills) switched off.
    pub(crate) fn muted<T>(work: impl FnOnce() -> T) -> T {
        let before = MUTED.replace(true);
        let result = work();
        MUTED.set(before);
        result
    }

    /// Counts an effect, and kills, fails or stops here if that was asked for.
    pub(crate) fn step(&self, name: &str) -> io::Result<()> {
        let n = self.seen.fetch_add(1, Ordering::SeqCst) + 1;
        let me = std::process::id();
        for (deed, at) in &self.deeds {
            match deed {
                Deed::Count => zubi_kernel::Stream::Err.tell(&format!("step {n}: {name}\n")),
                _ if n != *at => {}
                Deed::Kill => zubi_kernel::sys::kill(me, libc::SIGKILL)?,
                Deed::Stop => zubi_kernel::sys::kill(me, libc::SIGSTOP)?,
                Deed::Fail if MUTED.with_borrow(|m| *m) => {}
                Deed::Fail => return Err(io::Error::other(format!("asked to fail behind step {n}: {name}"))),
            }
        }
        Ok(())
    }
}

/// The failpoints of messages; `None` if the text has any other word.
fn disturbances(text: &str) -> Option<Vec<Disturbance>> {
    let disturbance = |word: &str| match word.split_once(':') {
        Some(("message", n)) => Some(Disturbance::Refuse(n.parse().ok()?)),
        Some(("lost", n)) => Some(Disturbance::Lose(n.parse().ok()?)),
        _ => (word == "messages").then_some(Disturbance::Tell),
    };
    text.split(',').map(disturbance).collect()
}
