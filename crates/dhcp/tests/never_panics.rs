//! No bytes and no order of events make the client panic or call its caller without pause.

use proptest::prelude::*;
use proptest::sample::Index;
use std::net::Ipv4Addr;
use std::time::Duration;
use zubi_dhcp::{Action, Client, Event, HostKey, HostName, Identity, Message, Moment, Start, State, message, options};

const SERVER: [u8; 4] = [10, 0, 0, 1];

fn identity() -> Identity {
    Identity {
        mac: "02:42:0a:00:00:02".parse().unwrap(),
        id: Some(HostKey([7; 16]).client_id(&"lan".parse().unwrap(), "web").unwrap()),
        host_name: HostName::from_name(&"web".parse().unwrap()),
        told: Vec::new(),
    }
}

/// A server's answer to what was sent last, with options of any kind.
fn answer(sent: &[u8], kind: message::Kind, further: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let question = Message::decode(sent).unwrap();
    let mut answer = Message::from_client(kind, question.xid, question.mac);
    answer.speaker = message::Speaker::Server;
    answer.yours = Ipv4Addr::new(10, 0, 0, 9);
    answer.options = answer.options.with(options::code::SERVER_ID, &SERVER);
    for (code, value) in further {
        answer.options = answer.options.with(*code, value);
    }
    answer.encode()
}

#[derive(Debug, Clone)]
enum Step {
    Start,
    Again,
    Offer(u32, Vec<(u8, Vec<u8>)>),
    Ack(u32, Vec<(u8, Vec<u8>)>),
    Nak,
    Noise(Vec<u8>),
    Damage(Index, u8),
    Conflict,
    Release,
    Woken,
}

fn step() -> impl Strategy<Value = Step> {
    let any_options = || prop::collection::vec((1u8..255, prop::collection::vec(any::<u8>(), 0..40)), 0..6);
    let lifetime = || prop_oneof![0u32..100, any::<u32>(), Just(u32::MAX)];
    prop_oneof![
        1 => Just(Step::Start),
        1 => Just(Step::Again),
        4 => (lifetime(), any_options()).prop_map(|(lifetime, options)| Step::Offer(lifetime, options)),
        4 => (lifetime(), any_options()).prop_map(|(lifetime, options)| Step::Ack(lifetime, options)),
        1 => Just(Step::Nak),
        1 => prop::collection::vec(any::<u8>(), 0..600).prop_map(Step::Noise),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, value)| Step::Damage(at, value)),
        1 => Just(Step::Conflict),
        1 => Just(Step::Release),
        6 => Just(Step::Woken),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes_are_read_without_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..700), whole: bool) {
        if whole && bytes.len() >= 240 {
            bytes[1..3].copy_from_slice(&[1, 6]);
            bytes[236..240].copy_from_slice(&[99, 130, 83, 99]);
        }
        if let Some(message) = Message::decode(&bytes) {
            prop_assert_eq!(Message::decode(&message.encode()).map(|again| again.options), Some(message.options));
        }
    }

    #[test]
    fn a_client_keeps_its_word_whatever_happens(
        steps in prop::collection::vec((step(), prop::option::of(0u64..200_000)), 1..60),
        patience in prop::option::of(0u64..20_000),
        seed: u64,
    ) {
        let mut client = Client::new(identity(), patience.map(Duration::from_millis), seed);
        let mut now = Moment(1);
        let mut sent = Message::from_client(message::Kind::Discover, message::Xid(0), identity().mac).encode();
        let mut has_lease = false;
        for (step, wait) in steps {
            // At the time that the client wants, or at any.
            now = match (wait, client.wake_at()) {
                (Some(wait), _) => now + Duration::from_millis(wait),
                (None, Some(wake)) => wake,
                (None, None) => now,
            };
            let with_lifetime = |lifetime: u32, mut options: Vec<(u8, Vec<u8>)>| {
                options.retain(|(code, _)| *code != options::code::LEASE_TIME);
                options.push((options::code::LEASE_TIME, lifetime.to_be_bytes().to_vec()));
                options
            };
            let bytes = match &step {
                Step::Offer(lifetime, options) => {
                    answer(&sent, message::Kind::Offer, &with_lifetime(*lifetime, options.clone()))
                }
                Step::Ack(lifetime, options) => {
                    answer(&sent, message::Kind::Ack, &with_lifetime(*lifetime, options.clone()))
                }
                Step::Nak => answer(&sent, message::Kind::Nak, &[]),
                Step::Noise(bytes) => bytes.clone(),
                Step::Damage(at, value) => {
                    let mut bytes = answer(&sent, message::Kind::Ack, &with_lifetime(9, Vec::new()));
                    let at = at.index(bytes.len());
                    bytes[at] = *value;
                    bytes
                }
                _ => Vec::new(),
            };
            let event = match step {
                Step::Start if !has_lease => Event::Started(Start::Discover),
                Step::Again if !has_lease => Event::Started(Start::Again(Ipv4Addr::new(10, 0, 0, 9))),
                Step::Start | Step::Again | Step::Woken => Event::Woken,
                Step::Conflict => Event::ConflictFound,
                Step::Release => {
                    has_lease = false;
                    Event::Release
                }
                _ => Event::Received(&bytes),
            };
            for action in client.handle(now, event) {
                match action {
                    Action::Send { bytes, .. } => sent = bytes,
                    Action::Bound(_) => has_lease = true,
                    Action::Lost(_) => {
                        prop_assert!(has_lease, "there was nothing to lose");
                        has_lease = false;
                    }
                    Action::Failed(failure) => {
                        prop_assert!(!has_lease && client.state() == State::Init, "{}", failure);
                    }
                }
            }
            prop_assert_eq!(client.lease().is_some(), has_lease);
            prop_assert!(client.wake_at().is_none_or(|wake| wake > now), "{:?} at {:?}", client, now);
        }
    }
}
