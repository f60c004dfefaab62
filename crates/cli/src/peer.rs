//! `zubi peer`.

use crate::bridge::{addresses, owner};
use crate::output::Output;
use serde_json::json;
use zubi_engine::{Error, Owner, PeerView, Session};

/// Tells where the other end of a veth is.
pub(crate) fn peer(session: &mut Session, device: &str, output: &Output) -> Result<(), Error> {
    let view = session.peer(device)?;
    let behind = view.behind.as_ref();
    let far = behind.and_then(|behind| behind.device.as_ref());
    let json = json!({
        "device": view.device,
        "ifindex": view.index.0,
        "master": view.master,
        "owner": behind.map(|behind| owner(&behind.owner)),
        "peer": {
            "device": far.map(|far| &far.name),
            "ifindex": view.peer_index.map(|index| index.0),
            "mac": far.and_then(|far| far.mac).map(|mac| mac.to_string()),
            "state": far.and_then(|far| far.state).map(|state| state.to_string()),
            "addresses": far.map(addresses).unwrap_or_default(),
        },
    });
    output.listed(&[text(&view)], &json)
}

fn text(view: &PeerView) -> String {
    let index = view.peer_index.map_or_else(|| "?".to_owned(), |index| index.0.to_string());
    let master = view.master.as_ref().map(|master| format!(" (port of {master})")).unwrap_or_default();
    let near = format!("{}@{}{master}", view.device, view.index.0);
    let Some(behind) = &view.behind else { return format!("{near}: its other end is gone") };
    let Some(far) = &behind.device else {
        let whose = match &behind.owner {
            Owner::Hidden(id) => {
                format!(
                    "in a namespace that no process and no name seen from here leads to (ip netns list-id: {})",
                    id.0
                )
            }
            owner => format!("of {owner}, which cannot be entered"),
        };
        return format!("{near}: its other end is device {index} {whose}");
    };
    let mut words = vec![format!("{near}: {}@{index} of {}", far.name, behind.owner)];
    words.extend(far.state.map(|state| state.to_string()));
    words.extend(far.mac.map(|mac| mac.to_string()));
    words.extend(addresses(far));
    words.join(" ")
}
