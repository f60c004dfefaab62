//! What is missing or different about one endpoint, and the operations that put it right.

use crate::error::Error;
use crate::look::default_route::gives_default_in;
use crate::look::device::{host_end_in, is_ours, strange_inner_end};
use crate::look::sandbox::way_in;
use crate::problem::describe;
use crate::report::Act;
use crate::session::Session;
use crate::steps::apply::apply;
use zubi_kernel::{Finding, Survey};
use zubi_model::{BridgeMode, Endpoint, InnerState, Mtu, Network, NetworkName, NsRef};
use zubi_plan::endpoint::{Surroundings, attach, connected_routes, whole_port};
use zubi_plan::{Neighbours, Op, Place, Plan, What};
use zubi_wire::route::{AdminState, Link, LinkChange, LinkKind, LinkMark};

/// The operations an endpoint stands for; only the host's when there is no way in.
pub(crate) fn wanted_ops(
    session: &mut Session,
    survey: &mut Survey,
    network: &Network,
    endpoint: &Endpoint,
    siblings: &[Endpoint],
    way: Option<&NsRef>,
) -> Result<Vec<Op>, Error> {
    let mut endpoint = endpoint.clone();
    if let Some(way) = way {
        endpoint.sandbox.reached_by = way.clone();
    }
    let default_in = gives_default_in(session, survey, &endpoint, siblings, way)?;
    let network = &with_all_settings(network);
    let plan = attach(
        network,
        &endpoint,
        &Surroundings { loopback: AdminState::Down, default_in, stale: Vec::new(), neighbours: Neighbours::AreRight },
    );
    let ops = with_what_others_change(plan.ops, network, &endpoint);
    Ok(ops.into_iter().filter(|op| op.place == Place::Host || way.is_some()).collect())
}

/// The network with what the kernel chose when it was made.
fn with_all_settings(network: &Network) -> Network {
    let mut network = network.clone();
    if network.mtu.is_none() && network.bridge_mode == BridgeMode::Managed && network.name.source().is_none() {
        network.mtu = Some(Mtu::STANDARD);
    }
    network
}

/// The plan makes what it needs on a device that is new. Here it is compared with one that others have had in their
/// hands: settings of the port that are right when it is made, and routes that the kernel makes with an address.
fn with_what_others_change(ops: Vec<Op>, network: &Network, endpoint: &Endpoint) -> Vec<Op> {
    const PORT: &str = "how the bridge treats this port";
    const CONNECTED: &str = "its neighbours on the network are reached without a gateway";
    if network.bridge_mode == BridgeMode::Unmanaged {
        return ops;
    }
    let is_port = |op: &Op| matches!(op.what, What::ChangePort(_));
    let mut ops: Vec<Op> = ops.into_iter().filter(|op| !is_port(op)).collect();
    let after_pair = ops.iter().position(|op| matches!(op.what, What::AddLink(_))).map_or(0, |at| at + 1);
    ops.insert(after_pair, Op::host(What::ChangePort(whole_port(network, endpoint)), PORT));
    if endpoint.traits.inner == InnerState::Up {
        let addresses = endpoint.addresses.iter().map(|given| given.address);
        let routes = connected_routes(addresses, &endpoint.ifname)
            .map(|route| Op::sandbox(&endpoint.sandbox.reached_by, What::AddRoute(route), CONNECTED));
        let is_route = |op: &Op| matches!(op.what, What::AddRoute(_)) && op.place != Place::Host;
        let at = ops.iter().position(is_route).unwrap_or(ops.len());
        ops.splice(at..at, routes.collect::<Vec<_>>());
    }
    ops
}

pub(crate) fn put_right(session: &mut Session, object: &str, ops: Vec<Op>, act: Act) -> Result<Plan, Error> {
    let plan: Plan = ops.into_iter().collect();
    if act == Act::Apply && !plan.is_empty() {
        apply(session, object, &plan)?;
    }
    Ok(plan)
}

/// What is missing or differs. A link of ours that differs in its bridge or MTU is changed, not made again.
pub(crate) fn lacking(session: &mut Session, survey: &mut Survey, object: &str, ops: &[Op]) -> Result<Vec<Op>, Error> {
    let compared = session.kernel.examine_in(survey, ops).map_err(Error::kernel(object))?;
    // Settings of a device that is not there leave no state to look at: with the device they come back too.
    let new_device = compared.iter().any(|(op, f)| matches!((&op.what, f), (What::AddLink(_), Finding::Missing)));
    let mut lacking = Vec::new();
    for (op, finding) in compared {
        match (&op.what, finding) {
            (_, Finding::NoState) if new_device => lacking.push(op),
            (_, Finding::Same | Finding::NoState) => {}
            (What::AddLink(link), Finding::Differs(_)) if is_ours(session, &op.place, link)? => {
                let mut change = LinkChange::state(link.name.clone(), AdminState::Up);
                change.mac = Some(link.mac);
                change.group = Some(link.group);
                change.master.clone_from(&link.master);
                change.mtu = link.mtu;
                lacking.extend(peer_with_other_mtu(session, link));
                lacking.push(Op { what: What::ChangeLink(change), ..op });
            }
            _ => lacking.push(op),
        }
    }
    Ok(without_routes_of_addresses(lacking))
}

/// Puts the MTU of the other end of a pair right, where that can be reached.
fn peer_with_other_mtu(session: &mut Session, link: &Link) -> Option<Op> {
    let (Some(mtu), LinkKind::Veth(peer)) = (link.mtu, &link.kind) else { return None };
    let seen = session.kernel.link(&Place::Sandbox(peer.netns.clone()), peer.name.as_str()).ok()??;
    let differs = seen.mac == Some(peer.mac) && seen.mtu != mtu.bytes();
    differs.then(|| {
        let change = What::ChangeLink(LinkChange::mtu(peer.name.clone(), mtu));
        Op::sandbox(&peer.netns, change, "both ends of a cable take packets of one size")
    })
}

/// Whatever is put right, on the way to it too, is announced afterwards: that also waits until frames pass. The caller
/// holds the sandbox's lock.
pub(crate) fn lacking_of_endpoint(
    session: &mut Session,
    survey: &mut Survey,
    network: &Network,
    endpoint: &Endpoint,
    siblings: &[Endpoint],
    touched: &[NetworkName],
) -> Result<Vec<Op>, Error> {
    let way = way_in(session, endpoint, None)?;
    let ops = wanted_ops(session, survey, network, endpoint, siblings, way.as_ref())?;
    let (announcements, ops): (Vec<Op>, Vec<Op>) = ops.into_iter().partition(|op| matches!(op.what, What::Announce(_)));
    let mut lacking = lacking_parts(session, survey, endpoint, way.as_ref(), ops)?;
    if !lacking.is_empty() || touched.contains(&network.name) {
        lacking.extend(announcements);
    }
    Ok(lacking)
}

fn lacking_parts(
    session: &mut Session,
    survey: &mut Survey,
    endpoint: &Endpoint,
    way: Option<&NsRef>,
    ops: Vec<Op>,
) -> Result<Vec<Op>, Error> {
    if host_end_in(session, survey, endpoint)?.is_some() {
        if let Some(way) = way
            && strange_inner_end(session, survey, endpoint, way)?.is_some()
        {
            // The pair is made again: one that was renamed or moved may be anywhere.
            let delete = Op::host(
                What::DeleteLink(LinkMark::new(endpoint.host_device.clone(), endpoint.host_mac())),
                "its inner end is not as made",
            );
            return Ok(std::iter::once(delete).chain(without_routes_of_addresses(ops)).collect());
        }
        return lacking(session, survey, &describe(endpoint), &ops);
    }
    // Without its host end nothing inside is left; without a way in there is nothing to put back.
    Ok(if way.is_some() { without_routes_of_addresses(ops) } else { Vec::new() })
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
