//! netavark, called as Podman calls it. The caller chooses the address.

use super::{Contender, DIRS, file_for, host_port, write_json};
use crate::error::Error;
use crate::launch::{Call, Launcher, reap_all};
use crate::place::Sandbox;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zubi_lab::{HELPERS, links};

const FOLDER: &str = "/run/netavark";
/// The folder with zubi under netavark's name.
const HELPER_FOLDER: &str = "/run/bench-helpers";

/// The program.
pub(crate) struct Netavark {
    program: PathBuf,
}

impl Netavark {
    pub(crate) fn new(program: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(FOLDER).map_err(Error::system(FOLDER))?;
        Ok(Netavark { program: program.into() })
    }

    /// zubi under netavark's name.
    pub(crate) fn zubi(program: &Path) -> Result<Self, Error> {
        Self::new(&links(&program.to_string_lossy(), HELPER_FOLDER, &HELPERS).join("netavark"))
    }

    fn call(&self, verb: &str, sandbox: &Sandbox) -> Result<Call, Error> {
        let [high, low] = (sandbox.number + 2).to_be_bytes();
        let id = format!("{:064x}", 0xabcd_0000_u64 + u64::from(sandbox.number));
        let request = json!({
            "container_id": id, "container_name": sandbox.name.as_str(),
            "port_mappings": [{
                "host_ip": "", "container_port": 80, "host_port": host_port(sandbox), "range": 1, "protocol": "tcp"
            }],
            "networks": {"bench": {
                "static_ips": [format!("10.88.{high}.{low}")], "aliases": [], "interface_name": "eth0",
            }},
            "network_info": {"bench": {
                "name": "bench", "id": "b".repeat(64), "driver": "bridge", "network_interface": "podman1",
                "created": "2024-01-01T00:00:00Z",
                "subnets": [{"subnet": "10.88.0.0/16", "gateway": "10.88.0.1"}],
                "ipv6_enabled": false, "internal": false, "dns_enabled": false,
                "labels": {}, "options": {}, "ipam_options": {"driver": "host-local"},
            }},
        });
        let input = file_for(sandbox, "input");
        write_json(&input, &request)?;
        let words = format!("--config {FOLDER} {verb} {}", sandbox.path().display());
        Ok(Call { input: Some(input), tag: sandbox.number, ..Call::new(&self.program, &words).env(&DIRS) })
    }
}

impl Contender for Netavark {
    fn attach(&mut self, sandbox: &Sandbox, launcher: &mut Launcher) -> Result<Duration, Error> {
        launcher.run(&self.call("setup", sandbox)?)
    }

    fn detach(&mut self, sandbox: &Sandbox, launcher: &mut Launcher) -> Result<Duration, Error> {
        launcher.run(&self.call("teardown", sandbox)?)
    }

    fn companion(&self) -> Option<Box<dyn Contender + Send>> {
        Some(Box::new(Netavark { program: self.program.clone() }))
    }

    fn settle(&mut self) -> Result<(), Error> {
        reap_all()
    }
}
