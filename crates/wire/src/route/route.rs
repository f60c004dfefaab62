//! Routes: `ip route` (RTM_NEWROUTE; linux/rtnetlink.h).

use super::{AF_INET, AF_INET6, address_of, af, bytes_of, family_word};
use crate::message::{Batch, Message, flag};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use zubi_model::{Family, IfIndex, IfName, RouteKind, RouteOptions, StaticRoute};

const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_MULTIPATH: u16 = 9;
const RTA_CACHEINFO: u16 = 12;
const RTA_TABLE: u16 = 15;
/// A gateway of another family than the route's: two bytes of family, then the address (`struct rtvia`).
const RTA_VIA: u16 = 18;
const RTA_PREF: u16 = 20;
const RTA_EXPIRES: u16 = 23;
const RTA_NH_ID: u16 = 30;
const RTAX_MTU: u16 = 2;
const RTAX_ADVMSS: u16 = 8;
const RTAX_HOPLIMIT: u16 = 10;
const RTAX_INITCWND: u16 = 11;
const RTAX_INITRWND: u16 = 14;
/// `RTNH_F_ONLINK` of linux/rtnetlink.h.
const ON_LINK: u32 = 4;
/// The kernel's clock ticks a second, as it reports them (`USER_HZ`).
const TICKS: u32 = 100;
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
        Route { via: Some(gateway), ..Self::default_by(Family::of(gateway), device) }
    }

    /// `default dev DEVICE`.
    pub fn default_by(family: Family, device: IfName) -> Self {
        let any = match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        Route { to: IpNet::new_assert(any, 0), via: None, device, options: RouteOptions::default() }
    }

    /// Appends `ip route add`.
    pub fn encode(&self, batch: &mut Batch, device: IfIndex) {
        self.message(batch, RTM_NEWROUTE, flag::REQUEST | flag::ACK | flag::CREATE | flag::EXCL, device);
    }

    /// Appends `ip route append`: another route to the same destination stays, and comes first.
    pub fn encode_append(&self, batch: &mut Batch, device: IfIndex) {
        self.message(batch, RTM_NEWROUTE, flag::REQUEST | flag::ACK | flag::CREATE | flag::APPEND, device);
    }

    /// Appends `ip route del`.
    pub fn encode_delete(&self, batch: &mut Batch, device: IfIndex) {
        self.message(batch, RTM_DELROUTE, flag::REQUEST | flag::ACK, device);
    }

    fn message(&self, batch: &mut Batch, kind: u16, flags: u16, IfIndex(device): IfIndex) {
        batch.message(kind, flags, |b| {
            let RouteOptions { kind: does, metric, table, scope, .. } = self.options;
            let v4_on_link = self.via.is_none() && self.to.addr().is_ipv4() && does == RouteKind::Unicast;
            let table = table.unwrap_or(u32::from(RT_TABLE_MAIN));
            let mut header = [0; HEADER];
            header[0] = af(self.to.addr());
            header[1] = self.to.prefix_len();
            header[3] = self.options.tos;
            header[4] = u8::try_from(table).unwrap_or(0);
            header[5] = self.protocol();
            header[6] = scope.unwrap_or(if v4_on_link { RT_SCOPE_LINK } else { RT_SCOPE_UNIVERSE });
            header[7] = match does {
                RouteKind::Unicast => RTN_UNICAST,
                RouteKind::Blackhole => RTN_BLACKHOLE,
                RouteKind::Unreachable => RTN_UNREACHABLE,
                RouteKind::Prohibit => RTN_PROHIBIT,
            };
            if self.options.on_link {
                header[8..12].copy_from_slice(&ON_LINK.to_ne_bytes());
            }
            b.header(&header);
            if self.to.prefix_len() > 0 {
                b.attr(RTA_DST, &bytes_of(self.to.addr()));
            }
            match self.via {
                Some(via) if via.is_ipv4() == self.to.addr().is_ipv4() => b.attr(RTA_GATEWAY, &bytes_of(via)),
                Some(via) => {
                    let mut bytes = u16::from(af(via)).to_ne_bytes().to_vec();
                    bytes.extend(bytes_of(via));
                    b.attr(RTA_VIA, &bytes);
                }
                None => {}
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
            if let Some(source) = self.options.source {
                b.attr(RTA_PREFSRC, &bytes_of(source));
            }
            if self.options.preference != 0 {
                b.u8(RTA_PREF, self.options.preference);
            }
            if let Some(seconds) = self.options.expires {
                b.u32(RTA_EXPIRES, seconds);
            }
            let metrics = self.metrics();
            if metrics.iter().any(|(_, _, value)| value.is_some()) {
                b.nested(RTA_METRICS, |b| {
                    for (kind, _, value) in metrics {
                        if let Some(value) = value {
                            b.u32(kind, value);
                        }
                    }
                });
            }
        });
    }

    fn protocol(&self) -> u8 {
        self.options.protocol.unwrap_or(RouteProtocol::OURS.0)
    }

    /// The path metrics (`RTAX_*`), each with the word of `ip`.
    fn metrics(&self) -> [(u16, &'static str, Option<u32>); 5] {
        let RouteOptions { mtu, advmss, hop_limit, initcwnd, initrwnd, .. } = self.options;
        [
            (RTAX_MTU, "mtu", mtu),
            (RTAX_ADVMSS, "advmss", advmss),
            (RTAX_HOPLIMIT, "hoplimit", hop_limit),
            (RTAX_INITCWND, "initcwnd", initcwnd),
            (RTAX_INITRWND, "initrwnd", initrwnd),
        ]
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
        let RouteOptions { kind, metric, table, scope, tos, source, on_link, expires, .. } = self.options;
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
        if tos != 0 {
            write!(f, " tos {tos:#x}")?;
        }
        match self.via {
            Some(via) if via.is_ipv6() && self.to.addr().is_ipv4() => write!(f, " via inet6 {via}")?,
            Some(via) => write!(f, " via {via}")?,
            None => {}
        }
        if kind == RouteKind::Unicast {
            write!(f, " dev {}", self.device)?;
        }
        write!(f, " proto {}", self.protocol())?;
        let scope = scope.map(u32::from);
        let mut words = vec![("metric", metric), ("table", table), ("scope", scope), ("expires", expires)];
        words.extend(self.metrics().map(|(_, word, value)| (word, value)));
        for (word, value) in words {
            if let Some(value) = value {
                write!(f, " {word} {value}")?;
            }
        }
        if let Some(source) = source {
            write!(f, " src {source}")?;
        }
        match self.options.preference {
            0 => {}
            1 => f.write_str(" pref high")?,
            _ => f.write_str(" pref low")?,
        }
        if on_link { f.write_str(" onlink") } else { Ok(()) }
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

/// A route of one device, with all its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteOfDevice {
    /// The device.
    pub device: IfIndex,
    /// The route.
    pub route: StaticRoute,
    /// What a [`Route`] cannot say of it, as words for an error.
    pub beyond: Option<String>,
}

impl RouteOfDevice {
    /// Reads an `RTM_NEWROUTE`: one for each device that the route leads to. The table of local addresses has none,
    /// since the kernel fills it by itself.
    pub fn parse(message: &Message<'_>) -> Vec<Self> {
        const LOCAL: u32 = 255;
        let Some(seen) = RouteSeen::parse(message).filter(|seen| seen.table != LOCAL) else { return Vec::new() };
        let Some(head) = message.payload.get(..HEADER) else { return Vec::new() };
        let a = message.attributes(HEADER);
        let metrics = a.nested(RTA_METRICS);
        let of = |kind| metrics.as_ref().and_then(|metrics| metrics.u32(kind));
        let known = [RTAX_MTU, RTAX_ADVMSS, RTAX_HOPLIMIT, RTAX_INITCWND, RTAX_INITRWND];
        let other = metrics
            .as_ref()
            .and_then(|metrics| (1..=u16::from(u8::MAX)).find(|n| !known.contains(n) && metrics.get(*n).is_some()));
        let flags = u32::from_ne_bytes([head[8], head[9], head[10], head[11]]);
        // The third field of `struct rta_cacheinfo`.
        let ticks = a.get(RTA_CACHEINFO).and_then(|bytes| bytes.get(8..12)?.try_into().ok()).map(u32::from_ne_bytes);
        let v4 = head[0] == AF_INET;
        let default_scope = if seen.via.is_none() && v4 { RT_SCOPE_LINK } else { RT_SCOPE_UNIVERSE };
        let options = RouteOptions {
            kind: RouteKind::Unicast,
            metric: Some(seen.metric).filter(|metric| *metric != 0),
            table: Some(seen.table).filter(|table| *table != u32::from(RT_TABLE_MAIN)),
            scope: Some(head[6]).filter(|scope| *scope != default_scope),
            mtu: of(RTAX_MTU),
            advmss: of(RTAX_ADVMSS),
            protocol: Some(seen.protocol.0),
            source: a.get(RTA_PREFSRC).and_then(address_of),
            on_link: flags & ON_LINK != 0,
            tos: head[3],
            expires: ticks.filter(|ticks| *ticks != 0 && !v4).map(|ticks| ticks / TICKS),
            preference: a.get(RTA_PREF).and_then(|bytes| bytes.first().copied()).unwrap_or(0),
            hop_limit: of(RTAX_HOPLIMIT),
            initcwnd: of(RTAX_INITCWND),
            initrwnd: of(RTAX_INITRWND),
        };
        let route = StaticRoute { to: seen.to, via: seen.via, options };
        let beyond = |a: &crate::message::Attributes<'_>| {
            if a.get(RTA_NH_ID).is_some() {
                return Some("leads to a nexthop object".to_owned());
            }
            if a.get(RTA_MULTIPATH).is_some() {
                return Some("has several next hops".to_owned());
            }
            if head[2] != 0 {
                return Some("selects by source".to_owned());
            }
            other.map(|number| format!("has the metric number {number} (RTAX_* in linux/rtnetlink.h)"))
        };
        if let Some(hops) = a.get(RTA_MULTIPATH) {
            return devices_of(hops)
                .into_iter()
                .map(|device| RouteOfDevice { device, route, beyond: beyond(&a) })
                .collect();
        }
        let beyond = beyond(&a);
        seen.device.map(|device| RouteOfDevice { device, route, beyond }).into_iter().collect()
    }
}

/// The devices of `struct rtnexthop` one after another.
fn devices_of(mut hops: &[u8]) -> Vec<IfIndex> {
    let mut all = Vec::new();
    while let Some(head) = hops.get(..8) {
        all.push(IfIndex(u32::from_ne_bytes([head[4], head[5], head[6], head[7]])));
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]])).next_multiple_of(4);
        hops = hops.get(length.max(8)..).unwrap_or_default();
    }
    all
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

    fn read(bytes: &[u8]) -> Vec<RouteOfDevice> {
        RouteOfDevice::parse(&crate::Messages::new(bytes).next().unwrap())
    }

    #[test]
    fn a_route_that_moves_keeps_its_options() {
        let options = RouteOptions {
            metric: Some(5),
            table: Some(1000),
            mtu: Some(1400),
            advmss: Some(1340),
            protocol: Some(3),
            source: Some("10.1.0.1".parse().unwrap()),
            on_link: true,
            tos: 0x10,
            hop_limit: Some(9),
            initcwnd: Some(10),
            initrwnd: Some(11),
            ..RouteOptions::default()
        };
        let whole = with(route("10.9.0.0/16", Some("10.1.0.254")), options);
        let seen = read(&ours(|b| whole.encode_append(b, IfIndex(2))));
        let moved = StaticRoute { to: whole.to, via: whole.via, options };
        assert_eq!(seen, [RouteOfDevice { device: IfIndex(2), route: moved, beyond: None }]);
        assert_eq!(
            whole.to_string(),
            "10.9.0.0/16 tos 0x10 via 10.1.0.254 dev zb-blue proto 3 metric 5 table 1000 mtu 1400 advmss 1340 \
             hoplimit 9 initcwnd 10 initrwnd 11 src 10.1.0.1 onlink"
        );
        let v6 = RouteOptions { protocol: Some(9), preference: 1, ..RouteOptions::default() };
        let by_v6 = with(route("10.9.0.0/16", Some("fe80::1")), v6);
        let seen = read(&ours(|b| by_v6.encode_append(b, IfIndex(2))));
        assert_eq!(seen[0].route, StaticRoute { to: by_v6.to, via: by_v6.via, options: v6 });
        assert!(by_v6.to_string().contains("via inet6 fe80::1"));
    }

    #[test]
    fn what_a_route_cannot_say_is_named() {
        let mut batch = Batch::new();
        batch.message(RTM_NEWROUTE, flag::REQUEST, |b| {
            b.header(&[AF_INET, 16, 0, 0, RT_TABLE_MAIN, 3, 0, RTN_UNICAST, 0, 0, 0, 0]);
            b.attr(RTA_DST, &[10, 5, 0, 0]);
            // Two `struct rtnexthop` without attributes, by the devices 2 and 7.
            b.attr(RTA_MULTIPATH, &[8, 0, 0, 0, 2, 0, 0, 0, 8, 0, 0, 0, 7, 0, 0, 0]);
        });
        let seen = read(batch.bytes());
        assert_eq!(seen.iter().map(|one| one.device).collect::<Vec<_>>(), [IfIndex(2), IfIndex(7)]);
        assert!(seen.iter().all(|one| one.beyond.as_deref() == Some("has several next hops")));
        // A length of nothing must not make the reader wait for ever.
        assert_eq!(devices_of(&[0; 16]).len(), 2);
    }
}
