//! The doors, killed and failed behind every single step, then called again in a runtime's order: DEL and then ADD,
//! teardown and then setup.

use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;
use zubi_lab::{Attachment, Caller, DhcpServer, HELPERS, Host, PLUGINS, Snapshot, Verb, links};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
/// Steps of the detached child, which writes nothing to the caller's standard error.
const BEYOND: usize = 6;
const PLUGIN_FOLDER: &str = "/run/plugins";
const HELPER_FOLDER: &str = "/run/helpers";

/// One call of a door.
#[derive(Debug, Clone)]
struct Call {
    program: &'static str,
    words: &'static [&'static str],
    variables: Vec<(&'static str, &'static str)>,
    stdin: Value,
}

impl Call {
    fn cni(plugin: &'static str, command: &'static str, config: &Value) -> Self {
        let variables = vec![
            ("CNI_COMMAND", command),
            ("CNI_CONTAINERID", "c1"),
            ("CNI_NETNS", if command == "DEL" { "" } else { "/run/netns/c1" }),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", PLUGIN_FOLDER),
        ];
        Call { program: plugin, words: &[], variables, stdin: config.clone() }
    }

    fn netavark(words: &'static [&'static str], request: &Value) -> Self {
        Call { program: "netavark", words, variables: Vec::new(), stdin: request.clone() }
    }

    /// Exit code (-1: killed), stdout and stderr.
    fn run(&self, host: &Host, fault: Option<&str>) -> (i32, String, String) {
        let folder = if self.program == "netavark" { HELPER_FOLDER } else { PLUGIN_FOLDER };
        let mut command = host.command("");
        let environment: Vec<_> = command.get_envs().filter_map(|(k, v)| Some((k.to_owned(), v?.to_owned()))).collect();
        command = std::process::Command::new(format!("{folder}/{}", self.program));
        command.args(self.words).envs(environment).envs(self.variables.iter().copied());
        if let Some(fault) = fault {
            command.env("ZUBI_FAULT", fault);
        }
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("door");
        // A door that is killed early does not read its input.
        child.stdin.take().expect("stdin").write_all(self.stdin.to_string().as_bytes()).ok();
        let output = child.wait_with_output().expect("door");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }

    fn succeeds(&self, host: &Host) -> Result<(), String> {
        match self.run(host, None) {
            (0, ..) => Ok(()),
            (code, out, err) => Err(format!("{} {:?}: {code}: {out} {err}", self.program, self.variables.first())),
        }
    }
}

fn each(host: &Host, calls: &[Call]) -> Result<(), String> {
    calls.iter().try_for_each(|call| call.succeeds(host))
}

fn works(host: &Host) -> Result<(), String> {
    let reached = host.shell("ip netns exec c1 ping -c 1 -W 5 10.55.66.1");
    if reached.code == 0 { Ok(()) } else { Err(format!("the gateway is not reached: {}", reached.out)) }
}

fn is_gone(host: &Host, initial: &Snapshot) -> Result<(), String> {
    host.settle();
    host.shell("find /run -path '/run/zubi*' -name '.tmp-*' -delete").ok();
    initial.difference(&Snapshot::take()).map_or(Ok(()), Err)
}

/// Counts the steps of a call, from the state in which it is made.
fn steps(host: &Host, calls: &[Call], at: usize) -> usize {
    each(host, &calls[..at]).expect("the calls before");
    let (code, out, err) = calls[at].run(host, Some("count"));
    assert_eq!(code, 0, "{out} {err}");
    each(host, &calls[at + 1..]).expect("the calls behind");
    err.lines().filter(|line| line.starts_with("step ")).count()
}

/// The calls of a runtime that attach, and those that detach.
struct Door {
    /// The commands that give the host what the calls need.
    host: &'static str,
    /// The options of a DHCP server in the namespace `lan`.
    server: Option<&'static str>,
    attach: Vec<Call>,
    detach: Vec<Call>,
}

impl Door {
    fn begin(&self) -> (Host, Snapshot, Option<DhcpServer>) {
        let host = Host::new(ZUBI);
        links(ZUBI, PLUGIN_FOLDER, &PLUGINS);
        links(ZUBI, HELPER_FOLDER, &HELPERS);
        host.shell("ip netns add c1; ip -n c1 link set lo up").ok();
        host.shell(self.host).ok();
        let server = self.server.map(|options| DhcpServer::dnsmasq("lan", options));
        host.zubi("gc").ok();
        // The first attach makes folders that stay.
        each(&host, &self.attach).expect("attach");
        works(&host).expect("attached");
        each(&host, &self.detach).expect("detach");
        host.settle();
        let initial = Snapshot::take();
        (host, initial, server)
    }

    /// Kills attaching at each step: detaching must clean up, and attaching must work afterwards.
    fn attach_is_killed(&self, least: usize) {
        let (host, initial, _server) = self.begin();
        let mut wrong = String::new();
        let mut all = 0;
        for at in 0..self.attach.len() {
            let count = steps(&host, &self.attach, at);
            each(&host, &self.detach).expect("detach");
            host.settle();
            all += count;
            for n in 1..=count + BEYOND {
                let outcome = (|| {
                    each(&host, &self.attach[..at])?;
                    self.attach[at].run(&host, Some(&format!("kill:{n}")));
                    each(&host, &self.detach)?;
                    is_gone(&host, &initial).map_err(|d| format!("behind the detach: {d}"))?;
                    each(&host, &self.attach)?;
                    works(&host)?;
                    let check = host.zubi("check");
                    if check.code != 0 {
                        return Err(check.out);
                    }
                    each(&host, &self.detach)?;
                    is_gone(&host, &initial)
                })();
                self.note(&host, &initial, &mut wrong, &format!("call {at}, step {n}"), outcome);
            }
        }
        assert!(all >= least, "only {all} steps, {least} expected");
        assert!(wrong.is_empty(), "of {all} steps:\n{wrong}");
    }

    /// Kills detaching at each step: a second detach must finish it.
    fn detach_is_killed(&self, least: usize) {
        let (host, initial, _server) = self.begin();
        let mut wrong = String::new();
        let mut all = 0;
        for at in 0..self.detach.len() {
            each(&host, &self.attach).expect("attach");
            let count = steps(&host, &self.detach, at);
            host.settle();
            all += count;
            for n in 1..=count + BEYOND {
                let outcome = (|| {
                    each(&host, &self.attach)?;
                    each(&host, &self.detach[..at])?;
                    self.detach[at].run(&host, Some(&format!("kill:{n}")));
                    each(&host, &self.detach)?;
                    is_gone(&host, &initial)
                })();
                self.note(&host, &initial, &mut wrong, &format!("call {at}, step {n}"), outcome);
            }
        }
        assert!(all >= least, "only {all} steps, {least} expected");
        assert!(wrong.is_empty(), "of {all} steps:\n{wrong}");
    }

    /// Fails attaching at each step: the error must be in the protocol's words, and the call must leave nothing.
    fn attach_fails(&self, least: usize) {
        let (host, initial, _server) = self.begin();
        let mut wrong = String::new();
        let at = 0;
        let count = steps(&host, &self.attach, at);
        each(&host, &self.detach).expect("detach");
        host.settle();
        assert!(count >= least, "only {count} steps, {least} expected");
        for n in 1..=count {
            let outcome = (|| {
                let (code, out, err) = self.attach[at].run(&host, Some(&format!("fail:{n}")));
                if code == 0 {
                    // A hint for the next command may be lost.
                    return each(&host, &self.detach).and_then(|()| is_gone(&host, &initial));
                }
                let document: Value = serde_json::from_str(&out).map_err(|e| format!("stdout {out:?}: {e} {err}"))?;
                if document.get("msg").or(document.get("error")).is_none() {
                    return Err(format!("no error: {document}"));
                }
                is_gone(&host, &initial).map_err(|d| format!("behind the failure: {d}"))
            })();
            self.note(&host, &initial, &mut wrong, &format!("step {n}"), outcome);
        }
        assert!(wrong.is_empty(), "of {count} steps:\n{wrong}");
    }

    fn note(&self, host: &Host, initial: &Snapshot, wrong: &mut String, what: &str, outcome: Result<(), String>) {
        let Err(why) = outcome else { return };
        writeln!(wrong, "{what}: {why}").expect("text");
        each(host, &self.detach).ok();
        host.zubi("gc");
        host.settle();
        host.shell("find /run -path '/run/zubi*' -name '.tmp-*' -delete").ok();
        let difference = initial.difference(&Snapshot::take());
        assert!(difference.is_none(), "a fault that gc does not mend: {wrong}\n{difference:?}");
    }
}

fn ipam() -> Value {
    json!({
        "type": "host-local",
        "ranges": [[{ "subnet": "10.55.66.0/24" }], [{ "subnet": "fd00:55::/64" }]],
        "routes": [{ "dst": "0.0.0.0/0" }, { "dst": "::/0" }],
    })
}

/// A container of Podman's whose address a DHCP server gives.
fn by_server() -> Door {
    let request = json!({
        "container_id": "ab".repeat(32), "container_name": "web",
        "networks": { "lan": { "interface_name": "eth0" } },
        "network_info": { "lan": {
            "name": "lan", "id": "cd".repeat(32), "driver": "macvlan", "network_interface": "card0",
            "ipv6_enabled": false, "internal": false, "dns_enabled": false, "ipam_options": { "driver": "dhcp" },
        } },
    });
    Door {
        host: CARD,
        server: Some("--dhcp-range=10.55.66.100,10.55.66.199,255.255.255.0,2m"),
        attach: vec![Call::netavark(&["--config", "/run/networks", "setup", "/run/netns/c1"], &request)],
        detach: vec![Call::netavark(&["--config", "/run/networks", "teardown", "/run/netns/c1"], &request)],
    }
}

fn ports() -> Value {
    json!({ "portMappings": [{ "hostPort": 8080, "containerPort": 80, "protocol": "tcp" }] })
}

/// One plug-in does everything.
fn one_plugin() -> Door {
    let config = json!({
        "cniVersion": "1.0.0", "name": "blue", "type": "zubi", "ipam": ipam(),
        "capabilities": { "portMappings": true }, "runtimeConfig": ports(),
    });
    Door {
        host: "",
        server: None,
        attach: vec![Call::cni("zubi", "ADD", &config)],
        detach: vec![Call::cni("zubi", "DEL", &config)],
    }
}

/// A network card, and a computer on its LAN.
const CARD: &str = "set -e
    ip netns add lan; ip link add card0 type veth peer name eth0 netns lan; ip link set card0 up
    ip -n lan addr add 10.55.66.1/24 dev eth0; ip -n lan link set eth0 up";

/// A device on a network card.
fn on_card() -> Door {
    let config = json!({ "cniVersion": "1.0.0", "name": "blue", "type": "macvlan", "master": "card0", "ipam": ipam() });
    Door {
        host: CARD,
        server: None,
        attach: vec![Call::cni("macvlan", "ADD", &config)],
        detach: vec![Call::cni("macvlan", "DEL", &config)],
    }
}

/// The chain of existing configurations.
fn chain() -> Door {
    let bridge = json!({
        "cniVersion": "1.0.0", "name": "blue", "type": "bridge", "bridge": "blue0", "isGateway": true, "ipMasq": true,
        "hairpinMode": true, "ipam": ipam(),
    });
    let result = json!({
        "cniVersion": "1.0.0",
        "interfaces": [{ "name": "blue0" }, { "name": "eth0", "sandbox": "/run/netns/c1" }],
        "ips": [{ "address": "10.55.66.2/24", "interface": 1 }, { "address": "fd00:55::2/64", "interface": 1 }],
    });
    let further = |kind: &str, extra: Value| {
        let mut config = json!({ "cniVersion": "1.0.0", "name": "blue", "type": kind, "prevResult": result });
        config.as_object_mut().expect("object").extend(extra.as_object().expect("object").clone());
        config
    };
    let portmap = further("portmap", json!({ "capabilities": { "portMappings": true }, "runtimeConfig": ports() }));
    let firewall = further("firewall", json!({ "ingressPolicy": "same-bridge" }));
    let tuning = further("tuning", json!({ "sysctl": { "net.ipv4.conf.IFNAME.arp_filter": "1" }, "mtu": 1400 }));
    Door {
        host: "",
        server: None,
        attach: vec![
            Call::cni("bridge", "ADD", &bridge),
            Call::cni("portmap", "ADD", &portmap),
            Call::cni("firewall", "ADD", &firewall),
            Call::cni("tuning", "ADD", &tuning),
        ],
        detach: vec![
            Call::cni("tuning", "DEL", &tuning),
            Call::cni("firewall", "DEL", &firewall),
            Call::cni("portmap", "DEL", &portmap),
            Call::cni("bridge", "DEL", &bridge),
        ],
    }
}

fn netavark() -> Door {
    let network = |name: &str, net: u8| {
        json!({
            "name": name, "id": "ab".repeat(32), "driver": "bridge", "network_interface": format!("podman{net}"),
            "subnets": [{ "subnet": format!("10.55.{net}.0/24"), "gateway": format!("10.55.{net}.1") }],
            "ipv6_enabled": false, "internal": false, "dns_enabled": false,
            "ipam_options": { "driver": "host-local" },
        })
    };
    let request = json!({
        "container_id": "ab".repeat(32), "container_name": "c1",
        "port_mappings": [
            { "host_ip": "", "host_port": 8080, "container_port": 80, "range": 3, "protocol": "tcp" },
        ],
        "networks": {
            "blue": { "interface_name": "eth0", "static_ips": ["10.55.66.2"] },
            "green": { "interface_name": "eth1", "static_ips": ["10.55.77.2"] },
        },
        "network_info": { "blue": network("blue", 66), "green": network("green", 77) },
    });
    Door {
        host: "",
        server: None,
        attach: vec![Call::netavark(&["--config", "/run/networks", "setup", "/run/netns/c1"], &request)],
        detach: vec![Call::netavark(&["--config", "/run/networks", "teardown", "/run/netns/c1"], &request)],
    }
}

fn a_plugin_killed_at_any_step_of_add_leaves_what_del_cleans_up() {
    one_plugin().attach_is_killed(40);
}

fn a_plugin_killed_at_any_step_of_del_is_called_again() {
    one_plugin().detach_is_killed(13);
}

fn a_plugin_failing_at_any_step_of_add_leaves_nothing() {
    one_plugin().attach_fails(40);
}

fn a_chain_killed_at_any_step_of_add_leaves_what_del_cleans_up() {
    chain().attach_is_killed(60);
}

fn a_chain_killed_at_any_step_of_del_is_called_again() {
    chain().detach_is_killed(16);
}

fn a_macvlan_killed_at_any_step_of_add_leaves_what_del_cleans_up() {
    on_card().attach_is_killed(25);
}

fn a_macvlan_killed_at_any_step_of_del_is_called_again() {
    on_card().detach_is_killed(8);
}

fn a_macvlan_failing_at_any_step_of_add_leaves_nothing() {
    on_card().attach_fails(25);
}

fn netavark_with_dhcp_killed_at_any_step_of_setup_leaves_what_teardown_cleans_up() {
    if DhcpServer::has_dnsmasq("netavark_with_dhcp_killed_at_any_step_of_setup_leaves_what_teardown_cleans_up") {
        by_server().attach_is_killed(25);
    }
}

fn netavark_with_dhcp_failing_at_any_step_of_setup_leaves_nothing() {
    if DhcpServer::has_dnsmasq("netavark_with_dhcp_failing_at_any_step_of_setup_leaves_nothing") {
        by_server().attach_fails(25);
    }
}

fn netavark_killed_at_any_step_of_setup_leaves_what_teardown_cleans_up() {
    netavark().attach_is_killed(60);
}

fn netavark_killed_at_any_step_of_teardown_is_called_again() {
    netavark().detach_is_killed(20);
}

fn netavark_failing_at_any_step_of_setup_leaves_nothing() {
    netavark().attach_fails(60);
}

/// One attachment by zubi's plug-in, for a test that does not depend on a runtime's order.
fn a_second_add_after_a_kill_attaches_or_says_that_it_is_attached() {
    let door = one_plugin();
    let (host, initial, _server) = door.begin();
    let count = steps(&host, &door.attach, 0);
    each(&host, &door.detach).expect("detach");
    for n in 1..=count {
        door.attach[0].run(&host, Some(&format!("kill:{n}")));
        let (code, out, _) = door.attach[0].run(&host, None);
        assert!(code == 0 || out.contains("has eth0 already"), "step {n}: {out}");
        works(&host).expect("attached");
        each(&host, &door.detach).expect("detach");
        is_gone(&host, &initial).expect("gone");
    }
    let at = Attachment::new("c1", "c1");
    Caller::new(PLUGIN_FOLDER).call("zubi", Verb::Del, &at, &door.attach[0].stdin).ok();
}

zubi_lab::tests!(
    a_plugin_killed_at_any_step_of_add_leaves_what_del_cleans_up,
    a_plugin_killed_at_any_step_of_del_is_called_again,
    a_plugin_failing_at_any_step_of_add_leaves_nothing,
    a_chain_killed_at_any_step_of_add_leaves_what_del_cleans_up,
    a_chain_killed_at_any_step_of_del_is_called_again,
    a_macvlan_killed_at_any_step_of_add_leaves_what_del_cleans_up,
    a_macvlan_killed_at_any_step_of_del_is_called_again,
    a_macvlan_failing_at_any_step_of_add_leaves_nothing,
    netavark_with_dhcp_killed_at_any_step_of_setup_leaves_what_teardown_cleans_up,
    netavark_with_dhcp_failing_at_any_step_of_setup_leaves_nothing,
    netavark_killed_at_any_step_of_setup_leaves_what_teardown_cleans_up,
    netavark_killed_at_any_step_of_teardown_is_called_again,
    netavark_failing_at_any_step_of_setup_leaves_nothing,
    a_second_add_after_a_kill_attaches_or_says_that_it_is_attached,
);
