//! Podman on a host of its own ([`HostKind::Root`](crate::HostKind::Root)): it has no daemon, and its store is moved
//! below the host's own /run by storage.conf.

use crate::cgroups;
use crate::docker::{busybox_root, find};
use crate::host::{Answer, answer};
use std::fs;
use std::process::{Command, Stdio};

/// Where its store is.
#[derive(Debug)]
pub struct Podman;

impl Podman {
    /// The variable by which Podman, and zubi, find the store.
    pub const CONF_VARIABLE: &'static str = "CONTAINERS_STORAGE_CONF";
    /// Its value.
    pub const CONF: &'static str = "/run/storage.conf";

    /// Why Podman cannot be used here: what is not installed.
    pub fn missing() -> Option<&'static str> {
        let needed = [("podman", "podman"), ("busybox", "busybox-static"), ("tar", "tar")];
        needed.into_iter().find(|(program, _)| find(program).is_none()).map(|(_, package)| package)
    }

    /// Writes storage.conf.
    pub fn new() -> Self {
        let conf = "[storage]\ndriver = \"vfs\"\ngraphroot = \"/run/podman-graph\"\nrunroot = \"/run/podman-run\"\n";
        fs::write(Self::CONF, conf).expect(Self::CONF);
        Podman
    }

    /// `podman WORDS`, to its end; words are split at spaces.
    #[track_caller]
    pub fn podman(&self, words: &str) -> Answer {
        let mut command = Command::new("podman");
        command.args(["--cgroup-manager=cgroupfs", "--events-backend=none", "--log-level=warn"]);
        let mut words = words.split_whitespace();
        let first = words.next().expect("a word");
        command.arg(first);
        if first == "run" {
            command.arg(format!("--cgroup-parent=/{}", cgroups::own()));
            // Its usual limits are higher than a machine without CAP_SYS_RESOURCE allows; ping needs the capability.
            command.args([
                "--ulimit=nofile=1000:1000",
                "--ulimit=nproc=1000:1000",
                "--log-driver=none",
                "--cap-add=NET_RAW",
            ]);
        }
        command.args(words).env(Self::CONF_VARIABLE, Self::CONF).stdin(Stdio::null());
        command.env_remove("CONTAINER_HOST");
        answer(command)
    }

    /// The same; fails the test unless it succeeds.
    #[track_caller]
    pub fn ok(&self, words: &str) -> String {
        let answer = self.podman(words);
        assert_eq!(answer.code, 0, "podman {words}: {}{}", answer.out, answer.err);
        answer.out
    }

    /// Makes the image `busybox` of the machine's own busybox.
    #[track_caller]
    pub fn import_busybox(&self) {
        let tar = busybox_root().unwrap_or_else(|why| panic!("{why}"));
        self.ok(&format!("import -q {tar} localhost/busybox"));
    }
}

impl Default for Podman {
    fn default() -> Self {
        Self::new()
    }
}
