//! What a directory knows of networks and endpoints.

use crate::name::Name;
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::Arc;
use zubi_model::{Alias, Endpoint, EndpointKey, NameService, Network, NetworkName, Pool, Scope};

/// Whether devices of a network that are no endpoints are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guests {
    /// Those with an address of the network's subnets: a machine or a container behind an endpoint.
    Answered,
    /// A LAN can be behind the network's device, and its machines are strangers.
    Ignored,
}

/// A network whose endpoints have names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Its name.
    pub name: NetworkName,
    /// Whether its endpoints may ask about the outside.
    pub reach: Scope,
    /// The host's addresses on it: questions are sent there.
    pub host: Vec<IpAddr>,
    /// Its subnets.
    pub subnets: Vec<IpNet>,
    /// See [`Guests`].
    pub guests: Guests,
    /// The servers that are asked instead of the host's; none for the host's.
    pub servers: Arc<[IpAddr]>,
}

impl Zone {
    /// What a record says; `None` for a network without names.
    pub fn of(network: &Network) -> Option<Zone> {
        (network.naming.service == NameService::On).then(|| Zone {
            name: network.name.clone(),
            reach: network.scope,
            host: network.pools.iter().filter_map(Pool::host_address).map(|on_it| on_it.addr()).collect(),
            subnets: network.pools.iter().map(|pool| pool.subnet.net()).collect(),
            guests: if network.owns_device() && !network.is_on_lan() { Guests::Answered } else { Guests::Ignored },
            servers: network.naming.servers.as_slice().into(),
        })
    }

    /// The label that stands behind the names of its endpoints: what another program calls it.
    pub(crate) fn label(&self) -> Option<Name> {
        let name = self.name.as_str();
        name.split_once(':').map_or(name, |(_, name)| name).parse().ok()
    }
}

/// An endpoint as names lead to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Which endpoint it is.
    pub key: EndpointKey,
    /// Its place among others of the same name and of the same sandbox.
    pub attached_at: u64,
    /// What it answers to on its network; its reverse names, in this order.
    pub names: Vec<Name>,
    /// Where it is.
    pub addresses: Vec<IpAddr>,
    /// The servers that are asked for it instead of those of its networks.
    pub servers: Arc<[IpAddr]>,
}

/// How many digits of a number programs show and take as a name. Docker's and Podman's `ps` do.
const SHORT: usize = 12;

impl Member {
    /// What a record says. `further` are names that the record has not.
    pub fn of(endpoint: &Endpoint, further: &[Alias]) -> Member {
        let given = endpoint.names();
        let mut names: Vec<Name> = Vec::with_capacity(given.len() + further.len() + 1);
        let short = endpoint.id.to_string().get(..SHORT).and_then(|short| short.parse().ok());
        for name in given.iter().chain(further).filter_map(Name::of_alias).chain(short) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Member {
            key: endpoint.key(),
            attached_at: endpoint.attached_at,
            names,
            addresses: endpoint.addresses.iter().map(|one| one.address.addr()).collect(),
            servers: endpoint.name_servers.as_slice().into(),
        }
    }
}
