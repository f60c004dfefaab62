//! `run`: a command in a fresh sandbox, cleaned up when it ends, however it ends.
//!
//! # How it works
//! Three processes. The *supervisor* (the `zubi run` that was called, or its detached child) makes the sandbox, starts
//! the *command* and waits for it; the command is killed with it (`PR_SET_PDEATHSIG`). The *guardian* is started
//! before the first effect, in a session of its own, and reads from a pipe whose other end only the supervisor has:
//! when that closes without a word, the supervisor was killed, and the guardian cleans up in its place. If both are
//! killed, the next `zubi gc` finds the sandbox's record with its lock free.

use crate::attach::Attached;
use crate::chance::random_name;
use crate::config::Config;
use crate::engine::{Act, Engine, LostRecords, Report};
use crate::error::Error;
use crate::publish::on_loopback;
use crate::resolve::Resolved;
use crate::sandbox::Unfinished;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use zubi_kernel::process::{self, Holds};
use zubi_kernel::sys::Sender;
use zubi_kernel::{Deletions, inside, sys};
use zubi_model::{NetworkName, NsRef, SandboxName, SandboxRef, Wishes};
use zubi_plan::Plan;
use zubi_store::{Dirs, Lock, Maker, Mode, OtherNamespace, SandboxRecord};

/// What a command's network is: Docker's models.
#[derive(Debug, Clone)]
pub enum Model {
    /// On these networks; on the default one when there is none.
    Networks(Vec<NetworkName>),
    /// Loopback only.
    None,
    /// The host's own.
    Host,
    /// Another sandbox's.
    Share(SandboxRef),
}

/// What is to be run.
#[derive(Debug, Clone)]
pub struct RunSpec {
    /// Its network.
    pub model: Model,
    /// The sandbox's name; made up when absent.
    pub name: Option<SandboxName>,
    /// What is wished of the first endpoint.
    pub wishes: Wishes,
    /// The command and its words.
    pub command: Vec<OsString>,
}

/// A sandbox with everything but the command.
#[derive(Debug)]
pub struct Started {
    /// Its name.
    pub name: SandboxName,
    /// Its endpoints.
    pub attached: Vec<Attached>,
    lock: Lock,
    guardian: Guardian,
}

/// A run that is over and cleaned up.
#[derive(Debug)]
pub struct Ended {
    /// The command's exit code.
    pub code: i32,
    /// What is to be told beside it.
    pub notes: Vec<String>,
}

/// The supervisor's end of the guardian's pipe.
#[derive(Debug)]
struct Guardian {
    pipe: File,
}

/// What the supervisor waits for: the command's end, and what it passes on.
const SIGNALS: [libc::c_int; 10] = [
    libc::SIGCHLD,
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGTSTP,
    libc::SIGCONT,
    libc::SIGWINCH,
];

/// Replaces this process by the command; gives back why that failed.
pub(crate) fn become_command(command: &[OsString]) -> Error {
    let mut words = command.iter();
    let Some(program) = words.next() else {
        return zubi_model::Invalid::new("command", "", "is empty").into();
    };
    let source = Command::new(program).args(words).exec();
    Error::Program { program: program.to_string_lossy().into_owned(), source }
}

impl Engine {
    /// What `run` would do.
    pub fn plan_run(&mut self, spec: &RunSpec) -> Result<Plan, Error> {
        let Model::Networks(networks) = &spec.model else {
            let name = run_name(spec)?;
            return Ok(if matches!(spec.model, Model::None) { zubi_plan::sandbox::add(&name) } else { Plan::new() });
        };
        let name = run_name(spec)?;
        let mut plan = Plan::new();
        let default: NetworkName = crate::network::DEFAULT.parse()?;
        let mut all = Vec::new();
        if networks.is_empty() {
            let report = self.default_network(Act::Show)?;
            plan.append(report.plan);
            all.push(report.value);
        }
        for name in networks.iter().filter(|n| **n != default || !networks.is_empty()) {
            all.push(self.existing_network(name)?);
        }
        plan.append(zubi_plan::sandbox::add(&name));
        // The sandbox does not exist yet: its plan is that of an empty one.
        let mut siblings: Vec<zubi_model::Endpoint> = Vec::new();
        for (at, network) in all.iter().enumerate() {
            let wishes = if at == 0 { spec.wishes.clone() } else { Wishes::default() };
            if on_loopback(network, &wishes.ports) {
                plan.append(self.missing_loopback(network)?);
            }
            let endpoint = self.endpoint_for_show(network, &name, &siblings, &wishes)?;
            let default_in = zubi_plan::endpoint::default_families(&endpoint, &siblings, &[]);
            let around = zubi_plan::endpoint::Surroundings {
                loopback: zubi_wire::route::AdminState::Up,
                default_in,
                stale: Vec::new(),
                neighbours: zubi_plan::Neighbours::AreRight,
            };
            plan.append(zubi_plan::endpoint::attach(network, &endpoint, &around));
            siblings.push(endpoint);
        }
        Ok(plan)
    }

    fn existing_network(&mut self, name: &NetworkName) -> Result<zubi_model::Network, Error> {
        match self.store.network(name)? {
            Some(network) => Ok(network),
            None if name.as_str() == crate::network::DEFAULT => Ok(self.default_network(Act::Show)?.value),
            None => Err(Error::NoNetwork { name: name.clone(), known: self.known_networks() }),
        }
    }

    /// Makes the sandbox and its endpoints. From its first effect on, a guardian watches.
    pub fn start_run(&mut self, spec: &RunSpec) -> Result<Report<Started>, Error> {
        self.past_a_flush(|engine| engine.start_run_once(spec))
    }

    fn start_run_once(&mut self, spec: &RunSpec) -> Result<Report<Started>, Error> {
        let mut plan = Plan::new();
        let default: NetworkName = crate::network::DEFAULT.parse()?;
        let names = match &spec.model {
            Model::Networks(names) if names.is_empty() => vec![default.clone()],
            Model::Networks(names) => names.clone(),
            _ => Vec::new(),
        };
        if names.contains(&default) {
            plan.append(self.default_network(Act::Apply)?.plan);
        }
        let name = run_name(spec)?;
        let (_host, networks) = self.lock_networks(&names, &spec.wishes.ports, Act::Apply)?;
        let Some(lock) = self.store.try_lock_run(&name)? else {
            return Err(Error::SandboxExists { name });
        };
        if std::path::Path::new(zubi_kernel::named::FOLDER).join(name.as_str()).exists()
            && self.store.sandbox(&name)?.is_none_or(|r| r.cookie.is_some())
        {
            return Err(Error::SandboxExists { name });
        }
        let guardian = self.start_guardian(&name)?;
        let made = (|| {
            let sandbox = zubi_plan::sandbox::add(&name);
            let record = SandboxRecord { name: name.clone(), cookie: None, maker: Maker::Run };
            let cookie = self.make_sandbox(record, &sandbox, Act::Apply)?;
            plan.append(sandbox);
            let reached_by = NsRef::Named(name.clone());
            let mut attached = Vec::new();
            for (at, (network, missing)) in networks.into_iter().enumerate() {
                let Some(cookie) = cookie else { break };
                let resolved = Resolved { reached_by: reached_by.clone(), spelled: name.to_string(), cookie };
                let wishes = if at == 0 { spec.wishes.clone() } else { Wishes::default() };
                let report = self.attach_resolved(&network, missing, &resolved, &wishes, Act::Apply)?;
                plan.append(report.plan);
                attached.push(report.value);
            }
            Ok(attached)
        })();
        match made {
            Ok(attached) => Ok(Report { plan, value: Started { name, attached, lock, guardian } }),
            Err(e) => {
                let e: Error = e;
                let cleaned = self.clean_run_locked(&name);
                guardian.dismiss();
                Err(e.after_undo(cleaned))
            }
        }
    }

    /// Starts the command, waits for its end, cleans up. `ready` is told when it runs, or why it does not.
    pub fn supervise(
        mut self,
        started: Started,
        spec: &RunSpec,
        ready: impl FnOnce(Result<u32, &Error>),
    ) -> Result<Ended, Error> {
        let outcome = self.run_command(&started.name, spec, ready);
        let cleaned = self.clean_run(&started.name);
        started.guardian.dismiss();
        self.store.remove_run_lock(&started.name, started.lock)?;
        cleaned?;
        let (code, notes) = (outcome?, self.take_notes());
        self.linger()?;
        Ok(Ended { code, notes })
    }

    fn run_command(
        &mut self,
        name: &SandboxName,
        spec: &RunSpec,
        ready: impl FnOnce(Result<u32, &Error>),
    ) -> Result<i32, Error> {
        let failed = |operation| Error::system("run", operation, "process");
        let supervisor = std::process::id();
        sys::block_signals(&SIGNALS).map_err(failed("prepare the"))?;
        let (tell, told) = sys::pipe().map_err(failed("make a pipe for the")).map(|(r, w)| (w, r))?;
        let reached_by = NsRef::Named(name.clone());
        let pid = match sys::fork().map_err(failed("fork the"))? {
            sys::Fork::Parent(pid) => pid,
            sys::Fork::Child => {
                drop(told);
                let error = self.become_inside(&reached_by, name, supervisor, spec);
                let mut pipe = File::from(tell);
                let code = exec_code(&error);
                // Nobody may be reading any more: the exit code tells it too.
                let _told = pipe.write_all(format!("{code} {error}").as_bytes());
                sys::exit_now(code.into());
            }
        };
        drop(tell);
        let mut words = String::new();
        File::from(told).read_to_string(&mut words).map_err(failed("hear from the"))?;
        if let Some((code, why)) = words.split_once(' ') {
            let code = code.parse().unwrap_or(126);
            ready(Err(&Error::Relayed { words: why.to_owned(), code }));
            let _reaped = wait(pid);
            return Ok(code.into());
        }
        ready(Ok(pid));
        wait(pid).map_err(failed("wait for the"))
    }

    /// In the child: into the sandbox, then the command. Gives back why that failed.
    fn become_inside(&mut self, reached_by: &NsRef, name: &SandboxName, supervisor: u32, spec: &RunSpec) -> Error {
        let failed = |operation| Error::system("run", operation, "process");
        let prepared = (|| {
            sys::die_with_parent(libc::SIGKILL).map_err(failed("bind the life of the"))?;
            sys::unblock_signals().map_err(failed("prepare the"))?;
            if sys::parent_pid() != supervisor {
                // It died before the line above.
                sys::exit_now(137);
            }
            if let Some(netns) = self.kernel.sandbox(reached_by) {
                inside::move_in(netns, Some(name.as_str())).map_err(Error::kernel(format!("sandbox {name}")))?;
            }
            Ok(())
        })();
        match prepared {
            Ok(()) => become_command(&spec.command),
            Err(e) => e,
        }
    }

    /// Ends what still runs in a run's sandbox and takes it away. Twice is fine.
    pub(crate) fn clean_run(&mut self, name: &SandboxName) -> Result<(), Error> {
        let _host = self.store.lock_host(Mode::Shared)?;
        self.recover()?;
        self.clean_run_locked(name)
    }

    fn clean_run_locked(&mut self, name: &SandboxName) -> Result<(), Error> {
        let Some(record) = self.store.sandbox(name)?.filter(|r| r.maker == Maker::Run) else { return Ok(()) };
        let left = || format!("sandbox {name}: the name leads to another network namespace now and stays");
        let mut alone = None;
        if let Some(cookie) = record.cookie {
            self.end_processes(name, cookie)?;
            alone = self.disconnect_all(name, cookie, Act::Apply)?.1;
            match self.named_cookie(name)? {
                Some(there) if there != cookie => self.note(left()),
                _ => {
                    let removal = zubi_plan::sandbox::remove(name, Some(cookie));
                    self.take_down(&format!("sandbox {name}"), &removal, Deletions::Now)?;
                }
            }
        } else if self.remove_unfinished(name)? == Unfinished::InUse {
            self.note(left());
        }
        self.store.remove_sandbox(name)?;
        if let Some((cookie, lock)) = alone {
            self.store.remove_sandbox_lock(cookie, lock)?;
        }
        Ok(())
    }

    /// Runs whose supervisor and guardian were both killed. The caller holds the host lock.
    pub(crate) fn collect_runs(&mut self) -> Result<Vec<String>, Error> {
        let mut removed = Vec::new();
        for record in self.store.sandboxes_lossy().0 {
            if record.maker != Maker::Run {
                continue;
            }
            let Some(lock) = self.store.try_lock_run(&record.name)? else { continue };
            self.clean_run_locked(&record.name)?;
            self.store.remove_run_lock(&record.name, lock)?;
            removed.push(format!("sandbox {} (its zubi run was killed)", record.name));
        }
        Ok(removed)
    }

    fn start_guardian(&self, name: &SandboxName) -> Result<Guardian, Error> {
        let failed = |operation| Error::system("guardian", operation, "process");
        let (read, write) = sys::pipe().map_err(failed("make a pipe for the"))?;
        let (state, run) = self.dirs_for_children.clone();
        let config = Config {
            dirs: Dirs { state, run },
            pools: None,
            coexistence: self.coexistence,
            forwarding: self.forwarding,
            other_namespace: OtherNamespace::default(),
        };
        let watch = Watch { pipe: read, name: name.clone(), config };
        let started = process::detach(watch, |watch| guard(watch).map_or(1, |()| 0));
        started.map_err(|(_, e)| Error::kernel("guardian")(e))?;
        Ok(Guardian { pipe: File::from(write) })
    }
}

/// What a guardian has.
struct Watch {
    pipe: OwnedFd,
    name: SandboxName,
    config: Config,
}

impl Holds for Watch {
    fn descriptors(&self) -> Vec<RawFd> {
        vec![self.pipe.as_raw_fd()]
    }
}

impl Guardian {
    /// Everything is cleaned up: it need not be done again.
    fn dismiss(mut self) {
        // A guardian that was killed needs no word.
        let _told = self.pipe.write_all(b".");
    }
}

/// In the guardian: waits for the supervisor's end, and cleans up if that came without a word.
fn guard(watch: Watch) -> Result<(), Error> {
    let failed = |operation| Error::system("guardian", operation, "process");
    let Watch { pipe, name, config } = watch;
    let mut word = Vec::new();
    File::from(pipe).read_to_end(&mut word).map_err(failed("read in the"))?;
    if !word.is_empty() {
        return Ok(());
    }
    // A test's fault is meant for the command that was called.
    let mut engine = Engine::open_with(config, None, LostRecords::Refuse)?;
    // The command dies with the supervisor, but a moment later, and may hold a copy of the lock until then.
    let lock = engine.store.lock_run(&name)?;
    engine.clean_run(&name)?;
    engine.store.remove_run_lock(&name, lock)?;
    engine.reap()
}

fn run_name(spec: &RunSpec) -> Result<SandboxName, Error> {
    match &spec.name {
        Some(name) => Ok(name.clone()),
        None => Ok(random_name::<3>("run-")?.parse()?),
    }
}

/// Passes signals on until the child has ended.
fn wait(pid: u32) -> std::io::Result<i32> {
    loop {
        if let Some(code) = sys::reap_child(pid)? {
            return Ok(code);
        }
        let (signal, sender) = sys::wait_signal(&SIGNALS)?;
        if is_for_us_alone(signal, sender) {
            match sys::kill(pid, signal) {
                Err(e) if e.raw_os_error() != Some(libc::ESRCH) => return Err(e),
                _ => {}
            }
        }
        if signal == libc::SIGTSTP {
            // A shell takes the terminal back when the process that it has started stops.
            sys::stop_here()?;
        }
    }
}

/// Whether the command has not had a signal too: a key of the terminal reaches every process of our group, and the
/// command is in it.
fn is_for_us_alone(signal: libc::c_int, sender: Sender) -> bool {
    match (signal, sender) {
        (libc::SIGCHLD, _) => false,
        (_, Sender::Process) => true,
        // When a terminal goes away the kernel tells the leader of its session alone (tty_signal_session_leader).
        (libc::SIGHUP, Sender::Kernel) => sys::leads_session(),
        (_, Sender::Kernel) => false,
    }
}

/// As shells have it: 127 not found, 126 not to be run, for whatever reason.
fn exec_code(error: &Error) -> u8 {
    match error {
        Error::Program { .. } => error.exit_code(),
        _ => 126,
    }
}
