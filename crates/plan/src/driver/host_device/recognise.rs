//! Which device is the one that an endpoint has.

use crate::Presence;
use zubi_model::{Endpoint, MovedDevice};
use zubi_wire::route::LinkSeen;

/// By its MAC, the endpoint's or its own, under any name. One without a MAC by its name.
pub(in crate::driver) fn recognise_inner_end(
    endpoint: &Endpoint,
    moved: &MovedDevice,
    seen: Option<&LinkSeen>,
) -> Presence {
    Presence::of(seen, |seen| is_moved(endpoint, moved, seen))
}

/// Whether a device, in the sandbox or on the host, is the one that an endpoint has or is to have.
pub fn is_moved(endpoint: &Endpoint, moved: &MovedDevice, seen: &LinkSeen) -> bool {
    let is_marked = match moved.mac {
        Some(own) => seen.mac == Some(own) || endpoint.macs().any(|mac| seen.mac == Some(mac)),
        None => [&endpoint.ifname, &moved.name].iter().any(|name| name.as_str() == seen.name),
    };
    is_marked && seen.kind == moved.device_kind && seen.name != "lo"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{endpoint, network, seen};
    use zubi_model::Mac;

    #[test]
    fn a_device_is_known_by_its_kind_and_one_of_its_macs() {
        let endpoint = endpoint(&network("blue", &["10.55.66.0/24"]));
        let own = Mac::from_random([3; 6]);
        let moved = |kind: Option<&str>, mac| MovedDevice {
            device_kind: kind.map(str::to_owned),
            mac,
            ..MovedDevice::unseen("eth1".parse().unwrap())
        };
        let hardware = moved(None, Some(own));
        let link =
            |name: &str, kind: Option<&str>, mac| LinkSeen { mac, kind: kind.map(str::to_owned), ..seen(name, "any") };
        assert!(is_moved(&endpoint, &hardware, &link("eth1", None, Some(own))));
        assert!(is_moved(&endpoint, &hardware, &link("dev7", None, Some(endpoint.mac))));
        assert!(!is_moved(&endpoint, &hardware, &link("eth1", Some("macvlan"), Some(own))));
        assert!(!is_moved(&endpoint, &hardware, &link("eth1", None, Some(Mac::from_random([4; 6])))));
        let tunnel = moved(Some("wireguard"), None);
        assert!(is_moved(&endpoint, &tunnel, &link("eth1", Some("wireguard"), None)));
        assert!(!is_moved(&endpoint, &tunnel, &link("wg7", Some("wireguard"), None)));
    }
}
