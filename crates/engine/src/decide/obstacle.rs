//! Obstacles: why an endpoint cannot be decided.
//!
//! # How it works
//! An address, MAC or port may belong to an endpoint whose sandbox is gone. The decision cannot know that, so it
//! returns [`Obstacle::Held`]. The caller looks at the owner, removes it or notes in [`Owners`] that it is alive, and
//! decides again.

use crate::error::Error;
use std::collections::HashSet;
use std::net::IpAddr;
use zubi_model::{Invalid, Mac, PortNumber, PortWish, Protocol, PublishedPort};
use zubi_store::{LeaseOwner, PortClaim, StoreError};

/// Why there is no decision.
#[derive(Debug)]
pub(crate) enum Obstacle {
    /// An endpoint holds it. The caller has to look whether the sandbox of that endpoint still exists.
    Held {
        /// The endpoint.
        owner: LeaseOwner,
        /// Its claim, if this is about a port.
        claim: Option<PortClaim>,
    },
    /// No address is left.
    Exhausted(zubi_ipam::Exhausted),
    /// A live object has it.
    Taken(Taken),
    /// Another error.
    Failed(Error),
}

/// What is taken, and who has it.
#[derive(Debug)]
pub(crate) enum Taken {
    /// An address.
    Address { address: IpAddr, owner: LeaseOwner },
    /// An address that no record names: the caller knows who uses it.
    Unrecorded(IpAddr),
    /// A MAC.
    Mac { mac: Mac, owner: MacOwner },
    /// A port.
    Port { wish: PortWish, by: PortOwner },
}

/// The owner of a MAC.
#[derive(Debug)]
pub(crate) enum MacOwner {
    /// An endpoint of the network.
    Endpoint(LeaseOwner),
    /// The network's own device.
    Device(String),
}

/// The owner of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PortOwner {
    /// Another endpoint publishes it.
    Endpoint(PortClaim),
    /// The endpoint itself publishes an overlapping port.
    Itself(PublishedPort),
    /// A process of the host.
    Process(Protocol, IpAddr, PortNumber),
    /// None of the ports that the kernel chose was usable: how many, and the owner of the last one.
    Every { tries: usize, last: Box<PortOwner> },
    /// The endpoint has no address that a port could lead to.
    NoAddress,
}

/// Endpoints that were obstacles and that the caller has looked at.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    alive: HashSet<(LeaseOwner, Option<PortClaim>)>,
    gone: HashSet<LeaseOwner>,
}

impl Owners {
    /// Notes that an endpoint is alive and has what it claims: this port, or else an address or MAC.
    pub(crate) fn note_alive(&mut self, owner: LeaseOwner, claim: Option<PortClaim>) {
        self.alive.insert((owner, claim));
    }

    /// Notes that an endpoint's sandbox is gone though its records still exist, as in a dry run.
    pub(crate) fn note_gone(&mut self, owner: LeaseOwner) {
        self.gone.insert(owner);
    }

    /// Whether the endpoint is noted as alive.
    pub(crate) fn is_alive(&self, owner: &LeaseOwner, claim: Option<&PortClaim>) -> bool {
        self.alive.contains(&(owner.clone(), claim.cloned()))
    }

    /// Whether the endpoint is noted as gone.
    pub(crate) fn is_gone(&self, owner: &LeaseOwner) -> bool {
        self.gone.contains(owner)
    }
}

impl From<Error> for Obstacle {
    fn from(error: Error) -> Self {
        Obstacle::Failed(error)
    }
}

impl From<Invalid> for Obstacle {
    fn from(error: Invalid) -> Self {
        Obstacle::Failed(error.into())
    }
}

impl From<StoreError> for Obstacle {
    fn from(error: StoreError) -> Self {
        Obstacle::Failed(error.into())
    }
}
