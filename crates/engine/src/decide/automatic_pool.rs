//! Subnets that zubi chooses.

use crate::error::Error;
use zubi_ipam::{AddressPools, Occupied, choose_subnet};
use zubi_model::{Family, NetworkName, Pool, PoolSpec};

/// A pool in a subnet that nothing uses.
pub(crate) fn automatic_pool(
    name: &NetworkName,
    family: Family,
    pools: &AddressPools,
    occupied: &[Occupied],
) -> Result<Pool, Error> {
    let subnet =
        choose_subnet(pools, family, occupied).map_err(|error| Error::NoSubnet { name: name.clone(), error })?;
    Ok(PoolSpec { subnet, gateway: None, range: None, exclude: Vec::new() }.decide()?)
}
