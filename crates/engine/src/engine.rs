//! The engine: a process opens it once, and each command has a session of it.

use crate::cleanup::{DetachedChild, Worker};
use crate::config::Config;
use crate::error::Error;
use crate::heal::kept::keep_all;
use crate::heal::rebuild::rebuild;
use crate::heal::unfinished_networks::recover_takeovers;
use crate::look::unrecorded::refuse_if_records_are_lost;
use crate::report::Act;
use crate::session::{Cleanup, Session};
use crate::shared::{Shared, canonical};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zubi_kernel::{Machine, Session as KernelSession};
use zubi_model::NetworkName;
use zubi_store::{DaemonLock, HostId, Opening};

/// What to do when devices are in use but their records are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LostRecords {
    /// The engine does not open: a person has to decide.
    Refuse,
    /// The engine makes the records again. This is for doors: no person reads their errors.
    Rebuild,
    /// The engine opens. This is for the commands that make the records again or remove the devices.
    Ignore,
}

/// The capabilities that every change needs (linux/capability.h).
const NEEDED: [(u32, &str); 2] = [(12, "CAP_NET_ADMIN"), (21, "CAP_SYS_ADMIN")];

/// Settings and records of one host. Threads share the engine; each command has a [`Session`] of its own.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    cleanup: Arc<dyn Cleanup>,
    process: Process,
}

/// What becomes of the process after a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Process {
    Ends,
    Stays,
}

impl Engine {
    /// Opens settings and records for a command that ends soon: a detached child does its slow part. From now on the
    /// host is the calling thread's network namespace. Fails when another zubi instance has networks on this host.
    pub fn open(config: Config, lost: LostRecords) -> Result<Self, Error> {
        require_capabilities()?;
        let machine = Machine::open().map_err(Error::kernel("opening the kernel's sockets"))?;
        let mut kernel = kernel_session(&machine, &config)?;
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map_err(|e| Error::kernel("boot id")(zubi_kernel::Error::system("read", "boot id", e)))?;
        let boot_id = boot_id.trim().to_owned();
        let host = HostId { boot_id: boot_id.clone(), netns_cookie: machine.host_cookie().0 };
        let mut opening =
            Opening::new(config.dirs.clone(), host).of_others(config.other_namespace).progress(config.progress.clone());
        if let Some(fault) = config.fault.clone() {
            opening = opening.with_steps(move |name| fault.step(name));
        }
        let (mut are_lost, mut is_new_boot) = (false, false);
        let run = canonical(&config.dirs.run);
        let store = opening.open_guarded(|| {
            is_new_boot = true;
            match refuse_if_records_are_lost(&mut kernel, &run) {
                Err(Error::RecordsLost { .. }) if lost != LostRecords::Refuse => {
                    are_lost = true;
                    Ok(())
                }
                other => other,
            }
        })?;
        let engine = Engine {
            shared: Arc::new(Shared { config, machine, store, boot_id }),
            cleanup: Arc::new(DetachedChild),
            process: Process::Ends,
        };
        if is_new_boot {
            keep_all(&mut engine.session()?)?;
        }
        if are_lost && lost == LostRecords::Rebuild {
            rebuild(&mut engine.session()?, Act::Apply)?;
        }
        Ok(engine)
    }

    /// Turns the engine into one for a process that stays: a thread does the slow part of every session.
    pub fn resident(self) -> Result<(Engine, Arc<Worker>), Error> {
        let worker = Arc::new(Worker::start()?);
        let cleanup: Arc<dyn Cleanup> = worker.clone();
        Ok((Engine { cleanup, process: Process::Stays, ..self }, worker))
    }

    /// Makes this process the daemon of its run folder; `None` if there is one.
    pub fn become_daemon(&self) -> Result<Option<DaemonLock>, Error> {
        Ok(self.shared.store.try_lock_daemon()?)
    }

    /// The folders in which a watcher sees what commands do.
    pub fn watchable_folders(&self) -> Result<Vec<PathBuf>, Error> {
        Ok(self.shared.store.watchable_folders()?)
    }

    /// The run folder, without symbolic links.
    pub fn run_folder(&self) -> PathBuf {
        self.shared.run_folder()
    }

    /// The folder of networks.
    pub fn state_folder(&self) -> &Path {
        &self.shared.config.dirs.state
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The settings it was opened with.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// A session for one command, on the calling thread.
    pub fn session(&self) -> Result<Session, Error> {
        let kernel = kernel_session(&self.shared.machine, &self.shared.config)?;
        let mut session = Session::new(Arc::clone(&self.shared), kernel, Arc::clone(&self.cleanup));
        // A process that stays looks at each change, also at a network that has its first endpoint only a moment later: it
        // would remove it again and again.
        session.slow.attaching = self.process == Process::Stays;
        // A host may be cut off until then, so the first command of any kind does it.
        recover_takeovers(&mut session)?;
        Ok(session)
    }

    /// Whether a network on the LAN is made and not confirmed.
    pub(crate) fn waits_for_confirmation(&self, name: &NetworkName) -> Result<bool, Error> {
        let store = &self.shared.store;
        Ok(store.is_in_making(name) && store.takeover(name)?.is_some_and(|record| record.until.is_some()))
    }
}

fn kernel_session(machine: &Machine, config: &Config) -> Result<KernelSession, Error> {
    let mut kernel = KernelSession::of(machine).map_err(Error::kernel("opening the kernel's sockets"))?;
    if let Some(fault) = config.fault.clone() {
        kernel.on_step(Box::new(move |name| fault.step(name)));
    }
    Ok(kernel)
}

fn require_capabilities() -> Result<(), Error> {
    let have = zubi_kernel::sys::effective_capabilities()
        .map_err(|e| Error::kernel("capabilities")(zubi_kernel::Error::system("read", "capabilities", e)))?;
    let missing: Vec<_> = NEEDED.iter().filter(|(bit, _)| have & (1 << bit) == 0).map(|(_, name)| *name).collect();
    if missing.is_empty() { Ok(()) } else { Err(Error::Privilege { missing }) }
}
