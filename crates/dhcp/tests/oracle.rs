//! Messages against an independent codec: what we write it must read as we meant it, and the reverse.

use dhcproto::v4::{self, DhcpOption, OptionCode};
use dhcproto::{Decodable, Decoder, Encodable};
use ipnet::Ipv4Net;
use proptest::prelude::*;
use std::net::Ipv4Addr;
use zubi_dhcp::message::{Answer, Kind, Speaker, Xid};
use zubi_dhcp::{Action, Client, Event, HostKey, HostName, Identity, Message, Moment, Start, options::Options};
use zubi_model::Mac;

const KINDS: [Kind; 8] =
    [Kind::Discover, Kind::Offer, Kind::Request, Kind::Decline, Kind::Ack, Kind::Nak, Kind::Release, Kind::Inform];

fn theirs(bytes: &[u8]) -> v4::Message {
    v4::Message::decode(&mut Decoder::new(bytes)).unwrap()
}

fn any_mac() -> impl Strategy<Value = Mac> {
    any::<[u8; 6]>().prop_map(Mac::from_random)
}

proptest! {
    #[test]
    fn what_we_write_it_reads(
        (xid, secs, broadcast, mac) in (any::<u32>(), any::<u16>(), any::<bool>(), any_mac()),
        [client, yours, next_server, relay] in any::<[Ipv4Addr; 4]>(),
        kind in prop::sample::select(&KINDS[..]),
        (server, address, seconds) in any::<(Ipv4Addr, Ipv4Addr, u32)>(),
        id in prop::collection::vec(any::<u8>(), 2..600),
    ) {
        let mut message = Message::from_client(kind, Xid(xid), mac);
        message.secs = secs;
        message.answer = if broadcast { Answer::Broadcast } else { Answer::Unicast };
        (message.client, message.yours, message.next_server, message.relay) = (client, yours, next_server, relay);
        message.options = message
            .options
            .with(54, &server.octets())
            .with(50, &address.octets())
            .with(51, &seconds.to_be_bytes())
            .with(61, &id);
        let bytes = message.encode();
        let read = theirs(&bytes);
        prop_assert_eq!(read.opcode(), v4::Opcode::BootRequest);
        prop_assert_eq!((read.xid(), read.secs(), read.flags().broadcast()), (xid, secs, broadcast));
        prop_assert_eq!(read.chaddr(), &mac.bytes()[..]);
        prop_assert_eq!([read.ciaddr(), read.yiaddr(), read.siaddr(), read.giaddr()], [client, yours, next_server, relay]);
        let options = read.opts();
        prop_assert_eq!(options.msg_type().map(u8::from), Some(kind as u8));
        prop_assert_eq!(options.get(OptionCode::ServerIdentifier), Some(&DhcpOption::ServerIdentifier(server)));
        prop_assert_eq!(options.get(OptionCode::RequestedIpAddress), Some(&DhcpOption::RequestedIpAddress(address)));
        prop_assert_eq!(options.get(OptionCode::AddressLeaseTime), Some(&DhcpOption::AddressLeaseTime(seconds)));
        prop_assert_eq!(options.get(OptionCode::ClientIdentifier), Some(&DhcpOption::ClientIdentifier(id)));
        prop_assert_eq!(Message::decode(&bytes), Some(message));
    }

    #[test]
    fn what_it_writes_we_read(
        (xid, mac, yours, server) in (any::<u32>(), any_mac(), any::<Ipv4Addr>(), any::<Ipv4Addr>()),
        dns in prop::collection::vec(any::<Ipv4Addr>(), 1..100),
        (mtu, t1, t2) in any::<(u16, u32, u32)>(),
        text in "[ -~]{1,255}",
    ) {
        let zero = Ipv4Addr::UNSPECIFIED;
        let mut message = v4::Message::new_with_id(xid, zero, yours, zero, zero, &mac.bytes());
        message.set_opcode(v4::Opcode::BootReply);
        for option in [
            DhcpOption::MessageType(v4::MessageType::Ack),
            DhcpOption::ServerIdentifier(server),
            DhcpOption::DomainNameServer(dns.clone()),
            DhcpOption::InterfaceMtu(mtu),
            DhcpOption::Renewal(t1),
            DhcpOption::Rebinding(t2),
            DhcpOption::Message(text.clone()),
        ] {
            message.opts_mut().insert(option);
        }
        let read = Message::decode(&message.to_vec().unwrap()).unwrap();
        prop_assert_eq!((read.speaker, read.xid, read.mac), (Speaker::Server, Xid(xid), mac));
        prop_assert_eq!((read.yours, read.server(), read.kind()), (yours, Some(server), Some(Kind::Ack)));
        let options: &Options = &read.options;
        prop_assert_eq!(options.addresses(6).collect::<Vec<_>>(), dns);
        prop_assert_eq!((options.u16(26), options.u32(58), options.u32(59)), (Some(mtu), Some(t1), Some(t2)));
        prop_assert_eq!(options.get(56), Some(text.as_bytes()));
    }

    #[test]
    fn routes_and_domains_that_it_writes_a_lease_has(
        routes in prop::collection::vec((any::<Ipv4Addr>(), 1u8..=32, 1u32..), 1..30),
        domains in prop::collection::btree_set("[a-z]{1,9}(\\.[a-z]{1,9}){0,3}", 1..6),
    ) {
        let nets: Vec<(Ipv4Net, Ipv4Addr)> = routes
            .iter()
            .map(|(to, length, via)| (Ipv4Net::new_assert(*to, *length).trunc(), Ipv4Addr::from(*via)))
            .collect();
        let identity = Identity {
            mac: "02:42:0a:00:00:02".parse().unwrap(),
            id: Some(HostKey([7; 16]).client_id(&"lan".parse().unwrap(), "web").unwrap()),
            host_name: HostName::from_name(&"web".parse().unwrap()),
            told: Vec::new(),
        };
        let (address, server) = (Ipv4Addr::new(10, 0, 0, 9), Ipv4Addr::new(10, 0, 0, 1));
        let mut client = Client::new(identity.clone(), None, 1);
        let sent = client.handle(Moment(0), Event::Started(Start::Again(address)));
        let [Action::Send { bytes, .. }] = &sent[..] else { panic!("{sent:?}") };
        let zero = Ipv4Addr::UNSPECIFIED;
        let mut ack = v4::Message::new_with_id(theirs(bytes).xid(), zero, address, zero, zero, &identity.mac.bytes());
        ack.set_opcode(v4::Opcode::BootReply);
        for option in [
            DhcpOption::MessageType(v4::MessageType::Ack),
            DhcpOption::ServerIdentifier(server),
            DhcpOption::AddressLeaseTime(60),
            DhcpOption::ClasslessStaticRoute(nets.clone()),
            DhcpOption::DomainSearch(domains.iter().map(|name| format!("{name}.").parse().unwrap()).collect()),
        ] {
            ack.opts_mut().insert(option);
        }
        let actions = client.handle(Moment(1), Event::Received(&ack.to_vec().unwrap()));
        let [Action::Bound(lease)] = &actions[..] else { panic!("{actions:?}") };
        let wanted: Vec<String> = nets.iter().map(|(to, via)| format!("{to},{via}")).collect();
        prop_assert_eq!(lease.routes.iter().map(ToString::to_string).collect::<Vec<_>>(), wanted);
        prop_assert_eq!(&lease.search, &domains.into_iter().collect::<Vec<_>>());
    }
}
