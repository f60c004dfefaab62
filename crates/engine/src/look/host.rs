//! Facts of this host that decide how networks are made on it.

use crate::error::Error;
use crate::look::addresses_in_use::is_link_local;
use crate::session::Session;
use ipnet::IpNet;
use zubi_model::Network;
use zubi_plan::Place;
use zubi_plan::driver::HostFacts;
use zubi_plan::forwarding::Ipv6Forwarding;
use zubi_plan::loopback::BridgeNetfilter;
use zubi_snapshot::{Needs, Snapshot};
use zubi_wire::route::AdminState;

/// The way in which this kernel can forward IPv6.
pub(crate) fn ipv6_forwarding(session: &mut Session) -> Result<Ipv6Forwarding, Error> {
    let failed = || Error::kernel("IPv6 settings");
    let force = session.kernel.setting(&Place::Host, "net/ipv6/conf/all/force_forwarding").map_err(failed())?;
    if force.is_some() {
        return Ok(Ipv6Forwarding::Force);
    }
    let mut learning = Vec::new();
    // A host that already forwards has lost its learned routes, or its administrator has taken care of them.
    let forwards = session.kernel.setting(&Place::Host, "net/ipv6/conf/all/forwarding").map_err(failed())?;
    if forwards.as_deref() == Some("1") {
        return Ok(Ipv6Forwarding::Classic { learning });
    }
    for link in session.kernel.links(&Place::Host, None).map_err(failed())? {
        let Ok(name) = link.name.parse::<zubi_model::IfName>() else { continue };
        let key = format!("net/ipv6/conf/{name}/accept_ra");
        let of_a_bridge = link.master.is_some() || link.kind.as_deref() == Some("bridge");
        if link.state == AdminState::Up
            && !link.group.is_ours()
            && !of_a_bridge
            && name != zubi_model::IfName::loopback()
            && session.kernel.setting(&Place::Host, &key).map_err(failed())?.as_deref() == Some("1")
        {
            learning.push(name);
        }
    }
    Ok(Ipv6Forwarding::Classic { learning })
}

/// The host's addresses on the card of a network whose endpoints it is to reach.
pub(crate) fn addresses_on_card(session: &mut Session, network: &Network) -> Result<Vec<IpNet>, Error> {
    if network.macvlan().is_none_or(|part| part.shim.is_none()) {
        return Ok(Vec::new());
    }
    let (card, object) = (network.device().as_str(), format!("network card {}", network.device()));
    let mut host = Snapshot::new();
    session.read(&mut host, &Needs::new().link(&Place::Host, card).addresses(&Place::Host), &object)?;
    let unread = || Error::unread(&object);
    let Some(card) = host.link(&Place::Host, card).map_err(unread())?.map(|card| card.index) else {
        return Ok(Vec::new());
    };
    let own = host.addresses_of(&Place::Host, card).map_err(unread())?;
    Ok(own.iter().map(|own| own.address).filter(|own| !is_link_local(own.addr())).collect())
}

/// The facts of this host that decide how networks are made.
pub(crate) fn host_facts(session: &mut Session) -> Result<HostFacts, Error> {
    let setting = session.kernel.setting(&Place::Host, "net/bridge/bridge-nf-call-iptables");
    let netfilter = match setting.map_err(Error::kernel("bridge netfilter"))?.as_deref() {
        Some("1") => BridgeNetfilter::On,
        _ => BridgeNetfilter::Off,
    };
    Ok(HostFacts { ipv6: ipv6_forwarding(session)?, netfilter, run: session.run_folder() })
}
