//! Owners of leases, and reservations.

use crate::key::parse_key;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use zubi_model::{Alias, EndpointAddress, EndpointKey, Invalid, Mac, NetworkName};

/// The owner of a lease. As text it is the target of the lease's symbolic link: `COOKIE.NETWORK` or `=OWNER`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeaseOwner {
    /// An endpoint.
    Endpoint(EndpointKey),
    /// A reservation, by its [`Reservation::owner`].
    Reservation(String),
}

impl fmt::Display for LeaseOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LeaseOwner::Endpoint(key) => key.fmt(f),
            LeaseOwner::Reservation(owner) => write!(f, "={owner}"),
        }
    }
}

impl FromStr for LeaseOwner {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let read = match text.strip_prefix('=') {
            Some(owner) => Some(owner).filter(|owner| !owner.is_empty()).map(|o| LeaseOwner::Reservation(o.into())),
            None => parse_key(text).map(LeaseOwner::Endpoint),
        };
        read.ok_or_else(|| Invalid::new("owner of a lease", text, "is neither COOKIE.NETWORK nor =OWNER"))
    }
}

/// Addresses, and perhaps a MAC, that are kept for a device of another program, or for an endpoint whose sandbox does
/// not exist yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// Distinguishes the reservations of a network: `CONTAINERID@eth0`. Any text without `/`.
    pub owner: String,
    /// The network. It need not have a record.
    pub network: NetworkName,
    /// The addresses, each with the gateway of its pool.
    pub addresses: Vec<EndpointAddress>,
    /// The MAC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// Names that the endpoint will answer to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<Alias>,
    /// Nanoseconds of the boot clock.
    pub made_at: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_read_back_from_their_text() {
        for text in ["5.blue", "=c1@eth0", "==", "=5.blue", "= ü\n"] {
            let owner: LeaseOwner = text.parse().unwrap();
            assert_eq!(owner.to_string(), text);
            assert_eq!(matches!(owner, LeaseOwner::Reservation(_)), text.starts_with('='), "{text}");
        }
        for text in ["", "=", "05.blue", "c1@eth0", "/etc/passwd"] {
            assert!(text.parse::<LeaseOwner>().is_err(), "{text}");
        }
    }
}
