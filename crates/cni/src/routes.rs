//! Configured routes in the model's words.

use crate::error::CniError;
use crate::intent::{Switch, Wire};
use crate::result::Route;
use ipnet::IpNet;
use std::net::IpAddr;
use zubi_model::{DefaultRoute, Endpoint, Family, RouteOptions, StaticRoute};

/// The first gateway of each family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Gateways {
    v4: Option<IpAddr>,
    v6: Option<IpAddr>,
}

impl Gateways {
    /// The first of these in each family.
    pub fn first_of(gateways: impl IntoIterator<Item = IpAddr>) -> Self {
        let mut all = Gateways::default();
        for gateway in gateways {
            let place = if gateway.is_ipv4() { &mut all.v4 } else { &mut all.v6 };
            place.get_or_insert(gateway);
        }
        all
    }

    /// The gateway of a family.
    pub fn of(self, family: Family) -> Option<IpAddr> {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }
}

/// Refuses routes whose destination has host bits set.
pub(crate) fn without_host_bits(routes: Vec<Route>) -> Result<Vec<Route>, CniError> {
    match routes.iter().find(|r| r.dst != r.dst.trunc()) {
        Some(route) => {
            let why = format!("has host bits set; did you mean {}?", route.dst.trunc());
            Err(CniError::config("routes", route.dst, why))
        }
        None => Ok(routes),
    }
}

impl Wire {
    /// Turns the routes into wishes, once the gateways are known.
    ///
    /// A default route through the gateway becomes [`DefaultRoute`], so that another endpoint of the sandbox may
    /// provide it. Any other route becomes a [`StaticRoute`].
    pub(crate) fn settle_routes(&mut self, gateways: Gateways) {
        let mut allowed: Vec<Family> = Vec::new();
        let mut metric: Option<Option<u32>> = None;
        let mut further = Vec::new();
        for route in &self.routes {
            let family = route.family();
            let gateway = gateways.of(family);
            let by_gateway = gateway.is_some() && (route.gw.is_none() || route.gw == gateway);
            let plain = route.mtu.is_none() && route.advmss.is_none() && route.table.is_none() && route.scope.is_none();
            let same_metric = metric.is_none_or(|m| m == route.priority);
            if route.is_default() && by_gateway && plain && same_metric && !allowed.contains(&family) {
                allowed.push(family);
                metric = Some(route.priority);
            } else if !(route.is_default() && by_gateway && plain && same_metric) {
                further.push(static_route(route, gateway));
            }
        }
        if self.default_gateway == Switch::On {
            for family in [Family::V4, Family::V6] {
                let given = self.routes.iter().any(|r| r.is_default_by(family, gateways.of(family)));
                if !given && gateways.of(family).is_some() {
                    allowed.push(family);
                }
            }
        }
        self.wishes.default_route = match allowed.as_slice() {
            [] => DefaultRoute::Never,
            [only] => DefaultRoute::EligibleIn(*only),
            _ => DefaultRoute::Eligible,
        };
        self.wishes.traits.metric = metric.flatten();
        self.wishes.routes = further;
    }

    /// The routes that a result lists: the configured ones, those of a DHCP lease, then the default routes of
    /// `isDefaultGateway`.
    pub(crate) fn listed_routes(&self, endpoint: &Endpoint) -> Vec<Route> {
        let mut listed = self.routes.clone();
        if let Some(lease) = endpoint.lease() {
            let further = lease.routes.iter().filter(|route| route.to.prefix_len() > 0);
            listed.extend(further.map(|route| Route::new(route.to, route.via)));
        }
        if self.default_gateway == Switch::Off {
            return listed;
        }
        let gateways = Gateways::first_of(endpoint.addresses.iter().filter_map(|a| a.gateway));
        for family in [Family::V4, Family::V6].into_iter().filter(|f| endpoint.default_route.allows(*f)) {
            let Some(gateway) = gateways.of(family) else { continue };
            if !listed.iter().any(|r| r.is_default_by(family, Some(gateway))) {
                listed.push(Route::new(everything(family), Some(gateway)));
            }
        }
        listed
    }
}

impl Route {
    /// Whether this is the default route of a family through its gateway.
    fn is_default_by(&self, family: Family, gateway: Option<IpAddr>) -> bool {
        // RT_TABLE_MAIN in linux/rtnetlink.h
        let in_main = self.table.is_none_or(|table| table == 254);
        self.is_default() && self.family() == family && in_main && (self.gw.is_none() || self.gw == gateway)
    }
}

/// A route without a next hop uses the gateway.
fn static_route(route: &Route, gateway: Option<IpAddr>) -> StaticRoute {
    StaticRoute {
        to: route.dst,
        via: route.gw.or(gateway),
        options: RouteOptions {
            metric: route.priority,
            table: route.table,
            scope: route.scope,
            mtu: route.mtu,
            advmss: route.advmss,
            ..RouteOptions::default()
        },
    }
}

fn everything(family: Family) -> IpNet {
    IpNet::new_assert(family.unspecified(), 0)
}
