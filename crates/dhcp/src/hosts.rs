//! Addresses of hosts in options.

use crate::options::Options;
use std::net::Ipv4Addr;

/// The addresses of hosts in an option, each once.
pub(crate) fn hosts_in(options: &Options, code: u8) -> Vec<Ipv4Addr> {
    let mut hosts = Vec::new();
    for address in options.addresses(code).filter(|address| is_host(*address)) {
        if !hosts.contains(&address) {
            hosts.push(address);
        }
    }
    hosts
}

/// Whether it can be the address of a host on the network: no group, no loopback, not in 0.0.0.0/8.
pub(crate) fn is_host(address: Ipv4Addr) -> bool {
    !(address.octets()[0] == 0 || address.is_loopback() || address.is_multicast() || address.is_broadcast())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_no_hosts_and_repeated_ones_are_left_out() {
        let servers = [0, 0, 0, 0, 9, 9, 9, 9, 127, 0, 0, 1, 224, 0, 0, 1, 9, 9, 9, 9, 255, 255, 255, 255, 1, 1, 1, 1];
        let options = Options::default().with(6, &servers);
        assert_eq!(hosts_in(&options, 6), [Ipv4Addr::new(9, 9, 9, 9), Ipv4Addr::new(1, 1, 1, 1)]);
    }
}
