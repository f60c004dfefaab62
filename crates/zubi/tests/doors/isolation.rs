//! Reachability between Podman's networks by netavark's option `isolate`, in forms that the installed Podman does not
//! accept.

use serde_json::{Value, json};
use std::fs;
use zubi_lab::{HELPERS, Host, Reach, Transport, links, reaches};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");

fn set_up(host: &Host, name: &str, net: u8, isolate: &Value) {
    let id = format!("{net:02x}").repeat(32);
    let request = json!({
        "container_id": id, "container_name": name,
        "networks": { name: { "interface_name": "eth0", "static_ips": [format!("10.55.{net}.2")] } },
        "network_info": { name: {
            "name": name, "id": id, "driver": "bridge", "network_interface": format!("podman{net}"),
            "subnets": [{ "subnet": format!("10.55.{net}.0/24"), "gateway": format!("10.55.{net}.1") }],
            "ipv6_enabled": false, "internal": false, "dns_enabled": false, "options": isolate,
        } },
    });
    fs::write("/run/request.json", request.to_string()).expect("request");
    host.shell(&format!("ip netns add {name}; ip -n {name} link set lo up")).ok();
    host.shell(&format!("/run/helpers/netavark --config /run/n setup /run/netns/{name} < /run/request.json")).ok();
}

fn strict_networks_reach_no_other_and_are_reached_by_none() {
    let host = Host::new(ZUBI);
    links(ZUBI, "/run/helpers", &HELPERS);
    set_up(&host, "strict", 66, &json!({ "isolate": "strict" }));
    set_up(&host, "apart", 77, &json!({ "isolate": "true" }));
    set_up(&host, "open", 88, &json!({ "isolate": "false" }));
    let all = [("strict", 66), ("apart", 77), ("open", 88)];
    let mut seen = Vec::new();
    for (from, _) in all {
        for (to, net) in all.into_iter().filter(|(to, _)| *to != from) {
            let address = format!("10.55.{net}.2");
            if reaches(&Reach { from, to, address: &address }, Transport::Tcp) {
                seen.push((from, to));
            }
        }
    }
    assert_eq!(seen, [("apart", "open"), ("open", "apart")]);
    host.zubi("check").ok();
}

zubi_lab::tests!(strict_networks_reach_no_other_and_are_reached_by_none);
