//! Names of a network's endpoints: whether they have any, and who answers the rest.

use crate::serial::is_default;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Whether endpoints of a network find each other by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NameService {
    /// They do, at the host's address on the network.
    #[default]
    On,
    /// They do not, and nobody answers there.
    Off,
}

/// resolv.conf(5): further ones are not asked.
const MOST_SERVERS: usize = 3;

/// The servers of a resolv.conf(5).
pub fn name_servers(resolv_conf: &str) -> Vec<IpAddr> {
    let named = resolv_conf.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next())?
    });
    // A scope leads to a device; the address alone does where the device is the only one.
    named.filter_map(|word| word.split('%').next()?.parse().ok()).take(MOST_SERVERS).collect()
}

/// Names of a network's endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Naming {
    /// See [`NameService`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub service: NameService,
    /// The servers that are asked for its endpoints instead of the host's; none for the host's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<IpAddr>,
}

impl Naming {
    /// No names.
    pub fn off() -> Naming {
        Naming { service: NameService::Off, ..Naming::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_three_servers_are_asked() {
        let text = "# nameserver 9.9.9.9\nsearch example.org\nnameserver 127.0.0.53\nnameserver\tfe80::1%eth0\n\
                    nameserver nonsense\nnameserver 10.0.0.1 10.0.0.2\nnameserver 10.0.0.3\n";
        assert_eq!(
            name_servers(text).iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["127.0.0.53", "fe80::1", "10.0.0.1"]
        );
        assert!(name_servers("").is_empty());
    }
}
