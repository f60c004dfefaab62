//! Forwarding on this host: zubi switches it on for its networks, limits it to bridges, and restores the old settings
//! with the last network.
//!
//! # How it works
//! A routed network needs a host that forwards packets. Where forwarding was off, the old settings are recorded before
//! it is switched on, and the firewall's set `closed` gets the family: then only packets from and to bridges, or the
//! host's end of a link, are forwarded. The set stands in for the record should the file be lost. When the last network
//! that needs the family goes, the settings return to their old values, unless something that may rely on forwarding
//! was added meanwhile: a bridge with an address, a link of the host, a chain with rules in the forward hook.

use crate::error::Error;
use crate::look::host::ipv6_forwarding;
use crate::session::Session;
use crate::settings::Forwarding;
use std::net::IpAddr;
use zubi_model::{Family, LinkGroup, LinkPlace, Network};
use zubi_plan::forwarding::{self, IPV4, IPV6, IPV6_FORCE, Ipv6Forwarding};
use zubi_plan::{Op, Place, Plan, Sysctl, What, firewall};
use zubi_store::{Forwarding as Before, Setting, SwitchedOn};
use zubi_wire::nft::Element;

const IPV4_REDIRECTS: &str = "net/ipv4/conf/all/accept_redirects";

const IPV6_FORCE_DEFAULT: &str = "net/ipv6/conf/default/force_forwarding";

pub(crate) const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// The operations that undo the switch.
#[derive(Debug, Default)]
pub(crate) struct WayBack {
    /// The settings. They come first: the firewall must not open while the host still forwards.
    pub(crate) settings: Vec<Op>,
    /// The elements to delete from the set `closed`, if the table stays.
    pub(crate) elements: Vec<Op>,
}

/// The families that zubi switched on.
fn switched_on(session: &mut Session) -> Result<Vec<Family>, Error> {
    // `check` reports a file that cannot be read; the kernel's set has the same families.
    let before = session.store().forwarding().unwrap_or_default();
    let seen = session.kernel.elements(firewall::CLOSED).map_err(Error::kernel("firewall"))?;
    let in_set = |family| firewall::closed(family).raw().iter().all(|raw| seen.contains(raw));
    Ok(FAMILIES.into_iter().filter(|family| of(&before, *family).is_some() || in_set(*family)).collect())
}

/// The elements of the set `closed`: one for each family that zubi switched on.
pub(crate) fn closed_elements(session: &mut Session) -> Result<Vec<Element>, Error> {
    match session.config().forwarding {
        Forwarding::Open => Ok(Vec::new()),
        Forwarding::Closed => Ok(switched_on(session)?.into_iter().map(firewall::closed).collect()),
    }
}

/// Adds the elements that limit forwarding to a plan that switches it on; they come before the settings. Returns the
/// families in which this plan makes the host a router.
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
        } else if !forwards(session, family)? {
            closed.push(family);
            new.push(family);
        }
    }
    forwarding::close(plan, &closed);
    Ok(new)
}

/// Notes that this host becomes a router, for its networks only.
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

/// The record for switching a family off again. It is read before the family is switched on, or later if the record was
/// lost.
pub(crate) fn switched_on_before(session: &mut Session, family: Family) -> Result<SwitchedOn, Error> {
    let on = forwards(session, family)?;
    let beside = if on { Vec::new() } else { others_that_forward(session, family, None)? };
    Ok(SwitchedOn { before: settings_before(session, family)?, beside })
}

fn settings_before(session: &mut Session, family: Family) -> Result<Vec<Setting>, Error> {
    let on = forwards(session, family)?;
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

/// The operations that switch forwarding off in the families that no network needs, apart from one that is being
/// removed.
pub(crate) fn forwarding_back(session: &mut Session, leaving: Option<&Network>) -> Result<WayBack, Error> {
    const BACK: &str = "no network needs it any more: restore the value from before the first network";
    const ELEMENT: &str = "the firewall need not limit forwarding any more";
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
        // An object that existed before the switch did not need forwarding.
        let come = others_that_forward(session, family, leaving)?.into_iter().find(|who| !known.beside.contains(who));
        if let Some(who) = come {
            let switch = switch_off(session, family)?;
            session.note(format!(
                "{family} forwarding stays on: {who} was added since and may rely on it ({switch} switches it off)"
            ));
            continue;
        }
        let settings = known.before.into_iter().map(|Setting { key, value }| What::Set(Sysctl::new(key, value)));
        back.settings.extend(settings.map(|what| Op::host(what, BACK)));
    }
    Ok(back)
}

/// Deletes the records of these families after forwarding was switched off.
pub(crate) fn forget_forwarding(session: &mut Session, unneeded: &[Family]) -> Result<(), Error> {
    // A file that cannot be read stays, so that a person can look at it. It does not stop the command.
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

/// The families that no network needs forwarded, apart from the one given. If a record cannot be read, its network may
/// need both.
pub(crate) fn unneeded_without(session: &Session, network: Option<&Network>) -> Vec<Family> {
    let (mut others, unreadable) = session.store().networks_lossy();
    others.retain(|other| network.is_none_or(|network| other.name != network.name));
    let unneeded =
        |family: &Family| unreadable.is_empty() && !others.iter().any(|other| other.needs_forwarding(*family));
    FAMILIES.into_iter().filter(unneeded).collect()
}

/// Other objects that may need this host to forward, in words. Addresses that the leaving network has on another
/// program's bridge do not count.
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
    let foreign = session.kernel.foreign_rules().map_err(failed())?;
    all.extend(foreign.filtering(family).map(|chain| format!("chain {chain}")));
    Ok(all)
}

/// Whether this host forwards packets of a family.
fn forwards(session: &mut Session, family: Family) -> Result<bool, Error> {
    let keys: &[&str] = if family == Family::V4 { &[IPV4] } else { &[IPV6, IPV6_FORCE] };
    for key in keys {
        if host_setting(session, key)?.as_deref() == Some("1") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The setting that switches forwarding off.
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
