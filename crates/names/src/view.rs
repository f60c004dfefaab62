//! What one asker may see.

use crate::arpa;
use crate::asked::{Asked, Transport};
use crate::directory::{Directory, Place};
use crate::inquiry::Upstream;
use crate::member::{Guests, Member, Zone};
use crate::name::Name;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use zubi_model::{NetworkName, Scope};

/// The networks that an asker is on.
pub(crate) struct View<'a> {
    directory: &'a Directory,
    /// The asker, where it is an endpoint.
    member: Option<&'a Member>,
    /// The one that was asked first, then as they were attached.
    places: Vec<(&'a Place, &'a Zone)>,
}

/// What a name stands for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// These addresses.
    Addresses(Vec<IpAddr>),
    /// These names, by a reverse name.
    Names(Vec<Name>),
    /// There is no such name.
    Nothing,
    /// It is none of ours.
    Foreign,
}

impl Directory {
    /// Whether one who sends from an address to one of the host's gets answers at all.
    pub fn serves(&self, from: IpAddr, at: IpAddr) -> bool {
        self.view(Asked { from, at, over: Transport::Tcp }).is_some()
    }

    /// The asker's view; `None` if it is on none of our networks.
    pub(crate) fn view(&self, asked: Asked) -> Option<View<'_>> {
        let at = self.host_at.get(&asked.at);
        if let Some(member) = self.asker(asked.from, at) {
            let of_sandbox = self.of_sandbox.get(&member.key.cookie)?;
            let mut places: Vec<_> = of_sandbox.iter().filter_map(|one| self.place(&one.key.network)).collect();
            if places.is_empty() {
                return None;
            }
            if let Some(first) = places.iter().position(|(_, zone)| Some(&zone.name) == at) {
                places[..=first].rotate_right(1);
            }
            return Some(View { directory: self, member: Some(member), places });
        }
        let place = self.place(at?)?;
        let is_host = asked.from.is_loopback() || self.host_at.contains_key(&asked.from);
        let is_guest =
            place.1.guests == Guests::Answered && place.1.subnets.iter().any(|subnet| subnet.contains(&asked.from));
        (is_host || is_guest).then(|| View { directory: self, member: None, places: vec![place] })
    }

    /// The endpoint with an address. Where several have it, on networks that the host has no part in, the one on the
    /// network that was asked.
    fn asker(&self, from: IpAddr, at: Option<&NetworkName>) -> Option<&Member> {
        let all = self.by_address.get(&from)?;
        let here = all.iter().find(|member| Some(&member.key.network) == at);
        let only = all.first().filter(|first| all.iter().all(|one| one.key.cookie == first.key.cookie));
        here.or(only).map(AsRef::as_ref)
    }

    fn place(&self, network: &NetworkName) -> Option<(&Place, &Zone)> {
        let place = self.networks.get(network)?;
        Some((place, place.zone.as_ref()?))
    }
}

impl View<'_> {
    /// What a name stands for.
    pub(crate) fn find(&self, name: &Name) -> Found {
        let Directory { fixed, records, host, .. } = self.directory;
        let is_in = |domain: &Option<Name>| domain.as_ref().is_some_and(|domain| name.before(domain).is_some());
        if is_in(&fixed.localhost) {
            return Found::Addresses(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        if is_in(&fixed.designated) {
            return Found::Addresses(Vec::new());
        }
        if fixed.nowhere.iter().any(|domain| name.before(domain).is_some()) {
            return Found::Nothing;
        }
        if fixed.host.as_ref() == Some(name) {
            return Found::Addresses(self.host());
        }
        if let Some(address) = arpa::address_of(name) {
            return self.reverse(address);
        }
        if let Some(addresses) = records.exact(name) {
            return Found::Addresses(addresses.to_vec());
        }
        let domain = fixed.domains.iter().find_map(|domain| name.before(domain));
        let inner = domain.unwrap_or(name.labels());
        if domain == Some(&[]) {
            return Found::Addresses(Vec::new());
        }
        let members = self.named(inner);
        if !members.is_empty() {
            let mut addresses: Vec<IpAddr> = Vec::with_capacity(members.len());
            for address in members.iter().flat_map(|member| &member.addresses) {
                if !addresses.contains(address) {
                    addresses.push(*address);
                }
            }
            return Found::Addresses(addresses);
        }
        if let Some(addresses) = records.wildcard(name) {
            return Found::Addresses(addresses.to_vec());
        }
        if domain.is_some() {
            return Found::Nothing;
        }
        if host.own.contains(name) {
            return Found::Addresses(self.host());
        }
        if host.loopback.contains(name) {
            return Found::Nothing;
        }
        Found::Foreign
    }

    /// Whom to ask about what is not ours; `None` on internal networks.
    pub(crate) fn upstream(&self) -> Option<Upstream> {
        let of_network = |zone: &&Zone| zone.reach == Scope::Routed;
        let mut routed = self.places.iter().map(|(_, zone)| *zone).filter(of_network).peekable();
        routed.peek()?;
        // Whichever of the sandbox's networks is asked, the servers are the same.
        let mut by_name: Vec<&Zone> = routed.filter(|zone| !zone.servers.is_empty()).collect();
        by_name.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        let own = self.member.map(|member| &member.servers);
        let of_networks = by_name.first().map(|zone| &zone.servers);
        let settings = &self.directory.servers;
        let chosen = own.into_iter().chain(of_networks).chain([settings]).find(|servers| !servers.is_empty());
        Some(chosen.map_or(Upstream::Host, |servers| Upstream::These(Arc::clone(servers))))
    }

    /// Endpoints of a name, those on the first network first.
    fn named(&self, labels: &[u8]) -> Vec<&Arc<Member>> {
        self.places.iter().flat_map(|(place, _)| place.named(labels)).collect()
    }

    /// The host's addresses on the first network where it has any.
    fn host(&self) -> Vec<IpAddr> {
        self.places.iter().map(|(_, zone)| &zone.host).find(|host| !host.is_empty()).cloned().unwrap_or_default()
    }

    fn reverse(&self, address: IpAddr) -> Found {
        let Directory { fixed, records, by_address, .. } = self.directory;
        if address.is_loopback() {
            return Found::Names(fixed.localhost.iter().cloned().collect());
        }
        if self.places.iter().any(|(_, zone)| zone.host.contains(&address)) {
            return Found::Names(fixed.host.iter().cloned().collect());
        }
        let of_record = records.names_of(address);
        if !of_record.is_empty() {
            return Found::Names(of_record);
        }
        let all = by_address.get(&address).map(Vec::as_slice).unwrap_or_default();
        let seen = |member: &&Arc<Member>| self.places.iter().any(|(_, zone)| zone.name == member.key.network);
        let names: Vec<Name> = all.iter().filter(seen).flat_map(|member| member.names.clone()).collect();
        if !names.is_empty() {
            return Found::Names(names);
        }
        // Nobody outside knows who has an address of ours, and those on other networks are not to be found.
        let is_ours = !all.is_empty()
            || self.directory.zones().any(|zone| zone.subnets.iter().any(|subnet| subnet.contains(&address)));
        if is_ours { Found::Nothing } else { Found::Foreign }
    }
}
