use super::*;
use crate::inside::Surroundings;
use crate::loopback::{BridgeNetfilter, loopback};
use crate::samples::{endpoint, network, seen, with_bridge};
use crate::{Neighbours, Place, alias, firewall};
use zubi_model::{BridgeMode, Hairpin, Icc, InnerState, Lifetime, LinkGroup, Traits};
use zubi_wire::route::{AdminState, BridgePort, LinkChange};

const SUBNET: &str = "10.55.66.0/24";

fn host() -> HostFacts {
    HostFacts { ipv6: Ipv6Forwarding::Force, netfilter: BridgeNetfilter::Off, run: "/run/zubi".into() }
}

fn blue() -> Network {
    network("blue", &[SUBNET])
}

/// `red` on the bridge of `blue`, with this subnet.
fn red(subnet: &str, mode: BridgeMode) -> Network {
    with_bridge(network("red", &[subnet]), |bridge| {
        bridge.device = "zb-blue".parse().unwrap();
        bridge.mode = mode;
    })
}

fn words(plan: &Plan) -> String {
    let lines: Vec<String> = plan.ops.iter().filter(|op| !op.is_layout()).map(ToString::to_string).collect();
    lines.join("\n")
}

#[test]
fn the_mark_of_this_zubi_goes_up_with_the_bridge() {
    let plan = up_with(&blue(), &host(), []);
    let last = plan.ops.last().unwrap();
    let What::ChangeLink(go_up) = &last.what else { panic!("{last}") };
    assert_eq!(go_up.alias.as_deref().and_then(alias::read_network).unwrap().run, "/run/zubi");
    let adopted = with_bridge(blue(), |bridge| bridge.mode = BridgeMode::Adopted);
    assert!(!words(&up_with(&adopted, &host(), [])).contains("alias"));
}

#[test]
fn published_ports_of_endpoints_bring_the_guard_of_the_loopback_before_the_bridge_is_up() {
    let publishing = Endpoint {
        ports: vec![serde_json::from_str(r#"{"host":"*","host_ports":"80","target":"80","protocol":"tcp"}"#).unwrap()],
        ..endpoint(&blue())
    };
    // The bridge has its hooks already.
    let guard = &loopback(&blue(), BridgeNetfilter::Off).ops[1..];
    let without = up_with(&blue(), &host(), []);
    let with = up_with(&blue(), &host(), [&publishing]);
    let at = without.ops.len() - 1;
    assert_eq!(with.ops[..at], without.ops[..at]);
    assert_eq!(&with.ops[at..at + guard.len()], guard);
    assert_eq!(with.ops.last(), without.ops.last());
}

#[test]
fn a_bridge_without_marks_gets_them_back_instead_of_being_made() {
    let mut plan = up(&blue(), &Ipv6Forwarding::Force);
    put_marks_back(&mut plan, &blue());
    let text = words(&plan);
    assert!(!text.contains("link add"), "{text}");
    let mac = blue().device_mac().unwrap();
    assert!(text.contains(&format!("ip link set zb-blue group {} address {mac}", LinkGroup::OURS)), "{text}");
}

#[test]
fn what_networks_on_one_bridge_share_stays_for_the_other() {
    let mut plan = down(&blue(), Last::No);
    leave_to_others(&mut plan, &blue(), &[red(SUBNET, BridgeMode::Adopted)]);
    assert_eq!(words(&plan), "ip link del zb-blue");
    let mut plan = down(&blue(), Last::No);
    leave_to_others(&mut plan, &blue(), &[network("red", &["10.55.67.0/24"])]);
    assert!(words(&plan).contains("delete element inet zubi bridges { \"zb-blue\" }"), "{}", words(&plan));
}

fn leaving<'a>(device: Option<&'a LinkSeen>, others: &'a [Network]) -> Leaving<'a> {
    Leaving { last: Last::No, device, others, guests: &[], ports: &[] }
}

#[test]
fn a_bridge_goes_as_it_was_found_and_only_if_it_is_ours() {
    let deleted = |network: &Network, device: Option<&LinkSeen>, others: &[Network]| {
        let plan = down_from(network, &leaving(device, others));
        let mut marks = plan.ops.into_iter().filter_map(|op| match op.what {
            What::DeleteLink(mark) => Some(mark.mac),
            _ => None,
        });
        let mark = marks.next();
        assert_eq!(marks.next(), None);
        mark
    };
    let other_mac = Some(Mac::from_random([8; 6]));
    let found = LinkSeen { mac: other_mac, group: LinkGroup::OURS, ..seen("zb-blue", "bridge") };
    assert_eq!(deleted(&blue(), Some(&found), &[]), Some(other_mac));
    assert_eq!(deleted(&blue(), Some(&seen("zb-blue", "bridge")), &[]), None);
    assert_eq!(deleted(&blue(), Some(&found), &[red("10.55.67.0/24", BridgeMode::Adopted)]), None);
    // Its own network left the bridge. It is deleted with the last network that uses it.
    assert_eq!(deleted(&red(SUBNET, BridgeMode::Adopted), Some(&found), &[]), Some(None));
    assert_eq!(deleted(&red(SUBNET, BridgeMode::Adopted), Some(&seen("zb-blue", "bridge")), &[]), None);
}

#[test]
fn the_hosts_address_leaves_a_bridge_that_stays_for_another_network() {
    let found = LinkSeen { group: LinkGroup::OURS, ..seen("zb-blue", "bridge") };
    let others = [red("10.55.67.0/24", BridgeMode::Adopted)];
    let text = words(&down_from(&blue(), &leaving(Some(&found), &others)));
    assert!(text.starts_with("ip addr del 10.55.66.1/24 dev zb-blue\n"), "{text}");
    let others = [red(SUBNET, BridgeMode::Adopted)];
    let text = words(&down_from(&blue(), &leaving(Some(&found), &others)));
    assert!(!text.contains("addr del"), "{text}");
}

fn around() -> Surroundings {
    let (loopback, neighbours) = (AdminState::Down, Neighbours::AreRight);
    Surroundings {
        instance: crate::samples::instance(),
        loopback,
        default_in: vec![zubi_model::Family::V4],
        displaced: Vec::new(),
        stale: Vec::new(),
        of_host: Vec::new(),
        neighbours,
        lifetime: Lifetime::default(),
        taken: None,
    }
}

fn port_of(ops: &[Op]) -> Option<&BridgePort> {
    ops.iter().find_map(|op| if let What::ChangePort(port) = &op.what { Some(port) } else { None })
}

#[test]
fn an_endpoint_wants_every_setting_of_its_port_and_its_connected_route() {
    let isolated = with_bridge(blue(), |bridge| {
        bridge.icc = Icc::Isolated;
        bridge.hairpin = Hairpin::Always;
    });
    let ops = wanted(&isolated, &endpoint(&isolated), &around());
    let port = port_of(&ops).unwrap();
    let all = [port.isolated, port.hairpin, port.locked, port.learning, port.flood];
    assert!(all.iter().all(Option::is_some), "{port}");
    let inside: Vec<String> = ops.iter().filter(|op| op.place != Place::Host).map(ToString::to_string).collect();
    let connected = inside.iter().position(|op| op.contains("route add 10.55.66.0/24 dev eth0")).unwrap();
    let default = inside.iter().position(|op| op.contains("route add default")).unwrap();
    assert!(connected < default);
    let down = Traits { inner: InnerState::Down, ..Traits::default() };
    let ops = wanted(&isolated, &Endpoint { traits: down, ..endpoint(&isolated) }, &around());
    assert!(!ops.iter().any(|op| op.to_string().contains("route add 10.55.66.0/24")));
}

#[test]
fn an_endpoint_wants_the_mtu_that_the_kernel_chose_on_a_bridge_of_its_own() {
    let mtu = |network: &Network| {
        let ops = wanted(network, &endpoint(network), &around());
        ops.iter().find_map(|op| if let What::AddLink(link) = &op.what { Some(link.mtu) } else { None }).unwrap()
    };
    assert_eq!(mtu(&blue()), Some(zubi_model::Mtu::STANDARD));
    assert_eq!(mtu(&with_bridge(blue(), |bridge| bridge.mode = BridgeMode::Adopted)), None);
}

#[test]
fn a_pair_is_deleted_by_its_host_end() {
    let endpoint = endpoint(&blue());
    let What::DeleteLink(mark) = delete_device(&endpoint).unwrap().what else { panic!("not a deletion") };
    assert_eq!(mark, LinkMark::new("zv0102030405".parse().unwrap(), endpoint.host_mac()));
}

#[test]
fn nothing_of_an_unmanaged_bridge_is_wanted_beside_the_pair() {
    let unmanaged = with_bridge(blue(), |bridge| bridge.mode = BridgeMode::Unmanaged);
    let endpoint = endpoint(&unmanaged);
    assert_eq!(port_of(&wanted(&unmanaged, &endpoint, &around())), None);
    assert!(network_elements(&unmanaged).is_empty());
    assert!(!firewall::endpoint_elements(&endpoint).is_empty());
}

/// `lan` with the card eth0.
fn lan() -> Network {
    with_bridge(network("lan", &["192.168.1.0/24"]), |bridge| bridge.parent = Some("eth0".parse().unwrap()))
}

#[test]
fn a_bridge_of_the_host_s_is_taken_as_it_is_and_left() {
    let mut plan = up_with(&lan(), &host(), []);
    take_from_host(&mut plan, &lan());
    let text = words(&plan);
    assert!(!text.contains("link add") && text.contains("ip link set eth0 master zb-lan"), "{text}");
    let last = plan.ops.last().unwrap();
    let What::ChangeLink(LinkChange { alias: Some(alias), .. }) = &last.what else { panic!("{last}") };
    let made = LinkSeen { alias: Some(alias.clone()), ..seen("zb-lan", "bridge") };
    assert!(is_of_host(&lan(), &made));
    let text = words(&down_from(&lan(), &leaving(Some(&made), &[])));
    assert!(text.ends_with("ip link set zb-lan alias ''") && !text.contains("link del"), "{text}");
    // Another alias is somebody else's.
    let made = LinkSeen { alias: Some("office".into()), ..made };
    assert!(!words(&down_from(&lan(), &leaving(Some(&made), &[]))).contains("alias"));
}
