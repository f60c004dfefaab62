//! `host-local`: addresses from ranges.

use crate::context::Context;
use crate::error::CniError;
use crate::fields::Fields;
use crate::intent::Reserve;
use crate::result::read_routes;
use crate::routes::without_host_bits;
use crate::runtime::Wanted;
use crate::version::Version;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use zubi_model::{Exclusion, Family, GatewayAt, Pool, Subnet};

/// One range with its defaults filled in.
#[derive(Debug, Clone)]
struct Range {
    pool: Pool,
    first: IpAddr,
    last: IpAddr,
}

/// Reads the section `ipam` or, for `zubi`, the configuration itself. The pools get `gateway_at`.
pub(crate) fn read(ipam: &Fields<'_>, context: &Context<'_>, gateway_at: GatewayAt) -> Result<Reserve, CniError> {
    let runtime = context.runtime;
    let mut sets = Vec::new();
    if let Some(config) = runtime.config() {
        sets.extend(read_sets(config, "ipRanges")?);
    }
    if ipam.get("subnet").is_some() {
        sets.push(vec![read_range(ipam)?]);
    }
    sets.extend(read_sets(ipam, "ranges")?);
    // GC and STATUS concern no attachment and come without `runtimeConfig.ipRanges`.
    if sets.is_empty() && context.ifname.is_some() {
        return Err(CniError::missing(ipam.name("ranges"), "there is no subnet to take addresses from"));
    }
    check_sets(&sets, context.version)?;
    let wanted = runtime.ips()?;
    check_wanted(&sets, &wanted)?;
    let pool = |mut range: Range| {
        range.pool.gateway_at = gateway_at;
        range.pool
    };
    Ok(Reserve {
        sets: sets.into_iter().map(|set| set.into_iter().map(pool).collect()).collect(),
        wanted: wanted.ips.iter().map(|ip| ip.address).collect(),
        routes: without_host_bits(read_routes(ipam, "routes")?)?,
        resolv_conf: ipam.path("resolvConf")?,
        data_dir: ipam.path("dataDir")?,
    })
}

/// Reads a list of sets, each a list of ranges.
fn read_sets(fields: &Fields<'_>, key: &str) -> Result<Vec<Vec<Range>>, CniError> {
    let mut sets = Vec::new();
    for (at, set) in fields.list(key)?.iter().enumerate() {
        let place = format!("{}[{at}]", fields.name(key));
        let ranges = set.as_array().ok_or_else(|| fields.wrong(key, set, "is not a list of lists of ranges"))?;
        let read = |(n, range)| read_range(&Fields::of(range, format!("{place}[{n}]"))?);
        let set: Vec<Range> = ranges.iter().enumerate().map(read).collect::<Result<_, _>>()?;
        let Some(one) = set.first() else { return Err(CniError::config(place, "[]", "is a set without ranges")) };
        let family = one.pool.subnet.family();
        if let Some(other) = set.iter().find(|r| r.pool.subnet.family() != family) {
            return Err(CniError::config(place, other.pool.subnet, "mixes IPv4 and IPv6 in a set"));
        }
        sets.push(set);
    }
    Ok(sets)
}

fn read_range(fields: &Fields<'_>) -> Result<Range, CniError> {
    let missing = || CniError::missing(fields.name("subnet"), "each range needs one");
    let subnet: Subnet = fields.parsed("subnet")?.ok_or_else(missing)?;
    let within = |key: &'static str| {
        let address: Option<IpAddr> = fields.parsed(key)?;
        let outside = |a: &IpAddr| !subnet.net().contains(a);
        match address.filter(outside) {
            Some(a) => Err(CniError::config(fields.name(key), a, format!("is not inside {subnet}"))),
            None => Ok(address),
        }
    };
    let (net, usable) = (subnet.net(), last_host(subnet));
    let first = within("rangeStart")?.unwrap_or_else(|| subnet.first_host());
    let last = within("rangeEnd")?.unwrap_or(usable);
    if first > last {
        let why = format!("is behind the end of the range, {last}");
        return Err(CniError::config(fields.name("rangeStart"), first, why));
    }
    let gateway: IpAddr = fields.parsed("gateway")?.unwrap_or_else(|| subnet.first_host());
    if Family::of(gateway) != subnet.family() {
        return Err(CniError::config(fields.name("gateway"), gateway, format!("is of another family than {subnet}")));
    }
    let mut exclude = Vec::new();
    if first > subnet.first_host() {
        exclude.extend(before(first).map(|end| Exclusion { first: net.network(), last: end }));
    }
    if last < usable {
        exclude.extend(behind(last).map(|start| Exclusion { first: start, last: net.broadcast() }));
    }
    let pool = Pool { subnet, gateway: Some(gateway), gateway_at: GatewayAt::Elsewhere, range: None, exclude };
    Ok(Range { pool, first, last })
}

/// Bounds the work of the overlap check.
const MOST_RANGES: usize = 1000;

/// No address may be in two ranges, in one set or two. A format with one address per family takes one set of each.
fn check_sets(sets: &[Vec<Range>], version: Version) -> Result<(), CniError> {
    let mut all: Vec<&Range> = sets.iter().flatten().collect();
    if all.len() > MOST_RANGES {
        return Err(CniError::config("ipam.ranges", all.len(), format!("at most {MOST_RANGES} are taken")));
    }
    all.sort_by_key(|r| (r.pool.subnet.family(), r.first));
    for pair in all.windows(2) {
        let [one, other] = pair else { continue };
        if one.pool.subnet.family() == other.pool.subnet.family() && other.first <= one.last {
            let (one, other) = (format!("{}-{}", one.first, one.last), format!("{}-{}", other.first, other.last));
            return Err(CniError::config("ipam.ranges", other, format!("overlaps {one}")));
        }
    }
    for family in [Family::V4, Family::V6] {
        let of = sets.iter().filter(|set| set.first().is_some_and(|r| r.pool.subnet.family() == family)).count();
        if version.is_single() && of > 1 {
            let why = format!("version {version} has no words for more than one {family} address");
            return Err(CniError::config("ipam.ranges", format!("{of} sets"), why));
        }
    }
    Ok(())
}

/// Each requested address must be usable and in a set of its own.
fn check_wanted(sets: &[Vec<Range>], wanted: &Wanted) -> Result<(), CniError> {
    let mut taken = vec![false; sets.len()];
    for ip in &wanted.ips {
        let address = ip.address;
        let refuse = |why: String| Err(CniError::config(wanted.key, address, why));
        let in_range =
            |r: &&Range| Family::of(address) == r.pool.subnet.family() && r.first <= address && address <= r.last;
        let found = sets.iter().enumerate().find_map(|(at, set)| Some((at, set.iter().find(in_range)?)));
        let Some((at, range)) = found else { return refuse("is in none of the ranges".into()) };
        if range.pool.gateway == Some(address) {
            return refuse(format!("is the gateway of {}", range.pool.subnet));
        }
        if !range.pool.subnet.has_host(address) {
            return refuse(format!("is not a host address of {}", range.pool.subnet));
        }
        if std::mem::replace(&mut taken[at], true) {
            return refuse("is the second one of its set of ranges, which gives one".into());
        }
    }
    Ok(())
}

/// The last usable address: IPv4's broadcast address is not.
fn last_host(subnet: Subnet) -> IpAddr {
    let last = subnet.net().broadcast();
    if last.is_ipv4() { before(last).unwrap_or(last) } else { last }
}

fn before(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(a) => u32::from(a).checked_sub(1).map(|n| Ipv4Addr::from(n).into()),
        IpAddr::V6(a) => u128::from(a).checked_sub(1).map(|n| Ipv6Addr::from(n).into()),
    }
}

fn behind(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(a) => u32::from(a).checked_add(1).map(|n| Ipv4Addr::from(n).into()),
        IpAddr::V6(a) => u128::from(a).checked_add(1).map(|n| Ipv6Addr::from(n).into()),
    }
}
