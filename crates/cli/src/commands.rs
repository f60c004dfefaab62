//! The commands.

use crate::output::{Output, answer_with, lines};
use crate::words::{ConnectWords, DisconnectWords, NetworkWords, PortWords, PortsOf, SandboxWords, WishWords, Words};
use crate::{bridge, lease, link, name, network, peer, port, run, sandbox, show};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use zubi_engine::{Class, Detached, Error, Force, Session};
use zubi_model::{
    DefaultRoute, DhcpWishes, Follow, Invalid, MacWish, NetworkName, Probe, SandboxRef, Standing, Wishes,
};

/// Runs one command.
pub(crate) fn run(mut session: Session, words: Words, output: &Output) -> Result<ExitCode, Error> {
    if let Words::Run(words) = words {
        return run::run(session, &words, output);
    }
    let outcome = perform(&mut session, words, output);
    output.notes(&session.take_notes());
    // A command that failed may have left slow work too.
    let finished = session.finish();
    outcome.and_then(|code| finished.map(|()| code))
}

fn perform(session: &mut Session, words: Words, output: &Output) -> Result<ExitCode, Error> {
    let mut code = ExitCode::SUCCESS;
    match words {
        Words::Connect(words) | Words::Network(NetworkWords::Connect(words)) => connect(session, &words, output)?,
        Words::Disconnect(words) | Words::Network(NetworkWords::Disconnect(words)) => {
            disconnect(session, &words, output)?;
        }
        Words::Exec(words) | Words::Sandbox(SandboxWords::Exec(words)) => {
            let never = session.exec(&words.sandbox, &run::program(&words.program, &words.command)?)?;
            match never {}
        }
        Words::Rm(words) => sandbox::sandbox(session, SandboxWords::Rm(words), output)?,
        Words::Network(words) => network::network(session, words, output)?,
        Words::Sandbox(words) => sandbox::sandbox(session, words, output)?,
        Words::Port(PortsOf { command: Some(words), .. }) => port::port(session, words, output)?,
        Words::Port(PortsOf { command: None, sandbox }) => port::port(session, PortWords::Ls { sandbox }, output)?,
        Words::Lease(words) => lease::lease(session, words, output)?,
        Words::Link(words) => link::link(session, *words, output)?,
        Words::Ls(words) | Words::Ps(words) => {
            let foreign = if words.all { bridge::foreign_rows(session, &words)? } else { Vec::new() };
            show::endpoints(session, &words, foreign, output)?;
        }
        Words::Bridge(words) => bridge::bridge(session, &words, output)?,
        Words::Name { name } => name::name(session, &name, output)?,
        Words::Peer { device } => peer::peer(session, &device, output)?,
        Words::Check => code = check(session, output)?,
        Words::Repair { rebuild } => {
            let mut done = if rebuild { session.rebuild(output.act())?.value } else { Vec::new() };
            let report = session.repair(output.act())?;
            done.extend(report.value);
            let json = json!({ "repaired": done });
            output.changed(session, &report.plan, &lines(done, "nothing to repair"), &json)?;
        }
        Words::Gc { force } => {
            let force = if force { Force::Yes } else { Force::No };
            let report = session.gc(force, output.act())?;
            let json = json!({ "removed": report.value });
            output.changed(session, &report.plan, &lines(report.value, "nothing to remove"), &json)?;
        }
        Words::Snapshot { output: file } => snapshot(session, file.as_deref(), output)?,
        Words::Run(_)
        | Words::Lab { .. }
        | Words::Install(_)
        | Words::Uninstall(_)
        | Words::Completions { .. }
        | Words::Candidates { .. }
        | Words::Daemon { .. }
        | Words::Status
        | Words::Events
        | Words::Info
        | Words::Version
        | Words::Man { .. } => {}
    }
    Ok(code)
}

fn connect(session: &mut Session, words: &ConnectWords, output: &Output) -> Result<(), Error> {
    let ConnectWords { network, sandbox, device, follow, no_follow, wishes } = words;
    wishes.check_lengths(session, network)?;
    let follow = match (follow, no_follow) {
        (true, _) => Follow::Always,
        (_, true) => Follow::Never,
        _ => Follow::Containers,
    };
    if follow == Follow::Always && sandbox.standing() != Standing::Name {
        let why = "has no name under which it could come back";
        return Err(Invalid::new("sandbox", sandbox, why).try_instead("leave --follow out").into());
    }
    let wishes = Wishes { taken: device.clone(), follow, ..wishes.wishes() };
    let attached = session.attach(network, sandbox, &wishes, output.act());
    let report = attached.map_err(|e| perhaps_swapped(session, e, "connect", network, sandbox))?;
    let (text, json) = show::attached(&report.value);
    output.changed(session, &report.plan, &[text], &json)
}

fn disconnect(session: &mut Session, words: &DisconnectWords, output: &Output) -> Result<(), Error> {
    let DisconnectWords { network, sandbox, .. } = words;
    let report = session.detach(network, sandbox, output.act())?;
    let (text, state) = match report.value {
        Detached::Gone(_) => (format!("{sandbox}: disconnected from {network}"), "disconnected"),
        Detached::Awaited => (format!("{sandbox}: does not come back to {network} any more"), "disconnected"),
        Detached::WasNotAttached => {
            // A sandbox that is gone is off its networks. A network that is not there is a typo.
            if let Err(e @ Error::NoNetwork { .. }) = session.network(network) {
                return Err(perhaps_swapped(session, e, "disconnect", network, sandbox));
            }
            (format!("{sandbox}: was not on {network}"), "was-not-connected")
        }
    };
    let json = json!({"sandbox": sandbox.to_string(), "network": network.as_str(), "state": state});
    output.changed(session, &report.plan, &[text], &json)
}

/// Adds a question to an error about a network that is not there, if the sandbox's word is the name of one.
fn perhaps_swapped(
    session: &Session,
    error: Error,
    command: &str,
    network: &NetworkName,
    sandbox: &SandboxRef,
) -> Error {
    let other: Option<NetworkName> = sandbox.to_string().parse().ok();
    let swapped = matches!(error, Error::NoNetwork { .. } | Error::NoSandbox { .. })
        && session.network(network).is_err()
        && other.is_some_and(|other| session.network(&other).is_ok());
    if !swapped {
        return error;
    }
    let advice = format!("did you swap them? zubi {command} {sandbox} {network}");
    Error::Advised { cause: Box::new(error), advice }
}

impl WishWords {
    /// Refuses addresses with another length than the network's subnet.
    pub(crate) fn check_lengths(&self, session: &Session, network: &NetworkName) -> Result<(), Error> {
        if self.ip.iter().all(|address| address.length.is_none()) {
            return Ok(());
        }
        let (network, _) = session.network(network)?;
        self.ip.iter().try_for_each(|address| address.check_length(&network))
    }

    pub(crate) fn wishes(&self) -> Wishes {
        Wishes {
            addresses: self.ip.iter().map(|word| word.address).collect(),
            mac: self.mac.unwrap_or(MacWish::FromAddress),
            ifname: self.ifname.clone(),
            aliases: self.alias.clone(),
            name_servers: self.dns.clone(),
            routes: self.route.clone(),
            ports: self.publish.clone(),
            dhcp: DhcpWishes { patience: self.dhcp_timeout.map(|span| span.0), ..DhcpWishes::default() },
            default_route: if self.no_default_route { DefaultRoute::Never } else { DefaultRoute::Eligible },
            probe: if self.no_probe { Probe::Skip } else { Probe::Usual },
            ..Wishes::default()
        }
    }
}

/// Writes a snapshot to a file, or to standard output.
fn snapshot(session: &mut Session, file: Option<&Path>, output: &Output) -> Result<(), Error> {
    let snapshot = session.snapshot()?;
    let failed = |e| Error::writing("snapshot", file.unwrap_or(Path::new("standard output")), e);
    let text = snapshot.to_json().map_err(|e| failed(e.into()))? + "\n";
    let Some(file) = file else { return answer_with(&text) };
    fs::write(file, text).map_err(failed)?;
    let sandboxes = snapshot.sandboxes().count();
    let text = format!("{}: the host and {sandboxes} sandboxes", file.display());
    output.listed(&[text], &json!({"file": file.display().to_string(), "sandboxes": sandboxes}))
}

fn check(session: &mut Session, output: &Output) -> Result<ExitCode, Error> {
    let problems = session.check()?;
    let text: Vec<String> = problems
        .iter()
        .flat_map(|p| [format!("{}: {}", p.object, p.what), format!("    to put it right: {}", p.fix)])
        .collect();
    let json: Vec<Value> = problems
        .iter()
        .map(|p| json!({"kind": p.kind.word(), "object": p.object, "what": p.what, "fix": p.fix}))
        .collect();
    output.listed(&lines(text, "everything is as recorded"), &json!({ "problems": json }))?;
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(Class::Problems as u8) })
}
