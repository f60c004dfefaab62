//! Answers that were given before.

use crate::answer::{Answer, Verdict};
use crate::asked::{Asked, Transport};
use std::collections::HashMap;
use std::net::IpAddr;

/// The bytes of a packet's number, by which the asker knows the answer (RFC 1035, 4.1.1). Nothing else of a packet is
/// its own: the rest of an answer follows from the directory, the asker and the rest of the question.
const NUMBER: usize = 2;
/// No longer packet is kept: names of ours are short.
const LONGEST: usize = 192;
/// What an entry takes beside its bytes, about.
const OVERHEAD: usize = 96;

/// Answers of a directory, as long as the directory is the same.
#[derive(Debug)]
pub struct Prepared {
    answers: HashMap<Box<[u8]>, Answer>,
    /// The directory's version that they are of.
    version: u64,
    size: usize,
    most: usize,
    /// The last question, as a key.
    key: Vec<u8>,
}

impl Prepared {
    /// Takes at most so many bytes.
    pub fn new(most: usize) -> Self {
        Prepared { answers: HashMap::new(), version: 0, size: 0, most, key: Vec::with_capacity(LONGEST) }
    }

    /// Appends the answer to a question that was asked before; returns what it says.
    pub fn recall(&mut self, version: u64, asked: Asked, packet: &[u8], to: &mut Vec<u8>) -> Option<Verdict> {
        if self.version != version {
            self.forget();
            self.version = version;
        }
        self.spell(asked, packet)?;
        let answer = self.answers.get(self.key.as_slice())?;
        to.extend_from_slice(&packet[..NUMBER]);
        to.extend_from_slice(&answer.bytes[NUMBER..]);
        Some(answer.verdict)
    }

    /// Keeps the answer to the question that was looked for last.
    pub fn keep(&mut self, answer: &Answer) {
        if self.key.is_empty() || answer.bytes.len() < NUMBER {
            return;
        }
        let size = OVERHEAD + self.key.len() + answer.bytes.len();
        if self.size + size > self.most {
            // Those that are asked again are soon here again.
            self.forget();
        }
        self.size += size;
        self.answers.insert(self.key.as_slice().into(), answer.clone());
    }

    fn forget(&mut self) {
        self.answers.clear();
        self.size = 0;
    }

    /// Makes the key of a question. A packet that is too short or too long has none.
    fn spell(&mut self, asked: Asked, packet: &[u8]) -> Option<()> {
        self.key.clear();
        if packet.len() > LONGEST {
            return None;
        }
        let question = packet.get(NUMBER..)?;
        for address in [asked.from, asked.at] {
            match address {
                // The length first, so that no two questions have the same key.
                IpAddr::V4(address) => self.key.extend([4].iter().chain(&address.octets())),
                IpAddr::V6(address) => self.key.extend([16].iter().chain(&address.octets())),
            }
        }
        self.key.push(u8::from(asked.over == Transport::Tcp));
        self.key.extend_from_slice(question);
        Some(())
    }
}
