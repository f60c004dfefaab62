//! Comparing operations with what exists.

use crate::error::Error;
use crate::machine::Kernel;
use crate::settings::same_value;
use std::collections::HashMap;
use std::path::Path;
use zubi_model::Family;
use zubi_plan::{Op, Place, What};
use zubi_wire::nft::ElementSeen;
use zubi_wire::route::{AddrGenMode, Link, LinkChange, LinkKind, Switch};

/// What the kernel has of what an operation would make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Exactly that.
    Same,
    /// Nothing of it.
    Missing,
    /// Something else; in words.
    Differs(String),
    /// It leaves no state that could be looked at.
    NoState,
}

/// Our firewall, read once for a whole comparison.
#[derive(Debug, Default)]
struct Firewall {
    seen: crate::FirewallSeen,
    elements: HashMap<String, Vec<ElementSeen>>,
}

impl Kernel {
    /// Compares each operation with what exists. A sandbox that cannot be opened has nothing.
    pub fn examine(&mut self, ops: &[Op]) -> Result<Vec<(Op, Finding)>, Error> {
        let mut firewall = None;
        let mut findings = Vec::new();
        for op in ops {
            let finding = if op.is_nft() {
                if firewall.is_none() {
                    firewall = Some(Firewall { seen: self.firewall()?, elements: HashMap::new() });
                }
                match &mut firewall {
                    Some(firewall) => self.examine_nft(op, firewall)?,
                    None => Finding::NoState,
                }
            } else {
                match self.examine_one(op) {
                    Err(Error::NotASandbox { .. }) => Finding::Missing,
                    Err(e) if e.is_missing() => Finding::Missing,
                    other => other?,
                }
            };
            findings.push((op.clone(), finding));
        }
        Ok(findings)
    }

    fn examine_one(&mut self, op: &Op) -> Result<Finding, Error> {
        let place = &op.place;
        Ok(match &op.what {
            What::AddLink(link) => self.examine_link(place, link)?,
            What::ChangeLink(change) => self.examine_change(place, change)?,
            What::ChangePort(port) => {
                let seen = self.link(place, port.name.as_str())?.and_then(|l| l.port);
                let differs = |wanted: Option<Switch>, found| wanted.is_some_and(|w| w != found);
                match seen {
                    None => Finding::Differs("is not a bridge port".into()),
                    Some(seen) if differs(port.isolated, seen.isolated) => {
                        Finding::Differs(format!("isolated is {}", seen.isolated))
                    }
                    Some(seen) if differs(port.hairpin, seen.hairpin) => {
                        Finding::Differs(format!("hairpin is {}", seen.hairpin))
                    }
                    Some(seen) if differs(port.locked, seen.locked) => {
                        Finding::Differs(format!("locked is {}", seen.locked))
                    }
                    Some(_) => Finding::Same,
                }
            }
            What::AddAddress(address) => {
                let device = self.index(place, address.device.as_str())?;
                let there = self.addresses(place, Some(device))?.iter().any(|a| a.address == address.address);
                present(there)
            }
            What::AddRoute(route) => {
                let device = self.index(place, route.device.as_str())?;
                let seen = self.routes(place, Family::of(route.to.addr()))?;
                present(seen.iter().any(|s| route.is(s, device)))
            }
            What::AddForwarding(entry) => {
                let port = self.index(place, entry.port.as_str())?;
                present(self.forwarding()?.iter().any(|s| s.mac == Some(entry.mac) && s.device == port))
            }
            What::AddHooks(device) => present(self.has_hooks(place, device)?),
            What::AddFilter(filter) => {
                let seen = self.filters(place, &filter.device)?.into_iter().find(|seen| filter.is_place_of(seen));
                match seen {
                    None => Finding::Missing,
                    Some(seen) if filter.is(&seen) => Finding::Same,
                    Some(_) => Finding::Differs("is another program".into()),
                }
            }
            What::Set(sysctl) => match self.setting(place, &sysctl.key)? {
                Some(value) if same_value(&value, &sysctl.value) => Finding::Same,
                None if sysctl.optional() => Finding::NoState,
                None => Finding::Missing,
                Some(value) => Finding::Differs(format!("is {value}")),
            },
            What::AddNamespace(name) | What::NameNamespace { name, .. } => {
                present(Path::new(crate::named::FOLDER).join(name.as_str()).exists())
            }
            _ => Finding::NoState,
        })
    }

    fn examine_link(&mut self, place: &Place, link: &Link) -> Result<Finding, Error> {
        let Some(seen) = self.link(place, link.name.as_str())? else { return Ok(Finding::Missing) };
        if !link.is(&seen) {
            return Ok(Finding::Differs("is a device that zubi did not make".into()));
        }
        if let Some(mtu) = link.mtu
            && mtu.bytes() != seen.mtu
        {
            return Ok(Finding::Differs(format!("MTU is {}", seen.mtu)));
        }
        if let Some(differs) = self.examine_peer(link)? {
            return Ok(differs);
        }
        let Some(master) = &link.master else { return Ok(Finding::Same) };
        match (self.link(place, master.as_str())?.map(|m| m.index), seen.master) {
            (Some(wanted), Some(found)) if wanted == found => Ok(Finding::Same),
            (_, None) => Ok(Finding::Differs(format!("is not a port of {master}"))),
            _ => Ok(Finding::Differs(format!("is a port of another bridge than {master}"))),
        }
    }

    /// The other end of a pair, where it can be looked at.
    fn examine_peer(&mut self, link: &Link) -> Result<Option<Finding>, Error> {
        let (Some(mtu), LinkKind::Veth(peer)) = (link.mtu, &link.kind) else { return Ok(None) };
        let inside = Place::Sandbox(peer.netns.clone());
        let seen = match self.link(&inside, peer.name.as_str()) {
            Err(Error::NotASandbox { .. }) => None,
            other => other?,
        };
        let differs = seen.filter(|seen| seen.mac == Some(peer.mac) && seen.mtu != mtu.bytes());
        Ok(differs.map(|seen| Finding::Differs(format!("MTU of {} inside is {}", peer.name, seen.mtu))))
    }

    fn examine_change(&mut self, place: &Place, change: &LinkChange) -> Result<Finding, Error> {
        let Some(seen) = self.link(place, change.name.as_str())? else { return Ok(Finding::Missing) };
        match change.state {
            Some(state) if state != seen.state => Ok(Finding::Differs(format!("is {}", seen.state))),
            _ if change.mtu.is_some_and(|mtu| mtu.bytes() != seen.mtu) => {
                Ok(Finding::Differs(format!("MTU is {}", seen.mtu)))
            }
            _ if change.promisc.is_some_and(|promisc| promisc != seen.promisc) => {
                Ok(Finding::Differs(format!("promisc is {}", seen.promisc)))
            }
            _ if change.allmulticast.is_some_and(|all| all != seen.allmulticast) => {
                Ok(Finding::Differs(format!("allmulticast is {}", seen.allmulticast)))
            }
            _ if change.tx_queue.is_some_and(|packets| packets != seen.tx_queue) => {
                Ok(Finding::Differs(format!("txqueuelen is {}", seen.tx_queue)))
            }
            _ if change.mac.is_some_and(|mac| Some(mac) != seen.mac) => {
                let has = seen.mac.map_or_else(|| "none".into(), |mac| mac.to_string());
                Ok(Finding::Differs(format!("MAC is {has}")))
            }
            _ if change.addressless && seen.addr_gen_mode.is_some_and(|mode| mode != AddrGenMode::None) => {
                Ok(Finding::Differs("gives itself a link-local address".into()))
            }
            _ => Ok(Finding::Same),
        }
    }

    fn examine_nft(&mut self, op: &Op, firewall: &mut Firewall) -> Result<Finding, Error> {
        let seen = &firewall.seen;
        Ok(match &op.what {
            What::AddTable(_) => present(seen.table.is_some()),
            What::AddSet(set) => present(seen.sets.iter().any(|s| set.is(s))),
            What::AddChain(chain) => present(seen.chains.iter().any(|c| chain.is(c))),
            What::AddRule(rule) => present(seen.rules.iter().any(|r| r.rule == *rule)),
            What::AddElement(element) => {
                if !firewall.elements.contains_key(&element.set) {
                    let elements = self.elements(&element.set)?;
                    firewall.elements.insert(element.set.clone(), elements);
                }
                let there = firewall
                    .elements
                    .get(&element.set)
                    .is_some_and(|seen| element.raw().iter().all(|raw| seen.contains(raw)));
                present(there)
            }
            What::AddGuestRule(rule) => present(self.guests()?.iter().any(|guest| rule.is(&guest.rule))),
            _ => Finding::NoState,
        })
    }
}

fn present(there: bool) -> Finding {
    if there { Finding::Same } else { Finding::Missing }
}
