//! The network driver: what Docker asks for, as calls of the engine.

use crate::docker::addresses;
use crate::docker::failure::{Failure, refuse};
use crate::docker::part::PART;
use crate::docker::promises::Promises;
use crate::docker::reserved::endpoint_of;
use ipnet::IpNet;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::Notify;
use zubi_docker::reply::{self, Joined};
use zubi_docker::{CreateEndpoint, CreateNetwork, EndpointRef, Intent, Join, Kind, NetworkPool, Publish, name_of_made};
use zubi_engine::{Act, Connected, Error, Session};
use zubi_model::{
    Addressing, DefaultRoute, EndpointAddress, GuestNetwork, MacWish, Network, NetworkId, NetworkSpec, Reservation,
    Wishes,
};

/// Where nobody said how to reach a namespace.
const NOWHERE: &str = "/run/docker/netns/unknown";

/// What outlives a request.
#[derive(Debug)]
pub(super) struct Driver {
    promises: Promises,
    /// Woken when there may be names to ask for.
    changed: Arc<Notify>,
}

impl Driver {
    pub(super) fn new(changed: Arc<Notify>) -> Self {
        Driver { promises: Promises::default(), changed }
    }

    /// Does what a request asks. Returns the text of the answer.
    pub(super) fn perform(&self, session: &mut Session, intent: Intent) -> Result<String, Failure> {
        match intent {
            Intent::Activate => Ok(reply::activated()),
            Intent::NetworkCapabilities => Ok(reply::network_capabilities()),
            Intent::IpamCapabilities => Ok(reply::ipam_capabilities()),
            Intent::AddressSpaces => Ok(reply::address_spaces()),
            Intent::Nothing(_) => Ok(reply::done()),
            Intent::Tell(_) => Ok(reply::no_values()),
            Intent::GatewayCheck => Ok(reply::gateway_check()),
            Intent::CreateNetwork(create) => self.create_network(session, create),
            Intent::DeleteNetwork(id) => delete_network(session, &id),
            Intent::CreateEndpoint(create) => create_endpoint(session, create),
            Intent::DeleteEndpoint(of) => delete_endpoint(session, &of),
            Intent::Join(join) => self.join(session, &join),
            Intent::Leave(of) => leave(session, &of),
            Intent::Publish(publish) => self.publish(session, &publish),
            Intent::Withdraw(of) => withdraw(session, &of),
            Intent::RequestPool(request) => addresses::request_pool(session, &self.promises, request),
            Intent::ReleasePool(pool) => {
                self.promises.hold().remove(|promised| *promised == pool);
                Ok(reply::done())
            }
            Intent::RequestAddress(request) => addresses::request_address(session, &request),
            Intent::ReleaseAddress(pool, address) => addresses::release_address(session, &pool, address),
        }
    }

    fn create_network(&self, session: &mut Session, create: CreateNetwork) -> Result<String, Failure> {
        let CreateNetwork { id, kind, pools, prefix } = create;
        let guest = |network| GuestNetwork { id: id.clone(), network, prefix, name: None };
        match kind {
            Kind::Join(name) => {
                let (network, _) = session.network(&name)?;
                can_be_joined(&network, &pools)?;
                session.keep_guest_network(&guest(name))?;
            }
            Kind::Make(spec) => {
                if made(session, &id).is_none() {
                    session.keep_guest_network(&guest(spec.name.clone()))?;
                    let spec = self.with_ranges(*spec);
                    if let Err(error) = session.create_network(spec, Act::Apply) {
                        session.forget_guest_network(&id)?;
                        return Err(error.into());
                    }
                }
            }
        }
        self.promises.hold().remove(|promised| pools.iter().any(|pool| pool.subnet == promised.subnet));
        self.changed.notify_one();
        Ok(reply::done())
    }

    /// With what only the request for its subnets told.
    fn with_ranges(&self, mut spec: NetworkSpec) -> NetworkSpec {
        let held = self.promises.hold();
        for pool in &mut spec.pools {
            pool.range = held.pools().find(|promised| promised.subnet == pool.subnet).and_then(|p| p.range);
        }
        spec
    }

    fn join(&self, session: &mut Session, join: &Join) -> Result<String, Failure> {
        let guest = guest(session, &join.of.network)?;
        let way = join.sandbox.as_deref().unwrap_or(Path::new(NOWHERE));
        let endpoint = session.hand_over(&guest.network, &join.of.endpoint, way)?.value;
        let device = endpoint.handed_over.as_ref().ok_or_else(|| refuse("the endpoint has no device"))?;
        let mut addresses = endpoint.addresses.clone();
        if endpoint.default_route == DefaultRoute::Never {
            for address in &mut addresses {
                address.gateway = None;
            }
        }
        self.changed.notify_one();
        Ok(reply::joined(&Joined { device, prefix: &guest.prefix, addresses: &addresses, routes: &endpoint.routes }))
    }

    fn publish(&self, session: &mut Session, publish: &Publish) -> Result<String, Failure> {
        if !publish.ports.is_empty() {
            let guest = guest(session, &publish.of.network)?;
            session.publish_handed_over(&guest.network, &publish.of.endpoint, &publish.ports)?;
        }
        self.changed.notify_one();
        Ok(reply::done())
    }
}

/// Whether a network can be that of Docker's, whose subnets Docker knows as `pools`.
fn can_be_joined(network: &Network, pools: &[NetworkPool]) -> Result<(), Failure> {
    let name = &network.name;
    if name.source().is_some() {
        return Err(refuse(format!("network {name} comes and goes with its containers: another program describes it")));
    }
    if network.asks_dhcp() {
        return Err(refuse(format!("network {name} has its addresses from a DHCP server: Docker needs them before")));
    }
    for pool in pools {
        if !network.pools.iter().any(|own| own.subnet == pool.subnet) {
            let own: Vec<String> = network.pools.iter().map(|own| format!("--subnet {}", own.subnet)).collect();
            let (own, subnet) = (own.join(" "), pool.subnet);
            return Err(refuse(format!("network {name} does not have the subnet {subnet}: add {own}")));
        }
    }
    Ok(())
}

/// The network that was made for Docker's network with this number.
fn made(session: &Session, id: &NetworkId) -> Option<Network> {
    session.networks().0.into_iter().find(|network| network.id == *id)
}

fn guest(session: &Session, id: &NetworkId) -> Result<GuestNetwork, Failure> {
    let unknown =
        || refuse(format!("zubi does not know network {}; docker network rm and create make it again", id.short()));
    session.guest_network(id)?.ok_or_else(unknown)
}

/// Docker has no endpoints on the network any more.
fn delete_network(session: &mut Session, id: &NetworkId) -> Result<String, Failure> {
    if let Some(network) = made(session, id) {
        for reservation in session.reservations(&network.name)? {
            if let Some(endpoint) = endpoint_of(&reservation) {
                session.take_back(&network.name, endpoint)?;
                session.unreserve_endpoint(&network.name, endpoint)?;
            }
        }
    }
    // One that a killed daemon has removed in part has no record any more.
    match session.remove_network(&name_of_made(id)?, Connected::Refuse, Act::Apply) {
        Ok(_) | Err(Error::NoNetwork { .. }) => {}
        // Docker forgets its network whatever the answer is.
        Err(stays @ Error::NetworkInUse { .. }) => {
            tracing::warn!(part = PART, "{stays}; it is one of zubi's alone now");
        }
        Err(error) => return Err(error.into()),
    }
    session.forget_guest_network(id)?;
    Ok(reply::done())
}

fn create_endpoint(session: &mut Session, create: CreateEndpoint) -> Result<String, Failure> {
    let CreateEndpoint { of, addresses, mac, answers_mac } = create;
    let guest = guest(session, &of.network)?;
    let (network, _) = session.network(&guest.network)?;
    let reservation = match reservation(session, &network, &of)? {
        // The request came before, and the answer was lost.
        Some(earlier) if addresses.iter().all(|address| has(&earlier, address)) => earlier,
        Some(earlier) => {
            let has: Vec<String> = earlier.addresses.iter().map(|own| own.address.to_string()).collect();
            return Err(refuse(format!("endpoint {} exists, with {}", of.endpoint.short(), has.join(", "))));
        }
        None => {
            let given = addresses.iter().map(|address| in_pool(&network, address)).collect::<Result<_, _>>()?;
            let wishes = Wishes {
                addressing: if addresses.is_empty() { Addressing::Network } else { Addressing::Given(given) },
                mac: mac.map_or(MacWish::FromAddress, MacWish::Given),
                ..Wishes::default()
            };
            let owners = addresses::owners_of(session, &network.name, &addresses)?;
            session.reserve_endpoint_instead(&network.name, &of.endpoint, &wishes, &owners)?
        }
    };
    let mut chosen: Vec<IpNet> = reservation.addresses.iter().map(|own| own.address).collect();
    if !addresses.is_empty() {
        chosen.clear();
    }
    Ok(reply::endpoint(&chosen, reservation.mac.filter(|_| answers_mac)))
}

fn reservation(session: &Session, network: &Network, of: &EndpointRef) -> Result<Option<Reservation>, Failure> {
    let all = session.reservations(&network.name)?;
    Ok(all.into_iter().find(|reservation| endpoint_of(reservation) == Some(&of.endpoint)))
}

fn has(reservation: &Reservation, address: &IpNet) -> bool {
    reservation.addresses.iter().any(|own| own.address.addr() == address.addr())
}

/// An address of Docker's with the way out of its subnet.
fn in_pool(network: &Network, address: &IpNet) -> Result<EndpointAddress, Failure> {
    let pool = network.pools.iter().find(|pool| pool.subnet.has_host(address.addr()));
    let pool = pool.ok_or_else(|| refuse(format!("{address} is in no subnet of network {}", network.name)))?;
    let address = IpNet::new_assert(address.addr(), pool.subnet.net().prefix_len());
    Ok(EndpointAddress { address, gateway: pool.gateway })
}

fn delete_endpoint(session: &mut Session, of: &EndpointRef) -> Result<String, Failure> {
    if let Some(guest) = session.guest_network(&of.network)? {
        session.take_back(&guest.network, &of.endpoint)?;
        session.unreserve_endpoint(&guest.network, &of.endpoint)?;
    }
    Ok(reply::done())
}

fn leave(session: &mut Session, of: &EndpointRef) -> Result<String, Failure> {
    if let Some(guest) = session.guest_network(&of.network)? {
        session.take_back(&guest.network, &of.endpoint)?;
    }
    Ok(reply::done())
}

fn withdraw(session: &mut Session, of: &EndpointRef) -> Result<String, Failure> {
    if let Some(guest) = session.guest_network(&of.network)? {
        session.unpublish_handed_over(&guest.network, &of.endpoint)?;
    }
    Ok(reply::done())
}
