//! Answers of other servers, as they are kept and passed on.

use domain::base::iana::{Rcode, Rtype};
use domain::base::{Message, ParsedRecord};
use domain::rdata::Soa;
use std::time::Duration;

/// The bytes of a packet's header.
pub(crate) const HEADER: usize = 12;
/// How long an answer is kept at most, whatever it says.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// How long it is kept that there is nothing: short, so that a name that was just made is found soon (RFC 2308, 5).
const LONGEST_NOTHING: Duration = Duration::from_secs(5 * 60);
/// How long a failure is kept: a client that asks again at once does not reach the server (RFC 2308, 7.1; RFC 9520).
const FAILURE: Duration = Duration::from_secs(1);

/// An answer without its EDNS record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    bytes: Box<[u8]>,
    /// Where the times to live are in `bytes`.
    ttls: Box<[u16]>,
    lifetime: Duration,
    rcode: Rcode,
}

/// Where the records of an answer are, and how long they hold.
struct Outline {
    /// Behind the last record that is kept.
    end: usize,
    ttls: Vec<u16>,
    shortest: Duration,
    answers: u16,
    further: u16,
    /// Where the time to live of the zone's own record is, and how long nothing may be kept (RFC 2308, 5).
    nothing: Option<(usize, u32)>,
}

impl Outline {
    /// Up to the EDNS record: what stands behind it is left out with it.
    fn of(message: &Message<[u8]>, start: usize) -> Option<Outline> {
        let mut outline =
            Outline { end: start, ttls: Vec::new(), shortest: LONGEST, answers: 0, further: 0, nothing: None };
        let mut answers = message.answer().ok()?;
        while let Some(record) = answers.next() {
            outline.take(&record.ok()?, answers.pos())?;
            outline.answers += 1;
        }
        let mut authority = answers.next_section().ok()??;
        while let Some(record) = authority.next() {
            let record = record.ok()?;
            let ttl = outline.take(&record, authority.pos())?;
            if record.rtype() == Rtype::SOA {
                let soa = record.to_record::<Soa<_>>().ok()??;
                outline.nothing = Some((ttl, soa.data().minimum().as_secs().min(soa.ttl().as_secs())));
            }
        }
        let mut additional = authority.next_section().ok()??;
        while let Some(record) = additional.next() {
            let record = record.ok()?;
            if record.rtype() == Rtype::OPT {
                break;
            }
            outline.take(&record, additional.pos())?;
            outline.further += 1;
        }
        Some(outline)
    }

    /// Adds a record that ends somewhere; where its time to live is.
    fn take(&mut self, record: &ParsedRecord<'_, [u8]>, end: usize) -> Option<usize> {
        if record.rtype() == Rtype::OPT {
            return None;
        }
        let ttl = end.checked_sub(usize::from(record.rdlen()) + 6)?;
        self.ttls.push(u16::try_from(ttl).ok()?);
        self.shortest = self.shortest.min(Duration::from_secs(record.ttl().as_secs().into()));
        self.end = end;
        Some(ttl)
    }

    fn lifetime(&self, rcode: Rcode) -> Duration {
        match (rcode, self.nothing) {
            (Rcode::NOERROR | Rcode::NXDOMAIN, Some((_, minimum))) => {
                Duration::from_secs(minimum.into()).min(LONGEST_NOTHING).min(self.shortest)
            }
            (Rcode::NOERROR, None) if self.answers > 0 => self.shortest,
            // Nothing, and nobody says for how long; or a referral.
            (Rcode::NOERROR | Rcode::NXDOMAIN, None) => Duration::ZERO,
            _ => FAILURE,
        }
    }
}

impl Response {
    /// Reads an answer whose question is as long as ours and without compression. `None` if it is none.
    pub(crate) fn read(packet: &[u8], question: usize) -> Option<Response> {
        let message = Message::from_slice(packet).ok()?;
        let header = message.header();
        if !header.qr() || message.header_counts().qdcount() != 1 {
            return None;
        }
        let outline = Outline::of(message, HEADER + question)?;
        let mut bytes = packet.get(..outline.end)?.to_vec();
        bytes.get_mut(10..HEADER)?.copy_from_slice(&outline.further.to_be_bytes());
        if let Some((at, minimum)) = outline.nothing {
            // Who keeps it behind us keeps it as long as we do (RFC 2308, 3).
            bytes.get_mut(at..at + 4)?.copy_from_slice(&minimum.to_be_bytes());
        }
        let rcode = header.rcode();
        let lifetime = outline.lifetime(rcode);
        Some(Response { bytes: bytes.into(), ttls: outline.ttls.into(), lifetime, rcode })
    }

    /// How long it may be kept.
    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Whether another server might know more.
    pub fn is_failure(&self) -> bool {
        !matches!(self.rcode, Rcode::NOERROR | Rcode::NXDOMAIN)
    }

    /// How much memory it takes.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len() + 2 * self.ttls.len()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The packet with its times to live as they are after a while.
    pub(crate) fn aged(&self, age: Duration) -> Vec<u8> {
        let mut bytes = self.bytes.to_vec();
        let age = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
        for at in self.ttls.iter().map(|at| usize::from(*at)) {
            let Some(place) = bytes.get_mut(at..at + 4) else { continue };
            let Ok(four) = <[u8; 4]>::try_from(&*place) else { continue };
            place.copy_from_slice(&u32::from_be_bytes(four).saturating_sub(age).to_be_bytes());
        }
        bytes
    }
}
