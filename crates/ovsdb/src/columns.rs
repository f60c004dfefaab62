//! The columns of a port: its VLANs, and the words of other programs.

use crate::notation::{of_map, of_set};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use zubi_model::PortVlans;

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

    /// The VLANs of a trunk in one word.
    pub(crate) fn trunk_list(&self) -> String {
        self.trunks.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }

    /// As RFC 7047 writes a row.
    pub(crate) fn row(&self) -> Value {
        json!({
            "tag": of_set(self.tag),
            "trunks": of_set(&self.trunks),
            "vlan_mode": of_set(&self.vlan_mode),
            "external_ids": of_map(&self.external_ids),
        })
    }

    /// Those that are not as in a new port, in the words of `ovs-vsctl`.
    pub(crate) fn given(&self) -> Vec<String> {
        let mut words: Vec<String> = self.tag.iter().map(|tag| format!("tag={tag}")).collect();
        words.extend((!self.trunks.is_empty()).then(|| format!("trunks={}", self.trunk_list())));
        words.extend(self.vlan_mode.iter().map(|mode| format!("vlan_mode={mode}")));
        words.extend(self.external_ids.iter().map(|(key, value)| external_id(key, value)));
        words
    }

    /// All, in the words of `ovs-vsctl`.
    pub(crate) fn all(&self) -> Vec<String> {
        let or_none = |text: String| if text.is_empty() { "[]".to_owned() } else { text };
        let tag = self.tag.map_or_else(String::new, |tag| tag.to_string());
        let mode = self.vlan_mode.clone().unwrap_or_default();
        let mut words = vec![
            format!("tag={}", or_none(tag)),
            format!("trunks={}", or_none(self.trunk_list())),
            format!("vlan_mode={}", or_none(mode)),
        ];
        words.extend(self.external_ids.iter().map(|(key, value)| external_id(key, value)));
        words
    }
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
