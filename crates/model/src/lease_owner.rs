//! What a lease belongs to.

use crate::text::written_as_text;
use crate::{Endpoint, EndpointId, EndpointKey, Invalid};
use std::fmt;
use std::str::FromStr;

/// What an address or a MAC of a network belongs to. As text it can be the target of a symbolic link: `COOKIE.NETWORK`,
/// or `=OWNER`, which no key begins with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeaseOwner {
    /// An endpoint.
    Endpoint(EndpointKey),
    /// The reservation of this owner, see [`Reservation::owner`](crate::Reservation::owner).
    Reservation(String),
}

impl LeaseOwner {
    /// The reservation of an endpoint that has this number.
    pub fn reservation_of(id: &EndpointId) -> Self {
        LeaseOwner::Reservation(id.reservation_owner())
    }

    /// Whether it is the endpoint, or the endpoint's reservation.
    pub fn is_of(&self, endpoint: &Endpoint) -> bool {
        match self {
            LeaseOwner::Endpoint(key) => *key == endpoint.key(),
            LeaseOwner::Reservation(_) => *self == LeaseOwner::reservation_of(&endpoint.id),
        }
    }
}

impl From<EndpointKey> for LeaseOwner {
    fn from(key: EndpointKey) -> Self {
        LeaseOwner::Endpoint(key)
    }
}

impl FromStr for LeaseOwner {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text.strip_prefix('=') {
            None => text.parse().map(LeaseOwner::Endpoint),
            Some("") => Err(Invalid::new("owner of a lease", text, "names no owner")),
            Some(owner) => Ok(LeaseOwner::Reservation(owner.to_owned())),
        }
    }
}

written_as_text!(LeaseOwner);

impl fmt::Display for LeaseOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LeaseOwner::Endpoint(key) => write!(f, "{key}"),
            LeaseOwner::Reservation(owner) => write!(f, "={owner}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_reads_back_as_what_it_is() {
        let read = |text: &str| text.parse::<LeaseOwner>();
        assert_eq!(read("7.blue").unwrap(), "7.blue".parse::<EndpointKey>().unwrap().into());
        // Even where the owner looks like a key.
        assert_eq!(read("=7.blue").unwrap(), LeaseOwner::Reservation("7.blue".into()));
        for text in ["7.blue", "=c1@eth0", "=7.blue", "==", "= "] {
            assert_eq!(read(text).unwrap().to_string(), text);
        }
        for bad in ["", "=", "c1@eth0", "07.blue"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
