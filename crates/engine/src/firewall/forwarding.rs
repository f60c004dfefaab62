//! Whether this host passes on what concerns no bridge, and what it goes back to with the last network.
//!
//! # How it works
//! A network that is routed needs a host that passes packets on. Where that was off, it is written down before it is
//! switched on, and the firewall's set `closed` gets the family: then nothing but what concerns a bridge, or the host's
//! end of a link, is passed on. The set says it too, should the file be lost. When the last network that needs the
//! family goes, the settings go back to what they were, unless somebody came meanwhile who may rely on them: a bridge
//! with an address, a link of the host, a chain with rules in the forward hook.

use crate::config::Forwarding;
use crate::error::Error;
use crate::look::host::ipv6_forwarding;
use crate::session::Session;
use std::net::IpAddr;
use zubi_model::{Family, LinkGroup, LinkPlace, Network};
use zubi_plan::forwarding::{self, IPV4, IPV6, IPV6_FORCE, Ipv6Forwarding};
use zubi_plan::{Op, Place, Plan, Sysctl, What, firewall};
use zubi_store::{Forwarding as Before, Setting, SwitchedOn};
use zubi_wire::nft::Element;

const IPV4_REDIRECTS: &str = "net/ipv4/conf/all/accept_redirects";

const IPV6_FORCE_DEFAULT: &str = "net/ipv6/conf/default/force_forwarding";

pub(crate) const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// What a switch goes back with.
#[derive(Debug, Default)]
pub(crate) struct WayBack {
    /// The settings, before the firewall opens.
    pub(crate) settings: Vec<Op>,
    /// What the firewall forgets, should its table stay.
    pub(crate) elements: Vec<Op>,
}

/// The families that zubi switched on.
fn switched_on(session: &mut Session) -> Result<Vec<Family>, Error> {
    // A file that cannot be read is reported by `check`; the kernel's set says the same.
    let before = session.store().forwarding().unwrap_or_default();
    let seen = session.kernel.elements(firewall::CLOSED).map_err(Error::kernel("firewall"))?;
    let in_set = |family| firewall::closed(family).raw().iter().all(|raw| seen.contains(raw));
    Ok(FAMILIES.into_iter().filter(|family| of(&before, *family).is_some() || in_set(*family)).collect())
}

/// What the firewall holds about families that zubi switched on.
pub(crate) fn closed_elements(session: &mut Session) -> Result<Vec<Element>, Error> {
    match session.config().forwarding {
        Forwarding::Open => Ok(Vec::new()),
        Forwarding::Closed => Ok(switched_on(session)?.into_iter().map(firewall::closed).collect()),
    }
}

/// Puts in front of what makes a router of this host that the firewall drops what concerns no bridge. Gives the families
/// in which this host becomes a router now.
pub(crate) fn close_forwarding(session: &mut Session, plan: &mut Plan) -> Result<Vec<Family>, Error> {
    let switched = forwarding::switched_on(plan);
    if switched.is_empty() || session.config().forwarding == Forwarding::Open {
        return Ok(Vec::new());
    }
    let known = switched_on(session)?;
    let (mut new, mut closed) = (Vec::new(), Vec::new());
    for family in switched {
        if known.contains(&family) {
            closed.push(family);
        } else if !passes_on(session, family)? {
            closed.push(family);
            new.push(family);
        }
    }
    forwarding::close(plan, &closed);
    Ok(new)
}

/// Tells that this host becomes a router for its networks alone.
pub(crate) fn note_closed(session: &mut Session, new: &[Family]) {
    if new.is_empty() {
        return;
    }
    let families: Vec<String> = new.iter().map(ToString::to_string).collect();
    session.note(format!(
        "this host did not pass {} packets on and does now, but only from and to bridges; between its other \
         devices they stay dropped (\"forwarding\": \"open\" in the settings lets them pass)",
        families.join(" and ")
    ));
}

/// What is to be known for the way back, before a family is switched on, or when what was written down is lost.
pub(crate) fn switched_on_before(session: &mut Session, family: Family) -> Result<SwitchedOn, Error> {
    let on = passes_on(session, family)?;
    let beside = if on { Vec::new() } else { others_that_forward(session, family, None)? };
    Ok(SwitchedOn { before: settings_before(session, family)?, beside })
}

fn settings_before(session: &mut Session, family: Family) -> Result<Vec<Setting>, Error> {
    let on = passes_on(session, family)?;
    let setting = |key: &str, value: &str| Setting { key: key.into(), value: value.into() };
    let mut all = Vec::new();
    match family {
        Family::V4 => {
            all.push(setting(IPV4, "0"));
            // The switch changes this one with it, both ways (inet_forward_change in net/ipv4/devinet.c).
            let redirects = host_setting(session, IPV4_REDIRECTS)?.filter(|_| !on);
            all.extend(redirects.map(|value| setting(IPV4_REDIRECTS, &value)));
        }
        Family::V6 => match ipv6_forwarding(session)? {
            Ipv6Forwarding::Force => {
                let default = host_setting(session, IPV6_FORCE_DEFAULT)?.filter(|_| !on);
                all.push(setting(IPV6_FORCE, "0"));
                all.push(setting(IPV6_FORCE_DEFAULT, default.as_deref().unwrap_or("0")));
            }
            Ipv6Forwarding::Classic { learning } => {
                all.push(setting(IPV6, "0"));
                all.extend(
                    learning
                        .iter()
                        .map(|device| Sysctl::ipv6_device(device, "accept_ra", 1))
                        .map(|s| setting(&s.key, &s.value)),
                );
            }
        },
    }
    Ok(all)
}

/// What takes forwarding back in the families that no network needs, except one that is being removed.
pub(crate) fn forwarding_back(session: &mut Session, leaving: Option<&Network>) -> Result<WayBack, Error> {
    const BACK: &str = "nobody needs it any more: as it was before the first network";
    const ELEMENT: &str = "and the firewall need not keep strangers out any more";
    let unneeded = unneeded_without(session, leaving);
    let mut back = WayBack::default();
    for family in switched_on(session)?.into_iter().filter(|family| unneeded.contains(family)) {
        let delete = What::DeleteElement(firewall::closed(family));
        back.elements.push(Op::host(delete, ELEMENT));
        if session.config().forwarding == Forwarding::Open {
            continue;
        }
        let known = of(&session.store().forwarding().unwrap_or_default(), family).cloned();
        let known = match known {
            Some(known) => known,
            None => switched_on_before(session, family)?,
        };
        // One that was there before did without.
        let come = others_that_forward(session, family, leaving)?.into_iter().find(|who| !known.beside.contains(who));
        if let Some(who) = come {
            let switch = switch_off(session, family)?;
            session.note(format!(
                "{family} forwarding stays on: {who} came meanwhile and may rely on it ({switch} switches it off)"
            ));
            continue;
        }
        let settings = known.before.into_iter().map(|Setting { key, value }| What::Set(Sysctl::new(key, value)));
        back.settings.extend(settings.map(|what| Op::host(what, BACK)));
    }
    Ok(back)
}

/// Behind that: nothing is to be put back any more.
pub(crate) fn forget_forwarding(session: &mut Session, unneeded: &[Family]) -> Result<(), Error> {
    // One that cannot be read is left to be looked at, and keeps nobody from his work.
    let Ok(mut before) = session.store().forwarding() else { return Ok(()) };
    let there = before.clone();
    for family in unneeded {
        *slot(&mut before, *family) = None;
    }
    if before != there {
        session.store().write_forwarding(&before)?;
    }
    Ok(())
}

/// The families that no network needs this host to pass on, but for one. What cannot be read may need all.
pub(crate) fn unneeded_without(session: &Session, network: Option<&Network>) -> Vec<Family> {
    let (mut others, unreadable) = session.store().networks_lossy();
    others.retain(|other| network.is_none_or(|network| other.name != network.name));
    let unneeded =
        |family: &Family| unreadable.is_empty() && !others.iter().any(|other| other.needs_forwarding(*family));
    FAMILIES.into_iter().filter(unneeded).collect()
}

/// Who beside our networks may need this host to pass packets on, in words. The addresses that a network leaves on
/// a bridge of somebody else tell nothing.
fn others_that_forward(session: &mut Session, family: Family, leaving: Option<&Network>) -> Result<Vec<String>, Error> {
    let failed = || Error::kernel("forwarding");
    let addresses = session.kernel.addresses(&Place::Host, None).map_err(failed())?;
    let links = session.kernel.links(&Place::Host, None).map_err(failed())?;
    let routed = |address: IpAddr| match address {
        IpAddr::V4(_) => family == Family::V4,
        IpAddr::V6(address) => family == Family::V6 && !address.is_unicast_link_local(),
    };
    let left = |bridge: &str, address| {
        let own = leaving.filter(|network| network.device().as_str() == bridge);
        own.is_some_and(|network| network.pools.iter().any(|pool| pool.host_address() == Some(address)))
    };
    let bridges = links.iter().filter(|link| {
        link.kind.as_deref() == Some("bridge")
            && link.group != LinkGroup::OURS
            && addresses
                .iter()
                .any(|a| a.device == link.index && routed(a.address.addr()) && !left(&link.name, a.address))
    });
    let mut all: Vec<String> = bridges.map(|bridge| format!("bridge {}", bridge.name)).collect();
    let links = session.store().links_lossy().0;
    let of_host = links.iter().filter(|link| link.ends.iter().any(|end| end.place == LinkPlace::Host));
    all.extend(of_host.map(|link| format!("link {link}")));
    let strangers = session.kernel.foreign_rules().map_err(failed())?;
    all.extend(strangers.filtering(family).map(|chain| format!("chain {chain}")));
    Ok(all)
}

/// Whether this host passes packets of a family on.
fn passes_on(session: &mut Session, family: Family) -> Result<bool, Error> {
    let keys: &[&str] = if family == Family::V4 { &[IPV4] } else { &[IPV6, IPV6_FORCE] };
    for key in keys {
        if host_setting(session, key)?.as_deref() == Some("1") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The command that switches it off.
fn switch_off(session: &mut Session, family: Family) -> Result<Sysctl, Error> {
    let key = match family {
        Family::V4 => IPV4,
        Family::V6 if ipv6_forwarding(session)? == Ipv6Forwarding::Force => IPV6_FORCE,
        Family::V6 => IPV6,
    };
    Ok(Sysctl::new(key, "0"))
}

fn host_setting(session: &mut Session, key: &str) -> Result<Option<String>, Error> {
    session.kernel.setting(&Place::Host, key).map_err(Error::kernel("forwarding"))
}

pub(crate) fn of(before: &Before, family: Family) -> Option<&SwitchedOn> {
    match family {
        Family::V4 => before.ipv4.as_ref(),
        Family::V6 => before.ipv6.as_ref(),
    }
}

pub(crate) fn slot(before: &mut Before, family: Family) -> &mut Option<SwitchedOn> {
    match family {
        Family::V4 => &mut before.ipv4,
        Family::V6 => &mut before.ipv6,
    }
}
