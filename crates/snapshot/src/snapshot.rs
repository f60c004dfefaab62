//! The snapshot: the parts of the kernel's state that were read.

use crate::Extent;
use crate::firewall::{Elements, FirewallSeen, ForeignTables, GuestRuleSeen, Ruleset};
use crate::place::{FiltersSeen, Namespace, PlaceSeen};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use zubi_model::{Family, IfIndex, Mac, NsRef, SandboxName};
use zubi_ovsdb::Seen;
use zubi_plan::{Place, Sysctl};
use zubi_wire::nft::{Element, ElementSeen, Generation};
use zubi_wire::route::{AddressSeen, LinkSeen, NeighbourSeen, PortVlanSeen, RouteSeen, RuleSeen};

/// The error of a query for a part that was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotRead {
    /// The part, in words.
    pub part: String,
    /// Why it could not be read; `None` if nothing asked for it.
    pub why: Option<String>,
}

impl fmt::Display for NotRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.why {
            // The kernel's error names the namespace.
            Some(why) => f.write_str(why),
            None => write!(f, "{}: not read", self.part),
        }
    }
}

impl std::error::Error for NotRead {}

/// The kernel's state when it was read. The ruleset is that of the host only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    host: PlaceSeen,
    #[serde(with = "crate::file::sandboxes")]
    sandboxes: HashMap<NsRef, PlaceSeen>,
    ruleset: Ruleset,
    /// Whether a file of that name exists under /run/netns.
    names: BTreeMap<String, bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ovs: Option<OvsAnswer>,
}

/// What Open vSwitch says of its bridges and ports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OvsAnswer {
    /// All of them.
    Seen(Seen),
    /// Nothing, and why.
    Silent(String),
}

fn not_asked(part: impl fmt::Display, place: &Place) -> NotRead {
    let part = match place {
        Place::Host => format!("{part} of the host"),
        Place::Sandbox(sandbox) => format!("{part} of sandbox {}", sandbox.path().display()),
    };
    NotRead { part, why: None }
}

fn unread(part: impl fmt::Display) -> NotRead {
    NotRead { part: part.to_string(), why: None }
}

/// Reading the snapshot.
impl Snapshot {
    /// An empty snapshot.
    pub fn new() -> Self {
        Self::default()
    }

    /// The state of a place; `None` for a namespace that is gone.
    fn inside(&self, part: &str, place: &Place) -> Result<Option<&PlaceSeen>, NotRead> {
        let sandbox = match place {
            Place::Host => return Ok(Some(&self.host)),
            Place::Sandbox(sandbox) => sandbox,
        };
        let seen = self.sandboxes.get(sandbox).ok_or_else(|| not_asked(part, place))?;
        match &seen.namespace {
            Some(Namespace::Gone) => Ok(None),
            Some(Namespace::Unknown(why)) => Err(NotRead { part: part.into(), why: Some(why.clone()) }),
            Some(Namespace::Open(_)) | None => Ok(Some(seen)),
        }
    }

    /// Whether the namespace could be opened; `None` if that was not tried.
    pub fn namespace(&self, place: &Place) -> Option<&Namespace> {
        match place {
            Place::Host => self.host.namespace.as_ref(),
            Place::Sandbox(sandbox) => self.sandboxes.get(sandbox)?.namespace.as_ref(),
        }
    }

    /// The sandboxes that something was read of.
    pub fn sandboxes(&self) -> impl Iterator<Item = &NsRef> {
        self.sandboxes.keys()
    }

    /// A device by name.
    pub fn link(&self, place: &Place, name: &str) -> Result<Option<&LinkSeen>, NotRead> {
        let Some(seen) = self.inside("device", place)? else { return Ok(None) };
        match seen.links.seen.get(name) {
            Some(link) => Ok(Some(link)),
            None if seen.links.read.covers(name) => Ok(None),
            None => Err(not_asked(format_args!("device {name}"), place)),
        }
    }

    /// All devices of a place, by name.
    pub fn links(&self, place: &Place) -> Result<impl Iterator<Item = &LinkSeen>, NotRead> {
        let seen = self.inside("devices", place)?;
        match seen {
            Some(seen) if seen.links.read != Extent::All => Err(not_asked("devices", place)),
            _ => Ok(seen.into_iter().flat_map(|seen| seen.links.seen.values())),
        }
    }

    /// All addresses of a place, device by device.
    pub fn addresses(&self, place: &Place) -> Result<impl Iterator<Item = &AddressSeen>, NotRead> {
        let seen = self.inside("addresses", place)?;
        match seen {
            Some(seen) if seen.addresses.read != Extent::All => Err(not_asked("addresses", place)),
            _ => Ok(seen.into_iter().flat_map(|seen| seen.addresses.seen.values().flatten())),
        }
    }

    /// The addresses of one device.
    pub fn addresses_of(&self, place: &Place, device: IfIndex) -> Result<&[AddressSeen], NotRead> {
        let Some(seen) = self.inside("addresses", place)? else { return Ok(&[]) };
        match seen.addresses.seen.get(&device) {
            Some(addresses) => Ok(addresses),
            None if seen.addresses.read.covers(&device) => Ok(&[]),
            None => Err(not_asked(format_args!("addresses of {device}"), place)),
        }
    }

    /// Every route of every table of a family.
    pub fn routes(&self, place: &Place, family: Family) -> Result<&[RouteSeen], NotRead> {
        let Some(seen) = self.inside("routes", place)? else { return Ok(&[]) };
        seen.routes.get(family).as_deref().ok_or_else(|| not_asked("routes", place))
    }

    /// The policy routing rules of a family.
    pub fn rules(&self, place: &Place, family: Family) -> Result<&[RuleSeen], NotRead> {
        let Some(seen) = self.inside("routing rules", place)? else { return Ok(&[]) };
        seen.rules.get(family).as_deref().ok_or_else(|| not_asked("routing rules", place))
    }

    /// The neighbours of all devices.
    pub fn neighbours(&self, place: &Place) -> Result<&[NeighbourSeen], NotRead> {
        let Some(seen) = self.inside("neighbours", place)? else { return Ok(&[]) };
        seen.neighbours.as_deref().ok_or_else(|| not_asked("neighbours", place))
    }

    /// The VLANs of all bridge ports.
    pub fn vlans(&self, place: &Place) -> Result<&[PortVlanSeen], NotRead> {
        let Some(seen) = self.inside("VLANs of bridge ports", place)? else { return Ok(&[]) };
        seen.vlans.as_deref().ok_or_else(|| not_asked("VLANs of bridge ports", place))
    }

    /// The forwarding entries of all bridges.
    pub fn forwarding(&self, place: &Place) -> Result<&[NeighbourSeen], NotRead> {
        let Some(seen) = self.inside("forwarding entries", place)? else { return Ok(&[]) };
        let entries = seen.forwarding.as_ref().map(|forwarding| forwarding.entries.as_slice());
        entries.ok_or_else(|| not_asked("forwarding entries", place))
    }

    /// Whether a bridge forwards frames for this MAC by this port.
    pub fn has_forwarding(&self, place: &Place, mac: Mac, port: IfIndex) -> Result<bool, NotRead> {
        let Some(seen) = self.inside("forwarding entries", place)? else { return Ok(false) };
        let forwarding = seen.forwarding.as_ref().ok_or_else(|| not_asked("forwarding entries", place))?;
        Ok(forwarding.ports.contains(&(mac, port)))
    }

    /// The filters of a device; `None` if there is no such device.
    pub fn filters(&self, place: &Place, device: &str) -> Result<Option<&FiltersSeen>, NotRead> {
        let Some(seen) = self.inside("filters", place)? else { return Ok(None) };
        match seen.filters.get(device) {
            Some(filters) => Ok(Some(filters)),
            None if self.link(place, device)?.is_none() => Ok(None),
            None => Err(not_asked(format_args!("filters of {device}"), place)),
        }
    }

    /// The value of a setting under /proc/sys; `None` if this kernel has no such setting. Many settings of a device are
    /// read with the device.
    pub fn setting(&self, place: &Place, key: &str) -> Result<Option<Cow<'_, str>>, NotRead> {
        let Some(seen) = self.inside("settings", place)? else { return Ok(None) };
        if let Some((family, device, name)) = Sysctl::new(key, "").of_device()
            && let Some(value) = seen.links.seen.get(device).and_then(|link| link.settings.get(family, name))
        {
            return Ok(Some(value.to_string().into()));
        }
        match seen.settings.get(key) {
            Some(value) => Ok(value.as_deref().map(Cow::from)),
            None => Err(not_asked(format_args!("setting {key}"), place)),
        }
    }

    /// Whether a named sandbox has its file under /run/netns.
    pub fn is_named(&self, name: &SandboxName) -> Result<bool, NotRead> {
        let known = self.names.get(name.as_str()).copied();
        known.ok_or_else(|| unread(format_args!("file of sandbox {name}")))
    }

    /// Open vSwitch's bridges and ports.
    pub fn ovs(&self) -> Result<&OvsAnswer, NotRead> {
        self.ovs.as_ref().ok_or_else(|| unread("ports of Open vSwitch"))
    }

    /// Our table.
    pub fn firewall(&self) -> Result<&FirewallSeen, NotRead> {
        self.ruleset.ours.as_ref().ok_or_else(|| unread("firewall table"))
    }

    /// All elements of one of our sets.
    pub fn elements(&self, set: &str) -> Result<&HashSet<ElementSeen>, NotRead> {
        match self.ruleset.elements.get(set) {
            Some(elements) if elements.read == Extent::All => Ok(&elements.seen),
            _ => Err(unread(format_args!("elements of set {set}"))),
        }
    }

    /// Whether a set of ours has exactly this element: its key, and the data of a map.
    pub fn has_element(&self, element: &Element) -> Result<bool, NotRead> {
        let not_read = || unread(format_args!("elements of set {}", element.set));
        let elements = self.ruleset.elements.get(&element.set).ok_or_else(not_read)?;
        let raw = element.raw();
        let was_read = match &raw[..] {
            // An interval can be found only among all elements.
            [only] if only.end.is_none() => elements.read.covers(&only.key),
            _ => elements.read == Extent::All,
        };
        if was_read { Ok(raw.iter().all(|raw| elements.seen.contains(raw))) } else { Err(not_read()) }
    }

    /// Our rules in other programs' tables.
    pub fn guest_rules(&self) -> Result<&[GuestRuleSeen], NotRead> {
        let rules = self.ruleset.guest_rules.as_ref().map(|(rules, _)| rules.as_slice());
        rules.ok_or_else(|| unread("guest rules"))
    }

    /// The tables of other programs.
    pub fn foreign_tables(&self) -> Result<&ForeignTables, NotRead> {
        let tables = self.ruleset.foreign.as_ref().map(|(tables, _)| tables);
        tables.ok_or_else(|| unread("other programs' tables"))
    }

    /// The generation of the ruleset in which guest rules and other programs' tables were read; `None` if they were
    /// read in different ones, or not at all.
    pub fn generation(&self) -> Option<Generation> {
        let guests = self.ruleset.guest_rules.as_ref().map(|(_, generation)| *generation);
        let foreign = self.ruleset.foreign.as_ref().map(|(_, generation)| *generation);
        match (guests, foreign) {
            (Some(guests), Some(foreign)) => (guests == foreign).then_some(guests),
            (guests, foreign) => guests.or(foreign),
        }
    }

    /// Drops the state of a place, and with the host also the ruleset and the names of sandboxes. The next query reads
    /// it again.
    pub fn forget(&mut self, place: &Place) {
        match place {
            Place::Host => {
                self.host = PlaceSeen::default();
                self.ruleset = Ruleset::default();
                self.names.clear();
                self.ovs = None;
            }
            Place::Sandbox(sandbox) => {
                self.sandboxes.remove(sandbox);
            }
        }
    }
}

/// Filling the snapshot.
impl Snapshot {
    fn place_mut(&mut self, place: &Place) -> &mut PlaceSeen {
        match place {
            Place::Host => &mut self.host,
            Place::Sandbox(sandbox) => self.sandboxes.entry(sandbox.clone()).or_default(),
        }
    }

    /// Whether the namespace could be opened.
    pub fn set_namespace(&mut self, place: &Place, namespace: Namespace) {
        self.place_mut(place).namespace = Some(namespace);
    }

    /// The answer to a query for one device.
    pub fn set_link(&mut self, place: &Place, name: &str, link: Option<LinkSeen>) {
        let links = &mut self.place_mut(place).links;
        links.read.add(name.to_owned());
        match link {
            Some(link) => links.seen.insert(name.to_owned(), link),
            None => links.seen.remove(name),
        };
    }

    /// All devices of a place.
    pub fn set_links(&mut self, place: &Place, all: Vec<LinkSeen>) {
        let links = &mut self.place_mut(place).links;
        links.read = Extent::All;
        links.seen = all.into_iter().map(|link| (link.name.clone(), link)).collect();
    }

    /// The addresses of one device.
    pub fn set_addresses_of(&mut self, place: &Place, device: IfIndex, all: Vec<AddressSeen>) {
        let addresses = &mut self.place_mut(place).addresses;
        addresses.read.add(device);
        addresses.seen.insert(device, all);
    }

    /// All addresses of a place.
    pub fn set_addresses(&mut self, place: &Place, all: Vec<AddressSeen>) {
        let addresses = &mut self.place_mut(place).addresses;
        addresses.read = Extent::All;
        addresses.seen.clear();
        for address in all {
            addresses.seen.entry(address.device).or_default().push(address);
        }
    }

    /// Every route of every table of a family.
    pub fn set_routes(&mut self, place: &Place, family: Family, all: Vec<RouteSeen>) {
        *self.place_mut(place).routes.get_mut(family) = Some(all);
    }

    /// The policy routing rules of a family.
    pub fn set_rules(&mut self, place: &Place, family: Family, all: Vec<RuleSeen>) {
        *self.place_mut(place).rules.get_mut(family) = Some(all);
    }

    /// The neighbours of all devices.
    pub fn set_neighbours(&mut self, place: &Place, all: Vec<NeighbourSeen>) {
        self.place_mut(place).neighbours = Some(all);
    }

    /// The VLANs of all bridge ports.
    pub fn set_vlans(&mut self, place: &Place, all: Vec<PortVlanSeen>) {
        self.place_mut(place).vlans = Some(all);
    }

    /// The forwarding entries of all bridges.
    pub fn set_forwarding(&mut self, place: &Place, all: Vec<NeighbourSeen>) {
        self.place_mut(place).forwarding = Some(all.into());
    }

    /// The filters of a device.
    pub fn set_filters(&mut self, place: &Place, device: &str, filters: FiltersSeen) {
        self.place_mut(place).filters.insert(device.to_owned(), filters);
    }

    /// The filters of every bridge, each with the bridge's name.
    pub fn set_bridge_filters(&mut self, place: &Place, all: impl IntoIterator<Item = (String, FiltersSeen)>) {
        let seen = self.place_mut(place);
        seen.filters.extend(all);
        seen.has_bridge_filters = true;
    }

    /// The value of a setting; `None` if this kernel has no such setting.
    pub fn set_setting(&mut self, place: &Place, key: &str, value: Option<String>) {
        self.place_mut(place).settings.insert(key.to_owned(), value);
    }

    /// Whether a named sandbox has its file under /run/netns.
    pub fn set_named(&mut self, name: &SandboxName, is_there: bool) {
        self.names.insert(name.to_string(), is_there);
    }

    /// Open vSwitch's bridges and ports.
    pub fn set_ovs(&mut self, answer: OvsAnswer) {
        self.ovs = Some(answer);
    }

    /// Our table.
    pub fn set_firewall(&mut self, seen: FirewallSeen) {
        self.ruleset.ours = Some(seen);
    }

    /// The answers to queries for these elements of one set, by their keys.
    pub fn set_some_elements(&mut self, set: &str, asked: &[Element], answers: Vec<ElementSeen>) {
        let elements = self.ruleset.elements.entry(set.to_owned()).or_default();
        asked.iter().flat_map(Element::raw).for_each(|raw| elements.read.add(raw.key));
        elements.seen.extend(answers);
    }

    /// All elements of one set.
    pub fn set_elements(&mut self, set: &str, all: impl IntoIterator<Item = ElementSeen>) {
        let all = Elements { read: Extent::All, seen: all.into_iter().collect() };
        self.ruleset.elements.insert(set.to_owned(), all);
    }

    /// Our rules in other programs' tables, and the generation in which they were read.
    pub fn set_guest_rules(&mut self, all: Vec<GuestRuleSeen>, generation: Generation) {
        self.ruleset.guest_rules = Some((all, generation));
    }

    /// The tables of other programs, and the generation in which they were read.
    pub fn set_foreign_tables(&mut self, tables: ForeignTables, generation: Generation) {
        self.ruleset.foreign = Some((tables, generation));
    }

    pub(crate) fn names(&self) -> &BTreeMap<String, bool> {
        &self.names
    }

    pub(crate) fn place(&self, place: &Place) -> Option<&PlaceSeen> {
        match place {
            Place::Host => Some(&self.host),
            Place::Sandbox(sandbox) => self.sandboxes.get(sandbox),
        }
    }

    pub(crate) fn ruleset(&self) -> &Ruleset {
        &self.ruleset
    }
}
