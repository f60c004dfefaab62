//! An allow-list of settings that exists and cannot be read allows nothing.

use serde_json::json;
use std::fs;
use zubi_lab::{CniHost, Verb};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const LIST: &str = "/etc/cni/tuning/allowlist.conf";
/// The protocol's code for failed input or output.
const IO: i64 = 5;

/// An ADD with a setting is refused, and the setting stays.
fn refused() {
    let lab = CniHost::new(ZUBI, &["c1"]);
    let config = json!({
        "cniVersion": "1.0.0", "name": "blue", "type": "tuning", "sysctl": { "net.core.somaxconn": "77" },
        "prevResult": { "cniVersion": "1.0.0", "interfaces": [{ "name": "eth0", "sandbox": "/run/netns/c1" }] },
    });
    lab.caller.call("tuning", Verb::Add, &lab.at("c1"), &config).fails(IO, LIST);
    let value = lab.host.shell("ip netns exec c1 cat /proc/sys/net/core/somaxconn").ok().out;
    assert_ne!(value.trim(), "77");
}

fn a_list_that_is_not_text_allows_nothing() {
    zubi_lab::cover("/etc/cni/tuning").expect("/etc/cni/tuning");
    // One character in Latin-1.
    fs::write(LIST, b"# g\xfcltig\n^net\\.core\\.somaxconn$\n").expect("list");
    refused();
}

fn a_list_that_cannot_be_opened_allows_nothing() {
    zubi_lab::cover("/etc/cni/tuning").expect("/etc/cni/tuning");
    fs::create_dir(LIST).expect("a folder in its place");
    refused();
}

zubi_lab::tests!(a_list_that_is_not_text_allows_nothing, a_list_that_cannot_be_opened_allows_nothing);
