//! Routes: `ip route` (RTM_NEWROUTE; linux/rtnetlink.h).

use super::{AF_INET, AF_INET6, address_of, af, bytes_of, family_word};
use crate::message::{Batch, Message, flag};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use zubi_model::{IfIndex, IfName, RouteKind, RouteOptions};

const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_METRICS: u16 = 8;
const RTA_TABLE: u16 = 15;
/// A gateway of another family than the route's: two bytes of family, then the address (`struct rtvia`).
const RTA_VIA: u16 = 18;
const RTAX_MTU: u16 = 2;
const RTAX_ADVMSS: u16 = 8;
const RT_TABLE_MAIN: u8 = 254;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_LINK: u8 = 253;
const RTN_UNICAST: u8 = 1;
const RTN_LOCAL: u8 = 2;
const RTN_BLACKHOLE: u8 = 6;
const RTN_UNREACHABLE: u8 = 7;
const RTN_PROHIBIT: u8 = 8;
const RTM_F_CLONED: u32 = 0x200;
const HEADER: usize = 12;

/// The program that made a route (`rtm_protocol`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteProtocol(pub u8);

impl RouteProtocol {
    /// The number zubi marks its routes with: the letter z.
    pub const OURS: RouteProtocol = RouteProtocol(b'z');
}

/// A route. It is in the main table unless its options name another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The destination; prefix length 0 is the default route.
    pub to: IpNet,
    /// The next hop; `None` means directly on the link.
    pub via: Option<IpAddr>,
    /// The device.
    pub device: IfName,
    /// Its options.
    pub options: RouteOptions,
}

impl Route {
    /// `default via GATEWAY`.
    pub fn default_via(gateway: IpAddr, device: IfName) -> Self {
        let any = match gateway {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        Route { to: IpNet::new_assert(any, 0), via: Some(gateway), device, options: RouteOptions::default() }
    }

    /// Appends `ip route add`.
    pub fn encode(&self, batch: &mut Batch, device: IfIndex) {
        self.message(batch, RTM_NEWROUTE, flag::REQUEST | flag::ACK | flag::CREATE | flag::EXCL, device);
    }

    /// Appends `ip route del`.
    pub fn encode_delete(&self, batch: &mut Batch, device: IfIndex) {
        self.message(batch, RTM_DELROUTE, flag::REQUEST | flag::ACK, device);
    }

    fn message(&self, batch: &mut Batch, kind: u16, flags: u16, IfIndex(device): IfIndex) {
        batch.message(kind, flags, |b| {
            let RouteOptions { kind: does, metric, table, scope, mtu, advmss } = self.options;
            let v4_on_link = self.via.is_none() && self.to.addr().is_ipv4() && does == RouteKind::Unicast;
            let table = table.unwrap_or(u32::from(RT_TABLE_MAIN));
            let mut header = [0; HEADER];
            header[0] = af(self.to.addr());
            header[1] = self.to.prefix_len();
            header[4] = u8::try_from(table).unwrap_or(0);
            header[5] = RouteProtocol::OURS.0;
            header[6] = scope.unwrap_or(if v4_on_link { RT_SCOPE_LINK } else { RT_SCOPE_UNIVERSE });
            header[7] = match does {
                RouteKind::Unicast => RTN_UNICAST,
                RouteKind::Blackhole => RTN_BLACKHOLE,
                RouteKind::Unreachable => RTN_UNREACHABLE,
                RouteKind::Prohibit => RTN_PROHIBIT,
            };
            b.header(&header);
            if self.to.prefix_len() > 0 {
                b.attr(RTA_DST, &bytes_of(self.to.addr()));
            }
            if let Some(via) = self.via {
                b.attr(RTA_GATEWAY, &bytes_of(via));
            }
            if does == RouteKind::Unicast {
                b.u32(RTA_OIF, device);
            }
            if let Some(metric) = metric {
                b.u32(RTA_PRIORITY, metric);
            }
            if table > u32::from(u8::MAX) {
                b.u32(RTA_TABLE, table);
            }
            if mtu.is_some() || advmss.is_some() {
                b.nested(RTA_METRICS, |b| {
                    for (kind, value) in [(RTAX_MTU, mtu), (RTAX_ADVMSS, advmss)] {
                        if let Some(value) = value {
                            b.u32(kind, value);
                        }
                    }
                });
            }
        });
    }

    /// Whether `seen` has the same destination, next hop and device, in the same table.
    pub fn is(&self, seen: &RouteSeen, device: IfIndex) -> bool {
        seen.to == self.to
            && seen.via == self.via
            && (seen.device == Some(device) || self.options.kind != RouteKind::Unicast)
            && seen.table == self.options.table.unwrap_or(u32::from(RT_TABLE_MAIN))
            && self.options.metric.is_none_or(|metric| metric == seen.metric)
    }

    /// The option of `ip` that selects the family.
    pub fn family_word(&self) -> &'static str {
        family_word(self.to.addr())
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RouteOptions { kind, metric, table, scope, mtu, advmss } = self.options;
        f.write_str(match kind {
            RouteKind::Unicast => "",
            RouteKind::Blackhole => "blackhole ",
            RouteKind::Unreachable => "unreachable ",
            RouteKind::Prohibit => "prohibit ",
        })?;
        if self.to.prefix_len() == 0 {
            f.write_str("default")?;
        } else {
            write!(f, "{}", self.to)?;
        }
        if let Some(via) = self.via {
            write!(f, " via {via}")?;
        }
        if kind == RouteKind::Unicast {
            write!(f, " dev {}", self.device)?;
        }
        write!(f, " proto {}", RouteProtocol::OURS.0)?;
        let scope = scope.map(u32::from);
        let words = [("metric", metric), ("table", table), ("scope", scope), ("mtu", mtu), ("advmss", advmss)];
        words.into_iter().filter_map(|(word, value)| Some((word, value?))).try_for_each(|(w, v)| write!(f, " {w} {v}"))
    }
}

/// A route as the kernel reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteSeen {
    /// The destination.
    pub to: IpNet,
    /// The next hop.
    pub via: Option<IpAddr>,
    /// The device, if the route has exactly one.
    pub device: Option<IfIndex>,
    /// The routing table; 255 holds the host's own addresses.
    pub table: u32,
    /// The program that made it.
    pub protocol: RouteProtocol,
    /// Smaller is preferred.
    pub metric: u32,
}

impl RouteSeen {
    /// Reads an `RTM_NEWROUTE`. Accepts unicast and local routes, and those that refuse packets (an administrator may
    /// reserve a prefix by a blackhole route), but no cached clones.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let head = message.payload.get(..HEADER)?;
        let flags = u32::from_ne_bytes(head.get(8..12)?.try_into().ok()?);
        let counts = matches!(head[7], RTN_UNICAST | RTN_LOCAL | RTN_BLACKHOLE | RTN_UNREACHABLE | RTN_PROHIBIT);
        if message.kind != RTM_NEWROUTE || !counts || flags & RTM_F_CLONED != 0 {
            return None;
        }
        let a = message.attributes(HEADER);
        let to = match a.get(RTA_DST) {
            Some(bytes) => address_of(bytes)?,
            None if head[0] == AF_INET => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            None if head[0] == AF_INET6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            None => return None,
        };
        Some(RouteSeen {
            to: IpNet::new(to, head[1]).ok()?,
            via: a.get(RTA_GATEWAY).or_else(|| a.get(RTA_VIA)?.get(2..)).and_then(address_of),
            device: a.u32(RTA_OIF).map(IfIndex),
            table: a.u32(RTA_TABLE).unwrap_or(u32::from(head[4])),
            protocol: RouteProtocol(head[5]),
            metric: a.u32(RTA_PRIORITY).unwrap_or(0),
        })
    }
}

/// Appends a query for every route of every table of a family.
pub fn dump_routes(batch: &mut Batch, family: zubi_model::Family) {
    batch.message(RTM_GETROUTE, flag::REQUEST | flag::DUMP, |b| {
        let mut header = [0; HEADER];
        header[0] = match family {
            zubi_model::Family::V4 => AF_INET,
            zubi_model::Family::V6 => AF_INET6,
        };
        b.header(&header);
    });
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;
    use crate::golden::{bytes, lines, ours};

    const STATIC4: &str = "\
        3400000018000506000000000000000002100000fe7a000100000000080001000a090000080005000a0100fe08000400 \
        02000000";
    const ON_LINK4: &str = "\
        2c00000018000506000000000000000002100000fe7afd0100000000080001000a0800000800040002000000";
    const DEFAULT4: &str = "\
        2c00000018000506000000000000000002000000fe7a000100000000080005000a0100fe0800040002000000";
    const STATIC6: &str = "\
        4c0000001800050600000000000000000a300000fe7a00010000000014000100fd000009000000000000000000000000 \
        14000500fd0000010000000000000000000000fe0800040002000000";
    const DEFAULT6: &str = "\
        4c0000001800050600000000000000000a000000fe7a0001000000001400010000000000000000000000000000000000 \
        14000500fd0000010000000000000000000000fe0800040002000000";
    const METRIC_AND_MTU4: &str = "\
        4800000018000506000000000000000002100000fe7a000100000000080001000a090000080005000a0100fe08000600 \
        0500000008000400020000000c0008000800020078050000";
    const METRIC_AND_SIZES6: &str = "\
        680000001800050600000000000000000a300000fe7a00010000000014000100fd000009000000000000000000000000 \
        14000500fd0000010000000000000000000000fe08000600050000000800040002000000140008000800020078050000 \
        080008003c050000";
    const BLACKHOLE_IN_LARGE_TABLE: &str = "\
        2c00000018000506000000000000000002100000007a000600000000080001000a0a000008000f00e8030000";
    const PROHIBIT_IN_SMALL_TABLE: &str = "\
        2c00000018000506000000000000000002100000647a000800000000080001000a0a00000800060007000000";
    const UNREACHABLE6: &str = "\
        300000001800050600000000000000000a300000fe7a00070000000014000100fd000010000000000000000000000000";
    const SITE_SCOPE: &str = "\
        2c00000018000506000000000000000002100000fe7ac80100000000080001000a0b00000800040002000000";

    fn route(to: &str, via: Option<&str>) -> Route {
        Route {
            to: to.parse().unwrap(),
            via: via.map(|v| v.parse().unwrap()),
            device: "zb-blue".parse().unwrap(),
            options: RouteOptions::default(),
        }
    }

    fn default(via: &str) -> Route {
        Route::default_via(via.parse().unwrap(), "zb-blue".parse().unwrap())
    }

    fn with(route: Route, options: RouteOptions) -> Route {
        Route { options, ..route }
    }

    fn metric_and_mtu() -> RouteOptions {
        RouteOptions { metric: Some(5), mtu: Some(1400), ..RouteOptions::default() }
    }

    fn refusing(kind: RouteKind) -> RouteOptions {
        RouteOptions { kind, ..RouteOptions::default() }
    }

    const NESTED: &[(&[u16], usize)] = &[(&[RTA_METRICS], 0)];

    fn said(route: &Route) -> Vec<String> {
        lines(&ours(|b| route.encode(b, IfIndex(2))), HEADER, NESTED)
    }

    #[test]
    fn says_what_ip_route_says() {
        let recorded = |hex| lines(&bytes(hex), HEADER, &[]);
        assert_eq!(said(&route("10.9.0.0/16", Some("10.1.0.254"))), recorded(STATIC4));
        assert_eq!(said(&route("10.8.0.0/16", None)), recorded(ON_LINK4));
        assert_eq!(said(&default("10.1.0.254")), recorded(DEFAULT4));
        assert_eq!(said(&route("fd00:9::/48", Some("fd00:1::fe"))), recorded(STATIC6));
    }

    #[test]
    fn says_what_ip_route_says_of_the_ipv6_default() {
        let mut recorded = lines(&bytes(DEFAULT6), HEADER, &[]);
        // The kernel ignores the destination when the prefix length is 0.
        recorded.retain(|line| !line.starts_with("[1] "));
        assert_eq!(said(&default("fd00:1::fe")), recorded);
    }

    #[test]
    fn says_what_ip_route_says_with_options() {
        let recorded = |hex| lines(&bytes(hex), HEADER, NESTED);
        let v4 = with(route("10.9.0.0/16", Some("10.1.0.254")), metric_and_mtu());
        assert_eq!(said(&v4), recorded(METRIC_AND_MTU4));
        let sizes = RouteOptions { advmss: Some(1340), ..metric_and_mtu() };
        assert_eq!(said(&with(route("fd00:9::/48", Some("fd00:1::fe")), sizes)), recorded(METRIC_AND_SIZES6));
        let site = RouteOptions { scope: Some(200), ..RouteOptions::default() };
        assert_eq!(said(&with(route("10.11.0.0/16", None), site)), recorded(SITE_SCOPE));
    }

    #[test]
    fn says_what_ip_route_says_of_routes_that_refuse() {
        let recorded = |hex| lines(&bytes(hex), HEADER, NESTED);
        let blackhole = RouteOptions { table: Some(1000), ..refusing(RouteKind::Blackhole) };
        assert_eq!(said(&with(route("10.10.0.0/16", None), blackhole)), recorded(BLACKHOLE_IN_LARGE_TABLE));
        let prohibit = RouteOptions { table: Some(100), metric: Some(7), ..refusing(RouteKind::Prohibit) };
        assert_eq!(said(&with(route("10.10.0.0/16", None), prohibit)), recorded(PROHIBIT_IN_SMALL_TABLE));
        let unreachable = with(route("fd00:10::/48", None), refusing(RouteKind::Unreachable));
        assert_eq!(said(&unreachable), recorded(UNREACHABLE6));
    }

    #[test]
    fn prints_the_words_of_ip_route_add() {
        let printed = route("10.9.0.0/16", Some("10.1.0.254")).to_string();
        assert_eq!(printed, "10.9.0.0/16 via 10.1.0.254 dev zb-blue proto 122");
        assert_eq!(route("10.8.0.0/16", None).to_string(), "10.8.0.0/16 dev zb-blue proto 122");
        assert_eq!(default("fd00:1::fe").to_string(), "default via fd00:1::fe dev zb-blue proto 122");
        assert_eq!((default("10.1.0.254").family_word(), default("fd00:1::fe").family_word()), ("", "-6 "));
        let sized = with(route("10.9.0.0/16", Some("10.1.0.254")), metric_and_mtu()).to_string();
        assert_eq!(sized, "10.9.0.0/16 via 10.1.0.254 dev zb-blue proto 122 metric 5 mtu 1400");
        let all = RouteOptions { table: Some(1000), scope: Some(200), advmss: Some(1340), ..metric_and_mtu() };
        assert_eq!(
            with(route("10.11.0.0/16", None), all).to_string(),
            "10.11.0.0/16 dev zb-blue proto 122 metric 5 table 1000 scope 200 mtu 1400 advmss 1340"
        );
        let blackhole = with(route("10.10.0.0/16", None), refusing(RouteKind::Blackhole));
        assert_eq!(blackhole.to_string(), "blackhole 10.10.0.0/16 proto 122");
    }
}
