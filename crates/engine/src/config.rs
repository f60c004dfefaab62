//! Settings: where the records are, and how networks are made.

use crate::error::Error;
use crate::fault::Fault;
use crate::settings::{self, Coexistence, DefaultNetwork, Forwarding, NameSettings, Settings};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::{fs, io};
use zubi_ipam::AddressPools;
use zubi_model::{Invalid, Progress};
use zubi_runtimes::Runtimes;
use zubi_store::{Dirs, OtherNamespace};

/// The default settings file.
const FILE: &str = "/etc/zubi/config.json";

/// The settings that an engine is opened with.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folders of networks and records.
    pub dirs: Dirs,
    /// Automatic subnets; the standard ones when absent.
    pub pools: Option<AddressPools>,
    /// Whether zubi adds rules to other programs' tables.
    pub coexistence: Coexistence,
    /// What to do with the records of another host namespace.
    pub other_namespace: OtherNamespace,
    /// Whether a host that zubi made a router forwards other packets too.
    pub forwarding: Forwarding,
    /// What the network `default` is like.
    pub default_network: DefaultNetwork,
    /// What the settings say about names.
    pub names: NameSettings,
    /// `metrics-addr`: where Prometheus reads beside the socket.
    pub metrics: Option<SocketAddr>,
    /// `docker-socket`: where Docker finds the daemon; an empty path for nowhere.
    pub docker_plugin: Option<PathBuf>,
    /// Where the container runtimes keep their state.
    pub runtimes: Runtimes,
    /// Who is told what a command is doing.
    pub(crate) progress: Progress,
    /// The failures that a test asks for.
    pub(crate) fault: Option<Fault>,
}

impl Config {
    /// Reads the environment (`ZUBI_STATE_DIR`, `ZUBI_RUN_DIR`, `ZUBI_CONFIG`, `ZUBI_COEXISTENCE`) and the settings
    /// file. `lookup` reads an environment variable; `state_dir` and `run_dir` have precedence over it.
    pub fn read(
        lookup: &dyn Fn(&str) -> Option<String>,
        state_dir: Option<PathBuf>,
        run_dir: Option<PathBuf>,
    ) -> Result<Self, Error> {
        let dir = |given: Option<PathBuf>, name: &str, standard: &str| {
            given
                .or_else(|| lookup(name).filter(|v| !v.is_empty()).map(PathBuf::from))
                .unwrap_or_else(|| standard.into())
        };
        let dirs = Dirs {
            state: dir(state_dir, "ZUBI_STATE_DIR", "/var/lib/zubi"),
            run: dir(run_dir, "ZUBI_RUN_DIR", "/run/zubi"),
        };
        let named = lookup("ZUBI_CONFIG").filter(|v| !v.is_empty());
        let path = named.clone().unwrap_or_else(|| FILE.to_owned());
        let Settings { pools, mut coexistence, forwarding, default_network, names, metrics, docker_plugin } =
            match fs::read_to_string(&path) {
                Ok(text) => settings::parse(&path, &text)?,
                Err(e) if e.kind() == io::ErrorKind::NotFound && named.is_none() => Settings::default(),
                Err(e) => return Err(Error::Config { path, why: e.to_string() }),
            };
        match lookup("ZUBI_COEXISTENCE").as_deref() {
            None | Some("") => {}
            Some("on") => coexistence = Coexistence::On,
            Some("off") => coexistence = Coexistence::Off,
            Some(other) => {
                return Err(Invalid::new("ZUBI_COEXISTENCE", other, "is neither on nor off").into());
            }
        }
        Ok(Config {
            dirs,
            pools,
            coexistence,
            forwarding,
            default_network,
            names,
            metrics,
            docker_plugin,
            other_namespace: OtherNamespace::default(),
            runtimes: Runtimes::from_env(|name| lookup(name).map(OsString::from)),
            progress: Progress::default(),
            fault: lookup("ZUBI_FAULT").as_deref().and_then(Fault::read),
        })
    }

    /// Sets who is told what a command is doing.
    #[must_use]
    pub fn watched(mut self, progress: Progress) -> Self {
        self.runtimes.progress = progress.clone();
        self.progress = progress;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_has_precedence_over_the_file() {
        let read = |word: &str| {
            let word = word.to_owned();
            Config::read(&move |name| (name == "ZUBI_COEXISTENCE").then(|| word.clone()), None, None)
        };
        assert_eq!(read("off").unwrap().coexistence, Coexistence::Off);
        assert!(read("of").unwrap_err().to_string().contains("neither on nor off"));
    }
}
