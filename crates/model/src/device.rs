//! Names and numbers of network devices.

use crate::Invalid;
use crate::text::written_as_text;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The name of a network device: 1 to 15 bytes (`IFNAMSIZ` in linux/if.h counts the final NUL).
///
/// Narrower than the kernel, which takes any byte but `/`, `:` and white space: a name that zubi gives or
/// accepts must also be safe in a shell, in nft syntax and as a sysctl path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfName(String);

impl IfName {
    /// The loopback device.
    pub fn loopback() -> Self {
        IfName("lo".into())
    }

    /// `prefix` followed by `number`: `eth0`.
    pub fn numbered(prefix: &str, number: usize) -> Result<Self, Invalid> {
        format!("{prefix}{number}").parse()
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IfName {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refuse = |why: String| Err(Invalid::new("device name", text, why));
        if text.is_empty() {
            return refuse("is empty".into());
        }
        if text.len() > 15 {
            return refuse(format!("has {} bytes, the kernel takes at most 15", text.len()));
        }
        if let Some(c) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || "_.-".contains(*c))) {
            return refuse(format!("has {c:?}; allowed are letters, digits, `_`, `.` and `-`"));
        }
        if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return refuse("does not start with a letter or digit".into());
        }
        // Under net.ipv6.conf these two are not devices.
        if text == "all" || text == "default" {
            return refuse("is a word of the sysctl tree".into());
        }
        Ok(IfName(text.to_owned()))
    }
}

written_as_text!(IfName);

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The kernel's number of a device, valid in one network namespace only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IfIndex(pub u32);

impl fmt::Display for IfIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "if{}", self.0)
    }
}

/// A link group (`IFLA_GROUP`): a number that marks devices which belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LinkGroup(pub u32);

impl LinkGroup {
    /// The kernel's default.
    pub const DEFAULT: LinkGroup = LinkGroup(0);
    /// Every device zubi makes on the host: the letters "zubi".
    pub const OURS: LinkGroup = LinkGroup(0x7a75_6269);
    /// Doomed host ends: they only wait for their deletion.
    pub const DOOMED: LinkGroup = LinkGroup(0x7a75_6264);

    /// Whether it is one of zubi's marks.
    pub fn is_ours(self) -> bool {
        self == LinkGroup::OURS || self == LinkGroup::DOOMED
    }
}

impl fmt::Display for LinkGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The largest packet a link takes, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Mtu(u32);

impl Mtu {
    /// In bytes.
    pub fn bytes(self) -> u32 {
        self.0
    }

    /// The kernel's default for bridges and pairs (`ETH_DATA_LEN` in linux/if_ether.h).
    pub const STANDARD: Mtu = Mtu(1500);

    /// Refuses an MTU that is too small for IPv6 (RFC 8200, 5): the kernel switches IPv6 off on such a device.
    pub fn carries_ipv6(self) -> Result<(), Invalid> {
        if self.0 >= IPV6_LEAST {
            return Ok(());
        }
        Err(Invalid::new("MTU", self, format!("is too small for IPv6, which takes at least {IPV6_LEAST}")))
    }
}

/// RFC 8200, 5.
const IPV6_LEAST: u32 = 1280;

impl TryFrom<u32> for Mtu {
    type Error = Invalid;
    fn try_from(bytes: u32) -> Result<Self, Invalid> {
        // 68: RFC 791; 65535: the most a veth or bridge takes.
        if (68..=65535).contains(&bytes) {
            Ok(Mtu(bytes))
        } else {
            Err(Invalid::new("MTU", bytes, "is not between 68 and 65535"))
        }
    }
}

impl From<Mtu> for u32 {
    fn from(mtu: Mtu) -> u32 {
        mtu.0
    }
}

impl FromStr for Mtu {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bytes: u32 = text.parse().map_err(|_| Invalid::new("MTU", text, "is not a number of bytes"))?;
        bytes.try_into()
    }
}

impl fmt::Display for Mtu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bytes_are_one_too_many() {
        assert!("abcdefghijklmno".parse::<IfName>().is_ok());
        let error = "abcdefghijklmnop".parse::<IfName>().unwrap_err().to_string();
        assert_eq!(error, "device name `abcdefghijklmnop`: has 16 bytes, the kernel takes at most 15");
    }

    #[test]
    fn kernel_templates_and_syntax_are_refused() {
        for bad in ["eth%d", "a/b", "a:1", "a b", "..", "-x", "a\"", "all", "default", ""] {
            assert!(bad.parse::<IfName>().is_err(), "{bad:?}");
        }
    }
}
