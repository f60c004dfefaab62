//! The commands.

use crate::output::{Output, answer_with, lines};
use crate::words::{SandboxWords, WishWords, Words};
use crate::{link, network, port, run, sandbox, show};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use zubi_engine::{Class, Detached, Error, Force, Session};
use zubi_model::{DefaultRoute, MacWish, Wishes};

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
        Words::Network(words) => network::network(session, words, output)?,
        Words::Sandbox(SandboxWords::Exec { sandbox, command }) => {
            let never = session.exec(&sandbox, &command)?;
            match never {}
        }
        Words::Sandbox(words) => sandbox::sandbox(session, words, output)?,
        Words::Connect { network, sandbox, wishes } => {
            let report = session.attach(&network, &sandbox, &wishes.wishes(), output.act())?;
            let (text, json) = show::attached(&report.value);
            output.changed(session, &report.plan, &[text], &json)?;
        }
        Words::Disconnect { network, sandbox } => {
            let report = session.detach(&network, &sandbox, output.act())?;
            let (text, state) = match report.value {
                Detached::Gone(_) => (format!("{sandbox}: disconnected from {network}"), "disconnected"),
                Detached::WasNotAttached => (format!("{sandbox}: was not on {network}"), "was-not-connected"),
            };
            let json = json!({"sandbox": sandbox.to_string(), "network": network.as_str(), "state": state});
            output.changed(session, &report.plan, &[text], &json)?;
        }
        Words::Port(words) => port::port(session, words, output)?,
        Words::Link(words) => link::link(session, *words, output)?,
        Words::Ls => show::endpoints(session, output)?,
        Words::Bridge => show::bridges(session, output)?,
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
        | Words::Man { .. } => {}
    }
    Ok(code)
}

impl WishWords {
    pub(crate) fn wishes(&self) -> Wishes {
        Wishes {
            addresses: self.ip.clone(),
            mac: self.mac.unwrap_or(MacWish::FromAddress),
            ifname: self.ifname.clone(),
            aliases: self.alias.clone(),
            routes: self.route.clone(),
            ports: self.publish.clone(),
            default_route: if self.no_default_route { DefaultRoute::Never } else { DefaultRoute::Eligible },
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
