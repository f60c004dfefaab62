//! `tuning`: settings of the device in the container, and of its namespace.

use super::attachment::{cni_error, difference_found, find, in_namespace, sandbox};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use zubi_cni::{CniError, CniResult, Code, Switch, Task, Tune};
use zubi_engine::{DeviceSettings, Error, Session, Switch as DeviceSwitch};
use zubi_model::{Endpoint, IfName, Mac, Mtu};

/// Regular expressions, one per line. If the file exists, settings that match none of them are refused.
const ALLOWED: &str = "/etc/cni/tuning/allowlist.conf";
/// The folder for the earlier settings of devices that other plug-ins made.
const BEFORE: &str = "/run/cni/tuning";

pub(super) fn apply(session: &mut Session, task: &Task, tune: &Tune) -> Result<CniResult, CniError> {
    let mut previous = task.chained()?.clone();
    let endpoint = find(session, task)?;
    check_allowed(tune, &task.ifname)?;
    let remembered = if endpoint.is_none() { remember(session, task, tune)? } else { None };
    if let Err(error) = inside(session, task, tune, endpoint.as_ref()) {
        if let Some(path) = remembered {
            fs::remove_file(path).ok();
        }
        return Err(error);
    }
    if let Some(interface) = previous.inner_mut(task.ifname.as_str(), task.netns.as_deref()) {
        if let Some(mac) = tune.mac {
            interface.mac = Some(mac.to_string());
        }
        if let Some(mtu) = tune.mtu {
            interface.mtu = Some(mtu.bytes());
        }
    }
    Ok(previous)
}

/// Changes the settings, which have been checked against the list.
pub(super) fn inside(
    session: &mut Session,
    task: &Task,
    tune: &Tune,
    endpoint: Option<&Endpoint>,
) -> Result<(), CniError> {
    let mut tune = tune.clone();
    if let Some(endpoint) = endpoint
        && let Some(mac) = tune.mac.take()
    {
        session.change_mac_called(&endpoint.network, &endpoint.sandbox.spelled, mac).map_err(cni_error)?;
    }
    let changed =
        session.change_device(&sandbox(task)?, &task.ifname, &settings(&tune), "as the configuration wants it");
    changed.map_err(|e| in_namespace(task, e))
}

fn settings(tune: &Tune) -> DeviceSettings {
    let switch = |s: Switch| if s == Switch::On { DeviceSwitch::On } else { DeviceSwitch::Off };
    DeviceSettings {
        mac: tune.mac,
        mtu: tune.mtu,
        promisc: tune.promisc.map(switch),
        allmulticast: tune.allmulti.map(switch),
        tx_queue: tune.tx_queue_len,
        sysctls: tune.sysctls.clone(),
    }
}

/// Checks the settings against the administrator's list.
pub(super) fn check_allowed(tune: &Tune, ifname: &IfName) -> Result<(), CniError> {
    if tune.sysctls.is_empty() {
        return Ok(());
    }
    let text = match fs::read_to_string(ALLOWED) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        // A list that exists and cannot be read allows nothing.
        Err(e) => return Err(CniError::new(Code::Io, format!("cannot read {ALLOWED}: {e}"))),
    };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut allowed = Vec::new();
    for line in lines {
        let read = regex_lite::Regex::new(line);
        allowed.push(read.map_err(|e| CniError::new(Code::Config, format!("{ALLOWED}: `{line}`: {e}")))?);
    }
    for (key, _) in &tune.sysctls {
        let dotted = format!("net.{}", key.replace('/', "."));
        // The list has the key as it is in the configuration.
        let words = key.split('/').map(|word| if word == ifname.as_str() { "IFNAME" } else { word });
        let configured = format!("net.{}", words.collect::<Vec<_>>().join("."));
        if !allowed.iter().any(|regex| regex.is_match(&dotted) || regex.is_match(&configured)) {
            return Err(CniError::new(Code::Config, format!("sysctl {dotted} is not allowed by {ALLOWED}")));
        }
    }
    Ok(())
}

pub(super) fn check(session: &mut Session, task: &Task, tune: &Tune) -> Result<(), CniError> {
    let problems = differences(session, task, tune)?;
    if problems.is_empty() { Ok(()) } else { Err(CniError::new(difference_found(), problems.join("; "))) }
}

/// Describes the settings that differ from the configuration.
pub(super) fn differences(session: &mut Session, task: &Task, tune: &Tune) -> Result<Vec<String>, CniError> {
    let problems = session.compare_device(&sandbox(task)?, &task.ifname, &settings(tune));
    let problems = problems.map_err(|e| in_namespace(task, e))?;
    Ok(problems.into_iter().map(|p| format!("{}: {}", p.object, p.what)).collect())
}

fn path(task: &Task, data_dir: Option<&Path>) -> PathBuf {
    data_dir.unwrap_or(Path::new(BEFORE)).join(format!("{}_{}.json", task.container, task.ifname))
}

/// Stores the settings of a device that another plug-in made. The device may outlive the container (a physical one
/// returns to the host), and then gets its settings back.
fn remember(session: &mut Session, task: &Task, tune: &Tune) -> Result<Option<PathBuf>, CniError> {
    let of_device = Tune { sysctls: Vec::new(), data_dir: None, ..tune.clone() };
    if of_device == Tune::default() {
        return Ok(None);
    }
    let seen = session.device_settings(&sandbox(task)?, &task.ifname).map_err(|e| in_namespace(task, e))?;
    let missing = || CniError::new(Code::Config, format!("container {} has no {}", task.container, task.ifname));
    let seen = seen.ok_or_else(missing)?;
    let is_on = |switch: DeviceSwitch| switch == DeviceSwitch::On;
    let document = json!({
        "mac": tune.mac.and(seen.mac).map(|mac| mac.to_string()),
        "mtu": tune.mtu.and(seen.mtu).map(Mtu::bytes),
        "promisc": tune.promisc.and(seen.promisc).map(is_on),
        "allmulti": tune.allmulti.and(seen.allmulticast).map(is_on),
        "txQLen": tune.tx_queue_len.and(seen.tx_queue),
    });
    let path = path(task, tune.data_dir.as_deref());
    let failed = |e: std::io::Error| CniError::new(Code::Io, format!("{}: {e}", path.display()));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    match fs::OpenOptions::new().write(true).create_new(true).open(&path) {
        Ok(mut file) => file.write_all(document.to_string().as_bytes()).map_err(failed)?,
        // The settings from before the first call are the ones to restore.
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => return Ok(None),
        Err(e) => return Err(failed(e)),
    }
    Ok(Some(path))
}

/// Restores the settings of a device that another plug-in made, if it still exists.
pub(super) fn restore(session: &mut Session, task: &Task, tune: &Tune) -> Result<(), CniError> {
    let path = path(task, tune.data_dir.as_deref());
    let Ok(text) = fs::read_to_string(&path) else { return Ok(()) };
    let before: Value = serde_json::from_str(&text).unwrap_or_default();
    let switch = |key: &str| before.get(key).and_then(Value::as_bool).map(Switch::from);
    let number = |key: &str| before.get(key).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    let old = Tune {
        mac: before.get("mac").and_then(Value::as_str).and_then(|mac| mac.parse::<Mac>().ok()),
        mtu: number("mtu").and_then(|mtu| Mtu::try_from(mtu).ok()),
        promisc: switch("promisc"),
        allmulti: switch("allmulti"),
        tx_queue_len: number("txQLen"),
        ..Tune::default()
    };
    let back = match sandbox(task) {
        Ok(sandbox) => session.change_device(&sandbox, &task.ifname, &settings(&old), "as it was before"),
        Err(_) => Ok(()),
    };
    match back {
        // The namespace is gone, and the device with it, or the device has returned to the host.
        Ok(()) | Err(Error::NotASandbox(_)) => {}
        Err(e) if e.device_missing() => {}
        Err(e) => return Err(cni_error(e)),
    }
    fs::remove_file(&path)
        .or_else(|e| if e.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(e) })
        .map_err(|e| CniError::new(Code::Io, format!("{}: {e}", path.display())))
}
