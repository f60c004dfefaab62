//! What a comparison reads of the kernel: each part once, when it is first asked for.
//!
//! # How it works
//! A command that looks at everything reads whole tables: the links, addresses and routes of a place, the forwarding
//! entries, our nftables table. One that looks at one endpoint asks for the few devices by name, because a table of
//! thousands takes longer to read than three answers.
//!
//! # Limits
//! What has been read stays as it was. After a change the parts that it may have touched are read again
//! ([`Survey::forget`]), or another survey is begun.

use crate::error::Error;
use crate::machine::Kernel;
use crate::strangers::Guest;
use std::collections::{HashMap, HashSet};
use zubi_model::{Family, IfIndex, Mac};
use zubi_plan::Place;
use zubi_wire::nft::ElementSeen;
use zubi_wire::route::{AddressSeen, LinkSeen, RouteSeen};

/// How much is read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Breadth {
    /// The devices that are asked for.
    Named,
    /// All of a place.
    Whole,
}

/// Our nftables table and its elements.
#[derive(Debug, Default)]
pub(crate) struct Firewall {
    pub(crate) seen: crate::FirewallSeen,
    pub(crate) elements: HashMap<String, HashSet<ElementSeen>>,
}

#[derive(Debug, Default)]
struct PlaceSeen {
    links: HashMap<String, Option<LinkSeen>>,
    has_all_links: bool,
    addresses: Option<Vec<AddressSeen>>,
    routes: HashMap<Family, Vec<RouteSeen>>,
}

/// What has been read so far.
#[derive(Debug)]
pub struct Survey {
    breadth: Breadth,
    places: HashMap<Place, PlaceSeen>,
    forwarding: Option<HashSet<(Mac, IfIndex)>>,
    pub(crate) firewall: Option<Firewall>,
    guests: Option<Vec<Guest>>,
}

impl Survey {
    /// For a few objects.
    pub fn narrow() -> Self {
        Survey { breadth: Breadth::Named, ..Survey::whole() }
    }

    /// For everything there is.
    pub fn whole() -> Self {
        Survey { breadth: Breadth::Whole, places: HashMap::new(), forwarding: None, firewall: None, guests: None }
    }

    pub(crate) fn is_narrow(&self) -> bool {
        self.breadth == Breadth::Named
    }

    /// Reads a place again when it is next asked for.
    pub fn forget(&mut self, place: &Place) {
        self.places.remove(place);
        if *place == Place::Host {
            self.forwarding = None;
            self.firewall = None;
            self.guests = None;
        }
    }

    fn place(&mut self, place: &Place) -> &mut PlaceSeen {
        self.places.entry(place.clone()).or_default()
    }
}

impl Kernel {
    /// A device by name.
    pub fn surveyed_link(&mut self, survey: &mut Survey, place: &Place, name: &str) -> Result<Option<LinkSeen>, Error> {
        // A sandbox has few devices.
        if survey.breadth == Breadth::Whole || *place != Place::Host {
            self.survey_links(survey, place)?;
            return Ok(survey.place(place).links.get(name).cloned().flatten());
        }
        if let Some(known) = survey.place(place).links.get(name) {
            return Ok(known.clone());
        }
        let seen = self.link(place, name)?;
        survey.place(place).links.insert(name.to_owned(), seen.clone());
        Ok(seen)
    }

    /// All devices of a place.
    pub fn surveyed_links(&mut self, survey: &mut Survey, place: &Place) -> Result<Vec<LinkSeen>, Error> {
        self.survey_links(survey, place)?;
        Ok(survey.place(place).links.values().flatten().cloned().collect())
    }

    fn survey_links(&mut self, survey: &mut Survey, place: &Place) -> Result<(), Error> {
        if survey.places.get(place).is_some_and(|seen| seen.has_all_links) {
            return Ok(());
        }
        let links = self.links(place, None)?;
        let numbers = links.iter().map(|link| ((place.clone(), link.name.clone()), link.index));
        self.indexes.extend(numbers);
        let seen = survey.place(place);
        seen.links = links.into_iter().map(|link| (link.name.clone(), Some(link))).collect();
        seen.has_all_links = true;
        Ok(())
    }

    /// The addresses of a device.
    pub(crate) fn surveyed_addresses(
        &mut self,
        survey: &mut Survey,
        place: &Place,
        device: IfIndex,
    ) -> Result<Vec<AddressSeen>, Error> {
        if survey.place(place).addresses.is_none() {
            let all = survey.breadth == Breadth::Whole || *place != Place::Host;
            let addresses = self.addresses(place, if all { None } else { Some(device) })?;
            if !all {
                return Ok(addresses);
            }
            survey.place(place).addresses = Some(addresses);
        }
        let seen = survey.place(place).addresses.iter().flatten();
        Ok(seen.filter(|address| address.device == device).copied().collect())
    }

    /// All addresses of a place.
    pub fn surveyed_addresses_of(&mut self, survey: &mut Survey, place: &Place) -> Result<Vec<AddressSeen>, Error> {
        if survey.place(place).addresses.is_none() {
            survey.place(place).addresses = Some(self.addresses(place, None)?);
        }
        Ok(survey.place(place).addresses.clone().unwrap_or_default())
    }

    /// The routes of a place.
    pub fn surveyed_routes<'s>(
        &mut self,
        survey: &'s mut Survey,
        place: &Place,
        family: Family,
    ) -> Result<&'s [RouteSeen], Error> {
        if !survey.place(place).routes.contains_key(&family) {
            let routes = self.routes(place, family)?;
            survey.place(place).routes.insert(family, routes);
        }
        Ok(survey.place(place).routes.get(&family).map(Vec::as_slice).unwrap_or_default())
    }

    /// Whether a bridge's forwarding table has this entry.
    pub(crate) fn surveyed_forwarding(&mut self, survey: &mut Survey, mac: Mac, port: IfIndex) -> Result<bool, Error> {
        if survey.forwarding.is_none() {
            let seen = self.forwarding()?.into_iter();
            survey.forwarding = Some(seen.filter_map(|entry| Some((entry.mac?, entry.device))).collect());
        }
        Ok(survey.forwarding.as_ref().is_some_and(|all| all.contains(&(mac, port))))
    }

    /// Our table.
    pub fn surveyed_firewall<'s>(&mut self, survey: &'s mut Survey) -> Result<&'s crate::FirewallSeen, Error> {
        if survey.firewall.is_none() {
            survey.firewall = Some(Firewall { seen: self.firewall()?, elements: HashMap::new() });
        }
        Ok(&survey.firewall.get_or_insert_default().seen)
    }

    /// The elements of one of our sets.
    pub fn surveyed_elements<'s>(
        &mut self,
        survey: &'s mut Survey,
        set: &str,
    ) -> Result<&'s HashSet<ElementSeen>, Error> {
        self.surveyed_firewall(survey)?;
        let firewall = survey.firewall.get_or_insert_default();
        if !firewall.elements.contains_key(set) {
            firewall.elements.insert(set.to_owned(), self.elements(set)?.into_iter().collect());
        }
        Ok(firewall.elements.entry(set.to_owned()).or_default())
    }

    /// Our rules in other programs' tables.
    pub fn surveyed_guests<'s>(&mut self, survey: &'s mut Survey) -> Result<&'s [Guest], Error> {
        if survey.guests.is_none() {
            survey.guests = Some(self.guests()?);
        }
        Ok(survey.guests.as_deref().unwrap_or_default())
    }
}
