//! `zubi sandbox`.

use crate::output::{Output, removed};
use crate::table::render;
use crate::words::SandboxWords;
use serde_json::{Value, json};
use zubi_engine::{Error, Force, Plan, Session};
use zubi_model::NetworkName;

/// Makes, lists or removes named sandboxes.
pub(crate) fn sandbox(session: &mut Session, words: SandboxWords, output: &Output) -> Result<(), Error> {
    match words {
        SandboxWords::Add { name, from } => {
            let report = session.add_sandbox(&name, from.as_ref(), output.act())?;
            output.changed(session, &report.plan, &[name.to_string()], &json!({ "sandbox": name.as_str() }))
        }
        SandboxWords::Rm { names, force } => {
            let force = if force { Force::Yes } else { Force::No };
            let mut plan = Plan::new();
            for name in &names {
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
            output.listed(&render(&["NAME", "MADE-BY", "PROCESSES", "NETWORKS"], &rows), &Value::Array(all))
        }
        // Handled earlier: `exec` replaces this process.
        SandboxWords::Exec { .. } => Ok(()),
    }
}
