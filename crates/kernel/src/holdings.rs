//! What the host has on a device, and who answers there.

use crate::error::Error;
use crate::session::Session;
use std::net::IpAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};
use zubi_model::{Family, HeldNeighbour, Holdings, IfIndex, IfName, Mac, StaticRoute};
use zubi_plan::Place;
use zubi_wire::Batch;
use zubi_wire::route::{
    AddressSeen, Certainty, Neighbour, NeighbourSeen, RouteOfDevice, Rule, RuleSeen, WholeRule, ask_neighbour,
    forget_neighbour, held_address,
};

/// The pause between two looks at the neighbours.
const PAUSE: Duration = Duration::from_millis(5);

/// When a neighbour is asked again: the kernel gives up after three questions (`ucast_solicit`).
const AGAIN: Duration = Duration::from_secs(1);

/// What the host has on a device.
#[derive(Debug, Clone, Default)]
pub struct HoldingsSeen {
    /// What can move.
    pub held: Holdings,
    /// What cannot, and why: both in words.
    pub beyond: Vec<(String, String)>,
}

fn words(route: &StaticRoute) -> String {
    if route.to.prefix_len() == 0 { "the default route".into() } else { format!("the route {}", route.to) }
}

impl Session {
    /// Reads what the host has on a device. Of `settings` (family, name) it reads those that differ from the settings of
    /// a new device, and `rp_filter`.
    pub fn holdings(&mut self, device: &IfName, settings: &[(&str, &str)]) -> Result<HoldingsSeen, Error> {
        let host = &Place::Host;
        let index = self.index(host, device.as_str())?;
        let mut seen = HoldingsSeen::default();
        let dump = |b: &mut Batch| AddressSeen::dump(b, Some(index));
        let addresses = self.route()?.dump("addresses", &dump, |m| held_address(m).into_iter().collect())?;
        for (of, mut held) in addresses {
            if of != index {
                continue;
            }
            // What follows the name of the device follows that of the next one.
            held.options.label = held.options.label.and_then(|label| match label.strip_prefix(device.as_str()) {
                Some("") => None,
                Some(rest) => Some(rest.to_owned()),
                None => Some(label),
            });
            seen.held.addresses.push(held);
        }
        for family in [Family::V4, Family::V6] {
            let routes = self.whole_routes(host, family)?;
            for RouteOfDevice { route, beyond, .. } in routes.into_iter().filter(|route| route.device == index) {
                match beyond {
                    Some(why) => seen.beyond.push((words(&route), why)),
                    None => seen.held.routes.push(route),
                }
            }
        }
        for family in [Family::V4, Family::V6] {
            let rules = self
                .route()?
                .dump("routing rules", &|b| RuleSeen::dump(b, family), |m| WholeRule::parse(m).into_iter().collect())?;
            for WholeRule { rule, beyond } in rules.into_iter().filter(|whole| whole.rule.names(device)) {
                match beyond {
                    Some(why) => seen.beyond.push((format!("the policy rule {}", Rule(rule)), why)),
                    None => seen.held.rules.push(rule),
                }
            }
        }
        let neighbours = self.neighbours(host)?;
        let held = |seen: NeighbourSeen| {
            let (address, mac) = (seen.address?, seen.answered()?);
            Some(HeldNeighbour { address, mac, permanent: seen.is_permanent() })
        };
        seen.held.neighbours = neighbours.into_iter().filter(|seen| seen.device == index).filter_map(held).collect();
        for (family, name) in settings {
            let value = self.setting(host, &format!("net/{family}/conf/{device}/{name}"))?;
            let of_new = self.setting(host, &format!("net/{family}/conf/default/{name}"))?;
            if let Some(value) = value.filter(|value| *name == "rp_filter" || of_new.as_ref() != Some(value)) {
                seen.held.settings.push(((*family).to_owned(), (*name).to_owned(), value));
            }
        }
        Ok(seen)
    }

    /// Asks on a device who has these addresses. Returns those who answer within `patience`. An entry that the kernel has
    /// is believed only after an answer.
    pub fn answers(
        &mut self,
        device: &IfName,
        addresses: &[IpAddr],
        patience: Duration,
    ) -> Result<Vec<(IpAddr, Mac)>, Error> {
        if addresses.is_empty() {
            return Ok(Vec::new());
        }
        let index = self.index(&Place::Host, device.as_str())?;
        self.ask(device, index, addresses)?;
        let since = Instant::now();
        let mut again = AGAIN;
        loop {
            let seen = self.neighbours(&Place::Host)?;
            let answered = seen.iter().filter(|seen| seen.device == index && seen.answers());
            let all: Vec<(IpAddr, Mac)> = answered
                .filter_map(|seen| Some((seen.address?, seen.mac?)))
                .filter(|(address, _)| addresses.contains(address))
                .collect();
            if all.len() == addresses.len() || since.elapsed() > patience {
                self.forget_unanswered(index, &seen, addresses)?;
                return Ok(all);
            }
            if since.elapsed() > again {
                again += AGAIN;
                let is_silent = |address: &&IpAddr| !all.iter().any(|(answered, _)| answered == *address);
                let silent: Vec<IpAddr> = addresses.iter().filter(is_silent).copied().collect();
                self.ask(device, index, &silent)?;
            }
            sleep(PAUSE);
        }
    }

    fn ask(&mut self, device: &IfName, index: IfIndex, addresses: &[IpAddr]) -> Result<(), Error> {
        let before = self.neighbours(&Place::Host)?;
        let mut batch = Batch::new();
        for address in addresses {
            let is_it = |seen: &&NeighbourSeen| seen.device == index && seen.address == Some(*address);
            if let Some(mac) = before.iter().find(is_it).and_then(NeighbourSeen::answered) {
                let (address, device) = (*address, device.clone());
                Neighbour { address, mac, device, certainty: Certainty::Asked }.encode(&mut batch, index);
            } else {
                forget_neighbour(&mut batch, *address, index);
                ask_neighbour(&mut batch, *address, index);
            }
        }
        // There is nothing to forget where nobody was asked yet.
        self.route()?.transact(batch)?;
        Ok(())
    }

    /// Forgets the questions that nobody answered: whoever gets such an address is asked at once.
    fn forget_unanswered(
        &mut self,
        device: IfIndex,
        seen: &[NeighbourSeen],
        addresses: &[IpAddr],
    ) -> Result<(), Error> {
        let unanswered = seen.iter().filter(|seen| seen.device == device && seen.answered().is_none());
        let of_ours = unanswered.filter_map(|seen| seen.address).filter(|address| addresses.contains(address));
        let mut batch = Batch::new();
        of_ours.for_each(|address| forget_neighbour(&mut batch, address, device));
        if !batch.is_empty() {
            self.route()?.transact(batch)?;
        }
        Ok(())
    }
}
