//! The decisions about leases of DHCP: who asks, how long to wait, when to renew.

use std::time::Duration;
use zubi_dhcp::{HostKey, HostName, Identity, Start};
use zubi_model::{
    ByDhcp, ClientId, DhcpLease, DhcpOption, DhcpWishes, Endpoint, Invalid, Mac, Moment, Network, Seconds, Tenure,
};

/// How long after T1 a lease may wait for whoever renews it before `check` reports it.
const GRACE: Duration = Duration::from_secs(60);

/// Where a lease stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseState {
    /// It need not be renewed yet.
    Bound,
    /// T1 is over: its server is asked.
    Renewing,
    /// T2 is over: every server is asked.
    Rebinding,
    /// Its time is over, and the kernel has removed the address.
    Expired,
    /// A server took it back.
    Lost,
}

impl LeaseState {
    /// The word for it in tables and JSON.
    pub fn word(self) -> &'static str {
        match self {
            LeaseState::Bound => "bound",
            LeaseState::Renewing => "renewing",
            LeaseState::Rebinding => "rebinding",
            LeaseState::Expired => "expired",
            LeaseState::Lost => "lost",
        }
    }

    /// The state at a time.
    pub(crate) fn at(dhcp: &ByDhcp, now: Moment) -> Self {
        let reached = |moment: Option<Moment>| moment.is_some_and(|moment| now >= moment);
        let lease = &dhcp.lease;
        match dhcp.tenure {
            Tenure::Lost => LeaseState::Lost,
            Tenure::Held if reached(lease.expires_at()) => LeaseState::Expired,
            Tenure::Held if reached(lease.rebind_at()) => LeaseState::Rebinding,
            Tenure::Held if reached(lease.renew_at()) => LeaseState::Renewing,
            Tenure::Held => LeaseState::Bound,
        }
    }
}

/// Whether a lease has waited too long for whoever renews it.
pub(crate) fn is_overdue(dhcp: &ByDhcp, now: Moment) -> bool {
    let (Some(t1), Some(t2)) = (dhcp.lease.renew_at(), dhcp.lease.rebind_at()) else { return false };
    now > t1 + GRACE.min(t2.since(t1) / 2)
}

/// By what a server recognises the endpoint of a sandbox. It is the same again when the sandbox is made again under its
/// name.
pub(crate) fn client_id(
    key: HostKey,
    network: &Network,
    spelled: &str,
    wishes: &DhcpWishes,
) -> Result<ClientId, Invalid> {
    match &wishes.client {
        Some(client) => Ok(client.clone()),
        None => key.client_id(&network.name, wishes.name.as_deref().unwrap_or(spelled)),
    }
}

/// The MAC of an endpoint, by its client id: many servers recognise a client by its MAC alone.
pub(crate) fn mac_of(id: &ClientId) -> Mac {
    // The last bytes depend on the sandbox, the first on the network.
    let of = |at: usize| id.bytes().iter().skip(at).step_by(6).fold(0, |sum, byte| sum ^ byte);
    Mac::from_random([of(0), of(1), of(2), of(3), of(4), of(5)])
}

/// What an endpoint says of itself.
pub(crate) fn identity(endpoint: &Endpoint, id: Option<ClientId>, told: Vec<DhcpOption>) -> Identity {
    let host_name = endpoint.names().first().and_then(HostName::from_name);
    Identity { mac: endpoint.mac, id, host_name, told }
}

/// A lease as the network can use it: an MTU larger than the network's would lose packets.
pub(crate) fn fitted(mut lease: DhcpLease, network: &Network) -> DhcpLease {
    lease.mtu = lease.mtu.filter(|mtu| network.mtu.is_none_or(|most| *mtu < most));
    lease
}

/// Whether the address is on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnDevice {
    There,
    Missing,
}

/// How a client begins to renew a lease now.
pub(crate) fn start(dhcp: &ByDhcp, device: OnDevice, now: Moment) -> Start {
    match LeaseState::at(dhcp, now) {
        LeaseState::Lost => Start::Discover,
        LeaseState::Expired => Start::Again(dhcp.lease.address.addr()),
        _ if device == OnDevice::Missing => Start::Again(dhcp.lease.address.addr()),
        // A client does not renew what lasts for ever.
        _ if dhcp.lease.lifetime.is_none() => Start::Again(dhcp.lease.address.addr()),
        LeaseState::Bound => Start::Resume(DhcpLease { t1: Some(Seconds(0)), ..dhcp.lease.clone() }),
        LeaseState::Renewing | LeaseState::Rebinding => Start::Resume(dhcp.lease.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::OnDevice::{Missing, There};
    use super::*;
    use crate::decide::memory::network;

    fn lease(seconds: u32) -> ByDhcp {
        let lease = DhcpLease {
            mtu: Some("1400".parse().unwrap()),
            ..DhcpLease::new(
                "192.168.1.50/24".parse().unwrap(),
                "192.168.1.1".parse().unwrap(),
                Moment(0),
                Some(Seconds(seconds)),
            )
        };
        ByDhcp { client: "ff:00".parse().ok(), told: Vec::new(), lease, tenure: Tenure::Held }
    }

    #[test]
    fn a_lease_is_overdue_a_while_after_t1() {
        let seconds = |seconds: u64| Moment(seconds * 1000);
        for (lifetime, fine, overdue) in [(8, 5, 6), (3600, 1860, 1861)] {
            assert!(!is_overdue(&lease(lifetime), seconds(fine)), "{lifetime}");
            assert!(is_overdue(&lease(lifetime), seconds(overdue)), "{lifetime}");
        }
        let mut for_ever = lease(1);
        for_ever.lease.lifetime = None;
        assert!(!is_overdue(&for_ever, seconds(1_000_000)));
    }

    #[test]
    fn who_asks_depends_on_the_time_and_on_the_device() {
        let dhcp = lease(8);
        let at = |milliseconds, device| match start(&dhcp, device, Moment(milliseconds)) {
            Start::Discover => "discover",
            Start::Again(_) => "again",
            Start::Resume(lease) if lease.renew_at() == Some(Moment(0)) => "early",
            Start::Resume(_) => "resume",
        };
        assert_eq!([at(1000, There), at(5000, There), at(7500, There)], ["early", "resume", "resume"]);
        assert_eq!([at(1000, Missing), at(9000, Missing), at(9000, There)], ["again"; 3]);
        let lost = ByDhcp { tenure: Tenure::Lost, ..lease(8) };
        assert_eq!(start(&lost, Missing, Moment(0)), Start::Discover);
    }

    #[test]
    fn an_mtu_counts_where_it_is_smaller_than_the_networks() {
        let mut network = network("lan", &["192.168.1.0/24"]);
        let mtu = |network: &Network| fitted(lease(8).lease, network).mtu.map(zubi_model::Mtu::bytes);
        assert_eq!(mtu(&network), Some(1400));
        network.mtu = Some("1400".parse().unwrap());
        assert_eq!(mtu(&network), None);
    }

    #[test]
    fn sandboxes_of_other_names_have_other_macs() {
        let network = network("lan", &["192.168.1.0/24"]);
        let by = |name, wishes| mac_of(&client_id(HostKey([7; 16]), &network, name, &wishes).unwrap());
        let mac = |name| by(name, DhcpWishes::default());
        assert_eq!(mac("web"), mac("web"));
        assert_ne!(mac("web"), mac("db"));
        let named = DhcpWishes { name: Some("web".into()), ..DhcpWishes::default() };
        assert_eq!(by("db", named), mac("web"));
    }
}
