//! What the database has of bridges and ports.

use crate::notation::{atoms, map, uuid};
use crate::{Answer, Columns, Request};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;

/// A bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BridgeSeen {
    /// Its name.
    pub name: String,
    /// Empty for the kernel's, `netdev` for the one in user space.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub datapath: String,
}

/// A port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSeen {
    /// The number of its row.
    pub row: String,
    /// Its name.
    pub name: String,
    /// The bridge that it is a port of.
    pub bridge: Option<String>,
    /// See [`Columns`].
    pub columns: Columns,
    /// Its number on the bridge, once ovs-vswitchd has looked at it; -1 if it could not use the device.
    pub number: Option<i64>,
    /// What ovs-vswitchd says against it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Bridges and ports.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seen {
    /// All bridges.
    pub bridges: Vec<BridgeSeen>,
    /// The ports that were asked for.
    pub ports: Vec<PortSeen>,
}

/// Asks for all bridges, and for one port or all.
pub fn read(port: Option<&str>) -> Request {
    let at = port.map_or_else(|| json!([]), |name| json!([["name", "==", name]]));
    let select = |table: &str, at: &Value, columns: &[&str]| json!({"op": "select", "table": table, "where": at, "columns": columns});
    Request::transact(vec![
        select("Bridge", &json!([]), &["name", "datapath_type", "ports"]),
        select("Port", &at, &["_uuid", "name", "tag", "trunks", "vlan_mode", "external_ids"]),
        select("Interface", &at, &["name", "ofport", "error"]),
    ])
}

impl Seen {
    /// Reads the answer to [`read`].
    pub fn of(answer: &Answer) -> Self {
        let text = |row: &Value, column: &str| row[column].as_str().unwrap_or_default().to_owned();
        let mut seen = Seen::default();
        let mut bridge_of: HashMap<&str, String> = HashMap::new();
        for row in answer.rows(0) {
            let name = text(row, "name");
            bridge_of.extend(atoms(&row["ports"]).into_iter().filter_map(uuid).map(|port| (port, name.clone())));
            seen.bridges.push(BridgeSeen { name, datapath: text(row, "datapath_type") });
        }
        let interfaces: HashMap<&str, &Value> =
            answer.rows(2).iter().filter_map(|row| Some((row["name"].as_str()?, row))).collect();
        for row in answer.rows(1) {
            let Some(number) = uuid(&row["_uuid"]) else { continue };
            let name = text(row, "name");
            let interface = interfaces.get(name.as_str());
            let of_interface = |column: &str| interface.and_then(|row| atoms(&row[column]).into_iter().next());
            let vlan = |atom: &Value| u16::try_from(atom.as_u64()?).ok();
            seen.ports.push(PortSeen {
                row: number.to_owned(),
                bridge: bridge_of.get(number).cloned(),
                columns: Columns {
                    tag: atoms(&row["tag"]).into_iter().find_map(vlan),
                    trunks: atoms(&row["trunks"]).into_iter().filter_map(vlan).collect(),
                    vlan_mode: atoms(&row["vlan_mode"]).into_iter().find_map(Value::as_str).map(str::to_owned),
                    external_ids: map(&row["external_ids"]),
                },
                number: of_interface("ofport").and_then(Value::as_i64),
                error: of_interface("error").and_then(Value::as_str).map(str::to_owned),
                name,
            });
        }
        seen
    }

    /// A bridge by name.
    pub fn bridge(&self, name: &str) -> Option<&BridgeSeen> {
        self.bridges.iter().find(|bridge| bridge.name == name)
    }

    /// A port by name.
    pub fn port(&self, name: &str) -> Option<&PortSeen> {
        self.ports.iter().find(|port| port.name == name)
    }
}
