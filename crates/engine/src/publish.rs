//! Published ports: choosing, claiming, adding to and taking from a live endpoint.
//!
//! A port is taken when another endpoint publishes it, or when a process of the host has it: that is tried by really
//! binding it. Nothing holds it later: a process that binds it then is shown by `check`.

use crate::engine::{Act, Engine, Report};
use crate::error::Error;
use crate::fault::Fault;
use crate::records::Records;
use crate::resolve::Resolved;
use std::net::{IpAddr, Ipv6Addr};
use zubi_kernel::{BoundPort, Deletions, Refusal, listeners};
use zubi_model::{
    BridgeMode, Endpoint, EndpointKey, Family, Hairpin, HostAddress, HostPorts, Invalid, Network, NetworkName,
    PortHolder, PortNumber, PortWish, Protocol, PublishedPort, SandboxRef, Scope,
};
use zubi_plan::endpoint::{publish, unpublish};
use zubi_store::{PortClaim, PortsLock, StoreError};

/// How often the kernel is asked for a free port that nobody else publishes.
const MOST_TRIES: usize = 100;

/// What stands in a port's way.
enum Obstacle {
    Endpoint(PortClaim),
    Own(PublishedPort),
    Process(Protocol, IpAddr, PortNumber),
}

/// A change of what a live endpoint publishes.
#[derive(Debug, Clone)]
pub struct Published {
    /// The endpoint as it is now.
    pub endpoint: Endpoint,
    /// The ports that were asked for.
    pub ports: Vec<PublishedPort>,
}

impl Engine {
    /// Chooses the ports an endpoint publishes beside those it has. The order is that of the wishes.
    pub(crate) fn choose_ports(
        &mut self,
        network: &Network,
        endpoint: &Endpoint,
        wishes: &[PortWish],
        act: Act,
    ) -> Result<Vec<PublishedPort>, Error> {
        let mut chosen: Vec<(usize, PublishedPort)> = Vec::new();
        // A free port that is only looked for must not take one that is wished for by its number.
        let rank = |wish: &PortWish| match wish.host_ports {
            HostPorts::Each(_) => 0,
            HostPorts::OneOf(_) => 1,
            HostPorts::Any => 2,
        };
        let mut order: Vec<(usize, &PortWish)> = wishes.iter().enumerate().collect();
        order.sort_by_key(|(_, wish)| rank(wish));
        for (at, wish) in order {
            check_port(network, wish)?;
            let PortWish { host, target, protocol, .. } = *wish;
            let port = |host_ports, target| PublishedPort { host, host_ports, target, protocol };
            // A range on any host ports is published port by port.
            let candidates: Vec<PublishedPort> = match wish.host_ports {
                HostPorts::Each(host_ports) => vec![port(host_ports, target)],
                HostPorts::OneOf(range) => range.ports().map(|number| port(number.into(), target)).collect(),
                HostPorts::Any => Vec::new(),
            };
            let own = |chosen: &[(usize, PublishedPort)]| -> Vec<PublishedPort> {
                endpoint.ports.iter().copied().chain(chosen.iter().map(|(_, port)| *port)).collect()
            };
            let mut last = None;
            for candidate in candidates {
                last = self.obstacle(endpoint, &own(&chosen), candidate, act)?;
                if last.is_none() {
                    chosen.push((at, candidate));
                    break;
                }
            }
            if let Some(obstacle) = last {
                return Err(self.port_taken(network, endpoint, wish, &obstacle)?);
            }
            if wish.host_ports == HostPorts::Any {
                for part in wish.parts() {
                    chosen.push((at, self.any_port(network, endpoint, &own(&chosen), &part, act)?));
                }
            }
            self.note_limits(wish);
        }
        chosen.sort_by_key(|(at, _)| *at);
        Ok(chosen.into_iter().map(|(_, port)| port).collect())
    }

    /// What keeps a port from being had now, if anything.
    fn obstacle(
        &mut self,
        endpoint: &Endpoint,
        own: &[PublishedPort],
        port: PublishedPort,
        act: Act,
    ) -> Result<Option<Obstacle>, Error> {
        if let Some(other) = own.iter().find(|other| other.collides(&port)) {
            return Ok(Some(Obstacle::Own(*other)));
        }
        for claim in claims(endpoint, &[port]) {
            for other in self.store.ports_in_the_way(&claim)? {
                // What is only shown has not buried the dead.
                if act == Act::Apply || !self.bury_if_dead(&other.owner, act)? {
                    return Ok(Some(Obstacle::Endpoint(other)));
                }
            }
        }
        if endpoint.traits.port_holder == PortHolder::Caller {
            return Ok(None);
        }
        for listen in port.host.listens(&endpoint.families()) {
            for number in port.host_ports.ports() {
                match BoundPort::take(port.protocol, listen, number) {
                    Ok(_given_back) => {}
                    Err(Refusal::InUse) => return Ok(Some(Obstacle::Process(port.protocol, listen, number))),
                    Err(refusal) => return Err(refused(&port, listen, refusal)),
                }
            }
        }
        Ok(None)
    }

    /// A port of the kernel's choice that is free at every address and that nobody publishes.
    fn any_port(
        &mut self,
        network: &Network,
        endpoint: &Endpoint,
        own: &[PublishedPort],
        wish: &PortWish,
        act: Act,
    ) -> Result<PublishedPort, Error> {
        let PortWish { host, target, protocol, .. } = *wish;
        let port = |number: PortNumber| PublishedPort { host, host_ports: number.into(), target, protocol };
        let mut unusable = Vec::new();
        let mut last = None;
        for _ in 0..MOST_TRIES {
            let Some(first) = host.listens(&endpoint.families()).into_iter().next() else { break };
            let any = BoundPort::take_any(protocol, first);
            let any = any.map_err(|refusal| refused(&port(PortNumber(0)), first, refusal))?;
            let number = any.port().map_err(Error::system("published port", "read", "its number"))?;
            drop(any);
            last = self.obstacle(endpoint, own, port(number), act)?;
            if last.is_none() {
                return Ok(port(number));
            }
            // Held, or the kernel might give it again.
            unusable.extend(BoundPort::take(protocol, first, number).ok());
        }
        let by = match last {
            Some(obstacle) => {
                format!("no free port was found in {MOST_TRIES} tries; the last: {}", self.told(&obstacle)?)
            }
            None => "the endpoint has no address".into(),
        };
        Err(Error::PortTaken { network: network.name.clone(), sandbox: spelled(endpoint), port: wish.to_string(), by })
    }

    fn port_taken(
        &mut self,
        network: &Network,
        endpoint: &Endpoint,
        wish: &PortWish,
        obstacle: &Obstacle,
    ) -> Result<Error, Error> {
        let by = self.told(obstacle)?;
        Ok(Error::PortTaken { network: network.name.clone(), sandbox: spelled(endpoint), port: wish.to_string(), by })
    }

    /// An obstacle in words.
    fn told(&mut self, obstacle: &Obstacle) -> Result<String, Error> {
        Ok(match obstacle {
            Obstacle::Own(other) => format!("overlaps {other}, which it publishes too"),
            Obstacle::Endpoint(claim) => {
                let owner = self.owner_name(&claim.owner)?;
                let PortClaim { protocol, ports, .. } = claim;
                format!("{protocol} port {ports} is published by {owner} on network {}", claim.owner.network)
            }
            Obstacle::Process(protocol, address, port) => {
                let listener = listeners().into_iter().find(|l| l.wants(*protocol, *address, (*port).into()));
                let process = listener.and_then(|l| l.process());
                let process = process.unwrap_or_else(|| "that cannot be seen from here".into());
                format!("{protocol} port {port} is used by process {process}")
            }
        })
    }

    /// What a user might expect of a port and not get.
    fn note_limits(&mut self, wish: &PortWish) {
        if wish.host == HostAddress::One(Ipv6Addr::UNSPECIFIED.into()) {
            self.note(format!("published port {wish}: [::] leaves ::1 out, the kernel cannot translate it"));
        }
    }

    /// Ports that dead sandboxes still have, or that a killed command claimed and did not come to publish, are freed.
    /// The caller does not hold the lock of the ports.
    pub(crate) fn free_dead_ports(
        &mut self,
        network: &Network,
        key: &EndpointKey,
        wishes: &[PortWish],
        act: Act,
    ) -> Result<(), Error> {
        let families: Vec<Family> = network.pools.iter().map(|p| p.subnet.family()).collect();
        for wish in wishes {
            let (HostPorts::Each(host_ports) | HostPorts::OneOf(host_ports)) = wish.host_ports else { continue };
            let port = PublishedPort { host: wish.host, host_ports, target: host_ports, protocol: wish.protocol };
            for claim in claims_of(key, &families, &[port]) {
                for other in self.store.ports_in_the_way(&claim)? {
                    self.bury_if_dead(&other.owner, act)?;
                    if act == Act::Apply {
                        self.release_unrecorded(&other)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Gives ports back whose owner lives and does not publish them: somebody was killed before the record was written.
    pub(crate) fn release_unrecorded(&mut self, claim: &PortClaim) -> Result<bool, Error> {
        let Some(_owner) = self.store.try_lock_sandbox(claim.owner.cookie)? else { return Ok(false) };
        if self.is_recorded(claim) {
            return Ok(false);
        }
        let held = self.hold_ports()?;
        self.store.release_ports(claim, &held)?;
        Ok(true)
    }

    fn is_recorded(&self, claim: &PortClaim) -> bool {
        let publishes = |record: Result<Option<Endpoint>, StoreError>| match record {
            Ok(endpoint) => endpoint.is_some_and(|e| claims(&e, &e.ports).contains(claim)),
            // A record that cannot be read may say so.
            Err(_) => true,
        };
        publishes(self.store.endpoint(&claim.owner)) || publishes(self.store.pending_endpoint(&claim.owner))
    }

    /// Gives back what an endpoint, whose sandbox is locked, claims and does not publish: a command was killed between
    /// its record and its claims.
    fn release_half_taken(&mut self, endpoint: &Endpoint) -> Result<(), Error> {
        let held = self.hold_ports()?;
        for claim in self.store.ports()?.iter().filter(|claim| claim.owner == endpoint.key()) {
            if !self.is_recorded(claim) {
                self.store.release_ports(claim, &held)?;
            }
        }
        Ok(())
    }

    /// The same for ports that are named, without looking at all there are.
    pub(crate) fn release_claimed(&mut self, endpoint: &Endpoint, wishes: &[PortWish]) -> Result<(), Error> {
        let held = self.hold_ports()?;
        for wish in wishes {
            let (HostPorts::Each(host_ports) | HostPorts::OneOf(host_ports)) = wish.host_ports else { continue };
            let port = PublishedPort { host: wish.host, host_ports, target: host_ports, protocol: wish.protocol };
            for claim in claims(endpoint, &[port]) {
                if !self.is_recorded(&claim) {
                    self.store.release_ports(&claim, &held)?;
                }
            }
        }
        Ok(())
    }

    /// Ports that are claimed for endpoints that do not publish them.
    pub(crate) fn unrecorded_ports(&self, records: &Records) -> Result<Vec<PortClaim>, Error> {
        let recorded = records.port_claims();
        let mut claims = self.store.ports()?;
        // Those of a record that cannot be read are looked for one by one.
        claims.retain(|claim| !recorded.contains(claim) && !self.is_recorded(claim));
        Ok(claims)
    }

    pub(crate) fn claim_ports(
        &mut self,
        endpoint: &Endpoint,
        ports: &[PublishedPort],
        held: &PortsLock,
    ) -> Result<(), Error> {
        for claim in claims(endpoint, ports) {
            self.store.claim_ports(&claim, held)?;
        }
        Ok(())
    }

    pub(crate) fn release_ports(
        &mut self,
        endpoint: &Endpoint,
        ports: &[PublishedPort],
        held: &PortsLock,
    ) -> Result<(), Error> {
        for claim in claims(endpoint, ports) {
            self.store.release_ports(&claim, held)?;
        }
        Ok(())
    }

    /// Publishes further ports of a live endpoint, without touching its connections.
    pub fn publish(
        &mut self,
        network: &NetworkName,
        sandbox: &SandboxRef,
        wishes: &[PortWish],
        act: Act,
    ) -> Result<Report<Published>, Error> {
        self.publish_with(network, sandbox, wishes, act, &|_| {})
    }

    /// The same, with traits the endpoint is to have then.
    pub(crate) fn publish_with(
        &mut self,
        network: &NetworkName,
        sandbox: &SandboxRef,
        wishes: &[PortWish],
        act: Act,
        change: &dyn Fn(&mut Endpoint),
    ) -> Result<Report<Published>, Error> {
        self.past_a_flush(|engine| engine.publish_once(network, sandbox, wishes, act, change))
    }

    fn publish_once(
        &mut self,
        network: &NetworkName,
        sandbox: &SandboxRef,
        wishes: &[PortWish],
        act: Act,
        change: &dyn Fn(&mut Endpoint),
    ) -> Result<Report<Published>, Error> {
        let found = self.locate_endpoint(sandbox)?;
        let (_host, networks) = self.lock_networks(std::slice::from_ref(network), wishes, act)?;
        let Some((network, mut shown)) = networks.into_iter().next() else {
            return Err(Error::NoNetwork { name: network.clone(), known: self.known_networks() });
        };
        let (mut endpoint, _lock) = self.live_endpoint(&network.name, sandbox, found)?;
        change(&mut endpoint);
        let object = format!("network {}: publish for {}", network.name, endpoint.sandbox.spelled);
        if act == Act::Apply && !shown.is_empty() {
            self.apply(&object, &shown)?;
        }
        // What is published already is put back where it is missing, so that a killed command can be run again.
        let wishes: Vec<PortWish> = wishes.iter().flat_map(|wish| wish.parts()).collect();
        let met = |wish: &&PortWish| endpoint.ports.iter().any(|port| wish.is_met_by(port));
        let (there, new): (Vec<&PortWish>, Vec<&PortWish>) = wishes.iter().partition(met);
        let new: Vec<PortWish> = new.into_iter().copied().collect();
        let is_wished = |port: &&PublishedPort| there.iter().any(|wish| wish.is_met_by(port));
        let mut ports: Vec<PublishedPort> = endpoint.ports.iter().filter(is_wished).copied().collect();

        self.free_dead_ports(&network, &endpoint.key(), &new, act)?;
        let held = self.hold_ports()?;
        let chosen = self.choose_ports(&network, &endpoint, &new, act)?;
        ports.extend(&chosen);
        let mut after = endpoint.clone();
        after.ports.extend(&chosen);
        let before: &[PublishedPort] = if there.is_empty() { &endpoint.ports } else { &[] };
        let plan = publish(&after, before, &ports);
        if act == Act::Apply {
            let done: Result<(), Error> = (|| {
                self.claim_ports(&after, &chosen, &held)?;
                self.store.update_endpoint(&after)?;
                self.apply(&object, &plan)
            })();
            if let Err(error) = done {
                return Err(error.after_undo(Fault::muted(|| {
                    self.store.update_endpoint(&endpoint)?;
                    self.release_ports(&after, &chosen, &held)
                })));
            }
        }
        shown.append(plan);
        Ok(Report { plan: shown, value: Published { endpoint: after, ports } })
    }

    /// Takes published ports of a live endpoint back; connections that came by them end.
    pub fn unpublish(
        &mut self,
        network: &NetworkName,
        sandbox: &SandboxRef,
        wishes: &[PortWish],
        act: Act,
    ) -> Result<Report<Published>, Error> {
        let found = self.locate_endpoint(sandbox)?;
        let (_host, networks) = self.lock_networks(std::slice::from_ref(network), &[], act)?;
        let hairpin = networks.first().map_or(Hairpin::default(), |(network, _)| network.hairpin);
        let (endpoint, _lock) = self.live_endpoint(network, sandbox, found)?;
        let mut ports: Vec<PublishedPort> = Vec::new();
        for wish in wishes {
            let meant = |port: &&PublishedPort| {
                let anywhere = PortWish { host: port.host, ..*wish };
                let is_meant = wish.is_met_by(port) || (wish.host == HostAddress::Every && anywhere.is_met_by(port));
                // One port inside does not stand for the range it is published with.
                is_meant && wish.target.contains(port.target)
            };
            let found: Vec<PublishedPort> = endpoint.ports.iter().filter(meant).copied().collect();
            if found.is_empty() {
                if act == Act::Apply {
                    self.release_half_taken(&endpoint)?;
                }
                return Err(Error::NotPublished {
                    network: network.clone(),
                    sandbox: spelled(&endpoint),
                    port: wish.to_string(),
                    there: endpoint.ports.clone(),
                });
            }
            ports.extend(found.into_iter().filter(|port| !ports.contains(port)).collect::<Vec<_>>());
        }
        let mut after = endpoint.clone();
        after.ports.retain(|port| !ports.contains(port));
        let plan = unpublish(&endpoint, &after.ports, &ports, hairpin);
        if act == Act::Apply {
            let object = format!("network {network}: unpublish for {}", endpoint.sandbox.spelled);
            let done = self.take_down(&object, &plan, Deletions::Now);
            if let Err(error) = done.and_then(|()| Ok(self.store.update_endpoint(&after)?)) {
                return Err(error.after_undo(Fault::muted(|| {
                    self.store.update_endpoint(&endpoint)?;
                    self.apply(&object, &publish(&endpoint, &[], &ports))
                })));
            }
            let held = self.hold_ports()?;
            self.release_ports(&endpoint, &ports, &held)?;
        }
        Ok(Report { plan, value: Published { endpoint: after, ports } })
    }

    /// The endpoints that publish ports.
    pub fn published(&self) -> Result<Vec<Endpoint>, Error> {
        let mut all = self.store.all_endpoints()?;
        all.retain(|e| !e.ports.is_empty());
        Ok(all)
    }

    /// An endpoint that is attached and whose device is there, with the lock of its sandbox.
    fn live_endpoint(
        &mut self,
        network: &NetworkName,
        sandbox: &SandboxRef,
        found: Option<Resolved>,
    ) -> Result<(Endpoint, zubi_store::Lock), Error> {
        let missing = || Error::NotConnected { network: network.clone(), sandbox: sandbox.to_string() };
        let (key, _) = self.find_endpoint(network, sandbox, found)?.ok_or_else(missing)?;
        let lock = self.store.lock_sandbox(key.cookie)?;
        let endpoint = self.store.endpoint(&key)?.ok_or_else(missing)?;
        if self.host_end(&endpoint)?.is_none() {
            return Err(Error::Broken { network: network.clone(), sandbox: sandbox.to_string() });
        }
        Ok((endpoint, lock))
    }
}

fn spelled(endpoint: &Endpoint) -> String {
    endpoint.sandbox.spelled.clone()
}

fn refused(port: &PublishedPort, listen: IpAddr, refusal: Refusal) -> Error {
    match refusal {
        Refusal::NotHere => {
            Invalid::new("host address", listen, "is none of this host's; ip addr shows those it has").into()
        }
        Refusal::NoProtocol => {
            let why = format!("cannot be published: this kernel has no {}", port.protocol);
            Invalid::new("published port", port, why).into()
        }
        Refusal::InUse => Invalid::new("published port", port, "no port is free").into(),
        Refusal::Other(source) => Error::Kernel {
            object: format!("published port {port}"),
            source: zubi_kernel::Error::system("bind", listen, source),
        },
    }
}

/// What no state of the world could grant.
pub(crate) fn check_port(network: &Network, wish: &PortWish) -> Result<(), Error> {
    let refuse = |why: String| Err(Invalid::new("published port", wish, why).into());
    if network.scope == Scope::Internal {
        return refuse(format!("network {} is internal: nothing from outside reaches it", network.name));
    }
    if network.bridge_mode == BridgeMode::Unmanaged {
        return refuse(format!("network {} has no rules: its bridge and firewall are somebody else's", network.name));
    }
    match wish.host {
        HostAddress::One(address) if network.pool(Family::of(address)).is_none() && network.name.source().is_none() => {
            refuse(format!("needs {}, which network {} does not have", Family::of(address), network.name))
        }
        _ => Ok(()),
    }
}

/// What an endpoint's published ports claim of the host.
pub(crate) fn claims(endpoint: &Endpoint, ports: &[PublishedPort]) -> Vec<PortClaim> {
    claims_of(&endpoint.key(), &endpoint.families(), ports)
}

fn claims_of(owner: &EndpointKey, families: &[Family], ports: &[PublishedPort]) -> Vec<PortClaim> {
    let mut all = Vec::new();
    for port in ports {
        for address in port.host.listens(families) {
            let (protocol, ports) = (port.protocol, port.host_ports);
            all.push(PortClaim { protocol, address, ports, owner: owner.clone() });
        }
    }
    all
}

/// Whether publishing these takes what only 127.0.0.0/8 needs.
pub(crate) fn on_loopback(network: &Network, wishes: &[PortWish]) -> bool {
    network.pool(Family::V4).is_some()
        && wishes.iter().any(|wish| match wish.host {
            HostAddress::Every => true,
            HostAddress::One(address) => address.is_ipv4() && (address.is_unspecified() || address.is_loopback()),
        })
}
