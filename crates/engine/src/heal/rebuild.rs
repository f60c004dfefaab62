//! Rebuilds lost records from the state of the kernel.
//!
//! # How it works
//! A device of ours whose other end is in an existing namespace is no stray, with or without a record. The alias of its
//! host end names its owner ([`zubi_plan::alias`]). The sandbox has the name, MAC, addresses and routes; our nftables
//! table has the published ports and the properties of the network.
//!
//! # Limits
//! The report lists what cannot be rebuilt, because the kernel does not have it: ranges, exclusions and labels of a
//! network; the ids of endpoints; links between sandboxes; whether `zubi run` made a sandbox; and, if the table is gone
//! too, the published ports.

use crate::error::Error;
use crate::look::addresses_in_use::{TABLE_MAIN, is_link_local};
use crate::look::compare::{elements, whole_host};
use crate::look::device::device_in;
use crate::look::unrecorded::unrecorded_devices;
use crate::random::random;
use crate::records::read_records;
use crate::report::{Act, Report};
use crate::session::Session;
use crate::steps::claim::claim_again;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{SystemTime, UNIX_EPOCH};
use zubi_kernel::named;
use zubi_model::{
    BridgeMode, BridgeNetwork, Driver, Egress, Endpoint, EndpointAddress, EndpointId, Family, GatewayAt, HostAddress,
    Icc, IfIndex, IfName, Ingress, Mac, Mtu, Naming, Network, NetworkId, NetworkName, NetworkSource, NsRef, Pool,
    PortHolder, PortNumber, Protocol, PublishedPort, Questions, RouteOptions, SandboxIdentity, Scope, StaticRoute,
    Subnet,
};
use zubi_plan::alias::{self, EndpointMark};
use zubi_plan::{Place, Plan, firewall};
use zubi_snapshot::{Needs, Snapshot};
use zubi_store::{ExclusiveHost, HostLock};
use zubi_wire::nft::{Element, Value};
use zubi_wire::route::{LinkSeen, RouteProtocol};

/// Rebuilds the records of everything that still exists. The report says what was rebuilt and what is lost.
pub(crate) fn rebuild(session: &mut Session, act: Act) -> Result<Report<Vec<String>>, Error> {
    let host = &session.store().lock_host_exclusive()?;
    let mut snapshot = whole_host(session)?;
    let mut words = Vec::new();
    let records = read_records(session)?;
    let mut all = unrecorded_devices(session, &records, &mut snapshot)?;
    // The oldest endpoint gives the default route.
    all.sort_by_key(|one| one.mark.as_ref().map(|mark| mark.attached_at));
    let mut networks = records.networks.clone();
    for endpoint in &records.endpoints {
        if networks.iter().any(|network| network.name == endpoint.network) {
            continue;
        }
        let port = device_in(session, &mut snapshot, endpoint, None)?;
        let made =
            network_again(session, host, &mut snapshot, &endpoint.network, port.and_then(|port| port.master), act)?;
        match made {
            Ok(network) => {
                words.push(recorded_again(&network));
                networks.push(network);
            }
            Err(why) => words.push(format!("network {}: lost: {why}", endpoint.network)),
        }
    }
    let doing = session.begin();
    let number_of_all = all.len();
    for (number, one) in all.into_iter().enumerate() {
        doing.step(|| format!("making records again, {number} of {number_of_all} endpoints"));
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
            None => match network_again(session, host, &mut snapshot, &mark.network, one.device.master, act)? {
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
        match endpoint_of(session, &mut snapshot, &network, mark, &one.device)? {
            Ok(endpoint) => words.push(record_again(session, host, &network, &endpoint, mark, act)?),
            Err(why) => words.push(format!("{name}: lost: {why}")),
        }
    }
    Ok(Report { plan: Plan::new(), value: words })
}

/// Records a network with the properties that the kernel shows.
fn network_again(
    session: &mut Session,
    host: &ExclusiveHost,
    snapshot: &mut Snapshot,
    name: &NetworkName,
    bridge: Option<IfIndex>,
    act: Act,
) -> Result<Result<Network, String>, Error> {
    let network = network_of(session, snapshot, name, bridge)?;
    if let Ok(network) = &network
        && act == Act::Apply
    {
        session.store().write_network(host, network)?;
    }
    Ok(network)
}

/// Records an endpoint as if it had been attached just now.
fn record_again(
    session: &mut Session,
    host: &HostLock,
    network: &Network,
    endpoint: &Endpoint,
    mark: &EndpointMark,
    act: Act,
) -> Result<String, Error> {
    let spelled = &endpoint.sandbox.spelled;
    let addresses: Vec<String> = endpoint.addresses.iter().map(|a| a.address.addr().to_string()).collect();
    let rest = if mark.is_whole { "" } else { "; lost: some of its aliases" };
    let done = format!("{spelled} on network {}: recorded again with {}{rest}", network.name, addresses.join(" and "));
    if act == Act::Show {
        return Ok(done);
    }
    let _sandbox = session.store().lock_sandbox(host, endpoint.sandbox.cookie)?;
    // Another endpoint may have its address by now, or the endpoint is recorded under another name.
    if let Err(e) = claim_again(session, host, network, endpoint) {
        return Ok(format!("{spelled} on network {}: lost: {e}", network.name));
    }
    session.store().finish_attach(&endpoint.key())?;
    Ok(done)
}

/// Reads an endpoint from its device, its sandbox and the firewall. The inner error says why that is not possible.
fn endpoint_of(
    session: &mut Session,
    snapshot: &mut Snapshot,
    network: &Network,
    mark: &EndpointMark,
    device: &LinkSeen,
) -> Result<Result<Endpoint, String>, Error> {
    let Some((way, inner)) = other_end(session, mark, device)? else {
        return Ok(Err(format!("no way leads to its sandbox any more (it was {})", mark.reached_by.path().display())));
    };
    let cookie = session.kernel.open_sandbox(&way).map_err(Error::kernel(format!("sandbox {}", mark.spelled)))?;
    let place = Place::Sandbox(way.clone());
    let (Ok(ifname), Ok(host_device), Some(mac)) = (inner.name.parse(), device.name.parse(), inner.mac) else {
        return Ok(Err(format!("its devices have names zubi cannot take ({} and {})", inner.name, device.name)));
    };
    session.read(snapshot, &Needs::new().addresses(&place), &mark.spelled)?;
    let own = snapshot.addresses_of(&place, inner.index).map_err(Error::unread(&mark.spelled))?.to_vec();
    let mut addresses: Vec<EndpointAddress> = Vec::new();
    // What a DHCP server gave lasts as long as its lease, which is lost. The next renewal gets another one.
    let is_lost = |family| network.asks_dhcp() && family == Family::V4;
    for pool in network.pools.iter().filter(|pool| !is_lost(pool.subnet.family())) {
        let of_pool = own.iter().filter(|a| pool.subnet.net().contains(&a.address.addr()));
        addresses.extend(of_pool.map(|a| EndpointAddress { address: a.address, gateway: pool.gateway }));
    }
    let mut routes = routes_of(session, snapshot, &place, inner.index, &addresses)?;
    routes.retain(|route| !is_lost(Family::of(route.to.addr())));
    let targets: Vec<IpAddr> = addresses.iter().map(|a| a.address.addr()).collect();
    let ports = ports_of(session, snapshot, &targets)?;
    let mut traits = mark.traits;
    // Podman, and runtimes that call portmap, hold published ports themselves.
    if !ports.is_empty() && network.name.source().is_some() {
        traits.port_holder = PortHolder::Caller;
    }
    Ok(Ok(Endpoint {
        id: EndpointId::from_random(random()?),
        network: network.name.clone(),
        network_id: network.id.clone(),
        sandbox: SandboxIdentity { cookie, spelled: mark.spelled.clone(), reached_by: way },
        ifname,
        mac,
        next_mac: None,
        handed_over: None,
        dhcp: None,
        device: network.device_of_endpoint(host_device, mac),
        addresses,
        routes,
        default_route: mark.default_route,
        displaced: Vec::new(),
        aliases: mark.aliases.clone(),
        name_servers: Vec::new(),
        name_files: zubi_model::NameFiles::default(),
        ports,
        traits,
        attached_at: mark.attached_at,
    }))
}

/// The inner end and a path to its namespace: the recorded one, or a name under /run/netns.
fn other_end(
    session: &mut Session,
    mark: &EndpointMark,
    device: &LinkSeen,
) -> Result<Option<(NsRef, LinkSeen)>, Error> {
    let mut ways = vec![mark.reached_by.clone()];
    ways.extend(named::list().map_err(Error::kernel("named namespaces"))?.into_iter().map(NsRef::Named));
    for way in ways {
        let place = Place::Sandbox(way.clone());
        if session.kernel.open_sandbox(&way).is_err() {
            continue;
        }
        let links = session.kernel.links(&place, None).map_err(Error::kernel("sandbox"))?;
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

/// The routes that zubi made, without those through the network's gateway.
fn routes_of(
    session: &mut Session,
    snapshot: &mut Snapshot,
    place: &Place,
    device: IfIndex,
    addresses: &[EndpointAddress],
) -> Result<Vec<StaticRoute>, Error> {
    let mut routes = Vec::new();
    for family in [Family::V4, Family::V6] {
        session.read(snapshot, &Needs::new().routes(place, family), "routes")?;
        let seen = snapshot.routes(place, family).map_err(Error::unread("routes"))?;
        for route in seen.iter().filter(|r| r.protocol == RouteProtocol::OURS && r.device == Some(device)) {
            let is_default = route.to.prefix_len() == 0 && addresses.iter().any(|a| a.gateway == route.via);
            if is_default {
                continue;
            }
            // The metrics that the kernel uses if none is given.
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

/// The ports that our maps publish to these addresses.
fn ports_of(session: &mut Session, snapshot: &mut Snapshot, targets: &[IpAddr]) -> Result<Vec<PublishedPort>, Error> {
    let mut ports: Vec<PublishedPort> = Vec::new();
    // A port published on every address is in the maps of both families, if the endpoint has both.
    let mut in_families: HashMap<PublishedPort, HashSet<Family>> = HashMap::new();
    for set in firewall::sets().into_iter().filter(|set| !set.data.is_empty()) {
        let seen = elements(session, snapshot, &set.name)?;
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

/// Reads a network from its bridge and the firewall. The inner error says why that is not possible.
fn network_of(
    session: &mut Session,
    snapshot: &mut Snapshot,
    network: &NetworkName,
    bridge: Option<IfIndex>,
) -> Result<Result<Network, String>, Error> {
    let object = format!("network {network}");
    session.read(snapshot, &Needs::new().links(&Place::Host).addresses(&Place::Host), &object)?;
    let links = snapshot.links(&Place::Host).map_err(Error::unread(&object))?;
    let seen = links.into_iter().find(|link| Some(link.index) == bridge).cloned();
    let Some(seen) = seen.filter(|link| link.kind.as_deref() == Some("bridge")) else {
        return Ok(Err(format!("network {network} has no record, and the device is on no bridge")));
    };
    let (Ok(name), Some(mac)) = (seen.name.parse::<IfName>(), seen.mac) else {
        return Ok(Err(format!("its bridge {} has a name zubi cannot take", seen.name)));
    };
    let mark = seen.alias.as_deref().and_then(alias::read_network).filter(|mark| mark.network == *network);
    let id = match mark {
        Some(mark) => mark.id,
        None => NetworkId::from_random(random()?),
    };
    let has = |session: &mut Session, snapshot: &mut Snapshot, set: &str, times: usize| {
        let element = Element::new(&firewall::TABLE, set, vec![Value::Device(name.clone()); times]);
        let seen = elements(session, snapshot, set)?;
        Ok::<_, Error>(element.raw().iter().all(|raw| seen.contains(raw)))
    };
    let guarded = has(session, snapshot, "bridges", 1)?;
    let ingress = match (guarded, has(session, snapshot, "sealed", 1)?, has(session, snapshot, "apart", 1)?) {
        (true, true, _) => Ingress::Sealed,
        (false, _, true) => Ingress::Apart,
        (false, _, false) if has(session, snapshot, "open", 1)? => Ingress::Open,
        _ => Ingress::Published,
    };
    let mut pools: Vec<Pool> = Vec::new();
    for address in snapshot.addresses_of(&Place::Host, seen.index).map_err(Error::unread(&object))? {
        if is_link_local(address.address.addr()) {
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
        let element = Element::new(&firewall::TABLE, set, vec![Value::Prefix(pool.subnet.net())]);
        let seen = elements(session, snapshot, set)?;
        masquerades |= element.raw().iter().all(|raw| seen.contains(raw));
    }
    pools.sort_by_key(|pool| pool.subnet.family());
    let bridge = BridgeNetwork {
        icc: if has(session, snapshot, "icc", 2)? { Icc::Allowed } else { Icc::Isolated },
        ingress,
        mode: if seen.group.is_ours() { BridgeMode::Managed } else { BridgeMode::Adopted },
        ..BridgeNetwork::new(name.clone(), mac)
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    Ok(Ok(Network {
        name: network.clone(),
        id,
        created: now,
        mtu: Mtu::try_from(seen.mtu).ok().filter(|mtu| *mtu != Mtu::STANDARD),
        pools,
        scope: if has(session, snapshot, "internal", 1)? { Scope::Internal } else { Scope::Routed },
        ipam: zubi_model::Ipam::Pools,
        router_advertisements: zubi_model::RouterAdvertisements::Ignored,
        naming: Naming { questions: questions_of(session, snapshot, &name)?, ..naming_of(network) },
        egress: if masquerades { Egress::Masquerade } else { Egress::Plain },
        driver: Driver::Bridge(bridge),
        labels: std::collections::BTreeMap::default(),
    }))
}

/// Programs that answer names themselves want none of ours.
fn naming_of(network: &NetworkName) -> Naming {
    match network.source() {
        Some(NetworkSource::Cni | NetworkSource::Pipework) => Naming::off(),
        Some(NetworkSource::Podman | NetworkSource::Docker) | None => Naming::default(),
    }
}

/// What becomes of questions to other servers that come from a bridge, by the maps of our table.
fn questions_of(session: &mut Session, snapshot: &mut Snapshot, bridge: &IfName) -> Result<Questions, Error> {
    for set in firewall::sets().into_iter().filter(|set| ["names4", "names6"].contains(&&*set.name)) {
        let of_bridge = |element: Element| element.key.first() == Some(&Value::Device(bridge.clone()));
        if elements(session, snapshot, &set.name)?.iter().filter_map(|seen| seen.element(&set)).any(of_bridge) {
            return Ok(Questions::Redirected);
        }
    }
    Ok(Questions::AsSent)
}

fn recorded_again(network: &Network) -> String {
    format!("network {}: recorded again; lost: its labels, ranges and exclusions", network.name)
}

/// The port that a map element publishes, if it leads to one of these addresses.
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

/// Joins adjacent ports with adjacent targets into ranges.
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
