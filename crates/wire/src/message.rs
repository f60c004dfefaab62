//! The common part of every netlink message (linux/netlink.h): headers, attributes, acknowledgements.

use std::fmt;

/// Header flags, `NLM_F_*` in linux/netlink.h.
pub mod flag {
    /// A request.
    pub const REQUEST: u16 = 0x01;
    /// Part of a dump.
    pub const MULTI: u16 = 0x02;
    /// Answer with success or error.
    pub const ACK: u16 = 0x04;
    /// Also send back the notification the change causes.
    pub const ECHO: u16 = 0x08;
    /// The dump was inconsistent and must be repeated.
    pub const DUMP_INTR: u16 = 0x10;
    /// All objects.
    pub const DUMP: u16 = 0x300;
    /// Fail when it exists.
    pub const EXCL: u16 = 0x200;
    /// Replace what exists.
    pub const REPLACE: u16 = 0x100;
    /// Make it when it does not exist.
    pub const CREATE: u16 = 0x400;
    /// Put at the end.
    pub const APPEND: u16 = 0x800;
    /// On an error message: the request is not repeated in it.
    pub const CAPPED: u16 = 0x100;
    /// On an error message: attributes follow.
    pub const ACK_TLVS: u16 = 0x200;
}

/// Message kinds common to all protocols.
pub mod kind {
    /// Error or acknowledgement.
    pub const ERROR: u16 = 2;
    /// End of a dump.
    pub const DONE: u16 = 3;
}

const HEADER: usize = 16;
/// Attribute and message alignment (`NLA_ALIGNTO`, `NLMSG_ALIGNTO`).
const ALIGN: usize = 4;
const NESTED: u16 = 0x8000;
const TYPE_MASK: u16 = 0x3fff;

fn aligned(len: usize) -> usize {
    // Saturating: lengths come from received bytes, and a word may have 32 bits.
    len.saturating_add(ALIGN - 1) & !(ALIGN - 1)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// One or more messages for one send.
#[derive(Debug, Default, Clone)]
pub struct Batch {
    bytes: Vec<u8>,
    count: u32,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Batch::default()
    }

    /// Appends a message. Its sequence number is its place in the batch, see [`Batch::number_from`].
    pub fn message(&mut self, kind: u16, flags: u16, fill: impl FnOnce(&mut Body<'_>)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; HEADER]);
        fill(&mut Body { bytes: &mut self.bytes });
        let len = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&len.to_ne_bytes());
        self.bytes[start + 4..start + 6].copy_from_slice(&kind.to_ne_bytes());
        self.bytes[start + 6..start + 8].copy_from_slice(&flags.to_ne_bytes());
        self.bytes[start + 8..start + 12].copy_from_slice(&self.count.to_ne_bytes());
        self.bytes.resize(start + aligned(len as usize), 0);
        self.count += 1;
    }

    /// Gives the messages consecutive sequence numbers, so that answers can be told apart.
    pub fn number_from(&mut self, first: u32) {
        let mut at = 0;
        let mut sequence = first;
        while let Some(len) = u32_at(&self.bytes, at).map(|l| l as usize).filter(|l| *l >= HEADER) {
            self.bytes[at + 8..at + 12].copy_from_slice(&sequence.to_ne_bytes());
            sequence = sequence.wrapping_add(1);
            at += aligned(len);
        }
    }

    /// The number of messages.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether the batch has no message.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The bytes to send.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The messages in parts of at most this many messages and bytes; a longer message is a part of its own. The kernel
    /// answers a whole send before the program reads the first answer, and drops answers for which the socket's buffer
    /// has no room.
    pub fn parts(&self, messages: usize, bytes: usize) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (mut end, mut count) = (0, 0);
            while let Some(len) = u32_at(rest, end).map(|l| aligned(l as usize)).filter(|l| *l >= HEADER) {
                if count > 0 && (count == messages || end + len > bytes) {
                    break;
                }
                end += len;
                count += 1;
            }
            let (part, behind) = rest.split_at_checked(end).filter(|(part, _)| !part.is_empty())?;
            rest = behind;
            Some(part)
        })
    }

    /// Requests an acknowledgement only for the message that has `behind` messages after it. The kernel still reports
    /// errors of all others.
    pub fn acknowledge_last_before(&mut self, behind: u32) {
        let (mut at, mut number) = (0, 0);
        while let Some(len) = u32_at(&self.bytes, at).map(|l| l as usize).filter(|l| *l >= HEADER) {
            number += 1;
            let mut flags = u16_at(&self.bytes, at + 6).unwrap_or(0) & !flag::ACK;
            if number + behind == self.count {
                flags |= flag::ACK;
            }
            self.bytes[at + 6..at + 8].copy_from_slice(&flags.to_ne_bytes());
            at += aligned(len);
        }
    }
}

/// The payload of a message being written.
pub struct Body<'a> {
    bytes: &'a mut Vec<u8>,
}

impl Body<'_> {
    /// The fixed header of the family, a multiple of four bytes.
    pub fn header(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// An attribute.
    pub fn attr(&mut self, kind: u16, payload: &[u8]) {
        let len = (4 + payload.len()) as u16;
        self.bytes.extend_from_slice(&len.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(payload);
        let full = aligned(payload.len()) - payload.len();
        self.bytes.extend_from_slice(&[0; ALIGN][..full]);
    }

    /// A byte.
    pub fn u8(&mut self, kind: u16, value: u8) {
        self.attr(kind, &[value]);
    }

    /// A number in host byte order, as in route netlink.
    pub fn u32(&mut self, kind: u16, value: u32) {
        self.attr(kind, &value.to_ne_bytes());
    }

    /// A number in network byte order, as in nftables.
    pub fn be32(&mut self, kind: u16, value: u32) {
        self.attr(kind, &value.to_be_bytes());
    }

    /// A number in network byte order, as in nftables.
    pub fn be64(&mut self, kind: u16, value: u64) {
        self.attr(kind, &value.to_be_bytes());
    }

    /// Text with its final NUL.
    pub fn text(&mut self, kind: u16, value: &str) {
        let mut bytes = Vec::with_capacity(value.len() + 1);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
        self.attr(kind, &bytes);
    }

    /// Attributes inside an attribute.
    pub fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Body<'_>)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        fill(&mut Body { bytes: self.bytes });
        let len = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&len.to_ne_bytes());
        self.bytes[start + 2..start + 4].copy_from_slice(&(kind | NESTED).to_ne_bytes());
    }
}

/// A received message.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// The kind: `RTM_NEWLINK`, ...
    pub kind: u16,
    /// See [`flag`].
    pub flags: u16,
    /// The sequence number of the request that it answers.
    pub sequence: u32,
    /// The bytes after the common header.
    pub payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// The outcome of the request, if this is an `NLMSG_ERROR`.
    pub fn outcome(&self) -> Option<Result<(), KernelError>> {
        if self.kind != kind::ERROR {
            return None;
        }
        let code = u32_at(self.payload, 0)?.cast_signed();
        if code == 0 {
            return Some(Ok(()));
        }
        let text = if self.flags & flag::ACK_TLVS == 0 {
            None
        } else {
            // The request comes first, only its header when capped, then the attributes.
            let repeated = if self.flags & flag::CAPPED == 0 { u32_at(self.payload, 4)? as usize } else { HEADER };
            let tlvs = self.payload.get(aligned(repeated).saturating_add(4)..).unwrap_or_default();
            Attributes::new(tlvs).find(|(kind, _)| *kind == 1).map(|(_, text)| text_of(text))
        };
        Some(Err(KernelError { errno: code.wrapping_neg(), text }))
    }

    /// The attributes after a fixed header of `header` bytes.
    pub fn attributes(&self, header: usize) -> Attributes<'a> {
        Attributes::new(self.payload.get(header..).unwrap_or_default())
    }
}

/// The messages in received bytes. Stops at the first that is cut off.
pub struct Messages<'a> {
    bytes: &'a [u8],
}

impl<'a> Messages<'a> {
    /// Reads the bytes of one receive call.
    pub fn new(bytes: &'a [u8]) -> Self {
        Messages { bytes }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;
    fn next(&mut self) -> Option<Message<'a>> {
        let len = u32_at(self.bytes, 0)? as usize;
        let payload = self.bytes.get(HEADER..len)?;
        let message = Message {
            kind: u16_at(self.bytes, 4)?,
            flags: u16_at(self.bytes, 6)?,
            sequence: u32_at(self.bytes, 8)?,
            payload,
        };
        self.bytes = self.bytes.get(aligned(len)..).unwrap_or_default();
        Some(message)
    }
}

/// The attributes in a payload: number and value. Stops at the first that is cut off.
#[derive(Clone)]
pub struct Attributes<'a> {
    bytes: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// Reads the bytes of a payload or of a nested attribute.
    pub fn new(bytes: &'a [u8]) -> Self {
        Attributes { bytes }
    }

    /// The value of the first attribute of that number.
    pub fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.clone().find(|(k, _)| *k == kind).map(|(_, value)| value)
    }

    /// The attributes inside the first attribute of that number.
    pub fn nested(&self, kind: u16) -> Option<Attributes<'a>> {
        self.get(kind).map(Attributes::new)
    }

    /// A number in host byte order.
    pub fn u32(&self, kind: u16) -> Option<u32> {
        u32_at(self.get(kind)?, 0)
    }

    /// A number in network byte order.
    pub fn be32(&self, kind: u16) -> Option<u32> {
        self.u32(kind).map(u32::from_be)
    }

    /// A number in network byte order.
    pub fn be64(&self, kind: u16) -> Option<u64> {
        Some(u64::from_be_bytes(self.get(kind)?.get(..8)?.try_into().ok()?))
    }

    /// Text up to its NUL.
    pub fn text(&self, kind: u16) -> Option<String> {
        self.get(kind).map(text_of)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);
    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let len = u16_at(self.bytes, 0)? as usize;
        let kind = u16_at(self.bytes, 2)? & TYPE_MASK;
        let value = self.bytes.get(4..len)?;
        self.bytes = self.bytes.get(aligned(len)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// Text up to the first NUL. Bytes that are not UTF-8 are replaced.
pub(crate) fn text_of(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// An error from the kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct KernelError {
    /// The error number, positive.
    pub errno: i32,
    /// The text of the extended acknowledgement (`NLMSGERR_ATTR_MSG`).
    pub text: Option<String>,
}

impl KernelError {
    /// An error number without a text.
    pub fn from_errno(errno: i32) -> Self {
        KernelError { errno, text: None }
    }
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let os = std::io::Error::from_raw_os_error(self.errno).to_string();
        let os = os.split(" (os error").next().unwrap_or_default();
        match &self.text {
            Some(text) => write!(f, "{os}: {}", text.trim_end_matches('.')),
            None => f.write_str(os),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_reads_back() {
        let mut batch = Batch::new();
        batch.message(16, flag::REQUEST, |b| {
            b.header(&[1, 2, 3, 4]);
            b.text(3, "eth0");
            b.nested(18, |b| b.u32(1, 7));
        });
        batch.message(17, flag::REQUEST | flag::ACK, |b| b.header(&[0; 4]));
        batch.number_from(40);
        let messages: Vec<_> = Messages::new(batch.bytes()).collect();
        assert_eq!(messages.len(), 2);
        assert_eq!((messages[0].kind, messages[0].sequence, messages[1].sequence), (16, 40, 41));
        let attributes = messages[0].attributes(4);
        assert_eq!(attributes.text(3).unwrap(), "eth0");
        assert_eq!(attributes.nested(18).unwrap().u32(1), Some(7));
    }

    #[test]
    fn a_batch_is_parted_between_messages() {
        let mut batch = Batch::new();
        for kind in 0..10 {
            batch.message(kind, flag::REQUEST | flag::ACK, |b| b.header(&[0; 4]));
        }
        let kinds = |messages, bytes| -> Vec<Vec<u16>> {
            batch.parts(messages, bytes).map(|part| Messages::new(part).map(|m| m.kind).collect()).collect()
        };
        assert_eq!(kinds(4, 1000), [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]]);
        assert_eq!(kinds(100, 45).len(), 5);
        // A message is never split.
        assert_eq!(kinds(100, 1).len(), 10);
        assert!(Batch::new().parts(4, 100).next().is_none());
    }

    #[test]
    fn one_acknowledgement_is_asked_for() {
        let mut batch = Batch::new();
        for kind in 0..4 {
            batch.message(kind, flag::REQUEST | flag::ACK | flag::ECHO, |b| b.header(&[0; 4]));
        }
        batch.acknowledge_last_before(1);
        let asked: Vec<bool> = Messages::new(batch.bytes()).map(|m| m.flags & flag::ACK != 0).collect();
        assert_eq!(asked, [false, false, true, false]);
        assert!(Messages::new(batch.bytes()).all(|m| m.flags & flag::ECHO != 0));
    }

    #[test]
    fn an_error_carries_the_kernels_words() {
        let mut payload = (-17i32).to_ne_bytes().to_vec();
        payload.extend_from_slice(&[0; 16]);
        let text = b"File is there\0";
        payload.extend_from_slice(&((4 + text.len()) as u16).to_ne_bytes());
        payload.extend_from_slice(&1u16.to_ne_bytes());
        payload.extend_from_slice(text);
        let message =
            Message { kind: kind::ERROR, flags: flag::CAPPED | flag::ACK_TLVS, sequence: 1, payload: &payload };
        let error = message.outcome().unwrap().unwrap_err();
        assert_eq!(error.errno, 17);
        assert_eq!(error.to_string(), "File exists: File is there");
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            for message in Messages::new(&bytes) {
                let _ignored = message.outcome();
                for (_, value) in message.attributes(4) {
                    let _count = Attributes::new(value).count();
                }
            }
        }
    }
}
