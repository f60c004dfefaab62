//! A port of a bridge, as it is wanted, and the transactions that make, change and delete it.

use crate::notation::{of_map, of_set};
use crate::{Answer, PortSeen, Request};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use zubi_model::{IfName, PortVlans};

/// The columns of a port that zubi writes (ovs-vswitchd.conf.db(5), table Port).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Columns {
    /// The VLAN of frames without a tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<u16>,
    /// The VLANs that a trunk carries; all when empty.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub trunks: BTreeSet<u16>,
    /// `access`, `trunk`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan_mode: Option<String>,
    /// Words of other programs about the port.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub external_ids: BTreeMap<String, String>,
}

impl Columns {
    /// Of a port with these VLANs.
    pub fn new(vlans: &PortVlans, external_ids: BTreeMap<String, String>) -> Self {
        let (tag, trunks, mode) = match vlans {
            PortVlans::All => (None, BTreeSet::new(), None),
            PortVlans::Access(vlan) => (Some(vlan.number()), BTreeSet::new(), Some("access")),
            PortVlans::Trunk(vlans) => (None, vlans.iter().map(|vlan| vlan.number()).collect(), Some("trunk")),
        };
        Columns { tag, trunks, vlan_mode: mode.map(str::to_owned), external_ids }
    }

    /// As RFC 7047 writes a row.
    fn row(&self) -> Value {
        json!({
            "tag": of_set(self.tag),
            "trunks": of_set(&self.trunks),
            "vlan_mode": of_set(&self.vlan_mode),
            "external_ids": of_map(&self.external_ids),
        })
    }

    /// Those that are not as in a new port, in the words of `ovs-vsctl`.
    fn given(&self) -> Vec<String> {
        let mut words: Vec<String> = self.tag.iter().map(|tag| format!("tag={tag}")).collect();
        words.extend((!self.trunks.is_empty()).then(|| format!("trunks={}", list(&self.trunks))));
        words.extend(self.vlan_mode.iter().map(|mode| format!("vlan_mode={mode}")));
        words.extend(self.external_ids.iter().map(|(key, value)| external_id(key, value)));
        words
    }

    /// All, in the words of `ovs-vsctl`.
    fn all(&self) -> Vec<String> {
        let or_none = |text: String| if text.is_empty() { "[]".to_owned() } else { text };
        let tag = self.tag.map_or_else(String::new, |tag| tag.to_string());
        let mode = self.vlan_mode.clone().unwrap_or_default();
        let mut words = vec![
            format!("tag={}", or_none(tag)),
            format!("trunks={}", or_none(list(&self.trunks))),
            format!("vlan_mode={}", or_none(mode)),
        ];
        words.extend(self.external_ids.iter().map(|(key, value)| external_id(key, value)));
        words
    }
}

fn list(numbers: &BTreeSet<u16>) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// A value with one of ovs-vsctl's delimiters is written as a JSON string (ovs-vsctl(8), Database Values), and that is
/// quoted for the shell.
fn external_id(key: &str, value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    if !value.is_empty() && value.chars().all(is_plain) {
        return format!("external_ids:{key}={value}");
    }
    let word = format!("external_ids:{key}={}", json!(value));
    format!("'{}'", word.replace('\'', r"'\''"))
}

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
            return Some(format!("trunks is {}", or_none(list(&has.trunks))));
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
    ])
}

/// Has ovs-vswitchd say when it has applied what is in the database, as `ovs-vsctl` does.
fn next_configuration() -> Value {
    json!({"op": "mutate", "table": "Open_vSwitch", "where": [], "mutations": [["next_cfg", "+=", 1]]})
}

fn select_configuration() -> Value {
    json!({"op": "select", "table": "Open_vSwitch", "where": [], "columns": ["next_cfg", "cur_cfg"]})
}

/// Asks for the number of the [`Configuration`].
pub fn read_configuration() -> Request {
    Request::transact(vec![select_configuration()])
}

/// How far ovs-vswitchd has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Configuration {
    /// The number of what is in the database.
    pub wanted: i64,
    /// The number of what ovs-vswitchd has applied.
    pub applied: i64,
}

impl Configuration {
    /// Reads the answer to [`read_configuration`], [`Port::add`] or [`Port::set`].
    pub fn of(answer: &Answer) -> Option<Self> {
        let row = answer.last_rows().first()?;
        Some(Configuration { wanted: row["next_cfg"].as_i64()?, applied: row["cur_cfg"].as_i64()? })
    }
}

/// Stands in the database's log, where `ovs-vsctl` writes its own command line.
fn comment(command: &str) -> Value {
    json!({"op": "comment", "comment": format!("zubi: {command}")})
}
