//! The decision about the host's own lease on an uplink network: which address it is about, and what the record of the
//! take-over says of it.

use crate::decide::lease::{LeaseState, OnDevice, start};
use ipnet::IpNet;
use zubi_dhcp::Start;
use zubi_model::{AddressOptions, ByDhcp, HeldAddress, Holdings, Lifetime, Moment};
use zubi_store::TakeOverRecord;

/// What leases of the host are called where those of endpoints have the sandbox.
pub(crate) const HOST: &str = "host";

/// The address that the host has by DHCP: that of its lease, or the first one that does not last.
pub(crate) fn address_by_dhcp(held: &Holdings, lease: Option<&ByDhcp>) -> Option<IpNet> {
    let v4 = || held.addresses.iter().filter(|held| held.address.addr().is_ipv4());
    match lease {
        Some(dhcp) => v4().map(|held| held.address).find(|address| *address == IpNet::V4(dhcp.lease.address)),
        None => v4().find(|held| held.options.lifetime != Lifetime::default()).map(|held| held.address),
    }
}

/// How to begin, with this address on the device; `None`: the lease need not be renewed yet.
pub(crate) fn start_for_host(lease: Option<&ByDhcp>, has: Option<IpNet>, force: bool, now: Moment) -> Option<Start> {
    match (lease, has) {
        (Some(dhcp), has) => {
            let device = if has.is_some() { OnDevice::There } else { OnDevice::Missing };
            let is_due = force || device == OnDevice::Missing || LeaseState::at(dhcp, now) != LeaseState::Bound;
            is_due.then(|| start(dhcp, device, now))
        }
        (None, Some(IpNet::V4(has))) => Some(Start::Again(has.addr())),
        (None, _) => Some(Start::Discover),
    }
}

/// What the record says that the host had, by the lease that it has now.
pub(crate) fn held_by(record: &TakeOverRecord, now: Moment) -> Holdings {
    let mut held = record.before.clone();
    let Some(dhcp) = &record.lease else { return held };
    let own = IpNet::V4(dhcp.lease.address);
    held.addresses.retain(|held| held.address != own || dhcp.holds_at(now));
    for held in held.addresses.iter_mut().filter(|held| held.address == own) {
        held.options.lifetime = dhcp.lease.left_at(now);
    }
    held
}

/// Puts a lease in the record, in the place of the address that the host had by DHCP.
pub(crate) fn remember(record: &mut TakeOverRecord, had: Option<IpNet>, dhcp: ByDhcp, now: Moment) {
    let address = IpNet::V4(dhcp.lease.address);
    let addresses = &mut record.before.addresses;
    let holds = dhcp.holds_at(now);
    addresses.retain(|held| Some(held.address) != had || holds && held.address == address);
    if holds && !addresses.iter().any(|held| held.address == address) {
        let broadcast = Some(dhcp.lease.address.broadcast());
        addresses.push(HeldAddress { address, options: AddressOptions { broadcast, ..AddressOptions::default() } });
    }
    record.lease = Some(dhcp);
}

#[cfg(test)]
mod tests {
    use super::*;
    use zubi_model::{DhcpLease, Seconds, Tenure};

    fn dhcp(address: &str) -> ByDhcp {
        let lease =
            DhcpLease::new(address.parse().unwrap(), "192.168.1.1".parse().unwrap(), Moment(0), Some(Seconds(60)));
        ByDhcp { client: None, told: Vec::new(), lease, tenure: Tenure::Held }
    }

    fn holdings(addresses: &[(&str, Option<u32>)]) -> Holdings {
        let held = |(address, valid): &(&str, Option<u32>)| HeldAddress {
            address: address.parse().unwrap(),
            options: AddressOptions { lifetime: Lifetime { valid: *valid, preferred: *valid }, ..Default::default() },
        };
        Holdings { addresses: addresses.iter().map(held).collect(), ..Holdings::default() }
    }

    fn record(addresses: &[(&str, Option<u32>)], lease: Option<ByDhcp>) -> TakeOverRecord {
        TakeOverRecord { network: "lan".parse().unwrap(), before: holdings(addresses), until: None, lease }
    }

    #[test]
    fn the_address_by_dhcp_is_that_of_the_lease_or_one_that_ends() {
        let held = holdings(&[("192.168.1.5/24", None), ("192.168.1.50/24", Some(60)), ("fd00::5/64", Some(60))]);
        assert_eq!(address_by_dhcp(&held, None), "192.168.1.50/24".parse().ok());
        assert_eq!(address_by_dhcp(&held, Some(&dhcp("192.168.1.5/24"))), "192.168.1.5/24".parse().ok());
        assert_eq!(address_by_dhcp(&held, Some(&dhcp("192.168.1.51/24"))), None);
        assert_eq!(address_by_dhcp(&holdings(&[("192.168.1.5/24", None)]), None), None);
    }

    #[test]
    fn a_lease_that_is_bound_waits_unless_its_address_is_missing() {
        let lease = dhcp("192.168.1.50/24");
        let has = Some("192.168.1.50/24".parse().unwrap());
        let at = |seconds: u64| Moment(seconds * 1000);
        assert_eq!(start_for_host(Some(&lease), has, false, at(1)), None);
        assert!(matches!(start_for_host(Some(&lease), has, true, at(1)), Some(Start::Resume(_))));
        assert!(matches!(start_for_host(Some(&lease), has, false, at(31)), Some(Start::Resume(_))));
        assert!(matches!(start_for_host(Some(&lease), None, false, at(1)), Some(Start::Again(_))));
        assert!(matches!(start_for_host(None, has, false, at(1)), Some(Start::Again(_))));
        assert_eq!(start_for_host(None, None, false, at(1)), Some(Start::Discover));
    }

    #[test]
    fn the_record_has_the_address_of_the_lease_while_that_lasts() {
        let mut record = record(&[("192.168.1.5/24", None), ("192.168.1.50/24", Some(9))], None);
        let had = Some("192.168.1.50/24".parse().unwrap());
        remember(&mut record, had, dhcp("192.168.1.51/24"), Moment(0));
        let held = |seconds: u64| {
            let held = held_by(&record, Moment(seconds * 1000)).addresses;
            held.into_iter().map(|held| (held.address.to_string(), held.options.lifetime.valid)).collect::<Vec<_>>()
        };
        assert_eq!(held(10), [("192.168.1.5/24".to_owned(), None), ("192.168.1.51/24".to_owned(), Some(50))]);
        assert_eq!(held(61), [("192.168.1.5/24".to_owned(), None)]);
    }
}
