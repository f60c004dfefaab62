//! A host whose containers get their devices by CNI, with zubi under the names of the plug-ins.

use crate::chain::Chain;
use crate::cni::{Attachment, Caller};
use crate::host::Host;
use crate::links::{PLUGINS, links};
use crate::patience::patience;
use crate::snapshot::Snapshot;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long to wait for a plug-in's child process.
const PATIENCE: Duration = Duration::from_secs(60);

/// The host, with its state before the first container.
#[derive(Debug)]
pub struct CniHost {
    /// The host, for zubi's own commands and for shell commands.
    pub host: Host,
    /// Calls the plug-ins. They find no program but other plug-ins.
    pub caller: Caller,
    /// The folder of the plug-ins.
    pub folder: PathBuf,
    before: Snapshot,
}

impl CniHost {
    /// A host with this program as every plug-in, and namespaces with these names, whose loopback devices are up.
    #[track_caller]
    pub fn new(program: &str, containers: &[&str]) -> Self {
        let host = Host::new(program);
        for name in containers {
            host.shell(&format!("ip netns add {name} && ip -n {name} link set lo up")).ok();
        }
        let folder = links(program, "/run/plugins", &PLUGINS);
        let caller = host.variables().fold(Caller::new(&folder), |caller, (key, value)| caller.with_env(key, value));
        let caller = caller.with_path("/run/no-programs");
        CniHost { host, caller, folder, before: Snapshot::take() }
    }

    /// A list of plug-ins for the network `blue`, in the newest version.
    pub fn chain(&self, plugins: &Value) -> Chain {
        self.chain_of("blue", plugins)
    }

    /// Like [`CniHost::chain`], for a network of another name.
    pub fn chain_of(&self, name: &str, plugins: &Value) -> Chain {
        Chain::new(&self.caller, json!({ "cniVersion": "1.1.0", "name": name, "plugins": plugins }))
    }

    /// `eth0` of a container that has the name of its namespace.
    pub fn at(&self, name: &str) -> Attachment {
        Attachment::new(name, name)
    }

    /// Puts an executable shell script among the plug-ins.
    #[track_caller]
    pub fn script(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.folder.join(name);
        std::fs::write(&path, format!("#!/bin/sh\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n{text}\n")).expect("script");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("script");
    }

    /// Takes the present state as the initial one: for changes that a test leaves on purpose.
    pub fn begin_here(&mut self) {
        self.before = Snapshot::take();
    }

    /// Fails the test unless everything is soon as before: a plug-in leaves slow work to a child.
    #[track_caller]
    pub fn assert_nothing_remains(&self) {
        let since = Instant::now();
        while let Some(difference) = self.before.difference(&Snapshot::take()) {
            assert!(since.elapsed() < patience(PATIENCE), "{difference}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
