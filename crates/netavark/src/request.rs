//! Requests: the JSON on stdin of `setup` and `teardown`. Only the shape is checked; values stay text.

use crate::Error;
use crate::by_name::ByName;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeSet;
use std::fmt;

/// The largest request that is read, in bytes. Podman's have a few thousand.
pub const LARGEST_REQUEST: usize = 16 * 1024 * 1024;

/// A request for one container.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Request {
    /// Id of the container or the pod's infra container: 64 hex digits from Podman.
    pub container_id: String,
    /// Name of the container or the pod.
    pub container_name: String,
    /// The container's own hostname (Podman 5.4 and later).
    pub container_hostname: Option<String>,
    pub(crate) networks: Networks,
    pub(crate) network_info: ByName<NetworkInfo>,
    pub(crate) port_mappings: Option<Vec<PortMapping>>,
    pub(crate) dns_servers: Option<Vec<String>>,
}

/// Reads a request. Unknown fields are ignored; a duplicate known field is an error.
pub fn parse_request(json: &[u8]) -> Result<Request, Error> {
    if json.len() > LARGEST_REQUEST {
        return Err(Error::Unreadable(format!("it has {} bytes, more than {LARGEST_REQUEST}", json.len())));
    }
    let text = std::str::from_utf8(json).map_err(|e| Error::Unreadable(e.to_string()))?;
    if text.trim().is_empty() {
        return Err(Error::Unreadable("it is empty".into()));
    }
    serde_json::from_str(text).map_err(|e| Error::Unreadable(e.to_string()))
}

/// The networks of a container, in the order of the document. The form depends on Podman's version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Networks {
    /// An object, up to Podman 5.
    Map(Vec<(String, NetworkEntry)>),
    /// An array, from Podman 6 on.
    Array(Vec<(String, NetworkEntry)>),
}

impl Networks {
    pub(crate) fn entries(&self) -> &[(String, NetworkEntry)] {
        match self {
            Networks::Map(entries) | Networks::Array(entries) => entries,
        }
    }
}

/// One attachment of the container.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct NetworkEntry {
    /// Only in an array.
    pub(crate) name: Option<String>,
    pub(crate) interface_name: String,
    pub(crate) static_ips: Option<Vec<String>>,
    pub(crate) static_mac: Option<String>,
    pub(crate) aliases: Option<Vec<String>>,
    pub(crate) options: Option<ByName<String>>,
}

/// Podman's definition of a network.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct NetworkInfo {
    /// Required by the protocol, unused: the key says the same.
    #[serde(rename = "name")]
    _name: String,
    pub(crate) id: String,
    pub(crate) driver: String,
    pub(crate) dns_enabled: bool,
    pub(crate) internal: bool,
    /// Required by the protocol, unused: the subnets decide, and this flag may contradict them.
    #[serde(rename = "ipv6_enabled")]
    _ipv6_enabled: bool,
    pub(crate) network_interface: Option<String>,
    pub(crate) subnets: Option<Vec<SubnetEntry>>,
    pub(crate) routes: Option<Vec<RouteEntry>>,
    pub(crate) options: Option<ByName<String>>,
    pub(crate) ipam_options: Option<ByName<String>>,
    pub(crate) labels: Option<ByName<String>>,
    pub(crate) network_dns_servers: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct SubnetEntry {
    pub(crate) subnet: String,
    pub(crate) gateway: Option<String>,
    pub(crate) lease_range: Option<LeaseRange>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct LeaseRange {
    pub(crate) start_ip: Option<String>,
    pub(crate) end_ip: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct RouteEntry {
    pub(crate) destination: String,
    pub(crate) gateway: Option<String>,
    pub(crate) metric: Option<u32>,
    pub(crate) route_type: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct PortMapping {
    pub(crate) host_ip: String,
    pub(crate) host_port: u16,
    pub(crate) container_port: u16,
    pub(crate) range: u16,
    pub(crate) protocol: String,
}

impl<'de> Deserialize<'de> for Networks {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(NetworksVisitor)
    }
}

struct NetworksVisitor;

impl<'de> Visitor<'de> for NetworksVisitor {
    type Value = Networks;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array of networks")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Networks, A::Error> {
        let mut all = Vec::new();
        while let Some(entry) = map.next_entry::<String, NetworkEntry>()? {
            all.push(entry);
        }
        distinct(Networks::Map(all))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Networks, A::Error> {
        let mut all = Vec::new();
        while let Some(mut entry) = seq.next_element::<NetworkEntry>()? {
            let name = entry.name.take().ok_or_else(|| A::Error::missing_field("name"))?;
            all.push((name, entry));
        }
        distinct(Networks::Array(all))
    }
}

fn distinct<E: serde::de::Error>(networks: Networks) -> Result<Networks, E> {
    let mut seen = BTreeSet::new();
    for (name, _) in networks.entries() {
        if !seen.insert(name) {
            return Err(E::custom(format_args!("duplicate network `{name}`")));
        }
    }
    Ok(networks)
}
