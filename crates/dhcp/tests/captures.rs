//! Answers of real servers, as they came, byte for byte. Each was asked by this client for an address of
//! 192.168.77.0/24; the refusals answer to a request for 10.9.9.9.

use std::net::Ipv4Addr;
use zubi_dhcp::message::Kind;
use zubi_dhcp::{Action, Client, Event, HostKey, Identity, Lease, Loss, Message, Moment, Refusal, Seconds, Start};

const SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 1);

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

macro_rules! capture {
    ($name:literal) => {
        bytes(include_str!(concat!("captures/", $name, ".hex")))
    };
}

fn client() -> Client {
    let id = HostKey(*b"0123456789abcdef").client_id(&"lan".parse().unwrap(), "web").unwrap();
    let mac = "02:42:0a:00:00:02".parse().unwrap();
    Client::new(Identity { mac, id: Some(id), host_name: None, told: Vec::new() }, None, 0)
}

/// The bytes with the number of the exchange that `client` began.
fn as_answer_to(sent: &[Action], mut answer: Vec<u8>) -> Vec<u8> {
    let [Action::Send { bytes, .. }] = sent else { panic!("{sent:?}") };
    answer[4..8].copy_from_slice(&bytes[4..8]);
    answer
}

/// What the client makes of an acknowledgement.
fn lease(ack: Vec<u8>) -> Lease {
    let mut client = client();
    let sent = client.handle(Moment(0), Event::Started(Start::Again(Ipv4Addr::new(192, 168, 77, 54))));
    let actions = client.handle(Moment(1), Event::Received(&as_answer_to(&sent, ack)));
    let [Action::Bound(lease)] = &actions[..] else { panic!("{actions:?}") };
    lease.clone()
}

fn routes(lease: &Lease) -> Vec<String> {
    lease.routes.iter().map(ToString::to_string).collect()
}

#[test]
fn dnsmasq_gives_a_lease_with_classless_routes() {
    assert_eq!(Message::decode(&capture!("dnsmasq-2.90-offer")).unwrap().kind(), Some(Kind::Offer));
    let lease = lease(capture!("dnsmasq-2.90-ack"));
    assert_eq!(lease.address.to_string(), "192.168.77.54/24");
    assert_eq!((lease.server, lease.lifetime), (SERVER, Some(Seconds(120))));
    assert_eq!((lease.t1, lease.t2), (Some(Seconds(60)), Some(Seconds(105))));
    assert_eq!(
        (&lease.routers[..], &routes(&lease)[..]),
        (&[SERVER][..], &["10.8.0.0/16,192.168.77.9".to_owned()][..])
    );
    assert_eq!(lease.dns_servers, [SERVER, Ipv4Addr::new(9, 9, 9, 9)]);
    assert_eq!(lease.ntp_servers, [SERVER]);
    assert_eq!(lease.domain.as_deref(), Some("lab.example"));
    assert_eq!(lease.search, ["lab.example", "example.org"]);
    assert_eq!(lease.mtu.map(u32::from), Some(1400));
}

#[test]
fn isc_gives_a_lease_with_static_routes_and_without_times() {
    let lease = lease(capture!("isc-4.4-ack"));
    assert_eq!(lease.address.to_string(), "192.168.77.130/24");
    assert_eq!((lease.lifetime, lease.t1, lease.t2), (Some(Seconds(20)), None, None));
    assert_eq!(
        (&lease.routers[..], &routes(&lease)[..]),
        (&[SERVER][..], &["10.1.1.1/32,192.168.77.1".to_owned()][..])
    );
    assert_eq!(lease.search, ["lab.example", "example.org"]);
    assert_eq!(lease.mtu.map(u32::from), Some(1400));
}

#[test]
fn kea_repeats_the_client_id() {
    let lease = lease(capture!("kea-2.2-ack"));
    assert_eq!(lease.address.to_string(), "192.168.77.100/24");
    assert_eq!((lease.lifetime, lease.t1, lease.t2), (Some(Seconds(4)), Some(Seconds(2)), Some(Seconds(3))));
    assert!(Message::decode(&capture!("kea-2.2-ack")).unwrap().options.get(61).is_some());
}

#[test]
fn busybox_gives_a_lease_with_little() {
    let lease = lease(capture!("udhcpd-1.35-ack"));
    assert_eq!(lease.address.to_string(), "192.168.77.56/24");
    assert_eq!((lease.lifetime, lease.t1, lease.t2), (Some(Seconds(4)), None, None));
    assert_eq!((lease.routers, lease.dns_servers), (vec![SERVER], vec![SERVER]));
    assert_eq!(lease.domain.as_deref(), Some("lab.example"));
}

#[test]
fn each_server_refuses_in_its_own_words() {
    let cases = [
        (capture!("dnsmasq-2.90-nak"), Some("wrong network")),
        (capture!("isc-4.4-nak"), Some("requested address not available")),
        (capture!("kea-2.2-nak"), None),
    ];
    for (nak, text) in cases {
        let mut client = client();
        let sent = client.handle(Moment(0), Event::Started(Start::Resume(lease(capture!("dnsmasq-2.90-ack")))));
        assert_eq!(sent, []);
        let sent = client.handle(Moment(60_000), Event::Woken);
        let actions = client.handle(Moment(60_001), Event::Received(&as_answer_to(&sent, nak)));
        let Some(Action::Lost(Loss::Refused(refusal))) = actions.first() else { panic!("{actions:?}") };
        assert_eq!(refusal, &Refusal { server: Some(SERVER), text: text.map(str::to_owned) });
    }
}
