//! Any packet, from a client or from a server, gets an answer that a client can read, or none.

use domain::base::iana::Rtype;
use domain::base::{Message, Name};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use zubi_model::{EndpointKey, NetnsCookie, Scope};
use zubi_names::{Asked, Directory, Forward, Guests, Judgement, Member, Outcome, Transport, Zone};

static HOUSE: LazyLock<Directory> = LazyLock::new(|| {
    let mut house = Directory::new();
    house.put_network(Zone {
        name: "blue".parse().unwrap(),
        reach: Scope::Routed,
        host: vec![[10, 1, 0, 1].into()],
        subnets: vec!["10.1.0.0/16".parse().unwrap()],
        guests: Guests::Answered,
        servers: Arc::default(),
    });
    for number in 0..=255u8 {
        house.put_endpoint(Member {
            key: EndpointKey { cookie: NetnsCookie(number.into()), network: "blue".parse().unwrap() },
            attached_at: number.into(),
            names: vec!["all".parse().unwrap(), format!("c{number}").parse().unwrap()],
            addresses: vec![[10, 1, 1, number].into()],
            servers: Arc::default(),
        });
    }
    house
});

/// A question, and how many bytes its header and name have.
fn question(name: &str, rtype: Rtype, edns: Option<u16>) -> Vec<u8> {
    let mut packet = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns.is_some())];
    packet.extend_from_slice(Name::<Vec<u8>>::from_str(name).unwrap().as_slice());
    packet.extend_from_slice(&rtype.to_int().to_be_bytes());
    packet.extend_from_slice(&[0, 1]);
    if let Some(size) = edns {
        packet.extend_from_slice(&[0, 0, 41]);
        packet.extend_from_slice(&size.to_be_bytes());
        packet.extend_from_slice(&[0; 6]);
    }
    packet
}

fn over() -> impl Strategy<Value = Transport> {
    prop_oneof![Just(Transport::Udp), Just(Transport::Tcp)]
}

/// Names of ours, others, reverse names and odd ones.
fn name() -> impl Strategy<Value = String> {
    let ours = prop_oneof!["all", "c[0-9]{1,3}", "localhost", "host\\.zubi\\.internal", "zubi\\.internal"];
    let reverse = "[0-9]{1,3}\\.1\\.1\\.10\\.in-addr\\.arpa";
    let any = "([a-zA-Z0-9_*-]{1,20}\\.){0,6}[a-zA-Z0-9]{1,63}";
    (prop_oneof![ours.boxed(), reverse.boxed(), any.boxed()], "(\\.blue|\\.dns\\.podman|\\.zubi\\.internal|)")
        .prop_map(|(name, domain)| name + &domain)
}

fn packet() -> impl Strategy<Value = Vec<u8>> {
    let rtype = prop_oneof![Just(Rtype::A), Just(Rtype::PTR), Just(Rtype::ANY), any::<u16>().prop_map(Rtype::from_int)];
    let whole =
        (name(), rtype, any::<Option<u16>>()).prop_map(|(name, rtype, edns)| question(&name, rtype, edns)).boxed();
    let bent = (whole.clone(), vec((any::<Index>(), any::<u8>()), 0..6), any::<Option<Index>>()).prop_map(
        |(mut packet, changes, cut)| {
            for (at, byte) in changes {
                let at = at.index(packet.len());
                packet[at] = byte;
            }
            if let Some(cut) = cut {
                packet.truncate(cut.index(packet.len()));
            }
            packet
        },
    );
    prop_oneof![whole, bent, vec(any::<u8>(), 0..600)]
}

/// Every section of a packet can be read.
fn can_be_read(packet: &[u8]) {
    let message = Message::from_slice(packet).unwrap();
    assert!(message.header().qr());
    assert!(message.question().all(|question| question.is_ok()));
    let mut section = message.answer().unwrap();
    loop {
        assert!(section.by_ref().all(|record| record.is_ok()));
        match section.next_section().unwrap() {
            Some(next) => section = next,
            None => break,
        }
    }
    assert_eq!(section.pos(), packet.len(), "bytes behind the last record");
}

fn most(over: Transport) -> usize {
    if over == Transport::Udp { usize::from(zubi_names::LARGEST_DATAGRAM) } else { usize::from(u16::MAX) }
}

fn ask(packet: &[u8], over: Transport) -> Outcome {
    let asked = Asked { from: IpAddr::from([10, 1, 1, 7]), at: IpAddr::from([10, 1, 0, 1]), over };
    HOUSE.answer(asked, packet)
}

fn forward() -> Forward {
    match ask(&question("www.example.org", Rtype::A, Some(1400)), Transport::Udp) {
        Outcome::Forward(forward) => *forward,
        other => panic!("{other:?}"),
    }
}

/// What a zone says of itself.
const ZONE: &[u8] = &[0xc0, 16, 0xc0, 16, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 30];

/// The records of an answer: an alias, an address, the zone's record, EDNS, each pointing into the question.
fn records() -> impl Strategy<Value = Vec<u8>> {
    let record = |rtype: u8, rdata: &'static [u8]| {
        any::<u32>().prop_map(move |ttl| {
            let mut bytes = vec![0xc0, 12, 0, rtype, 0, 1];
            bytes.extend_from_slice(&ttl.to_be_bytes());
            bytes.extend_from_slice(&u16::try_from(rdata.len()).unwrap().to_be_bytes());
            bytes.extend_from_slice(rdata);
            bytes
        })
    };
    let edns = Just(vec![0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
    let one = prop_oneof![record(5, &[0xc0, 16]), record(1, &[192, 0, 2, 1]), record(6, ZONE), edns];
    vec(one, 0..40).prop_map(|all| all.concat())
}

proptest! {
    #[test]
    fn any_packet_of_a_client(packet in packet(), over in over()) {
        match ask(&packet, over) {
            Outcome::Answer(answer) => {
                prop_assert_eq!(&answer.bytes[..2], &packet[..2]);
                can_be_read(&answer.bytes);
                prop_assert!(answer.bytes.len() <= most(over));
                prop_assert!(over == Transport::Tcp || answer.bytes.len() <= 512 || packet.len() > 17 + 11);
            }
            Outcome::Forward(forward) => {
                can_be_read(&forward.back.failure());
                let inquiry = forward.key.ask(7, 0x5555);
                prop_assert!(inquiry.bytes().len() <= 12 + 255 + 4 + 11);
            }
            Outcome::Silence => prop_assert!(packet.len() < 12 || packet[2] & 0x80 != 0),
        }
    }

    #[test]
    fn any_packet_of_a_server(
        counts in any::<[u8; 3]>(), flags in any::<[u8; 2]>(), records in records(),
        changes in vec((any::<Index>(), any::<u8>()), 0..4), age in any::<u32>(),
    ) {
        let Forward { key, back } = forward();
        let inquiry = key.ask(7, 0);
        let mut packet = inquiry.bytes()[..inquiry.bytes().len() - 11].to_vec();
        packet[2] = flags[0] | 0x80;
        packet[3] = flags[1];
        for (index, count) in counts.into_iter().enumerate() {
            packet[7 + 2 * index] = count % 16;
        }
        packet.extend(records);
        for (at, byte) in changes {
            let at = at.index(packet.len());
            packet[at] = byte;
        }
        for judgement in [inquiry.judge(&packet), inquiry.judge_by_tcp(&packet)] {
            let (Judgement::Answer(response) | Judgement::Failed(response)) = judgement else { continue };
            let bytes = back.fill(&response, Duration::from_secs(age.into()));
            prop_assert_eq!(&bytes[..2], &[0x12, 0x34]);
            prop_assert!(bytes.len() <= most(Transport::Udp));
            can_be_read(&bytes);
        }
    }

    #[test]
    fn noise_of_a_server(packet in vec(any::<u8>(), 0..600)) {
        let inquiry = forward().key.ask(7, 0);
        let _ = (inquiry.judge(&packet), inquiry.judge_by_tcp(&packet));
    }
}
