//! A plan that fails restores what it changed: an MTU, a bridge port's settings, a deleted element. What it found as
//! planned, or missing, stays so.

mod inside;

use inside::inside;
use zubi_kernel::Session;
use zubi_model::{IfName, LinkGroup, Mac};
use zubi_plan::{Op, Place, Plan, What, firewall};
use zubi_wire::nft::{Element, Value};
use zubi_wire::route::{BridgePort, Link, LinkChange, LinkKind, LinkMark, Switch};

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

fn bridge(device: &str, master: Option<&str>) -> What {
    let (name, master) = (name(device), master.map(name));
    let mac = Mac::from_random([1; 6]);
    What::AddLink(Link { name, kind: LinkKind::Bridge, mac, mtu: None, group: LinkGroup::DEFAULT, master })
}

/// Our plans make no pair with both ends on the host, so `ip` does.
fn pair(port: &str, other: &str) {
    let line = format!("ip link add {port} type veth peer name {other} && ip link set {port} master br0");
    assert!(std::process::Command::new("sh").args(["-c", &line]).status().unwrap().success());
}

fn element(device: &str) -> Element {
    Element::new(&firewall::TABLE, "bridges", vec![Value::Device(name(device))])
}

fn mtu(device: &str, bytes: u32) -> What {
    What::ChangeLink(LinkChange::mtu(name(device), bytes.try_into().unwrap()))
}

fn isolated(device: &str, switch: Switch) -> What {
    What::ChangePort(BridgePort { isolated: Some(switch), ..BridgePort::new(name(device)) })
}

fn plan(all: Vec<What>) -> Plan {
    all.into_iter().map(|what| Op::host(what, "")).collect()
}

/// MTU and isolation of the port, and the number of elements.
fn state(session: &mut Session) -> (u32, Switch, usize) {
    let port = session.link(&Place::Host, "zva").unwrap().unwrap();
    (port.mtu, port.port.unwrap().isolated, session.elements("bridges").unwrap().len())
}

#[test]
fn what_was_otherwise_comes_back_and_what_was_not_there_stays_away() {
    if !inside("what_was_otherwise_comes_back_and_what_was_not_there_stays_away", &["nft", "list", "ruleset"]) {
        return;
    }
    let mut session = Session::open().unwrap();
    session.apply(&firewall::layout().collect()).unwrap();
    session.apply(&plan(vec![bridge("br0", None), What::AddElement(element("there"))])).unwrap();
    pair("zva", "zvb");
    let before = (1500, Switch::Off, 1);
    assert_eq!(state(&mut session), before);

    let impossible = What::DeleteLink(LinkMark { name: name("lo"), mac: None });
    let changes = || {
        vec![
            mtu("zva", 1400),
            // As it is already.
            mtu("zvb", 1500),
            isolated("zva", Switch::On),
            What::DeleteElement(element("there")),
            What::DeleteElement(element("absent")),
        ]
    };
    session.apply(&plan(changes())).unwrap();
    assert_eq!(state(&mut session), (1400, Switch::On, 0));
    let back = vec![mtu("zva", 1500), isolated("zva", Switch::Off), What::AddElement(element("there"))];
    session.apply(&plan(back)).unwrap();
    assert_eq!(state(&mut session), before);

    let failed = session.apply(&plan(changes().into_iter().chain([impossible]).collect())).unwrap_err();
    assert!(failed.rollback.is_empty(), "{failed}");
    assert_eq!(state(&mut session), before);
}
