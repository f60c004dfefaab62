//! The options of a network; all values are text. As in netavark's `setup`, unknown options are ignored. Known ones
//! that zubi cannot serve are refused.

use crate::Error;
use crate::request::NetworkInfo;
use std::collections::BTreeMap;
use std::str::FromStr;
use zubi_model::{Broadcasts, CardMode, DefaultRoute, ForeignBridge, Ingress, Invalid, Mtu, NetworkName};

/// The options of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) mtu: Option<Mtu>,
    /// The metric of the default routes.
    pub(crate) metric: u32,
    pub(crate) default_route: DefaultRoute,
    pub(crate) driver: DriverOptions,
}

/// The driver of a network, with the options that only its networks have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DriverOptions {
    Bridge { foreign: ForeignBridge, ingress: Ingress },
    Macvlan { mode: CardMode, broadcasts: Broadcasts },
}

impl Options {
    /// netavark's default since 1.4.
    const METRIC: u32 = 100;

    /// Reads the options; `default_ingress` holds without `isolate`.
    pub(crate) fn read(info: &NetworkInfo, default_ingress: Ingress) -> Result<Self, Error> {
        let all = Words::of(info);
        let driver = match info.driver.as_str() {
            "bridge" => DriverOptions::Bridge { foreign: foreign(&all)?, ingress: ingress(&all, default_ingress)? },
            "macvlan" => {
                let mode = CardMode::Macvlan(mode_of(&all)?);
                DriverOptions::Macvlan { mode, broadcasts: broadcasts(&all)? }
            }
            "ipvlan" => {
                let mode = CardMode::Ipvlan(mode_of(&all)?);
                DriverOptions::Macvlan { mode, broadcasts: Broadcasts::default() }
            }
            "" => return Err(Error::missing("driver")),
            plugin => {
                return Err(Invalid::new("driver", plugin, "is not supported by zubi, which calls no plug-ins").into());
            }
        };
        for (name, why) in [
            ("vrf", "VRFs are not supported by zubi yet"),
            ("outbound_addr4", "zubi lets the kernel choose the address that packets leave with"),
            ("outbound_addr6", "zubi lets the kernel choose the address that packets leave with"),
        ] {
            if let Some(value) = all.get(name) {
                return Err(Invalid::new(name, value, why).into());
            }
        }
        if let Some(vlan) = all.get("vlan")
            && vlan != "0"
        {
            return Err(Invalid::new("vlan", vlan, "VLANs on a bridge are not supported by zubi yet").into());
        }
        Ok(Options {
            mtu: mtu(&all)?,
            metric: match all.get("metric") {
                None => Self::METRIC,
                Some(text) => text.parse().map_err(|_| Invalid::new("metric", text, "is not a number of 32 bits"))?,
            },
            default_route: match all.get("no_default_route") {
                None => DefaultRoute::Eligible,
                Some(text) => match boolean(text) {
                    Some(true) => DefaultRoute::Never,
                    Some(false) => DefaultRoute::Eligible,
                    None => return Err(Invalid::new("no_default_route", text, "is neither true nor false").into()),
                },
            },
            driver,
        })
    }
}

fn ingress(all: &Words<'_>, default: Ingress) -> Result<Ingress, Invalid> {
    match all.get("isolate") {
        None => Ok(default),
        Some("strict") => Ok(Ingress::Sealed),
        Some(text) => match boolean(text) {
            Some(true) => Ok(Ingress::Apart),
            Some(false) => Ok(Ingress::Open),
            None => Err(Invalid::new("isolate", text, "is none of true, false and strict")),
        },
    }
}

fn foreign(all: &Words<'_>) -> Result<ForeignBridge, Invalid> {
    match all.get("mode") {
        None | Some("managed") => Ok(ForeignBridge::Adopted),
        Some("unmanaged") => Ok(ForeignBridge::Required),
        Some(text) => Err(Invalid::new("mode", text, "is neither managed nor unmanaged")),
    }
}

fn mode_of<T: FromStr<Err = Invalid> + Default>(all: &Words<'_>) -> Result<T, Invalid> {
    all.get("mode").map_or_else(|| Ok(T::default()), str::parse)
}

fn broadcasts(all: &Words<'_>) -> Result<Broadcasts, Invalid> {
    let read = |text: &str| text.parse().map_err(|_| Invalid::new("bclim", text, "is not a number of 32 bits"));
    Ok(Broadcasts { cutoff: all.get("bclim").map(read).transpose()?, ..Broadcasts::default() })
}

/// The zubi network that a Podman network stands for, named by an option or a label: Podman refuses unknown options but
/// no label.
pub(crate) fn zubi_network(info: &NetworkInfo) -> Result<Option<NetworkName>, Error> {
    const WORD: &str = "zubi.network";
    let by_label = || info.labels.as_ref().and_then(|labels| labels.0.get(WORD)).map(String::as_str);
    let Some(text) = Words::of(info).get(WORD).or_else(by_label).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let name: NetworkName = text.parse().map_err(|e| Error::from(e).within(WORD))?;
    if name.source().is_some() {
        return Err(Invalid::new(WORD, name, "is described by another program, which decides who is on it").into());
    }
    Ok(Some(name))
}

struct Words<'a>(Option<&'a BTreeMap<String, String>>);

impl<'a> Words<'a> {
    fn of(info: &'a NetworkInfo) -> Self {
        Words(info.options.as_ref().map(|options| &options.0))
    }

    /// A value; an empty one counts as absent.
    fn get(&self, name: &str) -> Option<&'a str> {
        self.0?.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

fn mtu(all: &Words<'_>) -> Result<Option<Mtu>, Error> {
    match all.get("mtu").or_else(|| all.get("com.docker.network.driver.mtu")) {
        None | Some("0") => Ok(None),
        Some(text) => Ok(Some(text.parse()?)),
    }
}

/// A boolean as Go's `strconv.ParseBool` reads it: Podman uses that.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Some(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}
