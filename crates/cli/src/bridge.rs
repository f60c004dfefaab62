//! `zubi bridge`, and the rows of `zubi ls --all`: bridges of any program, and who is behind their ports.

use crate::cells::shortened;
use crate::output::Output;
use crate::words::{BridgeCommand, BridgeWords, LsWords};
use serde_json::{Value, json};
use zubi_engine::{Behind, BridgeView, Error, FarDevice, Owner, PortView, Session, Switch};
use zubi_model::{Mac, NetworkName};

/// `zubi bridge`.
pub(crate) fn bridge(session: &mut Session, words: &BridgeWords, output: &Output) -> Result<(), Error> {
    match &words.command {
        None => show(session, None, output),
        Some(BridgeCommand::Show { bridge }) => show(session, bridge.as_deref(), output),
        Some(BridgeCommand::Fdb { bridge }) => forwarding(session, bridge.as_deref(), output),
    }
}

fn show(session: &mut Session, only: Option<&str>, output: &Output) -> Result<(), Error> {
    let bridges = session.bridges(only)?;
    let mut rows = Vec::new();
    for bridge in &bridges {
        let mut first = vec![
            bridge.name.clone(),
            bridge.bridge.map_or_else(|| "-".to_owned(), |seen| seen.id.to_string()),
            bridge.bridge.map_or("-", |seen| if seen.stp == Switch::On { "yes" } else { "no" }).to_owned(),
            bridge.state.to_string(),
            bridge.network.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
        ];
        for port in &bridge.ports {
            let blank = vec![String::new(); first.len()];
            let mut row = std::mem::replace(&mut first, blank);
            row.extend([port.device.clone(), port.state.to_string(), port.behind.as_ref().map_or("-".into(), behind)]);
            rows.push(row);
        }
        if bridge.ports.is_empty() {
            rows.push(first);
        }
    }
    let head = ["BRIDGE", "ID", "STP", "STATE", "NETWORK", "PORT", "STATE", "OWNER"];
    output.table(&head, &rows, &bridges.iter().map(bridge_json).collect::<Vec<_>>())
}

fn bridge_json(bridge: &BridgeView) -> Value {
    json!({
        "bridge": bridge.name,
        "ifindex": bridge.index.0,
        "mac": bridge.mac,
        "id": bridge.bridge.map(|seen| seen.id.to_string()),
        "stp": bridge.bridge.map(|seen| seen.stp == Switch::On),
        "state": bridge.state.to_string(),
        "network": bridge.network.as_ref().map(NetworkName::as_str),
        "ports": bridge.ports.iter().map(port_json).collect::<Vec<_>>(),
    })
}

fn port_json(port: &PortView) -> Value {
    let behind = port.behind.as_ref();
    let sandbox = behind.and_then(|behind| match &behind.owner {
        Owner::Sandbox(spelled) => Some(spelled),
        _ => None,
    });
    let device = behind.and_then(|behind| behind.device.as_ref());
    json!({
        "device": port.device,
        "ifindex": port.index.0,
        "state": port.state.to_string(),
        "sandbox": sandbox,
        "ifname": device.map(|device| &device.name),
        "owner": behind.map(|behind| owner(&behind.owner)),
    })
}

fn forwarding(session: &mut Session, only: Option<&str>, output: &Output) -> Result<(), Error> {
    let entries = session.forwarding(only)?;
    let row = |entry: &zubi_engine::ForwardingView| {
        vec![
            entry.bridge.clone(),
            entry.mac.to_string(),
            entry.port.clone(),
            entry.vlan.map_or_else(|| "-".to_owned(), |vlan| vlan.to_string()),
            entry.origin.to_string(),
            entry.owner.as_ref().map_or_else(|| "-".to_owned(), |owner| shortened(&owner.to_string()).to_owned()),
        ]
    };
    let json = |entry: &zubi_engine::ForwardingView| {
        json!({
            "bridge": entry.bridge,
            "mac": entry.mac.to_string(),
            "port": entry.port,
            "vlan": entry.vlan,
            "kind": entry.origin.to_string(),
            "owner": entry.owner.as_ref().map(owner),
        })
    };
    let head = ["BRIDGE", "MAC", "PORT", "VLAN", "KIND", "OWNER"];
    let rows: Vec<_> = entries.iter().map(row).collect();
    output.table(&head, &rows, &entries.iter().map(json).collect::<Vec<_>>())
}

/// The rows of `zubi ls --all` for what zubi has no record of, each with its JSON.
pub(crate) fn foreign_rows(session: &mut Session, words: &LsWords) -> Result<Vec<(Vec<String>, Value)>, Error> {
    let mut all = Vec::new();
    for bridge in session.bridges(None)? {
        for port in &bridge.ports {
            let Some(behind) = port.behind.as_ref().filter(|b| !matches!(b.owner, Owner::Sandbox(_))) else { continue };
            all.push((row(&bridge, port, behind, words), row_json(&bridge, port, behind)));
        }
    }
    Ok(all)
}

fn row(bridge: &BridgeView, port: &PortView, behind: &Behind, words: &LsWords) -> Vec<String> {
    let dash = || "-".to_owned();
    let device = behind.device.as_ref();
    // As `ip` writes it: behind the @ is the number of the other end.
    let mut row = vec![
        shortened(&behind.owner.to_string()).to_owned(),
        format!("({})", bridge.name),
        port.state.to_string(),
        device.map_or_else(dash, |device| format!("{}@if{}", device.name, port.index.0)),
        device.map(|device| addresses(device).join(",")).unwrap_or_default(),
    ];
    if words.wide {
        let peer = device.and_then(|device| device.index).map(|index| format!("@if{}", index.0)).unwrap_or_default();
        let mac = device.and_then(|device| device.mac).map_or_else(dash, |mac| mac.to_string());
        row.extend([mac, format!("{}{peer}", port.device), String::new()]);
    }
    row.push(String::new());
    row
}

/// The same fields as an endpoint's, and the owner.
fn row_json(bridge: &BridgeView, port: &PortView, behind: &Behind) -> Value {
    let device = behind.device.as_ref();
    json!({
        "sandbox": behind.owner.to_string(),
        "network": null,
        "addresses": device.map(addresses).unwrap_or_default(),
        "mac": device.and_then(|device| device.mac.as_ref().map(Mac::to_string)),
        "ifname": device.map(|device| &device.name),
        "ifindex": device.and_then(|device| device.index).map(|index| index.0),
        "host_device": port.device,
        "host_ifindex": port.index.0,
        "bridge": bridge.name,
        "owner": owner(&behind.owner),
    })
}

/// Who is behind a port, and by which device.
fn behind(behind: &Behind) -> String {
    let owner = behind.owner.to_string();
    let device = behind.device.as_ref().map(|device| format!(" {}", device.name)).unwrap_or_default();
    format!("{}{device}", shortened(&owner))
}

/// The addresses of a device, as text.
pub(crate) fn addresses(device: &FarDevice) -> Vec<String> {
    device.addresses.iter().map(ToString::to_string).collect()
}

/// An owner in JSON: `kind` and `text` always, the rest by kind.
pub(crate) fn owner(owner: &Owner) -> Value {
    let mut json = match owner {
        Owner::Sandbox(spelled) => json!({"kind": "sandbox", "sandbox": spelled}),
        Owner::Container { runtime, id, name, pid } => {
            json!({"kind": "container", "runtime": runtime, "id": id, "name": name, "pid": pid})
        }
        Owner::Process { pid, command, file } => {
            json!({"kind": "process", "pid": pid, "command": command, "namespace": file})
        }
        Owner::Namespace(file) => json!({"kind": "namespace", "namespace": file}),
        Owner::Host => json!({"kind": "host"}),
        Owner::Hidden(id) => json!({"kind": "hidden", "netnsid": id.0}),
    };
    json["text"] = owner.to_string().into();
    json
}
