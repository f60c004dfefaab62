//! `zubi ls`, and the text for an endpoint.

use crate::cells::{published as published_json, shortened};
use crate::output::Output;
use crate::table::render;
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

/// Lists endpoints, and below them other rows, each with its JSON.
pub(crate) fn endpoints(session: &mut Session, more: Vec<(Vec<String>, Value)>, output: &Output) -> Result<(), Error> {
    let mut rows = Vec::new();
    let mut all = Vec::new();
    for v in session.endpoints()? {
        let e = &v.endpoint;
        let addresses: Vec<String> = e.addresses.iter().map(|a| a.address.to_string()).collect();
        let number = |i: Option<zubi_model::IfIndex>| i.map_or_else(|| "-".to_owned(), |i| i.0.to_string());
        let default: Vec<&str> = v.default_in.iter().map(|f| if *f == Family::V4 { "v4" } else { "v6" }).collect();
        let ports: Vec<String> = e.ports.iter().map(ToString::to_string).collect();
        rows.push(vec![
            shortened(&e.sandbox.spelled).to_owned(),
            e.network.to_string(),
            format!("{}@{}", e.ifname, number(v.peer_index)),
            addresses.join(","),
            e.mac.to_string(),
            e.host_device().map_or_else(|| "-".to_owned(), |device| format!("{device}@{}", number(v.host_index))),
            default.join(","),
            ports.join(","),
        ]);
        all.push(json!({
            "sandbox": e.sandbox.spelled,
            "network": e.network.as_str(),
            "addresses": addresses,
            "mac": e.mac.to_string(),
            "ifname": e.ifname.as_str(),
            "ifindex": v.peer_index.map(|i| i.0),
            "host_device": e.host_device().map(IfName::as_str),
            "host_ifindex": v.host_index.map(|i| i.0),
            "bridge": e.network_device().map(IfName::as_str),
            "default_route": default,
            "aliases": e.aliases.iter().map(Alias::as_str).collect::<Vec<_>>(),
            "ports": e.ports.iter().map(|p| published_json(e, p)).collect::<Vec<_>>(),
        }));
    }
    for (row, json) in more {
        rows.push(row);
        all.push(json);
    }
    let head = ["SANDBOX", "NETWORK", "DEVICE", "ADDRESSES", "MAC", "HOST-DEVICE", "DEFAULT", "PORTS"];
    output.listed(&render(&head, &rows), &Value::Array(all))
}
