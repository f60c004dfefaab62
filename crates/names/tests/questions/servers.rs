//! What servers elsewhere are asked, and what becomes of their answers.

use crate::asking::{edns, forwarded, plain, with_edns, words};
use domain::base::iana::{Class, Rcode};
use domain::base::{Message, MessageBuilder, Name, Serial, Ttl};
use domain::rdata::{A, Soa};
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use zubi_model::Moment;
use zubi_names::{Boarding, Cache, Flights, Inquiry, Judgement, Key, Response};

fn name(text: &str) -> Name<Vec<u8>> {
    Name::from_str(text).unwrap()
}

/// An answer to what was asked, with addresses and times to live.
fn reply(inquiry: &Inquiry, rcode: Rcode, rows: &[(u32, u8)]) -> Vec<u8> {
    let asked = Message::from_slice(inquiry.bytes()).unwrap();
    let mut answers = MessageBuilder::new_vec().start_answer(asked, rcode).unwrap();
    for (ttl, last) in rows {
        let owner = asked.sole_question().unwrap().into_qname();
        answers.push((owner, Ttl::from_secs(*ttl), A::new(Ipv4Addr::new(192, 0, 2, *last)))).unwrap();
    }
    let mut additional = answers.additional();
    with_edns(&mut additional);
    additional.finish()
}

/// An answer that there is nothing, for a while.
fn nothing(inquiry: &Inquiry, rcode: Rcode, ttl: u32, minimum: u32) -> Vec<u8> {
    let asked = Message::from_slice(inquiry.bytes()).unwrap();
    let mut authority = MessageBuilder::new_vec().start_answer(asked, rcode).unwrap().authority();
    let seconds = Ttl::from_secs;
    let (zone, serial) = (name("org."), Serial::from(1));
    let soa = Soa::new(zone.clone(), zone.clone(), serial, seconds(9), seconds(9), seconds(9), seconds(minimum));
    authority.push((zone, Class::IN, seconds(ttl), soa)).unwrap();
    authority.finish()
}

fn answer(inquiry: &Inquiry, packet: &[u8]) -> Response {
    match inquiry.judge(packet) {
        Judgement::Answer(response) => response,
        other => panic!("{other:?}"),
    }
}

fn key(text: &str) -> Key {
    forwarded(&format!("{text} A"), plain).key
}

#[test]
fn a_question_goes_out_under_another_number_and_spelling() {
    let forward = forwarded("Example.ORG. A", plain);
    let inquiry = forward.key.ask(0xbeef, 0b101);
    let asked = Message::from_slice(inquiry.bytes()).unwrap();
    assert_eq!(asked.header().id(), 0xbeef);
    assert!(asked.header().rd());
    assert_eq!(asked.sole_question().unwrap().qname().to_string(), "ExAmple.org");
    assert_eq!(asked.opt().unwrap().udp_payload_size(), 1232);
}

#[test]
fn an_answer_goes_back_as_the_asker_spelled_it_and_with_its_own_number() {
    let forward = forwarded("Example.ORG. A", plain);
    let inquiry = forward.key.ask(1, 0);
    let response = answer(&inquiry, &reply(&inquiry, Rcode::NOERROR, &[(60, 1), (60, 2)]));
    let back = forward.back.fill(&response, Duration::from_secs(50));
    assert_eq!(words(&back), "NOERROR 192.0.2.1 192.0.2.2");
    let message = Message::from_slice(&back).unwrap();
    assert_eq!(message.header().id(), 0x1234);
    assert_eq!(message.sole_question().unwrap().qname().to_string(), "Example.ORG");
    assert!(message.opt().is_none());
    assert!(message.answer().unwrap().all(|record| record.unwrap().ttl().as_secs() == 10));
    let with_edns = forwarded("example.org. A", with_edns).back.fill(&response, Duration::ZERO);
    assert!(Message::from_slice(&with_edns).unwrap().opt().is_some());
}

#[test]
fn an_answer_that_does_not_fit_leads_the_asker_to_tcp() {
    let forward = forwarded("example.org. A", plain);
    let inquiry = forward.key.ask(1, 0);
    let rows: Vec<_> = (0..60).map(|last| (60, last)).collect();
    let response = answer(&inquiry, &reply(&inquiry, Rcode::NOERROR, &rows));
    assert_eq!(words(&forward.back.fill(&response, Duration::ZERO)), "NOERROR tc");
}

#[test]
fn what_does_not_answer_the_question_is_waited_past() {
    let inquiry = key("example.org.").ask(7, u64::MAX);
    let good = reply(&inquiry, Rcode::NOERROR, &[(60, 1)]);
    let judged = |change: fn(&mut Vec<u8>)| {
        let mut packet = good.clone();
        change(&mut packet);
        inquiry.judge(&packet)
    };
    assert!(matches!(judged(|_| {}), Judgement::Answer(_)));
    // Another number, a question, another name, another type, cut short.
    assert_eq!(judged(|packet| packet[1] = 8), Judgement::Other);
    assert_eq!(judged(|packet| packet[2] &= 0x7f), Judgement::Other);
    assert_eq!(judged(|packet| packet[13] = b'x'), Judgement::Other);
    assert_eq!(judged(|packet| packet[26] = 28), Judgement::Other);
    assert_eq!(judged(|packet| packet.truncate(40)), Judgement::Other);
}

#[test]
fn who_has_not_seen_the_spelling_is_not_believed() {
    let inquiry = key("example.org.").ask(7, u64::MAX);
    let lower = reply(&key("example.org.").ask(7, 0), Rcode::NOERROR, &[(60, 1)]);
    assert_eq!(inquiry.judge(&lower), Judgement::AskByTcp);
    assert!(matches!(inquiry.judge_by_tcp(&lower), Judgement::Answer(_)));
}

#[test]
fn a_cut_answer_is_asked_for_by_tcp_and_a_failure_of_another_server() {
    let inquiry = key("example.org.").ask(7, 0);
    let mut cut = reply(&inquiry, Rcode::NOERROR, &[]);
    cut[2] |= 2;
    assert_eq!(inquiry.judge(&cut), Judgement::AskByTcp);
    for rcode in [Rcode::SERVFAIL, Rcode::REFUSED] {
        assert!(matches!(inquiry.judge(&reply(&inquiry, rcode, &[])), Judgement::Failed(_)));
    }
}

#[test]
fn an_answer_is_kept_as_long_as_its_shortest_record_says() {
    let key = key("example.org.");
    let inquiry = key.ask(1, 0);
    let response = Arc::new(answer(&inquiry, &reply(&inquiry, Rcode::NOERROR, &[(60, 1), (20, 2)])));
    let mut cache = Cache::new(100_000);
    cache.put(key.clone(), response, Moment(1_000));
    assert_eq!(cache.get(&key, Moment(20_999)).unwrap().1, Duration::from_millis(19_999));
    assert!(cache.get(&key, Moment(21_000)).is_none());
    let other = Key { flags: zubi_names::Flags { dnssec_ok: true, ..key.flags }, ..key };
    assert!(cache.get(&other, Moment(1_000)).is_none());
}

#[test]
fn that_there_is_nothing_is_kept_as_long_as_the_zone_says_and_no_more_than_five_minutes() {
    let inquiry = key("example.org.").ask(1, 0);
    let kept = |rcode, ttl, minimum| answer(&inquiry, &nothing(&inquiry, rcode, ttl, minimum)).lifetime().as_secs();
    assert_eq!(kept(Rcode::NXDOMAIN, 60, 30), 30);
    assert_eq!(kept(Rcode::NXDOMAIN, 20, 30), 20);
    assert_eq!(kept(Rcode::NOERROR, 60, 30), 30);
    assert_eq!(kept(Rcode::NXDOMAIN, 86_400, 86_400), 300);
    // Nobody says for how long.
    assert_eq!(answer(&inquiry, &reply(&inquiry, Rcode::NXDOMAIN, &[])).lifetime(), Duration::ZERO);
    assert_eq!(answer(&inquiry, &reply(&inquiry, Rcode::NOERROR, &[(0, 1)])).lifetime(), Duration::ZERO);
}

#[test]
fn the_cache_never_grows_past_its_size_and_keeps_what_is_asked_often() {
    let mut cache = Cache::new(60_000);
    let often = key("often.example.org.");
    let inquiry = often.ask(1, 0);
    let response = Arc::new(answer(&inquiry, &reply(&inquiry, Rcode::NOERROR, &[(60, 1)])));
    cache.put(often.clone(), Arc::clone(&response), Moment(0));
    for number in 0..2_000 {
        let other = key(&format!("n{number}.example.org."));
        cache.put(other, Arc::clone(&response), Moment(0));
        assert!(cache.get(&often, Moment(1)).is_some(), "{number}");
        assert!(cache.len() < 250, "{}", cache.len());
    }
    cache.clear();
    assert!(cache.is_empty());
}

#[test]
fn a_question_is_asked_once_however_many_wait_for_it() {
    let mut flights = Flights::new(4, 3);
    let (one, other) = (key("one.example.org."), key("other.example.org."));
    let asker = |last: u8| IpAddr::from([10, 1, 0, last]);
    assert_eq!(flights.board(&one, asker(2), 'a'), Ok(Boarding::First));
    assert_eq!(flights.board(&one, asker(3), 'b'), Ok(Boarding::Joined));
    assert_eq!(flights.board(&other, asker(2), 'c'), Ok(Boarding::First));
    assert_eq!(flights.land(&one), ['a', 'b']);
    assert_eq!(flights.len(), 1);
    assert_eq!(flights.land(&one), []);
    assert_eq!(flights.board(&one, asker(2), 'd'), Ok(Boarding::First));
}

#[test]
fn one_who_asks_without_end_leaves_room_for_others() {
    let mut flights = Flights::new(4, 3);
    let asker = |last: u8| IpAddr::from([10, 1, 0, last]);
    let board = |flights: &mut Flights<()>, number: u8, last| {
        flights.board(&key(&format!("n{number}.example.org.")), asker(last), ()).is_ok()
    };
    assert!((0..3).all(|number| board(&mut flights, number, 2)));
    assert!(!board(&mut flights, 3, 2));
    assert!(board(&mut flights, 4, 3));
    assert!(!board(&mut flights, 5, 4));
    flights.land(&key("n0.example.org."));
    assert!(board(&mut flights, 3, 2));
}

#[test]
fn a_question_with_signatures_wants_is_passed_on_so() {
    let forward = forwarded("example.org. A", |builder| edns(builder, |opt| opt.set_dnssec_ok(true)));
    assert!(Message::from_slice(forward.key.ask(1, 0).bytes()).unwrap().opt().unwrap().dnssec_ok());
}
