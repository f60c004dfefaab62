//! Repairing what the kernel's tidings are about.
//!
//! # How it works
//! A tiding names a device, a namespace or the ruleset. Records lead from there to objects, and each object is compared
//! with the kernel and put right under its lock, as `repair` does it. Most tidings are about devices of others, or about
//! what a command has just done rightly; they cost a look at the records.

use crate::error::Error;
use crate::heal::gone::is_gone;
use crate::heal::object::{Object, heal};
use crate::session::Session;
use std::collections::{BTreeSet, HashSet};
use zubi_kernel::monitor::Tiding;
use zubi_model::{Endpoint, IfIndex, IfName, Network, NetworkName};
use zubi_plan::firewall::endpoint_elements;
use zubi_plan::published::on_loopback;
use zubi_plan::{Place, driver};
use zubi_wire::nft::Element;
use zubi_wire::route::LinkSeen;

/// What was repaired of one object.
#[derive(Debug)]
pub struct Healing {
    /// The object.
    pub object: Object,
    /// Each change, in words, or why it cannot be repaired.
    pub outcome: Result<Vec<String>, Error>,
}

/// Repairs the objects that tidings are about. Returns those that were changed, and those that cannot be repaired.
pub(crate) fn heal_after(session: &mut Session, tidings: &HashSet<Tiding>) -> Result<Vec<Healing>, Error> {
    let all = tidings.contains(&Tiding::Overrun);
    let mut done = Vec::new();
    if all || tidings.contains(&Tiding::Ruleset) {
        put_right(session, Object::Firewall, &mut done);
    }
    let of_elements = tidings.iter().any(|tiding| matches!(tiding, Tiding::Element(..)));
    let concerned = Concerned { tidings, all, of_elements };
    if !concerned.anybody() {
        return Ok(done);
    }
    let links = session.kernel.links(&Place::Host, None).map_err(Error::kernel("devices"))?;
    let mut remade: BTreeSet<NetworkName> = BTreeSet::new();
    for network in session.store().networks_lossy().0 {
        let device = network.device().as_str();
        let index = links.iter().find(|link| link.name == device).map(|link| link.index);
        let elements = driver::network_elements(&network);
        if concerned.device(device) || concerned.through(index) || concerned.elements(&elements) {
            let changed = put_right(session, Object::Network(network.name.clone()), &mut done);
            if changed {
                remade.insert(network.name);
            }
        }
    }
    for endpoint in session.store().all_endpoints_lossy().0 {
        let of_device = endpoint.host_device().is_some_and(|device| concerned.device(device.as_str()));
        let is_concerned = of_device
            || remade.contains(&endpoint.network)
            || concerned.sandbox(&endpoint, &links)
            || concerned.elements(&endpoint_elements(&endpoint));
        // Nobody wants the rest of an endpoint back whose sandbox has ended.
        if is_concerned && !is_gone(session, &endpoint)? {
            put_right(session, Object::Endpoint(endpoint.key()), &mut done);
        }
    }
    if all || tidings.iter().any(|tiding| matches!(tiding, Tiding::Sandbox(_) | Tiding::Device(_))) {
        for link in session.store().links_lossy().0 {
            put_right(session, Object::Link(link.id), &mut done);
        }
    }
    Ok(done)
}

/// The devices whose `route_localnet` has to be on: ports are published on 127.0.0.1 there.
pub(crate) fn devices_with_loopback(session: &Session) -> Vec<IfName> {
    let endpoints = session.store().all_endpoints_lossy().0;
    let publishes = |network: &Network| {
        let own = endpoints.iter().filter(|endpoint| endpoint.network == network.name);
        on_loopback(network, own.flat_map(|endpoint| endpoint.ports.iter().copied().map(Into::into)))
    };
    let networks = session.store().networks_lossy().0;
    networks.iter().filter(|network| publishes(network)).map(|network| network.device().clone()).collect()
}

/// Repairs an object; returns whether that changed something.
fn put_right(session: &mut Session, object: Object, done: &mut Vec<Healing>) -> bool {
    let outcome = heal(session, &object);
    let changed = matches!(&outcome, Ok(words) if !words.is_empty());
    if changed || outcome.is_err() {
        done.push(Healing { object, outcome });
    }
    changed
}

/// Whom the tidings concern.
#[derive(Clone, Copy)]
struct Concerned<'a> {
    tidings: &'a HashSet<Tiding>,
    all: bool,
    of_elements: bool,
}

impl Concerned<'_> {
    fn anybody(self) -> bool {
        self.all || self.tidings.iter().any(|tiding| *tiding != Tiding::Ruleset)
    }

    fn device(self, name: &str) -> bool {
        self.all || self.tidings.contains(&Tiding::Device(name.to_owned()))
    }

    fn through(self, index: Option<IfIndex>) -> bool {
        self.tidings.contains(&Tiding::Setting)
            || index.is_some_and(|index| self.tidings.contains(&Tiding::Through(index)))
    }

    /// Whether one of these elements has gone.
    fn elements(self, all: &[Element]) -> bool {
        let gone = |element: &Element| {
            let mut keys = element.raw().into_iter().map(|raw| Tiding::Element(element.set.clone(), raw.key));
            keys.any(|tiding| self.tidings.contains(&tiding))
        };
        self.of_elements && all.iter().any(gone)
    }

    /// Whether a tiding is about an endpoint's sandbox: the host end knows the number of the namespace. An endpoint
    /// without one may be in any.
    fn sandbox(self, endpoint: &Endpoint, links: &[LinkSeen]) -> bool {
        let Some(device) = endpoint.host_device() else {
            return self.all || self.tidings.iter().any(|tiding| matches!(tiding, Tiding::Sandbox(_)));
        };
        let found = links.iter().find(|link| link.name == device.as_str());
        found.and_then(|link| link.peer_netns).is_some_and(|number| self.tidings.contains(&Tiding::Sandbox(number)))
    }
}
