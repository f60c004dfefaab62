//! Messages (RFC 2131, 2): a header of fixed length, the magic cookie, options.
//!
//! Values are read from any bytes without panic; bytes that are no message for Ethernet give `None`.

use crate::options::{Options, code};
use std::net::Ipv4Addr;
use zubi_model::Mac;

const XID: usize = 4;
const SECS: usize = 8;
const FLAGS: usize = 10;
const CIADDR: usize = 12;
const YIADDR: usize = 16;
const SIADDR: usize = 20;
const GIADDR: usize = 24;
const CHADDR: usize = 28;
const SNAME: usize = 44;
const FILE: usize = 108;
const COOKIE: usize = 236;
const OPTIONS: usize = 240;
const MAGIC: [u8; 4] = [99, 130, 83, 99];
const ETHERNET: u8 = 1;
const MAC_LENGTH: u8 = 6;
const BROADCAST: u16 = 0x8000;
/// Relays and servers that know BOOTP drop shorter messages (RFC 951, 3).
const LEAST: usize = 300;

/// Who speaks (`op`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// A client.
    Client = 1,
    /// A server.
    Server = 2,
}

/// What a message is (option 53).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Client: who has an address for me?
    Discover = 1,
    /// Server: this one.
    Offer = 2,
    /// Client: I take this one, or keep it.
    Request = 3,
    /// Client: somebody else uses it.
    Decline = 4,
    /// Server: it is yours.
    Ack = 5,
    /// Server: you cannot have it.
    Nak = 6,
    /// Client: I no longer need it.
    Release = 7,
    /// Client: tell me the options, I have an address.
    Inform = 8,
}

/// How a server is to send the answer (`flags`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// To the client's address.
    Unicast,
    /// To everybody, since the client has no address yet.
    Broadcast,
}

/// The number of an exchange, which answers carry back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Xid(pub u32);

/// One message. A name in capitals is the field's in RFC 2131.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `op`.
    pub speaker: Speaker,
    /// `xid`.
    pub xid: Xid,
    /// `secs`: since the client began.
    pub secs: u16,
    /// `flags`.
    pub answer: Answer,
    /// `ciaddr`: the address that the client uses.
    pub client: Ipv4Addr,
    /// `yiaddr`: the address that the server gives.
    pub yours: Ipv4Addr,
    /// `siaddr`: the server to boot from; not the one that gave the address.
    pub next_server: Ipv4Addr,
    /// `giaddr`: the relay.
    pub relay: Ipv4Addr,
    /// `chaddr`.
    pub mac: Mac,
    /// Also those in `file` and `sname`.
    pub options: Options,
}

impl Message {
    /// A client's message with zeros wherever nothing else is said.
    pub fn from_client(kind: Kind, xid: Xid, mac: Mac) -> Self {
        Message {
            speaker: Speaker::Client,
            xid,
            secs: 0,
            answer: Answer::Unicast,
            client: Ipv4Addr::UNSPECIFIED,
            yours: Ipv4Addr::UNSPECIFIED,
            next_server: Ipv4Addr::UNSPECIFIED,
            relay: Ipv4Addr::UNSPECIFIED,
            mac,
            options: Options::default().with(code::MESSAGE_TYPE, &[kind as u8]),
        }
    }

    /// What it is; `None` for plain BOOTP.
    pub fn kind(&self) -> Option<Kind> {
        use Kind::{Ack, Decline, Discover, Inform, Nak, Offer, Release, Request};
        let number = self.options.u8(code::MESSAGE_TYPE)?;
        [Discover, Offer, Request, Decline, Ack, Nak, Release, Inform].into_iter().find(|kind| *kind as u8 == number)
    }

    /// The server that is meant, or that answers (option 54).
    pub fn server(&self) -> Option<Ipv4Addr> {
        self.options.address(code::SERVER_ID)
    }

    /// The payload of a UDP datagram.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; OPTIONS];
        bytes[..3].copy_from_slice(&[self.speaker as u8, ETHERNET, MAC_LENGTH]);
        bytes[XID..SECS].copy_from_slice(&self.xid.0.to_be_bytes());
        bytes[SECS..FLAGS].copy_from_slice(&self.secs.to_be_bytes());
        if self.answer == Answer::Broadcast {
            bytes[FLAGS..CIADDR].copy_from_slice(&BROADCAST.to_be_bytes());
        }
        bytes[CIADDR..YIADDR].copy_from_slice(&self.client.octets());
        bytes[YIADDR..SIADDR].copy_from_slice(&self.yours.octets());
        bytes[SIADDR..GIADDR].copy_from_slice(&self.next_server.octets());
        bytes[GIADDR..CHADDR].copy_from_slice(&self.relay.octets());
        bytes[CHADDR..CHADDR + usize::from(MAC_LENGTH)].copy_from_slice(&self.mac.bytes());
        bytes[COOKIE..OPTIONS].copy_from_slice(&MAGIC);
        self.options.write(&mut bytes);
        bytes.resize(bytes.len().max(LEAST), 0);
        bytes
    }

    /// Reads the payload of a UDP datagram.
    pub fn decode(bytes: &[u8]) -> Option<Message> {
        let (header, field) = bytes.split_at_checked(OPTIONS)?;
        if header[1..3] != [ETHERNET, MAC_LENGTH] || header[COOKIE..] != MAGIC {
            return None;
        }
        let mut options = Options::default();
        options.read(field)?;
        // RFC 3396, 5: `file` before `sname`. RFC 2131, 4.1: an overload among these does not count.
        let overload = options.u8(code::OVERLOAD).unwrap_or(0);
        if overload & 1 != 0 {
            options.read(&header[FILE..COOKIE])?;
        }
        if overload & 2 != 0 {
            options.read(&header[SNAME..FILE])?;
        }
        let address = |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]);
        Some(Message {
            speaker: match header[0] {
                1 => Speaker::Client,
                2 => Speaker::Server,
                _ => return None,
            },
            xid: Xid(u32::from_be_bytes(*header[XID..].first_chunk()?)),
            secs: u16::from_be_bytes(*header[SECS..].first_chunk()?),
            answer: match u16::from_be_bytes(*header[FLAGS..].first_chunk()?) & BROADCAST {
                0 => Answer::Unicast,
                _ => Answer::Broadcast,
            },
            client: address(CIADDR),
            yours: address(YIADDR),
            next_server: address(SIADDR),
            relay: address(GIADDR),
            mac: Mac::from_kernel(*header[CHADDR..].first_chunk()?),
            options,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        let mac = "02:42:0a:00:00:02".parse().unwrap();
        Message::from_client(Kind::Discover, Xid(0x0102_0304), mac)
    }

    #[test]
    fn a_message_is_never_shorter_than_bootp_has_it() {
        assert_eq!(message().encode().len(), 300);
        let mut long = message();
        long.options = long.options.with(60, &[b'x'; 200]);
        assert_eq!(long.encode().len(), 240 + 3 + 202 + 1);
    }

    #[test]
    fn options_go_on_in_file_and_then_in_sname() {
        let mut bytes = message().encode();
        bytes[240..].fill(0);
        bytes[240..248].copy_from_slice(&[53, 1, 2, 52, 1, 3, 12, 0]);
        bytes[108..112].copy_from_slice(&[12, 1, b'a', 255]);
        bytes[44..48].copy_from_slice(&[12, 1, b'b', 255]);
        let read = |bytes: &[u8]| Message::decode(bytes).unwrap().options.get(code::HOST_NAME).unwrap().to_vec();
        assert_eq!(read(&bytes), b"ab");
        bytes[245] = 1;
        assert_eq!(read(&bytes), b"a");
        bytes[245] = 2;
        assert_eq!(read(&bytes), b"b");
        // What is no option field may have any bytes.
        bytes[245] = 0;
        bytes[108..110].copy_from_slice(&[12, 255]);
        assert_eq!(read(&bytes), b"");
        bytes[245] = 1;
        bytes[234..236].copy_from_slice(&[12, 9]);
        bytes[108..234].fill(0);
        assert_eq!(Message::decode(&bytes), None);
    }

    #[test]
    fn bytes_that_are_no_message_for_ethernet_are_none() {
        let bytes = message().encode();
        assert_eq!(Message::decode(&bytes), Some(message()));
        for (at, value) in [(0, 3), (1, 6), (2, 16), (236, 0)] {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            assert_eq!(Message::decode(&bytes), None, "byte {at}");
        }
        assert_eq!(Message::decode(&bytes[..239]), None);
        assert_eq!(Message::decode(&bytes[..240]).unwrap().kind(), None, "BOOTP");
    }
}
