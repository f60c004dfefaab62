//! What a DHCP lease changes of an endpoint: its first address, another one, or the same for longer.
//!
//! # How it works
//! The difference of two plans of the endpoint, as it was and as it is by the lease. So no driver has to know of leases.

use crate::{Op, Place, Plan, What};
use zubi_model::Family;
use zubi_wire::route::Address;

/// The operations that lead from what `before` made to what `after` makes.
pub fn change(before: &Plan, after: &Plan) -> Plan {
    const LONGER: &str = "the lease lasts longer";
    const AWAY: &str = "the address is another host's from now on";
    let mut plan = Plan::new();
    let kept = |address: &Address| addresses(after).any(|other| other.address == address.address);
    let had_v4 = addresses(before).any(|address| address.address.addr().is_ipv4());
    let keeps_v4 = addresses(before).any(|address| address.address.addr().is_ipv4() && kept(address));
    for op in &before.ops {
        let away = match &op.what {
            What::AddAddress(address) if !kept(address) => What::DeleteAddress(address.clone()),
            // The kernel removes the routes of a device with its last address.
            What::AddRoute(route) if keeps_v4 && is_inside(op) && !after.ops.contains(op) => {
                What::DeleteRoute(route.clone())
            }
            What::AddElement(element) if !after.ops.contains(op) => What::DeleteElement(element.clone()),
            _ => continue,
        };
        plan.push(Op { place: op.place.clone(), what: away, why: AWAY });
    }
    for op in &after.ops {
        let is_v4_route = |op: &Op| {
            matches!(&op.what, What::AddRoute(route) if Family::of(route.to.addr()) == Family::V4) && is_inside(op)
        };
        let what = match &op.what {
            What::AddAddress(address) if addresses(before).any(|other| other.address == address.address) => {
                if before.ops.contains(op) {
                    continue;
                }
                plan.push(Op { place: op.place.clone(), what: What::ChangeAddress(address.clone()), why: LONGER });
                continue;
            }
            _ if before.ops.contains(op) && !(had_v4 && !keeps_v4 && is_v4_route(op)) => continue,
            what => what.clone(),
        };
        plan.push(Op { place: op.place.clone(), what, why: op.why });
    }
    plan
}

fn is_inside(op: &Op) -> bool {
    op.place != Place::Host
}

fn addresses(plan: &Plan) -> impl Iterator<Item = &Address> {
    plan.ops.iter().filter_map(|op| match &op.what {
        What::AddAddress(address) => Some(address),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver;
    use crate::inside::Surroundings;
    use crate::samples::{endpoint, network};
    use crate::{Neighbours, What};
    use zubi_model::{ByDhcp, DhcpLease, Endpoint, Lifetime, Moment, Network, Seconds, StaticRoute, Tenure};
    use zubi_wire::route::AdminState;

    fn lease(address: &str, router: &str) -> ByDhcp {
        let lease = DhcpLease {
            routers: vec![router.parse().unwrap()],
            routes: vec![StaticRoute::new("10.8.0.0/16".parse().unwrap(), Some("192.168.1.7".parse().unwrap()))],
            ..DhcpLease::new(address.parse().unwrap(), "192.168.1.1".parse().unwrap(), Moment(0), Some(Seconds(60)))
        };
        ByDhcp { client: "ff:00".parse().ok(), told: Vec::new(), lease, tenure: Tenure::Held }
    }

    fn lan() -> (Network, Endpoint) {
        let lan = network("lan", &["192.168.1.0/24", "fd00:5::/64"]);
        let mut endpoint = endpoint(&lan);
        endpoint.addresses.remove(0);
        (lan, endpoint)
    }

    fn drawn(network: &Network, endpoint: &Endpoint, neighbours: Neighbours, left: u32) -> Plan {
        let around = Surroundings {
            loopback: AdminState::Up,
            default_in: endpoint.families(),
            displaced: Vec::new(),
            stale: Vec::new(),
            of_host: Vec::new(),
            neighbours,
            lifetime: Lifetime { valid: Some(left), preferred: Some(left) },
            taken: None,
            instance: crate::samples::instance(),
        };
        driver::attach(network, endpoint, &around)
    }

    fn words(plan: &Plan) -> Vec<String> {
        let inside = plan.ops.iter().filter(|op| !matches!(op.what, What::AddElement(_) | What::DeleteElement(_)));
        inside.map(|op| op.to_string().replace("ip -n c1 ", "")).collect()
    }

    #[test]
    fn the_first_lease_adds_what_the_device_lacks_and_tells_the_neighbours() {
        let (lan, before) = lan();
        let after = before.clone().with_lease(lease("192.168.1.50/24", "192.168.1.1"), Moment(0));
        let had = drawn(&lan, &before, Neighbours::AreRight, 60);
        let changed = change(&had, &drawn(&lan, &after, Neighbours::MayBeWrong, 60));
        let words = words(&changed);
        assert_eq!(words[0], "ip netns exec c1 sysctl -qw net.ipv4.conf.eth0.arp_notify=1");
        assert!(words.contains(&"addr add 192.168.1.50/24 dev eth0 valid_lft 60 preferred_lft 60".to_owned()));
        assert!(words.contains(&"route add default via 192.168.1.1 dev eth0 proto 122".to_owned()), "{words:?}");
        assert!(words.contains(&"route add 10.8.0.0/16 via 192.168.1.7 dev eth0 proto 122".to_owned()));
        assert!(words.last().unwrap().starts_with("link set eth0 address "), "{words:?}");
        assert!(!words.iter().any(|word| word.contains("fd00:5::")), "{words:?}");
    }

    #[test]
    fn more_time_changes_the_address_alone() {
        let (lan, endpoint) = lan();
        let endpoint = endpoint.with_lease(lease("192.168.1.50/24", "192.168.1.1"), Moment(0));
        let of = |left| drawn(&lan, &endpoint, Neighbours::AreRight, left);
        let longer = ["addr change 192.168.1.50/24 dev eth0 valid_lft 60 preferred_lft 60"];
        assert_eq!(words(&change(&of(30), &of(60))), longer);
        assert!(change(&of(60), &of(60)).is_empty());
    }

    #[test]
    fn another_router_replaces_the_route() {
        let (lan, endpoint) = lan();
        let of = |router| {
            let endpoint = endpoint.clone().with_lease(lease("192.168.1.50/24", router), Moment(0));
            drawn(&lan, &endpoint, Neighbours::AreRight, 60)
        };
        let changed = words(&change(&of("192.168.1.1"), &of("192.168.1.2")));
        assert_eq!(
            changed,
            [
                "route del default via 192.168.1.1 dev eth0 proto 122",
                "route add default via 192.168.1.2 dev eth0 proto 122"
            ]
        );
    }

    #[test]
    fn another_address_comes_with_all_routes_since_the_kernel_removes_them_with_the_last_one() {
        let (lan, endpoint) = lan();
        let of = |address| {
            let endpoint = endpoint.clone().with_lease(lease(address, "192.168.1.1"), Moment(0));
            drawn(&lan, &endpoint, Neighbours::AreRight, 60)
        };
        assert_eq!(
            words(&change(&of("192.168.1.50/24"), &of("192.168.1.51/24"))),
            [
                "addr del 192.168.1.50/24 dev eth0",
                "addr add 192.168.1.51/24 dev eth0 valid_lft 60 preferred_lft 60",
                "route add default via 192.168.1.1 dev eth0 proto 122",
                "route add 10.8.0.0/16 via 192.168.1.7 dev eth0 proto 122"
            ]
        );
    }

    #[test]
    fn without_a_subnet_mask_the_router_is_on_the_link() {
        let (lan, endpoint) = lan();
        let endpoint = endpoint.with_lease(lease("192.168.1.50/32", "192.168.1.1"), Moment(0));
        let all = words(&drawn(&lan, &endpoint, Neighbours::AreRight, 60));
        for route in ["default via 192.168.1.1", "10.8.0.0/16 via 192.168.1.7"] {
            assert!(all.iter().any(|words| words.contains(route) && words.contains("onlink")), "{all:?}");
        }
    }
}
