//! A detached child goes on with the sockets of its session, and with those that are idle.
//!
//! Only a process with one thread may fork, and a test harness has two: this test is a program by itself.

mod inside;
#[path = "inside/sandbox.rs"]
mod sandbox;

use sandbox::Sandbox;
use std::collections::HashSet;
use std::fs;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::time::Duration;
use zubi_kernel::process::{Holds, detach};
use zubi_kernel::{Machine, Session};
use zubi_model::{LinkGroup, Mac};
use zubi_plan::{Op, Place, What, firewall};
use zubi_wire::route::{Link, LinkKind};

const TEST: &str = "a_child_goes_on_with_the_sockets_of_its_session";

/// What goes on.
struct Rest(Session, Place);

impl Holds for Rest {
    fn descriptors(&self) -> Vec<RawFd> {
        self.0.descriptors()
    }

    fn leave_to_child(self) {
        self.0.leave_to_child();
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--list") {
        println!("{TEST}: test");
        return;
    }
    if words.iter().any(|word| !word.starts_with('-') && !TEST.contains(word.as_str())) {
        println!("test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out");
        return;
    }
    if inside::inside(TEST, &["nft", "list", "ruleset"]) {
        go_on_in_a_child();
    }
    println!("test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out");
}

fn add_bridge(session: &mut Session, device: &str) {
    let mac = Mac::from_random([1; 6]);
    let (name, kind, group) = (device.parse().unwrap(), LinkKind::Bridge, LinkGroup::DEFAULT);
    let link = Link { name, kind, mac, mtu: None, group, master: None };
    session.apply(&std::iter::once(Op::host(What::AddLink(link), "")).collect()).unwrap();
}

/// The sockets that a session and its machine have.
fn sockets(session: &Session) -> HashSet<PathBuf> {
    let links = session.descriptors().into_iter().map(|fd| fs::read_link(format!("/proc/self/fd/{fd}")).unwrap());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).collect()
}

fn go_on_in_a_child() {
    let machine = Machine::open().unwrap();
    let (mut other, mut session) = (Session::of(&machine).unwrap(), Session::of(&machine).unwrap());
    other.nft().unwrap();
    session.nft().unwrap();
    // From now on its sockets are idle.
    drop(other);
    let sandbox = Sandbox::new();
    session.links(&sandbox.place(), None).unwrap();
    session.forget_sandboxes();
    let of_the_child = sockets(&session);
    let started = detach(Rest(session, sandbox.place()), |Rest(mut session, sandbox)| {
        session.links(&sandbox, None).unwrap();
        session.apply(&firewall::layout().collect()).unwrap();
        let mut next = Session::of(session.machine()).unwrap();
        next.nft().unwrap();
        next.firewall().unwrap();
        add_bridge(&mut next, "br1");
        drop((session, next));
        0
    });
    if let Err((_, e)) = started {
        panic!("no child: {e}");
    }
    let mut session = Session::of(&machine).unwrap();
    session.nft().unwrap();
    // Two readers of one socket take each other's answers.
    assert!(sockets(&session).is_disjoint(&of_the_child));
    let is_made = (0..1000).any(|_| {
        std::thread::sleep(Duration::from_millis(5));
        session.link(&Place::Host, "br1").unwrap().is_some()
    });
    assert!(is_made && session.firewall_stands().unwrap());
}
