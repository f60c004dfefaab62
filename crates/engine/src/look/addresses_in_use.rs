//! The addresses in use on this host, by whatever.

use crate::error::Error;
use crate::session::Session;
use std::collections::HashMap;
use std::net::IpAddr;
use zubi_ipam::Occupied;
use zubi_model::{Family, IfIndex, Network};
use zubi_plan::Place;
use zubi_wire::route::{LinkSeen, RouteSeen};

/// The routing table of the host's own addresses (linux/rtnetlink.h).
pub(crate) const TABLE_LOCAL: u32 = 255;

/// The main one.
pub(crate) const TABLE_MAIN: u32 = 254;

/// Whether an address means something on one link only.
pub(crate) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// Every route of every table (VPNs keep theirs in tables of their own), every address (the bridge of another
/// engine has no route while it is down) and every network of ours.
pub(crate) fn addresses_in_use(
    session: &mut Session,
    networks: &[Network],
    families: &[Family],
) -> Result<Vec<Occupied>, Error> {
    let mut all: Vec<Occupied> = networks
        .iter()
        .flat_map(|n| n.pools.iter().map(|p| Occupied { net: p.subnet.net(), by: format!("network {}", n.name) }))
        .collect();
    let failed = || Error::kernel("reading the host's routes");
    let links = session.kernel.links(&Place::Host, None).map_err(failed())?;
    let names: HashMap<IfIndex, &str> = links.iter().map(|l: &LinkSeen| (l.index, l.name.as_str())).collect();
    let name = |index: Option<IfIndex>| index.and_then(|i| names.get(&i).copied()).unwrap_or("no device");
    for family in families {
        for route in session.kernel.routes(&Place::Host, *family).map_err(failed())? {
            let RouteSeen { to, device, table, .. } = route;
            let by = match table {
                TABLE_LOCAL => format!("an address of {}", name(device)),
                254 => format!("the route {to} by {}", name(device)),
                _ => format!("the route {to} by {} (table {table})", name(device)),
            };
            all.push(Occupied { net: to, by });
        }
    }
    for address in session.kernel.addresses(&Place::Host, None).map_err(failed())? {
        if families.contains(&Family::of(address.address.addr())) {
            let by = format!("address {} of {}", address.address, name(Some(address.device)));
            all.push(Occupied { net: address.address.trunc(), by });
        }
    }
    Ok(all)
}
