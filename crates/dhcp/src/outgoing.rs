//! The messages that a client sends (RFC 2131, table 5).

use crate::identity::Identity;
use crate::message::{Answer, Kind, Message, Xid};
use crate::options::code;
use std::net::Ipv4Addr;

/// What the client asks servers for. Classless routes come before the options that they replace (RFC 3442).
const WANTED: [u8; 11] = [
    code::SUBNET_MASK,
    code::CLASSLESS_ROUTES,
    code::ROUTERS,
    code::STATIC_ROUTES,
    code::DNS_SERVERS,
    code::DOMAIN,
    code::DOMAIN_SEARCH,
    code::MTU,
    code::NTP_SERVERS,
    code::RENEWAL_TIME,
    code::REBINDING_TIME,
];
/// The payload of a datagram that fits a frame of Ethernet.
const LARGEST: u16 = 1500 - 28;
const VENDOR_CLASS: &[u8] = b"zubi";

/// What all messages of an exchange have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) xid: Xid,
    pub(crate) secs: u16,
}

impl Outgoing<'_> {
    pub(crate) fn discover(self, wanted: Option<Ipv4Addr>) -> Message {
        self.without_address(Kind::Discover, wanted)
    }

    /// Takes an offer.
    pub(crate) fn take(self, address: Ipv4Addr, server: Ipv4Addr) -> Message {
        about(self.without_address(Kind::Request, Some(address)), server)
    }

    /// Asks for the address from before; no server is named, so that each may answer.
    pub(crate) fn again(self, address: Ipv4Addr) -> Message {
        self.without_address(Kind::Request, Some(address))
    }

    /// Renews or rebinds. The address is in use, so the answer comes to it.
    pub(crate) fn renew(self, address: Ipv4Addr) -> Message {
        let mut message = self.asking(self.message(Kind::Request));
        message.client = address;
        message
    }

    pub(crate) fn decline(self, address: Ipv4Addr, server: Ipv4Addr) -> Message {
        let mut message = about(self.message(Kind::Decline), server);
        message.options = message.options.with(code::REQUESTED_ADDRESS, &address.octets());
        message
    }

    pub(crate) fn release(self, address: Ipv4Addr, server: Ipv4Addr) -> Message {
        let mut message = about(self.message(Kind::Release), server);
        message.client = address;
        message
    }

    fn without_address(self, kind: Kind, wanted: Option<Ipv4Addr>) -> Message {
        let mut message = self.message(kind);
        message.answer = Answer::Broadcast;
        if let Some(address) = wanted {
            message.options = message.options.with(code::REQUESTED_ADDRESS, &address.octets());
        }
        self.asking(message)
    }

    fn message(self, kind: Kind) -> Message {
        let mut message = Message::from_client(kind, self.xid, self.identity.mac);
        if let Some(id) = &self.identity.id {
            message.options = message.options.with(code::CLIENT_ID, id.bytes());
        }
        message
    }

    fn asking(self, mut message: Message) -> Message {
        message.secs = self.secs;
        let told = &self.identity.told;
        let is_told = |code| told.iter().any(|option| option.code() == code);
        let mut options = message.options;
        if let Some(name) = self.identity.host_name.as_ref().filter(|_| !is_told(code::HOST_NAME)) {
            options = options.with(code::HOST_NAME, name.as_str().as_bytes());
        }
        options = options.with(code::MESSAGE_SIZE, &LARGEST.to_be_bytes());
        if !is_told(code::VENDOR_CLASS) {
            options = options.with(code::VENDOR_CLASS, VENDOR_CLASS);
        }
        for option in told {
            options = options.with(option.code(), option.value());
        }
        message.options = options.with(code::PARAMETERS, &WANTED);
        message
    }
}

fn about(mut message: Message, server: Ipv4Addr) -> Message {
    message.options = message.options.with(code::SERVER_ID, &server.octets());
    message
}
