//! The parts of the kernel's state that a query needs.

use crate::place::Namespace;
use crate::{Extent, Snapshot};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use zubi_model::{Family, IfName, NsRef, SandboxName};
use zubi_plan::{Op, Place, What, firewall};
use zubi_wire::nft::Element;
use zubi_wire::route::{Certainty, LinkKind};

/// Up to this many objects are read one by one; for more, the whole list is read. Reading one object takes the kernel
/// some microseconds, as long as a few items of a list.
pub const FEW: usize = 64;

/// The settings of forwarding, below /proc/sys.
const FORWARDING: [&str; 4] = [
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "net/ipv6/conf/all/force_forwarding",
    "net/bridge/bridge-nf-call-iptables",
];

/// The needed parts of one namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a list of the kernel, wanted or not")]
pub struct PlaceNeeds {
    /// Devices by name.
    pub links: Extent<String>,
    /// Addresses of devices by name.
    pub addresses: Extent<String>,
    /// Routes.
    pub routes: BTreeSet<Family>,
    /// Policy routing rules.
    pub rules: BTreeSet<Family>,
    /// Neighbours of all devices.
    pub neighbours: bool,
    /// Forwarding entries of all bridges.
    pub forwarding: bool,
    /// VLANs of all bridge ports.
    pub vlans: bool,
    /// Filters of devices by name.
    pub filters: BTreeSet<String>,
    /// Filters of every bridge: zubi attaches its own there.
    pub bridge_filters: bool,
    /// Settings by their keys below /proc/sys.
    pub settings: BTreeSet<String>,
}

/// The needed elements of one set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ElementNeeds {
    /// These elements, each a single key.
    Of(Vec<Element>),
    /// All elements.
    All,
}

/// The needed parts of the host's ruleset.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FirewallNeeds {
    /// Our table without elements.
    pub layout: bool,
    /// Elements by set.
    pub elements: BTreeMap<String, ElementNeeds>,
    /// Our rules in other programs' tables.
    pub guest_rules: bool,
    /// Other programs' tables.
    pub foreign: bool,
}

/// The parts that a query needs, each named once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    host: PlaceNeeds,
    /// In the order in which they were added.
    sandboxes: Vec<(NsRef, PlaceNeeds)>,
    /// The position of each in that order.
    order: HashMap<NsRef, usize>,
    firewall: FirewallNeeds,
    names: BTreeSet<SandboxName>,
    ovs: bool,
}

impl PlaceNeeds {
    /// Everything except settings that are not settings of a device.
    fn everything() -> Self {
        let both = BTreeSet::from([Family::V4, Family::V6]);
        PlaceNeeds {
            links: Extent::All,
            addresses: Extent::All,
            routes: both.clone(),
            rules: both,
            neighbours: true,
            forwarding: true,
            vlans: true,
            filters: BTreeSet::new(),
            bridge_filters: true,
            settings: BTreeSet::new(),
        }
    }

    fn join(&mut self, other: PlaceNeeds) {
        self.links.join(other.links);
        self.addresses.join(other.addresses);
        self.routes.extend(other.routes);
        self.rules.extend(other.rules);
        self.neighbours |= other.neighbours;
        self.forwarding |= other.forwarding;
        self.vlans |= other.vlans;
        self.filters.extend(other.filters);
        self.bridge_filters |= other.bridge_filters;
        self.settings.extend(other.settings);
    }

    fn device(&mut self, name: &IfName) {
        self.links.add(name.to_string());
    }

    /// The parts that a snapshot lacks.
    fn without(&self, place: &Place, snapshot: &Snapshot) -> PlaceNeeds {
        let Some(seen) = snapshot.place(place) else { return self.clone() };
        if matches!(seen.namespace, Some(Namespace::Gone | Namespace::Unknown(_))) {
            return PlaceNeeds::default();
        }
        let lacks_link = |name: &String| snapshot.link(place, name).is_err();
        let lacks_addresses = |name: &String| match snapshot.link(place, name) {
            Ok(Some(link)) => snapshot.addresses_of(place, link.index).is_err(),
            Ok(None) => false,
            Err(_) => true,
        };
        let unless_all = |needed: &Extent<String>, has_all: bool, lacks: &dyn Fn(&String) -> bool| {
            if has_all { Extent::default() } else { needed.clone().filter(lacks) }
        };
        PlaceNeeds {
            links: unless_all(&self.links, seen.links.read == Extent::All, &lacks_link),
            addresses: unless_all(&self.addresses, seen.addresses.read == Extent::All, &lacks_addresses),
            routes: self.routes.iter().copied().filter(|f| seen.routes.get(*f).is_none()).collect(),
            rules: self.rules.iter().copied().filter(|f| seen.rules.get(*f).is_none()).collect(),
            neighbours: self.neighbours && seen.neighbours.is_none(),
            forwarding: self.forwarding && seen.forwarding.is_none(),
            vlans: self.vlans && seen.vlans.is_none(),
            filters: self.filters.iter().filter(|name| snapshot.filters(place, name).is_err()).cloned().collect(),
            bridge_filters: self.bridge_filters && !seen.has_bridge_filters,
            settings: self.settings.iter().filter(|key| snapshot.setting(place, key).is_err()).cloned().collect(),
        }
    }

    fn is_empty(&self) -> bool {
        *self == PlaceNeeds::default()
    }
}

impl ElementNeeds {
    fn join(&mut self, other: ElementNeeds) {
        match (&mut *self, other) {
            (ElementNeeds::All, _) => {}
            (_, ElementNeeds::All) => *self = ElementNeeds::All,
            (ElementNeeds::Of(all), ElementNeeds::Of(more)) => {
                for element in more {
                    if !all.contains(&element) {
                        all.push(element);
                    }
                }
                if all.len() > FEW {
                    *self = ElementNeeds::All;
                }
            }
        }
    }
}

impl Needs {
    /// No needs.
    pub fn new() -> Self {
        Self::default()
    }

    /// The needs of comparing these operations, see [`crate::compare`].
    pub fn of(ops: &[Op]) -> Self {
        let mut needs = Needs::new();
        for op in ops {
            needs.add(op);
        }
        needs
    }

    /// The needs of finding out whether these operations were applied, see [`crate::done`].
    pub fn after(ops: &[Op]) -> Self {
        let mut needs = Needs::new();
        for op in ops {
            match crate::compare::counterpart(op) {
                Some(there) => needs.add(&there),
                None if matches!(op.what, What::DeleteGuestRule(_)) => needs.firewall.guest_rules = true,
                None => needs.add(op),
            }
        }
        needs
    }

    /// Every list of these places; for the host, the whole ruleset and the settings of forwarding as well.
    pub fn everything(places: impl IntoIterator<Item = Place>) -> Self {
        let mut needs = Needs::new();
        for place in places {
            needs.place_mut(&place).join(PlaceNeeds::everything());
            if place == Place::Host {
                needs.host.settings.extend(FORWARDING.map(str::to_owned));
                let sets = firewall::sets().into_iter().map(|set| (set.name, ElementNeeds::All));
                needs.firewall =
                    FirewallNeeds { layout: true, elements: sets.collect(), guest_rules: true, foreign: true };
            }
        }
        needs
    }

    /// Adds the needs of another query.
    pub fn join(&mut self, other: Needs) {
        self.host.join(other.host);
        for (sandbox, needs) in other.sandboxes {
            self.place_mut(&Place::Sandbox(sandbox)).join(needs);
        }
        for (set, needs) in other.firewall.elements {
            self.element_needs(&set).join(needs);
        }
        self.firewall.layout |= other.firewall.layout;
        self.firewall.guest_rules |= other.firewall.guest_rules;
        self.firewall.foreign |= other.firewall.foreign;
        self.names.extend(other.names);
        self.ovs |= other.ovs;
    }

    /// The parts that a snapshot lacks. A namespace that could not be opened lacks nothing: the snapshot has the
    /// reason.
    #[must_use]
    pub fn without(&self, snapshot: &Snapshot) -> Needs {
        let mut needs = Needs { host: self.host.without(&Place::Host, snapshot), ..Needs::default() };
        for (sandbox, wanted) in &self.sandboxes {
            let place = Place::Sandbox(sandbox.clone());
            let lacking = wanted.without(&place, snapshot);
            // The namespace itself is needed even if no part of it is.
            if !lacking.is_empty() || snapshot.namespace(&place).is_none() {
                needs.place_mut(&place).join(lacking);
            }
        }
        let has = snapshot.ruleset();
        needs.firewall = FirewallNeeds {
            layout: self.firewall.layout && has.ours.is_none(),
            elements: BTreeMap::new(),
            guest_rules: self.firewall.guest_rules && has.guest_rules.is_none(),
            foreign: self.firewall.foreign && has.foreign.is_none(),
        };
        for (set, wanted) in &self.firewall.elements {
            let lacking = match wanted {
                ElementNeeds::All if snapshot.elements(set).is_ok() => continue,
                ElementNeeds::All => ElementNeeds::All,
                ElementNeeds::Of(all) => {
                    let lacks = all.iter().filter(|element| snapshot.has_element(element).is_err());
                    ElementNeeds::Of(lacks.cloned().collect())
                }
            };
            if lacking != ElementNeeds::Of(Vec::new()) {
                needs.firewall.elements.insert(set.clone(), lacking);
            }
        }
        let names = self.names.iter().filter(|name| !snapshot.names().contains_key(name.as_str()));
        needs.names = names.cloned().collect();
        needs.ovs = self.ovs && snapshot.ovs().is_err();
        needs
    }

    /// The places with needed parts: the host, then sandboxes in the order in which they were added.
    pub fn places(&self) -> impl Iterator<Item = (Place, &PlaceNeeds)> {
        let host = (!self.host.is_empty()).then_some((Place::Host, &self.host));
        let sandboxes = self.sandboxes.iter().map(|(sandbox, needs)| (Place::Sandbox(sandbox.clone()), needs));
        host.into_iter().chain(sandboxes)
    }

    /// The needed parts of the ruleset.
    pub fn firewall(&self) -> &FirewallNeeds {
        &self.firewall
    }

    /// The names of sandboxes to look for under /run/netns.
    pub fn names(&self) -> impl Iterator<Item = &SandboxName> {
        self.names.iter()
    }

    /// Whether Open vSwitch's bridges and ports are needed.
    pub fn needs_ovs(&self) -> bool {
        self.ovs
    }

    fn place_mut(&mut self, place: &Place) -> &mut PlaceNeeds {
        let Place::Sandbox(sandbox) = place else { return &mut self.host };
        let at = *self.order.entry(sandbox.clone()).or_insert(self.sandboxes.len());
        if at == self.sandboxes.len() {
            self.sandboxes.push((sandbox.clone(), PlaceNeeds::default()));
        }
        &mut self.sandboxes[at].1
    }

    fn element_needs(&mut self, set: &str) -> &mut ElementNeeds {
        self.firewall.elements.entry(set.to_owned()).or_insert(ElementNeeds::Of(Vec::new()))
    }

    fn element(&mut self, element: &Element) {
        let single = matches!(&element.raw()[..], [only] if only.end.is_none());
        let needed = if single { ElementNeeds::Of(vec![element.clone()]) } else { ElementNeeds::All };
        self.element_needs(&element.set).join(needed);
    }

    fn add(&mut self, op: &Op) {
        let place = &op.place;
        match &op.what {
            What::AddLink(link) => {
                let needs = self.place_mut(place);
                needs.device(&link.name);
                link.master.iter().for_each(|master| needs.device(master));
                if let (Some(_), LinkKind::Veth(peer)) = (link.mtu, &link.kind) {
                    self.place_mut(&Place::Sandbox(peer.netns.clone())).device(&peer.name);
                }
            }
            What::ChangeLink(change) => {
                let needs = self.place_mut(place);
                needs.device(&change.name);
                change.master.iter().for_each(|master| needs.device(master));
            }
            What::MoveLink(moved) => self.place_mut(&Place::from(&moved.to)).device(&moved.rename),
            What::ChangePort(port) => self.place_mut(place).device(&port.name),
            What::AddAddress(address) => {
                let needs = self.place_mut(place);
                needs.device(&address.device);
                needs.addresses.add(address.device.to_string());
            }
            What::AddRoute(route) | What::AppendRoute(route) => {
                let needs = self.place_mut(place);
                needs.device(&route.device);
                needs.routes.insert(Family::of(route.to.addr()));
            }
            What::AddNeighbour(neighbour) if neighbour.certainty == Certainty::Permanent => {
                let needs = self.place_mut(place);
                needs.device(&neighbour.device);
                needs.neighbours = true;
            }
            What::AddForwarding(entry) => {
                let needs = self.place_mut(place);
                needs.device(&entry.port);
                needs.forwarding = true;
            }
            What::AddVlan(vlan) | What::DeleteVlan(vlan) => {
                let needs = self.place_mut(place);
                needs.device(&vlan.port);
                needs.vlans = true;
            }
            What::AddHooks(device) => self.filters_of(place, device),
            What::AddFilter(filter) => self.filters_of(place, &filter.device),
            What::Set(sysctl) => {
                let needs = self.place_mut(place);
                needs.links.join(sysctl.of_device().map_or_else(Extent::default, |(_, device, _)| one(device)));
                needs.settings.insert(sysctl.key.clone());
            }
            What::AddNamespace(name) | What::NameNamespace { name, .. } => {
                self.names.insert(name.clone());
            }
            What::AddOvsPort(_) => self.ovs = true,
            What::AddTable(_) | What::AddSet(_) | What::AddChain(_) | What::AddRule(_) => self.firewall.layout = true,
            What::AddElement(element) => self.element(element),
            What::AddGuestRule(_) => self.firewall.guest_rules = true,
            _ => {}
        }
    }

    fn filters_of(&mut self, place: &Place, device: &IfName) {
        let needs = self.place_mut(place);
        needs.device(device);
        needs.filters.insert(device.to_string());
    }
}

fn one(key: &str) -> Extent<String> {
    Extent::Of(BTreeSet::from([key.to_owned()]))
}

/// Adding parts one by one.
impl Needs {
    /// Whether the namespace exists.
    #[must_use]
    pub fn namespace(mut self, place: &Place) -> Self {
        self.place_mut(place);
        self
    }

    /// A device by name.
    #[must_use]
    pub fn link(mut self, place: &Place, name: &str) -> Self {
        self.place_mut(place).links.add(name.to_owned());
        self
    }

    /// All devices of a place.
    #[must_use]
    pub fn links(mut self, place: &Place) -> Self {
        self.place_mut(place).links = Extent::All;
        self
    }

    /// All addresses of a place.
    #[must_use]
    pub fn addresses(mut self, place: &Place) -> Self {
        self.place_mut(place).addresses = Extent::All;
        self
    }

    /// Routes of a family.
    #[must_use]
    pub fn routes(mut self, place: &Place, family: Family) -> Self {
        self.place_mut(place).routes.insert(family);
        self
    }

    /// Policy routing rules of a family.
    #[must_use]
    pub fn rules(mut self, place: &Place, family: Family) -> Self {
        self.place_mut(place).rules.insert(family);
        self
    }

    /// Neighbours of all devices.
    #[must_use]
    pub fn neighbours(mut self, place: &Place) -> Self {
        self.place_mut(place).neighbours = true;
        self
    }

    /// Forwarding entries of all bridges.
    #[must_use]
    pub fn forwarding(mut self, place: &Place) -> Self {
        self.place_mut(place).forwarding = true;
        self
    }

    /// Filters of a device.
    #[must_use]
    pub fn filters(mut self, place: &Place, device: &IfName) -> Self {
        self.filters_of(place, device);
        self
    }

    /// A setting below /proc/sys.
    #[must_use]
    pub fn setting(mut self, place: &Place, key: &str) -> Self {
        self.place_mut(place).settings.insert(key.to_owned());
        self
    }

    /// Open vSwitch's bridges and ports.
    #[must_use]
    pub fn ovs(mut self) -> Self {
        self.ovs = true;
        self
    }

    /// Our table without elements.
    #[must_use]
    pub fn layout(mut self) -> Self {
        self.firewall.layout = true;
        self
    }

    /// All elements of one of our sets.
    #[must_use]
    pub fn elements(mut self, set: &str) -> Self {
        *self.element_needs(set) = ElementNeeds::All;
        self
    }

    /// Our rules in other programs' tables.
    #[must_use]
    pub fn guest_rules(mut self) -> Self {
        self.firewall.guest_rules = true;
        self
    }

    /// Other programs' tables.
    #[must_use]
    pub fn foreign_tables(mut self) -> Self {
        self.firewall.foreign = true;
        self
    }
}
