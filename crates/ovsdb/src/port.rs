//! A port of a bridge, as it is wanted, and the transactions that make, change and delete it.

use crate::configuration::{next_configuration, select_configuration};
use crate::notation::{of_map, of_set};
use crate::{Columns, PortSeen, Request};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;
use zubi_model::IfName;

/// A port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The bridge.
    pub bridge: IfName,
    /// The device, which is the port's name as well.
    pub name: IfName,
    /// See [`Columns`].
    pub columns: Columns,
}

impl Port {
    /// Makes it, unless the bridge is missing or something has the name. The first operation that is refused says which:
    /// see [`Port::MISSING_BRIDGE`].
    pub fn add(&self) -> Request {
        let Port { bridge, name, columns } = self;
        let mut row = columns.row();
        row["name"] = json!(name);
        row["interfaces"] = json!(["named-uuid", "interface"]);
        let exists = |table: &str, name: &IfName, rows: Vec<Value>| {
            json!({"op": "wait", "timeout": 0, "table": table, "where": [["name", "==", name]], "columns": ["name"],
                   "until": "==", "rows": rows})
        };
        Request::transact(vec![
            exists("Bridge", bridge, vec![json!({"name": bridge})]),
            exists("Port", name, Vec::new()),
            json!({"op": "insert", "table": "Interface", "uuid-name": "interface", "row": {"name": name}}),
            json!({"op": "insert", "table": "Port", "uuid-name": "port", "row": row}),
            json!({"op": "mutate", "table": "Bridge", "where": [["name", "==", bridge]],
                   "mutations": [["ports", "insert", ["named-uuid", "port"]]]}),
            comment(&self.to_string()),
            next_configuration(),
            select_configuration(),
        ])
    }

    /// The operation of [`Port::add`] that is refused when there is no such bridge.
    pub const MISSING_BRIDGE: usize = 0;

    /// Gives an existing port these columns. External ids of other programs stay.
    pub fn set(&self) -> Request {
        let mut row = self.columns.row();
        row.as_object_mut().map(|row| row.remove("external_ids"));
        let keys = of_set(self.columns.external_ids.keys());
        let at = json!([["name", "==", self.name]]);
        Request::transact(vec![
            json!({"op": "update", "table": "Port", "where": at, "row": row}),
            json!({"op": "mutate", "table": "Port", "where": at, "mutations": [
                ["external_ids", "delete", keys],
                ["external_ids", "insert", of_map(&self.columns.external_ids)],
            ]}),
            comment(&self.change()),
            next_configuration(),
            select_configuration(),
        ])
    }

    /// The command that does what [`Port::set`] does.
    pub fn change(&self) -> String {
        format!("ovs-vsctl set port {} {}", self.name, self.columns.all().join(" "))
    }

    /// How an existing port differs, in words. Further external ids are no difference.
    pub fn differs_from(&self, seen: &PortSeen) -> Option<String> {
        let (wanted, has) = (&self.columns, &seen.columns);
        let or_none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
        if seen.bridge.as_deref() != Some(self.bridge.as_str()) {
            return Some(format!("is a port of {}", seen.bridge.as_deref().unwrap_or("no bridge")));
        }
        if wanted.tag != has.tag {
            return Some(format!("tag is {}", or_none(has.tag.map_or_else(String::new, |tag| tag.to_string()))));
        }
        if wanted.trunks != has.trunks {
            return Some(format!("trunks is {}", or_none(has.trunk_list())));
        }
        if wanted.vlan_mode != has.vlan_mode {
            return Some(format!("vlan_mode is {}", or_none(has.vlan_mode.clone().unwrap_or_default())));
        }
        if wanted.external_ids.iter().any(|(key, value)| has.external_ids.get(key) != Some(value)) {
            return Some("its external_ids do not say whose it is".to_owned());
        }
        seen.error.as_ref().map(|error| format!("Open vSwitch cannot use it: {error}"))
    }
}

/// The command that makes it.
impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ovs-vsctl add-port {} {}", self.bridge, self.name)?;
        self.columns.given().iter().try_for_each(|word| write!(f, " {word}"))
    }
}

/// Deletes a port by the number of its row: one that was made since under the same name stays. Its interface goes with
/// it, since nothing refers to that any more.
pub fn delete(seen: &PortSeen) -> Request {
    let row = json!(["uuid", seen.row]);
    Request::transact(vec![
        json!({"op": "mutate", "table": "Bridge", "where": [["ports", "includes", row]],
               "mutations": [["ports", "delete", row]]}),
        comment(&format!("ovs-vsctl del-port {}", seen.name)),
        next_configuration(),
    ])
}

/// Stands in the database's log, where `ovs-vsctl` writes its own command line.
fn comment(command: &str) -> Value {
    json!({"op": "comment", "comment": format!("zubi: {command}")})
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use zubi_model::{PortVlans, VlanId};

    fn vlan(number: u16) -> VlanId {
        number.try_into().unwrap()
    }

    fn port(vlans: &PortVlans) -> Port {
        let ids = [("zubi-network", "blue"), ("zubi-sandbox", "docker:it's")];
        let ids: BTreeMap<String, String> = ids.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        Port {
            bridge: "br0".parse().unwrap(),
            name: "zv0102030405".parse().unwrap(),
            columns: Columns::new(vlans, ids),
        }
    }

    fn seen(port: &Port) -> PortSeen {
        PortSeen {
            row: "2732e7b8-4cba-45e1-bcbd-0ac5515bf533".into(),
            name: port.name.to_string(),
            bridge: Some(port.bridge.to_string()),
            columns: port.columns.clone(),
            number: Some(1),
            error: None,
        }
    }

    #[test]
    fn it_prints_as_what_a_person_types() {
        let ids = r#"external_ids:zubi-network=blue 'external_ids:zubi-sandbox="docker:it'\''s"'"#;
        let access = port(&PortVlans::Access(vlan(10)));
        assert_eq!(access.to_string(), format!("ovs-vsctl add-port br0 zv0102030405 tag=10 vlan_mode=access {ids}"));
        let trunk = port(&PortVlans::trunk(vec![vlan(20), vlan(10)]));
        assert_eq!(
            trunk.change(),
            format!("ovs-vsctl set port zv0102030405 tag=[] trunks=10,20 vlan_mode=trunk {ids}")
        );
        let all = port(&PortVlans::All);
        assert_eq!(all.to_string(), format!("ovs-vsctl add-port br0 zv0102030405 {ids}"));
        assert_eq!(all.change(), format!("ovs-vsctl set port zv0102030405 tag=[] trunks=[] vlan_mode=[] {ids}"));
    }

    #[test]
    fn a_new_port_is_one_transaction_that_fails_without_the_bridge() {
        let port = Port { columns: Columns::default(), ..port(&PortVlans::All) };
        let text = String::from_utf8(port.add().bytes()).unwrap();
        let dense = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(dense(&text), dense(ADD));
    }

    const ADD: &str = r#"
        {"id":1,"method":"transact","params":["Open_vSwitch",
        {"columns":["name"],"op":"wait","rows":[{"name":"br0"}],"table":"Bridge","timeout":0,"until":"==",
         "where":[["name","==","br0"]]},
        {"columns":["name"],"op":"wait","rows":[],"table":"Port","timeout":0,"until":"==",
         "where":[["name","==","zv0102030405"]]},
        {"op":"insert","row":{"name":"zv0102030405"},"table":"Interface","uuid-name":"interface"},
        {"op":"insert","row":{"external_ids":["map",[]],"interfaces":["named-uuid","interface"],
         "name":"zv0102030405","tag":["set",[]],"trunks":["set",[]],"vlan_mode":["set",[]]},
         "table":"Port","uuid-name":"port"},
        {"mutations":[["ports","insert",["named-uuid","port"]]],"op":"mutate","table":"Bridge",
         "where":[["name","==","br0"]]},
        {"comment":"zubi: ovs-vsctl add-port br0 zv0102030405","op":"comment"},
        {"mutations":[["next_cfg","+=",1]],"op":"mutate","table":"Open_vSwitch","where":[]},
        {"columns":["next_cfg","cur_cfg"],"op":"select","table":"Open_vSwitch","where":[]}]}
    "#;

    #[test]
    fn a_port_is_deleted_by_its_row() {
        let port = port(&PortVlans::All);
        let text = String::from_utf8(delete(&seen(&port)).bytes()).unwrap();
        let row = r#"["uuid","2732e7b8-4cba-45e1-bcbd-0ac5515bf533"]"#;
        assert!(text.contains(&format!(r#""mutations":[["ports","delete",{row}]]"#)), "{text}");
        assert!(text.contains(&format!(r#""where":[["ports","includes",{row}]]"#)), "{text}");
    }

    #[test]
    fn what_others_say_of_a_port_is_no_difference() {
        let port = port(&PortVlans::Access(vlan(10)));
        let mut seen = seen(&port);
        seen.columns.external_ids.insert("theirs".into(), "1".into());
        assert_eq!(port.differs_from(&seen), None);
        let differs = |change: &dyn Fn(&mut PortSeen)| {
            let mut seen = seen.clone();
            change(&mut seen);
            port.differs_from(&seen).unwrap()
        };
        assert_eq!(differs(&|seen| seen.columns.tag = None), "tag is none");
        assert_eq!(differs(&|seen| seen.columns.trunks = [7, 8].into()), "trunks is 7,8");
        assert_eq!(differs(&|seen| seen.columns.vlan_mode = Some("trunk".into())), "vlan_mode is trunk");
        assert_eq!(differs(&|seen| seen.bridge = Some("br1".into())), "is a port of br1");
        let cleared = differs(&|seen| seen.columns.external_ids.clear());
        assert_eq!(cleared, "its external_ids do not say whose it is");
        let unusable = differs(&|seen| seen.error = Some("could not open network device".into()));
        assert_eq!(unusable, "Open vSwitch cannot use it: could not open network device");
    }
}
