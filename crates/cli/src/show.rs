//! `zubi ls`, and the text for an endpoint.

use crate::cells::{published as published_json, shortened};
use crate::output::Output;
use crate::words::LsWords;
use serde_json::{Value, json};
use zubi_engine::{Attached, Attachment, Error, Session};
use zubi_model::{Alias, Family, IfName};

/// The text and the JSON for an attached endpoint.
pub(crate) fn attached(attached: &Attached) -> (String, Value) {
    let e = &attached.endpoint;
    let addresses: Vec<String> = e.addresses.iter().map(|a| a.address.to_string()).collect();
    let families: Vec<String> = attached.default_in.iter().map(ToString::to_string).collect();
    let default =
        if families.is_empty() { String::new() } else { format!(", default route ({})", families.join(", ")) };
    let ports: Vec<String> = e.ports.iter().map(ToString::to_string).collect();
    let published = if ports.is_empty() { String::new() } else { format!(", published {}", ports.join(" ")) };
    let again = if attached.attachment == Attachment::Existing { " (was connected already)" } else { "" };
    let text = format!(
        "{}: {} {} {} on {}{default}{published}{again}",
        e.sandbox.spelled,
        e.ifname,
        addresses.join(" "),
        e.mac,
        e.network
    );
    let json = json!({
        "sandbox": e.sandbox.spelled,
        "network": e.network.as_str(),
        "ifname": e.ifname.as_str(),
        "mac": e.mac.to_string(),
        "addresses": addresses,
        "gateways": e.addresses.iter().filter_map(|a| Some(a.gateway?.to_string())).collect::<Vec<_>>(),
        "host_device": e.host_device().map(IfName::as_str),
        "default_route": families,
        "ports": e.ports.iter().map(|p| published_json(e, p)).collect::<Vec<_>>(),
        "existing": attached.attachment == Attachment::Existing,
    });
    (text, json)
}

/// Lists endpoints, and below them other rows, each with its JSON. The table of a name of usual length fits 80 columns;
/// `wide` adds what a person seldom needs.
pub(crate) fn endpoints(
    session: &mut Session,
    words: &LsWords,
    more: Vec<(Vec<String>, Value)>,
    output: &Output,
) -> Result<(), Error> {
    let mut rows = Vec::new();
    let mut all = Vec::new();
    for v in session.endpoints()? {
        let e = &v.endpoint;
        let recorded = e.addresses.iter().map(|a| a.address);
        let addresses: Vec<String> = recorded.chain(v.advertised.iter().copied()).map(|a| a.to_string()).collect();
        // As `ip` writes it: behind the @ is the number of the other end.
        let device = |name: &IfName, other: Option<zubi_model::IfIndex>| match other {
            Some(index) => format!("{name}@if{}", index.0),
            None => name.to_string(),
        };
        let default: Vec<&str> = v.default_in.iter().map(|f| if *f == Family::V4 { "v4" } else { "v6" }).collect();
        let ports: Vec<String> = e.ports.iter().map(ToString::to_string).collect();
        let mut row = vec![
            shortened(&e.sandbox.spelled).to_owned(),
            e.network.to_string(),
            v.state.word().to_owned(),
            device(&e.ifname, v.host_index),
            addresses.join(","),
        ];
        if words.wide {
            let host_device = match (e.host_device(), e.device.parent()) {
                (Some(name), _) => device(name, v.peer_index),
                (None, parent) => parent.map_or_else(|| "-".to_owned(), ToString::to_string),
            };
            row.extend([e.mac.to_string(), host_device, default.join(",")]);
        }
        row.push(ports.join(","));
        rows.push(row);
        all.push(json!({
            "sandbox": e.sandbox.spelled,
            "network": e.network.as_str(),
            "state": v.state.word(),
            "addresses": addresses,
            "mac": e.mac.to_string(),
            "ifname": e.ifname.as_str(),
            "ifindex": v.peer_index.map(|i| i.0),
            "host_device": e.host_device().map(IfName::as_str),
            "host_ifindex": v.host_index.map(|i| i.0),
            "bridge": e.network_device().or(e.device.ovs_bridge()).map(IfName::as_str),
            "parent": e.device.parent().map(IfName::as_str),
            "default_route": default,
            "aliases": e.aliases.iter().map(Alias::as_str).collect::<Vec<_>>(),
            "ports": e.ports.iter().map(|p| published_json(e, p)).collect::<Vec<_>>(),
        }));
    }
    for (row, json) in more {
        rows.push(row);
        all.push(json);
    }
    let mut head = vec!["SANDBOX", "NETWORK", "STATE", "DEVICE", "ADDRESSES"];
    if words.wide {
        head.extend(["MAC", "HOST-DEVICE", "DEFAULT"]);
    }
    head.push("PORTS");
    output.table(&head, &rows, &all)
}
