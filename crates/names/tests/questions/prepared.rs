//! Answers that were given before.

use crate::asking::{asked, edns, house, member, plain, question};
use zubi_names::{Asked, Directory, Outcome, Prepared, Transport};

/// What is recalled of a question after it was answered once.
fn again(prepared: &mut Prepared, house: &Directory, asked: Asked, packet: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    prepared.recall(house.version(), asked, packet, &mut bytes).map(|_| bytes)
}

fn answer(house: &Directory, asked: Asked, packet: &[u8]) -> Option<zubi_names::Answer> {
    match house.answer(asked, packet) {
        Outcome::Answer(answer) => Some(answer),
        Outcome::Forward(_) | Outcome::Silence => None,
    }
}

#[test]
fn a_recalled_answer_is_the_answer_with_the_number_of_its_question() {
    let house = house();
    let mut prepared = Prepared::new(1 << 20);
    let of = [asked("10.1.0.2", "10.1.0.1"), asked("10.1.0.3", "10.1.0.1"), asked("10.1.0.3", "10.2.0.1")];
    let of = of.into_iter().flat_map(|asked| [asked, Asked { over: Transport::Tcp, ..asked }]);
    for asked in of {
        for words in ["web. A", "WEB. A", "web. AAAA", "web. MX", "cache. A", "nobody.zubi.internal. A", "all. A"] {
            for change in [plain, |builder: &mut _| edns(builder, |opt| opt.set_udp_payload_size(512))] {
                let mut packet = question(words, change);
                let Some(first) = answer(&house, asked, &packet) else { continue };
                assert_eq!(again(&mut prepared, &house, asked, &packet), None, "{words} of nobody else");
                prepared.keep(&first);
                packet[..2].copy_from_slice(&[7, 8]);
                let expected = answer(&house, asked, &packet).map(|answer| answer.bytes);
                assert_eq!(again(&mut prepared, &house, asked, &packet), expected, "{words}");
            }
        }
    }
}

#[test]
fn nothing_is_recalled_of_another_directory() {
    let mut house = house();
    let mut prepared = Prepared::new(1 << 20);
    let (asked, packet) = (asked("10.1.0.2", "10.1.0.1"), question("web. A", plain));
    assert_eq!(again(&mut prepared, &house, asked, &packet), None);
    prepared.keep(&answer(&house, asked, &packet).unwrap());
    assert!(again(&mut prepared, &house, asked, &packet).is_some());
    house.put_endpoint(member(9, "blue", &["web"], &["10.1.0.9"]));
    assert_eq!(again(&mut prepared, &house, asked, &packet), None);
}

#[test]
fn their_number_is_bounded_and_long_packets_are_not_kept() {
    let house = house();
    let mut prepared = Prepared::new(400);
    let asked = asked("10.1.0.2", "10.1.0.1");
    let packets: Vec<Vec<u8>> = ["web. A", "db. A", "all. A"].map(|words| question(words, plain)).into();
    for packet in &packets {
        assert_eq!(again(&mut prepared, &house, asked, packet), None);
        prepared.keep(&answer(&house, asked, packet).unwrap());
    }
    let kept = packets.iter().filter(|packet| again(&mut prepared, &house, asked, packet).is_some()).count();
    assert_eq!(kept, 1, "the others were let go");
    let long = [&packets[0][..], &[0; 200]].concat();
    assert_eq!(again(&mut prepared, &house, asked, &long), None);
    prepared.keep(&answer(&house, asked, &packets[0]).unwrap());
    assert_eq!(again(&mut prepared, &house, asked, &long), None);
}
