//! A session: the state of one command.
//!
//! # How it works
//! A session belongs to one command on one thread. It has its own sockets, opens sandboxes when it needs them, and
//! keeps nothing that it has read after its end. The command does not do slow work itself: it hands the session with
//! that work to a [`Cleanup`].

use crate::config::Config;
use crate::error::Error;
use crate::shared::Shared;
use std::cell::OnceCell;
use std::fmt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use zubi_ipam::AddressPools;
use zubi_kernel::{Observer, Session as KernelSession};
use zubi_model::{DAEMON_SOCKET, Doing, NetworkId, NetworkName, RESOLVER_FOLDER};
use zubi_plan::{Instance, Plan};
use zubi_runtimes::Runtimes;
use zubi_snapshot::{Needs, Snapshot};
use zubi_store::{FirewallSeen, Store};

/// The state of one command.
pub struct Session {
    pub(crate) shared: Arc<Shared>,
    pub(crate) kernel: KernelSession,
    pub(crate) ruleset: Ruleset,
    pub(crate) slow: SlowWork,
    cleanup: Option<Arc<dyn Cleanup>>,
    notes: Vec<String>,
    /// Whether a daemon answers names, once this command has looked.
    answers_names: OnceCell<bool>,
}

/// Does the slow part of a command after its caller has the answer.
pub trait Cleanup: Send + Sync {
    /// Takes over a session and does its slow work.
    fn take_over(&self, session: Session) -> Result<(), Error>;
}

/// What this command has learned about the host's nftables ruleset.
#[derive(Debug, Default)]
pub(crate) struct Ruleset {
    /// The networks whose rules are complete, as long as the ruleset has the generation that the kernel session
    /// expects.
    pub(crate) in_order: Option<Vec<NetworkId>>,
    /// The store's hint, if this command has read or written it.
    pub(crate) remembered: Option<FirewallSeen>,
}

/// Work that a command leaves for later.
#[derive(Debug, Default)]
pub(crate) struct SlowWork {
    /// Connections of withdrawn ports, by network. The endpoints of these ports stay.
    pub(crate) flows: Vec<(NetworkName, Plan)>,
    /// Described networks without endpoints.
    pub(crate) unused: Vec<NetworkName>,
    /// Whether the last action of this command was an attach: then it does not look for networks without endpoints.
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
            answers_names: OnceCell::new(),
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

    /// Begins a piece of work that may take long.
    pub fn begin(&self) -> Doing {
        self.config().progress.begin()
    }

    pub(crate) fn run_folder(&self) -> PathBuf {
        self.shared.run_folder()
    }

    pub(crate) fn instance(&self) -> Instance {
        self.shared.instance()
    }

    pub(crate) fn pools(&self) -> AddressPools {
        self.shared.pools()
    }

    /// Whether a daemon of this run folder answers names. A daemon that does makes a folder. One that was killed leaves
    /// the folder and its socket behind, so the socket has to take a connection.
    pub(crate) fn daemon_answers_names(&self) -> bool {
        let run = &self.config().dirs.run;
        *self
            .answers_names
            .get_or_init(|| run.join(RESOLVER_FOLDER).exists() && UnixStream::connect(run.join(DAEMON_SOCKET)).is_ok())
    }

    /// Removes the [`Cleanup`] from this session and returns it.
    pub(crate) fn take_cleanup(&mut self) -> Option<Arc<dyn Cleanup>> {
        self.cleanup.take()
    }

    /// Reads the parts of `needs` that a snapshot does not hold yet.
    pub(crate) fn read(&mut self, snapshot: &mut Snapshot, needs: &Needs, object: &str) -> Result<(), Error> {
        self.kernel.look_into(snapshot, needs).map_err(Error::kernel(object))
    }

    /// Adds a note for the caller; it is not an error.
    pub(crate) fn note(&mut self, words: String) {
        if !self.notes.contains(&words) {
            self.notes.push(words);
        }
    }

    /// The notes of the calls so far.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Calls `observer` with every operation that changed something. Together they are the commands to type.
    pub fn observe(&mut self, observer: Observer) {
        self.kernel.on_operation(observer);
    }

    /// The kernel session, for counting its messages.
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
