//! What one command knows of the machine: its sockets, the sandboxes it has opened, the devices it has looked up.
//!
//! # How it works
//! A session lives as long as one command, and what it remembers is forgotten with it. It belongs to one thread at a
//! time, but may move to another. Sessions of one machine know nothing of each other.

use crate::error::Error;
use crate::machine::{Kind, Machine};
use crate::netns::Netns;
use crate::sandboxes::Sandboxes;
use crate::socket::{Answer, Counters, Kept, Netlink};
use std::collections::{HashMap, HashSet};
use std::os::fd::RawFd;
use std::os::unix::fs::MetadataExt;
use zubi_model::{Family, IfIndex, NetnsCookie, NsRef};
use zubi_plan::{Op, Place};
use zubi_wire::nft::Generation;
use zubi_wire::route::{
    AddressSeen, LinkRef, LinkSeen, LinkStatistics, NeighbourSeen, NetnsId, PortVlanSeen, RouteOfDevice, RouteSeen,
    RuleSeen, dump_links, dump_routes, get_link,
};
use zubi_wire::{Batch, Message};

/// Called behind every single effect with its name. A test kills the process there, or makes the effect fail.
pub type StepHook = Box<dyn FnMut(&str) -> std::io::Result<()> + Send>;

/// Called with every operation that changed something, in order.
pub type Observer = Box<dyn FnMut(&Op) + Send>;

/// One command's view of the machine.
pub struct Session {
    pub(crate) machine: Machine,
    route: Option<Netlink>,
    nft: Option<Netlink>,
    pub(crate) sandboxes: Sandboxes,
    pub(crate) indexes: HashMap<(Place, String), IfIndex>,
    /// Devices that this session made. Their deletion undoes them, so what they were like before a change does not
    /// matter.
    pub(crate) made_links: HashSet<(Place, String)>,
    /// See [`Session::expect`].
    pub(crate) expected: Option<Generation>,
    pub(crate) steps: Option<StepHook>,
    pub(crate) observer: Option<Observer>,
}

impl Session {
    /// A session of a machine, for one command.
    pub fn of(machine: &Machine) -> Result<Self, Error> {
        Ok(Session {
            machine: machine.clone(),
            route: Some(machine.take(Kind::Route)?),
            nft: None,
            sandboxes: Sandboxes::default(),
            indexes: HashMap::new(),
            made_links: HashSet::new(),
            expected: None,
            steps: None,
            observer: None,
        })
    }

    /// The only session of a machine of its own, for a process that runs one command.
    pub fn open() -> Result<Self, Error> {
        Session::of(&Machine::open()?)
    }

    /// Sets the [`StepHook`]. With a hook every operation is sent alone.
    pub fn on_step(&mut self, hook: StepHook) {
        self.steps = Some(hook);
    }

    /// Sets the [`Observer`].
    pub fn on_operation(&mut self, observer: Observer) {
        self.observer = Some(observer);
    }

    /// The machine it is a session of.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// What the sockets were used for in this session: route netlink on the host and inside, nftables.
    pub fn counters(&self) -> (Counters, Counters, Counters) {
        let of = |socket: &Option<Netlink>| socket.as_ref().map(Netlink::counters).unwrap_or_default();
        (of(&self.route), self.sandboxes.counters(), of(&self.nft))
    }

    pub(crate) fn route(&mut self) -> Result<&mut Netlink, Error> {
        match &mut self.route {
            Some(socket) => Ok(socket),
            none => Ok(none.insert(self.machine.take(Kind::Route)?)),
        }
    }

    /// The nftables socket, opened at first use.
    pub fn nft(&mut self) -> Result<&mut Netlink, Error> {
        match &mut self.nft {
            Some(socket) => Ok(socket),
            none => Ok(none.insert(self.machine.take(Kind::Nft)?)),
        }
    }

    /// The descriptors that a child must keep to go on with this session, once its sandboxes are forgotten
    /// ([`Session::forget_sandboxes`]).
    pub fn descriptors(&self) -> Vec<RawFd> {
        let mut all = self.machine.descriptors();
        all.extend(self.route.iter().chain(&self.nft).map(Netlink::raw_fd));
        all
    }

    /// Ends a session that a forked child goes on with. Its sockets, and the idle ones of the machine, are closed without
    /// a look at them: an answer that is read here is lost to the child.
    pub fn leave_to_child(mut self) {
        drop((self.route.take(), self.nft.take()));
        self.machine.leave_idle();
    }

    /// See [`Machine::closes_slowly`]; the sockets of this session included.
    pub fn closes_slowly(&self) -> bool {
        self.nft.as_ref().is_some_and(Netlink::closes_slowly) || self.machine.closes_slowly()
    }

    /// Opens a sandbox. In this session the name stands for this namespace from now on, whatever happens to the path.
    pub fn open_sandbox(&mut self, sandbox: &NsRef) -> Result<NetnsCookie, Error> {
        self.sandboxes.open(sandbox, self.machine.home())
    }

    /// Whether the path of a sandbox that was opened still leads to its namespace.
    pub fn still_leads(&mut self, sandbox: &NsRef) -> bool {
        let there = std::fs::metadata(sandbox.path()).map(|m| (m.dev(), m.ino()));
        match self.sandboxes.get(sandbox) {
            // While it is open, no other namespace gets its inode number.
            Some(inside) => there.is_ok_and(|inode| inside.netns.is(inode)),
            None => self.open_sandbox(sandbox).is_ok(),
        }
    }

    /// The number of the namespace that a path leads to now, whatever was opened by it before. `None`: it leads to no
    /// network namespace.
    pub fn cookie_behind(&self, sandbox: &NsRef) -> Result<Option<NetnsCookie>, Error> {
        match Netns::open_any(&sandbox.path()) {
            Ok(netns) => self.cookie_of(&netns).map(Some),
            Err(Error::NotASandbox { .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    pub(crate) fn cookie_of(&self, netns: &Netns) -> Result<NetnsCookie, Error> {
        netns.within(self.machine.home(), Netlink::route)??.cookie()
    }

    /// Closes every sandbox and forgets which namespace each name stands for. A child that goes on with this session
    /// calls this before it closes what is not in [`Session::descriptors`].
    pub fn forget_sandboxes(&mut self) {
        self.sandboxes.clear();
        self.indexes.retain(|(place, _), _| *place == Place::Host);
        self.made_links.retain(|(place, _)| *place == Place::Host);
    }

    /// Closes a sandbox and forgets which namespace its name stands for.
    pub fn close_sandbox(&mut self, sandbox: &NsRef) {
        self.sandboxes.forget(sandbox);
        self.indexes.retain(|(place, _), _| *place != Place::Sandbox(sandbox.clone()));
        self.made_links.retain(|(place, _)| *place != Place::Sandbox(sandbox.clone()));
    }

    /// The namespace of a sandbox that is open.
    pub fn sandbox(&self, sandbox: &NsRef) -> Option<&Netns> {
        self.sandboxes.get(sandbox).map(|s| &s.netns)
    }

    pub(crate) fn socket(&mut self, place: &Place) -> Result<&mut Netlink, Error> {
        match place {
            Place::Host => self.route(),
            Place::Sandbox(sandbox) => {
                self.open_sandbox(sandbox)?;
                self.sandboxes
                    .get_mut(sandbox)
                    .map(|s| &mut s.route)
                    .ok_or_else(|| Error::NoAnswer { object: "sandbox".into() })
            }
        }
    }

    /// Runs `work` at a place.
    pub(crate) fn within<T>(&mut self, place: &Place, work: impl FnOnce() -> T) -> Result<T, Error> {
        match place {
            Place::Host => self.machine.home().within(self.machine.home(), work),
            Place::Sandbox(sandbox) => {
                self.open_sandbox(sandbox)?;
                let inside = self.sandboxes.get(sandbox).ok_or_else(|| Error::NoAnswer { object: "sandbox".into() })?;
                inside.netns.within(self.machine.home(), work)
            }
        }
    }

    /// Looks one device up, and remembers its number.
    pub fn link(&mut self, place: &Place, name: &str) -> Result<Option<LinkSeen>, Error> {
        Ok(self.links_named(place, &[name])?.pop().flatten())
    }

    /// Looks several devices up in one send.
    pub fn links_named(&mut self, place: &Place, names: &[&str]) -> Result<Vec<Option<LinkSeen>>, Error> {
        let mut batch = Batch::new();
        for name in names {
            get_link(&mut batch, LinkRef::Name(name));
        }
        let answers = self.socket(place)?.ask("links", &batch)?;
        let mut links = Vec::new();
        for (name, answer) in names.iter().zip(answers) {
            let link = seen_link(answer, name)?;
            match &link {
                Some(link) => self.indexes.insert((place.clone(), (*name).to_owned()), link.index),
                None => self.indexes.remove(&(place.clone(), (*name).to_owned())),
            };
            links.push(link);
        }
        Ok(links)
    }

    /// Looks a device up by its number. Its name stands for this device from now on.
    pub fn link_at(&mut self, place: &Place, index: IfIndex) -> Result<Option<LinkSeen>, Error> {
        let mut batch = Batch::new();
        get_link(&mut batch, LinkRef::Index(index));
        let answer = self.socket(place)?.ask("links", &batch)?.pop().unwrap_or_default();
        let link = seen_link(answer, &index.to_string())?;
        if let Some(link) = &link {
            self.indexes.insert((place.clone(), link.name.clone()), link.index);
        }
        Ok(link)
    }

    /// The number of a device, looked up unless it is known.
    pub(crate) fn index(&mut self, place: &Place, name: &str) -> Result<IfIndex, Error> {
        if let Some(index) = self.indexes.get(&(place.clone(), name.to_owned())) {
            return Ok(*index);
        }
        self.link(place, name)?.map(|l| l.index).ok_or_else(|| Error::NoDevice { name: name.to_owned() })
    }

    /// All devices, or the ports of one bridge.
    pub fn links(&mut self, place: &Place, master: Option<IfIndex>) -> Result<Vec<LinkSeen>, Error> {
        self.socket(place)?.dump("links", &|b| dump_links(b, master), |m| LinkSeen::parse(m).into_iter().collect())
    }

    /// What all devices have counted.
    pub fn statistics(&mut self, place: &Place) -> Result<Vec<LinkStatistics>, Error> {
        let seen = |m: &Message<'_>| LinkStatistics::parse(m).into_iter().collect();
        self.socket(place)?.dump("statistics", &LinkStatistics::dump, seen)
    }

    /// The addresses of one device, or all.
    pub fn addresses(&mut self, place: &Place, device: Option<IfIndex>) -> Result<Vec<AddressSeen>, Error> {
        let dumped = self
            .socket(place)?
            .dump("addresses", &|b| AddressSeen::dump(b, device), |m| AddressSeen::parse(m).into_iter().collect())?;
        Ok(dumped.into_iter().filter(|a| device.is_none_or(|d| a.device == d)).collect())
    }

    /// The addresses in a namespace that the host has a number for. The namespace is not entered. One that has ended, and
    /// one that the caller has no rights in, has none to show.
    pub fn addresses_in(&mut self, namespace: NetnsId) -> Result<Vec<AddressSeen>, Error> {
        let seen = |m: &Message<'_>| AddressSeen::parse(m).into_iter().collect();
        match self.route()?.dump("addresses", &|b| AddressSeen::dump_in(b, namespace), seen) {
            // rtnl_get_net_ns_capable in net/core/rtnetlink.c.
            Err(e) if matches!(e.errno(), Some(libc::EINVAL | libc::EACCES)) => Ok(Vec::new()),
            other => other,
        }
    }

    /// Every route of every table that leads to a next hop or refuses.
    pub fn routes(&mut self, place: &Place, family: Family) -> Result<Vec<RouteSeen>, Error> {
        self.socket(place)?.dump("routes", &|b| dump_routes(b, family), |m| RouteSeen::parse(m).into_iter().collect())
    }

    /// The same with all their options, one for each device that a route leads to.
    pub fn whole_routes(&mut self, place: &Place, family: Family) -> Result<Vec<RouteOfDevice>, Error> {
        self.socket(place)?.dump("routes", &|b| dump_routes(b, family), RouteOfDevice::parse)
    }

    /// The policy routing rules.
    pub fn rules(&mut self, place: &Place, family: Family) -> Result<Vec<RuleSeen>, Error> {
        let seen = |m: &Message<'_>| RuleSeen::parse(m).into_iter().collect();
        self.socket(place)?.dump("routing rules", &|b| RuleSeen::dump(b, family), seen)
    }

    /// The neighbours of all devices.
    pub fn neighbours(&mut self, place: &Place) -> Result<Vec<NeighbourSeen>, Error> {
        let seen = |m: &Message<'_>| NeighbourSeen::parse(m).into_iter().collect();
        self.socket(place)?.dump("neighbours", &|b| NeighbourSeen::dump(b, false), seen)
    }

    /// The VLANs of all bridge ports.
    pub fn port_vlans(&mut self, place: &Place) -> Result<Vec<PortVlanSeen>, Error> {
        self.socket(place)?.dump("VLANs of bridge ports", &PortVlanSeen::dump, PortVlanSeen::parse)
    }

    /// The forwarding entries of all bridges.
    pub fn forwarding(&mut self, place: &Place) -> Result<Vec<NeighbourSeen>, Error> {
        let seen = |m: &Message<'_>| NeighbourSeen::parse(m).into_iter().collect();
        self.socket(place)?.dump("forwarding entries", &|b| NeighbourSeen::dump(b, true), seen)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for (kind, socket) in [(Kind::Route, self.route.take()), (Kind::Nft, self.nft.take())] {
            if let Some(socket) = socket {
                self.machine.give_back(kind, socket);
            }
        }
    }
}

fn seen_link(answer: Answer, name: &str) -> Result<Option<LinkSeen>, Error> {
    match answer.outcome {
        Some(Ok(())) | None => Ok(answer.objects.iter().map(Kept::message).find_map(|m| LinkSeen::parse(&m))),
        Some(Err(e)) if e.errno == libc::ENODEV => Ok(None),
        Some(Err(source)) => Err(Error::Netlink { object: format!("link show {name}"), source, hint: None }),
    }
}

/// Fails unless settings can be written: containers often have them read-only.
pub fn settings_writable() -> Result<(), Error> {
    match crate::sys::is_read_only(c"/proc/sys") {
        Ok(false) => Ok(()),
        Ok(true) => Err(Error::system("write to", "/proc/sys", std::io::Error::from_raw_os_error(libc::EROFS))),
        Err(e) => Err(Error::system("look at", "/proc/sys", e)),
    }
}
