//! A session: what one command knows and holds.
//!
//! # How it works
//! A session belongs to one command on one thread. It has sockets of its own, opens sandboxes when it needs them, and
//! forgets everything when it ends: nothing that it has read outlives it. Work that takes the kernel long is not done by
//! the command but handed to a [`Cleanup`] at the end, with the session.

use crate::config::Config;
use crate::error::Error;
use crate::shared::Shared;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use zubi_ipam::AddressPools;
use zubi_kernel::{Observer, Session as KernelSession};
use zubi_model::{NetworkId, NetworkName};
use zubi_plan::Plan;
use zubi_runtimes::Runtimes;
use zubi_snapshot::{Needs, Snapshot};
use zubi_store::{FirewallSeen, Store};

/// One command's view of the machine.
pub struct Session {
    pub(crate) shared: Arc<Shared>,
    pub(crate) kernel: KernelSession,
    pub(crate) ruleset: Ruleset,
    pub(crate) slow: SlowWork,
    cleanup: Option<Arc<dyn Cleanup>>,
    notes: Vec<String>,
}

/// Does the slow part of a command, for which its caller does not wait.
pub trait Cleanup: Send + Sync {
    /// Takes over a session whose [`SlowWork`] is to be done.
    fn take_over(&self, session: Session) -> Result<(), Error>;
}

/// What this command knows of the host's nftables ruleset.
#[derive(Debug, Default)]
pub(crate) struct Ruleset {
    /// The networks that are in order while the ruleset has the generation that the kernel edge expects.
    pub(crate) in_order: Option<Vec<NetworkId>>,
    /// What the store's hint says, as far as this command has read or written it.
    pub(crate) remembered: Option<FirewallSeen>,
}

/// What a command leaves for later.
#[derive(Debug, Default)]
pub(crate) struct SlowWork {
    /// Connections of ports that were taken back from an endpoint that stays, by network.
    pub(crate) flows: Vec<(NetworkName, Plan)>,
    /// Described networks without endpoints.
    pub(crate) unused: Vec<NetworkName>,
    /// Whether this command attached something last: then it does not look for networks without endpoints.
    pub(crate) attaching: bool,
}

impl Session {
    pub(crate) fn new(shared: Arc<Shared>, kernel: KernelSession, cleanup: Arc<dyn Cleanup>) -> Self {
        Session {
            shared,
            kernel,
            ruleset: Ruleset::default(),
            slow: SlowWork::default(),
            cleanup: Some(cleanup),
            notes: Vec::new(),
        }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.shared.store
    }

    pub(crate) fn config(&self) -> &Config {
        &self.shared.config
    }

    pub(crate) fn runtimes(&self) -> &Runtimes {
        &self.shared.config.runtimes
    }

    pub(crate) fn run_folder(&self) -> PathBuf {
        self.shared.run_folder()
    }

    pub(crate) fn pools(&self) -> AddressPools {
        self.shared.pools()
    }

    /// What does the slow part of this session; the session does not know it any more.
    pub(crate) fn take_cleanup(&mut self) -> Option<Arc<dyn Cleanup>> {
        self.cleanup.take()
    }

    /// Reads into a snapshot what of the needs it lacks.
    pub(crate) fn read(&mut self, snapshot: &mut Snapshot, needs: &Needs, object: &str) -> Result<(), Error> {
        self.kernel.look_into(snapshot, needs).map_err(Error::kernel(object))
    }

    /// Notes something for the caller that is no error.
    pub(crate) fn note(&mut self, words: String) {
        if !self.notes.contains(&words) {
            self.notes.push(words);
        }
    }

    /// The notes of the calls so far.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Calls `observer` with every operation that changed something: together they are the commands to type.
    pub fn observe(&mut self, observer: Observer) {
        self.kernel.on_operation(observer);
    }

    /// The kernel edge, for counting its messages.
    pub fn kernel(&mut self) -> &mut KernelSession {
        &mut self.kernel
    }

    pub(crate) fn known_networks(&self) -> Vec<NetworkName> {
        self.store().networks_lossy().0.into_iter().map(|n| n.name).collect()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("slow", &self.slow).field("notes", &self.notes).finish_non_exhaustive()
    }
}
