//! Reservations: addresses that are given before there is an endpoint, or for a device that zubi does not make.

use crate::{Alias, EndpointAddress, EndpointId, LeaseOwner, Mac, NetworkName};
use serde::{Deserialize, Serialize};

/// An endpoint as far as it exists without a sandbox. Docker creates an endpoint before it has one; CNI's host-local
/// reserves addresses for a device that another plug-in makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The number that the endpoint will have; absent where no endpoint follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<EndpointId>,
    /// What the caller knows it by: `CONTAINERID@eth0`. Unique on its network.
    pub owner: String,
    /// The network.
    pub network: NetworkName,
    /// IPv4 first.
    pub addresses: Vec<EndpointAddress>,
    /// The MAC that the endpoint will have, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// The names that the endpoint will answer to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<Alias>,
    /// The sandbox that it waits for, by its full name, if it is for one that is followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_for: Option<String>,
    /// Nanoseconds of the boot clock.
    pub made_at: u64,
}

impl Reservation {
    /// What its leases belong to.
    pub fn lease_owner(&self) -> LeaseOwner {
        LeaseOwner::Reservation(self.owner.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_says_nothing_of_what_is_not_known() {
        let reservation = Reservation {
            id: None,
            owner: "c1@eth0".into(),
            network: "cni:blue".parse().unwrap(),
            addresses: vec![EndpointAddress { address: "10.0.0.2/24".parse().unwrap(), gateway: None }],
            mac: None,
            names: Vec::new(),
            kept_for: None,
            made_at: 7,
        };
        let json = serde_json::to_string(&reservation).unwrap();
        let wanted = r#"{"owner":"c1@eth0","network":"cni:blue","addresses":[{"address":"10.0.0.2/24"}],"made_at":7}"#;
        assert_eq!(json, wanted);
        assert_eq!(serde_json::from_str::<Reservation>(&json).unwrap(), reservation);
        assert_eq!(reservation.lease_owner().to_string(), "=c1@eth0");
    }
}
