//! TODO

use crate::error::Error;
use crate::heal::gone::free_if_gone;
use crate::port_claims::claims;
use crate::report::Act;
use crate::session::Session;
use crate::steps::claim::owner_name;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use zubi_kernel::BoundPort;
use zubi_kernel::Refusal;
use zubi_kernel::listeners;
use zubi_model::BridgeMode;
use zubi_model::Endpoint;
use zubi_model::Family;
use zubi_model::HostAddress;
use zubi_model::HostPorts;
use zubi_model::Invalid;
use zubi_model::Network;
use zubi_model::PortHolder;
use zubi_model::PortNumber;
use zubi_model::PortWish;
use zubi_model::Protocol;
use zubi_model::PublishedPort;
use zubi_model::Scope;
use zubi_store::PortClaim;

/// How often the kernel is asked for a free port that nobody else publishes.
const MOST_TRIES: usize = 100;

/// What stands in a port's way.
enum Obstacle {
    Endpoint(PortClaim),
    Own(PublishedPort),
    Process(Protocol, IpAddr, PortNumber),
}

/// Chooses the ports an endpoint publishes beside those it has. The order is that of the wishes.
pub(crate) fn choose_ports(
    session: &mut Session,
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
            last = obstacle(session, endpoint, &own(&chosen), candidate, act)?;
            if last.is_none() {
                chosen.push((at, candidate));
                break;
            }
        }
        if let Some(obstacle) = last {
            return Err(port_taken(session, network, endpoint, wish, &obstacle)?);
        }
        if wish.host_ports == HostPorts::Any {
            for part in wish.parts() {
                chosen.push((at, any_port(session, network, endpoint, &own(&chosen), &part, act)?));
            }
        }
        note_limits(session, wish);
    }
    chosen.sort_by_key(|(at, _)| *at);
    Ok(chosen.into_iter().map(|(_, port)| port).collect())
}

/// What keeps a port from being had now, if anything.
fn obstacle(
    session: &mut Session,
    endpoint: &Endpoint,
    own: &[PublishedPort],
    port: PublishedPort,
    act: Act,
) -> Result<Option<Obstacle>, Error> {
    if let Some(other) = own.iter().find(|other| other.collides(&port)) {
        return Ok(Some(Obstacle::Own(*other)));
    }
    for claim in claims(endpoint, &[port]) {
        for other in session.store().ports_in_the_way(&claim)? {
            // What is only shown has not buried the dead.
            if act == Act::Apply || !free_if_gone(session, &other.owner, act)? {
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
    session: &mut Session,
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
        last = obstacle(session, endpoint, own, port(number), act)?;
        if last.is_none() {
            return Ok(port(number));
        }
        // Held, or the kernel might give it again.
        unusable.extend(BoundPort::take(protocol, first, number).ok());
    }
    let by = match last {
        Some(obstacle) => {
            format!("no free port was found in {MOST_TRIES} tries; the last: {}", obstacle_words(session, &obstacle)?)
        }
        None => "the endpoint has no address".into(),
    };
    Err(Error::PortTaken { network: network.name.clone(), sandbox: spelled(endpoint), port: wish.to_string(), by })
}

fn port_taken(
    session: &mut Session,
    network: &Network,
    endpoint: &Endpoint,
    wish: &PortWish,
    obstacle: &Obstacle,
) -> Result<Error, Error> {
    let by = obstacle_words(session, obstacle)?;
    Ok(Error::PortTaken { network: network.name.clone(), sandbox: spelled(endpoint), port: wish.to_string(), by })
}

/// An obstacle in words.
fn obstacle_words(session: &mut Session, obstacle: &Obstacle) -> Result<String, Error> {
    Ok(match obstacle {
        Obstacle::Own(other) => format!("overlaps {other}, which it publishes too"),
        Obstacle::Endpoint(claim) => {
            let owner = owner_name(session, &claim.owner)?;
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
fn note_limits(session: &mut Session, wish: &PortWish) {
    if wish.host == HostAddress::One(Ipv6Addr::UNSPECIFIED.into()) {
        session.note(format!("published port {wish}: [::] leaves ::1 out, the kernel cannot translate it"));
    }
}

pub(crate) fn spelled(endpoint: &Endpoint) -> String {
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

/// Whether publishing these takes what only 127.0.0.0/8 needs.
pub(crate) fn on_loopback(network: &Network, wishes: &[PortWish]) -> bool {
    network.pool(Family::V4).is_some()
        && wishes.iter().any(|wish| match wish.host {
            HostAddress::Every => true,
            HostAddress::One(address) => address.is_ipv4() && (address.is_unspecified() || address.is_loopback()),
        })
}
