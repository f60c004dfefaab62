//! The machine as zubi holds it: the host's sockets, the sandboxes it has opened, the devices it has looked up.

use crate::error::Error;
use crate::netns::Netns;
use crate::sandboxes::Sandboxes;
use crate::socket::{Answer, Counters, Kept, Netlink};
use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use zubi_model::{Family, IfIndex, NetnsCookie, NsRef};
use zubi_plan::{Op, Place};
use zubi_wire::nft::Generation;
use zubi_wire::route::{AddressSeen, LinkRef, LinkSeen, NeighbourSeen, RouteSeen, dump_links, dump_routes, get_link};
use zubi_wire::{Batch, Message};

/// Called after every single effect with its name. A test kills the process there, or makes the effect fail.
pub type StepHook = Box<dyn FnMut(&str) -> std::io::Result<()> + Send>;

/// Called with every operation that changed something, in order; what was as wished already is left out.
pub type Observer = Box<dyn FnMut(&Op) + Send>;

/// How firewall elements are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Removal {
    /// So that it is known whether they were there: they may have to be put back.
    Exact,
    /// In one go, whether they are there or not.
    Any,
}

/// The machine.
pub struct Kernel {
    pub(crate) home: Netns,
    pub(crate) route: Netlink,
    nft: Option<Netlink>,
    pub(crate) nft_deleted: bool,
    pub(crate) sandboxes: Sandboxes,
    pub(crate) indexes: HashMap<(Place, String), IfIndex>,
    /// Made by this process: undone by their deletion, so that what they were like before does not matter.
    pub(crate) newborn: HashSet<(Place, String)>,
    pub(crate) removal: Removal,
    /// See [`Kernel::expect`].
    pub(crate) expected: Option<Generation>,
    pub(crate) steps: Option<StepHook>,
    pub(crate) observer: Option<Observer>,
}

impl Kernel {
    /// The namespace of the calling thread is the host from now on.
    pub fn open() -> Result<Self, Error> {
        Ok(Kernel {
            home: Netns::own()?,
            route: Netlink::route()?,
            nft: None,
            nft_deleted: false,
            sandboxes: Sandboxes::default(),
            indexes: HashMap::new(),
            newborn: HashSet::new(),
            removal: Removal::Exact,
            expected: None,
            steps: None,
            observer: None,
        })
    }

    /// See [`StepHook`]. With a hook every operation is sent alone.
    pub fn on_step(&mut self, hook: StepHook) {
        self.steps = Some(hook);
    }

    /// See [`Observer`].
    pub fn on_operation(&mut self, observer: Observer) {
        self.observer = Some(observer);
    }

    /// The host's network namespace.
    pub fn home(&self) -> &Netns {
        &self.home
    }

    /// The number of the host's network namespace.
    pub fn host_cookie(&self) -> Result<NetnsCookie, Error> {
        self.route.cookie()
    }

    /// What the sockets were used for: route netlink on the host and inside, nftables.
    pub fn counters(&self) -> (Counters, Counters, Counters) {
        (self.route.counters(), self.sandboxes.counters(), self.nft.as_ref().map(Netlink::counters).unwrap_or_default())
    }

    /// The nftables socket, opened at first use. Whoever closes it last after a deletion waits some 13 ms.
    pub fn nft(&mut self) -> Result<&mut Netlink, Error> {
        match &mut self.nft {
            Some(socket) => Ok(socket),
            none => Ok(none.insert(Netlink::netfilter()?)),
        }
    }

    /// The descriptors a child that goes on with this machine must keep.
    pub fn descriptors(&self) -> Vec<std::os::fd::RawFd> {
        let mut all = vec![self.home.raw_fd(), self.route.raw_fd()];
        all.extend(self.nft.as_ref().map(Netlink::raw_fd));
        all
    }

    /// Whether closing the nftables socket takes its time: something was deleted through it.
    pub fn closes_slowly(&self) -> bool {
        self.nft_deleted
    }

    /// Opens a sandbox: from now on the name stands for this namespace, whatever happens to the path.
    pub fn open_sandbox(&mut self, sandbox: &NsRef) -> Result<NetnsCookie, Error> {
        self.sandboxes.open(sandbox, &self.home)
    }

    /// Whether the name of a sandbox that was opened still leads to it.
    pub fn still_leads(&mut self, sandbox: &NsRef) -> bool {
        let there = std::fs::metadata(sandbox.path()).map(|m| (m.dev(), m.ino()));
        match self.sandboxes.get(sandbox) {
            // Open, its inode number cannot be another's.
            Some(inside) => there.is_ok_and(|inode| inside.netns.is(inode)),
            None => self.open_sandbox(sandbox).is_ok(),
        }
    }

    /// The number of the namespace that a name leads to now, whatever was opened by that name before. `None`: to none.
    pub fn cookie_behind(&self, sandbox: &NsRef) -> Result<Option<NetnsCookie>, Error> {
        match Netns::open_any(&sandbox.path()) {
            Ok(netns) => self.cookie_of(&netns).map(Some),
            Err(Error::NotASandbox { .. }) => Ok(None),
            Err(e) => Err(e),
        }
    }

    pub(crate) fn cookie_of(&self, netns: &Netns) -> Result<NetnsCookie, Error> {
        netns.within(&self.home, Netlink::route)??.cookie()
    }

    /// Forgets every sandbox that was opened and closes its descriptors; it is opened again when it is needed. Before a
    /// child that goes on with this machine closes what is not in [`Kernel::descriptors`].
    pub fn forget_sandboxes(&mut self) {
        self.sandboxes.clear();
        self.indexes.retain(|(place, _), _| *place == Place::Host);
        self.newborn.retain(|(place, _)| *place == Place::Host);
    }

    /// Forgets a sandbox that was opened.
    pub fn close_sandbox(&mut self, sandbox: &NsRef) {
        self.sandboxes.forget(sandbox);
        self.indexes.retain(|(place, _), _| *place != Place::Sandbox(sandbox.clone()));
        self.newborn.retain(|(place, _)| *place != Place::Sandbox(sandbox.clone()));
    }

    /// An open sandbox's namespace.
    pub fn sandbox(&self, sandbox: &NsRef) -> Option<&Netns> {
        self.sandboxes.get(sandbox).map(|s| &s.netns)
    }

    pub(crate) fn socket(&mut self, place: &Place) -> Result<&mut Netlink, Error> {
        match place {
            Place::Host => Ok(&mut self.route),
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
            Place::Host => Ok(work()),
            Place::Sandbox(sandbox) => {
                self.open_sandbox(sandbox)?;
                let inside = self.sandboxes.get(sandbox).ok_or_else(|| Error::NoAnswer { object: "sandbox".into() })?;
                inside.netns.within(&self.home, work)
            }
        }
    }

    /// Looks one link up, and remembers its number.
    pub fn link(&mut self, place: &Place, name: &str) -> Result<Option<LinkSeen>, Error> {
        Ok(self.links_named(place, &[name])?.pop().flatten())
    }

    /// Looks several links up in one send.
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

    /// The number of a device, looked up unless it is known.
    pub(crate) fn index(&mut self, place: &Place, name: &str) -> Result<IfIndex, Error> {
        if let Some(index) = self.indexes.get(&(place.clone(), name.to_owned())) {
            return Ok(*index);
        }
        self.link(place, name)?.map(|l| l.index).ok_or_else(|| Error::NoDevice { name: name.to_owned() })
    }

    /// All links, or the ports of one bridge.
    pub fn links(&mut self, place: &Place, master: Option<IfIndex>) -> Result<Vec<LinkSeen>, Error> {
        self.socket(place)?.dump("links", &|b| dump_links(b, master), |m| LinkSeen::parse(m).into_iter().collect())
    }

    /// The addresses of one device, or all.
    pub fn addresses(&mut self, place: &Place, device: Option<IfIndex>) -> Result<Vec<AddressSeen>, Error> {
        let dumped = self
            .socket(place)?
            .dump("addresses", &|b| AddressSeen::dump(b, device), |m| AddressSeen::parse(m).into_iter().collect())?;
        Ok(dumped.into_iter().filter(|a| device.is_none_or(|d| a.device == d)).collect())
    }

    /// Every route of every table that leads somewhere or refuses.
    pub fn routes(&mut self, place: &Place, family: Family) -> Result<Vec<RouteSeen>, Error> {
        self.socket(place)?.dump("routes", &|b| dump_routes(b, family), |m| RouteSeen::parse(m).into_iter().collect())
    }

    /// The forwarding entries of all bridges of the host.
    pub fn forwarding(&mut self) -> Result<Vec<NeighbourSeen>, Error> {
        let seen = |m: &Message<'_>| NeighbourSeen::parse(m).into_iter().collect();
        self.socket(&Place::Host)?.dump("forwarding entries", &|b| NeighbourSeen::dump(b, true), seen)
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
