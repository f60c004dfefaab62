//! Links: two sandboxes, or one and the host, wired directly.

use crate::attach::Attachment;
use crate::chance::random;
use crate::engine::{Act, Engine, Report};
use crate::error::Error;
use crate::fault::Fault;
use crate::occupied::is_link_local;
use crate::resolve::Resolved;
use ipnet::IpNet;
use std::collections::BTreeMap;
use zubi_kernel::{Deletions, sys};
use zubi_model::{
    DirectLink, Family, IfName, Invalid, LinkEnd, LinkEndRef, LinkId, LinkPlace, LinkPlaceRef, LinkWishes, Mac, Mtu,
    NetnsCookie, NsRef, SandboxIdentity, SandboxRef,
};
use zubi_plan::link::{make, unmake};
use zubi_plan::{Place, Plan};
use zubi_store::{Lock, Mode};
use zubi_wire::route::{AdminState, LinkMark, LinkSeen};

/// A link as it is now.
#[derive(Debug, Clone)]
pub struct Linked {
    /// The link, told from the end that was named first.
    pub link: DirectLink,
    /// Whether it was there already.
    pub attachment: Attachment,
}

/// What an unlink found.
#[derive(Debug, Clone)]
pub enum Unlinked {
    /// This link is gone now.
    Gone(Box<DirectLink>),
    /// There was none.
    WasNotLinked,
}

/// Whether a link passes frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// It does.
    Up,
    /// An end is down, or not found.
    Down,
    /// Both ends are.
    Gone,
}

/// One line of `zubi link ls`.
#[derive(Debug, Clone)]
pub struct LinkView {
    /// As recorded.
    pub link: DirectLink,
    /// As found.
    pub state: LinkState,
}

/// What is found of one end.
#[derive(Debug)]
pub(crate) enum EndSeen {
    /// Nothing leads to its namespace.
    NoWay,
    /// It is not in its namespace.
    Absent,
    /// It is.
    There(Box<LinkSeen>),
    /// It is, under another name.
    Renamed(IfName),
}

/// Both ends: where each is reached now, and what is found there.
pub(crate) type EndsSeen = [(Place, EndSeen); 2];

/// The locks of sandboxes, taken in the order of their numbers.
pub(crate) type Locks = BTreeMap<NetnsCookie, Lock>;

/// Where an end is to be; `None` is the host.
type Spot<'a> = Option<&'a Resolved>;

impl Engine {
    /// Wires two sandboxes, or one and the host. The same link again gives the same answer.
    pub fn link(&mut self, wishes: &LinkWishes, act: Act) -> Result<Report<Linked>, Error> {
        let [a, b] = [self.link_spot(&wishes.ends[0])?, self.link_spot(&wishes.ends[1])?];
        let _host = self.store.lock_host(Mode::Shared)?;
        self.recover_first(act)?;
        let spots = [a.as_ref(), b.as_ref()];
        let ends = &wishes.ends;
        if cookie(spots[0]) == cookie(spots[1]) && ends[0].ifname == ends[1].ifname {
            let link = format!("{} {}", ends[0], ends[1]);
            return Err(Invalid::new("link", link, "has the same end twice").into());
        }
        let cookies: Vec<NetnsCookie> = spots.into_iter().filter_map(cookie).collect();
        let locks = self.lock_sandboxes(&cookies)?;
        for sandbox in spots.into_iter().flatten() {
            // While we waited for the lock it may have been removed.
            self.still_there(sandbox)?;
        }
        if act == Act::Apply {
            self.recover_links(&locks)?;
        }
        self.link_locked(wishes, spots, &locks, act)
    }

    fn link_locked(
        &mut self,
        wishes: &LinkWishes,
        spots: [Spot<'_>; 2],
        locks: &Locks,
        act: Act,
    ) -> Result<Report<Linked>, Error> {
        let mut wishes = wishes.clone();
        let existing = self.link_between(&wishes, spots);
        if let Some(existing) = &existing {
            if self.link_ends(existing)?.iter().any(|(_, end)| matches!(end, EndSeen::There(_))) {
                return existing_link(existing.clone(), &wishes);
            }
            // Somebody deleted it: it is made again as it was, but for what is wished otherwise now.
            wishes = or_as_before(wishes, existing);
            if act == Act::Apply {
                self.bury_link(existing)?;
            }
        }
        for (spot, (end, addresses)) in spots.into_iter().zip(wishes.ends.iter().zip(&wishes.addresses)) {
            self.free_end(spot, end, existing.as_ref().map(|l| &l.id), locks, act)?;
            self.free_addresses(spot, end, addresses)?;
        }
        let end = |at: usize| -> Result<LinkEnd, Error> {
            Ok(LinkEnd {
                place: spots[at].map_or(LinkPlace::Host, |s| LinkPlace::Sandbox(identity(s))),
                ifname: wishes.ends[at].ifname.clone(),
                mac: Mac::from_random(random()?),
                addresses: wishes.addresses[at].clone(),
            })
        };
        let link = DirectLink {
            id: LinkId::from_random(random()?),
            ends: [end(0)?, end(1)?],
            mtu: wishes.mtu,
            made_at: sys::boot_clock().map_err(Error::system("link", "read", "boot clock"))?,
        };
        let down = self.loopbacks_down(spots)?;
        let plan = make(&link, &down);
        if act == Act::Apply {
            self.apply_link(&link, spots, &plan, &down)?;
        }
        Ok(Report { plan, value: Linked { link, attachment: Attachment::New } })
    }

    /// Writes the record, then makes the link; when that fails nothing of it stays, and the loopbacks that were `down`
    /// are so again.
    fn apply_link(
        &mut self,
        link: &DirectLink,
        spots: [Spot<'_>; 2],
        plan: &Plan,
        down: &[NsRef],
    ) -> Result<(), Error> {
        let made: Result<(), Error> = (|| {
            self.store.begin_link(link)?;
            self.apply(&format!("link {link}"), plan)?;
            for sandbox in spots.into_iter().flatten() {
                self.still_there(sandbox)?;
            }
            Ok(self.store.finish_link(&link.id)?)
        })();
        if let Err(error) = made {
            let loopbacks = zubi_plan::link::loopbacks_down(down);
            return Err(error.after_undo(
                self.bury_link(link).and_then(|()| {
                    Fault::muted(|| self.take_down(&format!("link {link}"), &loopbacks, Deletions::Now))
                }),
            ));
        }
        Ok(())
    }

    fn link_spot(&mut self, end: &LinkEndRef) -> Result<Option<Resolved>, Error> {
        match &end.place {
            LinkPlaceRef::Host => Ok(None),
            LinkPlaceRef::Sandbox(sandbox) => self.resolve(sandbox).map(Some),
        }
    }

    /// The recorded link between these ends, told from the first of them.
    fn link_between(&self, wishes: &LinkWishes, spots: [Spot<'_>; 2]) -> Option<DirectLink> {
        let is = |end: &LinkEnd, at: usize| end.is(cookie(spots[at]), &wishes.ends[at].ifname);
        self.store.links_lossy().0.into_iter().find_map(|mut link| {
            let [a, b] = &link.ends;
            let (same, turned) = (is(a, 0) && is(b, 1), is(a, 1) && is(b, 0));
            if turned {
                link.ends.swap(0, 1);
            }
            (same || turned).then_some(link)
        })
    }

    /// Nothing has the name of an end yet, `but` the link that is made again.
    fn free_end(
        &mut self,
        spot: Spot<'_>,
        end: &LinkEndRef,
        but: Option<&LinkId>,
        locks: &Locks,
        act: Act,
    ) -> Result<(), Error> {
        let taken = |by: String| Err(Error::EndTaken { end: end.to_string(), by });
        for link in self.store.links_lossy().0.into_iter().filter(|l| Some(&l.id) != but) {
            let Some(at) = link.ends.iter().position(|e| e.is(cookie(spot), &end.ifname)) else { continue };
            if !self.bury_link_if_dead(&link, locks, act)? {
                return taken(format!("the end of its link to {}", link.ends[1 - at]));
            }
        }
        let place = spot.map_or(Place::Host, |s| Place::Sandbox(s.reached_by.clone()));
        let endpoints = self.store.all_endpoints_lossy().0;
        let of_endpoint = match spot {
            Some(s) => endpoints.iter().find(|e| e.sandbox.cookie == s.cookie && e.ifname == end.ifname),
            None => endpoints.iter().find(|e| e.host_device == end.ifname),
        };
        if let Some(endpoint) = of_endpoint {
            return taken(format!("the end of its connection to network {}", endpoint.network));
        }
        let seen = self.kernel.link(&place, end.ifname.as_str()).map_err(Error::kernel(format!("link {end}")))?;
        let Some(seen) = seen else { return Ok(()) };
        let networks = self.store.networks_lossy().0;
        if let Some(network) = networks.iter().find(|n| spot.is_none() && n.bridge == end.ifname) {
            return taken(format!("the bridge of network {}", network.name));
        }
        let loopback = end.ifname == IfName::loopback();
        taken(match seen.kind {
            Some(kind) => format!("a {kind} device"),
            None if loopback => "the loopback device".into(),
            None => "a network device".into(),
        })
    }

    /// No device of the namespace has an address, or one in a subnet, of these. On the host nothing else may lead to them
    /// either.
    fn free_addresses(&mut self, spot: Spot<'_>, end: &LinkEndRef, addresses: &[IpNet]) -> Result<(), Error> {
        if addresses.is_empty() {
            return Ok(());
        }
        let families: Vec<Family> = addresses.iter().map(|a| Family::of(a.addr())).collect();
        let taken =
            |address: &IpNet, by: String| Err(Error::LinkAddressTaken { end: end.to_string(), address: *address, by });
        let failed = || Error::kernel(format!("link {end}"));
        let place = spot.map_or(Place::Host, |s| Place::Sandbox(s.reached_by.clone()));
        let links = self.kernel.links(&place, None).map_err(failed())?;
        for seen in self.kernel.addresses(&place, None).map_err(failed())? {
            let device = links.iter().find(|l| l.index == seen.device).map_or("?", |l| l.name.as_str());
            for address in addresses {
                if address.addr() == seen.address.addr() {
                    return taken(address, format!("is on {device} already"));
                }
                // Every device has that subnet.
                if !is_link_local(address.addr()) && overlap(*address, seen.address) {
                    return taken(address, format!("overlaps {} of {device}", seen.address));
                }
            }
        }
        if spot.is_none() {
            let networks = self.store.networks_lossy().0;
            let occupied = self.in_the_way(&networks, &families)?;
            for address in addresses.iter().filter(|a| !is_link_local(a.addr())) {
                let by = occupied.iter().find(|o| o.net.prefix_len() > 1 && overlap(*address, o.net));
                if let Some(by) = by {
                    return taken(address, format!("overlaps {}", by.by));
                }
            }
        }
        Ok(())
    }

    /// The sandboxes among them whose loopback is down.
    fn loopbacks_down(&mut self, spots: [Spot<'_>; 2]) -> Result<Vec<NsRef>, Error> {
        let mut down: Vec<NsRef> = Vec::new();
        for sandbox in spots.into_iter().flatten() {
            let place = Place::Sandbox(sandbox.reached_by.clone());
            let object = Error::kernel(format!("sandbox {}", sandbox.spelled));
            let loopback = self.kernel.link(&place, IfName::loopback().as_str()).map_err(object)?;
            if loopback.is_some_and(|l| l.state == AdminState::Down) && !down.contains(&sandbox.reached_by) {
                down.push(sandbox.reached_by.clone());
            }
        }
        Ok(down)
    }

    /// Takes a link away by either of its ends. What is gone already is a success.
    pub fn unlink(&mut self, end: &LinkEndRef, act: Act) -> Result<Report<Unlinked>, Error> {
        let there = match &end.place {
            LinkPlaceRef::Host => None,
            LinkPlaceRef::Sandbox(sandbox) => self.locate_endpoint(sandbox)?,
        };
        let _host = self.store.lock_host(Mode::Shared)?;
        self.recover_first(act)?;
        let none = Report { plan: Plan::new(), value: Unlinked::WasNotLinked };
        let Some(found) = self.find_link(end, there) else { return Ok(none) };
        let locks = self.lock_sandboxes(&found.cookies())?;
        // It may have gone while we waited for the locks.
        let Some(link) = self.recorded_link(&found.id)? else { return Ok(none) };
        let plan = self.unlink_locked(&link, act)?;
        self.release_sandboxes(locks)?;
        Ok(Report { plan, value: Unlinked::Gone(Box::new(link)) })
    }

    /// The caller holds the locks of its sandboxes.
    pub(crate) fn unlink_locked(&mut self, link: &DirectLink, act: Act) -> Result<Plan, Error> {
        let plan = self.plan_unlink(link)?;
        if act == Act::Apply {
            self.apply_unlink(link, &plan)?;
        }
        Ok(plan)
    }

    /// By the namespace if there is one, else by the name it had when it was linked.
    fn find_link(&self, end: &LinkEndRef, there: Option<Resolved>) -> Option<DirectLink> {
        let (mut all, _) = self.store.links_lossy();
        all.extend(self.store.unfinished_links_lossy().0);
        let LinkPlaceRef::Sandbox(sandbox) = &end.place else {
            return all.into_iter().find(|l| l.ends.iter().any(|e| e.is(None, &end.ifname)));
        };
        let mut names = Vec::new();
        match there {
            Some(resolved) => {
                let is = |e: &LinkEnd| e.is(Some(resolved.cookie), &end.ifname);
                if let Some(link) = all.iter().find(|l| l.ends.iter().any(is)) {
                    return Some(link.clone());
                }
                names.push(resolved.spelled);
            }
            None => names.push(sandbox.to_string()),
        }
        if let SandboxRef::Name(name) = sandbox {
            names.extend(["docker", "podman", "containerd"].map(|runtime| format!("{runtime}:{name}")));
        }
        let is = |e: &LinkEnd| e.ifname == end.ifname && e.place.sandbox().is_some_and(|s| names.contains(&s.spelled));
        all.into_iter().find(|l| l.ends.iter().any(is))
    }

    fn recorded_link(&self, id: &LinkId) -> Result<Option<DirectLink>, Error> {
        match self.store.link(id)? {
            Some(link) => Ok(Some(link)),
            None => Ok(self.store.unfinished_link(id)?),
        }
    }

    pub(crate) fn links_of(&self, cookie: NetnsCookie) -> Vec<DirectLink> {
        let mut all = self.store.links_lossy().0;
        all.extend(self.store.unfinished_links_lossy().0);
        all.retain(|l| l.cookies().contains(&cookie));
        all
    }

    /// All links, oldest first.
    pub fn links(&mut self) -> Result<Vec<LinkView>, Error> {
        let mut views = Vec::new();
        for link in self.store.links_lossy().0 {
            let ends = self.link_ends(&link)?;
            let there: Vec<&LinkSeen> = ends
                .iter()
                .filter_map(|(_, end)| if let EndSeen::There(seen) = end { Some(&**seen) } else { None })
                .collect();
            let state = match there[..] {
                [] => LinkState::Gone,
                [a, b] if a.carrier && b.carrier => LinkState::Up,
                _ => LinkState::Down,
            };
            views.push(LinkView { link, state });
        }
        Ok(views)
    }

    /// What is there of a link's ends, by the ways that lead to them now.
    pub(crate) fn link_ends(&mut self, link: &DirectLink) -> Result<EndsSeen, Error> {
        Ok([self.link_end(&link.ends[0])?, self.link_end(&link.ends[1])?])
    }

    fn link_end(&mut self, end: &LinkEnd) -> Result<(Place, EndSeen), Error> {
        let place = zubi_plan::link::place(end);
        if let LinkPlace::Sandbox(sandbox) = &end.place
            && self.way_to(sandbox, None)?.is_none()
        {
            return Ok((place, EndSeen::NoWay));
        }
        let failed = || Error::kernel(format!("link {end}"));
        let ours = |l: &LinkSeen| {
            let marked = end.place != LinkPlace::Host || l.group.is_ours();
            l.mac == Some(end.mac) && l.kind.as_deref() == Some("veth") && marked
        };
        let named = self.kernel.link(&place, end.ifname.as_str()).map_err(failed())?;
        if let Some(seen) = named.filter(ours) {
            return Ok((place, EndSeen::There(Box::new(seen))));
        }
        let all = self.kernel.links(&place, None).map_err(failed())?;
        let renamed = all.iter().filter(|l| ours(l)).find_map(|l| l.name.parse().ok());
        Ok((place, renamed.map_or(EndSeen::Absent, EndSeen::Renamed)))
    }

    pub(crate) fn plan_unlink(&mut self, link: &DirectLink) -> Result<Plan, Error> {
        let ends = self.link_ends(link)?;
        Ok(ends
            .into_iter()
            .zip(&link.ends)
            .find_map(|((place, seen), end)| match seen {
                EndSeen::There(_) => Some(unmake(place, LinkMark::new(end.ifname.clone(), end.mac))),
                EndSeen::Renamed(name) => Some(unmake(place, LinkMark::new(name, end.mac))),
                EndSeen::Absent | EndSeen::NoWay => None,
            })
            .unwrap_or_default())
    }

    /// Marks the record, deletes the pair, forgets it. What is left of a failure stays marked: gc comes back to it.
    fn apply_unlink(&mut self, link: &DirectLink, plan: &Plan) -> Result<(), Error> {
        if self.store.link(&link.id)?.is_some() {
            self.store.begin_unlink(&link.id)?;
        }
        self.take_down(&format!("link {link}"), plan, Deletions::Now)?;
        Ok(self.store.finish_unlink(&link.id)?)
    }

    /// Takes a link away whatever state it is in. The caller holds the locks of its sandboxes.
    fn bury_link(&mut self, link: &DirectLink) -> Result<(), Error> {
        Fault::muted(|| self.unlink_locked(link, Act::Apply).map(drop))
    }

    /// Dead is a link whose devices are gone, one of them with its namespace. Unknown is not dead.
    pub(crate) fn is_dead_link(&mut self, link: &DirectLink) -> Result<bool, Error> {
        let ends = self.link_ends(link)?;
        let gone = ends.iter().all(|(_, end)| matches!(end, EndSeen::NoWay | EndSeen::Absent));
        Ok(gone && ends.iter().any(|(_, end)| matches!(end, EndSeen::NoWay)))
    }

    /// Gives whether it is gone now, or would be.
    fn bury_link_if_dead(&mut self, link: &DirectLink, held: &Locks, act: Act) -> Result<bool, Error> {
        let Some(_locks) = self.try_lock_others(link, held)? else { return Ok(false) };
        let dead = self.is_dead_link(link)?;
        if dead && act == Act::Apply {
            self.bury_link(link)?;
        }
        Ok(dead)
    }

    /// Takes the links away that were left half-way: those of which nobody holds a sandbox, but the caller.
    pub(crate) fn recover_links(&mut self, held: &Locks) -> Result<Vec<String>, Error> {
        let mut done = Vec::new();
        // One that cannot be read is reported by `check`; it must not stop everybody else.
        for link in self.store.unfinished_links_lossy().0 {
            let Some(locks) = self.try_lock_others(&link, held)? else { continue };
            let Some(link) = self.store.unfinished_link(&link.id)? else { continue };
            self.bury_link(&link)?;
            self.release_sandboxes(locks)?;
            done.push(format!("link {link} (interrupted)"));
        }
        Ok(done)
    }

    /// Takes the links of dead sandboxes away.
    pub(crate) fn bury_dead_links(&mut self) -> Result<Vec<String>, Error> {
        let mut done = Vec::new();
        for link in self.store.links_lossy().0 {
            let Some(locks) = self.try_lock_others(&link, &Locks::new())? else { continue };
            let Some(link) = self.store.link(&link.id)? else { continue };
            if self.is_dead_link(&link)? {
                self.bury_link(&link)?;
                self.release_sandboxes(locks)?;
                done.push(format!("link {link} (sandbox is gone)"));
            }
        }
        Ok(done)
    }

    /// Waits for all of them. The order of the numbers keeps two who want the same from waiting for each other.
    fn lock_sandboxes(&self, cookies: &[NetnsCookie]) -> Result<Locks, Error> {
        let mut cookies = cookies.to_vec();
        cookies.sort_unstable();
        cookies.dedup();
        let mut locks = Locks::new();
        for cookie in cookies {
            locks.insert(cookie, self.store.lock_sandbox(cookie)?);
        }
        Ok(locks)
    }

    /// A sandbox's lock and those of all it is linked to.
    pub(crate) fn lock_with_linked(&self, cookie: NetnsCookie) -> Result<Locks, Error> {
        loop {
            let mut wanted: Vec<NetnsCookie> = self.links_of(cookie).iter().flat_map(DirectLink::cookies).collect();
            wanted.push(cookie);
            let locks = self.lock_sandboxes(&wanted)?;
            // A further link may have come while we waited; with our lock held there is no more.
            if self.links_of(cookie).iter().flat_map(DirectLink::cookies).all(|c| locks.contains_key(&c)) {
                return Ok(locks);
            }
        }
    }

    /// The locks of a link's sandboxes beside those that are held; `None` when somebody is at work on one.
    fn try_lock_others(&self, link: &DirectLink, held: &Locks) -> Result<Option<Locks>, Error> {
        let mut locks = Locks::new();
        for cookie in link.cookies().into_iter().filter(|c| !held.contains_key(c)) {
            let Some(lock) = self.store.try_lock_sandbox(cookie)? else { return Ok(None) };
            locks.insert(cookie, lock);
        }
        Ok(Some(locks))
    }

    pub(crate) fn release_sandboxes(&self, locks: Locks) -> Result<(), Error> {
        locks.into_iter().try_for_each(|(cookie, lock)| self.release_sandbox(cookie, lock))
    }
}

fn cookie(spot: Spot<'_>) -> Option<NetnsCookie> {
    spot.map(|s| s.cookie)
}

fn identity(sandbox: &Resolved) -> SandboxIdentity {
    SandboxIdentity { cookie: sandbox.cookie, spelled: sandbox.spelled.clone(), reached_by: sandbox.reached_by.clone() }
}

fn overlap(a: IpNet, b: IpNet) -> bool {
    a.contains(&b.addr()) || b.contains(&a.addr())
}

/// The same link again, unless something else is wished now.
fn existing_link(link: DirectLink, wishes: &LinkWishes) -> Result<Report<Linked>, Error> {
    let differs =
        |what, has| Err(Error::LinkDiffers { link: link.to_string(), end: link.ends[0].to_string(), what, has });
    let [a, b] = [&link.ends[0].addresses, &link.ends[1].addresses];
    let asked = wishes.addresses.iter().any(|all| !all.is_empty());
    if asked && [a, b] != [&wishes.addresses[0], &wishes.addresses[1]] {
        let list = |all: &[IpNet]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let has = if a.is_empty() && b.is_empty() { "none".into() } else { format!("{},{}", list(a), list(b)) };
        return differs("addresses", has);
    }
    let mtu = link.mtu.unwrap_or(Mtu::STANDARD);
    if wishes.mtu.is_some_and(|wished| wished != mtu) {
        return differs("MTU", mtu.to_string());
    }
    Ok(Report { plan: Plan::new(), value: Linked { link, attachment: Attachment::Existing } })
}

/// Whatever is not wished is as the earlier link between the same ends had it.
fn or_as_before(mut wishes: LinkWishes, earlier: &DirectLink) -> LinkWishes {
    if wishes.addresses.iter().all(Vec::is_empty) {
        wishes.addresses = [earlier.ends[0].addresses.clone(), earlier.ends[1].addresses.clone()];
    }
    wishes.mtu = wishes.mtu.or(earlier.mtu);
    wishes
}
