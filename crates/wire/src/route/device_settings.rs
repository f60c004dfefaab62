//! The settings of a device under `net/ipv4/conf` and `net/ipv6/conf`, which every answer about a link carries
//! (`IFLA_INET_CONF`, `IFLA_INET6_CONF`). Reading them there avoids a look-up in /proc/sys, which gets slower with
//! every network namespace.

use super::AF_INET6;
use crate::message::Attributes;
use serde::{Deserialize, Serialize};

const AF_INET: u16 = 2;
/// All settings of IPv4, each a number of four bytes.
const IFLA_INET_CONF: u16 = 1;
/// All settings of IPv6.
const IFLA_INET6_CONF: u16 = 2;

/// The indices of settings among the numbers: `IPV4_DEVCONF_*` of linux/ip.h, which count from one.
const IPV4: [(&str, usize); 9] = [
    ("forwarding", 0),
    ("proxy_arp", 2),
    ("accept_redirects", 3),
    ("send_redirects", 5),
    ("rp_filter", 7),
    ("arp_ignore", 18),
    ("arp_notify", 21),
    ("accept_local", 22),
    ("route_localnet", 25),
];
/// The indices of settings among the numbers: `DEVCONF_*` of linux/ipv6.h.
const IPV6: [(&str, usize); 7] = [
    ("forwarding", 0),
    ("accept_ra", 3),
    ("accept_redirects", 4),
    ("autoconf", 5),
    ("disable_ipv6", 26),
    ("accept_dad", 27),
    ("ndisc_notify", 29),
];

/// The settings in an answer about a link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceSettings {
    ipv4: [Option<i32>; IPV4.len()],
    ipv6: [Option<i32>; IPV6.len()],
}

impl DeviceSettings {
    /// From `IFLA_AF_SPEC`.
    pub(super) fn parse(families: Option<&Attributes<'_>>) -> Self {
        let of = |family: u16, kind| families.and_then(|all| all.nested(family)?.get(kind)).unwrap_or_default();
        let ipv4 = of(AF_INET, IFLA_INET_CONF);
        let ipv6 = of(u16::from(AF_INET6), IFLA_INET6_CONF);
        DeviceSettings {
            ipv4: IPV4.map(|(_, place)| number(ipv4, place)),
            ipv6: IPV6.map(|(_, place)| number(ipv6, place)),
        }
    }

    /// The value of `net/FAMILY/conf/DEVICE/NAME`, for `ipv4` or `ipv6`; `None` if the answer does not have it.
    pub fn get(&self, family: &str, name: &str) -> Option<i32> {
        let (names, values): (&[(&str, usize)], &[Option<i32>]) = match family {
            "ipv4" => (&IPV4, &self.ipv4),
            "ipv6" => (&IPV6, &self.ipv6),
            _ => return None,
        };
        let at = names.iter().position(|(known, _)| *known == name)?;
        values.get(at).copied().flatten()
    }
}

fn number(values: &[u8], place: usize) -> Option<i32> {
    values.get(place * 4..place * 4 + 4)?.first_chunk::<4>().map(|value| i32::from_ne_bytes(*value))
}
