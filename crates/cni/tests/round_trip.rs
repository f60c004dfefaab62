//! A result survives each version's format, except for what that version cannot express.

use ipnet::IpNet;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::net::IpAddr;
use zubi_cni::{Address, CniResult, Dns, Interface, Route, Version};

fn rest() -> impl Strategy<Value = Map<String, Value>> {
    prop_oneof![
        3 => Just(Map::new()),
        1 => Just(json!({"vendor": [1, {"a": null}], "x-y": true}).as_object().unwrap().clone()),
    ]
}

fn net() -> impl Strategy<Value = IpNet> {
    prop_oneof![
        (any::<[u8; 4]>(), 0u8..=32).prop_map(|(a, len)| IpNet::new(IpAddr::from(a), len).unwrap()),
        (any::<[u8; 16]>(), 0u8..=128).prop_map(|(a, len)| IpNet::new(IpAddr::from(a), len).unwrap()),
    ]
}

/// An address of the same family.
fn near(net: IpNet, bytes: [u8; 16]) -> IpAddr {
    if net.addr().is_ipv4() { IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]]) } else { IpAddr::from(bytes) }
}

fn interface() -> impl Strategy<Value = Interface> {
    let text = || prop::option::of("[a-z0-9/:]{1,12}");
    ("[a-z]{1,9}", text(), prop::option::of(1u32..70000), text(), text(), text(), rest()).prop_map(
        |(name, mac, mtu, sandbox, socket_path, pci_id, rest)| Interface {
            name,
            mac,
            mtu,
            sandbox,
            socket_path,
            pci_id,
            rest,
        },
    )
}

fn address() -> impl Strategy<Value = Address> {
    (net(), prop::option::of(any::<[u8; 16]>()), prop::option::of(0usize..4), rest()).prop_map(
        |(address, gateway, interface, rest)| Address {
            address,
            gateway: gateway.map(|bytes| near(address, bytes)),
            interface,
            rest,
        },
    )
}

fn route() -> impl Strategy<Value = Route> {
    let number = || prop::option::of(1u32..);
    (net(), prop::option::of(any::<[u8; 16]>()), number(), number(), number(), number(), any::<Option<u8>>(), rest())
        .prop_map(|(dst, gw, mtu, advmss, priority, table, scope, rest)| Route {
            dst,
            gw: gw.map(|bytes| near(dst, bytes)),
            mtu,
            advmss,
            priority,
            table,
            scope,
            rest,
        })
}

fn dns() -> impl Strategy<Value = Dns> {
    let texts = || prop::collection::vec("[a-z0-9.:]{1,9}", 0..3);
    (texts(), prop::option::of("[a-z.]{1,9}"), texts(), texts(), rest())
        .prop_map(|(nameservers, domain, search, options, rest)| Dns { nameservers, domain, search, options, rest })
}

fn result() -> impl Strategy<Value = CniResult> {
    (
        prop::collection::vec(interface(), 0..4),
        prop::collection::vec(address(), 0..4),
        prop::collection::vec(route(), 0..4),
        dns(),
        rest(),
    )
        .prop_map(|(interfaces, ips, routes, dns, rest)| CniResult { interfaces, ips, routes, dns, rest })
}

/// The result without what a version cannot express.
fn expressible(mut result: CniResult, version: Version) -> CniResult {
    if version < Version::V1_1_0 {
        for interface in &mut result.interfaces {
            (interface.mtu, interface.socket_path, interface.pci_id) = (None, None, None);
        }
        for route in &mut result.routes {
            (route.mtu, route.advmss, route.priority, route.table, route.scope) = (None, None, None, None, None);
        }
    }
    if version <= Version::V0_2_0 {
        result.interfaces.clear();
        let is_v4 = |ip: &&Address| ip.address.addr().is_ipv4();
        let firsts = [result.ips.iter().find(is_v4), result.ips.iter().find(|ip| !is_v4(ip))];
        let ips: Vec<Address> =
            firsts.into_iter().flatten().map(|ip| Address { interface: None, ..ip.clone() }).collect();
        let has = |v4: bool| ips.iter().any(|ip| ip.address.addr().is_ipv4() == v4);
        let (v4, v6): (Vec<Route>, Vec<Route>) = result.routes.into_iter().partition(|r| r.dst.addr().is_ipv4());
        result.routes = [(v4, true), (v6, false)].into_iter().filter(|(_, v4)| has(*v4)).flat_map(|(r, _)| r).collect();
        result.ips = ips;
    }
    result
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn a_result_survives_each_format(result in result()) {
        for version in Version::ALL {
            let Ok(document) = result.render(version) else {
                prop_assert!(version <= Version::V0_2_0 && result.ips.is_empty());
                continue;
            };
            prop_assert_eq!(&document["cniVersion"], version.as_str());
            let read = CniResult::parse(&document).unwrap();
            prop_assert_eq!(&read, &expressible(result.clone(), version));
            prop_assert_eq!(read.render(version).unwrap(), document);
        }
    }

    #[test]
    fn what_comes_after_leaves_what_was_before(one in result(), other in result()) {
        let all = other.clone().after(one.clone());
        prop_assert_eq!(&all.interfaces[..one.interfaces.len()], &one.interfaces[..]);
        prop_assert_eq!(&all.ips[..one.ips.len()], &one.ips[..]);
        for (ip, before) in all.ips[one.ips.len()..].iter().zip(&other.ips) {
            let device = before.interface.and_then(|i| other.interfaces.get(i));
            prop_assert_eq!(ip.interface.and_then(|i| all.interfaces.get(i)), device);
        }
    }
}
