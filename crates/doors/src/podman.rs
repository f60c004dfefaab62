//! Podman's network programs: `netavark`, and as much of `aardvark-dns` as Podman asks for.

use crate::input;
use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zubi_engine::{Act, Attachment as Made, Config, Detached, Engine, OtherNamespace};
use zubi_kernel::sys;
use zubi_model::{Endpoint, NetworkName, SandboxRef};
use zubi_netavark::{
    Attached, Attachment, Build, Command, Departure, Globals, LARGEST_REQUEST, Program, Request, Target, UsageError,
    error_reply, firewall_driver, joined, parse_arguments, parse_request, reply, setup, teardown, unsupported, update,
    version, version_line,
};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Reads the words, does what they say, and answers.
pub(crate) fn answer(program: Program) -> ExitCode {
    let command = match parse_arguments(program, std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(e) => {
            // Nobody is left to tell when that fails.
            writeln!(std::io::stderr(), "{e}").ok();
            return ExitCode::from(UsageError::EXIT_CODE);
        }
    };
    match obey(program, &command) {
        Ok(text) => printed(&text, ExitCode::SUCCESS),
        Err(words) => printed(&error_reply(&words), ExitCode::FAILURE),
    }
}

fn printed(text: &str, code: ExitCode) -> ExitCode {
    if text.is_empty() {
        return code;
    }
    let mut out = std::io::stdout().lock();
    let written =
        out.write_all(text.as_bytes()).and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") });
    if written.and_then(|()| out.flush()).is_ok() { code } else { ExitCode::FAILURE }
}

fn obey(program: Program, command: &Command) -> Result<String, String> {
    match command {
        Command::VersionLine => Ok(version_line(program, VERSION)),
        Command::Version => {
            let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
            Ok(version(program, Build { version: VERSION, commit: "", build_time: "", target: &target }))
        }
        Command::Help(text) => Ok((*text).to_owned()),
        Command::Setup(globals, netns) => set_up(globals, netns),
        Command::Teardown(globals, _) => tear_down(globals).map(|()| String::new()),
        // Names are off, so there is nothing to change but what cannot be meant is told.
        Command::Update { network, servers, .. } => update(network, servers).map(|_| String::new()).map_err(words),
        Command::Unsupported(name) => Err(unsupported(name).to_string()),
    }
}

fn words(error: impl Display) -> String {
    error.to_string()
}

fn request(globals: &Globals) -> Result<Request, String> {
    let bytes =
        input::read(globals.file.as_deref(), LARGEST_REQUEST).map_err(|e| format!("cannot read the request: {e}"))?;
    parse_request(&bytes).map_err(words)
}

/// A user's own networks live in namespaces of that user, with records of their own.
fn engine(globals: &Globals) -> Result<Engine, String> {
    let own = |name: &str| globals.config.as_ref().filter(|_| globals.rootless).map(|c| c.join("zubi").join(name));
    let given = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dir = |variable: &str, name: &str| own(name).filter(|_| !given(variable));
    let (state, run): (Option<PathBuf>, Option<PathBuf>) = (dir("ZUBI_STATE_DIR", "state"), dir("ZUBI_RUN_DIR", "run"));
    // Podman makes a namespace for all networks of a user, throws it away with their last container, and makes another
    // one later. What is recorded of the earlier one is gone with it. (Podman calls its helpers one by one.)
    let others = if run.is_some() { OtherNamespace::Forget } else { OtherNamespace::Refuse };
    let mut config = Config::read(&|name| std::env::var(name).ok(), state, run).map_err(words)?;
    config.other_namespace = others;
    Engine::open_for_program(config).map_err(words)
}

fn set_up(globals: &Globals, netns: &Path) -> Result<String, String> {
    let from_env = || std::env::var("NETAVARK_FW").unwrap_or_default();
    let driver = globals.firewall_driver.as_ref().map_or_else(from_env, |name| name.to_string_lossy().into_owned());
    firewall_driver(&driver).map_err(words)?;
    let request = request(globals)?;
    let attachments = setup(&request).map_err(words)?;
    let mut engine = engine(globals)?;
    let sandbox = SandboxRef::Path(netns.to_owned());
    let mut made: Vec<(&Attachment, Endpoint)> = Vec::new();
    let outcome = attachments.iter().try_for_each(|attachment| {
        let endpoint =
            attach(&mut engine, &sandbox, attachment).map_err(|e| format!("network {}: {e}", attachment.name))?;
        made.push((attachment, endpoint));
        Ok::<(), String>(())
    });
    if outcome.is_err() {
        for (attachment, endpoint) in made.iter().rev() {
            // What went wrong first is what Podman is told; what stays is found by gc.
            detach(&mut engine, attachment.network.name(), &endpoint.sandbox.spelled).ok();
        }
    }
    // What it did not come to do the next command does.
    engine.linger().ok();
    outcome?;
    let attached: Vec<Attached<'_>> = made
        .iter()
        .map(|(attachment, endpoint)| Attached {
            name: &attachment.name,
            endpoint,
            dns_servers: &attachment.dns_servers,
        })
        .collect();
    Ok(reply(&attached))
}

fn attach(engine: &mut Engine, sandbox: &SandboxRef, attachment: &Attachment) -> Result<Endpoint, String> {
    let mut wishes = attachment.wishes.clone();
    let called = wishes.called.clone().unwrap_or_default();
    // `network connect` names all ports of the container again.
    if !wishes.ports.is_empty() {
        let others = engine.endpoints_in(sandbox).map_err(words)?;
        wishes.ports.retain(|wish| !others.iter().flat_map(|e| &e.ports).any(|port| wish.is_met_by(port)));
    }
    let report = match &attachment.network {
        Target::Described(description) => engine.attach_described(description, sandbox, &wishes),
        Target::Named(name) => engine.attach(name, sandbox, &wishes, Act::Apply),
    };
    let attached = report.map_err(words)?.value;
    match attached.attachment {
        Made::New => Ok(attached.endpoint),
        Made::Existing => Err(format!("{called} is attached to it already")),
    }
}

fn detach(engine: &mut Engine, network: &NetworkName, called: &str) -> Result<Option<Endpoint>, String> {
    let report = engine.detach(network, &SandboxRef::Called(called.to_owned()), Act::Apply).map_err(words)?;
    Ok(match report.value {
        Detached::Gone(endpoint) => Some(*endpoint),
        Detached::WasNotAttached => None,
    })
}

/// Cleans up whatever can be, and tells what could not.
fn tear_down(globals: &Globals) -> Result<(), String> {
    // Podman is not asked a second time: a Ctrl-C must not leave half of it.
    sys::block_signals(&[libc::SIGINT, libc::SIGTERM]).map_err(|e| format!("cannot block signals: {e}"))?;
    let request = request(globals)?;
    let Departure { called, leaving, problems } = teardown(&request).map_err(words)?;
    let mut errors: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let mut engine = engine(globals)?;
    let mut gone: Vec<Endpoint> = Vec::new();
    for one in &leaving {
        match detach(&mut engine, &one.network, &called) {
            Ok(endpoint) => gone.extend(endpoint),
            Err(e) => errors.push(format!("network {}: {e}", one.name)),
        }
    }
    for endpoint in gone.iter().filter(|endpoint| !endpoint.ports.is_empty()) {
        // Ports belong to the container: when it leaves the network by which they led to it, they lead there by the next.
        let same = |next: &Endpoint| next.sandbox.spelled == endpoint.sandbox.spelled;
        errors.extend(engine.hand_over_ports(endpoint, &same).err().map(words));
    }
    engine.linger().ok();
    if errors.is_empty() { Ok(()) } else { Err(joined("teardown", &errors)) }
}
