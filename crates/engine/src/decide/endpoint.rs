//! The decision about an endpoint: takes the wishes, and chooses the rest from records and host.

use crate::decide::address::{self, Cursor};
use crate::decide::book::Book;
use crate::decide::obstacle::{Obstacle, Owners};
use crate::decide::{mac, port};
use std::net::IpAddr;
use zubi_model::{
    Addressing, Device, DisplacedRoute, Endpoint, EndpointId, Family, IfName, Mac, MovedDevice, NameFiles, Network,
    SandboxIdentity, Traits, Wishes,
};
use zubi_plan::Taken;
use zubi_plan::default_route::may_default;
use zubi_store::LeaseOwner;

/// The input of the decision.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) network: &'a Network,
    pub(crate) sandbox: SandboxIdentity,
    pub(crate) ifname: IfName,
    /// Its name on the host, if another program moves it inside.
    pub(crate) handed_over: Option<IfName>,
    pub(crate) wishes: &'a Wishes,
    pub(crate) birth: Birth,
    /// Addresses that somebody without a record uses.
    pub(crate) avoided: Vec<IpAddr>,
    pub(crate) owners: Owners,
    /// The default routes of other programs that its own takes the place of.
    pub(crate) displaced: Vec<DisplacedRoute>,
    /// Whether files are to tell its sandbox's programs who answers names.
    pub(crate) name_files: NameFiles,
    /// The pair that it takes over.
    pub(crate) taken: Option<&'a Taken>,
    /// The device of the host that it is.
    pub(crate) moved: Option<&'a MovedDevice>,
}

/// The parts of a new endpoint that come from random numbers and the clock.
#[derive(Debug, Clone)]
pub(crate) struct Birth {
    pub(crate) id: EndpointId,
    /// Its MAC, if none is made from an address.
    pub(crate) mac: Mac,
    /// The name of its host end.
    pub(crate) host_device: IfName,
    /// Nanoseconds of the boot clock.
    pub(crate) attached_at: u64,
}

/// A decided endpoint. Nothing is claimed yet.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) endpoint: Endpoint,
    pub(crate) cursors: Vec<Cursor>,
}

/// Decides an endpoint.
pub(crate) fn endpoint(ask: &Ask<'_>, book: &dyn Book) -> Result<Decided, Obstacle> {
    let Ask { network, wishes, owners, .. } = ask;
    let host_end = wishes.host_device.clone().unwrap_or_else(|| ask.birth.host_device.clone());
    let device = |key| match ask.moved {
        Some(moved) => Device::Moved(Box::new(moved.clone())),
        None => network.device_of_endpoint(host_end.clone(), key),
    };
    let mut endpoint = Endpoint {
        id: ask.birth.id.clone(),
        network: network.name.clone(),
        network_id: network.id.clone(),
        sandbox: ask.sandbox.clone(),
        ifname: ask.ifname.clone(),
        mac: ask.birth.mac,
        next_mac: None,
        handed_over: ask.handed_over.clone(),
        dhcp: None,
        device: device(ask.birth.mac),
        addresses: Vec::new(),
        routes: wishes.routes.clone(),
        default_route: may_default(network, wishes.default_route),
        displaced: Vec::new(),
        aliases: wishes.aliases.clone(),
        name_servers: wishes.name_servers.clone(),
        name_files: ask.name_files,
        ports: Vec::new(),
        traits: Traits { router_advertisements: network.router_advertisements, ..wishes.traits },
        attached_at: ask.birth.attached_at,
    };
    // What is reserved stays the reservation's.
    let reservation = wishes.reservation.as_ref().map(LeaseOwner::reservation_of);
    let key = reservation.unwrap_or_else(|| LeaseOwner::Endpoint(endpoint.key()));
    let chosen =
        address::of_endpoint(network, &key, &wishes.addressing, &wishes.addresses, &ask.avoided, book, owners)?;
    endpoint.addresses = chosen.addresses;
    let mac = mac::of_endpoint(network, &key, &endpoint.addresses, wishes.mac, ask.birth.mac, book, owners)?;
    endpoint.device = device(mac);
    endpoint.mac = network.shared_mac().unwrap_or(mac);
    let gives = |displaced: &&DisplacedRoute| {
        let family = Family::of(displaced.route.to.addr());
        endpoint.addresses.iter().filter_map(|own| own.gateway).any(|gateway| Family::of(gateway) == family)
    };
    endpoint.displaced = ask.displaced.iter().filter(gives).cloned().collect();
    endpoint.ports = port::of_endpoint(network, &endpoint, &wishes.ports, book, owners)?;
    Ok(Decided { endpoint, cursors: chosen.cursors })
}

/// The families in which an endpoint can have addresses.
pub(crate) fn families(network: &Network, addressing: &Addressing) -> Vec<Family> {
    let mut families: Vec<Family> = match addressing {
        Addressing::Network => {
            let by_dhcp = network.asks_dhcp().then_some(Family::V4);
            network.pools.iter().map(|p| p.subnet.family()).chain(by_dhcp).collect()
        }
        Addressing::Sets(sets) => sets.iter().flatten().map(|p| p.subnet.family()).collect(),
        Addressing::Given(given) => given.iter().map(|a| Family::of(a.address.addr())).collect(),
    };
    families.sort_unstable();
    families.dedup();
    families
}

/// Whether an endpoint has a gateway in a family that it has addresses in.
pub(crate) fn leads_out(network: &Network, addressing: &Addressing, family: Family) -> bool {
    match addressing {
        Addressing::Given(given) => given.iter().filter_map(|a| a.gateway).any(|gateway| Family::of(gateway) == family),
        Addressing::Network | Addressing::Sets(_) => network.gives_default_route(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::memory::{Memory, identity, network};
    use zubi_model::DefaultRoute;

    fn decide(network: &Network, wishes: &Wishes) -> Endpoint {
        let ask = Ask {
            network,
            sandbox: identity(7),
            ifname: "eth0".parse().unwrap(),
            handed_over: None,
            wishes,
            birth: Birth {
                id: EndpointId::from_random([1; 32]),
                mac: "02:00:00:00:00:01".parse().unwrap(),
                host_device: "zv0000000001".parse().unwrap(),
                attached_at: 9,
            },
            avoided: Vec::new(),
            owners: Owners::default(),
            displaced: Vec::new(),
            name_files: NameFiles::default(),
            taken: None,
            moved: None,
        };
        endpoint(&ask, &Memory::default()).unwrap().endpoint
    }

    #[test]
    fn what_is_not_wished_is_chosen() {
        let blue = network("blue", &["10.55.66.0/24"]);
        let endpoint = decide(&blue, &Wishes::default());
        assert_eq!(endpoint.addresses[0].address.to_string(), "10.55.66.2/24");
        assert_eq!(endpoint.mac, Mac::from_address("10.55.66.2".parse().unwrap()));
        assert_eq!(endpoint.host_device().unwrap().as_str(), "zv0000000001");
    }

    #[test]
    fn an_internal_network_gives_no_default_route() {
        let mut blue = network("blue", &["10.55.66.0/24"]);
        blue.scope = zubi_model::Scope::Internal;
        assert_eq!(decide(&blue, &Wishes::default()).default_route, DefaultRoute::Never);
    }
}
