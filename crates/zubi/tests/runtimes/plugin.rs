//! A daemon and a Docker on one host.

use std::fs::File;
use std::process::{Child, Stdio};
use zubi_lab::{Docker, Host, skip};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const SOCKET: &str = "/run/docker/plugins/zubi.sock";
const LOG: &str = "/run/zubi-daemon.log";

/// A daemon that ends with this value.
pub struct Daemon(Child);

impl Daemon {
    /// Starts it, and waits until Docker could find it.
    #[track_caller]
    pub fn start(host: &Host) -> Daemon {
        let log = File::options().create(true).append(true).open(LOG).expect(LOG);
        let mut command = host.command("daemon");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect(LOG)).stderr(log);
        let daemon = Daemon(command.spawn().expect("zubi daemon"));
        // One that was killed leaves its socket.
        host.wait_for(&format!("[ -S {SOCKET} ] && ss -xlH src {SOCKET} | grep -q ."));
        daemon
    }

    /// Ends it with SIGKILL.
    pub fn kill(mut self) {
        self.0.kill().expect("kill");
        self.0.wait().expect("wait");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What the daemon has said so far.
pub fn log() -> String {
    std::fs::read_to_string(LOG).unwrap_or_default()
}

/// A host with a daemon, and its Docker with the image `busybox`; `None` without an installed Docker.
pub fn host_with_plugin(test: &str) -> Option<(Host, Daemon, Docker)> {
    if let Some(package) = Docker::missing() {
        skip(test, &format!("needs the package {package}"));
        return None;
    }
    // Ignore the developer's own Docker and Podman.
    let host = Host::new(ZUBI).with_env("DOCKER_HOST", "").with_env("CONTAINER_HOST", "");
    let daemon = Daemon::start(&host);
    let docker = Docker::start().unwrap_or_else(|why| panic!("{why}"));
    docker.import_busybox().unwrap_or_else(|why| panic!("{why}"));
    Some((host, daemon, docker))
}
