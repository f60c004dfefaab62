//! Plug-in configurations that several tests share.

use serde_json::{Value, json};
use zubi_lab::Attachment;

/// A dual-stack bridge with the gateway on it.
pub fn bridge() -> Value {
    json!({
        "type": "bridge", "bridge": "cni0", "isDefaultGateway": true, "ipMasq": true,
        "ipam": { "type": "host-local", "ranges": [[{ "subnet": "10.55.66.0/24" }], [{ "subnet": "fd00:55::/64" }]] },
    })
}

/// Publishes the ports that the runtime names.
pub fn portmap() -> Value {
    json!({ "type": "portmap", "capabilities": { "portMappings": true } })
}

/// Adds a port mapping to the attachment.
pub fn port(at: Attachment, mapping: &Value) -> Attachment {
    at.capability("portMappings", json!([mapping]))
}
