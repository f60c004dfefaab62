//! Addresses, MACs and ports in use, as records and host have them, for the decision about an endpoint.

use crate::error::Error;
use std::net::IpAddr;
use zubi_kernel::{BoundPort, Refusal};
use zubi_model::{Family, Mac, NetworkName, PortNumber, Protocol};
use zubi_store::{LeaseOwner, PortClaim, Store};

/// The questions of a decision. Tests answer them from memory.
pub(crate) trait Book {
    /// Whether an address is leased. This is cheaper than [`Book::lease`], which reads the owner.
    fn is_leased(&self, network: &NetworkName, address: IpAddr) -> Result<bool, Error>;
    /// The owner of an address.
    fn lease(&self, network: &NetworkName, address: IpAddr) -> Result<Option<LeaseOwner>, Error>;
    /// The last address given from a set of pools: the search starts behind it.
    fn cursor(&self, network: &NetworkName, family: Family, set: usize) -> Result<Option<IpAddr>, Error>;
    /// The owner of a MAC.
    fn mac(&self, network: &NetworkName, mac: Mac) -> Result<Option<LeaseOwner>, Error>;
    /// The claims of other endpoints that collide with this one.
    fn claims_against(&self, claim: &PortClaim) -> Result<Vec<PortClaim>, Error>;
    /// Tries to bind a port. [`Refusal::InUse`] means: a process of the host has it.
    fn try_port(&self, protocol: Protocol, address: IpAddr, port: PortNumber) -> Result<(), Refusal>;
    /// A port that no process has, and that is not in `unusable`.
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
        // These ports stay bound while the kernel chooses, otherwise it could choose them again.
        let _kept: Vec<BoundPort> =
            unusable.iter().filter_map(|port| BoundPort::take(protocol, address, *port).ok()).collect();
        BoundPort::take_any(protocol, address)?.port().map_err(Refusal::Other)
    }
}
