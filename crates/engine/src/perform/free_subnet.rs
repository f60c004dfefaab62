//! A subnet for a network that another program is about to create.

use crate::error::Error;
use crate::look::addresses_in_use::addresses_in_use;
use crate::session::Session;
use ipnet::IpNet;
use zubi_ipam::{Claim, Occupied, choose_subnet};
use zubi_model::{Family, NetworkName, Subnet};
use zubi_snapshot::Snapshot;

/// A subnet out of the pools that nothing on the host uses, beside those that were promised before.
pub(crate) fn free_subnet(
    session: &mut Session,
    name: &NetworkName,
    family: Family,
    promised: &[IpNet],
) -> Result<Subnet, Error> {
    let networks = session.store().networks_lossy().0;
    let mut occupied = addresses_in_use(session, &mut Snapshot::new(), &networks, &[family])?;
    occupied.extend(promised.iter().map(|net| Occupied {
        net: *net,
        claim: Claim::Whole,
        by: "another network that is being made".into(),
    }));
    choose_subnet(&session.pools(), family, &occupied).map_err(|error| Error::NoSubnet { name: name.clone(), error })
}
