//! Endpoints as an engine would make them from attachments, as far as the answer shows them.

use std::net::IpAddr;
use zubi_model::{
    Addressing, Device, Endpoint, EndpointAddress, EndpointId, Mac, MacWish, NameService, NetnsCookie, NetworkId,
    NsRef, PortWish, PublishedPort, SandboxIdentity, Wishes,
};
use zubi_netavark::{Attached, Attachment, Target, reply};

/// The answer that Podman would get.
pub fn answer(attachments: &[Attachment]) -> String {
    let endpoints: Vec<Endpoint> = attachments.iter().map(endpoint).collect();
    let name_servers: Vec<Vec<IpAddr>> = attachments.iter().map(name_servers).collect();
    let attached: Vec<Attached<'_>> = attachments
        .iter()
        .zip(&endpoints)
        .zip(&name_servers)
        .map(|((a, endpoint), name_servers)| Attached {
            name: &a.name,
            endpoint,
            dns_servers: &a.dns_servers,
            name_servers,
        })
        .collect();
    reply(&attached)
}

/// With a daemon that answers.
fn name_servers(attachment: &Attachment) -> Vec<IpAddr> {
    let Target::Described(description) = &attachment.network else { return Vec::new() };
    let is_on = description.naming.service == NameService::On;
    description.pools.iter().filter(|_| is_on).filter_map(|pool| Some(pool.host_address()?.addr())).collect()
}

fn endpoint(attachment: &Attachment) -> Endpoint {
    let Wishes { called, ifname, mac, default_route, .. } = attachment.wishes.clone();
    let addresses = addresses(attachment);
    let first = addresses.first().map(|a| a.address.addr());
    Endpoint {
        id: EndpointId::from_random([8; 32]),
        network: attachment.network.name().clone(),
        network_id: NetworkId::from_random([7; 32]),
        sandbox: SandboxIdentity {
            cookie: NetnsCookie(4711),
            spelled: called.unwrap(),
            reached_by: NsRef::Path("/run/netns/c".into()),
        },
        ifname: ifname.unwrap(),
        mac: match (mac, first) {
            (MacWish::Given(mac), _) => mac,
            (MacWish::FromAddress, Some(first)) => Mac::from_address(first),
            _ => Mac::from_random([1; 6]),
        },
        next_mac: None,
        handed_over: None,
        dhcp: None,
        device: Device::pair(
            "zv0123456789".parse().unwrap(),
            match &attachment.network {
                Target::Described(description) => description.driver.device().cloned(),
                Target::Named(_) => None,
            }
            .unwrap_or_else(|| "zb-blue".parse().unwrap()),
        ),
        addresses,
        routes: attachment.wishes.routes.clone(),
        default_route,
        displaced: Vec::new(),
        aliases: attachment.wishes.aliases.clone(),
        name_servers: attachment.wishes.name_servers.clone(),
        name_files: zubi_model::NameFiles::default(),
        ports: attachment.wishes.ports.iter().map(published).collect(),
        traits: attachment.wishes.traits,
        attached_at: 0,
    }
}

/// Every zubi network is 10.55.66.0/24 and fd00:55::/64 here.
fn addresses(attachment: &Attachment) -> Vec<EndpointAddress> {
    if let Addressing::Given(given) = &attachment.wishes.addressing {
        return given.clone();
    }
    let of_zubi = |address: &str, gateway: &str| EndpointAddress {
        address: address.parse().unwrap(),
        gateway: Some(gateway.parse().unwrap()),
    };
    let mut all = vec![of_zubi("10.55.66.2/24", "10.55.66.1"), of_zubi("fd00:55::2/64", "fd00:55::1")];
    for asked in &attachment.wishes.addresses {
        let one = all.iter_mut().find(|a| a.address.addr().is_ipv4() == asked.is_ipv4()).unwrap();
        one.address = format!("{asked}/{}", one.address.prefix_len()).parse().unwrap();
    }
    all
}

fn published(wish: &PortWish) -> PublishedPort {
    let zubi_model::HostPorts::Each(host_ports) = wish.host_ports else { panic!("{wish}: Podman names the ports") };
    PublishedPort { host: wish.host, host_ports, target: wish.target, protocol: wish.protocol }
}
