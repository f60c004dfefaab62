//! What questions need to read, and what of that a snapshot has already.

#[allow(dead_code, reason = "each test uses some of the values")]
mod values;

use std::collections::BTreeSet;
use values::*;
use zubi_model::{Family, NsRef};
use zubi_plan::{Place, Sysctl, What, firewall};
use zubi_snapshot::{ElementNeeds, Extent, FEW, FirewallSeen, Needs, PlaceNeeds, Snapshot, compare};
use zubi_wire::nft::{Element, PortNumber, Value};
use zubi_wire::route::{Address, Route};

fn names<const N: usize>(all: [&str; N]) -> Extent<String> {
    Extent::Of(BTreeSet::from(all.map(str::to_owned)))
}

fn of_place(needs: &Needs, place: &Place) -> PlaceNeeds {
    needs.places().find(|(at, _)| at == place).map(|(_, needs)| needs.clone()).unwrap_or_default()
}

fn port(number: u16) -> Element {
    Element::new(&firewall::TABLE, "ports", vec![Value::Port(PortNumber(number))])
}

#[test]
fn a_plan_needs_its_devices_and_the_lists_it_adds_to() {
    let ops = [
        host(What::AddLink(pair())),
        within(What::AddAddress(Address::new("10.1.0.2/24".parse().unwrap(), name("eth0")))),
        within(What::AddRoute(Route::default_via("fd00::1".parse().unwrap(), name("eth0")))),
        within(What::Set(Sysctl::new("net/ipv4/conf/eth1/forwarding", "1"))),
        host(What::AddHooks(name("zb-blue"))),
        host(What::AddElement(port(1))),
        host(What::AddElement(port(1))),
    ];
    let needs = Needs::of(&ops);
    let on_host = of_place(&needs, &Place::Host);
    assert_eq!(on_host.links, names(["zv1", "zb-blue"]));
    assert_eq!(on_host.filters, BTreeSet::from(["zb-blue".to_owned()]));
    let in_c1 = of_place(&needs, &inside());
    assert_eq!((&in_c1.links, &in_c1.addresses), (&names(["eth0", "eth1"]), &names(["eth0"])));
    assert_eq!(in_c1.routes, BTreeSet::from([Family::V6]));
    assert_eq!(in_c1.settings.len(), 1);
    assert_eq!(needs.firewall().elements["ports"], ElementNeeds::Of(vec![port(1)]));
    assert!(!needs.firewall().layout && !needs.firewall().guest_rules);
}

#[test]
fn what_leaves_no_state_needs_nothing() {
    let delete = within(What::DeleteAddress(Address::new("10.1.0.2/24".parse().unwrap(), name("eth0"))));
    assert_eq!(Needs::of(std::slice::from_ref(&delete)), Needs::new());
    // To say whether it is done takes a look.
    assert_eq!(of_place(&Needs::after(&[delete]), &inside()).addresses, names(["eth0"]));
}

#[test]
fn intervals_and_many_elements_take_the_whole_set() {
    let prefix = Element::new(&firewall::TABLE, "subnets4", vec![Value::Prefix("10.1.0.0/24".parse().unwrap())]);
    let needs = Needs::of(&[host(What::AddElement(prefix))]);
    assert_eq!(needs.firewall().elements["subnets4"], ElementNeeds::All);
    let few: Vec<_> = (0..FEW as u16).map(|number| host(What::AddElement(port(number)))).collect();
    assert!(matches!(&Needs::of(&few).firewall().elements["ports"], ElementNeeds::Of(all) if all.len() == FEW));
    let many: Vec<_> = (0..=FEW as u16).map(|number| host(What::AddElement(port(number)))).collect();
    assert_eq!(Needs::of(&many).firewall().elements["ports"], ElementNeeds::All);
}

#[test]
fn nothing_that_is_read_is_needed_again() {
    let ops = [
        host(What::AddLink(pair())),
        within(What::AddAddress(Address::new("10.1.0.2/24".parse().unwrap(), name("eth0")))),
        within(What::AddRoute(Route::default_via("10.1.0.1".parse().unwrap(), name("eth0")))),
    ];
    assert_eq!(Needs::of(&ops).without(&whole()), Needs::new());
    assert_eq!(Needs::of(&ops).without(&Snapshot::new()), Needs::of(&ops));
    // A device that is not there has no addresses to read.
    let mut snapshot = Snapshot::new();
    snapshot.set_link(&Place::Host, "zv1", None);
    let address = [host(What::AddAddress(Address::new("10.1.0.2/24".parse().unwrap(), name("zv1"))))];
    assert_eq!(Needs::of(&address).without(&snapshot), Needs::new());
    snapshot.set_link(&Place::Host, "zv1", Some(host_end()));
    assert_eq!(of_place(&Needs::of(&address).without(&snapshot), &Place::Host).addresses, names(["zv1"]));
    snapshot.set_addresses_of(&Place::Host, PORT, Vec::new());
    assert_eq!(Needs::of(&address).without(&snapshot), Needs::new());
    assert!(compare(&address, &snapshot).is_ok());
}

#[test]
fn of_elements_only_those_are_needed_that_were_not_asked_for() {
    let needs = Needs::of(&[host(What::AddElement(port(1))), host(What::AddElement(port(2)))]);
    let mut snapshot = Snapshot::new();
    snapshot.set_some_elements("ports", &[port(1)], Vec::new());
    assert_eq!(needs.without(&snapshot).firewall().elements["ports"], ElementNeeds::Of(vec![port(2)]));
    assert_eq!(Needs::new().elements("ports").without(&snapshot), Needs::new().elements("ports"));
    snapshot.set_elements("ports", []);
    assert_eq!(needs.without(&snapshot), Needs::new());
}

#[test]
fn everything_covers_what_operations_need() {
    let mut needs = Needs::everything([Place::Host, inside()]);
    let everything = needs.clone();
    needs.join(Needs::of(&[
        host(What::AddLink(pair())),
        host(What::AddElement(port(1))),
        host(What::AddHooks(name("zb-blue"))),
    ]));
    let on_host = of_place(&needs, &Place::Host);
    assert_eq!(on_host.links, Extent::All);
    assert!(on_host.bridge_filters && on_host.filters.contains("zb-blue"));
    assert_eq!(of_place(&needs, &inside()), of_place(&everything, &inside()));
    assert!(needs.firewall().layout && needs.firewall().foreign && needs.firewall().guest_rules);
    let mut snapshot = Snapshot::new();
    snapshot.set_firewall(FirewallSeen::default());
    assert!(!needs.without(&snapshot).firewall().layout);
}

#[test]
fn places_come_in_the_order_in_which_they_were_asked_for() {
    let sandbox = |text: &str| Place::Sandbox(NsRef::Path(text.into()));
    let mut needs = Needs::new().links(&sandbox("/z")).namespace(&sandbox("/a"));
    needs.join(Needs::new().link(&Place::Host, "lo").links(&sandbox("/a")));
    let places: Vec<Place> = needs.places().map(|(place, _)| place).collect();
    assert_eq!(places, [Place::Host, sandbox("/z"), sandbox("/a")]);
}
