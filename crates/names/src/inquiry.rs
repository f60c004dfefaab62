//! Questions to servers elsewhere.

use crate::LARGEST_DATAGRAM;
use crate::name::Name;
use crate::response::{HEADER, Response};
use domain::base::Message;
use std::net::IpAddr;
use std::sync::Arc;

/// What is asked of others, and of whom: the same question has the same answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// The name.
    pub name: Name,
    /// The type of the records.
    pub rtype: u16,
    /// See [`Flags`].
    pub flags: Flags,
    /// Who is asked: servers that a network has to itself may know names that others do not.
    pub upstream: Upstream,
}

/// What of a question changes the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flags {
    /// DO: the asker wants signatures.
    pub dnssec_ok: bool,
    /// CD: the asker looks at the signatures itself.
    pub checking_disabled: bool,
}

/// Who is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Upstream {
    /// The host's own servers.
    Host,
    /// These.
    These(Arc<[IpAddr]>),
}

/// A question on its way to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inquiry {
    bytes: Box<[u8]>,
    /// How long the question is.
    question: usize,
}

/// What a packet from a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// The answer.
    Answer(Response),
    /// An answer that does not fit into a datagram, or that spells the question otherwise than it was asked: ask by a
    /// connection, which nobody else can answer on.
    AskByTcp,
    /// The server cannot answer this now: ask another one.
    Failed(Response),
    /// Something else: wait on.
    Other,
}

impl Key {
    /// The packet that asks. `id` and `case` are random: who answers without seeing the question has to guess both
    /// (draft-vixie-dnsext-dns0x20).
    pub fn ask(&self, id: u16, case: u64) -> Inquiry {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(&id.to_be_bytes());
        // RD; and CD as asked.
        bytes.extend_from_slice(&[1, if self.flags.checking_disabled { 0x10 } else { 0 }]);
        bytes.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, 1]);
        let mut bits = case;
        for byte in self.name.labels() {
            let upper = byte.is_ascii_lowercase() && bits & 1 == 1;
            bytes.push(if upper { byte.to_ascii_uppercase() } else { *byte });
            if byte.is_ascii_lowercase() {
                bits = bits.rotate_right(1);
            }
        }
        bytes.push(0);
        bytes.extend_from_slice(&self.rtype.to_be_bytes());
        bytes.extend_from_slice(&[0, 1]);
        let question = bytes.len() - HEADER;
        let [size_high, size_low] = LARGEST_DATAGRAM.to_be_bytes();
        let dnssec_ok = if self.flags.dnssec_ok { 0x80 } else { 0 };
        bytes.extend_from_slice(&[0, 0, 41, size_high, size_low, 0, 0, dnssec_ok, 0, 0, 0]);
        Inquiry { bytes: bytes.into(), question }
    }
}

impl Inquiry {
    /// The packet.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What a packet from the server that was asked is.
    pub fn judge(&self, packet: &[u8]) -> Judgement {
        let Ok(message) = Message::from_slice(packet) else { return Judgement::Other };
        let header = message.header();
        if !header.qr() || packet[..2] != self.bytes[..2] || message.header_counts().qdcount() != 1 {
            return Judgement::Other;
        }
        let asked = &self.bytes[HEADER..HEADER + self.question];
        let Some(repeated) = packet.get(HEADER..HEADER + self.question) else { return Judgement::Other };
        if !repeated.eq_ignore_ascii_case(asked) {
            return Judgement::Other;
        }
        if header.tc() || repeated != asked {
            return Judgement::AskByTcp;
        }
        self.judge_by_tcp(packet)
    }

    /// The same for what came by a connection to the server.
    pub fn judge_by_tcp(&self, packet: &[u8]) -> Judgement {
        let asked = &self.bytes[HEADER..HEADER + self.question];
        let is_ours = |packet: &[u8]| {
            packet[..2] == self.bytes[..2]
                && packet.get(HEADER..HEADER + self.question).is_some_and(|one| one.eq_ignore_ascii_case(asked))
        };
        if packet.len() < HEADER || !is_ours(packet) {
            return Judgement::Other;
        }
        match Response::read(packet, self.question) {
            None => Judgement::Other,
            Some(response) if response.is_failure() => Judgement::Failed(response),
            Some(response) => Judgement::Answer(response),
        }
    }
}
