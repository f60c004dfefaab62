//! Settings under /proc/sys.

use std::fmt;
use zubi_model::IfName;

/// A setting and the value it is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sysctl {
    /// Below /proc/sys, with slashes: device names may contain dots.
    pub key: String,
    /// As written to the file.
    pub value: String,
}

impl Sysctl {
    /// Any setting.
    pub fn new(key: impl Into<String>, value: impl Into<String>) -> Self {
        Sysctl { key: key.into(), value: value.into() }
    }

    /// `net.ipv6.conf.DEVICE.NAME`.
    pub fn ipv6_device(device: &IfName, name: &str, value: u8) -> Self {
        Sysctl::new(format!("net/ipv6/conf/{device}/{name}"), value.to_string())
    }

    /// Family, device and name of a setting of one device, `net/FAMILY/conf/DEVICE/NAME`.
    pub fn of_device(&self) -> Option<(&str, &str, &str)> {
        let (family, rest) = self.key.strip_prefix("net/")?.split_once("/conf/")?;
        let (device, name) = rest.rsplit_once('/')?;
        (!matches!(device, "all" | "default")).then_some((family, device, name))
    }

    /// Whether a kernel without this file needs no setting: where IPv6 is absent there is nothing to switch off.
    pub fn optional(&self) -> bool {
        self.key.starts_with("net/ipv6/conf/") && !self.key.starts_with("net/ipv6/conf/all/")
    }
}

impl fmt::Display for Sysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // sysctl(8) reads either form; dots only where no part has one.
        let key = if self.key.contains('.') { self.key.clone() } else { self.key.replace('/', ".") };
        write!(f, "sysctl -qw {key}={}", self.value)
    }
}
