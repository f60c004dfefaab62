//! `portmap` and `firewall`: which hosts reach the containers of a chain, and through which ports.

use super::configs::{bridge, port, portmap};
use serde_json::{Value, json};
use zubi_lab::{
    Attachment, CniHost, Heard, Outside, Reach, Service, Transport, ask, assert_served, assert_unserved, matrix,
};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

fn with_ports(options: &Value) -> Value {
    let mut portmap = portmap();
    portmap.as_object_mut().expect("object").extend(options.as_object().expect("object").clone());
    json!([bridge(), portmap])
}

fn server(from: &str, transport: Transport, at: &str) -> Option<Heard> {
    ask(from, transport, at)
}

fn ports_have_addresses_and_protocols() {
    let _outside = Outside::new();
    let lab = CniHost::new(ZUBI, &["c1"]);
    let mut chain = lab.chain(&with_ports(&json!({})));
    let c1 = lab.at("c1").capability(
        "portMappings",
        json!([
            { "hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": "192.0.2.1" },
            { "hostPort": 8081, "containerPort": 80, "protocol": "udp" },
            { "hostPort": 8082, "containerPort": 80, "protocol": "tcp", "hostIP": "::" },
            { "hostPort": 8083, "containerPort": 80, "protocol": "tcp", "hostIP": "0.0.0.0" },
            { "hostPort": 8084, "containerPort": 80, "protocol": "SCTP" },
            { "hostPort": 0, "containerPort": 81, "protocol": "tcp" },
        ]),
    );
    chain.add(&c1).ok();
    assert!(lab.host.zubi("port ls").ok().out.lines().any(|l| l.contains("8084") && l.contains("sctp")));
    let _service = Service::start("c1", 80);
    let (tcp, udp) = (Transport::Tcp, Transport::Udp);
    let cases = [
        ("192.0.2.1:8080", tcp, true),
        ("192.0.2.1:8080", udp, false),
        ("[2001:db8::1]:8080", tcp, false),
        ("192.0.2.1:8081", udp, true),
        ("192.0.2.1:8081", tcp, false),
        ("[2001:db8::1]:8081", udp, true),
        ("[2001:db8::1]:8082", tcp, true),
        ("192.0.2.1:8083", tcp, true),
        ("[2001:db8::1]:8083", tcp, false),
    ];
    for (at, transport, expected) in cases {
        assert_eq!(server("outside", transport, at).is_some(), expected, "{at} {transport:?}");
    }
    // The first port is not published at another address of the host.
    assert_eq!(server("host", tcp, "10.55.66.1:8080"), None);
    assert!(server("host", tcp, "127.0.0.1:8083").is_some());
    chain.check(&c1).ok();
    chain.del(&c1).ok();
    lab.assert_nothing_remains();
}

/// A second container requests the same port: the error names its owner, and nothing of the second remains.
fn a_port_that_somebody_has_names_its_owner() {
    let _outside = Outside::new();
    let lab = CniHost::new(ZUBI, &["c1", "c2"]);
    let mapping = json!({ "hostPort": 8080, "containerPort": 80, "protocol": "tcp" });
    let mut chain = lab.chain(&with_ports(&json!({})));
    let mut one = lab.chain_of(
        "green",
        &json!([{
            "type": "zubi", "subnet": "10.77.88.0/24", "capabilities": { "portMappings": true },
        }]),
    );
    let (c1, c2) = (port(lab.at("c1"), &mapping), port(lab.at("c2"), &mapping));
    chain.add(&c1).ok();
    chain.add(&c2).fails(104, "cni:c1");
    chain.del(&c2).ok();
    one.add(&c2).fails(104, "cni:c1");
    one.del(&c2).ok();
    let _service = Service::start("c1", 80);
    assert!(server("outside", Transport::Tcp, "192.0.2.1:8080").is_some());
    // The same number with another protocol or address is another port.
    let other = port(lab.at("c2"), &json!({ "hostPort": 8080, "containerPort": 80, "protocol": "udp" }));
    chain.add(&other).ok();
    chain.check(&c1).ok();
    chain.check(&other).ok();
    chain.del(&other).ok();
    chain.del(&c1).ok();
    lab.assert_nothing_remains();
}

/// The source addresses that the server sees.
fn sources_of_ports_are_as_configured() {
    let _outside = Outside::new();
    let lab = CniHost::new(ZUBI, &["c1", "c2"]);
    // If bridges pass frames to the firewall, a neighbour's reply is translated without reaching the host.
    lab.host.shell("for f in /proc/sys/net/bridge/bridge-nf-call-ip*tables; do echo 0 > $f; done");
    let c1 = port(lab.at("c1"), &json!({ "hostPort": 8080, "containerPort": 80, "protocol": "tcp" }));
    let seen = |from: &str, at: &str| server(from, Transport::Tcp, at).map(|heard| heard.client.to_string());
    let cases = [
        (json!({}), Some(Outside::V4), Some("10.55.66.1"), Some("10.55.66.1")),
        (json!({ "masqAll": true }), Some("10.55.66.1"), Some("10.55.66.1"), Some("10.55.66.1")),
        // Without SNAT a neighbour's reply bypasses the host.
        (json!({ "snat": false }), Some(Outside::V4), None, Some("10.55.66.1")),
    ];
    for (options, outside, neighbour, host) in cases {
        let mut chain = lab.chain(&with_ports(&options));
        chain.add(&c1).ok();
        chain.add(&lab.at("c2")).ok();
        let service = Service::start("c1", 80);
        assert_eq!(seen("outside", "192.0.2.1:8080").as_deref(), outside, "{options}");
        assert_eq!(seen("c2", "192.0.2.1:8080").as_deref(), neighbour, "{options}");
        assert_eq!(seen("host", "127.0.0.1:8080").as_deref(), host, "{options}");
        if neighbour.is_some() {
            assert_eq!(seen("c1", "192.0.2.1:8080").as_deref(), neighbour, "{options}");
        }
        drop(service);
        chain.check(&c1).ok();
        chain.del(&c1).ok();
        chain.del(&lab.at("c2")).ok();
        lab.assert_nothing_remains();
    }
}

/// Keys that need iptables are refused or ignored.
fn conditions_of_ports_are_refused() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let c1 = port(lab.at("c1"), &json!({ "hostPort": 8080, "containerPort": 80 }));
    let refused =
        [("conditionsV4", json!(["!", "-d", "192.0.2.0/24"])), ("externalSetMarkChain", json!("KUBE-MARK-MASQ"))];
    for (key, value) in refused {
        let mut chain = lab.chain(&with_ports(&json!({ key: value })));
        chain.add(&c1).fails(2, key);
        chain.del(&c1).ok();
    }
    let mut chain = lab.chain(&with_ports(&json!({ "markMasqBit": 11, "backend": "iptables" })));
    chain.add(&c1).ok();
    chain.del(&c1).ok();
    lab.assert_nothing_remains();
}

/// A foreign device can have no published ports and no ingress policy.
fn what_only_our_own_devices_have_is_refused_elsewhere() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let theirs = json!({ "cniVersion": "1.1.0", "ips": [{ "address": "10.55.66.2/24" }] });
    lab.script("leader", &format!("[ $CNI_COMMAND = ADD ] && echo '{theirs}'\ntrue"));
    let c1 = port(lab.at("c1"), &json!({ "hostPort": 8080, "containerPort": 80 }));
    let mut chain = lab.chain(&json!([{ "type": "leader" }, portmap()]));
    chain.add(&c1).fails(7, "was not made by zubi");
    chain.del(&c1).ok();
    // Without a port, `portmap` has nothing to do.
    chain.add(&lab.at("c1")).ok();
    chain.check(&lab.at("c1")).ok();
    chain.del(&lab.at("c1")).ok();
    let mut chain = lab.chain(&json!([{ "type": "leader" }, { "type": "firewall", "ingressPolicy": "same-bridge" }]));
    chain.add(&c1).fails(7, "was not made by zubi");
    let mut chain = lab.chain(&json!([{ "type": "leader" }, { "type": "firewall" }]));
    chain.add(&c1).ok();
    chain.check(&c1).ok();
    chain.del(&c1).ok();
    lab.assert_nothing_remains();
}

const POLICIES: [(&str, &str); 4] = [
    (
        "",
        "c2 -> c1 10.55.66.2: ICMP TCP UDP\ng1 -> c1 10.55.66.2: ICMP TCP UDP\noutside -> c1 10.55.66.2: ICMP TCP UDP\n\
          c1 -> g1 10.77.88.2: ICMP TCP UDP\nc1 -> outside 192.0.2.2: ICMP TCP UDP\n",
    ),
    (
        "open",
        "c2 -> c1 10.55.66.2: ICMP TCP UDP\ng1 -> c1 10.55.66.2: ICMP TCP UDP\noutside -> c1 10.55.66.2: ICMP TCP UDP\n\
          c1 -> g1 10.77.88.2: ICMP TCP UDP\nc1 -> outside 192.0.2.2: ICMP TCP UDP\n",
    ),
    (
        "same-bridge",
        "c2 -> c1 10.55.66.2: ICMP TCP UDP\ng1 -> c1 10.55.66.2: - - -\noutside -> c1 10.55.66.2: - - -\n\
          c1 -> g1 10.77.88.2: ICMP TCP UDP\nc1 -> outside 192.0.2.2: ICMP TCP UDP\n",
    ),
    (
        "isolated",
        "c2 -> c1 10.55.66.2: - - -\ng1 -> c1 10.55.66.2: - - -\noutside -> c1 10.55.66.2: - - -\n\
          c1 -> g1 10.77.88.2: ICMP TCP UDP\nc1 -> outside 192.0.2.2: ICMP TCP UDP\n",
    ),
];

fn policies_say_who_reaches_whom() {
    let _outside = Outside::new();
    let lab = CniHost::new(ZUBI, &["c1", "c2", "g1"]);
    for (policy, expected) in POLICIES {
        let mut chain = lab.chain(&json!([bridge(), portmap(), { "type": "firewall", "ingressPolicy": policy }]));
        let mut open = lab.chain_of(
            "green",
            &json!([{
                "type": "bridge", "bridge": "green0", "isDefaultGateway": true,
                "ipam": { "type": "host-local", "subnet": "10.77.88.0/24" },
            }]),
        );
        let c1 = port(lab.at("c1"), &json!({ "hostPort": 8080, "containerPort": 80 }));
        chain.add(&c1).ok();
        chain.add(&lab.at("c2")).ok();
        open.add(&lab.at("g1")).ok();
        lab.host.shell("ip -n outside route add 10.55.66.0/24 via 192.0.2.1").ok();
        let reach = |from, to, address| Reach { from, to, address };
        let seen = matrix(&[
            reach("c2", "c1", "10.55.66.2"),
            reach("g1", "c1", "10.55.66.2"),
            reach("outside", "c1", "10.55.66.2"),
            reach("c1", "g1", "10.77.88.2"),
            reach("c1", "outside", Outside::V4),
        ]);
        assert_eq!(seen, expected, "{policy}");
        // Every policy lets published ports pass.
        let service = Service::start("c1", 80);
        assert!(server("outside", Transport::Tcp, "192.0.2.1:8080").is_some(), "{policy}");
        assert!(server("g1", Transport::Tcp, "192.0.2.1:8080").is_some(), "{policy}");
        drop(service);
        chain.check(&c1).ok();
        lab.host.shell("ip -n outside route del 10.55.66.0/24").ok();
        for (chain, at) in [(&mut chain, &c1), (&mut open, &lab.at("g1"))] {
            chain.del(at).ok();
        }
        chain.del(&lab.at("c2")).ok();
        lab.assert_nothing_remains();
    }
}

/// New datagrams of an old client reach the container that now owns the UDP port.
fn an_old_flow_finds_the_new_container() {
    let _outside = Outside::new();
    let lab = CniHost::new(ZUBI, &["c1", "c2"]);
    let mut chain = lab.chain(&with_ports(&json!({})));
    let mapping = json!({ "hostPort": 8080, "containerPort": 80, "protocol": "udp" });
    let (c1, c2) = (port(lab.at("c1"), &mapping), port(lab.at("c2"), &mapping));
    let socket = zubi_lab::inside("outside", || std::net::UdpSocket::bind("192.0.2.2:4444").expect("bind"));
    let to = "192.0.2.1:8080".parse().expect("address");
    for (at, name) in [(&c1, "c1"), (&c2, "c2")] {
        chain.add(at).ok();
        let _service = Service::start(name, 80);
        assert_eq!(zubi_lab::ask_by(&socket, to).map(|h| h.server).as_deref(), Some(name));
        chain.del(at).ok();
    }
    assert_unserved("outside", "192.0.2.1:8080");
    lab.assert_nothing_remains();
}

/// A runtime requests a container's ports on all its networks. They lead through the first; when the container leaves
/// that one, through the next for which they were requested.
fn ports_follow_a_container_from_network_to_network() {
    let _outside = Outside::new();
    let lab = CniHost::new(ZUBI, &["c1", "c2"]);
    let second = |chained: Value| {
        let ipam = json!({ "type": "host-local", "subnet": "10.77.88.0/24" });
        let bridge = json!({ "type": "bridge", "bridge": "green0", "isGateway": true, "ipMasq": true, "ipam": ipam });
        json!([bridge, chained])
    };
    let mapping = json!([{ "hostPort": 8080, "containerPort": 80, "protocol": "tcp" }]);
    let c1 = lab.at("c1").capability("portMappings", mapping.clone());
    let net1 = Attachment::new("c1", "c1").ifname("net1").capability("portMappings", mapping.clone());
    for follows in [true, false] {
        let mut blue = lab.chain(&with_ports(&json!({})));
        let chained = if follows { portmap() } else { json!({ "type": "firewall" }) };
        let mut green = lab.chain_of("green", &second(chained));
        blue.add(&c1).ok();
        green.add(&net1).ok();
        let service = Service::start("c1", 80);
        assert!(server("outside", Transport::Tcp, "192.0.2.1:8080").is_some());
        blue.check(&c1).ok();
        green.check(&net1).ok();
        lab.host.zubi("check").ok();
        // No other container may take the port.
        blue.add(&lab.at("c2").capability("portMappings", mapping.clone())).fails(104, "8080");
        blue.del(&lab.at("c2")).ok();
        blue.del(&c1).ok();
        lab.host.shell("ip -n c1 route replace default via 10.77.88.1").ok();
        assert_eq!(server("outside", Transport::Tcp, "192.0.2.1:8080").is_some(), follows);
        green.check(&net1).ok();
        drop(service);
        // The container joins the first network again and leaves the second.
        lab.host.shell("ip -n c1 route del default").ok();
        blue.add(&c1).ok();
        green.del(&net1).ok();
        blue.check(&c1).ok();
        blue.del(&c1).ok();
        lab.assert_nothing_remains();
    }
}

/// Two networks of one container publish different ports.
fn two_networks_of_a_container_have_their_own_ports() {
    let _outside = Outside::new();
    let lab = CniHost::new(ZUBI, &["c1"]);
    let mut blue = lab.chain(&with_ports(&json!({})));
    let mut green = lab.chain_of("green", &json!([
        { "type": "bridge", "bridge": "green0", "isGateway": true, "ipam": { "type": "host-local", "subnet": "10.77.88.0/24" } },
        portmap(),
    ]));
    let both = |n: u16, protocol: &str| json!({ "hostPort": n, "containerPort": 80, "protocol": protocol });
    let c1 = lab.at("c1").capability("portMappings", json!([both(8080, "tcp"), both(8080, "udp")]));
    let net1 = Attachment::new("c1", "c1")
        .ifname("net1")
        .capability("portMappings", json!([both(9090, "tcp"), both(9090, "udp")]));
    blue.add(&c1).ok();
    green.add(&net1).ok();
    let _service = Service::start("c1", 80);
    assert_served("outside", "192.0.2.1:8080", "c1", Outside::V4);
    green.check(&net1).ok();
    green.del(&net1).ok();
    assert_served("outside", "192.0.2.1:8080", "c1", Outside::V4);
    blue.check(&c1).ok();
    blue.del(&c1).ok();
    lab.assert_nothing_remains();
}

zubi_lab::tests!(
    ports_have_addresses_and_protocols,
    a_port_that_somebody_has_names_its_owner,
    sources_of_ports_are_as_configured,
    conditions_of_ports_are_refused,
    what_only_our_own_devices_have_is_refused_elsewhere,
    policies_say_who_reaches_whom,
    an_old_flow_finds_the_new_container,
    ports_follow_a_container_from_network_to_network,
    two_networks_of_a_container_have_their_own_ports,
);
