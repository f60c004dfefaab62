//! Gives a DHCP lease back to its server, as far as that works without waiting for anybody.

use crate::decide::lease::identity;
use crate::error::Error;
use crate::look::clock::now;
use crate::random::random;
use crate::session::Session;
use crate::steps::ask_dhcp::send;
use std::net::IpAddr;
use std::thread::sleep;
use std::time::Duration;
use zubi_dhcp::{Action, CLIENT_PORT, Client, Event, Start};
use zubi_model::{ByDhcp, Endpoint, NsRef};
use zubi_plan::Place;

/// How often, and after what time, it is looked whether the kernel has found the next hop: until then it keeps the
/// datagram, and drops it when the device goes.
const LOOKS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(5);

/// Tells the server that the address is free. Nobody answers that, and a server that does not hear it frees the address
/// when the lease ends, so an error is none of the caller's.
pub(crate) fn release_lease(session: &mut Session, endpoint: &Endpoint, way: Option<&NsRef>) {
    if let (Some(dhcp), Some(way)) = (&endpoint.dhcp, way) {
        let _best_effort = say_goodbye(session, endpoint, dhcp, way);
    }
}

fn say_goodbye(session: &mut Session, endpoint: &Endpoint, dhcp: &ByDhcp, way: &NsRef) -> Result<(), Error> {
    let at = now()?;
    if !dhcp.holds_at(at) {
        return Ok(());
    }
    let place = Place::Sandbox(way.clone());
    let failed = || Error::kernel("release");
    let Some(link) = session.kernel.link(&place, endpoint.ifname.as_str()).map_err(failed())? else { return Ok(()) };
    let socket = session.kernel.datagrams(&place, &endpoint.ifname, CLIENT_PORT).map_err(failed())?;
    let chance = u64::from_ne_bytes(random()?);
    let mut client = Client::new(identity(endpoint, dhcp.client.clone(), dhcp.told.clone()), None, chance);
    let resumed = client.handle(at, Event::Started(Start::Resume(dhcp.lease.clone())));
    // A lease past T1 would ask for more time first.
    drop(resumed);
    for action in client.handle(at, Event::Release) {
        if let Action::Send { to, bytes } = action {
            send(&socket, to, &bytes);
        }
    }
    let hops: Vec<IpAddr> =
        [dhcp.lease.server].into_iter().chain(dhcp.lease.routers.first().copied()).map(IpAddr::V4).collect();
    for _ in 0..LOOKS {
        let seen = session.kernel.neighbours(&place).map_err(failed())?;
        let mut hops =
            seen.iter().filter(|seen| seen.device == link.index && seen.address.is_some_and(|a| hops.contains(&a)));
        if hops.any(|seen| seen.answered().is_some()) {
            break;
        }
        sleep(PAUSE);
    }
    Ok(())
}
