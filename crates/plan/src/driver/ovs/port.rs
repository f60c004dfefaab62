//! The port of an endpoint, and the external ids by which it is known.

use crate::alias;
use std::collections::BTreeMap;
use std::path::Path;
use zubi_model::{Endpoint, NetworkName, OvsNetwork, Pair};
use zubi_ovsdb::{Columns, Port, PortSeen};

/// The run folder of the zubi that made the port.
const RUN: &str = "zubi-run";
const NETWORK: &str = "zubi-network";
const SANDBOX: &str = "zubi-sandbox";
const ENDPOINT: &str = "zubi-endpoint";

/// The port as it is made.
pub(super) fn port(part: &OvsNetwork, endpoint: &Endpoint, pair: &Pair, run: &Path) -> Port {
    let columns = Columns::new(&part.vlans, marks(endpoint, run));
    Port { bridge: pair.bridge.clone(), name: pair.host.clone(), columns }
}

/// Whose the port is.
fn marks(endpoint: &Endpoint, run: &Path) -> BTreeMap<String, String> {
    [
        (RUN, alias::run_word(run)),
        (NETWORK, endpoint.network.to_string()),
        (SANDBOX, endpoint.sandbox.spelled.clone()),
        (ENDPOINT, endpoint.id.short().to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// Whether an Open vSwitch port was made by the zubi with this run folder.
pub fn is_marked(seen: &PortSeen, run: &Path) -> bool {
    seen.columns.external_ids.get(RUN).is_some_and(|word| *word == alias::run_word(run))
}

/// The network that an Open vSwitch port was made for.
pub fn made_for(seen: &PortSeen) -> Option<NetworkName> {
    seen.columns.external_ids.get(NETWORK)?.parse().ok()
}
