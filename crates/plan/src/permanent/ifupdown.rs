//! A file of Debian's ifupdown: interfaces(5). It needs no package beside it: the bridge is made by `ip`.

use super::host::{ConfigFile, Host, Lines, Method, Side, add_address, add_route, is_plain_address, metric};
use zubi_model::{Family, IfName};

pub(super) fn path(bridge: &IfName) -> String {
    format!("/etc/network/interfaces.d/{bridge}")
}

pub(super) fn files(host: &Host<'_>) -> Vec<ConfigFile> {
    vec![ConfigFile { path: path(host.bridge), mode: 0o644, text: text(host) }]
}

pub(super) fn notes(host: &Host<'_>) -> Vec<String> {
    vec![format!(
        "In /etc/network/interfaces, delete what is there for {}, and keep: source /etc/network/interfaces.d/*",
        host.card
    )]
}

fn text(host: &Host<'_>) -> String {
    let (bridge, card) = (host.bridge, host.card);
    let mut text = Lines(format!("auto {bridge}\n"));
    let method = |side: &Side<'_>| match (side.method, side.family) {
        (Method::Automatic, Family::V4) => "dhcp",
        (Method::Automatic, Family::V6) => "auto",
        (Method::Fixed, _) if side.addresses.first().is_some_and(is_plain_address) => "static",
        (Method::Fixed | Method::LinkLocal | Method::None, _) => "manual",
    };
    text.say(format_args!("iface {bridge} inet {}", method(&host.v4)));
    text.say(format_args!(
        "    pre-up ip link show dev {bridge} > /dev/null 2>&1 || ip link add {bridge} address {} type bridge stp_state 0 \
         forward_delay 0 mcast_snooping 0",
        host.part.mac
    ));
    if let Some(mtu) = host.network.mtu {
        text.say(format_args!("    pre-up ip link set {bridge} mtu {}", mtu.bytes()));
    }
    // A port with a link-local address of its own would answer for it beside the bridge.
    text.say(format_args!("    pre-up ip link set {card} addrgenmode none"));
    text.say(format_args!("    pre-up ip link set {card} up master {bridge}"));
    if method(&host.v4) == "manual" {
        text.say(format_args!("    up ip link set {bridge} up"));
    }
    let servers: Vec<String> = host.servers.iter().map(ToString::to_string).collect();
    for (number, side) in [&host.v4, &host.v6].into_iter().enumerate() {
        if number > 0 {
            if matches!(side.method, Method::LinkLocal | Method::None) {
                continue;
            }
            text.say(format_args!("\niface {bridge} inet6 {}", method(side)));
        }
        let mut addresses = side.addresses.iter();
        if method(side) == "static"
            && let Some(first) = addresses.next()
        {
            text.say(format_args!("    address {}", first.address));
            if let Some(via) = side.gateway.filter(|gateway| metric(gateway).is_none()).and_then(|gateway| gateway.via)
            {
                text.say(format_args!("    gateway {via}"));
            }
        }
        if number == 0 && !servers.is_empty() {
            text.say(format_args!("    dns-nameservers {}", servers.join(" ")));
        }
        for held in addresses {
            text.say(format_args!("    up {}", add_address(bridge, held)));
        }
        let is_said = method(side) == "static" && side.gateway.is_some_and(|gateway| metric(gateway).is_none());
        for route in side.gateway.into_iter().filter(|_| !is_said).chain(side.routes.iter().copied()) {
            text.say(format_args!("    up {}", add_route(bridge, route)));
        }
        for rule in host.rules.iter().filter(|_| number == 0) {
            text.say(format_args!("    up {rule}"));
        }
    }
    text.0
}
