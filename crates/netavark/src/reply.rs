//! Answers to what succeeded, for stdout.

use crate::Program;
use ipnet::IpNet;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use std::net::IpAddr;
use zubi_model::{Endpoint, Mac};

/// An [`Attachment`](crate::Attachment) that was made.
#[derive(Debug, Clone, Copy)]
pub struct Attached<'a> {
    /// The network's name in Podman.
    pub name: &'a str,
    /// The endpoint.
    pub endpoint: &'a Endpoint,
    /// The attachment's DNS servers.
    pub dns_servers: &'a [IpAddr],
    /// The network's addresses at which names are answered; none where nobody does.
    pub name_servers: &'a [IpAddr],
}

/// The answer to `setup`: an object with the status of each network, in this order, without a newline. As
/// netavark's it lists the gateways as DNS servers, where names are answered there. Otherwise it lists the servers that
/// the user named, else those of a DHCP lease; without any, Podman uses the host's.
pub fn reply(attached: &[Attached<'_>]) -> String {
    serde_json::to_string(&Statuses(attached)).unwrap_or_else(|_| "{}".into())
}

/// How the program was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build<'a> {
    /// Three numbers separated by dots.
    pub version: &'a str,
    /// The source's commit; may be empty.
    pub commit: &'a str,
    /// When it was built; may be empty.
    pub build_time: &'a str,
    /// Rust's target triple.
    pub target: &'a str,
}

/// The output of `--version`, which `podman info` shows.
pub fn version_line(program: Program, version: &str) -> String {
    format!("{program} {version}")
}

/// The output of the command `version`.
pub fn version(program: Program, build: Build<'_>) -> String {
    #[derive(Serialize)]
    struct Answer<'a> {
        version: &'a str,
        commit: &'a str,
        build_time: &'a str,
        target: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        default_fw_driver: Option<&'a str>,
    }
    let Build { version, commit, build_time, target } = build;
    let default_fw_driver = (program == Program::Netavark).then_some("nftables");
    serde_json::to_string_pretty(&Answer { version, commit, build_time, target, default_fw_driver })
        .unwrap_or_else(|_| "{}".into())
}

/// The most bytes that the status of one network can take, its comma included.
pub(crate) fn largest_status(name: &str, addresses: usize, dns_servers: usize) -> usize {
    // An IPv6 address has at most 39 characters, its prefix length four with the slash.
    const ADDRESS: usize = r#"{"gateway":"","ipnet":""},"#.len() + 39 + 43;
    const SERVER: usize = r#""","#.len() + 39;
    // A device's name has at most 15 characters, a MAC 17.
    const STATUS: usize =
        r#""":{"dns_search_domains":[],"dns_server_ips":[],"interfaces":{"":{"mac_address":"","subnets":[]}}},"#.len()
            + 15
            + 17;
    STATUS + name.len() + ADDRESS * addresses + SERVER * dns_servers
}

/// The domain that Podman's containers search in, netavark's.
pub(crate) const SEARCHED: &str = "dns.podman";

/// How many servers and how many domains of a DHCP lease are passed on. resolv.conf(5) takes three and six.
const MOST_OF_LEASE: usize = 6;

/// The most bytes that these take: an address has at most 15 characters, a domain 253.
pub(crate) const LARGEST_BY_SERVER: usize = MOST_OF_LEASE * (15 + 253 + 2 * 3);

struct Statuses<'a>(&'a [Attached<'a>]);

impl Serialize for Statuses<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|attached| (attached.name, Status::from(*attached))))
    }
}

#[derive(Serialize)]
struct Status<'a> {
    dns_search_domains: Vec<&'a str>,
    dns_server_ips: Vec<IpAddr>,
    interfaces: Interfaces<'a>,
}

impl<'a> From<Attached<'a>> for Status<'a> {
    fn from(Attached { endpoint, dns_servers, name_servers, .. }: Attached<'a>) -> Self {
        if !name_servers.is_empty() {
            return Status {
                dns_search_domains: vec![SEARCHED],
                dns_server_ips: name_servers.to_vec(),
                interfaces: Interfaces(endpoint),
            };
        }
        let lease = endpoint.lease();
        let of_lease = lease.iter().flat_map(|lease| &lease.dns_servers).copied().map(IpAddr::V4).take(MOST_OF_LEASE);
        let named = dns_servers.iter().copied();
        let searched = lease.iter().flat_map(|lease| &lease.search).map(String::as_str);
        let own = lease.and_then(|lease| lease.domain.as_deref().filter(|_| lease.search.is_empty()));
        Status {
            dns_search_domains: searched.chain(own).take(MOST_OF_LEASE).collect(),
            dns_server_ips: if dns_servers.is_empty() { of_lease.collect() } else { named.collect() },
            interfaces: Interfaces(endpoint),
        }
    }
}

/// The endpoint's one device, by its name.
struct Interfaces<'a>(&'a Endpoint);

impl Serialize for Interfaces<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let addresses = self.0.addresses.iter();
        let subnets = addresses.map(|a| Address { gateway: a.gateway, ipnet: a.address }).collect();
        let mut map = to.serialize_map(Some(1))?;
        map.serialize_entry(self.0.ifname.as_str(), &Interface { mac_address: self.0.mac, subnets })?;
        map.end()
    }
}

#[derive(Serialize)]
struct Interface {
    mac_address: Mac,
    subnets: Vec<Address>,
}

#[derive(Serialize)]
struct Address {
    /// Podman expects `null` without a gateway.
    gateway: Option<IpAddr>,
    ipnet: IpNet,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_line_has_three_numbers() {
        assert_eq!(version_line(Program::Netavark, "0.1.0"), "netavark 0.1.0");
        assert_eq!(version_line(Program::AardvarkDns, "0.1.0"), "aardvark-dns 0.1.0");
    }

    #[test]
    fn the_version_is_an_object_with_netavark_s_keys() {
        let build = Build { version: "0.1.0", commit: "abc", build_time: "", target: "x86_64-unknown-linux-musl" };
        let keys = |program| {
            let object: serde_json::Value = serde_json::from_str(&version(program, build)).unwrap();
            object.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(keys(Program::Netavark), ["build_time", "commit", "default_fw_driver", "target", "version"]);
        assert_eq!(keys(Program::AardvarkDns), ["build_time", "commit", "target", "version"]);
    }

    #[test]
    fn nothing_attached_is_an_empty_object() {
        assert_eq!(reply(&[]), "{}");
    }
}
