//! Transport protocols, ports, and what is published of an endpoint: Docker's `-p` grammar.

use crate::text::written_as_text;
use crate::{Family, Invalid};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A transport protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];

    /// By its number in the IP header.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.number() == number)
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
        f.pad(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        })
    }
}

impl FromStr for Protocol {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let known = Self::ALL.into_iter().find(|p| p.to_string().eq_ignore_ascii_case(text));
        known.ok_or_else(|| Invalid::new("protocol", text, "is none of tcp, udp and sctp"))
    }
}

/// The number of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortNumber(pub u16);

impl PortNumber {
    /// The port of name servers.
    pub const NAMES: PortNumber = PortNumber(53);
}

impl fmt::Display for PortNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for PortNumber {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse::<u16>() {
            Ok(number) if digits && number > 0 => Ok(PortNumber(number)),
            _ => Err(Invalid::new("port", text, "is not a number from 1 to 65535")),
        }
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

    /// How many ports it has.
    pub fn count(self) -> u32 {
        u32::from(self.last.0 - self.first.0) + 1
    }

    /// Each port, in order.
    pub fn ports(self) -> impl Iterator<Item = PortNumber> {
        (self.first.0..=self.last.0).map(PortNumber)
    }

    /// Whether all ports of the other belong to it.
    pub fn contains(self, other: PortRange) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    /// Whether they have a port in common.
    pub fn overlaps(self, other: PortRange) -> bool {
        self.first <= other.last && other.first <= self.last
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
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

impl FromStr for PortRange {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let Some((first, last)) = text.split_once('-') else { return text.parse::<PortNumber>().map(Self::from) };
        let (first, last) = (first.parse()?, last.parse()?);
        let backwards = || Invalid::new("port range", text, "runs backwards");
        PortRange::new(first, last).ok_or_else(|| backwards().try_instead(format!("did you mean {last}-{first}?")))
    }
}

written_as_text!(PortRange);

/// At which of the host's addresses a port is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostAddress {
    /// All addresses, of the families that the endpoint has.
    Every,
    /// This address; the unspecified one stands for all of its family.
    One(IpAddr),
}

impl HostAddress {
    /// The addresses listened at, for an endpoint with these families.
    pub fn listens(self, families: &[Family]) -> Vec<IpAddr> {
        let in_family = |family: &Family| match self {
            HostAddress::Every => Some(family.unspecified()),
            HostAddress::One(address) => (Family::of(address) == *family).then_some(address),
        };
        families.iter().filter_map(in_family).collect()
    }
}

impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostAddress::Every => f.write_str("*"),
            HostAddress::One(IpAddr::V4(address)) => address.fmt(f),
            HostAddress::One(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl FromStr for HostAddress {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() || text == "*" {
            return Ok(HostAddress::Every);
        }
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
        let address: IpAddr = bare.parse().map_err(|_| Invalid::new("host address", text, "is not an IP address"))?;
        let address = address.to_canonical();
        let refuse = |why: &str| Err(Invalid::new("host address", text, why));
        match address {
            IpAddr::V6(Ipv6Addr::LOCALHOST) => {
                let why = "cannot be translated: the kernel drops what comes back to ::1";
                refuse(why).map_err(|e| e.try_instead("publish on 127.0.0.1"))
            }
            IpAddr::V6(v6) if v6.is_unicast_link_local() => refuse("is link-local: it means nothing without a device"),
            _ if address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST) => refuse("is no host's own"),
            _ => Ok(HostAddress::One(address)),
        }
    }
}

written_as_text!(HostAddress);

/// Which host ports a user wishes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostPorts {
    /// Any that are free.
    Any,
    /// Exactly these, one for each port inside.
    Each(PortRange),
    /// One that is free of these.
    OneOf(PortRange),
}

/// What a user wants to be published: `[ADDRESS:][PORT[-PORT]:]PORT[-PORT][/PROTOCOL]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortWish {
    /// At which of the host's addresses.
    pub host: HostAddress,
    /// At which of its ports.
    pub host_ports: HostPorts,
    /// What they lead to.
    pub target: PortRange,
    /// The protocol.
    pub protocol: Protocol,
}

impl PortWish {
    /// One wish for each port of a range on any host ports; every other wish stays whole.
    pub fn parts(self) -> impl Iterator<Item = PortWish> {
        let all = if self.host_ports == HostPorts::Any { self.target } else { self.target.first.into() };
        all.ports().map(move |port| match self.host_ports {
            HostPorts::Any => PortWish { target: port.into(), ..self },
            _ => self,
        })
    }

    /// Whether a published port meets the wish.
    pub fn is_met_by(&self, port: &PublishedPort) -> bool {
        let within = match self.host_ports {
            HostPorts::Any => true,
            HostPorts::Each(range) => range == port.host_ports,
            HostPorts::OneOf(range) => range.overlaps(port.host_ports),
        };
        // A range on any host ports is published port by port.
        let target = match self.host_ports {
            HostPorts::Any => self.target.overlaps(port.target),
            _ => self.target == port.target,
        };
        self.protocol == port.protocol && self.host == port.host && within && target
    }
}

impl FromStr for PortWish {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        const FORM: &str = "write [ADDRESS:][HOST-PORT:]PORT[/PROTOCOL], as 8080:80 or 127.0.0.1:53:53/udp";
        let wrong = |why: &str| Invalid::new("published port", text, why).try_instead(FORM);
        let (ports, protocol) = match text.rsplit_once('/') {
            Some((ports, protocol)) => (ports, protocol.parse()?),
            None => (text, Protocol::Tcp),
        };
        // From the right: an IPv6 address may come without brackets, as Docker takes it.
        let mut from_right = ports.rsplitn(3, ':');
        let target = from_right.next().filter(|t| !t.is_empty()).ok_or_else(|| wrong("names no port inside"))?;
        let (host_ports, host) = (from_right.next().unwrap_or_default(), from_right.next().unwrap_or_default());
        if host_ports.ends_with(']') {
            return Err(wrong("has an address but no place for the host's port: [ADDRESS]::PORT takes any"));
        }
        let target: PortRange = target.parse()?;
        let host_ports = match host_ports {
            "" => HostPorts::Any,
            given => {
                let given: PortRange = given.parse()?;
                match (given.count(), target.count()) {
                    (one, other) if one == other => HostPorts::Each(given),
                    (_, 1) => HostPorts::OneOf(given),
                    (host, inside) => {
                        return Err(wrong(&format!("leads {host} ports of the host to {inside} inside")));
                    }
                }
            }
        };
        Ok(PortWish { host: host.parse()?, host_ports, target, protocol })
    }
}

impl fmt::Display for PortWish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host_ports = match self.host_ports {
            HostPorts::Any => String::new(),
            HostPorts::Each(range) | HostPorts::OneOf(range) => range.to_string(),
        };
        spell(f, self.host, &host_ports, self.target, self.protocol)
    }
}

/// A published port with everything decided: as many host ports as ports inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PublishedPort {
    /// At which of the host's addresses.
    pub host: HostAddress,
    /// At which of its ports.
    pub host_ports: PortRange,
    /// What they lead to, one to one.
    pub target: PortRange,
    /// The protocol.
    pub protocol: Protocol,
}

impl PublishedPort {
    /// Whether the two exclude each other, as two sockets would.
    pub fn collides(&self, other: &PublishedPort) -> bool {
        self.protocol == other.protocol
            && self.host_ports.overlaps(other.host_ports)
            && addresses_collide(self.host, other.host)
    }

    /// Host port and port inside, one by one.
    pub fn pairs(&self) -> impl Iterator<Item = (PortNumber, PortNumber)> {
        self.host_ports.ports().zip(self.target.ports())
    }
}

fn addresses_collide(one: HostAddress, other: HostAddress) -> bool {
    match (one, other) {
        (HostAddress::One(a), HostAddress::One(b)) => {
            a.is_ipv4() == b.is_ipv4() && (a == b || a.is_unspecified() || b.is_unspecified())
        }
        _ => true,
    }
}

impl From<PublishedPort> for PortWish {
    fn from(port: PublishedPort) -> Self {
        let PublishedPort { host, host_ports, target, protocol } = port;
        PortWish { host, host_ports: HostPorts::Each(host_ports), target, protocol }
    }
}

impl fmt::Display for PublishedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        spell(f, self.host, &self.host_ports.to_string(), self.target, self.protocol)
    }
}

/// In the grammar that [`PortWish`] is read in.
fn spell(
    f: &mut fmt::Formatter<'_>,
    host: HostAddress,
    host_ports: &str,
    target: PortRange,
    protocol: Protocol,
) -> fmt::Result {
    match host {
        HostAddress::Every if host_ports.is_empty() => write!(f, "{target}/{protocol}"),
        HostAddress::Every => write!(f, "{host_ports}:{target}/{protocol}"),
        HostAddress::One(_) => write!(f, "{host}:{host_ports}:{target}/{protocol}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(text: &str) -> Result<PortWish, Invalid> {
        text.parse()
    }

    fn range(text: &str) -> PortRange {
        text.parse().unwrap()
    }

    #[test]
    fn docker_s_grammar_is_read_whole() {
        for (text, spelled, host_ports) in [
            ("80", "80/tcp", HostPorts::Any),
            (":80", "80/tcp", HostPorts::Any),
            ("8080:80", "8080:80/tcp", HostPorts::Each(range("8080"))),
            ("8080:80/TCP", "8080:80/tcp", HostPorts::Each(range("8080"))),
            ("53:53/udp", "53:53/udp", HostPorts::Each(range("53"))),
            ("127.0.0.1:8080:80/sctp", "127.0.0.1:8080:80/sctp", HostPorts::Each(range("8080"))),
            ("127.0.0.1::80", "127.0.0.1::80/tcp", HostPorts::Any),
            ("[::]:53:53/udp", "[::]:53:53/udp", HostPorts::Each(range("53"))),
            ("2001:db8::1:8080:80", "[2001:db8::1]:8080:80/tcp", HostPorts::Each(range("8080"))),
            ("::ffff:192.0.2.1:8080:80", "192.0.2.1:8080:80/tcp", HostPorts::Each(range("8080"))),
            ("8000-8009:80-89", "8000-8009:80-89/tcp", HostPorts::Each(range("8000-8009"))),
            ("8000-8009:80", "8000-8009:80/tcp", HostPorts::OneOf(range("8000-8009"))),
            ("7000-7002", "7000-7002/tcp", HostPorts::Any),
        ] {
            let read = wish(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!((read.to_string().as_str(), read.host_ports), (spelled, host_ports), "{text}");
            assert_eq!(wish(spelled).unwrap(), read);
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_the_reason() {
        for (text, words) in [
            ("", "names no port inside"),
            ("8080:", "names no port inside"),
            ("0:80", "port `0`: is not a number from 1 to 65535"),
            ("80:0", "port `0`"),
            ("65536:80", "port `65536`"),
            ("+80:80", "port `+80`"),
            ("90-80:90-80", "runs backwards; did you mean 80-90?"),
            ("8000-8009:80-88", "leads 10 ports of the host to 9 inside"),
            ("80:80-81", "leads 1 ports of the host to 2 inside"),
            ("80:80/icmp", "is none of tcp, udp and sctp"),
            ("localhost:80:80", "is not an IP address"),
            ("[::1]:80:80", "cannot be translated"),
            ("::1:80:80", "publish on 127.0.0.1"),
            ("[fe80::1]:80:80", "is link-local"),
            ("224.0.0.1:80:80", "is no host's own"),
            ("[2001:db8::1]:80", "no place for the host's port"),
        ] {
            let error = wish(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn ports_collide_as_sockets_do() {
        let port = |text: &str| {
            let PortWish { host, host_ports, target, protocol } = wish(text).unwrap();
            let HostPorts::Each(host_ports) = host_ports else { panic!("{text}") };
            PublishedPort { host, host_ports, target, protocol }
        };
        for (one, other, collide) in [
            ("8080:80", "8080:81", true),
            ("8080:80", "127.0.0.1:8080:81", true),
            ("8080:80", "8080:80/udp", false),
            ("0.0.0.0:8080:80", "[::]:8080:80", false),
            ("8080:80", "[::]:8080:80", true),
            ("127.0.0.1:8080:80", "192.0.2.1:8080:80", false),
            ("8000-8009:8000-8009", "8009:1", true),
            ("8000-8009:8000-8009", "8010:1", false),
        ] {
            assert_eq!(port(one).collides(&port(other)), collide, "{one} {other}");
            assert_eq!(port(other).collides(&port(one)), collide, "{other} {one}");
        }
    }

    #[test]
    fn a_wish_for_any_host_port_is_met_by_each_port_of_its_range() {
        let any = wish("7000-7002").unwrap();
        let published = PublishedPort {
            host: HostAddress::Every,
            host_ports: range("32768"),
            target: range("7001"),
            protocol: Protocol::Tcp,
        };
        assert!(any.is_met_by(&published));
        assert!(!wish("7003").unwrap().is_met_by(&published));
        assert!(!wish("127.0.0.1::7001").unwrap().is_met_by(&published));
        assert!(wish("32000-33000:7001").unwrap().is_met_by(&published));
    }

    #[test]
    fn a_wish_for_a_range_on_any_host_ports_is_one_for_each_port() {
        let parts = |text: &str| wish(text).unwrap().parts().map(|part| part.to_string()).collect::<Vec<_>>();
        assert_eq!(
            parts("127.0.0.1::7000-7002"),
            ["127.0.0.1::7000/tcp", "127.0.0.1::7001/tcp", "127.0.0.1::7002/tcp"]
        );
        assert_eq!(parts("7000-7002:70-72/udp"), ["7000-7002:70-72/udp"]);
        assert_eq!(parts("7000-7002:70"), ["7000-7002:70/tcp"]);
    }

    #[test]
    fn a_range_contains_what_lies_in_it() {
        assert!(range("70-72").contains(range("70-72")) && range("70-72").contains(range("71")));
        assert!(!range("71").contains(range("70-72")) && !range("70-72").contains(range("72-73")));
    }

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
        for protocol in Protocol::ALL {
            assert_eq!(Protocol::from_number(protocol.number()), Some(protocol));
        }
        assert_eq!(Protocol::from_number(1), None);
    }

    #[test]
    fn a_record_of_a_port_reads_back() {
        let port = PublishedPort {
            host: HostAddress::One("2001:db8::1".parse().unwrap()),
            host_ports: range("8000-8009"),
            target: range("80-89"),
            protocol: Protocol::Udp,
        };
        let json = serde_json::to_string(&port).unwrap();
        assert_eq!(json, r#"{"host":"[2001:db8::1]","host_ports":"8000-8009","target":"80-89","protocol":"udp"}"#);
        assert_eq!(serde_json::from_str::<PublishedPort>(&json).unwrap(), port);
    }
}
