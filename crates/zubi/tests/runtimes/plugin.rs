//! A daemon and a Docker on one host.

use zubi_lab::{Docker, Host, ZubiDaemon, skip};

const ZUBI: &str = env!("CARGO_BIN_EXE_zubi");
const DAEMON: &str = env!("CARGO_BIN_EXE_zubi-daemon");
const SOCKET: &str = "/run/docker/plugins/zubi.sock";

/// Starts the daemon, and waits until Docker could find it.
#[track_caller]
pub fn start_daemon(host: &Host) -> ZubiDaemon {
    let daemon = ZubiDaemon::start(host, DAEMON);
    // One that was killed leaves its socket.
    host.wait_for(&format!("ss -xlH src {SOCKET} | grep -q ."));
    daemon
}

/// A host with a daemon, and its Docker with the image `busybox`; `None` without an installed Docker.
pub fn host_with_plugin(test: &str) -> Option<(Host, ZubiDaemon, Docker)> {
    if let Some(package) = Docker::missing() {
        skip(test, &format!("needs the package {package}"));
        return None;
    }
    // Ignore the developer's own Docker and Podman.
    let host = Host::new(ZUBI).with_env("DOCKER_HOST", "").with_env("CONTAINER_HOST", "");
    let daemon = start_daemon(&host);
    let docker = Docker::start().unwrap_or_else(|why| panic!("{why}"));
    docker.import_busybox().unwrap_or_else(|why| panic!("{why}"));
    Some((host, daemon, docker))
}
