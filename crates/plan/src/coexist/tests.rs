use super::*;
use crate::samples;
use zubi_wire::nft::{Expr, Rule, Verdict};

const ACCEPT: u32 = 1;

fn blue() -> Network {
    samples::network("blue", &["10.55.66.0/24"])
}

/// A rule in words: a verdict, a chain to go to, or `blue` for both of that network's rules; with a condition after a
/// `?`.
fn rules(chain: &ChainName, words: &str) -> Vec<RuleSeen> {
    let mut all = Vec::new();
    for word in words.split_whitespace() {
        let seen = |rule: Rule| RuleSeen { rule, handle: 0 };
        if word == "blue" {
            for direction in [Direction::From, Direction::To] {
                let guest = guest(&blue(), direction, chain, None);
                let mut batch = zubi_wire::Batch::new();
                guest.encode(&mut batch);
                let mut messages = zubi_wire::Messages::new(batch.bytes());
                all.push(RuleSeen::parse(&messages.next().unwrap()).unwrap());
            }
            continue;
        }
        let mut rule = Rule::new(&chain.table, &chain.chain);
        if word.starts_with('?') {
            rule = rule.not_from_loopback();
        }
        let verdict = match word.trim_start_matches('?') {
            "drop" => Verdict::Drop,
            "accept" => Verdict::Accept,
            "return" => Verdict::Return,
            chain => Verdict::Jump(chain.into()),
        };
        rule.exprs.extend([Expr::Counter, Expr::Verdict(verdict)]);
        all.push(seen(rule));
    }
    for (number, rule) in all.iter_mut().enumerate() {
        rule.handle = 10 + number as u64;
    }
    all
}

/// A table `filter` of a family; the first chain is the one in the forward hook.
fn table(family: TableFamily, owner: Option<u32>, policy: u32, chains: &[(&str, &str)]) -> ForeignFirewalls {
    let filter = Table::named(family, "filter");
    let table = TableSeen { table: filter.clone(), objects: 1, owner, dormant: false };
    let base = ChainSeen {
        table: filter,
        name: chains[0].0.into(),
        hook: Some((HookPoint::Forward as u32, 0)),
        policy: Some(policy),
        uses: 0,
    };
    let mut foreign = ForeignFirewalls::new(vec![table], vec![base]);
    loop {
        let unread = foreign.unread();
        if unread.is_empty() {
            return foreign;
        }
        for name in unread {
            let (_, words) = chains.iter().find(|(chain, _)| *chain == name.chain).expect("a chain that was named");
            let rules = rules(&name, words);
            foreign.learn(name, rules);
        }
    }
}

fn ip(policy: u32, chains: &[(&str, &str)]) -> ForeignFirewalls {
    table(TableFamily::Ip, None, policy, chains)
}

/// Where blue's rules would go: the chain, and the handle they go before.
fn place(foreign: &ForeignFirewalls) -> Option<(String, Option<u64>)> {
    let [barrier] = &foreign.barriers()[..] else { return None };
    let lacking = foreign.lacking(barrier, &blue());
    lacking.missing.first().map(|rule| (rule.chain.clone(), rule.before))
}

#[test]
fn what_drops_the_rest_is_a_barrier() {
    let at = |chain: &str, before| Some((chain.to_owned(), before));
    assert_eq!(place(&ip(ACCEPT, &[("FORWARD", "?drop accept drop")])), None);
    assert_eq!(place(&ip(ACCEPT, &[("FORWARD", "?drop")])), None);
    assert_eq!(place(&ip(DROP, &[("FORWARD", "?accept ?drop")])), at("FORWARD", None));
    assert_eq!(place(&ip(DROP, &[("FORWARD", "?drop return ?accept")])), at("FORWARD", Some(11)));
    assert_eq!(place(&ip(ACCEPT, &[("FORWARD", "?accept drop ?drop")])), at("FORWARD", Some(11)));
    assert_eq!(place(&ip(DROP, &[("FORWARD", "?drop accept")])), None);
}

#[test]
fn chains_that_are_led_to_are_followed() {
    let at = |before| Some(("FORWARD".to_owned(), before));
    let led = |policy, a: &str, b: &str| place(&ip(policy, &[("FORWARD", "?drop a ?accept"), ("a", a), ("b", b)]));
    assert_eq!(led(ACCEPT, "?accept b", "?accept drop"), at(Some(11)));
    assert_eq!(led(ACCEPT, "?accept b", "return drop"), None);
    assert_eq!(led(DROP, "b return", "accept"), None);
    assert_eq!(led(DROP, "b b b", "?drop"), at(None));
    // The kernel allows no loops.
    assert_eq!(led(DROP, "b", "a"), at(None));
}

#[test]
fn in_docker_user_they_go_before_its_return() {
    let at = |chain: &str, before| Some((chain.to_owned(), before));
    let docker = |forward: &str, user: &str| place(&ip(DROP, &[("FORWARD", forward), (DOCKER_USER, user)]));
    assert_eq!(docker("DOCKER-USER ?accept", "?drop return"), at(DOCKER_USER, Some(11)));
    assert_eq!(docker("DOCKER-USER", "?drop"), at(DOCKER_USER, None));
    assert_eq!(docker("DOCKER-USER", "?drop blue return"), None);
    assert_eq!(docker("DOCKER-USER", "return blue"), at(DOCKER_USER, Some(10)));
    // The rule is too late, or has a condition.
    assert_eq!(docker("drop DOCKER-USER", "return"), at("FORWARD", Some(10)));
    assert_eq!(docker("?DOCKER-USER", "return"), at("FORWARD", None));
    // Guest rules that stood there before Docker came are still valid.
    assert_eq!(docker("DOCKER-USER blue", "return"), None);
    let other = table(TableFamily::Inet, None, DROP, &[("FORWARD", "DOCKER-USER"), (DOCKER_USER, "return")]);
    assert_eq!(place(&other), at("FORWARD", None));
}

#[test]
fn rules_behind_the_end_are_misplaced() {
    let foreign = ip(ACCEPT, &[("FORWARD", "?drop drop blue")]);
    let lacking = foreign.lacking(&foreign.barriers()[0], &blue());
    assert_eq!(lacking.missing.iter().map(|rule| rule.before).collect::<Vec<_>>(), [Some(11), Some(11)]);
    assert_eq!(lacking.misplaced.iter().map(|at| at.handle).collect::<Vec<_>>(), [12, 13]);
    let foreign = ip(DROP, &[("FORWARD", "blue ?drop")]);
    assert!(foreign.lacking(&foreign.barriers()[0], &blue()).is_empty());
    assert!(!foreign.lacking(&foreign.barriers()[0], &samples::network("green", &["10.77.88.0/24"])).is_empty());
}

#[test]
fn only_families_a_network_has_matter() {
    let six = samples::network("six", &["fd00:55::/64"]);
    for (family, concerned) in [(TableFamily::Ip, false), (TableFamily::Ip6, true), (TableFamily::Inet, true)] {
        let foreign = table(family, None, DROP, &[("FORWARD", "")]);
        assert_eq!(!foreign.lacking(&foreign.barriers()[0], &six).is_empty(), concerned, "{family}");
    }
}

#[test]
fn what_bridges_drop_of_the_frames_they_pass_on_is_no_barrier() {
    for family in [TableFamily::Bridge, TableFamily::Netdev, TableFamily::Arp] {
        let foreign = table(family, None, DROP, &[("FORWARD", "drop")]);
        assert_eq!(foreign.barriers(), [], "{family}");
        assert_eq!(foreign.tables().count(), 0);
    }
}

#[test]
fn where_nothing_can_stand_the_barrier_is_shut() {
    let shut = |foreign: &ForeignFirewalls| foreign.barriers()[0].shut;
    assert_eq!(shut(&table(TableFamily::Inet, Some(812), DROP, &[("f", "")])), Some(Shut::Owned(812)));
    assert_eq!(
        shut(&ip(DROP, &[("FORWARD", "DOCKER-USER"), (DOCKER_USER, "?accept drop")])),
        Some(Shut::ByAdministrator)
    );
    assert_eq!(shut(&ip(DROP, &[("FORWARD", "DOCKER-USER"), (DOCKER_USER, "return drop")])), None);
}
