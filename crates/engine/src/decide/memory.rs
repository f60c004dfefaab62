//! Records and host of a test, in memory.

use crate::decide::book::Book;
use crate::error::Error;
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use zubi_kernel::Refusal;
use zubi_model::{
    BridgeNetwork, DefaultRoute, Device, Driver, Egress, Endpoint, EndpointAddress, EndpointId, EndpointKey, Family,
    IfIndex, LinkGroup, Mac, NetnsCookie, Network, NetworkId, NetworkName, NsRef, PoolSpec, PortNumber, Protocol,
    SandboxIdentity, Scope, Traits,
};
use zubi_store::{LeaseOwner, PortClaim};
use zubi_wire::route::{AdminState, DeviceSettings, LinkSeen, Switch};

#[derive(Debug, Default)]
pub(crate) struct Memory {
    leases: HashMap<IpAddr, LeaseOwner>,
    macs: HashMap<Mac, LeaseOwner>,
    cursors: HashMap<(Family, usize), IpAddr>,
    claims: Vec<PortClaim>,
    processes: Vec<u16>,
    next_port: Cell<u16>,
}

impl Memory {
    pub(crate) fn add_lease(&mut self, address: &str, owner: LeaseOwner) {
        self.leases.insert(address.parse().unwrap(), owner);
    }

    pub(crate) fn add_mac(&mut self, mac: Mac, owner: LeaseOwner) {
        self.macs.insert(mac, owner);
    }

    pub(crate) fn add_cursor(&mut self, address: &str, set: usize) {
        let address: IpAddr = address.parse().unwrap();
        self.cursors.insert((Family::of(address), set), address);
    }

    /// Lets an endpoint publish a TCP port at every IPv4 address.
    pub(crate) fn add_claim(&mut self, port: u16, owner: EndpointKey) {
        let address = "0.0.0.0".parse().unwrap();
        self.claims.push(PortClaim { protocol: Protocol::Tcp, address, ports: PortNumber(port).into(), owner });
    }

    /// Lets a process of the host have a port.
    pub(crate) fn add_process(&mut self, port: u16) {
        self.processes.push(port);
    }

    /// Sets the port that the kernel gives next.
    pub(crate) fn set_next_port(&mut self, port: u16) {
        self.next_port.set(port);
    }
}

impl Book for Memory {
    fn is_leased(&self, _: &NetworkName, address: IpAddr) -> Result<bool, Error> {
        Ok(self.leases.contains_key(&address))
    }

    fn lease(&self, _: &NetworkName, address: IpAddr) -> Result<Option<LeaseOwner>, Error> {
        Ok(self.leases.get(&address).cloned())
    }

    fn cursor(&self, _: &NetworkName, family: Family, set: usize) -> Result<Option<IpAddr>, Error> {
        Ok(self.cursors.get(&(family, set)).copied())
    }

    fn mac(&self, _: &NetworkName, mac: Mac) -> Result<Option<LeaseOwner>, Error> {
        Ok(self.macs.get(&mac).cloned())
    }

    fn claims_against(&self, claim: &PortClaim) -> Result<Vec<PortClaim>, Error> {
        Ok(self.claims.iter().filter(|other| other.owner != claim.owner && other.collides(claim)).cloned().collect())
    }

    fn try_port(&self, _: Protocol, _: IpAddr, port: PortNumber) -> Result<(), Refusal> {
        if self.processes.contains(&port.0) { Err(Refusal::InUse) } else { Ok(()) }
    }

    fn any_port(&self, _: Protocol, _: IpAddr, _: &[PortNumber]) -> Result<PortNumber, Refusal> {
        let port = self.next_port.get();
        self.next_port.set(port + 1);
        Ok(PortNumber(port))
    }
}

/// A bridge of the host, as the kernel shows it.
pub(crate) fn bridge_seen(name: &str) -> LinkSeen {
    LinkSeen {
        index: IfIndex(3),
        name: name.into(),
        mac: None,
        mtu: 1500,
        state: AdminState::Up,
        carrier: true,
        promisc: Switch::Off,
        allmulticast: Switch::Off,
        tx_queue: 1000,
        group: LinkGroup::DEFAULT,
        alias: None,
        master: None,
        kind: Some("bridge".into()),
        peer: None,
        peer_netns: None,
        bridge: None,
        vlan: None,
        addr_gen_mode: None,
        settings: DeviceSettings::default(),
        port: None,
    }
}

pub(crate) fn key(cookie: u64, network: &str) -> EndpointKey {
    EndpointKey { cookie: NetnsCookie(cookie), network: network.parse().unwrap() }
}

/// An endpoint as the owner of a lease.
pub(crate) fn lease_owner(cookie: u64, network: &str) -> LeaseOwner {
    LeaseOwner::Endpoint(key(cookie, network))
}

pub(crate) fn identity(cookie: u64) -> SandboxIdentity {
    let name = format!("c{cookie}");
    SandboxIdentity { cookie: NetnsCookie(cookie), reached_by: NsRef::Named(name.parse().unwrap()), spelled: name }
}

pub(crate) fn network(name: &str, subnets: &[&str]) -> Network {
    let pool = |subnet: &&str| {
        let spec = PoolSpec { subnet: subnet.parse().unwrap(), gateway: None, range: None, exclude: Vec::new() };
        spec.decide().unwrap()
    };
    let bridge = BridgeNetwork::new(format!("zb-{name}").parse().unwrap(), "02:00:00:00:00:77".parse().unwrap());
    Network {
        name: name.parse().unwrap(),
        id: NetworkId::from_random([7; 32]),
        created: 0,
        driver: Driver::Bridge(bridge),
        mtu: None,
        pools: subnets.iter().map(pool).collect(),
        scope: Scope::Routed,
        egress: Egress::Masquerade,
        ipam: zubi_model::Ipam::Pools,
        router_advertisements: zubi_model::RouterAdvertisements::Ignored,
        naming: zubi_model::Naming::default(),
        labels: BTreeMap::new(),
    }
}

/// An endpoint with one address, whose inner end is `eth0`.
pub(crate) fn endpoint(cookie: u64, on: &str, address: &str) -> Endpoint {
    let address: IpAddr = address.parse().unwrap();
    Endpoint {
        id: EndpointId::from_random([2; 32]),
        network: on.parse().unwrap(),
        network_id: NetworkId::from_random([7; 32]),
        sandbox: identity(cookie),
        ifname: "eth0".parse().unwrap(),
        mac: Mac::from_address(address),
        next_mac: None,
        handed_over: None,
        dhcp: None,
        device: Device::pair(format!("zv{cookie:010x}").parse().unwrap(), format!("zb-{on}").parse().unwrap()),
        addresses: vec![EndpointAddress { address: ipnet::IpNet::new(address, 24).unwrap(), gateway: None }],
        routes: Vec::new(),
        default_route: DefaultRoute::Eligible,
        displaced: Vec::new(),
        aliases: Vec::new(),
        name_servers: Vec::new(),
        name_files: zubi_model::NameFiles::default(),
        ports: Vec::new(),
        traits: Traits::default(),
        attached_at: 1,
    }
}
