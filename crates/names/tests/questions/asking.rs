//! A directory to ask, and questions in words.

use domain::base::iana::{Class, Opcode, Rcode, Rtype};
use domain::base::message_builder::{AdditionalBuilder, OptBuilder};
use domain::base::{Message, MessageBuilder, Name, ParsedName};
use domain::rdata::AllRecordData;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use zubi_model::{EndpointKey, NetnsCookie, Scope};
use zubi_names::{Asked, Directory, Forward, Guests, Member, Outcome, Transport, Zone};

/// A network: its name, the host's address, whether it has an outside.
pub fn zone(name: &str, host: &str, reach: Scope) -> Zone {
    let host: IpAddr = host.parse().unwrap();
    let subnet = ipnet::IpNet::new(host, if host.is_ipv4() { 24 } else { 64 }).unwrap().trunc();
    Zone {
        name: name.parse().unwrap(),
        reach,
        host: vec![host],
        subnets: vec![subnet],
        guests: Guests::Answered,
        servers: Arc::default(),
    }
}

/// An endpoint of the sandbox with that number.
pub fn member(sandbox: u64, network: &str, names: &[&str], addresses: &[&str]) -> Member {
    Member {
        key: EndpointKey { cookie: NetnsCookie(sandbox), network: network.parse().unwrap() },
        attached_at: sandbox,
        names: names.iter().map(|name| name.parse().unwrap()).collect(),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        servers: Arc::default(),
    }
}

/// Sandboxes 1 (web) and 2 (db) on blue, 2 and 3 (cache) on green, 4 (vault) on the internal network safe.
pub fn house() -> Directory {
    let mut house = Directory::new();
    house.put_network(zone("blue", "10.1.0.1", Scope::Routed));
    house.put_network(zone("podman:green", "10.2.0.1", Scope::Routed));
    house.put_network(zone("safe", "10.3.0.1", Scope::Internal));
    house.put_endpoint(member(1, "blue", &["web", "aaaaaaaaaaaa"], &["10.1.0.2", "fd01::2"]));
    house.put_endpoint(member(2, "blue", &["db", "all"], &["10.1.0.3"]));
    house.put_endpoint(member(2, "podman:green", &["db", "all"], &["10.2.0.3"]));
    house.put_endpoint(member(3, "podman:green", &["cache", "all"], &["10.2.0.4"]));
    house.put_endpoint(member(4, "safe", &["vault"], &["10.3.0.2"]));
    house
}

/// What a packet has beside its question.
pub type Change = fn(&mut AdditionalBuilder<Vec<u8>>);

/// The packet of a question `NAME TYPE`.
pub fn question(words: &str, change: Change) -> Vec<u8> {
    let (name, rtype) = words.split_once(' ').unwrap();
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(0x1234);
    builder.header_mut().set_rd(true);
    let mut builder = builder.question();
    builder.push((Name::<Vec<u8>>::from_str(name).unwrap(), Rtype::from_str(rtype).unwrap(), Class::IN)).unwrap();
    let mut builder = builder.additional();
    change(&mut builder);
    builder.finish()
}

/// Adds an EDNS record.
pub fn edns(builder: &mut AdditionalBuilder<Vec<u8>>, change: fn(&mut OptBuilder<'_, Vec<u8>>)) {
    let add = |opt: &mut OptBuilder<'_, Vec<u8>>| {
        change(opt);
        Ok(())
    };
    builder.opt(add).unwrap();
}

/// With EDNS and a size for datagrams.
pub fn with_edns(builder: &mut AdditionalBuilder<Vec<u8>>) {
    edns(builder, |opt| opt.set_udp_payload_size(4096));
}

pub fn plain(_: &mut AdditionalBuilder<Vec<u8>>) {}

/// A question from an address to another one.
pub fn asked(from: &str, at: &str) -> Asked {
    Asked { from: from.parse().unwrap(), at: at.parse().unwrap(), over: Transport::Udp }
}

/// An answer in words: its code, `aa`, `tc`, and the data of its records.
pub fn words(packet: &[u8]) -> String {
    let message = Message::from_slice(packet).unwrap();
    let header = message.header();
    assert!(header.qr());
    let mut words = vec![if header.opcode() == Opcode::QUERY { header.rcode().to_string() } else { "?".into() }];
    words.extend(header.aa().then(|| "aa".to_owned()));
    words.extend(header.tc().then(|| "tc".to_owned()));
    for record in message.answer().unwrap() {
        let record = record.unwrap().into_record::<AllRecordData<_, ParsedName<_>>>().unwrap().unwrap();
        words.push(record.data().to_string());
    }
    words.join(" ")
}

/// What a sandbox hears. `from` is the address that it has on the network of `at`.
pub fn hears(house: &Directory, from: &str, at: &str, what: &str) -> String {
    match house.answer(asked(from, at), &question(what, plain)) {
        Outcome::Answer(answer) => words(&answer.bytes),
        Outcome::Forward(forward) => format!("asks {:?}", forward.key.upstream),
        Outcome::Silence => "nothing".into(),
    }
}

/// The question that a server elsewhere is to be asked.
pub fn forwarded(what: &str, change: Change) -> Forward {
    match house().answer(asked("10.1.0.2", "10.1.0.1"), &question(what, change)) {
        Outcome::Forward(forward) => *forward,
        other => panic!("{other:?}"),
    }
}

pub fn rcode(packet: &[u8]) -> Rcode {
    Message::from_slice(packet).unwrap().header().rcode()
}
