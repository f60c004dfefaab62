//! Networks and endpoints with their names, kept up to date one at a time.

use crate::member::{Member, Zone};
use crate::name::{Name, before};
use crate::records::Records;
use crate::{DOMAINS, HOST};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use zubi_model::{EndpointKey, NetnsCookie, NetworkName};

/// The names of the host itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostNames {
    /// Its own: they lead to its address on the asker's network.
    pub own: HashSet<Name>,
    /// Those that its files lead to 127.0.0.0/8 or ::1 by. To a sandbox that would be the sandbox itself, so they do
    /// not exist there.
    pub loopback: HashSet<Name>,
}

/// One address that a name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The endpoint.
    pub key: EndpointKey,
    /// Its address.
    pub address: IpAddr,
}

/// What a resolver knows.
#[derive(Debug, Default)]
pub struct Directory {
    /// Of each network that has names or endpoints.
    pub(crate) networks: BTreeMap<NetworkName, Place>,
    pub(crate) members: HashMap<EndpointKey, Arc<Member>>,
    pub(crate) by_address: HashMap<IpAddr, Vec<Arc<Member>>>,
    /// In the order in which they were attached.
    pub(crate) of_sandbox: HashMap<NetnsCookie, Vec<Arc<Member>>>,
    /// Which network the host has an address on.
    pub(crate) host_at: HashMap<IpAddr, NetworkName>,
    pub(crate) host: HostNames,
    pub(crate) records: Records,
    /// The servers of the settings; none for the host's.
    pub(crate) servers: Arc<[IpAddr]>,
    pub(crate) fixed: Fixed,
    version: u64,
}

/// One network.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// `None` while its names are off.
    pub(crate) zone: Option<Zone>,
    pub(crate) label: Option<Name>,
    /// In the order in which they were attached.
    pub(crate) names: HashMap<Name, Vec<Arc<Member>>>,
}

/// Names that are always the same.
#[derive(Debug)]
pub(crate) struct Fixed {
    pub(crate) domains: Vec<Name>,
    pub(crate) host: Option<Name>,
    pub(crate) localhost: Option<Name>,
    /// Domains that nobody is asked about (RFC 6761, 6.4; RFC 7686).
    pub(crate) nowhere: Vec<Name>,
    /// Where clients look for encrypted servers (RFC 9462, 6.4): they would find those of the network, past us.
    pub(crate) designated: Option<Name>,
}

impl Default for Fixed {
    fn default() -> Self {
        let read = |text: &str| text.parse().ok();
        Fixed {
            domains: DOMAINS.into_iter().filter_map(read).collect(),
            host: read(HOST),
            localhost: read("localhost"),
            nowhere: ["invalid", "onion"].into_iter().filter_map(read).collect(),
            designated: read("resolver.arpa"),
        }
    }
}

impl Directory {
    /// A directory without networks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another number after each change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Sets what the settings say.
    pub fn set_records(&mut self, records: Records, servers: impl Into<Arc<[IpAddr]>>) {
        self.version += 1;
        self.records = records;
        self.servers = servers.into();
    }

    /// Sets the names of the host.
    pub fn set_host(&mut self, host: HostNames) {
        self.version += 1;
        self.host = host;
    }

    /// Adds a network, or says it anew.
    pub fn put_network(&mut self, zone: Zone) {
        self.version += 1;
        self.remove_network(&zone.name);
        for address in &zone.host {
            self.host_at.insert(*address, zone.name.clone());
        }
        let place = self.networks.entry(zone.name.clone()).or_default();
        place.label = zone.label();
        place.zone = Some(zone);
    }

    /// Takes a network's names away. Its endpoints stay known, as those who ask.
    pub fn remove_network(&mut self, name: &NetworkName) {
        self.version += 1;
        let Some(place) = self.networks.get_mut(name) else { return };
        for address in place.zone.take().into_iter().flat_map(|zone| zone.host) {
            if self.host_at.get(&address) == Some(name) {
                self.host_at.remove(&address);
            }
        }
        self.forget_if_empty(name);
    }

    /// Adds an endpoint, or says it anew.
    pub fn put_endpoint(&mut self, member: Member) {
        self.version += 1;
        self.remove_endpoint(&member.key);
        let member = Arc::new(member);
        for address in &member.addresses {
            insert(self.by_address.entry(*address).or_default(), &member);
        }
        insert(self.of_sandbox.entry(member.key.cookie).or_default(), &member);
        let place = self.networks.entry(member.key.network.clone()).or_default();
        for name in &member.names {
            insert(place.names.entry(name.clone()).or_default(), &member);
        }
        self.members.insert(member.key.clone(), member);
    }

    /// Takes an endpoint away.
    pub fn remove_endpoint(&mut self, key: &EndpointKey) {
        self.version += 1;
        let Some(member) = self.members.remove(key) else { return };
        for address in &member.addresses {
            remove(&mut self.by_address, address, &member);
        }
        remove(&mut self.of_sandbox, &key.cookie, &member);
        if let Some(place) = self.networks.get_mut(&key.network) {
            for name in &member.names {
                remove(&mut place.names, name, &member);
            }
        }
        self.forget_if_empty(&key.network);
    }

    /// The networks whose endpoints have names.
    pub fn zones(&self) -> impl Iterator<Item = &Zone> {
        self.networks.values().filter_map(|place| place.zone.as_ref())
    }

    /// The endpoints.
    pub fn endpoints(&self) -> impl Iterator<Item = &EndpointKey> {
        self.members.keys()
    }

    /// Where a name leads on all networks: what the host wants to know.
    pub fn find(&self, name: &Name) -> Vec<Hit> {
        let inner = self.fixed.domains.iter().find_map(|domain| name.before(domain)).unwrap_or(name.labels());
        let places = self.networks.values().filter(|place| place.zone.is_some());
        let members = places.flat_map(|place| place.named(inner));
        members
            .flat_map(|member| {
                member.addresses.iter().map(|address| Hit { key: member.key.clone(), address: *address })
            })
            .collect()
    }

    fn forget_if_empty(&mut self, name: &NetworkName) {
        if self.networks.get(name).is_some_and(|place| place.zone.is_none() && place.names.is_empty()) {
            self.networks.remove(name);
        }
    }
}

impl Place {
    /// The endpoints of a name, bare or before the network's own.
    pub(crate) fn named(&self, labels: &[u8]) -> impl Iterator<Item = &Arc<Member>> {
        let bare = self.names.get(labels);
        let before_label = self.label.as_ref().and_then(|label| before(labels, label.labels()));
        bare.into_iter().chain(before_label.and_then(|name| self.names.get(name))).flatten()
    }
}

fn insert(all: &mut Vec<Arc<Member>>, member: &Arc<Member>) {
    let order = |one: &Member| (one.attached_at, one.key.clone());
    let at = all.partition_point(|one| order(one) < order(member));
    all.insert(at, Arc::clone(member));
}

fn remove<K: std::hash::Hash + Eq>(map: &mut HashMap<K, Vec<Arc<Member>>>, key: &K, member: &Arc<Member>) {
    let Some(all) = map.get_mut(key) else { return };
    all.retain(|one| !Arc::ptr_eq(one, member));
    if all.is_empty() {
        map.remove(key);
    }
}
