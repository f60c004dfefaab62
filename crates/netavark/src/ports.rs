//! Published ports: one list for all networks of a container.

use crate::Error;
use crate::request::PortMapping;
use std::collections::BTreeSet;
use zubi_model::{Family, HostAddress, HostPorts, Invalid, PortNumber, PortRange, PortWish, Protocol};

/// Reads the list without its duplicates.
pub(crate) fn read(mappings: &[PortMapping]) -> Result<Vec<PortWish>, Error> {
    let mut seen = BTreeSet::new();
    let mut wishes = Vec::new();
    for mapping in mappings {
        for wish in read_one(mapping).map_err(|e| Error::from(e).within("port_mappings"))? {
            if seen.insert(wish.to_string()) {
                wishes.push(wish);
            }
        }
    }
    Ok(wishes)
}

/// Removes and returns the ports that an endpoint with these families can publish.
pub(crate) fn take(ports: &mut Vec<PortWish>, families: &[Family]) -> Vec<PortWish> {
    let (taken, left) = ports.drain(..).partition(|port| !port.host.listens(families).is_empty());
    *ports = left;
    taken
}

/// One wish for each protocol.
fn read_one(mapping: &PortMapping) -> Result<Vec<PortWish>, Invalid> {
    let host: HostAddress = mapping.host_ip.parse()?;
    let host_ports = HostPorts::Each(range("host port", mapping.host_port, mapping.range)?);
    let target = range("container port", mapping.container_port, mapping.range)?;
    let protocols = mapping.protocol.split(',').map(str::parse::<Protocol>);
    protocols.map(|protocol| Ok(PortWish { host, host_ports, target, protocol: protocol? })).collect()
}

fn range(what: &'static str, first: u16, count: u16) -> Result<PortRange, Invalid> {
    if first == 0 {
        return Err(Invalid::new(what, first, "is not a number from 1 to 65535"));
    }
    let last = first.checked_add(count.max(1) - 1);
    let range = last.and_then(|last| PortRange::new(PortNumber(first), PortNumber(last)));
    range.ok_or_else(|| Invalid::new(what, first, format!("has no {count} ports from there on")))
}
