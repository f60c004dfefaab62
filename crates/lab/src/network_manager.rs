//! A real NetworkManager with its own message bus, without systemd and without udev, on a host of its own
//! ([`HostKind::Root`](crate::HostKind::Root)). It uses the package's default settings, not the machine's.

use crate::cover::cover;
use crate::docker::find;
use crate::host::Host;
use crate::patience::patience;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const BUS: &str = "/run/dbus/system_bus_socket";
const LOG: &str = "/run/network-manager.log";
const PATIENCE: Duration = Duration::from_secs(30);
/// It leaves resolv.conf, which is the machine's, alone.
const CONF: &str = "[main]\nplugins=keyfile\ndns=none\nrc-manager=unmanaged\n";

/// A running NetworkManager. It ends with this value.
#[derive(Debug)]
pub struct NetworkManager {
    bus: Child,
    daemon: Child,
}

impl NetworkManager {
    /// Why it cannot be used here: what is not installed.
    pub fn missing() -> Option<&'static str> {
        let needed = [("NetworkManager", "network-manager"), ("dbus-daemon", "dbus-daemon")];
        needed.into_iter().find(|(program, _)| find(program).is_none()).map(|(_, package)| package)
    }

    /// Makes its folders those of this host alone.
    pub fn prepare(host: &Host) -> Result<(), String> {
        for folder in ["/etc/NetworkManager", "/var/lib/NetworkManager"] {
            cover(folder)?;
        }
        fs::create_dir_all("/etc/NetworkManager/system-connections").map_err(|e| e.to_string())?;
        fs::write("/etc/NetworkManager/NetworkManager.conf", CONF).map_err(|e| e.to_string())?;
        // It takes a /sys that can be written to for a sign of udev, and would wait for that.
        host.shell("mkdir -p /run/dbus && mount -t sysfs -o ro none /sys").ok();
        Ok(())
    }

    /// Starts it and waits until it has set up what it is to set up at boot. The error contains its log.
    pub fn start() -> Result<NetworkManager, String> {
        let log = File::create(LOG).map_err(|e| format!("{LOG}: {e}"))?;
        let start = |program: &str, words: &[&str]| {
            let output = || log.try_clone().map_err(|e| format!("{LOG}: {e}"));
            let mut command = Command::new(find(program).ok_or_else(|| format!("{program} is not installed"))?);
            command.args(words).stdin(Stdio::null()).stdout(output()?).stderr(output()?);
            command.spawn().map_err(|e| format!("{program}: {e}"))
        };
        let bus = start("dbus-daemon", &["--system", "--nofork", "--nopidfile"])?;
        // It works without a bus, and would never look for one again.
        wait_for("the bus", || Path::new(BUS).exists())?;
        let daemon = start("NetworkManager", &["--no-daemon", "--debug"])?;
        let running = NetworkManager { bus, daemon };
        wait_for("NetworkManager", || {
            let mut command = Command::new("nm-online");
            command.args(["-s", "-q", "-t", "1"]).stdin(Stdio::null()).stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        })?;
        Ok(running)
    }
}

fn wait_for(what: &str, is_ready: impl Fn() -> bool) -> Result<(), String> {
    let since = Instant::now();
    while !is_ready() {
        if since.elapsed() > patience(PATIENCE) {
            let log = fs::read_to_string(LOG).unwrap_or_default();
            return Err(format!("{what} is not ready after {} s\n{log}", patience(PATIENCE).as_secs()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

impl Drop for NetworkManager {
    fn drop(&mut self) {
        for child in [&mut self.daemon, &mut self.bus] {
            // It may have ended already.
            drop(child.kill());
            drop(child.wait());
        }
    }
}
