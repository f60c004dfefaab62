//! The addresses in use on the host, each with its user.

use crate::error::Error;
use crate::session::Session;
use std::collections::HashMap;
use std::net::IpAddr;
use zubi_ipam::{Claim, Occupied};
use zubi_model::{Family, IfIndex, Network};
use zubi_plan::Place;
use zubi_snapshot::{Needs, NotRead, Snapshot};
use zubi_wire::route::RouteSeen;

/// The routing table of the host's own addresses (linux/rtnetlink.h).
pub(crate) const TABLE_LOCAL: u32 = 255;

/// The main routing table.
pub(crate) const TABLE_MAIN: u32 = 254;

/// Whether an address is valid on one link only.
pub(crate) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// The parts of the host that [`addresses_in_use`] reads.
pub(crate) fn needs(families: &[Family]) -> Needs {
    let needs = Needs::new().links(&Place::Host).addresses(&Place::Host);
    families.iter().fold(needs, |needs, family| needs.routes(&Place::Host, *family))
}

/// All routes, addresses and networks: routes of every table, since VPNs have tables of their own, and addresses, since
/// the bridge of another engine has no route while it is down.
pub(crate) fn addresses_in_use(
    session: &mut Session,
    host: &mut Snapshot,
    networks: &[Network],
    families: &[Family],
) -> Result<Vec<Occupied>, Error> {
    const OBJECT: &str = "reading the host";
    session.read(host, &needs(families), OBJECT)?;
    occupied(host, networks, families).map_err(Error::unread(OBJECT))
}

fn occupied(snapshot: &Snapshot, networks: &[Network], families: &[Family]) -> Result<Vec<Occupied>, NotRead> {
    let whole = |net, by| Occupied { net, claim: Claim::Whole, by };
    let mut all: Vec<Occupied> = networks
        .iter()
        .flat_map(|n| n.pools.iter().map(|p| whole(p.subnet.net(), format!("network {}", n.name))))
        .collect();
    let names: HashMap<IfIndex, &str> =
        snapshot.links(&Place::Host)?.map(|link| (link.index, link.name.as_str())).collect();
    let name = |index: Option<IfIndex>| index.and_then(|i| names.get(&i).copied()).unwrap_or("no device");
    for family in families {
        for RouteSeen { to, device, table, .. } in snapshot.routes(&Place::Host, *family)? {
            all.push(match *table {
                TABLE_LOCAL => whole(*to, format!("an address of {}", name(*device))),
                // Our own routes are in this table, and there the longest prefix decides.
                TABLE_MAIN => {
                    Occupied { net: *to, claim: Claim::Way, by: format!("the route {to} by {}", name(*device)) }
                }
                // It may be asked before.
                table => whole(*to, format!("the route {to} by {} (table {table})", name(*device))),
            });
        }
    }
    for address in snapshot.addresses(&Place::Host)? {
        if families.contains(&Family::of(address.address.addr())) {
            let by = format!("address {} of {}", address.address, name(Some(address.device)));
            all.push(whole(address.address.trunc(), by));
        }
    }
    Ok(all)
}
