//! A real Open vSwitch with its user-space datapath, which needs no kernel module: ovsdb-server and ovs-vswitchd.

use crate::host::Host;
use crate::runner::skip;
use std::process::{Command, Stdio};

/// The package, and the program that shows its presence.
const PACKAGE: &str = "openvswitch-switch";
const FOLDER: &str = "/run/openvswitch";

/// An Open vSwitch in the place where its programs look for it, with a bridge `br0`. It ends with the host.
#[derive(Debug)]
pub struct OpenVswitch {
    host: Host,
}

impl OpenVswitch {
    /// Starts it; `None` if it is not installed: then the test is recorded as skipped and should return.
    #[track_caller]
    pub fn start(host: &Host, test: &str) -> Option<OpenVswitch> {
        let version =
            Command::new("ovs-vswitchd").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !version.is_ok_and(|status| status.success()) {
            skip(test, &format!("needs the package {PACKAGE}"));
            return None;
        }
        let ovs = OpenVswitch { host: host.clone() };
        host.shell(&format!("mkdir -p {FOLDER} && mount -t tmpfs none {FOLDER}")).ok();
        host.shell(&format!("ovsdb-tool create {FOLDER}/conf.db /usr/share/openvswitch/vswitch.ovsschema")).ok();
        ovs.start_database();
        host.shell("ovs-vsctl --no-wait init").ok();
        ovs.start_switch();
        ovs.add_bridge("br0");
        Some(ovs)
    }

    /// Adds a bridge.
    #[track_caller]
    pub fn add_bridge(&self, name: &str) {
        self.host.shell(&format!("ovs-vsctl add-br {name} -- set bridge {name} datapath_type=netdev")).ok();
    }

    /// Starts ovsdb-server.
    #[track_caller]
    pub fn start_database(&self) {
        let remote = format!("--remote=punix:{FOLDER}/db.sock");
        self.daemon(&format!("ovsdb-server {FOLDER}/conf.db {remote}"), "ovsdb-server");
    }

    /// Starts ovs-vswitchd.
    #[track_caller]
    pub fn start_switch(&self) {
        self.daemon(&format!("ovs-vswitchd unix:{FOLDER}/db.sock --disable-system"), "ovs-vswitchd");
    }

    /// Ends ovsdb-server.
    #[track_caller]
    pub fn stop_database(&self) {
        self.end("ovsdb-server");
    }

    /// Ends ovs-vswitchd.
    #[track_caller]
    pub fn stop_switch(&self) {
        self.end("ovs-vswitchd");
    }

    /// Returns when it is ready.
    #[track_caller]
    fn daemon(&self, command: &str, name: &str) {
        let files = format!("--pidfile={FOLDER}/{name}.pid --log-file={FOLDER}/{name}.log");
        self.host.shell(&format!("{command} {files} --no-chdir --detach >/dev/null 2>&1")).ok();
    }

    #[track_caller]
    fn end(&self, name: &str) {
        self.host.shell(&format!("kill $(cat {FOLDER}/{name}.pid)")).ok();
        self.host.wait_for(&format!("! test -e {FOLDER}/{name}.pid"));
    }

    /// The names of the ports of a bridge.
    #[track_caller]
    pub fn ports(&self, bridge: &str) -> Vec<String> {
        let listed = self.host.shell(&format!("ovs-vsctl list-ports {bridge}")).ok().out;
        listed.lines().map(str::to_owned).collect()
    }

    /// A column of a port.
    #[track_caller]
    pub fn column(&self, port: &str, column: &str) -> String {
        self.host.shell(&format!("ovs-vsctl get port {port} {column}")).ok().out.trim().to_owned()
    }
}
