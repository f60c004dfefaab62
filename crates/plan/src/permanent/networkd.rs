//! Files of systemd-networkd: systemd.netdev(5), systemd.network(5).

use super::host::{ConfigFile, Host, Lines, Method, Side, metric};
use zubi_model::{IfName, StaticRoute};

/// networkd takes the first file, by its name, that fits a device: this is before the usual ones.
const FIRST: &str = "05";

pub(super) fn paths(bridge: &IfName, card: &IfName) -> [String; 3] {
    let path = |rest: String| format!("/etc/systemd/network/{FIRST}-{rest}");
    [path(format!("{bridge}.netdev")), path(format!("{bridge}.network")), path(format!("{bridge}-{card}.network"))]
}

pub(super) fn files(host: &Host<'_>) -> Vec<ConfigFile> {
    let texts = [netdev(host), bridge(host), port(host)];
    let files = paths(host.bridge, host.card).into_iter().zip(texts);
    files.map(|(path, text)| ConfigFile { path, mode: 0o644, text }).collect()
}

/// networkd always says an id to DHCP servers: by default one that no other client says.
pub(super) fn notes(host: &Host<'_>) -> Vec<String> {
    let id = host.part.host_client.as_ref().and_then(|client| client.id.as_ref());
    let note = |id| {
        format!(
            "The DHCP server knows this host as {id}, and networkd says its MAC instead: the address may be another one."
        )
    };
    id.map(note).into_iter().collect()
}

fn netdev(host: &Host<'_>) -> String {
    let mtu = host.network.mtu.map_or_else(String::new, |mtu| format!("MTUBytes={}\n", mtu.bytes()));
    format!(
        "[NetDev]\nName={}\nKind=bridge\nMACAddress={}\n{mtu}\n[Bridge]\nSTP=no\nForwardDelaySec=0\nMulticastSnooping=no\n",
        host.bridge, host.part.mac
    )
}

fn port(host: &Host<'_>) -> String {
    format!("[Match]\nName={}\n\n[Network]\nBridge={}\nLinkLocalAddressing=no\n", host.card, host.bridge)
}

fn bridge(host: &Host<'_>) -> String {
    let yes = |is: bool| if is { "yes" } else { "no" };
    let dhcp = host.v4.method == Method::Automatic;
    let mut text = Lines(format!("[Match]\nName={}\n\n[Network]\n", host.bridge));
    if dhcp {
        text.say(format_args!("DHCP=ipv4"));
    }
    text.say(format_args!("IPv6AcceptRA={}", yes(host.v6.method == Method::Automatic)));
    if host.v6.method == Method::None {
        text.say(format_args!("LinkLocalAddressing=no"));
    }
    for server in &host.servers {
        text.say(format_args!("DNS={server}"));
    }
    for side in [&host.v4, &host.v6] {
        for held in side.plain_addresses() {
            text.say(format_args!("Address={}", held.address));
        }
    }
    if dhcp {
        text.say(format_args!("\n[DHCPv4]\nClientIdentifier=mac"));
    }
    text.0 + &routes(&host.v4) + &routes(&host.v6)
}

fn routes(side: &Side<'_>) -> String {
    side.gateway.into_iter().chain(side.plain_routes()).map(route).collect()
}

fn route(route: &StaticRoute) -> String {
    let options = route.options;
    let words = [
        (route.to.prefix_len() > 0).then(|| format!("Destination={}", route.to)),
        route.via.map(|via| format!("Gateway={via}")),
        metric(route).map(|metric| format!("Metric={metric}")),
        options.table.map(|table| format!("Table={table}")),
        options.source.map(|source| format!("PreferredSource={source}")),
        options.on_link.then(|| "GatewayOnLink=yes".to_owned()),
        options.mtu.map(|mtu| format!("MTUBytes={mtu}")),
    ];
    let lines: Vec<String> = words.into_iter().flatten().collect();
    format!("\n[Route]\n{}\n", lines.join("\n"))
}
