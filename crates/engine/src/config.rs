//! Settings: where state lives, and which subnets networks get by themselves.

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

/// Where settings are read from unless told otherwise.
const FILE: &str = "/etc/zubi/config.json";

/// Everything an engine needs to know before it is opened.
#[derive(Debug, Clone)]
pub struct Config {
    /// Networks and records.
    pub dirs: Dirs,
    /// Automatic subnets; the standard ones when absent.
    pub pools: Option<AddressPools>,
    /// Whether rules go into other programs' tables.
    pub coexistence: Coexistence,
    /// What becomes of records of another host namespace.
    pub other_namespace: OtherNamespace,
    /// What of strangers a host passes on that zubi made a router.
    pub forwarding: Forwarding,
    /// Where the container runtimes keep what they know.
    pub runtimes: Runtimes,
    /// Failures that a test asks for.
    pub(crate) fault: Option<Fault>,
}

/// Whether rules of ours go into other programs' tables where those would drop what our networks send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Coexistence {
    /// They do.
    #[default]
    On,
    /// No table but ours is touched.
    Off,
}

/// Whether a host that was no router before its first network passes on what concerns no bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forwarding {
    /// Its other devices do not reach each other through it, and it is none again behind the last network.
    #[default]
    Closed,
    /// It is meant to be a router, and stays one.
    Open,
}

/// What the settings file says.
#[derive(Debug, Default)]
struct Settings {
    pools: Option<AddressPools>,
    coexistence: Coexistence,
    forwarding: Forwarding,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    /// Docker's word and form for it.
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
    /// From the environment (`ZUBI_STATE_DIR`, `ZUBI_RUN_DIR`, `ZUBI_CONFIG`, `ZUBI_COEXISTENCE`) and the settings file; `lookup` is the
    /// environment, `state_dir` and `run_dir` win over it.
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
    fn docker_s_form_of_pools_is_read() {
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
    fn a_host_is_closed_to_strangers_unless_it_is_meant_to_be_a_router() {
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
