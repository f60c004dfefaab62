//! Putting right what `check` finds.

use crate::engine::{Act, Engine, Report};
use crate::error::Error;
use crate::problem::{describe, describe_link};
use crate::sandbox::Force;
use zubi_kernel::{Finding, Survey};
use zubi_model::{Endpoint, Network, NetworkName, NsRef};
use zubi_plan::{Op, Place, Plan, What};
use zubi_store::Mode;
use zubi_wire::route::{AdminState, Link, LinkChange, LinkKind, LinkMark};

impl Engine {
    /// Finishes or undoes what was interrupted, removes what nobody owns, and puts back what is missing or changed.
    /// The report names each thing that was done. One object that cannot be repaired does not keep the others from it.
    pub fn repair(&mut self, act: Act) -> Result<Report<Vec<String>>, Error> {
        let mut done = Vec::new();
        let mut first_error = None;
        if act == Act::Apply {
            match self.gc(Force::No, Act::Apply) {
                Ok(collected) => done.extend(collected.value),
                Err(e) => first_error = Some(e),
            }
        }
        let _host = self.store.lock_host(Mode::Exclusive)?;
        let records = self.records()?;
        let mut survey = Survey::whole();
        let mut plan = Plan::new();
        if !records.networks.is_empty() {
            let mut firewall = Plan::new();
            if let Some(problem) = self.check_firewall_in(&mut survey)? {
                firewall = self.firewall_from_records()?;
                done.push(format!("{}: put back ({})", problem.object, problem.what));
            }
            let mut look = self.look_at_strangers(&records.networks)?;
            self.tell(&look, &records.networks);
            firewall.append(std::mem::take(&mut look.plan));
            done.extend(
                look.lacking.iter().map(|(network, what)| format!("network {}: let it pass ({what})", network.name)),
            );
            if act == Act::Apply && !firewall.is_empty() {
                self.apply("firewall", &firewall)?;
                survey.forget(&Place::Host);
            }
            plan.append(firewall);
        }
        let mut touched = Vec::new();
        let facts = self.host_facts()?;
        for network in &records.networks {
            let object = format!("network {}", network.name);
            let repaired = self
                .network_ops(&facts, network, records.endpoints_on(&network.name))
                .and_then(|ops| self.lacking(&mut survey, &object, &ops))
                .and_then(|ops| self.put_right(&object, ops, act));
            if repaired.as_ref().is_ok_and(|plan| !plan.is_empty()) {
                touched.push(network.name.clone());
            }
            collect(repaired, &object, &mut done, &mut plan, &mut first_error);
        }
        if act == Act::Apply && !touched.is_empty() {
            survey.forget(&Place::Host);
        }
        for endpoint in &records.endpoints {
            let Some(network) = records.network(&endpoint.network) else { continue };
            let object = describe(endpoint);
            let siblings = records.siblings(endpoint);
            // Somebody is at work on it.
            let Some(_lock) = self.store.try_lock_sandbox(endpoint.sandbox.cookie)? else { continue };
            let repaired = self
                .lacking_of_endpoint(&mut survey, network, endpoint, &siblings, &touched)
                .and_then(|ops| self.put_right(&object, ops, act));
            if repaired.as_ref().map_or(true, |plan| !plan.is_empty()) {
                // Another endpoint of the sandbox is compared with what is there now.
                survey.forget(&Place::Sandbox(endpoint.sandbox.reached_by.clone()));
            }
            collect(repaired, &object, &mut done, &mut plan, &mut first_error);
        }
        for link in &records.links {
            let object = describe_link(link);
            let repaired = self.lacking_of_link(link).and_then(|ops| self.put_right(&object, ops, act));
            collect(repaired, &object, &mut done, &mut plan, &mut first_error);
        }
        match first_error {
            Some(e) => Err(e),
            None => Ok(Report { plan, value: done }),
        }
    }

    fn put_right(&mut self, object: &str, ops: Vec<Op>, act: Act) -> Result<Plan, Error> {
        let plan: Plan = ops.into_iter().collect();
        if act == Act::Apply && !plan.is_empty() {
            self.apply(object, &plan)?;
        }
        Ok(plan)
    }

    /// What is missing or differs. A link of ours that differs in its bridge or MTU is changed, not made again.
    pub(crate) fn lacking(&mut self, survey: &mut Survey, object: &str, ops: &[Op]) -> Result<Vec<Op>, Error> {
        let compared = self.kernel.examine_in(survey, ops).map_err(Error::kernel(object))?;
        // Settings of a device that is not there leave no state to look at: with the device they come back too.
        let new_device = compared.iter().any(|(op, f)| matches!((&op.what, f), (What::AddLink(_), Finding::Missing)));
        let mut lacking = Vec::new();
        for (op, finding) in compared {
            match (&op.what, finding) {
                (_, Finding::NoState) if new_device => lacking.push(op),
                (_, Finding::Same | Finding::NoState) => {}
                (What::AddLink(link), Finding::Differs(_)) if self.is_ours(&op.place, link)? => {
                    let mut change = LinkChange::state(link.name.clone(), AdminState::Up);
                    change.mac = Some(link.mac);
                    change.group = Some(link.group);
                    change.master.clone_from(&link.master);
                    change.mtu = link.mtu;
                    lacking.extend(self.peer_with_other_mtu(link));
                    lacking.push(Op { what: What::ChangeLink(change), ..op });
                }
                _ => lacking.push(op),
            }
        }
        Ok(without_routes_of_addresses(lacking))
    }

    /// Puts the MTU of the other end of a pair right, where that can be reached.
    fn peer_with_other_mtu(&mut self, link: &Link) -> Option<Op> {
        let (Some(mtu), LinkKind::Veth(peer)) = (link.mtu, &link.kind) else { return None };
        let seen = self.kernel.link(&Place::Sandbox(peer.netns.clone()), peer.name.as_str()).ok()??;
        let differs = seen.mac == Some(peer.mac) && seen.mtu != mtu.bytes();
        differs.then(|| {
            let change = What::ChangeLink(LinkChange::mtu(peer.name.clone(), mtu));
            Op::sandbox(&peer.netns, change, "both ends of a cable take packets of one size")
        })
    }

    fn is_ours(&mut self, place: &Place, link: &Link) -> Result<bool, Error> {
        let seen = self.kernel.link(place, link.name.as_str()).map_err(Error::kernel("device"))?;
        Ok(seen.is_some_and(|seen| link.resembles(&seen)))
    }

    /// Whatever is put right, on the way to it too, is announced afterwards: that also waits until frames pass. The caller
    /// holds the sandbox's lock.
    pub(crate) fn lacking_of_endpoint(
        &mut self,
        survey: &mut Survey,
        network: &Network,
        endpoint: &Endpoint,
        siblings: &[Endpoint],
        touched: &[NetworkName],
    ) -> Result<Vec<Op>, Error> {
        let way = self.way_in(endpoint, None)?;
        let ops = self.wanted_ops(survey, network, endpoint, siblings, way.as_ref())?;
        let (announcements, ops): (Vec<Op>, Vec<Op>) =
            ops.into_iter().partition(|op| matches!(op.what, What::Announce(_)));
        let mut lacking = self.lacking_parts(survey, endpoint, way.as_ref(), ops)?;
        if !lacking.is_empty() || touched.contains(&network.name) {
            lacking.extend(announcements);
        }
        Ok(lacking)
    }

    fn lacking_parts(
        &mut self,
        survey: &mut Survey,
        endpoint: &Endpoint,
        way: Option<&NsRef>,
        ops: Vec<Op>,
    ) -> Result<Vec<Op>, Error> {
        if self.host_end_in(survey, endpoint)?.is_some() {
            if let Some(way) = way
                && self.strange_inner_end(survey, endpoint, way)?.is_some()
            {
                // The pair is made again: one that was renamed or moved may be anywhere.
                let delete = Op::host(
                    What::DeleteLink(LinkMark::new(endpoint.host_device.clone(), endpoint.host_mac())),
                    "its inner end is not as made",
                );
                return Ok(std::iter::once(delete).chain(without_routes_of_addresses(ops)).collect());
            }
            return self.lacking(survey, &describe(endpoint), &ops);
        }
        // Without its host end nothing inside is left; without a way in there is nothing to put back.
        Ok(if way.is_some() { without_routes_of_addresses(ops) } else { Vec::new() })
    }
}

/// An address that is given brings its route.
fn without_routes_of_addresses(ops: Vec<Op>) -> Vec<Op> {
    let given: Vec<_> = ops
        .iter()
        .filter_map(|op| match &op.what {
            What::AddAddress(address) => Some((op.place.clone(), address.device.clone(), address.address.trunc())),
            _ => None,
        })
        .collect();
    let comes_along = |op: &Op| match &op.what {
        What::AddRoute(route) => {
            route.via.is_none()
                && given.iter().any(|(place, device, to)| (place, device, to) == (&op.place, &route.device, &route.to))
        }
        _ => false,
    };
    ops.into_iter().filter(|op| !comes_along(op)).collect()
}

fn collect(
    repaired: Result<Plan, Error>,
    object: &str,
    done: &mut Vec<String>,
    plan: &mut Plan,
    first_error: &mut Option<Error>,
) {
    match repaired {
        Ok(repaired) if repaired.is_empty() => {}
        Ok(repaired) => {
            let put_right = repaired.ops.iter().filter(|op| !matches!(op.what, What::Announce(_)));
            done.extend(put_right.map(|op| format!("{object}: {op}")));
            plan.append(repaired);
        }
        Err(e) => {
            first_error.get_or_insert(e);
        }
    }
}
