//! Records that are lost, made again from what the kernel has.
//!
//! # How it works
//! A device of ours whose other end is in a namespace that lives is no stray, whether it is recorded or not. The alias of
//! its host end says whose it is ([`zubi_plan::alias`]); the sandbox tells name, MAC, addresses and routes; our nftables
//! table tells the published ports and what its network is like.
//!
//! # Limits
//! What the kernel does not have is lost, and named: ranges and exclusions of a network, its labels; links between
//! sandboxes; that a sandbox was made by `zubi run`; the ports, when the table is gone too.

use crate::chance::random;
use crate::engine::{Act, Engine, Report};
use crate::error::Error;
use crate::occupied::{TABLE_MAIN, is_link_local};
use crate::records::Records;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use zubi_kernel::{Kernel, Survey, named};
use zubi_model::{
    BridgeMode, Driver, Egress, Endpoint, EndpointAddress, Family, GatewayAt, Hairpin, HostAddress, Icc, IfIndex,
    IfName, Ingress, Mac, Mtu, Network, NetworkId, NetworkName, NsRef, Pool, PortHolder, PortNumber, Promiscuity,
    Protocol, PublishedPort, RouteOptions, SandboxIdentity, Scope, StaticRoute, Subnet,
};
use zubi_plan::alias::{self, EndpointMark};
use zubi_plan::{Place, Plan, firewall};
use zubi_store::Mode;
use zubi_wire::nft::{Element, Value};
use zubi_wire::route::{LinkSeen, RouteProtocol};

/// A device of ours that no record names, and that is not to be taken for a leftover.
#[derive(Debug, Clone)]
pub(crate) struct Unrecorded {
    pub(crate) device: LinkSeen,
    mark: Option<EndpointMark>,
}

impl Unrecorded {
    /// Which it is, in words.
    pub(crate) fn words(&self) -> String {
        match &self.mark {
            Some(mark) => format!("device {} ({} on network {})", self.device.name, mark.spelled, mark.network),
            None => format!("device {}", self.device.name),
        }
    }
}

/// Whether a device on the host is one of ours whose other end is in another namespace, which therefore lives: with a
/// namespace its devices go, and their other ends.
pub(crate) fn leads_to_the_living(device: &LinkSeen) -> bool {
    device.group == zubi_model::LinkGroup::OURS && device.kind.as_deref() == Some("veth") && device.peer_elsewhere
}

fn unrecorded(device: &LinkSeen) -> Unrecorded {
    let mark = device.alias.as_deref().and_then(alias::read_endpoint);
    Unrecorded { device: device.clone(), mark }
}

/// Before a run folder without records of this boot is used: nothing of ours lives on this host, and no other zubi has
/// made anything.
pub(crate) fn refuse_if_anything_lives(kernel: &mut Kernel, run: &Path) -> Result<(), Error> {
    let links = kernel.links(&Place::Host, None).map_err(Error::kernel("devices"))?;
    refuse_other_instance(&links, run)?;
    let living: Vec<String> =
        links.iter().filter(|link| leads_to_the_living(link)).map(|link| unrecorded(link).words()).collect();
    if living.is_empty() { Ok(()) } else { Err(Error::RecordsLost { run: run.to_owned(), living }) }
}

/// Two zubis with different folders on one host would take each other's devices for leftovers.
fn refuse_other_instance(links: &[LinkSeen], run: &Path) -> Result<(), Error> {
    let own = alias::run_word(run);
    let marks = links.iter().filter(|link| link.group.is_ours()).filter_map(|link| {
        let mark = link.alias.as_deref().and_then(alias::read_network)?;
        (mark.run != own).then_some((link, mark))
    });
    match marks.into_iter().next() {
        None => Ok(()),
        Some((bridge, mark)) => Err(Error::OtherInstance {
            run: run.to_owned(),
            theirs: mark.run,
            network: mark.network,
            bridge: bridge.name.clone(),
        }),
    }
}

impl Engine {
    /// Fails when another zubi, with other folders, has networks on this host.
    pub(crate) fn refuse_other_instance(&mut self) -> Result<(), Error> {
        let links = self.kernel.links(&Place::Host, None).map_err(Error::kernel("devices"))?;
        refuse_other_instance(&links, &self.run_folder())
    }

    /// The devices of ours that live and that no record names.
    pub(crate) fn unrecorded(&mut self, records: &Records, survey: &mut Survey) -> Result<Vec<Unrecorded>, Error> {
        let known: HashSet<&str> = records.host_devices().collect();
        let links = self.kernel.surveyed_links(survey, &Place::Host).map_err(Error::kernel("devices"))?;
        let mut all: Vec<Unrecorded> = links
            .iter()
            .filter(|link| leads_to_the_living(link) && !known.contains(link.name.as_str()))
            .map(unrecorded)
            .collect();
        all.sort_by(|a, b| a.device.name.cmp(&b.device.name));
        Ok(all)
    }

    /// Makes the records again of what lives. The answer says what was made, and what of it is lost.
    pub fn rebuild(&mut self, act: Act) -> Result<Report<Vec<String>>, Error> {
        let _host = self.store.lock_host(Mode::Exclusive)?;
        let mut survey = Survey::whole();
        let mut words = Vec::new();
        let records = self.records()?;
        let mut all = self.unrecorded(&records, &mut survey)?;
        // The endpoint that came first gives the default route.
        all.sort_by_key(|one| one.mark.as_ref().map(|mark| mark.attached_at));
        let mut networks = records.networks.clone();
        for endpoint in &records.endpoints {
            if networks.iter().any(|network| network.name == endpoint.network) {
                continue;
            }
            let port = self.host_end_in(&mut survey, endpoint)?;
            let made = self.network_again(&mut survey, &endpoint.network, port.and_then(|port| port.master), act)?;
            match made {
                Ok(network) => {
                    words.push(recorded_again(&network));
                    networks.push(network);
                }
                Err(why) => words.push(format!("network {}: lost: {why}", endpoint.network)),
            }
        }
        for one in all {
            let name = one.words();
            let Some(mark) = &one.mark else {
                words.push(format!(
                    "{name}: lost: its alias does not say whose it is; ip link del {} removes it",
                    one.device.name
                ));
                continue;
            };
            let network = match networks.iter().find(|network| network.name == mark.network) {
                Some(network) => network.clone(),
                None => match self.network_again(&mut survey, &mark.network, one.device.master, act)? {
                    Ok(network) => {
                        words.push(recorded_again(&network));
                        networks.push(network.clone());
                        network
                    }
                    Err(why) => {
                        words.push(format!("{name}: lost: {why}"));
                        continue;
                    }
                },
            };
            match self.endpoint_of(&mut survey, &network, mark, &one.device)? {
                Ok(endpoint) => words.push(self.record_again(&network, &endpoint, mark, act)?),
                Err(why) => words.push(format!("{name}: lost: {why}")),
            }
        }
        Ok(Report { plan: Plan::new(), value: words })
    }

    /// Writes a network down as the kernel has it.
    fn network_again(
        &mut self,
        survey: &mut Survey,
        name: &NetworkName,
        bridge: Option<IfIndex>,
        act: Act,
    ) -> Result<Result<Network, String>, Error> {
        let network = self.network_of(survey, name, bridge)?;
        if let Ok(network) = &network
            && act == Act::Apply
        {
            self.store.write_network(network)?;
        }
        Ok(network)
    }

    /// Writes an endpoint down as if it had been attached now.
    fn record_again(
        &mut self,
        network: &Network,
        endpoint: &Endpoint,
        mark: &EndpointMark,
        act: Act,
    ) -> Result<String, Error> {
        let spelled = &endpoint.sandbox.spelled;
        let addresses: Vec<String> = endpoint.addresses.iter().map(|a| a.address.addr().to_string()).collect();
        let rest = if mark.is_whole { "" } else { "; lost: some of its aliases" };
        let done =
            format!("{spelled} on network {}: recorded again with {}{rest}", network.name, addresses.join(" and "));
        if act == Act::Show {
            return Ok(done);
        }
        let _sandbox = self.store.lock_sandbox(endpoint.sandbox.cookie)?;
        // Its address may be somebody else's by now, or it is recorded under another name.
        if let Err(e) = self.claim_again(network, endpoint) {
            return Ok(format!("{spelled} on network {}: lost: {e}", network.name));
        }
        self.store.finish_attach(&endpoint.key())?;
        Ok(done)
    }

    /// What an endpoint is, by its device, its sandbox and the firewall. An inner error says why that cannot be known.
    fn endpoint_of(
        &mut self,
        survey: &mut Survey,
        network: &Network,
        mark: &EndpointMark,
        device: &LinkSeen,
    ) -> Result<Result<Endpoint, String>, Error> {
        let Some((way, inner)) = self.other_end(mark, device)? else {
            return Ok(Err(format!(
                "no way leads to its sandbox any more (it was {})",
                mark.reached_by.path().display()
            )));
        };
        let object = || Error::kernel(format!("sandbox {}", mark.spelled));
        let cookie = self.kernel.open_sandbox(&way).map_err(object())?;
        let place = Place::Sandbox(way.clone());
        let (Ok(ifname), Ok(host_device), Some(mac)) = (inner.name.parse(), device.name.parse(), inner.mac) else {
            return Ok(Err(format!("its devices have names zubi cannot take ({} and {})", inner.name, device.name)));
        };
        let seen = self.kernel.surveyed_addresses_of(survey, &place).map_err(object())?;
        let own = seen.iter().filter(|a| a.device == inner.index);
        let mut addresses: Vec<EndpointAddress> = Vec::new();
        for pool in &network.pools {
            let of_pool = own.clone().filter(|a| pool.subnet.net().contains(&a.address.addr()));
            addresses.extend(of_pool.map(|a| EndpointAddress { address: a.address, gateway: pool.gateway }));
        }
        let routes = self.routes_of(survey, &place, inner.index, &addresses)?;
        let targets: Vec<IpAddr> = addresses.iter().map(|a| a.address.addr()).collect();
        let ports = self.ports_of(survey, &targets)?;
        let mut traits = mark.traits;
        // Podman and whoever calls portmap for it hold published ports themselves.
        if !ports.is_empty() && network.name.source().is_some() {
            traits.port_holder = PortHolder::Caller;
        }
        Ok(Ok(Endpoint {
            network: network.name.clone(),
            network_id: network.id.clone(),
            sandbox: SandboxIdentity { cookie, spelled: mark.spelled.clone(), reached_by: way },
            ifname,
            mac,
            next_mac: None,
            host_device,
            bridge: network.bridge.clone(),
            addresses,
            routes,
            default_route: mark.default_route,
            aliases: mark.aliases.clone(),
            ports,
            traits,
            attached_at: mark.attached_at,
        }))
    }

    /// The inner end and a way to it: the recorded one, or another name of the namespace.
    fn other_end(&mut self, mark: &EndpointMark, device: &LinkSeen) -> Result<Option<(NsRef, LinkSeen)>, Error> {
        let mut ways = vec![mark.reached_by.clone()];
        ways.extend(named::list().map_err(Error::kernel("named namespaces"))?.into_iter().map(NsRef::Named));
        for way in ways {
            let place = Place::Sandbox(way.clone());
            if self.kernel.open_sandbox(&way).is_err() {
                continue;
            }
            let links = self.kernel.links(&place, None).map_err(Error::kernel("sandbox"))?;
            let is_other_end = |link: &LinkSeen| {
                Some(link.index) == device.peer
                    && link.peer == Some(device.index)
                    && link.mac.map(Mac::host_end) == device.mac
            };
            if let Some(inner) = links.into_iter().find(is_other_end) {
                return Ok(Some((way, inner)));
            }
        }
        Ok(None)
    }

    /// The routes that zubi made, but those by the gateway of the network.
    fn routes_of(
        &mut self,
        survey: &mut Survey,
        place: &Place,
        device: IfIndex,
        addresses: &[EndpointAddress],
    ) -> Result<Vec<StaticRoute>, Error> {
        let mut routes = Vec::new();
        for family in [Family::V4, Family::V6] {
            let seen = self.kernel.surveyed_routes(survey, place, family).map_err(Error::kernel("routes"))?;
            for route in seen.iter().filter(|r| r.protocol == RouteProtocol::OURS && r.device == Some(device)) {
                let is_default = route.to.prefix_len() == 0 && addresses.iter().any(|a| a.gateway == route.via);
                if is_default {
                    continue;
                }
                // The kernel's own numbers for a metric that nobody gave.
                let usual = if family == Family::V4 { 0 } else { 1024 };
                let options = RouteOptions {
                    metric: (route.metric != usual).then_some(route.metric),
                    table: (route.table != TABLE_MAIN).then_some(route.table),
                    ..RouteOptions::default()
                };
                routes.push(StaticRoute { to: route.to, via: route.via, options });
            }
        }
        Ok(routes)
    }

    /// What our maps publish of these addresses.
    fn ports_of(&mut self, survey: &mut Survey, targets: &[IpAddr]) -> Result<Vec<PublishedPort>, Error> {
        let mut ports: Vec<PublishedPort> = Vec::new();
        // A port of every address stands in the maps of both families, where the endpoint has both.
        let mut in_families: HashMap<PublishedPort, HashSet<Family>> = HashMap::new();
        for set in firewall::sets().into_iter().filter(|set| !set.data.is_empty()) {
            let seen = self.kernel.surveyed_elements(survey, &set.name).map_err(Error::kernel("firewall"))?;
            for (port, family) in seen.iter().filter_map(|seen| published(&seen.element(&set)?, targets)) {
                in_families.entry(port).or_default().insert(family);
            }
        }
        let all: HashSet<Family> = targets.iter().map(|target| Family::of(*target)).collect();
        for (mut port, families) in in_families {
            if port.host == HostAddress::Every && families != all {
                let only = if families.contains(&Family::V4) {
                    Ipv4Addr::UNSPECIFIED.into()
                } else {
                    Ipv6Addr::UNSPECIFIED.into()
                };
                port.host = HostAddress::One(only);
            }
            ports.push(port);
        }
        ports.sort_by_key(|port| (port.host_ports.first(), port.protocol.number(), port.host));
        Ok(joined(ports))
    }

    /// What a network is, by its bridge and the firewall.
    fn network_of(
        &mut self,
        survey: &mut Survey,
        network: &NetworkName,
        bridge: Option<IfIndex>,
    ) -> Result<Result<Network, String>, Error> {
        let failed = || Error::kernel(format!("network {network}"));
        let links = self.kernel.surveyed_links(survey, &Place::Host).map_err(failed())?;
        let seen = links.into_iter().find(|link| Some(link.index) == bridge);
        let Some(seen) = seen.filter(|link| link.kind.as_deref() == Some("bridge")) else {
            return Ok(Err(format!("network {network} has no record, and the device is on no bridge")));
        };
        let (Ok(name), Some(mac)) = (seen.name.parse::<IfName>(), seen.mac) else {
            return Ok(Err(format!("its bridge {} has a name zubi cannot take", seen.name)));
        };
        let told = seen.alias.as_deref().and_then(alias::read_network).filter(|told| told.network == *network);
        let id = match told {
            Some(told) => told.id,
            None => NetworkId::from_random(random()?),
        };
        let has = |engine: &mut Engine, survey: &mut Survey, set: &str, times: usize| {
            let element = Element::new(firewall::TABLE, set, vec![Value::Device(name.clone()); times]);
            let seen = engine.kernel.surveyed_elements(survey, set).map_err(Error::kernel("firewall"))?;
            Ok::<_, Error>(element.raw().iter().all(|raw| seen.contains(raw)))
        };
        let guarded = has(self, survey, "bridges", 1)?;
        let ingress = match (guarded, has(self, survey, "sealed", 1)?, has(self, survey, "apart", 1)?) {
            (true, true, _) => Ingress::Sealed,
            (false, _, true) => Ingress::Apart,
            (false, _, false) if has(self, survey, "open", 1)? => Ingress::Open,
            _ => Ingress::Published,
        };
        let mut pools: Vec<Pool> = Vec::new();
        for address in self.kernel.surveyed_addresses_of(survey, &Place::Host).map_err(failed())? {
            if address.device != seen.index || is_link_local(address.address.addr()) {
                continue;
            }
            let subnet = Subnet::try_from(address.address.trunc()).ok();
            pools.extend(subnet.map(|subnet| Pool {
                subnet,
                gateway: Some(address.address.addr()),
                gateway_at: GatewayAt::Bridge,
                range: None,
                exclude: Vec::new(),
            }));
        }
        let mut masquerades = false;
        for pool in &pools {
            let set = if pool.subnet.family() == Family::V4 { "masquerade4" } else { "masquerade6" };
            let element = Element::new(firewall::TABLE, set, vec![Value::Prefix(pool.subnet.net())]);
            let seen = self.kernel.surveyed_elements(survey, set).map_err(Error::kernel("firewall"))?;
            masquerades |= element.raw().iter().all(|raw| seen.contains(raw));
        }
        pools.sort_by_key(|pool| pool.subnet.family());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        Ok(Ok(Network {
            name: network.clone(),
            id,
            created: now,
            driver: Driver::Bridge,
            bridge: name.clone(),
            bridge_mac: mac,
            mtu: Mtu::try_from(seen.mtu).ok().filter(|mtu| *mtu != Mtu::STANDARD),
            pools,
            scope: if has(self, survey, "internal", 1)? { Scope::Internal } else { Scope::Routed },
            egress: if masquerades { Egress::Masquerade } else { Egress::Plain },
            icc: if has(self, survey, "icc", 2)? { Icc::Allowed } else { Icc::Isolated },
            ingress,
            bridge_mode: if seen.group.is_ours() { BridgeMode::Managed } else { BridgeMode::Adopted },
            hairpin: Hairpin::default(),
            promiscuity: Promiscuity::default(),
            labels: std::collections::BTreeMap::default(),
        }))
    }
}

fn recorded_again(network: &Network) -> String {
    format!("network {}: recorded again; lost: its labels, ranges and exclusions", network.name)
}

/// What an element of a map publishes, when it leads to one of these addresses.
fn published(element: &Element, targets: &[IpAddr]) -> Option<(PublishedPort, Family)> {
    let (address, port) = match &element.data[..] {
        [Value::Address(address)] => (*address, None),
        [Value::Address(address), Value::Port(port)] => (*address, Some(*port)),
        _ => return None,
    };
    if !targets.contains(&address) {
        return None;
    }
    let (host, rest) = match &element.key[..] {
        [Value::Address(at), rest @ ..] => (HostAddress::One(*at), rest),
        [Value::Prefix(at), rest @ ..] if at.prefix_len() == 0 => (HostAddress::Every, rest),
        [Value::Prefix(at), rest @ ..] => (HostAddress::One(at.addr()), rest),
        rest => (HostAddress::Every, rest),
    };
    let (protocol, host_ports): (Protocol, _) = match rest {
        [Value::Protocol(protocol), Value::Port(port)] => (*protocol, (*port).into()),
        [Value::Protocol(protocol), Value::Ports(ports)] => (*protocol, *ports),
        _ => return None,
    };
    let target = port.map_or(host_ports, PortNumber::into);
    Some((PublishedPort { host, host_ports, target, protocol }, Family::of(address)))
}

/// Neighbouring ports with neighbouring targets are one range again.
fn joined(ports: Vec<PublishedPort>) -> Vec<PublishedPort> {
    let mut all: Vec<PublishedPort> = Vec::new();
    for port in ports {
        let follows =
            |a: zubi_model::PortRange, b: zubi_model::PortRange| a.last().0.checked_add(1) == Some(b.first().0);
        let last = all.iter_mut().find(|last| {
            last.host == port.host
                && last.protocol == port.protocol
                && follows(last.host_ports, port.host_ports)
                && follows(last.target, port.target)
        });
        let range = |a: zubi_model::PortRange, b: zubi_model::PortRange| {
            zubi_model::PortRange::new(a.first(), b.last()).unwrap_or(a)
        };
        match last {
            Some(last) => {
                last.host_ports = range(last.host_ports, port.host_ports);
                last.target = range(last.target, port.target);
            }
            None => all.push(port),
        }
    }
    all
}
