//! Podman's network programs: `netavark`, and as much of `aardvark-dns` as Podman asks for.

use crate::answer::{Delivery, code, deliver, tell};
use crate::input;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use zubi_engine::{
    Act, Attached as Made, Attachment as Making, Config, Detached, Engine, LostRecords, OtherNamespace, Session,
};
use zubi_model::{Endpoint, NetworkName, SandboxRef};
use zubi_netavark::{
    Attached, Attachment, Build, Command, Departure, Globals, LARGEST_REQUEST, Program, Request, Target, UsageError,
    error_reply, firewall_driver, joined, parse_arguments, parse_request, reply, setup, teardown, unsupported, update,
    version, version_line,
};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Reads the command line, does what it asks for, and answers.
pub(crate) fn answer(program: Program) -> ExitCode {
    let command = match parse_arguments(program, std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(e) => {
            tell(&e.to_string());
            return ExitCode::from(UsageError::EXIT_CODE);
        }
    };
    if let Command::Setup(globals, netns) = &command {
        return answer_setup(globals, netns);
    }
    match obey(program, &command) {
        Ok(text) if text.is_empty() => ExitCode::SUCCESS,
        Ok(text) => code(deliver(&text), ExitCode::SUCCESS),
        Err(words) => refusal(&words),
    }
}

fn refusal(words: &str) -> ExitCode {
    code(deliver(&error_reply(&words)), ExitCode::FAILURE)
}

/// If the answer cannot be written, removes what was made: Podman would not know of it.
fn answer_setup(globals: &Globals, netns: &Path) -> ExitCode {
    let made = match set_up(globals, netns) {
        Ok(made) => made,
        Err(words) => return refusal(&words),
    };
    if deliver(&made.reply) == Delivery::Done {
        return ExitCode::SUCCESS;
    }
    let undone = session(globals).and_then(|mut session| {
        let undone = made
            .endpoints
            .iter()
            .rev()
            .try_for_each(|e| detach(&mut session, &e.network, &e.sandbox.spelled).map(drop));
        session.finish().ok();
        undone
    });
    let undone = undone.err().map_or_else(String::new, |e| format!("; removing it failed: {e}"));
    tell(&format!("netavark: setup: the answer could not be written to stdout; everything was removed again{undone}"));
    ExitCode::FAILURE
}

/// The result of a setup.
struct Setup {
    reply: String,
    endpoints: Vec<Endpoint>,
}

fn obey(program: Program, command: &Command) -> Result<String, String> {
    match command {
        Command::VersionLine => Ok(version_line(program, VERSION)),
        Command::Version => {
            let target = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
            Ok(version(program, Build { version: VERSION, commit: "", build_time: "", target: &target }))
        }
        Command::Help(text) => Ok((*text).to_owned()),
        // `answer` handles setup itself.
        Command::Setup(..) => Ok(String::new()),
        Command::Teardown(globals, _) => tear_down(globals).map(|()| String::new()),
        Command::Update { globals, network, servers } => {
            let (network, servers) = update(network, servers).map_err(words)?;
            let mut session = session(globals)?;
            session.set_name_servers(&network, &servers).map_err(words)?;
            session.finish().ok();
            Ok(String::new())
        }
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

/// A rootless user's networks are in a namespace of that user, with records of their own.
fn session(globals: &Globals) -> Result<Session, String> {
    let own = |name: &str| globals.config.as_ref().filter(|_| globals.rootless).map(|c| c.join("zubi").join(name));
    let given = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dir = |variable: &str, name: &str| own(name).filter(|_| !given(variable));
    let (state, run): (Option<PathBuf>, Option<PathBuf>) = (dir("ZUBI_STATE_DIR", "state"), dir("ZUBI_RUN_DIR", "run"));
    // Podman makes one namespace for all networks of a user, removes it with the user's last container, and makes a new
    // one later. The records of the earlier namespace are outdated then. (Podman never runs two of its helpers at
    // once.)
    let others = if run.is_some() { OtherNamespace::Forget } else { OtherNamespace::Refuse };
    let mut config = Config::read(&|name| std::env::var(name).ok(), state, run).map_err(words)?;
    config.other_namespace = others;
    Engine::open(config, LostRecords::Rebuild).and_then(|engine| engine.session()).map_err(words)
}

fn set_up(globals: &Globals, netns: &Path) -> Result<Setup, String> {
    let from_env = || std::env::var("NETAVARK_FW").unwrap_or_default();
    let driver = globals.firewall_driver.as_ref().map_or_else(from_env, |name| name.to_string_lossy().into_owned());
    firewall_driver(&driver).map_err(words)?;
    let request = request(globals)?;
    let attachments = setup(&request).map_err(words)?;
    let mut session = session(globals)?;
    let sandbox = SandboxRef::Path(netns.to_owned());
    let mut made: Vec<(&Attachment, Made)> = Vec::new();
    let outcome = attachments.iter().try_for_each(|attachment| {
        let one =
            attach(&mut session, &sandbox, attachment).map_err(|e| format!("network {}: {e}", attachment.name))?;
        made.push((attachment, one));
        Ok::<(), String>(())
    });
    if outcome.is_err() {
        for (attachment, one) in made.iter().rev() {
            // Podman gets the first error, not this one. `gc` finds what stays.
            detach(&mut session, attachment.network.name(), &one.endpoint.sandbox.spelled).ok();
        }
    }
    // The next command does what the child does not finish.
    session.finish().ok();
    outcome?;
    let attached: Vec<Attached<'_>> = made
        .iter()
        .map(|(attachment, one)| Attached {
            name: &attachment.name,
            endpoint: &one.endpoint,
            dns_servers: &attachment.dns_servers,
            name_servers: &one.name_servers,
        })
        .collect();
    let reply = reply(&attached);
    Ok(Setup { reply, endpoints: made.into_iter().map(|(_, one)| one.endpoint).collect() })
}

fn attach(session: &mut Session, sandbox: &SandboxRef, attachment: &Attachment) -> Result<Made, String> {
    let mut wishes = attachment.wishes.clone();
    let called = wishes.called.clone().unwrap_or_default();
    // `network connect` repeats all ports of the container.
    if !wishes.ports.is_empty() {
        let others = session.endpoints_in(sandbox).map_err(words)?;
        wishes.ports.retain(|wish| !others.iter().flat_map(|e| &e.ports).any(|port| wish.is_met_by(port)));
    }
    let report = match &attachment.network {
        Target::Described(description) => session.attach_described(description, sandbox, &wishes),
        Target::Named(name) => session.attach(name, sandbox, &wishes, Act::Apply),
    };
    let attached = report.map_err(words)?.value;
    match attached.attachment {
        Making::New => Ok(attached),
        Making::Existing => Err(format!("{called} is attached to it already")),
    }
}

fn detach(session: &mut Session, network: &NetworkName, called: &str) -> Result<Option<Endpoint>, String> {
    let report = session.detach(network, &SandboxRef::Called(called.to_owned()), Act::Apply).map_err(words)?;
    Ok(match report.value {
        Detached::Gone(endpoint) => Some(*endpoint),
        Detached::Awaited | Detached::WasNotAttached => None,
    })
}

/// Detaches the container from all its networks. After an error it goes on, and reports all errors at the end.
fn tear_down(globals: &Globals) -> Result<(), String> {
    // Podman does not repeat a teardown, so Ctrl-C must not interrupt it.
    zubi_engine::block_interrupts().map_err(words)?;
    let request = request(globals)?;
    let Departure { called, leaving, problems } = teardown(&request).map_err(words)?;
    let mut errors: Vec<String> = problems.iter().map(ToString::to_string).collect();
    let mut session = session(globals)?;
    let mut gone: Vec<Endpoint> = Vec::new();
    for one in &leaving {
        match detach(&mut session, &one.network, &called) {
            Ok(endpoint) => gone.extend(endpoint),
            Err(e) => errors.push(format!("network {}: {e}", one.name)),
        }
    }
    for endpoint in gone.iter().filter(|endpoint| !endpoint.ports.is_empty()) {
        // Published ports belong to the container: when it leaves the network that they use, they move to its next
        // network.
        let same = |next: &Endpoint| next.sandbox.spelled == endpoint.sandbox.spelled;
        errors.extend(session.hand_over_ports(endpoint, &same).err().map(words));
    }
    session.finish().ok();
    if errors.is_empty() { Ok(()) } else { Err(joined("teardown", &errors)) }
}
