//! Applying operations of route netlink.

use crate::apply::{Group, Removal};
use crate::error::Error;
use crate::netns::Netns;
use crate::session::Session;
use crate::socket::{Answer, Kept};
use std::time::Duration;
use zubi_model::{Family, IfIndex, IfName, LinkGroup, Mtu};
use zubi_plan::{Op, Outcome, Place, What};
use zubi_wire::route::{
    AdminState, BridgePort, Link, LinkChange, LinkKind, LinkMark, LinkMove, LinkRef, LinkSeen, Route, add_hooks,
    delete_hooks, delete_link, probe_kind,
};
use zubi_wire::{Batch, KernelError};

/// How often, and after what time, a route is tried again when the kernel finds no way to the gateway.
const ROUTE_TRIES: u32 = 20;
const ROUTE_PAUSE: Duration = Duration::from_millis(2);

impl Session {
    /// Makes a link. An existing one is ours only if name, MAC, group and kind say so.
    pub(crate) fn add_link(&mut self, place: &Place, link: &Link) -> Result<Outcome, Error> {
        let inner = match &link.kind {
            LinkKind::Veth(peer) => Some((Place::Sandbox(peer.netns.clone()), peer.name.clone())),
            LinkKind::Stub(stub) => Some((place.clone(), stub.name.clone())),
            LinkKind::Bridge | LinkKind::OnCard(_) | LinkKind::Vlan(_) => None,
        };
        // Where the message goes. What is on a card of the host is made by the host, also inside a sandbox.
        let asked = if link.parent().is_some() { &Place::Host } else { place };
        let on = link.master.as_ref().or(link.parent());
        let on = on.map(|device| self.index(asked, device.as_str())).transpose()?;
        let netns = match link.netns() {
            Some(sandbox) => {
                self.open_sandbox(sandbox)?;
                self.sandbox(sandbox).map(|n| n.raw_fd().cast_unsigned())
            }
            None => None,
        };
        let mut batch = Batch::new();
        link.encode(&mut batch, on, netns);
        let answer = only(self.socket(asked)?.transact(batch)?);
        match answer.outcome {
            Some(Ok(())) => {
                self.made_links.insert((place.clone(), link.name.to_string()));
                if let Some((inside, name)) = &inner {
                    self.made_links.insert((inside.clone(), name.to_string()));
                }
                // An earlier pair may have had these names. The answer has the number of the new one (the echo of
                // rtnl_newlink_create since Linux 6.2); on older kernels it is looked up when it is needed.
                self.indexes.remove(&(place.clone(), link.name.to_string()));
                if let Some((inside, name)) = &inner {
                    self.indexes.remove(&(inside.clone(), name.to_string()));
                }
                let seen = answer.objects.iter().map(Kept::message).find_map(|m| LinkSeen::parse(&m));
                if let Some(seen) = seen {
                    self.indexes.insert((place.clone(), link.name.to_string()), seen.index);
                    if let (Some((inside, name)), Some(peer)) = (inner, seen.peer) {
                        self.indexes.insert((inside, name.to_string()), peer);
                    }
                }
                Ok(Outcome::Created)
            }
            Some(Err(e)) if e.errno == libc::EEXIST => match link.name_at_first().filter(|first| *first != link.name) {
                Some(first) if self.link(place, link.name.as_str())?.is_none() => self.add_renamed(place, link, first),
                _ => self.existing_link(place, link, inner, e),
            },
            // The answer was lost. If the link was made, it carries the MAC that was chosen for it.
            None if self.link(place, link.name.as_str())?.is_some_and(|seen| link.is(&seen)) => Ok(Outcome::Created),
            // rtnl_newlink: "Unknown device type".
            Some(Err(e)) if e.errno == libc::EOPNOTSUPP => {
                Err(Error::Netlink { object: link.to_string(), source: e, hint: lack(link.kind.word()) })
            }
            outcome => Err(refused(link.to_string(), outcome)),
        }
    }

    /// Fails if the kernel does not know a kind of link, and cannot load its module. Changes nothing.
    ///
    /// # Errors
    /// Also if the kernel does not answer.
    pub fn require_kind(&mut self, kind: &'static str) -> Result<(), Error> {
        let mut batch = Batch::new();
        probe_kind(&mut batch, kind);
        match only(self.socket(&Place::Host)?.transact(batch)?).outcome {
            Some(Err(e)) if e.errno == libc::EOPNOTSUPP => {
                Err(Error::Netlink { object: format!("link add type {kind}"), source: e, hint: lack(kind) })
            }
            _ => Ok(()),
        }
    }

    /// Makes a link for a sandbox under another name, since the host has a device of its own name, and renames it there.
    fn add_renamed(&mut self, place: &Place, link: &Link, first: IfName) -> Result<Outcome, Error> {
        let outcome = self.add_link(place, &Link { name: first.clone(), ..link.clone() })?;
        let index = self.index(place, first.as_str())?;
        self.indexes.remove(&(place.clone(), first.to_string()));
        self.made_links.remove(&(place.clone(), first.to_string()));
        let mut batch = Batch::new();
        LinkChange::rename(first.clone(), link.name.clone()).encode(&mut batch, LinkRef::Index(index), None);
        match only(self.socket(place)?.transact(batch)?).outcome {
            Some(Ok(())) => {
                self.made_links.insert((place.clone(), link.name.to_string()));
                self.indexes.insert((place.clone(), link.name.to_string()), index);
                Ok(outcome)
            }
            refusal => {
                self.delete_link(place, &LinkMark::new(first, link.mac))?;
                Err(refused(link.to_string(), refusal))
            }
        }
    }

    fn existing_link(
        &mut self,
        place: &Place,
        link: &Link,
        inner: Option<(Place, IfName)>,
        error: KernelError,
    ) -> Result<Outcome, Error> {
        match self.link(place, link.name.as_str())? {
            Some(seen) if link.is(&seen) => Ok(Outcome::AlreadyThere),
            Some(seen) => Err(Error::Conflict {
                object: format!("device {}", link.name),
                found: format!("a {} that zubi did not make", seen.kind.as_deref().unwrap_or("device")),
            }),
            None => match inner {
                Some((inside, name)) => Err(Error::Conflict {
                    object: format!("device {name}{}", if inside == *place { "" } else { " inside the sandbox" }),
                    found: "a device of that name; choose another with --ifname".into(),
                }),
                None => Err(Error::Netlink { object: link.to_string(), source: error, hint: None }),
            },
        }
    }

    /// Deletes a link that zubi made. Another device that has its name by now stays.
    pub(crate) fn delete_link(&mut self, place: &Place, link: &LinkMark) -> Result<Outcome, Error> {
        let name = &link.name;
        let Some(seen) = self.link(place, name.as_str())?.filter(|seen| link.is(seen)) else {
            return Ok(Outcome::Nothing);
        };
        let mut batch = Batch::new();
        delete_link(&mut batch, LinkRef::Index(seen.index));
        let answer = only(self.socket(place)?.transact(batch)?);
        self.indexes.remove(&(place.clone(), name.to_string()));
        self.made_links.remove(&(place.clone(), name.to_string()));
        match answer.outcome {
            Some(Ok(())) => Ok(Outcome::Removed),
            Some(Err(e)) if e.errno == libc::ENODEV => Ok(Outcome::Nothing),
            None if self.link(place, name.as_str())?.is_none_or(|seen| !link.is(&seen)) => Ok(Outcome::Removed),
            outcome => Err(refused(format!("link del {name}"), outcome)),
        }
    }

    /// Moves a link into another namespace.
    pub(crate) fn move_link(&mut self, place: &Place, moved: &LinkMove) -> Result<Outcome, Error> {
        let to = Place::from(&moved.to);
        let index = self.index(place, moved.name.as_str())?;
        let netns_fd = match &to {
            Place::Host => Some(self.machine.home().raw_fd()),
            Place::Sandbox(sandbox) => {
                self.open_sandbox(sandbox)?;
                self.sandbox(sandbox).map(Netns::raw_fd)
            }
        };
        let netns_fd = netns_fd.ok_or_else(|| Error::NoAnswer { object: "sandbox".into() })?;
        let mut batch = Batch::new();
        moved.encode(&mut batch, index, netns_fd.cast_unsigned());
        let outcome = only(self.socket(place)?.transact(batch)?).outcome;
        for (place, name) in [(place, &moved.name), (&to, &moved.rename)] {
            self.indexes.remove(&(place.clone(), name.to_string()));
            self.made_links.remove(&(place.clone(), name.to_string()));
        }
        match outcome {
            Some(Ok(())) => Ok(Outcome::Created),
            None if self.link(&to, moved.rename.as_str())?.is_some() => Ok(Outcome::Created),
            Some(Err(source)) if source.errno == libc::EINVAL => {
                let hint = Some("the kernel lets no device of this kind leave its namespace");
                Err(Error::Netlink { object: moved.to_string(), source, hint })
            }
            outcome => Err(refused(moved.to_string(), outcome)),
        }
    }

    /// Deletes all links of a group on the host. The kernel waits once for all of them.
    pub fn delete_group(&mut self, group: LinkGroup) -> Result<(), Error> {
        let mut batch = Batch::new();
        zubi_wire::route::delete_group(&mut batch, group);
        match only(self.socket(&Place::Host)?.transact(batch)?).outcome {
            Some(Ok(())) => Ok(()),
            // The group is empty.
            Some(Err(e)) if e.errno == libc::ENODEV => Ok(()),
            outcome => Err(refused(format!("link del group {group}"), outcome)),
        }
    }

    /// Applies several operations of one place in one send.
    pub(crate) fn apply_route(&mut self, ops: &[Op], removal: Removal) -> Group {
        let mut group = Group { done: Vec::new(), error: None };
        let mut batch = Batch::new();
        let mut sent = Vec::new();
        for op in ops {
            match self.way_back(op, removal).and_then(|back| self.encode(op, &mut batch).map(|()| back)) {
                Ok(back) => sent.push((op, back)),
                // Taking down goes on where a device is gone.
                Err(e) if e.is_missing() && (is_removal(op) || removal == Removal::Any) => {
                    group.done.push((op.clone(), Outcome::Nothing));
                }
                Err(e) => {
                    // Nothing of this group was sent.
                    group.error = Some(e);
                    return group;
                }
            }
        }
        if sent.is_empty() {
            return group;
        }
        let answers = match self.socket(&sent[0].0.place).and_then(|s| s.transact(batch)) {
            Ok(answers) => answers,
            Err(e) => {
                group.error = Some(e);
                return group;
            }
        };
        let mut read_back = match self.read_back(&sent, &answers) {
            Ok(done) => done.into_iter(),
            Err(e) => {
                group.error = Some(e);
                Vec::new().into_iter()
            }
        };
        for ((op, back), answer) in sent.into_iter().zip(answers) {
            let outcome = match answer.outcome {
                Some(Ok(())) => Ok(self.outcome(op, back)),
                Some(Err(error)) => self.settle(op, error),
                None => match read_back.next() {
                    Some(true) => Ok(outcome_read_back(op, back)),
                    Some(false) => Err(Error::NoAnswer { object: op.to_string() }),
                    None => continue,
                },
            };
            match outcome {
                Ok(outcome) => group.done.push((op.clone(), outcome)),
                // The kernel went on with the messages behind it, so their outcomes are needed to undo them.
                Err(e) => group.error = group.error.or(Some(e)),
            }
        }
        group
    }

    /// Which of the operations whose answers were lost the kernel has applied.
    fn read_back(&mut self, sent: &[(&Op, Option<What>)], answers: &[Answer]) -> Result<Vec<bool>, Error> {
        let lost = sent.iter().zip(answers).filter(|(_, answer)| answer.outcome.is_none());
        let lost: Vec<Op> = lost.map(|((op, _), _)| (*op).clone()).collect();
        if lost.is_empty() { Ok(Vec::new()) } else { self.are_done(&lost) }
    }

    /// The operation that restores what a change is about to replace, where that has to be looked up: the name and MTU
    /// of a device, the settings of a bridge port. Taking down is never undone.
    fn way_back(&mut self, op: &Op, removal: Removal) -> Result<Option<What>, Error> {
        if removal == Removal::Any {
            return Ok(None);
        }
        let (name, change, port) = match &op.what {
            // The plan was made for the state that the device inside has.
            What::ChangeLink(change)
                if change.has_settings()
                    || change.has_identity()
                    || (change.state.is_some() && op.place == Place::Host)
                    || change.state == Some(AdminState::Down) =>
            {
                (&change.name, Some(change), None)
            }
            What::ChangePort(port) => (&port.name, None, Some(port)),
            _ => return Ok(None),
        };
        if self.made_links.contains(&(op.place.clone(), name.to_string())) {
            return Ok(None);
        }
        // A device that was looked at before is known by its number: another one may have its name by now.
        let known = self.indexes.get(&(op.place.clone(), name.to_string())).copied();
        let seen = match known {
            Some(index) => self.link_at(&op.place, index)?,
            None => self.link(&op.place, name.as_str())?,
        };
        let Some(seen) = seen else { return Ok(None) };
        let bridge = match seen.master {
            Some(index) if change.is_some_and(|change| change.release || change.master.is_some()) => {
                self.link_at(&op.place, index)?.and_then(|bridge| bridge.name.parse().ok())
            }
            _ => None,
        };
        let old = change.map(|change| LinkChange {
            mtu: change.mtu.and_then(|_| Mtu::try_from(seen.mtu).ok()),
            promisc: change.promisc.map(|_| seen.promisc),
            allmulticast: change.allmulticast.map(|_| seen.allmulticast),
            tx_queue: change.tx_queue.map(|_| seen.tx_queue),
            vlan_filtering: change.vlan_filtering.and(seen.bridge.and_then(|bridge| bridge.vlan_filtering)),
            mac: change.mac.and(seen.mac),
            group: change.group.map(|_| seen.group),
            state: change.state.map(|_| seen.state),
            release: change.master.is_some() && seen.master.is_none(),
            master: bridge,
            // An empty one removes it.
            alias: change.alias.as_ref().map(|_| seen.alias.clone().unwrap_or_default()),
            addr_gen_mode: change.addr_gen_mode.and(seen.addr_gen_mode),
            rename: change.rename.as_ref().map(|_| name.clone()),
            ..LinkChange::none(change.rename.as_ref().unwrap_or(name).clone())
        });
        let old_port = port.zip(seen.port).map(|(port, old)| BridgePort {
            name: name.clone(),
            isolated: port.isolated.map(|_| old.isolated),
            hairpin: port.hairpin.map(|_| old.hairpin),
            locked: port.locked.map(|_| old.locked),
            learning: port.learning.map(|_| old.learning),
            flood: port.flood.map(|_| old.flood),
        });
        let old = old.filter(|old| !old.is_empty());
        Ok(old.map(What::ChangeLink).or(old_port.map(What::ChangePort)))
    }

    fn encode(&mut self, op: &Op, batch: &mut Batch) -> Result<(), Error> {
        let place = &op.place;
        match &op.what {
            What::ChangeLink(change) => {
                let index = self.index(place, change.name.as_str())?;
                let master = change.master.as_ref().map(|m| self.index(place, m.as_str())).transpose()?;
                change.encode(batch, LinkRef::Index(index), master);
            }
            What::ChangePort(port) => port.encode(batch, self.index(place, port.name.as_str())?),
            What::AddAddress(a) => a.encode(batch, self.index(place, a.device.as_str())?),
            What::ChangeAddress(a) => a.encode_change(batch, self.index(place, a.device.as_str())?),
            What::DeleteAddress(a) => a.encode_delete(batch, self.index(place, a.device.as_str())?),
            What::AddRoute(r) => r.encode(batch, self.index(place, r.device.as_str())?),
            What::AppendRoute(r) => r.encode_append(batch, self.index(place, r.device.as_str())?),
            What::AddPolicyRule(rule) => rule.encode(batch),
            What::DeletePolicyRule(rule) => rule.encode_delete(batch),
            What::AddNeighbour(n) => n.encode(batch, self.index(place, n.device.as_str())?),
            What::DeleteNeighbour(n) => n.encode_delete(batch, self.index(place, n.device.as_str())?),
            What::AddVlan(vlan) => vlan.encode(batch, self.index(place, vlan.port.as_str())?),
            What::DeleteVlan(vlan) => vlan.encode_delete(batch, self.index(place, vlan.port.as_str())?),
            What::AddForwarding(entry) => entry.encode(batch, self.index(place, entry.port.as_str())?),
            What::AddHooks(device) => add_hooks(batch, self.index(place, device.as_str())?),
            What::DeleteHooks(device) => delete_hooks(batch, self.index(place, device.as_str())?),
            What::AddFilter(filter) => filter.encode(batch, self.index(place, filter.device.as_str())?),
            What::DeleteFilter(filter) => filter.encode_delete(batch, self.index(place, filter.device.as_str())?),
            What::DeleteRoute(r) => r.encode_delete(batch, self.index(place, r.device.as_str())?),
            other => return Err(Error::NoAnswer { object: format!("{other:?}") }),
        }
        Ok(())
    }

    /// What the kernel did of an operation that it acknowledged.
    fn outcome(&mut self, op: &Op, back: Option<What>) -> Outcome {
        if let What::ChangeLink(change) = &op.what
            && change.rename.is_some()
        {
            self.indexes.remove(&(op.place.clone(), change.name.to_string()));
        }
        match &op.what {
            what if back.as_ref() == Some(what) => Outcome::AlreadyThere,
            What::ChangeLink(change) if change.state == Some(AdminState::Up) && back.is_none() => {
                let down = LinkChange::state(change.name.clone(), AdminState::Down);
                Outcome::Changed { back: Box::new(What::ChangeLink(down)) }
            }
            What::ChangeLink(_) | What::ChangePort(_) => match back {
                Some(back) => Outcome::Changed { back: Box::new(back) },
                None => Outcome::Created,
            },
            What::DeleteAddress(_)
            | What::DeleteRoute(_)
            | What::DeleteNeighbour(_)
            | What::DeletePolicyRule(_)
            | What::DeleteVlan(_)
            | What::DeleteHooks(_)
            | What::DeleteFilter(_) => Outcome::Removed,
            _ => Outcome::Created,
        }
    }

    /// What the kernel's error means for an operation: some say that it was done already.
    fn settle(&mut self, op: &Op, error: KernelError) -> Result<Outcome, Error> {
        match (&op.what, error.errno) {
            (
                What::AddAddress(_)
                | What::AppendRoute(_)
                | What::AddPolicyRule(_)
                | What::AddForwarding(_)
                | What::AddHooks(_),
                libc::EEXIST,
            ) => Ok(Outcome::AlreadyThere),
            (What::AddFilter(filter), _) => self.settle_filter(op, filter, error),
            (What::AddRoute(route), libc::EEXIST) => {
                let device = self.index(&op.place, route.device.as_str())?;
                if self.same_route(&op.place, route, device)? {
                    return Ok(Outcome::AlreadyThere);
                }
                Err(Error::Conflict {
                    object: format!("route {route}"),
                    found: "another route to the same destination".into(),
                })
            }
            (What::AddRoute(route), libc::EHOSTUNREACH) if route.via.is_some_and(|via| via.is_ipv6()) => {
                self.add_route_later(&op.place, route, error)
            }
            // A kernel without IPv6, or a device whose MTU is below 1280: it gives no address anyway.
            (What::ChangeLink(change), libc::EAFNOSUPPORT) if change.addr_gen_mode.is_some() => Ok(Outcome::Nothing),
            // AddHooks: a kernel without the queueing discipline `clsact`, or without any.
            (What::AddHooks(_), libc::ENOENT | libc::EOPNOTSUPP)
            | (What::DeleteHooks(_) | What::DeleteFilter(_), libc::ENOENT | libc::EINVAL)
            | (What::DeletePolicyRule(_) | What::DeleteNeighbour(_) | What::DeleteVlan(_), libc::ENOENT)
            | (What::DeleteAddress(_), libc::EADDRNOTAVAIL)
            | (What::DeleteRoute(_), libc::ESRCH) => Ok(Outcome::Nothing),
            (What::AddVlan(_) | What::ChangeLink(LinkChange { vlan_filtering: Some(_), .. }), libc::EOPNOTSUPP) => {
                let hint = Some("the bridges of this kernel tell no VLANs apart (CONFIG_BRIDGE_VLAN_FILTERING)");
                Err(Error::Netlink { object: op.to_string(), source: error, hint })
            }
            _ => Err(refused(op.to_string(), Some(Err(error)))),
        }
    }

    /// Tries a route again for a moment: right after the device went up the kernel may find no way to an IPv6 gateway
    /// (seen once in 900 connects on a busy machine).
    fn add_route_later(&mut self, place: &Place, route: &Route, mut error: KernelError) -> Result<Outcome, Error> {
        let device = self.index(place, route.device.as_str())?;
        for _ in 0..ROUTE_TRIES {
            std::thread::sleep(ROUTE_PAUSE);
            let mut batch = Batch::new();
            route.encode(&mut batch, device);
            match only(self.socket(place)?.transact(batch)?).outcome {
                Some(Err(e)) if e.errno == libc::EHOSTUNREACH => error = e,
                Some(Ok(())) => return Ok(Outcome::Created),
                outcome => return Err(refused(format!("route add {route}"), outcome)),
            }
        }
        Err(refused(format!("route add {route}"), Some(Err(error))))
    }

    fn same_route(&mut self, place: &Place, route: &Route, device: IfIndex) -> Result<bool, Error> {
        Ok(self.routes(place, Family::of(route.to.addr()))?.iter().any(|seen| route.is(seen, device)))
    }
}

/// Whether an operation has nothing left to do when its device is gone.
fn is_removal(op: &Op) -> bool {
    match &op.what {
        What::DeleteAddress(_) | What::DeleteRoute(_) | What::DeleteHooks(_) | What::DeleteFilter(_) => true,
        What::ChangeLink(change) => change.state == Some(AdminState::Down) || change.rename.is_some(),
        _ => false,
    }
}

/// What became of an operation whose answer was lost and that was read back as done.
fn outcome_read_back(op: &Op, back: Option<What>) -> Outcome {
    match (&op.what, back) {
        (What::DeleteAddress(_) | What::DeleteRoute(_), _) => Outcome::Removed,
        (_, Some(back)) => Outcome::Changed { back: Box::new(back) },
        _ => Outcome::Created,
    }
}

pub(crate) fn only(answers: Vec<Answer>) -> Answer {
    answers.into_iter().next().unwrap_or_default()
}

pub(crate) fn refused(object: String, outcome: Option<Result<(), KernelError>>) -> Error {
    match outcome {
        Some(Err(source)) => {
            let hint = match source.errno {
                libc::EPERM => Some("CAP_NET_ADMIN is needed: run as root, or try it in `zubi lab`"),
                libc::EXFULL => Some("a bridge takes at most 1023 ports"),
                libc::EAFNOSUPPORT => Some("this kernel lacks the address family or it is switched off"),
                _ => None,
            };
            Error::Netlink { object, source, hint }
        }
        _ => Error::NoAnswer { object },
    }
}

/// What a kernel lacks that does not know a kind of link.
fn lack(kind: &str) -> Option<&'static str> {
    match kind {
        "vlan" => Some("this kernel has no VLAN devices (CONFIG_VLAN_8021Q)"),
        "macvlan" => Some("this kernel has no macvlans (CONFIG_MACVLAN)"),
        "ipvlan" => Some("this kernel has no ipvlans (CONFIG_IPVLAN), which macvlans do not need"),
        _ => None,
    }
}
