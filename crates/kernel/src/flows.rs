//! Forgetting tracked connections.
//!
//! The kernel searches its whole hash table for every question (4.6 ms for 262144 buckets), so neighbouring operations
//! share questions.

use crate::apply::Group;
use crate::error::Error;
use crate::session::Session;
use std::collections::HashSet;
use std::net::IpAddr;
use zubi_model::{Family, PortRange, Protocol};
use zubi_plan::{Flows, Op, Outcome, Place, What};
use zubi_wire::conntrack::{Filter, Flow};
use zubi_wire::{Batch, Message};

impl Session {
    /// Forgets the connections of neighbouring operations.
    pub(crate) fn apply_flows(&mut self, ops: &[Op]) -> Group {
        let mut group = Group { done: Vec::new(), error: None };
        let wanted: Vec<&Flows> = ops
            .iter()
            .filter_map(|op| match &op.what {
                What::Forget(flows) => Some(flows),
                _ => None,
            })
            .collect();
        let found = match self.tracked(&wanted) {
            Ok(found) => found,
            Err(error) => {
                group.error = Some(error);
                return group;
            }
        };
        let all: Vec<Flow> = found.iter().flatten().cloned().collect();
        if let Err(error) = self.forget(&all) {
            group.error = Some(error);
            return group;
        }
        let outcome = |flows: &Vec<Flow>| if flows.is_empty() { Outcome::Nothing } else { Outcome::Removed };
        group.done = ops.iter().cloned().zip(found.iter().map(outcome)).collect();
        group
    }

    /// The connections that came from these addresses or were translated to them.
    pub fn flows_of(&mut self, addresses: &[IpAddr]) -> Result<Vec<Flow>, Error> {
        let wanted: Vec<Flows> = addresses.iter().map(|a| Flows::Of(*a)).collect();
        Ok(self.tracked(&wanted.iter().collect::<Vec<_>>())?.into_iter().flatten().collect())
    }

    /// Forgets connections. Some may have ended by themselves meanwhile.
    pub fn forget(&mut self, flows: &[Flow]) -> Result<(), Error> {
        let unique: HashSet<&Flow> = flows.iter().collect();
        if unique.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        for flow in unique {
            flow.encode_delete(&mut batch);
        }
        for answer in self.nft()?.transact(batch)? {
            if let Some(Err(source)) = answer.outcome
                && source.errno != libc::ENOENT
            {
                return Err(Error::Netlink { object: "forget connections".into(), source, hint: None });
            }
        }
        Ok(())
    }

    /// The connections that the kernel has of each.
    fn tracked(&mut self, wanted: &[&Flows]) -> Result<Vec<Vec<Flow>>, Error> {
        let mut tracked = Vec::new();
        for family in [Family::V4, Family::V6] {
            let of_family: Vec<&Flows> = wanted.iter().copied().filter(|w| Family::of(w.address()) == family).collect();
            for filter in filters(&of_family) {
                tracked.extend(self.flows(family, &filter)?);
            }
        }
        let every = |flows: &&&Flows| flows.address().is_unspecified();
        let own: Vec<IpAddr> = if wanted.iter().any(|w| every(&w)) && !tracked.is_empty() {
            self.addresses(&Place::Host, None)?.iter().map(|seen| seen.address.addr()).collect()
        } else {
            Vec::new()
        };
        Ok(wanted.iter().map(|w| tracked.iter().filter(|flow| is_of(flow, w, &own)).cloned().collect()).collect())
    }

    fn flows(&mut self, family: Family, filter: &Filter) -> Result<Vec<Flow>, Error> {
        let parse = |m: &Message<'_>| Flow::parse(m).filter(|flow| filter.matches(flow)).into_iter().collect();
        match self.nft()?.dump("connections", &|b| Flow::dump(b, family, filter), parse) {
            // A kernel without connection tracking has no connections.
            Err(e) if matches!(e.errno(), Some(libc::EINVAL | libc::EOPNOTSUPP | libc::EPROTONOSUPPORT)) => {
                Ok(Vec::new())
            }
            other => other,
        }
    }
}

/// The questions that find everything wanted of one family: narrow ones for a single item, a wide one for several.
fn filters(wanted: &[&Flows]) -> Vec<Filter> {
    let all = Filter::all;
    match wanted {
        [] => Vec::new(),
        [Flows::Of(address)] => vec![all().begun_by(*address), all().answered_by(*address)],
        [Flows::To { ports, protocol, .. }] if ports.count() == 1 => vec![all().towards_port(*protocol, ports.first())],
        [Flows::Through { target, .. }] => vec![all().answered_by(*target)],
        _ => vec![all()],
    }
}

fn is_of(flow: &Flow, wanted: &Flows, own: &[IpAddr]) -> bool {
    let sent_to = |listen: IpAddr, ports: PortRange, protocol: Protocol| {
        let destination = flow.original.destination;
        // Connections that pass through to the same ports of other hosts stay.
        let here = if listen.is_unspecified() {
            destination.is_ipv4() == listen.is_ipv4() && (destination.is_loopback() || own.contains(&destination))
        } else {
            destination == listen
        };
        let port = flow.original.destination_port().map(PortRange::from);
        here && flow.protocol == protocol.number() && port.is_some_and(|port| ports.overlaps(port))
    };
    match wanted {
        Flows::Of(address) => flow.original.source == *address || flow.reply.source == *address,
        Flows::To { listen, ports, protocol } => sent_to(*listen, *ports, *protocol),
        Flows::Through { listen, ports, protocol, target } => {
            flow.reply.source == *target && sent_to(*listen, *ports, *protocol)
        }
    }
}
