//! When the answers of a send are lost, one look says what the kernel has of all its operations.

mod inside;

use inside::inside;
use zubi_kernel::{Counters, Disturbance, Session, disturb};
use zubi_model::IfName;
use zubi_plan::{Op, Outcome, Plan, What, firewall};
use zubi_wire::nft::{Element, Value};
use zubi_wire::route::{Address, Route};

const PROBE: [&str; 3] = ["nft", "list", "ruleset"];
const MANY: u8 = 20;

fn address(number: u8) -> Address {
    Address::new(format!("10.1.0.{number}/32").parse().unwrap(), IfName::loopback())
}

fn element(number: u8) -> Element {
    let device = format!("br{number}").parse().unwrap();
    Element::new(&firewall::TABLE, "bridges", vec![Value::Device(device)])
}

fn plan(all: impl IntoIterator<Item = What>) -> Plan {
    all.into_iter().map(|what| Op::host(what, "")).collect()
}

fn outcomes(session: &mut Session, plan: &Plan) -> Vec<Outcome> {
    session.apply(plan).unwrap().done.into_iter().map(|(_, outcome)| outcome).collect()
}

#[test]
fn the_operations_of_a_send_are_read_back_by_one_look() {
    if !inside("the_operations_of_a_send_are_read_back_by_one_look", &PROBE) {
        return;
    }
    let mut session = Session::open().unwrap();
    // The first message looks the device up, the second is the first of the send.
    disturb(vec![Disturbance::Lose(2)]);
    let added = outcomes(&mut session, &plan((1..=MANY).map(|number| What::AddAddress(address(number)))));
    assert_eq!(added, vec![Outcome::Created; usize::from(MANY)]);
    // The lookup, the send, and of the look the device and its addresses.
    let messages = u32::from(MANY) + 3;
    assert_eq!(session.counters().0, Counters { sends: 4, messages, dumps: 1 });
}

#[test]
fn a_removal_whose_answer_was_lost_is_a_removal() {
    if !inside("a_removal_whose_answer_was_lost_is_a_removal", &PROBE) {
        return;
    }
    let mut session = Session::open().unwrap();
    let add = || plan((1..=3).map(|number| What::AddAddress(address(number))));
    // One message looks the device up, three add, and the fifth is the first that removes.
    disturb(vec![Disturbance::Lose(5)]);
    outcomes(&mut session, &add());
    let removed = outcomes(&mut session, &plan((1..=3).map(|number| What::DeleteAddress(address(number)))));
    assert_eq!(removed, vec![Outcome::Removed; 3]);
    assert_eq!(outcomes(&mut session, &add()), vec![Outcome::Created; 3]);
}

#[test]
fn a_message_that_failed_unseen_fails_the_plan_and_the_others_are_undone() {
    if !inside("a_message_that_failed_unseen_fails_the_plan_and_the_others_are_undone", &PROBE) {
        return;
    }
    let mut session = Session::open().unwrap();
    disturb(vec![Disturbance::Lose(2)]);
    // The kernel refuses a route to a gateway that no address reaches.
    let route = Route::default_via("192.0.2.1".parse().unwrap(), IfName::loopback());
    let failed = session.apply(&plan([What::AddAddress(address(1)), What::AddRoute(route)])).unwrap_err();
    assert!(failed.error.to_string().contains("gave no answer") && failed.rollback.is_empty(), "{failed}");
    let left = session.addresses(&zubi_plan::Place::Host, None).unwrap();
    assert!(!left.iter().any(|seen| seen.address == address(1).address), "{left:?}");
}

#[test]
fn a_transaction_is_read_back_by_one_look() {
    if !inside("a_transaction_is_read_back_by_one_look", &PROBE) {
        return;
    }
    let mut session = Session::open().unwrap();
    disturb(vec![Disturbance::Lose(1)]);
    let elements = (1..=MANY).map(|number| Op::host(What::AddElement(element(number)), ""));
    let all: Plan = firewall::layout().chain(elements).collect();
    let done = outcomes(&mut session, &all);
    assert_eq!(done, vec![Outcome::Created; all.ops.len()]);
    // The transaction, the table, its chains, sets and rules, and all elements in one send.
    let used = session.counters().2;
    assert_eq!((used.sends, used.dumps), (6, 3));
}
