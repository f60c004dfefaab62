//! Wishes: what a caller asks of an endpoint.

use crate::{
    Alias, DefaultRoute, DhcpWishes, Endpoint, EndpointAddress, EndpointId, Follow, IfName, Invalid, Mac, Pool,
    PortWish, Reservation, StaticRoute, Traits,
};
use std::net::IpAddr;
use std::str::FromStr;

/// Which MAC the inner end gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacWish {
    /// Derived from the address, see [`Mac::from_address`].
    FromAddress,
    /// Random.
    Random,
    /// This one.
    Given(Mac),
}

impl FromStr for MacWish {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == "random" { Ok(MacWish::Random) } else { text.parse().map(MacWish::Given) }
    }
}

/// Where the addresses of an endpoint come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Addressing {
    /// One of each family the network has.
    #[default]
    Network,
    /// One from each of these sets of pools, all of one family.
    Sets(Vec<Vec<Pool>>),
    /// These, which another program chose; an empty list for a device without addresses.
    Given(Vec<EndpointAddress>),
}

/// Whether the LAN is asked who has an address before the endpoint uses it for the first time (RFC 5227).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Probe {
    /// On networks with a LAN.
    #[default]
    Usual,
    /// Never.
    Skip,
}

/// What a caller wishes of an endpoint; everything left out is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    /// The name of the sandbox from now on, when not the one it was found by.
    pub called: Option<String>,
    /// Where addresses come from.
    pub addressing: Addressing,
    /// Which of those; at most one per subnet.
    pub addresses: Vec<IpAddr>,
    /// The name of the host end; chosen when absent.
    pub host_device: Option<IfName>,
    /// The end on the host of a pair that somebody made, to be taken over instead of making one.
    pub taken: Option<IfName>,
    /// See [`Traits`].
    pub traits: Traits,
    /// The MAC of the inner end.
    pub mac: MacWish,
    /// The name of the inner end; `eth0`, `eth1`... when absent.
    pub ifname: Option<IfName>,
    /// Further names.
    pub aliases: Vec<Alias>,
    /// The servers that are asked about names elsewhere, instead of those of its networks.
    pub name_servers: Vec<IpAddr>,
    /// Further routes.
    pub routes: Vec<StaticRoute>,
    /// See [`DefaultRoute`].
    pub default_route: DefaultRoute,
    /// Ports to publish.
    pub ports: Vec<PortWish>,
    /// See [`DhcpWishes`].
    pub dhcp: DhcpWishes,
    /// See [`Probe`].
    pub probe: Probe,
    /// The endpoint was reserved under this number: it gets the reservation's addresses, MAC and names.
    pub reservation: Option<EndpointId>,
    /// See [`Follow`].
    pub follow: Follow,
}

impl Default for Wishes {
    fn default() -> Self {
        Wishes {
            called: None,
            addressing: Addressing::Network,
            addresses: Vec::new(),
            host_device: None,
            taken: None,
            traits: Traits::default(),
            mac: MacWish::FromAddress,
            ifname: None,
            aliases: Vec::new(),
            name_servers: Vec::new(),
            routes: Vec::new(),
            default_route: DefaultRoute::Eligible,
            ports: Vec::new(),
            dhcp: DhcpWishes::default(),
            probe: Probe::default(),
            reservation: None,
            follow: Follow::default(),
        }
    }
}

impl Wishes {
    /// What a reservation says replaces what was wished otherwise; its names come first.
    #[must_use]
    pub fn as_reserved(mut self, reservation: &Reservation) -> Self {
        self.addressing = Addressing::Given(reservation.addresses.clone());
        self.addresses.clear();
        self.mac = reservation.mac.map_or(self.mac, MacWish::Given);
        let further = std::mem::replace(&mut self.aliases, reservation.names.clone());
        self.aliases.extend(further.into_iter().filter(|name| !reservation.names.contains(name)));
        self
    }

    /// Fills in what is not wished from an earlier endpoint of the same sandbox and network.
    #[must_use]
    pub fn or_as_before(mut self, earlier: &Endpoint) -> Self {
        if self.addresses.is_empty() {
            // A DHCP server is asked again.
            let leased = earlier.lease().map(|lease| IpAddr::V4(lease.address.addr()));
            let all = earlier.addresses.iter().map(|a| a.address.addr());
            self.addresses = all.filter(|address| Some(*address) != leased).collect();
            if self.mac == MacWish::FromAddress {
                self.mac = MacWish::Given(earlier.mac);
            }
        }
        if let Some(dhcp) = &earlier.dhcp {
            self.dhcp.client = self.dhcp.client.take().or_else(|| dhcp.client.clone());
            if self.dhcp.told.is_empty() {
                self.dhcp.told.clone_from(&dhcp.told);
            }
        }
        if self.traits == Traits::default() {
            self.traits = earlier.traits;
        }
        self.ifname.get_or_insert_with(|| earlier.ifname.clone());
        if self.aliases.is_empty() {
            self.aliases.clone_from(&earlier.aliases);
        }
        if self.name_servers.is_empty() {
            self.name_servers.clone_from(&earlier.name_servers);
        }
        if self.routes.is_empty() {
            self.routes.clone_from(&earlier.routes);
        }
        if self.default_route == DefaultRoute::Eligible {
            self.default_route = earlier.default_route;
        }
        if self.ports.is_empty() {
            self.ports = earlier.ports.iter().map(|port| PortWish::from(*port)).collect();
        }
        self
    }
}
