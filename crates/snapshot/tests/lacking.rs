//! What puts right what is missing or differs.

#[allow(dead_code, reason = "each test uses some of the values")]
mod values;

use values::*;
use zubi_model::LinkGroup;
use zubi_plan::{Op, Place, Sysctl, What};
use zubi_snapshot::{Inside, Namespace, Pair, Snapshot, inner_end_differs, lacking, lacking_of_pair};
use zubi_wire::route::{Address, LinkMark, LinkSeen, Route};

fn ops() -> Vec<Op> {
    let address = Address::new("10.1.0.2/24".parse().unwrap(), name("eth0"));
    let connected = Route { via: None, to: "10.1.0.0/24".parse().unwrap(), ..default() };
    vec![
        host(What::AddLink(pair())),
        within(What::AddAddress(address)),
        within(What::AddRoute(connected)),
        within(What::AddRoute(default())),
    ]
}

fn default() -> Route {
    Route::default_via("10.1.0.1".parse().unwrap(), name("eth0"))
}

fn words(ops: &[Op]) -> Vec<String> {
    ops.iter().map(ToString::to_string).collect()
}

fn with_host_end(link: LinkSeen) -> Snapshot {
    let mut snapshot = whole();
    snapshot.set_links(&Place::Host, vec![bridge(), link]);
    snapshot
}

#[test]
fn what_is_there_is_left_alone() {
    let there = |op: &Op| !matches!(&op.what, What::AddRoute(route) if route.via.is_none());
    let ops: Vec<Op> = ops().into_iter().filter(there).collect();
    assert_eq!(lacking(&ops, &whole()), Ok(Vec::new()));
}

#[test]
fn a_link_of_ours_that_differs_is_changed_and_not_made_again() {
    let snapshot = with_host_end(LinkSeen { group: LinkGroup(5), mtu: 900, master: None, ..host_end() });
    let lacking = lacking(&ops()[..1], &snapshot).unwrap();
    let all = "ip link set zv1 master zb-blue up group 2054513257 address 02:00:00:00:00:01 mtu 1500";
    assert_eq!(words(&lacking), [all]);
}

#[test]
fn a_foreign_device_in_its_place_stays_and_the_link_fails_when_it_is_made() {
    let snapshot = with_host_end(LinkSeen { kind: Some("dummy".into()), ..host_end() });
    assert_eq!(lacking(&ops()[..1], &snapshot).unwrap(), ops()[..1]);
}

#[test]
fn the_other_end_of_a_pair_gets_its_mtu_too() {
    let mut snapshot = whole();
    snapshot.set_links(&inside(), vec![LinkSeen { mtu: 900, ..seen("eth0", ETH0, INNER) }]);
    let lacking = lacking(&ops()[..1], &snapshot).unwrap();
    assert_eq!(words(&lacking)[0], "ip -n c1 link set eth0 mtu 1500");
    assert_eq!(lacking.len(), 2);
}

#[test]
fn settings_without_state_come_back_with_a_new_device() {
    let optional = host(What::Set(Sysctl::ipv6_device(&name("zv1"), "accept_ra", 0)));
    let ops = [ops().remove(0), optional];
    let mut snapshot = whole();
    snapshot.set_setting(&Place::Host, "net/ipv6/conf/zv1/accept_ra", None);
    assert_eq!(lacking(&ops, &snapshot), Ok(Vec::new()));
    snapshot.set_link(&Place::Host, "zv1", None);
    assert_eq!(lacking(&ops, &snapshot).unwrap(), ops);
}

#[test]
fn a_route_that_comes_with_an_address_is_not_added_beside_it() {
    let mut snapshot = whole();
    snapshot.set_addresses(&inside(), Vec::new());
    let added = words(&lacking(&ops(), &snapshot).unwrap());
    assert_eq!(added, ["ip -n c1 addr add 10.1.0.2/24 dev eth0"]);
    // Where the address is there and only its route is gone, the route is added.
    let added = words(&lacking(&ops(), &whole()).unwrap());
    assert_eq!(added, ["ip -n c1 route add 10.1.0.0/24 dev eth0 proto 122"]);
}

#[test]
fn a_pair_whose_inner_end_differs_is_made_again() {
    let mark = || LinkMark::new(name("zv1"), mac(OUTER));
    let of = |pair, inside| words(&lacking_of_pair(ops(), &whole(), mark(), pair, inside).unwrap());
    let again = of(Pair::InnerEndDiffers, Inside::Reachable);
    assert_eq!(again[0], "ip link del zv1");
    assert_eq!(again.len(), ops().len());
    assert_eq!(of(Pair::Absent, Inside::Reachable).len(), ops().len() - 1);
    assert_eq!(of(Pair::Absent, Inside::Unreachable), [""; 0]);
    assert_eq!(of(Pair::Whole, Inside::Reachable), ["ip -n c1 route add 10.1.0.0/24 dev eth0 proto 122"]);
}

#[test]
fn an_inner_end_that_is_renamed_gone_or_has_another_mac_differs() {
    let eth0 = name("eth0");
    let differs = |snapshot: &Snapshot| inner_end_differs(snapshot, &inside(), &eth0, Some(mac(INNER))).unwrap();
    assert_eq!(differs(&whole()), None);
    let mut snapshot = whole();
    snapshot.set_links(&inside(), vec![LinkSeen { mac: None, ..seen("eth0", ETH0, INNER) }]);
    let words = "its inner end eth0 has MAC none; wanted: 02:00:00:00:00:02";
    assert_eq!(differs(&snapshot).as_deref(), Some(words));
    snapshot.set_namespace(&inside(), Namespace::Gone);
    assert_eq!(differs(&snapshot).as_deref(), Some("its inner end eth0 is renamed or gone"));
    assert!(inner_end_differs(&Snapshot::new(), &inside(), &eth0, Some(mac(INNER))).is_err());
}
