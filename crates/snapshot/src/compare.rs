//! Compares operations with a snapshot.

use crate::{Namespace, NotRead, OvsAnswer, Snapshot};
use zubi_model::{Family, IfIndex, IfName};
use zubi_ovsdb::Port;
use zubi_plan::{Op, Place, Sysctl, What};
use zubi_wire::route::{
    AddrGenMode, BridgePort, Certainty, Filter, Link, LinkChange, LinkKind, LinkSeen, NeighbourSeen, PortVlanSeen,
};

/// How the kernel's state compares with the result of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The same.
    Same,
    /// Missing.
    Missing,
    /// Different; how, in words.
    Differs(String),
    /// The operation leaves no state to compare.
    NoState,
}

/// Compares each operation with a snapshot that contains [`crate::Needs::of`] them. A sandbox that is gone contains
/// nothing.
///
/// # Errors
/// If the snapshot lacks a part, or a sandbox could not be opened.
pub fn compare(ops: &[Op], snapshot: &Snapshot) -> Result<Vec<(Op, Finding)>, NotRead> {
    ops.iter().map(|op| Ok((op.clone(), finding(op, snapshot)?))).collect()
}

/// Whether the kernel's state is the one after each of these operations, by a snapshot that contains
/// [`crate::Needs::after`] them.
///
/// # Errors
/// As [`compare`].
pub fn done(ops: &[Op], snapshot: &Snapshot) -> Result<Vec<bool>, NotRead> {
    let one = |op: &Op| {
        if let What::DeleteGuestRule(at) = &op.what {
            return Ok(!snapshot.guest_rules()?.iter().any(|guest| guest.rule.at() == *at));
        }
        let is_there = |op: &Op| Ok(matches!(finding(op, snapshot)?, Finding::Same | Finding::NoState));
        match counterpart(op) {
            Some(made) => Ok(!is_there(&made)?),
            None => is_there(op),
        }
    };
    ops.iter().map(one).collect()
}

/// The operation that makes what this one removes.
pub(crate) fn counterpart(op: &Op) -> Option<Op> {
    let what = match &op.what {
        What::DeleteAddress(address) => What::AddAddress(address.clone()),
        What::DeleteRoute(route) => What::AddRoute(route.clone()),
        What::DeleteNeighbour(neighbour) => What::AddNeighbour(neighbour.clone()),
        What::DeleteElement(element) => What::AddElement(element.clone()),
        What::DeleteTable(table) => What::AddTable(table.clone()),
        _ => return None,
    };
    Some(Op { place: op.place.clone(), what, why: op.why })
}

/// Whether two values of a setting are equal: the kernel separates numbers by tabs.
pub fn same_value(one: &str, other: &str) -> bool {
    one.split_whitespace().eq(other.split_whitespace())
}

fn present(there: bool) -> Finding {
    if there { Finding::Same } else { Finding::Missing }
}

fn finding(op: &Op, snapshot: &Snapshot) -> Result<Finding, NotRead> {
    let sight = Sight { snapshot, place: &op.place };
    Ok(match &op.what {
        What::AddNamespace(name) | What::NameNamespace { name, .. } => present(snapshot.is_named(name)?),
        What::AddOvsPort(port) => of_ovs(port, snapshot)?,
        _ if op.is_nft() => of_ruleset(&op.what, snapshot)?,
        what => sight.of_place(what)?,
    })
}

fn of_ruleset(what: &What, snapshot: &Snapshot) -> Result<Finding, NotRead> {
    Ok(match what {
        What::AddTable(_) => present(snapshot.firewall()?.table.is_some()),
        What::AddSet(set) => present(snapshot.firewall()?.sets.iter().any(|seen| set.is(seen))),
        What::AddChain(chain) => present(snapshot.firewall()?.chains.iter().any(|seen| chain.is(seen))),
        What::AddRule(rule) => present(snapshot.firewall()?.rules.iter().any(|seen| seen.rule == *rule)),
        What::AddElement(element) => present(snapshot.has_element(element)?),
        What::AddGuestRule(rule) => present(snapshot.guest_rules()?.iter().any(|guest| rule.is(&guest.rule))),
        _ => Finding::NoState,
    })
}

/// An Open vSwitch that does not answer keeps nobody from comparing the rest.
fn of_ovs(port: &Port, snapshot: &Snapshot) -> Result<Finding, NotRead> {
    Ok(match snapshot.ovs()? {
        OvsAnswer::Silent(why) => Finding::Differs(why.clone()),
        OvsAnswer::Seen(seen) => match seen.port(port.name.as_str()) {
            None => Finding::Missing,
            Some(seen) => port.differs_from(seen).map_or(Finding::Same, Finding::Differs),
        },
    })
}

/// A snapshot seen from one place.
struct Sight<'s> {
    snapshot: &'s Snapshot,
    place: &'s Place,
}

impl Sight<'_> {
    fn of_place(&self, what: &What) -> Result<Finding, NotRead> {
        let is_gone = matches!(self.snapshot.namespace(self.place), Some(Namespace::Gone));
        Ok(match what {
            What::AddLink(_)
            | What::ChangeLink(_)
            | What::ChangePort(_)
            | What::AddAddress(_)
            | What::AddRoute(_)
            | What::AppendRoute(_)
            | What::AddVlan(_)
            | What::AddForwarding(_)
            | What::AddNeighbour(_)
            | What::AddHooks(_)
            | What::AddFilter(_)
            | What::Set(_)
                if is_gone =>
            {
                Finding::Missing
            }
            What::AddLink(link) => self.link(link)?,
            What::MoveLink(moved) => {
                present(self.snapshot.link(&Place::from(&moved.to), moved.rename.as_str())?.is_some())
            }
            What::ChangeLink(change) => self.change(change)?,
            What::ChangePort(port) => self.port(port)?,
            What::AddAddress(address) => {
                let Some(device) = self.index(&address.device)? else { return Ok(Finding::Missing) };
                let seen = self.snapshot.addresses_of(self.place, device)?;
                present(seen.iter().any(|seen| seen.address == address.address))
            }
            What::AddRoute(route) | What::AppendRoute(route) => {
                let Some(device) = self.index(&route.device)? else { return Ok(Finding::Missing) };
                let seen = self.snapshot.routes(self.place, Family::of(route.to.addr()))?;
                present(seen.iter().any(|seen| route.is(seen, device)))
            }
            // Another one changes by itself.
            What::AddNeighbour(wanted) if wanted.certainty == Certainty::Permanent => {
                let Some(device) = self.index(&wanted.device)? else { return Ok(Finding::Missing) };
                let is_it = |seen: &&NeighbourSeen| {
                    seen.device == device && seen.address == Some(wanted.address) && seen.is_permanent()
                };
                let seen = self.snapshot.neighbours(self.place)?.iter().find(is_it);
                present(seen.is_some_and(|seen| seen.mac == Some(wanted.mac)))
            }
            What::AddVlan(vlan) => {
                let Some(port) = self.index(&vlan.port)? else { return Ok(Finding::Missing) };
                present(self.snapshot.vlans(self.place)?.iter().any(|seen| vlan.is(seen, port)))
            }
            What::DeleteVlan(vlan) => {
                let link = self.snapshot.link(self.place, vlan.port.as_str())?;
                // The kernel puts a device into the VLAN when it becomes a port.
                let Some(port) = link.filter(|link| link.port.is_some()).map(|link| link.index) else {
                    return Ok(Finding::Missing);
                };
                let is_it = |seen: &PortVlanSeen| seen.port == port && seen.vlan == vlan.vlan.number();
                let is_there = self.snapshot.vlans(self.place)?.iter().any(is_it);
                if is_there { Finding::Differs(format!("is in VLAN {}", vlan.vlan)) } else { Finding::Same }
            }
            What::AddForwarding(entry) => {
                let Some(port) = self.index(&entry.port)? else { return Ok(Finding::Missing) };
                present(self.snapshot.has_forwarding(self.place, entry.mac, port)?)
            }
            What::AddHooks(device) => {
                let seen = self.snapshot.filters(self.place, device.as_str())?;
                present(seen.is_some_and(|seen| seen.has_hooks))
            }
            What::AddFilter(filter) => self.filter(filter)?,
            What::Set(sysctl) => self.setting(sysctl)?,
            _ => Finding::NoState,
        })
    }

    fn index(&self, device: &IfName) -> Result<Option<IfIndex>, NotRead> {
        Ok(self.snapshot.link(self.place, device.as_str())?.map(|link| link.index))
    }

    fn port(&self, port: &BridgePort) -> Result<Finding, NotRead> {
        let seen = self.snapshot.link(self.place, port.name.as_str())?.and_then(|link| link.port);
        Ok(match seen {
            None => Finding::Differs("is not a bridge port".into()),
            Some(seen) => port.differs_from(&seen).map_or(Finding::Same, Finding::Differs),
        })
    }

    fn filter(&self, filter: &Filter) -> Result<Finding, NotRead> {
        let seen = self.snapshot.filters(self.place, filter.device.as_str())?;
        let seen = seen.and_then(|seen| seen.filters.iter().find(|seen| filter.is_place_of(seen)));
        Ok(match seen {
            None => Finding::Missing,
            Some(seen) if filter.is(seen) => Finding::Same,
            Some(_) => Finding::Differs("is another program".into()),
        })
    }

    fn setting(&self, sysctl: &Sysctl) -> Result<Finding, NotRead> {
        Ok(match self.snapshot.setting(self.place, &sysctl.key)? {
            Some(value) if same_value(&value, &sysctl.value) => Finding::Same,
            None if sysctl.optional() => Finding::NoState,
            None => Finding::Missing,
            Some(value) => Finding::Differs(format!("is {value}")),
        })
    }

    fn link(&self, link: &Link) -> Result<Finding, NotRead> {
        let Some(seen) = self.snapshot.link(self.place, link.name.as_str())? else { return Ok(Finding::Missing) };
        if !link.is(seen) {
            let mac = seen.mac.map_or_else(|| "none".into(), |mac| mac.to_string());
            return Ok(Finding::Differs(if link.resembles(seen) {
                format!("its MAC is {mac} and its group {}", seen.group)
            } else {
                "is a device that zubi did not make".into()
            }));
        }
        if let Some(mtu) = link.mtu
            && mtu.bytes() != seen.mtu
        {
            return Ok(Finding::Differs(format!("MTU is {}", seen.mtu)));
        }
        if let Some(mtu) = peer_with_other_mtu(link, self.snapshot)?
            && let LinkKind::Veth(peer) = &link.kind
        {
            return Ok(Finding::Differs(format!("MTU of {} inside is {mtu}", peer.name)));
        }
        let Some(master) = &link.master else { return Ok(Finding::Same) };
        match (self.index(master)?, seen.master) {
            (Some(wanted), Some(found)) if wanted == found => Ok(Finding::Same),
            (_, None) => Ok(Finding::Differs(format!("is not a port of {master}"))),
            _ => Ok(Finding::Differs(format!("is a port of another bridge than {master}"))),
        }
    }

    fn has_master(&self, change: &LinkChange, seen: &LinkSeen) -> Result<bool, NotRead> {
        let Some(master) = &change.master else { return Ok(true) };
        Ok(self.index(master)?.is_some_and(|wanted| seen.master == Some(wanted)))
    }

    fn change(&self, change: &LinkChange) -> Result<Finding, NotRead> {
        let Some(seen) = self.snapshot.link(self.place, change.name.as_str())? else { return Ok(Finding::Missing) };
        Ok(match change.state {
            Some(state) if state != seen.state => Finding::Differs(format!("is {}", seen.state)),
            _ if !self.has_master(change, seen)? => {
                let master = change.master.as_ref().map_or("", |master| master.as_str());
                Finding::Differs(format!("is not a port of {master}"))
            }
            // It still has the name by which it was found.
            _ if change.rename.is_some() => Finding::Differs(format!("is called {}", seen.name)),
            _ if change.mtu.is_some_and(|mtu| mtu.bytes() != seen.mtu) => {
                Finding::Differs(format!("MTU is {}", seen.mtu))
            }
            _ if change.promisc.is_some_and(|promisc| promisc != seen.promisc) => {
                Finding::Differs(format!("promisc is {}", seen.promisc))
            }
            _ if change.allmulticast.is_some_and(|all| all != seen.allmulticast) => {
                Finding::Differs(format!("allmulticast is {}", seen.allmulticast))
            }
            _ if change.tx_queue.is_some_and(|packets| packets != seen.tx_queue) => {
                Finding::Differs(format!("txqueuelen is {}", seen.tx_queue))
            }
            _ if change.vlan_filtering.is_some()
                && change.vlan_filtering != seen.bridge.and_then(|bridge| bridge.vlan_filtering) =>
            {
                Finding::Differs("does not tell VLANs apart".into())
            }
            _ if change.mac.is_some_and(|mac| Some(mac) != seen.mac) => {
                let has = seen.mac.map_or_else(|| "none".into(), |mac| mac.to_string());
                Finding::Differs(format!("MAC is {has}"))
            }
            // Only the prefix is compared: the alias serves to rebuild lost records, and may be older than they are.
            _ if change.alias.is_some() && !seen.alias.as_ref().is_some_and(|alias| alias.starts_with("zubi ")) => {
                Finding::Differs("its alias does not say whose it is".into())
            }
            _ if change.addr_gen_mode == Some(AddrGenMode::None)
                && seen.addr_gen_mode.is_some_and(|mode| mode != AddrGenMode::None) =>
            {
                Finding::Differs("gives itself a link-local address".into())
            }
            _ => Finding::Same,
        })
    }
}

/// The MTU of the other end of a pair, if that end is the right one and its MTU differs.
pub(crate) fn peer_with_other_mtu(link: &Link, snapshot: &Snapshot) -> Result<Option<u32>, NotRead> {
    let (Some(mtu), LinkKind::Veth(peer)) = (link.mtu, &link.kind) else { return Ok(None) };
    let seen = snapshot.link(&Place::Sandbox(peer.netns.clone()), peer.name.as_str())?;
    Ok(seen.filter(|seen| seen.mac == Some(peer.mac) && seen.mtu != mtu.bytes()).map(|seen| seen.mtu))
}
