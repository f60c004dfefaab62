use super::*;
use crate::samples::{network, with_bridge};
use zubi_model::{
    AddressOptions, Family, HeldAddress, Holdings, HostClient, Lifetime, Mtu, Network, PolicyRule, RouteOptions,
    RuleAction, StaticRoute,
};

fn lan(client: Option<HostClient>) -> Network {
    let network = with_bridge(network("lan", &["192.168.1.0/24"]), |bridge| {
        bridge.parent = Some("eth0".parse().unwrap());
        bridge.host_client = client;
    });
    Network { mtu: Some(Mtu::try_from(1500).unwrap()), ..network }
}

fn held(address: &str, options: AddressOptions) -> HeldAddress {
    HeldAddress { address: address.parse().unwrap(), options }
}

fn route(to: &str, via: Option<&str>, options: RouteOptions) -> StaticRoute {
    let via = via.map(|via| via.parse().unwrap());
    StaticRoute { options, ..StaticRoute::new(to.parse().unwrap(), via) }
}

fn by(protocol: u8) -> RouteOptions {
    RouteOptions { protocol: Some(protocol), ..RouteOptions::default() }
}

/// A host whose administrator wrote everything down.
fn by_hand() -> Holdings {
    let plain = AddressOptions::default;
    let label = AddressOptions { label: Some(":x".into()), ..plain() };
    let rule = PolicyRule {
        from_device: Some("zb-lan".parse().unwrap()),
        ..PolicyRule::new(Family::V4, 70, RuleAction::Lookup(77))
    };
    Holdings {
        addresses: vec![
            held("192.168.1.5/24", plain()),
            held("10.77.0.1/16", plain()),
            held("192.168.1.6/24", label),
            held("2001:db8:1::5/64", plain()),
            held("fe80::5/64", plain()),
        ],
        routes: vec![
            route("0.0.0.0/0", Some("192.168.1.1"), by(3)),
            route("192.168.1.0/24", None, RouteOptions { scope: Some(253), ..by(2) }),
            route("10.8.0.0/16", None, RouteOptions { source: "192.168.1.5".parse().ok(), scope: Some(253), ..by(4) }),
            route(
                "10.9.0.0/16",
                Some("192.168.1.7"),
                RouteOptions { table: Some(77), mtu: Some(1400), metric: Some(9), ..by(3) },
            ),
            route("10.6.0.0/16", Some("192.168.1.7"), RouteOptions { tos: 0x10, ..by(3) }),
            route("::/0", Some("2001:db8:1::1"), RouteOptions { metric: Some(1024), ..by(3) }),
            route("2001:db8:9::/64", Some("2001:db8:1::7"), RouteOptions { metric: Some(77), ..by(3) }),
        ],
        rules: vec![rule],
        settings: vec![
            ("ipv4".into(), "rp_filter".into(), "1".into()),
            ("ipv4".into(), "arp_ignore".into(), "1".into()),
        ],
        ..Holdings::default()
    }
}

/// A host that has everything from a DHCP server and a router.
fn by_others() -> Holdings {
    let lifetime = Lifetime { valid: Some(600), preferred: Some(300) };
    let lasts = || AddressOptions { lifetime, ..AddressOptions::default() };
    Holdings {
        addresses: vec![held("192.168.1.50/24", lasts()), held("2001:db8:1:0:5054:ff:fe00:5/64", lasts())],
        routes: vec![route("0.0.0.0/0", Some("192.168.1.1"), by(16)), route("::/0", Some("fe80::1"), by(9))],
        ..Holdings::default()
    }
}

fn printed(network: &Network, held: &Holdings) -> String {
    let servers = ["127.0.0.53", "192.168.1.1", "2001:db8:1::1"].map(|server| server.parse().unwrap());
    let on = OnBridge { network, held, servers: &servers };
    HostNetworking::ALL.map(|program| Permanent::new(program, &on).unwrap().to_string()).join("\n")
}

#[test]
fn what_an_administrator_wrote_down_is_written_down() {
    insta::assert_snapshot!(printed(&lan(None), &by_hand()));
}

#[test]
fn what_a_server_gives_is_asked_for_again() {
    let id = "ff:00:00:00:05:00:01".parse().ok();
    insta::assert_snapshot!(printed(&lan(Some(HostClient { id })), &by_others()));
}

#[test]
fn addresses_of_networkmanager_are_as_others() {
    let options = AddressOptions { no_prefix_route: true, ..AddressOptions::default() };
    let subnet = RouteOptions { metric: Some(100), scope: Some(253), ..by(2) };
    let held = Holdings {
        addresses: vec![held("192.168.1.5/24", options.clone()), held("10.7.0.1/16", options)],
        routes: vec![route("192.168.1.0/24", None, subnet)],
        ..Holdings::default()
    };
    let text = printed(&lan(None), &held);
    assert!(text.contains("Address=192.168.1.5/24\n") && text.contains("    address 192.168.1.5/24\n"), "{text}");
    assert!(text.contains("up ip addr add 10.7.0.1/16 dev zb-lan noprefixroute"), "{text}");
    assert!(!text.contains("192.168.1.0/24"), "{text}");
}

#[test]
fn without_addresses_there_is_a_bridge() {
    insta::assert_snapshot!(printed(&lan(None), &Holdings::default()));
}

#[test]
fn the_files_are_where_they_are_looked_for() {
    let (network, held) = (lan(None), by_hand());
    let on = OnBridge { network: &network, held: &held, servers: &[] };
    let all = paths(network.device(), network.parent().unwrap());
    for program in HostNetworking::ALL {
        for file in Permanent::new(program, &on).unwrap().files {
            assert!(all.contains(&file.path), "{}", file.path);
        }
    }
    let without = crate::samples::network("blue", &["10.55.66.0/24"]);
    assert_eq!(Permanent::new(HostNetworking::Networkd, &OnBridge { network: &without, ..on }), None);
}
