//! Machines of systemd-machined, by the files that it writes.

use std::fs;
use zubi_lab::{Host, Loner, assert_reaches};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const FOLDER: &str = "/run/systemd/machines";

/// Writes what systemd-machined 252 writes for a container of systemd-nspawn.
fn register(name: &str, leader: u32, class: &str) {
    fs::create_dir_all(FOLDER).expect("folder");
    let text = format!(
        "# This is private data. Do not parse.\nNAME={name}\nSCOPE=machine-{name}.scope\nSERVICE=systemd-nspawn\n\
         ROOT=/var/lib/machines/{name}\nID=aaaabbbbccccddddeeeeffff00001111\nLEADER={leader}\nCLASS={class}\n\
         REALTIME=1764500000000000\nMONOTONIC=1000000\n"
    );
    fs::write(format!("{FOLDER}/{name}"), text).expect("file");
}

fn a_machine_is_connected_by_its_name() {
    let host = Host::new(ZUBI).with_env("DOCKER_HOST", "").with_env("CONTAINER_HOST", "");
    host.network("blue --subnet 10.55.66.0/24");
    let leader = Loner::new();
    register("web", leader.pid(), "container");
    let said = host.zubi("connect blue machine:web").ok().out;
    assert_eq!(said, "machine:web: eth0 10.55.66.2/24 02:42:0a:37:42:02 on blue, default route (IPv4)\n");
    host.zubi("sandbox add w --from machine:web").ok();
    assert_reaches("w", "host", "10.55.66.1");
    host.zubi("sandbox rm w").ok();
    // The bare name leads there too.
    assert!(host.zubi("disconnect blue web").ok().out.contains("web: disconnected"));
    host.zubi("link machine:web:v0 host:v1").ok();
    host.zubi("link rm machine:web:v0").ok();
    leader.die();
    host.zubi("connect blue machine:web").fails(3, "is not visible here");
    host.zubi("connect blue machine:other").fails(3, "sandbox machine:other does not exist");
}

fn a_machine_without_a_network_of_its_own_is_refused() {
    let host = Host::new(ZUBI).with_env("DOCKER_HOST", "").with_env("CONTAINER_HOST", "");
    host.network("blue --subnet 10.55.66.0/24");
    host.zubi("connect blue machine:web").fails(3, "systemd-machined: not found at /run/systemd/machines");
    register("web", std::process::id(), "container");
    host.zubi("connect blue machine:web").fails(3, "start it with --private-network");
    register("vm", std::process::id(), "vm");
    host.zubi("connect blue machine:vm").fails(3, "it is a virtual machine");
}

zubi_lab::tests!(a_machine_is_connected_by_its_name, a_machine_without_a_network_of_its_own_is_refused);
