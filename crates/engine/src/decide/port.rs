//! Which ports of the host an endpoint publishes.
//!
//! A port is taken when another endpoint publishes it or a process of the host has bound it. The decision finds the
//! latter by binding the port itself. Nothing keeps a published port bound: `check` reports a process that binds it
//! later.

use crate::decide::book::Book;
use crate::decide::obstacle::{Obstacle, Owners, PortOwner, Taken};
use crate::decide::wishes::check_port;
use crate::error::Error;
use crate::port_claims::claims;
use std::net::{IpAddr, Ipv6Addr};
use zubi_kernel::Refusal;
use zubi_model::{Endpoint, HostAddress, HostPorts, Invalid, Network, PortHolder, PortNumber, PortWish, PublishedPort};
use zubi_store::LeaseOwner;

/// How many ports the kernel may choose until one is usable.
const MOST_TRIES: usize = 100;

/// Chooses the ports that an endpoint publishes in addition to those it has, in the order of the wishes.
pub(crate) fn of_endpoint(
    network: &Network,
    endpoint: &Endpoint,
    wishes: &[PortWish],
    book: &dyn Book,
    owners: &Owners,
) -> Result<Vec<PublishedPort>, Obstacle> {
    let mut chosen: Vec<(usize, PublishedPort)> = Vec::new();
    // Ports with a number come first, so that an arbitrary port does not take one of them.
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
            last = in_the_way(endpoint, &own(&chosen), candidate, book, owners)?;
            if last.is_none() {
                chosen.push((at, candidate));
                break;
            }
        }
        if let Some(by) = last {
            return Err(Obstacle::Taken(Taken::Port { wish: *wish, by }));
        }
        // A range with arbitrary host ports is published port by port.
        if wish.host_ports == HostPorts::Any {
            for part in wish.parts() {
                chosen.push((at, any_port(endpoint, &own(&chosen), &part, book, owners)?));
            }
        }
    }
    chosen.sort_by_key(|(at, _)| *at);
    Ok(chosen.into_iter().map(|(_, port)| port).collect())
}

/// A limit of a published port that a user may not expect.
pub(crate) fn limits(wish: &PortWish) -> Option<String> {
    (wish.host == HostAddress::One(Ipv6Addr::UNSPECIFIED.into()))
        .then(|| format!("published port {wish}: [::] leaves ::1 out, the kernel cannot translate it"))
}

/// The owner of a port, if it has one.
fn in_the_way(
    endpoint: &Endpoint,
    own: &[PublishedPort],
    port: PublishedPort,
    book: &dyn Book,
    owners: &Owners,
) -> Result<Option<PortOwner>, Obstacle> {
    if let Some(other) = own.iter().find(|other| other.collides(&port)) {
        return Ok(Some(PortOwner::Itself(*other)));
    }
    for claim in claims(endpoint, &[port]) {
        for other in book.claims_against(&claim)? {
            let owner = LeaseOwner::Endpoint(other.owner.clone());
            if owners.is_gone(&owner) {
                continue;
            }
            if owners.is_alive(&owner, Some(&other)) {
                return Ok(Some(PortOwner::Endpoint(other)));
            }
            return Err(Obstacle::Held { owner, claim: Some(other) });
        }
    }
    if endpoint.traits.port_holder == PortHolder::Caller {
        return Ok(None);
    }
    for listen in port.host.listens(&endpoint.families()) {
        for number in port.host_ports.ports() {
            match book.try_port(port.protocol, listen, number) {
                Ok(()) => {}
                Err(Refusal::InUse) => return Ok(Some(PortOwner::Process(port.protocol, listen, number))),
                Err(refusal) => return Err(refused(&port, listen, refusal).into()),
            }
        }
    }
    Ok(None)
}

/// A port that the kernel chooses, that is free at every address, and that no endpoint publishes.
fn any_port(
    endpoint: &Endpoint,
    own: &[PublishedPort],
    wish: &PortWish,
    book: &dyn Book,
    owners: &Owners,
) -> Result<PublishedPort, Obstacle> {
    let PortWish { host, target, protocol, .. } = *wish;
    let port = |number: PortNumber| PublishedPort { host, host_ports: number.into(), target, protocol };
    let taken = |by| Err(Obstacle::Taken(Taken::Port { wish: *wish, by }));
    let Some(first) = host.listens(&endpoint.families()).into_iter().next() else {
        return taken(PortOwner::NoAddress);
    };
    let mut unusable = Vec::new();
    let mut last = PortOwner::NoAddress;
    for _ in 0..MOST_TRIES {
        let number = book
            .any_port(protocol, first, &unusable)
            .map_err(|refusal| refused(&port(PortNumber(0)), first, refusal))?;
        match in_the_way(endpoint, own, port(number), book, owners)? {
            None => return Ok(port(number)),
            Some(owner) => last = owner,
        }
        unusable.push(number);
    }
    taken(PortOwner::Every { tries: MOST_TRIES, last: Box::new(last) })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::memory::{Memory, endpoint, key, lease_owner, network};

    fn choose(book: &Memory, wishes: &[&str], owners: &Owners) -> Result<String, Obstacle> {
        let wishes: Vec<PortWish> = wishes.iter().map(|text| text.parse().unwrap()).collect();
        let blue = network("blue", &["10.55.66.0/24"]);
        let ports = of_endpoint(&blue, &endpoint(7, "blue", "10.55.66.2"), &wishes, book, owners)?;
        Ok(ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    }

    fn taken_by(outcome: Result<String, Obstacle>) -> PortOwner {
        match outcome {
            Err(Obstacle::Taken(Taken::Port { by, .. })) => by,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_free_port_of_a_range_is_chosen() {
        let mut book = Memory::default();
        book.add_process(8000);
        assert_eq!(choose(&book, &["8000-8002:80"], &Owners::default()).unwrap(), "8001:80/tcp");
    }

    #[test]
    fn an_arbitrary_port_is_none_of_those_with_a_number() {
        let mut book = Memory::default();
        book.set_next_port(9000);
        let chosen = choose(&book, &["80", "9000:81"], &Owners::default()).unwrap();
        assert_eq!(chosen, "9001:80/tcp 9000:81/tcp");
    }

    #[test]
    fn a_port_of_a_process_is_taken() {
        let mut book = Memory::default();
        book.add_process(8080);
        let by = taken_by(choose(&book, &["8080:80"], &Owners::default()));
        assert!(matches!(by, PortOwner::Process(_, _, PortNumber(8080))));
    }

    #[test]
    fn a_claim_is_an_obstacle_until_its_owner_is_looked_at() {
        let mut book = Memory::default();
        book.add_claim(8080, key(5, "green"));
        let Err(Obstacle::Held { owner, claim }) = choose(&book, &["8080:80"], &Owners::default()) else {
            panic!("the claim is in the way");
        };
        let mut alive = Owners::default();
        alive.note_alive(owner, claim);
        assert!(matches!(taken_by(choose(&book, &["8080:80"], &alive)), PortOwner::Endpoint(_)));
        let mut gone = Owners::default();
        gone.note_gone(lease_owner(5, "green"));
        assert_eq!(choose(&book, &["8080:80"], &gone).unwrap(), "8080:80/tcp");
    }

    #[test]
    fn an_endpoint_does_not_publish_one_port_twice() {
        let by = taken_by(choose(&Memory::default(), &["8080:80", "8080:81"], &Owners::default()));
        assert!(matches!(by, PortOwner::Itself(_)));
    }
}
