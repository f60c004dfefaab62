//! `zubi port`.

use crate::cells::{host_address, published, shortened};
use crate::output::Output;
use crate::words::PortWords;
use serde_json::Value;
use zubi_engine::{Error, Published, Session};
use zubi_model::Endpoint;

/// Publishes, unpublishes or lists ports.
pub(crate) fn port(session: &mut Session, words: PortWords, output: &Output) -> Result<(), Error> {
    match words {
        PortWords::Ls { sandbox: asked } => {
            let sandbox = asked.as_ref().map(ToString::to_string);
            let wanted = |e: &Endpoint| sandbox.as_ref().is_none_or(|s| engine_name(e, s));
            let endpoints: Vec<Endpoint> = session.published()?.into_iter().filter(wanted).collect();
            // An empty list for a name with a typo would be a lie.
            if let (Some(asked), true) = (&asked, endpoints.is_empty()) {
                session.endpoints_in(asked)?;
            }
            let mut rows = Vec::new();
            let mut all = Vec::new();
            for (endpoint, port) in endpoints.iter().flat_map(|e| e.ports.iter().map(move |port| (e, port))) {
                rows.push(vec![
                    shortened(&endpoint.sandbox.spelled).to_owned(),
                    endpoint.network.to_string(),
                    host_address(port.host),
                    port.host_ports.to_string(),
                    port.protocol.to_string(),
                    port.target.to_string(),
                ]);
                all.push(published(endpoint, port));
            }
            let head = ["SANDBOX", "NETWORK", "ADDRESS", "PORT", "PROTOCOL", "LEADS-TO"];
            output.table(&head, &rows, &all)
        }
        PortWords::Add { network, sandbox, ports } => {
            let report = session.publish(&network, &sandbox, &ports, output.act())?;
            let (text, json) = changed(&report.value, "published");
            output.changed(session, &report.plan, &[text], &json)
        }
        PortWords::Rm { network, sandbox, ports } => {
            let report = session.unpublish(&network, &sandbox, &ports, output.act())?;
            let (text, json) = changed(&report.value, "taken back");
            output.changed(session, &report.plan, &[text], &json)
        }
    }
}

/// Whether an endpoint's sandbox has this name, with or without the prefix of its runtime.
fn engine_name(endpoint: &Endpoint, name: &str) -> bool {
    let spelled = endpoint.sandbox.spelled.as_str();
    spelled == name || spelled.split_once(':').is_some_and(|(_, rest)| rest == name)
}

fn changed(change: &Published, done: &str) -> (String, Value) {
    let Published { endpoint, ports } = change;
    let words: Vec<String> = ports.iter().map(ToString::to_string).collect();
    let text = format!("{}: {done} {} on {}", endpoint.sandbox.spelled, words.join(" "), endpoint.network);
    (text, Value::Array(ports.iter().map(|port| published(endpoint, port)).collect()))
}
