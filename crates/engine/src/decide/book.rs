//! What records and host say about addresses, MACs and ports while an endpoint is decided.

use crate::error::Error;
use std::net::IpAddr;
use zubi_kernel::{BoundPort, Refusal};
use zubi_model::{Family, Mac, NetworkName, PortNumber, Protocol};
use zubi_store::{LeaseOwner, PortClaim, Store};

/// The questions that a decision asks. Tests answer them from memory.
pub(crate) trait Book {
    /// Whether an address is leased. Cheaper than [`Book::lease`]: it does not say to which endpoint.
    fn is_leased(&self, network: &NetworkName, address: IpAddr) -> Result<bool, Error>;
    /// The owner of an address.
    fn lease(&self, network: &NetworkName, address: IpAddr) -> Result<Option<LeaseOwner>, Error>;
    /// The address that was given last from a set of pools: the search begins behind it.
    fn cursor(&self, network: &NetworkName, family: Family, set: usize) -> Result<Option<IpAddr>, Error>;
    /// The owner of a MAC.
    fn mac(&self, network: &NetworkName, mac: Mac) -> Result<Option<LeaseOwner>, Error>;
    /// The claims that keep a port from being claimed.
    fn claims_against(&self, claim: &PortClaim) -> Result<Vec<PortClaim>, Error>;
    /// Whether a process of the host has a port. [`Refusal::InUse`] says that one does.
    fn try_port(&self, protocol: Protocol, address: IpAddr, port: PortNumber) -> Result<(), Refusal>;
    /// A port that no process has, none of `unusable`.
    fn any_port(&self, protocol: Protocol, address: IpAddr, unusable: &[PortNumber]) -> Result<PortNumber, Refusal>;
}

/// Answers from the records and the host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Records<'a>(pub(crate) &'a Store);

impl Book for Records<'_> {
    fn is_leased(&self, network: &NetworkName, address: IpAddr) -> Result<bool, Error> {
        Ok(self.0.is_leased(network, address)?)
    }

    fn lease(&self, network: &NetworkName, address: IpAddr) -> Result<Option<LeaseOwner>, Error> {
        Ok(self.0.lease_owner(network, address)?)
    }

    fn cursor(&self, network: &NetworkName, family: Family, set: usize) -> Result<Option<IpAddr>, Error> {
        Ok(self.0.cursor(network, family, set)?)
    }

    fn mac(&self, network: &NetworkName, mac: Mac) -> Result<Option<LeaseOwner>, Error> {
        Ok(self.0.mac_owner(network, mac)?)
    }

    fn claims_against(&self, claim: &PortClaim) -> Result<Vec<PortClaim>, Error> {
        Ok(self.0.ports_in_the_way(claim)?)
    }

    fn try_port(&self, protocol: Protocol, address: IpAddr, port: PortNumber) -> Result<(), Refusal> {
        BoundPort::take(protocol, address, port).map(drop)
    }

    fn any_port(&self, protocol: Protocol, address: IpAddr, unusable: &[PortNumber]) -> Result<PortNumber, Refusal> {
        // The kernel could choose them again: they are bound while it chooses.
        let _kept: Vec<BoundPort> =
            unusable.iter().filter_map(|port| BoundPort::take(protocol, address, *port).ok()).collect();
        BoundPort::take_any(protocol, address)?.port().map_err(Refusal::Other)
    }
}
