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

/// What becomes of questions that a network's endpoints send to other name servers, by this network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Questions {
    /// They go where they were sent.
    #[default]
    AsSent,
    /// They are led to the host's address on the network.
    Redirected,
}

/// Whether files tell the programs of a named sandbox who answers names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NameFiles {
    /// Nobody answered when its endpoint was attached.
    #[default]
    Absent,
    /// They do.
    Written,
}

/// resolv.conf(5): further ones are not asked.
const MOST_SERVERS: usize = 3;

/// A server of a resolv.conf(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerWord {
    /// Its address.
    pub address: IpAddr,
    /// The device that leads to it, by name or number, where the address does not tell.
    pub scope: Option<String>,
}

/// The servers of a resolv.conf(5).
pub fn servers_in(resolv_conf: &str) -> Vec<ServerWord> {
    let named = resolv_conf.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next())?
    });
    let server = |word: &str| {
        let (address, scope) = word.split_once('%').map_or((word, None), |(address, scope)| (address, Some(scope)));
        Some(ServerWord { address: address.parse().ok()?, scope: scope.map(str::to_owned) })
    };
    named.filter_map(server).take(MOST_SERVERS).collect()
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
    /// See [`Questions`].
    #[serde(default, skip_serializing_if = "is_default")]
    pub questions: Questions,
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
        let shown = |server: &ServerWord| format!("{} {}", server.address, server.scope.as_deref().unwrap_or("-"));
        let servers: Vec<String> = servers_in(text).iter().map(shown).collect();
        assert_eq!(servers, ["127.0.0.53 -", "fe80::1 eth0", "10.0.0.1 -"]);
        assert!(servers_in("").is_empty());
    }
}
