//! `network create --driver` and `--opt`: Docker's words for what a network is.

use crate::words::{CreateWords, Ipv6Wish};
use std::str::FromStr;
use zubi_engine::Error;
use zubi_model::{CardMode, Invalid};

const BRIDGE_NAME: &str = "com.docker.network.bridge.name";
const ICC: &str = "com.docker.network.bridge.enable_icc";
const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
const MTU: &str = "com.docker.network.driver.mtu";
const PARENT: &str = "is for --driver uplink, macvlan, ipvlan and host-device";

/// Turns `--driver` and `--opt` into zubi's own options.
pub(crate) fn translate(words: &mut CreateWords) -> Result<(), Error> {
    let driver = words.driver.take();
    if let Some(driver) = &driver {
        check_driver(driver)?;
    }
    for named in std::mem::take(&mut words.aux_address) {
        let address = named.rsplit_once('=').map_or(named.as_str(), |(_, address)| address);
        words.exclude.push(address.parse()?);
    }
    for option in std::mem::take(&mut words.opt) {
        let Some((key, value)) = option.split_once('=') else {
            return Err(Invalid::new("--opt", &option, "has no value").try_instead("write KEY=VALUE").into());
        };
        match key {
            BRIDGE_NAME => words.bridge = Some(once(&option, words.bridge.as_ref(), value)?),
            // Podman's word.
            MTU | "com.docker.network.mtu" | "mtu" => words.mtu = Some(once(&option, words.mtu.as_ref(), value)?),
            ICC => words.no_icc |= !switch(&option, value)?,
            MASQUERADE => words.no_masquerade |= !switch(&option, value)?,
            "com.docker.network.container_iface_prefix" => {
                return Err(refused(&option, "name devices at connect, with --ifname"));
            }
            "com.docker.network.bridge.host_binding_ipv4" => {
                return Err(refused(&option, "name the host address at publish, as -p 127.0.0.1:8080:80"));
            }
            "parent" => words.parent = Some(once(&option, words.parent.as_ref(), value)?),
            "macvlan_mode" | "ipvlan_mode" if Some(key) == driver.as_ref().map(|d| format!("{d}_mode")).as_deref() => {
                words.mode = Some(once(&option, words.mode.as_ref(), value)?);
            }
            "macvlan_mode" | "ipvlan_mode" => {
                return Err(refused(&option, &format!("add --driver {}", key.trim_end_matches("_mode"))));
            }
            // Docker's default.
            "ipvlan_flag" if value == "bridge" => {}
            "ipvlan_flag" => return Err(refused(&option, "endpoints of an ipvlan network reach each other")),
            _ => return Err(refused(&option, &format!("there are: {BRIDGE_NAME}, {ICC}, {MASQUERADE}, {MTU}"))),
        }
    }
    check_parent(words, driver.as_deref().unwrap_or("bridge"))?;
    words.driver = driver;
    Ok(())
}

/// What the endpoints are, if they are devices on a network card.
pub(crate) fn card_mode(words: &CreateWords) -> Result<Option<CardMode>, Error> {
    let mode = words.mode.as_deref();
    Ok(match words.driver.as_deref() {
        Some("macvlan") => Some(CardMode::Macvlan(mode.map(str::parse).transpose()?.unwrap_or_default())),
        Some("ipvlan") => Some(CardMode::Ipvlan(mode.map(str::parse).transpose()?.unwrap_or_default())),
        _ => None,
    })
}

fn check_parent(words: &CreateWords, driver: &str) -> Result<(), Error> {
    let no = |option: &str, why: &str| Err(Invalid::new("option", option, why).into());
    let is_on_card = matches!(driver, "macvlan" | "ipvlan");
    let is_whole = driver == "host-device";
    if !is_on_card && words.mode.is_some() {
        return no("--mode", "is for --driver macvlan and --driver ipvlan");
    }
    if !is_on_card && (words.host_shim || words.no_host_shim) {
        let option = if words.host_shim { "--host-shim" } else { "--no-host-shim" };
        return no(option, "is for --driver macvlan");
    }
    if is_on_card {
        if words.bridge.is_some() {
            return no("--bridge", "is for networks with a bridge");
        }
        if words.no_icc {
            let no_icc = Invalid::new("option", "--no-icc", "is for networks with a bridge");
            return Err(no_icc.try_instead("--driver macvlan --mode private").into());
        }
    }
    if is_whole && words.bridge.is_some() {
        return no("--bridge", "is for networks with a bridge");
    }
    if driver == "ovs" {
        return check_ovs(words);
    }
    if words.adopt && words.ipv6 == Some(Ipv6Wish::Chosen) {
        return no("--ipv6", "is for bridges of zubi's own; --ipv6=slaac takes what routers advertise");
    }
    if words.vlan.is_some() && driver != "uplink" {
        return no("--vlan", "is for --driver uplink and --driver ovs; a macvlan takes --parent eth0.10");
    }
    if !words.trunk.is_empty() {
        return no("--trunk", "is for --driver ovs");
    }
    match &words.parent {
        None if driver == "uplink" => Err(Invalid::new("driver", "uplink", "needs a network card")
            .try_instead("add --parent, for example --parent eth0")
            .into()),
        None if is_whole => Err(Invalid::new("driver", "host-device", "needs a device of this host")
            .try_instead("add --parent, for example --parent eth1")
            .into()),
        Some(_) if !is_on_card && !is_whole && driver != "uplink" => no("--parent", PARENT),
        Some(_) if words.adopt => no("--adopt", "is for a bridge that another program made"),
        Some(_) if words.no_icc => no("--no-icc", "is for networks that are not on the LAN"),
        _ if driver != "uplink" && words.confirm_within.is_some() => no("--confirm-within", "is for --driver uplink"),
        _ if driver != "uplink" && !is_whole && words.force => {
            no("--force", "is for --driver uplink and --driver host-device")
        }
        _ if driver != "uplink" && words.take_lease => no("--take-lease", "is for --driver uplink"),
        _ if driver != "uplink" && words.persist.is_some() => no("--persist", "is for --driver uplink"),
        _ => Ok(()),
    }
}

/// What is a matter of a Linux bridge or a network card has no place on an Open vSwitch bridge.
fn check_ovs(words: &CreateWords) -> Result<(), Error> {
    let no = |option: &str, why: &str| Err(Invalid::new("option", option, why).into());
    match &words.bridge {
        None => Err(Invalid::new("driver", "ovs", "needs an Open vSwitch bridge that exists")
            .try_instead("add --bridge, for example --bridge br0")
            .into()),
        _ if words.parent.is_some() => no("--parent", PARENT),
        _ if words.adopt => no("--adopt", "is for Linux bridges: one of Open vSwitch stays anyway"),
        _ if words.no_icc => no("--no-icc", "is for Linux bridges: different VLANs keep endpoints apart"),
        _ if words.confirm_within.is_some() => no("--confirm-within", "is for --driver uplink"),
        _ if words.force => no("--force", "is for --driver uplink"),
        _ if words.persist.is_some() => no("--persist", "is for --driver uplink"),
        _ => Ok(()),
    }
}

fn check_driver(driver: &str) -> Result<(), Error> {
    let why = match driver {
        "bridge" | "uplink" | "macvlan" | "ipvlan" | "ovs" | "host-device" => return Ok(()),
        "overlay" => "not yet; a network of zubi's is on one host",
        "host" | "none" | "null" => "is no network to make; zubi run takes --network host and --network none",
        _ => "is unknown; there are: bridge, uplink, macvlan, ipvlan, host-device, ovs",
    };
    Err(Invalid::new("driver", driver, why).into())
}

fn refused(option: &str, next: &str) -> Error {
    Invalid::new("--opt", option, "is no option of zubi's").try_instead(next).into()
}

/// The value, unless another one was given before.
fn once<T: FromStr + PartialEq>(option: &str, before: Option<&T>, value: &str) -> Result<T, Error>
where
    T::Err: std::fmt::Display,
{
    let value: T = value.parse().map_err(|e: T::Err| Invalid::new("--opt", option, e.to_string()))?;
    match before {
        Some(before) if *before != value => Err(Invalid::new("--opt", option, "contradicts another option").into()),
        _ => Ok(value),
    }
}

/// Docker reads these words with Go's `strconv.ParseBool`.
fn switch(option: &str, value: &str) -> Result<bool, Error> {
    match value {
        "true" | "1" | "t" | "T" | "TRUE" | "True" => Ok(true),
        "false" | "0" | "f" | "F" | "FALSE" | "False" => Ok(false),
        _ => Err(Invalid::new("--opt", option, "is neither true nor false").into()),
    }
}
