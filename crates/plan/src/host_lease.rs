//! What a DHCP lease changes of the host's own address on the bridge of an uplink network.

use crate::{Op, Plan, Sysctl, What};
use ipnet::{IpNet, Ipv4Net};
use std::net::IpAddr;
use zubi_model::{AddressOptions, DhcpLease, HeldAddress, Holdings, IfName, Lifetime, StaticRoute};
use zubi_wire::route::{Address, Route};

/// The prefix lengths at which a subnet has no broadcast address (RFC 3021).
const WITHOUT_BROADCAST: u8 = 31;

/// The routing protocol of routes from a DHCP server (`RTPROT_DHCP` of linux/rtnetlink.h).
const DHCP: u8 = 16;

/// The host's address on a device, before a lease changes it.
#[derive(Debug, Clone, Copy)]
pub struct HostAddress<'a> {
    /// The bridge.
    pub device: &'a IfName,
    /// What the host has on it.
    pub held: &'a Holdings,
    /// The address of the lease from before, if the host has it.
    pub had: Option<IpNet>,
    /// The lease from before.
    pub lease: Option<&'a DhcpLease>,
}

impl HostAddress<'_> {
    /// Gives the host the address of a lease, and what is left of its time.
    pub fn take(self, lease: &DhcpLease, left: Lifetime) -> Plan {
        const LONGER: &str = "the lease lasts longer";
        const NEW: &str = "the DHCP server gives the host this address";
        let address = IpNet::V4(lease.address);
        let mut plan = Plan::new();
        if let Some(held) = self.held.addresses.iter().find(|held| held.address == address) {
            let options = AddressOptions { lifetime: left, ..held.options.clone() };
            if options != held.options {
                plan.push(Op::host(What::ChangeAddress(self.on_device(HeldAddress { address, options })), LONGER));
            }
        } else {
            let options =
                AddressOptions { lifetime: left, broadcast: broadcast_of(lease.address), ..AddressOptions::default() };
            plan.push(Op::host(What::AddAddress(self.on_device(HeldAddress { address, options })), NEW));
        }
        let wanted = routes_of(lease);
        plan.ops.extend(self.stale_routes(&wanted));
        for route in wanted.iter().filter(|route| !self.has(route)) {
            plan.push(Op::host(What::AddRoute(self.by_device(route)), "the DHCP server says that this is the way"));
        }
        plan.ops.extend(self.leave(Some(address)));
        plan
    }

    /// Takes the address of a lost lease away from the host.
    pub fn lose(self) -> Plan {
        self.stale_routes(&[]).chain(self.leave(None)).collect()
    }

    /// The address of the lease from before goes. The first address of a subnet takes the others with it, unless the
    /// kernel promotes them.
    fn leave(self, keep: Option<IpNet>) -> Vec<Op> {
        const AWAY: &str = "the address is another host's from now on";
        const PROMOTE: &str = "the other addresses of the subnet stay";
        let gone = self.held.addresses.iter().find(|held| Some(held.address) == self.had && Some(held.address) != keep);
        let Some(gone) = gone else { return Vec::new() };
        let key = format!("net/ipv4/conf/{}/promote_secondaries", self.device);
        let set = |value: &str| Op::host(What::Set(Sysctl::new(&key, value)), PROMOTE);
        let promotes = self.held.settings.iter().any(|(family, name, value)| {
            (family.as_str(), name.as_str()) == ("ipv4", "promote_secondaries") && value != "0"
        });
        let delete = Op::host(What::DeleteAddress(self.on_device(gone.clone())), AWAY);
        if promotes { vec![delete] } else { vec![set("1"), delete, set("0")] }
    }

    /// The routes that the lease from before gave, and that no one asks for any more.
    fn stale_routes(self, wanted: &[StaticRoute]) -> impl Iterator<Item = Op> {
        const STALE: &str = "the way from before";
        let before = self.lease.map(routes_of).unwrap_or_default();
        let is_of = |all: &[StaticRoute], route: &StaticRoute| {
            all.iter().any(|other| (other.to, other.via) == (route.to, route.via))
        };
        let stale = self.held.routes.iter().filter(move |route| is_of(&before, route) && !is_of(wanted, route));
        let all: Vec<Op> = stale.map(|route| Op::host(What::DeleteRoute(self.by_device(route)), STALE)).collect();
        all.into_iter()
    }

    fn has(self, route: &StaticRoute) -> bool {
        self.held.routes.iter().any(|other| (other.to, other.via) == (route.to, route.via))
    }

    fn on_device(self, held: HeldAddress) -> Address {
        Address::moved(held, self.device.clone())
    }

    fn by_device(self, route: &StaticRoute) -> Route {
        Route { to: route.to, via: route.via, device: self.device.clone(), options: route.options }
    }
}

/// The default route and the further routes of a lease.
fn routes_of(lease: &DhcpLease) -> Vec<StaticRoute> {
    let everywhere = IpNet::V4(Ipv4Net::default());
    let router = lease.routers.first().map(|router| StaticRoute::new(everywhere, Some(IpAddr::V4(*router))));
    let mut all: Vec<StaticRoute> = router.into_iter().collect();
    all.extend(lease.routes.iter().filter(|route| route.to != everywhere).copied());
    for route in &mut all {
        route.options.protocol = Some(DHCP);
        route.options.on_link = route.via.is_some_and(|via| !lease.is_on_link(via));
    }
    all
}

fn broadcast_of(address: Ipv4Net) -> Option<std::net::Ipv4Addr> {
    (address.prefix_len() < WITHOUT_BROADCAST).then(|| address.broadcast())
}

#[cfg(test)]
mod tests {
    use super::*;
    use zubi_model::{Moment, RouteOptions, Seconds};

    fn lease(address: &str, router: &str) -> DhcpLease {
        DhcpLease {
            routers: vec![router.parse().unwrap()],
            ..DhcpLease::new(address.parse().unwrap(), "192.168.1.1".parse().unwrap(), Moment(0), Some(Seconds(60)))
        }
    }

    fn held(addresses: &[&str], router: &str) -> Holdings {
        let held =
            |address: &&str| HeldAddress { address: address.parse().unwrap(), options: AddressOptions::default() };
        Holdings {
            addresses: addresses.iter().map(held).collect(),
            routes: vec![StaticRoute {
                options: RouteOptions { protocol: Some(3), ..RouteOptions::default() },
                ..StaticRoute::new("0.0.0.0/0".parse().unwrap(), router.parse().ok())
            }],
            ..Holdings::default()
        }
    }

    fn words(held: &Holdings, before: Option<&DhcpLease>, after: Option<&DhcpLease>) -> Vec<String> {
        let device = "zb-lan".parse().unwrap();
        let had = Some("192.168.1.50/24".parse().unwrap());
        let of = HostAddress { device: &device, held, had, lease: before };
        let left = Lifetime { valid: Some(60), preferred: Some(60) };
        let plan = match after {
            Some(lease) => of.take(lease, left),
            None => of.lose(),
        };
        plan.ops.iter().map(|op| op.to_string().replace("ip ", "")).collect()
    }

    #[test]
    fn the_same_lease_gives_the_address_more_time_and_changes_nothing_else() {
        let lease = lease("192.168.1.50/24", "192.168.1.1");
        let held = held(&["192.168.1.5/24", "192.168.1.50/24"], "192.168.1.1");
        let longer = ["addr change 192.168.1.50/24 dev zb-lan valid_lft 60 preferred_lft 60"];
        assert_eq!(words(&held, None, Some(&lease)), longer);
        assert_eq!(words(&held, Some(&lease), Some(&lease)), longer);
    }

    #[test]
    fn another_address_and_another_router_replace_those_from_before() {
        let (before, after) = (lease("192.168.1.50/24", "192.168.1.1"), lease("192.168.1.51/24", "192.168.1.2"));
        let held = held(&["192.168.1.50/24"], "192.168.1.1");
        assert_eq!(
            words(&held, Some(&before), Some(&after)),
            [
                "addr add 192.168.1.51/24 brd 192.168.1.255 dev zb-lan valid_lft 60 preferred_lft 60",
                "route del default via 192.168.1.1 dev zb-lan proto 3",
                "route add default via 192.168.1.2 dev zb-lan proto 16",
                "sysctl -qw net.ipv4.conf.zb-lan.promote_secondaries=1",
                "addr del 192.168.1.50/24 dev zb-lan",
                "sysctl -qw net.ipv4.conf.zb-lan.promote_secondaries=0",
            ]
        );
    }

    #[test]
    fn a_lost_lease_takes_its_address_and_its_routes_and_leaves_the_others() {
        let before = lease("192.168.1.50/24", "192.168.1.1");
        let mut held = held(&["192.168.1.50/24", "10.0.0.5/8"], "192.168.1.1");
        held.settings.push(("ipv4".into(), "promote_secondaries".into(), "1".into()));
        held.routes.push(StaticRoute::new("10.9.0.0/16".parse().unwrap(), "192.168.1.7".parse().ok()));
        assert_eq!(
            words(&held, Some(&before), None),
            ["route del default via 192.168.1.1 dev zb-lan proto 3", "addr del 192.168.1.50/24 dev zb-lan"]
        );
    }
}
