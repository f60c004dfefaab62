//! `tuning`: settings of the device.

use crate::context::Context;
use crate::error::CniError;
use crate::fields::{Fields, shown};
use crate::intent::{Switch, Tune};
use serde_json::Value;
use std::collections::BTreeMap;

/// Reads the plug-in's share. `args.cni` wins over the configuration, key by key.
pub(crate) fn read(config: &Fields<'_>, context: &Context<'_>) -> Result<Tune, CniError> {
    let mut tune = settings(config, context)?;
    let places = [context.runtime.cni_args(), Some(config)];
    for fields in places.into_iter().flatten() {
        tune.mtu = tune.mtu.map_or_else(|| fields.mtu("mtu"), |mtu| Ok(Some(mtu)))?;
    }
    tune.mac = match context.runtime.mac()? {
        Some(mac) => Some(mac),
        None => config.parsed("mac")?,
    };
    tune.data_dir = config.path("dataDir")?;
    Ok(tune)
}

/// Reads the settings that only `tuning` has: a plug-in that makes the device reads `mac` and `mtu` itself.
pub(crate) fn settings(config: &Fields<'_>, context: &Context<'_>) -> Result<Tune, CniError> {
    let mut tune = Tune::default();
    let mut sysctls = BTreeMap::new();
    for fields in [Some(config), context.runtime.cni_args()].into_iter().flatten() {
        if let Some(section) = fields.get("sysctl") {
            let map = section.as_object().ok_or_else(|| fields.wrong("sysctl", section, "is not an object"))?;
            for (key, value) in map {
                let place = format!("{}.{key}", fields.name("sysctl"));
                sysctls.insert(sysctl_path(&place, key, context)?, sysctl_value(&place, value)?);
            }
        }
        // The reference never switches promiscuous mode off.
        tune.promisc = fields.choice("promisc")?.filter(|on| *on).map(Switch::from).or(tune.promisc);
        tune.allmulti = fields.choice("allmulti")?.map(Switch::from).or(tune.allmulti);
        tune.tx_queue_len = fields.number("txQLen")?.or(tune.tx_queue_len);
    }
    tune.sysctls = sysctls.into_iter().collect();
    Ok(tune)
}

/// Reads `net.ipv4.conf.IFNAME.forwarding`, or the same with slashes, like sysctl(8): if the first separator is a dot,
/// a slash stands for a dot inside a name.
fn sysctl_path(place: &str, key: &str, context: &Context<'_>) -> Result<String, CniError> {
    let refuse = |why: &str| Err(CniError::config(place, key, why));
    let swapped: String = match key.find(['.', '/']).map(|at| key.as_bytes().get(at)) {
        Some(Some(b'.')) => {
            let swap = |c| match c {
                '.' => '/',
                '/' => '.',
                other => other,
            };
            key.chars().map(swap).collect()
        }
        _ => key.to_owned(),
    };
    let Some(below) = swapped.strip_prefix("net/") else { return refuse("is not below net") };
    let ifname = context.ifname.as_ref().map_or("IFNAME", |name| name.as_str());
    let parts: Vec<&str> = below.split('/').map(|part| if part == "IFNAME" { ifname } else { part }).collect();
    let odd = |part: &&str| part.is_empty() || *part == "." || *part == ".." || part.chars().any(char::is_control);
    if parts.iter().any(odd) {
        return refuse("is not the name of a setting");
    }
    Ok(parts.join("/"))
}

fn sysctl_value(place: &str, value: &Value) -> Result<String, CniError> {
    let refuse = |why: &str| Err(CniError::config(place, shown(value), why));
    match value {
        Value::String(text) if text.chars().any(|c| c.is_control() && c != '\t') => refuse("has control characters"),
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => refuse("is neither a string nor a number"),
    }
}
