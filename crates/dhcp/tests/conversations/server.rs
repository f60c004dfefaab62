//! A DHCP server without sockets and time: a question in, at most one answer out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use zubi_dhcp::Message;
use zubi_dhcp::message::{Kind, Speaker};
use zubi_dhcp::options::{Options, code};

/// What a server does with a message that it understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It gives and renews addresses.
    Gives,
    /// It offers addresses and does not confirm them.
    OffersOnly,
    /// It offers addresses and then refuses them.
    Refuses,
    /// It is switched off.
    Silent,
}

pub struct Server {
    pub id: Ipv4Addr,
    pub mood: Mood,
    /// How long its leases last.
    pub seconds: u32,
    /// What it says besides.
    pub options: Options,
    /// By client id.
    pub leases: BTreeMap<Vec<u8>, Ipv4Addr>,
    pub declined: BTreeSet<Ipv4Addr>,
    pub released: BTreeSet<Ipv4Addr>,
    /// The lowest address it gives.
    pub first: Ipv4Addr,
}

impl Server {
    /// The server 10.0.0.`number`, which gives addresses from 10.0.0.`number`0 on for 60 s.
    pub fn new(number: u8) -> Self {
        Server {
            id: Ipv4Addr::new(10, 0, 0, number),
            mood: Mood::Gives,
            seconds: 60,
            options: Options::default().with(code::SUBNET_MASK, &[255, 255, 255, 0]),
            leases: BTreeMap::new(),
            declined: BTreeSet::new(),
            released: BTreeSet::new(),
            first: Ipv4Addr::new(10, 0, 0, number * 10),
        }
    }

    pub fn answer(&mut self, question: &Message) -> Option<Message> {
        let is_other = question.server().is_some_and(|server| server != self.id);
        if self.mood == Mood::Silent || is_other {
            return None;
        }
        let client = question.options.get(code::CLIENT_ID)?.to_vec();
        match question.kind()? {
            Kind::Discover => Some(self.reply(question, Kind::Offer, self.address_for(&client))),
            Kind::Request => self.confirm(question, client),
            Kind::Decline => {
                self.declined.extend(self.leases.remove(&client));
                None
            }
            Kind::Release => {
                self.released.extend(self.leases.remove(&client).filter(|own| *own == question.client));
                None
            }
            _ => None,
        }
    }

    fn confirm(&mut self, question: &Message, client: Vec<u8>) -> Option<Message> {
        let wanted = question.options.address(code::REQUESTED_ADDRESS).unwrap_or(question.client);
        let takes_offer = question.server().is_some();
        match self.mood {
            Mood::OffersOnly | Mood::Silent => None,
            Mood::Refuses => Some(self.refuse(question)),
            // RFC 2131, 4.3.2: a server keeps silent about clients that it does not know.
            Mood::Gives if !takes_offer && !self.leases.contains_key(&client) => None,
            Mood::Gives if self.address_for(&client) != wanted => Some(self.refuse(question)),
            Mood::Gives => {
                self.leases.insert(client, wanted);
                Some(self.reply(question, Kind::Ack, wanted))
            }
        }
    }

    fn address_for(&self, client: &[u8]) -> Ipv4Addr {
        if let Some(own) = self.leases.get(client) {
            return *own;
        }
        let is_free = |address: &Ipv4Addr| {
            !self.declined.contains(address) && !self.leases.values().any(|taken| taken == address)
        };
        (u32::from(self.first)..=u32::MAX).map(Ipv4Addr::from).find(is_free).unwrap()
    }

    fn reply(&self, question: &Message, kind: Kind, yours: Ipv4Addr) -> Message {
        let mut reply = self.bare(question, kind);
        reply.yours = yours;
        reply.options = reply.options.with(code::LEASE_TIME, &self.seconds.to_be_bytes());
        for (code, value) in self.options.iter() {
            reply.options = reply.options.with(code, value);
        }
        reply
    }

    fn refuse(&self, question: &Message) -> Message {
        let mut refusal = self.bare(question, Kind::Nak);
        refusal.options = refusal.options.with(code::TEXT, b"not here");
        refusal
    }

    fn bare(&self, question: &Message, kind: Kind) -> Message {
        let mut reply = Message::from_client(kind, question.xid, question.mac);
        reply.speaker = Speaker::Server;
        reply.answer = question.answer;
        reply.options = reply.options.with(code::SERVER_ID, &self.id.octets());
        reply
    }
}
