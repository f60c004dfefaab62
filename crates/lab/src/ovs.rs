//! A real Open vSwitch: ovsdb-server and ovs-vswitchd. Its user-space datapath needs no kernel module.

use crate::host::Host;
use crate::runner::skip;
use std::process::{Command, Stdio};

/// The package, and the program that shows its presence.
const PACKAGE: &str = "openvswitch-switch";
const FOLDER: &str = "/run/openvswitch";
const SWITCH: &str = "ovs-vswitchd unix:/run/openvswitch/db.sock";

/// An Open vSwitch in the place where its programs look for it, with a bridge `br0`. It ends with the host.
#[derive(Debug)]
pub struct OpenVswitch {
    host: Host,
}

impl OpenVswitch {
    /// Whether it is installed. If not, the test is recorded as skipped and should return.
    pub fn is_installed(test: &str) -> bool {
        let version =
            Command::new("ovs-vswitchd").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        let is_here = version.is_ok_and(|status| status.success());
        if !is_here {
            skip(test, &format!("needs the package {PACKAGE}"));
        }
        is_here
    }

    /// Starts it; `None` where it is not installed.
    #[track_caller]
    pub fn start(host: &Host, test: &str) -> Option<OpenVswitch> {
        if !OpenVswitch::is_installed(test) {
            return None;
        }
        host.shell(&OpenVswitch::script()).ok();
        Some(OpenVswitch { host: host.clone() })
    }

    /// Starts one whose bridge is the kernel's; `None` where it is not installed, or the kernel has no module for it.
    #[track_caller]
    pub fn start_in_kernel(host: &Host, test: &str) -> Option<OpenVswitch> {
        if !OpenVswitch::is_installed(test) {
            return None;
        }
        if host.shell("genl ctrl get name ovs_datapath").code != 0 {
            skip(test, "lacks the kernel's datapath of Open vSwitch (CONFIG_OPENVSWITCH)");
            return None;
        }
        let script = script(&daemon(SWITCH, "ovs-vswitchd"), "ovs-vsctl add-br br0");
        host.shell(&script).ok();
        Some(OpenVswitch { host: host.clone() })
    }

    /// The line for a shell that starts it.
    pub fn script() -> String {
        script(&switch(), &bridge("br0"))
    }

    /// Adds a bridge.
    #[track_caller]
    pub fn add_bridge(&self, name: &str) {
        self.host.shell(&bridge(name)).ok();
    }

    /// Starts ovsdb-server.
    #[track_caller]
    pub fn start_database(&self) {
        self.host.shell(&database()).ok();
    }

    /// Starts ovs-vswitchd.
    #[track_caller]
    pub fn start_switch(&self) {
        self.host.shell(&switch()).ok();
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

fn script(switch: &str, bridge: &str) -> String {
    [
        &format!("mkdir -p {FOLDER}"),
        &format!("mount -t tmpfs none {FOLDER}"),
        &format!("ovsdb-tool create {FOLDER}/conf.db /usr/share/openvswitch/vswitch.ovsschema"),
        &database(),
        "ovs-vsctl --no-wait init",
        switch,
        bridge,
    ]
    .join(" && ")
}

fn database() -> String {
    daemon(&format!("ovsdb-server {FOLDER}/conf.db --remote=punix:{FOLDER}/db.sock"), "ovsdb-server")
}

fn switch() -> String {
    daemon(&format!("{SWITCH} --disable-system"), "ovs-vswitchd")
}

/// Returns when it is ready.
fn daemon(command: &str, name: &str) -> String {
    let files = format!("--pidfile={FOLDER}/{name}.pid --log-file={FOLDER}/{name}.log");
    format!("{command} {files} --no-chdir --detach >/dev/null 2>&1")
}

/// The MACs are the same on each host.
fn bridge(name: &str) -> String {
    let mac = format!("02:00:00:00:00:{:02x}", name.bytes().fold(0x40, u8::wrapping_add));
    format!(
        "ovs-vsctl add-br {name} -- set bridge {name} datapath_type=netdev other-config:hwaddr={mac} && \
         ip link set ovs-netdev address 02:00:00:00:00:01"
    )
}
