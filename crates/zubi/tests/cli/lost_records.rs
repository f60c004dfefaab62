//! Records that are lost, older than the kernel, or another zubi's: zubi deletes no living device and assigns none of
//! its addresses again.

use serde_json::Value;
use zubi_lab::{Host, Snapshot, assert_reaches};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

/// Two networks; web on both, with ports, a route and names; db on one.
fn host() -> Host {
    let host = Host::new(ZUBI);
    host.network("blue --subnet 10.55.66.0/24 --subnet fd00:55::/64");
    host.network("green --subnet 10.55.67.0/24 --no-icc");
    host.zubi("sandbox add web").ok();
    host.zubi("sandbox add db").ok();
    host.zubi("connect blue web -p 8080:80 -p 7000-7009:9000-9009/udp -p 127.0.0.1:5353:53 --alias www").ok();
    host.zubi("connect green web --route 10.99.0.0/16,10.55.67.1 --mac 02:00:00:aa:bb:cc").ok();
    host.zubi("connect blue db --no-default-route").ok();
    host
}

fn lose_the_run_folder(host: &Host) {
    host.settle();
    host.shell("rm -r /run/zubi").ok();
}

/// Everything that is known of the endpoints; the order of published ports is lost.
fn endpoints(host: &Host) -> Value {
    let mut all = host.zubi("--json ls").ok().json();
    for endpoint in all.as_array_mut().expect("a list") {
        endpoint["ports"].as_array_mut().expect("a list").sort_by_key(ToString::to_string);
    }
    all
}

/// These networks with their endpoints; the ids of the endpoints are lost.
fn networks(host: &Host, names: &str) -> Value {
    let mut all = host.zubi(&format!("--json network inspect {names}")).ok().json();
    for network in all.as_array_mut().expect("a list") {
        for endpoint in network["Containers"].as_object_mut().expect("endpoints").values_mut() {
            endpoint["EndpointID"].take();
        }
    }
    all
}

fn without_its_records_every_command_names_what_lives_and_changes_nothing() {
    let host = host();
    lose_the_run_folder(&host);
    let before = Snapshot::take();
    for words in ["connect blue db2", "ls", "check", "gc", "repair", "network create red", "disconnect blue web"] {
        let said = host.zubi(words).fails(8, "zubi repair --rebuild").err;
        assert!(said.contains("web on network blue") && said.contains("/run/zubi"), "{words}: {said}");
    }
    before.assert_no_residue(&Snapshot::take());
    assert_reaches("db", "web", "10.55.66.2");
}

fn rebuild_makes_the_same_records_again() {
    let host = host();
    let before = endpoints(&host);
    let networks_before = networks(&host, "blue green");
    lose_the_run_folder(&host);
    let out = host.zubi("repair --rebuild").ok().out;
    assert!(out.contains("web on network blue: recorded again with 10.55.66.2 and fd00:55::2"), "{out}");
    assert_eq!(endpoints(&host), before);
    assert_eq!(networks(&host, "blue green"), networks_before);
    host.zubi("check").ok();
    assert_eq!(host.zubi("repair --rebuild").ok().out, "nothing to repair\n");
    // The rebuilt records are good enough for `port rm`.
    host.zubi("port rm blue web 8080:80").ok();
    for words in ["disconnect blue web", "disconnect green web", "disconnect blue db"] {
        host.zubi(words).ok();
    }
    host.settle();
    host.zubi("check").ok();
}

fn one_lost_record_is_told_and_its_address_is_not_given_again() {
    let host = host();
    host.settle();
    let cookie = host.shell("grep -l '\"spelled\":\"db\"' /run/zubi/endpoints/*/blue.json | cut -d/ -f5").ok().out;
    host.shell(&format!(
        "rm -r /run/zubi/endpoints/{0} /run/zubi/leases/blue/10.55.66.3 /run/zubi/leases/blue/fd00:55::3 \
        /run/zubi/macs/blue/* /run/zubi/leases/blue/.cursor*",
        cookie.trim()
    ))
    .ok();
    let said = host.zubi("check").fails(1, "").out;
    assert!(said.contains("db on network blue") && said.contains("zubi repair --rebuild"), "{said}");
    for words in ["gc", "repair"] {
        host.zubi(words).ok();
        assert_reaches("web", "db", "10.55.66.3");
    }
    assert_eq!(host.container("third", "blue"), "10.55.66.4");
    host.zubi("sandbox add fourth").ok();
    host.zubi("connect blue fourth --ip 10.55.66.3").fails(4, "10.55.66.3 is taken by a device that no record names");
    host.zubi("repair --rebuild").ok();
    host.zubi("check").ok();
}

fn gc_with_force_removes_what_lives_without_a_record() {
    let host = Host::new(ZUBI);
    host.zubi("gc").ok();
    let before = Snapshot::take();
    host.network("blue --subnet 10.55.66.0/24");
    host.container("web", "blue");
    lose_the_run_folder(&host);
    let out = host.zubi("gc --force").ok().out;
    assert!(out.contains("device zv"), "{out}");
    host.zubi("sandbox rm web").ok();
    host.zubi("network rm blue").ok();
    before.assert_no_residue(&Snapshot::take());
}

fn an_older_copy_of_the_networks_costs_no_running_container() {
    let host = Host::new(ZUBI);
    host.network("old --subnet 10.55.1.0/24");
    host.shell("cp -a /run/zubi-state /run/backup").ok();
    host.network("blue --subnet 10.55.66.0/24 --internal --mtu 1400");
    host.container("web", "blue");
    host.container("db", "blue");
    let undated = |host: &Host| {
        let mut all = networks(host, "blue");
        all[0]["Created"].take();
        all
    };
    let before = undated(&host);
    host.shell("rm -r /run/zubi-state && mv /run/backup /run/zubi-state").ok();
    for words in ["check", "gc", "repair"] {
        host.zubi(words);
        assert_reaches("web", "db", "10.55.66.3");
    }
    lose_the_run_folder(&host);
    host.zubi("repair --rebuild").ok();
    assert_eq!(undated(&host), before);
    host.zubi("check").ok();
}

fn after_a_flush_too_rebuild_keeps_what_it_can_and_names_the_rest() {
    let host = host();
    lose_the_run_folder(&host);
    host.shell("nft flush ruleset").ok();
    host.zubi("repair --rebuild").ok();
    host.zubi("check").ok();
    assert_reaches("db", "web", "10.55.66.2");
    assert_eq!(host.zubi("--json port ls").ok().json(), serde_json::json!([]));
}

fn a_second_zubi_with_other_folders_is_refused_before_its_first_effect() {
    let host = host();
    let second = host.with_env("ZUBI_RUN_DIR", "/run/second").with_env("ZUBI_STATE_DIR", "/run/second-state");
    let before = Snapshot::take();
    for words in ["network create red", "gc", "repair --rebuild", "gc --force", "ls"] {
        second.zubi(words).fails(4, "another zubi, with the run folder /run/zubi");
    }
    before.assert_no_residue(&Snapshot::take());
    host.zubi("check").ok();
}

fn a_second_zubi_that_was_there_first_is_refused_when_it_makes_a_network() {
    let host = Host::new(ZUBI);
    let second = host.with_env("ZUBI_RUN_DIR", "/run/second").with_env("ZUBI_STATE_DIR", "/run/second-state");
    second.zubi("ls").ok();
    host.network("blue --subnet 10.55.66.0/24");
    second.zubi("network create red").fails(4, "another zubi, with the run folder /run/zubi");
    host.zubi("check").ok();
}

fn a_run_folder_of_another_boot_is_not_cleared_while_its_endpoints_live() {
    let host = host();
    host.settle();
    host.shell("sed -i 's/\"boot_id\":\"./\"boot_id\":\"x/' /run/zubi/host.json").ok();
    host.zubi("gc").fails(8, "");
    host.shell("test -d /run/zubi/endpoints").ok();
    assert_reaches("db", "web", "10.55.66.2");
}

fn connecting_again_after_the_bridge_was_deleted_really_connects() {
    let host = host();
    host.shell("ip link del zb-blue").ok();
    host.zubi("connect blue db").ok();
    host.zubi("connect blue web").ok();
    assert_reaches("db", "web", "10.55.66.2");
    host.zubi("check").ok();
}

fn connecting_again_after_a_flush_really_connects() {
    let host = host();
    host.shell("nft flush ruleset && ip link set $(ip -o link show master zb-blue | head -1 | sed 's/^[0-9]*: //; s/@.*//') nomaster").ok();
    host.zubi("connect blue db").ok();
    host.zubi("connect blue web").ok();
    host.zubi("check").ok();
}

zubi_lab::tests!(
    without_its_records_every_command_names_what_lives_and_changes_nothing,
    rebuild_makes_the_same_records_again,
    one_lost_record_is_told_and_its_address_is_not_given_again,
    gc_with_force_removes_what_lives_without_a_record,
    an_older_copy_of_the_networks_costs_no_running_container,
    after_a_flush_too_rebuild_keeps_what_it_can_and_names_the_rest,
    a_second_zubi_with_other_folders_is_refused_before_its_first_effect,
    a_second_zubi_that_was_there_first_is_refused_when_it_makes_a_network,
    a_run_folder_of_another_boot_is_not_cleared_while_its_endpoints_live,
    connecting_again_after_the_bridge_was_deleted_really_connects,
    connecting_again_after_a_flush_really_connects,
);
