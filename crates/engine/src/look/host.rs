//! Facts of this host that decide how networks are made on it.

use crate::error::Error;
use crate::session::Session;
use zubi_plan::Place;
use zubi_plan::driver::HostFacts;
use zubi_plan::forwarding::Ipv6Forwarding;
use zubi_plan::loopback::BridgeNetfilter;
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

/// The facts of this host that decide how networks are made.
pub(crate) fn host_facts(session: &mut Session) -> Result<HostFacts, Error> {
    let setting = session.kernel.setting(&Place::Host, "net/bridge/bridge-nf-call-iptables");
    let netfilter = match setting.map_err(Error::kernel("bridge netfilter"))?.as_deref() {
        Some("1") => BridgeNetfilter::On,
        _ => BridgeNetfilter::Off,
    };
    Ok(HostFacts { ipv6: ipv6_forwarding(session)?, netfilter, run: session.run_folder() })
}
