//! Settings: where the records are, and how networks are made.

use crate::error::Error;
use crate::fault::Fault;
use serde::Deserialize;
use std::ffi::OsString;
use std::path::PathBuf;
use std::{fs, io};
use zubi_ipam::{AddressPool, AddressPools};
use zubi_model::Invalid;
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
    /// Where the container runtimes keep their state.
    pub runtimes: Runtimes,
    /// The failures that a test asks for.
    pub(crate) fault: Option<Fault>,
}

/// Whether zubi adds rules to other programs' tables where those would drop packets of its networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Coexistence {
    /// It does.
    #[default]
    On,
    /// zubi changes no table but its own.
    Off,
}

/// Whether a host that was no router before its first network forwards packets that concern no bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forwarding {
    /// Its other devices do not reach each other through it. It stops being a router when the last network goes.
    #[default]
    Closed,
    /// It is a router and stays one.
    Open,
}

/// The contents of the settings file.
#[derive(Debug, Default)]
struct Settings {
    pools: Option<AddressPools>,
    coexistence: Coexistence,
    forwarding: Forwarding,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    /// Docker's name and format for the setting.
    #[serde(default)]
    default_address_pools: Vec<PoolWords>,
    /// See [`Coexistence`].
    coexistence: Option<bool>,
    /// See [`Forwarding`].
    #[serde(default)]
    forwarding: Forwarding,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolWords {
    base: ipnet::IpNet,
    size: u8,
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
        let Settings { pools, mut coexistence, forwarding } = match fs::read_to_string(&path) {
            Ok(text) => parse(&path, &text)?,
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
            other_namespace: OtherNamespace::default(),
            runtimes: Runtimes::from_env(|name| lookup(name).map(OsString::from)),
            fault: lookup("ZUBI_FAULT").as_deref().and_then(Fault::read),
        })
    }
}

fn parse(path: &str, text: &str) -> Result<Settings, Error> {
    let refuse = |why: String| Error::Config { path: path.to_owned(), why };
    let file: File = serde_json::from_str(text).map_err(|e| refuse(e.to_string()))?;
    let pools: Result<Vec<AddressPool>, _> =
        file.default_address_pools.iter().map(|p| AddressPool::new(p.base, p.size)).collect();
    let pools = pools.map_err(|e| refuse(e.to_string()))?;
    let coexistence = if file.coexistence == Some(false) { Coexistence::Off } else { Coexistence::On };
    let pools = (!pools.is_empty()).then(|| AddressPools::new(pools));
    Ok(Settings { pools, coexistence, forwarding: file.forwarding })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_in_docker_s_format_are_read() {
        let pools = parse("f", r#"{"default-address-pools":[{"base":"10.200.0.0/16","size":24}]}"#).unwrap();
        assert_eq!(pools.coexistence, Coexistence::On);
        let pools = pools.pools.unwrap();
        assert_eq!(pools.of(zubi_model::Family::V4).next().unwrap().to_string(), "10.200.0.0/16,24");
        assert!(parse("f", "{}").unwrap().pools.is_none());
    }

    #[test]
    fn coexistence_is_on_unless_switched_off() {
        let setting = |text| parse("f", text).unwrap().coexistence;
        assert_eq!(setting("{}"), Coexistence::On);
        assert_eq!(setting(r#"{"coexistence":true}"#), Coexistence::On);
        assert_eq!(setting(r#"{"coexistence":false}"#), Coexistence::Off);
        let read = |word: &str| {
            let word = word.to_owned();
            Config::read(&move |name| (name == "ZUBI_COEXISTENCE").then(|| word.clone()), None, None)
        };
        assert_eq!(read("off").unwrap().coexistence, Coexistence::Off);
        assert!(read("of").unwrap_err().to_string().contains("neither on nor off"));
    }

    #[test]
    fn a_host_forwards_no_other_packets_unless_the_settings_say_open() {
        let setting = |text| parse("f", text).map(|settings| settings.forwarding);
        assert_eq!(setting("{}").unwrap(), Forwarding::Closed);
        assert_eq!(setting(r#"{"forwarding":"closed"}"#).unwrap(), Forwarding::Closed);
        assert_eq!(setting(r#"{"forwarding":"open"}"#).unwrap(), Forwarding::Open);
        assert!(setting(r#"{"forwarding":"on"}"#).unwrap_err().to_string().contains("expected `closed` or `open`"));
    }

    #[test]
    fn a_typo_names_the_file() {
        let error = parse("/etc/zubi/config.json", r#"{"default-adress-pools":[]}"#).unwrap_err().to_string();
        assert!(error.starts_with("settings file /etc/zubi/config.json: unknown field"), "{error}");
    }
}
