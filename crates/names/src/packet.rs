//! Questions as they come, and how answers go back.

use crate::LARGEST_DATAGRAM;
use crate::asked::Transport;
use crate::inquiry::Flags;
use crate::name::Name;
use crate::response::{HEADER, Response};
use domain::base::iana::{Class, Opcode, OptRcode, Rtype};
use domain::base::message_builder::{AdditionalBuilder, AnswerBuilder, PushError};
use domain::base::name::ToName;
use domain::base::opt::{Opt, OptRecord};
use domain::base::{CharStr, Header, Message, MessageBuilder, StaticCompressor, Ttl};
use domain::rdata::{A, Aaaa, Hinfo, Ptr};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// The most bytes of a datagram for a client that says nothing (RFC 1035, 4.2.1).
const PLAIN_DATAGRAM: u16 = 512;
/// How long a name of ours may be kept: not at all. An address goes to another sandbox the moment it is free, and the
/// way to us is short.
const TTL: Ttl = Ttl::ZERO;
/// The bytes of the record that says that we speak EDNS.
const EDNS_BYTES: usize = 11;

/// What a packet is.
pub(crate) enum Arrival {
    /// One question that can have an answer.
    Question(Question),
    /// A packet that gets an error.
    Refused(Return, OptRcode),
    /// A packet that gets nothing: two servers that answer answers would never stop.
    Noise,
}

/// One question.
pub(crate) struct Question {
    pub(crate) name: Name,
    pub(crate) rtype: Rtype,
    pub(crate) back: Return,
}

/// How an answer goes back to the asker: what of its packet comes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return {
    /// That of the question.
    header: Header,
    pub(crate) flags: Flags,
    /// The question as the asker spelled it, without compression.
    question: Option<Box<[u8]>>,
    speaks_edns: bool,
    limit: u16,
}

/// One record of an answer of ours.
pub(crate) enum Row {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Ptr(Name),
    /// What stands for all records of a name (RFC 8482, 4.2).
    Short,
}

impl Arrival {
    /// Reads a packet.
    pub(crate) fn read(packet: &[u8], over: Transport) -> Arrival {
        let Ok(message) = Message::from_slice(packet) else { return Arrival::Noise };
        let header = message.header();
        if header.qr() {
            return Arrival::Noise;
        }
        let mut back = Return {
            header,
            flags: Flags { dnssec_ok: false, checking_disabled: header.cd() },
            question: None,
            speaks_edns: false,
            limit: if over == Transport::Tcp { u16::MAX } else { PLAIN_DATAGRAM },
        };
        if header.opcode() != Opcode::QUERY {
            return Arrival::Refused(back, OptRcode::NOTIMP);
        }
        let counts = message.header_counts();
        if counts.qdcount() != 1 || counts.ancount() != 0 || counts.nscount() != 0 {
            return Arrival::Refused(back, OptRcode::FORMERR);
        }
        let Ok(question) = message.sole_question() else { return Arrival::Refused(back, OptRcode::FORMERR) };
        let mut spelled = Vec::with_capacity(64);
        for label in question.qname() {
            spelled.push(u8::try_from(label.len()).unwrap_or(0));
            spelled.extend_from_slice(label.as_ref());
        }
        spelled.extend_from_slice(&question.qtype().to_int().to_be_bytes());
        spelled.extend_from_slice(&question.qclass().to_int().to_be_bytes());
        back.question = Some(spelled.into());
        match edns(message) {
            Err(rcode) => return Arrival::Refused(back, rcode),
            Ok(None) => {}
            Ok(Some(edns)) => {
                back.speaks_edns = true;
                back.flags.dnssec_ok = edns.dnssec_ok();
                if over == Transport::Udp {
                    back.limit = edns.udp_payload_size().clamp(PLAIN_DATAGRAM, LARGEST_DATAGRAM);
                }
                if edns.version() != 0 {
                    return Arrival::Refused(back, OptRcode::BADVERS);
                }
            }
        }
        if question.qclass() != Class::IN {
            return Arrival::Refused(back, OptRcode::REFUSED);
        }
        let rtype = question.qtype();
        // Types that are parts of packets or transfers (RFC 6895, 3.1), but for ANY.
        if rtype == Rtype::OPT || (249..=254).contains(&rtype.to_int()) {
            return Arrival::Refused(back, OptRcode::NOTIMP);
        }
        Arrival::Question(Question { name: Name::of_wire(question.qname()), rtype, back })
    }
}

/// The one EDNS record of a packet (RFC 6891, 6.1.1).
fn edns(message: &Message<[u8]>) -> Result<Option<OptRecord<&[u8]>>, OptRcode> {
    let mut found = None;
    let malformed = |_| OptRcode::FORMERR;
    for record in message.additional().map_err(malformed)? {
        let record = record.map_err(malformed)?;
        if record.rtype() != Rtype::OPT {
            continue;
        }
        let record = record.into_record::<Opt<_>>().map_err(malformed)?.ok_or(OptRcode::FORMERR)?;
        if found.is_some() || !record.owner().is_root() {
            return Err(OptRcode::FORMERR);
        }
        found = Some(OptRecord::from_record(record));
    }
    Ok(found)
}

impl Return {
    /// An error.
    pub(crate) fn error(&self, rcode: OptRcode) -> Vec<u8> {
        self.compose(rcode, &[]).unwrap_or_else(|_| self.header())
    }

    /// The answer when nobody could be asked: SERVFAIL.
    pub fn failure(&self) -> Vec<u8> {
        self.error(OptRcode::SERVFAIL)
    }

    /// The answer to one who asks too much: REFUSED.
    pub fn refusal(&self) -> Vec<u8> {
        self.error(OptRcode::REFUSED)
    }

    /// An answer of ours.
    pub(crate) fn rows(&self, rcode: OptRcode, rows: &[Row]) -> Vec<u8> {
        self.compose(rcode, rows).unwrap_or_else(|_| self.header())
    }

    /// The answer of another server, some time after it came.
    pub fn fill(&self, response: &Response, age: Duration) -> Vec<u8> {
        let Some(question) = self.question.as_deref() else { return self.header() };
        let edns = if self.speaks_edns { EDNS_BYTES } else { 0 };
        if response.bytes().len() + edns > usize::from(self.limit) {
            return self.truncated();
        }
        let mut bytes = response.aged(age);
        let Some(place) = bytes.get_mut(HEADER..HEADER + question.len()) else { return self.header() };
        place.copy_from_slice(question);
        let Ok(mut message) = Message::from_octets(bytes) else { return self.header() };
        let header = message.header_mut();
        header.set_id(self.header.id());
        header.set_rd(self.header.rd());
        header.set_cd(self.header.cd());
        header.set_aa(false);
        header.set_ra(true);
        // RFC 6840, 5.8.
        let is_authentic = header.ad() && (self.header.ad() || self.flags.dnssec_ok);
        header.set_ad(is_authentic);
        let mut bytes = message.into_octets();
        if self.speaks_edns {
            self.append_edns(&mut bytes);
        }
        bytes
    }

    /// The answer that leads the asker to ask by a connection.
    fn truncated(&self) -> Vec<u8> {
        let mut bytes = self.compose(OptRcode::NOERROR, &[]).unwrap_or_else(|_| self.header());
        if let Ok(mut message) = Message::from_octets(&mut bytes[..]) {
            message.header_mut().set_tc(true);
            message.header_mut().set_aa(false);
        }
        bytes
    }

    fn append_edns(&self, bytes: &mut Vec<u8>) {
        let Some(count) = bytes.get(10..HEADER).and_then(|two| two.try_into().ok()).map(u16::from_be_bytes) else {
            return;
        };
        bytes[10..HEADER].copy_from_slice(&count.saturating_add(1).to_be_bytes());
        let dnssec_ok = if self.flags.dnssec_ok { 0x80 } else { 0 };
        let [size_high, size_low] = LARGEST_DATAGRAM.to_be_bytes();
        // The root, OPT, our size, no extended code, version 0, DO, no options (RFC 6891, 6.1.2).
        bytes.extend_from_slice(&[0, 0, 41, size_high, size_low, 0, 0, dnssec_ok, 0, 0, 0]);
    }

    fn compose(&self, rcode: OptRcode, rows: &[Row]) -> Result<Vec<u8>, PushError> {
        let target = StaticCompressor::new(Vec::with_capacity(128));
        let mut builder = MessageBuilder::from_target(target)?;
        builder.set_push_limit(usize::from(self.limit));
        let header = builder.header_mut();
        let is_query = self.header.opcode() == Opcode::QUERY;
        header.set_id(self.header.id());
        header.set_qr(true);
        header.set_opcode(self.header.opcode());
        header.set_rd(self.header.rd());
        header.set_ra(is_query);
        header.set_cd(self.header.cd());
        header.set_rcode(rcode.rcode());
        header.set_aa(is_query && matches!(rcode, OptRcode::NOERROR | OptRcode::NXDOMAIN));
        let mut questions = builder.question();
        if let Some(spelled) = &self.question {
            let question = Spelled::read(spelled)?;
            questions.push((question.name, question.rtype, question.class))?;
        }
        let edns = if self.speaks_edns { EDNS_BYTES } else { 0 };
        questions.set_push_limit(usize::from(self.limit) - edns);
        let mut answers = questions.answer();
        if let Some(spelled) = &self.question {
            let owner = Spelled::read(spelled)?.name;
            for row in rows {
                if push(&mut answers, owner, row).is_err() {
                    answers.header_mut().set_tc(true);
                    break;
                }
            }
        }
        let mut additional = answers.additional();
        additional.clear_push_limit();
        self.push_edns(&mut additional, rcode)?;
        Ok(additional.finish().into_target())
    }

    fn push_edns(
        &self,
        to: &mut AdditionalBuilder<StaticCompressor<Vec<u8>>>,
        rcode: OptRcode,
    ) -> Result<(), PushError> {
        if !self.speaks_edns {
            return Ok(());
        }
        to.opt(|opt| {
            opt.set_udp_payload_size(LARGEST_DATAGRAM);
            opt.set_dnssec_ok(self.flags.dnssec_ok);
            opt.set_rcode(rcode);
            Ok(())
        })
    }

    /// SERVFAIL without anything else, for what cannot be written: it never happens.
    fn header(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        bytes[..2].copy_from_slice(&self.header.id().to_be_bytes());
        bytes[2] = 0x80;
        bytes[3] = 0x80 | OptRcode::SERVFAIL.rcode().to_int();
        bytes
    }
}

/// A question without compression.
struct Spelled<'a> {
    name: &'a domain::base::Name<[u8]>,
    rtype: Rtype,
    class: Class,
}

impl<'a> Spelled<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, PushError> {
        let at = bytes.len().checked_sub(4).ok_or(PushError::ShortBuf)?;
        let (name, rest) = bytes.split_at(at);
        Ok(Spelled {
            name: domain::base::Name::from_slice(name).map_err(|_| PushError::ShortBuf)?,
            rtype: Rtype::from_int(u16::from_be_bytes([rest[0], rest[1]])),
            class: Class::from_int(u16::from_be_bytes([rest[2], rest[3]])),
        })
    }
}

fn push(to: &mut AnswerBuilder<StaticCompressor<Vec<u8>>>, owner: impl ToName, row: &Row) -> Result<(), PushError> {
    match row {
        Row::A(address) => to.push((owner, TTL, A::new(*address))),
        Row::Aaaa(address) => to.push((owner, TTL, Aaaa::new(*address))),
        Row::Ptr(name) => match name.to_wire() {
            Some(name) => to.push((owner, TTL, Ptr::new(name))),
            None => Ok(()),
        },
        Row::Short => {
            let text = |text| CharStr::from_octets(text).map_err(|_| PushError::ShortBuf);
            to.push((owner, TTL, Hinfo::new(text(&b"RFC8482"[..])?, text(&b""[..])?)))
        }
    }
}
