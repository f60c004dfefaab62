//! Why there is no lease.

use crate::lease::Unusable;
use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;
use zubi_model::visible;

/// Why the client has stopped without a lease: what was in its way last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// How long it tried.
    pub after: Duration,
    /// What was in the way.
    pub obstacle: Obstacle,
}

/// What is in the way of a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// Nothing came back.
    Silence,
    /// A server offered an address, and does not confirm it.
    Unconfirmed {
        /// The server.
        server: Ipv4Addr,
        /// The address.
        address: Ipv4Addr,
    },
    /// A server refuses.
    Refusal(Refusal),
    /// Another host uses the address.
    Conflict(Ipv4Addr),
    /// An answer cannot be used.
    Unusable(Unusable),
}

/// A server's refusal (DHCPNAK).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The server, if it says which.
    pub server: Option<Ipv4Addr>,
    /// Its reason, if it has one.
    pub text: Option<String>,
}

/// Why a lease has ended before it was released.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// No server renewed it in time.
    Expired,
    /// A server refuses to renew it.
    Refused(Refusal),
    /// Another host uses the address.
    Conflict,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.after.as_secs_f32();
        match &self.obstacle {
            Obstacle::Silence => write!(f, "no DHCP server answered within {seconds:.0} s"),
            Obstacle::Unconfirmed { server, address } => {
                write!(f, "DHCP server {server} offered {address} and did not confirm it within {seconds:.0} s")
            }
            Obstacle::Refusal(refusal) => write!(f, "{refusal}"),
            Obstacle::Conflict(address) => {
                write!(f, "another host uses {address}, which the DHCP server offered, and it offered no other")
            }
            Obstacle::Unusable(why) => write!(f, "the DHCP server's answer cannot be used: {why}"),
        }
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.server {
            Some(server) => write!(f, "DHCP server {server} refuses")?,
            None => f.write_str("a DHCP server refuses")?,
        }
        match &self.text {
            Some(text) => write!(f, ": {}", visible(text)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Loss::Expired => f.write_str("no DHCP server renewed it in time"),
            Loss::Refused(refusal) => write!(f, "{refusal}"),
            Loss::Conflict => f.write_str("another host uses the address"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_was_in_the_way() {
        let (server, address) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 9));
        let says = |obstacle| Failure { after: Duration::from_secs(10), obstacle }.to_string();
        assert_eq!(says(Obstacle::Silence), "no DHCP server answered within 10 s");
        assert_eq!(
            says(Obstacle::Unconfirmed { server, address }),
            "DHCP server 10.0.0.1 offered 10.0.0.9 and did not confirm it within 10 s"
        );
        let refusal = Refusal { server: Some(server), text: Some("no\x1b[2J".into()) };
        assert_eq!(says(Obstacle::Refusal(refusal)), "DHCP server 10.0.0.1 refuses: no\\x1b[2J");
        assert_eq!(
            says(Obstacle::Unusable(Unusable::NoLifetime)),
            "the DHCP server's answer cannot be used: it does not say how long the lease lasts"
        );
    }
}
