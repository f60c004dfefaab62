//! A chain of CNI plugins, called as a runtime calls them: bridge with host-local, portmap, firewall.

use super::{Contender, file_for, host_port, write_json};
use crate::error::Error;
use crate::launch::{Call, Launcher};
use crate::place::Sandbox;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const PLUGINS: [&str; 3] = ["bridge", "portmap", "firewall"];

/// The chain.
pub(crate) struct Cni {
    folder: PathBuf,
    /// What the chain answered, by sandbox: a runtime keeps it for the deletion.
    results: HashMap<u16, Value>,
}

impl Cni {
    pub(crate) fn new(folder: &Path) -> Result<Self, Error> {
        crate::place::set("net/ipv4/ip_forward", "1")?;
        Ok(Cni { folder: folder.into(), results: HashMap::new() })
    }

    fn call(&self, plugin: &str, verb: &str, sandbox: &Sandbox) -> Call {
        let path = self.folder.to_string_lossy().into_owned();
        let netns = sandbox.path().to_string_lossy().into_owned();
        let call = Call::new(&self.folder.join(plugin), "").env(&[
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
    ) -> Result<(), Error> {
        let mut config = config(plugin, sandbox);
        if let Some(before) = before {
            config["prevResult"] = before.clone();
        }
        write_json(&file_for(sandbox, "input"), &config)?;
        launcher.run(&self.call(plugin, verb, sandbox)).map(drop)
    }
}

fn config(plugin: &str, sandbox: &Sandbox) -> Value {
    let common = json!({"cniVersion": "1.0.0", "name": "bench", "type": plugin});
    let own = match plugin {
        "bridge" => json!({
            "bridge": "cni0", "isGateway": true, "ipMasq": true,
            "ipam": {
                "type": "host-local", "dataDir": "/run/cni-leases",
                "ranges": [[{"subnet": "10.77.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}],
            },
        }),
        "portmap" => json!({
            "snat": true,
            "runtimeConfig": {"portMappings": [
                {"hostPort": host_port(sandbox), "containerPort": 80, "protocol": "tcp"}
            ]},
        }),
        _ => json!({}),
    };
    let mut all = common;
    if let (Value::Object(all), Value::Object(own)) = (&mut all, own) {
        all.extend(own);
    }
    all
}

impl Contender for Cni {
    fn attach(&mut self, sandbox: &Sandbox, launcher: &mut Launcher) -> Result<Duration, Error> {
        let start = Instant::now();
        let mut result: Option<Value> = None;
        for plugin in PLUGINS {
            self.plugin(plugin, "ADD", sandbox, result.as_ref(), launcher)?;
            let text = std::fs::read_to_string(file_for(sandbox, "output")).map_err(Error::system(plugin))?;
            result = Some(serde_json::from_str(&text).map_err(Error::json(plugin))?);
        }
        let took = start.elapsed();
        self.results.extend(result.map(|result| (sandbox.number, result)));
        Ok(took)
    }

    fn detach(&mut self, sandbox: &Sandbox, launcher: &mut Launcher) -> Result<Duration, Error> {
        let result = self.results.remove(&sandbox.number);
        let start = Instant::now();
        for plugin in PLUGINS.iter().rev() {
            self.plugin(plugin, "DEL", sandbox, result.as_ref(), launcher)?;
        }
        Ok(start.elapsed())
    }

    fn companion(&self) -> Option<Box<dyn Contender + Send>> {
        Some(Box::new(Cni { folder: self.folder.clone(), results: HashMap::new() }))
    }
}
