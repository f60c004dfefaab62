//! Decides, then claims: an endpoint's addresses, MAC and ports are claimed under the same locks under which they were
//! decided, so that no other command can choose the same ones in between.
//!
//! # How it works
//! An endpoint whose sandbox is gone may block a decision. It is examined and removed without these locks, since a
//! removal takes locks of its own; then the decision is repeated.

use crate::decide::book::Records;
use crate::decide::endpoint::{Ask, Decided, endpoint};
use crate::decide::obstacle::{MacOwner, Obstacle, Owners, PortOwner, Taken};
use crate::decide::{address, mac, port};
use crate::error::Error;
use crate::fault::Fault;
use crate::heal::gone::{free_if_gone, remove_gone};
use crate::heal::ports::release_unrecorded;
use crate::look::clock::nanoseconds;
use crate::look::given_elsewhere::{GivenElsewhere, given_elsewhere, holder};
use crate::random::random;
use crate::report::Act;
use crate::session::Session;
use crate::steps::claim::{
    Claimed, claim, claim_ports, lease_owner_name, owner_name, release_ports, reservation_in_use, reserve_all, user_of,
};
use crate::undo::followed::forget_deleted;
use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;
use zubi_kernel::listeners;
use zubi_model::{
    Endpoint, EndpointId, Mac, MacWish, Network, NetworkName, PortWish, Probe, PublishedPort, Reservation, Wishes,
};
use zubi_plan::firewall::endpoint_element;
use zubi_store::{HostLock, LeaseOwner, PortClaim};
use zubi_wire::nft::Element;

/// How long a neighbour is given to answer for an address.
const PROBE: Duration = Duration::from_millis(300);

/// Decides an endpoint and claims what it needs; in a dry run it only decides.
pub(crate) fn settle(session: &mut Session, host: &HostLock, ask: &mut Ask<'_>, act: Act) -> Result<Endpoint, Error> {
    let network = ask.network;
    let own = if let MacWish::Given(mac) = ask.wishes.mac { Some(mac) } else { None };
    let mut given = given_elsewhere(session, network, own)?;
    if let Some(taken) = ask.taken {
        // A pair that is taken over keeps its address.
        given.retain(|given| !taken.addresses.iter().any(|own| own.addr() == given.address));
    }
    if let Some(moved) = ask.moved {
        // The host's addresses on a device go with it.
        given.retain(|given| !moved.held.addresses.iter().any(|own| own.address.addr() == given.address));
    }
    ask.avoided.extend(given.iter().map(|given| given.address));
    let mut way = Way::new(&network.name, &ask.sandbox.spelled, given);
    if let Some(id) = &ask.wishes.reservation
        && let Some(user) = user_of(session, &network.name, id)?
    {
        // Its sandbox may have gone.
        free_if_gone(session, host, &user.key(), act)?;
    }
    let mut unasked: Vec<IpAddr> = Vec::new();
    let mut silent: HashSet<IpAddr> = HashSet::new();
    loop {
        let answers = probe(session, network, &unasked)?;
        silent.extend(std::mem::take(&mut unasked));
        for (address, mac) in answers {
            if !ask.wishes.addresses.contains(&address) {
                session.note(format!("{address} is in use on the LAN, by {mac}"));
            }
            way.given.push(GivenElsewhere::to_neighbour(address, mac, network.device().clone()));
            ask.avoided.push(address);
        }
        let obstacle = {
            let leases = if act == Act::Apply { Some(session.store().lock_leases(host, &network.name)?) } else { None };
            if let Some(id) = &ask.wishes.reservation
                && let Some(user) = user_of(session, &network.name, id)?
            {
                return Err(reservation_in_use(user));
            }
            let needs_ports = act == Act::Apply && !ask.wishes.ports.is_empty();
            let ports = if needs_ports { Some(session.store().lock_ports(host)?) } else { None };
            match endpoint(ask, &Records(session.store())) {
                // In a dry run, the firewall still has the elements of endpoints whose sandbox is gone.
                Ok(Decided { endpoint, cursors }) => {
                    let Some(leases) = &leases else { return Ok(endpoint) };
                    if let Some(used) = used_without_record(session, network, &endpoint)? {
                        // The decision passes over these, unless the address is reserved for this endpoint.
                        if ask.avoided.contains(&used) {
                            return Err(way.taken(session, Taken::Unrecorded(used))?);
                        }
                        ask.avoided.push(used);
                        continue;
                    }
                    let own = endpoint.addresses.iter().map(|own| own.address.addr());
                    unasked = own.filter(|own| is_probed(ask) && !silent.contains(own)).collect();
                    if !unasked.is_empty() {
                        // The LAN is asked without these locks.
                        continue;
                    }
                    claim(
                        session,
                        leases,
                        network,
                        Claimed { endpoint: &endpoint, cursors: &cursors, taken: ask.taken },
                        ports.as_ref(),
                    )?;
                    return Ok(endpoint);
                }
                Err(obstacle) => obstacle,
            }
        };
        way.clear(session, host, &mut ask.owners, obstacle, act)?;
    }
}

/// Whether the LAN is asked who has the addresses of an endpoint.
fn is_probed(ask: &Ask<'_>) -> bool {
    ask.network.is_on_lan() && ask.wishes.probe == Probe::Usual
}

/// Asks the LAN who has these addresses. Returns those who answer: none in a VLAN that the host is not in.
pub(crate) fn probe(
    session: &mut Session,
    network: &Network,
    addresses: &[IpAddr],
) -> Result<Vec<(IpAddr, Mac)>, Error> {
    if network.is_beside_host() {
        return Ok(Vec::new());
    }
    let failed = Error::kernel(format!("network {}: asking who has an address", network.name));
    session.kernel.answers(network.device(), addresses, PROBE).map_err(failed)
}

/// Decides what a reserved endpoint will have, and reserves it, in place of what the owners in `instead` have.
pub(crate) fn settle_reservation(
    session: &mut Session,
    host: &HostLock,
    network: &Network,
    id: &EndpointId,
    kept_for: Option<&str>,
    wishes: &Wishes,
    instead: &[String],
) -> Result<Reservation, Error> {
    let own = LeaseOwner::reservation_of(id);
    let given = given_elsewhere(session, network, None)?;
    let avoided: Vec<IpAddr> = given.iter().map(|given| given.address).collect();
    let mut way = Way::new(&network.name, &id.reservation_owner(), given);
    let mut owners = Owners::default();
    let random_mac = Mac::from_random(random()?);
    loop {
        let obstacle = {
            let leases = session.store().lock_leases(host, &network.name)?;
            for owner in instead {
                session.store().unreserve(&leases, owner)?;
            }
            let book = Records(session.store());
            let Wishes { addressing, addresses, mac, aliases, .. } = wishes;
            let decided = address::of_endpoint(network, &own, addressing, addresses, &avoided, &book, &owners)
                .and_then(|chosen| {
                    let mac = mac::of_endpoint(network, &own, &chosen.addresses, *mac, random_mac, &book, &owners)?;
                    Ok((chosen, mac))
                });
            match decided {
                Ok((chosen, mac)) => {
                    let reservation = Reservation {
                        id: Some(id.clone()),
                        owner: id.reservation_owner(),
                        network: network.name.clone(),
                        addresses: chosen.addresses,
                        mac: Some(mac),
                        names: aliases.clone(),
                        kept_for: kept_for.map(ToOwned::to_owned),
                        made_at: nanoseconds()?,
                    };
                    reserve_all(session, &leases, &reservation, &chosen.cursors)?;
                    return Ok(reservation);
                }
                Err(obstacle) => obstacle,
            }
        };
        way.clear(session, host, &mut owners, obstacle, Act::Apply)?;
    }
}

/// Decides further ports of an endpoint and claims them; in a dry run it only decides. The caller holds the sandbox's
/// lock, so no other command takes the claims for leftovers before the record names them.
pub(crate) fn settle_ports(
    session: &mut Session,
    host: &HostLock,
    network: &Network,
    endpoint: &Endpoint,
    wishes: &[PortWish],
    act: Act,
) -> Result<Vec<PublishedPort>, Error> {
    let mut way = Way::new(&network.name, &endpoint.sandbox.spelled, Vec::new());
    let mut owners = Owners::default();
    loop {
        let obstacle = {
            let held = session.store().lock_ports(host)?;
            match port::of_endpoint(network, endpoint, wishes, &Records(session.store()), &owners) {
                Ok(chosen) if act == Act::Show => return Ok(chosen),
                Ok(chosen) => {
                    let claimed = claim_ports(session, endpoint, &chosen, &held);
                    return claimed.map(|()| chosen.clone()).map_err(|error| {
                        error.after_undo(Fault::muted(|| release_ports(session, endpoint, &chosen, &held)))
                    });
                }
                Err(obstacle) => obstacle,
            }
        };
        way.clear(session, host, &mut owners, obstacle, act)?;
    }
}

/// An address that is free in the records, but that an element of the firewall assigns to an endpoint: the endpoint
/// exists, and its record is lost.
fn used_without_record(session: &mut Session, network: &Network, endpoint: &Endpoint) -> Result<Option<IpAddr>, Error> {
    let addresses: Vec<IpAddr> = endpoint.addresses.iter().map(|a| a.address.addr()).collect();
    if addresses.is_empty() || !network.is_firewalled() {
        return Ok(None);
    }
    let elements: Vec<Element> = addresses.iter().map(|address| endpoint_element(network.device(), *address)).collect();
    let there = session.kernel.have_elements(&elements).map_err(Error::kernel("firewall"))?;
    Ok(addresses.into_iter().zip(there).find(|(_, there)| *there).map(|(address, _)| address))
}

/// The obstacles that were removed so far on the way to a decision.
pub(crate) struct Way<'a> {
    network: &'a NetworkName,
    sandbox: String,
    cleared: HashSet<(LeaseOwner, Option<PortClaim>)>,
    has_removed_gone: bool,
    given: Vec<GivenElsewhere>,
}

impl<'a> Way<'a> {
    pub(crate) fn new(network: &'a NetworkName, sandbox: &str, given: Vec<GivenElsewhere>) -> Self {
        Way { network, sandbox: sandbox.to_owned(), cleared: HashSet::new(), has_removed_gone: false, given }
    }

    /// Removes an obstacle or notes its owner. Fails if the obstacle stays and there is no alternative.
    pub(crate) fn clear(
        &mut self,
        session: &mut Session,
        host: &HostLock,
        owners: &mut Owners,
        obstacle: Obstacle,
        act: Act,
    ) -> Result<(), Error> {
        match obstacle {
            Obstacle::Failed(error) => Err(error),
            Obstacle::Taken(taken) => Err(self.taken(session, taken)?),
            Obstacle::Exhausted(error) if self.has_removed_gone || act == Act::Show => {
                Err(Error::Exhausted { network: self.network.clone(), error })
            }
            Obstacle::Exhausted(_) => {
                self.has_removed_gone = true;
                remove_gone(session, host, Some(self.network))?;
                forget_deleted(session, host, Some(self.network), act).map(drop)
            }
            Obstacle::Held { owner, claim } => {
                let mut is_free = match &owner {
                    LeaseOwner::Endpoint(key) => free_if_gone(session, host, key, act)?,
                    // A reservation stays until its owner gives it back.
                    LeaseOwner::Reservation(_) => false,
                };
                if is_free && act == Act::Show {
                    owners.note_gone(owner);
                    return Ok(());
                }
                if let Some(claim) = &claim
                    && act == Act::Apply
                {
                    // A killed command may have claimed a port that no record names.
                    is_free |= release_unrecorded(session, host, claim)?;
                }
                // An obstacle that was removed once and is back cannot be removed.
                if !is_free || !self.cleared.insert((owner.clone(), claim.clone())) {
                    owners.note_alive(owner, claim);
                }
                Ok(())
            }
        }
    }

    fn taken(&self, session: &mut Session, taken: Taken) -> Result<Error, Error> {
        let network = self.network.clone();
        Ok(match taken {
            Taken::Address { address, owner } => {
                Error::AddressTaken { network, address, owner: lease_owner_name(session, &owner)? }
            }
            Taken::Unrecorded(address) => {
                let owner = match self.given.iter().find(|given| given.address == address) {
                    Some(given) => holder(session, given)?,
                    None => "a device that no record names (zubi check tells which)".into(),
                };
                Error::AddressTaken { network, address, owner }
            }
            Taken::Mac { mac, owner: MacOwner::Device(owner) } => Error::MacTaken { network, mac, owner },
            Taken::Mac { mac, owner: MacOwner::Endpoint(owner) } => {
                Error::MacTaken { network, mac, owner: lease_owner_name(session, &owner)? }
            }
            Taken::Port { wish, by } => Error::PortTaken {
                network,
                sandbox: self.sandbox.clone(),
                port: wish.to_string(),
                by: port_owner(session, &by)?,
            },
        })
    }
}

/// The owner of a port, in words.
fn port_owner(session: &Session, owner: &PortOwner) -> Result<String, Error> {
    Ok(match owner {
        PortOwner::Itself(other) => format!("overlaps {other}, which it publishes too"),
        PortOwner::Endpoint(claim) => {
            let owner = owner_name(session, &claim.owner)?;
            let PortClaim { protocol, ports, .. } = claim;
            format!("{protocol} port {ports} is published by {owner} on network {}", claim.owner.network)
        }
        PortOwner::Process(protocol, address, port) => {
            let listener = listeners().into_iter().find(|l| l.wants(*protocol, *address, (*port).into()));
            let process = listener.and_then(|l| l.process());
            let process = process.unwrap_or_else(|| "that cannot be seen from here".into());
            format!("{protocol} port {port} is used by process {process}")
        }
        PortOwner::Every { tries, last } => {
            format!("no free port was found in {tries} tries; the last: {}", port_owner(session, last)?)
        }
        PortOwner::NoAddress => "the endpoint has no address".into(),
    })
}
