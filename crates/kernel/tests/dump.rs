//! A dump is whole or an error, whatever the kernel's tables do meanwhile.

mod inside;

use inside::inside;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use zubi_kernel::{Error, Netlink, Session};
use zubi_model::{IfIndex, IfName, LinkGroup, Mac};
use zubi_plan::{Op, Plan, What};
use zubi_wire::Batch;
use zubi_wire::route::{AddressSeen, Link, LinkKind, LinkMark, LinkSeen, dump_links};

/// Enough links for a dump of many receives, so that changes fall between them.
const STABLE: usize = 150;
/// How many interrupted dumps the test waits for.
const INTERRUPTED: u32 = 5;
const PASSING: &str = "passing";
const PATIENCE: Duration = Duration::from_secs(30);

fn bridge(name: &str) -> Link {
    let name: IfName = name.parse().unwrap();
    Link { name, kind: LinkKind::Bridge, mac: Mac::from_random([1; 6]), mtu: None, group: LinkGroup(0), master: None }
}

fn apply(session: &mut Session, changes: impl IntoIterator<Item = What>) {
    let plan: Plan = changes.into_iter().map(|what| Op::host(what, "")).collect();
    session.apply(&plan).unwrap();
}

fn repeats(socket: &Netlink) -> u32 {
    socket.counters().sends - socket.counters().dumps
}

/// The names of all links but the one that comes and goes, in order.
fn stable_links(socket: &mut Netlink) -> Result<Vec<String>, Error> {
    let links = socket.dump("links", &|batch| dump_links(batch, None), |m| LinkSeen::parse(m).into_iter().collect())?;
    let mut names: Vec<String> = links.into_iter().map(|link: LinkSeen| link.name).collect();
    names.retain(|name| name != PASSING);
    names.sort();
    Ok(names)
}

/// Adds and deletes links until `stop` is set.
fn unsettle(stop: &AtomicBool) {
    let mut session = Session::open().unwrap();
    while !stop.load(Ordering::Relaxed) {
        let passing = bridge(PASSING);
        apply(
            &mut session,
            [What::DeleteLink(LinkMark::new(passing.name.clone(), passing.mac)), What::AddLink(passing)],
        );
    }
}

#[test]
fn an_interrupted_dump_is_repeated_and_has_every_link_once() {
    if !inside("an_interrupted_dump_is_repeated_and_has_every_link_once", &["true"]) {
        return;
    }
    let mut expected: Vec<String> = (0..STABLE).map(|number| format!("stable{number:03}")).collect();
    apply(&mut Session::open().unwrap(), expected.iter().map(|name| What::AddLink(bridge(name))));
    expected.insert(0, "lo".into());

    let mut socket = Netlink::route().unwrap();
    let stop = AtomicBool::new(false);
    let since = Instant::now();
    let odd = std::thread::scope(|scope| {
        scope.spawn(|| unsettle(&stop));
        let mut odd = None;
        // Each attempt of a dump is one send.
        while odd.is_none() && repeats(&socket) < INTERRUPTED && since.elapsed() < PATIENCE {
            odd = match stable_links(&mut socket) {
                Ok(names) if names == expected => None,
                // A slow machine finds no moment between two changes.
                Err(Error::Unsteady { .. }) => None,
                other => Some(other),
            };
        }
        stop.store(true, Ordering::Relaxed);
        odd
    });
    if let Some(seen) = odd {
        assert_eq!(seen.unwrap(), expected);
    }
    let repeats = repeats(&socket);
    assert!(repeats >= INTERRUPTED, "only {repeats} dumps were interrupted: that shows nothing");
}

#[test]
fn the_addresses_of_a_device_that_is_not_there_are_an_error() {
    if !inside("the_addresses_of_a_device_that_is_not_there_are_an_error", &["true"]) {
        return;
    }
    let mut socket = Netlink::route().unwrap();
    let mut addresses_of = |device| {
        let request = |batch: &mut Batch| AddressSeen::dump(batch, Some(device));
        socket.dump("addresses", &request, |m| AddressSeen::parse(m).into_iter().collect())
    };
    let error = addresses_of(IfIndex(4242)).unwrap_err();
    assert!(error.is_missing(), "{error}");
    // A device without addresses is no error.
    assert_eq!(addresses_of(IfIndex(1)).unwrap(), []);
}
