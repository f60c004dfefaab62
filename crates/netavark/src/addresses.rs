//! Addresses that Podman chose for a container, and addresses of DNS servers.

use crate::Error;
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::net::IpAddr;
use zubi_model::{EndpointAddress, Family, Invalid, Pool};

/// Reads one address; an IPv4-mapped one (`::ffff:10.0.0.1`) is IPv4.
pub(crate) fn one(what: &'static str, text: &str) -> Result<IpAddr, Invalid> {
    let address: IpAddr = text.parse().map_err(|_| Invalid::new(what, text, "is not an IP address"))?;
    Ok(address.to_canonical())
}

/// Reads addresses; a duplicate is an error.
pub(crate) fn distinct(what: &'static str, texts: &[String]) -> Result<Vec<IpAddr>, Error> {
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for text in texts {
        let address = one(what, text)?;
        if !seen.insert(address) {
            return Err(Error::twice(what, &address));
        }
        all.push(address);
    }
    Ok(all)
}

/// Reads DNS servers, without duplicates.
pub(crate) fn servers(texts: &[String]) -> Result<Vec<IpAddr>, Error> {
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for text in texts {
        let server = one("DNS server", text)?;
        if server.is_unspecified() || server.is_multicast() {
            return Err(Invalid::new("DNS server", server, "is no unicast address").into());
        }
        if seen.insert(server) {
            all.push(server);
        }
    }
    Ok(all)
}

/// Gives each address the prefix length and the gateway of its subnet; IPv4 first.
pub(crate) fn in_pools(addresses: &[IpAddr], pools: &[Pool]) -> Result<Vec<EndpointAddress>, Error> {
    let mut all: Vec<EndpointAddress> =
        addresses.iter().map(|address| in_a_pool(*address, pools)).collect::<Result<_, _>>()?;
    all.sort_by_key(|a| Family::of(a.address.addr()));
    Ok(all)
}

fn in_a_pool(address: IpAddr, pools: &[Pool]) -> Result<EndpointAddress, Invalid> {
    let wrong = |why: String| Invalid::new("address", address, why);
    let Some(pool) = pools.iter().find(|pool| pool.subnet.net().contains(&address)) else {
        let subnets: Vec<String> = pools.iter().map(|pool| pool.subnet.to_string()).collect();
        return Err(wrong(format!("is in no subnet of the network ({})", subnets.join(", "))));
    };
    if !pool.subnet.has_host(address) {
        return Err(wrong(format!("is not a host address of {}", pool.subnet)));
    }
    if pool.gateway == Some(address) {
        return Err(wrong(format!("is the gateway of {}", pool.subnet)));
    }
    Ok(EndpointAddress { address: IpNet::new_assert(address, pool.subnet.net().prefix_len()), gateway: pool.gateway })
}
