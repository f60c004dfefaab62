//! Comparing operations with what exists.

use crate::error::Error;
use crate::machine::Kernel;
use crate::settings::same_value;
use crate::survey::Survey;
use std::path::Path;
use zubi_model::{Family, IfIndex, IfName};
use zubi_plan::{Op, Place, Sysctl, What};
use zubi_wire::route::{AddrGenMode, Link, LinkChange, LinkKind};

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

impl Kernel {
    /// Compares each operation with what exists. A sandbox that is gone has nothing.
    pub fn examine(&mut self, ops: &[Op]) -> Result<Vec<(Op, Finding)>, Error> {
        self.examine_in(&mut Survey::narrow(), ops)
    }

    /// The same, with what a survey has read.
    pub fn examine_in(&mut self, survey: &mut Survey, ops: &[Op]) -> Result<Vec<(Op, Finding)>, Error> {
        let mut findings = Vec::new();
        for op in ops {
            let finding = match self.examine_one(survey, op) {
                Err(Error::NotASandbox { .. }) => Finding::Missing,
                Err(e) if e.is_missing() => Finding::Missing,
                other => other?,
            };
            findings.push((op.clone(), finding));
        }
        Ok(findings)
    }

    /// Whether the kernel is as it is after an operation whose answer was lost.
    pub(crate) fn is_done(&mut self, op: &Op) -> Result<bool, Error> {
        let (what, there) = match &op.what {
            What::DeleteAddress(address) => (What::AddAddress(address.clone()), false),
            What::DeleteRoute(route) => (What::AddRoute(route.clone()), false),
            What::DeleteElement(element) => (What::AddElement(element.clone()), false),
            What::DeleteTable(table) => (What::AddTable(table.clone()), false),
            What::DeleteGuestRule(at) => return Ok(!self.guests()?.iter().any(|guest| guest.rule.at() == *at)),
            other => (other.clone(), true),
        };
        let found = self.examine(&[Op { place: op.place.clone(), what, why: op.why }])?;
        let is_there = |finding: &Finding| matches!(finding, Finding::Same | Finding::NoState);
        Ok(found.iter().all(|(_, finding)| is_there(finding) == there))
    }

    fn examine_one(&mut self, survey: &mut Survey, op: &Op) -> Result<Finding, Error> {
        let place = &op.place;
        if op.is_nft() {
            return self.examine_nft(survey, op);
        }
        Ok(match &op.what {
            What::AddLink(link) => self.examine_link(survey, place, link)?,
            What::ChangeLink(change) => self.examine_change(survey, place, change)?,
            What::ChangePort(port) => {
                match self.surveyed_link(survey, place, port.name.as_str())?.and_then(|l| l.port) {
                    None => Finding::Differs("is not a bridge port".into()),
                    Some(seen) => port.differs_from(&seen).map_or(Finding::Same, Finding::Differs),
                }
            }
            What::AddAddress(address) => {
                let device = self.index_in(survey, place, &address.device)?;
                let seen = self.surveyed_addresses(survey, place, device)?;
                present(seen.iter().any(|a| a.address == address.address))
            }
            What::AddRoute(route) => {
                let device = self.index_in(survey, place, &route.device)?;
                let seen = self.surveyed_routes(survey, place, Family::of(route.to.addr()))?;
                present(seen.iter().any(|s| route.is(s, device)))
            }
            What::AddForwarding(entry) => {
                let port = self.index_in(survey, place, &entry.port)?;
                present(self.surveyed_forwarding(survey, entry.mac, port)?)
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
            What::Set(sysctl) => match self.setting_in(survey, place, sysctl)? {
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

    fn index_in(&mut self, survey: &mut Survey, place: &Place, device: &IfName) -> Result<IfIndex, Error> {
        let seen = self.surveyed_link(survey, place, device.as_str())?;
        seen.map(|link| link.index).ok_or_else(|| Error::NoDevice { name: device.to_string() })
    }

    /// A setting of a device is told with the device.
    fn setting_in(&mut self, survey: &mut Survey, place: &Place, sysctl: &Sysctl) -> Result<Option<String>, Error> {
        if let Some((family, device, name)) = sysctl.of_device()
            && let Some(seen) = self.surveyed_link(survey, place, device)?
            && let Some(value) = seen.settings.get(family, name)
        {
            return Ok(Some(value.to_string()));
        }
        self.setting(place, &sysctl.key)
    }

    fn examine_link(&mut self, survey: &mut Survey, place: &Place, link: &Link) -> Result<Finding, Error> {
        let Some(seen) = self.surveyed_link(survey, place, link.name.as_str())? else { return Ok(Finding::Missing) };
        if !link.is(&seen) {
            let mac = seen.mac.map_or_else(|| "none".into(), |mac| mac.to_string());
            return Ok(Finding::Differs(if link.resembles(&seen) {
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
        if let Some(differs) = self.examine_peer(survey, link)? {
            return Ok(differs);
        }
        let Some(master) = &link.master else { return Ok(Finding::Same) };
        match (self.surveyed_link(survey, place, master.as_str())?.map(|m| m.index), seen.master) {
            (Some(wanted), Some(found)) if wanted == found => Ok(Finding::Same),
            (_, None) => Ok(Finding::Differs(format!("is not a port of {master}"))),
            _ => Ok(Finding::Differs(format!("is a port of another bridge than {master}"))),
        }
    }

    /// The other end of a pair, where it can be looked at.
    fn examine_peer(&mut self, survey: &mut Survey, link: &Link) -> Result<Option<Finding>, Error> {
        let (Some(mtu), LinkKind::Veth(peer)) = (link.mtu, &link.kind) else { return Ok(None) };
        let inside = Place::Sandbox(peer.netns.clone());
        let seen = match self.surveyed_link(survey, &inside, peer.name.as_str()) {
            Err(Error::NotASandbox { .. }) => None,
            other => other?,
        };
        let differs = seen.filter(|seen| seen.mac == Some(peer.mac) && seen.mtu != mtu.bytes());
        Ok(differs.map(|seen| Finding::Differs(format!("MTU of {} inside is {}", peer.name, seen.mtu))))
    }

    fn examine_change(&mut self, survey: &mut Survey, place: &Place, change: &LinkChange) -> Result<Finding, Error> {
        let Some(seen) = self.surveyed_link(survey, place, change.name.as_str())? else { return Ok(Finding::Missing) };
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
            // What it says is for the day when the records are lost; it may be older than they are.
            _ if change.alias.is_some() && !seen.alias.is_some_and(|alias| alias.starts_with("zubi ")) => {
                Ok(Finding::Differs("its alias does not say whose it is".into()))
            }
            _ if change.addressless && seen.addr_gen_mode.is_some_and(|mode| mode != AddrGenMode::None) => {
                Ok(Finding::Differs("gives itself a link-local address".into()))
            }
            _ => Ok(Finding::Same),
        }
    }

    fn examine_nft(&mut self, survey: &mut Survey, op: &Op) -> Result<Finding, Error> {
        Ok(match &op.what {
            What::AddTable(_) => present(self.surveyed_firewall(survey)?.table.is_some()),
            What::AddSet(set) => present(self.surveyed_firewall(survey)?.sets.iter().any(|s| set.is(s))),
            What::AddChain(chain) => present(self.surveyed_firewall(survey)?.chains.iter().any(|c| chain.is(c))),
            What::AddRule(rule) => present(self.surveyed_firewall(survey)?.rules.iter().any(|r| r.rule == *rule)),
            What::AddElement(element) => {
                let raw = element.raw();
                if survey.is_narrow() && matches!(&raw[..], [only] if only.end.is_none()) {
                    return Ok(present(self.has_element(element)?));
                }
                let seen = self.surveyed_elements(survey, &element.set)?;
                present(raw.iter().all(|raw| seen.contains(raw)))
            }
            What::AddGuestRule(rule) => present(self.surveyed_guests(survey)?.iter().any(|guest| rule.is(&guest.rule))),
            _ => Finding::NoState,
        })
    }
}

fn present(there: bool) -> Finding {
    if there { Finding::Same } else { Finding::Missing }
}
