//! Reading what a question needs into a snapshot: each list of a place once.
//!
//! # How it works
//! A list is read whole where all of it is needed, and in a sandbox, where lists are short. A few devices of the host,
//! and a few elements of a set, are asked for one by one in one send: a list of thousands takes longer than three
//! answers. Settings that come with a device are not read again below /proc/sys.
//!
//! # Limits
//! Parts of a snapshot are read one after the other, and the kernel may change between them. Guest rules and other
//! programs' tables are of one generation.

use crate::error::Error;
use crate::session::Session;
use std::collections::BTreeSet;
use std::path::Path;
use zubi_plan::{Op, Place};
use zubi_snapshot::{
    ElementNeeds, Extent, FEW, FiltersSeen, Finding, FirewallNeeds, FirewallSeen, Namespace, Needs, OvsAnswer,
    PlaceNeeds, Snapshot, compare, done,
};
use zubi_wire::Batch;
use zubi_wire::nft::{Element, ElementSeen};

impl Session {
    /// Reads what is needed. A sandbox that cannot be opened is no error: the snapshot says why.
    pub fn look(&mut self, needs: &Needs) -> Result<Snapshot, Error> {
        let mut snapshot = Snapshot::new();
        self.look_into(&mut snapshot, needs)?;
        Ok(snapshot)
    }

    /// Reads what of the needs the snapshot lacks.
    pub fn look_into(&mut self, snapshot: &mut Snapshot, needs: &Needs) -> Result<(), Error> {
        let lacking = needs.without(snapshot);
        for name in lacking.names() {
            snapshot.set_named(name, Path::new(crate::named::FOLDER).join(name.as_str()).exists());
        }
        for (place, needs) in lacking.places() {
            self.look_at(snapshot, &place, needs)?;
        }
        if lacking.needs_ovs() {
            snapshot.set_ovs(match crate::ovs::look(None) {
                Ok(seen) => OvsAnswer::Seen(seen),
                Err(e) => OvsAnswer::Silent(e.to_string()),
            });
        }
        self.look_at_ruleset(snapshot, lacking.firewall())
    }

    /// Compares operations with the kernel. A sandbox that is gone has nothing.
    pub fn compare(&mut self, ops: &[Op]) -> Result<Vec<(Op, Finding)>, Error> {
        self.compare_in(&mut Snapshot::new(), ops)
    }

    /// The same with a snapshot. Reads into it what it lacks for the comparison.
    pub fn compare_in(&mut self, snapshot: &mut Snapshot, ops: &[Op]) -> Result<Vec<(Op, Finding)>, Error> {
        self.look_into(snapshot, &Needs::of(ops))?;
        Ok(compare(ops, snapshot)?)
    }

    /// Which of these operations, whose answers were lost, the kernel has applied.
    pub(crate) fn are_done(&mut self, ops: &[Op]) -> Result<Vec<bool>, Error> {
        let snapshot = self.look(&Needs::after(ops))?;
        Ok(done(ops, &snapshot)?)
    }

    fn look_at(&mut self, snapshot: &mut Snapshot, place: &Place, needs: &PlaceNeeds) -> Result<(), Error> {
        let namespace = self.namespace(place);
        let is_open = matches!(namespace, Namespace::Open(_));
        snapshot.set_namespace(place, namespace);
        if !is_open {
            return Ok(());
        }
        self.look_at_links(snapshot, place, &needs.links)?;
        self.look_at_addresses(snapshot, place, &needs.addresses)?;
        for family in &needs.routes {
            snapshot.set_routes(place, *family, self.routes(place, *family)?);
        }
        for family in &needs.rules {
            snapshot.set_rules(place, *family, self.rules(place, *family)?);
        }
        if needs.neighbours {
            snapshot.set_neighbours(place, self.neighbours(place)?);
        }
        if needs.forwarding {
            snapshot.set_forwarding(place, self.forwarding(place)?);
        }
        if needs.vlans {
            snapshot.set_vlans(place, self.port_vlans(place)?);
        }
        self.look_at_filters(snapshot, place, needs)?;
        self.look_at_settings(snapshot, place, &needs.settings)
    }

    fn namespace(&mut self, place: &Place) -> Namespace {
        let Place::Sandbox(sandbox) = place else { return Namespace::Open(self.machine.host_cookie()) };
        match self.open_sandbox(sandbox) {
            Ok(cookie) => Namespace::Open(cookie),
            Err(Error::NotASandbox { .. }) => Namespace::Gone,
            Err(e) if e.is_missing() => Namespace::Gone,
            Err(e) => Namespace::Unknown(e.to_string()),
        }
    }

    fn look_at_links(&mut self, snapshot: &mut Snapshot, place: &Place, needs: &Extent<String>) -> Result<(), Error> {
        match few(place, needs) {
            Some(names) if names.is_empty() => {}
            Some(names) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                for (name, link) in names.iter().zip(self.links_named(place, &names)?) {
                    snapshot.set_link(place, name, link);
                }
            }
            None => {
                let links = self.links(place, None)?;
                self.indexes.extend(links.iter().map(|link| ((place.clone(), link.name.clone()), link.index)));
                snapshot.set_links(place, links);
            }
        }
        Ok(())
    }

    fn look_at_addresses(
        &mut self,
        snapshot: &mut Snapshot,
        place: &Place,
        needs: &Extent<String>,
    ) -> Result<(), Error> {
        let Some(names) = few(place, needs) else {
            snapshot.set_addresses(place, self.addresses(place, None)?);
            return Ok(());
        };
        for name in names {
            let Some(device) = snapshot.link(place, name)?.map(|link| link.index) else { continue };
            let addresses = match self.addresses(place, Some(device)) {
                // The device was deleted since.
                Err(e) if e.is_missing() => Vec::new(),
                other => other?,
            };
            snapshot.set_addresses_of(place, device, addresses);
        }
        Ok(())
    }

    fn look_at_filters(&mut self, snapshot: &mut Snapshot, place: &Place, needs: &PlaceNeeds) -> Result<(), Error> {
        let mut devices = BTreeSet::new();
        for name in &needs.filters {
            devices.extend(snapshot.link(place, name)?.map(|link| (link.name.clone(), link.index)));
        }
        if needs.bridge_filters {
            let bridges = snapshot.links(place)?.filter(|link| link.kind.as_deref() == Some("bridge"));
            devices.extend(bridges.map(|link| (link.name.clone(), link.index)));
        }
        let indexes: Vec<_> = devices.iter().map(|(_, index)| *index).collect();
        let have_hooks = self.have_hooks(place, &indexes)?;
        let mut seen = Vec::new();
        for ((name, index), has_hooks) in devices.into_iter().zip(have_hooks) {
            let filters = if has_hooks { self.filters_of(place, index)? } else { Vec::new() };
            seen.push((name, FiltersSeen { has_hooks, filters }));
        }
        if needs.bridge_filters {
            snapshot.set_bridge_filters(place, seen);
        } else {
            for (name, filters) in seen {
                snapshot.set_filters(place, &name, filters);
            }
        }
        Ok(())
    }

    fn look_at_settings(
        &mut self,
        snapshot: &mut Snapshot,
        place: &Place,
        needs: &BTreeSet<String>,
    ) -> Result<(), Error> {
        // Many have come with their devices by now.
        let keys: Vec<&String> = needs.iter().filter(|key| snapshot.setting(place, key).is_err()).collect();
        for (key, value) in keys.iter().zip(self.settings(place, &keys)?) {
            snapshot.set_setting(place, key, value);
        }
        Ok(())
    }

    fn look_at_ruleset(&mut self, snapshot: &mut Snapshot, needs: &FirewallNeeds) -> Result<(), Error> {
        if needs.layout {
            let seen = match self.firewall() {
                // Deleted while it was read.
                Err(e) if e.is_missing() => FirewallSeen::default(),
                other => other?,
            };
            snapshot.set_firewall(seen);
        }
        self.look_at_elements(snapshot, needs)?;
        if needs.guest_rules || needs.foreign {
            let ((guests, foreign), generation) = self.read_steadily(|session| {
                let guests = needs.guest_rules.then(|| session.read_guests()).transpose()?;
                let foreign = needs.foreign.then(|| session.read_foreign()).transpose()?;
                Ok((guests, foreign))
            })?;
            if let Some(guests) = guests {
                snapshot.set_guest_rules(guests, generation);
            }
            if let Some((tables, _)) = foreign {
                snapshot.set_foreign_tables(tables, generation);
            }
        }
        Ok(())
    }

    fn look_at_elements(&mut self, snapshot: &mut Snapshot, needs: &FirewallNeeds) -> Result<(), Error> {
        let has_no_table = snapshot.firewall().is_ok_and(|seen| seen.table.is_none());
        let mut asked: Vec<(&str, &[Element])> = Vec::new();
        for (set, needed) in &needs.elements {
            match needed {
                _ if has_no_table => snapshot.set_elements(set, []),
                ElementNeeds::All => snapshot.set_elements(set, self.elements(set)?),
                ElementNeeds::Of(elements) => asked.push((set, elements)),
            }
        }
        if asked.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        for element in asked.iter().flat_map(|(_, elements)| elements.iter()) {
            element.encode_get(&mut batch);
        }
        let mut answers = self.nft()?.ask("nftables objects", &batch)?.into_iter();
        for (set, elements) in asked {
            let of_set = answers.by_ref().take(elements.len()).flat_map(|answer| answer.objects);
            let seen: Vec<ElementSeen> = of_set.flat_map(|object| ElementSeen::parse_all(&object.message())).collect();
            snapshot.set_some_elements(set, elements, seen);
        }
        Ok(())
    }
}

/// The names to ask for one by one; nothing where the whole list is read.
fn few<'n>(place: &Place, needs: &'n Extent<String>) -> Option<&'n BTreeSet<String>> {
    match needs {
        Extent::Of(names) if names.is_empty() || (*place == Place::Host && names.len() <= FEW) => Some(names),
        _ => None,
    }
}
