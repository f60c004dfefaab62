//! One packet, and what comes of it.

use crate::asked::Asked;
use crate::directory::Directory;
use crate::inquiry::{Key, Upstream};
use crate::packet::{Arrival, Question, Return, Row};
use crate::view::Found;
use domain::base::iana::{OptRcode, Rtype};
use std::net::IpAddr;

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// There are records.
    Found,
    /// There is the name, without records of the type.
    Empty,
    /// There is no such name.
    Unknown,
    /// The asker may not ask this.
    Refused,
    /// The packet is no question.
    Malformed,
    /// Nobody answers questions of this kind.
    NotImplemented,
}

/// The bytes to send back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What they say.
    pub verdict: Verdict,
    /// The packet.
    pub bytes: Vec<u8>,
}

/// A question that a server elsewhere is to be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// The question, for the cache and for others who ask the same.
    pub key: Key,
    /// How the answer goes back to this asker.
    pub back: Return,
}

/// What comes of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// An answer.
    Answer(Answer),
    /// A server elsewhere is to be asked.
    Forward(Box<Forward>),
    /// Nothing: the sender is none of ours, or the packet is an answer itself.
    Silence,
}

impl Directory {
    /// What comes of a packet.
    pub fn answer(&self, asked: Asked, packet: &[u8]) -> Outcome {
        let Some(view) = self.view(asked) else { return Outcome::Silence };
        let Question { name, rtype, back } = match Arrival::read(packet, asked.over) {
            Arrival::Question(question) => question,
            Arrival::Refused(back, rcode) => {
                let verdict = match rcode {
                    OptRcode::NOTIMP | OptRcode::BADVERS => Verdict::NotImplemented,
                    OptRcode::REFUSED => Verdict::Refused,
                    _ => Verdict::Malformed,
                };
                return Outcome::Answer(Answer { verdict, bytes: back.error(rcode) });
            }
            Arrival::Noise => return Outcome::Silence,
        };
        let reply = |verdict, rows: Vec<Row>| {
            let rcode = if verdict == Verdict::Unknown { OptRcode::NXDOMAIN } else { OptRcode::NOERROR };
            Outcome::Answer(Answer { verdict, bytes: back.rows(rcode, &rows) })
        };
        if rtype == Rtype::ANY {
            return reply(Verdict::Found, vec![Row::Short]);
        }
        let rows: Vec<Row> = match view.find(&name) {
            Found::Addresses(all) => all
                .into_iter()
                .filter_map(|address| match address {
                    IpAddr::V4(address) => (rtype == Rtype::A).then_some(Row::A(address)),
                    IpAddr::V6(address) => (rtype == Rtype::AAAA).then_some(Row::Aaaa(address)),
                })
                .collect(),
            Found::Names(names) if rtype == Rtype::PTR => names.into_iter().map(Row::Ptr).collect(),
            Found::Names(_) => Vec::new(),
            Found::Nothing => return reply(Verdict::Unknown, Vec::new()),
            Found::Foreign => match view.upstream() {
                Some(upstream) => return forward(name, rtype, upstream, back),
                // An internal network has no outside: nothing of it exists there.
                None => return reply(Verdict::Unknown, Vec::new()),
            },
        };
        let verdict = if rows.is_empty() { Verdict::Empty } else { Verdict::Found };
        reply(verdict, rows)
    }
}

fn forward(name: crate::Name, rtype: Rtype, upstream: Upstream, back: Return) -> Outcome {
    let key = Key { name, rtype: rtype.to_int(), flags: back.flags, upstream };
    Outcome::Forward(Box::new(Forward { key, back }))
}
