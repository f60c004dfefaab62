//! The table itself: sets, chains and rules.

use crate::backstop::SEEN;
use crate::{Op, What};
use LoadKey::{
    DestPort, IifGroup, IifKind, IifName, Ipv4Daddr, Ipv4Saddr, Ipv6Daddr, Ipv6Saddr, L4Proto, NfProto, OifGroup,
    OifKind, OifName,
};
use ipnet::IpNet;
use std::net::{Ipv4Addr, Ipv6Addr};
use zubi_model::{Family, LinkGroup};
use zubi_wire::nft::{Chain, Expr, Field, Hook, HookPoint, LoadKey, Rule, Set, Shape, Table, TableFamily};

/// The table.
pub const TABLE: Table = Table::named(TableFamily::Inet, "zubi");

/// The name of the set of families for which zubi made a router of this host.
pub const CLOSED: &str = "closed";

/// Its sets.
pub fn sets() -> Vec<Set> {
    let set = |name: &str, key: &[Field], shape| Set::new(&TABLE, name, key, shape);
    vec![
        set("bridges", &[Field::IfName], Shape::Exact),
        set("sealed", &[Field::IfName], Shape::Exact),
        set("open", &[Field::IfName], Shape::Exact),
        set("apart", &[Field::IfName], Shape::Exact),
        set("uplinks", &[Field::IfName], Shape::Exact),
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
        set("names4", &[Field::IfName, Field::Proto, Field::Port], Shape::Exact).mapped_to(&[Field::Ipv4]),
        set("names6", &[Field::IfName, Field::Proto, Field::Port], Shape::Exact).mapped_to(&[Field::Ipv6]),
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
        |name: &str, chain_type, point, priority| Chain::base(&TABLE, name, Hook { chain_type, point, priority });
    vec![
        chain("guard", "filter", HookPoint::Prerouting, -300),
        chain("prerouting", "nat", HookPoint::Prerouting, -100),
        chain("input", "filter", HookPoint::Input, 0),
        chain("translated", "filter", HookPoint::Prerouting, -90),
        chain("forward", "filter", HookPoint::Forward, 0),
        chain("sent", "filter", HookPoint::Output, 0),
        chain("output", "nat", HookPoint::Output, -100),
        chain("postrouting", "nat", HookPoint::Postrouting, 100),
        Chain::regular(&TABLE, "publish"),
    ]
}

/// Its rules, each chain's in order.
pub fn rules() -> Vec<Rule> {
    let rule = |chain: &str| Rule::new(&TABLE, chain);
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
            .not_in_set(&[IifName], "bridges")
            .counted_drop()
            .comment("container addresses are not reachable by routing"),
        rule("guard")
            .in_set(&[IifName], "bridges")
            .in_set(&[Ipv4Daddr], "private4")
            .not_in_set(&[IifName, Ipv4Daddr], "home4")
            .for_this_host()
            .counted_drop()
            .comment("a gateway publishes ports for its own network only"),
        rule("guard")
            .not_from_loopback()
            .in_set(&[Ipv6Daddr], "private6")
            .not_in_set(&[IifName, Ipv6Daddr], "home6")
            .not_in_set(&[IifName], "bridges")
            .counted_drop()
            .comment("container addresses are not reachable by routing"),
        rule("guard")
            .in_set(&[IifName], "bridges")
            .in_set(&[Ipv6Daddr], "private6")
            .not_in_set(&[IifName, Ipv6Daddr], "home6")
            .for_this_host()
            .counted_drop()
            .comment("a gateway publishes ports for its own network only"),
        // Between neighbours a frame meets these rules only while bridges pass frames to the firewall, so they leave it.
        rule("prerouting")
            .not_in_set(&[IifName, Ipv4Daddr], "home4")
            .dnat_to_address(Family::V4, &[IifName, L4Proto, DestPort], "names4")
            .comment("questions to other name servers"),
        rule("prerouting").not_in_set(&[IifName, Ipv6Daddr], "home6").dnat_to_address(
            Family::V6,
            &[IifName, L4Proto, DestPort],
            "names6",
        ),
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
        rule("translated")
            .translated()
            .in_set(&[IifName], "bridges")
            .set_mark_bits(SEEN)
            .comment("what a bridge sends on to itself"),
        rule("sent").in_set(&[OifName], "bridges").set_mark_bits(SEEN),
        // Here the way out is that of the address before the translation.
        rule("sent").translated().in_set(&[Ipv4Daddr], "subnets4").set_mark_bits(SEEN).comment("by a published port"),
        rule("sent").translated().in_set(&[Ipv6Daddr], "subnets6").set_mark_bits(SEEN),
        // The mark comes with the verdict, behind the last look at a set: while the table goes, a packet may still be on its
        // way through a chain whose sets are empty already.
        rule("forward")
            .in_set(&[OifName], "bridges")
            .established()
            .set_mark_bits(SEEN)
            .accept()
            .comment("bridges take nothing that no rule has seen"),
        rule("forward").established().accept(),
        rule("forward").in_set(&[IifName, OifName], "icc").set_mark_bits(SEEN).accept().comment("inside one network"),
        rule("forward").in_set(&[IifName], "internal").counted_drop().comment("internal: no way out"),
        rule("forward").in_set(&[OifName], "internal").counted_drop().comment("internal: no way in"),
        rule("forward")
            .in_set(&[IifName], "bridges")
            .not_in_set(&[IifName, Ipv4Saddr], "endpoints4")
            .counted_drop()
            .comment("only addresses that were given leave"),
        rule("forward").in_set(&[IifName], "bridges").not_in_set(&[IifName, Ipv6Saddr], "endpoints6").counted_drop(),
        rule("forward")
            .in_set(&[OifName], "bridges")
            .translated()
            .set_mark_bits(SEEN)
            .accept()
            .comment("by a published port"),
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
        // Hardware has no kind, and a rule that asks for a kind does not match it (nft_meta_store_ifkind in
        // net/netfilter/nft_meta.c). So the rules ask for what may pass.
        rule("forward")
            .not_in_set(&[IifName], "uplinks")
            .of_kind(IifKind, "bridge")
            .accept()
            .comment("containers and machines of others"),
        rule("forward").not_in_set(&[OifName], "uplinks").of_kind(OifKind, "bridge").accept(),
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

/// For each chain, the number of its rules plus the number of rules that lead to it: the kernel's use count.
pub fn uses() -> Vec<u32> {
    let rules = rules();
    let leads_to = |rule: &Rule, name: &str| {
        rule.exprs.iter().any(|expr| matches!(expr, Expr::Verdict(verdict) if verdict.chain() == Some(name)))
    };
    let uses = |name: &str| rules.iter().filter(|r| r.chain == name || leads_to(r, name)).count();
    chains().iter().map(|chain| u32::try_from(uses(&chain.name)).unwrap_or(u32::MAX)).collect()
}

/// Table, sets, chains and rules: one transaction, whose first message fails if the table exists.
pub fn layout() -> impl Iterator<Item = Op> {
    const WHY: &str = "firewall: one table for all networks; its rules look up sets, so they never grow";
    let table = std::iter::once(What::AddTable(TABLE));
    let sets = sets().into_iter().map(What::AddSet);
    let chains = chains().into_iter().map(What::AddChain);
    let rules = rules().into_iter().map(What::AddRule);
    table.chain(sets).chain(chains).chain(rules).map(|what| Op::host(what, WHY))
}

/// The name of a set or map that exists once per family.
pub(super) fn by_family(set: &str, family: Family) -> String {
    format!("{set}{}", if family == Family::V4 { '4' } else { '6' })
}
