//! A filter of ours is made once, is no error where the kernel cannot have it, and leaves other programs' filters
//! alone.

mod inside;

use inside::inside;
use std::process::Command;
use zubi_kernel::Session;
use zubi_model::IfName;
use zubi_plan::loopback::{BridgeNetfilter, filter};
use zubi_plan::{Op, Outcome, Plan, What};
use zubi_snapshot::Finding;
use zubi_wire::route::LinkMark;

const PROBE: [&str; 3] = ["tc", "qdisc", "show"];

fn bridge() -> IfName {
    "br0".parse().unwrap()
}

fn sh(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn begin() -> Session {
    sh("ip link add br0 type bridge");
    Session::open().unwrap()
}

fn hooks() -> What {
    What::AddHooks(bridge())
}

fn guard() -> What {
    What::AddFilter(filter(&bridge(), BridgeNetfilter::Off))
}

fn plan(all: Vec<What>) -> Plan {
    all.into_iter().map(|what| Op::host(what, "")).collect()
}

fn outcomes(session: &mut Session, all: Vec<What>) -> Vec<Outcome> {
    session.apply(&plan(all)).unwrap().done.into_iter().map(|(_, outcome)| outcome).collect()
}

fn findings(session: &mut Session) -> Vec<Finding> {
    let plan = plan(vec![hooks(), guard()]);
    session.compare(&plan.ops).unwrap().into_iter().map(|(_, finding)| finding).collect()
}

#[test]
fn the_second_time_it_is_there_already() {
    if !inside("the_second_time_it_is_there_already", &PROBE) {
        return;
    }
    let mut session = begin();
    assert_eq!(findings(&mut session), [Finding::Missing, Finding::Missing]);
    assert_eq!(outcomes(&mut session, vec![hooks(), guard()]), [Outcome::Created, Outcome::Created]);
    assert_eq!(outcomes(&mut session, vec![hooks(), guard()]), [Outcome::AlreadyThere, Outcome::AlreadyThere]);
    assert_eq!(findings(&mut session), [Finding::Same, Finding::Same]);
}

/// As on a kernel without `clsact`, which refuses the hooks.
#[test]
fn without_hooks_there_is_no_filter_and_no_error() {
    if !inside("without_hooks_there_is_no_filter_and_no_error", &PROBE) {
        return;
    }
    let mut session = begin();
    assert_eq!(outcomes(&mut session, vec![guard()]), [Outcome::Nothing]);
}

#[test]
fn one_with_another_program_is_reported_and_replaced() {
    if !inside("one_with_another_program_is_reported_and_replaced", &PROBE) {
        return;
    }
    let mut session = begin();
    outcomes(&mut session, vec![hooks(), What::AddFilter(filter(&bridge(), BridgeNetfilter::On))]);
    assert_eq!(findings(&mut session), [Finding::Same, Finding::Differs("is another program".into())]);
    outcomes(&mut session, vec![guard()]);
    assert_eq!(findings(&mut session), [Finding::Same, Finding::Same]);
}

#[test]
fn a_plan_that_fails_leaves_neither_hooks_nor_filter() {
    if !inside("a_plan_that_fails_leaves_neither_hooks_nor_filter", &PROBE) {
        return;
    }
    let mut session = begin();
    let impossible = What::DeleteLink(LinkMark { name: IfName::loopback(), mac: None });
    let failed = session.apply(&plan(vec![hooks(), guard(), impossible])).unwrap_err();
    assert!(failed.rollback.is_empty(), "{failed}");
    assert!(!sh("tc qdisc show dev br0").contains("clsact"));
}

#[test]
fn a_plan_that_fails_leaves_filters_of_other_programs() {
    if !inside("a_plan_that_fails_leaves_filters_of_other_programs", &PROBE) {
        return;
    }
    sh("ip link add br0 type bridge && tc qdisc add dev br0 clsact");
    sh("tc filter add dev br0 ingress pref 127 bpf da bytecode '1,6 0 0 4294967295'");
    let before = sh("tc filter show dev br0 ingress");
    let mut session = Session::open().unwrap();
    let impossible = What::DeleteLink(LinkMark { name: IfName::loopback(), mac: None });
    session.apply(&plan(vec![hooks(), guard(), impossible])).unwrap_err();
    assert_eq!(sh("tc filter show dev br0 ingress"), before);
}
