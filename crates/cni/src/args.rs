//! `CNI_ARGS`, and `args.cni` of the configuration.
//!
//! `CNI_ARGS` is deprecated and in wide use: Podman and nerdctl request addresses and MACs with it, and runtimes add
//! keys for other plug-ins. So unknown keys and malformed pairs are no errors.

use crate::environment::Environment;
use crate::error::CniError;
use crate::fields::Fields;
use ipnet::IpNet;
use std::net::IpAddr;
use zubi_model::Mac;

/// The keys of `CNI_ARGS` that zubi reads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Args {
    /// `IP`: addresses, some with a prefix length.
    pub ips: Vec<AddressWish>,
    /// `GATEWAY`.
    pub gateways: Vec<IpAddr>,
    /// `MAC`.
    pub mac: Option<Mac>,
    /// `K8S_POD_NAME`, behind `K8S_POD_NAMESPACE` and a slash if there is one. Podman puts the container's name there.
    pub pod: Option<String>,
    /// All pairs, for plug-ins that look up a key of the configuration's choice.
    pairs: Vec<(String, String)>,
}

impl Args {
    /// The value of any key.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(own, _)| own == key).map(|(_, value)| value.as_str())
    }
}

/// A requested address, with or without a prefix length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AddressWish {
    /// The address.
    pub address: IpAddr,
    /// The address with its prefix length, if given.
    pub net: Option<IpNet>,
}

impl AddressWish {
    /// Reads `10.0.0.2` or `10.0.0.2/24`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(net) = text.parse::<IpNet>() {
            return Some(AddressWish { address: net.addr(), net: Some(net) });
        }
        text.parse().ok().map(|address| AddressWish { address, net: None })
    }
}

/// Reads `CNI_ARGS`; an empty value counts as absent.
pub(crate) fn read(env: &Environment) -> Result<Args, CniError> {
    const VARIABLE: &str = "CNI_ARGS";
    let mut args = Args::default();
    let Some(text) = env.args.as_ref() else { return Ok(args) };
    let text = text.to_str().ok_or_else(|| CniError::environment(VARIABLE, "is not UTF-8"))?;
    for (key, value) in text.split(';').filter_map(|pair| pair.split_once('=')) {
        let wrong = |value: &str| {
            let invalid = zubi_model::Invalid::new("address", value, "is not an IP address");
            CniError::environment(VARIABLE, format!("{key}: {invalid}"))
        };
        let values = || value.split(',').map(str::trim).filter(|v| !v.is_empty());
        match key.trim() {
            "IP" => {
                args.ips = values().map(|v| AddressWish::parse(v).ok_or_else(|| wrong(v))).collect::<Result<_, _>>()?;
            }
            "GATEWAY" => {
                args.gateways = values().map(|v| v.parse().map_err(|_| wrong(v))).collect::<Result<_, _>>()?;
            }
            "MAC" if !value.trim().is_empty() => {
                let mac = value.trim().parse();
                args.mac = Some(mac.map_err(|e| CniError::environment(VARIABLE, format!("{key}: {e}")))?);
            }
            _ => {}
        }
        args.pairs.push((key.trim().to_owned(), value.trim().to_owned()));
    }
    let value = |key| args.value(key).filter(|value| !value.is_empty());
    args.pod = value("K8S_POD_NAME").map(|pod| match value("K8S_POD_NAMESPACE") {
        Some(namespace) => format!("{namespace}/{pod}"),
        None => pod.to_owned(),
    });
    Ok(args)
}

/// `args.cni` of the configuration.
pub(crate) fn of_config<'a>(config: &Fields<'a>) -> Result<Option<Fields<'a>>, CniError> {
    config.object("args")?.map_or(Ok(None), |args| args.object("cni"))
}

/// Reads a list of addresses.
pub(crate) fn addresses(fields: &Fields<'_>, key: &str) -> Result<Vec<AddressWish>, CniError> {
    let read = |text: &str| {
        let wrong = || CniError::config(fields.name(key), text, "is not an IP address");
        AddressWish::parse(text).ok_or_else(wrong)
    };
    fields.texts(key)?.into_iter().map(read).collect()
}
