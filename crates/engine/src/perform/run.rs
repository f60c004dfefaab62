//! `run`: a command in a new sandbox, which is removed when the command ends for any reason.
//!
//! # How it works
//! There are three processes. The *supervisor* (the `zubi run` that was called, or its detached child) makes the
//! sandbox, starts the *command* and waits for it. The command is killed together with the supervisor
//! (`PR_SET_PDEATHSIG`). The *guardian* is started before the first effect, in a session of its own, and reads from a
//! pipe whose other end only the supervisor has. If the pipe closes without data, the supervisor was killed, and the
//! guardian cleans up. If both are killed, the next `zubi gc` finds the sandbox's record with its lock free.

use crate::cleanup::finish;
use crate::decide::endpoint::Ask;
use crate::decide::obstacle::Owners;
use crate::decide::wishes::check_wishes;
use crate::engine::{Engine, LostRecords};
use crate::error::Error;
use crate::guardian::{self, Guardian, Watch};
use crate::heal::leftovers::recover;
use crate::heal::missing::missing_loopback;
use crate::heal::slow::finish_deletions;
use crate::look::moved::{device_to_move, wishes_with_device};
use crate::look::sandbox::Resolved;
use crate::perform::attach::{Attached, attach_resolved, birth};
use crate::perform::become_command::{Program, become_command};
use crate::perform::create_network::{DEFAULT, default_network};
use crate::perform::networks::{lock_networks, ports_by_settings};
use crate::perform::sandbox::make_sandbox;
use crate::perform::settle::settle;
use crate::random::random_name;
use crate::report::{Act, Report};
use crate::session::Session;
use crate::steps::flush::past_a_flush;
use crate::steps::name_files;
use crate::undo::sandbox::clean_run_locked;
use std::fs::File;
use std::io::{Read, Write};
use zubi_kernel::inside;
use zubi_kernel::sys::{self, Sender};
use zubi_model::{IfName, NetnsCookie, NetworkName, NsRef, SandboxIdentity, SandboxName, SandboxRef, Wishes};
use zubi_plan::Plan;
use zubi_store::{Maker, RunLock, SandboxRecord};

/// The network of a command: Docker's modes.
#[derive(Debug, Clone)]
pub enum Model {
    /// These networks, or the default one if the list is empty.
    Networks(Vec<NetworkName>),
    /// Only a loopback device.
    None,
    /// The host's own network.
    Host,
    /// The network of another sandbox.
    Share(SandboxRef),
}

/// What to run, and where.
#[derive(Debug, Clone)]
pub struct RunSpec {
    /// The command's network.
    pub model: Model,
    /// The sandbox's name; generated if absent.
    pub name: Option<SandboxName>,
    /// The wishes for the first endpoint.
    pub wishes: Wishes,
    /// The command, its arguments and its surroundings.
    pub command: Program,
}

/// A sandbox in which the command can be started.
#[derive(Debug)]
pub struct Started {
    /// The sandbox's name.
    pub name: SandboxName,
    /// The sandbox's endpoints.
    pub attached: Vec<Attached>,
    lock: RunLock,
    guardian: Guardian,
}

/// A run that has ended and is cleaned up.
#[derive(Debug)]
pub struct Ended {
    /// The command's exit code.
    pub code: i32,
    /// Notes to show beside the exit code.
    pub notes: Vec<String>,
}

/// Tells the guardian that everything is cleaned up.
const DONE: &[u8] = b".";

/// The signals that the supervisor waits for: the end of the command, and signals that it forwards.
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

/// The run with its ports as the settings want them; they are published by its first network.
fn by_settings(session: &Session, spec: &RunSpec) -> Result<RunSpec, Error> {
    let default = DEFAULT.parse()?;
    let first = match &spec.model {
        Model::Networks(names) => names.first().unwrap_or(&default),
        _ => return Ok(spec.clone()),
    };
    let ports = ports_by_settings(session, first, &spec.wishes.ports);
    Ok(RunSpec { wishes: Wishes { ports, ..spec.wishes.clone() }, ..spec.clone() })
}

/// The plan of a run.
pub(crate) fn plan_run(session: &mut Session, spec: &RunSpec) -> Result<Plan, Error> {
    let spec = &by_settings(session, spec)?;
    let Model::Networks(networks) = &spec.model else {
        let name = run_name(spec)?;
        return Ok(if matches!(spec.model, Model::None) { zubi_plan::sandbox::add(&name) } else { Plan::new() });
    };
    let name = run_name(spec)?;
    let mut plan = Plan::new();
    let default: NetworkName = DEFAULT.parse()?;
    let mut all = Vec::new();
    if networks.is_empty() {
        let report = default_network(session, Act::Show)?;
        plan.append(report.plan);
        all.push(report.value);
    }
    for name in networks.iter().filter(|n| **n != default || !networks.is_empty()) {
        all.push(existing_network(session, name)?);
    }
    plan.append(zubi_plan::sandbox::add(&name));
    // The sandbox does not exist yet, so plan for an empty one.
    let mut siblings: Vec<zubi_model::Endpoint> = Vec::new();
    for (at, network) in all.iter().enumerate() {
        let wishes = if at == 0 { spec.wishes.clone() } else { Wishes::default() };
        if zubi_plan::published::on_loopback(network, wishes.ports.iter().copied()) {
            plan.append(missing_loopback(session, network)?);
        }
        let endpoint = endpoint_of_new(session, network, &name, &siblings, &wishes)?;
        let default_in = zubi_plan::default_route::default_families(&endpoint, &siblings, &[]);
        let around = zubi_plan::Surroundings {
            loopback: zubi_wire::route::AdminState::Up,
            default_in,
            displaced: Vec::new(),
            stale: Vec::new(),
            of_host: crate::look::host::addresses_on_card(session, network)?,
            neighbours: zubi_plan::Neighbours::AreRight,
            lifetime: zubi_model::Lifetime::default(),
            taken: None,
            instance: session.instance(),
        };
        plan.append(zubi_plan::driver::attach(network, &endpoint, &around));
        plan.append(name_files::written(session, network, &endpoint, &siblings)?);
        siblings.push(endpoint);
    }
    Ok(plan)
}

/// An endpoint of a sandbox that does not exist yet, for a dry run.
fn endpoint_of_new(
    session: &mut Session,
    network: &zubi_model::Network,
    name: &SandboxName,
    siblings: &[zubi_model::Endpoint],
    wishes: &Wishes,
) -> Result<zubi_model::Endpoint, Error> {
    check_wishes(network, wishes)?;
    let ifname = match &wishes.ifname {
        Some(name) => name.clone(),
        None => IfName::numbered("eth", siblings.len())?,
    };
    let reached_by = NsRef::Named(name.clone());
    let moved = network.whole_device().map(|part| device_to_move(session, network, part)).transpose()?;
    let with_device = moved.as_ref().map(|moved| wishes_with_device(wishes, moved)).transpose()?;
    let wishes = with_device.as_ref().unwrap_or(wishes);
    let mut ask = Ask {
        network,
        sandbox: SandboxIdentity { cookie: NetnsCookie(0), spelled: name.to_string(), reached_by },
        ifname,
        handed_over: None,
        wishes,
        birth: birth()?,
        avoided: Vec::new(),
        owners: Owners::default(),
        displaced: Vec::new(),
        name_files: name_files::of_new(session, network),
        taken: None,
        moved: moved.as_ref(),
    };
    let host = &session.store().lock_host()?;
    settle(session, host, &mut ask, Act::Show)
}

fn existing_network(session: &mut Session, name: &NetworkName) -> Result<zubi_model::Network, Error> {
    match session.store().network(name)? {
        Some(network) => Ok(network),
        None if name.as_str() == DEFAULT => Ok(default_network(session, Act::Show)?.value),
        None => Err(Error::NoNetwork { name: name.clone(), known: session.known_networks() }),
    }
}

/// Makes the sandbox and its endpoints. Starts the guardian before the first effect.
pub(crate) fn start_run(session: &mut Session, spec: &RunSpec) -> Result<Report<Started>, Error> {
    let spec = &by_settings(session, spec)?;
    past_a_flush(session, |session| start_run_once(session, spec))
}

fn start_run_once(session: &mut Session, spec: &RunSpec) -> Result<Report<Started>, Error> {
    let mut plan = Plan::new();
    let default: NetworkName = DEFAULT.parse()?;
    let names = match &spec.model {
        Model::Networks(names) if names.is_empty() => vec![default.clone()],
        Model::Networks(names) => names.clone(),
        _ => Vec::new(),
    };
    if names.contains(&default) {
        plan.append(default_network(session, Act::Apply)?.plan);
    }
    let name = run_name(spec)?;
    let (host, networks) = lock_networks(session, &names, &spec.wishes.ports, Act::Apply)?;
    let host = &host;
    let Some(lock) = session.store().try_lock_run(&name)? else {
        return Err(Error::SandboxExists { name });
    };
    if std::path::Path::new(zubi_kernel::named::FOLDER).join(name.as_str()).exists()
        && session.store().sandbox(&name)?.is_none_or(|r| r.cookie.is_some())
    {
        return Err(Error::SandboxExists { name });
    }
    let guardian = guardian::start(session, name.clone(), guard)?;
    let made = (|| {
        let sandbox = zubi_plan::sandbox::add(&name);
        let record = SandboxRecord { name: name.clone(), cookie: None, maker: Maker::Run };
        let cookie = make_sandbox(session, record, &sandbox, Act::Apply)?;
        plan.append(sandbox);
        let reached_by = NsRef::Named(name.clone());
        let mut attached = Vec::new();
        for (at, (network, missing)) in networks.into_iter().enumerate() {
            let Some(cookie) = cookie else { break };
            let resolved = Resolved { reached_by: reached_by.clone(), spelled: name.to_string(), cookie };
            let wishes = if at == 0 { spec.wishes.clone() } else { Wishes::default() };
            let report = attach_resolved(session, host, &network, missing, &resolved, &wishes, Act::Apply)?;
            plan.append(report.plan);
            attached.push(report.value);
        }
        Ok(attached)
    })();
    match made {
        Ok(attached) => Ok(Report { plan, value: Started { name, attached, lock, guardian } }),
        Err(e) => {
            let e: Error = e;
            let cleaned = clean_run_locked(session, host, &name);
            guardian.tell(DONE);
            Err(e.after_undo(cleaned))
        }
    }
}

/// Starts the command, waits for its end and cleans up. Calls `ready` once the command runs, or with the error that
/// prevents it.
pub(crate) fn supervise(
    mut session: Session,
    started: Started,
    spec: &RunSpec,
    ready: impl FnOnce(Result<u32, &Error>),
) -> Result<Ended, Error> {
    let outcome = run_command(&mut session, &started.name, spec, ready);
    let cleaned = clean_run(&mut session, &started.name);
    started.guardian.tell(DONE);
    session.store().remove_run_lock(started.lock)?;
    cleaned?;
    let (code, notes) = (outcome?, session.take_notes());
    finish(session)?;
    Ok(Ended { code, notes })
}

fn run_command(
    session: &mut Session,
    name: &SandboxName,
    spec: &RunSpec,
    ready: impl FnOnce(Result<u32, &Error>),
) -> Result<i32, Error> {
    let failed = |operation| Error::system("run", operation, "process");
    let supervisor = std::process::id();
    sys::block_signals(&SIGNALS).map_err(failed("prepare the"))?;
    let (writer, reader) = sys::pipe().map_err(failed("make a pipe for the")).map(|(r, w)| (w, r))?;
    let reached_by = NsRef::Named(name.clone());
    let pid = match sys::fork().map_err(failed("fork the"))? {
        sys::Fork::Parent(pid) => pid,
        sys::Fork::Child => {
            drop(reader);
            let error = become_inside(session, &reached_by, name, supervisor, spec);
            let mut pipe = File::from(writer);
            let code = exec_code(&error);
            // The supervisor may be gone. The exit code says the same.
            let _sent = pipe.write_all(format!("{code} {error}").as_bytes());
            sys::exit_now(code.into());
        }
    };
    drop(writer);
    let mut words = String::new();
    File::from(reader).read_to_string(&mut words).map_err(failed("read from the"))?;
    if let Some((code, why)) = words.split_once(' ') {
        let code = code.parse().unwrap_or(126);
        ready(Err(&Error::Relayed { words: why.to_owned(), code }));
        let _reaped = wait(pid);
        return Ok(code.into());
    }
    ready(Ok(pid));
    wait(pid).map_err(failed("wait for the"))
}

/// In the child: enters the sandbox, then becomes the command. Returns only the error if that fails.
fn become_inside(
    session: &mut Session,
    reached_by: &NsRef,
    name: &SandboxName,
    supervisor: u32,
    spec: &RunSpec,
) -> Error {
    let failed = |operation| Error::system("run", operation, "process");
    let prepared = (|| {
        sys::die_with_parent(libc::SIGKILL).map_err(failed("bind the life of the"))?;
        sys::unblock_signals().map_err(failed("prepare the"))?;
        if sys::parent_pid() != supervisor {
            // The supervisor ended before the call above.
            sys::exit_now(137);
        }
        if let Some(netns) = session.kernel.sandbox(reached_by) {
            inside::move_in(netns, Some(name.as_str())).map_err(Error::kernel(format!("sandbox {name}")))?;
        }
        Ok(())
    })();
    match prepared {
        Ok(()) => become_command(&spec.command),
        Err(e) => e,
    }
}

/// Ends the processes in a run's sandbox and removes it. Does nothing if that has been done.
fn clean_run(session: &mut Session, name: &SandboxName) -> Result<(), Error> {
    let host = &session.store().lock_host()?;
    recover(session, host)?;
    clean_run_locked(session, host, name)
}

/// In the guardian: waits until the supervisor has ended, and cleans up unless the supervisor did.
fn guard(watch: Watch<SandboxName>) -> Result<(), Error> {
    let (word, name, config) = watch.word()?;
    if !word.is_empty() {
        return Ok(());
    }
    let mut session = Engine::open(config, LostRecords::Refuse)?.session()?;
    // The command is killed shortly after the supervisor, and may hold a copy of the lock until then.
    let lock = session.store().lock_run(&name)?;
    clean_run(&mut session, &name)?;
    session.store().remove_run_lock(lock)?;
    finish_deletions(&mut session)
}

fn run_name(spec: &RunSpec) -> Result<SandboxName, Error> {
    match &spec.name {
        Some(name) => Ok(name.clone()),
        None => Ok(random_name::<3>("run-")?.parse()?),
    }
}

/// Forwards signals until the child has ended. Returns its exit code.
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
            // When the process that a shell started stops, the shell takes the terminal back.
            sys::stop_here()?;
        }
    }
}

/// Whether the command has not received this signal. A key press on the terminal signals every process of our group,
/// and the command is in it.
fn is_for_us_alone(signal: libc::c_int, sender: Sender) -> bool {
    match (signal, sender) {
        (libc::SIGCHLD, _) => false,
        (_, Sender::Process) => true,
        // When a terminal hangs up, the kernel signals only the leader of its session (tty_signal_session_leader).
        (libc::SIGHUP, Sender::Kernel) => sys::leads_session(),
        (_, Sender::Kernel) => false,
    }
}

/// The exit code of a failed exec, as in shells: 127 for a command not found, 126 for any other reason.
fn exec_code(error: &Error) -> u8 {
    match error {
        Error::Program { .. } => error.exit_code(),
        _ => 126,
    }
}
