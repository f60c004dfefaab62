//! Containers of LXC on a host of its own ([`HostKind::Root`](crate::HostKind::Root)).

use crate::cgroups;
use crate::docker::{ROOT, busybox_root, find};
use crate::host::{Answer, answer};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// The folder of its containers.
const FOLDER: &str = "/run/lxc-containers";

/// LXC; it has no daemon. Its containers end with the host.
#[derive(Debug)]
pub struct Lxc;

impl Lxc {
    /// Why LXC cannot be used here: what is not installed.
    pub fn missing() -> Option<&'static str> {
        let needed = [("lxc-start", "lxc"), ("busybox", "busybox-static")];
        needed.into_iter().find(|(program, _)| find(program).is_none()).map(|(_, package)| package)
    }

    /// Starts a container that sleeps, without a network.
    #[track_caller]
    pub fn start(name: &str) {
        busybox_root().unwrap_or_else(|why| panic!("{why}"));
        for folder in ["dev", "proc", "sys"] {
            fs::create_dir_all(Path::new(ROOT).join(folder)).expect("folder");
        }
        let config = format!(
            "lxc.rootfs.path = dir:{ROOT}\nlxc.uts.name = {name}\nlxc.net.0.type = empty\n\
             lxc.init.cmd = /bin/sleep 1000\nlxc.apparmor.profile = unconfined\nlxc.cgroup.dir = {}/{name}\n",
            cgroups::own()
        );
        let own = Path::new(FOLDER).join(name);
        fs::create_dir_all(&own).expect("folder");
        fs::write(own.join("config"), config).expect("config");
        let log = own.join("log");
        let started = Lxc::run(&format!("lxc-start -n {name} -d -o {}", log.display()));
        assert_eq!(started.code, 0, "{}{}", started.err, fs::read_to_string(log).unwrap_or_default());
    }

    /// Ends a container.
    #[track_caller]
    pub fn stop(name: &str) {
        Lxc::run(&format!("lxc-stop -n {name} -k")).ok();
    }

    /// Runs a command in a container.
    #[track_caller]
    pub fn exec(name: &str, words: &str) -> Answer {
        Lxc::run(&format!("lxc-attach -n {name} -- {words}"))
    }

    /// Runs one of LXC's programs; words are split at spaces.
    #[track_caller]
    fn run(words: &str) -> Answer {
        let mut words = words.split_whitespace();
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(["-P", FOLDER]).args(words).stdin(Stdio::null());
        answer(command)
    }
}
