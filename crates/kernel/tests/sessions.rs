//! One machine serves many sessions, of several threads at once, and its sockets stay clean and few.

mod inside;
#[path = "inside/sandbox.rs"]
mod sandbox;

use inside::inside;
use sandbox::Sandbox;
use std::sync::Barrier;
use zubi_kernel::{Machine, Netns, Session};
use zubi_model::{IfName, LinkGroup, Mac};
use zubi_plan::{Op, Outcome, Place, Plan, What, firewall};
use zubi_snapshot::{Finding, Needs};
use zubi_wire::nft::{Element, Value};
use zubi_wire::route::{Address, Link, LinkKind, LinkMark};

const PROBE: [&str; 3] = ["nft", "list", "ruleset"];
const THREADS: usize = 4;
const ROUNDS: usize = 150;
/// The rounds that also make a link. To delete one takes the kernel 16 ms.
const WITH_LINK: usize = 15;

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

fn element(device: &str) -> Element {
    Element::new(&firewall::TABLE, "bridges", vec![Value::Device(name(device))])
}

fn host(what: What) -> Plan {
    std::iter::once(Op::host(what, "")).collect()
}

fn bridge(device: &str) -> Link {
    let mac = Mac::from_random([1; 6]);
    Link { name: name(device), kind: LinkKind::Bridge, mac, mtu: None, group: LinkGroup::DEFAULT, master: None }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Adds and removes an address, in some rounds also a link, in a sandbox, and an element on the host.
fn work(session: &mut Session, sandbox: &Sandbox, thread: usize, round: usize) {
    let inside = |what| Op { place: sandbox.place(), what, why: "" };
    let address = Address::new(format!("10.1.0.{}/24", thread + 1).parse().unwrap(), name("lo"));
    let link = bridge("br9");
    let element = element(&format!("br{thread}"));
    let mut add = vec![inside(What::AddAddress(address.clone())), Op::host(What::AddElement(element.clone()), "")];
    let mut remove = vec![inside(What::DeleteAddress(address)), Op::host(What::DeleteElement(element), "")];
    if round.is_multiple_of(WITH_LINK) {
        remove.push(inside(What::DeleteLink(LinkMark::new(link.name.clone(), link.mac))));
        add.push(inside(What::AddLink(link)));
    }
    let done = session.apply(&add.iter().cloned().collect()).unwrap().done;
    assert!(done.iter().all(|(_, outcome)| *outcome == Outcome::Created), "{done:?}");
    let seen = session.compare(&add).unwrap();
    assert!(seen.iter().all(|(_, finding)| *finding == Finding::Same), "{seen:?}");
    let done = session.apply(&remove.into_iter().collect()).unwrap().done;
    assert!(done.iter().all(|(_, outcome)| *outcome == Outcome::Removed), "{done:?}");
}

#[test]
fn threads_with_sessions_of_one_machine_neither_meet_nor_leave_descriptors() {
    if !inside("threads_with_sessions_of_one_machine_neither_meet_nor_leave_descriptors", &PROBE) {
        return;
    }
    let machine = Machine::open().unwrap();
    Session::of(&machine).unwrap().apply(&firewall::layout().collect()).unwrap();
    let sandboxes: Vec<Sandbox> = (0..THREADS).map(|_| Sandbox::new()).collect();
    // All hold a session at once in every round, so the first one opens as many sockets as are ever needed.
    let all_hold = Barrier::new(THREADS);
    let round_ends = Barrier::new(THREADS + 1);
    let after_round: Vec<usize> = std::thread::scope(|scope| {
        for (thread, sandbox) in sandboxes.iter().enumerate() {
            let (machine, all_hold, round_ends) = (&machine, &all_hold, &round_ends);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let mut session = Session::of(machine).unwrap();
                    session.nft().unwrap();
                    all_hold.wait();
                    work(&mut session, sandbox, thread, round);
                    drop(session);
                    round_ends.wait();
                    // Descriptors are counted.
                    round_ends.wait();
                }
            });
        }
        let count = |_| {
            round_ends.wait();
            let open = descriptors();
            round_ends.wait();
            open
        };
        (0..ROUNDS).map(count).collect()
    });
    assert!(after_round.iter().all(|open| *open == after_round[0]), "{after_round:?}");
    let mut session = Session::of(&machine).unwrap();
    assert!(session.elements("bridges").unwrap().is_empty());
    for sandbox in &sandboxes {
        assert_eq!(session.links(&sandbox.place(), None).unwrap().len(), 1);
    }
}

#[test]
fn a_session_may_end_in_another_thread() {
    fn assert_send<T: Send>() {}
    fn assert_shared<T: Send + Sync>() {}
    assert_send::<Session>();
    assert_shared::<Machine>();
}

#[test]
fn a_session_uses_the_sockets_of_the_one_before() {
    if !inside("a_session_uses_the_sockets_of_the_one_before", &PROBE) {
        return;
    }
    let machine = Machine::open().unwrap();
    let sockets = |session: &mut Session| {
        session.nft().unwrap();
        session.descriptors()
    };
    let mut first = Session::of(&machine).unwrap();
    let used = sockets(&mut first);
    first.links(&Place::Host, None).unwrap();
    drop(first);
    let mut second = Session::of(&machine).unwrap();
    assert_eq!(sockets(&mut second), used);
    // Its counters begin again.
    assert_eq!(second.counters(), Default::default());
    let mut third = Session::of(&machine).unwrap();
    assert_ne!(sockets(&mut third), used);
}

#[test]
fn an_idle_socket_through_which_something_was_deleted_still_closes_slowly() {
    if !inside("an_idle_socket_through_which_something_was_deleted_still_closes_slowly", &PROBE) {
        return;
    }
    let machine = Machine::open().unwrap();
    let mut session = Session::of(&machine).unwrap();
    session.apply(&firewall::layout().collect()).unwrap();
    session.apply(&host(What::AddElement(element("br0")))).unwrap();
    assert!(!session.closes_slowly());
    session.apply(&host(What::DeleteElement(element("br0")))).unwrap();
    assert!(session.closes_slowly() && !machine.closes_slowly());
    drop(session);
    assert!(machine.closes_slowly());
    // Another session has its own and the idle ones to close.
    assert!(Session::of(&machine).unwrap().closes_slowly());
}

#[test]
fn a_session_of_a_thread_that_is_elsewhere_works_at_home_and_leaves_the_thread_where_it_is() {
    let test = "a_session_of_a_thread_that_is_elsewhere_works_at_home_and_leaves_the_thread_where_it_is";
    if !inside(test, &PROBE) {
        return;
    }
    let machine = Machine::open().unwrap();
    let mut at_home = Session::of(&machine).unwrap();
    at_home.nft().unwrap();
    let sandbox = Sandbox::new();
    let away = Netns::open(&sandbox.path(), machine.home()).unwrap();
    // In the namespace of the host alone: a setting, a device, a table.
    at_home.apply(&firewall::layout().collect()).unwrap();
    at_home.apply(&host(What::AddLink(bridge("br0")))).unwrap();
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
    let there = || std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            away.enter().unwrap();
            let inside = there();
            // The sockets of `at_home` are in use, so these are new.
            let mut session = Session::of(&machine).unwrap();
            assert_eq!(session.nft().unwrap().cookie().unwrap(), machine.host_cookie());
            assert!(session.link(&Place::Host, "br0").unwrap().is_some());
            assert!(session.firewall_stands().unwrap());
            assert_eq!(session.setting(&Place::Host, "net/ipv4/ip_forward").unwrap().as_deref(), Some("1"));
            let in_sandbox = session.setting(&sandbox.place(), "net/ipv4/ip_forward").unwrap();
            assert_eq!(in_sandbox.as_deref(), Some("0"));
            session.look(&Needs::everything([Place::Host, sandbox.place()])).unwrap();
            assert_eq!(there(), inside);
        });
    });
    let own = there();
    at_home.setting(&sandbox.place(), "net/ipv4/ip_forward").unwrap();
    assert_eq!(there(), own);
}

#[test]
fn a_socket_with_unread_answers_is_not_given_to_the_next_session() {
    if !inside("a_socket_with_unread_answers_is_not_given_to_the_next_session", &PROBE) {
        return;
    }
    let machine = Machine::open().unwrap();
    let mut session = Session::of(&machine).unwrap();
    let cookie = session.nft().unwrap().cookie().unwrap();
    // Answers that the session does not read: the kernel is asked behind its back.
    let fd = session.nft().unwrap();
    let mut batch = zubi_wire::Batch::new();
    zubi_wire::nft::Generation::encode_get(&mut batch);
    zubi_kernel::sys::send_to_kernel(std::os::fd::AsFd::as_fd(fd), batch.bytes()).unwrap();
    drop(session);
    let mut session = Session::of(&machine).unwrap();
    let nft = session.nft().unwrap();
    assert_eq!((nft.cookie().unwrap(), nft.counters().sends), (cookie, 0));
    let mut buffer = [0; 4096];
    assert_eq!(zubi_kernel::sys::receive(std::os::fd::AsFd::as_fd(nft), &mut buffer).unwrap(), None);
}
