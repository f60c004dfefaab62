//! Leases of DHCP: an address for some time, and what a server says of the network.

use crate::serial::is_default;
use crate::{ClientId, DhcpOption, Lifetime, Moment, Mtu, Seconds, StaticRoute};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// An address for some time, with what the server says of the network. Everything that came from the server is
/// checked: a name can stand in resolv.conf, an address is that of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DhcpLease {
    /// With the prefix length of the subnet mask. Without a mask it is 32: the classes that a mask was once derived from
    /// are gone, and too short a prefix would hide hosts, while hosts that a /32 leaves out are reached by the router.
    pub address: Ipv4Net,
    /// Who gave it, and renews it.
    pub server: Ipv4Addr,
    /// When the client asked for it: the lease's time begins here (RFC 2131, 4.4.1).
    pub obtained_at: Moment,
    /// How long it lasts; for ever when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Seconds>,
    /// T1 as the server says it, counted from the beginning; absent when it does not, or when T2 does not follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub t1: Option<Seconds>,
    /// T2 likewise; absent when the end of the lease does not follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub t2: Option<Seconds>,
    /// Routers for everything outside, the preferred one first. With an address of prefix length 32 they are on the link
    /// all the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routers: Vec<Ipv4Addr>,
    /// Further routes. One to 0.0.0.0/0 has no next hop: everything is on the link.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<StaticRoute>,
    /// The preferred one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns_servers: Vec<Ipv4Addr>,
    /// The preferred one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ntp_servers: Vec<Ipv4Addr>,
    /// The domain that the client is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Domains to search.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Of the link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<Mtu>,
}

/// How an endpoint, or the host on an uplink network, has its IPv4 address from a DHCP server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByDhcp {
    /// Who it is to the server; absent when the server goes by the MAC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientId>,
    /// Further options that servers are told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<DhcpOption>,
    /// The lease that it has, or had last.
    pub lease: DhcpLease,
    /// Whether the lease counts.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tenure: Tenure,
}

/// Whether a recorded lease counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tenure {
    /// The address may be used until the lease ends.
    #[default]
    Held,
    /// The server took the address back, or nobody renewed the lease in time.
    Lost,
}

impl ByDhcp {
    /// Whether the endpoint may use the address at a time.
    pub fn holds_at(&self, now: Moment) -> bool {
        self.tenure == Tenure::Held && self.lease.expires_at().is_none_or(|end| now < end)
    }
}

impl DhcpLease {
    /// An address for some time, of which the server says nothing else. A time of `None` is for ever.
    pub fn new(address: Ipv4Net, server: Ipv4Addr, obtained_at: Moment, lifetime: Option<Seconds>) -> Self {
        DhcpLease {
            address,
            server,
            obtained_at,
            lifetime,
            t1: None,
            t2: None,
            routers: Vec::new(),
            routes: Vec::new(),
            dns_servers: Vec::new(),
            ntp_servers: Vec::new(),
            domain: None,
            search: Vec::new(),
            mtu: None,
        }
    }

    /// Whether the subnet mask says that an address is on the link.
    pub fn is_on_link(&self, address: IpAddr) -> bool {
        matches!(address, IpAddr::V4(address) if self.address.contains(&address))
    }

    /// What is left of the time at a moment, as the kernel counts it.
    pub fn left_at(&self, now: Moment) -> Lifetime {
        let left = self.expires_at().map(|end| u32::try_from(end.since(now).as_secs()).unwrap_or(u32::MAX).max(1));
        Lifetime { valid: left, preferred: left }
    }

    /// T1: the client asks the server that gave the lease. Half of its time unless the server says otherwise. `None`: it
    /// lasts for ever.
    pub fn renew_at(&self) -> Option<Moment> {
        let lifetime = self.lifetime()?;
        Some(self.obtained_at + self.t1.map_or(lifetime / 2, Duration::from))
    }

    /// T2: the client asks every server. Seven eighths of the lease's time unless the server says otherwise.
    pub fn rebind_at(&self) -> Option<Moment> {
        let lifetime = self.lifetime()?;
        Some(self.obtained_at + self.t2.map_or(lifetime * 7 / 8, Duration::from))
    }

    /// From here on nobody may use the address.
    pub fn expires_at(&self) -> Option<Moment> {
        Some(self.obtained_at + self.lifetime()?)
    }

    /// How long it lasts; `None`: for ever.
    pub fn lifetime(&self) -> Option<Duration> {
        self.lifetime.map(Duration::from)
    }
}
