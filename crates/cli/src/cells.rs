//! How single values look in tables and in JSON.

use serde_json::{Value, json};
use zubi_model::{Endpoint, HostAddress, PublishedPort};

/// A sandbox's name in a table: twelve of the 64 hex digits of a container's id, as other tools show it.
pub(crate) fn shortened(spelled: &str) -> &str {
    let Some((_, id)) = spelled.split_once(':') else { return spelled };
    let is_id = id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit());
    if is_id { &spelled[..spelled.len() - 52] } else { spelled }
}

/// A published port in JSON.
pub(crate) fn published(endpoint: &Endpoint, port: &PublishedPort) -> Value {
    json!({
        "sandbox": endpoint.sandbox.spelled,
        "network": endpoint.network.as_str(),
        "host_address": host_address(port.host),
        "host_ports": port.host_ports.to_string(),
        "protocol": port.protocol.to_string(),
        "target": port.target.to_string(),
    })
}

/// The host address of a port in a table: `*` for every address.
pub(crate) fn host_address(host: HostAddress) -> String {
    match host {
        HostAddress::Every => "*".into(),
        HostAddress::One(address) => address.to_string(),
    }
}
