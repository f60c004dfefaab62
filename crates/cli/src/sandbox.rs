//! `zubi sandbox`.

use crate::output::{Output, removed, without_repeats};
use crate::words::SandboxWords;
use serde_json::{Value, json};
use zubi_engine::{Act, Error, Force, Plan, Session};
use zubi_model::{Invalid, NetworkName, SandboxName, SandboxRef};

/// Makes, lists or removes named sandboxes.
pub(crate) fn sandbox(session: &mut Session, words: SandboxWords, output: &Output) -> Result<(), Error> {
    match words {
        SandboxWords::Add { names, from } => add(session, &without_repeats(names), from.as_ref(), output),
        SandboxWords::Rm(words) => {
            let names = without_repeats(words.names);
            let force = if words.force { Force::Yes } else { Force::No };
            if names.len() > 1 {
                for name in &names {
                    session.remove_sandbox(name, force, Act::Show)?;
                }
            }
            let mut plan = Plan::new();
            let doing = session.begin();
            for (number, name) in names.iter().enumerate() {
                doing.step(|| format!("removing sandboxes, {number} of {}", names.len()));
                plan.append(session.remove_sandbox(name, force, output.act())?.plan);
            }
            let (text, json) = removed(&names);
            output.changed(session, &plan, &text, &json)
        }
        SandboxWords::Ls => {
            let views = session.sandboxes()?;
            let mut rows = Vec::new();
            let mut all = Vec::new();
            for v in &views {
                let networks: Vec<&str> = v.networks.iter().map(NetworkName::as_str).collect();
                rows.push(vec![
                    v.name.to_string(),
                    v.maker.to_owned(),
                    v.processes.len().to_string(),
                    networks.join(","),
                ]);
                all.push(json!({"name": v.name.as_str(), "maker": v.maker, "cookie": v.cookie.map(|c| c.0),
                    "processes": v.processes, "networks": networks}));
            }
            output.table(&["NAME", "MADE-BY", "PROCESSES", "NETWORKS"], &rows, &all)
        }
        // Handled earlier: `exec` replaces this process.
        SandboxWords::Exec(_) => Ok(()),
    }
}

/// Makes all sandboxes, or none.
fn add(session: &mut Session, names: &[SandboxName], from: Option<&SandboxRef>, output: &Output) -> Result<(), Error> {
    for name in names {
        refuse_reserved(name)?;
    }
    if let (Some(from), [_, second, ..]) = (from, names) {
        let why = format!("gets one name, and {second} is a second one");
        return Err(Invalid::new("--from", from, why).into());
    }
    if names.len() > 1 {
        for name in names {
            session.add_sandbox(name, from, Act::Show)?;
        }
    }
    let mut plan = Plan::new();
    for name in names {
        plan.append(session.add_sandbox(name, from, output.act())?.plan);
    }
    let text: Vec<String> = names.iter().map(ToString::to_string).collect();
    let all: Vec<Value> = names.iter().map(|name| json!({ "sandbox": name.as_str() })).collect();
    match &all[..] {
        [one] => output.changed(session, &plan, &text, one),
        many => output.changed(session, &plan, &text, &many),
    }
}

/// Words that stand for something else where a sandbox or a network is expected.
pub(crate) fn refuse_reserved(name: &SandboxName) -> Result<(), Error> {
    let why = match name.as_str() {
        "host" => "means this machine itself in `link` and `run --network`; choose another",
        "none" => "means no network in `run --network`; choose another",
        _ => return Ok(()),
    };
    Err(Invalid::new("sandbox name", name, why).into())
}
