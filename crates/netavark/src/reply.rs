//! What goes to stdout when nothing failed.

use crate::Program;
use ipnet::IpNet;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use std::net::IpAddr;
use zubi_model::{Endpoint, Mac};

/// What became of an [`Attachment`](crate::Attachment).
#[derive(Debug, Clone, Copy)]
pub struct Attached<'a> {
    /// How Podman calls the network.
    pub name: &'a str,
    /// See there.
    pub endpoint: &'a Endpoint,
    /// As the attachment had them.
    pub dns_servers: &'a [IpAddr],
}

/// The answer to `setup`: an object with the status of each network, in the order they have here, without a new line.
/// netavark's servers for names are the gateways; zubi has none there, so the servers are those the user named, and
/// when there are none Podman takes the host's.
pub fn reply(attached: &[Attached<'_>]) -> String {
    serde_json::to_string(&Statuses(attached)).unwrap_or_else(|_| "{}".into())
}

/// What there is to say about a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build<'a> {
    /// Three numbers with dots between them.
    pub version: &'a str,
    /// Of the source; may be empty.
    pub commit: &'a str,
    /// May be empty.
    pub build_time: &'a str,
    /// Rust's target triple.
    pub target: &'a str,
}

/// What `--version` prints: `podman info` shows it.
pub fn version_line(program: Program, version: &str) -> String {
    format!("{program} {version}")
}

/// What the command `version` prints.
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

struct Statuses<'a>(&'a [Attached<'a>]);

impl Serialize for Statuses<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|attached| (attached.name, Status::from(*attached))))
    }
}

#[derive(Serialize)]
struct Status<'a> {
    dns_search_domains: [&'a str; 0],
    dns_server_ips: &'a [IpAddr],
    interfaces: Interfaces<'a>,
}

impl<'a> From<Attached<'a>> for Status<'a> {
    fn from(Attached { endpoint, dns_servers, .. }: Attached<'a>) -> Self {
        Status { dns_search_domains: [], dns_server_ips: dns_servers, interfaces: Interfaces(endpoint) }
    }
}

/// One, by its name.
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
    /// `null` when there is none.
    gateway: Option<IpAddr>,
    ipnet: IpNet,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn podman_is_told_three_numbers() {
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
