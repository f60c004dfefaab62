//! The default route of a sandbox, per family: which of its endpoints gives it.

use std::cmp::Reverse;
use std::net::IpAddr;
use zubi_model::{DefaultRoute, DisplacedRoute, Endpoint, Family, Network, NetworkName};
use zubi_wire::route::Route;

/// The families in which an endpoint gives the default route. Of the endpoints that may give it, the newest of those that
/// replace others does, else the oldest; a default route of another program (`taken`) stays.
pub fn default_families(endpoint: &Endpoint, siblings: &[Endpoint], taken: &[Family]) -> Vec<Family> {
    let provided = |family| {
        siblings
            .iter()
            .any(|s| s.default_route.allows(family) && way_out(s, family).is_some() && rank(s) < rank(endpoint))
    };
    [Family::V4, Family::V6]
        .into_iter()
        .filter(|f| endpoint.default_route.allows(*f) && way_out(endpoint, *f).is_some())
        .filter(|f| !provided(*f) && !taken.contains(f))
        .collect()
}

/// The first of these gives the default route.
fn rank(endpoint: &Endpoint) -> (bool, Reverse<u64>, u64, &NetworkName) {
    let (at, network) = (endpoint.attached_at, &endpoint.network);
    match endpoint.default_route {
        DefaultRoute::Replaces => (false, Reverse(at), 0, network),
        DefaultRoute::Eligible | DefaultRoute::EligibleIn(_) | DefaultRoute::Never => (true, Reverse(0), at, network),
    }
}

/// What a sandbox has for a default route once an endpoint no longer gives it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heirs {
    /// The default routes of other programs that come back.
    pub restored: Vec<DisplacedRoute>,
    /// The endpoints that give it in other families.
    pub successors: Vec<(Endpoint, Vec<Family>)>,
}

/// The heirs of an endpoint. Another one that replaces default routes goes before those that come back.
pub fn heirs(endpoint: &Endpoint, siblings: &[Endpoint], taken: &[Family]) -> Heirs {
    let given = default_families(endpoint, siblings, taken);
    let mut successors = successors(endpoint, siblings, taken);
    let displaces = |family: Family| {
        successors
            .iter()
            .any(|(next, families)| next.default_route == DefaultRoute::Replaces && families.contains(&family))
    };
    let of = |displaced: &DisplacedRoute| Family::of(displaced.route.to.addr());
    let comes_back = |displaced: &&DisplacedRoute| given.contains(&of(displaced)) && !displaces(of(displaced));
    let restored: Vec<DisplacedRoute> = endpoint.displaced.iter().filter(comes_back).cloned().collect();
    for (_, families) in &mut successors {
        families.retain(|family| !restored.iter().any(|displaced| of(displaced) == *family));
    }
    successors.retain(|(_, families)| !families.is_empty());
    Heirs { restored, successors }
}

/// The endpoints of the same sandbox that give the default route once this one no longer does, each with its families.
fn successors(endpoint: &Endpoint, siblings: &[Endpoint], taken: &[Family]) -> Vec<(Endpoint, Vec<Family>)> {
    let given = default_families(endpoint, siblings, taken);
    let succeeds = |candidate: &Endpoint| {
        let others: Vec<Endpoint> = siblings.iter().filter(|e| e.network != candidate.network).cloned().collect();
        let mut families = default_families(candidate, &others, &[]);
        families.retain(|f| given.contains(f));
        (!families.is_empty()).then(|| (candidate.clone(), families))
    };
    siblings.iter().filter_map(succeeds).collect()
}

/// The wish as far as the network allows it.
pub fn may_default(network: &Network, wish: DefaultRoute) -> DefaultRoute {
    if network.gives_default_route() { wish } else { DefaultRoute::Never }
}

/// The way out of an endpoint's subnets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By a gateway.
    Via(IpAddr),
    /// By the device, whatever the destination is.
    Device,
}

/// The way out by an endpoint in a family: the first gateway that it knows.
fn way_out(endpoint: &Endpoint, family: Family) -> Option<Way> {
    let mut gateways = endpoint.addresses.iter().filter_map(|a| a.gateway);
    let gateway = gateways.find(|gateway| Family::of(*gateway) == family).map(Way::Via);
    gateway.or_else(|| (endpoint.needs_no_gateway() && endpoint.address(family).is_some()).then_some(Way::Device))
}

/// The default routes that an endpoint gives in these families.
pub(crate) fn default_routes<'a>(endpoint: &'a Endpoint, families: &'a [Family]) -> impl Iterator<Item = Route> + 'a {
    families.iter().filter_map(|family| Some((*family, way_out(endpoint, *family)?))).map(|(family, way)| {
        let device = endpoint.ifname.clone();
        let mut route = match way {
            Way::Via(gateway) => Route::default_via(gateway, device),
            Way::Device => Route::default_by(family, device),
        };
        route.options.metric = endpoint.traits.metric;
        // Without a subnet mask a server's routers are on the link all the same.
        route.options.on_link = route.via.is_some_and(|gateway| match endpoint.default_route {
            DefaultRoute::Replaces => !is_near(endpoint, gateway),
            DefaultRoute::Eligible | DefaultRoute::EligibleIn(_) | DefaultRoute::Never => {
                endpoint.lease().is_some_and(|lease| gateway.is_ipv4() && !lease.is_on_link(gateway))
            }
        });
        route
    })
}

/// Whether the endpoint is in a subnet of the gateway.
fn is_near(endpoint: &Endpoint, gateway: IpAddr) -> bool {
    let is_link_local = matches!(gateway, IpAddr::V6(gateway) if gateway.is_unicast_link_local());
    is_link_local || endpoint.addresses.iter().any(|own| own.address.contains(&gateway))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{endpoint, network};
    use zubi_model::{Device, IpvlanMode, OnIpvlan, OnParent};

    fn attached(name: &str, subnets: &[&str], at: u64) -> Endpoint {
        Endpoint { attached_at: at, ..endpoint(&network(name, subnets)) }
    }

    #[test]
    fn the_oldest_endpoint_that_may_gives_it() {
        let blue = attached("blue", &["10.55.66.0/24"], 1);
        let green = attached("green", &["10.55.67.0/24", "fd00:67::/64"], 2);
        assert_eq!(default_families(&blue, std::slice::from_ref(&green), &[]), [Family::V4]);
        assert_eq!(default_families(&green, std::slice::from_ref(&blue), &[]), [Family::V6]);
        let never = Endpoint { default_route: DefaultRoute::Never, ..blue.clone() };
        assert_eq!(default_families(&green, &[never], &[]), [Family::V4, Family::V6]);
        assert_eq!(default_families(&blue, &[green], &[Family::V4]), []);
    }

    #[test]
    fn only_a_family_that_an_endpoint_gives_has_a_successor() {
        let blue = attached("blue", &["10.55.66.0/24"], 1);
        let green = attached("green", &["10.55.67.0/24", "fd00:67::/64"], 2);
        let red = attached("red", &["10.55.68.0/24"], 3);
        let siblings = [green.clone(), red];
        assert_eq!(successors(&blue, &siblings, &[]), [(green, vec![Family::V4])]);
        assert_eq!(successors(&blue, &siblings, &[Family::V4]), []);
    }

    #[test]
    fn behind_the_hosts_routes_the_device_is_the_way_out() {
        let mut far = attached("far", &["10.1.0.0/24", "fd00:1::/64"], 1);
        for address in &mut far.addresses {
            address.gateway = None;
        }
        assert_eq!(default_families(&far, &[], &[]), []);
        let on = |mode| {
            let ipvlan = Some(OnIpvlan { key: far.mac, mode });
            Device::Macvlan(OnParent { parent: "lan0".parse().unwrap(), shim: None, ipvlan, vlan: None })
        };
        let near = Endpoint { device: on(IpvlanMode::L2), ..far.clone() };
        assert_eq!(default_families(&near, &[], &[]), []);
        far.device = on(IpvlanMode::L3s);
        let families = default_families(&far, &[], &[]);
        let routes: Vec<String> = default_routes(&far, &families).map(|route| route.to_string()).collect();
        assert_eq!(routes, ["default dev eth0 proto 122", "default dev eth0 proto 122"]);
        // A gateway that is given is used all the same.
        far.addresses[0].gateway = Some("10.1.0.1".parse().unwrap());
        let first = default_routes(&far, &families).next().unwrap().to_string();
        assert_eq!(first, "default via 10.1.0.1 dev eth0 proto 122");
    }

    #[test]
    fn the_newest_endpoint_that_replaces_default_routes_gives_it() {
        let replaces = |name: &str, subnet: &str, at| Endpoint {
            default_route: DefaultRoute::Replaces,
            displaced: vec![DisplacedRoute {
                device: "ppp0".parse().unwrap(),
                route: zubi_model::StaticRoute::new("0.0.0.0/0".parse().unwrap(), Some("192.0.2.1".parse().unwrap())),
            }],
            ..attached(name, &[subnet], at)
        };
        let blue = attached("blue", &["10.55.66.0/24"], 1);
        let green = replaces("green", "10.55.67.0/24", 2);
        let red = replaces("red", "10.55.68.0/24", 3);
        let all = [blue.clone(), green.clone(), red.clone()];
        let gives = |endpoint: &Endpoint| {
            let siblings: Vec<Endpoint> = all.iter().filter(|e| e.network != endpoint.network).cloned().collect();
            default_families(endpoint, &siblings, &[])
        };
        assert_eq!([gives(&blue), gives(&green), gives(&red)], [vec![], vec![], vec![Family::V4]]);
        // What the older one displaced too comes back behind it.
        let next = Heirs { successors: vec![(green.clone(), vec![Family::V4])], ..Heirs::default() };
        assert_eq!(heirs(&red, &all[..2], &[]), next);
        let back = Heirs { restored: green.displaced.clone(), ..Heirs::default() };
        assert_eq!(heirs(&green, &all[..1], &[]), back);
        assert_eq!(heirs(&green, &[blue.clone(), red], &[]), Heirs::default());
        // Somebody has made another one meanwhile.
        assert_eq!(heirs(&green, &[blue], &[Family::V4]), Heirs::default());
    }

    #[test]
    fn a_gateway_of_no_subnet_is_on_the_link_for_an_endpoint_that_replaces() {
        let mut alone = attached("blue", &["10.55.66.0/24"], 1);
        alone.default_route = DefaultRoute::Replaces;
        let on_link = |endpoint: &Endpoint| default_routes(endpoint, &[Family::V4]).next().unwrap().options.on_link;
        assert!(!on_link(&alone));
        alone.addresses[0].gateway = Some("192.0.2.1".parse().unwrap());
        assert!(on_link(&alone));
    }

    #[test]
    fn an_internal_network_allows_none() {
        let blue = network("blue", &["10.55.66.0/24"]);
        assert_eq!(may_default(&blue, DefaultRoute::Eligible), DefaultRoute::Eligible);
        let internal = Network { scope: zubi_model::Scope::Internal, ..blue };
        assert_eq!(may_default(&internal, DefaultRoute::Eligible), DefaultRoute::Never);
    }
}
