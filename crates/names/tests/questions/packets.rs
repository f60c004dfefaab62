//! Packets as they come: sizes, EDNS, what is malformed.

use crate::asking::{asked, edns, house, plain, question, rcode, with_edns, words};
use domain::base::Message;
use domain::base::iana::{OptRcode, Rcode};
use zubi_names::{Asked, Outcome, Transport};

fn ask(packet: &[u8]) -> Option<Vec<u8>> {
    match house().answer(asked("10.1.0.2", "10.1.0.1"), packet) {
        Outcome::Answer(answer) => Some(answer.bytes),
        Outcome::Silence => None,
        Outcome::Forward(forward) => panic!("{forward:?}"),
    }
}

#[test]
fn id_question_and_spelling_come_again_and_the_name_is_written_once() {
    let packet = question("wEb. A", plain);
    let answer = ask(&packet).unwrap();
    assert_eq!(answer[..2], packet[..2]);
    assert_eq!(answer[12..packet.len()], packet[12..]);
    // A pointer to the question: two bytes instead of five.
    assert_eq!(answer[packet.len()..packet.len() + 2], [0xc0, 12]);
    assert_eq!(answer.len(), packet.len() + 2 + 10 + 4);
}

#[test]
fn edns_is_answered_with_edns_and_its_absence_with_none() {
    let with = ask(&question("web. A", with_edns)).unwrap();
    let message = Message::from_slice(&with).unwrap();
    assert_eq!(message.opt().unwrap().udp_payload_size(), 1232);
    let without = ask(&question("web. A", plain)).unwrap();
    assert!(Message::from_slice(&without).unwrap().opt().is_none());
}

#[test]
fn a_later_version_of_edns_is_told_ours() {
    let packet = question("web. A", |builder| edns(builder, |opt| opt.set_version(1)));
    let answer = ask(&packet).unwrap();
    let message = Message::from_slice(&answer).unwrap();
    assert_eq!(message.opt_rcode(), OptRcode::BADVERS);
    assert_eq!(message.opt().unwrap().version(), 0);
}

#[test]
fn two_edns_records_are_malformed() {
    let packet = question("web. A", |builder| {
        with_edns(builder);
        with_edns(builder);
    });
    assert_eq!(rcode(&ask(&packet).unwrap()), Rcode::FORMERR);
}

#[test]
fn what_does_not_fit_into_a_datagram_is_cut_and_said_so() {
    let mut house = house();
    for number in 0..200 {
        let address = format!("10.1.1.{number}");
        house.put_endpoint(crate::asking::member(100 + number, "blue", &["many"], &[address.as_str()]));
    }
    let ask = |packet: &[u8], over| match house.answer(Asked { over, ..asked("10.1.0.2", "10.1.0.1") }, packet) {
        Outcome::Answer(answer) => answer.bytes,
        other => panic!("{other:?}"),
    };
    let (small, large) = (question("many. A", plain), question("many. A", with_edns));
    for (packet, most) in [(&small, 512), (&large, 1232)] {
        let answer = ask(packet, Transport::Udp);
        assert!(answer.len() <= most && answer.len() > most - 16, "{}", answer.len());
        assert!(words(&answer).starts_with("NOERROR aa tc 10.1.1.0 10.1.1.1 "));
        assert_eq!(Message::from_slice(&answer).unwrap().opt().is_some(), most > 512);
    }
    let whole = ask(&small, Transport::Tcp);
    assert_eq!(Message::from_slice(&whole).unwrap().header_counts().ancount(), 200);
    assert!(!Message::from_slice(&whole).unwrap().header().tc());
}

#[test]
fn answers_and_fragments_of_headers_get_nothing() {
    let mut answer = question("web. A", plain);
    answer[2] |= 0x80;
    assert_eq!(ask(&answer), None);
    for length in 0..12 {
        assert_eq!(ask(&question("web. A", plain)[..length]), None);
    }
}

#[test]
fn each_kind_of_malformed_question_gets_its_code() {
    let packet = question("web. A", plain);
    let changed = |change: fn(&mut Vec<u8>)| {
        let mut packet = packet.clone();
        change(&mut packet);
        rcode(&ask(&packet).unwrap())
    };
    // UPDATE, and an opcode that is none.
    assert_eq!(changed(|packet| packet[2] = 0x28), Rcode::NOTIMP);
    assert_eq!(changed(|packet| packet[2] = 0x78), Rcode::NOTIMP);
    // No question, two, and one with answers.
    assert_eq!(changed(|packet| packet[5] = 0), Rcode::FORMERR);
    assert_eq!(changed(|packet| packet[5] = 2), Rcode::FORMERR);
    assert_eq!(changed(|packet| packet[7] = 1), Rcode::FORMERR);
    // Cut, with a label of a kind that is none, and with more records than there are.
    assert_eq!(changed(|packet| packet.truncate(16)), Rcode::FORMERR);
    assert_eq!(changed(|packet| packet[12] = 0x43), Rcode::FORMERR);
    assert_eq!(changed(|packet| packet[11] = 1), Rcode::FORMERR);
    // A name that points to itself, and one that points ahead.
    for pointer in [12, 20] {
        let mut packet = packet[..12].to_vec();
        packet.extend_from_slice(&[0xc0, pointer, 0, 1, 0, 1, 0, 0]);
        assert_eq!(rcode(&ask(&packet).unwrap()), Rcode::FORMERR, "{pointer}");
    }
    // Class CHAOS; AXFR; OPT as a question.
    assert_eq!(changed(|packet| *packet.last_mut().unwrap() = 3), Rcode::REFUSED);
    for rtype in [252, 41] {
        let mut packet = packet.clone();
        let at = packet.len() - 3;
        packet[at] = rtype;
        assert_eq!(rcode(&ask(&packet).unwrap()), Rcode::NOTIMP);
    }
}
