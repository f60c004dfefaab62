//! What the host has on a device: addresses, routes, settings. A bridge takes them over with the device, and gives them
//! back.

use crate::serial::is_default;
use crate::{Mac, PolicyRule, StaticRoute};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};

/// How long an address lasts, in seconds; `None` is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lifetime {
    /// Until it is removed.
    pub valid: Option<u32>,
    /// Until new connections use another one.
    pub preferred: Option<u32>,
}

/// The parts of an address that are seldom given.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the kernel")]
pub struct AddressOptions {
    /// The address at the other end of a point-to-point device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<IpNet>,
    /// The broadcast address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broadcast: Option<Ipv4Addr>,
    /// A name for old programs, IPv4 only. One that begins with a colon follows the name of the device: `eth0:1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// How far it is valid (`ifa_scope`); everywhere when 0.
    #[serde(skip_serializing_if = "is_default")]
    pub scope: u8,
    /// The metric of the route to its subnet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<u32>,
    /// The program that added it (`IFA_PROTO`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u8>,
    /// See [`Lifetime`].
    #[serde(skip_serializing_if = "is_default")]
    pub lifetime: Lifetime,
    /// The kernel adds no route to its subnet.
    #[serde(skip_serializing_if = "is_default")]
    pub no_prefix_route: bool,
    /// The kernel derives temporary addresses from it (RFC 8981).
    #[serde(skip_serializing_if = "is_default")]
    pub manages_temporary: bool,
    /// The kernel joins it as a multicast group.
    #[serde(skip_serializing_if = "is_default")]
    pub joins_group: bool,
    /// It is a home address of Mobile IPv6.
    #[serde(skip_serializing_if = "is_default")]
    pub home: bool,
    /// No duplicate address detection. IPv6 only.
    #[serde(skip_serializing_if = "is_default")]
    pub no_dad: bool,
}

/// An address of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldAddress {
    /// The address with its prefix length.
    pub address: IpNet,
    /// See [`AddressOptions`].
    #[serde(default, flatten)]
    pub options: AddressOptions,
}

/// A neighbour of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldNeighbour {
    /// Its address.
    pub address: IpAddr,
    /// Its MAC.
    pub mac: Mac,
    /// Whether it is believed for ever.
    #[serde(default, skip_serializing_if = "is_default")]
    pub permanent: bool,
}

/// What the host has on a device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Holdings {
    /// In the kernel's order: the first of a subnet is the one that connections use.
    pub addresses: Vec<HeldAddress>,
    /// Except those that come with addresses.
    pub routes: Vec<StaticRoute>,
    /// The policy rules that name the device.
    #[serde(default)]
    pub rules: Vec<PolicyRule>,
    /// Who answered lately, and whom an administrator wrote down.
    #[serde(default)]
    pub neighbours: Vec<HeldNeighbour>,
    /// Settings below `net/ipv4/conf/DEVICE` and `net/ipv6/conf/DEVICE`: family, name, value.
    #[serde(default)]
    pub settings: Vec<(String, String, String)>,
}

impl Holdings {
    /// Whether the kernel adds this route together with one of the addresses.
    pub fn comes_with_address(&self, route: &StaticRoute) -> bool {
        const KERNEL: Option<u8> = Some(2);
        const IPV6_METRIC: u32 = 256;
        let v6 = route.to.addr().is_ipv6();
        route.via.is_none()
            && route.options.protocol == KERNEL
            && self.addresses.iter().any(|held| {
                let default = if v6 { Some(IPV6_METRIC) } else { None };
                let subnet = held.options.peer.unwrap_or(held.address).trunc();
                !held.options.no_prefix_route
                    && subnet == route.to
                    && held.options.metric.or(default).unwrap_or(0) == route.options.metric.unwrap_or(0)
            })
    }

    /// The next hops of default routes: the routers of the LAN.
    pub fn gateways(&self) -> Vec<IpAddr> {
        let mut all: Vec<IpAddr> =
            self.routes.iter().filter(|route| route.to.prefix_len() == 0).filter_map(|route| route.via).collect();
        all.dedup();
        all
    }
}
