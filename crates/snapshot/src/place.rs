//! The state of one network namespace, as far as it was read.

use crate::Extent;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use zubi_model::{Family, IfIndex, Mac, NetnsCookie};
use zubi_wire::route::{AddressSeen, FilterSeen, LinkSeen, NeighbourSeen, PortVlanSeen, RouteSeen, RuleSeen};

/// Whether a namespace could be opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Namespace {
    /// It was opened, and has this cookie.
    Open(NetnsCookie),
    /// Its path leads to no network namespace, or to another one than before. It contains nothing.
    Gone,
    /// It could not be opened, for this reason. Its state is unknown.
    Unknown(String),
}

/// The filters of one device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiltersSeen {
    /// Whether filters can be attached to the device: it has the queueing discipline `clsact`.
    pub has_hooks: bool,
    /// Its filters, on both sides.
    pub filters: Vec<FilterSeen>,
}

/// A value for each address family.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PerFamily<T> {
    v4: T,
    v6: T,
}

impl<T> PerFamily<T> {
    pub(crate) fn get(&self, family: Family) -> &T {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    pub(crate) fn get_mut(&mut self, family: Family) -> &mut T {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }
}

/// Devices by name. A name that was read and has no device is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Links {
    pub(crate) read: Extent<String>,
    pub(crate) seen: BTreeMap<String, LinkSeen>,
}

/// Addresses by device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Addresses {
    pub(crate) read: Extent<IfIndex>,
    pub(crate) seen: BTreeMap<IfIndex, Vec<AddressSeen>>,
}

/// The forwarding entries of all bridges.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<NeighbourSeen>", into = "Vec<NeighbourSeen>")]
pub(crate) struct Forwarding {
    pub(crate) entries: Vec<NeighbourSeen>,
    /// The entries by MAC and port.
    pub(crate) ports: HashSet<(Mac, IfIndex)>,
}

impl From<Vec<NeighbourSeen>> for Forwarding {
    fn from(entries: Vec<NeighbourSeen>) -> Self {
        let ports = entries.iter().filter_map(|entry| Some((entry.mac?, entry.device))).collect();
        Forwarding { entries, ports }
    }
}

impl From<Forwarding> for Vec<NeighbourSeen> {
    fn from(forwarding: Forwarding) -> Self {
        forwarding.entries
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlaceSeen {
    pub(crate) namespace: Option<Namespace>,
    pub(crate) links: Links,
    pub(crate) addresses: Addresses,
    pub(crate) routes: PerFamily<Option<Vec<RouteSeen>>>,
    pub(crate) rules: PerFamily<Option<Vec<RuleSeen>>>,
    pub(crate) neighbours: Option<Vec<NeighbourSeen>>,
    pub(crate) forwarding: Option<Forwarding>,
    #[serde(default)]
    pub(crate) vlans: Option<Vec<PortVlanSeen>>,
    /// By the name of the device.
    pub(crate) filters: BTreeMap<String, FiltersSeen>,
    /// Whether the filters of every bridge were read.
    pub(crate) has_bridge_filters: bool,
    /// By key; `None` means that this kernel has no such setting.
    pub(crate) settings: BTreeMap<String, Option<String>>,
}
