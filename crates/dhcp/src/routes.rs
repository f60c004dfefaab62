//! Routes in options: routers, static routes, classless routes.

use crate::hosts::{hosts_in, is_host};
use crate::options::{Options, code};
use ipnet::{IpNet, Ipv4Net};
use std::net::{IpAddr, Ipv4Addr};
use zubi_model::StaticRoute;

/// Where packets go that are for no host of the network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Routes {
    /// For everything outside, the preferred one first.
    pub(crate) routers: Vec<Ipv4Addr>,
    /// Routes besides.
    pub(crate) further: Vec<StaticRoute>,
}

impl Routes {
    /// Classless routes replace both older options (RFC 3442), unless they cannot be read.
    pub(crate) fn from_options(options: &Options) -> Self {
        options
            .get(code::CLASSLESS_ROUTES)
            .and_then(Routes::classless)
            .unwrap_or_else(|| Routes { routers: hosts_in(options, code::ROUTERS), further: to_hosts(options) })
    }

    /// RFC 3442: prefix length, as many bytes of the destination as it needs, next hop. Next hop 0.0.0.0: on the link.
    fn classless(mut bytes: &[u8]) -> Option<Routes> {
        let mut routes = Routes::default();
        while let Some((length, rest)) = bytes.split_first() {
            let (significant, rest) = rest.split_at_checked(usize::from(length.div_ceil(8)))?;
            let (hop, rest) = rest.split_first_chunk::<4>()?;
            let mut destination = [0; 4];
            destination.get_mut(..significant.len())?.copy_from_slice(significant);
            // Bits behind the prefix are to be ignored.
            let to = Ipv4Net::new(destination.into(), *length).ok()?.trunc();
            let via = Some(Ipv4Addr::from(*hop)).filter(|hop| !hop.is_unspecified());
            match via {
                Some(via) if *length == 0 => routes.routers.push(via),
                via => routes.further.push(StaticRoute::new(IpNet::V4(to), via.map(IpAddr::V4))),
            }
            bytes = rest;
        }
        Some(routes)
    }
}

/// Static routes (option 33) have no mask; each is for one host.
fn to_hosts(options: &Options) -> Vec<StaticRoute> {
    let addresses: Vec<Ipv4Addr> = options.addresses(code::STATIC_ROUTES).collect();
    let pairs = addresses.chunks_exact(2).filter(|pair| is_host(pair[0]) && is_host(pair[1]));
    pairs.map(|pair| StaticRoute::new(IpAddr::V4(pair[0]).into(), Some(pair[1].into()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn older() -> Options {
        Options::default().with(3, &[192, 168, 1, 1]).with(33, &[10, 9, 9, 9, 192, 168, 1, 2])
    }

    fn further(routes: &Routes) -> Vec<String> {
        routes.further.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn classless_routes_replace_routers_and_static_routes() {
        let routes = Routes::from_options(&older());
        assert_eq!(routes.routers, [Ipv4Addr::new(192, 168, 1, 1)]);
        assert_eq!(further(&routes), ["10.9.9.9/32,192.168.1.2"]);
        // Prefix lengths 0, 24, 25 with bits behind it, and 16 on the link.
        let classless = [
            0, 192, 168, 1, 254, 24, 10, 8, 7, 192, 168, 1, 3, 25, 129, 210, 177, 132, 192, 168, 1, 4, 16, 172, 16, 0,
            0, 0, 0,
        ];
        let routes = Routes::from_options(&older().with(121, &classless));
        assert_eq!(routes.routers, [Ipv4Addr::new(192, 168, 1, 254)]);
        let wanted = ["10.8.7.0/24,192.168.1.3", "129.210.177.128/25,192.168.1.4", "172.16.0.0/16"];
        assert_eq!(further(&routes), wanted);
    }

    #[test]
    fn everything_on_the_link_is_a_route_without_router() {
        let routes = Routes::from_options(&older().with(121, &[0, 0, 0, 0, 0]));
        assert_eq!((&routes.routers[..], further(&routes)), (&[][..], vec!["0.0.0.0/0".to_owned()]));
    }

    #[test]
    fn classless_routes_that_cannot_be_read_replace_nothing() {
        for broken in [&[33, 1, 1, 1, 1, 1, 192, 168, 1, 1][..], &[24, 10, 8, 7, 192, 168], &[200], &[255; 40]] {
            let routes = Routes::from_options(&older().with(121, broken));
            assert_eq!(routes, Routes::from_options(&older()), "{broken:?}");
        }
    }
}
