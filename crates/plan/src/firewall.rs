//! The one nftables table: made once per host, afterwards only elements change.
//!
//! # How it works
//! Sets hold what is known about networks and endpoints; the rules only look things up in them, so neither the
//! number of rules nor the cost of a packet grows with endpoints.
//!
//! | set | key | holds |
//! |---|---|---|
//! | `bridges` | device | the bridge of every network |
//! | `internal` | device | bridges of networks without a way out |
//! | `icc` | device . device | each bridge whose endpoints may reach each other, with itself |
//! | `home4`, `home6` | device . prefix | where each subnet lives |
//! | `subnets4`, `subnets6` | prefix | every subnet |
//! | `masquerade4`, `masquerade6` | prefix | subnets that leave with the host's address |
//! | `endpoints4`, `endpoints6` | device . address | addresses that were given to endpoints |
//!
//! - `guard` (raw): packets to a masqueraded subnet that do not come from its own bridge are dropped before
//!   connection tracking: container addresses cannot be reached by routing. Replies to masqueraded connections still
//!   carry the host's address here. For subnets that are not masqueraded this would be too early.
//! - `input`: the same for the addresses the host itself has in other networks' subnets.
//! - `forward`: new connections leave from endpoint addresses only, and reach neither other networks nor, from outside,
//!   any endpoint. Established ones pass.
//! - `nat`: what leaves a masqueraded subnet by another device takes the host's address.
//!
//! # Limits
//! An `accept` here cannot overrule another table's drop.

use zubi_model::{Egress, Endpoint, Family, Icc, IfName, Network, Scope};
use zubi_wire::nft::{Chain, Element, Field, Hook, HookPoint, LoadKey, Rule, Set, Shape, Table, Value};

use crate::{Op, What};
use LoadKey::{IifName, Ipv4Daddr, Ipv4Saddr, Ipv6Daddr, Ipv6Saddr, OifName};

/// The table's name.
pub const TABLE: &str = "zubi";

/// The table.
pub fn table() -> Table {
    Table { name: TABLE.into() }
}

/// Its sets.
pub fn sets() -> Vec<Set> {
    let set = |name: &str, key: &[Field], shape| Set::new(TABLE, name, key, shape);
    vec![
        set("bridges", &[Field::IfName], Shape::Exact),
        set("internal", &[Field::IfName], Shape::Exact),
        set("icc", &[Field::IfName, Field::IfName], Shape::Exact),
        set("home4", &[Field::IfName, Field::Ipv4], Shape::Interval),
        set("home6", &[Field::IfName, Field::Ipv6], Shape::Interval),
        set("subnets4", &[Field::Ipv4], Shape::Interval),
        set("subnets6", &[Field::Ipv6], Shape::Interval),
        set("masquerade4", &[Field::Ipv4], Shape::Interval),
        set("masquerade6", &[Field::Ipv6], Shape::Interval),
        set("endpoints4", &[Field::IfName, Field::Ipv4], Shape::Exact),
        set("endpoints6", &[Field::IfName, Field::Ipv6], Shape::Exact),
    ]
}

/// Its chains.
pub fn chains() -> Vec<Chain> {
    let chain = |name: &str, chain_type, point, priority| Chain {
        table: TABLE.into(),
        name: name.into(),
        hook: Hook { chain_type, point, priority },
    };
    vec![
        chain("guard", "filter", HookPoint::Prerouting, -300),
        chain("input", "filter", HookPoint::Input, 0),
        chain("forward", "filter", HookPoint::Forward, 0),
        chain("nat", "nat", HookPoint::Postrouting, 100),
    ]
}

/// Its rules, each chain's in order.
pub fn rules() -> Vec<Rule> {
    let rule = |chain: &str| Rule::new(TABLE, chain);
    vec![
        rule("guard")
            .not_from_loopback()
            .in_set(&[Ipv4Daddr], "masquerade4")
            .not_in_set(&[IifName, Ipv4Daddr], "home4")
            .counted_drop()
            .comment("container addresses are not reachable by routing"),
        rule("guard")
            .not_from_loopback()
            .in_set(&[Ipv6Daddr], "masquerade6")
            .not_in_set(&[IifName, Ipv6Daddr], "home6")
            .counted_drop()
            .comment("container addresses are not reachable by routing"),
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
            .in_set(&[OifName], "bridges")
            .counted_drop()
            .comment("networks do not reach each other"),
        rule("forward")
            .in_set(&[IifName], "bridges")
            .in_set(&[IifName, Ipv4Saddr], "endpoints4")
            .accept()
            .comment("out, from addresses that were given"),
        rule("forward").in_set(&[IifName], "bridges").in_set(&[IifName, Ipv6Saddr], "endpoints6").accept(),
        rule("forward").in_set(&[IifName], "bridges").counted_drop().comment("no other address leaves"),
        rule("forward").in_set(&[OifName], "bridges").counted_drop().comment("nothing new comes in"),
        rule("nat").in_set(&[Ipv4Saddr], "masquerade4").not_in_set(&[OifName, Ipv4Saddr], "home4").masquerade(),
        rule("nat").in_set(&[Ipv6Saddr], "masquerade6").not_in_set(&[OifName, Ipv6Saddr], "home6").masquerade(),
    ]
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

/// What the sets hold about a network.
pub fn network_elements(network: &Network) -> Vec<Element> {
    let bridge = &network.bridge;
    let mut all = vec![element("bridges", vec![device(bridge)])];
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
        all.push(element(&by_family("subnets", family), vec![prefix.clone()]));
        if network.egress == Egress::Masquerade {
            all.push(element(&by_family("masquerade", family), vec![prefix]));
        }
    }
    all
}

/// What the sets hold about an endpoint.
pub fn endpoint_elements(endpoint: &Endpoint) -> Vec<Element> {
    endpoint
        .addresses
        .iter()
        .map(|a| {
            let address = a.address.addr();
            let set = by_family("endpoints", Family::of(address));
            element(&set, vec![device(&endpoint.bridge), Value::Address(address)])
        })
        .collect()
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
