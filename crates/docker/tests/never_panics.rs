//! Any request gets a value or an error that the engine can read.

use proptest::prelude::*;
use serde_json::{Value, json};
use zubi_docker::{Intent, Kind, Refusal, interpret, reply};

const METHODS: [&str; 25] = [
    "/Plugin.Activate",
    "/Plugin.Other",
    "/NetworkDriver.GetCapabilities",
    "/NetworkDriver.GwAllocCheck",
    "/NetworkDriver.AllocateNetwork",
    "/NetworkDriver.FreeNetwork",
    "/NetworkDriver.CreateNetwork",
    "/NetworkDriver.DeleteNetwork",
    "/NetworkDriver.CreateEndpoint",
    "/NetworkDriver.DeleteEndpoint",
    "/NetworkDriver.EndpointOperInfo",
    "/NetworkDriver.Join",
    "/NetworkDriver.Leave",
    "/NetworkDriver.ProgramExternalConnectivity",
    "/NetworkDriver.RevokeExternalConnectivity",
    "/NetworkDriver.DiscoverNew",
    "/NetworkDriver.DiscoverDelete",
    "/IpamDriver.GetCapabilities",
    "/IpamDriver.GetDefaultAddressSpaces",
    "/IpamDriver.RequestPool",
    "/IpamDriver.ReleasePool",
    "/IpamDriver.RequestAddress",
    "/IpamDriver.ReleaseAddress",
    "/IpamDriver.Other",
    "/VolumeDriver.Create",
];

/// Asks, and checks what every answer has in common.
fn ask(path: &str, body: &[u8]) -> Option<Intent> {
    match interpret(path, body) {
        Ok(intent) => {
            holds_together(&intent);
            Some(intent)
        }
        Err(Refusal::Unknown) => None,
        Err(Refusal::Wrong { interface, error }) => {
            let text = reply::error(interface, &error);
            let answer: Value = serde_json::from_str(&text).unwrap();
            let object = answer.as_object().unwrap();
            assert_eq!(object.len(), 1);
            let (key, value) = object.iter().next().unwrap();
            assert_eq!(key == "Error", path.starts_with("/IpamDriver"), "{text}");
            let message = value.as_str().unwrap();
            assert!(!message.is_empty() && message.len() < 20_000);
            assert!(!message.chars().any(char::is_control), "{text}");
            None
        }
    }
}

fn holds_together(intent: &Intent) {
    match intent {
        Intent::CreateNetwork(create) => {
            let mut families: Vec<_> = create.pools.iter().map(|pool| pool.subnet.family()).collect();
            families.dedup();
            assert_eq!(families.len(), create.pools.len());
            if let Kind::Make(spec) = &create.kind {
                assert_eq!(spec.pools.len(), create.pools.len());
                assert!(spec.name.as_str().ends_with(create.id.short()));
            }
        }
        Intent::RequestAddress(request) => {
            assert!(request.address.is_none_or(|address| request.pool.subnet.has_host(address)));
            assert_eq!(request.pool.to_string().parse().as_ref(), Ok(&request.pool));
        }
        Intent::RequestPool(request) => {
            assert!(request.subnet.is_none_or(|subnet| subnet.family() == request.family));
        }
        Intent::Join(join) => assert!(join.sandbox.as_ref().is_none_or(|path| path.is_absolute())),
        _ => {}
    }
}

/// Words that mean something somewhere, and some that do not.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "",
            "10.90.0.0/24",
            "10.90.0.1/24",
            "10.90.0.7",
            "0.0.0.0/0",
            "::/0",
            "fd00::/64",
            "fd00::1/64",
            "10.90.0.0/24,10.90.0.128/25",
            "10.90.0.0/24@blue",
            "02:42:0a:00:00:02",
            "AkIKAQID",
            "eth0",
            "true",
            "macvlan",
            "ovs",
            "bridge",
            "blue",
            "/var/run/docker/netns/1",
            "com.docker.network.gateway",
            "com.docker.network.endpoint.macaddress",
            "RequestAddressType",
        ])
        .prop_map(str::to_owned),
        Just("5a".repeat(32)),
        ".{0,12}",
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_u16..200).prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..6).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "NetworkID", "networkid", "EndpointID", "Interface", "Address", "AddressIPv6", "MacAddress", "Options",
            "SandboxKey", "IPv4Data", "IPv6Data", "Pool", "Gateway", "AuxAddresses", "PoolID", "SubPool", "V6",
            "com.docker.network.generic", "com.docker.network.internal", "com.docker.network.portmap", "Proto", "Port",
            "HostIP", "HostPort", "HostPortEnd", "network", "driver", "parent", "vlan", "mtu", "icc",
        ])
        .prop_map(str::to_owned),
        1 => word(),
    ]
}

fn object() -> impl Strategy<Value = Value> {
    prop::collection::vec((key(), value()), 0..8).prop_map(|pairs| {
        let mut map: serde_json::Map<String, Value> = pairs.into_iter().collect();
        // Most requests get past their numbers.
        map.entry("NetworkID").or_insert_with(|| Value::from("5a".repeat(32)));
        map.entry("EndpointID").or_insert_with(|| Value::from("ab".repeat(32)));
        map.entry("PoolID").or_insert_with(|| Value::from("10.90.0.0/24"));
        Value::Object(map)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_get_an_answer(method in prop::sample::select(&METHODS[..]), body in prop::collection::vec(any::<u8>(), 0..64)) {
        ask(method, &body);
    }

    #[test]
    fn any_object_gets_an_answer(method in prop::sample::select(&METHODS[..]), body in object()) {
        ask(method, body.to_string().as_bytes());
    }

    #[test]
    fn any_path_gets_an_answer(path in ".{0,40}", body in object()) {
        ask(&path, body.to_string().as_bytes());
    }

    #[test]
    fn a_name_is_found_however_it_is_written(upper in prop::collection::vec(any::<bool>(), 64)) {
        let odd = |name: &str| -> String {
            let chars = name.chars().zip(upper.iter().cycle());
            chars.map(|(c, up)| if *up { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }).collect()
        };
        let (id, endpoint) = ("5a".repeat(32), "ab".repeat(32));
        let plain = json!({"NetworkID": id, "EndpointID": endpoint, "SandboxKey": "/x"});
        let written = json!({odd("NetworkID"): id, odd("EndpointID"): endpoint, odd("SandboxKey"): "/x"});
        let joined = ask("/NetworkDriver.Join", plain.to_string().as_bytes());
        prop_assert!(joined.is_some());
        prop_assert_eq!(joined, ask("/NetworkDriver.Join", written.to_string().as_bytes()));
    }
}

#[test]
fn no_body_is_an_error_wherever_one_is_needed() {
    for method in METHODS {
        for body in ["", " \n", "null", "[]", "7", "{", "{}{}"] {
            ask(method, body.as_bytes());
        }
    }
    let deep = "[".repeat(100_000);
    ask("/NetworkDriver.Join", deep.as_bytes());
    ask("/NetworkDriver.Join", &vec![b' '; zubi_docker::LARGEST_REQUEST + 1]);
}
