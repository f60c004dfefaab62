//! Profiles of NetworkManager, as it stores them itself: nm-settings-keyfile(5). It reads them at boot, or after `nmcli
//! connection reload`.

use super::host::{ConfigFile, Host, Lines, Method, Side, metric};
use std::net::IpAddr;
use zubi_model::{Family, IfName};

pub(super) fn paths(bridge: &IfName, card: &IfName) -> [String; 2] {
    let path = |rest: String| format!("/etc/NetworkManager/system-connections/{rest}.nmconnection");
    [path(bridge.to_string()), path(format!("{bridge}-{card}"))]
}

/// NetworkManager ignores profiles that others may read.
pub(super) fn files(host: &Host<'_>) -> Vec<ConfigFile> {
    let files = paths(host.bridge, host.card).into_iter().zip([bridge(host), port(host)]);
    files.map(|(path, text)| ConfigFile { path, mode: 0o600, text }).collect()
}

/// The priority is higher than that of any profile that the card has so far.
fn port(host: &Host<'_>) -> String {
    format!(
        "[connection]\nid={0}-{1}\ntype=ethernet\ninterface-name={1}\nmaster={0}\nslave-type=bridge\n\
         autoconnect-priority=999\n",
        host.bridge, host.card
    )
}

fn bridge(host: &Host<'_>) -> String {
    let mtu = host.network.mtu.map_or_else(String::new, |mtu| format!("[ethernet]\nmtu={}\n\n", mtu.bytes()));
    format!(
        "[connection]\nid={0}\ntype=bridge\ninterface-name={0}\nautoconnect-slaves=1\n\n{mtu}[bridge]\nmac-address={1}\n\
         stp=false\nforward-delay=0\nmulticast-snooping=false\n\n[ipv4]\n{2}\n[ipv6]\n{3}",
        host.bridge,
        host.part.mac,
        side(&host.v4, &host.servers, host),
        side(&host.v6, &host.servers, host),
    )
}

fn side(side: &Side<'_>, servers: &[IpAddr], host: &Host<'_>) -> String {
    let method = match (side.method, side.family) {
        (Method::Automatic, _) => "auto",
        (Method::Fixed, _) => "manual",
        (Method::LinkLocal, _) => "link-local",
        (Method::None, _) => "disabled",
    };
    let mut text = Lines(format!("method={method}\n"));
    if side.method == Method::None {
        return text.0;
    }
    for (number, held) in (1..).zip(side.plain_addresses()) {
        text.say(format_args!("address{number}={}", held.address));
    }
    if let Some(gateway) = side.gateway {
        if let Some(via) = gateway.via {
            text.say(format_args!("gateway={via}"));
        }
        if let Some(metric) = metric(gateway) {
            text.say(format_args!("route-metric={metric}"));
        }
    }
    for (number, route) in (1..).zip(side.plain_routes()) {
        let via = route.via.map_or_else(String::new, |via| format!(",{via}"));
        let nowhere = if side.family == Family::V4 { ",0.0.0.0" } else { ",::" };
        match metric(route) {
            Some(metric) if via.is_empty() => text.say(format_args!("route{number}={}{nowhere},{metric}", route.to)),
            Some(metric) => text.say(format_args!("route{number}={}{via},{metric}", route.to)),
            None => text.say(format_args!("route{number}={}{via}", route.to)),
        }
        let options = route.options;
        let words = [
            options.table.map(|table| format!("table={table}")),
            options.source.map(|source| format!("src={source}")),
            options.on_link.then(|| "onlink=true".to_owned()),
            options.mtu.map(|mtu| format!("mtu={mtu}")),
        ];
        let words: Vec<String> = words.into_iter().flatten().collect();
        if !words.is_empty() {
            text.say(format_args!("route{number}_options={}", words.join(",")));
        }
    }
    let own: Vec<String> =
        servers.iter().filter(|server| Family::of(**server) == side.family).map(ToString::to_string).collect();
    if !own.is_empty() {
        text.say(format_args!("dns={};", own.join(";")));
    }
    let id = host.part.host_client.as_ref().filter(|_| side.family == Family::V4).and_then(|client| client.id.as_ref());
    if let Some(id) = id {
        text.say(format_args!("dhcp-client-id={id}"));
    }
    text.0
}
