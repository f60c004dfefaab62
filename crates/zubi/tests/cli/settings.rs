//! The settings file, in dockerd's words.

use std::fs;
use zubi_lab::{Answer, Host, Outside};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

/// A host with these settings.
fn host(settings: &str) -> Host {
    set(settings);
    Host::new(ZUBI).with_env("ZUBI_CONFIG", "/run/config.json")
}

fn set(settings: &str) {
    fs::write("/run/config.json", settings).expect("settings");
}

fn run(host: &Host, line: &str) -> Answer {
    host.zubi_words(&["run", "--", "sh", "-c", line])
}

fn the_default_network_is_made_as_the_settings_say() {
    let host = host(r#"{"bip": "192.168.77.1/24", "fixed-cidr": "192.168.77.128/25", "mtu": 1400, "ip-masq": false}"#);
    let _outside = Outside::new();
    let said = run(&host, "ip -br addr show eth0; ip link show eth0; ip route").ok().out;
    assert!(said.contains("192.168.77.128/24") && said.contains("mtu 1400"), "{said}");
    assert!(said.contains("default via 192.168.77.1"), "{said}");
    assert!(host.shell("ip -br addr show zubi0").ok().out.contains("192.168.77.1/24"));
    // The neighbour knows no way back without masquerading.
    run(&host, "ping -n -q -c 1 -W 1 192.0.2.2").fails(1, "");
}

fn ports_of_the_default_network_are_published_where_the_settings_say() {
    let host = host(r#"{"ip": "127.0.0.1"}"#);
    host.zubi("run -d --name web -p 8080:80 -- sleep 100").ok();
    assert!(host.zubi("ls").ok().out.contains("127.0.0.1:8080:80/tcp"));
    host.network("blue");
    host.zubi("sandbox add c1").ok();
    host.zubi("connect blue c1 -p 8081:80").ok();
    let all = host.zubi("ls").ok().out;
    assert!(all.contains(" 8081:80/tcp"), "{all}");
    host.zubi("sandbox rm -f web").ok();
}

fn another_address_moves_a_network_that_nobody_uses() {
    let host = host(r#"{"bip": "192.168.77.1/24"}"#);
    run(&host, "true").ok();
    set(r#"{"bip": "192.168.78.1/24"}"#);
    let moved = run(&host, "ip -br addr show eth0").ok();
    assert!(moved.out.contains("192.168.78.2/24"), "{}", moved.out);
    assert!(moved.err.contains("made anew"), "{}", moved.err);
    let addresses = host.shell("ip -br -4 addr show zubi0").ok().out;
    assert!(addresses.contains("192.168.78.1/24") && !addresses.contains("192.168.77"), "{addresses}");
    host.zubi("check").ok();
    host.zubi("sandbox add c1").ok();
    host.zubi("connect default c1").ok();
    set(r#"{"bip": "192.168.79.1/24"}"#);
    run(&host, "true").fails(4, "the settings (bip) want 192.168.79.0/24, and 1 endpoint is still attached: c1");
    host.zubi("check").ok();
    // What else changed in the settings concerns the next network only.
    set(r#"{"bip": "192.168.78.1/24", "mtu": 1300}"#);
    assert_eq!(run(&host, "ip link show eth0 | grep -c 'mtu 1500'").ok().out, "1\n");
}

zubi_lab::tests!(
    the_default_network_is_made_as_the_settings_say,
    ports_of_the_default_network_are_published_where_the_settings_say,
    another_address_moves_a_network_that_nobody_uses
);
