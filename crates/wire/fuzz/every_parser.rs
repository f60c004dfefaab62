//! Everything that reads received bytes, shared by the fuzz target and the test that runs on a stable compiler.

use zubi_wire::conntrack::{Filter, Flow};
use zubi_wire::nft::{
    ChainSeen, ElementSeen, Field, Generation, RuleSeen, Set, SetSeen, Shape, Table, TableFamily, TableSeen,
};
use zubi_wire::route::{AddressSeen, FilterSeen, LinkSeen, NeighbourSeen, PortSeen, RouteSeen, RuleSeen as PolicySeen};
use zubi_wire::{Attributes, Batch, Message, Messages};

/// `NFPROTO_INET`, `NFPROTO_IPV4`, `NFPROTO_IPV6`.
const FAMILIES: [u8; 3] = [1, 2, 10];
/// `NLMSG_ERROR`, `RTM_NEWLINK` to `RTM_NEWRULE`, `IPCTNL_MSG_CT_NEW`, `NFT_MSG_NEWTABLE` to `NFT_MSG_NEWSETELEM`.
const KINDS: [u16; 12] = [2, 16, 20, 24, 28, 32, 0x100, 0xa00, 0xa03, 0xa06, 0xa09, 0xa0c];

/// Reads `bytes` as messages, and as the payload of a message of every kind there is a parser for.
pub fn parse(bytes: &[u8]) {
    for message in Messages::new(bytes) {
        read(&message);
    }
    let in_families = FAMILIES.map(|number| {
        let mut bytes = bytes.to_vec();
        if let Some(family) = bytes.first_mut() {
            *family = number;
        }
        bytes
    });
    for kind in KINDS {
        for flags in [0, 0x100, 0x200, 0x300] {
            read(&Message { kind, flags, sequence: 0, payload: bytes });
        }
        for payload in &in_families {
            read(&Message { kind, flags: 0, sequence: 0, payload });
        }
    }
}

fn read(message: &Message<'_>) {
    if let Some(Err(error)) = message.outcome() {
        let _words = error.to_string();
    }
    for header in [0, 4, 8, 12, 16, 20] {
        for (_, value) in message.attributes(header) {
            let nested = Attributes::new(value);
            let _port = PortSeen::parse(&nested);
            for (kind, _) in nested.clone() {
                let _values = (nested.u32(kind), nested.be32(kind), nested.be64(kind), nested.text(kind));
            }
        }
    }
    let _link = LinkSeen::parse(message).map(|seen| format!("{seen:?}"));
    let _address = AddressSeen::parse(message).map(|seen| format!("{seen:?}"));
    let _route = RouteSeen::parse(message).map(|seen| format!("{seen:?}"));
    let _filter = FilterSeen::parse(message).map(|seen| format!("{seen:?}"));
    let _neighbour = NeighbourSeen::parse(message).map(|seen| format!("{seen:?}"));
    let _flow = Flow::parse(message).map(|seen| {
        seen.encode_delete(&mut Batch::new());
        (seen.to_string(), Filter::all().begun_by(seen.reply.source).matches(&seen))
    });
    let _policy = PolicySeen::parse(message).map(|seen| format!("{seen:?}"));
    let _generation = Generation::parse(message).map(Generation::next);
    let _table = TableSeen::parse(message).map(|seen| format!("{seen:?}"));
    let _chain = ChainSeen::parse(message).map(|seen| format!("{seen:?}"));
    let _set = SetSeen::parse(message).map(|seen| format!("{seen:?}"));
    let zubi = Table::named(TableFamily::Inet, "zubi");
    for seen in ElementSeen::parse_all(message) {
        let ports = &[Field::Proto, Field::Port][..];
        for fields in [&[][..], &[Field::IfName, Field::Ipv4], &[Field::Ipv6, Field::IfName, Field::Ipv6], ports] {
            for data in [&[][..], &[Field::Port], &[Field::Ipv4, Field::Port]] {
                for shape in [Shape::Exact, Shape::Interval] {
                    let set = Set::new(&zubi, "m", fields, shape).mapped_to(data);
                    let _words = seen.describe(&set);
                    let _raw = seen.element(&set).map(|element| element.raw());
                }
            }
        }
    }
    if let Some(seen) = RuleSeen::parse(message) {
        let _words = (seen.to_string(), seen.comment(), seen.ends(), seen.at());
        seen.rule.encode(&mut Batch::new());
    }
}
