//! firewalld on a host of its own ([`HostKind::Root`](crate::HostKind::Root)), with a message bus of its own and without
//! systemd. The machine's settings are not for it: it has Debian's, in /run.

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

/// Whether firewalld keeps its table to itself (`NftablesTableOwner`, since 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableOwner {
    /// Nobody else may change it.
    Firewalld,
    /// Everybody may, as with every firewalld before.
    Nobody,
}

/// A running firewalld. It ends with this value.
#[derive(Debug)]
pub struct Firewalld {
    bus: Child,
    daemon: Child,
}

impl Firewalld {
    /// Why it cannot be used here: what is not installed.
    pub fn missing() -> Option<&'static str> {
        let needed = [("firewalld", "firewalld"), ("firewall-cmd", "firewalld"), ("dbus-daemon", "dbus-daemon")];
        needed.into_iter().find(|(program, _)| find(program).is_none()).map(|(_, package)| package)
    }

    /// Starts it and waits until it answers. The error says what it logged.
    pub fn start(owner: TableOwner) -> Result<Firewalld, String> {
        let failed = |what: &'static str| move |e: std::io::Error| format!("{what}: {e}");
        cover(CONF)?;
        // Settings that are not written down are those of the package.
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
                return Err(format!("firewalld does not answer after {} s\n{log}", patience(PATIENCE).as_secs()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(firewalld)
    }

    /// `firewall-cmd WORDS`, to its end.
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
            // It may have ended already; that is what is wanted.
            drop(child.kill());
            drop(child.wait());
        }
    }
}
