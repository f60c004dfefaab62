//! One conversation with DHCP servers, from inside a sandbox or, for its own address, from the host.
//!
//! # How it works
//! The client ([`zubi_dhcp`]) is pure. This file gives it the boot clock and a UDP socket on the device, and
//! waits for what comes, never longer than the client's patience or the caller's.
//!
//! A device without an address drops the servers' answers where reverse path filtering is on, since the kernel knows no
//! way back (`__fib_validate_source` in net/ipv4/fib_frontend.c). So the filter is off during the conversation. It is
//! the stricter one of the device's and the sandbox's, so that both are concerned.
//!
//! # Limits
//! - Where another device of the sandbox has an address, the kernel writes it into a question that has no source yet.
//!   Servers go by what is inside.
//! - A command that is killed in between leaves the sandbox's own filter off (`all`). The device's goes with the device.

use crate::error::Error;
use crate::look::clock::now;
use crate::random::random;
use crate::session::Session;
use crate::steps::apply::apply;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;
use zubi_dhcp::{Action, CLIENT_PORT, Client, Destination, Event, Failure, Identity, Loss, SERVER_PORT, Start};
use zubi_kernel::Datagrams;
use zubi_model::{DhcpLease, IfName};
use zubi_plan::{Op, Place, Plan, Sysctl, What};

/// The largest answer that is read: an Ethernet frame's.
const LONGEST: usize = 1500;

/// A conversation to have.
pub(crate) struct Question<'a> {
    /// What it is about, in words.
    pub(crate) object: &'a str,
    /// The sandbox, or the host.
    pub(crate) place: &'a Place,
    /// The device there.
    pub(crate) device: &'a IfName,
    pub(crate) identity: Identity,
    pub(crate) start: Start,
    /// How long a client without a lease tries.
    pub(crate) patience: Duration,
    /// How long to wait for an answer, even if a lease lasts longer.
    pub(crate) wait: Duration,
}

/// How a conversation ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// With a lease.
    Bound(DhcpLease),
    /// The lease that there was is lost.
    Lost(Loss),
    /// There is no lease.
    Failed(Failure),
    /// Nobody answered. The lease that there is goes on.
    Unanswered,
}

/// Has a conversation. `accepts` tells whether the address of a lease is free to use; one that is not is declined.
pub(crate) fn ask(
    session: &mut Session,
    question: Question<'_>,
    accepts: &mut dyn FnMut(&mut Session, &DhcpLease) -> Result<bool, Error>,
) -> Result<Outcome, Error> {
    let place = question.place;
    let before =
        if matches!(question.start, Start::Resume(_)) { Vec::new() } else { filters(session, place, question.device)? };
    let object = question.object.to_owned();
    set(session, &object, place, before.iter().map(|(key, _)| (key.clone(), "0".to_owned())))?;
    let outcome = converse(session, question, accepts);
    let restored = set(session, &object, place, before.into_iter());
    let outcome = outcome?;
    restored.map(|()| outcome)
}

fn converse(
    session: &mut Session,
    question: Question<'_>,
    accepts: &mut dyn FnMut(&mut Session, &DhcpLease) -> Result<bool, Error>,
) -> Result<Outcome, Error> {
    let Question { object, place, device, identity, start, patience, wait } = question;
    let failed = |e| Error::kernel(object)(e);
    let socket = session.kernel.datagrams(place, device, CLIENT_PORT).map_err(failed)?;
    let mut client = Client::new(identity, Some(patience), u64::from_ne_bytes(random()?));
    let end = now()? + wait;
    let mut actions = client.handle(now()?, Event::Started(start));
    let mut declined = false;
    let mut buffer = [0; LONGEST];
    loop {
        let mut further = Vec::new();
        for action in actions {
            match action {
                Action::Send { to, bytes } => send(&socket, to, &bytes),
                Action::Bound(lease) if accepts(session, &lease)? => return Ok(Outcome::Bound(lease)),
                Action::Bound(_) => {
                    declined = true;
                    further = client.handle(now()?, Event::ConflictFound);
                }
                Action::Lost(_) if declined => {}
                Action::Lost(loss) => return Ok(Outcome::Lost(loss)),
                Action::Failed(failure) => return Ok(Outcome::Failed(failure)),
            }
        }
        if !further.is_empty() {
            actions = further;
            continue;
        }
        let at = now()?;
        if at >= end {
            return Ok(Outcome::Unanswered);
        }
        let until = client.wake_at().map_or(end, |wake| wake.min(end));
        let received = socket.receive(&mut buffer, until.since(at)).map_err(|e| {
            Error::kernel(object)(zubi_kernel::Error::system("receive", format!("DHCP answers on {device}"), e))
        })?;
        let event = received.and_then(|length| buffer.get(..length)).map_or(Event::Woken, Event::Received);
        actions = client.handle(now()?, event);
    }
}

/// A datagram that cannot be sent is as good as lost: the client sends it again.
pub(crate) fn send(socket: &Datagrams, to: Destination, bytes: &[u8]) {
    let address = match to {
        Destination::Broadcast => Ipv4Addr::BROADCAST,
        Destination::Server(server) => server,
    };
    let _lost = socket.send(SocketAddrV4::new(address, SERVER_PORT), bytes);
}

/// The reverse path filters that are on, with their values.
fn filters(session: &mut Session, place: &Place, device: &IfName) -> Result<Vec<(String, String)>, Error> {
    let mut on = Vec::new();
    for of in [device.as_str(), "all"] {
        let key = format!("net/ipv4/conf/{of}/rp_filter");
        let value = session.kernel.setting(place, &key).map_err(Error::kernel(&key))?;
        on.extend(value.filter(|value| value != "0").map(|value| (key, value)));
    }
    Ok(on)
}

fn set(
    session: &mut Session,
    object: &str,
    place: &Place,
    values: impl Iterator<Item = (String, String)>,
) -> Result<(), Error> {
    const WHY: &str = "a DHCP server's answer comes before the way back to it is known";
    let op = |(key, value)| Op { place: place.clone(), what: What::Set(Sysctl::new(key, value)), why: WHY };
    let plan: Plan = values.map(op).collect();
    if plan.is_empty() { Ok(()) } else { apply(session, object, &plan) }
}
