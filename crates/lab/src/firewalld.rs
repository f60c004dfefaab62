//! firewalld on a host of its own ([`HostKind::Root`](crate::HostKind::Root)), with its own message bus and without
//! systemd. It uses the package's default settings, not the machine's.

use crate::cover::cover;
use crate::docker::find;
use crate::host::{Answer, answer};
use crate::patience::patience;
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const BUS: &str = "/run/dbus";
const CONF: &str = "/etc/firewalld";
const LOG: &str = "/run/firewalld.log";
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether firewalld owns its table (`NftablesTableOwner`, since 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableOwner {
    /// Only firewalld may change it.
    Firewalld,
    /// Any program may change it, as before 2.2.
    Nobody,
}

/// A running firewalld. It ends with this value.
#[derive(Debug)]
pub struct Firewalld {
    bus: Child,
    daemon: Child,
}

impl Firewalld {
    /// Why firewalld cannot be used here: what is not installed.
    pub fn missing() -> Option<&'static str> {
        let needed = [("firewalld", "firewalld"), ("firewall-cmd", "firewalld"), ("dbus-daemon", "dbus-daemon")];
        needed.into_iter().find(|(program, _)| find(program).is_none()).map(|(_, package)| package)
    }

    /// Starts it and waits until it answers. The error contains its log.
    pub fn start(owner: TableOwner) -> Result<Firewalld, String> {
        let failed = |what: &'static str| move |e: std::io::Error| format!("{what}: {e}");
        cover(CONF)?;
        // Settings that are not written down have the package's defaults.
        let word = if owner == TableOwner::Firewalld { "yes" } else { "no" };
        fs::write(format!("{CONF}/firewalld.conf"), format!("NftablesTableOwner={word}\n")).map_err(failed(CONF))?;
        fs::create_dir_all(BUS).map_err(failed(BUS))?;
        let log = File::create(LOG).map_err(failed(LOG))?;
        let start = |program: &str, words: &[&str]| {
            let output = || log.try_clone().map_err(failed(LOG));
            let mut command = Command::new(find(program).ok_or_else(|| format!("{program} is not installed"))?);
            command.args(words).stdin(Stdio::null()).stdout(output()?).stderr(output()?);
            command.spawn().map_err(|e| format!("{program}: {e}"))
        };
        let bus = start("dbus-daemon", &["--system", "--nofork", "--nopidfile"])?;
        let daemon = start("firewalld", &["--nofork", "--nopid", "--log-target=console"])?;
        let firewalld = Firewalld { bus, daemon };
        let since = Instant::now();
        while firewalld.cmd("--state").code != 0 {
            if since.elapsed() > patience(PATIENCE) {
                let log = fs::read_to_string(LOG).unwrap_or_default();
                return Err(format!("firewalld did not answer within {} s\n{log}", patience(PATIENCE).as_secs()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(firewalld)
    }

    /// Runs `firewall-cmd WORDS`.
    #[track_caller]
    pub fn cmd(&self, words: &str) -> Answer {
        let mut command = Command::new("firewall-cmd");
        command.args(words.split_whitespace()).stdin(Stdio::null());
        answer(command)
    }
}

impl Drop for Firewalld {
    fn drop(&mut self) {
        for child in [&mut self.daemon, &mut self.bus] {
            // It may have ended already.
            drop(child.kill());
            drop(child.wait());
        }
    }
}
