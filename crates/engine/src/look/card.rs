//! What the host has on a network card, and who manages the card.

use crate::error::Error;
use crate::look::dhcp_client::resident_client;
use crate::session::Session;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use zubi_kernel::HoldingsSeen;
use zubi_model::{CardMode, Holdings, IfIndex, IfName, StaticRoute};
use zubi_plan::Place;
use zubi_plan::driver::UPLINK_SETTINGS;

/// What to do about a program that manages the card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Managed {
    /// The card is refused.
    Refused,
    /// A DHCP client is going to end. Other programs are in the way.
    Replaced,
    /// The user has seen to it.
    Ignored,
}

/// Reads what the host has on a card. Refuses a card that cannot be taken over as a whole, and one that another program
/// manages.
pub(crate) fn refuse_card(session: &mut Session, card: &IfName, managed: Managed) -> Result<HoldingsSeen, Error> {
    let no = |why: String| Err(Error::Card { card: card.clone(), why });
    let object = || format!("network card {card}");
    refuse_wireless(card, "bridge")?;
    let seen = session.kernel.holdings(card, UPLINK_SETTINGS).map_err(Error::kernel(object()))?;
    if let Some((what, why)) = seen.beyond.first() {
        return no(format!("has {what}, which {why}: that cannot move to a bridge; replace it by a plain one"));
    }
    let index = session.kernel.link(&Place::Host, card.as_str()).map_err(Error::kernel(object()))?.map(|l| l.index);
    let Some(index) = index.filter(|_| managed != Managed::Ignored) else { return Ok(seen) };
    let is_replaced = managed == Managed::Replaced && resident_client(index, card).is_some_and(|c| c.can_be_replaced());
    if let Some(manager) = manager(index, card).filter(|_| !is_replaced) {
        return no(format!("is managed by {}, which would take it back; {}", manager.name, manager.way_out));
    }
    Ok(seen)
}

/// Refuses a card that sends frames with its own MAC only. `what`: a device with other MACs.
pub(crate) fn refuse_wireless(card: &IfName, what: &str) -> Result<(), Error> {
    let of_card = Path::new("/sys/class/net").join(card.as_str());
    if !["wireless", "phy80211"].iter().any(|file| of_card.join(file).exists()) {
        return Ok(());
    }
    let why = format!(
        "is a wireless station: access points take frames with its own MAC only, so no {what} works on it; ipvlan does"
    );
    Err(Error::Card { card: card.clone(), why })
}

/// Fails if the kernel, or the card, does not take devices of a mode.
pub(crate) fn require_devices(
    session: &mut Session,
    card: Option<&IfName>,
    mode: CardMode,
    object: &str,
) -> Result<(), Error> {
    match (mode, card) {
        (CardMode::Macvlan(_), Some(card)) => refuse_wireless(card, "macvlan"),
        (CardMode::Macvlan(_), None) => Ok(()),
        // Some kernels have bridges and macvlans only.
        (CardMode::Ipvlan(_) | CardMode::Vlan(_), _) => {
            session.kernel.require_kind(mode.kind()).map_err(Error::kernel(object))
        }
    }
}

/// The neighbour by which an address is reached: itself on the link, or the router.
pub(crate) fn routers_of(held: &Holdings, address: Option<IpAddr>) -> Vec<IpAddr> {
    let Some(address) = address else { return Vec::new() };
    let on_link = held.addresses.iter().any(|own| own.address.contains(&address));
    let mut routes: Vec<&StaticRoute> = held.routes.iter().filter(|route| route.to.contains(&address)).collect();
    routes.sort_by_key(|route| std::cmp::Reverse(route.to.prefix_len()));
    if on_link { vec![address] } else { routes.into_iter().find_map(|route| route.via).into_iter().collect() }
}

/// A program that manages a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manager {
    /// Its name, with its process number if it is known.
    pub(crate) name: String,
    /// What to do, as the end of a sentence.
    pub(crate) way_out: String,
}

/// The program that manages a card: it would give the card addresses again.
fn manager(IfIndex(index): IfIndex, card: &IfName) -> Option<Manager> {
    let read = |path: String| fs::read_to_string(path).ok();
    let networkd = read(format!("/run/systemd/netif/links/{index}")).filter(|text| is_managed_by_networkd(text));
    if networkd.is_some() {
        return Some(Manager {
            name: "systemd-networkd".into(),
            way_out: format!(
                "make it leave the card: a file /run/systemd/network/05-zubi.network with [Match] Name={card} and \
                 [Link] Unmanaged=yes, then networkctl reload; or --force"
            ),
        });
    }
    let nm = read(format!("/run/NetworkManager/devices/{index}")).filter(|text| is_managed_by_nm(text));
    if nm.is_some() {
        return Some(Manager {
            name: "NetworkManager".into(),
            way_out: format!("nmcli device set {card} managed no; or --force"),
        });
    }
    let client = resident_client(IfIndex(index), card)?;
    let (name, pid) = (&client.name, client.pid);
    let take = if client.can_be_replaced() { "--take-lease renews its lease in its place; or " } else { "" };
    Some(Manager {
        name: format!("{name} (pid {pid})"),
        way_out: format!("{take}end it first: the address stays until its lease ends (kill {pid}); or --force"),
    })
}

fn is_managed_by_networkd(text: &str) -> bool {
    let state = text.lines().find_map(|line| line.strip_prefix("ADMIN_STATE="));
    matches!(state, Some("configuring" | "configured" | "pending" | "failed"))
}

fn is_managed_by_nm(text: &str) -> bool {
    text.lines().any(|line| line.trim() == "managed=true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_is_known_by_its_state_files() {
        assert!(is_managed_by_networkd("# This is private data.\nADMIN_STATE=configured\nOPER_STATE=routable\n"));
        assert!(!is_managed_by_networkd("ADMIN_STATE=unmanaged\n"));
        assert!(is_managed_by_nm("[device]\nmanaged=true\n") && !is_managed_by_nm("[device]\nmanaged=unknown\n"));
    }

    #[test]
    fn an_address_is_reached_by_itself_or_by_the_router() {
        let mut held = Holdings::default();
        held.addresses.push(zubi_model::HeldAddress {
            address: "192.0.2.5/24".parse().unwrap(),
            options: zubi_model::AddressOptions::default(),
        });
        let route = |to: &str, via: &str| StaticRoute::new(to.parse().unwrap(), Some(via.parse().unwrap()));
        held.routes = vec![route("0.0.0.0/0", "192.0.2.1"), route("10.0.0.0/8", "192.0.2.2")];
        let by = |address: &str| routers_of(&held, Some(address.parse().unwrap()));
        assert_eq!(by("192.0.2.77"), ["192.0.2.77".parse::<IpAddr>().unwrap()]);
        assert_eq!(by("10.1.1.1"), ["192.0.2.2".parse::<IpAddr>().unwrap()]);
        assert_eq!(by("198.51.100.1"), ["192.0.2.1".parse::<IpAddr>().unwrap()]);
        assert!(routers_of(&held, None).is_empty());
    }
}
