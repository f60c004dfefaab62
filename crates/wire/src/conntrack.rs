//! Tracked connections (linux/netfilter/nfnetlink_conntrack.h), over the same socket as nftables.
//!
//! # How it works
//! A connection whose destination was translated keeps this translation as long as it is tracked, whatever the rules
//! say later. So zubi looks for the connections of an address or port that changes its owner ([`Flow::dump`]) and
//! deletes each of them ([`Flow::encode_delete`]).
//!
//! # Limits
//! The kernel filters a dump since Linux 5.8; older ones send everything, so [`Filter::matches`] is called in any case.
//! Even a filtered dump goes through the whole hash table. Zubi never lets the kernel filter by IPv6 addresses: the
//! kernel (up to 6.18 at least) inverts this comparison and sends all connections but the wanted ones.
//!
//! A connection's number is derived from its tuple and its place in memory. A new connection with the tuple of one just
//! deleted may get the same place, and then has the same number.

use crate::message::{Attributes, Batch, Body, Message, flag};
use std::fmt;
use std::net::IpAddr;
use zubi_model::{Family, PortNumber, Protocol};

const SUBSYSTEM: u16 = 1 << 8;
const NEW: u16 = 0;
const GET: u16 = 1;
const DELETE: u16 = 2;
/// `struct nfgenmsg`.
const HEADER: usize = 4;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const ID: u16 = 12;
const ZONE: u16 = 18;
const FILTER: u16 = 25;

const TUPLE_IP: u16 = 1;
const TUPLE_PROTO: u16 = 2;
const TUPLE_ZONE: u16 = 3;
const V4_SOURCE: u16 = 1;
const V4_DESTINATION: u16 = 2;
const V6_SOURCE: u16 = 3;
const V6_DESTINATION: u16 = 4;
const PROTO_NUMBER: u16 = 1;
const SOURCE_PORT: u16 = 2;
const DESTINATION_PORT: u16 = 3;
const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
/// The first of identifier, type and code, which are consecutive for ICMP and for ICMPv6.
const ICMP_ID: u16 = 4;
const ICMPV6_ID: u16 = 7;

const FILTER_ORIGINAL: u16 = 1;
const FILTER_REPLY: u16 = 2;
/// `CTA_FILTER_F_*`, which only the kernel has (net/netfilter/nf_internals.h).
const BY_SOURCE: u32 = 1;
const BY_DESTINATION: u32 = 1 << 1;
const BY_PROTOCOL: u32 = 1 << 3;
const BY_DESTINATION_PORT: u32 = 1 << 5;

/// The part of a tuple that distinguishes connections between the same addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ends {
    /// Ports, for every protocol that has them.
    Ports {
        /// The sender's port.
        source: PortNumber,
        /// The receiver's port.
        destination: PortNumber,
    },
    /// ICMP and ICMPv6: requests and their replies.
    Icmp {
        /// The identifier.
        id: u16,
        /// The type.
        kind: u8,
        /// The code.
        code: u8,
    },
    /// Nothing else.
    Whole,
}

/// One direction of a connection, as in its packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// The sender.
    pub source: IpAddr,
    /// The receiver; of the same family.
    pub destination: IpAddr,
    /// The ports or the ICMP fields.
    pub ends: Ends,
}

impl Tuple {
    /// The port, if the protocol has ports.
    pub fn source_port(&self) -> Option<PortNumber> {
        match self.ends {
            Ends::Ports { source, .. } => Some(source),
            _ => None,
        }
    }

    /// The port, if the protocol has ports.
    pub fn destination_port(&self) -> Option<PortNumber> {
        match self.ends {
            Ends::Ports { destination, .. } => Some(destination),
            _ => None,
        }
    }

    fn parse(a: &Attributes<'_>) -> Option<(u8, Self)> {
        let (ip, proto) = (a.nested(TUPLE_IP)?, a.nested(TUPLE_PROTO)?);
        let address = |v4, v6| {
            let v4 = ip.get(v4).and_then(|b| <[u8; 4]>::try_from(b).ok()).map(IpAddr::from);
            v4.or_else(|| ip.get(v6).and_then(|b| <[u8; 16]>::try_from(b).ok()).map(IpAddr::from))
        };
        let byte = |kind| proto.get(kind).and_then(|b| b.first().copied());
        let pair = |kind| proto.get(kind).and_then(|b| <[u8; 2]>::try_from(b).ok()).map(u16::from_be_bytes);
        let port = |kind| pair(kind).map(PortNumber);
        let icmp = |first| Some(Ends::Icmp { id: pair(first)?, kind: byte(first + 1)?, code: byte(first + 2)? });
        let protocol = byte(PROTO_NUMBER)?;
        let ends = match protocol {
            ICMP => icmp(ICMP_ID)?,
            ICMPV6 => icmp(ICMPV6_ID)?,
            _ => match (port(SOURCE_PORT), port(DESTINATION_PORT)) {
                (Some(source), Some(destination)) => Ends::Ports { source, destination },
                _ => Ends::Whole,
            },
        };
        let (source, destination) = (address(V4_SOURCE, V6_SOURCE)?, address(V4_DESTINATION, V6_DESTINATION)?);
        (source.is_ipv4() == destination.is_ipv4()).then_some((protocol, Tuple { source, destination, ends }))
    }

    fn encode(&self, protocol: u8, b: &mut Body<'_>) {
        b.nested(TUPLE_IP, |b| {
            put_address(b, V4_SOURCE, V6_SOURCE, self.source);
            put_address(b, V4_DESTINATION, V6_DESTINATION, self.destination);
        });
        b.nested(TUPLE_PROTO, |b| {
            b.u8(PROTO_NUMBER, protocol);
            match self.ends {
                Ends::Ports { source, destination } => {
                    b.attr(SOURCE_PORT, &source.0.to_be_bytes());
                    b.attr(DESTINATION_PORT, &destination.0.to_be_bytes());
                }
                Ends::Icmp { id, kind, code } => {
                    let first = if protocol == ICMPV6 { ICMPV6_ID } else { ICMP_ID };
                    b.attr(first, &id.to_be_bytes());
                    b.u8(first + 1, kind);
                    b.u8(first + 2, code);
                }
                Ends::Whole => {}
            }
        });
    }
}

fn put_address(b: &mut Body<'_>, v4: u16, v6: u16, address: IpAddr) {
    match address {
        IpAddr::V4(a) => b.attr(v4, &a.octets()),
        IpAddr::V6(a) => b.attr(v6, &a.octets()),
    }
}

fn number(family: Family) -> u8 {
    match family {
        Family::V4 => AF_INET,
        Family::V6 => AF_INET6,
    }
}

/// Connections of different zones may have the same tuple.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Zone {
    /// The zone of connections without a rule about it.
    Default,
    /// A zone for both directions.
    Both(u16),
    /// A zone for the original direction; replies are in the default zone.
    Original(u16),
}

impl Zone {
    fn parse(all: &Attributes<'_>, original: &Attributes<'_>) -> Self {
        let number =
            |a: &Attributes<'_>, kind| a.get(kind).and_then(|b| <[u8; 2]>::try_from(b).ok()).map(u16::from_be_bytes);
        match (number(all, ZONE), number(original, TUPLE_ZONE)) {
            (Some(zone), _) => Zone::Both(zone),
            (None, Some(zone)) => Zone::Original(zone),
            (None, None) => Zone::Default,
        }
    }
}

/// A tracked connection. It prints as the arguments of `conntrack -D`. That program finds it by the same tuple, but has
/// no option for the number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Transport protocol (`IPPROTO_*`).
    pub protocol: u8,
    /// The direction of the first packet.
    pub original: Tuple,
    /// The direction of the replies, before the reverse translation.
    pub reply: Tuple,
    /// The number that distinguishes it from most other connections with the same tuple.
    pub id: u32,
    /// Its zone.
    pub zone: Zone,
}

impl Flow {
    /// The family of both directions.
    pub fn family(&self) -> Family {
        Family::of(self.original.source)
    }

    /// Reads an `IPCTNL_MSG_CT_NEW`.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let a = (message.kind == SUBSYSTEM | NEW).then(|| message.attributes(HEADER))?;
        let original = a.nested(TUPLE_ORIGINAL)?;
        let zone = Zone::parse(&a, &original);
        let (protocol, original) = Tuple::parse(&original)?;
        let (_, reply) = Tuple::parse(&a.nested(TUPLE_REPLY)?)?;
        Some(Flow { protocol, original, reply, id: a.be32(ID)?, zone })
    }

    /// Appends a query for the connections of a family that match the filter. Older kernels answer with all
    /// connections.
    pub fn dump(batch: &mut Batch, family: Family, filter: &Filter) {
        batch.message(SUBSYSTEM | GET, flag::REQUEST | flag::DUMP, |b| {
            b.header(&[number(family), 0, 0, 0]);
            filter.encode(family, b);
        });
    }

    /// Appends the deletion of this connection only. ENOENT if it is gone, even when a newer one has its tuple and
    /// another number.
    pub fn encode_delete(&self, batch: &mut Batch) {
        batch.message(SUBSYSTEM | DELETE, flag::REQUEST | flag::ACK, |b| {
            b.header(&[number(self.family()), 0, 0, 0]);
            // Without a tuple the kernel deletes all connections.
            b.nested(TUPLE_ORIGINAL, |b| {
                self.original.encode(self.protocol, b);
                if let Zone::Original(zone) = self.zone {
                    b.attr(TUPLE_ZONE, &zone.to_be_bytes());
                }
            });
            if let Zone::Both(zone) = self.zone {
                b.attr(ZONE, &zone.to_be_bytes());
            }
            b.be32(ID, self.id);
        });
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tuple { source, destination, ends } = self.original;
        let family = if self.family() == Family::V4 { "ipv4" } else { "ipv6" };
        let protocol = match self.protocol {
            ICMP => "icmp".to_owned(),
            ICMPV6 => "icmpv6".to_owned(),
            number => Protocol::from_number(number).map_or_else(|| number.to_string(), |p| p.to_string()),
        };
        write!(f, "-f {family} -p {protocol} --orig-src {source} --orig-dst {destination}")?;
        match ends {
            Ends::Ports { source, destination } => {
                write!(f, " --orig-port-src {source} --orig-port-dst {destination}")?;
            }
            Ends::Icmp { id, kind, code } => {
                let word = if self.protocol == ICMPV6 { "icmpv6" } else { "icmp" };
                write!(f, " --{word}-type {kind} --{word}-code {code} --{word}-id {id}")?;
            }
            Ends::Whole => {}
        }
        match self.zone {
            // Without `-w` the tool looks into all zones.
            Zone::Default => f.write_str(" -w 0"),
            Zone::Both(zone) => write!(f, " -w {zone}"),
            Zone::Original(zone) => write!(f, " --orig-zone {zone}"),
        }
    }
}

/// A filter for connections. A connection has to match all of its conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    destination_port: Option<(Protocol, PortNumber)>,
    reply_source: Option<IpAddr>,
}

impl Filter {
    /// Every connection.
    pub fn all() -> Self {
        Filter::default()
    }

    /// Adds a condition: this address opened the connection.
    #[must_use]
    pub fn begun_by(self, address: IpAddr) -> Self {
        Filter { source: Some(address), ..self }
    }

    /// Adds a condition: this was the destination before any translation.
    #[must_use]
    pub fn towards(self, address: IpAddr) -> Self {
        Filter { destination: Some(address), ..self }
    }

    /// Adds a condition: this was the destination port before any translation.
    #[must_use]
    pub fn towards_port(self, protocol: Protocol, port: PortNumber) -> Self {
        Filter { destination_port: Some((protocol, port)), ..self }
    }

    /// Adds a condition: this address answers, so it is the destination after any translation.
    #[must_use]
    pub fn answered_by(self, address: IpAddr) -> Self {
        Filter { reply_source: Some(address), ..self }
    }

    /// Whether a connection matches.
    pub fn matches(&self, flow: &Flow) -> bool {
        let port = |(protocol, port): (Protocol, PortNumber)| {
            flow.protocol == protocol.number() && flow.original.destination_port() == Some(port)
        };
        self.source.is_none_or(|a| a == flow.original.source)
            && self.destination.is_none_or(|a| a == flow.original.destination)
            && self.destination_port.is_none_or(port)
            && self.reply_source.is_none_or(|a| a == flow.reply.source)
    }

    fn encode(&self, family: Family, b: &mut Body<'_>) {
        // The kernel refuses addresses of another family than the query's, and does not filter IPv6 correctly.
        let ours = |address: Option<IpAddr>| address.filter(|a| a.is_ipv4() && family == Family::V4);
        let original =
            Wish { source: ours(self.source), destination: ours(self.destination), port: self.destination_port };
        let reply = Wish { source: ours(self.reply_source), ..Wish::default() };
        let all = [(TUPLE_ORIGINAL, FILTER_ORIGINAL, original), (TUPLE_REPLY, FILTER_REPLY, reply)];
        let asked = || all.iter().filter(|(.., wish)| wish.flags() != 0);
        for (tuple, _, wish) in asked() {
            b.nested(*tuple, |b| wish.encode(b));
        }
        if asked().next().is_some() {
            b.nested(FILTER, |b| asked().for_each(|(_, flags, wish)| b.u32(*flags, wish.flags())));
        }
    }
}

/// The conditions for one direction.
#[derive(Default)]
struct Wish {
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    port: Option<(Protocol, PortNumber)>,
}

impl Wish {
    fn flags(&self) -> u32 {
        let of = |wished, flags| if wished { flags } else { 0 };
        of(self.source.is_some(), BY_SOURCE)
            | of(self.destination.is_some(), BY_DESTINATION)
            | of(self.port.is_some(), BY_PROTOCOL | BY_DESTINATION_PORT)
    }

    fn encode(&self, b: &mut Body<'_>) {
        b.nested(TUPLE_IP, |b| {
            if let Some(source) = self.source {
                put_address(b, V4_SOURCE, V6_SOURCE, source);
            }
            if let Some(destination) = self.destination {
                put_address(b, V4_DESTINATION, V6_DESTINATION, destination);
            }
        });
        if let Some((protocol, port)) = self.port {
            b.nested(TUPLE_PROTO, |b| {
                b.u8(PROTO_NUMBER, protocol.number());
                b.attr(DESTINATION_PORT, &port.0.to_be_bytes());
            });
        }
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;
    use crate::golden::{bytes, lines, message, ours};

    // Answers of the kernel to `conntrack -L`.
    const TRANSLATED: &str = "\
        a4000000000102000000000000000000020000003400018014000180080001007f000001080002007f0000011c000280 \
        0500010011000000060002004e29000006000300270f00003400028014000180080001007f000002080002007f000001 \
        1c00028005000100110000000600020000350000060003004e29000008000300000001a8080008000000000008000c00 \
        8ea65b8a08000b0000000001080007000000001d";
    const ZONED: &str = "\
        ac000000000102000000000000000000020000003400018014000180080001007f000001080002007f0000011c000280 \
        0500010011000000060002004e270000060003001e6100003400028014000180080001007f000001080002007f000001 \
        1c0002800500010011000000060002001e610000060003004e2700000600120000050000080003000000018808000800 \
        0000000008000c00f600fd3708000b0000000001080007000000001d";
    const ZONED_ONE_WAY: &str = "\
        ac000000000102000000000000000000020000003c00018014000180080001007f000001080002007f0000011c000280 \
        0500010011000000060002004e280000060003001e62000006000300000600003400028014000180080001007f000001 \
        080002007f0000011c0002800500010011000000060002001e620000060003004e280000080003000000018808000800 \
        0000000008000c00e020165508000b0000000001080007000000001d";
    const PING4: &str = "\
        b4000000000102000000000000000000020000003c00018014000180080001007f000001080002007f00000124000280 \
        050001000100000006000400164e0000050005000800000005000600000000003c00028014000180080001007f000001 \
        080002007f00000124000280050001000100000006000400164e00000500050000000000050006000000000008000300 \
        0000018a080008000000000008000c00642fddfa08000b0000000001080007000000001d";
    const PING6: &str = "\
        e40000000001020000000000000000000a000000540001802c0001801400030000000000000000000000000000000001 \
        140004000000000000000000000000000000000124000280050001003a00000006000700164f00000500080080000000 \
        0500090000000000540002802c0001801400030000000000000000000000000000000001140004000000000000000000 \
        000000000000000124000280050001003a00000006000700164f00000500080081000000050009000000000008000300 \
        0000000a080008000000000008000c00506994ac08000b0000000001080007000000001d";
    /// `conntrack -D` of the connection in zone 5.
    const DELETE: &str = "\
        9c000000020105000000000000000000020000003400018014000180080001007f000001080002007f0000011c000280 \
        0500010011000000060002004e270000060003001e6100003400028014000180080001007f000001080002007f000001 \
        1c0002800500010011000000060002001e610000060003004e2700000800030000000188080007000000001d08000800 \
        000000000600120000050000";

    fn seen(recorded: &str) -> Flow {
        Flow::parse(&message(&bytes(recorded))).unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn tuple(source: &str, destination: &str, from: u16, to: u16) -> Tuple {
        let ends = Ends::Ports { source: PortNumber(from), destination: PortNumber(to) };
        Tuple { source: ip(source), destination: ip(destination), ends }
    }

    #[test]
    fn a_connection_is_read_as_listed() {
        // udp src=127.0.0.1 dst=127.0.0.1 sport=20009 dport=9999 src=127.0.0.2 dst=127.0.0.1 sport=53 dport=20009
        let flow = Flow {
            protocol: 17,
            original: tuple("127.0.0.1", "127.0.0.1", 20009, 9999),
            reply: tuple("127.0.0.2", "127.0.0.1", 53, 20009),
            id: 2_393_267_082,
            zone: Zone::Default,
        };
        assert_eq!(seen(TRANSLATED), flow.clone());
        assert_eq!((seen(ZONED).zone, seen(ZONED).id), (Zone::Both(5), 4_127_259_959));
        assert_eq!(seen(ZONED_ONE_WAY).zone, Zone::Original(6));
        // icmpv6 src=::1 dst=::1 type=128 code=0 id=5711 src=::1 dst=::1 type=129 code=0 id=5711
        let ping = seen(PING6);
        assert_eq!((ping.family(), ping.protocol), (Family::V6, 58));
        assert_eq!(ping.original.ends, Ends::Icmp { id: 5711, kind: 128, code: 0 });
        assert_eq!(ping.reply.ends, Ends::Icmp { id: 5711, kind: 129, code: 0 });
    }

    #[test]
    fn a_connection_prints_in_conntrack_words() {
        for (recorded, words) in [
            (
                TRANSLATED,
                "-f ipv4 -p udp --orig-src 127.0.0.1 --orig-dst 127.0.0.1 --orig-port-src 20009 --orig-port-dst 9999 -w 0",
            ),
            (
                ZONED_ONE_WAY,
                "-f ipv4 -p udp --orig-src 127.0.0.1 --orig-dst 127.0.0.1 --orig-port-src 20008 --orig-port-dst 7778 --orig-zone 6",
            ),
            (
                PING4,
                "-f ipv4 -p icmp --orig-src 127.0.0.1 --orig-dst 127.0.0.1 --icmp-type 8 --icmp-code 0 --icmp-id 5710 -w 0",
            ),
            (
                PING6,
                "-f ipv6 -p icmpv6 --orig-src ::1 --orig-dst ::1 --icmpv6-type 128 --icmpv6-code 0 --icmpv6-id 5711 -w 0",
            ),
        ] {
            assert_eq!(seen(recorded).to_string(), words);
        }
    }

    #[test]
    fn forgets_by_the_tuple_and_zone_conntrack_names_and_by_number() {
        let flow = seen(ZONED);
        let path: &[u16] = &[TUPLE_ORIGINAL];
        let nested: &[(&[u16], usize)] =
            &[(path, 0), (&[TUPLE_ORIGINAL, TUPLE_IP], 0), (&[TUPLE_ORIGINAL, TUPLE_PROTO], 0)];
        let written = lines(&ours(|b| flow.encode_delete(b)), HEADER, nested);
        let recorded = lines(&bytes(DELETE), HEADER, nested);
        let number = format!("[{ID}] {:02x?}", flow.id.to_be_bytes());
        let beyond: Vec<_> = written.iter().filter(|l| !recorded.contains(l)).collect();
        assert_eq!(beyond, [&number]);
        // The tool sends all that it knows about the connection; the kernel reads the first tuple and the zone.
        let left_out: Vec<_> = recorded.iter().filter(|l| !written.contains(l)).collect();
        let heads = ["[2] ", "[3] ", "[7] ", "[8] "];
        assert!(left_out.iter().all(|l| heads.iter().any(|head| l.starts_with(head))), "{left_out:?}");
    }

    #[test]
    fn a_deletion_always_names_one_connection() {
        for recorded in [TRANSLATED, ZONED, ZONED_ONE_WAY, PING4, PING6] {
            let flow = seen(recorded);
            let written = ours(|b| flow.encode_delete(b));
            let a = message(&written).attributes(HEADER);
            let original = a.nested(TUPLE_ORIGINAL).unwrap();
            assert_eq!(Tuple::parse(&original), Some((flow.protocol, flow.original)));
            assert_eq!((a.be32(ID), Zone::parse(&a, &original)), (Some(flow.id), flow.zone));
        }
    }

    #[test]
    fn a_filter_matches_what_all_its_words_match() {
        let flow = seen(TRANSLATED);
        let local = || Filter::all().begun_by(ip("127.0.0.1")).towards(ip("127.0.0.1"));
        assert!(Filter::all().matches(&flow) && local().matches(&flow));
        let port = |port| Filter::all().towards_port(Protocol::Udp, PortNumber(port));
        assert!(port(9999).matches(&flow) && !port(53).matches(&flow));
        assert!(!Filter::all().towards_port(Protocol::Tcp, PortNumber(9999)).matches(&flow));
        assert!(local().answered_by(ip("127.0.0.2")).matches(&flow));
        assert!(!local().answered_by(ip("127.0.0.1")).matches(&flow));
        assert!(!Filter::all().begun_by(ip("::1")).matches(&flow));
    }

    #[test]
    fn wishes_the_kernel_would_get_wrong_are_not_sent() {
        let filter = Filter::all().answered_by(ip("fd00::1"));
        let both = filter.clone().begun_by(ip("10.1.0.2"));
        let plain = ours(|b| Flow::dump(b, Family::V4, &Filter::all()));
        // conntrack -L -p udp --orig-port-dst 9999: version 1.4.7 filters in the program.
        assert_eq!(plain, bytes("1400000001010103000000000000000002000000"));
        assert_eq!(ours(|b| Flow::dump(b, Family::V4, &filter)), plain);
        assert_eq!(ours(|b| Flow::dump(b, Family::V6, &both)).len(), plain.len());
        assert_ne!(ours(|b| Flow::dump(b, Family::V4, &both)).len(), plain.len());
    }
}
