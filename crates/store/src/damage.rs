//! Tests: a damaged record either reads as it was written or is an error.

use crate::scratch::{Scratch, endpoint, host, leases, network, reservation, write};
use crate::{HostId, Reserved, Store, StoreError};
use std::fmt::Debug;
use std::fs;
use std::path::Path;

/// All damaged versions: every flipped bit, every byte replaced by a few others, every truncation, and every tail
/// overwritten with zeros.
fn damages(whole: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let at = |place: usize, change: fn(u8, u8) -> u8, number: u8| {
        let mut damaged = whole.to_vec();
        damaged[place] = change(damaged[place], number);
        damaged
    };
    let flips = (0..whole.len()).flat_map(move |place| (0..8).map(move |bit| at(place, |b, n| b ^ (1 << n), bit)));
    let others = [b' ', b'0', 0xff];
    let bytes = (0..whole.len()).flat_map(move |place| others.map(move |byte| at(place, |_, n| n, byte)));
    let cuts = (0..whole.len()).map(|length| whole[..length].to_vec());
    let torn = (0..whole.len()).map(|length| [&whole[..length], &vec![0; whole.len() - length]].concat());
    flips.chain(bytes).chain(cuts).chain(torn)
}

#[track_caller]
fn found_or_the_same<T: PartialEq + Debug>(path: &Path, read: impl Fn() -> Result<T, StoreError>) {
    let whole = fs::read(path).unwrap();
    let right = read().unwrap();
    for damaged in damages(&whole) {
        fs::write(path, &damaged).unwrap();
        match read() {
            Ok(value) => assert_eq!(value, right, "{}", String::from_utf8_lossy(&damaged)),
            Err(e) => assert!(e.to_string().contains(path.to_str().unwrap()), "{e}"),
        }
        assert_eq!(fs::read(path).unwrap(), damaged);
    }
    fs::write(path, whole).unwrap();
}

#[test]
fn a_damaged_network_never_reads_as_another() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let blue = network("blue");
    write(&store, &blue);
    found_or_the_same(&scratch.path("state/networks/blue.json"), || store.network(&blue.name));
}

#[test]
fn a_damaged_endpoint_never_reads_as_another() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let e = endpoint(5, "blue", "c1");
    store.begin_attach(&e, None).unwrap();
    store.finish_attach(&e.key()).unwrap();
    found_or_the_same(&scratch.path("run/endpoints/5/blue.json"), || store.endpoint(&e.key()));
}

#[test]
fn a_damaged_reservation_never_reads_as_another() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let r = reservation("c1@eth0", "blue", &["10.55.66.3/24"], None);
    assert_eq!(store.reserve(&leases(&store, "blue"), &r).unwrap(), Reserved::Done);
    let path = scratch.path("run/reservations/blue/c1%40eth0.json");
    found_or_the_same(&path, || store.reservation(&r.network, "c1@eth0"));
    found_or_the_same(&path, || store.reservations(&r.network));
}

#[test]
fn a_damaged_host_file_erases_nothing() {
    let scratch = Scratch::new();
    let store = scratch.store();
    store.begin_attach(&endpoint(5, "blue", "c1"), None).unwrap();
    let opened =
        || Store::open(scratch.dirs(), host("boot-1", 1)).map(|store: Store| -> HostId { store.host().clone() });
    found_or_the_same(&scratch.path("run/host.json"), opened);
    assert_eq!(store.pending().unwrap().len(), 1);
}
