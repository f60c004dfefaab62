//! Devices of the host that endpoints have: what one is before it goes into a sandbox, and where it is later.

use crate::decide::host_device::movable;
use crate::decide::neighbourhood::Neighbourhood;
use crate::error::Error;
use crate::look::addresses_in_use::addresses_in_use;
use crate::look::clock::now;
use crate::look::sandbox::way_in;
use crate::session::Session;
use std::thread::sleep;
use std::time::{Duration, Instant};
use zubi_model::{
    Endpoint, Family, HostDeviceNetwork, IfName, Invalid, MacWish, MovedDevice, Mtu, Network, NsRef, Wishes,
};
use zubi_plan::Place;
use zubi_plan::driver::{self, MovedNow};
use zubi_snapshot::Snapshot;
use zubi_wire::route::{AdminState, LinkSeen};

/// How long hardware takes at most to come back when its sandbox ends: the kernel does that in a work queue.
const WAY_BACK: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(10);

/// The device that is about to go, as it is on the host. Everything that speaks against it is found here.
pub(crate) fn device_to_move(
    session: &mut Session,
    network: &Network,
    part: &HostDeviceNetwork,
) -> Result<MovedDevice, Error> {
    let (networks, _) = session.store().networks_lossy();
    let mut host = Snapshot::new();
    let occupied = addresses_in_use(session, &mut host, &networks, &[Family::V4, Family::V6])?;
    let around = Neighbourhood { networks: &networks, occupied: &occupied, host: &host, pools: &session.pools() };
    let seen = movable(part, &network.name, &around)?;
    let name = &part.device;
    let holdings = session.kernel.holdings(name, &driver::settings_of_moved());
    let found = holdings.map_err(Error::kernel(format!("network card {name}")))?;
    if let Some((what, why)) = found.beyond.first() {
        let why = format!("has {what}, which {why}: that could not come back; replace it by a plain one");
        return Err(Error::Card { card: name.clone(), why });
    }
    let mut held = found.held;
    // They name the device by its name, and stay.
    held.rules.clear();
    held.neighbours.retain(|neighbour| neighbour.permanent);
    Ok(MovedDevice {
        name: name.clone(),
        device_kind: seen.kind.clone(),
        mac: seen.mac,
        mtu: Mtu::try_from(seen.mtu).ok(),
        is_up: seen.state == AdminState::Up,
        held,
        seen_at: now()?,
    })
}

/// The wishes with the MAC of the device, unless another one is asked for.
pub(crate) fn wishes_with_device(wishes: &Wishes, moved: &MovedDevice) -> Result<Wishes, Error> {
    let mac = match (wishes.mac, moved.mac) {
        (MacWish::Given(mac), None) => {
            let why = format!("cannot be given: {} has none", moved.name);
            return Err(Invalid::new("MAC", mac, why).try_instead("leave it out").into());
        }
        (MacWish::FromAddress, Some(mac)) => MacWish::Given(mac),
        // A number that no other endpoint has.
        (MacWish::FromAddress, None) => MacWish::Random,
        (wish, _) => wish,
    };
    Ok(Wishes { mac, ..wishes.clone() })
}

/// The device of an endpoint inside its sandbox.
pub(crate) fn moved_inside(
    session: &mut Session,
    endpoint: &Endpoint,
    moved: &MovedDevice,
    way: &NsRef,
) -> Result<Option<LinkSeen>, Error> {
    found_at(session, &Place::Sandbox(way.clone()), endpoint, moved, &endpoint.ifname)
}

/// Where the device of an endpoint is now, in the sandbox or on the host; `None` where it is in neither.
pub(crate) fn moved_now(
    session: &mut Session,
    endpoint: &Endpoint,
    moved: &MovedDevice,
    via: Option<&NsRef>,
) -> Result<Option<MovedNow>, Error> {
    let (way, wanted) = (way_in(session, endpoint, via)?, moved.held_at(now()?));
    if let Some(way) = &way
        && let Some(seen) = moved_inside(session, endpoint, moved, way)?
    {
        let name = name_at_home(session, endpoint, moved, None)?;
        let (place, held) = (Place::Sandbox(way.clone()), zubi_model::Holdings::default());
        return Ok(Some(MovedNow { place, seen, name, wanted, held }));
    }
    let since = Instant::now();
    let seen = loop {
        let found = found_at(session, &Place::Host, endpoint, moved, &moved.name)?;
        let is_on_its_way = found.is_none() && moved.is_hardware() && way.is_none();
        if !is_on_its_way || since.elapsed() > WAY_BACK {
            break found;
        }
        sleep(PAUSE);
    };
    let Some(seen) = seen else {
        session.note(match (&moved.device_kind, &way) {
            (Some(kind), None) => format!("{}, a {kind}, has ended with its sandbox", moved.name),
            _ => format!("{} is neither in {} nor on the host", moved.name, endpoint.sandbox.spelled),
        });
        return Ok(None);
    };
    let name = name_at_home(session, endpoint, moved, Some(&seen))?;
    let called: IfName = seen.name.parse()?;
    let holdings = session.kernel.holdings(&called, &driver::settings_of_moved());
    let held = holdings.map_err(Error::kernel(format!("network card {called}")))?.held;
    Ok(Some(MovedNow { place: Place::Host, seen, name, wanted, held }))
}

/// The device at a place; the one with the name comes first.
fn found_at(
    session: &mut Session,
    place: &Place,
    endpoint: &Endpoint,
    moved: &MovedDevice,
    name: &IfName,
) -> Result<Option<LinkSeen>, Error> {
    let links = session.kernel.links(place, None).map_err(Error::kernel(format!("device {name}")))?;
    let mut all = links.into_iter().filter(|seen| driver::is_moved(endpoint, moved, seen)).collect::<Vec<_>>();
    all.sort_by_key(|seen| seen.name != name.as_str());
    Ok(all.into_iter().next())
}

/// The name that the device gets on the host. Another device may have its own by now.
fn name_at_home(
    session: &mut Session,
    endpoint: &Endpoint,
    moved: &MovedDevice,
    here: Option<&LinkSeen>,
) -> Result<IfName, Error> {
    let failed = Error::kernel(format!("device {}", moved.name));
    let there = session.kernel.link(&Place::Host, moved.name.as_str()).map_err(failed)?;
    if there.is_none_or(|there| here.is_some_and(|here| here.index == there.index)) {
        return Ok(moved.name.clone());
    }
    let name = match here {
        Some(here) => here.name.parse()?,
        None => driver::name_of_another(endpoint).unwrap_or_else(|| endpoint.ifname.clone()),
    };
    session.note(format!("{} comes back as {name}: another device of the host has its name by now", moved.name));
    Ok(name)
}
