//! The port of an endpoint, and the external ids by which it is known.

use crate::Instance;
use std::collections::BTreeMap;
use zubi_model::{Endpoint, NetworkName, OvsNetwork, Pair};
use zubi_ovsdb::{Columns, Port, PortSeen};

/// The zubi that made the port.
const INSTANCE: &str = "zubi-instance";
const NETWORK: &str = "zubi-network";
const SANDBOX: &str = "zubi-sandbox";
const ENDPOINT: &str = "zubi-endpoint";

/// The port as it is made.
pub(super) fn port(part: &OvsNetwork, endpoint: &Endpoint, pair: &Pair, instance: &Instance) -> Port {
    let columns = Columns::new(&part.vlans, marks(endpoint, instance));
    Port { bridge: pair.bridge.clone(), name: pair.host.clone(), columns }
}

/// Whose the port is.
fn marks(endpoint: &Endpoint, instance: &Instance) -> BTreeMap<String, String> {
    [
        (INSTANCE, instance.to_string()),
        (NETWORK, endpoint.network.to_string()),
        (SANDBOX, endpoint.sandbox.spelled.clone()),
        (ENDPOINT, endpoint.id.short().to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// Whether an Open vSwitch port was made by this zubi.
pub fn is_marked(seen: &PortSeen, instance: &Instance) -> bool {
    seen.columns.external_ids.get(INSTANCE).is_some_and(|mark| instance.has_made(mark))
}

/// The network that an Open vSwitch port was made for.
pub fn made_for(seen: &PortSeen) -> Option<NetworkName> {
    seen.columns.external_ids.get(NETWORK)?.parse().ok()
}
