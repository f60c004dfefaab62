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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decoder, Incoming};

    /// What ovsdb-server 3.1.0 answers to [`read`].
    const ANSWER: &str = r#"{"id":1,"result":[
        {"rows":[{"name":"br0","datapath_type":"netdev","ports":["set",[
            ["uuid","2732e7b8-4cba-45e1-bcbd-0ac5515bf533"],["uuid","44084f23-6f7a-4936-9401-74f96a4b7af2"]]]},
            {"name":"br1","datapath_type":"","ports":["uuid","a005db81-845a-4767-bb81-dbacde5c9d81"]}]},
        {"rows":[{"name":"zv1","vlan_mode":"access","_uuid":["uuid","2732e7b8-4cba-45e1-bcbd-0ac5515bf533"],
            "external_ids":["map",[["zubi-network","blue"],["zubi-sandbox","docker:web"]]],"trunks":["set",[]],"tag":10},
            {"name":"zv2","vlan_mode":"trunk","_uuid":["uuid","44084f23-6f7a-4936-9401-74f96a4b7af2"],
            "external_ids":["map",[]],"trunks":["set",[10,20]],"tag":["set",[]]},
            {"name":"br1","vlan_mode":["set",[]],"_uuid":["uuid","a005db81-845a-4767-bb81-dbacde5c9d81"],
            "external_ids":["map",[]],"trunks":7,"tag":["set",[]]}]},
        {"rows":[{"name":"zv1","ofport":1,"error":["set",[]]},{"name":"br1","ofport":["set",[]],"error":["set",[]]},
            {"name":"zv2","ofport":-1,"error":"could not open network device zv2 (No such device)"}]}],"error":null}"#;

    #[test]
    fn the_three_tables_are_one_list_of_ports() {
        let mut decoder = Decoder::default();
        decoder.push(ANSWER.as_bytes());
        let Ok(Some(Incoming::Answer(Ok(answer)))) = decoder.take() else { panic!("no answer") };
        let seen = Seen::of(&answer);
        assert_eq!(seen.bridge("br0").unwrap().datapath, "netdev");
        assert_eq!((seen.bridge("br1").unwrap().datapath.as_str(), seen.bridge("br2")), ("", None));
        let port = |name: &str| seen.port(name).unwrap();
        let bridges = ["zv1", "zv2", "br1"].map(|name| port(name).bridge.as_deref().unwrap());
        assert_eq!(bridges, ["br0", "br0", "br1"]);
        assert_eq!((port("zv1").columns.tag, port("zv1").columns.vlan_mode.as_deref()), (Some(10), Some("access")));
        assert_eq!(port("zv1").columns.external_ids["zubi-sandbox"], "docker:web");
        assert_eq!((&port("zv2").columns.trunks, &port("br1").columns.trunks), (&[10, 20].into(), &[7].into()));
        assert_eq!([1, -1].map(Some), ["zv1", "zv2"].map(|name| port(name).number));
        assert_eq!((port("br1").number, port("zv1").error.as_deref()), (None, None));
        assert!(port("zv2").error.as_deref().unwrap().contains("No such device"));
    }
}
