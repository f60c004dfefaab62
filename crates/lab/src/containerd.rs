//! containerd on a host of its own ([`HostKind::Root`](crate::HostKind::Root)), with its state at the usual place.

use crate::cgroups;
use crate::docker::{ROOT, busybox_root, find};
use crate::host::{Answer, answer};
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const LOG: &str = "/run/containerd.log";
const PATIENCE: Duration = Duration::from_secs(30);

/// A running containerd. It ends with this value; its tasks end with the host.
#[derive(Debug)]
pub struct Containerd {
    daemon: Child,
}

impl Containerd {
    /// Why containerd cannot be used here: what is not installed.
    pub fn missing() -> Option<&'static str> {
        let needed = [("containerd", "containerd"), ("ctr", "containerd"), ("busybox", "busybox-static")];
        needed.into_iter().find(|(program, _)| find(program).is_none()).map(|(_, package)| package)
    }

    /// Starts it and waits until it answers. The error says what it logged.
    pub fn start() -> Result<Containerd, String> {
        const CONF: &str = "version = 2\nroot = \"/run/containerd-root\"\nstate = \"/run/containerd\"\n\
                            disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n";
        fs::write("/run/containerd.toml", CONF).map_err(|e| format!("/run/containerd.toml: {e}"))?;
        let log = File::create(LOG).and_then(|log| Ok((log.try_clone()?, log))).map_err(|e| format!("{LOG}: {e}"))?;
        let mut command = Command::new(find("containerd").ok_or("containerd is not installed")?);
        command.arg("--config=/run/containerd.toml").stdin(Stdio::null()).stdout(log.0).stderr(log.1);
        let daemon = command.spawn().map_err(|e| format!("containerd: {e}"))?;
        let containerd = Containerd { daemon };
        let since = Instant::now();
        while containerd.ctr("version").code != 0 {
            if since.elapsed() > PATIENCE {
                let log = fs::read_to_string(LOG).unwrap_or_default();
                return Err(format!("containerd does not answer after {} s\n{log}", PATIENCE.as_secs()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(containerd)
    }

    /// Starts a task that sleeps, with a network namespace of its own.
    #[track_caller]
    pub fn run(&self, id: &str) {
        busybox_root().unwrap_or_else(|why| panic!("{why}"));
        self.ctr(&format!("run -d --cgroup /{}/{id} --rootfs {ROOT} {id} /bin/sleep 1000", cgroups::own())).ok();
    }

    /// `ctr WORDS`, to its end; words are split at spaces.
    #[track_caller]
    pub fn ctr(&self, words: &str) -> Answer {
        let mut command = Command::new("ctr");
        command.args(words.split_whitespace()).env_remove("CONTAINERD_ADDRESS").env_remove("CONTAINERD_NAMESPACE");
        command.stdin(Stdio::null());
        answer(command)
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        // It may have ended already; that is what is wanted.
        drop(self.daemon.kill());
        drop(self.daemon.wait());
    }
}
