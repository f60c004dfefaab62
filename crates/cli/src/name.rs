//! `zubi name`.

use crate::output::Output;
use serde_json::json;
use zubi_engine::{Error, Session};

/// Tells where a name leads.
pub(crate) fn name(session: &Session, name: &str, output: &Output) -> Result<(), Error> {
    let found = session.find_name(&name.parse()?)?;
    if found.is_empty() {
        let what = format!("an endpoint with the name {}", zubi_model::visible(name));
        return Err(Error::NoFile { what, next: "zubi ls lists what is connected, and its JSON the aliases" });
    }
    let rows: Vec<Vec<String>> =
        found.iter().map(|one| vec![one.address.to_string(), one.network.to_string(), one.sandbox.clone()]).collect();
    let json: Vec<_> = found
        .iter()
        .map(|one| json!({ "address": one.address, "network": one.network, "sandbox": one.sandbox }))
        .collect();
    output.table(&["ADDRESS", "NETWORK", "SANDBOX"], &rows, &json)
}
