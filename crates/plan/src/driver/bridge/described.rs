//! Bridges that another program describes: who owns them.

use crate::Presence;
use crate::driver::bridge::recognise::recognise_network;
use crate::driver::found::Unusable;
use zubi_model::{BridgeDescription, BridgeMode, BridgeNetwork, ForeignBridge, Mac};
use zubi_wire::route::LinkSeen;

pub(in crate::driver) fn first_described(
    described: &BridgeDescription,
    mac: Mac,
    seen: Option<&LinkSeen>,
) -> Result<BridgeNetwork, Unusable> {
    Ok(described.first(mac, mode(described, None, seen)?))
}

/// Who owns the bridge, or would own it. `old`: the bridge of the network before the description.
pub(in crate::driver) fn mode(
    described: &BridgeDescription,
    old: Option<&BridgeNetwork>,
    seen: Option<&LinkSeen>,
) -> Result<BridgeMode, Unusable> {
    let Some(found) = seen else {
        return match described.foreign {
            ForeignBridge::Adopted => Ok(BridgeMode::Managed),
            ForeignBridge::Required => Err(Unusable::NoDevice),
        };
    };
    let managed = old.filter(|old| old.mode == BridgeMode::Managed);
    if managed.is_some_and(|old| recognise_network(old, seen) == Presence::Ours) {
        return Ok(BridgeMode::Managed);
    }
    match (found.kind.as_deref(), described.foreign) {
        (Some("bridge"), ForeignBridge::Adopted) => Ok(BridgeMode::Adopted),
        (Some("bridge"), ForeignBridge::Required) => Ok(BridgeMode::Unmanaged),
        _ => Err(Unusable::OtherKind(found.kind.clone())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::seen;
    use zubi_model::{Hairpin, Promiscuity};

    fn described(foreign: ForeignBridge) -> BridgeDescription {
        BridgeDescription {
            device: "cni0".parse().unwrap(),
            foreign,
            icc: None,
            ingress: None,
            hairpin: Hairpin::Published,
            promiscuity: Promiscuity::Off,
        }
    }

    #[test]
    fn a_bridge_is_whose_it_was() {
        let mac = Mac::from_random([1; 6]);
        let bridge = LinkSeen { mac: Some(mac), ..seen("cni0", "bridge") };
        let dummy = seen("cni0", "dummy");
        let [may_adopt, requires] = [ForeignBridge::Adopted, ForeignBridge::Required].map(described);
        let ours = may_adopt.first(mac, BridgeMode::Managed);
        let adopted = may_adopt.first(mac, BridgeMode::Adopted);
        assert_eq!(mode(&may_adopt, None, None), Ok(BridgeMode::Managed));
        assert_eq!(mode(&requires, None, None), Err(Unusable::NoDevice));
        assert_eq!(mode(&may_adopt, None, Some(&bridge)), Ok(BridgeMode::Adopted));
        assert_eq!(mode(&requires, None, Some(&bridge)), Ok(BridgeMode::Unmanaged));
        assert_eq!(mode(&may_adopt, Some(&ours), Some(&bridge)), Ok(BridgeMode::Managed));
        assert_eq!(mode(&may_adopt, Some(&adopted), Some(&bridge)), Ok(BridgeMode::Adopted));
        assert_eq!(mode(&may_adopt, None, Some(&dummy)), Err(Unusable::OtherKind(Some("dummy".into()))));
        let first = first_described(&may_adopt, mac, Some(&bridge)).unwrap();
        assert_eq!(first, adopted);
    }
}
