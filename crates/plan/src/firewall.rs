//! The one nftables table: made once per host, afterwards only elements change.
//!
//! # How it works
//! Sets hold what is known about networks and endpoints; the rules only look things up in them, so neither the
//! number of rules nor the cost of a packet grows with endpoints.
//!
//! | set | key | holds |
//! |---|---|---|
//! | `bridges` | device | the bridge of every network that is reached by published ports only |
//! | `sealed` | device | those of them whose endpoints reach no other network, open ones included |
//! | `open` | device | the bridges of networks that everybody reaches |
//! | `apart` | device | those of them whose endpoints do not reach each other's networks |
//! | `internal` | device | bridges of networks without a way out |
//! | `icc` | device . device | each bridge whose endpoints may reach each other, with itself |
//! | `home4`, `home6` | device . prefix | where each subnet lives |
//! | `subnets4`, `subnets6` | prefix | every subnet of the networks in `bridges` |
//! | `private4`, `private6` | prefix | those of them that leave with the host's address |
//! | `masquerade4`, `masquerade6` | prefix | every subnet that leaves with the host's address |
//! | `endpoints4`, `endpoints6` | device . address | addresses that were given to endpoints |
//! | `same` | device . device | each bridge with itself |
//! | `itself4`, `itself6` | address . address | endpoints with published ports, each with itself |
//! | `untouched4`, `untouched6` | address | endpoints whose published ports leave every source as it is |
//! | `hidden4`, `hidden6` | address | endpoints whose published ports show no source but the host |
//! | `closed` | family | for which of them zubi made a router of a host that was none |
//!
//! | map | from | to |
//! |---|---|---|
//! | `publish4`, `publish6` | protocol . port, at any address of the host | address . port of an endpoint |
//! | `publish_at4`, `publish_at6` | host address . protocol . port | address . port |
//! | `ranges4`, `ranges6` | host prefix . protocol . ports | address; the port stays |
//!
//! - `guard` (raw): packets to a private subnet that do not come from its own bridge are dropped before
//!   connection tracking: container addresses cannot be reached by routing. Replies to masqueraded connections still
//!   carry the host's address here. For subnets that are not masqueraded this would be too early. And nobody but the
//!   host itself reaches 127.0.0.0/8, or sends from there: the bridges have `route_localnet`, without which ports could not be published
//!   there.
//! - `prerouting`, `output`: what is for this host, and only that, is looked up in the maps (`publish`). Forwarded
//!   packets are never taken. `::1` cannot be translated: what comes back to it is dropped by the kernel's routing.
//! - `input`: the same as `guard` for the addresses the host itself has in other networks' subnets.
//! - `forward`: new connections leave from endpoint addresses only, and reach neither other networks nor, from outside,
//!   any endpoint, except by a published port. Established ones pass. Networks in `open` are neither watched nor guarded.
//!   A TCP connection from a masqueraded subnet that the kernel no longer knows is reset: the kernel would take its next
//!   segment for a new one, and when the server of a port that was taken back speaks first, and has the same number
//!   inside, it would go on. On a host that was no router before (`closed`), what neither comes from nor goes to a
//!   bridge, anybody's, or a device of a link is dropped at last: it would not have passed without zubi.
//! - `postrouting`: what leaves a masqueraded subnet by another device takes the host's address. So does what comes
//!   back to its own network by a published port (or the reply would go past the host), and what the host sends
//!   from 127.0.0.0/8.
//!
//! Single ports stand in hash maps, a range that keeps its numbers is one element of an interval map, and one that
//! shifts them is an element a port: nft has no map with an offset.
//!
//! # Limits
//! On a network without icc, and while bridges pass frames to the firewall (`bridge-nf-call-iptables`), its own
//! endpoints do not reach its published ports: the frame is translated on the bridge, which lets none pass between
//! isolated ports.
//!
//! An `accept` here cannot overrule another table's drop.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use zubi_model::{
    BridgeMode, Egress, Endpoint, Family, Icc, IfName, Ingress, LinkGroup, Network, PortSource, PublishedPort, Scope,
};
use zubi_wire::nft::{Chain, Element, Expr, Field, Hook, HookPoint, LoadKey, Rule, Set, Shape, Table, Value};

use crate::{Op, What};
use LoadKey::{
    DestPort, IifGroup, IifKind, IifName, Ipv4Daddr, Ipv4Saddr, Ipv6Daddr, Ipv6Saddr, L4Proto, NfProto, OifGroup,
    OifKind, OifName,
};

/// The table's name.
pub const TABLE: &str = "zubi";

/// The set of the families for which zubi made a router of this host.
pub const CLOSED: &str = "closed";

/// The table.
pub fn table() -> Table {
    Table { name: TABLE.into() }
}

/// Its sets.
pub fn sets() -> Vec<Set> {
    let set = |name: &str, key: &[Field], shape| Set::new(TABLE, name, key, shape);
    vec![
        set("bridges", &[Field::IfName], Shape::Exact),
        set("sealed", &[Field::IfName], Shape::Exact),
        set("open", &[Field::IfName], Shape::Exact),
        set("apart", &[Field::IfName], Shape::Exact),
        set("internal", &[Field::IfName], Shape::Exact),
        set("icc", &[Field::IfName, Field::IfName], Shape::Exact),
        set("home4", &[Field::IfName, Field::Ipv4], Shape::Interval),
        set("home6", &[Field::IfName, Field::Ipv6], Shape::Interval),
        set("subnets4", &[Field::Ipv4], Shape::Interval),
        set("subnets6", &[Field::Ipv6], Shape::Interval),
        set("private4", &[Field::Ipv4], Shape::Interval),
        set("private6", &[Field::Ipv6], Shape::Interval),
        set("masquerade4", &[Field::Ipv4], Shape::Interval),
        set("masquerade6", &[Field::Ipv6], Shape::Interval),
        set("endpoints4", &[Field::IfName, Field::Ipv4], Shape::Exact),
        set("endpoints6", &[Field::IfName, Field::Ipv6], Shape::Exact),
        set("closed", &[Field::NfProto], Shape::Exact),
        set("same", &[Field::IfName, Field::IfName], Shape::Exact),
        set("itself4", &[Field::Ipv4, Field::Ipv4], Shape::Exact),
        set("itself6", &[Field::Ipv6, Field::Ipv6], Shape::Exact),
        set("untouched4", &[Field::Ipv4], Shape::Exact),
        set("untouched6", &[Field::Ipv6], Shape::Exact),
        set("hidden4", &[Field::Ipv4], Shape::Exact),
        set("hidden6", &[Field::Ipv6], Shape::Exact),
        set("publish4", &[Field::Proto, Field::Port], Shape::Exact).mapped_to(&[Field::Ipv4, Field::Port]),
        set("publish6", &[Field::Proto, Field::Port], Shape::Exact).mapped_to(&[Field::Ipv6, Field::Port]),
        set("publish_at4", &[Field::Ipv4, Field::Proto, Field::Port], Shape::Exact)
            .mapped_to(&[Field::Ipv4, Field::Port]),
        set("publish_at6", &[Field::Ipv6, Field::Proto, Field::Port], Shape::Exact)
            .mapped_to(&[Field::Ipv6, Field::Port]),
        set("ranges4", &[Field::Ipv4, Field::Proto, Field::Port], Shape::Interval).mapped_to(&[Field::Ipv4]),
        set("ranges6", &[Field::Ipv6, Field::Proto, Field::Port], Shape::Interval).mapped_to(&[Field::Ipv6]),
    ]
}

/// Its chains.
pub fn chains() -> Vec<Chain> {
    let chain =
        |name: &str, chain_type, point, priority| Chain::base(TABLE, name, Hook { chain_type, point, priority });
    vec![
        chain("guard", "filter", HookPoint::Prerouting, -300),
        chain("prerouting", "nat", HookPoint::Prerouting, -100),
        chain("input", "filter", HookPoint::Input, 0),
        chain("forward", "filter", HookPoint::Forward, 0),
        chain("output", "nat", HookPoint::Output, -100),
        chain("postrouting", "nat", HookPoint::Postrouting, 100),
        Chain::regular(TABLE, "publish"),
    ]
}

/// Its rules, each chain's in order.
pub fn rules() -> Vec<Rule> {
    let rule = |chain: &str| Rule::new(TABLE, chain);
    let loopback4 = IpNet::new_assert(Ipv4Addr::new(127, 0, 0, 0).into(), 8);
    let loopback6 = IpNet::new_assert(Ipv6Addr::LOCALHOST.into(), 128);
    let link_local6 = IpNet::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0).into(), 10);
    let publish = |family| {
        let daddr = if family == Family::V4 { Ipv4Daddr } else { Ipv6Daddr };
        let map = |name| by_family(name, family);
        [
            rule("publish").dnat_to_address_and_port(family, &[daddr, L4Proto, DestPort], &map("publish_at")),
            rule("publish").dnat_to_address_and_port(family, &[L4Proto, DestPort], &map("publish")),
            rule("publish").dnat_to_address(family, &[daddr, L4Proto, DestPort], &map("ranges")),
        ]
    };
    let mut all = vec![
        rule("guard")
            .not_from_loopback()
            .to_prefix(loopback4)
            .counted_drop()
            .comment("loopback addresses belong to the host alone"),
        rule("guard").not_from_loopback().from_prefix(loopback4).counted_drop(),
        rule("guard")
            .not_from_loopback()
            .in_set(&[Ipv4Daddr], "private4")
            .not_in_set(&[IifName, Ipv4Daddr], "home4")
            .counted_drop()
            .comment("container addresses are not reachable by routing"),
        rule("guard")
            .not_from_loopback()
            .in_set(&[Ipv6Daddr], "private6")
            .not_in_set(&[IifName, Ipv6Daddr], "home6")
            .counted_drop()
            .comment("container addresses are not reachable by routing"),
        rule("prerouting").not_for_this_host().leave().comment("what only passes through is never taken"),
        rule("prerouting").to_prefix(link_local6).leave(),
        rule("prerouting").jump("publish"),
        rule("input").established().accept(),
        rule("input")
            .not_from_loopback()
            .in_set(&[Ipv4Daddr], "subnets4")
            .not_in_set(&[IifName, Ipv4Daddr], "home4")
            .counted_drop()
            .comment("a gateway answers its own network only"),
        rule("input")
            .not_from_loopback()
            .in_set(&[Ipv6Daddr], "subnets6")
            .not_in_set(&[IifName, Ipv6Daddr], "home6")
            .counted_drop()
            .comment("a gateway answers its own network only"),
        rule("forward").established().accept(),
        rule("forward").in_set(&[IifName, OifName], "icc").accept().comment("inside one network"),
        rule("forward").in_set(&[IifName], "internal").counted_drop().comment("internal: no way out"),
        rule("forward").in_set(&[OifName], "internal").counted_drop().comment("internal: no way in"),
        rule("forward")
            .in_set(&[IifName], "bridges")
            .not_in_set(&[IifName, Ipv4Saddr], "endpoints4")
            .counted_drop()
            .comment("only addresses that were given leave"),
        rule("forward").in_set(&[IifName], "bridges").not_in_set(&[IifName, Ipv6Saddr], "endpoints6").counted_drop(),
        rule("forward").in_set(&[OifName], "bridges").translated().accept().comment("by a published port"),
        rule("forward").in_set(&[OifName], "open").translated().accept(),
        rule("forward")
            .in_set(&[IifName], "bridges")
            .in_set(&[OifName], "bridges")
            .counted_drop()
            .comment("networks do not reach each other"),
        rule("forward").in_set(&[IifName], "sealed").in_set(&[OifName], "open").counted_drop(),
        rule("forward").in_set(&[IifName], "apart").in_set(&[OifName], "apart").counted_drop(),
        rule("forward")
            .in_set(&[IifName, Ipv4Saddr], "home4")
            .in_set(&[Ipv4Saddr], "masquerade4")
            .in_mid_stream()
            .counted_reset()
            .comment("what was ended does not go on"),
        rule("forward")
            .in_set(&[IifName, Ipv6Saddr], "home6")
            .in_set(&[Ipv6Saddr], "masquerade6")
            .in_mid_stream()
            .counted_reset(),
        rule("forward").in_set(&[OifName], "open").accept().comment("who wants to be reached by everybody"),
        rule("forward").in_set(&[IifName], "bridges").accept().comment("out"),
        rule("forward").in_set(&[OifName], "bridges").counted_drop().comment("nothing else comes in"),
        // Hardware has no kind, and a rule that asks for one goes no further (nft_meta_store_ifkind in
        // net/netfilter/nft_meta.c): so what may pass is asked for.
        rule("forward").of_kind(IifKind, "bridge").accept().comment("containers and machines of others"),
        rule("forward").of_kind(OifKind, "bridge").accept(),
        rule("forward").in_group(IifGroup, LinkGroup::OURS).accept().comment("links"),
        rule("forward").in_group(OifGroup, LinkGroup::OURS).accept(),
        rule("forward").in_set(&[NfProto], CLOSED).counted_drop().comment("this host was no router before"),
        rule("output").not_for_this_host().leave().comment("what is for others is never taken"),
        rule("output").to_prefix(loopback6).leave().comment("nothing comes back to ::1"),
        rule("output").to_prefix(link_local6).leave(),
        rule("output").jump("publish"),
        rule("postrouting").in_set(&[Ipv4Saddr], "masquerade4").not_in_set(&[OifName, Ipv4Saddr], "home4").masquerade(),
        rule("postrouting").in_set(&[Ipv6Saddr], "masquerade6").not_in_set(&[OifName, Ipv6Saddr], "home6").masquerade(),
        rule("postrouting")
            .from_prefix(loopback4)
            .in_set(&[OifName], "bridges")
            .masquerade()
            .comment("from the loopback of the host"),
        rule("postrouting").from_prefix(loopback4).in_set(&[OifName], "open").masquerade(),
        rule("postrouting")
            .translated()
            .in_set(&[Ipv4Daddr], "hidden4")
            .masquerade()
            .comment("ports that show the host alone"),
        rule("postrouting").translated().in_set(&[Ipv6Daddr], "hidden6").masquerade(),
        rule("postrouting")
            .translated()
            .in_set(&[Ipv4Daddr], "untouched4")
            .leave()
            .comment("ports that leave every source as it is"),
        rule("postrouting").translated().in_set(&[Ipv6Daddr], "untouched6").leave(),
        rule("postrouting")
            .in_set(&[Ipv4Saddr, Ipv4Daddr], "itself4")
            .masquerade()
            .comment("to itself, by a port of its own"),
        rule("postrouting").in_set(&[Ipv6Saddr, Ipv6Daddr], "itself6").masquerade(),
        rule("postrouting")
            .translated()
            .in_set(&[IifName, OifName], "same")
            .masquerade()
            .comment("to a neighbour, by its port"),
    ];
    all.extend(publish(Family::V4));
    all.extend(publish(Family::V6));
    all
}

/// For each chain, how many rules it has and how many lead to it: what the kernel counts as its uses.
pub fn uses() -> Vec<u32> {
    let rules = rules();
    let leads_to = |rule: &Rule, name: &str| {
        rule.exprs.iter().any(|expr| matches!(expr, Expr::Verdict(verdict) if verdict.chain() == Some(name)))
    };
    let uses = |name: &str| rules.iter().filter(|r| r.chain == name || leads_to(r, name)).count();
    chains().iter().map(|chain| u32::try_from(uses(&chain.name)).unwrap_or(u32::MAX)).collect()
}

fn element(set: &str, key: Vec<Value>) -> Element {
    Element::new(TABLE, set, key)
}

fn device(name: &IfName) -> Value {
    Value::Device(name.clone())
}

fn by_family(set: &str, family: Family) -> String {
    format!("{set}{}", if family == Family::V4 { '4' } else { '6' })
}

/// Closes a family to what concerns no bridge, on a host that was no router before.
pub fn closed(family: Family) -> Element {
    element(CLOSED, vec![Value::Family(family)])
}

/// What the sets hold about a network.
pub fn network_elements(network: &Network) -> Vec<Element> {
    let bridge = &network.bridge;
    let mut all = Vec::new();
    if network.bridge_mode == BridgeMode::Unmanaged {
        return all;
    }
    let guarded = matches!(network.ingress, Ingress::Published | Ingress::Sealed);
    if network.ingress == Ingress::Sealed {
        all.push(element("sealed", vec![device(bridge)]));
    }
    all.push(element(if guarded { "bridges" } else { "open" }, vec![device(bridge)]));
    if network.ingress == Ingress::Apart {
        all.push(element("apart", vec![device(bridge)]));
    }
    all.push(element("same", vec![device(bridge), device(bridge)]));
    if network.scope == Scope::Internal {
        all.push(element("internal", vec![device(bridge)]));
    }
    if network.icc == Icc::Allowed {
        all.push(element("icc", vec![device(bridge), device(bridge)]));
    }
    for pool in &network.pools {
        let family = pool.subnet.family();
        let prefix = Value::Prefix(pool.subnet.net());
        all.push(element(&by_family("home", family), vec![device(bridge), prefix.clone()]));
        if guarded {
            all.push(element(&by_family("subnets", family), vec![prefix.clone()]));
        }
        if guarded && network.egress == Egress::Masquerade {
            all.push(element(&by_family("private", family), vec![prefix.clone()]));
        }
        if network.egress == Egress::Masquerade {
            all.push(element(&by_family("masquerade", family), vec![prefix]));
        }
    }
    all
}

/// What says that an address was given to an endpoint on a bridge.
pub fn endpoint_element(bridge: &IfName, address: IpAddr) -> Element {
    let set = by_family("endpoints", Family::of(address));
    element(&set, vec![device(bridge), Value::Address(address)])
}

/// What sets and maps hold about an endpoint.
pub fn endpoint_elements(endpoint: &Endpoint) -> Vec<Element> {
    let addresses = endpoint.addresses.iter();
    let mut all: Vec<Element> = addresses.map(|a| endpoint_element(&endpoint.bridge, a.address.addr())).collect();
    if !endpoint.ports.is_empty() {
        all.extend(itself_elements(endpoint));
    }
    all.extend(endpoint.ports.iter().flat_map(|port| port_elements(endpoint, port)));
    all
}

/// What the sets hold about an endpoint because it has any published port.
pub fn itself_elements(endpoint: &Endpoint) -> impl Iterator<Item = Element> {
    endpoint.addresses.iter().map(|a| {
        let address = a.address.addr();
        let of_family = |set| by_family(set, Family::of(address));
        let value = Value::Address(address);
        match endpoint.traits.port_source {
            PortSource::Preserved => element(&of_family("itself"), vec![value.clone(), value]),
            PortSource::Untouched => element(&of_family("untouched"), vec![value]),
            PortSource::Masqueraded => element(&of_family("hidden"), vec![value]),
        }
    })
}

/// What the maps hold about a published port.
pub fn port_elements(endpoint: &Endpoint, port: &PublishedPort) -> Vec<Element> {
    let protocol = Value::Protocol(port.protocol);
    let mut all = Vec::new();
    for listen in port.host.listens(&endpoint.families()) {
        let family = Family::of(listen);
        let Some(to) = endpoint.address(family).map(|a| Value::Address(a.address.addr())) else { continue };
        if port.host_ports == port.target && port.host_ports.count() > 1 {
            let key = vec![Value::Prefix(listened(listen)), protocol.clone(), Value::Ports(port.host_ports)];
            all.push(element(&by_family("ranges", family), key).mapped_to(vec![to]));
            continue;
        }
        for (outer, inner) in port.pairs() {
            let data = vec![to.clone(), Value::Port(inner)];
            let mut key = vec![protocol.clone(), Value::Port(outer)];
            let map = if listen.is_unspecified() {
                "publish"
            } else {
                key.insert(0, Value::Address(listen));
                "publish_at"
            };
            all.push(element(&by_family(map, family), key).mapped_to(data));
        }
    }
    all
}

/// The unspecified address stands for all.
fn listened(address: IpAddr) -> IpNet {
    match (address.is_unspecified(), address) {
        (true, _) => IpNet::new_assert(address, 0),
        (false, IpAddr::V4(_)) => IpNet::new_assert(address, 32),
        (false, IpAddr::V6(_)) => IpNet::new_assert(address, 128),
    }
}

/// Table, sets, chains and rules: one transaction whose first message fails when the table is there.
pub fn layout() -> impl Iterator<Item = Op> {
    const WHY: &str = "firewall: one table for all networks; its rules look up sets, so they never grow";
    let table = std::iter::once(What::AddTable(table()));
    let sets = sets().into_iter().map(What::AddSet);
    let chains = chains().into_iter().map(What::AddChain);
    let rules = rules().into_iter().map(What::AddRule);
    table.chain(sets).chain(chains).chain(rules).map(|what| Op::host(what, WHY))
}
