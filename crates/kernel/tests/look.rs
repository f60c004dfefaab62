//! A look reads what is needed, once, and no more messages than asking for one object after the other took.

mod inside;
#[path = "inside/sandbox.rs"]
mod sandbox;

use inside::inside;
use sandbox::Sandbox;
use std::path::Path;
use zubi_kernel::{Counters, Session};
use zubi_model::{Family, IfName, LinkGroup, Mac, NsRef};
use zubi_plan::loopback::{BridgeNetfilter, filter};
use zubi_plan::{Op, Place, Plan, Sysctl, What, firewall};
use zubi_snapshot::{FEW, Finding, Namespace, Needs, Snapshot, compare};
use zubi_wire::nft::{Element, Value};
use zubi_wire::route::{Address, AdminState, BridgePort, Link, LinkChange, LinkKind, Peer, Route, Switch};

const PROBE: [&str; 3] = ["nft", "list", "ruleset"];

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

fn element(set: &str, key: Vec<Value>) -> Op {
    Op::host(What::AddElement(Element::new(&firewall::TABLE, set, key)), "")
}

fn bridge(device: &str) -> Op {
    let mac = Mac::from_random([1; 6]);
    let (name, kind, group) = (name(device), LinkKind::Bridge, LinkGroup::OURS);
    Op::host(What::AddLink(Link { name, kind, mac, mtu: None, group, master: None }), "")
}

/// Everything that makes up an endpoint.
fn endpoint(sandbox: &NsRef) -> Vec<Op> {
    let host = |what| Op::host(what, "");
    let inside = |what| Op::sandbox(sandbox, what, "");
    let peer = Peer { name: name("eth0"), mac: Mac::from_random([3; 6]), netns: sandbox.clone() };
    let link = Link {
        name: name("zv1"),
        kind: LinkKind::Veth(peer),
        mac: Mac::from_random([2; 6]),
        mtu: Some(1400.try_into().unwrap()),
        group: LinkGroup::OURS,
        master: Some(name("br0")),
    };
    let set = |what: &str, value| What::Set(Sysctl::ipv6_device(&name("eth0"), what, value));
    let up = LinkChange::state(name("zv1"), AdminState::Up);
    let device = || Value::Device(name("br0"));
    vec![
        element("bridges", vec![device()]),
        element("home4", vec![device(), Value::Prefix("10.1.0.0/24".parse().unwrap())]),
        element("endpoints4", vec![device(), Value::Address("10.1.0.2".parse().unwrap())]),
        host(What::AddLink(link)),
        host(What::ChangePort(BridgePort { isolated: Some(Switch::On), ..BridgePort::new(name("zv1")) })),
        inside(set("accept_ra", 0)),
        inside(set("accept_dad", 0)),
        inside(What::Set(Sysctl::new("net/ipv4/ip_unprivileged_port_start", "0"))),
        inside(What::ChangeLink(LinkChange::state(name("eth0"), AdminState::Up))),
        inside(What::AddAddress(Address::new("10.1.0.2/24".parse().unwrap(), name("eth0")))),
        inside(What::AddRoute(Route::default_via("10.1.0.1".parse().unwrap(), name("eth0")))),
        host(What::ChangeLink(LinkChange { alias: Some("zubi test".into()), ..up })),
    ]
}

/// A host with an endpoint in this sandbox.
fn attached(sandbox: &Sandbox) -> Session {
    let mut session = Session::open().unwrap();
    let all: Plan = firewall::layout().chain([bridge("br0")]).chain(endpoint(&sandbox.reached_by())).collect();
    session.apply(&all).unwrap();
    session
}

fn sh(line: &str) {
    assert!(std::process::Command::new("sh").args(["-c", line]).status().unwrap().success(), "{line}");
}

fn findings(compared: Vec<(Op, Finding)>) -> Vec<Finding> {
    compared.into_iter().map(|(_, finding)| finding).collect()
}

#[test]
fn comparing_an_endpoint_takes_no_more_messages_than_asking_for_each_object() {
    if !inside("comparing_an_endpoint_takes_no_more_messages_than_asking_for_each_object", &PROBE) {
        return;
    }
    let sandbox = Sandbox::new();
    drop(attached(&sandbox));
    let mut session = Session::open().unwrap();
    let found = findings(session.compare(&endpoint(&sandbox.reached_by())).unwrap());
    assert!(found.iter().all(|finding| *finding == Finding::Same), "{found:?}");
    let (host, inside, nft) = session.counters();
    // Asking for one object after the other took 2 sends with 2 messages on the host, 3 dumps inside, and 7 sends with
    // 7 messages to nftables, 4 of them dumps.
    assert_eq!(host, Counters { sends: 1, messages: 2, dumps: 0 });
    assert_eq!(inside, Counters { sends: 3, messages: 3, dumps: 3 });
    assert_eq!(nft, Counters { sends: 2, messages: 3, dumps: 1 });
}

#[test]
fn what_was_read_is_not_read_again_until_it_is_forgotten() {
    if !inside("what_was_read_is_not_read_again_until_it_is_forgotten", &PROBE) {
        return;
    }
    let sandbox = Sandbox::new();
    let mut session = attached(&sandbox);
    let ops = endpoint(&sandbox.reached_by());
    let mut snapshot = session.look(&Needs::everything([Place::Host, sandbox.place()])).unwrap();
    session.look_into(&mut snapshot, &Needs::of(&ops)).unwrap();
    let before = session.counters();
    assert!(session.compare_in(&mut snapshot, &ops).unwrap().iter().all(|(_, finding)| *finding == Finding::Same));
    session.look_into(&mut snapshot, &Needs::everything([Place::Host, sandbox.place()])).unwrap();
    assert_eq!(session.counters(), before);

    // The snapshot stays as it is, whatever becomes of the kernel.
    sh("ip link set zv1 down");
    assert!(compare(&ops, &snapshot).unwrap().iter().all(|(_, finding)| *finding == Finding::Same));
    snapshot.forget(&Place::Host);
    let found = findings(session.compare_in(&mut snapshot, &ops).unwrap());
    assert_eq!(found.last(), Some(&Finding::Differs("is down".into())));
    // Inside, nothing was read again.
    assert_eq!(session.counters().1, before.1);
}

#[test]
fn everything_is_read_and_survives_saving() {
    if !inside("everything_is_read_and_survives_saving", &PROBE) {
        return;
    }
    let sandbox = Sandbox::new();
    let mut session = attached(&sandbox);
    let guard = filter(&name("br0"), BridgeNetfilter::Off);
    let hooks = [What::AddHooks(name("br0")), What::AddFilter(guard)].map(|what| Op::host(what, ""));
    session.apply(&hooks.iter().cloned().collect()).unwrap();
    sh("ip link set br0 up && ip neigh add 10.1.0.9 lladdr 02:00:00:00:00:07 dev br0 nud permanent");
    sh("nft 'add table ip other; add chain ip other passing { type filter hook forward priority 0; policy drop; }'");
    sh("nft add rule ip other passing iifname lo counter accept");
    let snapshot = session.look(&Needs::everything([Place::Host, sandbox.place()])).unwrap();

    let (host, inside) = (Place::Host, sandbox.place());
    let inner = snapshot.link(&inside, "eth0").unwrap().unwrap();
    assert!(matches!(snapshot.namespace(&inside), Some(Namespace::Open(_))));
    assert_eq!(snapshot.links(&host).unwrap().count(), 3);
    let addresses = snapshot.addresses_of(&inside, inner.index).unwrap();
    assert!(addresses.iter().any(|seen| seen.address == "10.1.0.2/24".parse().unwrap()), "{addresses:?}");
    assert!(!snapshot.routes(&inside, Family::V4).unwrap().is_empty());
    assert!(snapshot.rules(&inside, Family::V4).unwrap().iter().any(|rule| rule.table == Some(254)));
    assert!(snapshot.neighbours(&host).unwrap().iter().any(|seen| seen.state == 0x80));
    assert!(!snapshot.forwarding(&host).unwrap().is_empty());
    assert!(snapshot.setting(&host, "net/ipv4/ip_forward").unwrap().is_some());
    assert_eq!(snapshot.elements("bridges").unwrap().len(), 1);
    assert!(snapshot.elements("publish4").unwrap().is_empty());
    assert_eq!(snapshot.guest_rules(), Ok(&[][..]));
    assert_eq!(snapshot.generation(), Some(session.generation().unwrap()));
    let foreign = snapshot.foreign_tables().unwrap();
    assert_eq!((foreign.rules.len(), foreign.judged().barriers().len()), (1, 1));
    assert!(compare(&hooks, &snapshot).unwrap().iter().all(|(_, finding)| *finding == Finding::Same));
    let loaded = Snapshot::from_json(&snapshot.to_json().unwrap()).unwrap();
    assert_eq!(loaded, snapshot);
}

#[test]
fn a_look_expects_no_generation_by_itself() {
    if !inside("a_look_expects_no_generation_by_itself", &PROBE) {
        return;
    }
    let mut session = Session::open().unwrap();
    session.look(&Needs::everything([Place::Host])).unwrap();
    assert_eq!(session.expected(), None);
    session.guest_rules().unwrap();
    assert!(session.expected().is_some());
}

#[test]
fn a_sandbox_that_is_gone_differs_from_one_that_cannot_be_opened() {
    if !inside("a_sandbox_that_is_gone_differs_from_one_that_cannot_be_opened", &PROBE) {
        return;
    }
    let mut session = Session::open().unwrap();
    let sandbox = Sandbox::new();
    let gone = Sandbox::new().reached_by();
    // Owned by a user without an id here.
    let denied = NsRef::Path("/proc/1/ns/net".into());
    let places = [sandbox.reached_by(), gone, denied].map(Place::Sandbox);
    let needs = places.iter().fold(Needs::new(), Needs::links);
    let snapshot = session.look(&needs).unwrap();
    assert!(matches!(snapshot.namespace(&places[0]), Some(Namespace::Open(_))));
    assert_eq!(snapshot.namespace(&places[1]), Some(&Namespace::Gone));
    assert_eq!(snapshot.links(&places[1]).unwrap().count(), 0);
    if std::fs::File::open("/proc/1/ns/net").is_err() {
        assert_eq!(snapshot.links(&places[2]).err().unwrap().to_string(), "open /proc/1/ns/net: Permission denied");
    }
}

#[test]
fn few_devices_are_asked_for_by_name_and_many_are_read_as_a_list() {
    if !inside("few_devices_are_asked_for_by_name_and_many_are_read_as_a_list", &PROBE) {
        return;
    }
    let ask = |count: usize| {
        let mut session = Session::open().unwrap();
        let needs = (0..count).fold(Needs::new(), |needs, n| needs.link(&Place::Host, &format!("zv{n}")));
        let snapshot = session.look(&needs).unwrap();
        assert_eq!(snapshot.link(&Place::Host, "zv0"), Ok(None));
        session.counters().0
    };
    assert_eq!(ask(FEW), Counters { sends: 1, messages: FEW as u32, dumps: 0 });
    assert_eq!(ask(FEW + 1), Counters { sends: 1, messages: 1, dumps: 1 });
}

#[test]
fn many_sandboxes_are_read_with_few_descriptors() {
    if !inside("many_sandboxes_are_read_with_few_descriptors", &PROBE) {
        return;
    }
    let sandboxes: Vec<Sandbox> = (0..30).map(|_| Sandbox::new()).collect();
    let mut session = Session::open().unwrap();
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    let snapshot = session.look(&Needs::everything(sandboxes.iter().map(Sandbox::place))).unwrap();
    assert!(sandboxes.iter().all(|one| snapshot.links(&one.place()).unwrap().count() == 1));
    assert!(open() - before <= 16, "{} more descriptors", open() - before);
}

#[test]
fn addresses_in_a_numbered_namespace_are_read_from_outside_and_one_that_has_ended_has_none() {
    if !inside("addresses_in_a_numbered_namespace_are_read_from_outside_and_one_that_has_ended_has_none", &PROBE) {
        return;
    }
    let sandbox = Sandbox::new();
    let mut session = attached(&sandbox);
    let port = session.links_named(&Place::Host, &["zv1"]).unwrap().remove(0).unwrap();
    let namespace = port.peer_netns.unwrap();
    let addresses = |session: &mut Session| -> Vec<String> {
        session.addresses_in(namespace).unwrap().iter().map(|seen| seen.address.to_string()).collect()
    };
    assert!(addresses(&mut session).contains(&"10.1.0.2/24".to_owned()));
    // The session has the sandbox open.
    drop((sandbox, session));
    let mut session = Session::open().unwrap();
    while !addresses(&mut session).is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn the_file_of_a_name_is_looked_for() {
    if !inside("the_file_of_a_name_is_looked_for", &["true"]) {
        return;
    }
    let absent = "zubi-test-of-a-name-that-is-absent";
    assert!(!Path::new(zubi_kernel::named::FOLDER).join(absent).exists());
    let add = Op::host(What::AddNamespace(absent.parse().unwrap()), "");
    assert_eq!(findings(Session::open().unwrap().compare(&[add]).unwrap()), [Finding::Missing]);
}
