//! From nothing to a lease, or to a definite failure.

use crate::lan::{Lan, id_of, identity};
use crate::server::{Mood, Server};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;
use zubi_dhcp::message::{Kind, Speaker};
use zubi_dhcp::options::code;
use zubi_dhcp::{Action, Client, Event, Message, Moment, Start, State};

fn in_mood(number: u8, mood: Mood) -> Server {
    Server { mood, ..Server::new(number) }
}

/// The client has stopped and wants nothing more.
fn assert_nothing_is_left(lan: &Lan) {
    assert_eq!((lan.client.state(), lan.client.lease(), lan.client.wake_at()), (State::Init, None, None));
}

#[test]
fn a_server_gives_a_lease() {
    let mut lan = Lan::new([Server::new(1)]);
    lan.start(Start::Discover);
    assert_eq!(lan.client.state(), State::Selecting);
    lan.pass(Duration::from_millis(10));
    assert_eq!(lan.client.state(), State::Requesting);
    lan.pass_seconds(20);
    assert_eq!(lan.take_lines(), ["discover", "take 10.0.0.10 of 10.0.0.1", "bound 10.0.0.10/24 of 10.0.0.1"]);
    assert_eq!(lan.client.state(), State::Bound);
    assert_eq!(lan.sent[0].xid, lan.sent[1].xid);
    let lease = lan.client.lease().unwrap();
    assert_eq!(lease.obtained_at, Moment(1_000_010), "the lease begins when it is asked for");
    assert_eq!(lan.client.wake_at(), lease.renew_at());
}

#[test]
fn the_client_says_who_it_is_and_what_it_wants() {
    let mut lan = Lan::new([Server::new(1)]);
    lan.start(Start::Discover);
    lan.pass_seconds(1);
    for message in &lan.sent {
        let option = |code| message.options.get(code).unwrap();
        assert_eq!((option(code::HOST_NAME), option(code::VENDOR_CLASS)), (&b"web"[..], &b"zubi"[..]));
        assert_eq!(option(code::MESSAGE_SIZE), 1472u16.to_be_bytes());
        let wanted = option(code::PARAMETERS);
        let place = |code| wanted.iter().position(|own| *own == code).unwrap();
        assert!(place(code::CLASSLESS_ROUTES) < place(code::ROUTERS), "RFC 3442");
        for code in [code::SUBNET_MASK, code::DNS_SERVERS, code::DOMAIN_SEARCH, code::MTU, code::NTP_SERVERS] {
            place(code);
        }
    }
}

#[test]
fn without_a_server_it_fails_when_its_patience_ends() {
    let mut lan = Lan::new([]);
    lan.start(Start::Discover);
    lan.pass_seconds(60);
    assert_eq!(lan.moments("failed"), [10_000]);
    let tries = lan.moments("discover");
    let waits: Vec<u64> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(waits.len(), 4, "{waits:?}");
    for (wait, middle) in waits.iter().zip([500, 1000, 2000, 4000]) {
        assert!((middle * 3 / 4..=middle * 5 / 4).contains(wait), "{waits:?}");
    }
    let seconds: Vec<u16> = lan.sent.iter().map(|message| message.secs).collect();
    assert!(seconds.is_sorted() && seconds[4] >= 5, "{seconds:?}");
    assert_eq!(lan.take_lines().last().unwrap(), "failed: no DHCP server answered within 10 s");
    assert_nothing_is_left(&lan);
}

#[test]
fn without_an_end_of_patience_it_tries_for_ever() {
    let mut lan = Lan::new([in_mood(1, Mood::Silent)]);
    lan.client = Client::new(identity("web"), None, 7);
    lan.start(Start::Discover);
    lan.pass_seconds(3600);
    let tries = lan.moments("discover");
    assert!(tries.windows(2).all(|pair| pair[1] - pair[0] <= 80_000), "{tries:?}");
    lan.servers[0].mood = Mood::Gives;
    lan.pass_seconds(80);
    assert_eq!(lan.client.state(), State::Bound);
}

#[test]
fn of_two_servers_the_first_is_taken() {
    let mut lan = Lan::new([Server::new(1), Server::new(2)]);
    lan.start(Start::Discover);
    lan.pass_seconds(20);
    assert_eq!(lan.take_lines(), ["discover", "take 10.0.0.10 of 10.0.0.1", "bound 10.0.0.10/24 of 10.0.0.1"]);
    assert!(lan.servers[1].leases.is_empty());
}

#[test]
fn an_offer_that_gives_no_lease_is_passed_over() {
    let mut lan = Lan::new([Server { seconds: 0, ..Server::new(1) }, Server::new(2)]);
    lan.start(Start::Discover);
    lan.pass_seconds(1);
    assert_eq!(lan.take_lines(), ["discover", "take 10.0.0.20 of 10.0.0.2", "bound 10.0.0.20/24 of 10.0.0.2"]);
}

#[test]
fn offers_that_all_give_no_lease_are_the_failure() {
    let mut lan = Lan::new([Server { seconds: 0, ..Server::new(1) }]);
    lan.start(Start::Discover);
    lan.pass_seconds(60);
    assert_eq!(lan.moments("failed"), [10_000]);
    let why = "failed: the DHCP server's answer cannot be used: it does not say how long the lease lasts";
    assert_eq!(lan.take_lines().last().unwrap(), why);
}

#[test]
fn any_one_lost_datagram_costs_less_than_a_second() {
    for lost in 0..4 {
        let mut lan = Lan::new([Server::new(1)]);
        lan.losses = (0..4).map(|datagram| datagram == lost).collect();
        lan.start(Start::Discover);
        lan.pass_seconds(1);
        assert_eq!(lan.take_lines().last().unwrap(), "bound 10.0.0.10/24 of 10.0.0.1", "datagram {lost}");
        // Also when the answer to the first try is the one that was lost: the time may not be counted too long.
        let begun = if lost < 2 { lan.sent[2].xid } else { lan.sent[1].xid };
        assert_eq!(begun, lan.sent[0].xid);
    }
}

#[test]
fn half_of_all_datagrams_lost_still_ends_in_a_lease() {
    let mut lan = Lan::new([Server::new(1)]);
    lan.losses = [true, false].repeat(50);
    lan.start(Start::Discover);
    lan.pass_seconds(10);
    assert_eq!(lan.client.state(), State::Init, "a loss of every question leaves nothing");
    let mut lan = Lan::new([Server::new(1)]);
    lan.losses = [true, false, false].repeat(50);
    lan.start(Start::Discover);
    lan.pass_seconds(10);
    assert_eq!(lan.client.state(), State::Bound);
}

#[test]
fn an_offer_that_is_not_confirmed_is_the_failure() {
    let mut lan = Lan::new([in_mood(1, Mood::OffersOnly)]);
    lan.start(Start::Discover);
    lan.pass_seconds(60);
    assert_eq!(lan.moments("failed"), [10_000]);
    let why = "failed: DHCP server 10.0.0.1 offered 10.0.0.10 and did not confirm it within 10 s";
    assert_eq!(lan.take_lines().last().unwrap(), why);
    assert_nothing_is_left(&lan);
}

#[test]
fn an_offer_shortly_before_the_end_of_patience_is_the_failure_too() {
    let mut lan = Lan::new([in_mood(1, Mood::Silent)]);
    lan.start(Start::Discover);
    lan.pass_seconds(5);
    lan.servers[0].mood = Mood::OffersOnly;
    lan.pass_seconds(60);
    assert_eq!(lan.moments("failed"), [10_000]);
    let why = "failed: DHCP server 10.0.0.1 offered 10.0.0.10 and did not confirm it within 10 s";
    assert_eq!(lan.take_lines().last().unwrap(), why);
    // RFC 2131, 4.4.1: the same as in the message that was answered.
    let seconds = |kind| lan.sent.iter().rev().find(|message| message.kind() == Some(kind)).unwrap().secs;
    assert_eq!(seconds(Kind::Request), seconds(Kind::Discover));
}

#[test]
fn a_server_that_dies_after_its_offer_is_left_for_another() {
    let mut lan = Lan::new([in_mood(1, Mood::OffersOnly), Server::new(2)]);
    lan.start(Start::Discover);
    lan.pass_seconds(1);
    lan.servers[0].mood = Mood::Silent;
    lan.pass_seconds(60);
    assert_eq!(lan.take_lines().last().unwrap(), "bound 10.0.0.20/24 of 10.0.0.2");
}

#[test]
fn a_server_that_refuses_what_it_offers_is_asked_again_with_longer_and_longer_pauses() {
    let mut lan = Lan::new([in_mood(1, Mood::Refuses)]);
    lan.start(Start::Discover);
    lan.pass_seconds(60);
    let rounds = lan.moments("discover");
    assert!((5..=7).contains(&rounds.len()), "{rounds:?}");
    assert!(rounds[1] < 50, "the first time at once: {rounds:?}");
    assert_eq!(lan.moments("failed"), [10_000]);
    assert_eq!(lan.take_lines().last().unwrap(), "failed: DHCP server 10.0.0.1 refuses: not here");
    assert_nothing_is_left(&lan);
}

#[test]
fn a_refusal_by_another_server_than_the_one_that_is_asked_does_not_count() {
    let mut lan = Lan::new([in_mood(1, Mood::OffersOnly)]);
    lan.start(Start::Discover);
    lan.pass(Duration::from_millis(20));
    assert_eq!(lan.client.state(), State::Requesting);
    for (server, state) in [([10, 0, 0, 9], State::Requesting), ([10, 0, 0, 1], State::Selecting)] {
        let mut nak = Message::from_client(Kind::Nak, lan.sent[1].xid, lan.sent[1].mac);
        nak.speaker = Speaker::Server;
        nak.options = nak.options.with(code::SERVER_ID, &server);
        lan.tell(Event::Received(&nak.encode()));
        assert_eq!(lan.client.state(), state);
    }
}

#[test]
fn an_address_that_is_in_use_is_declined_and_another_asked_for() {
    let mut lan = Lan::with_lease([Server::new(1)]);
    lan.tell(Event::ConflictFound);
    lan.pass_seconds(1);
    assert_eq!(
        lan.take_lines(),
        [
            "decline 10.0.0.10 of 10.0.0.1",
            "lost: another host uses the address",
            "discover",
            "take 10.0.0.11 of 10.0.0.1",
            "bound 10.0.0.11/24 of 10.0.0.1"
        ]
    );
    assert_eq!(lan.servers[0].declined, BTreeSet::from([Ipv4Addr::new(10, 0, 0, 10)]));
}

#[test]
fn conflicts_without_end_are_the_failure() {
    let mut lan = Lan::new([Server::new(1)]);
    lan.start(Start::Discover);
    let mut declined = 0;
    for _ in 0..200 {
        lan.pass(Duration::from_millis(100));
        if lan.client.lease().is_some() {
            lan.tell(Event::ConflictFound);
            declined += 1;
        }
    }
    assert!((5..=7).contains(&declined), "{declined}");
    assert_eq!(lan.moments("failed"), [10_000]);
    let last = lan.take_lines().pop().unwrap();
    assert!(last.starts_with("failed: another host uses 10.0.0.1"), "{last}");
    assert_nothing_is_left(&lan);
}

#[test]
fn a_conflict_in_use_does_not_count_for_the_patience() {
    let mut lan = Lan::with_lease([Server::new(1)]);
    lan.pass_seconds(20);
    lan.servers[0].mood = Mood::Silent;
    lan.tell(Event::ConflictFound);
    lan.pass_seconds(600);
    assert_eq!(lan.client.state(), State::Selecting);
}

#[test]
fn what_is_not_an_answer_to_the_question_is_ignored() {
    let mut lan = Lan::new([]);
    lan.start(Start::Discover);
    let good = Server::new(1).answer(&lan.sent[0]).unwrap();
    let mut others: Vec<Message> = (0..5).map(|_| good.clone()).collect();
    others[0].speaker = Speaker::Client;
    others[1].xid.0 ^= 1;
    others[2].mac = "02:42:0a:00:00:03".parse().unwrap();
    others[3].options = good.options.clone().with(code::CLIENT_ID, id_of("db").bytes());
    // An acknowledgement comes before any request.
    others[4].options = Message::from_client(Kind::Ack, good.xid, good.mac).options;
    for (code, value) in good.options.iter().filter(|(code, _)| *code != code::MESSAGE_TYPE) {
        others[4].options = others[4].options.clone().with(code, value);
    }
    for other in &others {
        lan.tell(Event::Received(&other.encode()));
        assert_eq!(lan.client.state(), State::Selecting, "{other:?}");
    }
    let mut own = good;
    own.options = own.options.with(code::CLIENT_ID, id_of("web").bytes());
    lan.tell(Event::Received(&own.encode()));
    assert_eq!(lan.client.state(), State::Requesting);
}

#[test]
fn clients_that_begin_together_have_exchanges_and_retries_of_their_own() {
    let mut xids = BTreeSet::new();
    let mut retries = BTreeSet::new();
    for seed in 0..50 {
        let mut client = Client::new(identity("web"), None, seed);
        let actions = client.handle(Moment(0), Event::Started(Start::Discover));
        let [Action::Send { bytes, .. }] = &actions[..] else { panic!("{actions:?}") };
        xids.insert(Message::decode(bytes).unwrap().xid.0);
        retries.insert(client.wake_at());
    }
    assert_eq!(xids.len(), 50);
    assert!(retries.len() > 30, "{} different moments", retries.len());
}

#[test]
fn a_release_before_there_is_a_lease_just_stops() {
    let mut lan = Lan::new([in_mood(1, Mood::OffersOnly)]);
    lan.start(Start::Discover);
    lan.pass(Duration::from_millis(20));
    lan.take_lines();
    lan.tell(Event::Release);
    lan.pass_seconds(60);
    assert_eq!(lan.take_lines(), [""; 0]);
    assert_nothing_is_left(&lan);
}
