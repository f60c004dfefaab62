//! What keeps a decision from being made.
//!
//! # How it works
//! An address, MAC or port may be held by an endpoint whose sandbox is gone. A decision cannot know, so it stops at
//! [`Obstacle::Held`]: the caller looks, removes the endpoint or notes that it lives ([`Owners`]), and decides again.

use crate::error::Error;
use std::collections::HashSet;
use std::net::IpAddr;
use zubi_model::{Invalid, Mac, PortNumber, PortWish, Protocol, PublishedPort};
use zubi_store::{LeaseOwner, PortClaim, StoreError};

/// Why there is no decision yet, or none at all.
#[derive(Debug)]
pub(crate) enum Obstacle {
    /// An endpoint holds it, and whether its sandbox is still there has not been looked at.
    Held {
        /// The endpoint.
        owner: LeaseOwner,
        /// Its claim, where it is about a port.
        claim: Option<PortClaim>,
    },
    /// No address is left.
    Exhausted(zubi_ipam::Exhausted),
    /// Something that lives has it.
    Taken(Taken),
    /// Anything else.
    Failed(Error),
}

/// What is taken, and by what.
#[derive(Debug)]
pub(crate) enum Taken {
    /// An address.
    Address { address: IpAddr, owner: LeaseOwner },
    /// A MAC.
    Mac { mac: Mac, owner: MacOwner },
    /// A port.
    Port { wish: PortWish, by: PortOwner },
}

/// What has a MAC.
#[derive(Debug)]
pub(crate) enum MacOwner {
    /// An endpoint of the network.
    Endpoint(LeaseOwner),
    /// The network's own device.
    Device(String),
}

/// What has a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PortOwner {
    /// Another endpoint publishes it.
    Endpoint(PortClaim),
    /// The endpoint itself publishes one that overlaps it.
    Itself(PublishedPort),
    /// A process of the host.
    Process(Protocol, IpAddr, PortNumber),
    /// Of so many ports that the kernel gave none was usable; the last one's owner.
    Every { tries: usize, last: Box<PortOwner> },
    /// The endpoint has no address that a port could lead to.
    NoAddress,
}

/// What is known of endpoints that were in the way.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    alive: HashSet<(LeaseOwner, Option<PortClaim>)>,
    gone: HashSet<LeaseOwner>,
}

impl Owners {
    /// Notes that an endpoint lives and holds what it claims: this port, or an address or MAC.
    pub(crate) fn note_alive(&mut self, owner: LeaseOwner, claim: Option<PortClaim>) {
        self.alive.insert((owner, claim));
    }

    /// Notes that an endpoint's sandbox is gone while its records are still there, as in a dry run.
    pub(crate) fn note_gone(&mut self, owner: LeaseOwner) {
        self.gone.insert(owner);
    }

    /// Whether that is noted.
    pub(crate) fn is_alive(&self, owner: &LeaseOwner, claim: Option<&PortClaim>) -> bool {
        self.alive.contains(&(owner.clone(), claim.cloned()))
    }

    /// Whether that is noted.
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
