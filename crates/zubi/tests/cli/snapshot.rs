//! `zubi snapshot`: what the file has, and what can be asked of it without the kernel.

use crate::blue::blue;
use std::fs;
use zubi_lab::Host;
use zubi_model::{IfName, NsRef};
use zubi_plan::{Place, firewall};
use zubi_snapshot::Snapshot;

fn load(host: &Host) -> Snapshot {
    let said = host.zubi("snapshot -o /run/snapshot.json").ok().out;
    assert_eq!(said, "/run/snapshot.json: the host and 2 sandboxes\n");
    Snapshot::from_json(&fs::read_to_string("/run/snapshot.json").expect("a file")).expect("a snapshot")
}

fn host() -> Host {
    let host = blue();
    host.container("c1", "blue");
    // A sandbox that is on no network counts too.
    host.zubi("sandbox add idle").ok();
    host
}

fn inside(name: &str) -> Place {
    Place::Sandbox(NsRef::Named(name.parse().expect("a name")))
}

fn a_loaded_snapshot_still_answers_after_everything_is_gone() {
    let host = host();
    let snapshot = load(&host);
    host.shell("ip netns del c1; ip link del zb-blue; nft flush ruleset").ok();
    let eth0: IfName = "eth0".parse().expect("a name");
    let bridge = snapshot.link(&Place::Host, "zb-blue").expect("read").expect("the bridge");
    let inner = snapshot.link(&inside("c1"), eth0.as_str()).expect("read").expect("eth0");
    let outer = snapshot.links(&Place::Host).expect("read").find(|link| Some(link.index) == inner.peer);
    assert_eq!(outer.expect("the host end").master, Some(bridge.index));
    assert!(snapshot.link(&inside("idle"), "eth0").expect("read").is_none());
    let addresses = snapshot.addresses_of(&inside("c1"), inner.index).expect("read");
    assert!(addresses.iter().any(|seen| seen.address.to_string() == "10.55.66.2/24"));
    assert!(snapshot.firewall().expect("read").table.is_some());
    for set in firewall::sets() {
        assert!(snapshot.elements(&set.name).is_ok(), "{}", set.name);
    }
    assert!(!snapshot.elements("endpoints4").expect("read").is_empty());
}

fn the_same_host_gives_the_same_text() {
    let host = host();
    // Meanwhile the kernel checks addresses for duplicates, and neighbours age.
    let twice = || host.zubi("snapshot").ok().out == host.zubi("snapshot").ok().out;
    assert!((0..50).any(|_| twice()));
    assert_eq!(host.zubi("snapshot").ok().json()["version"], 2);
}

fn a_file_that_cannot_be_written_is_named() {
    let host = host();
    host.zubi("snapshot -o /nowhere/x.json").fails(7, "snapshot: write to /nowhere/x.json");
}

zubi_lab::tests!(
    a_loaded_snapshot_still_answers_after_everything_is_gone,
    the_same_host_gives_the_same_text,
    a_file_that_cannot_be_written_is_named
);
