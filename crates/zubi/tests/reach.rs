//! Who reaches whom.

use zubi_lab::{Host, Outside, Snapshot, assert_isolated, assert_reaches};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

fn containers_of_one_network_reach_each_other_the_host_and_the_outside() {
    let host = Host::new(ZUBI);
    let _outside = Outside::new();
    let before = Snapshot::take();
    host.network("blue --subnet 10.55.66.0/24 --subnet fd00:55::/64");
    let c1 = host.container("c1", "blue");
    let c2 = host.container("c2", "blue");
    assert_reaches("c1", "c2", &c2);
    assert_reaches("c2", "c1", "fd00:55::2");
    assert_reaches("c1", "host", "10.55.66.1");
    assert_reaches("c1", "host", "fd00:55::1");
    assert_reaches("host", "c1", &c1);
    assert_reaches("c1", "outside", Outside::V4);
    assert_reaches("c1", "outside", Outside::V6);
    host.zubi("check").ok();
    host.zubi("sandbox rm c1 c2").ok();
    host.zubi("network rm blue").ok();
    host.settle();
    before.assert_no_residue(&Snapshot::take());
}

fn container_addresses_are_not_reachable_by_routing() {
    let host = Host::new(ZUBI);
    let _outside = Outside::new();
    host.network("blue --subnet 10.55.66.0/24");
    host.shell("ip -n outside route add 10.55.66.0/24 via 192.0.2.1").ok();
    let c1 = host.container("c1", "blue");
    assert_isolated("outside", "c1", &c1);
    // Without the guard the attack works: the test can fail.
    host.shell("nft delete table inet zubi").ok();
    assert_reaches("outside", "c1", &c1);
    host.zubi("repair").ok();
    assert_isolated("outside", "c1", &c1);
}

zubi_lab::tests!(
    containers_of_one_network_reach_each_other_the_host_and_the_outside,
    container_addresses_are_not_reachable_by_routing,
);
