//! Transport protocols and their ports, as keys and data of sets and maps.

use std::fmt;

/// A transport protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// By its number in the IP header.
    pub fn from_number(number: u8) -> Option<Self> {
        [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].into_iter().find(|p| p.number() == number)
    }

    /// Its number in the IP header (`IPPROTO_*` in linux/in.h).
    pub fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Sctp => 132,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        })
    }
}

/// The number of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortNumber(pub u16);

impl fmt::Display for PortNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Consecutive ports, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    first: PortNumber,
    last: PortNumber,
}

impl PortRange {
    /// Both ends belong to it; `None` when the last is before the first.
    pub fn new(first: PortNumber, last: PortNumber) -> Option<Self> {
        (first <= last).then_some(PortRange { first, last })
    }

    /// The first port.
    pub fn first(self) -> PortNumber {
        self.first
    }

    /// The last port.
    pub fn last(self) -> PortNumber {
        self.last
    }
}

impl From<PortNumber> for PortRange {
    fn from(port: PortNumber) -> Self {
        PortRange { first: port, last: port }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `nft` lists a range of one port as that port.
        if self.first == self.last { self.first.fmt(f) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_does_not_run_backwards() {
        assert_eq!(PortRange::new(PortNumber(2), PortNumber(1)), None);
        assert_eq!(PortRange::new(PortNumber(1), PortNumber(1)), Some(PortNumber(1).into()));
    }

    #[test]
    fn a_range_prints_as_nft_lists_it() {
        assert_eq!(PortRange::new(PortNumber(9000), PortNumber(9199)).unwrap().to_string(), "9000-9199");
        assert_eq!(PortRange::from(PortNumber(80)).to_string(), "80");
    }

    #[test]
    fn a_protocol_is_found_by_its_number() {
        for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
            assert_eq!(Protocol::from_number(protocol.number()), Some(protocol));
        }
        assert_eq!(Protocol::from_number(1), None);
    }
}
