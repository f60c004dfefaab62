//! CNI plugins, called as a runtime calls them: the list that Podman writes, or zubi alone in one call.

use super::{Contender, DIRS, file_for, host_port, write_json};
use crate::error::Error;
use crate::launch::{Call, Launcher, reap_all};
use crate::place::Sandbox;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zubi_lab::{PLUGINS, links};

/// The plugins in the list that `podman network create` writes.
const CHAIN: [&str; 4] = ["bridge", "portmap", "firewall", "tuning"];
/// The folder with zubi under the names of plugins.
const FOLDER: &str = "/run/bench-plugins";

/// One plugin or a chain.
pub(crate) struct Cni {
    folder: PathBuf,
    plugins: &'static [&'static str],
    /// The chain's results by sandbox: a runtime keeps them for the deletion.
    results: HashMap<u16, Value>,
}

impl Cni {
    /// The chain, with the plugins of this folder.
    pub(crate) fn chain(folder: &Path) -> Result<Self, Error> {
        crate::place::set("net/ipv4/ip_forward", "1")?;
        Ok(Self::with(folder, &CHAIN))
    }

    /// The same chain, with zubi under the plugins' names.
    pub(crate) fn chain_of_zubi(program: &Path) -> Self {
        Self::with(&links(&program.to_string_lossy(), FOLDER, &PLUGINS), &CHAIN)
    }

    /// One zubi plugin for everything.
    pub(crate) fn zubi(program: &Path) -> Self {
        Self::with(&links(&program.to_string_lossy(), FOLDER, &PLUGINS), &["zubi"])
    }

    fn with(folder: &Path, plugins: &'static [&'static str]) -> Self {
        Cni { folder: folder.into(), plugins, results: HashMap::new() }
    }

    fn call(&self, plugin: &str, verb: &str, sandbox: &Sandbox) -> Call {
        let path = self.folder.to_string_lossy().into_owned();
        let netns = sandbox.path().to_string_lossy().into_owned();
        let call = Call::new(&self.folder.join(plugin), "").env(&DIRS).env(&[
            ("CNI_COMMAND", verb),
            ("CNI_CONTAINERID", sandbox.name.as_str()),
            ("CNI_NETNS", &netns),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", &path),
        ]);
        let (input, output) = (Some(file_for(sandbox, "input")), Some(file_for(sandbox, "output")));
        Call { input, output, tag: sandbox.number, ..call }
    }

    fn plugin(
        &self,
        plugin: &str,
        verb: &str,
        sandbox: &Sandbox,
        before: Option<&Value>,
        launcher: &mut Launcher,
    ) -> Result<Duration, Error> {
        let mut config = config(plugin, sandbox);
        if let Some(before) = before {
            config["prevResult"] = before.clone();
        }
        write_json(&file_for(sandbox, "input"), &config)?;
        launcher.run(&self.call(plugin, verb, sandbox))
    }
}

fn config(plugin: &str, sandbox: &Sandbox) -> Value {
    let common = json!({"cniVersion": "1.0.0", "name": "bench", "type": plugin});
    let ipam = json!({
        "type": "host-local", "dataDir": "/run/cni-leases",
        "ranges": [[{"subnet": "10.77.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}],
    });
    let ports = json!({"portMappings": [{"hostPort": host_port(sandbox), "containerPort": 80, "protocol": "tcp"}]});
    let own = match plugin {
        "bridge" => json!({"bridge": "cni0", "isGateway": true, "ipMasq": true, "ipam": ipam}),
        "portmap" => json!({"snat": true, "runtimeConfig": ports}),
        // Gateway and masquerading are its defaults.
        "zubi" => json!({"ipam": ipam, "snat": true, "runtimeConfig": ports}),
        _ => json!({}),
    };
    let mut all = common;
    if let (Value::Object(all), Value::Object(own)) = (&mut all, own) {
        all.extend(own);
    }
    all
}

/// Only the programs are timed, not the work of a runtime between two plugins.
impl Contender for Cni {
    fn attach(&mut self, sandbox: &Sandbox, launcher: &mut Launcher) -> Result<Duration, Error> {
        let mut took = Duration::ZERO;
        let mut result: Option<Value> = None;
        for plugin in self.plugins {
            took += self.plugin(plugin, "ADD", sandbox, result.as_ref(), launcher)?;
            let text = std::fs::read_to_string(file_for(sandbox, "output")).map_err(Error::system(*plugin))?;
            result = Some(serde_json::from_str(&text).map_err(Error::json(plugin))?);
        }
        self.results.extend(result.map(|result| (sandbox.number, result)));
        Ok(took)
    }

    fn detach(&mut self, sandbox: &Sandbox, launcher: &mut Launcher) -> Result<Duration, Error> {
        let result = self.results.remove(&sandbox.number);
        let mut took = Duration::ZERO;
        for plugin in self.plugins.iter().rev() {
            took += self.plugin(plugin, "DEL", sandbox, result.as_ref(), launcher)?;
        }
        Ok(took)
    }

    fn companion(&self) -> Option<Box<dyn Contender + Send>> {
        Some(Box::new(Self::with(&self.folder, self.plugins)))
    }

    fn settle(&mut self) -> Result<(), Error> {
        reap_all()
    }
}
