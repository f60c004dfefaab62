//! What a new network has around it.

use zubi_ipam::{AddressPools, Occupied};
use zubi_model::Network;
use zubi_snapshot::Snapshot;

/// Host and records, which a new network must not conflict with.
#[derive(Debug)]
pub(crate) struct Neighbourhood<'a> {
    /// All networks.
    pub(crate) networks: &'a [Network],
    /// Address ranges in use, each with its user.
    pub(crate) occupied: &'a [Occupied],
    /// The host, with its devices.
    pub(crate) host: &'a Snapshot,
    /// The pools of automatic subnets.
    pub(crate) pools: &'a AddressPools,
}
