//! Static routes of a network.

use crate::Error;
use crate::request::RouteEntry;
use ipnet::IpNet;
use zubi_model::{Family, Invalid, RouteKind, RouteOptions, StaticRoute};

/// netavark's default since 1.6.
const METRIC: u32 = 100;
/// Of one network.
const MOST: usize = 1000;

/// Reads all routes of a network.
pub(crate) fn read(entries: &[RouteEntry]) -> Result<Vec<StaticRoute>, Error> {
    if entries.len() > MOST {
        return Err(Error::TooMany { what: "routes", most: MOST });
    }
    entries.iter().map(|entry| route(entry).map_err(Error::from)).collect()
}

fn route(entry: &RouteEntry) -> Result<StaticRoute, Invalid> {
    let wrong = |why: &str| Invalid::new("route", &entry.destination, why);
    let to: IpNet = entry.destination.parse().map_err(|_| wrong("is not an address with a prefix length"))?;
    if to != to.trunc() {
        return Err(wrong("has host bits set").try_instead(format!("did you mean {}?", to.trunc())));
    }
    let kind = match entry.route_type.as_deref() {
        None | Some("" | "unicast") => RouteKind::Unicast,
        Some("blackhole") => RouteKind::Blackhole,
        Some("unreachable") => RouteKind::Unreachable,
        Some("prohibit") => RouteKind::Prohibit,
        Some(other) => {
            return Err(Invalid::new("route type", other, "is none of unicast, blackhole, unreachable and prohibit"));
        }
    };
    let via = match entry.gateway.as_deref().filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(crate::addresses::one("gateway", text)?),
    };
    match (kind, via) {
        (RouteKind::Unicast, None) => return Err(wrong("has no gateway")),
        (RouteKind::Unicast, Some(via)) if Family::of(via) != Family::of(to.addr()) => {
            return Err(wrong(&format!("mixes IPv4 and IPv6: its gateway is {via}")));
        }
        (RouteKind::Unicast, Some(via)) if via.is_unspecified() || via.is_multicast() => {
            return Err(wrong(&format!("has gateway {via}, which is no unicast address")));
        }
        (RouteKind::Unicast, Some(_)) | (_, None) => {}
        (_, Some(_)) => return Err(wrong("drops what it is for, and has a gateway")),
    }
    let options = RouteOptions { kind, metric: Some(entry.metric.unwrap_or(METRIC)), ..RouteOptions::default() };
    Ok(StaticRoute { to, via, options })
}
